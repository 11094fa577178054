package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// goDep and goPlug are the modules of the plugin plug: a program with one
// dependency, and one that does not compile.
var (
	goDep  = fake.Module{Path: "example.com/dep", Version: "v1.1.0", Files: map[string]string{"dep.go": "package dep\n\nconst Name = \"dep\"\n"}}
	goPlug = fake.Module{Path: "example.com/Plug", Version: "v1.0.0", Files: map[string]string{
		"go.mod":             "module example.com/Plug\n\ngo 1.21\n\nrequire example.com/dep v1.1.0\n",
		"cmd/plug/main.go":   "package main\n\nimport \"example.com/dep\"\n\nfunc main() { println(dep.Name) }\n",
		"cmd/broken/main.go": "package main\n\nfunc main() { undefinedThing() }\n",
	}}
)

// goItself is a script in the place of Go, which runs this machine's.
func goItself(t *testing.T) fake.Module {
	return fake.Module{
		Path: lock.GoToolchain, Version: "v0.0.1-go1.99.0.test", Mod: "module golang.org/toolchain\n",
		Files: map[string]string{"bin/go": "#!/bin/sh\nexec '" + testenv.Program(t, "go") + "' \"$@\"\n", "src/_go.mod": "module std\n"},
	}
}

// foreign is a platform that is nobody's who runs these tests, and for which those of
// lockgen compile as well.
const foreign = "windows-x86_64"

// newGoWorld adds plug 1.0.0 and its toolchain go 1.99.0. Go's build cache is
// kept for the next run.
func newGoWorld(t *testing.T) *world {
	t.Helper()
	testenv.Real(t, "it starts go")
	tool, err := gotool.Find(t.Context())
	if err != nil {
		t.Skipf("skipped: no go that works: %v", err)
	}
	w := newWorld(t)
	w.module("go", "1.99.0", lock.Version{Package: lock.GoToolchain, Trust: "transparency-log"}, goItself(t))
	w.module("plug", "1.0.0", lock.Version{Package: goPlug.Path, Main: "cmd/plug", Toolchain: "go@1.99.0", Trust: "first-use"}, goPlug, goDep)
	kept := testenv.SmallGoCache(t)
	w.Setenv("GOENV", "off")
	w.Setenv("GOPROXY", w.registry.GoProxy())
	w.Setenv("GOPRIVATE", "")
	w.Setenv("GONOSUMDB", "")
	w.Setenv("GOSUMDB", w.registry.SumDB())
	for _, platform := range []string{host(t), foreign} {
		w.lock.Plugins["plug"]["1.0.0"].Platforms[platform] = w.compiled(tool, kept, platform)
	}
	testenv.KeepGoCache(t, filepath.Join(w.cache, "go-build"))
	w.write()
	return w
}

// module publishes modules and locks them as one plugin.
func (w *world) module(name, version string, v lock.Version, modules ...fake.Module) {
	w.Helper()
	files, say := map[string]fake.Artifact{}, map[string]lock.File{}
	for _, m := range modules {
		key, err := lock.GoKey(m.Path, strings.TrimPrefix(m.Version, "v"), "zip")
		if err != nil {
			w.Fatal(err)
		}
		zip, mod := m.Sums()
		files[key] = w.registry.Module(m)
		say[key] = lock.File{Name: m.Path, Version: strings.TrimPrefix(m.Version, "v"), Integrity: zip, GoMod: mod}
	}
	v.Source = lock.Go
	if v.Package == lock.GoToolchain {
		w.add(name, version, v, "bin/go", files, say)
		return
	}
	v.Files, v.Platforms = say, map[string]lock.Cell{}
	for key, f := range say {
		f.SHA256, f.Size = files[key].SHA256, files[key].Size
		say[key] = f
	}
	for _, p := range lock.Platforms {
		v.Platforms[p.Name] = lock.Cell{Unavailable: "this test knows two platforms"}
	}
	w.lock.Plugins[name] = map[string]*lock.Version{version: &v}
}

