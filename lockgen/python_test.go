package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// python writes a manifest of interpreters, platforms and entries.
func (p *place) python(interpreters, platforms, entries string) {
	p.write("plugins.toml", "python = ["+interpreters+"]\nplatforms = ["+platforms+"]\n[registries]\npip = \""+p.server.URL+"/simple/\"\n[plugins]\n"+entries)
}

const (
	both  = `"linux-aarch64", "windows-x86_64"`
	one   = `"linux-aarch64"`
	stubs = "stubs = { version = \"1.0\", source = \"pip:stubs\", binary = \"protoc-gen-stubs\" }\n"
)

// publishStubs publishes a plugin of Python with two console scripts, which
// needs a module that is compiled for each interpreter and, before 3.12, one
// more.
func (p *place) publishStubs(interpreters ...string) {
	p.server.Wheel(fake.Wheel{
		Name: "Stubs", Version: "1.0", Requires: []string{"native>=1", `backport; python_version < "3.12"`},
		EntryPoints: "[other]\nprotoc-gen-stubs = wrong:main\n\n[console_scripts]\nprotoc-gen-stubs = stubs.main:run\nprotoc-gen-extra=stubs.extra : Main.run [colour]\nprotoc-gen-gone = stubs.gone:main\n",
		Files: map[string]string{
			"stubs/__init__.py": "", "stubs/main.py": "import sys\nimport native\n\ndef run():\n    sys.stdin.buffer.read()\n", "stubs/extra/__init__.py": "", "stubs/__main__.py": "",
		},
	})
	for _, python := range interpreters {
		for _, platform := range []string{"manylinux_2_28_aarch64", "manylinux_2_28_x86_64", "macosx_11_0_universal2", "win_amd64"} {
			p.publishNative(python, platform)
		}
	}
	p.server.Wheel(fake.Wheel{Name: "backport", Version: "1.0", Files: map[string]string{"backport.py": ""}})
}

func (p *place) publishNative(python, platform string) {
	cp := "cp" + strings.ReplaceAll(python, ".", "")
	p.server.Wheel(fake.Wheel{Name: "native", Version: "1.0", Tag: cp + "-" + cp + "-" + platform, Files: map[string]string{"native.py": "# " + python}})
}

// TestPython locks plugins that Python runs: every interpreter of the manifest
// finds its wheels in one tree.
func TestPython(t *testing.T) {
	t.Parallel()
	needPip(t)
	p := newPlace(t)
	p.publishStubs("3.11", "3.12", "3.13")
	p.python(`"3.12", "3.11"`, both, stubs)
	p.ok("update")
	p.ok("check")
	v := p.locked().Plugins["stubs"]["1.0"]
	if !slices.Equal(v.Python, []string{"3.11", "3.12"}) || v.Program != "protoc-gen-stubs" || v.Entry != "stubs.main:run" || v.Generator != "" || v.Package != "stubs" {
		t.Errorf("locked %+v", v)
	}
	got := map[string]string{}
	for key, f := range v.Files {
		got[key] = strings.Join(f.Python, " ") + " " + strings.Join(f.Platforms, " ")
	}
	want := map[string]string{
		"stubs-1.0-py3-none-any.whl":                        " ",
		"backport-1.0-py3-none-any.whl":                     "3.11 ",
		"native-1.0-cp311-cp311-manylinux_2_28_aarch64.whl": "3.11 linux-aarch64",
		"native-1.0-cp311-cp311-win_amd64.whl":              "3.11 windows-x86_64",
		"native-1.0-cp312-cp312-manylinux_2_28_aarch64.whl": "3.12 linux-aarch64",
		"native-1.0-cp312-cp312-win_amd64.whl":              "3.12 windows-x86_64",
	}
	if !maps.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
	if c := v.Platforms[arm]; c.Binary != "stubs/main.py" || c.Tree == v.Platforms[win].Tree || v.Platforms["windows-aarch64"].Emulate != win {
		t.Errorf("cells %+v", v.Platforms)
	}
	out, _ := p.ok("explain", "stubs")
	for _, want := range []string{"runs on: CPython 3.11, 3.12 from the machine, as protoc-gen-stubs (stubs.main:run)", "win_amd64.whl (", " for Python 3.12 for windows-x86_64"} {
		if !strings.Contains(out, want) {
			t.Errorf("explain does not say %q:\n%s", want, out)
		}
	}
	first := p.read("plugins.lock.toml")
	p.server.Forget()
	p.ok("update")
	if n := p.server.Count(""); n > 0 || p.read("plugins.lock.toml") != first {
		t.Errorf("%d requests for nothing", n)
	}
	p.ok("update", "stubs")
	if p.read("plugins.lock.toml") != first {
		t.Error("locking again gives other bytes")
	}
	// Another interpreter is another lock.
	p.python(`"3.11", "3.12", "3.13"`, both, stubs)
	p.fails(fault.Lock, []string{"stubs 1.0: python is 3.11 3.12 in the lock, but 3.11 3.12 3.13 in plugins.toml"}, "check")
	p.ok("update")
	v = p.locked().Plugins["stubs"]["1.0"]
	if f := v.Files["native-1.0-cp313-cp313-win_amd64.whl"]; !slices.Equal(v.Python, []string{"3.11", "3.12", "3.13"}) || !slices.Equal(f.Python, []string{"3.13"}) {
		t.Errorf("locked %+v", v)
	}
	// One alone needs no folders.
	p.python(`"3.13"`, one, stubs)
	p.ok("update")
	for key, f := range p.locked().Plugins["stubs"]["1.0"].Files {
		if len(f.Python) > 0 {
			t.Errorf("%s is for %v", key, f.Python)
		}
	}
	// diff says it in words.
	p.write("old.toml", first)
	if out, _ := p.ok("diff", p.path("old.toml")); !strings.Contains(out, "python 3.11 3.12 -> 3.13") {
		t.Errorf("diff says\n%s", out)
	}
}

