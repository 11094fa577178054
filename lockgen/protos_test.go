package main

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// proto is a .proto file that imports others.
func proto(imports ...string) string {
	text := "syntax = \"proto3\";\n"
	for _, i := range imports {
		text += "import \"" + i + "\";\n"
	}
	return text
}

// protos writes a manifest with proto packages.
func (p *place) protos(entries string) {
	p.manifest("\n[protos]\n" + entries)
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), "[registries]\n", "[registries]\ngo = \""+p.server.GoProxy()+"\"\n", 1))
}

// archive publishes an archive and returns an entry that takes it.
func (p *place) archive(name string, files map[string]string, more string) string {
	url := p.server.File("/"+name+"-1.0.0.tar.gz", fake.Tarball(name+"-1.0.0", files))
	url = strings.Replace(url, "-1.0.0", "-{version}", 1)
	if !strings.Contains(more, "root = ") {
		more += ", root = \"" + name + "-{version}\""
	}
	return name + " = { version = \"1.0.0\", source = \"" + url + "\"" + more + " }\n"
}

// folders is what the lock holds of the files of a package, as JSON.
func folders(v *lock.Version) string {
	data, _ := json.Marshal(v.Folders)
	return string(data)
}

// TestProtos: packages are locked as they are published, and know whom they import.
func TestProtos(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	base := p.archive("base", map[string]string{"proto/base/v1/base.proto": proto("google/protobuf/any.proto"), "README.md": "x", "test/x.proto": proto("nowhere.proto")}, `, root = "base-{version}/proto"`)
	acme := p.archive("acme", map[string]string{"acme/a.proto": proto("base/v1/base.proto", "acme/sub/b.proto"), "acme/sub/b.proto": proto(), "top.proto": proto(), "acme/internal/c.proto": proto("nowhere.proto")}, `, files = ["**", "!acme/internal/**"]`)
	p.protos(base + acme)
	p.fails(fault.Lock, nil, "check")
	p.ok("update", "--no-smoke")
	p.ok("check")
	text := p.read("plugins.lock.toml")
	l := p.locked()
	v := l.Plugins["protos/acme"]["1.0.0"]
	if v == nil || !slices.Equal(v.Deps, []string{"base"}) || folders(v) != `{".":{"files":["top.proto"]},"acme":{"files":["a.proto"],"imports":["acme/sub","base/v1"]},"acme/sub":{"files":["b.proto"]}}` || v.Root != "acme-1.0.0" || len(v.Only) != 2 || v.Trust != "first-use" {
		t.Fatalf("%+v\n%s", v, text)
	}
	if b := l.Plugins["protos/base"]["1.0.0"]; folders(b) != `{"base/v1":{"files":["base.proto"]}}` || b.Root != "base-1.0.0/proto" || b.Deps != nil {
		t.Errorf("%+v", b)
	}
	if !strings.Contains(text, "\n[protos.acme.\"1.0.0\"]\n") || strings.Count(text, "\nany = { tree = ") != 2 {
		t.Error(text)
	}
	// Nothing to do, and the same again.
	p.server.Forget()
	p.ok("update")
	p.ok("update", "--offline")
	if n := p.server.Count(""); n != 0 {
		t.Errorf("%d requests", n)
	}
	p.ok("update", "--all", "--no-smoke")
	p.ok("update", "--verify", "--no-smoke")
	if got := p.read("plugins.lock.toml"); got != text {
		t.Errorf("another lock:\n%s", got)
	}
	// Every reader knows them.
	for _, args := range [][]string{{"list"}, {"list", "--json"}, {"tree"}, {"tree", "protos/acme"}, {"report", "--html", p.path("report.html")}, {"sbom"}, {"explain", "protos/acme"}, {"explain", "protos/acme", "--json"}, {"textconv", p.path("plugins.lock.toml")}, {"check", "--upstream"}} {
		out, talk := p.ok(args...)
		if args[0] != "check" && args[0] != "report" && !strings.Contains(out+talk, "acme") {
			t.Errorf("%v says nothing of it:\n%s%s", args, out, talk)
		}
	}
	for _, tt := range []struct{ name, want string }{
		{"protos/acme", "root: acme-1.0.0\nimports: protos/base\nfolders:\n  . (1 file)\n  acme (1 file)\n  acme/sub (1 file)\n"},
		{"protos/base", "root: base-1.0.0/proto\nimported by: protos/acme\nfolders:\n  base/v1 (1 file)\n"},
	} {
		if out, _ := p.ok("explain", tt.name); !strings.Contains(out, tt.want) {
			t.Errorf("explain %s:\n%s", tt.name, out)
		}
	}
	if out, _ := p.ok("why", "protos/base"); !strings.Contains(out, "protos/base 1.0.0 is a proto package itself") {
		t.Errorf("why:\n%s", out)
	}
	// One that others import stays.
	p.fails(fault.Usage, []string{"imports files of base", "lockgen add protos/base"}, "remove", "protos/base")
	p.protos(acme)
	p.fails(fault.Usage, []string{"imports files of base"}, "update")
	p.protos(base + acme)
	p.ok("remove", "protos/acme")
	if got := p.read("plugins.lock.toml"); strings.Contains(got, "acme") || strings.Contains(p.read("plugins.toml"), "acme") {
		t.Error(got)
	}
	// Another selection is another lock.
	p.protos(strings.Replace(base, " }", ", files = [\"base/**\"] }", 1))
	p.fails(fault.Lock, []string{"files is none in the lock, but base/** in plugins.toml"}, "check")
	p.ok("update", "--no-smoke")
	p.ok("check")
	// Other bytes under the same version are an attack.
	p.archive("base", map[string]string{"proto/base/v1/base.proto": proto() + "// other\n"}, "")
	p.fails(fault.Integrity, []string{"SECURITY", "base-1.0.0.tar.gz"}, "update", "--verify", "--no-smoke")
}

