package prelude_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// The checkout itself: every target loads, and Buck2 finds no fault with any
// Starlark file.
func TestCheckout(t *testing.T) {
	p := bucktest.Open(t, bucktest.Root(t), "test-prelude")
	targets := p.Must("targets", "//...", "toolchains//...")
	for _, want := range []string{
		"buck2-protobuf//:fetch\n",
		"buck2-protobuf//examples/typescript:ts-proto\n",
		"toolchains//:protobuf\n",
		"toolchains//:ts-proto\n",
	} {
		if !strings.Contains(targets, want) {
			t.Errorf("no target %s in\n%s", want, targets)
		}
	}
	p.Must(append([]string{"starlark", "lint"}, starlarkFiles(t)...)...)
}

// A files server serves files by path and counts the requests for each.
type files struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
}

func serve(t *testing.T, content map[string][]byte) *files {
	t.Helper()
	f := &files{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.requests = append(f.requests, r.Method+" "+r.URL.Path)
		f.mu.Unlock()
		data, ok := content[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	t.Cleanup(f.Close)
	return f
}

// take returns the requests so far and forgets them.
func (f *files) take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.requests
	f.requests = nil
	return r
}

// shellPlugin is a protoc plugin that needs /bin/sh alone: it writes one file.
func shellPlugin(t *testing.T, name, content string) []byte {
	t.Helper()
	response, err := proto.Marshal(&pluginpb.CodeGeneratorResponse{
		File: []*pluginpb.CodeGeneratorResponse_File{{Name: &name, Content: &content}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var octal strings.Builder
	for _, b := range response {
		fmt.Fprintf(&octal, `\%03o`, b)
	}
	return fmt.Appendf(nil, "#!/bin/sh\nwhile read -r line; do :; done\nprintf '%s'\n", &octal)
}

// httpPlugin returns the lock's tables of a bare executable at a URL.
func httpPlugin(name, version, url string, data []byte, unavailable string) string {
	digest := sha256.Sum256(data)
	tree := sha256.Sum256(fmt.Appendf(nil, "%x x protoc-gen-%s\n", digest, name))
	var s strings.Builder
	fmt.Fprintf(&s, "\n[plugins.%s.%q]\nsource = \"http\"\ntrust = \"first-use\"\n", name, version)
	fmt.Fprintf(&s, "[plugins.%s.%q.files]\n%q = { url = %q, sha256 = \"%x\", size = %d }\n",
		name, version, "protoc-gen-"+name, url, digest, len(data))
	fmt.Fprintf(&s, "[plugins.%s.%q.platforms]\n", name, version)
	for _, p := range lock.Platforms {
		if unavailable != "" {
			fmt.Fprintf(&s, "%s = { unavailable = %q }\n", p.Name, unavailable)
			continue
		}
		fmt.Fprintf(&s, "%s = { binary = %q, tree = \"%x\" }\n", p.Name, "protoc-gen-"+name, tree)
	}
	return s.String()
}

// packedPlugin returns the lock's tables of an executable in an archive.
func packedPlugin(name, url, archive string, data, program []byte) string {
	bare := httpPlugin(name, "1.0.0", url, program, "")
	digest := func(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }
	tree := func(path string) string { return digest(fmt.Appendf(nil, "%s x %s\n", digest(program), path)) }
	file := "protoc-gen-" + name
	return strings.NewReplacer(
		fmt.Sprintf("sha256 = %q, size = %d", digest(program), len(program)),
		fmt.Sprintf("archive = %q, sha256 = %q, size = %d", archive, digest(data), len(data)),
		fmt.Sprintf("binary = %q", file), fmt.Sprintf("binary = %q", "bin/"+file),
		tree(file), tree("bin/"+file),
	).Replace(bare)
}

// unheardOf returns a lock of one npm package that no cache has.
func unheardOf() string {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("unheard of")))
	var s strings.Builder
	fmt.Fprintf(&s, "schema = 1\n[plugins.unheard-of.\"1.0.0\"]\nsource = \"npm\"\npackage = \"unheard-of\"\ntrust = \"registry\"\n")
	fmt.Fprintf(&s, "[plugins.unheard-of.\"1.0.0\".files]\n\"node_modules/unheard-of\" = { name = \"unheard-of\", version = \"1.0.0\", sha256 = %q, size = 9, integrity = \"sha512-%sA==\" }\n",
		sum, strings.Repeat("B", 85))
	fmt.Fprintf(&s, "[plugins.unheard-of.\"1.0.0\".platforms]\n")
	for _, p := range lock.Platforms {
		fmt.Fprintf(&s, "%s = { binary = \"node_modules/unheard-of/protoc-gen-x\", tree = %q }\n", p.Name, sum)
	}
	return s.String()
}

const scratchConfig = `
[cells]
root = .
prelude = prelude
toolchains = toolchains
pb = pb
[cell_aliases]
buck2-protobuf = pb
config = prelude
ovr_config = prelude
fbcode = prelude
fbsource = prelude
fbcode_macros = prelude
buck = prelude
[external_cells]
prelude = bundled
[parser]
target_platform_detector_spec = target:root//...->prelude//platforms:default target:toolchains//...->prelude//platforms:default target:pb//...->prelude//platforms:default
[build]
execution_platforms = prelude//platforms:default
`

const scratchToolchain = `
load("@buck2-protobuf//rules:proto.bzl", "protobuf_plugins", "protobuf_toolchain")
load("@root//:plugins.lock.toml", lock = "value")

protobuf_toolchain(
    name = "protobuf",
    plugins = protobuf_plugins(lock = lock),
    visibility = ["PUBLIC"],
)
`

// scratch makes a project that takes this repository as a cell of another
// name, with the repository's own lock and more tables at its end.
func scratch(t *testing.T, more string, files map[string]string) *bucktest.Project {
	t.Helper()
	bucktest.Need(t)
	root := bucktest.Root(t)
	own, err := os.ReadFile(filepath.Join(root, lock.FileName))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bucktest.CopyRepo(t, filepath.Join(dir, "pb"))
	bucktest.Write(t, dir, map[string]string{
		".buckroot":         "",
		".buckconfig":       scratchConfig,
		"plugins.lock.toml": string(own) + more,
		"toolchains/BUCK":   scratchToolchain,
	})
	bucktest.Write(t, dir, files)
	return bucktest.Open(t, dir, "v2")
}

// TestLockOfWindows: a lock whose lines git has ended in CRLF is the same to Buck2.
func TestLockOfWindows(t *testing.T) {
	p := scratch(t, "", nil)
	ask := []string{"targets", "--json", "toolchains//..."}
	want := p.Must(ask...)
	if !strings.Contains(want, "ts-proto") {
		t.Fatalf("no plugin in\n%s", want)
	}
	own, err := os.ReadFile(filepath.Join(bucktest.Root(t), lock.FileName))
	if err != nil {
		t.Fatal(err)
	}
	crlf := strings.ReplaceAll(string(own), "\n", "\r\n")
	bucktest.Write(t, p.Dir, map[string]string{lock.FileName: crlf})
	if got := p.Must(ask...); got != want {
		t.Errorf("with CRLF:\n%s\nelse:\n%s", got, want)
	}
	// What it has loaded is not what it keeps from before.
	bucktest.Write(t, p.Dir, map[string]string{lock.FileName: strings.ReplaceAll(crlf, "2.7.2", "2.7.3")})
	if got := p.Must(ask...); got == want {
		t.Error("another lock makes the same targets")
	}
}

const scratchProto = `syntax = "proto3";
package scratch;
import "google/protobuf/timestamp.proto";
message M { google.protobuf.Timestamp at = 1; }
`

// One project, many questions: a daemon and a build of fetch cost seconds.
func TestRules(t *testing.T) {
	p, server := rulesProject(t)
	testRulesDownload(t, p, server)
	testRulesGenerate(t, p)
	testRulesRefuse(t, p)
	testRulesSettings(t, p, server)
	testRulesAgain(t, p, server)
}

// rulesProject has libraries of plugins that a server has, in one version or two, packed
// and not, or as other bytes than the lock's.
func rulesProject(t *testing.T) (*bucktest.Project, *files) {
	t.Helper()
	echo := shellPlugin(t, "echo.ts", "// echo 1.0.0\n")
	other := shellPlugin(t, "echo.ts", "// echo 2.0.0\n")
	packed := map[string]string{"bin/protoc-gen-packed": string(echo)}
	zipped := map[string]string{"bin/protoc-gen-zipped": string(other)}
	tarball, zip := fake.Tarball("", packed, "bin/protoc-gen-packed"), fake.Zip(zipped, "bin/protoc-gen-zipped")
	server := serve(t, map[string][]byte{
		"/v1/echo": echo, "/v2/echo": other, "/lie/echo": other, "/packed.tar.gz": tarball, "/zipped.zip": zip,
	})
	lie := append(slices.Clone(echo), '\n')
	more := httpPlugin("echo", "1.0.0", server.URL+"/v1/echo", echo, "") +
		httpPlugin("echo", "2.0.0", server.URL+"/v2/echo", other, "") +
		httpPlugin("liar", "1.0.0", server.URL+"/lie/echo", lie, "") +
		packedPlugin("packed", server.URL+"/packed.tar.gz", "tar.gz", tarball, echo) +
		packedPlugin("zipped", server.URL+"/zipped.zip", "zip", zip, other) +
		httpPlugin("nowhere", "1.0.0", server.URL+"/nowhere", echo, "its publisher has no build for it")
	return scratch(t, more, map[string]string{
		"api/a.proto": scratchProto,
		"api/b.proto": "syntax = \"proto3\";\nimport \"api/a.proto\";\nimport \"examples/typescript/common/money.proto\";\n" +
			"// Holds an M.\nmessage B { scratch.M m = 1; example.common.Money price = 2 [deprecated = true]; }\n",
		"api/bad.proto":    "syntax = \"proto3\";\n\nimport \"api/b.proto\";\nmessage Bad { B b = 1; }\n",
		"api/syntax.proto": "syntax = \"proto3\";\nmessage {}\n",
		"api/BUCK": `
load("@buck2-protobuf//rules:proto.bzl", "proto_library")
load("@buck2-protobuf//rules:typescript.bzl", "typescript_proto_library")

proto_library(name = "a_proto", srcs = ["a.proto"], visibility = ["PUBLIC"])
proto_library(name = "b_proto", srcs = ["b.proto"], deps = [":a_proto", "buck2-protobuf//examples/typescript/common:common_proto"], visibility = ["PUBLIC"])
proto_library(name = "bad_proto", srcs = ["bad.proto"], deps = [":a_proto"])
proto_library(name = "syntax_proto", srcs = ["syntax.proto"])
typescript_proto_library(name = "bad_ts", proto = ":bad_proto", plugin = "ts-proto")
typescript_proto_library(name = "syntax_ts", srcs = ["syntax.proto"])
typescript_proto_library(name = "newest", srcs = ["a.proto"])
typescript_proto_library(name = "old", srcs = ["a.proto"], plugin_version = "1.0.0")
typescript_proto_library(name = "packed", srcs = ["a.proto"], plugin = "packed")
typescript_proto_library(name = "zipped", srcs = ["a.proto"], plugin = "zipped")
typescript_proto_library(name = "liar", srcs = ["a.proto"], plugin = "liar")
typescript_proto_library(name = "nowhere", srcs = ["a.proto"], plugin = "nowhere")
typescript_proto_library(name = "from_proto", proto = ":b_proto", plugin = "ts-proto")
typescript_proto_library(name = "from_ts", srcs = ["b.proto"], deps = [":old", "buck2-protobuf//examples/typescript/common:common_proto"], plugin = "protoc-gen-es", options = {
    "import_extension": "none",
    "keep_empty_files": True,
    "rewrite_imports": ["./api/**/*_pb.js:@one", "./examples/**/*_pb.js:@two"],
    "target": "ts",
})
`,
		"toolchains/BUCK": strings.Replace(scratchToolchain, "visibility", "defaults = {\"typescript\": \"echo\"},\n    visibility", 1),
		".buckconfig":     strings.NewReplacer("pb = pb", "other = other\npb = pb", "target:pb//", "target:other//...->prelude//platforms:default target:pb//").Replace(scratchConfig),
		"other/c.proto":   "syntax = \"proto3\";\npackage other;\nimport \"api/b.proto\";\nmessage C { .B b = 1; }\n",
		"other/defs.bzl": `
load("@buck2-protobuf//rules:proto.bzl", "ProtoInfo")
load("@prelude//:artifact_tset.bzl", "project_artifacts")

def _impl(ctx):
    info = ctx.attrs.proto[ProtoInfo]
    out = ctx.actions.declare_output("all", dir = True)
    ctx.actions.run(
        cmd_args("/bin/sh", "-c", 'out=$1; mkdir "$out"; shift; for d; do cp -R "$d/." "$out"; done', "sh", out.as_output(), project_artifacts(ctx.actions, info.sources)),
        category = "copy",
    )
    paths = ctx.actions.write("paths", info.transitive_paths)
    return [DefaultInfo(default_output = out, sub_targets = {"paths": [DefaultInfo(default_output = paths)]})]

all_sources = rule(impl = _impl, attrs = {"proto": attrs.dep(providers = [ProtoInfo])})
`,
		"other/BUCK": `
load("@buck2-protobuf//rules:typescript.bzl", "typescript_proto_library")
load(":defs.bzl", "all_sources")

typescript_proto_library(name = "c_ts", srcs = ["c.proto"], deps = ["root//api:b_proto"], plugin = "ts-proto")
all_sources(name = "sources", proto = ":c_ts")
`,
		"registry/BUCK": `
load("@buck2-protobuf//rules:proto.bzl", "protobuf_plugins")
load("@root//registry:plugins.lock.toml", lock = "value")

protobuf_plugins(lock = lock, registries = {"npm": "` + server.URL + `/npm/"})
`,
		"registry/plugins.lock.toml": unheardOf(),
		"mirrored/BUCK": `
load("@buck2-protobuf//rules:proto.bzl", "protobuf_plugins")
load("@root//:plugins.lock.toml", lock = "value")
load("@root//mirrored:plugins.toml", manifest = "value")

protobuf_plugins(lock = lock, mirrors = manifest["mirror"])
`,
		"mirrored/plugins.toml":   "[[mirror]]\nfrom = \"" + server.URL + "/v1/\"\nto = \"" + server.URL + "/mirror/v1/\"\n\n[[mirror]]\nfrom = \"*\"\nto = \"oci-layout:vendor\"\n",
		"newer/plugins.lock.toml": "schema = 2\n",
		"newer/BUCK":              strings.ReplaceAll(scratchToolchain, "@root//:", "@root//newer:"),
		"wrong/a.proto":           scratchProto,
		"wrong/BUCK": `
load("@buck2-protobuf//rules:typescript.bzl", "typescript_proto_library")

typescript_proto_library(name = "version", srcs = ["a.proto"], plugin = "ts-proto", plugin_version = "9.9.9")
typescript_proto_library(name = "plugin", srcs = ["a.proto"], plugin = "ts-protto", plugin_version = "2.7.2")
typescript_proto_library(name = "node", srcs = ["a.proto"], plugin = "node")
typescript_proto_library(name = "both", srcs = ["a.proto"], proto = "//api:a_proto")
typescript_proto_library(name = "none")
typescript_proto_library(name = "kind", srcs = ["BUCK"])
`,
	}), server
}

// testRulesDownload: a build downloads what it needs, and takes nothing else for it.
func testRulesDownload(t *testing.T, p *bucktest.Project, server *files) {
	t.Run("analysis downloads nothing", func(t *testing.T) {
		p := p.On(t)
		p.Must("audit", "providers", "--quiet", "//api/...", "toolchains//...")
		if got := server.take(); len(got) > 0 {
			t.Errorf("requests: %q", got)
		}
	})
	t.Run("a plugin target by itself builds nothing", func(t *testing.T) {
		p := p.On(t)
		p.Must("build", "toolchains//...")
		if got := server.take(); len(got) > 0 {
			t.Errorf("requests: %q", got)
		}
	})
	t.Run("one library downloads its own file alone", func(t *testing.T) {
		p := p.On(t)
		folder := p.Build("//api:old")[0]
		if got, want := server.take(), []string{"GET /v1/echo"}; !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
		expectFile(t, filepath.Join(folder, "echo.ts"), "// echo 1.0.0\n")
	})
	t.Run("newest is the default", func(t *testing.T) {
		p := p.On(t)
		folder := p.Build("//api:newest")[0]
		if got, want := server.take(), []string{"GET /v2/echo"}; !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
		expectFile(t, filepath.Join(folder, "echo.ts"), "// echo 2.0.0\n")
	})
	t.Run("archives", func(t *testing.T) {
		p := p.On(t)
		expectFile(t, filepath.Join(p.Build("//api:packed")[0], "echo.ts"), "// echo 1.0.0\n")
		expectFile(t, filepath.Join(p.Build("//api:zipped")[0], "echo.ts"), "// echo 2.0.0\n")
		if got, want := server.take(), []string{"GET /packed.tar.gz", "GET /zipped.zip"}; !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
	})
	t.Run("other bytes than the lock's", func(t *testing.T) {
		p := p.On(t)
		expect(t, p.Fails("build", "//api:liar"), "toolchains//:liar", "Invalid sha256 digest. Expected ", server.URL+"/lie/echo")
	})
	t.Run("unavailable fails when used", func(t *testing.T) {
		p := p.On(t)
		host, _ := lock.Host()
		expect(t, p.Fails("build", "//api:nowhere"), "toolchains//:nowhere", "nowhere 1.0.0: not available on "+host.Name+": its publisher has no build for it", "Hint: ", "lockgen explain NAME")
	})
}

// testRulesGenerate: what is generated, from sources of more than one cell.
func testRulesGenerate(t *testing.T, p *bucktest.Project) {
	t.Run("descriptor set", func(t *testing.T) {
		p := p.On(t)
		outs := p.Build("//api:b_proto", "//api:from_proto[descriptor]")
		if len(outs) != 2 || outs[0] != outs[1] {
			t.Errorf("[descriptor] of a library with proto = is not the proto_library's output: %q", outs)
		}
		set := readSet(t, outs[0])
		if len(set.File) != 1 || set.File[0].GetName() != "api/b.proto" {
			t.Fatalf("descriptor set holds %v", set)
		}
		b := set.File[0].MessageType[0]
		if b.GetName() != "B" || b.Field[0].GetTypeName() != ".scratch.M" || b.Field[1].GetTypeName() != ".example.common.Money" || !b.Field[1].GetOptions().GetDeprecated() {
			t.Errorf("message is %v", b)
		}
		var comments []string
		for _, l := range set.File[0].GetSourceCodeInfo().GetLocation() {
			comments = append(comments, l.GetLeadingComments())
		}
		if !slices.Contains(comments, " Holds an M.\n") {
			t.Errorf("no source info: %q", comments)
		}
	})
	t.Run("from a proto_library, over two cells", func(t *testing.T) {
		p := p.On(t)
		all := p.Build("//api:from_proto[all]")[0]
		for _, name := range []string{"api/a.ts", "api/b.ts", "examples/typescript/common/money.ts", "google/protobuf/timestamp.ts"} {
			if _, err := os.Stat(filepath.Join(all, name)); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("over the cells of two consumers, and a rule of one's own", func(t *testing.T) {
		p := p.On(t)
		data, err := os.ReadFile(filepath.Join(p.Build("other//:c_ts")[0], "c.ts"))
		if err != nil {
			t.Fatal(err)
		}
		expect(t, string(data), `from "./api/b"`)
		outs := append(p.Build("other//:sources"), p.Build("other//:sources[paths]")...)
		protos := []string{"api/a.proto", "api/b.proto", "c.proto", "examples/typescript/common/money.proto"}
		if got := tree(t, outs[0]); !slices.Equal(got, protos) {
			t.Errorf("sources %q, want %q", got, protos)
		}
		paths, err := os.ReadFile(outs[1])
		if got := strings.Fields(string(paths)); err != nil || !slices.Equal(slices.Sorted(slices.Values(got)), protos) {
			t.Errorf("paths %q, %v, want %q", got, err, protos)
		}
	})
	t.Run("from another library", func(t *testing.T) {
		p := p.On(t)
		own := p.Build("//api:from_ts")[0]
		if got, want := tree(t, own), []string{"api/b_pb.ts"}; !slices.Equal(got, want) {
			t.Errorf("files %q, want %q", got, want)
		}
		data, err := os.ReadFile(filepath.Join(own, "api/b_pb.ts"))
		if err != nil {
			t.Fatal(err)
		}
		expect(t, string(data), `with parameter "import_extension=none,keep_empty_files=true,`, `from "@one/`, `from "@two/`, "Holds an M.")
	})
}

// testRulesRefuse: what is wrong in .proto files, BUCK files and locks.
func testRulesRefuse(t *testing.T, p *bucktest.Project) {
	t.Run("import without a dependency", func(t *testing.T) {
		p := p.On(t)
		for _, target := range []string{"//api:bad_proto", "//api:bad_ts"} {
			expect(t, p.Fails("build", target), "api/bad.proto:3", "api/b.proto", "add the library")
		}
	})
	t.Run("syntax error", func(t *testing.T) {
		p := p.On(t)
		for _, target := range []string{"//api:syntax_proto", "//api:syntax_ts"} {
			expect(t, p.Fails("build", target), "api/syntax.proto:2", "Expected message name")
		}
	})
	own, _, err := lock.Read(filepath.Join(bucktest.Root(t), lock.FileName))
	if err != nil {
		t.Fatal(err)
	}
	names := slices.AppendSeq([]string{"echo", "liar", "nowhere", "packed", "zipped"}, maps.Keys(own.Plugins))
	slices.Sort(names)
	for target, want := range map[string]string{
		"version": "version 9.9.9 of plugin `ts-proto` is not locked; the lock has: 2.7.2. Run: lockgen add ts-proto@9.9.9",
		"plugin":  "plugin `ts-protto` is not locked; the lock has: " + strings.Join(names, ", ") + ". Run: lockgen add ts-protto@2.7.2",
		"node":    "`node` is locked, but is not a protoc plugin",
		"both":    "`proto` has its own sources and dependencies",
		"none":    "`srcs` has no .proto file",
		"kind":    "`BUCK` is not a .proto file",
	} {
		t.Run("wrong "+target, func(t *testing.T) {
			p := p.On(t)
			expect(t, p.Fails("build", "//wrong:"+target), want)
		})
	}
	t.Run("a lock of a newer format", func(t *testing.T) {
		p := p.On(t)
		expect(t, p.Fails("targets", "//newer:"), "newer/BUCK", "plugins.lock.toml has schema 2, but this buck2-protobuf reads 1: use a newer buck2-protobuf")
	})
}

// testRulesSettings: what the rules pass on to fetch.
func testRulesSettings(t *testing.T, p *bucktest.Project, server *files) {
	t.Run("switches", func(t *testing.T) {
		p := p.On(t)
		got := p.Must("aquery", "all_actions(toolchains//:ts-proto)", "--output-attribute", "^cmd$",
			"-c", "buck2_protobuf.disable_package_managers=true", "-c", "buck2_protobuf.cache_dir=/some/where",
			"-c", "buck2_protobuf.node_manager=bun", "-c", "buck2_protobuf.wheel_manager=uv")
		expect(t, got, "--disable-package-managers, --node-manager, bun, --wheel-manager, uv, --cache-dir, /some/where]")
	})
	t.Run("registries", func(t *testing.T) {
		p := p.On(t)
		p.Fails("build", "//registry:unheard-of[1.0.0]")
		if got, want := server.take(), "GET /npm/unheard-of/-/unheard-of-1.0.0.tgz"; !slices.Contains(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
	})
	t.Run("mirrors", func(t *testing.T) {
		p := p.On(t)
		// Nothing is there, so the origin serves, by fetch and not by Buck2.
		p.Must("build", "//mirrored:echo[1.0.0]", "-c", "buck2_protobuf.cache_dir="+t.TempDir())
		got := server.take()
		if want := []string{"GET /mirror/v1/echo", "GET /v1/echo"}; !slices.Equal(got, want) {
			t.Errorf("requests %q, want %q", got, want)
		}
	})
}

// testRulesAgain: what a change builds again, and what it does not.
func testRulesAgain(t *testing.T, p *bucktest.Project, server *files) {
	t.Run("a comment of an imported file generates nothing anew", func(t *testing.T) {
		p := p.On(t)
		p.Build("//api:from_ts")
		for _, row := range []struct {
			name, add string
			again     bool
		}{
			{"comment", "// Nobody imports this.\n", false},
			{"message", "message Added {}\n", true},
		} {
			bucktest.Write(t, p.Dir, map[string]string{"api/a.proto": scratchProto + row.add})
			p.Build("//api:from_ts")
			ran := p.Must("log", "what-ran")
			expect(t, ran, "(protoc_descriptor old.bare.binpb)")
			if got := strings.Contains(ran, "(protoc_generate"); got != row.again {
				t.Errorf("%s: generated anew: %t, want %t\n%s", row.name, got, row.again, ran)
			}
		}
		bucktest.Write(t, p.Dir, map[string]string{"api/a.proto": scratchProto})
	})
	t.Run("another fetch generates nothing anew", func(t *testing.T) {
		p := p.On(t)
		p.Build("//api:old", "//api:from_ts")
		bucktest.Write(t, p.Dir, map[string]string{"pb/fetch/changed.go": "package main\n\nimport \"os\"\n\nfunc init() { os.Unsetenv(\"BUCK2_PROTOBUF_CHANGED\") }\n"})
		p.Build("//api:old", "//api:from_ts")
		ran := p.Must("log", "what-ran")
		expect(t, ran, "go_build", "fetch_plugin 1.0.0")
		if strings.Contains(ran, "(protoc_generate") || strings.Contains(ran, "(protoc_descriptor") {
			t.Errorf("protoc ran again:\n%s", ran)
		}
	})
	t.Run("a switch generates nothing anew", func(t *testing.T) {
		p := p.On(t)
		p.Build("//api:old", "//api:from_ts")
		p.Must("build", "//api:old", "//api:from_ts", "-c", "buck2_protobuf.disable_package_managers=true")
		ran := p.Must("log", "what-ran")
		expect(t, ran, "(fetch_plugin ")
		if strings.Contains(ran, "(protoc_generate") || strings.Contains(ran, "(protoc_descriptor") || strings.Contains(ran, "(go_build") {
			t.Errorf("more than fetch ran again:\n%s", ran)
		}
	})
	t.Run("a second build runs nothing", func(t *testing.T) {
		p := p.On(t)
		p.Build("//api:old", "//api:newest")
		if got := server.take(); slices.Contains(got, "GET /v1/echo") || slices.Contains(got, "GET /v2/echo") {
			t.Errorf("requests: %q", got)
		}
	})
}

func expect(t *testing.T, got string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func expectFile(t *testing.T, name, want string) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(data) != want {
		t.Errorf("%s holds %q, want %q", name, data, want)
	}
}

func readSet(t *testing.T, name string) *descriptorpb.FileDescriptorSet {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	return &set
}

// tree lists the files below a folder, slash-separated and sorted.
func tree(t *testing.T, dir string) []string {
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
			names = append(names, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// platformsBzl registers two execution platforms: remote executors of another
// platform first, then this machine.
const platformsBzl = `
def _platform(ctx, cpu, os, **kwargs):
    constraints = {}
    constraints.update(cpu[ConfigurationInfo].constraints)
    constraints.update(os[ConfigurationInfo].constraints)
    return ExecutionPlatformInfo(
        label = ctx.label.raw_target(),
        configuration = ConfigurationInfo(constraints = constraints, values = {}),
        executor_config = CommandExecutorConfig(**kwargs),
    )

def _impl(ctx):
    remote = _platform(
        ctx,
        ctx.attrs.foreign_cpu,
        ctx.attrs.foreign_os,
        local_enabled = False,
        remote_enabled = True,
        remote_execution_properties = {},
        remote_execution_use_case = "buck2-default",
    )
    local = _platform(ctx, ctx.attrs.cpu, ctx.attrs.os, local_enabled = True, remote_enabled = False)
    return [
        DefaultInfo(),
        PlatformInfo(label = str(ctx.label.raw_target()), configuration = remote.configuration),
        ExecutionPlatformRegistrationInfo(platforms = [remote, local]),
    ]

both = rule(impl = _impl, attrs = {name: attrs.dep(providers = [ConfigurationInfo]) for name in ["cpu", "foreign_cpu", "foreign_os", "os"]})
`

// elfMachine is e_machine of an ELF file, see the System V ABI.
var elfMachine = map[string]byte{"aarch64": 0xb7, "x86_64": 0x3e}

// foreignTo is a Linux of another cpu, or another system.
func foreignTo(host lock.Platform) lock.Platform {
	name := "linux-aarch64"
	if host.Name == name {
		name = "linux-x86_64"
	}
	p, _ := lock.LookupPlatform(name)
	return p
}

// executors are the files of a project whose code is generated on remote
// executors of another platform, and whose local ones are this machine's.
func executors(host, foreign lock.Platform) map[string]string {
	cpus := map[string]string{"aarch64": "arm64", "x86_64": "x86_64"} // Buck2's names
	return map[string]string{
		".buckconfig":        strings.Replace(scratchConfig, "execution_platforms = prelude//platforms:default", "execution_platforms = root//platforms:both", 1),
		"platforms/defs.bzl": platformsBzl,
		"platforms/BUCK": fmt.Sprintf(`
load(":defs.bzl", "both")

both(name = "both", cpu = "prelude//cpu:%s", os = "prelude//os:%s", foreign_cpu = "prelude//cpu:%s", foreign_os = "prelude//os:%s", visibility = ["PUBLIC"])
`, cpus[host.Arch], host.OS, cpus[foreign.Arch], foreign.OS),
	}
}

// Code is generated on remote executors of another platform; what they run is
// fetched here, by a fetch of this platform.
func TestForeignExecutors(t *testing.T) {
	host, ok := lock.Host()
	if !ok {
		t.Skip("the lock has no name for this machine")
	}
	foreign := foreignTo(host)
	files := executors(host, foreign)
	maps.Copy(files, map[string]string{
		"api/a.proto": scratchProto,
		"api/BUCK": `
load("@buck2-protobuf//rules:typescript.bzl", "typescript_proto_library")

typescript_proto_library(name = "a_ts", srcs = ["a.proto"], plugin = "ts-proto")
`,
	})
	p := scratch(t, "", files)
	got := p.Must("aquery", "deps(//api:a_ts)", "--output-attribute", "^cmd$")
	expect(t, got, "install, --entry", "--platform, "+foreign.Name)
	if strings.Contains(got, "--platform, "+host.Name) {
		t.Errorf("something is fetched for %s:\n%s", host.Name, got)
	}
	folder := p.Build("toolchains//:buf[1.75.0]", "--target-platforms", "root//platforms:both")[0]
	data, err := os.ReadFile(filepath.Join(folder, "buf_bin-1.75.0.data/scripts/buf"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(data, []byte("\x7fELF")) || data[18] != elfMachine[foreign.Arch] {
		t.Errorf("buf for %s begins with %x", foreign.Name, data[:20])
	}
}
