package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// machinePython returns a Python of this machine and its version.
func machinePython(t *testing.T) (path, version string) {
	t.Helper()
	path = testenv.Program(t, "python3")
	out, err := exec.Command(path, "-I", "-S", "-c", `import sys; print(sys.executable); print("%d.%d" % sys.version_info[:2])`).Output()
	if err != nil {
		t.Skipf("python3 does not run: %v", err)
	}
	words := strings.Fields(string(out))
	return words[0], words[1]
}

const pythonTool = `import os, sys

def main():
    import google.lib, google.native, inside
    print(os.path.basename(sys.argv[0]), sys.argv[1:], google.lib.TEXT, google.native.TEXT, inside.TEXT, sys.flags.utf8_mode)
    try:
        import outside
        print("sees the machine")
    except ImportError:
        pass
    os.system("greet")
    sys.stdout.flush()
    sys.stdout.buffer.write(sys.stdin.buffer.read())
    return 3

class Group:
    run = main
`

// protocTool behaves like the main function of a protoc with --text_out.
const protocTool = `import sys

def main(args):
    assert args[0] == "protoc" and args[1].startswith("--descriptor_set_in="), args
    with open(args[1].split("=", 1)[1], "rb") as f:
        size = len(f.read())
    option, names = args[2], args[3:]
    assert option.startswith("--text_out="), option
    parameter, _, out = option[len("--text_out="):].rpartition(":")
    if parameter == "fail":
        sys.stderr.write("no such parameter\n")
        return 1
    import os
    for name in names:
        os.makedirs(os.path.join(out, os.path.dirname(name)), exist_ok=True)
        with open(os.path.join(out, name + ".txt"), "w", newline="") as f:
            f.write("%s %d\r\n\u00e9" % (parameter, size))
    return 0
`

// python locks a plugin of Python: a wheel for all interpreters, and one for
// each that differs.
func (w *world) python(name, entry, generator string, interpreters ...string) {
	w.Helper()
	files := map[string]fake.Artifact{}
	say := map[string]lock.File{}
	tool := fake.Wheel{Name: "py-tool", Version: "1.0", Exec: []string{"py_tool-1.0.data/scripts/greet"}, Files: map[string]string{
		"tool/__init__.py": "", "tool/main.py": pythonTool, "tool/protoc.py": protocTool, "tool/__main__.py": "import sys\nprint('as a module', sys.argv)\n",
		"google/lib.py": "TEXT = 'lib'\n", "evil.pth": "import os; os._exit(9)\n",
		"py_tool-1.0.data/scripts/greet": "#!/bin/sh\necho hello\n", "py_tool-1.0.data/purelib/inside.py": "TEXT = 'inside'\n",
	}}
	a := w.registry.Wheel(tool)
	files[a.Name] = a
	for _, python := range interpreters {
		cp := "cp" + strings.ReplaceAll(python, ".", "")
		a := w.registry.Wheel(fake.Wheel{Name: "py-native", Version: "1.0", Tag: cp + "-" + cp + "-any", Files: map[string]string{"google/native.py": fmt.Sprintf("TEXT = %q\n", python)}})
		files[a.Name] = a
		if len(interpreters) > 1 {
			say[a.Name] = lock.File{Python: []string{python}}
		}
	}
	w.add(name, "1.0", lock.Version{
		Source: lock.Pip, Package: "py-tool", Python: interpreters, Program: "protoc-gen-" + name, Start: lock.Start{Entry: entry, Generator: generator},
	}, "tool/main.py", files, say)
	w.write()
}

// TestWheelScript: a program among the scripts of a wheel is executable, also where the
// wheel does not say so: that is left to who installs it.
func TestWheelScript(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const binary = "acme-1.0.data/scripts/protoc-gen-acme"
	a := w.registry.Wheel(fake.Wheel{Name: "acme", Version: "1.0", Files: map[string]string{binary: "#!/bin/sh\necho hello\n"}})
	w.add("acme", "1.0", lock.Version{Source: lock.Pip, Package: "acme"}, binary, map[string]fake.Artifact{a.Name: a}, nil)
	w.write()
	for range 2 { // from what was downloaded, and from the cache
		if out, err := exec.Command(w.must("get", "acme")).Output(); string(out) != "hello\n" {
			t.Errorf("says %q, %v", out, err)
		}
	}
}

