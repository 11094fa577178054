package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

var (
	cargoPlug = fake.Crate{
		Name: "crab", Version: "1.0.0", Deps: []fake.CrateDep{{Name: "leaf", Req: "^1"}, {Name: "elsewhere", Req: "1", Target: "cfg(target_os = \"haiku\")"}},
		Files: map[string]string{"src/main.rs": "fn main() { println!(\"{}\", leaf::NAME); }\n"},
	}
	cargoLeaf = fake.Crate{Name: "leaf", Version: "1.0.0", Files: map[string]string{"src/lib.rs": "pub const NAME: &str = \"leaf\";\n"}}
)

// newCargoWorld adds crab 1.0.0, which cargo compiles from two crates.
func newCargoWorld(t *testing.T) *world {
	t.Helper()
	testenv.Real(t, "it starts cargo")
	c, err := cargo.Find(t.Context())
	if err != nil {
		t.Skipf("skipped: no cargo that works: %v", err)
	}
	w := newWorld(t)
	p, _ := lock.LookupPlatform(host(t))
	if _, err := c.Identity(t.Context(), p); err != nil {
		t.Skipf("skipped: %v", err)
	}
	if runtime.GOOS != "windows" {
		testenv.Program(t, "cc") // the linker
	}
	w.Setenv("CARGO_HOME", t.TempDir())
	w.Setenv("CARGO_NET_RETRY", "0")
	w.lockCrates(cargoPlug, cargoLeaf)
	w.registries = "cargo = \"" + w.registry.CrateIndex() + "\"\n"
	w.write()
	return w
}

// lockCrates publishes crates and locks them as crab, which is the first.
func (w *world) lockCrates(crates ...fake.Crate) {
	w.Helper()
	v := &lock.Version{Source: lock.Cargo, Package: crates[0].Name, Trust: "registry", Files: map[string]lock.File{}, Platforms: map[string]lock.Cell{}}
	for _, c := range crates {
		a := w.registry.Crate(c)
		v.Files[a.Name] = lock.File{Name: c.Name, Version: c.Version, SHA256: a.SHA256, Size: a.Size}
	}
	for _, p := range lock.Platforms {
		v.Platforms[p.Name] = lock.Cell{Binary: "bin/crab" + p.Exe()}
	}
	w.lock.Plugins["crab"] = map[string]*lock.Version{"1.0.0": v}
}

