package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestAddKnownPlace: a place that the catalogue knows is the plugin of that name.
// Nobody is asked who is not asked for that name as well.
func TestAddKnownPlace(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.manifest("")
	for _, tt := range []struct {
		place string
		says  []string
	}{
		{"npm:ts-proto", []string{"npm:ts-proto is the plugin ts-proto of", "offline"}},
		{"npm:ts-proto@2.7.2", []string{"npm:ts-proto is the plugin ts-proto of", "offline"}},
		{"@bufbuild/protoc-gen-es", []string{"is the plugin protoc-gen-es of"}},
		{"npm:@protobuf-ts/plugin", []string{"is the plugin protobuf-ts of"}},
		{"pip:mypy-protobuf", []string{"is the plugin mypy-protobuf of"}},
		{"pip:Mypy_Protobuf", []string{"has several plugins: mypy-protobuf, protoc-gen-mypy_grpc", "lockgen add mypy-protobuf"}},
		{"cargo:protoc-gen-prost", []string{"is the plugin protoc-gen-prost of"}},
		{"go:google.golang.org/protobuf/cmd/protoc-gen-go", []string{"is the plugin protoc-gen-go of"}},
		{"google.golang.org/grpc/cmd/protoc-gen-go-grpc", []string{"is the plugin protoc-gen-go-grpc of"}},
		{"go:github.com/grpc-ecosystem/grpc-gateway/v2", []string{"has several plugins: protoc-gen-grpc-gateway, protoc-gen-openapiv2, protoc-gen-openapiv3"}},
		{"go:github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv2", []string{"is the plugin protoc-gen-openapiv2 of"}},
		{"github:bufbuild/buf", []string{"is the plugin buf of"}},
		{"github:Grpc/grpc-web", []string{"is the plugin protoc-gen-grpc-web of"}},
		{"npm:grpc-tools", []string{"cannot be locked", "use grpc-node"}},
		{"cargo:prost-build@0.13.0", []string{"cannot be locked: it is a library", "use protoc-gen-prost"}},
		{"nmp:ts-proto", []string{"unknown kind", "did you mean npm:?"}},
		{"npm:", []string{"npm:"}},
		{"npm:acme-plugin", []string{"offline, and lockgen knows nothing about npm:acme-plugin"}},
	} {
		status, stdout, talk := p.run("add", tt.place, "--offline")
		for _, part := range tt.says {
			if status == 0 || !strings.Contains(stdout+talk, part) {
				t.Errorf("%s: status %d, %q is not in\n%s", tt.place, status, part, talk)
			}
		}
		if n := p.server.Count(""); n > 0 {
			t.Errorf("%s: %d requests", tt.place, n)
		}
	}
}

// entryLine is the line of plugins.toml that begins with a name.
func (p *place) entryLine(name string) string {
	for line := range strings.Lines(p.read("plugins.toml")) {
		if strings.HasPrefix(line, name+" = ") {
			return strings.TrimSuffix(line, "\n")
		}
	}
	return ""
}

// discovered adds a place and demands the entry that comes of it.
func (p *place) discovered(place, name, entry string, more ...string) {
	p.t.Helper()
	_, talk := p.ok(append([]string{"add", place, "--no-smoke"}, more...)...)
	if got := p.entryLine(name); got != entry {
		p.t.Errorf("%s: the entry is\n%s\nwant\n%s\n%s", place, got, entry, talk)
	}
	p.ok("check")
	p.ok("add", place, "--no-smoke") // again: what is there
	if n := strings.Count(p.read("plugins.toml"), "\n"+name); n != 1 {
		p.t.Errorf("%d entries", n)
	}
}

