package prelude_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestRuntimes: a service in Python runs from plugins.toml and one BUCK file, on
// libraries that lockgen chose and Buck2 has by fetch.
func TestRuntimes(t *testing.T) {
	bucktest.Need(t)
	testenv.Real(t, "needs protoc, grpcio and protobuf from their registries")
	needs(t, "go", "g++", "python3")
	host, ok := lock.Host()
	if !ok {
		t.Skip("the lock has no name for this machine")
	}
	python := strings.TrimSpace(command(t, "", "python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"))
	interpreters := []string{python}
	if !slices.Contains(lock.DefaultPython, python) {
		t.Skipf("python3 is %s", python)
	}
	for _, other := range lock.DefaultPython { // so that wheels are merged
		if other != python && len(interpreters) == 1 {
			interpreters = append(interpreters, other)
		}
	}
	version := ownVersions(t, "protoc", "grpcio-tools")
	protoc, tools := version["protoc"], version["grpcio-tools"]
	tables := lockedTables(t, "\n[runtimes.", map[string]string{"plugins.toml": fmt.Sprintf("platforms = [%q]\npython = %s\n\n[plugins]\nprotoc = %q\ngrpcio-tools = %q\n\n[runtimes]\npython = [\"protobuf\", \"grpcio==%s\"]\n",
		host.Name, lock.PrintList(interpreters), protoc, tools, tools)})
	p := scratch(t, tables, map[string]string{
		".buckconfig":               scratchConfig + "[buck2_protobuf]\nruntimes = python\n",
		"toolchains/BUCK":           compiledToolchains,
		"toolchains/java.bzl":       jdkToolchain,
		"toolchains/jar_builder.sh": jarBuilder,
		"api/greet.proto":           greetProto,
		"api/a.proto":               scratchProto,
		"api/BUCK": `
load("@buck2-protobuf//rules:python.bzl", "python_proto_library")

python_proto_library(name = "a_py", srcs = ["a.proto"])
python_proto_library(name = "greet_py", srcs = ["greet.proto"], grpc = True)
python_proto_library(name = "own_py", srcs = ["a.proto"], runtime = [])
python_binary(name = "main", main = "main.py", deps = [":a_py", ":greet_py"])
python_binary(name = "messages", main = "messages.py", deps = [":a_py"])
python_binary(name = "both", main = "messages.py", deps = [":a_py", "//own:protobuf"])
`,
		"own/BUCK":   "python_library(name = \"protobuf\", base_module = \"\", srcs = {\"google/protobuf/__init__.py\": \"own.py\"}, visibility = [\"PUBLIC\"])\n",
		"own/own.py": "\n",
		"api/main.py": `
from concurrent import futures

import grpc

from api import a_pb2, greet_pb2, greet_pb2_grpc


class Greeter(greet_pb2_grpc.GreeterServicer):
    def Greet(self, request, context):
        return greet_pb2.Name(name="Hello, " + request.name)


server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
greet_pb2_grpc.add_GreeterServicer_to_server(Greeter(), server)
port = server.add_insecure_port("127.0.0.1:0")
server.start()
with grpc.insecure_channel("127.0.0.1:%d" % port) as channel:
    print(greet_pb2_grpc.GreeterStub(channel).Greet(greet_pb2.Name(name="Python")).name, a_pb2.M(at={"seconds": 7}).at.seconds)
server.stop(None)
`,
		"api/messages.py": `
import importlib.util

from api import a_pb2

print(a_pb2.M.DESCRIPTOR.full_name, importlib.util.find_spec("grpc"))
`,
	})
	if got, want := p.Must("run", "//api:main"), "Hello, Python 7\n"; got != want {
		t.Errorf("program printed %q, want %q", got, want)
	}
	if got, want := p.Must("run", "//api:messages"), "scratch.M None\n"; got != want {
		t.Errorf("program printed %q, want %q: messages need no gRPC", got, want)
	}
	expectMisfits(t, p, "//api:messages", "root//api:a_py-gen: ", map[string]*strings.Replacer{
		" is locked for the code of protoc 29.3, and not for that of protoc " + protoc + ". Run: lockgen update": strings.NewReplacer(protocFits(protoc), `fits = ["protoc@29.3"]`),
		"needs the library protobuf, which is not locked. Run: lockgen add runtimes/python/protobuf":             strings.NewReplacer(protocFits(protoc), "", "[runtimes.python.protobuf.", "[runtimes.python.other."),
	})
	p.Build("//api:own_py[code]")
	// A library of the user's own beside the same one of the lock is told before anything
	// runs, and replaces it where toolchains/BUCK names it.
	expect(t, p.Fails("build", "//api:both"), "Duplicate entries for google/protobuf/__init__.py: own/own.py (root//own:protobuf")
	bucktest.Write(t, p.Dir, map[string]string{
		"toolchains/BUCK": strings.Replace(compiledToolchains, "protobuf_plugins(lock = lock)", `protobuf_plugins(lock = lock, runtimes = {"python": ["root//own:protobuf"]})`, 1),
	})
	p.Build("//api:both")
}