// TestCargo compiles a plugin from locked crates.
func TestCargo(t *testing.T) {
	w := newCargoWorld(t)
	w.fails(4, []string{"offline", "crab@1.0.0", "leaf@1.0.0"}, "get", "crab", "--offline")
	path := w.must("get", "crab")
	if out, err := exec.Command(path).Output(); err != nil || string(out) != "leaf\n" {
		t.Errorf("%s printed %q: %v", path, out, err)
	}
	one, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// It is compiled once: then it comes from the cache, by what it was made of,
	// without a compiler's work or a request.
	if err := os.RemoveAll(filepath.Join(w.cache, "blobs")); err != nil {
		t.Fatal(err)
	}
	w.registry.Forget()
	entry := filepath.Join(w.dir, "entry.json")
	data, err := json.Marshal(w.lock.Entry("crab", "1.0.0"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(entry, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	w.must("install", "--entry", entry, "--out", out, "--offline")
	if two, err := os.ReadFile(filepath.Join(out, "bin", "crab")); err != nil || !bytes.Equal(one, two) {
		t.Errorf("another program was installed: %v", err)
	}
	if n := w.registry.Count(""); n > 0 {
		t.Errorf("%d requests for what is there", n)
	}
	// What was changed in the cache is made anew, in another folder the same.
	if err := os.WriteFile(path, []byte("changed"), 0o755); err != nil {
		t.Fatal(err)
	}
	if again := w.must("get", "crab"); again != path {
		t.Errorf("%s, then %s", path, again)
	}
	if two, err := os.ReadFile(path); err != nil || !bytes.Equal(one, two) {
		t.Errorf("compiled again it is another program: %v", err)
	}
}

// TestCargoRefusals: each row changes one thing, from nothing in the cache.
func TestCargoRefusals(t *testing.T) {
	w := newCargoWorld(t)
	broken, running := cargoPlug, cargoLeaf
	broken.Files = map[string]string{"src/main.rs": "fn main() { undefined_thing(); }\n"}
	canary := filepath.Join(t.TempDir(), "canary")
	running.Files = map[string]string{"src/lib.rs": cargoLeaf.Files["src/lib.rs"], "build.rs": "fn main() { std::fs::write(\"" + canary + "\", \"ran\").unwrap(); }\n"}
	for _, tt := range []struct {
		name   string
		change func(v *lock.Version)
		status int
		says   []string
		args   []string
	}{
		{"other bytes", func(*lock.Version) {
			other := cargoLeaf
			other.Files = map[string]string{"src/lib.rs": "pub const NAME: &str = \"evil\";\n"}
			w.registry.Crate(other)
		}, 5, []string{"leaf-1.0.0.crate", "expected 220 bytes", "the file at this URL was replaced"}, nil},
		{"a crate is gone", func(v *lock.Version) { delete(v.Files, "leaf-1.0.0.crate") }, 3, []string{"crab 1.0.0", "would use crates other than those locked: leaf-1.0.0"}, nil},
		{"no consent", func(*lock.Version) { w.lockCrates(cargoPlug, running) }, 6, []string{"runs code of crate leaf-1.0.0", "build-scripts of [policy]"}, nil},
		{"does not compile", func(*lock.Version) { w.lockCrates(broken, cargoLeaf) }, 7, []string{"crab 1.0.0", "does not compile", "cannot find function `undefined_thing`", "lockgen mirror --trees"}, nil},
		{"package managers disabled", func(*lock.Version) {}, 7, []string{"package managers are disabled", "lockgen mirror --trees"}, []string{"--disable-package-managers"}},
		{"another platform", func(*lock.Version) {}, 7, []string{"cargo compiles only for the platform it runs on", "not for " + foreign, "lockgen mirror --trees"}, []string{"--platform", foreign}},
		{"compiled by another rustc", func(v *lock.Version) {
			cell := v.Platforms[host(t)]
			cell.Tree = strings.Repeat("1", 64)
			v.Platforms[host(t)] = cell
		}, 7, []string{"; the lock has " + strings.Repeat("1", 64), "mirror"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.lockCrates(cargoPlug, cargoLeaf)
			tt.change(w.lock.Plugins["crab"]["1.0.0"])
			w.write()
			w.cache = t.TempDir()
			w.fails(tt.status, tt.says, append([]string{"get", "crab"}, tt.args...)...)
		})
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("code of a crate ran without consent")
	}
	w.lockCrates(cargoPlug, cargoLeaf)
	w.write()
	t.Setenv("PATH", t.TempDir())
	w.cache = t.TempDir()
	w.fails(7, []string{"cargo is not on PATH", "lockgen mirror --trees"}, "get", "crab")
}

// TestCargoIndexAnswers: cargo says of much that it is an index without the crate.
// What the index answered is told, to whoever may ask it.
func TestCargoIndexAnswers(t *testing.T) {
	w := newCargoWorld(t)
	t.Setenv("CARGO_NET_RETRY", "0")
	page := fake.CrateIndexPath("crab")
	for name, tt := range map[string]struct {
		fault fake.Fault
		says  []string
	}{
		"404":   {fake.Status(404), []string{"the registry has no crate crab"}},
		"410":   {fake.Status(410), []string{"server answered 410 Gone", page}},
		"451":   {fake.Status(451), []string{"server answered 451", page}},
		"empty": {fake.Answer("text/plain", ""), []string{"the server answered with nothing", page}},
		"HTML":  {fake.HTML(), []string{"what looks like HTML (a proxy or login page?)", page}},
		"JSON":  {fake.Answer("application/json", "[]"), []string{"is not the entry of a crate", page}},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "404" || name == "451" || name == "JSON" {
				testenv.OnlyFull(t, "each starts cargo; lockgen's conformance suite has all")
			}
			w.cache = t.TempDir()
			w.registry.Fault(page, tt.fault)
			w.fails(4, tt.says, "get", "crab")
		})
	}
	const token = "s3cret-canary"
	w.registry.CrateToken(token)
	w.registries = ""
	config := "[source.crates-io]\nreplace-with = \"corp\"\n[registries.corp]\nindex = \"sparse+" + w.registry.CrateIndex() + "\"\ntoken = \"" + token + "\"\n"
	if err := os.WriteFile(filepath.Join(os.Getenv("CARGO_HOME"), "config.toml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	w.write()
	w.cache = t.TempDir()
	w.registry.Forget()
	w.registry.Fault(page, fake.Status(410))
	w.fails(4, []string{"server answered 410 Gone"}, "get", "crab")
	for _, r := range w.registry.Requests(page) {
		if r.Header.Get("Authorization") != token {
			t.Errorf("asked without the token: %+v", r)
		}
	}
}

// TestCargoToken: crates of a registry that demands a token are downloaded with
// what the user's cargo has for it, whatever else is in the project's settings.
// No mirror gets the token.
func TestCargoToken(t *testing.T) {
	w := newCargoWorld(t)
	const token = "s3cret-canary"
	w.registry.CrateToken(token)
	w.registries = ""
	named := "[registries.my-corp]\nindex = \"sparse+" + w.registry.CrateIndex() + "\"\n"
	replaced := "[source.crates-io]\nreplace-with = \"my-corp\"\n"
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	home := filepath.Join(os.Getenv("CARGO_HOME"), "config.toml")
	write(filepath.Join(w.dir, ".cargo", "config.toml"), "[source.crates-io]\nreplace-with = \"v\"\n[source.v]\ndirectory = \"vendor\"\n[net]\noffline = true\n[patch.crates-io]\nleaf = { path = \"/nonexistent\" }\n[build]\nrustc-wrapper = \"/nonexistent\"\n")
	write(home, replaced+named)
	w.write()
	w.fails(7, []string{"requires a token", "CARGO_REGISTRIES_MY_CORP_TOKEN"}, "get", "crab")
	write(home, replaced+named+"token = \"wrong\"\n")
	w.fails(4, []string{"401"}, "get", "crab")
	write(home, replaced+named+"token = \""+token+"\"\n")
	mirror := fake.New(t)
	w.mirrors(w.registry.URL+"/", mirror.URL+"/")
	w.registry.Forget()
	w.must("get", "crab")
	for _, name := range []string{"crab", "leaf"} {
		path := "/crates/" + name + "/1.0.0/download"
		if got := w.registry.Requests(path); len(got) != 1 || got[0].Header.Get("Authorization") != token {
			t.Errorf("%s: %+v", path, got)
		}
		if got := mirror.Requests(path); len(got) == 0 || got[0].Header.Get("Authorization") != "" {
			t.Errorf("%s of the mirror: %+v", path, got)
		}
	}
}