// TestPythonWays: the ways to start a plugin, of the same wheels.
func TestPythonWays(t *testing.T) {
	t.Parallel()
	needPip(t)
	p := newPlace(t)
	p.publishStubs("3.13")
	ways := map[string]struct{ lines, entry, binary string }{
		"protoc-gen-extra": {`binary = "protoc-gen-extra"`, "stubs.extra:Main.run", "stubs/extra/__init__.py"},
		"protoc-gen-m":     {`binary = "protoc-gen-m", entry = "stubs"`, "stubs", "stubs/__main__.py"},
		"protoc-gen-lib":   {`binary = "protoc-gen-lib", entry = "stubs.main:run", generator = "lib"`, "stubs.main:run", "stubs/main.py"},
	}
	entries := stubs
	for name, want := range ways {
		entries += name + " = { version = \"1.0\", source = \"pip:stubs\", " + want.lines + " }\n"
	}
	p.python(`"3.13"`, one, entries)
	p.server.Forget()
	p.ok("update")
	if n := p.server.Count("/simple/stubs/"); n != 1 {
		t.Errorf("three plugins of one package ask for it %d times", n)
	}
	for name, want := range ways {
		v := p.locked().Plugins[name]["1.0"]
		if v.Program != name || v.Entry != want.entry || v.Platforms[arm].Binary != want.binary || (v.Generator == "lib") != (name == "protoc-gen-lib") {
			t.Errorf("%s: locked %+v", name, v)
		}
	}
	p.python(`"3.13"`, one, strings.Replace(stubs, "protoc-gen-stubs", "protoc-gen-extra", 1))
	p.fails(fault.Lock, []string{"program is protoc-gen-stubs in the lock, but protoc-gen-extra in plugins.toml"}, "check")
}