// ownVersions are the versions of plugins in our own lock.
func ownVersions(t *testing.T, names ...string) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for _, name := range names {
		versions[name] = locked(t, bucktest.Root(t), name)
	}
	return versions
}

// locked is the version of an entry in the lock of a folder.
func locked(t *testing.T, dir, entry string) string {
	t.Helper()
	l, _, err := lock.Read(filepath.Join(dir, lock.FileName))
	if err != nil {
		t.Fatal(err)
	}
	_, version, _, err := l.Find(entry)
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// ownManifest is the beginning of a plugins.toml, with plugins as in our own lock, in
// [plugins] and for this machine; and their versions.
func ownManifest(t *testing.T, plugins ...string) (manifest string, version map[string]string) {
	t.Helper()
	host, ok := lock.Host()
	if !ok {
		t.Skip("the lock has no name for this machine")
	}
	version = ownVersions(t, plugins...)
	manifest = fmt.Sprintf("platforms = [%q]\n\n[plugins]\n", host.Name)
	for _, name := range plugins {
		manifest += fmt.Sprintf("%s = %q\n", name, version[name])
	}
	return manifest, version
}

// ownLock is the text of our own lock.
func ownLock(t *testing.T) string {
	t.Helper()
	own, err := os.ReadFile(filepath.Join(bucktest.Root(t), lock.FileName))
	if err != nil {
		t.Fatal(err)
	}
	return string(own)
}

// lockedTables has lockgen lock a new folder with some files, the plugins.toml among
// them, and returns the tables of the lock, from the one that begins with header on.
func lockedTables(t *testing.T, header string, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	bucktest.Write(t, dir, files)
	lockgen := filepath.Join(t.TempDir(), "lockgen")
	command(t, bucktest.Root(t), "go", "build", "-o", lockgen, "./lockgen")
	command(t, dir, lockgen, "update", "--no-smoke")
	locked, err := os.ReadFile(filepath.Join(dir, lock.FileName))
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(locked), header)
	return header + tables
}

// protocFits is the line of a runtime for the code of a version of protoc.
func protocFits(version string) string { return `fits = ["protoc@` + version + `"]` }

// expectMisfits changes the lock of a project, and expects that a library then tells
// what does not fit, with the command that mends it, before anything is compiled. The
// changes are by what is said. The lock is as it was afterwards.
func expectMisfits(t *testing.T, p *bucktest.Project, target, library string, changes map[string]*strings.Replacer) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.Dir, lock.FileName))
	if err != nil {
		t.Fatal(err)
	}
	for says, change := range changes {
		bucktest.Write(t, p.Dir, map[string]string{lock.FileName: change.Replace(string(text))})
		expect(t, p.Fails("build", target), library, says)
	}
	bucktest.Write(t, p.Dir, map[string]string{lock.FileName: string(text)})
}

