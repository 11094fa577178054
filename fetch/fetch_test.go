package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// world is a repository with a lock, a fake registry that serves it, and an
// empty cache.
type world struct {
	*testing.T
	registry *fake.Server
	dir      string // holds plugins.toml and plugins.lock.toml
	cache    string
	lock     *lock.Lock
	wheel    fake.Artifact // of tool
	tarballs map[string]fake.Artifact
	env      map[string]string

	registries string // more lines of [registries]

	told, held int // runs that a hostile text gets into, see tells
}

// newWorld locks tool 1.0.0 (pip: an executable and a .proto file), script
// 2.0.0 (npm: two packages, run by shell), shell 5.0.0 (pip: its runtime) and
// bare 3.0.0 and packed 3.1.0 (http).
func newWorld(t *testing.T) *world {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("skipped: the fake plugins are shell scripts")
	}
	w := &world{
		T: t, registry: fake.New(t), dir: t.TempDir(), cache: filepath.Join(t.TempDir(), "cache"),
		lock: &lock.Lock{Schema: lock.Schema, Plugins: map[string]map[string]*lock.Version{}},
		env:  map[string]string{}, tarballs: map[string]fake.Artifact{},
	}
	w.wheel = w.registry.Wheel(fake.Wheel{
		Name: "tool-wheel", Version: "1.0.0",
		Files: map[string]string{
			"tool/bin/tool":               "#!/bin/sh\necho \"tool $*\"\ncat\nexit 3\n",
			"tool/include/google/x.proto": "syntax = \"proto3\";\n",
		},
		Exec: []string{"tool/bin/tool"},
	})
	w.add("tool", "1.0.0", lock.Version{Source: lock.Pip, Package: "tool-wheel", Include: "tool/include"}, "tool/bin/tool",
		map[string]fake.Artifact{w.wheel.Name: w.wheel}, nil)
	shell := w.registry.Wheel(fake.Wheel{
		Name: "shell-wheel", Version: "5.0.0",
		Files: map[string]string{"bin/shell": "#!/bin/sh\nexec /bin/sh \"$@\"\n"},
		Exec:  []string{"bin/shell"},
	})
	w.add("shell", "5.0.0", lock.Version{Source: lock.Pip, Package: "shell-wheel"}, "bin/shell",
		map[string]fake.Artifact{shell.Name: shell}, nil)
	w.tarballs["node_modules/script"] = w.registry.Package(fake.Package{
		Name: "script", Version: "2.0.0",
		Manifest: map[string]any{"bin": map[string]string{"protoc-gen-script": "main.js"}},
		Files:    map[string]string{"main.js": ". \"$(dirname \"$0\")/../@acme/lib/lib.js\"\n"},
	})
	w.tarballs["node_modules/@acme/lib"] = w.registry.Package(fake.Package{
		Name: "@acme/lib", Version: "0.1.0", Files: map[string]string{"lib.js": "echo \"script $*\"\n", ".gitignore": "x\n"},
	})
	w.add("script", "2.0.0", lock.Version{Source: lock.NPM, Package: "script", Runtime: "shell@5.0.0"}, "node_modules/script/main.js",
		w.tarballs, map[string]lock.File{
			"node_modules/script":    {Name: "script", Version: "2.0.0"},
			"node_modules/@acme/lib": {Name: "@acme/lib", Version: "0.1.0"},
		})
	bare := "#!/bin/sh\necho bare\n"
	w.file("bare", "3.0.0", "", "bare", "bare-linux", []byte(bare))
	w.file("packed", "3.1.0", "tar.gz", "packed-3.1.0/bin/packed", "packed.tar.gz",
		fake.Tarball("packed-3.1.0", map[string]string{"bin/packed": "#!/bin/sh\necho packed\n", "LICENSE": "mine"}, "bin/packed"))
	w.write()
	return w
}

