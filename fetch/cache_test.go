package main

import (
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// age makes the whole cache look unused for two days.
func (w *world) age() {
	w.Helper()
	old := time.Now().Add(-48 * time.Hour)
	n := 0
	for _, pattern := range []string{"locks/use-*", "blobs/sha256/*/*"} {
		names, _ := filepath.Glob(filepath.Join(w.cache, filepath.FromSlash(pattern)))
		for _, name := range names {
			n++
			if err := os.Chtimes(name, old, old); err != nil {
				w.Fatal(err)
			}
		}
	}
	if n == 0 {
		w.Fatal("nothing to age")
	}
}

func TestCacheVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if status, stdout, stderr := w.fetch("cache", "verify"); status != 0 || stdout != "" || !strings.Contains(stderr, "read 0 blobs and 0 trees") {
		t.Errorf("no cache: %d %q %q", status, stdout, stderr)
	}
	path := w.must("get", "tool")
	if status, stdout, stderr := w.fetch("cache", "verify"); status != 0 || stdout != "" || !strings.Contains(stderr, "read 1 blobs and 1 trees, 2 records") {
		t.Errorf("sound: %d %q %q", status, stdout, stderr)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho evil\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := w.fetch("cache", "verify")
	if status != 5 || !strings.Contains(stdout, "tree damaged: its digest is ") || !strings.Contains(stdout, `"tool/bin/tool" has other bytes`) ||
		!strings.Contains(stderr, "1 of 4 blobs, trees and other files are damaged") || !strings.Contains(stderr, "hint: remove what is damaged: fetch cache verify --repair") {
		t.Errorf("damaged: %d\n%s\n%s", status, stdout, stderr)
	}
	var doc struct {
		Cache   string
		Damaged []store.Damage
	}
	status, stdout, _ = w.fetch("cache", "verify", "--json")
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil || status != 5 || doc.Cache != w.cache || len(doc.Damaged) != 1 || doc.Damaged[0].Kind != "tree" || doc.Damaged[0].Repaired {
		t.Errorf("--json: %d %+v, %v", status, doc, err)
	}
	if out := w.must("cache", "verify", "--repair"); !strings.Contains(out, "tree damaged and removed; its next use fetches it again") {
		t.Errorf("repair said %q", out)
	}
	w.must("cache", "verify")
	if again := w.must("get", "tool"); again != path {
		t.Errorf("got %s", again)
	}
	if data, err := os.ReadFile(path); err != nil || strings.Contains(string(data), "evil") {
		t.Errorf("%q, %v", data, err)
	}
	for _, args := range [][]string{{"cache"}, {"cache", "wipe"}, {"cache", "verify", "tool"}} {
		w.fails(2, []string{"fetch: hint: ", "verify"}, args...)
	}
	w.fails(2, []string{"--cache-dir: ~/c begins with ~"}, "stats", "--cache-dir=~/c")
	w.fails(2, []string{"--cache-dir has an empty path"}, "stats", "--cache-dir=")
	w.fails(2, []string{"is not a cache of buck2-protobuf", "plugins.lock.toml"}, "cache", "verify", "--cache-dir", w.dir)
	w.fails(2, []string{"is not a cache of buck2-protobuf", "nothing in it was changed"}, "cache", "clear", "--cache-dir", w.dir)
}

func TestCacheClear(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tool := w.must("get", "tool")
	script := w.must("get", "script")
	if out := w.must("cache", "clear"); !strings.HasPrefix(out, "freed 0 KiB on the disk (0 blobs, 0 trees); kept 4 blobs and 3 trees, ") {
		t.Errorf("just used: %q", out)
	}
	w.age()
	w.must("get", "tool") // from memory, which is a use
	if out := w.must("cache", "clear", "--older-than", "3d"); !strings.HasPrefix(out, "freed 0 KiB") {
		t.Errorf("3d: %q", out)
	}
	type cleared struct {
		DryRun bool `json:"dry_run"`
		store.Cleared
	}
	var dry, wet cleared
	for _, run := range []struct {
		args []string
		to   *cleared
	}{{[]string{"--dry-run"}, &dry}, {nil, &wet}} {
		out := w.must(append([]string{"cache", "clear", "--older-than", "1d", "--json"}, run.args...)...)
		if err := json.Unmarshal([]byte(out), run.to); err != nil {
			t.Fatal(err)
		}
	}
	if !dry.DryRun || wet.DryRun || dry.Cleared != wet.Cleared || wet.Trees != 2 || wet.Blobs != 4 || wet.KeptTrees != 1 || wet.Freed <= 0 {
		t.Errorf("dry %+v\nwet %+v", dry, wet)
	}
	if _, err := os.Stat(tool); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(script); err == nil {
		t.Errorf("the launcher %s is still there, its tree is not", script)
	}
	requests := len(w.registry.Requests(""))
	w.must("get", "tool")
	if len(w.registry.Requests("")) != requests {
		t.Error("what was kept was fetched again")
	}
	if again := w.must("get", "script"); again != script || len(w.registry.Requests("")) == requests {
		t.Errorf("got %s", again)
	}
	w.fails(2, []string{`--older-than "soon" is not an age`, "30d"}, "cache", "clear", "--older-than", "soon")
	w.fails(2, []string{"is not an age"}, "cache", "clear", "--older-than", "")
	w.fails(2, []string{"--dry-run is a flag of fetch protos and fetch cache clear"}, "cache", "verify", "--repair", "--dry-run")
	w.fails(2, []string{"--repair is a flag of fetch cache verify"}, "get", "tool", "--repair")
	w.fails(2, []string{"--shell is a flag of fetch env and fetch bundle"}, "get", "tool", "--shell", "sh")
	w.fails(2, []string{`"" for "--platform" flag: it is empty`}, "get", "tool", "--platform", "")
	w.fails(2, []string{"it was linux-x86_64 before"}, "get", "tool", "--platform", "linux-x86_64", "--platform", "macos-x86_64")
	w.fails(2, []string{"what was used within the last hour is never removed", "remove the folder " + w.cache}, "cache", "clear", "--older-than", "0")
}

// TestClearWhileRunning: a plugin that fetch became keeps its tree until it ends.
func TestClearWhileRunning(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it starts many processes")
	w := newWorld(t)
	binary := fetchProgram(t)
	w.must("get", "tool")
	w.must("get", "bare")
	for _, memory := range []bool{true, false} {
		cmd := exec.Command(binary, "run", "--lock", filepath.Join(w.dir, lock.FileName), "--cache-dir", w.cache, "tool")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, len("tool \n"))); err != nil { // it runs
			t.Fatal(err)
		}
		w.age()
		var c store.Cleared
		if err := json.Unmarshal([]byte(w.must("cache", "clear", "--json")), &c); err != nil || c.InUse != 1 || c.KeptTrees != 1 {
			t.Errorf("memory %v: %+v, %v", memory, c, err)
		}
		in.Close()
		io.Copy(io.Discard, out)
		if cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
			t.Errorf("%v", cmd.ProcessState)
		}
		os.RemoveAll(filepath.Join(w.cache, "warm"))
	}
	if err := json.Unmarshal([]byte(w.must("cache", "clear", "--json")), new(store.Cleared)); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(w.cache, "trees", "*")); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// TestChangedPlaces: of each source that this world has, a lock in which the