// TestAddPlaceNPM: a package that nobody has described becomes an entry.
func TestAddPlaceNPM(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newBase(t)
	bins := func(name, version string, bin any, files ...string) {
		f := map[string]string{}
		for _, file := range files {
			f[file] = "#!/usr/bin/env node\n"
		}
		p.server.Package(fake.Package{Name: name, Version: version, Manifest: map[string]any{"bin": bin}, Files: f})
	}
	bins("@acme/plugins", "1.0.0", map[string]any{"protoc-gen-old": "protoc-gen-old"}, "protoc-gen-old")
	bins("@acme/plugins", "1.1.0", map[string]any{"protoc-gen-acme": "protoc-gen-acme", "acme-tool": "acme-tool"}, "protoc-gen-acme", "acme-tool")
	bins("protoc-gen-one", "1.0.0", "protoc-gen-one", "protoc-gen-one")
	bins("two", "1.0.0", map[string]any{"protoc-gen-a": "protoc-gen-a", "protoc-gen-b": "protoc-gen-b"}, "protoc-gen-a", "protoc-gen-b")
	bins("none", "1.0.0", map[string]any{"acme-cli": "acme-cli"}, "acme-cli")
	bins("my-ts", "1.0.0", map[string]any{"protoc-gen-ts": "protoc-gen-ts"}, "protoc-gen-ts")
	p.server.Package(fake.Package{Name: "library", Version: "1.0.0", Files: map[string]string{"index.js": "1\n"}})

	p.fails(fault.Usage, []string{"npm:two has several plugins: protoc-gen-a, protoc-gen-b", "lockgen add npm:two --binary protoc-gen-a"}, "add", "npm:two")
	p.fails(fault.Usage, []string{"npm:none has no executable protoc-gen-…; it has acme-cli", "--binary acme-cli"}, "add", "npm:none")
	p.fails(fault.Usage, []string{"npm:library has no executable: it is a library"}, "add", "npm:library")
	p.fails(fault.Usage, []string{`npm:two has no executable "protoc-gen-c"; it has protoc-gen-a, protoc-gen-b`}, "add", "npm:two", "--binary", "protoc-gen-c")
	p.fails(fault.Upstream, []string{"no-such-package"}, "add", "npm:no-such-package")
	p.fails(fault.Upstream, []string{"npm:@acme/plugins has no version 1.0.9: the newest is 1.1.0, the nearest 1.0.0", "run: lockgen add npm:@acme/plugins@1.0.0"}, "add", "@acme/plugins@1.0.9")

	p.discovered("@acme/plugins", "protoc-gen-acme", `protoc-gen-acme = { version = "1.1.0", source = "npm:@acme/plugins", binary = "protoc-gen-acme" }`)
	p.discovered("npm:protoc-gen-one@^1", "protoc-gen-one", `protoc-gen-one = { version = "^1", source = "npm:protoc-gen-one", binary = "protoc-gen-one" }`)
	p.discovered("npm:two", "protoc-gen-b", `protoc-gen-b = { version = "1.0.0", source = "npm:two", binary = "protoc-gen-b" }`, "--binary", "protoc-gen-b")
	p.discovered("npm:my-ts", "my-ts", `my-ts = { version = "1.0.0", source = "npm:my-ts", binary = "protoc-gen-ts" }`)
}