// TestProtosRefused: what cannot be imported is not locked, and the message says what
// would be.
func TestProtosRefused(t *testing.T) {
	t.Parallel()
	files := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	many := map[string]string{}
	count := testenv.Count(20_001, 50_000)
	for i := range count {
		many[fmt.Sprintf("a%d/%d.proto", i/100, i)] = "//"
	}
	good := proto()
	for _, tt := range []struct {
		name  string
		files map[string]string
		more  string
		class fault.Class
		says  []string
	}{
		{"none", files("a.txt", "x"), "", fault.Usage, []string{"no .proto file"}},
		{"root", files("proto/a.proto", good), `, root = "x-1.0.0/protos"`, fault.Usage, []string{"no folder x-1.0.0/protos", "x-1.0.0/proto"}},
		{"files", files("acme/a.proto", good), `, files = ["acmee/**"]`, fault.Usage, []string{"acmee/**", "its folders are acme"}},
		{"missing", files("a.proto", proto("gone/b.proto"), "c.proto", proto("gone/b.proto")), "", fault.Usage, []string{`a.proto:2: imports "gone/b.proto", which is not in any package of [protos]`, `leave out what imports it: files = ["!a.proto", "!c.proto"] in [protos.x]`}},
		{"catalogue", files("a.proto", proto("google/api/annotations.proto")), "", fault.Usage, []string{"which is in googleapis", "lockgen add protos/googleapis"}},
		{"absolute", files("a.proto", proto("/etc/b.proto")), "", fault.Integrity, []string{"a.proto:2", "is absolute"}},
		{"above", files("a/a.proto", proto("../b.proto")), "", fault.Integrity, []string{"a/a.proto:2", "leaves the root"}},
		{"backslash", files("a/a.proto", proto(`a\\b.proto`)), "", fault.Integrity, []string{"backslash"}},
		{"root too deep", files("proto/a/b.proto", good, "proto/a/c.proto", proto("a/b.proto")), `, root = "x-1.0.0/proto/a"`, fault.Usage, []string{"outside of root", "shorten root"}},
		{"root too high", files("proto/a/b.proto", good, "proto/a/c.proto", proto("a/b.proto")), "", fault.Usage, []string{"proto/a/b.proto in the package", "add it to root"}},
		{"well-known", files("google/protobuf/any.proto", good), "", fault.Usage, []string{"well-known", `files = ["!google/protobuf/any.proto"]`}},
		{"well-known, more", files("google/protobuf/any.proto", good, "google/protobuf/api.proto", good, "a.proto", good, "b/internal.proto", good), `, files = ["**", "!b/*"]`, fault.Usage, []string{"any.proto and 1 more are well-known types", `files = ["**", "!b/*", "!google/protobuf/*"]`}},
		{"well-known, and others", files("google/protobuf/any.proto", good, "google/protobuf/api.proto", good, "google/protobuf/ours.proto", good), "", fault.Usage, []string{`files = ["!google/protobuf/any.proto", "!google/protobuf/api.proto"]`}},
		{"circle", files("a.proto", proto("b.proto"), "b.proto", proto("a.proto")), "", fault.Usage, []string{"a.proto -> b.proto -> a.proto"}},
		{"latin-1", files("a.proto", "syntax = \"proto3\"; // caf\xe9\n"), "", fault.Integrity, []string{"a.proto:1", "not UTF-8"}},
		{"UTF-16", files("a.proto", "\xff\xfes\x00"), "", fault.Integrity, []string{"a.proto:1", "UTF-16"}},
		{"syntax", files("a.proto", "syntax = \"proto3\";\nmesage X {}\n"), "", fault.Integrity, []string{"a.proto:2:1", `files = ["!a.proto"]`}},
		{"large", files("a.proto", strings.Repeat("// padding\n", 2<<20)), "", fault.Integrity, []string{"a.proto has", "more than the limit"}},
		{"many", many, "", fault.Integrity, []string{fmt.Sprintf("%d .proto files", count), "files = ["}},
		{"case", files("a/B.proto", good, "a/b.proto", good), "", fault.Integrity, []string{"case"}},
		{"two", files("base/b.proto", good), "", fault.Usage, []string{"base/b.proto is also in base"}},
		{"two, of a part", files("base/b.proto", good, "a/c.proto", good, "x.proto", good), `, files = ["**", "!x.proto"]`, fault.Usage, []string{"base/b.proto is also in base", `files = ["**", "!x.proto", "!base/b.proto"] in [protos.x]`}},
		{"missing, of a part", files("a.proto", proto("gone/b.proto"), "x.proto", good), `, files = ["**", "!x.proto"]`, fault.Usage, []string{`files = ["**", "!x.proto", "!a.proto"] in [protos.x]`}},
		{"two but for case", files("base/B.proto", good), "", fault.Usage, []string{"one file where case is ignored"}},
		{"other case", files("a.proto", proto("B.proto"), "b.proto", good), "", fault.Usage, []string{`imports "B.proto", which is not the same as "b.proto", which it has`, `files = ["!a.proto"]`}},
		{"space at the end", files("a.proto", proto("b.proto "), "b.proto", good), "", fault.Usage, []string{`imports "b.proto ", which is not the same as "b.proto"`}},
		{"composed letters", files("a.proto", proto("e\u0301.proto"), "\u00e9.proto", good), "", fault.Usage, []string{`which is not the same as "\u00e9.proto"`}},
		{"percent", files("a.proto", proto("a%20b.proto"), "a b.proto", good), "", fault.Usage, []string{`imports "a%20b.proto", which is not in any package`}},
		{"folder", files("a.proto", proto("b"), "b/c.proto", good), "", fault.Usage, []string{`imports "b", which is a folder`}},
		{"folder called .proto", files("a.proto", proto("b.proto"), "b.proto/c.proto", good), "", fault.Usage, []string{"which is a folder"}},
		{"weak", files("a.proto", "syntax = \"proto2\";\nimport weak \"gone.proto\";\n"), "", fault.Usage, []string{`a.proto:2: imports "gone.proto"`}},
		{"public", files("a.proto", "import public \"gone.proto\";\n"), "", fault.Usage, []string{`a.proto:1: imports "gone.proto"`}},
		{"option", files("a.proto", "edition = \"2024\";\nimport option \"gone.proto\";\n"), "", fault.Usage, []string{`a.proto:2: imports "gone.proto"`}},
		{"vendored", files("vendor/google/api/http.proto", good, "a.proto", proto("google/api/http.proto")), "", fault.Usage, []string{"which is vendor/google/api/http.proto in the package", "add it to root"}},
		{"well-known, of no protoc", files("a.proto", proto("google/protobuf/nothing.proto")), "", fault.Usage, []string{`imports "google/protobuf/nothing.proto"`}},
		{"itself", files("a.proto", proto("a.proto")), "", fault.Usage, []string{"a.proto -> a.proto"}},
		{"imported twice", files("a.proto", proto("b.proto", "b.proto"), "b.proto", good), "", fault.Integrity, []string{"a.proto:3:1", "a second time, after line 2"}},
		{"NUL", files("a.proto", good+"\x00"), "", fault.Integrity, []string{"a.proto:2:1", "NUL byte"}},
		{"name of Windows", files("con/a.proto", good), "", fault.Integrity, []string{"Windows does not allow"}},
		{"letters that are one", files("\u00e9.proto", good, "e\u0301.proto", good), "", fault.Integrity, []string{"collides"}},
		{"ending in capitals", files("a.PROTO", good), "", fault.Usage, []string{"no .proto file"}},
		{"root that is a file", files("a.proto", good), `, root = "x-1.0.0/a.proto"`, fault.Usage, []string{"no folder x-1.0.0/a.proto", "files are in x-1.0.0"}},
		{"deps", files("a.proto", proto("base/b.proto")), `, deps = []`, fault.Usage, []string{"is of base", `add "base" to deps`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			base := p.archive("base", files("base/b.proto", good), "")
			p.protos(base + p.archive("x", tt.files, tt.more))
			text := p.fails(tt.class, append(tt.says, "plugins.toml:", "nothing was written"), "update", "--no-smoke")
			if !strings.Contains(text, "hint: ") && !strings.Contains(text, "run: ") {
				t.Error(text)
			}
		})
	}
	// What protoc takes as well: a mark at the beginning, lines of Windows, no line at
	// all, each kind of import, and letters that are not ASCII.
	p := newPlace(t)
	p.protos(p.archive("x", files("a.proto", "\xef\xbb\xbf"+good, "crlf.proto", strings.ReplaceAll(proto("a.proto"), "\n", "\r\n"), "empty.proto", "",
		"kinds.proto", "edition = \"2024\";\nimport public \"a.proto\";\nimport option \"empty.proto\";\n",
		"\u00fc/a%20 b.proto", proto("a.proto", "google/protobuf/go_features.proto"), "u.proto", proto("\u00fc/a%20 b.proto")), ""))
	p.ok("update", "--no-smoke")
	p.ok("check")
	// Packages that need each other.
	p.protos(p.archive("x", files("x/a.proto", proto("y/b.proto"), "x/c.proto", good), "") + p.archive("y", files("y/b.proto", proto("x/c.proto")), ""))
	p.remove("plugins.lock.toml")
	p.fails(fault.Usage, []string{"x -> y -> x"}, "update", "--no-smoke")
	p.protos("nowhere = \"1\"\n")
	p.fails(fault.Usage, []string{`no known proto package "nowhere"`, "source"}, "update")
	p.protos("googleapi = \"1\"\n")
	p.fails(fault.Usage, []string{"did you mean googleapis?"}, "update")
}

