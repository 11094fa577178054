package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// needCargo skips where no cargo is.
func needCargo(t *testing.T) {
	t.Helper()
	testenv.Real(t, "it starts cargo")
	if _, err := cargo.Find(t.Context()); err != nil {
		t.Skipf("no cargo to try with: %v", err)
	}
}

// newCargoPlace is a place where cargo has a home of its own.
func newCargoPlace(t *testing.T) (p *place, home string) {
	t.Helper()
	needCargo(t)
	p, home = newPlace(t), t.TempDir()
	p.setenv("CARGO_HOME", home)
	p.setenv("CARGO_NET_RETRY", "0")
	return p, home
}

const mainFile = "fn main() {}\n"

// crates publishes a plugin that needs one crate on each platform, one on
// Windows, one that runs code, and one for a feature.
func crates(s *fake.Server) {
	s.Crate(fake.Crate{Name: "leaf", Version: "1.0.0"})
	s.Crate(fake.Crate{Name: "leaf", Version: "1.1.0"})
	s.Crate(fake.Crate{Name: "extra", Version: "0.1.0"})
	s.Crate(fake.Crate{Name: "only-tests", Version: "1.0.0"})
	s.Crate(fake.Crate{Name: "only-windows", Version: "1.0.0", Files: map[string]string{"build.rs": mainFile}})
	s.Crate(fake.Crate{Name: "helper", Version: "2.0.0"})
	s.Crate(fake.Crate{Name: "derive", Version: "1.0.0", Extra: "\n[lib]\nproc-macro = true\n"})
	s.Crate(plugin("1.0.0"))
}

func plugin(version string) fake.Crate {
	return fake.Crate{
		Name: "protoc-gen-acme", Version: version,
		Deps: []fake.CrateDep{
			{Name: "leaf", Req: "^1"},
			{Name: "extra", Req: "^0.1", Optional: true},
			{Name: "only-tests", Req: "^1", Kind: "dev"},
			{Name: "only-windows", Req: "^1", Target: "cfg(windows)"},
			{Name: "helper", Req: "^2", Kind: "build"},
		},
		Files: map[string]string{"src/main.rs": mainFile},
	}
}

// cargoManifest writes a plugins.toml whose crates come from the fake server.
func (p *place) cargoManifest(text string) {
	p.write("plugins.toml", "platforms = [\"linux-aarch64\", \"windows-x86_64\"]\n\n[registries]\ncargo = \""+p.server.CrateIndex()+"\"\n\n"+text)
}

const acme = "[plugins.acme]\nversion = \"1.0.0\"\nsource = \"cargo:protoc-gen-acme\"\nbinary = \"protoc-gen-acme\"\n"

