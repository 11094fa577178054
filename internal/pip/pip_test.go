package pip

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// realPip is the pip of this machine, cut off from the network as it is for users.
func realPip(t *testing.T) *Client {
	t.Helper()
	t.Setenv("PATH", coldPath)
	return warmPip(t)
}

// warmPip is realPip without the time that it takes to start, see [fake.WarmPip].
func warmPip(t *testing.T) *Client {
	t.Helper()
	testenv.Real(t, "it starts pip")
	p, err := Find(t.Context())
	if err != nil {
		t.Skipf("no pip to try with: %v", err)
	}
	p.known = nil // a test changes the settings of a pip that it has found
	return p
}

// cleanPipEnv gives pip a home and no settings of the person who runs the test.
func cleanPipEnv(t *testing.T) (home string) {
	t.Helper()
	for _, kv := range os.Environ() {
		key, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(strings.ToUpper(key), "PIP_") {
			t.Setenv(key, "")
			os.Unsetenv(key)
		}
	}
	home = t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("XDG_CONFIG_DIRS", home)
	return home
}

// TestSettingsFound: pip tells its settings when it is found, and is asked again only
// where they depend on the folder.
func TestSettingsFound(t *testing.T) {
	warmPip(t)
	home, dir := cleanPipEnv(t), t.TempDir()
	for name, text := range map[string]string{filepath.Join(home, "named.conf"): "named", filepath.Join(dir, "here.conf"): "here"} {
		if err := os.WriteFile(name, []byte("[global]\nindex-url = https://"+text+".example.com/\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		file, index string
		starts      int
	}{
		{"", "https://variable.example.com/", 1},
		{filepath.Join(home, "named.conf"), "https://named.example.com/", 1},
		{"here.conf", "https://here.example.com/", 2},
	} {
		t.Setenv("PIP_CONFIG_FILE", tt.file)
		os.Unsetenv("PIP_INDEX_URL")
		if tt.file == "" {
			t.Setenv("PIP_INDEX_URL", tt.index)
		}
		var starts testenv.Starts
		ctx := proc.Watch(t.Context(), starts.Add)
		p, err := Find(ctx)
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Config(ctx, dir, "")
		if err != nil || c.Index != tt.index {
			t.Errorf("%q: %+v %v", tt.file, c, err)
		}
		if n := starts.Count(""); n != tt.starts {
			t.Errorf("%q: %d starts, want %d", tt.file, n, tt.starts)
		}
	}
}

func TestFindPip(t *testing.T) {
	find := func(says map[string]string) (*Client, error) {
		t.Setenv("PATH", fake.Programs(t, says))
		return Find(t.Context())
	}
	p, err := find(map[string]string{"python3": "complain No module named pip", "python": "print 22.3.1", "py": "print 24.0"})
	if err != nil || p.Version() != "24.0" || !strings.Contains(p.python[0], "py") {
		t.Errorf("found %+v, %v", p, err)
	}
	_, err = find(map[string]string{"python3": "print 22.3.1"})
	fake.WantFault(t, err, fault.Machine, "has version 22.3.1; 23.0 or later is needed")
	_, err = find(map[string]string{"python3": "complain No module named pip", "python": "print Python 2"})
	fake.WantFault(t, err, fault.Machine, "no python on PATH", "No module named pip", `"Python 2"`)
	_, err = find(nil)
	fake.WantFault(t, err, fault.Machine, "none of python3, python and py")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not fs.ErrNotExist: %v", err)
	}
	if hint := fault.Hint(err); !strings.Contains(hint, "pip 23.0 or later") || !strings.Contains(hint, "[registries] pip") {
		t.Errorf("hint %q", hint)
	}
}

func TestIndex(t *testing.T) {
	p := realPip(t)
	home := cleanPipEnv(t)
	index := func() (string, error) {
		c, err := p.Config(t.Context(), home, "")
		if err != nil {
			return "", err
		}
		return c.Index, nil
	}
	url, err := index()
	if err != nil || !strings.HasPrefix(url, "https://") {
		t.Errorf("pip's own default is %q, %v", url, err)
	}
	conf := filepath.Join(home, "chosen.conf")
	fake.Write(t, conf, "[global]\nindex-url = https://me:SECRET@file.example.com/simple\n")
	t.Setenv("PIP_CONFIG_FILE", conf)
	fake.Write(t, conf+".none", "[global]\nindex-url = https://file.example.com/simple\nno-index = true\n")
	t.Setenv("PIP_CONFIG_FILE", conf+".none")
	_, err = index()
	fake.WantFault(t, err, fault.Machine, "no-index")
	t.Setenv("PIP_CONFIG_FILE", conf)
	if url, err = index(); err != nil || url != "https://me:SECRET@file.example.com/simple" {
		t.Errorf("from a file: %q, %v", url, err)
	}
	t.Setenv("PIP_INDEX_URL", "https://env.example.com/simple")
	if url, err = index(); err != nil || url != "https://env.example.com/simple" {
		t.Errorf("from the environment: %q, %v", url, err)
	}
	t.Setenv("PIP_INDEX_URL", "ssh://me:SECRET@env.example.com/simple")
	_, err = index()
	fake.WantFault(t, err, fault.Machine, "which is not a URL")
	if strings.Contains(err.Error(), "SECRET") {
		t.Errorf("a secret is in: %v", err)
	}
	t.Setenv("PIP_NO_INDEX", "1")
	_, err = index()
	fake.WantFault(t, err, fault.Machine, "no-index")
}

func TestParseConfigList(t *testing.T) {
	got := parseConfigList("global.index-url='https://a/simple'\ninstall.index-url='https://b/simple'\n:env:.no-index='0'\n" +
		"download.index-url='https://c/simple'\nglobal.no-index='true'\nglobal.cert='/etc/ca.pem'\n")
	if got.Index != "https://b/simple" || got.NoIndex || got.Cert != "/etc/ca.pem" {
		t.Errorf("got %+v", got)
	}
	// An index that pip's internals do not tell is taken from there.
	p := &Client{python: []string{filepath.Join(fake.Programs(t, map[string]string{"python3": "print global.index-url='https://d/simple'"}), "python3")}, version: "99"}
	if c, err := p.Config(t.Context(), "", ""); err != nil || c.Index != "https://d/simple" {
		t.Errorf("fallback: %+v, %v", c, err)
	}
	p.python[0] = filepath.Join(fake.Programs(t, map[string]string{"python3": "print"}), "python3")
	_, err := p.Config(t.Context(), "", "")
	fake.WantFault(t, err, fault.Machine, "pip 99 is configured with the index")
}

// TestReport: the wheels of a closure for each platform, whatever a person has set.
func TestReport(t *testing.T) {
	testenv.OnlyFull(t, "it starts pip for each form of a requirement; TestIndex has the usual way")
	p := realPip(t)
	home := cleanPipEnv(t)
	s := fake.New(t)
	index := s.URL + "/simple/"
	publishGen(s, home)
	setPip(t, home)
	targets := reportsGen(t, p, s)
	refusesReport(t, p, s)

	linux := fake.Platform(t, "linux-x86_64")
	s.Fault("/simple/gen/", fake.Status(403))
	_, err := report(t, p, strings.Replace(index, "//", "//me:SECRET@", 1), Requirement{Package: "gen", Version: "1.0"}, linux, "3.12")
	fake.WantFault(t, err, fault.Upstream)
	if strings.Contains(err.Error(), "SECRET") {
		t.Errorf("a secret is in: %v", err)
	}
	// A refusal ends it: the other targets have the same answer.
	s.Fault("/simple/gen/", fake.Status(403))
	closures, err := p.Report(t.Context(), indexAt(index), Requirement{Package: "gen", Version: "1.0", Targets: targets[:2]})
	if err != nil || len(closures) != 2 || closures[1].Err != closures[0].Err {
		t.Errorf("after a refusal: %+v, %v", closures, err)
	}
	for _, name := range []string{"canary", "cache", "gen.py"} {
		if _, err := os.Stat(filepath.Join(home, name)); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

// publishGen publishes gen, whose closure differs between platforms, and packages that
// some of them cannot have. An sdist would write the canary in home.
func publishGen(s *fake.Server, home string) {
	wheel := func(name, version, tag string, requires ...string) {
		s.Wheel(fake.Wheel{Name: name, Version: version, Tag: tag, Requires: requires, Files: map[string]string{name + ".py": tag}})
	}
	wheel("gen", "1.0", "py3-none-any", "lib>=1", `winlib; sys_platform == "win32"`, `armlib; platform_machine in "arm64 aarch64"`,
		`oldlib; python_version < "3.12"`, `thislib; extra == "this"`)
	for _, tag := range []string{"musllinux_1_2_x86_64", "manylinux_2_17_x86_64", "manylinux_2_39_x86_64", "manylinux2014_aarch64",
		"macosx_10_9_universal2", "win_amd64", "linux_x86_64"} {
		wheel("lib", "1.0", "cp310-abi3-"+tag)
	}
	wheel("lib", "2.0", "cp310-abi3-musllinux_1_2_x86_64")
	wheel("musl", "1.0", "py3-none-musllinux_1_2_x86_64")
	for _, name := range []string{"winlib", "armlib", "oldlib"} {
		wheel(name, "1.0", "py3-none-any")
	}
	s.Release("sdist", "sdist-1.0.tar.gz", fake.Tarball("sdist-1.0", map[string]string{"setup.py": "open('" + filepath.Join(home, "canary") + "','w')"}))
}

// setPip sets what a person may have set, and a lock must not follow.
func setPip(t *testing.T, home string) {
	t.Helper()
	links := filepath.Join(home, "links")
	evil := fake.Wheel{Name: "lib", Version: "9.0", Files: map[string]string{"lib.py": "evil"}}
	fake.Write(t, filepath.Join(links, evil.Filename()), string(evil.Bytes()))
	conf := "[global]\nfind-links = " + links + "\nindex-url = http://127.0.0.1:9/conf\nextra-index-url = http://127.0.0.1:9/extra\npre = true\n" +
		"platform = plan9\nno-deps = true\n[install]\nuser = true\nrequire-hashes = true\nconstraint = " + filepath.Join(home, "none.txt") + "\n"
	fake.Write(t, filepath.Join(home, "pip.conf"), conf)
	fake.Write(t, filepath.Join(home, "pip", "pip.conf"), conf)
	fake.Write(t, filepath.Join(home, "pip.py"), "raise SystemExit('another pip')\n")
	for key, value := range map[string]string{
		"PIP_CONFIG_FILE": filepath.Join(home, "pip.conf"), "PIP_FIND_LINKS": links, "PIP_INDEX_URL": "http://127.0.0.1:9/env",
		"PIP_NO_DEPS": "1", "PIP_PRE": "1", "PIP_TARGET": home, "PIP_CACHE_DIR": filepath.Join(home, "cache"), "PIP_TIMEOUT": "10", "PIP_RETRIES": "1",
		"PYTHONPATH": home, "PYTHONSTARTUP": filepath.Join(home, "pip.py"), "PYTHONHOME": "", "NO_PROXY": "127.0.0.1",
	} {
		t.Setenv(key, value)
	}
	t.Chdir(home)
}

// reportsGen asks for gen on platforms that come one after another in one process of
// pip, and go back. It returns them.
func reportsGen(t *testing.T, p *Client, s *fake.Server) (targets []Target) {
	t.Helper()
	index := s.URL + "/simple/"
	wants := []struct {
		on, python string
		wheels     []string
	}{
		{"linux-x86_64", "3.12", []string{"gen-1.0-py3-none-any.whl", "lib-1.0-cp310-abi3-manylinux_2_17_x86_64.whl"}},
		{"linux-aarch64", "3.11", []string{"armlib-1.0-py3-none-any.whl", "gen-1.0-py3-none-any.whl", "lib-1.0-cp310-abi3-manylinux2014_aarch64.whl", "oldlib-1.0-py3-none-any.whl"}},
		{"windows-aarch64", "3.12", nil},
		{"macos-aarch64", "3.12", []string{"armlib-1.0-py3-none-any.whl", "gen-1.0-py3-none-any.whl", "lib-1.0-cp310-abi3-macosx_10_9_universal2.whl"}},
		{"windows-x86_64", "3.12", []string{"gen-1.0-py3-none-any.whl", "lib-1.0-cp310-abi3-win_amd64.whl", "winlib-1.0-py3-none-any.whl"}},
		{"linux-x86_64", "3.12", []string{"gen-1.0-py3-none-any.whl", "lib-1.0-cp310-abi3-manylinux_2_17_x86_64.whl"}},
	}
	for _, want := range wants {
		targets = append(targets, Target{Platform: fake.Platform(t, want.on), Python: want.python})
	}
	closures, err := p.Report(t.Context(), indexAt(index), Requirement{Package: "gen", Version: "1.0", Targets: targets})
	if err != nil || len(closures) != len(wants) {
		t.Fatalf("%d closures: %v", len(closures), err)
	}
	for i, want := range wants {
		var got []string
		for _, w := range closures[i].Wheels {
			got = append(got, w.Filename)
			if w.URL != s.URL+"/packages/"+w.Filename || len(w.SHA256) != 64 || w.Version != "1.0" {
				t.Errorf("%+v", w)
			}
		}
		if !slices.Equal(got, want.wheels) || (closures[i].Err != nil) != (want.wheels == nil) {
			t.Errorf("%s %s: got %v, %v, want %v", want.on, want.python, got, closures[i].Err, want.wheels)
		}
	}
	fake.WantFault(t, closures[2].Err, fault.Upstream, "no wheel of gen==1.0 for windows-aarch64 and Python 3.12")
	for _, page := range []string{"/simple/gen/", "/simple/lib/"} {
		if n := s.Count(page); n != 1 {
			t.Errorf("%s was asked for %d times", page, n)
		}
	}
	return targets
}

// refusesReport asks for what a platform or an interpreter cannot have.
func refusesReport(t *testing.T, p *Client, s *fake.Server) {
	t.Helper()
	index := s.URL + "/simple/"
	linux := fake.Platform(t, "linux-x86_64")
	for _, test := range []struct{ name, version, says string }{
		{"musl", "1.0", "the index has musl-1.0-py3-none-musllinux_1_2_x86_64.whl"},
		{"nothing", "1.0", "the index has no package nothing"},
		{"gen", "7.0", "the index has wheels of 1.0"},
	} {
		_, err := report(t, p, index, Requirement{Package: test.name, Version: test.version}, linux, "3.12")
		fake.WantFault(t, err, fault.Upstream, "no wheel of "+test.name+"=="+test.version+" for linux-x86_64 and Python 3.12", test.says)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s %s is not fs.ErrNotExist: %v", test.name, test.version, err)
		}
	}
	// Requires-Python, which the index says of one and only the wheel of the other.
	s.Wheel(fake.Wheel{Name: "young", Version: "1.0", Python: ">=3.13"})
	needs := fake.Wheel{Name: "needs", Version: "1.0", Requires: []string{"hidden==1.0"}}
	s.Wheel(needs)
	s.Release("hidden", "hidden-1.0-py3-none-any.whl", fake.Wheel{Name: "hidden", Version: "1.0", Python: ">=3.13"}.Bytes())
	for name, says := range map[string]string{"young": "young 1.0 requires Python >=3.13", "needs": "hidden 1.0 requires Python >=3.13"} {
		_, err := report(t, p, index, Requirement{Package: name, Version: "1.0"}, linux, "3.12")
		fake.WantFault(t, err, fault.Usage, name+"==1.0 for linux-x86_64 and Python 3.12", says, ">=3.13")
		if hint := fault.Hint(err); !strings.Contains(hint, `write python = ["3.13"] at the top of plugins.toml`) {
			t.Errorf("%s: hint %q", name, hint)
		}
		if wheels, err := report(t, p, index, Requirement{Package: name, Version: "1.0"}, linux, "3.13"); err != nil {
			t.Errorf("%s for 3.13: %v, %v", name, wheels, err)
		}
	}
	_, err := report(t, p, index, Requirement{Package: "gen", Version: "1.0"}, linux, "")
	fake.WantFault(t, err, fault.Usage, "version of a Python")
}

// indexAt is an index of the network, without a memory of more than a project's
// page. Metadata are those beside the wheel, or in it.
func indexAt(url string) Index {
	client := remote.New(remote.Options{Attempts: 1})
	var mu sync.Mutex
	pages := map[string][]remote.IndexFile{}
	return Index{
		Files: func(ctx context.Context, project string) ([]remote.IndexFile, error) {
			mu.Lock()
			defer mu.Unlock()
			if files, ok := pages[project]; ok {
				return files, nil
			}
			files, err := client.PyPIFiles(ctx, url, project)
			if err == nil {
				pages[project] = files
			}
			return files, err
		},
		Metadata: func(ctx context.Context, f remote.IndexFile) ([]byte, error) {
			if f.Metadata {
				text, _, err := client.Document(ctx, f.URL+".metadata", "*/*", 1<<20)
				return text, err
			}
			data, _, err := client.Document(ctx, f.URL, "*/*", 1<<20)
			if err != nil {
				return nil, err
			}
			z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
			if err != nil {
				return nil, err
			}
			for _, file := range z.File {
				if strings.HasSuffix(file.Name, ".dist-info/METADATA") {
					r, err := file.Open()
					if err != nil {
						return nil, err
					}
					defer r.Close()
					return io.ReadAll(r)
				}
			}
			return nil, fs.ErrNotExist
		},
	}
}

// report is a Report for one target.
func report(t *testing.T, p *Client, index string, req Requirement, on lock.Platform, python string) ([]Wheel, error) {
	t.Helper()
	req.Targets = []Target{{Platform: on, Python: python}}
	closures, err := p.Report(t.Context(), indexAt(index), req)
	if err != nil {
		return nil, err
	}
	if len(closures) != 1 {
		t.Fatalf("%d closures of one target", len(closures))
	}
	return closures[0].Wheels, closures[0].Err
}

// TestPipVariables: of every option that pip can be given by a variable, those count
// that say how to reach its index. Any other one changes nothing: pip is asked all
// the same, starts no other Python and writes no log.
func TestPipVariables(t *testing.T) {
	p := realPip(t)
	home := cleanPipEnv(t)
	want, err := p.Config(t.Context(), home, "")
	if err != nil {
		t.Fatal(err)
	}
	const list = `from pip._internal.commands import create_command
print("\n".join(sorted({o.dest for c in ("install", "config") for o in create_command(c).parser.option_list_all if o.dest})))`
	out, err := p.command("pip's options", "", fault.Machine, []string{"-c", list}).Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	canary := filepath.Join(home, "canary")
	trap := filepath.Join(home, "trap")
	fake.Write(t, trap, "#!/bin/sh\ntouch '"+canary+"'\nexit 3\n")
	if err := os.Chmod(trap, 0o755); err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(out))
	if len(names) < 50 {
		t.Fatalf("pip has only the options %v", names)
	}
	cut := 0
	for _, name := range names {
		key := "PIP_" + strings.ToUpper(name)
		if slices.Contains(counting, key) {
			continue
		}
		cut++
		value := canary // no number, no switch, no list of formats
		if name == "python" {
			value = trap
		}
		t.Setenv(key, value)
	}
	got, err := p.Config(t.Context(), home, "")
	if err != nil || got.Index != want.Index {
		t.Errorf("%+v, %v, expected %+v", got, err, want)
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("a variable ran something, or had it written")
	}
	t.Logf("%d of pip's %d options do not count", cut, len(names))
	// One that counts does, however it is written.
	t.Setenv("PIP_Index_Url", "https://env.example.com/simple")
	if got, err = p.Config(t.Context(), home, ""); err != nil || got.Index != "https://env.example.com/simple" {
		t.Errorf("%+v, %v", got, err)
	}
}
