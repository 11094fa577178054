package prelude_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// stubsMain is a plugin of Python: it says what it sees of the world.
const stubsMain = `import os, sys
from stubs_native import text

def run():
    request = sys.stdin.buffer.read()
    names = [os.path.basename(p) for p in sys.path]
    assert not [n for n in names if n in ("site-packages", "dist-packages")], names
    assert b"\r\n" in request and sys.argv == ["protoc-gen-stubs"], sys.argv
    body = ("// " + text + " " + os.path.basename(os.environ["PATH"].split(os.pathsep)[0])).encode()
    file = b"\x0a\x08stubs.ts\x7a" + bytes([len(body)]) + body
    sys.stdout.buffer.write(b"\x7a" + bytes([len(file)]) + file)
`

// pythonPlugin publishes wheels, those of native for one interpreter each, and
// returns the lock's tables of the plugin that they make.
func pythonPlugin(t *testing.T, s *fake.Server, name string, interpreters []string, common fake.Wheel, native map[string]fake.Wheel) string {
	t.Helper()
	v := &lock.Version{
		Source: lock.Pip, Package: name, Trust: "registry", Python: interpreters, Program: "protoc-gen-stubs", Start: lock.Start{Entry: "stubs.main:run"},
		Files: map[string]lock.File{}, Platforms: map[string]lock.Cell{},
	}
	var files []archive.File
	add := func(w fake.Wheel, f lock.File) {
		a := s.Wheel(w)
		f.SHA256, f.Size = a.SHA256, int64(len(w.Bytes()))
		v.Files[w.Filename()] = f
		file := filepath.Join(t.TempDir(), w.Filename())
		if err := os.WriteFile(file, w.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		in, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		for _, root := range f.Roots() {
			part, err := archive.Unpack(t.Context(), in, "", archive.Options{Format: "zip", Prefix: root})
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, part...)
		}
	}
	add(common, lock.File{})
	for python, w := range native {
		add(w, lock.File{Python: []string{python}})
	}
	tree, err := archive.TreeHash(files)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range lock.Platforms {
		v.Platforms[p.Name] = lock.Cell{Binary: "stubs/main.py", Tree: tree}
	}
	text := string(lock.Print(&lock.Lock{Schema: lock.Schema, Plugins: map[string]map[string]*lock.Version{name: {"1.0.0": v}}}))
	_, tables, _ := strings.Cut(text, "\n\n")
	return "\n" + tables
}

// TestPythonPlugins: one tree serves every interpreter, and the machine's own
// Python runs it, seeing nothing else of the machine.
func TestPythonPlugins(t *testing.T) {
	python := testenv.Program(t, "python3")
	out, err := exec.Command(python, "-I", "-c", `import sys; print("%d.%d" % sys.version_info[:2])`).Output()
	if err != nil {
		t.Fatal(err)
	}
	version := strings.TrimSpace(string(out))
	s := fake.New(t)
	common := fake.Wheel{Name: "stubs", Version: "1.0", Files: map[string]string{"stubs/main.py": stubsMain, "stubs/__init__.py": "", "stubs-1.0.data/scripts/tool": "x"}}
	native := func(version string) fake.Wheel {
		cp := "cp" + strings.ReplaceAll(version, ".", "")
		return fake.Wheel{Name: "stubs-native", Version: "1.0", Tag: cp + "-" + cp + "-any", Files: map[string]string{"stubs_native.py": fmt.Sprintf("text = %q\n", version)}}
	}
	more := pythonPlugin(t, s, "stubs", []string{version, "3.98"}, common, map[string]fake.Wheel{version: native(version), "3.98": native("3.98")}) +
		pythonPlugin(t, s, "young", []string{"3.98"}, common, nil)
	// A Python of the lock, here a script that leaves a mark.
	mark := filepath.Join(t.TempDir(), "mark")
	locked := []byte("#!/bin/sh\ntouch '" + mark + "'\nexec '" + python + "' \"$@\"\n")
	s.File("/locked-python", locked)
	more += "\n" + httpPlugin("python", version+".1", s.URL+"/locked-python", locked, "") +
		strings.Replace(pythonPlugin(t, s, "brings", []string{version, "3.98"}, common, map[string]fake.Wheel{version: native(version), "3.98": native("3.98")}), `source = "pip"`, "runtime = \"python@"+version+".1\"\nsource = \"pip\"", 1)
	p := scratch(t, more, map[string]string{
		"toolchains/BUCK": `
load("@buck2-protobuf//rules:proto.bzl", "protobuf_plugins", "protobuf_toolchain")
load("@root//:plugins.lock.toml", lock = "value")

protobuf_toolchain(
    name = "protobuf",
    plugins = protobuf_plugins(lock = lock, registries = {"pip": "` + s.URL + `/simple/"}),
    defaults = {"typescript": "stubs"},
    visibility = ["PUBLIC"],
)
`,
		"api/a.proto": "syntax = \"proto3\";\npackage scratch;\n// A line.\r\nmessage M {}\n",
		"api/BUCK": `
load("@buck2-protobuf//rules:typescript.bzl", "typescript_proto_library")

typescript_proto_library(name = "stubs", srcs = ["a.proto"])
typescript_proto_library(name = "young", srcs = ["a.proto"], plugin = "young")
typescript_proto_library(name = "brings", srcs = ["a.proto"], plugin = "brings")
`,
	})
	t.Setenv("PYTHONPATH", t.TempDir())
	t.Run("runs", func(t *testing.T) {
		expectFile(t, filepath.Join(p.On(t).Build("//api:stubs")[0], "stubs.ts"), "// "+version+" scripts")
	})
	t.Run("another interpreter", func(t *testing.T) {
		expect(t, p.On(t).Fails("build", "//api:young"), "it is locked for CPython 3.98, and", "[buck2_protobuf] python = COMMAND in .buckconfig")
	})
	t.Run("the Python of the lock", func(t *testing.T) {
		p := p.On(t)
		expectFile(t, filepath.Join(p.Build("//api:brings", "-c", "buck2_protobuf.python=no-such-python")[0], "stubs.ts"), "// "+version+" scripts")
		if _, err := os.Stat(mark); err != nil {
			t.Errorf("it did not run: %v", err)
		}
	})
	t.Run("the command of the buckconfig", func(t *testing.T) {
		p := p.On(t)
		marker, wrapper := filepath.Join(t.TempDir(), "marker"), filepath.Join(t.TempDir(), "python")
		bucktest.Write(t, filepath.Dir(wrapper), map[string]string{"python": "#!/bin/sh\ntouch '" + marker + "'\nexec '" + python + "' \"$@\"\n"})
		if err := os.Chmod(wrapper, 0o755); err != nil {
			t.Fatal(err)
		}
		p.Must("build", "-c", "buck2_protobuf.python="+wrapper, "//api:stubs")
		if _, err := os.Stat(marker); err != nil {
			t.Errorf("it did not run: %v", err)
		}
		// Whatever else there is stays as it is.
		for line := range strings.Lines(p.Must("log", "what-ran")) {
			if !strings.Contains(line, "(protoc_generate ") {
				t.Errorf("another Python ran %s", line)
			}
		}
	})
}
