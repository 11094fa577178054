package prelude_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
)

// TestRuntimesMissing: a language that the buckconfig lists, and for which there is
// nothing, is told before anything runs, with what to do.
func TestRuntimesMissing(t *testing.T) {
	p := scratch(t, "", map[string]string{
		".buckconfig":               scratchConfig + "[buck2_protobuf]\nruntimes = cpp, typescript\n",
		"toolchains/BUCK":           compiledToolchains,
		"toolchains/java.bzl":       jdkToolchain,
		"toolchains/jar_builder.sh": jarBuilder,
		"api/a.proto":               "syntax = \"proto3\";\npackage api;\nmessage A { string name = 1; }\n",
		"api/BUCK": `
load("@buck2-protobuf//rules:cpp.bzl", "cpp_proto_library")
load("@buck2-protobuf//rules:typescript.bzl", "typescript_proto_library")

cpp_proto_library(name = "a_cpp", srcs = ["a.proto"])
typescript_proto_library(name = "a_ts", srcs = ["a.proto"], plugin = "protoc-gen-es")
`,
	})
	expect(t, p.Fails("build", "//api:a_cpp"), "generated C++ needs libprotobuf and abseil of the release of protoc", `runtimes = {"cpp": ["root//third-party:protobuf"]}`)
	expect(t, p.Fails("build", "//api:a_ts"), "the code of protoc-gen-es needs the library bufbuild-protobuf, which is not locked. Run: lockgen add runtimes/typescript/bufbuild-protobuf")
	// What the message says is what mends it.
	bucktest.Write(t, p.Dir, map[string]string{
		"toolchains/BUCK":      strings.Replace(compiledToolchains, "protobuf_plugins(lock = lock)", `protobuf_plugins(lock = lock, runtimes = {"cpp": ["root//third-party:protobuf"], "typescript": ["root//third-party:packages"]})`, 1),
		"third-party/BUCK":     "filegroup(name = \"packages\", srcs = {\"node_modules/mine/index.js\": \"index.js\"}, visibility = [\"PUBLIC\"])\nfilegroup(name = \"protobuf\", srcs = [], visibility = [\"PUBLIC\"])\n",
		"third-party/index.js": "1\n",
	})
	if got := p.Must("cquery", "deps(//api:a_cpp)"); !strings.Contains(got, "root//third-party:protobuf") {
		t.Errorf("the library depends on\n%s", got)
	}
	// A release of libprotobuf runs the code of that release of protoc alone.
	protoc := ownVersions(t, "protoc")["protoc"]
	for release, problem := range map[string]string{protoc: "", "21.11": "the libraries that toolchains/BUCK names for cpp are for the code of protoc 21.11, as its `fits` says, and not for that of protoc " + protoc} {
		bucktest.Write(t, p.Dir, map[string]string{
			"toolchains/BUCK": strings.Replace(compiledToolchains, "protobuf_plugins(lock = lock)", `protobuf_plugins(lock = lock, runtimes = {"cpp": ["root//third-party:protobuf"], "typescript": ["root//third-party:packages"]}, fits = {"cpp": ["protoc@`+release+`"]})`, 1),
		})
		if problem == "" {
			p.Must("audit", "providers", "//api:a_cpp[code]")
		} else {
			expect(t, p.Fails("audit", "providers", "//api:a_cpp[code]"), problem)
		}
	}
	expectFile(t, filepath.Join(p.Build("//api:a_ts[packages]")[0], "node_modules", "mine", "index.js"), "1\n")
}