// TestPythonRefused: what cannot run with every interpreter is not locked.
func TestPythonRefused(t *testing.T) {
	t.Parallel()
	needPip(t)
	for row, tt := range []struct {
		name         string
		interpreters string
		entries      string
		publish      func(p *place)
		class        fault.Class
		says         []string
	}{
		{"no such script", `"3.12"`, strings.Replace(stubs, "protoc-gen-stubs", "protoc-gen-stub", 1), nil,
			fault.Usage, []string{`pip package stubs 1.0 has no console script "protoc-gen-stub"`, "protoc-gen-extra, protoc-gen-gone, protoc-gen-stubs"}},
		{"a library", `"3.12"`, "lib = { version = \"1.0\", source = \"pip:backport\", binary = \"protoc-gen-lib\" }\n", nil,
			fault.Usage, []string{`has no console script "protoc-gen-lib"; it has nothing`, "is it a library?"}},
		{"the module is not there", `"3.12"`, strings.Replace(stubs, "protoc-gen-stubs", "protoc-gen-gone", 1), nil,
			fault.Integrity, []string{"there is no stubs/gone.py in it for Python 3.12", "stubs.gone:main"}},
		{"a script of a shell", `"3.12"`, stubs, func(p *place) {
			p.server.Wheel(fake.Wheel{Name: "stubs", Version: "1.0", EntryPoints: "[console_scripts]\nprotoc-gen-stubs = stubs:$(rm)\n", Files: map[string]string{"stubs.py": ""}})
		}, fault.Integrity, []string{`console script protoc-gen-stubs of stubs-1.0-py3-none-any.whl is "stubs:$(rm)"`}},
		{"one interpreter without a wheel", `"3.11", "3.12", "3.13"`, stubs, func(p *place) {
			p.server.Unrelease("native", "native-1.0-cp312-cp312-win_amd64.whl")
		}, fault.Usage, []string{"stubs 1.0 for windows-x86_64: no wheel of stubs==1.0 for windows-x86_64 and Python 3.12", "remove 3.12 from python"}},
		{"Requires-Python", `"3.11", "3.12"`, stubs, func(p *place) {
			p.server.Wheel(fake.Wheel{Name: "backport", Version: "1.0", Python: ">=3.13", Files: map[string]string{"backport.py": ""}})
		}, fault.Usage, []string{"for linux-aarch64 and Python 3.11: backport 1.0 requires Python >=3.13", `write python = ["3.13"] at the top of plugins.toml`}},
		{"other interpreters on another platform", `"3.11", "3.12"`, stubs, func(p *place) {
			p.server.Unrelease("native", "native-1.0-cp312-cp312-win_amd64.whl")
			p.server.Unrelease("native", "native-1.0-cp312-cp312-manylinux_2_28_aarch64.whl")
			p.server.Unrelease("native", "native-1.0-cp311-cp311-win_amd64.whl")
			p.server.Wheel(fake.Wheel{Name: "native", Version: "1.0", Files: map[string]string{"native.py": ""}})
		}, fault.Usage, []string{"native-1.0-py3-none-any.whl is taken for Python 3.12 on linux-aarch64, and for 3.11 and 3.12 on windows-x86_64", `python = ["3.12"]`}},
		{"a native executable that differs", `"3.11", "3.12"`, strings.Replace(stubs, "protoc-gen-stubs", "bin/stubs", 1), nil,
			fault.Usage, []string{"other wheels for Python 3.11 than for others", "give one interpreter"}},
		{"with a runtime", `"3.12"`, strings.Replace(stubs, " }", ", runtime = \"node\" }", 1) + "node = \"24.19.0\"\n", nil,
			fault.Usage, []string{"plugin stubs: is run by Python, so its runtime must not be node"}},
		{"an entry of another source", `"3.12"`, "x = { version = \"1.0.0\", source = \"cargo:x\", binary = \"x\", entry = \"a:b\" }\n", nil,
			fault.Usage, []string{"entry and generator are only for plugins of source pip"}},
		{"a generator without a function", `"3.12"`, strings.Replace(stubs, " }", ", entry = \"stubs\", generator = \"x\" }", 1), nil,
			fault.Usage, []string{`its entry "stubs" is not a function`}},
		{"an entry that is none", `"3.12"`, strings.Replace(stubs, " }", ", entry = \"import os\" }", 1), nil,
			fault.Usage, []string{`entry "import os" is not of the form MODULE:FUNCTION`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testenv.Sample(t, row, 3)
			t.Parallel()
			p := newPlace(t)
			p.publishStubs("3.11", "3.12", "3.13")
			if tt.publish != nil {
				tt.publish(p)
			}
			platforms := one
			if strings.Contains(tt.interpreters, ",") {
				platforms = both
			}
			p.python(tt.interpreters, platforms, tt.entries)
			text := p.fails(tt.class, append(tt.says, "plugins.toml:"), "update")
			if p.read("plugins.lock.toml") != "" {
				t.Errorf("a lock was written:\n%s", text)
			}
		})
	}
	t.Run("one interpreter without a wheel, optional", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.publishStubs("3.11", "3.12")
		p.server.Unrelease("native", "native-1.0-cp312-cp312-win_amd64.whl")
		p.python(`"3.11", "3.12"`, both, strings.Replace(stubs, " }", ", optional = true }", 1))
		p.ok("update")
		v := p.locked().Plugins["stubs"]["1.0"]
		if c := v.Platforms[win]; c.Unavailable != "stubs 1.0 has no wheel for it and Python 3.12" || !v.Platforms[arm].Locked() {
			t.Errorf("locked %+v", v.Platforms)
		}
	})
}