// TestAddPlacePip: console scripts, and programs in the folder of scripts.
func TestAddPlacePip(t *testing.T) {
	t.Parallel()
	needPip(t)
	p := newPlace(t)
	p.manifest("")
	p.server.Wheel(fake.Wheel{Name: "acme-proto", Version: "1.2.0", Files: map[string]string{
		"acme/__init__.py": "def main(): pass\n", "acme_proto-1.2.0.dist-info/entry_points.txt": "[console_scripts]\nprotoc-gen-acme = acme:main\nacme-tool = acme:main\n",
	}})
	for tag, files := range map[string]map[string]string{
		"py2.py3-none-manylinux2014_aarch64": {"acme_bin-3.0.0.data/scripts/protoc-gen-bin": linuxARM},
		"py2.py3-none-win_amd64":             {"acme_bin-3.0.0.data/scripts/protoc-gen-bin.exe": winX64},
	} {
		p.server.Wheel(fake.Wheel{Name: "acme-bin", Version: "3.0.0", Tag: tag, Files: files})
	}
	p.discovered("pip:acme-proto", "protoc-gen-acme", `protoc-gen-acme = { version = "1.2.0", source = "pip:acme-proto", binary = "protoc-gen-acme" }`)
	p.discovered("pip:acme-bin", "protoc-gen-bin", `protoc-gen-bin = { version = "3.0.0", source = "pip:acme-bin", binary = "acme_bin-{version}.data/scripts/protoc-gen-bin" }`)
	p.fails(fault.Upstream, []string{"no-such-project"}, "add", "pip:no-such-project")
	// The catalogue has both names already, the second one as npm has it.
	p.server.Wheel(fake.Wheel{Name: "protoc-gen-ts", Version: "1.0.0", Files: map[string]string{
		"acme.py": "def main(): pass\n", "protoc_gen_ts-1.0.0.dist-info/entry_points.txt": "[console_scripts]\nprotoc-gen-ts = acme:main\n",
	}})
	p.discovered("pip:protoc-gen-ts", "pip-protoc-gen-ts", `pip-protoc-gen-ts = { version = "1.0.0", source = "pip:protoc-gen-ts", binary = "protoc-gen-ts", options = ["a=b"] }`, "--option", "a=b")
	p.server.Release("sources", "sources-1.0.0.tar.gz", []byte("x"))
	p.fails(fault.Policy, []string{"the index has no wheel of any version of sources, only such as sources-1.0.0.tar.gz", "use a package that has wheels"}, "add", "pip:sources")
}

// TestAddPlaceCargo: the executables of a crate.
func TestAddPlaceCargo(t *testing.T) {
	t.Parallel()
	p, _ := newCargoPlace(t)
	p.server.Crate(fake.Crate{Name: "protoc-gen-acme", Version: "1.0.0", Files: map[string]string{"src/main.rs": mainFile}})
	p.server.Crate(fake.Crate{Name: "acme", Version: "2.0.0", Files: map[string]string{"src/lib.rs": "\n", "src/bin/protoc-gen-two.rs": mainFile, "src/bin/other.rs": mainFile}})
	p.cargoManifest("[plugins]\n")
	p.discovered("cargo:protoc-gen-acme", "protoc-gen-acme", `protoc-gen-acme = { version = "1.0.0", source = "cargo:protoc-gen-acme", binary = "protoc-gen-acme" }`)
	p.discovered("cargo:acme", "protoc-gen-two", `protoc-gen-two = { version = "2.0.0", source = "cargo:acme", binary = "protoc-gen-two" }`)
}

// TestAddPlaceGo: a main package, wherever its module begins, and the only one of a
// module.
func TestAddPlaceGo(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts Go many times; TestGo, TestAddGo and the conformance suite have the usual way")
	p, version := newGoPlace(t)
	p.goManifest("go = \"" + version + "\"\n")
	p.fails(fault.Usage, []string{`go:example.com/Plug has no executable "nothing"; it has broken, posix, protoc-gen-plug`}, "add", "go:example.com/Plug", "--binary", "nothing")
	p.discovered("go:example.com/Plug/cmd/protoc-gen-plug", "protoc-gen-plug", `protoc-gen-plug = { version = "1.0.0", source = "go:example.com/Plug", package = "cmd/protoc-gen-plug", binary = "protoc-gen-plug" }`)
	p.fails(fault.Upstream, []string{"example.com/nothing"}, "add", "go:example.com/nothing")
}

