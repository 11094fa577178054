package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// newGoPlace is a place whose server has Go itself, for platforms that are not
// this machine's, under the version of this machine's go: so that is what
// compiles. Go's build cache is kept for the next run.
func newGoPlace(t *testing.T) (p *place, version string) {
	t.Helper()
	testenv.Real(t, "it starts go")
	version, err := goVersion()
	if err != nil {
		t.Skipf("no go that works: %v", err)
	}
	p = newPlace(t)
	// Nothing of the person's who runs the test.
	p.setenv("GOENV", "off")
	p.setenv("GOPROXY", "off")
	p.setenv("GOPRIVATE", "")
	p.setenv("GONOSUMDB", "")
	p.setenv("GOSUMDB", p.server.SumDB())
	p.publishGo(version)
	p.server.Module(fake.Module{Path: "example.com/dep", Version: "v1.1.0", Files: map[string]string{"dep.go": "package dep\n\nconst Name = \"dep\"\n"}})
	p.server.Module(goPlugin)
	testenv.KeepGoCache(t, filepath.Join(p.cache, "go-build"))
	return p, version
}

// goPlugin has programs that compile everywhere, nowhere, and not on Windows.
var goPlugin = fake.Module{Path: "example.com/Plug", Version: "v1.0.0", Files: map[string]string{
	"go.mod":                      "module example.com/Plug\n\ngo 1.21\n\nrequire example.com/dep v1.1.0\n",
	"cmd/protoc-gen-plug/main.go": "package main\n\nimport \"example.com/dep\"\n\nfunc main() { println(dep.Name) }\n",
	"cmd/broken/main.go":          "package main\n\nfunc main() { undefined() }\n",
	"cmd/posix/main.go":           "//go:build !windows\n\npackage main\n\nfunc main() {}\n",
	"lib/lib.go":                  "package lib\n",
}}

// publishGo puts Go into the module proxy.
func (p *place) publishGo(version string) {
	for platform, files := range map[string]map[string]string{
		"linux-arm64":   {"bin/go": linuxARM, "pkg/tool/linux_arm64/compile": linuxARM},
		"windows-amd64": {"bin/go.exe": winX64, "pkg/tool/windows_amd64/compile.exe": winX64},
	} {
		files["src/_go.mod"] = "module std\n"
		files["src/make.bash"] = "#!/bin/bash\n"
		p.server.Module(fake.Module{Path: lock.GoToolchain, Version: "v0.0.1-go" + version + "." + platform, Files: files, Mod: "module golang.org/toolchain\n"})
	}
}

// goManifest is manifest with the server's module proxy.
func (p *place) goManifest(entries string) {
	p.manifest(entries)
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), "[registries]\n", "[registries]\ngo = \""+p.server.GoProxy()+"\"\n", 1))
}

// plug is the entry of one of goPlugin's programs.
func plug(program, more string) string {
	return "[plugins." + program + "]\nversion = \"1.0.0\"\nsource = \"go:example.com/Plug\"\npackage = \"cmd/" + program + "\"\nbinary = \"" + program + "\"\n" + more
}

