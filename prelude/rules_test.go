package prelude_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// The languages, plugins of any name, [sync], and what goes wrong: one project,
// for a daemon and a build of fetch cost seconds.
func TestLanguages(t *testing.T) {
	lint := shellPlugin(t, "api/lint.txt", "linted\n")
	other := shellPlugin(t, "api/other.txt", "other\n")
	// It stands in for the real one, which is a release's file: what it is called and where it writes.
	web := shellPlugin(t, "svc/SvcServiceClientPb.ts", "export {};\n")
	broken := []byte("#!/bin/sh\necho 'broken: no such level' >&2\nexit 1\n")
	server := serve(t, map[string][]byte{"/lint": lint, "/other": other, "/broken": broken, "/web": web})
	// An executable that is called like no protoc plugin is.
	bare := strings.NewReplacer(`"protoc-gen-lint"`, `"acme-lint"`).Replace(httpPlugin("lint", "1.0.0", server.URL+"/lint", lint, ""))
	bare = strings.ReplaceAll(bare, treeOf("protoc-gen-lint", lint), treeOf("acme-lint", lint))
	more := bare + httpPlugin("other", "1.0.0", server.URL+"/other", other, "") + httpPlugin("broken", "1.0.0", server.URL+"/broken", broken, "") +
		httpPlugin("protoc-gen-grpc-web", "1.5.0", server.URL+"/web", web, "")
	p := scratch(t, more, map[string]string{
		"api/a.proto":       scratchProto,
		"api/service.proto": "syntax = \"proto3\";\npackage scratch;\nimport \"api/a.proto\";\noption go_package = \"example.com/api\";\nservice S { rpc Get(M) returns (M); }\n",
		"api/go.proto":      "syntax = \"proto3\";\npackage scratch;\noption go_package = \"example.com/api\";\nmessage G {}\n",
		"svc/svc.proto":     "syntax = \"proto3\";\npackage svc.v1;\noption go_package = \"example.com/svc\";\noption java_multiple_files = true;\nmessage M {}\nservice S { rpc Get(M) returns (M); }\n",
		"svc/msg.proto":     "syntax = \"proto3\";\npackage svc.v1;\noption go_package = \"example.com/svc\";\noption java_multiple_files = true;\nmessage N {}\n",
		"svc/BUCK": `
load("@buck2-protobuf//rules:cpp.bzl", "cpp_proto_library")
load("@buck2-protobuf//rules:go.bzl", "go_proto_library")
load("@buck2-protobuf//rules:java.bzl", "java_proto_library")
load("@buck2-protobuf//rules:python.bzl", "python_proto_library")
load("@buck2-protobuf//rules:rust.bzl", "rust_proto_library")
load("@buck2-protobuf//rules:typescript.bzl", "typescript_proto_library")

SRCS = ["msg.proto", "svc.proto"]

cpp_proto_library(name = "cpp", srcs = SRCS)
go_proto_library(name = "go-connect", srcs = SRCS, connect = True)
go_proto_library(name = "go", srcs = SRCS, connect = {"package_suffix": "connect"}, files = ["svc/svcconnect/svc.connect.go"], grpc = True, gateway = {"generate_unbound_methods": True}, openapi = {"generate_unbound_methods": True})
java_proto_library(name = "java", srcs = SRCS, files = ["svc/v1/{}.java".format(c) for c in ["M", "MOrBuilder", "Msg", "N", "NOrBuilder", "Svc"]])
python_proto_library(name = "python", srcs = SRCS, grpc = True, mypy = True, mypy_grpc = True)
python_proto_library(name = "python-pyi", srcs = SRCS, pyi = True)
python_proto_library(name = "python-betterproto2", srcs = SRCS, plugin = "betterproto2", files = ["__init__.py", "message_pool.py", "py.typed", "svc/__init__.py", "svc/v1/__init__.py"])
rust_proto_library(name = "rust", srcs = SRCS, modules = True, serde = True, tonic = True, files = ["svc/v1/svc.v1{}.rs".format(part) for part in ["", ".serde", ".tonic"]])
typescript_proto_library(name = "typescript-web", srcs = SRCS, plugin = "protoc-gen-es", grpc_web = True)
typescript_proto_library(name = "typescript-connect", srcs = SRCS, plugin = "protoc-gen-es", plugin_version = "1.10.0", connect = True)
[
    typescript_proto_library(name = "typescript-" + plugin, srcs = SRCS, plugin = plugin)
    for plugin in ["protobuf-ts", "protoc-gen-es", "protoc-gen-ts", "ts-proto"]
]
`,
		"buf/then/b.proto": "syntax = \"proto3\";\npackage bad;\nmessage B { string kept = 1; string gone = 2; }\n",
		"buf/b.proto":      "syntax = \"proto3\";\npackage bad;\nmessage B { string kept = 1; }\n",
		"buf/buf.yaml":     "version: v2\nlint:\n  use: [PACKAGE_DEFINED]\n",
		"buf/BUCK": `
load("@buck2-protobuf//rules:buf.bzl", "buf_breaking_test", "buf_lint_test")
load("@buck2-protobuf//rules:proto.bzl", "proto_library")

proto_library(name = "now_proto", srcs = ["b.proto"], strip_import_prefix = ".")
proto_library(name = "then_proto", srcs = ["then/b.proto"], strip_import_prefix = "then")
buf_lint_test(name = "lint", proto = ":now_proto")
buf_lint_test(name = "lint_less", proto = ":now_proto", skip = ["PACKAGE_DIRECTORY_MATCH", "PACKAGE_VERSION_SUFFIX"])
buf_lint_test(name = "lint_config", proto = ":now_proto", config = "buf.yaml")
buf_breaking_test(name = "breaking", proto = ":now_proto", against = ":then_proto[image]")
buf_breaking_test(name = "breaking_less", proto = ":now_proto", against = ":then_proto[image]", skip = ["FIELD_NO_DELETE"])
`,
		"moved/b.proto": "syntax = \"proto3\";\nmessage B {}\n",
		"api/BUCK": `
load("@buck2-protobuf//rules:cpp.bzl", "cpp_proto_library")
load("@buck2-protobuf//rules:go.bzl", "go_proto_library")
load("@buck2-protobuf//rules:java.bzl", "java_proto_library")
load("@buck2-protobuf//rules:proto.bzl", "proto_codegen", "proto_library", "proto_sync_test")
load("@buck2-protobuf//rules:python.bzl", "python_proto_library")

proto_library(name = "a_proto", srcs = ["a.proto"])
proto_library(name = "service_proto", srcs = ["service.proto"], deps = [":a_proto"])
proto_codegen(name = "lint", proto = ":a_proto", plugin = "lint", out_name = "lint", files = ["api/lint.txt"])
proto_codegen(name = "two", proto = ":a_proto", plugin = "lint", out_name = "lint", plugins = {"other": {}})
proto_codegen(name = "csharp", proto = ":a_proto", plugin = "protoc", out_name = "csharp", options = {"base_namespace": ""})
proto_codegen(name = "broken", proto = ":a_proto", plugin = "broken")
proto_codegen(name = "which", proto = ":a_proto", plugin = "protoc")
proto_codegen(name = "nameless", proto = ":a_proto", plugin = "lint")
proto_codegen(name = "unused", proto = ":a_proto", plugin = "other", versions = {"lint": "1.0.0"})
python_proto_library(name = "py", srcs = ["service.proto"], deps = [":a_proto"], pyi = True)
cpp_proto_library(name = "cpp", srcs = ["service.proto"], deps = [":py"])
cpp_proto_library(name = "cpp_grpc", srcs = ["service.proto"], deps = [":a_proto"], grpc = True)
java_proto_library(name = "java", srcs = ["a.proto"])
go_proto_library(name = "go", srcs = ["go.proto"], grpc = True)
go_proto_library(name = "go_both", srcs = ["go.proto"], grpc = True, connect = True)
proto_sync_test(name = "fresh", library = ":py")
`,
		"moved/BUCK": `
load("@buck2-protobuf//rules:proto.bzl", "proto_library")

proto_library(name = "here", srcs = ["b.proto"], strip_import_prefix = ".")
proto_library(name = "there", srcs = ["b.proto"], strip_import_prefix = "/moved", import_prefix = "x/y")
proto_library(name = "before", srcs = ["b.proto"], import_prefix = "z")
proto_library(name = "elsewhere", srcs = ["b.proto"], strip_import_prefix = "else/where")
`,
	})
	t.Run("a plugin of any name", func(t *testing.T) {
		p := p.On(t)
		expectFile(t, p.Build("//api:lint[api/lint.txt]")[0], "linted\n")
	})
	t.Run("two plugins, one folder", func(t *testing.T) {
		p := p.On(t)
		if got, want := tree(t, p.Build("//api:two")[0]), []string{"api/lint.txt", "api/other.txt"}; !slices.Equal(got, want) {
			t.Errorf("files %q, want %q", got, want)
		}
	})
	t.Run("protoc's own generators", func(t *testing.T) {
		p := p.On(t)
		for target, want := range map[string][]string{
			"//api:csharp": {"Scratch/A.cs"},
			"//api:py":     {"api/service_pb2.py", "api/service_pb2.pyi"},
			"//api:cpp":    {"api/service.pb.cc", "api/service.pb.h"},
			"//api:java":   {"scratch/A.java"},
		} {
			if got := tree(t, p.Build(target)[0]); !slices.Equal(got, want) {
				t.Errorf("%s: files %q, want %q", target, got, want)
			}
		}
	})
	t.Run("sub-targets", func(t *testing.T) {
		p := p.On(t)
		for target, want := range map[string]string{
			"//api:py[srcs]":                "api/service_pb2.py",
			"//api:py[stubs]":               "api/service_pb2.pyi",
			"//api:py[api/service_pb2.pyi]": "api/service_pb2.pyi",
			"//api:cpp[headers]":            "api/service.pb.h",
			"//api:java[archive]":           "java-sources.jar",
		} {
			if outs := p.Build(target); len(outs) != 1 || !strings.HasSuffix(filepath.ToSlash(outs[0]), want) {
				t.Errorf("%s is %q, want %s", target, outs, want)
			}
		}
		if got, want := tree(t, p.Build("//api:py[all]")[0]), []string{"api/a_pb2.py", "api/a_pb2.pyi", "api/service_pb2.py", "api/service_pb2.pyi"}; !slices.Equal(got, want) {
			t.Errorf("[all] holds %q, want %q", got, want)
		}
	})
	t.Run("a sub-target for each file", func(t *testing.T) {
		p := p.On(t)
		targets := strings.Fields(p.Must("targets", "//svc:"))
		if len(targets) < 12 {
			t.Fatalf("only %d targets: %q", len(targets), targets)
		}
		folders := outputs(t, p, targets)
		var files, groups []string
		for target, folder := range folders {
			for _, name := range tree(t, folder) {
				files = append(files, target+"["+name+"]")
			}
			// What a rule of the prelude takes, of a file without services as well.
			language, _, _ := strings.Cut(strings.TrimPrefix(target, "root//svc:"), "-")
			for _, group := range map[string][]string{"cpp": {"headers", "srcs"}, "go": {"srcs"}, "python": {"srcs", "stubs"}, "typescript": {"srcs"}}[language] {
				groups = append(groups, target+"["+group+"]")
			}
		}
		for sub, out := range outputs(t, p, files) {
			target, name, _ := strings.Cut(strings.TrimSuffix(sub, "]"), "[")
			want, err := os.ReadFile(filepath.Join(folders[target], filepath.FromSlash(name)))
			if err != nil {
				t.Fatal(err)
			}
			expectFile(t, out, string(want))
		}
		if len(groups) != 16 {
			t.Fatalf("groups %q", groups)
		}
		p.Must(append([]string{"build"}, groups...)...)
	})
	t.Run("Go sources of a file without services", func(t *testing.T) {
		p := p.On(t)
		outs := strings.Fields(p.Must("build", "//api:go", "//api:go[srcs]", "--show-simple-output"))
		if got, want := tree(t, filepath.Join(p.Dir, outs[0])), []string{"api/go.pb.go"}; !slices.Equal(got, want) {
			t.Errorf("files %q, want %q", got, want)
		}
		stub, err := filepath.Glob(filepath.Join(p.Dir, "buck-out/v2/art/root/*/api/__go__/filled/api/go_grpc.pb.go"))
		if err != nil || len(stub) != 1 {
			t.Fatalf("found %q, %v", stub, err)
		}
		expectFile(t, stub[0], "//go:build ignore\n\npackage nothing\n")
	})
	t.Run("buf", func(t *testing.T) {
		p := p.On(t)
		p.Must("test", "//buf:lint_less", "//buf:lint_config", "//buf:breaking_less")
		expect(t, p.Fails("test", "//buf:lint"), "b.proto:2:1:", "should be suffixed with a correctly formed version")
		expect(t, p.Fails("test", "//buf:breaking"), "b.proto:3:1:", `Previously present field "2" with name "gone"`)
	})
	t.Run("import paths", func(t *testing.T) {
		p := p.On(t)
		for target, want := range map[string]string{"here": "b.proto", "there": "x/y/b.proto", "before": "z/moved/b.proto"} {
			outs := p.Build("//moved:" + target + "[sources]")
			if got := tree(t, outs[0]); !slices.Equal(got, []string{want}) {
				t.Errorf("%s: %q, want %q", target, got, want)
			}
		}
		expect(t, p.Fails("build", "//moved:elsewhere"), "`moved/b.proto` is not below `moved/else/where`")
	})
	t.Run("image", func(t *testing.T) {
		p := p.On(t)
		var names []string
		for _, f := range readSet(t, p.Build("//api:service_proto[image]")[0]).File {
			names = append(names, f.GetName())
		}
		if want := []string{"google/protobuf/timestamp.proto", "api/a.proto", "api/service.proto"}; !slices.Equal(names, want) {
			t.Errorf("files %q, want %q", names, want)
		}
	})
	t.Run("messages", func(t *testing.T) {
		p := p.On(t)
		host, _ := lock.Host()
		expect(t, p.Fails("build", "//api:broken"), "root//api:broken", "broken 1.0.0 on "+host.Name, "broken: no such level")
		expect(t, p.Fails("build", "//api:which"), "set `out_name` to the generator of protoc to use", "out_name = \"python\"")
		expect(t, p.Fails("build", "//api:nameless"), "`lint` is locked, but is not a protoc plugin", "set `out_name` to the name")
		expect(t, p.Fails("build", "//api:unused"), "`versions` has `lint`, which the target does not use")
		expect(t, p.Fails("build", "//api:go_both"), "root//api:go_both: gRPC and Connect would both declare", `connect = {"package_suffix": "connect"}`)
		expect(t, p.Fails("build", "//api:cpp_grpc"), "plugin `grpc-cpp` is not locked", "[plugins.grpc-cpp]", "then run: lockgen update")
	})
	t.Run("sync", func(t *testing.T) { testSync(t, p.On(t)) })
}