// compiled builds plug as lockgen does, and returns the cell of it.
func (w *world) compiled(tool *gotool.Client, cache, platform string) lock.Cell {
	w.Helper()
	dir := w.TempDir()
	b := gotool.Build{Main: gotool.Main{Module: goPlug.Path, Version: "1.0.0", Dir: "cmd/plug"}, Cache: cache}
	b.Platform, _ = lock.LookupPlatform(platform)
	for _, m := range []fake.Module{goPlug, goDep} {
		base := filepath.Join(dir, filepath.Base(m.Path))
		zip, mod := m.Sums()
		text := m.Files["go.mod"]
		if text == "" {
			text = "module example.com/dep\n\ngo 1.21\n"
		}
		for suffix, data := range map[string][]byte{".zip": m.Zip(), ".mod": []byte(text)} {
			if err := os.WriteFile(base+suffix, data, 0o600); err != nil {
				w.Fatal(err)
			}
		}
		b.Modules = append(b.Modules, gotool.Module{Path: m.Path, Version: strings.TrimPrefix(m.Version, "v"), Zip: base + ".zip", Mod: base + ".mod", Sum: zip, ModSum: mod})
	}
	binary := "plug" + b.Platform.Exe()
	out := filepath.Join(dir, "tree", binary)
	if err := os.Mkdir(filepath.Dir(out), 0o755); err != nil {
		w.Fatal(err)
	}
	if err := tool.Build(w.Context(), b, out); err != nil {
		w.Fatal(err)
	}
	files, err := archive.HashDir(w.Context(), filepath.Dir(out), nil)
	if err != nil {
		w.Fatal(err)
	}
	tree, err := archive.TreeHash(files)
	if err != nil {
		w.Fatal(err)
	}
	return lock.Cell{Binary: binary, Tree: tree}
}

// TestGo compiles a plugin from locked modules with the locked Go.
func TestGo(t *testing.T) {
	w := newGoWorld(t)
	runs := func(w *world) string {
		t.Helper()
		path := w.must("get", "plug")
		out, err := exec.Command(path).CombinedOutput()
		if err != nil || string(out) != "dep\n" {
			t.Errorf("%s printed %q: %v", path, out, err)
		}
		return path
	}
	w.fails(4, []string{"offline", "example.com/Plug@1.0.0", "example.com/dep@1.1.0", "golang.org/toolchain@0.0.1-go1.99.0.test"}, "get", "plug", "--offline")
	first := runs(w)
	w.registry.Forget()
	w.must("get", "plug", "--platform", foreign)
	if n := w.registry.Count(""); n > 0 {
		t.Errorf("%d requests for the modules of another platform, which are the same", n)
	}
	if err := os.RemoveAll(filepath.Join(w.cache, "trees")); err != nil {
		t.Fatal(err)
	}
	w.must("get", "plug", "--offline") // from its files

	// Another cache, the address of the proxy in the manifest, no go on PATH.
	other := *w
	other.cache, other.registries = t.TempDir(), "go = \""+w.registry.GoProxy()+"\"\n"
	other.write()
	if !testenv.Full() { // there the standard library is compiled again
		testenv.KeepGoCache(t, filepath.Join(other.cache, "go-build"))
	}
	realGo := testenv.Program(t, "go")
	t.Setenv("PATH", t.TempDir())
	second := runs(&other)
	one, err1 := os.ReadFile(first)
	two, err2 := os.ReadFile(second)
	if err1 != nil || err2 != nil || !bytes.Equal(one, two) {
		t.Errorf("two builds differ: %v %v", err1, err2)
	}
	// The locked Go downloads modules as well, but nobody downloads itself.
	w.cache = t.TempDir()
	testenv.KeepGoCache(t, filepath.Join(w.cache, "go-build"))
	w.registries = ""
	w.write()
	w.fails(7, []string{"go is not on PATH", "[registries] go"}, "get", "plug")
	t.Setenv("PATH", filepath.Dir(realGo))
	w.must("get", "go")
	t.Setenv("PATH", t.TempDir())
	runs(w)

	// What is in the cache is not believed for an entry that it is not of.
	stranger := *w.lock.Plugins["plug"]["1.0.0"]
	stranger.Main = "cmd/broken"
	w.lock.Plugins["stranger"] = map[string]*lock.Version{"1.0.0": &stranger}
	w.write()
	w.fails(7, []string{"stranger 1.0.0", "does not compile", "undefinedThing", "lockgen mirror --trees"}, "get", "stranger")
}