// TestGo tells one story of plugins that Go compiles.
func TestGo(t *testing.T) {
	t.Parallel()
	p, version := newGoPlace(t)
	p.goManifest(plug("protoc-gen-plug", ""))
	p.fails(fault.Usage, []string{"is compiled by go, which is not in [plugins]", "lockgen add go@" + plan.GoHint}, "update")
	entries := "go = \"" + version + "\"\n" + plug("protoc-gen-plug", "")
	p.goManifest(entries)
	p.ok("update")
	p.ok("check")
	first := p.read("plugins.lock.toml")
	if strings.Contains(first, "://") || strings.Contains(first, "127.0.0.1") {
		t.Error("the lock names a host")
	}
	l := p.locked()
	tool, v := l.Plugins["go"][version], l.Plugins["protoc-gen-plug"]["1.0.0"]
	if v.Main != "cmd/protoc-gen-plug" || v.Toolchain != "go@"+version || v.Package != "example.com/Plug" || v.Trust != "transparency-log" || tool.Trust != v.Trust {
		t.Errorf("plugin %+v, go %+v", v, tool)
	}
	if c := v.Platforms["linux-aarch64"]; c.Binary != "protoc-gen-plug" {
		t.Errorf("%+v", c)
	}
	if c := v.Platforms["windows-x86_64"]; c.Binary != "protoc-gen-plug.exe" {
		t.Errorf("%+v", c)
	}
	if c := tool.Platforms["windows-aarch64"]; c.Emulate != "windows-x86_64" {
		t.Errorf("%+v", c)
	}
	zip, mod := goPlugin.Sums()
	if f := v.Files["example.com/!plug@v1.0.0.zip"]; f.Integrity != zip || f.GoMod != mod || f.Name != "example.com/Plug" || len(f.Platforms) > 0 {
		t.Errorf("file %+v", f)
	}
	if len(v.Files) != 2 || len(tool.Files) != 2 {
		t.Errorf("%d files of the plugin, %d of go, want 2 and 2", len(v.Files), len(tool.Files))
	}

	// Nothing to do: no request. Locked again: the same bytes, nothing that the
	// store has is downloaded into it.
	p.server.Forget()
	p.ok("update")
	if n := p.server.Count(""); n > 0 {
		t.Errorf("%d requests for nothing", n)
	}
	p.ok("update", "go", "protoc-gen-plug")
	for _, r := range p.server.Requests("") {
		if strings.Contains(r.Path, "toolchain") {
			t.Errorf("asked for %s", r.Path)
		}
	}
	if p.read("plugins.lock.toml") != first {
		t.Error("locked again, it is another lock")
	}
	p.ok("update", "--verify")

	// From nothing, in another cache.
	other := *p
	other.dir, other.cache = t.TempDir(), t.TempDir()
	testenv.KeepGoCache(t, filepath.Join(other.cache, "go-build"))
	other.goManifest(entries)
	other.ok("update")
	if other.read("plugins.lock.toml") != first {
		t.Error("another machine makes another lock")
	}

	// Another main package is another plugin.
	p.goManifest("go = \"" + version + "\"\n" + strings.Replace(plug("protoc-gen-plug", ""), "cmd/protoc-gen-plug", "cmd/posix", 1))
	p.fails(fault.Lock, []string{"main package is cmd/protoc-gen-plug in the lock, but cmd/posix in plugins.toml"}, "check")
}

func TestGoPlatforms(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts Go many times; TestGo, TestAddGo and the conformance suite have the usual way")
	p, version := newGoPlace(t)
	head := "go = \"" + version + "\"\n"
	p.goManifest(head + plug("posix", ""))
	p.fails(fault.Usage, []string{"for windows-x86_64", "has no Go files for windows/amd64", "optional = true"}, "update")
	p.goManifest(head + plug("posix", "optional = true\n"))
	p.ok("update")
	if c := p.locked().Plugins["posix"]["1.0.0"].Platforms["windows-x86_64"]; !strings.Contains(c.Unavailable, "no Go files for windows/amd64") {
		t.Errorf("%+v", c)
	}
	p.goManifest(head + plug("broken", ""))
	p.fails(fault.Usage, []string{"does not compile for linux/arm64 without cgo", "undefined"}, "update")
	p.goManifest(head + plug("lib", ""))
	p.fails(fault.Usage, []string{"cmd/protoc-gen-plug"}, "update")
	p.goManifest("go = \"1.2.3\"\n" + plug("protoc-gen-plug", ""))
	p.fails(fault.Upstream, []string{"go 1.2.3"}, "update")
	p.server.Fault("/go/golang.org/toolchain/@v/v0.0.1-go1.2.3.windows-amd64.info", fake.Status(403))
	p.publishGo("1.2.3")
	p.goManifest("go = \"1.2.3\"\n")
	p.fails(fault.Upstream, []string{"go 1.2.3 for windows-x86_64", "refuses", "optional = true"}, "update")
	// All platforms are asked before any is downloaded.
	if n := p.server.Count("/go/golang.org/toolchain/@v/v0.0.1-go1.2.3.linux-arm64.zip"); n > 0 {
		t.Errorf("%d downloads before the refusal", n)
	}
	p.goManifest("go = {version = \"1.2.3\", optional = true}\n" + plug("protoc-gen-plug", ""))
	p.fails(fault.Machine, []string{"needs Go 1.2.3", "has version " + version, "install Go 1.2.3"}, "update")
	p.goManifest("go = {version = \"" + version + "\", source = \"pip:go\", binary = \"go\"}\n" + plug("protoc-gen-plug", ""))
	p.fails(fault.Usage, []string{"must come from go:golang.org/toolchain"}, "check")
}

