package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestExtrasPip: what a package needs for an extra is locked where its source names
// that, and one that it does not have is refused.
func TestExtrasPip(t *testing.T) {
	t.Parallel()
	needPip(t)
	p := newPlace(t)
	p.server.Wheel(fake.Wheel{
		Name: "Acme.Rpc", Version: "1.0", Extras: []string{"compiler-x", "tls"}, Requires: []string{"core", `parser; extra == "compiler-x"`, `tls; extra == "tls"`},
		EntryPoints: "[console_scripts]\nprotoc-gen-acme = acme:main\n", Files: map[string]string{"acme.py": "def main(): pass\n"},
	})
	for _, name := range []string{"core", "parser", "tls"} {
		p.server.Wheel(fake.Wheel{Name: name, Version: "2.0", Files: map[string]string{name + ".py": ""}})
	}
	entry := func(source string) string {
		return "acme = { version = \"1.0\", source = \"" + source + "\", binary = \"protoc-gen-acme\" }\n"
	}
	const own, core, parser, tls = "acme_rpc-1.0-py3-none-any.whl", "core-2.0-py3-none-any.whl", "parser-2.0-py3-none-any.whl", "tls-2.0-py3-none-any.whl"
	for _, tt := range []struct {
		source, pkg string
		files       []string
	}{
		{"pip:acme-rpc", "acme-rpc", []string{own, core}},
		{"pip:acme-rpc[compiler-x]", "acme-rpc[compiler-x]", []string{own, core, parser}},
		{"pip:Acme.Rpc[tls,compiler-x]", "Acme.Rpc[compiler-x,tls]", []string{own, core, parser, tls}},
	} {
		p.python(`"3.12"`, one, entry(tt.source))
		p.ok("update", "--no-smoke")
		p.ok("check")
		v := p.locked().Plugins["acme"]["1.0"]
		if files := slices.Sorted(maps.Keys(v.Files)); v.Package != tt.pkg || !slices.Equal(files, tt.files) {
			t.Errorf("%s: locked %s with %v", tt.source, v.Package, files)
		}
		p.ok("check", "--upstream")
		p.ok("outdated")
	}
	p.write("plugins.toml", p.read("plugins.toml")+"[policy]\nallow = [\"pip:acme-rpc\", \"pip:core\", \"pip:parser\", \"pip:tls\"]\n")
	p.ok("check")
	p.python(`"3.12"`, one, entry("pip:acme-rpc[server]"))
	p.fails(fault.Usage, []string{`pip package acme-rpc 1.0 has no extra "server"; it has compiler-x, tls`}, "update", "--no-smoke")
	p.python(`"3.12"`, one, entry("pip:acme-rpc[TLS]"))
	p.fails(fault.Usage, []string{`has no extra "TLS"; it has compiler-x, tls`}, "update", "--no-smoke")
	for _, bad := range []string{"pip:acme-rpc[]", "pip:acme-rpc[a b]", "pip:acme-rpc[a", "pip:acme-rpc[a]b", "npm:acme[a]", "cargo:acme[-a]"} {
		p.python(`"3.12"`, one, entry(bad))
		p.fails(fault.Usage, []string{bad, "pip:NAME[EXTRA,…]"}, "update")
	}
	p.python(`"3.12"`, one, "")
	p.ok("add", "pip:acme-rpc[tls]", "--no-smoke")
	const want = `protoc-gen-acme = { version = "1.0", source = "pip:acme-rpc[tls]", binary = "protoc-gen-acme" }`
	if got := p.entryLine("protoc-gen-acme"); got != want {
		t.Errorf("the entry is\n%s\nwant\n%s", got, want)
	}
}

// TestExtrasCargo: features in the source are those of args.
func TestExtrasCargo(t *testing.T) {
	t.Parallel()
	p, _ := newCargoPlace(t)
	p.server.Crate(fake.Crate{Name: "leaf", Version: "1.0.0", Files: map[string]string{"src/lib.rs": "\n"}})
	p.server.Crate(fake.Crate{
		Name: "acme", Version: "1.0.0", Features: map[string][]string{"cli": {}, "fast": {"dep:leaf"}},
		Deps:  []fake.CrateDep{{Name: "leaf", Req: "^1", Optional: true}},
		Extra: "\n[[bin]]\nname = \"protoc-gen-acme\"\npath = \"src/main.rs\"\nrequired-features = [\"cli\"]\n", Files: map[string]string{"src/main.rs": mainFile},
	})
	for _, tt := range []struct {
		source string
		files  int
	}{{"cargo:acme[cli]", 1}, {"cargo:acme[fast,cli]", 2}} {
		p.cargoManifest("[plugins.acme]\nversion = \"1.0.0\"\nsource = \"" + tt.source + "\"\nbinary = \"protoc-gen-acme\"\n")
		p.ok("update", "--no-smoke")
		p.ok("check")
		v := p.locked().Plugins["acme"]["1.0.0"]
		if v.Package != "acme" || len(v.Files) != tt.files || len(v.Args) != 2 || v.Args[0] != "--features" {
			t.Errorf("%s: locked %+v", tt.source, v)
		}
	}
	p.remove("plugins.lock.toml")
	p.cargoManifest("[plugins]\n")
	p.discovered("cargo:acme[cli]", "protoc-gen-acme", `protoc-gen-acme = { version = "1.0.0", source = "cargo:acme[cli]", binary = "protoc-gen-acme" }`)
}

