package cargo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

func realCargo(t *testing.T) (*Client, lock.Platform) {
	t.Helper()
	testenv.Real(t, "it starts cargo")
	c, err := Find(t.Context())
	if err != nil {
		t.Skipf("skipped: no cargo that works: %v", err)
	}
	host, ok := lock.Host()
	if !ok {
		t.Skip("skipped: no lock knows this machine")
	}
	if _, err := c.Identity(t.Context(), host); err != nil {
		t.Skipf("skipped: %v", err)
	}
	if runtime.GOOS != "windows" {
		testenv.Program(t, "cc") // the linker
	}
	return c, host
}

// crateFile makes a .crate file.
func crateFile(t *testing.T, s *fake.Server, crate fake.Crate) File {
	t.Helper()
	a := s.Crate(crate)
	file := filepath.Join(t.TempDir(), a.Name)
	if err := os.WriteFile(file, a.Body, 0o600); err != nil {
		t.Fatal(err)
	}
	return File{Crate{Name: crate.Name, Version: crate.Version, SHA256: a.SHA256}, file}
}

// cargoPlug needs leaf, leaf with a feature for the feature more, and crates that
// no platform of the lock needs.
var cargoPlug = fake.Crate{
	Name: "plug", Version: "1.0.0", Features: map[string][]string{"more": {"leaf/loud"}, "less": {"faint?/x"}},
	Deps: []fake.CrateDep{
		{Name: "leaf", Req: "^1.1"},
		{Name: "faint", Req: "0.2", Optional: true},
		{Name: "only-elsewhere", Req: ">=2.1, <3", Target: "cfg(target_os = \"haiku\")"},
		{Name: "only-tests", Req: "=1.0.0-rc.1", Kind: "dev"},
	},
	// A warning, which ends no build of what comes from a registry.
	Files: map[string]string{"src/main.rs": "#![deny(warnings)]\nfn main() { let unused = 0; println!(\"{} {}\", leaf::name(), file!()); }\n"},
}

var cargoLeaf = fake.Crate{
	Name: "leaf", Version: "1.2.0", Features: map[string][]string{"loud": {}},
	Deps:  []fake.CrateDep{{Name: "sys", Req: "0.9", Target: "cfg(target_os = \"haiku\")"}},
	Files: map[string]string{"src/lib.rs": "pub fn name() -> &'static str { if cfg!(feature = \"loud\") { \"LEAF\" } else { \"leaf\" } }\n"},
}