func TestGoTrust(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts Go many times; TestGo, TestAddGo and the conformance suite have the usual way")
	p, version := newGoPlace(t)
	p.goManifest("go = \"" + version + "\"\n" + plug("protoc-gen-plug", ""))
	p.setenv("GONOSUMDB", "example.com/dep")
	p.ok("update")
	l := p.locked()
	if got := l.Plugins["protoc-gen-plug"]["1.0.0"].Trust; got != "first-use" {
		t.Errorf("trust %s", got)
	}
	if got := l.Plugins["go"][version].Trust; got != "transparency-log" {
		t.Errorf("trust of go %s", got)
	}

	// The same files in another zip are the same module.
	const zip = "/go/example.com/dep/@v/v1.1.0.zip"
	p.server.Fault(zip, fake.Map(func([]byte) []byte {
		dep := fake.Module{Path: "example.com/dep", Version: "v1.1.0", Files: map[string]string{"dep.go": "package dep\n\nconst Name = \"dep\"\n"}}
		body := dep.Zip()
		// Another time of modification, in the local header and the directory.
		old, other := body[10:14], []byte{1, 0, 33, 80}
		return bytes.ReplaceAll(body, slices.Clone(old), other)
	}))
	p.cache = t.TempDir()
	testenv.KeepGoCache(t, filepath.Join(p.cache, "go-build"))
	p.ok("update", "protoc-gen-plug")

	// Other files are an alarm, whether or not the log knows the module.
	p.server.Fault(zip)
	p.server.Module(fake.Module{Path: "example.com/dep", Version: "v1.1.0", Files: map[string]string{"dep.go": "package dep\n\nconst Name = \"evil\"\n"}})
	p.fails(fault.Integrity, []string{"SECURITY", "example.com/dep@v1.1.0"}, "update", "protoc-gen-plug")
	p.fails(fault.Integrity, []string{"SECURITY", "example.com/dep@v1.1.0"}, "update", "--verify")
	p.setenv("GONOSUMDB", "")
	p.fails(fault.Integrity, []string{"SECURITY ERROR", "example.com/dep@v1.1.0"}, "update", "protoc-gen-plug")

	p.setenv("GOSUMDB", "off")
	p.cache = t.TempDir()
	testenv.KeepGoCache(t, filepath.Join(p.cache, "go-build"))
	if err := os.Remove(p.path("plugins.lock.toml")); err != nil {
		t.Fatal(err)
	}
	p.fails(fault.Policy, []string{"checksum database is off", "GOSUMDB=off"}, "update")
}

func TestGoRetracted(t *testing.T) {
	t.Parallel()
	p, version := newGoPlace(t)
	later := goPlugin
	later.Version = "v1.0.1"
	later.Files = map[string]string{"go.mod": "module example.com/Plug\n\ngo 1.21\n\nretract v1.0.0 // it writes nonsense\n"}
	p.server.Module(later)
	p.goManifest("go = \"" + version + "\"\n" + plug("protoc-gen-plug", ""))
	_, stderr := p.ok("update")
	if !regexp.MustCompile(`retracted example.com/Plug@v1.0.0: it writes nonsense`).MatchString(stderr) {
		t.Errorf("no word of it in\n%s", stderr)
	}
}

// TestGoCompilesLast: what can be known without compiling is told before anything is
// compiled: a platform that a plugin cannot have, and whatever is wrong with another
// one, a toolchain that a platform lacks among it.
func TestGoCompilesLast(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts Go many times; TestGo, TestAddGo and the conformance suite have the usual way")
	p, version := newGoPlace(t)
	p.now = time.Now()
	tool := func(entry string) string {
		return "[plugins.tool]\nversion = \"1.2.0\"\nsource = \"" + p.server.URL + "/dl/tool-{os}.tar.gz\"\nbinary = \"tool\"\n" + entry
	}
	p.server.File("/dl/tool-linux.tar.gz", toolTar(linuxARM))
	for _, tt := range []struct {
		name, entries string
		class         fault.Class
		says          []string
	}{
		{"a platform", plug("posix", ""), fault.Usage, []string{"posix 1.0.0 for windows-x86_64: ", "has no Go files for windows/amd64", "optional = true"}},
		{"a file of another plugin", plug("protoc-gen-plug", "") + tool(""), fault.Upstream, []string{"tool 1.2.0 for windows-x86_64: ", "404"}},
	} {
		p.goManifest("go = \"" + version + "\"\n" + tt.entries)
		talk := p.fails(tt.class, tt.says, "update", "-v")
		if strings.Contains(talk, "compiling") {
			t.Errorf("%s: compiled before it is told:\n%s", tt.name, talk)
		}
	}
	p.goManifest("go = \"" + version + "\"\n" + plug("protoc-gen-plug", "") + tool("optional = true\n"))
	_, talk := p.ok("update", "-v")
	says(t, talk, "compiling protoc-gen-plug 1.0.0 for linux-aarch64 (", " of 2)\n", "lockgen: protoc-gen-plug 1.0.0: ", ", compiled, ")
}

