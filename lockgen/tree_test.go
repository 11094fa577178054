package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/lockgen/closure"
)

const sumA, sumB = "1111111111111111111111111111111111111111111111111111111111111111", "2222222222222222222222222222222222222222222222222222222222222222"

// everyKind is a lock of one plugin of each source kind, with what makes trees
// of them hard.
func everyKind(t *testing.T) *lock.Lock {
	t.Helper()
	file := func(name, version string) lock.File {
		return lock.File{Name: name, Version: version, SHA256: sumA, Size: 1024}
	}
	on := func(f lock.File, platforms ...string) lock.File { f.Platforms = platforms; return f }
	npm := func(name, version string) lock.File {
		f := file(name, version)
		f.Integrity = "sha512-" + strings.Repeat("A", 85) + "Q=="
		return f
	}
	mod := func(name, version string) lock.File {
		f := file(name, version)
		f.Integrity = "h1:" + strings.Repeat("A", 42) + "E="
		return f
	}
	zip := func(name, version string) lock.File {
		f := mod(name, version)
		f.GoMod = f.Integrity
		return f
	}
	cells := func(binary, tree string) map[string]lock.Cell {
		all := map[string]lock.Cell{}
		for _, p := range lock.Platforms {
			all[p.Name] = lock.Cell{Binary: binary, Tree: tree}
		}
		all["windows-aarch64"] = lock.Cell{Emulate: "windows-x86_64"}
		all["macos-aarch64"] = lock.Cell{Unavailable: "<b>no</b> build"}
		return all
	}
	l := &lock.Lock{Schema: lock.Schema, Plugins: map[string]map[string]*lock.Version{
		"node": {"1.0.0": {Source: lock.HTTP, Trust: "checksum-file", Files: map[string]lock.File{
			"node.tar.gz":  {URL: "https://example.com/node.tar.gz", Archive: "tar.gz", SHA256: sumA, Size: 5 << 20, Platforms: []string{"linux-aarch64", "linux-x86_64", "macos-x86_64"}},
			"node-win.zip": {URL: "https://example.com/a b/node-win.zip", Archive: "zip", SHA256: sumB, Size: 6 << 20, Platforms: []string{"windows-x86_64"}},
		}, Platforms: cells("node", sumA)}},
		"deep": {"2.0.0": {Source: lock.NPM, Package: "@acme/deep", Runtime: "node@1.0.0", Trust: "registry", Files: map[string]lock.File{
			"node_modules/@acme/deep":                               npm("@acme/deep", "2.0.0"),
			"node_modules/@acme/deep/node_modules/b":                npm("b", "2.0.0"),
			"node_modules/@acme/deep/node_modules/b/node_modules/c": npm("c", "3.0.0"),
			"node_modules/b":                                        npm("b", "1.0.0"),
			"node_modules/c":                                        on(npm("c", "1.0.0"), "linux-x86_64"),
			"node_modules/lost/node_modules/d":                      npm("d", "1.0.0"),
		}, Platforms: cells("node_modules/@acme/deep/x.js", sumA)}},
		"snake": {"3.0": {Source: lock.Pip, Package: "Snake_Plugin", Trust: "registry", Python: []string{"3.11", "3.12"}, Program: "protoc-gen-snake", Start: lock.Start{Entry: "snake:main"},
			Files: map[string]lock.File{
				"snake_plugin-3.0-py3-none-any.whl":              {SHA256: sumA, Size: 10},
				"fast-1.0-cp311-cp311-manylinux_2_17_x86_64.whl": {SHA256: sumA, Size: 20, Python: []string{"3.11"}},
				"fast-1.0-cp312-cp312-manylinux_2_17_x86_64.whl": {SHA256: sumB, Size: 30, Python: []string{"3.12"}},
			}, Platforms: cells("snake/__init__.py", sumA)}},
		"rusty": {"0.1.0": {Source: lock.Cargo, Package: "rusty", Trust: "registry", BuildScripts: []string{"libc-0.2.1"}, Files: map[string]lock.File{
			"rusty-0.1.0.crate": file("rusty", "0.1.0"), "libc-0.2.1.crate": file("libc", "0.2.1"), "windows-sys-0.5.0.crate": on(file("windows-sys", "0.5.0"), "windows-x86_64"),
		}, Platforms: cells("bin/rusty", "")}},
		"go": {"1.26.0": {Source: lock.Go, Package: lock.GoToolchain, Trust: "transparency-log", Files: map[string]lock.File{
			"golang.org/toolchain@v0.0.1-go1.26.0.linux-amd64.zip": on(zip(lock.GoToolchain, "0.0.1-go1.26.0.linux-amd64"), "linux-x86_64"),
		}, Platforms: cells("bin/go", sumA)}},
		"gopher": {"1.2.3": {Source: lock.Go, Package: "example.com/Acme/gopher", Main: "cmd/x", Toolchain: "go@1.26.0", Trust: "transparency-log", Files: map[string]lock.File{
			"example.com/!acme/gopher@v1.2.3.zip": zip("example.com/Acme/gopher", "1.2.3"), "example.com/dep@v0.1.0.mod": mod("example.com/dep", "0.1.0"),
		}, Platforms: cells("x", sumA)}},
		"pulled": {"7": {Source: lock.OCI, Package: "registry.example.com/acme/pulled", Trust: "first-use", Files: map[string]lock.File{
			"pulled-linux": {Name: "pulled", Version: "v7", Manifest: sumB, SHA256: sumA, Size: 99},
		}, Platforms: cells("pulled", sumA)}},
	}}
	for name := range l.Plugins["go"]["1.26.0"].Platforms {
		if name != "linux-x86_64" {
			l.Plugins["go"]["1.26.0"].Platforms[name] = lock.Cell{Unavailable: "no Go"}
		}
	}
	for _, versions := range l.Plugins {
		for version, v := range versions {
			if err := v.Validate(); err != nil {
				t.Fatal(v.Package, version, err)
			}
		}
	}
	return l
}