func TestCargo(t *testing.T) {
	t.Parallel()
	p, _ := newCargoPlace(t)
	crates(p.server)
	p.cargoManifest(acme)
	p.fails(fault.Policy, []string{"plugins.toml:6", "runs code of 1 of its crates", "only-windows-1.0.0", `build-scripts = ["acme"]`}, "update")
	if n := p.server.Count("/crates/leaf/1.1.0/download"); n != 1 {
		t.Errorf("leaf was downloaded %d times", n)
	}
	consent := "\n[policy]\nbuild-scripts = [\"acme\"]\n"
	p.cargoManifest(acme + consent)
	p.server.Forget()
	p.ok("update")
	for _, r := range p.server.Requests("") {
		if strings.HasPrefix(r.Path, "/crates/") {
			t.Errorf("downloaded again: %s", r.Path)
		}
	}
	first := p.read("plugins.lock.toml")
	l, err := lock.Parse("lock", []byte(first))
	if err != nil {
		t.Fatal(err)
	}
	v := l.Plugins["acme"]["1.0.0"]
	keys := map[string][]string{}
	for key, f := range v.Files {
		keys[key] = f.Platforms
	}
	want := map[string][]string{
		"helper-2.0.0.crate": nil, "leaf-1.1.0.crate": nil, "protoc-gen-acme-1.0.0.crate": nil,
		"only-windows-1.0.0.crate": {"windows-x86_64"},
	}
	if len(keys) != len(want) {
		t.Errorf("files %v, want %v", keys, want)
	}
	for key, platforms := range want {
		if got, ok := keys[key]; !ok || !slices.Equal(got, platforms) {
			t.Errorf("%s is for %v, want %v", key, got, platforms)
		}
	}
	if !slices.Equal(v.BuildScripts, []string{"only-windows-1.0.0"}) || v.Trust != "registry" || v.Package != "protoc-gen-acme" {
		t.Errorf("locked %+v", v)
	}
	if c := v.Platforms["windows-x86_64"]; c != (lock.Cell{Binary: "bin/protoc-gen-acme.exe"}) {
		t.Errorf("windows: %+v", c)
	}
	if c := v.Platforms["windows-aarch64"]; c != (lock.Cell{Emulate: "windows-x86_64"}) {
		t.Errorf("windows-aarch64: %+v", c)
	}
	p.ok("check")
	p.ok("update", "--verify")
	p.ok("update", "acme")
	if p.read("plugins.lock.toml") != first {
		t.Error("locking again gives other bytes")
	}
	if err := os.Remove(p.path("plugins.lock.toml")); err != nil {
		t.Fatal(err)
	}
	p.cache = t.TempDir()
	p.ok("update")
	if p.read("plugins.lock.toml") != first {
		t.Error("locking anew gives other bytes")
	}
	// Consent is taken back, features are asked for, a platform goes.
	p.cargoManifest(acme)
	p.fails(fault.Lock, []string{"only-windows-1.0.0", "does not allow"}, "check")
	p.cargoManifest(acme + "args = [\"--features\", \"extra\"]\n" + consent)
	p.fails(fault.Lock, []string{"args is none in the lock, but --features extra in plugins.toml"}, "check")
	p.ok("update")
	if text := p.read("plugins.lock.toml"); !strings.Contains(text, "args = [\"--features\", \"extra\"]\n") || !strings.Contains(text, `"extra-0.1.0.crate"`) {
		t.Errorf("locked with features:\n%s", text)
	}
	p.cargoManifest(acme + "args = [\"--features\", \"extra\"]\n" + consent)
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), `, "windows-x86_64"`, "", 1))
	p.ok("update")
	if text := p.read("plugins.lock.toml"); strings.Contains(text, "only-windows") {
		t.Errorf("Windows is gone, its crate is not:\n%s", text)
	}
	p.ok("check")
	if out, _ := p.ok("list"); !strings.Contains(out, "cargo:protoc-gen-acme") || !strings.Contains(out, "linux-aarch64") {
		t.Errorf("list:\n%s", out)
	}
	if _, talk := p.ok("remove", "acme"); !strings.Contains(talk, "removed acme from build-scripts of [policy]") || strings.Contains(p.read("plugins.toml"), "acme") {
		t.Errorf("%s\n%s", talk, p.read("plugins.toml"))
	}
}

// A crate's own Cargo.lock decides, where it has one.
func TestCargoOwnLock(t *testing.T) {
	t.Parallel()
	p, _ := newCargoPlace(t)
	p.server.Crate(fake.Crate{Name: "leaf", Version: "1.1.0"})
	old := p.server.Crate(fake.Crate{Name: "leaf", Version: "1.0.0", Yanked: true})
	own := func(source, checksum string) fake.Crate {
		return fake.Crate{
			Name: "protoc-gen-acme", Version: "1.0.0", Deps: []fake.CrateDep{{Name: "leaf", Req: "^1"}},
			Files: map[string]string{"src/main.rs": mainFile, "Cargo.lock": "version = 3\n\n[[package]]\nname = \"leaf\"\nversion = \"1.0.0\"\nsource = \"" + source +
				"\"\nchecksum = \"" + checksum + "\"\n\n[[package]]\nname = \"protoc-gen-acme\"\nversion = \"1.0.0\"\ndependencies = [\n \"leaf\",\n]\n"},
		}
	}
	// The name that cargo itself gives the registry, which no file of ours has.
	p.server.Crate(fake.Crate{Name: "protoc-gen-acme", Version: "1.0.0", Deps: []fake.CrateDep{{Name: "leaf", Req: "^1"}}, Files: map[string]string{"src/main.rs": mainFile}})
	source := sourceOfCargo(t)
	p.cargoManifest(acme)
	p.server.Crate(own(source, old.SHA256))
	_, talk := p.ok("update")
	if text := p.read("plugins.lock.toml"); !strings.Contains(text, `"leaf-1.0.0.crate"`) {
		t.Errorf("not the crate's own Cargo.lock:\n%s", text)
	}
	if !strings.Contains(talk, "yanked crate leaf-1.0.0") {
		t.Errorf("no note of the yanked crate:\n%s", talk)
	}
	for _, tt := range []struct {
		name, source, checksum string
		class                  fault.Class
		says                   []string
	}{
		{"other checksum", source, strings.Repeat("ab", 32), fault.Integrity, []string{"checksums that differ from the index"}},
		{"git", "git+https://example.com/leaf?rev=1#0123456789012345678901234567890123456789", "", fault.Policy, []string{"leaf-1.0.0 from git", "only crates from the registry"}},
		{"folder", "", "", fault.Policy, []string{"leaf-1.0.0 from a folder"}},
		{"other registry", "registry+https://example.com/index", old.SHA256, fault.Policy, []string{"from another registry", "#direct-references"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q := p.another(t)
			c := own(tt.source, tt.checksum)
			if tt.source == "" {
				c.Files["Cargo.lock"] = regexp.MustCompile(`(?m)^(source|checksum) = ""\n`).ReplaceAllString(c.Files["Cargo.lock"], "")
			}
			q.server.Crate(c)
			q.cargoManifest(acme)
			q.fails(tt.class, tt.says, "update")
		})
	}
}