// TestAddPlaceGitHub: the names of the files of a release say for which platforms they
// are, and one of them which executable is in all.
func TestAddPlaceGitHub(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		what, tag string
		files     map[string][]byte // of the release of version 1.2.0
		class     fault.Class
		args      []string
		want      string // entry or message
	}{
		{"goreleaser", "v", map[string][]byte{
			"acme_1.2.0_Linux_arm64.tar.gz":   fake.Tarball("", map[string]string{"protoc-gen-acme": linuxARM, "README.md": "x"}, "protoc-gen-acme"),
			"acme_1.2.0_Linux_x86_64.tar.gz":  fake.Tarball("", map[string]string{"protoc-gen-acme": linuxX64, "README.md": "x"}, "protoc-gen-acme"),
			"acme_1.2.0_Windows_x86_64.zip":   fake.Zip(map[string]string{"protoc-gen-acme.exe": winX64}),
			"acme_1.2.0_checksums.txt":        []byte("x"),
			"acme_1.2.0_Linux_arm64.deb":      []byte("x"),
			"acme_1.2.0_Linux_arm64.sha256":   []byte("x"),
			"acme_1.2.0_Linux_arm64.json":     []byte("x"),
			"acme_1.2.0_Linux_i386.tar.gz":    []byte("x"),
			"acme_1.2.0_Freebsd_arm64.tar.gz": []byte("x"),
		}, 0, nil, `protoc-gen-acme = { version = "1.2.0", source = "github:acme/tool", asset = "acme_{version}_{os}_{arch}.tar.gz", os = { linux = "Linux" }, arch = { aarch64 = "arm64" }, binary = "protoc-gen-acme", platforms.windows-x86_64.asset = "acme_{version}_Windows_x86_64.zip" }`},
		{"executables", "release-", map[string][]byte{
			"protoc-gen-acme-linux-aarch64": []byte(linuxARM), "protoc-gen-acme-linux-x86_64": []byte(linuxX64), "protoc-gen-acme-windows-x86_64.exe": []byte(winX64),
		}, 0, nil, `protoc-gen-acme = { version = "1.2.0", source = "github:acme/tool", tag = "release-{version}", asset = "protoc-gen-acme-{os}-{arch}{exe}", binary = "protoc-gen-acme" }`},
		{"a folder", "", map[string][]byte{
			"acme-1.2.0-linux-aarch64.tar.gz":  fake.Tarball("", map[string]string{"acme-1.2.0-linux-aarch64/bin/protoc-gen-acme": linuxARM}, "acme-1.2.0-linux-aarch64/bin/protoc-gen-acme"),
			"acme-1.2.0-linux-x86_64.tar.gz":   fake.Tarball("", map[string]string{"acme-1.2.0-linux-x86_64/bin/protoc-gen-acme": linuxX64}, "acme-1.2.0-linux-x86_64/bin/protoc-gen-acme"),
			"acme-1.2.0-windows-x86_64.tar.gz": fake.Tarball("", map[string]string{"acme-1.2.0-windows-x86_64/bin/protoc-gen-acme.exe": winX64}, "acme-1.2.0-windows-x86_64/bin/protoc-gen-acme.exe"),
		}, 0, nil, `protoc-gen-acme = { version = "1.2.0", source = "github:acme/tool", tag = "{version}", asset = "acme-{version}-{os}-{arch}.tar.gz", binary = "acme-{version}-{os}-{arch}/bin/protoc-gen-acme" }`},
		{"not for Windows", "v", map[string][]byte{"protoc-gen-acme-linux-aarch64": []byte(linuxARM), "protoc-gen-acme-linux-x86_64": []byte(linuxX64)},
			fault.Upstream, nil, "for windows-x86_64"},
		{"not for Windows, optional", "v", map[string][]byte{"protoc-gen-acme-linux-aarch64": []byte(linuxARM), "protoc-gen-acme-linux-x86_64": []byte(linuxX64)},
			0, []string{"--optional"}, `protoc-gen-acme = { version = "1.2.0", optional = true, source = "github:acme/tool", asset = "protoc-gen-acme-{os}-{arch}{exe}", binary = "protoc-gen-acme" }`},
		{"two plugins", "v", map[string][]byte{"acme-linux-x86_64.tar.gz": fake.Tarball("", map[string]string{"protoc-gen-a": linuxX64, "protoc-gen-b": linuxX64}, "protoc-gen-a", "protoc-gen-b")},
			fault.Usage, nil, "github:acme/tool has several plugins: protoc-gen-a, protoc-gen-b"},
		{"source", "v", map[string][]byte{"acme-1.2.0.tar.gz": []byte("x")}, fault.Usage, nil, "has no file that is named after a platform; it has acme-1.2.0.tar.gz"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.manifest("")
			assets := []map[string]any{}
			for name, body := range tt.files {
				p.server.File("/github/acme/tool/releases/download/"+tt.tag+"1.2.0/"+name, body)
				assets = append(assets, map[string]any{"name": name, "state": "uploaded", "digest": "sha256:" + hexSum(body), "created_at": fake.Released, "updated_at": fake.Released})
			}
			doc, err := json.Marshal(map[string]any{"id": 7, "tag_name": tt.tag + "1.2.0", "published_at": fake.Released, "assets": assets})
			if err != nil {
				t.Fatal(err)
			}
			p.server.File("/api/repos/acme/tool/releases", fmt.Appendf(nil, "[%s]", doc))
			p.server.File("/api/repos/acme/tool/releases/tags/"+tt.tag+"1.2.0", doc)
			if tt.class != 0 {
				p.fails(tt.class, []string{tt.want}, append([]string{"add", "github:acme/tool"}, tt.args...)...)
				return
			}
			p.discovered("github:acme/tool", "protoc-gen-acme", tt.want, tt.args...)
		})
	}
	p := newPlace(t)
	p.manifest("")
	p.fails(fault.Upstream, []string{"GitHub has no repository acme/nothing"}, "add", "github:acme/nothing")
}