// TestGoBare: of a module without a go.mod lockgen locks what Go takes for it, which
// is the newest of today, and says so. It is the newest version where there is no
// other, and its own number is enough to be told the whole one.
func TestGoBare(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts Go many times; TestGo, TestAddGo and the conformance suite have the usual way")
	p, version := newGoPlace(t)
	p.server.Module(fake.Module{Path: "example.com/old", Version: "v3.1.0+incompatible", Files: map[string]string{
		"cmd/protoc-gen-old/main.go": "package main\n\nimport (\n\t\"example.com/dep\"\n\t\"example.com/old/lib\"\n)\n\nfunc main() { println(dep.Name, lib.Name) }\n",
		"lib/lib.go":                 "package lib\n\nconst Name = \"lib\"\n",
	}})
	entry := func(version string) string {
		return "[plugins.old]\nversion = \"" + version + "\"\nsource = \"go:example.com/old\"\npackage = \"cmd/protoc-gen-old\"\nbinary = \"protoc-gen-old\"\n"
	}
	toolchain := "go = \"" + version + "\"\n"
	p.goManifest(toolchain + entry("3.1.0"))
	p.fails(fault.Usage, []string{"write the version as 3.1.0+incompatible"}, "update", "--no-smoke")
	p.goManifest(toolchain + entry("3.1.0+incompatible") + "\n[policy]\nminimum-release-age = \"7d\"\n")
	p.fails(fault.Policy, []string{"go package example.com/dep 1.1.0 is too recent"}, "update", "--no-smoke")
	p.goManifest(toolchain + entry("3.1.0+incompatible"))
	_, talk := p.ok("update", "--no-smoke")
	says(t, talk, "old 3.1.0+incompatible has no go.mod that says what it needs: Go took the newest of today, example.com/dep@v1.1.0")
	p.ok("check")
	v := p.locked().Plugins["old"]["3.1.0+incompatible"]
	if v.Files["example.com/dep@v1.1.0.zip"].Version != "1.1.0" || v.Files["example.com/old@v3.1.0+incompatible.zip"].Integrity == "" || len(v.Files) != 2 {
		t.Errorf("locked %+v", v.Files)
	}
	p.ok("check", "--upstream")
	p.ok("update", "old", "--no-smoke")
	p.remove("plugins.lock.toml")
	p.goManifest(toolchain)
	p.ok("add", "go:example.com/old/cmd/protoc-gen-old", "--no-smoke")
	const want = `protoc-gen-old = { version = "3.1.0+incompatible", source = "go:example.com/old", package = "cmd/protoc-gen-old", binary = "protoc-gen-old" }`
	if got := p.entryLine("protoc-gen-old"); got != want {
		t.Errorf("the entry is\n%s\nwant\n%s", got, want)
	}
}

// TestAddLacks: where the sources that plugins.toml has what it takes for do not
// answer, add brings what another one takes.
func TestAddLacks(t *testing.T) {
	t.Parallel()
	p, version := newGoPlace(t)
	p.server.Module(fake.Module{Path: "github.com/envoyproxy/protoc-gen-validate", Version: "v1.3.0", Files: map[string]string{"main.go": "package main\n\nfunc main() {}\n"}})
	p.goManifest("")
	_, talk := p.ok("add", "protoc-gen-validate", "--no-smoke")
	says(t, talk, "bufbuild/protoc-gen-validate", "protoc-gen-validate is compiled by go: adding version "+version)
	if l := p.locked(); l.Plugins["protoc-gen-validate"]["1.3.0"] == nil || l.Plugins["go"][version] == nil {
		t.Errorf("locked %v", l.Plugins)
	}
	p.ok("check")
}