// outputs builds targets that have one output each, and returns it by target.
func outputs(t *testing.T, p *bucktest.Project, targets []string) map[string]string {
	t.Helper()
	var outs map[string]string
	if err := json.Unmarshal([]byte(p.Must(append([]string{"build", "--show-full-json-output"}, targets...)...)), &outs); err != nil {
		t.Fatal(err)
	}
	if len(outs) != len(targets) {
		t.Fatalf("%d outputs of %d targets", len(outs), len(targets))
	}
	return outs
}

// treeOf is the lock's digest of a folder with one executable.
func treeOf(path string, data []byte) string {
	digest := func(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }
	return digest(fmt.Appendf(nil, "%s x %s\n", digest(data), path))
}

// testSync copies generated code into the sources of api/service.proto, twice,
// with what people do to it in between.
func testSync(t *testing.T, p *bucktest.Project) {
	t.Helper()
	at := func(name string) string { return filepath.Join(p.Dir, "api", filepath.FromSlash(name)) }
	generated := filepath.Join(p.Build("//api:py")[0], "api", "service_pb2.py")
	code, err := os.ReadFile(generated)
	if err != nil {
		t.Fatal(err)
	}

	// A file of somebody else is in the way: nothing at all is written.
	bucktest.Write(t, p.Dir, map[string]string{"api/service_pb2.pyi": "# mine\n"})
	expect(t, p.Fails("run", "//api:py[sync]"), "api/service_pb2.pyi was not written by root//api:py; move it away first")
	expectFile(t, at("service_pb2.pyi"), "# mine\n")
	if _, err := os.Stat(at("service_pb2.py")); err == nil {
		t.Error("service_pb2.py was written beside a file in the way")
	}
	if err := os.Remove(at("service_pb2.pyi")); err != nil {
		t.Fatal(err)
	}

	expect(t, p.Must("run", "//api:py[sync]"), "wrote api/service_pb2.py\n", "wrote api/service_pb2.pyi\n")
	expectFile(t, at("service_pb2.py"), string(code))
	if got := p.Must("run", "//api:fresh"); got != "" {
		t.Errorf("a second run did something: %q", got)
	}
	p.Must("test", "//api:fresh", "//api:py[sync]")

	// An edit is a difference, and is overwritten.
	bucktest.Write(t, p.Dir, map[string]string{"api/service_pb2.py": "edited\n"})
	failed := p.Fails("test", "//api:fresh")
	expect(t, failed, "-edited", "Run: buck2 run 'root//api:py[sync]'")
	expect(t, p.Must("run", "//api:py[sync]"), "wrote api/service_pb2.py\n")
	expectFile(t, at("service_pb2.py"), string(code))

	// What is no longer generated goes away; what was never generated stays.
	bucktest.Write(t, p.Dir, map[string]string{"api/kept_pb2.py": "# mine\n"})
	build, err := os.ReadFile(at("BUCK"))
	if err != nil {
		t.Fatal(err)
	}
	bucktest.Write(t, p.Dir, map[string]string{"api/BUCK": strings.Replace(string(build), ", pyi = True", "", 1)})
	expect(t, p.Fails("test", "//api:fresh"), "no longer generated: api/service_pb2.pyi")
	if got, want := p.Must("run", "//api:py[sync]"), "deleted api/service_pb2.pyi\n"; got != want {
		t.Errorf("sync said %q, want %q", got, want)
	}
	if _, err := os.Stat(at("service_pb2.pyi")); err == nil {
		t.Error("service_pb2.pyi is still there")
	}
	expectFile(t, at("kept_pb2.py"), "# mine\n")
	expectFile(t, at(".py.sync"), "# Copied by: buck2 run 'root//api:py[sync]'\napi/service_pb2.py\n")
	p.Must("test", "//api:fresh")
}