// pythonTable is a runtime of Python in a lock. Files are separated by spaces, with
// @PLATFORM where they are for one alone.
func pythonTable(name, fits, files string) string {
	text := "[runtimes.python." + name + ".\"1.0\"]\nsource = \"pip\"\npackage = \"" + name + "\"\npython = [\"3.12\"]\ntrust = \"registry\"\nfits = " + fits + "\n[runtimes.python." + name + ".\"1.0\".files]\n"
	for _, file := range strings.Fields(files) {
		file, platform, _ := strings.Cut(file, "@")
		if platform != "" {
			platform = ", platforms = [\"" + platform + "\"]"
		}
		text += fmt.Sprintf("%q = { sha256 = %q, size = 7%s }\n", file, sum, platform)
	}
	return text + "[runtimes.python." + name + ".\"1.0\".platforms]\nlinux-x86_64 = { tree = \"" + sum + "\" }\nmacos-aarch64 = { unavailable = \"no\" }\nwindows-aarch64 = { emulate = \"windows-x86_64\" }\nwindows-x86_64 = { tree = \"" + sum + "\" }\n"
}

var pythonRuntimes = "schema = 1\n[plugins]\n" +
	pythonTable("grpcio", `["grpcio-tools@1.72.1"]`, "grpcio-1.0-cp312-a.whl@linux-x86_64 grpcio-1.0-cp312-b.whl@windows-x86_64 Typing_Extensions-4-py3-none-any.whl colour-1-py3-none-any.whl@windows-x86_64") +
	pythonTable("protobuf", `["protoc@30.2"]`, "protobuf-1.0-py3-none-any.whl Typing_Extensions-4-py3-none-any.whl")

// runtimesOf reads the runtimes of a language from a lock.
func runtimesOf(t *testing.T, bzl starlark.StringDict, text, language string) starlark.Value {
	t.Helper()
	runtimes, err := call(t, bzl["runtimes_of"], parse(t, text), starlark.NewList(nil))
	if err != nil {
		t.Fatal(err)
	}
	of, _, _ := runtimes.(*starlark.Dict).Get(starlark.String(language))
	return of
}

// expectCall calls a function with one argument, and compares what it returns.
func expectCall(t *testing.T, f, argument starlark.Value, want string) {
	t.Helper()
	got, err := call(t, f, argument)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != want {
		t.Errorf("%s returns %s\nwant %s", f, got, want)
	}
}

// refusesLock demands that the runtimes of a lock are refused with a message.
func refusesLock(t *testing.T, bzl starlark.StringDict, text string, says ...string) {
	t.Helper()
	_, err := call(t, bzl["runtimes_of"], parse(t, text), starlark.NewList(nil))
	for _, part := range says {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", part, err)
		}
	}
}

// TestRuntimesOfLock: what the rules read of the runtimes of a lock.
func TestRuntimesOfLock(t *testing.T) {
	bzl := load(t, "lock.bzl", nil)
	want := `{"typing-extensions": {"linux-x86_64": "grpcio", "windows-aarch64": "grpcio", "windows-x86_64": "grpcio"}, ` +
		`"grpcio": {"linux-x86_64": "grpcio", "windows-aarch64": "grpcio", "windows-x86_64": "grpcio"}, ` +
		`"colour": {"windows-aarch64": "grpcio", "windows-x86_64": "grpcio"}, ` +
		`"protobuf": {"linux-x86_64": "protobuf", "windows-aarch64": "protobuf", "windows-x86_64": "protobuf"}}`
	expectCall(t, bzl["libraries_of"], runtimesOf(t, bzl, pythonRuntimes, "python"), want)
	java := "schema = 1\n[plugins]\n" + strings.NewReplacer(".python.", ".java.", `"pip"`, `"maven"`, "python = [\"3.12\"]\n", "").Replace(pythonTable("grpc", `["protoc-gen-grpc-java@1.0"]`, "io.grpc/grpc-api-1.0.jar com.acme/x-1.jar@windows-x86_64"))
	want = `{"io.grpc/grpc-api-1.0.jar": {"linux-x86_64": "grpc", "windows-aarch64": "grpc", "windows-x86_64": "grpc"}, "com.acme/x-1.jar": {"windows-aarch64": "grpc", "windows-x86_64": "grpc"}}`
	expectCall(t, bzl["libraries_of"], runtimesOf(t, bzl, java, "java"), want)
	for _, tt := range []struct{ old, new, says string }{
		{sum, strings.ToUpper(sum), "sha256 of"},
		{`source = "pip"`, `source = "pup"`, "source"},
		{"size = 7", "size = 0", "size of"},
		{`windows-x86_64 = { tree = "` + sum + `" }`, "", "emulates"},
		{pythonTable("protobuf", `["protoc@30.2"]`, ""), "[runtimes.python.grpcio.\"2.0\"]\nsource = \"pip\"\nfiles = {}\nplatforms = {}\n", "more than one version"},
	} {
		changed := strings.ReplaceAll(pythonRuntimes, tt.old, tt.new)
		if tt.says == "more than one version" {
			changed = pythonRuntimes + tt.new
		}
		refusesLock(t, bzl, changed, tt.says, "Run: lockgen update")
	}
}