// TestProtosLinks: a link to a file of the archive is that file, also to one that is
// not in the package; it leads nowhere else.
func TestProtosLinks(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	good := entry{name: "x/proto/a.proto", body: proto(), mode: 0o644}
	link := func(to string) []byte {
		return gzipped(tarOf(good, entry{name: "x/other/b.proto", body: proto("google/protobuf/any.proto"), mode: 0o644}, entry{name: "x/proto/link.proto", link: to, kind: tar.TypeSymlink, mode: 0o777}))
	}
	lock := func(to string) {
		p.protos("x = { version = \"1\", source = \"" + strings.Replace(p.server.File("/x-1.tar.gz", link(to)), "-1.", "-{version}.", 1) + "\", root = \"x/proto\" }\n")
	}
	for _, to := range []string{"a.proto", "../other/b.proto"} {
		lock(to)
		p.cache = t.TempDir()
		p.remove("plugins.lock.toml")
		p.ok("update", "--no-smoke")
		if got := folders(p.locked().Plugins["protos/x"]["1"]); got != `{".":{"files":["a.proto","link.proto"]}}` {
			t.Errorf("%s: %s", to, got)
		}
	}
	for to, says := range map[string]string{"../../../etc/passwd": "leads out of the archive", "/etc/passwd": "leads out of the archive", "gone.proto": "gone.proto", "link.proto": "link.proto", "../other": "can only have files"} {
		lock(to)
		p.cache = t.TempDir()
		p.remove("plugins.lock.toml")
		p.fails(fault.Integrity, []string{says, "nothing was written"}, "update", "--no-smoke")
	}
}