// TestAddPlaceURL: the URL of a file for one platform, as a person copies it, or with
// places for version and platform: the files of the other platforms are found beside
// it.
func TestAddPlaceURL(t *testing.T) {
	t.Parallel()
	tarball := func(program, body string) []byte {
		return fake.Tarball("", map[string]string{program: body, "README.md": "x"}, program)
	}
	for _, tt := range []struct {
		what  string
		files map[string][]byte
		url   string // behind that of the server
		class fault.Class
		args  []string
		want  string // entry with SERVER, or message
	}{
		{"a file for one platform", map[string][]byte{
			"x/protoc-gen-acme-1.2.3-linux-x86_64.tar.gz":  tarball("protoc-gen-acme", linuxX64),
			"x/protoc-gen-acme-1.2.3-linux-aarch64.tar.gz": tarball("protoc-gen-acme", linuxARM),
			"x/protoc-gen-acme-1.2.3-windows-x86_64.zip":   fake.Zip(map[string]string{"protoc-gen-acme.exe": winX64}),
		}, "x/protoc-gen-acme-1.2.3-linux-x86_64.tar.gz", 0, nil,
			`protoc-gen-acme = { version = "1.2.3", source = "SERVER/x/protoc-gen-acme-{version}-{os}-{arch}.tar.gz", binary = "protoc-gen-acme", platforms.windows-x86_64.source = "SERVER/x/protoc-gen-acme-{version}-windows-x86_64.zip" }`},
		{"executables, the words of Go, the version in a folder", map[string][]byte{
			"v1.2.3/protoc-gen-acme_linux_arm64": []byte(linuxARM), "v1.2.3/protoc-gen-acme_windows_amd64.exe": []byte(winX64),
		}, "v1.2.3/protoc-gen-acme_windows_amd64.exe", 0, nil,
			`protoc-gen-acme = { version = "1.2.3", source = "SERVER/v{version}/protoc-gen-acme_{os}_{arch}{exe}", arch = { aarch64 = "arm64", x86_64 = "amd64" }, binary = "protoc-gen-acme" }`},
		{"folders of platforms", map[string][]byte{
			"1.2.3/linux/arm64/protoc-gen-acme": []byte(linuxARM), "1.2.3/windows/amd64/protoc-gen-acme.exe": []byte(winX64),
		}, "1.2.3/linux/arm64/protoc-gen-acme", 0, nil,
			`protoc-gen-acme = { version = "1.2.3", source = "SERVER/{version}/{os}/{arch}/protoc-gen-acme{exe}", arch = { aarch64 = "arm64", x86_64 = "amd64" }, binary = "protoc-gen-acme" }`},
		{"another version is asked for", map[string][]byte{
			"x/protoc-gen-acme-2.0.0-linux-aarch64": []byte(linuxARM), "x/protoc-gen-acme-2.0.0-windows-x86_64.exe": []byte(winX64),
		}, "x/protoc-gen-acme-1.2.3-linux-aarch64@2.0.0", 0, nil,
			`protoc-gen-acme = { version = "2.0.0", source = "SERVER/x/protoc-gen-acme-{version}-{os}-{arch}{exe}", binary = "protoc-gen-acme" }`},
		{"no version in it", map[string][]byte{
			"x/protoc-gen-acme-linux-aarch64": []byte(linuxARM), "x/protoc-gen-acme-windows-x86_64.exe": []byte(winX64),
		}, "x/protoc-gen-acme-linux-aarch64@2.0.0", 0, nil,
			`protoc-gen-acme = { version = "2.0.0", source = "SERVER/x/protoc-gen-acme-{os}-{arch}{exe}", binary = "protoc-gen-acme" }`},
		{"a template", map[string][]byte{
			"1.2.3/protoc-gen-acme-linux-arm64": []byte(linuxARM), "1.2.3/protoc-gen-acme-windows-amd64": []byte(winX64),
		}, "{version}/protoc-gen-acme-{os}-{arch}@1.2.3", 0, nil,
			`protoc-gen-acme = { version = "1.2.3", source = "SERVER/{version}/protoc-gen-acme-{os}-{arch}", arch = { aarch64 = "arm64", x86_64 = "amd64" }, binary = "protoc-gen-acme" }`},
		{"a name of its own", map[string][]byte{
			"gen-1.2.3-linux-aarch64": []byte(linuxARM), "gen-1.2.3-windows-x86_64.exe": []byte(winX64),
		}, "gen-1.2.3-linux-aarch64", 0, []string{"--binary", "gen"},
			`gen = { version = "1.2.3", source = "SERVER/gen-{version}-{os}-{arch}{exe}", binary = "gen" }`},
		{"one platform alone, the others unavailable", map[string][]byte{"protoc-gen-acme-1.2.3-linux-aarch64": []byte(linuxARM)},
			"protoc-gen-acme-1.2.3-linux-aarch64", 0, []string{"--platform", "linux-aarch64"},
			`protoc-gen-acme = { version = "1.2.3", optional = true, source = "SERVER/protoc-gen-acme-{version}-{os}-{arch}{exe}", binary = "protoc-gen-acme" }`},
		{"one platform alone", map[string][]byte{"protoc-gen-acme-1.2.3-linux-aarch64": []byte(linuxARM)},
			"protoc-gen-acme-1.2.3-linux-aarch64", fault.Upstream, nil, "windows-x86_64"},
		{"a known name", map[string][]byte{"protoc-gen-go-1.2.3-linux-aarch64": []byte(linuxARM)},
			"protoc-gen-go-1.2.3-linux-aarch64", fault.Usage, nil, "has protoc-gen-go, but that name is taken"},
		{"no version", map[string][]byte{"protoc-gen-acme-linux-aarch64": []byte(linuxARM)},
			"protoc-gen-acme-linux-aarch64", fault.Usage, nil, "does not say of which version it is|write the version behind it, in quotes: lockgen add 'SERVER/protoc-gen-acme-linux-aarch64@1.2.3'"},
		{"nothing there", nil, "protoc-gen-acme-1.2.3-linux-aarch64", fault.Upstream, nil, "SERVER/protoc-gen-acme-1.2.3-linux-aarch64"},
		{"nothing there for a template", nil, "protoc-gen-acme-{version}-{os}-{arch}@1.2.3", fault.Upstream, nil, "404"},
		{"no platform in it", map[string][]byte{"protoc-gen-acme-1.2.3.tar.gz": tarball("protoc-gen-acme", linuxARM)},
			"protoc-gen-acme-1.2.3.tar.gz", fault.Integrity, nil, "windows-x86_64"},
		{"an archive of another form", nil, "protoc-gen-acme-1.2.3-linux-aarch64.7z", fault.Usage, nil, "does not unpack"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.manifest("")
			for name, body := range tt.files {
				p.server.File("/"+name, body)
			}
			want, url := strings.ReplaceAll(tt.want, "SERVER", p.server.URL), p.server.URL+"/"+tt.url
			if tt.class != 0 {
				p.fails(tt.class, strings.Split(want, "|"), append([]string{"add", url}, tt.args...)...)
				return
			}
			name, _, _ := strings.Cut(want, " ")
			p.discovered(url, name, want, tt.args...)
		})
	}
}