// TestPackagesOfLock: what the rules read of the runtimes of Go.
func TestPackagesOfLock(t *testing.T) {
	bzl := load(t, "lock.bzl", nil)
	golang := "schema = 1\n[plugins]\n[runtimes.go.x.\"1.0.0\"]\nsource = \"go\"\npackage = \"example.com/x\"\ntrust = \"registry\"\n[runtimes.go.x.\"1.0.0\".files]\n" +
		fmt.Sprintf("\"example.com/x@v1.0.0.zip\" = { name = \"example.com/x\", version = \"1.0.0\", sha256 = %q, size = 7 }\n\"example.com/x/y@v2.0.0.zip\" = { name = \"example.com/x/y\", version = \"2.0.0\", sha256 = %q, size = 7 }\n", sum, sum) +
		"[runtimes.go.x.\"1.0.0\".folders]\n\"example.com/x\" = { files = [\"a.go\", \"a.s\", \"data.bin\"], imports = [\"example.com/x/y/z\"] }\n\"example.com/x/y/z\" = { files = [\"z.go\"] }\n[runtimes.go.x.\"1.0.0\".platforms]\nlinux-x86_64 = { tree = \"" + sum + "\" }\n"
	want := `{"example.com/x": struct(embedded = ["data.bin"], folder = "example.com/x@v1.0.0/", imports = ["example.com/x/y/z"], module = "example.com/x@v1.0.0.zip", srcs = ["a.go", "a.s"]), ` +
		`"example.com/x/y/z": struct(embedded = [], folder = "example.com/x/y@v2.0.0/z/", imports = [], module = "example.com/x/y@v2.0.0.zip", srcs = ["z.go"])}`
	expectCall(t, bzl["packages_of"], runtimesOf(t, bzl, golang, "go"), want)
	for old, says := range map[string]string{"example.com/x/y/z\" = {": "which is not locked", "\"example.com/x\" = {": "in none of the modules"} {
		changed := strings.Replace(golang, old, strings.Replace(old, "example.com/", "example.org/", 1), 1)
		refusesLock(t, bzl, changed, says)
	}
}

