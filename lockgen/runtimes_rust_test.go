package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// rustRuntimes writes a manifest with protoc, and plugins that are files here, and a
// list of runtimes of Rust that may all run code.
func (p *place) rustRuntimes(prost, runtimes string) {
	var names []string
	for item := range strings.SplitSeq(runtimes, ", ") {
		name, _, _ := strings.Cut(strings.Trim(item, `"`), "=")
		name, _, _ = strings.Cut(name, "[")
		names = append(names, `"runtimes/rust/`+name+`"`)
	}
	p.cargoManifest("[plugins]\n" + p.fileEntry("protoc", "36.2") + p.fileEntry("protoc-gen-prost", prost) + p.fileEntry("protoc-gen-tonic", "0.5.0") +
		"\n[runtimes]\nrust = [" + runtimes + "]\n\n[policy]\nbuild-scripts = [" + strings.Join(names, ", ") + "]\n")
}

// publishRustRuntimes publishes what rustRuntimes asks for.
func (p *place) publishRustRuntimes() {
	for _, version := range []string{"36.2", "0.4.0", "0.5.0", "0.6.0"} {
		p.pluginFiles(version)
	}
	type dep = fake.CrateDep
	crate := func(name, version string, deps ...dep) {
		p.server.Crate(fake.Crate{Name: name, Version: version, Deps: deps})
	}
	for _, series := range []string{"0.13", "0.14"} {
		for _, patch := range []string{".1", ".6"} {
			crate("prost", series+patch, dep{Name: "bytes", Req: "^1"}, dep{Name: "prost-derive", Req: "^" + series + ".0"})
			crate("prost-types", series+patch, dep{Name: "prost", Req: "^" + series + ".0"})
			p.server.Crate(fake.Crate{Name: "prost-derive", Version: series + patch, Extra: "\n[lib]\nproc-macro = true\n", Deps: []dep{{Name: "syn", Req: "^2"}}})
		}
	}
	crate("prost", "0.15.0")
	for _, version := range []string{"0.14.1", "0.14.9"} {
		p.server.Crate(fake.Crate{Name: "tonic", Version: version, Features: map[string][]string{"default": {"transport"}, "transport": {"dep:sys"}}, Deps: []dep{
			{Name: "bytes", Req: "^1"}, {Name: "sys", Req: "^1", Optional: true}, {Name: "only-windows", Req: "^1", Target: "cfg(windows)"}, {Name: "only-tests", Req: "^1", Kind: "dev"},
		}})
		crate("tonic-prost", version, dep{Name: "tonic", Req: "^" + version}, dep{Name: "prost", Req: "^0.14"})
	}
	crate("bytes", "1.0.0")
	crate("bytes", "1.12.2")
	crate("syn", "2.0.1")
	crate("syn", "3.0.0")
	crate("probe", "1.0.0")
	crate("only-windows", "1.0.0", dep{Name: "bytes", Req: "^1"})
	p.server.Crate(fake.Crate{Name: "sys", Version: "1.0.0", Files: map[string]string{"build.rs": mainFile}, Deps: []dep{{Name: "probe", Req: "^1", Kind: "build"}}})
	p.server.Crate(fake.Crate{
		Name: "own_lib", Version: "2.0.0", Features: map[string][]string{"full": {}, "extra": {}}, Deps: []dep{{Name: "syn", Req: "^3"}, {Name: "prost", Req: "^0.14"}, {Name: "bytes", Req: "^1", Rename: "octets"}},
		Extra: "\n[lib]\nname = \"other_name\"\npath = \"lib/root.rs\"\n", Files: map[string]string{"lib/root.rs": "", "src/lib.rs": "//"},
	})
	p.server.Crate(fake.Crate{Name: "native", Version: "1.0.0", Extra: "links = \"z\"\n", Files: map[string]string{
		"build.rs": mainFile, "Cargo.toml": "[package]\nname = \"native\"\nversion = \"1.0.0\"\nedition = \"2021\"\nlinks = \"z\"\n",
	}})
	manifest := func(name, more string) {
		p.server.Crate(fake.Crate{Name: name, Version: "1.0.0", Files: map[string]string{"Cargo.toml": "[package]\nname = \"" + name + "\"\nversion = \"1.0.0\"\nedition = \"2021\"\n" + more}})
	}
	manifest("newer", "rust-version = \"1.999\"\n")
	manifest("from-path", "\n[dependencies]\nbytes = { path = \"../bytes\" }\n")
	crate("on-newer", "1.0.0", dep{Name: "newer", Req: "^1"})
	crate("on-native", "1.0.0", dep{Name: "native", Req: "^1"})
	crate("old-prost", "1.0.0", dep{Name: "prost", Req: "=0.14.1"})
	crate("withdrawn", "1.0.0")
	p.server.Crate(fake.Crate{Name: "withdrawn", Version: "1.0.1", Yanked: true})
	p.server.Crate(fake.Crate{Name: "program", Version: "1.0.0", Files: map[string]string{"src/main.rs": mainFile}})
	p.server.Crate(fake.Crate{Name: "from-git", Version: "1.0.0", Files: map[string]string{
		"Cargo.toml": "[package]\nname = \"from-git\"\nversion = \"1.0.0\"\nedition = \"2021\"\n\n[dependencies]\nbytes = { git = \"https://example.com/bytes\" }\n",
	}})
	p.server.Crate(fake.Crate{Name: "elsewhere", Version: "1.0.0", Deps: []dep{{Name: "bytes", Req: "^1", Registry: "https://example.com/index"}}})
	crate("holed", "1.0.0", dep{Name: "nowhere", Req: "^1"})
}