// TestAddPlaceURLOfRelease: the file of a release of GitHub is of a source that has
// versions and digests.
func TestAddPlaceURLOfRelease(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.manifest("")
	assets := []map[string]any{}
	for name, body := range map[string]string{
		"protoc-gen-acme-linux-aarch64": linuxARM, "protoc-gen-acme-windows-x86_64.exe": winX64,
		"protoc-gen-other-linux-aarch64": linuxARM, "protoc-gen-other-windows-x86_64.exe": winX64,
	} {
		p.server.File("/github/acme/tool/releases/download/v1.2.0/"+name, []byte(body))
		assets = append(assets, map[string]any{"name": name, "state": "uploaded", "digest": "sha256:" + hexSum([]byte(body)), "created_at": fake.Released, "updated_at": fake.Released})
	}
	doc, err := json.Marshal(map[string]any{"id": 7, "tag_name": "v1.2.0", "published_at": fake.Released, "assets": assets})
	if err != nil {
		t.Fatal(err)
	}
	p.server.File("/api/repos/acme/tool/releases", fmt.Appendf(nil, "[%s]", doc))
	p.server.File("/api/repos/acme/tool/releases/tags/v1.2.0", doc)
	for _, name := range []string{"protoc-gen-acme", "protoc-gen-other"} {
		p.manifest("")
		if err := os.RemoveAll(p.path("plugins.lock.toml")); err != nil {
			t.Fatal(err)
		}
		p.discovered("https://github.com/acme/tool/releases/download/v1.2.0/"+name+"-linux-aarch64", name,
			name+` = { version = "1.2.0", source = "github:acme/tool", asset = "`+name+`-{os}-{arch}{exe}", binary = "`+name+`" }`)
	}
	p.manifest("")
	p.fails(fault.Upstream, []string{"has no version 9.9.9: the newest is 1.2.0"}, "add", "https://github.com/acme/tool/releases/download/v9.9.9/protoc-gen-acme-linux-aarch64")
}

