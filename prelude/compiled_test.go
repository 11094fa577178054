package prelude_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// compiledToolchains are what the Python rules of Buck2's prelude want, beside
// all plugins of our lock and a toolchain that is called like one of them.
const compiledToolchains = `
load("@buck2-protobuf//rules:proto.bzl", "protobuf_plugins", "protobuf_toolchain")
load("@prelude//toolchains:no_toolchain.bzl", "no_toolchain")
load("@prelude//toolchains:python.bzl", "system_python_bootstrap_toolchain", "system_python_toolchain")
load("@root//:plugins.lock.toml", lock = "value")

no_toolchain(name = "cxx", visibility = ["PUBLIC"])
system_python_bootstrap_toolchain(name = "python_bootstrap", visibility = ["PUBLIC"])
system_python_toolchain(name = "python", visibility = ["PUBLIC"])
protobuf_toolchain(name = "protobuf", plugins = protobuf_plugins(lock = lock), visibility = ["PUBLIC"])
no_toolchain(name = "go", visibility = ["PUBLIC"])
`

// With a runtime, a library is one of Buck2's own prelude: programs of its
// rules have it in their deps, over two libraries of which one imports the other.
func TestCompiled(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: needs runtimes from their registries")
	}
	for _, tool := range []string{"go", "python3"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s on PATH", tool)
		}
	}
	p := scratch(t, "", map[string]string{
		"toolchains/BUCK": compiledToolchains,
		"api/a.proto":     "syntax = \"proto3\";\npackage api;\nimport \"google/protobuf/timestamp.proto\";\noption go_package = \"example.com/a\";\nmessage A { string name = 1; google.protobuf.Timestamp at = 2; }\n",
		"api/b.proto":     "syntax = \"proto3\";\npackage api;\nimport \"api/a.proto\";\noption go_package = \"example.com/b\";\nmessage B { A a = 1; }\n",
		"api/main.py":     "from api import a_pb2, b_pb2\n\nb = b_pb2.B(a = a_pb2.A(name = \"x\"))\nassert b_pb2.B.FromString(b.SerializeToString()) == b\nprint(\"python: ok\")\n",
		"api/BUCK": `
load("@buck2-protobuf//rules:python.bzl", "python_proto_library")

python_proto_library(name = "a_py", srcs = ["a.proto"], runtime = ["//python:protobuf"])
python_proto_library(name = "b_py", srcs = ["b.proto"], deps = [":a_py"], runtime = ["//python:protobuf"])
python_binary(name = "main_py", main = "main.py", deps = [":a_py", ":b_py"])
`,
		"python/BUCK": "prebuilt_python_library(name = \"protobuf\", binary_src = glob([\"*.whl\"])[0], visibility = [\"PUBLIC\"])\n",
	})
	t.Run("python", func(t *testing.T) {
		p := p.On(t)
		command(t, filepath.Join(p.Dir, "python"), "python3", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "protobuf==6.30.2")
		if got, want := p.Must("run", "//api:main_py"), "python: ok\n"; got != want {
			t.Errorf("program printed %q, want %q", got, want)
		}
		if got, want := tree(t, p.Build("//api:b_py[code]")[0]), []string{"api/b_pb2.py"}; !slices.Equal(got, want) {
			t.Errorf("[code] holds %q, want %q", got, want)
		}
	})
}

// command runs a program and returns what it printed; a failure ends the test.
func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, &stderr)
	}
	return string(out)
}