// TestPythonSmoke: where a listed interpreter is on PATH, the plugin is tried.
func TestPythonSmoke(t *testing.T) {
	t.Parallel()
	needPip(t)
	host := fake.Host(t)
	here := ""
	for _, python := range []string{"3.10", "3.11", "3.12", "3.13", "3.14"} {
		if _, err := pip.FindPython(t.Context(), "", []string{python}); err == nil {
			here = python
		}
	}
	if here == "" {
		t.Skip("no Python to try with")
	}
	p := newPlace(t)
	p.publishStubs(here, "3.98")
	p.python(`"`+here+`"`, `"`+host.Name+`"`, stubs)
	if _, talk := p.ok("update", "-v"); !strings.Contains(talk, "testing stubs 1.0") {
		t.Error(talk)
	}
	p.python(`"3.98"`, `"`+host.Name+`"`, stubs)
	if _, talk := p.ok("update"); !strings.Contains(talk, "stubs 1.0 was not tried: stubs 1.0: it needs CPython 3.98, and none was found") {
		t.Error(talk)
	}
	// One that does not run is not locked.
	p.remove("plugins.lock.toml")
	p.server.Wheel(fake.Wheel{Name: "stubs", Version: "2.0", EntryPoints: "[console_scripts]\nprotoc-gen-stubs = stubs:run\n", Files: map[string]string{"stubs.py": "import missing\n"}, Extras: []string{"compiler", "dev"}})
	p.python(`"`+here+`"`, `"`+host.Name+`"`, strings.Replace(stubs, "1.0", "2.0", 1))
	p.fails(fault.Integrity, []string{"stubs 2.0", "smoke run", "No module named 'missing'", "extras compiler, dev", "pip:stubs[compiler]"}, "update")
}