// TestAddPlaceOCI: the version is in the tag.
func TestAddPlaceOCI(t *testing.T) {
	t.Parallel()
	p, o := newRegistry(t, "")
	p.manifest("")
	p.now = time.Now()
	for _, version := range []string{"v1.2.0", "v1.3.0"} {
		arm := o.Manifest("", o.Blob(fake.OCILayer, "", fake.Tarball("", map[string]string{"protoc-gen-acme": linuxARM}, "protoc-gen-acme")))
		x64 := o.Manifest("", o.Blob(fake.OCILayer, "", fake.Tarball("", map[string]string{"protoc-gen-acme": linuxX64}, "protoc-gen-acme")))
		win := o.Manifest("", o.Blob(fake.OCILayer, "", fake.Tarball("", map[string]string{"protoc-gen-acme.exe": winX64}, "protoc-gen-acme.exe")))
		o.Index(version, arm.For("linux", "arm64"), x64.For("linux", "amd64"), win.For("windows", "amd64"))
	}
	repo := "oci://" + o.Host + "/acme/tool"
	p.fails(fault.Usage, []string{"has no tag", repo + ":v1.2.3"}, "add", repo)
	p.fails(fault.Usage, []string{"the tag latest of " + repo + " is not a version"}, "add", repo+":latest")
	p.fails(fault.Upstream, []string{"has no version 1.2.9: the newest is 1.3.0, the nearest 1.2.0", "lockgen add " + repo + ":v1.2.0"}, "add", repo+":v1.2.9")
	p.discovered(repo+":v1.2.0", "protoc-gen-acme", `protoc-gen-acme = { version = "1.2.0", source = "`+repo+`:v{version}", binary = "protoc-gen-acme" }`)
}