// Two builds of the same sources in two places give the same bytes: every
// target of the examples, which are of every rule.
func TestSameBytesElsewhere(t *testing.T) {
	here := bucktest.Open(t, bucktest.Root(t), "test-prelude")
	there := scratch(t, "", nil)
	targets := []string{"//examples/java:note_java[archive]", "//examples/typescript:ts-proto[all]", "//examples/buf:shop_proto[image]"}
	for _, target := range strings.Fields(here.Must("targets", "//examples/...")) {
		targets = append(targets, strings.TrimPrefix(target, "buck2-protobuf"))
	}
	// What a target's outputs hold, by the target's label without its cell.
	contents := func(p *bucktest.Project, cell string) map[string]map[string]string {
		var labels []string
		for _, target := range targets {
			labels = append(labels, cell+target)
		}
		var outs map[string]string
		if err := json.Unmarshal([]byte(p.Must(append([]string{"build", "--show-full-json-output"}, labels...)...)), &outs); err != nil {
			t.Fatal(err)
		}
		all := map[string]map[string]string{}
		for label, out := range outs {
			_, target, _ := strings.Cut(label, "//")
			all[target] = map[string]string{}
			if out == "" {
				continue // it has no output, or some that are outputs of others
			}
			names := []string{"."}
			if info, err := os.Stat(out); err != nil {
				t.Fatal(err)
			} else if info.IsDir() {
				names = tree(t, out)
			}
			for _, name := range names {
				data, err := os.ReadFile(filepath.Join(out, filepath.FromSlash(name)))
				if err != nil {
					t.Fatal(err)
				}
				all[target][name] = string(data)
			}
		}
		return all
	}
	a, b := contents(here, ""), contents(there, "pb")
	files := 0
	for target := range a {
		if len(a[target]) != len(b[target]) {
			t.Errorf("%s: %d files here, %d there", target, len(a[target]), len(b[target]))
		}
		for name, data := range a[target] {
			files++
			if b[target][name] != data {
				t.Errorf("%s: %s differs", target, name)
			}
		}
	}
	if len(a) < 35 || files < 80 {
		t.Errorf("%d targets with %d files", len(a), files)
	}
}