// TestPython: a plugin that Python runs sees its own tree and nothing of the
// machine but the standard library, and is a program like any other.
func TestPython(t *testing.T) {
	python, version := machinePython(t)
	w := newWorld(t)
	w.python("both", "tool.main:main", "", version, "3.98")
	w.python("group", "tool.main:Group.run", "", version)
	w.python("module", "tool", "", version)
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "outside.py"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PYTHONPATH", outside)
	path := w.must("get", "both")
	if filepath.Base(path) != "protoc-gen-both" {
		t.Errorf("path %s", path)
	}
	t.Chdir(t.TempDir())
	cmd := exec.Command(path, "a b", "$c")
	cmd.Stdin = strings.NewReader("\x00\r\n\xff")
	out, err := cmd.Output()
	if cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("ends with %v", err)
	}
	want := "protoc-gen-both ['a b', '$c'] lib " + version + " inside 1\n"
	// What a child writes comes first, for ours is buffered.
	if got := strings.Replace(string(out), "hello\n", "", 1); got != want+"\x00\r\n\xff" || !strings.Contains(string(out), "hello\n") {
		t.Errorf("says %q, want %q", out, want)
	}
	for _, name := range []string{"group", "module"} {
		cmd := exec.Command(w.must("get", name), "x")
		out, err := cmd.CombinedOutput()
		if name == "module" && (err != nil || string(out) != "as a module ['"+filepath.Join(treeOf(w, name), "tool", "__main__.py")+"', 'x']\n") {
			t.Errorf("module: %s %v", out, err)
		}
		if name == "group" && !strings.Contains(string(out), "protoc-gen-group ['x']") {
			t.Errorf("group: %s %v", out, err)
		}
	}
	// The tree is clean after all this.
	if left, err := filepath.Glob(filepath.Join(treeOf(w, "both"), "tool", "__pycache__")); err != nil || len(left) > 0 {
		t.Errorf("left in the tree: %v %v", left, err)
	}
	// install makes the tree and no launcher.
	entry, dir := filepath.Join(t.TempDir(), "entry.json"), filepath.Join(t.TempDir(), "out")
	data, err := json.Marshal(w.lock.Entry("both", "1.0"))
	if err == nil {
		err = os.WriteFile(entry, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.must("install", "--entry", entry, "--out", dir)
	for _, name := range []string{"tool/main.py", "py" + version + "/google/native.py", "py3.98/google/native.py"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}

	// Which Python is this machine's matter.
	w.env["BUCK2_PROTOBUF_PYTHON"] = python
	if got := w.must("get", "both"); got != path {
		t.Errorf("by the same Python %s, %s", path, got)
	}
	w.env["BUCK2_PROTOBUF_PYTHON"] = "no-such-python"
	w.fails(7, []string{"both 1.0: it needs CPython " + version + ", 3.98, and none was found", "no-such-python", "BUCK2_PROTOBUF_PYTHON="}, "get", "both")
	delete(w.env, "BUCK2_PROTOBUF_PYTHON")
	w.python("young", "tool.main:main", "", "3.98")
	w.fails(7, []string{"young 1.0: it needs CPython 3.98, and none was found", "is cpython " + version, "python of plugins.toml"}, "get", "young")
	w.must("get", "both")
	t.Setenv("PATH", t.TempDir())
	w.fails(7, []string{"no python is on PATH"}, "get", "young")
	w.must("get", "both") // found before

	// The launcher, run by another Python, such as after an upgrade, says so.
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(text), "'"+version+",3.98'", "'3.97,3.98'", 1)
	if other == string(text) {
		t.Fatalf("no versions in\n%s", text)
	}
	if err := os.WriteFile(path, []byte(other), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(path)
	out, _ = cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 7 || !strings.Contains(string(out), "protoc-gen-both: error: it is locked for CPython 3.97, 3.98, and "+python+" is cpython "+version) {
		t.Errorf("status %d: %s", cmd.ProcessState.ExitCode(), out)
	}
}

// TestPythonGenerator: a protoc that is a library is a plugin of any protoc.
func TestPythonGenerator(t *testing.T) {
	_, version := machinePython(t)
	w := newWorld(t)
	w.python("text", "tool.protoc:main", "text", version)
	path := w.must("get", "text")
	file := &descriptorpb.FileDescriptorProto{Name: proto.String("a/b.proto"), Package: proto.String(strings.Repeat("x", 300))}
	request := func(parameter string, names ...string) (*pluginpb.CodeGeneratorResponse, string, error) {
		r := &pluginpb.CodeGeneratorRequest{FileToGenerate: names, ProtoFile: []*descriptorpb.FileDescriptorProto{file}, CompilerVersion: &pluginpb.Version{Major: proto.Int32(30)}}
		if parameter != "" {
			r.Parameter = &parameter
		}
		in, err := proto.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var stderr strings.Builder
		cmd := exec.Command(path)
		cmd.Stdin, cmd.Stderr = strings.NewReader(string(in)), &stderr
		out, err := cmd.Output()
		answer := &pluginpb.CodeGeneratorResponse{}
		if err := proto.Unmarshal(out, answer); err != nil {
			t.Fatalf("%v: %q", err, out)
		}
		return answer, stderr.String(), err
	}
	set, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{file}})
	if err != nil {
		t.Fatal(err)
	}
	answer, said, err := request("", "b.proto", "a/b.proto", "\u00e9.proto")
	if err != nil || len(answer.File) != 3 {
		t.Fatalf("%v %v %s", answer, err, said)
	}
	for i, name := range []string{"b.proto.txt", "\u00e9.proto.txt", "a/b.proto.txt"} {
		if f := answer.File[i]; f.GetName() != name || f.GetContent() != fmt.Sprintf(" %d\r\n\u00e9", len(set)) {
			t.Errorf("%d is %s, %q", i, f.GetName(), f.GetContent())
		}
	}
	const all = uint64(pluginpb.CodeGeneratorResponse_FEATURE_PROTO3_OPTIONAL | pluginpb.CodeGeneratorResponse_FEATURE_SUPPORTS_EDITIONS)
	if answer.GetSupportedFeatures() != all || answer.GetMinimumEdition() != int32(descriptorpb.Edition_EDITION_PROTO2) || answer.GetMaximumEdition() != int32(descriptorpb.Edition_EDITION_MAX) {
		t.Errorf("features of %v", answer)
	}
	if answer, said, err := request("a=1:b", "a/b.proto"); err != nil || !strings.HasPrefix(answer.File[0].GetContent(), "a=1:b ") {
		t.Errorf("with a parameter: %v %s %v", answer, said, err)
	}
	if answer, said, err := request("x"); err != nil || len(answer.File) != 0 {
		t.Errorf("without files: %v %s %v", answer, said, err)
	}
	if _, said, err := request("fail", "a/b.proto"); err == nil || said != "no such parameter\n" {
		t.Errorf("a failure: %q, %v", said, err)
	}
}