// digests of two plugins changed places ends with 5, and gives neither, on a warm
// cache as on a cold one; so does a URL or a version that was changed.
func TestChangedPlaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"a", "b"} {
		w.file("http-"+name, "1.0.0", "", "prog", name+"-linux", []byte("#!/bin/sh\necho "+name+"\n"))
		wheel := w.registry.Wheel(fake.Wheel{Name: "pip-" + name, Version: "1.0.0", Files: map[string]string{"bin/prog": "#!/bin/sh\necho " + name + "\n"}, Exec: []string{"bin/prog"}})
		w.add("pip-"+name, "1.0.0", lock.Version{Source: lock.Pip, Package: "pip-" + name}, "bin/prog", map[string]fake.Artifact{wheel.Name: wheel}, nil)
		pkg := w.registry.Package(fake.Package{Name: "npm-" + name, Version: "1.0.0", Manifest: map[string]any{"bin": "prog.js"}, Files: map[string]string{"prog.js": "echo " + name + "\n"}})
		key := "node_modules/npm-" + name
		w.add("npm-"+name, "1.0.0", lock.Version{Source: lock.NPM, Package: "npm-" + name, Runtime: "shell@5.0.0"}, key+"/prog.js",
			map[string]fake.Artifact{key: pkg}, map[string]lock.File{key: {Name: "npm-" + name, Version: "1.0.0"}})
	}
	w.registry.File("/files/evil", []byte("#!/bin/sh\necho evil\n"))
	w.write()
	only := func(name string) (v *lock.Version, key string, f lock.File) {
		v = w.lock.Plugins[name]["1.0.0"]
		for key, f = range v.Files {
		}
		return v, key, f
	}
	warm := w.cache
	cold := func() { w.cache = filepath.Join(t.TempDir(), "cold") }
	for _, kind := range []string{"http", "pip", "npm"} {
		a, b := kind+"-a", kind+"-b"
		w.must("get", a)
		w.must("get", b)
		va, ka, fa := only(a)
		vb, kb, fb := only(b)
		cellA, cellB := va.Platforms[host(t)], vb.Platforms[host(t)]
		swap := func(f, other lock.File) lock.File {
			f.SHA256, f.Size, f.Integrity = other.SHA256, other.Size, other.Integrity
			return f
		}
		va.Files[ka], vb.Files[kb] = swap(fa, fb), swap(fb, fa)
		for name, cells := range map[string][2]lock.Cell{
			"digests":           {cellA, cellB},
			"digests and trees": {{Binary: cellA.Binary, Tree: cellB.Tree}, {Binary: cellB.Binary, Tree: cellA.Tree}},
		} {
			va.Platforms[host(t)], vb.Platforms[host(t)] = cells[0], cells[1]
			w.write()
			for _, where := range []string{"warm", "warm again", "cold"} {
				if where == "cold" {
					cold()
				}
				for _, plugin := range []string{a, b} {
					if status, stdout, stderr := w.fetch("get", plugin); status != 5 || stdout != "" {
						t.Errorf("%s of %s, %s: %d %q\n%s", name, plugin, where, status, stdout, stderr)
					}
				}
			}
			w.cache = warm
		}
		va.Files[ka], vb.Files[kb] = fa, fb
		va.Platforms[host(t)], vb.Platforms[host(t)] = cellA, cellB
		w.write()
		w.must("get", a)
	}
	v, key, f := only("http-a")
	good := f
	f.URL = w.registry.URL + "/files/evil"
	v.Files[key] = f
	w.write()
	w.fails(5, []string{"files/evil", "expected 17 bytes"}, "get", "http-a")
	w.fails(4, []string{"offline", "not in the cache"}, "get", "http-a", "--offline")
	v.Files[key] = good
	w.write()
	w.must("get", "http-a", "--offline")
	v, key, f = only("npm-a")
	f.Version = "2.0.0"
	v.Files[key] = f
	w.write()
	w.fails(3, []string{"npm-a 1.0.0: its files are those of 2.0.0"}, "get", "npm-a")
}