// TestCargoBuild builds in two folders, and each row changes one thing.
func TestCargoBuild(t *testing.T) {
	c, host := realCargo(t)
	s := fake.New(t)
	build := func(change func(b *Build)) ([]byte, string, error) {
		b := Build{Root: crateFile(t, s, cargoPlug), Crates: []File{crateFile(t, s, cargoLeaf)}, Bin: "plug", Platform: host}
		change(&b)
		out := filepath.Join(t.TempDir(), "plug")
		if err := c.Build(t.Context(), b, out); err != nil {
			if left, _ := os.ReadDir(filepath.Dir(out)); len(left) > 0 {
				t.Errorf("left %v", left)
			}
			return nil, "", err
		}
		said, err := exec.Command(out).Output()
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return data, string(said), nil
	}
	// Nothing of the user's: each of these would end the build.
	t.Setenv("RUSTFLAGS", "--no-such-flag")
	t.Setenv("RUSTC_WRAPPER", "/no/such/wrapper")
	t.Setenv("CARGO_HOME", t.TempDir())
	if err := os.WriteFile(filepath.Join(os.Getenv("CARGO_HOME"), "config.toml"), []byte("[build]\nrustc-wrapper = \"/no/such/wrapper\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var told []string
	one, said, err := build(func(b *Build) {
		b.Compiles = func(n, of int, crate string) { told = append(told, fmt.Sprintf("%d of %d %s", n, of, crate)) }
	})
	if got := strings.Join(told, ", "); got != "1 of 2 leaf v1.2.0, 2 of 2 plug v1.0.0" {
		t.Errorf("compiling was told as %q", got)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(said, "leaf ") {
		t.Errorf("it says %q", said)
	}
	two, _, err := build(func(*Build) {})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one, two) {
		t.Error("two builds differ")
	}
	if dir, err := filepath.EvalSymlinks(os.TempDir()); err == nil && bytes.Contains(one, []byte(dir+"/")) {
		t.Error("it holds the path of its folder")
	}
	if _, said, err = build(func(b *Build) { b.Args = []string{"--features", "more"} }); err != nil || !strings.HasPrefix(said, "LEAF ") {
		t.Errorf("with a feature it says %q: %v", said, err)
	}

	// Trials share what they have in common, and nothing of the plugin itself.
	trials := &Trials{Dir: t.TempDir()}
	compiled := func() map[string]time.Time {
		files, err := filepath.Glob(filepath.Join(trials.dir, "target", "release", "deps", "libleaf-*.rlib"))
		if err != nil || len(files) != 1 {
			t.Fatalf("the trials made %v, %v", files, err)
		}
		info, err := os.Stat(files[0])
		if err != nil {
			t.Fatal(err)
		}
		return map[string]time.Time{files[0]: info.ModTime()}
	}
	other := cargoPlug
	other.Version = "1.0.1"
	other.Files = map[string]string{"src/main.rs": strings.Replace(cargoPlug.Files["src/main.rs"], "fn main() {", "fn main() { print!(\"other \");", 1)}
	if _, said, err = build(func(b *Build) { b.Trials = trials }); err != nil || !strings.HasPrefix(said, "leaf ") {
		t.Errorf("a trial says %q: %v", said, err)
	}
	before := compiled()
	if _, said, err = build(func(b *Build) { b.Trials, b.Root = trials, crateFile(t, s, other) }); err != nil || !strings.HasPrefix(said, "other leaf ") {
		t.Errorf("a second trial says %q: %v", said, err)
	}
	if after := compiled(); !maps.Equal(after, before) {
		t.Errorf("compiled anew: %v, before %v", after, before)
	}
	if _, _, err := build(func(b *Build) { b.Trials, b.Crates = trials, nil }); fault.Of(err) != fault.Lock {
		t.Errorf("a trial with a crate missing: %v", err)
	}
	if err := trials.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(trials.Dir); len(left) > 0 {
		t.Errorf("the trials left %v", left)
	}

	broken := cargoPlug
	broken.Files = map[string]string{"src/main.rs": "fn main() { undefined_thing(); }\n"}
	newer := cargoPlug
	newer.Extra = "\n"
	newer.Files = map[string]string{"src/main.rs": "fn main() {}\n", "Cargo.toml": "[package]\nname = \"plug\"\nversion = \"1.0.0\"\nedition = \"2021\"\nrust-version = \"1.999\"\n"}
	// asks is a crate that asks for a Rust: patch releases are compared as well.
	asks := func(crate fake.Crate, rust string) File {
		crate.Files = maps.Clone(crate.Files)
		crate.Files["Cargo.toml"] = fmt.Sprintf("[package]\nname = %q\nversion = %q\nedition = \"2021\"\nrust-version = %q\n", crate.Name, crate.Version, rust)
		if crate.Name == "plug" {
			crate.Files["Cargo.toml"] += "[dependencies]\nleaf = \"^1.1\"\n"
		}
		return crateFile(t, s, crate)
	}
	own := c.Version()
	i := strings.LastIndexByte(own, '.')
	patch, err := strconv.Atoi(own[i+1:])
	if err != nil {
		t.Skipf("skipped: cargo here is %s, no release", own)
	}
	next, tenth := fmt.Sprint(own[:i+1], patch+1), fmt.Sprint(own[:i+1], 10*patch+10)
	for _, rust := range [][2]string{{"1.74.1", own}, {own[:i], "1.56"}} {
		if _, said, err := build(func(b *Build) { b.Root, b.Crates = asks(cargoPlug, rust[0]), []File{asks(cargoLeaf, rust[1])} }); err != nil || !strings.HasPrefix(said, "leaf ") {
			t.Errorf("Rust %v by %s: it says %q: %v", rust, own, said, err)
		}
	}
	for _, rust := range [][2]string{{next, "1.56"}, {"1.74.1", next}, {next, tenth}, {tenth, next}} {
		_, _, err := build(func(b *Build) { b.Root, b.Crates = asks(cargoPlug, rust[0]), []File{asks(cargoLeaf, rust[1])} })
		fake.WantFault(t, err, fault.Machine, "needs a newer Rust")
		want := next
		if slices.Contains(rust[:], tenth) {
			want = tenth
		}
		if hint := fault.Hint(err); hint != "install Rust "+want+" or later: rustup update" {
			t.Errorf("Rust %v by %s: hint %q", rust, own, hint)
		}
	}

	canary := filepath.Join(t.TempDir(), "canary")
	running := cargoLeaf
	running.Files = map[string]string{"src/lib.rs": cargoLeaf.Files["src/lib.rs"], "build.rs": "fn main() { std::fs::write(" + strconv.Quote(canary) + ", \"ran\").unwrap(); }\n"}
	configured := cargoPlug
	configured.Files = map[string]string{"src/main.rs": cargoPlug.Files["src/main.rs"], ".cargo/config.toml": "[build]\nrustc-wrapper = \"/no/such/wrapper\"\n"}
	locked := cargoPlug
	locked.Files = map[string]string{"src/main.rs": cargoPlug.Files["src/main.rs"], "Cargo.lock": "version = 3\n\n[[package]]\nname = \"leaf\"\nversion = \"1.2.0\"\nsource = \"registry+https://example.com/index\"\nchecksum = \"" + strings.Repeat("ab", 32) + "\"\n"}
	for _, tt := range []struct {
		name   string
		change func(b *Build)
		class  fault.Class // OK: it is built
		says   string
	}{
		{"a crate is missing", func(b *Build) { b.Crates = nil }, fault.Lock, "would use crates other than those locked: leaf-1.1.0"},
		{"a crate too many", func(b *Build) {
			b.Crates = append(b.Crates, crateFile(t, s, fake.Crate{Name: "more", Version: "1.0.0"}))
		}, fault.Lock, "crates other than those locked: more-1.0.0"},
		{"another executable", func(b *Build) { b.Bin = "other" }, fault.Lock, `no executable "other"`},
		{"does not compile", func(b *Build) { b.Root = crateFile(t, s, broken) }, fault.Machine, "cannot find function `undefined_thing`"},
		{"a newer Rust", func(b *Build) { b.Root, b.Crates = crateFile(t, s, newer), nil }, fault.Machine, "needs a newer Rust"},
		{"settings in the crate", func(b *Build) { b.Root = crateFile(t, s, configured) }, fault.OK, ""},
		{"other checksums", func(b *Build) { b.Root = crateFile(t, s, locked) }, fault.Integrity, "has checksum abab"},
		{"not a crate", func(b *Build) {
			if err := os.WriteFile(b.Crates[0].File, []byte("<html>"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, fault.Integrity, "leaf-1.2.0"},
		{"no consent", func(b *Build) { b.Crates = []File{crateFile(t, s, running)} }, fault.Policy, "runs code of crate leaf-1.2.0"},
	} {
		_, _, err := build(tt.change)
		if tt.class == fault.OK {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		fake.WantFault(t, err, tt.class, tt.says)
	}
	if _, err := os.Stat(canary); err == nil {
		t.Error("code of a crate ran without consent")
	}
	if _, _, err := build(func(b *Build) {
		b.Crates, b.Scripts = []File{crateFile(t, s, running)}, []string{"leaf-1.2.0"}
	}); err != nil {
		t.Errorf("with consent: %v", err)
	}
	if _, err := os.Stat(canary); err != nil {
		t.Errorf("with consent nothing ran: %v", err)
	}
	// What runs has no network, where the system can do that.
	if runtime.GOOS == "linux" && cutOffWorks(t) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		calling := running
		calling.Files = map[string]string{"src/lib.rs": cargoLeaf.Files["src/lib.rs"], "build.rs": "fn main() { std::net::TcpStream::connect(" + strconv.Quote(listener.Addr().String()) + ").expect(\"no way out\"); }\n"}
		_, _, err = build(func(b *Build) {
			b.Crates, b.Scripts = []File{crateFile(t, s, calling)}, []string{"leaf-1.2.0"}
		})
		fake.WantFault(t, err, fault.Machine, "Network is unreachable")
	}
	t.Setenv("PATH", t.TempDir())
	if runtime.GOOS != "windows" {
		_, _, err = build(func(*Build) {})
		fake.WantFault(t, err, fault.Machine, "cc is not on PATH")
	}
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(fault.Hint(err), "gcc") {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
}

// cutOffWorks reports whether this machine lets us take the network away.
func cutOffWorks(t *testing.T) bool {
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "true")
	return proc.CutOff(cmd) && cmd.Run() == nil
}

func TestCargoPlatform(t *testing.T) {
	c, host := realCargo(t)
	for _, p := range lock.Platforms {
		_, err := c.Identity(t.Context(), p)
		if (err == nil) != (p.Name == host.Name) {
			t.Errorf("%s: %v", p.Name, err)
		}
		if err != nil {
			fake.WantFault(t, err, fault.Machine, "not for "+p.Name)
		}
	}
}

func TestOldest(t *testing.T) {
	for req, want := range map[string]string{
		"1": "1.0.0", "^1.2": "1.2.0", "~1.2.3": "1.2.3", "=0.3.1": "0.3.1", "*": "0.0.0", "": "0.0.0", "1.*": "1.0.0", "1.2.x": "1.2.0",
		">=0.48, <=0.60": "0.48.0", "<2": "0.0.0", "<2, >= 1.5": "1.5.0", ">1.2": "1.3.0", "> 1": "2.0.0", ">1.2.3": "1.2.4",
		"=1.0.0-rc.1": "1.0.0-rc.1", "^2.0.0-beta": "2.0.0-beta", ">1.0.0-rc": "1.0.0-rc.0", "1.2.3+build": "1.2.3",
	} {
		if got := oldest(req); got != want {
			t.Errorf("%q: %s, want %s", req, got, want)
		}
	}
}

func TestQuietFolder(t *testing.T) {
	c := &Client{cargo: filepath.Join(t.TempDir(), "none")}
	home := t.TempDir()
	inner := filepath.Join(home, "a", "b")
	for _, dir := range []string{inner, filepath.Join(home, ".cargo")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	real, err := filepath.EvalSymlinks(inner)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := c.quietFolder(inner)
	if err != nil || filepath.Dir(dir) != real {
		t.Errorf("%s: %v", dir, err)
	}
	if err := os.WriteFile(filepath.Join(home, ".cargo", "config.toml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dir, err = c.quietFolder(inner)
	if err != nil || strings.HasPrefix(dir, real) {
		t.Errorf("%s: %v", dir, err)
	}
	os.RemoveAll(dir)
	t.Setenv("TMPDIR", inner)
	if runtime.GOOS != "windows" {
		_, err = c.quietFolder(inner)
		fake.WantFault(t, err, fault.Machine, "cargo would read")
	}
}

// TestSettingsEverywhere: where all folders are below settings of the user's, as they
// are with a home that is /, cargo reads none of them if it can be told to stop, and
// a plugin resolves and compiles; and is not run if it cannot.
func TestSettingsEverywhere(t *testing.T) {
	c, host := realCargo(t)
	home := t.TempDir()
	inner := filepath.Join(home, "tmp")
	out := filepath.Join(inner, "out")
	if err := errors.Join(
		os.Mkdir(filepath.Join(home, ".cargo"), 0o755), os.Mkdir(inner, 0o755),
		os.WriteFile(filepath.Join(home, ".cargo", "config.toml"), []byte("[build]\nrustc-wrapper = \"/nonexistent\"\ntarget = \"none\"\n[net]\noffline = \"x\"\n"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", inner)
	if runtime.GOOS == "windows" {
		t.Skip("there is a folder without settings")
	}
	s := fake.New(t)
	b := Build{Root: crateFile(t, s, cargoPlug), Crates: []File{crateFile(t, s, cargoLeaf)}, Bin: "plug", Platform: host}
	if err := c.Build(t.Context(), b, out); err != nil {
		t.Error(err)
	}
	index, err := c.Index(t.TempDir(), s.CrateIndex())
	if err != nil {
		t.Fatal(err)
	}
	defer index.Close()
	if got, err := index.Crate(t.Context(), "leaf", "1.2.0"); err != nil || got.SHA256 != b.Crates[0].SHA256 {
		t.Errorf("%+v: %v", got, err)
	}
	if _, err := c.Source(t.Context()); err != nil {
		t.Error(err)
	}
	for _, script := range []string{"exit 0", "exit 1"} { // it reads settings all the same; it cannot do anything
		other := &Client{cargo: filepath.Join(t.TempDir(), "cargo"), rustc: c.rustc}
		if err := os.WriteFile(other.cargo, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := other.quietFolder(inner)
		fake.WantFault(t, err, fault.Machine, "cargo would read")
	}
}