func treeOf(w *world, name string) string {
	w.Helper()
	return filepath.Join(w.cache, "trees", w.lock.Plugins[name]["1.0"].Platforms[host(w)].Tree)
}

// TestPythonRelease: a plugin is locked for a series of Python; a patch release
// that a wheel does not want is refused when it starts.
func TestPythonRelease(t *testing.T) {
	testenv.Real(t, "packs this machine's Python, and starts it")
	python, version := machinePython(t)
	out, err := exec.Command(python, "-I", "-S", "-c", `import sys; print("%d.%d.%d" % sys.version_info[:3])`).Output()
	if err != nil {
		t.Fatal(err)
	}
	release := strings.TrimSpace(string(out))
	w := newWorld(t)
	refused := map[string]bool{
		">=3.8, !=" + release: true, "<" + release: true, ">" + release: true, "!=" + version + ".*": true, "==" + version + ".998": true,
		">=" + version + ".998": true, "~=" + version + ".998": true, ">=4": true,
		"": false, ">=3.8": false, "!=" + version + ".998": false, "==" + version + ".*": false, "~=" + version + ".0": false, "<=" + release: false,
		">=" + release + "rc1": false, "===" + release: false, ">=3.8.*": false,
	}
	names := map[string]string{}
	for requires := range refused {
		name := fmt.Sprintf("wants%d", len(names))
		names[name] = requires
		a := w.registry.Wheel(fake.Wheel{Name: name, Version: "1.0", Python: requires, Files: map[string]string{"tool.py": "def main(): print('ran')\n"}})
		w.add(name, "1.0", lock.Version{Source: lock.Pip, Package: name, Python: []string{version}, Program: name, Start: lock.Start{Entry: "tool:main"}},
			"tool.py", map[string]fake.Artifact{a.Name: a}, nil)
	}
	w.write()
	for name, requires := range names {
		cmd := exec.Command(w.must("get", name))
		out, err := cmd.CombinedOutput()
		switch text := string(out); {
		case refused[requires]:
			if cmd.ProcessState.ExitCode() != 7 || !strings.Contains(text, "is Python "+release+", and "+name+" 1.0 says Requires-Python: "+requires) || !strings.Contains(text, "hint: ") {
				t.Errorf("%q: %v: %s", requires, err, out)
			}
		case err != nil || text != "ran\n":
			t.Errorf("%q: %v: %s", requires, err, out)
		}
	}
}