// add locks a plugin whose tree is what our unpacker makes of its files.
func (w *world) add(name, version string, v lock.Version, binary string, files map[string]fake.Artifact, say map[string]lock.File) {
	w.Helper()
	if v.Files, v.Platforms = map[string]lock.File{}, map[string]lock.Cell{}; v.Trust == "" {
		v.Trust = "registry"
	}
	for key, a := range files {
		f := say[key]
		f.SHA256, f.Size = a.SHA256, a.Size
		if v.Source == lock.NPM {
			f.Integrity = a.Integrity
		}
		v.Files[key] = f
	}
	var list []archive.File
	for key, a := range files {
		name := filepath.Join(w.TempDir(), "artifact")
		if err := os.WriteFile(name, a.Body, 0o600); err != nil {
			w.Fatal(err)
		}
		f, err := os.Open(name)
		if err != nil {
			w.Fatal(err)
		}
		v.Platforms[host(w)] = lock.Cell{Binary: binary}
		part, err := kind.Unpack(w.Context(), f, "", &v, key, host(w))
		f.Close()
		if err != nil {
			w.Fatal(err)
		}
		list = append(list, part...)
	}
	tree, err := archive.TreeHash(list)
	if err != nil {
		w.Fatal(err)
	}
	for _, p := range lock.Platforms {
		v.Platforms[p.Name] = lock.Cell{Unavailable: "this test knows one platform"}
	}
	v.Platforms[host(w)] = lock.Cell{Binary: binary, Tree: tree}
	w.lock.Plugins[name] = map[string]*lock.Version{version: &v}
}

// file locks an http plugin.
func (w *world) file(name, version, archive, binary, base string, body []byte) {
	w.Helper()
	url := w.registry.File("/files/"+base, body)
	artifact := fake.Artifact{Body: body, Size: int64(len(body)), SHA256: sum256(body)}
	w.add(name, version, lock.Version{Source: lock.HTTP}, binary, map[string]fake.Artifact{base: artifact},
		map[string]lock.File{base: {URL: url, Archive: archive}})
}

// write writes the manifest and the lock.
func (w *world) write() {
	w.Helper()
	plugins := fmt.Sprintf("platforms = [\"linux-x86_64\"]\n\n[plugins]\ntool = \"1.0.0\"\n\n[registries]\nnpm = %q\npip = %q\n", w.registry.URL+"/", w.registry.URL+"/simple/") + w.registries
	for name, data := range map[string][]byte{manifest.FileName: []byte(plugins), lock.FileName: lock.Print(w.lock)} {
		if err := os.WriteFile(filepath.Join(w.dir, name), data, 0o644); err != nil {
			w.Fatal(err)
		}
	}
}

// fetch runs the program in process, but for run, which would become the plugin and
// end all tests.
func (w *world) fetch(args ...string) (status int, stdout, stderr string) {
	w.Helper()
	var o, e bytes.Buffer
	env := maps.Clone(w.env)
	env["BUCK2_PROTOBUF_CACHE_DIR"] = w.cache
	own := []string{"--lock", filepath.Join(w.dir, lock.FileName)}
	if _, chosen := env["BUCK2_PROTOBUF_NODE_MANAGER"]; !chosen && !slices.Contains(args, "--node-manager") {
		own = append(own, "--node-manager", "none")
	}
	if slices.Contains(args, "run") {
		cmd := exec.Command(fetchProgram(w.T), append(own, args...)...)
		cmd.Env = os.Environ()
		for name, value := range env {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		cmd.Stdout, cmd.Stderr = &o, &e
		if err := cmd.Run(); cmd.ProcessState == nil {
			w.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), o.String(), e.String()
	}
	var starts testenv.Starts
	status = run(proc.Watch(context.Background(), starts.Add), append(own, args...), func(k string) string { return env[k] }, &o, &e)
	starts.Once(w, args)
	fake.Speech(w, args, status, o.String(), e.String())
	return status, o.String(), e.String()
}

// must is fetch for runs that have to work; it returns stdout without its line
// end.
func (w *world) must(args ...string) string {
	w.Helper()
	status, stdout, stderr := w.fetch(args...)
	if status != 0 {
		w.Fatalf("fetch %v: status %d\n%s", args, status, stderr)
	}
	return strings.TrimSuffix(stdout, "\n")
}

// fails checks the status of a run, and that its message says all of parts.
func (w *world) fails(status int, parts []string, args ...string) {
	w.Helper()
	got, stdout, stderr := w.fetch(args...)
	if got != status {
		w.Errorf("fetch %v: status %d, want %d\n%s", args, got, status, stderr)
	}
	for _, p := range parts {
		if !strings.Contains(stderr, p) {
			w.Errorf("fetch %v: the message does not say %q:\n%s", args, p, stderr)
		}
	}
	if stdout != "" {
		w.Errorf("fetch %v: a failure printed a result: %q", args, stdout)
	}
}

func host(tb testing.TB) string {
	tb.Helper()
	p, err := hostPlatform()
	if err != nil {
		tb.Skip("skipped:", err)
	}
	return p.Name
}

// snapshot lists a folder with the content of its files.
func snapshot(tb testing.TB, dir string) map[string]string {
	tb.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		m[rel] = string(data)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		tb.Fatal(err)
	}
	return m
}