// TestProtosKinds: every kind of source that has archives gives the same tree.
func TestProtosKinds(t *testing.T) {
	needPip(t)
	needNPM(t)
	p, o := newPlace(t), fake.NewOCI(t, "")
	p.docker()
	p.setenv("GOENV", "off")
	p.setenv("GOPROXY", "off")
	p.setenv("GOPRIVATE", "")
	p.setenv("GONOSUMDB", "")
	p.setenv("GOSUMDB", p.server.SumDB())
	p.setenv("GOFLAGS", "-modcacherw")
	files := map[string]string{"acme/v1/a.proto": proto("google/protobuf/empty.proto"), "acme/b.proto": proto("acme/v1/a.proto"), "notes.txt": "x"}
	o.Manifest("v1.0.0", o.Blob("application/gzip", "acme-1.0.0.tar.gz", fake.Tarball("", files)))
	p.server.Wheel(fake.Wheel{Name: "acme-protos", Version: "1.0.0", Files: files})
	p.server.Wheel(fake.Wheel{Name: "acme-protos", Version: "1.1.0", Files: files})
	p.server.Package(fake.Package{Name: "@acme/protos", Version: "1.0.0", Files: files})
	p.server.Module(fake.Module{Path: "example.com/Acme", Version: "v1.0.0", Files: files})
	p.server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "protos", Version: "1.0.0", Files: map[string][]byte{".jar": fake.Zip(files)}})
	tree := ""
	for _, tt := range []struct{ source, kind, trust string }{
		{"oci://" + strings.TrimPrefix(o.URL, "http://") + "/" + o.Repo + ":v{version}", lock.OCI, "registry"},
		{"pip:acme-protos", lock.Pip, "registry"},
		{"npm:@acme/protos", lock.NPM, "registry"},
		{"go:example.com/Acme", lock.Go, "transparency-log"},
		{"maven:com.acme:protos", lock.Maven, "checksum-file"},
	} {
		p.remove("plugins.lock.toml")
		p.protos(fmt.Sprintf("acme = { version = \"1.0.0\", source = %q }\n", tt.source))
		p.ok("update", "--no-smoke")
		p.ok("check")
		text := p.read("plugins.lock.toml")
		v := p.locked().Plugins["protos/acme"]["1.0.0"]
		if v == nil || v.Source != tt.kind || len(v.Files) != 1 || slices.Sorted(maps.Keys(v.Folders))[1] != "acme/v1" || len(v.Folders) != 2 {
			t.Fatalf("%s: %s", tt.source, text)
		}
		if v.Trust != tt.trust && tt.kind != lock.Go {
			t.Errorf("%s: trust %s", tt.source, v.Trust)
		}
		got := v.Platforms["linux-x86_64"].Tree
		if tree == "" {
			tree = got
		}
		if got != tree {
			t.Errorf("%s: tree %s, want %s", tt.source, got, tree)
		}
		p.ok("update", "--verify", "--no-smoke")
		if after := p.read("plugins.lock.toml"); after != text {
			t.Errorf("%s: %s", tt.source, after)
		}
		p.protos(fmt.Sprintf("acme = { version = \"1.9.0\", source = %q }\n", tt.source))
		p.fails(fault.Upstream, []string{"1.9.0"}, "update", "--no-smoke")
	}
	// add finds the newest version; a known package needs no more than its name.
	p.server.Wheel(fake.Wheel{Name: "googleapis-common-protos", Version: "1.70.0", Files: map[string]string{"google/api/http.proto": proto()}})
	p.server.Wheel(fake.Wheel{Name: "googleapis-common-protos", Version: "1.71.0", Files: map[string]string{"google/api/http.proto": proto()}})
	p.ok("add", "protos/googleapis", "--no-smoke")
	if p.locked().Plugins["protos/googleapis"]["1.71.0"] == nil || !strings.Contains(p.read("plugins.toml"), "googleapis = \"1.71.0\"\n") {
		t.Error(p.read("plugins.toml"))
	}
	p.ok("add", "protos/googleapis@1.70.0", "--no-smoke")
	if l := p.locked(); l.Plugins["protos/googleapis"]["1.70.0"] == nil || len(l.Plugins["protos/googleapis"]) != 1 {
		t.Error(p.read("plugins.toml"))
	}
	p.ok("upgrade", "--latest", "protos/googleapis", "--no-smoke")
	p.ok("outdated")
	p.fails(fault.Usage, []string{"did you mean googleapis?"}, "add", "protos/googleapi")
	p.remove("plugins.lock.toml")
	p.protos("acme = { version = \"^1\", source = \"pip:acme-protos\" }\n")
	p.ok("update", "--no-smoke")
	if p.locked().Plugins["protos/acme"]["1.1.0"] == nil {
		t.Error(p.read("plugins.lock.toml"))
	}
}