func TestGoInstall(t *testing.T) {
	w := newGoWorld(t)
	data, err := json.Marshal(w.lock.Entry("plug", "1.0.0"))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"registries.json", "entry.json"} {
		text := data
		if key == "registries.json" {
			text = []byte(`{"go": "` + w.registry.GoProxy() + `"}`)
		}
		if err := os.WriteFile(filepath.Join(w.dir, key), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	entry, registries := filepath.Join(w.dir, "entry.json"), filepath.Join(w.dir, "registries.json")
	for platform, binary := range map[string]string{host(t): "plug", foreign: "plug.exe"} {
		out := filepath.Join(t.TempDir(), "out")
		w.must("install", "--entry", entry, "--registries", registries, "--platform", platform, "--out", out)
		if got := slices.Collect(maps.Keys(snapshot(t, out))); len(got) != 1 || got[0] != binary {
			t.Errorf("%s: installed %v, want %s alone", platform, got, binary)
		}
	}
	if err := os.WriteFile(entry, bytes.Replace(data, []byte(`"toolchain":{`), []byte(`"tool":{`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails(3, []string{"entry.json"}, "install", "--entry", entry, "--out", filepath.Join(t.TempDir(), "out"))
}

// TestGoRefusals: each row changes one thing, from nothing in the cache.
func TestGoRefusals(t *testing.T) {
	w := newGoWorld(t)
	plug := func(w *world) *lock.Version { return w.lock.Plugins["plug"]["1.0.0"] }
	for _, tt := range []struct {
		name   string
		change func(w *world)
		status int // 0: it works
		says   []string
		args   []string
	}{
		{name: "a module packed anew", change: func(w *world) {
			w.registry.Fault("/go/example.com/dep/@v/v1.1.0.zip", fake.Map(func(body []byte) []byte {
				return bytes.ReplaceAll(body, slices.Clone(body[10:14]), []byte{1, 0, 33, 80}) // another time
			}))
		}},
		{name: "other files in a module", change: func(w *world) {
			evil := goDep
			evil.Files = map[string]string{"dep.go": "package dep\n\nconst Name = \"evil\"\n"}
			w.registry.Module(evil)
		}, status: 5, says: []string{"plug 1.0.0", "example.com/dep@v1.1.0", "have the hash h1:", "do not use it"}},
		{name: "not a zip", change: func(w *world) {
			w.registry.Fault("/go/example.com/dep/@v/v1.1.0.zip", fake.Map(func([]byte) []byte { return []byte("<html>log in</html>") }))
		}, status: 5, says: []string{"plug 1.0.0", "example.com/dep@v1.1.0"}},
		{name: "another program is locked", change: func(w *world) {
			cell := plug(w).Platforms[host(w)]
			cell.Tree = strings.Repeat("1", 64)
			plug(w).Platforms[host(w)] = cell
		}, status: 5, says: []string{"plug 1.0.0", "wrong tree", strings.Repeat("1", 64)}},
		{name: "no Go for this machine", change: func(w *world) {
			w.lock.Plugins["go"]["1.99.0"].Platforms[host(w)] = lock.Cell{Unavailable: "not among the platforms of plugins.toml"}
		}, status: 7, says: []string{"compiling needs Go 1.99.0", "not locked for this machine", "go on PATH has version", "install Go 1.99.0"}},
		{name: "package managers disabled", change: func(*world) {}, status: 7, says: []string{"plug 1.0.0", "package managers are disabled", "lockgen mirror --trees"}, args: []string{"--disable-package-managers"}},
		{name: "a platform without it", change: func(w *world) {
			plug(w).Platforms[host(w)] = lock.Cell{Unavailable: "it has no Go files for it"}
		}, status: 7, says: []string{"it has no Go files for it"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.again(t)
			tt.change(w)
			w.write()
			args := append([]string{"get", "plug"}, tt.args...)
			if tt.status == 0 {
				w.must(args...)
				return
			}
			w.fails(tt.status, tt.says, args...)
			if trees, err := filepath.Glob(filepath.Join(w.cache, "trees", plug(w).Platforms[host(w)].Tree+"*")); err != nil || len(trees) > 0 && plug(w).Platforms[host(w)].Tree != "" {
				t.Errorf("left %v: %v", trees, err)
			}
		})
	}
}

// again is the world with an empty cache, a lock and a server of its own.
func (w *world) again(t *testing.T) *world {
	t.Helper()
	c := *w
	c.T, c.dir, c.cache = t, t.TempDir(), t.TempDir()
	c.registry = fake.New(t)
	for _, m := range []fake.Module{goPlug, goDep} {
		c.registry.Module(m)
	}
	var err error
	if c.lock, err = lock.Parse(lock.FileName, lock.Print(w.lock)); err != nil {
		t.Fatal(err)
	}
	testenv.KeepGoCache(t, filepath.Join(c.cache, "go-build"))
	c.registry.Module(goItself(t))
	c.registries = "go = \"" + c.registry.GoProxy() + "\"\n"
	return &c
}

// justUsed returns the entries of Go's build cache that were used in the last hour: actions
// by "a" and outputs by "d".
func justUsed(entries []string) map[string][]string {
	used := map[string][]string{}
	for _, name := range entries {
		if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) < time.Hour && info.Mode().IsRegular() && info.Size() > 0 {
			used[name[len(name)-1:]] = append(used[name[len(name)-1:]], name)
		}
	}
	return used
}

// goDamages damage a file of Go's build cache.
var goDamages = map[string]func(name string) error{
	"flipped": func(name string) error {
		return rewrite(name, func(b []byte) []byte {
			if len(b) > 0 { // it may be emptied already
				b[len(b)/3] ^= 1
			}
			return b
		})
	},
	"truncated": func(name string) error { return rewrite(name, func(b []byte) []byte { return b[:len(b)/2] }) },
	"emptied":   func(name string) error { return rewrite(name, func([]byte) []byte { return nil }) },
	"deleted":   os.Remove,
}

// rewrite replaces a file, and leaves the file alone that tests share.
func rewrite(name string, change func([]byte) []byte) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(name+"~", change(bytes.Clone(data)), 0o644), os.Rename(name+"~", name))
}

// TestGoCacheDamaged: whatever is wrong with what Go's build cache has of a plugin,
// the plugin compiles to the locked bytes and the cache is good again.
func TestGoCacheDamaged(t *testing.T) {
	testenv.OnlyFull(t, "it compiles; TestGo has the usual way")
	w := newGoWorld(t)
	entries := func() []string {
		names, err := filepath.Glob(filepath.Join(w.cache, "go-build", "[0-9a-f][0-9a-f]", "*-[ad]"))
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	// Go renews the time of what it uses, where it is more than an hour old.
	old := time.Now().Add(-2 * time.Hour)
	for _, name := range entries() {
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	program := w.must("get", "plug")
	tree := filepath.Dir(program)
	used := justUsed(entries())
	if len(used["a"]) < 10 || len(used["d"]) < 10 {
		t.Fatalf("%d actions and %d outputs are used by a build", len(used["a"]), len(used["d"]))
	}
	random, wrong := rand.New(rand.NewSource(11)), 0
	for range full(10) {
		for what, do := range goDamages {
			for _, kind := range []string{"a", "d"} {
				for range 3 {
					name := used[kind][random.Intn(len(used[kind]))]
					if err := do(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
						t.Fatal(what, err)
					}
				}
			}
		}
		for _, name := range []string{tree, tree + ".ok", tree + ".seen"} {
			if err := os.RemoveAll(name); err != nil {
				t.Fatal(err)
			}
		}
		if status, stdout, stderr := w.fetch("get", "plug"); status != 0 || stdout != program+"\n" || !isTree(t, tree, filepath.Base(tree)) {
			wrong++
			t.Errorf("%d %q %s", status, stdout, stderr)
		}
		for _, name := range entries() {
			digest, output := strings.CutSuffix(filepath.Base(name), "-d")
			data, err := os.ReadFile(name)
			if output && (err != nil || fmt.Sprintf("%x", sha256.Sum256(data)) != digest) && slices.Contains(used["d"], name) {
				t.Errorf("%s is still not what it says: %v", name, err)
			}
		}
	}
	testenv.Held(t, "24 entries of Go's build cache damaged: the build gives the locked folder", "", full(10), full(10)-wrong)
}