func (p *place) lockOf(l *lock.Lock) { p.write("plugins.lock.toml", string(lock.Print(l))) }

func TestTree(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.lockOf(everyKind(t))
	for _, tt := range []struct{ spec, want string }{
		{"deep", `
deep 2.0.0 (npm:@acme/deep; 6 packages; 6 files; 6.0 KiB)
├── @acme/deep 2.0.0 (its own package; 1.0 KiB)
│   └── b 2.0.0 (1.0 KiB)
│       └── c 3.0.0 (1.0 KiB)
├── b 1.0.0 (1.0 KiB)
├── c 1.0.0 (1.0 KiB; for linux-x86_64)
├── d 1.0.0 (1.0 KiB)
└── node 1.0.0 (runs it)
    ├── node-win.zip (6.0 MiB; for windows-x86_64)
    └── node.tar.gz (5.0 MiB; for linux-aarch64, linux-x86_64, macos-x86_64)`},
		{"snake@3.0", `
snake 3.0 (pip:Snake_Plugin; 2 packages; 3 files; 60 bytes)
├── snake-plugin 3.0 (its own package; 10 bytes)
├── fast 1.0 (2 files, 50 bytes)
└── CPython 3.11, 3.12 (runs it; from the machine, not in the lock)`},
		{"rusty", `
rusty 0.1.0 (cargo:rusty; 3 packages; 3 files; 3.0 KiB)
├── rusty 0.1.0 (its own package; 1.0 KiB)
├── libc 0.2.1 (1.0 KiB; runs code when it is compiled)
├── windows-sys 0.5.0 (1.0 KiB; for windows-x86_64)
└── cargo (compiles it; from the machine, not in the lock)`},
		{"gopher", `
gopher 1.2.3 (go:example.com/Acme/gopher; 1 package; 2 files; 2.0 KiB)
├── example.com/Acme/gopher 1.2.3 (its own package; 1.0 KiB)
├── example.com/dep 0.1.0 (only its go.mod is read)
└── go 1.26.0 (compiles it)
    └── golang.org/toolchain 0.0.1-go1.26.0.linux-amd64 (its own package; 1.0 KiB)`},
		{"pulled", `
pulled 7 (oci:registry.example.com/acme/pulled; 1 file; 99 bytes)
└── pulled-linux (99 bytes)`},
	} {
		if out, _ := p.ok("tree", tt.spec); strings.TrimSpace(out) != strings.TrimSpace(tt.want) {
			t.Errorf("tree %s:\n%s\nwant%s", tt.spec, out, tt.want)
		}
	}
	out, _ := p.ok("tree")
	if strings.Count(out, "node-win.zip") != 1 || !strings.Contains(out, "pulled 7") {
		t.Error(out)
	}
	p.fails(fault.Usage, []string{"did you mean snake?"}, "tree", "snaek")
	p.fails(fault.Usage, []string{"lockgen add deep@9"}, "tree", "deep@9")
	p.fails(fault.Usage, []string{"takes one plugin"}, "tree", "deep", "node")
	p.lockOf(&lock.Lock{Schema: lock.Schema})
	if out, talk := p.ok("tree"); out != "" || !strings.Contains(talk, "nothing is locked") {
		t.Error(out, talk)
	}
	if out, _ := p.ok("tree", "--json"); strings.Join(strings.Fields(out), "") != `{"schema":"buck2-protobuf/lockgen-tree/v1","plugins":[]}` {
		t.Error(out)
	}
}