// TestLockedPython: a python in plugins.toml runs the plugins of Python, which are
// locked for that one, and are tried by it.
func TestLockedPython(t *testing.T) {
	t.Parallel()
	needPip(t)
	host, ok := lock.Host()
	if !ok || host.OS == "windows" {
		t.Skip("the Python of this test is a script of sh")
	}
	machine, err := pip.FindPython(t.Context(), "", []string{"3.9", "3.10", "3.11", "3.12", "3.13", "3.14"})
	if err != nil {
		t.Skip("no Python to try with")
	}
	out, err := exec.Command(machine, "-c", `import sys; print("%d.%d" % sys.version_info[:2])`).Output()
	if err != nil {
		t.Fatal(err)
	}
	here := strings.TrimSpace(string(out))
	p := newPlace(t)
	// Laid out as python-build-standalone does.
	p.server.File("/cpython-"+here+".1+20260101-"+host.Name+".tar.gz", fake.Tarball("", map[string]string{
		"python/bin/python" + here: "#!/bin/sh\nLOCKED_PYTHON=1 exec '" + machine + "' \"$@\"\n", "python/lib/python" + here + "/os.py": "",
	}, "python/bin/python"+here))
	p.publishStubs(here)
	p.server.Wheel(fake.Wheel{Name: "stubs", Version: "2.0", EntryPoints: "[console_scripts]\nprotoc-gen-stubs = stubs:run\n", Files: map[string]string{
		"stubs.py": "import os, sys\n\ndef run():\n    assert os.environ['LOCKED_PYTHON'] == '1'\n    sys.stdin.buffer.read()\n",
	}})
	write := func(interpreters, version string) {
		p.write("plugins.toml", interpreters+"platforms = [\""+host.Name+"\"]\n[registries]\npip = \""+p.server.URL+"/simple/\"\n[plugins]\n"+
			strings.Replace(stubs, "1.0", "2.0", 1)+
			"[plugins.python]\nversion = \""+version+"\"\nsource = \""+p.server.URL+"/cpython-{version}-{os}-{arch}.tar.gz\"\nbinary = \"python/bin/python"+here+"\"\n")
	}
	write("", here+".1+20260101")
	_, talk := p.ok("update", "-v")
	if !strings.Contains(talk, "testing stubs 2.0") {
		t.Error(talk)
	}
	v := p.locked().Plugins["stubs"]["2.0"]
	if v.Runtime != "python@"+here+".1+20260101" || !slices.Equal(v.Python, []string{here}) {
		t.Errorf("locked %+v", v)
	}
	p.ok("check")
	if out, _ := p.ok("explain", "stubs"); !strings.Contains(out, "runs on: python@"+here+".1+20260101, as protoc-gen-stubs (stubs:run)") || strings.Contains(out, "of the machine") {
		t.Error(out)
	}
	if out, _ := p.ok("tree", "stubs"); !strings.Contains(out, "python "+here+".1+20260101") || strings.Contains(out, "CPython") {
		t.Error(out)
	}
	first := p.read("plugins.lock.toml")
	p.ok("update", "--all")
	if p.read("plugins.lock.toml") != first {
		t.Error("locking again gives other bytes")
	}
	// Wheels for another Python are of no use to it.
	write("python = [\"3.98\"]\n", here+".1+20260101")
	p.fails(fault.Usage, []string{"plugin stubs: runs on python " + here + ".1+20260101, and wheels are locked for Python 3.98", "add \"" + here + "\" to python of "}, "update")
	write("", "^3")
	p.fails(fault.Usage, []string{"plugin python: plugins of Python run on it", "write an exact version"}, "update")
	// Without it, that of the machine runs it again.
	p.python("\""+here+"\"", "\""+host.Name+"\"", stubs)
	p.ok("update")
	if v := p.locked().Plugins["stubs"]["1.0"]; v.Runtime != "" {
		t.Errorf("locked %+v", v)
	}
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), "protoc-gen-stubs\"", "protoc-gen-stubs\", runtime = \"python\"", 1))
	p.fails(fault.Usage, []string{"plugin stubs: runs on python, which is not in [plugins]", "write [plugins.python]"}, "update")
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), "runtime = \"python\"", "runtime = \"node\"", 1))
	p.fails(fault.Usage, []string{"is run by Python, so its runtime must not be node", "remove runtime"}, "update")
}

// TestPythonReal locks mypy-protobuf from the index that pip of this machine
// uses, and tries it by the locked protoc with a Python of this machine.
func TestPythonReal(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "asks a real index")
	needPip(t)
	host := fake.Host(t)
	if _, err := pip.FindPython(t.Context(), "", lock.DefaultPython); err != nil {
		t.Skipf("no Python to try with: %v", err)
	}
	user, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no cache folder: %v", err)
	}
	p := own(t)
	p.cache = filepath.Join(user, "buck2-protobuf-test")
	p.write("plugins.toml", "platforms = [\""+host.Name+"\"]\n[plugins]\nprotoc = \"36.2\"\n")
	p.ok("update", "--offline") // protoc is that of this repository's lock
	status, _, talk := p.run("-v", "add", "mypy-protobuf@5.1.0", "protoc-gen-mypy_grpc@5.1.0")
	if status == int(fault.Upstream) {
		t.Skipf("the real index cannot be reached: %s", talk)
	}
	if status != 0 {
		t.Fatalf("status %d\n%s", status, talk)
	}
	for name, entry := range map[string]string{"mypy-protobuf": "mypy_protobuf.main:main", "protoc-gen-mypy_grpc": "mypy_protobuf.main:grpc"} {
		v := p.locked().Plugins[name]["5.1.0"]
		if v == nil || v.Entry != entry || !slices.Equal(v.Python, lock.DefaultPython) || v.Platforms[host.Name].Binary != "mypy_protobuf/main.py" || len(v.Files) < 3 {
			t.Errorf("locked %+v", v)
		}
		if !strings.Contains(talk, "testing "+name+" 5.1.0") {
			t.Errorf("%s was not tried:\n%s", name, talk)
		}
	}
}