// Every public name of rules/ and each of its attributes is documented.
func TestDocs(t *testing.T) {
	p := bucktest.Open(t, bucktest.Root(t), "test-prelude")
	names, err := filepath.Glob(filepath.Join(p.Dir, "rules", "*.bzl"))
	if err != nil || len(names) < 8 {
		t.Fatalf("found %q, %v", names, err)
	}
	page, err := os.ReadFile(filepath.Join(p.Dir, "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	extras := 0
	for _, name := range names {
		extras += testDocumented(t, p, "//rules:"+filepath.Base(name), string(page))
	}
	if extras < 16 {
		t.Errorf("only %d attributes that add a generator", extras)
	}
	testExcerpts(t, p.Dir, string(page))
}

// testDocumented compares what Buck2 says of one file of rules/ with the page. It
// returns how many attributes add a generator: the row of the language names each,
// and its plugin.
func testDocumented(t *testing.T, p *bucktest.Project, file, page string) (extras int) {
	t.Helper()
	_, base, _ := strings.Cut(file, ":")
	out := p.Must("docs", "starlark", file, "--format", "json")
	var symbols []symbol
	if err := json.Unmarshal([]byte(out), &symbols); err != nil {
		t.Fatalf("%s: %v\n%s", file, err, out)
	}
	row := regexp.MustCompile(`(?m)^\| \[[^]]+\]\(#` + strings.ReplaceAll(base, ".", "") + `\) .*`).FindString(page)
	functions := 0
	for _, s := range symbols {
		if s.Item.Docs == nil || s.Item.Docs.Summary == "" {
			t.Errorf("%s: %s has no documentation", file, s.ID.Name)
		}
		if s.Item.Kind != "function" {
			continue
		}
		functions++
		for _, param := range s.Item.Params {
			if param.Name == "" {
				continue
			}
			if param.Docs == nil || param.Docs.Summary == "" {
				t.Errorf("%s: %s of %s has no documentation", file, param.Name, s.ID.Name)
				continue
			}
			if m := addsGenerator.FindStringSubmatch(param.Docs.Summary); m != nil {
				extras++
				if !strings.Contains(row, fmt.Sprintf("`%s`: %s", param.Name, m[1])) {
					t.Errorf("docs/rules.md: the row of %s does not say that `%s` adds %s: %q", base, param.Name, m[1], row)
				}
			}
		}
		if !strings.Contains(page, "`"+s.ID.Name+"`") {
			t.Errorf("docs/rules.md does not speak of `%s`", s.ID.Name)
		}
	}
	if functions == 0 {
		t.Errorf("%s has no public rule", file)
	}
	return extras
}

// addsGenerator matches the documentation of an attribute that adds a generator.
var addsGenerator = regexp.MustCompile("True, or the options of `([^`]+)`[.]$")

// A symbol is what `buck2 docs starlark --format json` says of a public name.
type symbol struct {
	ID   struct{ Name string }
	Item struct {
		Kind   string
		Docs   *struct{ Summary string }
		Params []struct {
			Name string
			Docs *struct{ Summary string }
		}
	}
}

// Every example of a page that names its file is in that file, word for word.
func testExcerpts(t *testing.T, root, page string) {
	t.Helper()
	found := regexp.MustCompile("(?s)\\[(examples/[^]]+)\\]\\([^)]*\\):\n\n```python\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(found) < 10 {
		t.Fatalf("only %d examples that name their file", len(found))
	}
	for _, m := range found {
		data, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m[1])))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), m[2]) {
			t.Errorf("docs/rules.md: this is not in %s:\n%s", m[1], m[2])
		}
	}
}