// TestAddPlaceMaven: an artifact that nobody has described becomes an entry: the
// program of each platform, else the jar, with the Java that runs it.
func TestAddPlaceMaven(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, version := range []string{"1.0.0", "1.1.0"} {
		p.server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "protoc-gen-acme", Version: version, Files: mavenPrograms("")})
	}
	p.server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "gen", Version: "1.0.0", Files: mavenPrograms("")})
	p.server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "protoc-gen-part", Version: "1.0.0", Files: map[string][]byte{"-linux-aarch_64.exe": []byte(linuxARM)}})
	p.server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "protoc-gen-jar", Version: "2.0.0", Files: map[string][]byte{
		"-all.jar": fake.Zip(map[string]string{"META-INF/MANIFEST.MF": "Main-Class: com.acme.Main\n", "com/acme/Main.class": class(11)})}})
	p.server.File("/java-25", []byte(linuxARM))
	p.mavenManifest([]string{"linux-aarch64"}, "java = { version = \"25\", source = \""+p.server.URL+"/java-{version}\", binary = \"java\" }\n")
	p.discovered("maven:com.acme:protoc-gen-acme@1.0.0", "protoc-gen-acme", `protoc-gen-acme = { version = "1.0.0", source = "maven:com.acme:protoc-gen-acme", binary = "protoc-gen-acme" }`)
	p.discovered("maven:com.acme:gen@1.0.0", "gen", `gen = { version = "1.0.0", source = "maven:com.acme:gen", binary = "gen" }`, "--binary", "gen")
	p.discovered("maven:com.acme:protoc-gen-jar:all@2.0.0", "protoc-gen-jar", `protoc-gen-jar = { version = "2.0.0", source = "maven:com.acme:protoc-gen-jar:all", runtime = "java", binary = "protoc-gen-jar" }`)
	if v := p.locked().Plugins["protoc-gen-jar"]["2.0.0"]; v.Main != "com.acme.Main" || v.Runtime != "java@25" {
		t.Errorf("%+v", v)
	}
	before, locked := p.read("plugins.toml"), p.read("plugins.lock.toml")
	for _, tt := range []struct {
		place string
		class fault.Class
		says  []string
	}{
		{"maven:com.acme:protoc-gen-acme@1.0.7", fault.Upstream, []string{"has no version 1.0.7: the newest is 1.1.0, the nearest 1.0.0", "lockgen add protoc-gen-acme@1.0.0"}},
		{"maven:com.acme:protoc-gen-jar@2.0.0", fault.Upstream, []string{"no repository has a program of com.acme:protoc-gen-jar 2.0.0 for any platform, nor protoc-gen-jar-2.0.0.jar", "maven:GROUP:ARTIFACT:CLASSIFIER"}},
		{"maven:com.acme:none", fault.Upstream, []string{"no repository has a list of the versions of com.acme:none"}},
		{"maven:com.acme", fault.Usage, []string{"GROUP:ARTIFACT"}},
	} {
		p.fails(tt.class, tt.says, "add", tt.place)
		p.asBefore(before, locked)
	}
	// A platform that has none is told before anything is downloaded.
	p.write("plugins.toml", strings.Replace(before, `["linux-aarch64"]`, `["linux-aarch64", "windows-x86_64"]`, 1))
	p.server.Forget()
	gets := 0
	p.fails(fault.Upstream, []string{"protoc-gen-part", "windows-x86_64", "optional = true in the entry makes such a platform unavailable instead, as lockgen add --optional does"}, "add", "maven:com.acme:protoc-gen-part@1.0.0")
	for _, r := range p.server.Requests("") {
		if r.Method == "GET" && strings.HasSuffix(r.Path, "linux-aarch_64.exe") && r.Header.Get("Range") == "" && strings.Contains(r.Path, "protoc-gen-part") {
			gets++
		}
	}
	if gets > 1 { // one was begun, to see whether it is there
		t.Errorf("%d downloads", gets)
	}
	p.ok("add", "maven:com.acme:protoc-gen-part@1.0.0", "--optional", "--no-smoke")
	if c := p.locked().Plugins["protoc-gen-part"]["1.0.0"].Platforms["windows-x86_64"]; c.Unavailable == "" {
		t.Errorf("%+v", c)
	}
}