// TestRuntimesRust: the runtimes of Rust are chosen to fit the plugins, with the crates
// that they need on each platform, and how each is compiled.
func TestRuntimesRust(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts cargo many times; TestCargo and the conformance suite have the usual way")
	p, _ := newCargoPlace(t)
	p.publishRustRuntimes()
	p.rustRuntimes("0.5.0", `"prost", "tonic"`)
	consent := p.read("plugins.toml")
	p.write("plugins.toml", strings.Split(consent, "\n[policy]")[0])
	p.fails(fault.Policy, []string{"runs code of 1 of its crates", "prost-derive-0.14.6", `build-scripts = ["runtimes/rust/prost"]`, "sys-1.0.0"}, "update", "--no-smoke")
	p.write("plugins.toml", consent)
	p.ok("update", "--no-smoke")
	p.ok("check")
	l := p.locked()
	prost, tonic := l.Plugins["runtimes/rust/prost"]["0.14.6"], l.Plugins["runtimes/rust/tonic"]["0.14.9"]
	if prost == nil || tonic == nil || prost.Language != "rust" || prost.Package != "prost" || prost.Trust != "registry" ||
		!slices.Equal(prost.Fits, []string{"protoc-gen-prost@0.5.0"}) || !slices.Equal(tonic.Fits, []string{"protoc-gen-tonic@0.5.0"}) ||
		!slices.Equal(prost.BuildScripts, []string{"prost-derive-0.14.6"}) || !slices.Equal(tonic.BuildScripts, []string{"prost-derive-0.14.6", "sys-1.0.0"}) {
		t.Fatalf("%+v\n%+v\n%s", prost, tonic, p.read("plugins.lock.toml"))
	}
	text := p.read("plugins.lock.toml")
	for _, line := range []string{
		`"prost-0.14.6" = { edition = "2021", imports = ["bytes-1.12.2", "prost-derive-0.14.6"] }`,
		`"prost-derive-0.14.6" = { type = "proc-macro", edition = "2021", imports = ["syn-2.0.1"] }`,
		`"prost-types-0.14.6" = { edition = "2021", imports = ["prost-0.14.6"] }`,
		`"sys-1.0.0" = { edition = "2021", script = "build.rs", script-imports = ["probe-1.0.0"] }`,
		`"tonic-0.14.9" = { edition = "2021", features = ["default", "transport"], imports = ["bytes-1.12.2", "only-windows-1.0.0 windows-x86_64", "sys-1.0.0"] }`,
		`"tonic-prost-0.14.9" = { edition = "2021", imports = ["prost-0.14.6", "tonic-0.14.9"] }`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
	if f := tonic.Files["only-windows-1.0.0.crate"]; !slices.Equal(f.Platforms, []string{"windows-x86_64"}) || strings.Contains(text, "only-tests") {
		t.Errorf("%+v", f)
	}
	if a, b := tonic.Platforms["linux-aarch64"], tonic.Platforms["windows-x86_64"]; a.Tree == "" || a == b {
		t.Errorf("%+v %+v", a, b)
	}
	p.server.Forget()
	p.ok("update")
	if n := p.server.Count(""); n != 0 {
		t.Errorf("%d requests", n)
	}
	for _, args := range [][]string{{"update", "--all", "--no-smoke"}, {"update", "--verify", "--no-smoke"}} {
		p.ok(args...)
		if got := p.read("plugins.lock.toml"); got != text {
			t.Errorf("%v: another lock:\n%s", args, got)
		}
	}
	p.known("runtimes/rust/tonic", "probe", "needed by sys@1.0.0")
	if out, _ := p.ok("why", "tonic-prost"); !strings.Contains(out, "tonic-prost-0.14.9.crate: needed by runtimes/rust/tonic@0.14.9") {
		t.Error(out)
	}
	p.addsCrate(text)
	// One version runs the code of all plugins, or there is none; and they move together.
	p.fails(fault.Usage, []string{"no prost runs the code of both protoc-gen-prost 0.5.0, which wants 0.14.1 or later, and protoc-gen-prost 0.4.0, which wants one before 0.14", "take prost out of [runtimes]"},
		"add", "protoc-gen-prost@0.4.0", "--no-smoke")
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), p.fileEntry("protoc-gen-prost", "0.5.0"), p.fileEntry("protoc-gen-prost", "0.4.0"), 1))
	p.fails(fault.Lock, []string{"runtimes/rust/prost latest: is in plugins.toml, but no matching version is locked", "lockgen update"}, "check")
	p.ok("remove", "runtimes/rust/tonic")
	p.ok("update", "--no-smoke")
	if v := p.locked().Plugins["runtimes/rust/prost"]["0.13.6"]; v == nil || !slices.Equal(v.Fits, []string{"protoc-gen-prost@0.4.0"}) {
		t.Errorf("%+v", v)
	}
	p.write("plugins.toml", consent)
	p.ok("update", "--no-smoke")
	if got := p.read("plugins.lock.toml"); got != text {
		t.Errorf("another lock:\n%s", got)
	}
	// What its publisher has yanked is not chosen.
	p.ok("add", "runtimes/rust/withdrawn")
	if v := p.locked().Plugins["runtimes/rust/withdrawn"]["1.0.0"]; v == nil {
		t.Error(p.read("plugins.lock.toml"))
	}
	p.ok("remove", "runtimes/rust/withdrawn")
	// Of what is too young, the one before it is taken.
	p.server.Crate(fake.Crate{Name: "bytes", Version: "1.99.0", Released: time.Now()})
	p.ok("update", "--all", "--no-smoke")
	if got := p.read("plugins.lock.toml"); got != text {
		t.Errorf("another lock:\n%s", got)
	}
}