func sum256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

func TestGet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct{ spec, base, args, says string }{
		{"tool", "tool", "", "tool \n"},
		{"tool@1.0.0", "tool", "a", "tool a\n"},
		{"script", "main", "b", "script b\n"},
		{"bare", "bare", "", "bare\n"},
		{"packed", "packed", "", "packed\n"},
	} {
		path := w.must("get", tt.spec)
		if filepath.Base(path) != tt.base || !filepath.IsAbs(path) {
			t.Errorf("%s: path %q, want an absolute one of %s", tt.spec, path, tt.base)
		}
		cmd := exec.Command(path)
		if tt.args != "" {
			cmd.Args = append(cmd.Args, tt.args)
		}
		out, err := cmd.Output()
		if exit := cmd.ProcessState.ExitCode(); string(out) != tt.says || (err != nil && exit != 3) {
			t.Errorf("%s printed %q (%v), want %q", path, out, err, tt.says)
		}
	}
	requests := len(w.registry.Requests(""))
	if again := w.must("get", "script"); again != w.must("get", "script", "--offline") || len(w.registry.Requests("")) != requests {
		t.Errorf("a second get of %s asked the registry", again)
	}
	var p install.Program
	if err := json.Unmarshal([]byte(w.must("get", "tool", "--json")), &p); err != nil {
		t.Fatal(err)
	}
	if p.Plugin != "tool" || p.Version != "1.0.0" || p.Platform != host(t) || p.Include != filepath.Join(p.Tree, "tool", "include") {
		t.Errorf("--json said %+v", p)
	}
}

// TestWarm proves that the second call rests on the memory, and that the memory
// is not believed when anything it rests on has changed.
func TestWarm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := w.must("get", "tool")
	memories, err := filepath.Glob(filepath.Join(w.cache, "warm", "*.json"))
	if err != nil || len(memories) != 1 {
		t.Fatalf("found %d memories (%v), want 1", len(memories), err)
	}
	// A changed executable is made anew.
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho changed\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if again := w.must("get", "tool"); again != path {
		t.Errorf("path %s, want %s", again, path)
	}
	if data, err := os.ReadFile(path); err != nil || strings.Contains(string(data), "changed") {
		t.Errorf("the changed executable was believed: %q, %v", data, err)
	}
	// A memory that is not JSON is nothing.
	if err := os.WriteFile(memories[0], []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.must("get", "tool")
	// A changed lock is read again.
	delete(w.lock.Plugins, "tool")
	w.write()
	w.fails(2, []string{`plugin "tool" is not locked`, "lockgen add tool"}, "get", "tool")
}

func TestRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	binary := fetchProgram(t)
	own := []string{"--lock", filepath.Join(w.dir, lock.FileName)}
	for _, tt := range []struct {
		args []string // behind run
		says string   // by the plugin
	}{
		{slices.Concat([]string{"tool"}, own, []string{"--", "--json", "x  y"}), "--json x  y"},
		{slices.Concat(own, []string{"tool", "--json", "x  y"}), "--json x  y"},
		{slices.Concat(own, []string{"tool@1.0.0", "--version", "--help", "-q", "--lock=none"}), "--version --help -q --lock=none"},
		{slices.Concat(own, []string{"tool", "x", "--", "y"}), "x -- y"},
		{slices.Concat(own, []string{"--", "tool", "--", "y"}), "y"},
	} {
		cmd := exec.Command(binary, append([]string{"run"}, tt.args...)...)
		cmd.Env = append(os.Environ(), "BUCK2_PROTOBUF_CACHE_DIR="+w.cache)
		cmd.Stdin = strings.NewReader("in\x00put\r\n")
		out, err := cmd.Output()
		if cmd.ProcessState.ExitCode() != 3 {
			t.Errorf("%q: exit status %d (%v), want the plugin's 3", tt.args, cmd.ProcessState.ExitCode(), err)
		}
		if want := "tool " + tt.says + "\nin\x00put\r\n"; string(out) != want {
			t.Errorf("%q: stdout %q, want %q", tt.args, out, want)
		}
	}
}