// TestBundled: what a publisher put into the file of a package of npm is in the lock, and
// in what tells of it.
func TestBundled(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newBase(t)
	p.server.Package(fake.Package{Name: "protoc-gen-acme", Version: "1.0.0", Manifest: map[string]any{
		"bin": map[string]any{"protoc-gen-acme": "x.js"}, "dependencies": map[string]any{"@acme/inner": "^2.0.0"}, "bundleDependencies": []string{"@acme/inner"}},
		Files: map[string]string{
			"x.js": "#!/usr/bin/env node\n", "node_modules/@acme/inner/package.json": `{"name": "@acme/inner", "version": "2.1.0", "dependencies": {"deeper": "*"}}`,
			"node_modules/deeper/package.json": `{"name": "deeper", "version": "3.0.0"}`,
		}})
	p.manifest(baseEntries + "[plugins.acme]\nversion = \"1.0.0\"\nsource = \"npm:protoc-gen-acme\"\n")
	p.ok("update", "--no-smoke")
	p.ok("check")
	if got := p.locked().Plugins["acme"]["1.0.0"].Files["node_modules/protoc-gen-acme"].Bundled; !slices.Equal(got, []string{"@acme/inner@2.1.0", "deeper@3.0.0"}) {
		t.Errorf("bundled %q", got)
	}
	before := p.read("plugins.lock.toml")
	p.ok("update", "--no-smoke", "--verify")
	if after := p.read("plugins.lock.toml"); after != before {
		t.Errorf("locked again:\n%s", after)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"tree", "acme"}, "│   ├── @acme/inner 2.1.0 (in its file)\n│   └── deeper 3.0.0 (in its file)\n"},
		{[]string{"why", "deeper"}, "in the file of protoc-gen-acme@1.0.0"},
		{[]string{"sbom"}, `"purl": "pkg:npm/%40acme/inner@2.1.0"`},
		{[]string{"sbom", "--format", "spdx"}, `"referenceLocator": "pkg:npm/deeper@3.0.0"`},
	} {
		if out, _ := p.ok(tt.args...); !strings.Contains(out, tt.want) {
			t.Errorf("%v says\n%s\nwithout %s", tt.args, out, tt.want)
		}
	}
}

// TestTreeIsWhole: each file of the repository's lock is in the tree of its
// plugin, once, and nothing else is.
func TestTreeIsWhole(t *testing.T) {
	t.Parallel()
	p := own(t)
	out, _ := p.ok("tree", "--json")
	var got struct{ Plugins []*closure.Branch }
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	l, versions, files := p.locked(), 0, 0
	for _, top := range got.Plugins {
		v := l.Plugins[top.Name][top.Version]
		var keys []string
		var size int64
		top.Walk(func(b *closure.Branch) { keys, size = append(keys, b.Files...), size+b.Size })
		slices.Sort(keys)
		if len(keys) != len(v.Files) || len(slices.Compact(keys)) != len(v.Files) {
			t.Errorf("%s: %d files, the lock has %d", top.Label(), len(keys), len(v.Files))
		}
		for _, key := range keys {
			size -= v.Files[key].Size
		}
		if size != 0 {
			t.Errorf("%s: the sizes are wrong by %d", top.Label(), size)
		}
		versions, files = versions+1, files+len(keys)
	}
	if versions < 20 || files < 300 {
		t.Errorf("looked at %d versions and %d files only", versions, files)
	}
}