// addsCrate: any other crate by its name, with features; two versions of one that cannot
// stand for each other are two crates. Without it the lock is what it was.
func (p *place) addsCrate(text string) {
	p.t.Helper()
	p.ok("add", "--allow-build-scripts", "runtimes/rust/own_lib[full]@2.0.0")
	if text := p.read("plugins.toml"); !strings.Contains(text, `rust = ["prost", "tonic", "own_lib[full]==2.0.0"]`) || !strings.Contains(text, `"runtimes/rust/own_lib"`) {
		p.t.Error(text)
	}
	lib := p.locked().Plugins["runtimes/rust/own_lib"]["2.0.0"]
	if lib == nil || !slices.Equal(lib.Args, []string{"--features", "full"}) {
		p.t.Fatalf("%+v\n%s", lib, p.read("plugins.lock.toml"))
	}
	if f := lib.Folders["own_lib-2.0.0"]; f.Called != "other_name" || f.Root != "lib/root.rs" || !slices.Equal(f.Features, []string{"full"}) ||
		!slices.Equal(f.Imports, []string{"octets=bytes-1.12.2", "prost-0.14.6", "syn-3.0.0"}) {
		p.t.Errorf("%+v", f)
	}
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), "own_lib[full]", "own_lib[extra]", 1))
	p.fails(fault.Lock, []string{"args is --features full in the lock, but --features extra in plugins.toml"}, "check")
	p.ok("update", "--no-smoke")
	p.ok("remove", "runtimes/rust/own_lib")
	if got := p.read("plugins.lock.toml"); got != text {
		p.t.Errorf("another lock:\n%s", got)
	}
	if text := p.read("plugins.toml"); strings.Contains(text, "own_lib") {
		p.t.Error(text)
	}
}