func TestInstall(t *testing.T) {
	w := newWorld(t)
	entry := func(name, version string) string {
		data, err := json.Marshal(w.lock.Entry(name, version))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "entry.json")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	registries := filepath.Join(t.TempDir(), "registries.json")
	if err := os.WriteFile(registries, fmt.Appendf(nil, `{"npm": %q, "pip": %q}`, w.registry.URL, w.registry.URL+"/simple"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "deep", "out")
	w.must("install", "--entry", entry("script", "2.0.0"), "--registries", registries, "--out", out)
	got := slices.Sorted(maps.Keys(snapshot(t, out)))
	want := []string{
		"node_modules/@acme/lib/.gitignore", "node_modules/@acme/lib/lib.js", "node_modules/@acme/lib/package.json",
		"node_modules/script/main.js", "node_modules/script/package.json",
	}
	if !slices.Equal(got, want) {
		t.Errorf("installed %v, want %v", got, want)
	}
	if info, err := os.Stat(filepath.Join(out, "node_modules/script/main.js")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the bin has mode %v (%v), want 0755", info.Mode(), err)
	}
	w.fails(7, []string{"is not empty"}, "install", "--entry", entry("script", "2.0.0"), "--registries", registries, "--out", out)

	// What Buck2 downloaded is used, checked, and nothing is asked.
	given := filepath.Join(t.TempDir(), "given")
	if err := os.WriteFile(given, fake.Tarball("packed-3.1.0", map[string]string{"bin/packed": "#!/bin/sh\necho packed\n", "LICENSE": "mine"}, "bin/packed"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.registry.Forget()
	out = filepath.Join(t.TempDir(), "out")
	w.must("install", "--offline", "--entry", entry("packed", "3.1.0"), "--file", "packed.tar.gz="+given, "--out", out)
	if _, err := os.Stat(filepath.Join(out, "packed-3.1.0", "bin", "packed")); err != nil {
		t.Error(err)
	}
	if n := len(w.registry.Requests("")); n != 0 {
		t.Errorf("%d requests, want none", n)
	}
	if err := os.WriteFile(given, []byte("something else"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.cache = filepath.Join(t.TempDir(), "fresh")
	out = filepath.Join(t.TempDir(), "out")
	w.fails(5, []string{"packed 3.1.0", "sha256"}, "install", "--entry", entry("packed", "3.1.0"), "--file", "packed.tar.gz="+given, "--out", out)
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("a failed install left %s: %v", out, err)
	}
	w.fails(2, []string{"has no such file", "packed.tar.gz"}, "install", "--entry", entry("packed", "3.1.0"), "--file", "other="+given, "--out", out)
	other := "windows-x86_64"
	w.fails(7, []string{"packed 3.1.0", "not available on " + other, "this test knows one platform"}, "install", "--entry", entry("packed", "3.1.0"), "--platform", other, "--out", out)
	w.fails(3, []string{"entry.json"}, "install", "--entry", entry("absent", "1"), "--out", out)
}

// TestRefusals spoils the lock, the registry, the cache or the command line, and
// expects the exit status and message of each. The lock and everything good in
// the cache stay as they were, and the same command works once the cause is
// gone.
func TestRefusals(t *testing.T) {
	t.Parallel()
	lockOf := func(old, new string) func(*world) {
		return func(w *world) {
			name := filepath.Join(w.dir, lock.FileName)
			text, err := os.ReadFile(name)
			if err != nil || !strings.Contains(string(text), old) {
				w.Fatalf("%q is not in the lock (%v)", old, err)
			}
			if err := os.WriteFile(name, []byte(strings.ReplaceAll(string(text), old, new)), 0o644); err != nil {
				w.Fatal(err)
			}
		}
	}
	wheel := func(f ...fake.Fault) func(*world) { return func(w *world) { w.registry.Fault(w.wheel.Path, f...) } }
	tarball := func(f ...fake.Fault) func(*world) {
		return func(w *world) { w.registry.Fault(w.tarballs["node_modules/script"].Path, f...) }
	}
	for row, tt := range []struct {
		name   string
		spoil  func(*world)
		args   []string
		status int
		says   []string
	}{
		{"unknown plugin", nil, []string{"get", "toll"}, 2, []string{"did you mean tool?"}},
		{"unknown version", nil, []string{"get", "tool@9"}, 2, []string{"tool 9 is not locked; the lock has 1.0.0", "lockgen add tool@9"}},
		{"unknown command", nil, []string{"gett", "tool"}, 2, []string{"did you mean get?"}},
		{"unknown flag", nil, []string{"get", "tool", "--ofline"}, 2, []string{"did you mean --offline?", "run: fetch help get"}},
		{"no plugin", nil, []string{"get"}, 2, []string{"get takes one plugin"}},
		{"unknown platform", nil, []string{"get", "tool", "--platform", "linux_amd46"}, 2, []string{"linux_amd46", "linux-x86_64"}},
		{"unavailable", nil, []string{"get", "tool", "--platform", "windows-x86_64"}, 7, []string{"this test knows one platform"}},
		{"unknown manager", nil, []string{"get", "script", "--node-manager", "deno"}, 2, []string{`"deno"`, "npm, pnpm, yarn, bun, none"}},
		{"no lock", func(w *world) { os.Remove(filepath.Join(w.dir, lock.FileName)) }, []string{"get", "tool"}, 3, []string{"run: lockgen update"}},
		{"merge markers", lockOf("schema = 1", "<<<<<<< ours\nschema = 1"), []string{"get", "tool"}, 3, []string{":2: unresolved merge", "take one side"}},
		{"future schema", lockOf("schema = 1", "schema = 7"), []string{"get", "tool"}, 3, []string{"schema 7", "up to 1"}},
		{"capitals", func(w *world) { lockOf(w.wheel.SHA256, strings.ToUpper(w.wheel.SHA256))(w) }, []string{"get", "tool"}, 3, []string{"lower-case"}},
		{"63 digits", func(w *world) { lockOf(w.wheel.SHA256, w.wheel.SHA256[1:])(w) }, []string{"get", "tool"}, 3, []string{"64"}},
		{"binary leaves", lockOf("tool/bin/tool", "../tool"), []string{"get", "tool"}, 3, []string{`"../tool"`}},
		{"another digest", func(w *world) { lockOf(w.wheel.SHA256, strings.Repeat("ab", 32))(w) }, []string{"get", "tool"}, 5, []string{"sha256", strings.Repeat("ab", 32)}},
		{"another tree", func(w *world) {
			lockOf(w.lock.Plugins["tool"]["1.0.0"].Platforms[host(w)].Tree, strings.Repeat("cd", 32))(w)
		}, []string{"get", "tool"}, 5, []string{strings.Repeat("cd", 32)}},
		{"another size", func(w *world) { lockOf(fmt.Sprintf("size = %d", w.wheel.Size), "size = 7")(w) }, []string{"get", "tool"}, 5, []string{"7"}},
		{"403", wheel(fake.Status(403)), []string{"get", "tool"}, 4, []string{"403"}},
		{"404", wheel(fake.Status(404)), []string{"get", "tool"}, 4, []string{"404"}},
		{"index 404", func(w *world) { w.registry.Fault("/simple/tool-wheel/", fake.Status(404)) }, []string{"get", "tool"}, 4, []string{"404"}},
		{"index HTML", func(w *world) { w.registry.Fault("/simple/tool-wheel/", fake.HTML()) }, []string{"get", "tool"}, 4, []string{"tool-wheel"}},
		{"wrong bytes", wheel(fake.WrongBytes()), []string{"get", "tool"}, 5, []string{"sha256"}},
		{"longer", wheel(fake.Longer(5)), []string{"get", "tool"}, 5, []string{"tool_wheel-1.0.0"}},
		{"login page", wheel(fake.HTML()), []string{"get", "tool"}, 5, []string{"HTML"}},
		{"npm 404", func(w *world) {
			tarball(fake.Status(404))(w)
			w.registry.Fault("/script", fake.Status(404))
		}, []string{"get", "script"}, 4, []string{"script", "404"}},
		{"npm wrong bytes", tarball(fake.WrongBytes()), []string{"get", "script"}, 5, []string{"node_modules/script", "sha256"}},
		{"offline", nil, []string{"get", "script", "--offline"}, 4, []string{"script@2.0.0", "@acme/lib@0.1.0", "shell_wheel-5.0.0"}},
		{"manifest", func(w *world) {
			if err := os.WriteFile(filepath.Join(w.dir, manifest.FileName), []byte("[plugin]\n"), 0o644); err != nil {
				w.Fatal(err)
			}
		}, []string{"get", "tool"}, 2, []string{"plugins.toml"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if testing.Short() && row%3 > 0 {
				t.Skip("-short: one row in three")
			}
			t.Parallel()
			w := newWorld(t)
			w.must("get", "bare") // something good in the cache
			if tt.spoil != nil {
				tt.spoil(w)
			}
			repository, cache := snapshot(t, w.dir), snapshot(t, w.cache)
			w.fails(tt.status, tt.says, tt.args...)
			for name, content := range repository {
				if now := snapshot(t, w.dir)[name]; now != content {
					t.Errorf("%s was changed", name)
				}
			}
			after := snapshot(t, w.cache)
			for name, content := range cache {
				if after[name] != content && name != statsFile { // which counts failures
					t.Errorf("%s in the cache was changed", name)
				}
			}
			for name := range after {
				if strings.HasPrefix(name, "tmp/") {
					t.Errorf("%s was left in the cache", name)
				}
			}
			// And the way back: the cause is removed.
			for _, path := range []string{w.wheel.Path, w.tarballs["node_modules/script"].Path, "/simple/tool-wheel/", "/script"} {
				w.registry.Fault(path)
			}
			w.write()
			w.must("get", "tool")
			w.must("get", "script")
		})
	}
}

// TestOnceFaulty servers are tried again.
func TestOnceFaulty(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fake.Fault{"500": fake.Status(500), "reset": fake.Reset(10), "truncated": fake.Truncate(10)} {
		w := newWorld(t)
		w.registry.Fault(w.wheel.Path, f.Once())
		w.must("get", "tool")
		if n := w.registry.Count(w.wheel.Path); n != 2 {
			t.Errorf("%s: %d requests, want 2", name, n)
		}
	}
}

// TestElsewhere serves an npm tarball not where npm's convention says.
func TestElsewhere(t *testing.T) {
	w := newWorld(t)
	a := w.tarballs["node_modules/script"]
	moved := w.registry.File("/elsewhere/s.tgz", a.Body)
	w.registry.Package(fake.Package{Name: "script", Version: "2.0.0", Tarball: a.Body, Dist: map[string]any{"tarball": moved}})
	w.registry.Fault(a.Path, fake.Status(404))
	w.must("get", "script")
	if n := w.registry.Count("/elsewhere/s.tgz"); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

// TestNoClients has neither npm nor pip to ask where their registries are: what
// is missing is named, and [registries] is the way out. With everything in the
// cache nobody is asked.
func TestNoClients(t *testing.T) {
	w := newWorld(t)
	manifest := filepath.Join(w.dir, manifest.FileName)
	if err := os.WriteFile(manifest, []byte("platforms = [\"linux-x86_64\"]\n\n[plugins]\nprotoc = \"30.2\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", t.TempDir())
	w.fails(7, []string{"pip", "[registries] pip ="}, "get", "tool")
	w.fails(7, []string{"npm", "[registries]"}, "get", "script")
	w.write() // with [registries]
	w.must("get", "tool")
	w.must("get", "script")
	if err := os.Remove(manifest); err != nil {
		t.Fatal(err)
	}
	w.must("get", "tool@1.0.0")
}

// TestScopes: plugins that are installed in one run may have packages of
// different scopes, each with the registry that the user's npm has for it.
func TestScopes(t *testing.T) {
	testenv.Program(t, "npm")
	w := newWorld(t)
	other := map[string]fake.Artifact{
		"node_modules/other":      w.registry.Package(fake.Package{Name: "other", Version: "1.0.0", Manifest: map[string]any{"bin": "other.js"}, Files: map[string]string{"other.js": "echo other\n"}}),
		"node_modules/@other/lib": w.registry.Package(fake.Package{Name: "@other/lib", Version: "1.0.0", Files: map[string]string{"lib.js": "\n"}}),
	}
	w.add("other", "1.0.0", lock.Version{Source: lock.NPM, Package: "other", Runtime: "shell@5.0.0"}, "node_modules/other/other.js",
		other, map[string]lock.File{
			"node_modules/other":      {Name: "other", Version: "1.0.0"},
			"node_modules/@other/lib": {Name: "@other/lib", Version: "1.0.0"},
		})
	w.write()
	plugins := fmt.Sprintf("platforms = [\"linux-x86_64\"]\n\n[plugins]\ntool = \"1.0.0\"\n\n[registries]\npip = %q\n", w.registry.URL+"/simple/")
	// What is of no scope that is known is nowhere.
	npmrc := fmt.Sprintf("registry=%s/nowhere/\n@acme:registry=%[1]s/\n@other:registry=%[1]s/\n", w.registry.URL)
	for name, text := range map[string]string{manifest.FileName: plugins, ".npmrc": npmrc} {
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"script", "other"} {
		w.registry.File("/nowhere/"+name+"/-/"+name+"-"+map[string]string{"script": "2.0.0", "other": "1.0.0"}[name]+".tgz", map[string]fake.Artifact{
			"script": w.tarballs["node_modules/script"], "other": other["node_modules/other"]}[name].Body)
	}
	// What npm sends, and what npm holds against its project: the one counts, the other does not.
	const want = "Bearer s3cret-token"
	for _, path := range []string{"/@acme/lib/-/lib-0.1.0.tgz", "/@other/lib/-/lib-1.0.0.tgz"} {
		w.registry.Fault(path, fake.Do(func(out http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
			if r.Header.Get("Authorization") != want {
				http.Error(out, "who are you?", http.StatusUnauthorized)
				return
			}
			honest(out, r)
		}))
	}
	if err := os.WriteFile(filepath.Join(w.dir, "package.json"), []byte(`{"devEngines": {"packageManager": {"name": "pnpm"}}, "scripts": {"env": "exit 1"}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	w.fails(4, []string{"401 Unauthorized", "no credential sent"}, "get", "script")
	t.Setenv("npm_config_//"+strings.TrimPrefix(w.registry.URL, "http://")+"/:_authToken", "s3cret-token")
	if line := w.must("env", "script", "other", "--shell", "sh"); strings.Count(line, ":") != 2 {
		t.Errorf("two folders, then PATH: %s", line)
	}
}

// TestNoCache names the path when there can be no cache.
func TestNoCache(t *testing.T) {
	w := newWorld(t)
	w.cache = filepath.Join(w.dir, lock.FileName, "cache") // below a file
	w.fails(7, []string{w.cache}, "get", "tool")
}

// TestReadOnlyCache works when everything is there, and is told of otherwise.
func TestReadOnlyCache(t *testing.T) {
	w := newWorld(t)
	w.must("get", "tool")
	readOnly(t, w.cache)
	w.must("get", "tool")
	w.must("get", "tool@1.0.0") // asked in other words: nothing is remembered, and nothing can be
	if os.Geteuid() == 0 {
		t.Skip("skipped the rest: root may write everywhere")
	}
	w.fails(7, []string{w.cache}, "get", "script")
}

// readOnly takes the permission to write from a folder until the test ends.
func readOnly(t *testing.T, dir string) {
	t.Helper()
	set := func(mode fs.FileMode) {
		_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(name, mode)
			}
			return err
		})
	}
	set(0o555)
	t.Cleanup(func() { set(0o755) })
}

// TestDamagedCache finds what was damaged in the cache and heals it, or says so
// when it may not ask anyone.
func TestDamagedCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must("get", "tool")
	blob := filepath.Join(w.cache, "blobs", "sha256", w.wheel.SHA256[:2], w.wheel.SHA256)
	trees := filepath.Join(w.cache, "trees")
	for name, damage := range map[string]func(){
		"flipped": func() {
			data := bytes.Clone(w.wheel.Body)
			data[len(data)/2] ^= 1
			os.Remove(blob)
			if err := os.WriteFile(blob, data, 0o444); err != nil {
				t.Fatal(err)
			}
		},
		"truncated": func() {
			os.Remove(blob)
			if err := os.WriteFile(blob, w.wheel.Body[:10], 0o444); err != nil {
				t.Fatal(err)
			}
		},
		"gone": func() { os.Remove(blob) },
	} {
		damage()
		if err := os.RemoveAll(trees); err != nil {
			t.Fatal(err)
		}
		w.registry.Forget()
		w.must("get", "tool")
		if n := w.registry.Count(w.wheel.Path); n != 1 {
			t.Errorf("%s: %d downloads, want 1", name, n)
		}
		damage()
		if err := os.RemoveAll(trees); err != nil {
			t.Fatal(err)
		}
		w.fails(4, []string{"offline"}, "get", "tool", "--offline")
		w.must("get", "tool")
	}
}

// forget removes the manifest with its [registries], so that clients are asked.
func (w *world) forget() {
	w.Helper()
	if err := os.Remove(filepath.Join(w.dir, manifest.FileName)); err != nil {
		w.Fatal(err)
	}
}
