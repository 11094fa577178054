package prelude_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// protoPackage returns the lock's tables of a proto package that is an archive at a
// URL. Imports are the folders that each folder imports.
func protoPackage(t *testing.T, name, url string, files map[string]string, imports map[string][]string, deps ...string) string {
	t.Helper()
	body := fake.Zip(files)
	v := &lock.Version{
		Source: lock.HTTP, Trust: "first-use", Deps: deps, Folders: map[string]lock.Folder{}, Platforms: lock.EveryPlatform(lock.Cell{}),
		Files: map[string]lock.File{path.Base(url): {URL: url, Archive: "zip", SHA256: fmt.Sprintf("%x", sha256.Sum256(body)), Size: int64(len(body))}},
	}
	for file := range files {
		f := v.Folders[path.Dir(file)]
		f.Files, f.Imports = append(f.Files, path.Base(file)), imports[path.Dir(file)]
		slices.Sort(f.Files)
		v.Folders[path.Dir(file)] = f
	}
	file := filepath.Join(t.TempDir(), "package.zip")
	bucktest.Write(t, filepath.Dir(file), map[string]string{"package.zip": string(body)})
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	unpacked, err := kind.Unpack(t.Context(), in, "", v, path.Base(url), "")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := archive.TreeHash(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	v.Platforms = lock.EveryPlatform(lock.Cell{Tree: tree})
	return lock.Table(lock.ProtosPrefix+name, "1.0.0", v)
}

// A package of folders, of which d and e import each other, and one that imports it.
func basePackage(c string) (files map[string]string, imports map[string][]string) {
	text := func(name, body string, imports ...string) string {
		s := "syntax = \"proto3\";\npackage " + name + ";\n"
		for _, i := range imports {
			s += "import \"" + i + "\";\n"
		}
		return s + body + "\n"
	}
	return map[string]string{
			"top.proto":      text("top", "message Top {}"),
			"base/a/a.proto": text("base.a", "message A { google.protobuf.Timestamp at = 1; }", "google/protobuf/timestamp.proto"),
			"base/a/x.proto": text("base.a", "message X { A a = 1; }", "base/a/a.proto"),
			"base/b/b.proto": text("base.b", "message B { base.a.X x = 1; }", "base/a/x.proto"),
			"base/c/c.proto": text("base.c", c),
			"base/d/1.proto": text("base.d", "message One { base.e.Two two = 1; }", "base/e/2.proto"),
			"base/d/3.proto": text("base.d", "message Three {}"),
			"base/e/2.proto": text("base.e", "message Two { base.d.Three three = 1; }", "base/d/3.proto"),
		}, map[string][]string{
			"base/b": {"base/a"}, "base/d": {"base/e"}, "base/e": {"base/d"},
		}
}

// Packages are targets before anything of them is here, and come when a build needs
// one: that one, once.
func TestProtoPackages(t *testing.T) {
	testenv.Real(t, "needs protoc from its registry")
	acme := map[string]string{"acme/v1/acme.proto": "syntax = \"proto3\";\npackage acme.v1;\nimport \"base/b/b.proto\";\nmessage Acme { base.b.B b = 1; }\n"}
	old, imports := basePackage("message C {}")
	changed, _ := basePackage("message C { int32 new = 1; }")
	server := serve(t, map[string][]byte{"/base.zip": fake.Zip(old), "/base2.zip": fake.Zip(changed), "/acme.zip": fake.Zip(acme), "/unused.zip": fake.Zip(acme)})
	base := protoPackage(t, "base", server.URL+"/base.zip", old, imports)
	base2 := protoPackage(t, "base", server.URL+"/base2.zip", changed, imports)
	more := base + protoPackage(t, "acme", server.URL+"/acme.zip", acme, map[string][]string{"acme/v1": {"base/b"}}, "base") +
		protoPackage(t, "unused", server.URL+"/unused.zip", map[string]string{"unused/u.proto": acme["acme/v1/acme.proto"]}, map[string][]string{"unused": {"base/b"}}, "base")
	p := scratch(t, more, map[string]string{
		".buckconfig": scratchConfig + "[buck2_protobuf]\ncache_dir = " + t.TempDir() + "\n",
		"third-party/proto/BUCK": `
load("@buck2-protobuf//rules:proto.bzl", "proto_packages")
load("@root//:plugins.lock.toml", lock = "value")

proto_packages(lock = lock)
`,
		"api/a.proto": "syntax = \"proto3\";\npackage api;\nimport \"base/b/b.proto\";\nmessage Api { base.b.B b = 1; }\n",
		"api/b.proto": "syntax = \"proto3\";\npackage api;\nimport \"acme/v1/acme.proto\";\nimport \"api/a.proto\";\nimport \"base/d/1.proto\";\nimport \"top.proto\";\nmessage All { acme.v1.Acme acme = 1; Api api = 2; base.d.One one = 3; top.Top top = 4; }\n",
		"api/BUCK": `
load("@buck2-protobuf//rules:proto.bzl", "proto_library")
load("@buck2-protobuf//rules:python.bzl", "python_proto_library")

proto_library(name = "a_proto", srcs = ["a.proto"], deps = ["//third-party/proto:base[base/b]"])
python_proto_library(name = "a_py", proto = ":a_proto")
python_proto_library(name = "b_py", srcs = ["b.proto"], deps = [":a_proto", "//third-party/proto:acme", "//third-party/proto:base[.]", "//third-party/proto:base[base/d]"])
python_proto_library(name = "whole_py", srcs = ["b.proto"], deps = [":a_proto", "//third-party/proto:acme", "//third-party/proto:base"])
python_proto_library(name = "acme_py", proto = "//third-party/proto:acme")
python_proto_library(name = "base_py", proto = "//third-party/proto:base[base/a]", pyi = True)
proto_library(name = "missing_proto", srcs = ["a.proto"], deps = ["//third-party/proto:base[base/a]"])
`,
	})
	asked := func(want ...string) {
		t.Helper()
		if got := server.take(); !slices.Equal(got, want) {
			t.Errorf("asked for %q, want %q", got, want)
		}
	}
	has := func(target string, want ...string) {
		t.Helper()
		if got := tree(t, p.Build(target)[0]); !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", target, got, want)
		}
	}

	// Neither loading, nor analysis, nor a build of everything in the package needs one.
	p.Must("targets", "//...", "toolchains//...")
	p.Must("audit", "providers", "--quiet", "//...")
	p.Must("build", "//third-party/...", "toolchains//...")
	asked()

	// A target that imports one package asks for that package's one file.
	has("//api:a_py", "api/a_pb2.py")
	asked("GET /base.zip")
	has("//api:a_py[all]", "api/a_pb2.py", "base/a/a_pb2.py", "base/a/x_pb2.py", "base/b/b_pb2.py")
	has("//api:base_py", "base/a/a_pb2.py", "base/a/a_pb2.pyi", "base/a/x_pb2.py", "base/a/x_pb2.pyi")
	asked()
	all := []string{"acme/v1/acme_pb2.py", "api/a_pb2.py", "api/b_pb2.py", "base/a/a_pb2.py", "base/a/x_pb2.py", "base/b/b_pb2.py"}
	has("//api:b_py[all]", append(slices.Clone(all), "base/d/1_pb2.py", "base/d/3_pb2.py", "base/e/2_pb2.py", "top_pb2.py")...)
	asked("GET /acme.zip")
	has("//api:whole_py", "api/b_pb2.py")
	has("//api:whole_py[all]", append(slices.Clone(all), "base/c/c_pb2.py", "base/d/1_pb2.py", "base/d/3_pb2.py", "base/e/2_pb2.py", "top_pb2.py")...)
	has("//api:acme_py", "acme/v1/acme_pb2.py")
	has("//third-party/proto:base[base/a][sources]", "base/a/a.proto", "base/a/x.proto")
	if set := readSet(t, p.Build("//third-party/proto:acme[image]")[0]); len(set.File) != 5 {
		t.Errorf("the image of acme has %d files: %v", len(set.File), set.File)
	}
	asked()
	expect(t, p.Fails("build", "//api:missing_proto"), "api/a.proto", "base/b/b.proto", "was not found")

	// Another folder changes: the package comes anew, and nothing that imports it is made again.
	own := textOf(t, filepath.Join(p.Dir, lock.FileName))
	bucktest.Write(t, p.Dir, map[string]string{lock.FileName: strings.Replace(own, base, base2, 1)})
	has("//api:a_py[all]", "api/a_pb2.py", "base/a/a_pb2.py", "base/a/x_pb2.py", "base/b/b_pb2.py")
	asked("GET /base2.zip")
	ran := map[string]int{}
	for line := range strings.Lines(p.Must("log", "what-ran")) {
		action := line[strings.LastIndex(line[:strings.Index(line, ")\t")], "(")+1:] // TARGET (CONFIGURATION) (CATEGORY IDENTIFIER)
		ran[action[:strings.IndexAny(action, " )")]]++
	}
	if got := fmt.Sprint(ran); got != "map[fetch_plugin:1]" {
		t.Errorf("after a change in another folder it ran %s", got)
	}
	// What has the folder in it is made again.
	if set := textOf(t, p.Build("//third-party/proto:base[base/c]")[0]); !strings.Contains(set, "new") {
		t.Error("the changed folder is as it was")
	}

	// A toolchain of another lock has no package.
	bucktest.Write(t, p.Dir, map[string]string{
		"other/plugins.lock.toml": strings.TrimSuffix(own, more), "toolchains/BUCK": strings.Replace(scratchToolchain, "@root//:", "@root//other:", 1), "other/BUCK": "",
	})
	expect(t, p.Fails("build", "//api:a_py"), "base 1.0.0 is not in toolchains//:protobuf: pass the same lock to `protobuf_plugins` there")
}