// TestChangedPlacesWithin: so does a lock in which two files of one plugin changed
// places, of whatever is installed from several files.
func TestChangedPlacesWithin(t *testing.T) {
	served := kindsServed()
	for _, kind := range []string{lock.NPM, lock.Cargo, lock.Go} {
		t.Run(kind, func(t *testing.T) {
			if kind == lock.Go {
				testenv.OnlyFull(t, "it compiles; TestIdentity of internal/install has every kind")
			}
			w := served[kind](t)
			path := w.must("get", w.plugin)
			_, _, v, err := w.lock.Find(w.plugin)
			keys := slices.Sorted(maps.Keys(v.Files))
			if err != nil || len(keys) != 2 {
				t.Fatal(keys, err)
			}
			a, b := v.Files[keys[0]], v.Files[keys[1]]
			x, y := a, b
			x.SHA256, x.Size, x.Integrity, x.GoMod = b.SHA256, b.Size, b.Integrity, b.GoMod
			y.SHA256, y.Size, y.Integrity, y.GoMod = a.SHA256, a.Size, a.Integrity, a.GoMod
			v.Files[keys[0]], v.Files[keys[1]] = x, y
			w.write()
			warm := w.cache
			for _, w.cache = range []string{warm, warm, filepath.Join(t.TempDir(), "cold")} {
				if status, stdout, stderr := w.fetch("get", w.plugin); status != 5 || stdout != "" {
					t.Errorf("%s: %d %q\n%s", filepath.Base(w.cache), status, stdout, stderr)
				}
			}
			v.Files[keys[0]], v.Files[keys[1]] = a, b
			w.write()
			w.cache = warm
			if got := w.must("get", w.plugin); got != path {
				t.Errorf("%s, before it was %s", got, path)
			}
		})
	}
}

// TestRenamedVersion: what is locked as another version than its files tell is
// refused, on a cold cache and on a warm one, by name and as an entry of Buck2.
func TestRenamedVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.file("numbered", "1.2.3", "", "prog", "prog-1.2.3-linux", []byte("#!/bin/sh\necho numbered\n"))
	warm := w.cache
	for name, version := range map[string]string{"numbered": "1.2.3", "tool": "1.0.0", "script": "2.0.0"} {
		w.write()
		w.must("get", name)
		const other = "1.2.4"
		w.lock.Plugins[name][other] = w.lock.Plugins[name][version]
		delete(w.lock.Plugins[name], version)
		entry := w.entry(name, other)
		w.write()
		for _, cache := range []string{warm, filepath.Join(t.TempDir(), "cold")} {
			w.cache = cache
			for _, spec := range []string{name, name + "@" + other} {
				w.fails(3, []string{name + " " + other + ": its files are those of " + version, "git checkout -- " + filepath.Join(w.dir, lock.FileName)}, "get", spec)
			}
			w.fails(3, []string{"its files are those of " + version}, "install", "--entry", entry, "--platform", host(t), "--out", filepath.Join(t.TempDir(), "out"))
		}
		w.cache = warm
		w.lock.Plugins[name][version] = w.lock.Plugins[name][other]
		delete(w.lock.Plugins[name], other)
	}
}

// TestNoHome: the cache folder is all that a user without a home has to name, and
// without it that is what the hint says.
func TestNoHome(t *testing.T) {
	w := newWorld(t)
	for _, home := range []string{"", "/"} {
		for _, name := range []string{"XDG_CACHE_HOME", "XDG_CONFIG_HOME", "BUCK2_PROTOBUF_CACHE_DIR"} {
			t.Setenv(name, "")
		}
		t.Setenv("HOME", home)
		w.cache = filepath.Join(t.TempDir(), "cache")
		w.must("get", "tool")
		w.must("get", "script")
		w.cache = ""
		if home == "" {
			w.fails(7, []string{"no folder for the cache", "hint: set BUCK2_PROTOBUF_CACHE_DIR"}, "get", "tool")
		}
	}
}