// TestLyingWheel: a lock may be poisoned. What a wheel says of itself must be
// true when it is installed as well, whoever installs it.
func TestLyingWheel(t *testing.T) {
	w := newWorld(t)
	good := fake.Wheel{Name: "gen", Version: "1.0", Files: map[string]string{"gen/bin": "#!/bin/sh\n"}, Exec: []string{"gen/bin"}}
	other := good
	other.Name = "neg"
	script := good
	script.EntryPoints = "[console_scripts]\npython3 = gen:main\n"
	for name, body := range map[string][]byte{
		"another-name": other.Bytes(), "script": script.Bytes(),
		"no-record": fake.Zip(map[string]string{"gen/bin": "#!/bin/sh\n", "gen-1.0.dist-info/METADATA": good.Metadata(), "gen-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nTag: py3-none-any\n"}, "gen/bin"),
		"honest":    good.Bytes(),
	} {
		a := w.registry.Wheel(good)
		w.add(name, "1.0", lock.Version{Source: lock.Pip, Package: "gen"}, "gen/bin", map[string]fake.Artifact{a.Name: a}, nil)
		// What the lock says of the bytes is right.
		v, file := w.lock.Plugins[name]["1.0"], filepath.Join(t.TempDir(), "wheel")
		a = w.registry.Release("gen", a.Name, body)
		if err := os.WriteFile(file, body, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		files, err := archive.Unpack(t.Context(), f, "", archive.Options{Format: "zip"})
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		tree, err := archive.TreeHash(files)
		if err != nil {
			t.Fatal(err)
		}
		v.Files[a.Name] = lock.File{SHA256: a.SHA256, Size: a.Size}
		v.Platforms[host(w)] = lock.Cell{Binary: "gen/bin", Tree: tree}
		w.write()
		for _, manager := range []string{"none", "pip"} {
			t.Setenv("BUCK2_PROTOBUF_WHEEL_MANAGER", manager)
			status, _, stderr := w.fetch("get", name)
			if want := map[bool]int{true: 0, false: 5}[name == "honest"]; status != want || want == 5 && !strings.Contains(stderr, "has wrong metadata") {
				t.Errorf("%s by %s: exit %d: %s", name, manager, status, stderr)
			}
		}
	}
}