// TestIgnoreScripts: a package of npm with an install script is locked, and installed
// without it, where [policy] names the package; each of a closure by itself.
func TestIgnoreScripts(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts npm many times; TestUpdate and the conformance suite have the usual way")
	needNPM(t)
	p := newBase(t)
	p.server.Package(fake.Package{Name: "x", Version: "1.0.0", Files: map[string]string{"x": "#!/usr/bin/env node\n"}, Manifest: map[string]any{
		"bin": "x", "scripts": map[string]any{"postinstall": "node x"}, "dependencies": map[string]any{"@acme/y": "1.0.0", "z": "1.0.0"},
	}})
	p.server.Package(fake.Package{Name: "@acme/y", Version: "1.0.0", Files: map[string]string{
		"y.js": "1\n", "package.json": `{"name": "@acme/y", "version": "1.0.0", "scripts": {"preinstall": "node y"}}`, // which the registry hides
	}})
	p.server.Package(fake.Package{Name: "z", Version: "1.0.0", Files: map[string]string{"z.js": "1\n", "binding.gyp": "{}"}})
	asks := func(ignored string) {
		p.manifest("node = \"24.19.0\"\nx = { version = \"1.0.0\", source = \"npm:x\", binary = \"x\" }\n\n[policy]\nignore-scripts = [" + ignored + "]\n")
	}
	for _, tt := range []struct {
		ignored string
		says    []string
	}{
		{`"other"`, []string{"npm package x@1.0.0 has an install script", `ignore-scripts = ["x"]`}},
		{`"x"`, []string{"npm package @acme/y@1.0.0 has the script preinstall", `ignore-scripts = ["@acme/y"]`}},
		{`"@acme/y", "x"`, []string{"npm package z@1.0.0 has a binding.gyp", `ignore-scripts = ["z"]`}},
	} {
		asks(tt.ignored)
		p.fails(fault.Policy, tt.says, "update", "--no-smoke")
	}
	asks(`"z", "x", "@acme/y"`)
	_, talk := p.ok("update", "--no-smoke")
	says(t, talk, "x 1.0.0: npm package x@1.0.0 has an install script, which is not run")
	p.ok("check")
	if v := p.locked().Plugins["x"]["1.0.0"]; len(v.Files) != 3 {
		t.Errorf("locked %+v", v.Files)
	}
	p.ok("check", "--upstream")
	asks(`"an old one/x"`)
	p.fails(fault.Usage, []string{"ignore-scripts"}, "check")
}

// TestOutdatedCatalogue: every recipe is asked for, whatever plugins.toml says; what
// no source has is told, and what does not answer as well.
func TestOutdatedCatalogue(t *testing.T) {
	t.Parallel()
	needNPM(t)
	needPip(t)
	p := newPlace(t)
	p.publishTSProto("2.18.0")
	p.server.Wheel(fake.Wheel{Name: "betterproto", Version: "2.0.0b7", Files: map[string]string{"b.py": ""}})
	p.write("plugins.toml", "platforms = ["+one+"]\n[plugins]\nacme = \"1.0\"\n[registries]\nnpm = \""+p.server.URL+"/\"\npip = \""+p.server.URL+"/simple/\"\ncargo = \""+p.server.CrateIndex()+"\"\ngo = \""+p.server.GoProxy()+"\"\nmaven = \""+p.server.URL+"/maven/\"\n")
	status, out, _ := p.run("outdated", "--catalogue", "--json")
	if status != int(fault.Upstream) {
		t.Errorf("status %d", status)
	}
	var said struct {
		Entries []struct{ Name, Latest, Error string }
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, e := range said.Entries {
		got[e.Name] = e.Latest + "|" + e.Error
	}
	if names := catalog.Builtin().Names(); len(got) != len(names) || got["acme"] != "" {
		t.Errorf("%d rows, want %d", len(got), len(names))
	}
	if got["ts-proto"] != "2.18.0|" {
		t.Errorf("ts-proto: %s", got["ts-proto"])
	}
	for name, want := range map[string]string{"betterproto": "only pre-releases", "nanopb": "nanopb", "protoc-gen-prost": "protoc-gen-prost", "grpc-node": "cannot list versions"} {
		if !strings.Contains(got[name], want) {
			t.Errorf("%s: %q is not in %q", name, want, got[name])
		}
	}
}