func TestWhy(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.lockOf(everyKind(t))
	for _, tt := range []struct{ word, want string }{
		{"c", `
c 1.0.0
  deep 2.0.0: node_modules/c: at the top, so the plugin or any of its packages may need it
c 3.0.0
  deep 2.0.0 > @acme/deep@2.0.0 > b@2.0.0: node_modules/@acme/deep/node_modules/b/node_modules/c: inside b@2.0.0, because that package or one inside it needs this version instead of the one further up`},
		{"c@1.0.0", `
c 1.0.0
  deep 2.0.0: node_modules/c: at the top, so the plugin or any of its packages may need it`},
		{"@acme/deep", `
@acme/deep 2.0.0
  deep 2.0.0: node_modules/@acme/deep: the plugin itself`},
		{"d", `
d 1.0.0
  deep 2.0.0: node_modules/lost/node_modules/d: in its closure; the lock does not record which package needs it`},
		{"node", `
node 1.0.0 is a plugin itself; to see which plugins use it, run: lockgen explain node@1.0.0
node 1.0.0
  deep 2.0.0: node: runs the plugin`},
		{"SNAKE.plugin", `
snake-plugin 3.0
  snake 3.0: snake_plugin-3.0-py3-none-any.whl: the plugin itself`},
		{"Fast", `
fast 1.0
  snake 3.0: fast: in its closure; the lock does not record which package needs it`},
		{"fast-1.0-cp312-cp312-manylinux_2_17_x86_64.whl", `
fast 1.0
  snake 3.0: fast: in its closure; the lock does not record which package needs it`},
		{"windows_sys", `
windows-sys 0.5.0
  rusty 0.1.0: windows-sys-0.5.0.crate: in its closure; the lock does not record which package needs it`},
		{"example.com/dep@v0.1.0", `
example.com/dep 0.1.0
  gopher 1.2.3: example.com/dep@v0.1.0.mod: in its closure, but only its go.mod is read`},
		{"go@1.26.0", `
go 1.26.0 is a plugin itself; to see which plugins use it, run: lockgen explain go@1.26.0
go 1.26.0
  gopher 1.2.3: go: compiles the plugin`},
		{"pulled-linux", `
pulled-linux
  pulled 7: pulled-linux: a file of oci:registry.example.com/acme/pulled`},
	} {
		if out, _ := p.ok("why", tt.word); strings.TrimSpace(out) != strings.TrimSpace(tt.want) {
			t.Errorf("why %s:\n%s\nwant%s", tt.word, out, tt.want)
		}
	}
	if out, _ := p.ok("why", "c", "--json"); !strings.Contains(out, `"through": [
        "@acme/deep@2.0.0",
        "b@2.0.0"
      ]`) {
		t.Error(out)
	}
	p.fails(fault.Usage, []string{"has a package windows-syss", "did you mean windows-sys?"}, "why", "windows-syss")
	p.fails(fault.Usage, []string{"lockgen tree"}, "why", "b@9")
	p.fails(fault.Usage, []string{"takes one package"}, "why")
}

// TestWhyAgrees: lockgen explain --why says of each package of each plugin what
// lockgen why says.
func TestWhyAgrees(t *testing.T) {
	t.Parallel()
	p := five(t)
	asked := 0
	for _, top := range closure.All(p.locked()) {
		var names []string
		top.Walk(func(b *closure.Branch) {
			if b.Kind == closure.Package {
				names = append(names, b.Name+"@"+b.Version)
			}
		})
		for _, name := range names {
			asked++
			one, _ := p.ok("explain", top.Name+"@"+top.Version, "--why", name, "--json")
			all, _ := p.ok("why", name, "--json")
			var of struct{ Why []string }
			var in struct{ Places []closure.Found }
			if err := json.Unmarshal([]byte(one), &of); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(all), &in); err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, f := range in.Places {
				if f.Plugin == top.Name && f.PluginVersion == top.Version {
					want = append(want, f.Line())
				}
			}
			if len(want) == 0 || !slices.Equal(of.Why, want) {
				t.Errorf("%s in %s: explain says %q, why says %q", name, top.Label(), of.Why, want)
			}
		}
	}
	if asked < 15 {
		t.Errorf("asked for %d packages only", asked)
	}
}
