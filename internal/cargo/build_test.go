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
	host := fake.Host(t)
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

// A builder builds plug, in a folder of its own each time.
type builder struct {
	*testing.T
	*Client
	host   lock.Platform
	server *fake.Server
}

// newBuilder has an environment in which each of the user's settings would end the build.
func newBuilder(t *testing.T) *builder {
	t.Helper()
	c, host := realCargo(t)
	t.Setenv("RUSTFLAGS", "--no-such-flag")
	t.Setenv("RUSTC_WRAPPER", "/no/such/wrapper")
	t.Setenv("CARGO_HOME", t.TempDir())
	if err := os.WriteFile(filepath.Join(os.Getenv("CARGO_HOME"), "config.toml"), []byte("[build]\nrustc-wrapper = \"/no/such/wrapper\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return &builder{t, c, host, fake.New(t)}
}

// crate publishes a crate.
func (b *builder) crate(c fake.Crate) File { return crateFile(b.T, b.server, c) }

// build makes one change to the build of plug. It returns the program and what it prints.
func (b *builder) build(change func(b *Build)) ([]byte, string, error) {
	b.Helper()
	what := Build{Root: b.crate(cargoPlug), Crates: []File{b.crate(cargoLeaf)}, Bin: "plug", Platform: b.host}
	change(&what)
	out := filepath.Join(b.TempDir(), "plug")
	if err := b.Build(b.Context(), what, out); err != nil {
		if left, _ := os.ReadDir(filepath.Dir(out)); len(left) > 0 {
			b.Errorf("left %v", left)
		}
		return nil, "", err
	}
	said, err := exec.Command(out).Output()
	if err != nil {
		b.Fatal(err)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		b.Fatal(err)
	}
	return data, string(said), nil
}

// says demands that the build succeeds, and what the program then begins to print.
func (b *builder) says(what, want string, change func(b *Build)) []byte {
	b.Helper()
	data, said, err := b.build(change)
	if err != nil || !strings.HasPrefix(said, want) {
		b.Errorf("%s: it says %q: %v", what, said, err)
	}
	return data
}

// TestCargoBuild: two builds are the same bytes, without the path of their folder.
func TestCargoBuild(t *testing.T) {
	b := newBuilder(t)
	var told []string
	one := b.says("one", "leaf ", func(b *Build) {
		b.Compiles = func(n, of int, crate string) { told = append(told, fmt.Sprintf("%d of %d %s", n, of, crate)) }
	})
	if got := strings.Join(told, ", "); got != "1 of 2 leaf v1.2.0, 2 of 2 plug v1.0.0" {
		t.Errorf("compiling was told as %q", got)
	}
	two := b.says("two", "leaf ", func(*Build) {})
	if len(one) == 0 || !bytes.Equal(one, two) {
		t.Error("two builds differ")
	}
	if dir, err := filepath.EvalSymlinks(os.TempDir()); err == nil && bytes.Contains(one, []byte(dir+"/")) {
		t.Error("it holds the path of its folder")
	}
	b.says("with a feature", "LEAF ", func(b *Build) { b.Args = []string{"--features", "more"} })
}

// TestCargoShared: builds in one folder share what they have in common, and nothing of
// the plugin itself; each gives the bytes of a build in a folder of its own.
func TestCargoShared(t *testing.T) {
	b := newBuilder(t)
	shared := &Shared{Dir: t.TempDir()}
	compiled := func() map[string]time.Time {
		files, err := filepath.Glob(filepath.Join(shared.dir, "target", "release", "deps", "libleaf-*.rlib"))
		if err != nil || len(files) != 1 {
			t.Fatalf("the builds made %v, %v", files, err)
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
	one := b.says("a build", "leaf ", func(b *Build) { b.Shared = shared })
	before := compiled()
	two := b.says("a second build", "other leaf ", func(build *Build) { build.Shared, build.Root = shared, b.crate(other) })
	if after := compiled(); !maps.Equal(after, before) {
		t.Errorf("compiled anew: %v, before %v", after, before)
	}
	if !bytes.Equal(one, b.says("the build alone", "leaf ", func(*Build) {})) ||
		!bytes.Equal(two, b.says("the second build alone", "other leaf ", func(build *Build) { build.Root = b.crate(other) })) {
		t.Error("in a folder of their own they give other bytes")
	}
	if _, _, err := b.build(func(b *Build) { b.Shared, b.Crates = shared, nil }); fault.Of(err) != fault.Lock {
		t.Errorf("a build with a crate missing: %v", err)
	}
	if err := shared.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(shared.Dir); len(left) > 0 {
		t.Errorf("the builds left %v", left)
	}
}

// TestCargoAsksForRust: the Rust that a crate asks for is compared with its patch release.
func TestCargoAsksForRust(t *testing.T) {
	b := newBuilder(t)
	asks := func(crate fake.Crate, rust string) File {
		crate.Files = maps.Clone(crate.Files)
		crate.Files["Cargo.toml"] = fmt.Sprintf("[package]\nname = %q\nversion = %q\nedition = \"2021\"\nrust-version = %q\n", crate.Name, crate.Version, rust)
		if crate.Name == "plug" {
			crate.Files["Cargo.toml"] += "[dependencies]\nleaf = \"^1.1\"\n"
		}
		return b.crate(crate)
	}
	own := b.Version()
	i := strings.LastIndexByte(own, '.')
	patch, err := strconv.Atoi(own[i+1:])
	if err != nil {
		t.Skipf("skipped: cargo here is %s, no release", own)
	}
	next, tenth := fmt.Sprint(own[:i+1], patch+1), fmt.Sprint(own[:i+1], 10*patch+10)
	for _, tt := range []struct{ plug, leaf, newer string }{ // newer is the Rust to install, "" where this one does
		{"1.74.1", own, ""},
		{own[:i], "1.56", ""},
		{next, "1.56", next},
		{"1.74.1", next, next},
		{next, tenth, tenth},
		{tenth, next, tenth},
	} {
		what := fmt.Sprintf("Rust %s and %s by %s", tt.plug, tt.leaf, own)
		change := func(b *Build) { b.Root, b.Crates = asks(cargoPlug, tt.plug), []File{asks(cargoLeaf, tt.leaf)} }
		if tt.newer == "" {
			b.says(what, "leaf ", change)
			continue
		}
		_, _, err := b.build(change)
		fake.WantFault(t, err, fault.Machine, "needs a newer Rust")
		if hint := fault.Hint(err); hint != "install Rust "+tt.newer+" or later: rustup update" {
			t.Errorf("%s: hint %q", what, hint)
		}
	}
}

// TestCargoRefused: what differs from the lock is not built.
func TestCargoRefused(t *testing.T) {
	b := newBuilder(t)
	with := func(files map[string]string) fake.Crate {
		crate := cargoPlug
		crate.Files = files
		return crate
	}
	broken := with(map[string]string{"src/main.rs": "fn main() { undefined_thing(); }\n"})
	newer := with(map[string]string{"src/main.rs": "fn main() {}\n", "Cargo.toml": "[package]\nname = \"plug\"\nversion = \"1.0.0\"\nedition = \"2021\"\nrust-version = \"1.999\"\n"})
	newer.Extra = "\n"
	configured := with(map[string]string{"src/main.rs": cargoPlug.Files["src/main.rs"], ".cargo/config.toml": "[build]\nrustc-wrapper = \"/no/such/wrapper\"\n"})
	locked := with(map[string]string{"src/main.rs": cargoPlug.Files["src/main.rs"], "Cargo.lock": "version = 3\n\n[[package]]\nname = \"leaf\"\nversion = \"1.2.0\"\nsource = \"registry+https://example.com/index\"\nchecksum = \"" + strings.Repeat("ab", 32) + "\"\n"})
	for _, tt := range []struct {
		name   string
		change func(b *Build)
		class  fault.Class // OK: it is built
		says   string
	}{
		{"a crate is missing", func(b *Build) { b.Crates = nil }, fault.Lock, "would use crates other than those locked: leaf-1.1.0"},
		{"a crate too many", func(build *Build) {
			build.Crates = append(build.Crates, b.crate(fake.Crate{Name: "more", Version: "1.0.0"}))
		}, fault.Lock, "crates other than those locked: more-1.0.0"},
		{"another executable", func(b *Build) { b.Bin = "other" }, fault.Lock, `no executable "other"`},
		{"does not compile", func(build *Build) { build.Root = b.crate(broken) }, fault.Machine, "cannot find function `undefined_thing`"},
		{"a newer Rust", func(build *Build) { build.Root, build.Crates = b.crate(newer), nil }, fault.Machine, "needs a newer Rust"},
		{"settings in the crate", func(build *Build) { build.Root = b.crate(configured) }, fault.OK, ""},
		{"other checksums", func(build *Build) { build.Root = b.crate(locked) }, fault.Integrity, "has checksum abab"},
		{"not a crate", func(b *Build) {
			if err := os.WriteFile(b.Crates[0].File, []byte("<html>"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, fault.Integrity, "leaf-1.2.0"},
	} {
		_, _, err := b.build(tt.change)
		if tt.class == fault.OK {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		fake.WantFault(t, err, tt.class, tt.says)
	}
	if runtime.GOOS != "windows" {
		t.Setenv("PATH", t.TempDir())
		_, _, err := b.build(func(*Build) {})
		fake.WantFault(t, err, fault.Machine, "cc is not on PATH")
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(fault.Hint(err), "gcc") {
			t.Errorf("%v, hint %q", err, fault.Hint(err))
		}
	}
}

// TestCargoBuildScript: code of a crate runs with consent alone, and has no network.
func TestCargoBuildScript(t *testing.T) {
	b := newBuilder(t)
	canary := filepath.Join(t.TempDir(), "canary")
	running := func(script string) File {
		crate := cargoLeaf
		crate.Files = map[string]string{"src/lib.rs": cargoLeaf.Files["src/lib.rs"], "build.rs": "fn main() { " + script + " }\n"}
		return b.crate(crate)
	}
	build := func(script string, consent ...string) error {
		_, _, err := b.build(func(b *Build) { b.Crates, b.Scripts = []File{running(script)}, consent })
		return err
	}
	touch := "std::fs::write(" + strconv.Quote(canary) + ", \"ran\").unwrap();"
	fake.WantFault(t, build(touch), fault.Policy, "runs code of crate leaf-1.2.0")
	if _, err := os.Stat(canary); err == nil {
		t.Error("code of a crate ran without consent")
	}
	if err := build(touch, "leaf-1.2.0"); err != nil {
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
		err = build("std::net::TcpStream::connect("+strconv.Quote(listener.Addr().String())+").expect(\"no way out\");", "leaf-1.2.0")
		fake.WantFault(t, err, fault.Machine, "Network is unreachable")
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