// TestProtosOfCrate: a crate may be a proto package; nothing of it is compiled, and
// what it depends on is not downloaded.
func TestProtosOfCrate(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts cargo many times; TestCargo and the conformance suite have the usual way")
	p, _ := newCargoPlace(t)
	fetch := fetchProgram(t)
	files := map[string]string{"proto/acme/v1/a.proto": proto("google/protobuf/empty.proto"), "build.rs": mainFile, "src/main.rs": mainFile}
	for _, version := range []string{"1.0.0", "1.1.0"} {
		p.server.Crate(fake.Crate{Name: "acme-protos", Version: version, Files: files, Deps: []fake.CrateDep{{Name: "nowhere", Req: "^1"}}})
	}
	p.server.Crate(fake.Crate{Name: "acme-protos", Version: "1.2.0", Files: files, Yanked: true})
	entry := func(version string) {
		p.cargoManifest("[plugins]\n\n[protos.acme]\nversion = \"" + version + "\"\nsource = \"cargo:acme-protos\"\nroot = \"proto\"\n")
	}
	entry("1.0.0")
	p.ok("update", "--no-smoke")
	p.ok("check")
	text := p.read("plugins.lock.toml")
	v := p.locked().Plugins["protos/acme"]["1.0.0"]
	if v == nil || v.Source != lock.Cargo || v.Trust != "registry" || len(v.Files) != 1 || folders(v) != `{"acme/v1":{"files":["a.proto"]}}` || v.Platforms["linux-x86_64"].Tree == "" {
		t.Fatalf("%+v\n%s", v, text)
	}
	p.ok("update", "--verify", "--no-smoke")
	if after := p.read("plugins.lock.toml"); after != text {
		t.Error(after)
	}
	for _, args := range [][]string{{"check", "--upstream"}, {"tree", "protos/acme"}, {"list"}, {"explain", "protos/acme", "--upstream"}} {
		if out, talk := p.ok(args...); strings.Contains(out, " cargo\n") || args[0] != "check" && !strings.Contains(out, "acme-protos") {
			t.Errorf("%v:\n%s%s", args, out, talk)
		}
	}
	if out, _ := p.ok("sbom"); !strings.Contains(out, "pkg:cargo/acme-protos@1.0.0") {
		t.Errorf("sbom:\n%s", out)
	}
	if out, _ := p.ok("outdated"); !strings.Contains(out, "protos/acme  1.0.0   1.0.0    1.1.0") {
		t.Errorf("outdated:\n%s", out)
	}
	entry("1.2.0")
	p.fails(fault.Policy, []string{"yanked crate acme-protos 1.2.0"}, "update", "--no-smoke")
	entry("1.9.0")
	p.fails(fault.Upstream, []string{"1.9.0"}, "update", "--no-smoke")
	entry(">=1")
	p.remove("plugins.lock.toml")
	p.ok("update", "--no-smoke")
	if p.locked().Plugins["protos/acme"]["1.1.0"] == nil {
		t.Error(p.read("plugins.lock.toml"))
	}
	p.ok("mirror", "--to", "oci-layout:"+p.path("mirror"), "--trees")
	for _, args := range [][]string{{"protos"}, {"protos", "--out", "again", "--offline", "--from", "oci-layout:mirror"}, {"env", "protos/acme", "--offline", "--from", "oci-layout:mirror"}} {
		cmd := exec.Command(fetch, args...)
		cmd.Dir = p.dir
		cmd.Env = append(p.environ(), "BUCK2_PROTOBUF_CACHE_DIR="+t.TempDir())
		if slices.Contains(args, "--offline") {
			cmd.Env = append(cmd.Env, "PATH=/none") // no cargo, and no need of one
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("fetch %v: %v\n%s", args, err, out)
		}
	}
	if p.read("protos/acme/v1/a.proto") == "" || p.read("again/acme/v1/a.proto") != p.read("protos/acme/v1/a.proto") {
		t.Error("fetch protos made no such file")
	}
}

// newFetchProtos locks proto packages, and makes a mirror of them. It returns a run of
// fetch with an empty cache.
func newFetchProtos(t *testing.T) (*place, func(args ...string) (out string, status int)) {
	t.Helper()
	fetch := fetchProgram(t)
	p := newPlace(t)
	p.protos(p.archive("base", map[string]string{"base/b.proto": proto()}, "") + p.archive("acme", map[string]string{"acme/a.proto": proto("base/b.proto"), "README": "x"}, "") + p.archive("other", map[string]string{"other/o.proto": proto()}, ""))
	p.ok("update", "--no-smoke")
	p.ok("mirror", "--to", "oci-layout:"+p.path("mirror"))
	return p, func(args ...string) (string, int) {
		cmd := exec.Command(fetch, args...)
		cmd.Dir = p.dir
		cmd.Env = append(p.environ(), "BUCK2_PROTOBUF_CACHE_DIR="+t.TempDir())
		out, _ := cmd.CombinedOutput()
		return string(out), cmd.ProcessState.ExitCode()
	}
}

// TestProtosFetch: fetch protos makes a folder with what a package imports, also from
// a mirror alone, and touches nothing that a person changed.
func TestProtosFetch(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it runs both programs many times")
	p, run := newFetchProtos(t)
	p.server.Forget()
	if out, status := run("protos", "--dry-run", "acme"); status != 0 || !strings.HasSuffix(out, "fetch: would create protos with acme 1.0.0, base 1.0.0; nothing was written\n") || p.server.Count("") != 0 {
		t.Errorf("%d %s", status, out)
	}
	if _, err := os.Stat(p.path("protos")); !os.IsNotExist(err) {
		t.Errorf("--dry-run made a folder: %v", err)
	}
	if out, status := run("protos"); status != 0 || !strings.Contains(out, "without the well-known types") {
		t.Fatalf("%d %s", status, out)
	}
	if out, status := run("protos", "--dry-run", "--json"); status != 0 || !strings.Contains(out, `"dry_run": true`) || !strings.Contains(out, `"name": "other"`) {
		t.Errorf("%d %s", status, out)
	}
	for _, name := range []string{"base/b.proto", "acme/a.proto", "other/o.proto"} {
		if p.read("protos/"+name) == "" {
			t.Errorf("no %s", name)
		}
	}
	p.server.Forget()
	if out, status := run("protos", "acme", "--out", "third/protos", "--from", "oci-layout:mirror", "--offline"); status != 0 || !strings.HasSuffix(out, "third/protos\n") {
		t.Fatalf("%d %s", status, out)
	}
	if p.server.Count("") != 0 {
		t.Error("it asked the server")
	}
	if p.read("third/protos/base/b.proto") == "" || p.read("third/protos/acme/a.proto") != proto("base/b.proto") || p.read("third/protos/other/o.proto") != "" || p.read("third/protos/README") != "" {
		t.Error("other files")
	}
	p.write("third/protos/acme/a.proto", "mine")
	for _, tt := range []struct {
		args   []string
		status int
		says   string
	}{
		{[]string{"protos", "acme", "--out", "third/protos"}, 7, "was changed"},
		{[]string{"protos", "--out", "third"}, 7, "is not empty"},
		{[]string{"protos", "acmee"}, 2, "did you mean acme?"},
		{[]string{"get", "protos/acme"}, 2, "fetch protos acme"},
		{[]string{"protos"}, 0, "protos\n"}, // replaces its own
	} {
		if out, status := run(tt.args...); status != tt.status || !strings.Contains(out, tt.says) {
			t.Errorf("%v: %d %s", tt.args, status, out)
		}
	}
	if p.read("third/protos/acme/a.proto") != "mine" {
		t.Error("it overwrote what a person wrote")
	}
}