// sourceOfCargo is the source that cargo writes into a Cargo.lock for crates of
// its default registry.
func sourceOfCargo(t *testing.T) string {
	t.Helper()
	tool, err := cargo.Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	source, err := tool.Source(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func TestCargoRefuses(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts cargo many times; TestCargo and the conformance suite have the usual way")
	p, home := newCargoPlace(t)
	s := p.server
	crates(s)
	s.Crate(fake.Crate{Name: "library", Version: "1.0.0"})
	s.Crate(fake.Crate{Name: "prost-build", Version: "0.12.3"})
	s.Crate(fake.Crate{Name: "yanked", Version: "1.0.0", Yanked: true, Files: map[string]string{"src/main.rs": mainFile}})
	s.Crate(fake.Crate{Name: "macro", Version: "1.0.0", Deps: []fake.CrateDep{{Name: "derive", Req: "^1"}}, Files: map[string]string{"src/main.rs": mainFile}})
	s.Crate(fake.Crate{Name: "own-build", Version: "1.0.0", Files: map[string]string{"src/main.rs": mainFile, "build.rs": mainFile}})
	for name, dep := range map[string]string{
		"git": "\n[dependencies.x]\ngit = \"https://127.0.0.1:9/x\"\n", "path": "\n[dependencies]\nx = { path = \"../x\" }\n",
		"patch": "\n[patch.crates-io]\nleaf = { path = \"/tmp\" }\n", "target": "\n[target.'cfg(unix)'.build-dependencies.x]\ngit = \"https://127.0.0.1:9/x\"\n",
		"space": "\n[workspace]\nmembers = [\"../../..\"]\n",
	} {
		s.Crate(fake.Crate{Name: "by-" + name, Version: "1.0.0", Extra: dep, Files: map[string]string{"src/main.rs": mainFile}})
	}
	other := fake.New(t)
	other.Crate(fake.Crate{Name: "elsewhere", Version: "1.0.0"})
	elsewhere := func(index string) []fake.CrateDep {
		return []fake.CrateDep{{Name: "elsewhere", Req: "^1", Registry: index}}
	}
	s.Crate(fake.Crate{Name: "mid-registry", Version: "1.0.0", Deps: elsewhere("sparse+" + other.CrateIndex())})
	s.Crate(fake.Crate{Name: "mid-git-registry", Version: "1.0.0", Deps: elsewhere("https://127.0.0.1:9/index")})
	for name, text := range map[string]string{
		"mid-git": "[dependencies.x]\ngit = \"https://127.0.0.1:9/x\"\n", "mid-path": "[build-dependencies]\nx = { version = \"1\", path = \"../x\" }\n",
		"mid-patch": "[patch.crates-io]\nleaf = { path = \"/tmp\" }\n", "mid-replace": "[replace]\n\"leaf:1.0.0\" = { path = \"/tmp\" }\n",
		"mid-other": "[target.x86_64-unknown-linux-gnu.dependencies]\nx = { version = \"1\", registry-index = \"https://127.0.0.1:9/x\" }\n",
	} {
		s.Crate(fake.Crate{Name: name, Version: "1.0.0", Files: map[string]string{"Cargo.toml": "[package]\nname = \"" + name + "\"\nversion = \"1.0.0\"\n" + text}})
	}
	for _, mid := range []string{"mid-registry", "mid-git-registry", "mid-git", "mid-path", "mid-patch", "mid-replace", "mid-other"} {
		s.Crate(fake.Crate{Name: "through-" + mid, Version: "1.0.0", Deps: []fake.CrateDep{{Name: mid, Req: "^1"}}, Files: map[string]string{"src/main.rs": mainFile}})
	}
	s.Crate(fake.Crate{Name: "by-registry", Version: "1.0.0", Deps: elsewhere("sparse+" + other.CrateIndex()), Files: map[string]string{"src/main.rs": mainFile}})
	s.Crate(fake.Crate{Name: "by-its-name", Version: "1.0.0", Deps: []fake.CrateDep{{Name: "leaf", Req: "^1", Registry: strings.TrimPrefix(sourceOfCargo(t), "registry+")}}, Files: map[string]string{"src/main.rs": mainFile}})
	s.Crate(fake.Crate{Name: "liar", Version: "1.0.0", Files: map[string]string{"src/main.rs": mainFile, "Cargo.toml": "[package]\nname = \"other\"\nversion = \"1.0.0\"\n"}})
	s.Crate(fake.Crate{Name: "linked", Version: "1.0.0", Tarball: withLink(t, "linked-1.0.0")})
	s.Crate(fake.Crate{Name: "wrong-sum", Version: "1.0.0", Cksum: strings.Repeat("ab", 32), Files: map[string]string{"src/main.rs": mainFile}})
	s.Crate(fake.Crate{Name: "no-sum", Version: "1.0.0", Cksum: strings.Repeat("0", 64), Files: map[string]string{"src/main.rs": mainFile}})
	s.Crate(fake.Crate{Name: "gated", Version: "1.0.0", Features: map[string][]string{"cli": {}}, Extra: "\n[[bin]]\nname = \"gated\"\npath = \"src/main.rs\"\nrequired-features = [\"cli\"]\n", Files: map[string]string{"src/main.rs": mainFile}})
	hang := strings.Repeat("a.", 40<<10) + "a = 1\n"
	s.Crate(fake.Crate{Name: "hanging", Version: "1.0.0", Extra: hang, Files: map[string]string{"src/main.rs": mainFile}})
	s.Crate(fake.Crate{Name: "hanging-lock", Version: "1.0.0", Files: map[string]string{"src/main.rs": mainFile, "Cargo.lock": "version = 4\n" + hang}})
	for _, name := range []string{"dropped", "html", "bits", "absent"} {
		s.Crate(fake.Crate{Name: name, Version: "1.0.0", Files: map[string]string{"src/main.rs": mainFile}})
	}
	s.Fault("/crates/bits/1.0.0/download", fake.WrongBytes())
	s.Fault("/crates/html/1.0.0/download", fake.HTML())
	s.Fault("/crates/absent/1.0.0/download", fake.Status(404))
	s.Fault(fake.CrateIndexPath("dropped"), fake.Status(404))

	// What the user's own configuration would run.
	canary := filepath.Join(t.TempDir(), "canary")
	script := filepath.Join(t.TempDir(), "wrapper")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho ran >> "+canary+"\nexec \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	config := "[build]\nrustc-wrapper = \"" + script + "\"\nrustc-workspace-wrapper = \"" + script + "\"\nrustc = \"" + script + "\"\nrustflags = [\"-Clinker=" + script + "\"]\n"
	if err := os.WriteFile(filepath.Join(home, "config.toml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	p.setenv("RUSTC_WRAPPER", script)
	p.setenv("CARGO_BUILD_RUSTC_WRAPPER", script)

	for row, tt := range []struct {
		crate string
		class fault.Class
		says  []string
	}{
		{"library", fault.Usage, []string{"crate library 1.0.0 is a library", "no executable that protoc could run"}},
		{"prost-build", fault.Usage, []string{"use protoc-gen-prost"}},
		{"yanked", fault.Policy, []string{"yanked crate yanked 1.0.0"}},
		{"macro", fault.Policy, []string{"derive-1.0.0", "does not allow"}},
		{"own-build", fault.Policy, []string{"own-build-1.0.0", "does not allow"}},
		{"by-git", fault.Policy, []string{"x by git"}},
		{"by-path", fault.Policy, []string{"x by path"}},
		{"by-patch", fault.Policy, []string{"[patch]"}},
		{"by-target", fault.Policy, []string{"x by git"}},
		{"by-space", fault.Policy, []string{"[workspace]"}},
		{"by-registry", fault.Policy, []string{"crate by-registry-1.0.0 needs elsewhere from the registry sparse+" + other.CrateIndex()}},
		{"through-mid-registry", fault.Policy, []string{"crate mid-registry-1.0.0 needs elsewhere from the registry sparse+" + other.CrateIndex()}},
		{"through-mid-git-registry", fault.Policy, []string{"crate mid-git-registry-1.0.0 needs elsewhere from the registry https://127.0.0.1:9/index"}},
		{"through-mid-git", fault.Policy, []string{"crate mid-git-1.0.0 needs x by git"}},
		{"through-mid-path", fault.Policy, []string{"crate mid-path-1.0.0 needs x by path"}},
		{"through-mid-patch", fault.Policy, []string{"crate mid-patch-1.0.0 needs [patch] in its Cargo.toml"}},
		{"through-mid-replace", fault.Policy, []string{"crate mid-replace-1.0.0 needs [replace]"}},
		{"through-mid-other", fault.Policy, []string{"crate mid-other-1.0.0 needs x by registry-index"}},
		{"hanging", fault.Integrity, []string{"Cargo.toml of crate hanging-1.0.0", "a key of more than 64 parts"}},
		{"hanging-lock", fault.Integrity, []string{"Cargo.lock", "a key of more than 64 parts"}},
		{"liar", fault.Integrity, []string{"says that it is other-1.0.0"}},
		{"linked", fault.Integrity, []string{"linked-1.0.0.crate", "unsafe entry"}},
		{"wrong-sum", fault.Integrity, []string{"does not match the registry's digest"}},
		{"no-sum", fault.Upstream, []string{"cksum"}},
		{"gated", fault.Usage, []string{"needs the features cli", `args = ["--features", "cli"]`}},
		{"bits", fault.Integrity, []string{"does not match the registry's digest"}},
		{"html", fault.Integrity, []string{"HTML"}},
		{"absent", fault.Upstream, []string{"404"}},
		{"dropped", fault.Upstream, []string{"no crate dropped"}},
		{"unknown-crate", fault.Upstream, []string{"no crate unknown-crate"}},
	} {
		t.Run(tt.crate, func(t *testing.T) {
			testenv.Sample(t, row, 4)
			p := p.another(t)
			version := "1.0.0"
			if tt.crate == "prost-build" {
				version = "0.12.3"
			}
			p.cargoManifest("[plugins.acme]\nversion = \"" + version + "\"\nsource = \"cargo:" + tt.crate + "\"\nbinary = \"" + tt.crate + "\"\n")
			p.fails(tt.class, tt.says, "update")
		})
	}
	p.cargoManifest(strings.Replace(acme, "1.0.0", "1.0.7", 1))
	p.fails(fault.Upstream, []string{"cargo:protoc-gen-acme has no version 1.0.7: the newest is 1.0.0"}, "update")
	p.cargoManifest(strings.Replace(acme, `binary = "protoc-gen-acme"`, `binary = "protoc-gen-acne"`, 1))
	p.fails(fault.Usage, []string{`no executable "protoc-gen-acne"; it has protoc-gen-acme`}, "update")
	p.cargoManifest("[plugins]\nprotobuf-codegen = \"4.33.0\"\n")
	p.fails(fault.Usage, []string{"another project under the same name", "before 4.0.0"}, "update")
	if asked := other.Requests(""); len(asked) > 0 {
		t.Errorf("the other registry was asked for %v", asked)
	}
	p.cargoManifest("[plugins.acme]\nversion = \"1.0.0\"\nsource = \"cargo:by-its-name\"\nbinary = \"by-its-name\"\n")
	p.ok("update")
	// The user's wrappers stay out also where everything works.
	p.cargoManifest(acme + "[policy]\nbuild-scripts = [\"acme\"]\n")
	p.ok("update")
	if data, err := os.ReadFile(canary); err == nil {
		t.Errorf("the user's wrapper ran:\n%s", data)
	}
}

// withLink is a crate with a symbolic link in it (CVE-2026-5223).
func withLink(t *testing.T, top string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range []*tar.Header{
		{Typeflag: tar.TypeReg, Name: top + "/src/main.rs", Mode: 0o644},
		{Typeflag: tar.TypeSymlink, Name: top + "/x", Linkname: "../../..", Mode: 0o777},
	} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if w.Close() != nil || z.Close() != nil {
		t.Fatal("tar")
	}
	return b.Bytes()
}

// The registry may be the one of the user's own configuration.
func TestCargoOwnConfiguration(t *testing.T) {
	t.Parallel()
	p, home := newCargoPlace(t)
	p.server.Crate(fake.Crate{Name: "protoc-gen-acme", Version: "1.0.0", Files: map[string]string{"src/main.rs": mainFile}})
	p.write("plugins.toml", "platforms = [\"linux-x86_64\"]\n"+acme)
	config := "[source.crates-io]\nreplace-with = \"mine\"\n[source.mine]\nregistry = \"sparse+" + p.server.CrateIndex() + "\"\n"
	if err := os.WriteFile(filepath.Join(home, "config.toml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	p.ok("update")
	if n := p.server.Count("/crates/protoc-gen-acme/1.0.0/download"); n != 1 {
		t.Errorf("downloaded %d times", n)
	}
	first := p.read("plugins.lock.toml")
	// And that of the project.
	if err := os.Remove(filepath.Join(home, "config.toml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(p.path(".cargo"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.write(".cargo/config.toml", config)
	p.ok("update", "acme")
	if p.read("plugins.lock.toml") != first {
		t.Error("another lock by another way to the same registry")
	}
	// The same version with other bytes is an alarm.
	p.server.Crate(fake.Crate{Name: "protoc-gen-acme", Version: "1.0.0", Files: map[string]string{"src/main.rs": mainFile + "// new\n"}})
	p.fails(fault.Integrity, []string{"SECURITY", "other bytes than when it was locked"}, "update", "acme")
	// A folder is no registry that crates can be downloaded from.
	p.write(".cargo/config.toml", "[source.crates-io]\nreplace-with = \"mine\"\n[source.mine]\ndirectory = \"vendor\"\n")
	if err := os.Mkdir(p.path("vendor"), 0o755); err != nil {
		t.Fatal(err)
	}
	if status, _, talk := p.run("update", "acme"); status == 0 {
		t.Errorf("a folder was taken for a registry:\n%s", talk)
	}
}

// TestCargoReal locks protoc-gen-prost from the registry that cargo is
// configured with. What it downloads is kept for the next time.
func TestCargoReal(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts cargo many times; TestCargo and the conformance suite have the usual way")
	testenv.Real(t, "protoc-gen-prost 0.2.3 comes from the network")
	tool, err := cargo.Find(t.Context())
	if err != nil {
		t.Skipf("TestCargoReal needs cargo: %v", err)
	}
	index, err := tool.Index("", "")
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	crate, err := index.Crate(t.Context(), "protoc-gen-prost", "0.2.3")
	if err != nil {
		t.Skipf("TestCargoReal needs the registry of crates: %v", err)
	}
	const sum = "10dfa031ad41fdcfb180de73ece3ed076250f1132a13ad6bba218699f612fb95"
	if crate.SHA256 != sum {
		t.Fatalf("the index says %s", crate.SHA256)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("TestCargoReal needs a cache: %v", err)
	}
	p := &place{t: t, dir: t.TempDir(), cache: filepath.Join(cache, "buck2-protobuf-test"), server: fake.New(t)}
	p.write("plugins.toml", "platforms = [\"linux-x86_64\", \"linux-aarch64\", \"macos-x86_64\", \"macos-aarch64\", \"windows-x86_64\"]\n[plugins]\nprotoc-gen-prost = \"0.2.3\"\n[policy]\nbuild-scripts = [\"protoc-gen-prost\"]\n")
	smoke := []string{}
	if !testenv.Full() { // TestMirrorCargo compiles a small one
		smoke = append(smoke, "--no-smoke")
	}
	p.ok(append([]string{"update"}, smoke...)...)
	first := p.read("plugins.lock.toml")
	l, err := lock.Parse("lock", []byte(first))
	if err != nil {
		t.Fatal(err)
	}
	v := l.Plugins["protoc-gen-prost"]["0.2.3"]
	if f := v.Files["protoc-gen-prost-0.2.3.crate"]; f.SHA256 != sum || f.Size != 12759 {
		t.Errorf("locked %+v", f)
	}
	// Its Cargo.lock has 52 packages; these are what five platforms need.
	if len(v.Files) != 37 || len(v.FilesFor("linux-x86_64")) != 34 || len(v.FilesFor("windows-x86_64")) != 32 {
		t.Errorf("locked %d crates, %d for Linux, %d for Windows", len(v.Files), len(v.FilesFor("linux-x86_64")), len(v.FilesFor("windows-x86_64")))
	}
	if !slices.Contains(v.BuildScripts, "libc-0.2.139") || !slices.Contains(v.BuildScripts, "prost-derive-0.11.9") || len(v.BuildScripts) != 11 {
		t.Errorf("build scripts %v", v.BuildScripts)
	}
	p.ok(append([]string{"update", "protoc-gen-prost"}, smoke...)...)
	if p.read("plugins.lock.toml") != first {
		t.Error("locking again gives other bytes")
	}
}

// TestCargoTrialIsInstalled: what lockgen has compiled to try it is what fetch
// installs, without another compile: the same program as cargo makes for fetch alone.
func TestCargoTrialIsInstalled(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts cargo many times; TestCargo and the conformance suite have the usual way")
	host, ok := lock.Host()
	if !ok || host.OS == "windows" {
		t.Skip("the compilers of this test are shell scripts")
	}
	p, _ := newCargoPlace(t)
	testenv.Program(t, "cc") // the linker
	crates(p.server)
	second := plugin("1.0.0") // compiled behind the other, in the same folder
	second.Name, second.Files = "protoc-gen-other", map[string]string{"src/main.rs": "fn main() { eprintln!(\"other\") }\n"}
	p.server.Crate(second)
	p.write("plugins.toml", "platforms = [\""+host.Name+"\"]\n\n[registries]\ncargo = \""+p.server.CrateIndex()+"\"\n\n"+acme+strings.ReplaceAll(acme, "acme", "other"))
	p.ok("update")
	binary := fetchProgram(t)

	// Compilers that say what they are asked for.
	dir := t.TempDir()
	asked := filepath.Join(dir, "asked")
	sysroot, err := exec.Command("rustc", "--print", "sysroot").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cargo", "rustc"} {
		path := filepath.Join(strings.TrimSpace(string(sysroot)), "bin", name) // rustup's need the person's home
		script := "#!/bin/sh\n[ \"$*\" = \"--print sysroot\" ] && { echo /nonexistent; exit; }\necho \"" + name + " $*\" >> '" + asked + "'\nexec '" + path + "' \"$@\"\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	get := func(name, cache string) (program []byte, compiled bool) {
		cmd := exec.Command(binary, "get", name, "--lock", p.path("plugins.lock.toml"))
		cmd.Env = append(p.environ(), "PATH="+dir+string(filepath.ListSeparator)+os.Getenv("PATH"), "BUCK2_PROTOBUF_CACHE_DIR="+cache)
		var talk bytes.Buffer
		cmd.Stderr = &talk
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, talk.String())
		}
		if program, err = os.ReadFile(strings.TrimSpace(string(out))); err != nil {
			t.Fatal(err)
		}
		log, err := os.ReadFile(asked)
		if err != nil || !strings.Contains(string(log), "rustc -vV") {
			t.Fatalf("the compilers of this test are not those of fetch: %v\n%s", err, log)
		}
		if err := os.Remove(asked); err != nil {
			t.Fatal(err)
		}
		return program, strings.Contains(string(log), "cargo install")
	}
	p.server.Forget()
	for _, name := range []string{"acme", "other"} {
		tried, compiled := get(name, p.cache)
		if compiled {
			t.Errorf("%s was compiled again", name)
		}
		if n := p.server.Count(""); n > 0 {
			t.Errorf("%s: %d requests", name, n)
		}
		alone, compiled := get(name, t.TempDir())
		if !compiled {
			t.Errorf("%s from nothing was not compiled", name)
		}
		if !bytes.Equal(tried, alone) {
			t.Errorf("%s: what was tried is not what fetch compiles: %d and %d bytes", name, len(tried), len(alone))
		}
		p.server.Forget()
	}
}