// TestCratesOfLock: what the rules read of the runtimes of Rust.
func TestCratesOfLock(t *testing.T) {
	bzl := load(t, "lock.bzl", nil)
	rust := "schema = 1\n[plugins]\n[runtimes.rust.x.\"1.0.0\"]\nbuild-scripts = [\"m-1.0.0\", \"x-1.0.0\"]\nsource = \"cargo\"\npackage = \"x\"\ntrust = \"registry\"\n[runtimes.rust.x.\"1.0.0\".files]\n"
	for _, crate := range []string{"m", "win", "x", "x-more"} {
		rust += fmt.Sprintf("\"%s-1.0.0.crate\" = { name = %q, version = \"1.0.0\", sha256 = %q, size = 7 }\n", crate, crate, sum)
	}
	rust += "[runtimes.rust.x.\"1.0.0\".folders]\n\"m-1.0.0\" = { type = \"proc-macro\", called = \"mac\", root = \"l.rs\", edition = \"2018\" }\n\"win-1.0.0\" = { edition = \"2021\" }\n" +
		"\"x-1.0.0\" = { edition = \"2021\", features = [\"a\"], imports = [\"m-1.0.0\", \"w=win-1.0.0 windows-x86_64\"], script = \"build.rs\", script-imports = [\"m-1.0.0\"] }\n\"x-more-1.0.0\" = { edition = \"2021\", imports = [\"x-1.0.0\"] }\n" +
		"[runtimes.rust.x.\"1.0.0\".platforms]\nlinux-x86_64 = { tree = \"" + sum + "\" }\nwindows-aarch64 = { emulate = \"windows-x86_64\" }\nwindows-x86_64 = { tree = \"" + sum + "\" }\n"
	of := runtimesOf(t, bzl, rust, "rust")
	crates, err := call(t, bzl["crates_of"], of)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"m-1.0.0": struct(called = "mac", edition = "2018", features = [], imports = {"*": {}}, macro = True, name = "m", root = "l.rs", script = None, script_imports = {"*": {}}, version = "1.0.0")`,
		`"x-1.0.0": struct(called = "x", edition = "2021", features = ["a"], imports = {"linux-aarch64": {}, "linux-x86_64": {"m-1.0.0": None}, "macos-aarch64": {}, "macos-x86_64": {}, "windows-aarch64": {"m-1.0.0": None, "win-1.0.0": "w"}, "windows-x86_64": {"m-1.0.0": None, "win-1.0.0": "w"}}, macro = False, name = "x", root = "src/lib.rs", script = "build.rs", script_imports = {"*": {"m-1.0.0": None}}, version = "1.0.0")`,
		`"x-more-1.0.0": struct(called = "x_more",`,
	} {
		if got := crates.String(); !strings.Contains(got, want) {
			t.Errorf("crates %s\nwithout %s", got, want)
		}
	}
	one, _, _ := of.(*starlark.Dict).Get(starlark.String("x"))
	expectCall(t, bzl["roots_of"], one, `{"x": "x-1.0.0", "x-more": "x-more-1.0.0"}`)
	for old, says := range map[string]string{`imports = ["x-1.0.0"]`: "which is not locked", `edition = "2018"`: "is malformed", `"win-1.0.0" = {`: "not those of the same crates"} {
		changed := strings.Replace(rust, old, strings.NewReplacer("x-1", "y-1", "2018", "@", "win", "other").Replace(old), 1)
		refusesLock(t, bzl, changed, says)
	}
}

// TestMisfit: what the rules say of a library that is not for the code of a plugin.
func TestMisfit(t *testing.T) {
	bzl := load(t, "lock.bzl", nil)
	runtimes, err := call(t, bzl["runtimes_of"], parse(t, pythonRuntimes), starlark.NewList(nil))
	if err != nil {
		t.Fatal(err)
	}
	own, err := call(t, bzl["runtimes_of"], parse(t, pythonRuntimes), starlark.NewList([]starlark.Value{starlark.String("python")}))
	if err != nil {
		t.Fatal(err)
	}
	only, err := call(t, bzl["runtimes_of"], parse(t, pythonRuntimes), starlark.NewList([]starlark.Value{starlark.String("python")}), parse(t, "python = [\"protoc@30.2\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		runtimes               starlark.Value
		plugin, version, needs string
		want                   string // "" for nothing wrong
	}{
		{runtimes, "protoc", "30.2", "protobuf", ""},
		{runtimes, "other", "1.0", "", ""},
		{runtimes, "protoc", "31.1", "protobuf", "runtimes/python/protobuf 1.0 is locked for the code of protoc 30.2, and not for that of protoc 31.1. Run: lockgen update"},
		{runtimes, "other", "1.0", "gone", "the code of other needs the library gone, which is not locked. Run: lockgen add runtimes/python/gone"},
		{own, "protoc", "31.1", "gone", ""},
		{only, "protoc", "30.2", "gone", ""},
		{only, "other", "1.0", "gone", ""},
		{only, "protoc", "31.1", "gone", "the libraries that toolchains/BUCK names for python are for the code of protoc 30.2, as its `fits` says, and not for that of protoc 31.1. Name libraries of that release, or set plugin_version"},
		{starlark.NewDict(0), "protoc", "31.1", "protobuf", "the code of protoc needs the library protobuf, which is not locked. Run: lockgen add runtimes/python/protobuf"},
	} {
		got, err := call(t, bzl["misfit"], tt.runtimes, starlark.String("python"), starlark.String(tt.plugin), starlark.String(tt.version), starlark.String(tt.needs))
		if err != nil {
			t.Fatal(err)
		}
		if s, _ := starlark.AsString(got); s != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.plugin, tt.version, s, tt.want)
		}
	}
}