// TestProtosFetchPart: a mirror of one package has what it imports, as a mirror of a bundle
// with it.
func TestProtosFetchPart(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it runs both programs many times")
	p, run := newFetchProtos(t)
	p.write("plugins.toml", p.read("plugins.toml")+"\n[bundles]\nours = [\"protos/acme\"]\n")
	for i, args := range [][]string{{"protos/acme"}, {"--bundle", "ours"}} {
		to := fmt.Sprintf("oci-layout:%s%d", p.path("part"), i)
		p.ok(append([]string{"mirror", "--to", to}, args...)...)
		for _, args := range [][]string{{"protos", "acme", "--out", fmt.Sprintf("part%d.protos", i)}, {"env", "protos/acme"}, {"env", "--bundle", "ours"}, {"bundle", "ours"}} {
			if out, status := run(append(args, "--from", to, "--offline")...); status != 0 || args[0] != "protos" && strings.Count(out, "/trees/") != 2 {
				t.Errorf("%v from %s: %d %s", args, to, status, out)
			}
		}
		if out, status := run("protos", "other", "--out", "no", "--from", to, "--offline"); status == 0 {
			t.Errorf("a mirror of acme has other: %s", out)
		}
	}
	manifest := p.read("plugins.toml")
	p.write("plugins.toml", strings.Replace(manifest, "[bundles]\nours = [\"protos/acme\"]\n", "", 1)) // the place has the bundle
	if out, status := run("bundle", "ours", "--from", "oci-layout:"+p.path("part1"), "--offline", "--shell", "sh"); status != 0 || strings.Count(out, "/trees/") != 2 || !strings.Contains(out, "export PROTO_PATH='") {
		t.Errorf("%d %s", status, out)
	}
}

// TestProtosCloudEvents: what is known by a URL is locked from the archive there, in a
// version that is written.
func TestProtosCloudEvents(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.protos("")
	p.server.File("/github/cloudevents/spec/archive/refs/tags/v1.0.2.tar.gz", fake.Tarball("spec-1.0.2", map[string]string{"cloudevents/formats/cloudevents.proto": proto("google/protobuf/any.proto"), "cloudevents/spec.md": "x"}))
	p.fails(fault.Usage, []string{"lockgen add protos/cloudevents@1.2.3"}, "add", "--no-smoke", "protos/cloudevents")
	p.ok("add", "--no-smoke", "protos/cloudevents@1.0.2")
	v := p.locked().Plugins["protos/cloudevents"]["1.0.2"]
	if v == nil || folders(v) != `{".":{"files":["cloudevents.proto"]}}` || v.Files["v1.0.2.tar.gz"].URL != "https://github.com/cloudevents/spec/archive/refs/tags/v1.0.2.tar.gz" {
		t.Errorf("%+v\n%s", v, p.read("plugins.lock.toml"))
	}
}

// readingProtoc is a protoc that finds files in folders, and refuses those that say so.
const readingProtoc = `#!/bin/sh
if [ "$1" = --version ]; then echo libprotoc 1; exit 0; fi
folders=
while read -r line; do
  case $line in
  -I*) folders="$folders ${line#-I}" ;;
  --*) ;;
  *)
    for dir in $folders; do
      if [ -f "$dir/$line" ]; then
        while read -r text; do
          case $text in *refuse*) echo "$line:2:1: Expected something else." >&2; exit 1 ;; esac
        done < "$dir/$line"
        continue 2
      fi
    done
    echo "$line: File not found." >&2
    exit 1 ;;
  esac
done < "${1#@}"
`

// TestProtosRead: the locked protoc reads every file of every package, with those that
// it imports; what it refuses is not locked.
func TestProtosRead(t *testing.T) {
	t.Parallel()
	host, ok := lock.Host()
	if !ok || runtime.GOOS == "windows" {
		t.Skip("the protoc of this test is a shell script")
	}
	for _, tt := range []struct {
		name, protoc string // entry of the protoc, "" for none
		text         string // of a file that imports another package
		class        fault.Class
		says         []string
	}{
		{"good", readingProtoc, "", fault.OK, nil},
		{"refused", readingProtoc, "// refuse\n", fault.Integrity, []string{"protos/acme 1.0.0: protoc 1.0 does not read it", "acme/v1/a.proto:2:1: Expected something else.", "the same command with --no-smoke", "nothing was written"}},
		{"no protoc", "", "// refuse\n", fault.OK, []string{"no protoc is locked that runs here", "run: lockgen add protoc"}},
	} {
		p := newPlace(t)
		entries := p.archive("base", map[string]string{"base/b.proto": proto()}, "") + p.archive("acme", map[string]string{"acme/v1/a.proto": proto("base/b.proto") + tt.text, "acme/v1/c.proto": proto("acme/v1/a.proto")}, "")
		text := "platforms = [\"" + host.Name + "\"]\n[plugins]\n"
		if tt.protoc != "" {
			text += "protoc = { version = \"1.0\", source = \"" + p.server.File("/protoc", []byte(tt.protoc)) + "\", binary = \"protoc\" }\n"
		}
		p.write("plugins.toml", text+"[protos]\n"+entries)
		if tt.class != fault.OK {
			p.fails(tt.class, tt.says, "update")
			p.ok("update", "--no-smoke")
			continue
		}
		_, talk := p.ok("update")
		for _, word := range tt.says {
			if !strings.Contains(talk, word) {
				t.Errorf("%s: no %q in\n%s", tt.name, word, talk)
			}
		}
		if tt.says == nil && strings.Contains(talk, "none has read") {
			t.Errorf("%s:\n%s", tt.name, talk)
		}
	}
	if !testenv.Full() {
		return
	}
	p := newPlace(t)
	for text, says := range map[string]string{
		"message A { nothing b = 1; }\n":                                     `: a.proto:2:13: "nothing" is not defined`,
		"message A { int32 b = 1; int32 c = 1; }\n":                          ": a.proto:2:36: Field number 1 has already been used",
		"option (nowhere) = true;\n":                                         ": a.proto:2:8: Option \"(nowhere)\" unknown",
		strings.Repeat("message A {", 200) + strings.Repeat("}", 200) + "\n": ": a.proto:3:1: Reached end of input",
	} {
		p.write("plugins.toml", "platforms = [\""+host.Name+"\"]\n[plugins]\nprotoc = \"36.2\"\n[policy]\nminimum-release-age = \"0d\"\n[protos]\n"+p.archive("acme", map[string]string{"a.proto": proto() + text}, ""))
		p.cache = t.TempDir()
		p.fails(fault.Integrity, []string{"protoc 36.2 does not read it", says}, "update")
	}
}