// TestRuntimesRustRefused: what does not fit the plugins or cannot be compiled is not locked.
func TestRuntimesRustRefused(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts cargo many times; TestCargo and the conformance suite have the usual way")
	p, _ := newCargoPlace(t)
	p.publishRustRuntimes()
	for _, tt := range []struct {
		name, plugin, runtimes string
		class                  fault.Class
		says                   []string
	}{
		{"older than the code", "0.5.0", `"prost==0.13.6"`, fault.Usage, []string{"prost 0.13.6 does not run the code of protoc-gen-prost 0.5.0, which wants 0.14.1 or later, before 0.15", `write "prost"`}},
		{"newer than the code", "0.5.0", `"prost==0.15.0"`, fault.Usage, []string{"prost 0.15.0 does not run the code"}},
		{"not known", "0.0.1", `"prost"`, fault.Usage, []string{"which version of the library fits protoc-gen-prost 0.0.1 is not known", "take protoc-gen-prost 0.1 or later"}},
		{"apart", "0.4.0", `"prost", "tonic==0.14.9"`, fault.Usage, []string{"the others of [runtimes] need prost 0.14.6, and it has 0.13.6", "lock plugins whose code is for prost of one series"}},
		{"not together", "0.5.0", `"prost==0.14.6", "old-prost==1.0.0"`, fault.Usage, []string{"the runtimes of Rust cannot be had together", "prost", "take versions of them that can be compiled together"}},
		{"no such crate", "0.5.0", `"nothing==1.0.0"`, fault.Upstream, []string{"has no crate nothing"}},
		{"no such version", "0.5.0", `"prost==0.14.77"`, fault.Upstream, []string{"cargo:prost has no version 0.14.77: the newest is 0.15.0, the nearest 0.14.6"}},
		{"no such feature", "0.5.0", `"own_lib[none]==2.0.0"`, fault.Usage, []string{"none", "own_lib"}},
		{"yanked", "0.5.0", `"withdrawn==1.0.1"`, fault.Policy, []string{"its publisher has yanked crate withdrawn 1.0.1"}},
		{"a native library", "0.5.0", `"on-native==1.0.0"`, fault.Usage, []string{"crate native-1.0.0 links the native library z", "take it out of [runtimes]"}},
		{"a program", "0.5.0", `"program==1.0.0"`, fault.Usage, []string{"crate program-1.0.0 has no library that a program could use", "take it out of [runtimes]"}},
		{"from git", "0.5.0", `"from-git==1.0.0"`, fault.Policy, []string{"from-git-1.0.0 needs bytes by git: only crates from the registry can be locked", "take another version, or take it out of [runtimes] and write runtime = […] in BUCK files"}},
		{"from elsewhere", "0.5.0", `"elsewhere==1.0.0"`, fault.Policy, []string{"elsewhere-1.0.0 needs bytes from the registry", "only crates from the registry can be locked"}},
		{"by path", "0.5.0", `"from-path==1.0.0"`, fault.Policy, []string{"crate from-path-1.0.0 needs bytes by path: only crates from the registry can be locked"}},
		{"a newer Rust", "0.5.0", `"newer==1.0.0"`, fault.Machine, []string{"crate newer-1.0.0 needs Rust 1.999 or later, and the one here is", "install Rust 1.999 or later: rustup update"}},
		{"needs a newer Rust", "0.5.0", `"on-newer==1.0.0"`, fault.Machine, []string{"crate newer-1.0.0 needs Rust 1.999 or later"}},
		{"a hole", "0.5.0", `"holed==1.0.0"`, fault.Usage, []string{"nowhere"}},
		{"twice", "0.5.0", `"prost", "prost==0.14.1"`, fault.Usage, []string{"names prost twice"}},
		{"a range", "0.5.0", `"prost>=0.14"`, fault.Usage, []string{"is not the name of a library", `"tokio[full]"`}},
		{"a wrong feature", "0.5.0", `"prost[a b]"`, fault.Usage, []string{"is not the name of a library"}},
		{"two versions of one", "0.5.0", `"prost", "old-prost==1.0.0", "prost-types==0.14.6"`, fault.Usage, []string{"write \"prost\""}},
	} {
		p.remove("plugins.lock.toml")
		p.rustRuntimes(tt.plugin, tt.runtimes)
		if tt.plugin == "0.0.1" {
			p.pluginFiles("0.0.1")
		}
		t.Log(tt.name)
		p.fails(tt.class, tt.says, "update", "--no-smoke")
		if p.read("plugins.lock.toml") != "" {
			t.Errorf("%s: wrote a lock", tt.name)
		}
	}
}