// TestProtosKnown locks the newest version of each proto package that is known by
// name from its real source, and protoc compiles a file that imports it.
func TestProtosKnown(t *testing.T) {
	if !testenv.Full() {
		t.Skip("it asks the real registries; run it with BUCK2_PROTOBUF_TEST=full")
	}
	host, ok := lock.Host()
	if !ok {
		t.Skip("no plugin is locked for this machine")
	}
	needs := map[string][]string{
		"envoy": {"client-model", "googleapis", "opentelemetry@1.11.0-alpha", "protoc-gen-validate", "xds"}, "xds": {"googleapis", "protoc-gen-validate"},
	}
	uses := map[string]string{
		"envoy": "envoy/service/discovery/v3/ads.proto", "xds": "xds/type/matcher/v3/cel.proto",
		"client-model": "io/prometheus/client/metrics.proto", "gnostic": "openapiv3/annotations.proto", "googleapis": "google/api/annotations.proto",
		"google-common-protos": "google/shopping/type/types.proto", "grpc": "grpc/health/v1/health.proto", "grpc-gateway": "protoc-gen-openapiv2/options/annotations.proto",
		"opentelemetry": "opentelemetry/proto/collector/trace/v1/trace_service.proto", "protoc-gen-validate": "validate/validate.proto", "protovalidate": "buf/validate/validate.proto",
	}
	fetch, cache := fetchProgram(t), t.TempDir()
	for _, name := range catalog.Builtin().ProtosNames() {
		p := newPlace(t)
		p.cache = cache
		if uses[name] == "" && name != "cloudevents" { // of no registry: see TestProtosCloudEvents
			t.Errorf("%s: no file that imports it", name)
		}
		if uses[name] == "" {
			continue
		}
		p.write("plugins.toml", "platforms = [\""+host.Name+"\"]\n\n[plugins]\nprotoc = \"30.2\"\n\n[policy]\nminimum-release-age = \"0d\"\n")
		specs := []string{"add"}
		for _, name := range append(slices.Clone(needs[name]), name) {
			if name == "opentelemetry" { // all of its versions are called alpha, which a person has to write
				name += "@1.11.0-alpha"
			}
			specs = append(specs, "protos/"+name)
		}
		p.ok(specs...)
		p.write("use.proto", proto(uses[name]))
		run := func(args ...string) {
			cmd := exec.Command(fetch, args...)
			cmd.Dir = p.dir
			cmd.Env = append(p.environ(), "BUCK2_PROTOBUF_CACHE_DIR="+cache)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: fetch %v: %v\n%s", name, args, err, out)
			}
		}
		run("protos")
		run("run", "protoc", "-I.", "-Iprotos", "--include_imports", "--descriptor_set_out=use.binpb", "use.proto")
		for version, v := range p.locked().Plugins["protos/"+name] {
			t.Logf("%s %s: %d folders, trust %s", name, version, len(v.Folders), v.Trust)
		}
	}
}

// deep writes a file, and the folders of it.
func (p *place) deep(name, text string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(p.path(name)), 0o755); err != nil {
		p.t.Fatal(err)
	}
	p.write(name, text)
}

// TestProtosBuckify: imports of locked packages become deps by folder, and the BUCK
// file that declares the packages is written once.
func TestProtosBuckify(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	links, err := filepath.EvalSymlinks(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	p.dir = links
	base := p.archive("base", map[string]string{"base/v1/base.proto": proto(), "odd @/x.proto": proto(), "top.proto": proto()}, "")
	p.protos(base)
	p.write(".buckconfig", "[cells]\n  main = .\n  other = cells/other\n")
	p.deep("api/v1/a.proto", proto("base/v1/base.proto", "top.proto", "odd @/x.proto"))
	p.fails(fault.Lock, []string{"plugins.lock.toml does not exist", "run: lockgen update"}, "buckify", p.dir)
	p.ok("update", "--no-smoke")
	p.ok("buckify", p.dir)
	p.ok("buckify", "--check", p.dir)
	if got, want := p.read("third-party/proto/BUCK"), "load(\"@buck2-protobuf//rules:proto.bzl\", \"proto_packages\")\nload(\"//:plugins.lock.toml\", lock = \"value\")\n\nproto_packages(lock = lock)\n"; got != want {
		t.Errorf("third-party/proto/BUCK:\n%s", got)
	}
	deps := "    deps = [\n        \"//third-party/proto:base\",\n        \"//third-party/proto:base[.]\",\n        \"//third-party/proto:base[base/v1]\",\n    ],\n"
	if got := p.read("api/v1/BUCK"); !strings.Contains(got, deps) {
		t.Errorf("api/v1/BUCK:\n%s", got)
	}
	// Another cell loads the lock from this one; what it is told to use elsewhere it does not write.
	p.deep("cells/other/.buckconfig", "[cells]\n  other = .\n")
	p.deep("cells/other/b.proto", proto("base/v1/base.proto"))
	p.ok("buckify", p.path("cells/other"))
	if got := p.read("cells/other/third-party/proto/BUCK"); !strings.Contains(got, `load("@main//:plugins.lock.toml", lock = "value")`) {
		t.Errorf("cells/other/third-party/proto/BUCK:\n%s", got)
	}
	p.remove("cells/other/third-party/proto/BUCK")
	manifest := p.read("plugins.toml")
	p.write("plugins.toml", manifest+"\n[buckify]\npackages = \"main//third-party/proto\"\n")
	p.ok("buckify", p.path("cells/other"))
	if got := p.read("cells/other/BUCK"); !strings.Contains(got, `deps = ["main//third-party/proto:base[base/v1]"]`) {
		t.Errorf("cells/other/BUCK:\n%s", got)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "cells/other/third-party/proto/BUCK")); err == nil {
		t.Error("it wrote a BUCK file that is not used")
	}
	// What is not locked: known by name, and in plugins.toml.
	p.deep("api/v1/a.proto", proto("google/api/annotations.proto"))
	p.fails(fault.Usage, []string{"api/v1/a.proto:2: imports \"google/api/annotations.proto\"", "proto package that is not locked", "run: lockgen add protos/googleapis"}, "buckify", p.dir)
	p.write("plugins.toml", strings.Replace(manifest, "[protos]\n", "[protos]\ngoogleapis = \"1.76.0\"\n", 1))
	p.fails(fault.Usage, []string{"run: lockgen update"}, "buckify", p.dir)
}

// TestProtosOfPlugin: a plugin and two proto packages may be of one module, locked in
// one run, and each has what the checksum database knows of it.
func TestProtosOfPlugin(t *testing.T) {
	t.Parallel()
	p, version := newGoPlace(t)
	files := maps.Clone(goPlugin.Files)
	files["one/one.proto"], files["two/two.proto"] = proto("google/protobuf/any.proto"), proto("one/one.proto")
	p.server.Module(fake.Module{Path: "example.com/Plug", Version: "v1.2.0", Files: files})
	entries := "go = \"" + version + "\"\n" + strings.Replace(plug("protoc-gen-plug", ""), "1.0.0", "1.2.0", 1) +
		"[protos]\none = { version = \"1.2.0\", source = \"go:example.com/Plug\", files = [\"one/*\"] }\ntwo = { version = \"1.2.0\", source = \"go:example.com/Plug\", files = [\"two/*\"] }\n"
	p.goManifest(entries)
	p.ok("update", "--no-smoke")
	p.ok("check")
	l := p.locked()
	const key = "example.com/!plug@v1.2.0.zip"
	want := l.Plugins["protoc-gen-plug"]["1.2.0"].Files[key]
	for _, name := range []string{"protos/one", "protos/two"} {
		if got := l.Plugins[name]["1.2.0"].Files[key]; got.Integrity == "" || got.GoMod == "" || got.SHA256 != want.SHA256 || got.Integrity != want.Integrity || got.GoMod != want.GoMod {
			t.Errorf("%s has %+v, the plugin %+v", name, got, want)
		}
	}
}

// TestProtosPolicy: what [policy] says of packages holds for those of .proto files, and
// the commands that speak of packages know them.
func TestProtosPolicy(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	now := time.Now()
	p.now = now
	files := map[string]string{"acme/a.proto": proto()}
	for version, age := range map[string]time.Duration{"1.0.0": 400 * time.Hour, "1.1.0": 2 * time.Hour} {
		p.server.Package(fake.Package{Name: "@acme/protos", Version: version, Files: files, Released: now.Add(-age)})
	}
	entry := "acme = { version = \"1\", source = \"npm:@acme/protos\" }\n"
	policy := func(keys string) {
		p.protos(strings.Replace(entry, "\"1\"", "\">=1\"", 1))
		p.write("plugins.toml", p.read("plugins.toml")+"\n[policy]\n"+keys+"\n")
	}
	policy("allow = [\"npm:ts-proto\"]")
	p.fails(fault.Policy, []string{"protos/acme", "npm:@acme/protos", "allow"}, "update", "--no-smoke")
	policy("allow = [\"npm:@acme/*\"]\nminimum-release-age = \"7d\"")
	p.ok("update", "--no-smoke")
	if v := p.locked().Plugins["protos/acme"]; v["1.0.0"] == nil {
		t.Errorf("it locked a version of two hours: %v", v)
	}
	p.ok("check")
	out, talk := p.ok("why", "@acme/protos")
	if !strings.Contains(out+talk, "protos/acme 1.0.0") {
		t.Errorf("why:\n%s%s", out, talk)
	}
	out, _ = p.ok("sbom")
	if !strings.Contains(out, "pkg:npm/%40acme/protos@1.0.0") {
		t.Errorf("sbom:\n%s", out)
	}
	if out, talk = p.ok("outdated"); !strings.Contains(out, "protos/acme  1.0.0   1.0.0    1.1.0") || !strings.Contains(out, "1.1.0: it was released 2 hours ago") {
		t.Errorf("outdated:\n%s%s", out, talk)
	}
	manifest := p.read("plugins.toml")
	p.write("plugins.toml", manifest+"\n[bundles]\nall = [\"protos/acme\"]\n")
	p.ok("check")
	if out, _ := p.ok("explain", "protos/acme"); !strings.Contains(out, "in the bundle all") {
		t.Errorf("explain:\n%s", out)
	}
	p.write("plugins.toml", manifest+"\n[bundles]\nall = [\"protos/acm\"]\n")
	p.fails(fault.Usage, []string{`"protos/acm"`, "did you mean protos/acme?"}, "check")
}
