package cargo

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/proc"
)

func TestFindCargo(t *testing.T) {
	find := func(says map[string]string) (*Client, error) {
		t.Setenv("PATH", fake.Programs(t, says))
		return Find(t.Context())
	}
	c, err := find(map[string]string{"cargo": "print cargo 1.95.0 (f2d3ce0bd 2026-03-21)", "rustc": "print /nowhere"})
	if err != nil || c.Version() != "1.95.0" {
		t.Errorf("found %+v, %v", c, err)
	}
	_, err = find(map[string]string{"cargo": "print cargo 1.70.0 (x)", "rustc": "print /nowhere"})
	fake.WantFault(t, err, fault.Machine, "has version 1.70.0; 1.78 or later is needed")
	_, err = find(map[string]string{"cargo": "print hello", "rustc": "print /nowhere"})
	fake.WantFault(t, err, fault.Machine, `reports the version "hello"`)
	_, err = find(map[string]string{"cargo": "complain no toolchain", "rustc": "complain no toolchain"})
	fake.WantFault(t, err, fault.Machine, "no toolchain")
	for _, says := range []map[string]string{nil, {"cargo": "print cargo 1.95.0"}} {
		_, err = find(says)
		fake.WantFault(t, err, fault.Machine, "is not on PATH")
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(fault.Hint(err), "cargo 1.78 or later") {
			t.Errorf("%v, hint %q", err, fault.Hint(err))
		}
	}
}

// The environment of every run of cargo that asks a registry holds nothing of the
// user's but the way to servers.
func TestCargoEnv(t *testing.T) {
	for _, name := range append(fake.Variables, "LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "EDITOR", "SECRET") {
		t.Setenv(name, "canary")
	}
	reach := []string{"HTTPS_PROXY=http://mine", "https_proxy=http://mine", "NO_PROXY=mine", "ALL_PROXY=mine", "SSL_CERT_FILE=mine", "SSL_CERT_DIR=mine"}
	for _, kv := range reach {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	env := cargoEnv("/home-of-ours")
	for _, kv := range env {
		if strings.HasSuffix(kv, "=canary") || strings.Contains(kv, "127.0.0.1:9") {
			t.Errorf("%s is there", kv)
		}
	}
	for _, want := range append(reach, "CARGO_HOME=/home-of-ours", "HOME=/home-of-ours", "RUSTC_WRAPPER=", "CARGO_ENCODED_RUSTFLAGS=") {
		if !slices.Contains(env, want) {
			t.Errorf("%s is not there", want)
		}
	}
	// Who is asked for its version may be a shim, and gets no orders either.
	t.Setenv("RUSTUP_HOME", "mine")
	t.Setenv("GOENV_ROOT", "mine")
	t.Setenv("ASDF_DATA_DIR", "mine")
	t.Setenv("CCC", "mine")
	env = proc.AskEnv()
	for _, name := range fake.Variables {
		if slices.Contains(env, name+"=canary") && name != "SSH_AUTH_SOCK" {
			t.Errorf("%s is there", name)
		}
	}
	for _, want := range []string{"RUSTUP_HOME=mine", "GOENV_ROOT=mine", "ASDF_DATA_DIR=mine", "CCC=mine", "PATH=" + os.Getenv("PATH")} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is not there", want)
		}
	}
}

func TestCrateURL(t *testing.T) {
	c := Crate{Name: "Serde-x", Version: "1.0.0+b", SHA256: "ab"}
	for template, want := range map[string]string{
		"https://example.com/crates":                              "https://example.com/crates/Serde-x/1.0.0+b/download",
		"https://example.com/crates/":                             "https://example.com/crates/Serde-x/1.0.0+b/download",
		"https://example.com/{prefix}/{crate}-{version}.crate":    "https://example.com/Se/rd/Serde-x-1.0.0+b.crate",
		"https://example.com/{lowerprefix}/{sha256-checksum}.tgz": "https://example.com/se/rd/ab.tgz",
	} {
		if got := URL(template, c); got != want {
			t.Errorf("%s: %s, want %s", template, got, want)
		}
	}
	for name, want := range map[string]string{"a": "1/a", "ab": "2/ab", "aBc": "3/a/abc", "Serde": "se/rd/serde"} {
		if got := indexPath(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestCrateBins(t *testing.T) {
	for _, tt := range []struct {
		manifest string
		files    []string
		want     string
	}{
		{"", []string{"src/lib.rs"}, ""},
		{"", []string{"src/main.rs", "src/bin/two.rs", "src/bin/three/main.rs", "src/bin/three/mod.rs", "src/bin/readme.md"}, "crate three two"},
		{"autobins = false\n", []string{"src/main.rs"}, ""},
		{"autobins = false\n[[bin]]\nname = \"one\"\npath = \"x.rs\"\n", []string{"x.rs"}, "one"},
	} {
		got, err := Bins(&Source{Manifest: []byte("[package]\nname = \"crate\"\nversion = \"1.0.0\"\n" + tt.manifest), Files: tt.files})
		if err != nil || strings.Join(got, " ") != tt.want {
			t.Errorf("%q %v: %v, %v, want %q", tt.manifest, tt.files, got, err, tt.want)
		}
	}
}

// Names of files come from a crate: they cannot lead out of its folder.
func TestWriteStub(t *testing.T) {
	dir := t.TempDir()
	if err := writeStub(filepath.Join(dir, "a"), []byte("[package]\n"), []string{"src/lib.rs", "README.md"}); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(filepath.Join(dir, "a", "src", "lib.rs")); err != nil || len(data) > 0 {
		t.Errorf("%q, %v", data, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "a", "README.md")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("README.md: %v", err)
	}
	if err := writeStub(filepath.Join(dir, "b"), nil, []string{"../out.rs"}); err == nil {
		t.Error("left its folder")
	}
}

// TestCrates: one run of cargo asks for each crate once, and for nothing else.
func TestCrates(t *testing.T) {
	c, err := Find(t.Context())
	if err != nil {
		t.Skipf("no cargo to try with: %v", err)
	}
	t.Setenv("CARGO_HOME", t.TempDir())
	t.Setenv("CARGO_NET_RETRY", "0")
	s := fake.New(t)
	when := time.Date(2026, 6, 1, 2, 3, 4, 0, time.UTC)
	s.Crate(fake.Crate{Name: "dep", Version: "1.0.0"})
	s.Crate(fake.Crate{Name: "one", Version: "1.0.0", Deps: []fake.CrateDep{{Name: "dep", Req: "^1"}}})
	s.Crate(fake.Crate{Name: "one", Version: "1.1.0-rc.1", Released: when})
	s.Crate(fake.Crate{Name: "two_x", Version: "0.2.0", Yanked: true})
	ask := func(names ...string) (map[string]map[string]Crate, error) {
		t.Helper()
		x, err := c.Index("", s.CrateIndex())
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		return x.Crates(t.Context(), names)
	}
	got, err := ask("one", "two_x", "three")
	if err != nil || len(got) != 2 || len(got["one"]) != 2 || !got["one"]["1.0.0"].Released.Equal(fake.Released) ||
		!got["one"]["1.1.0-rc.1"].Released.Equal(when) || !got["two_x"]["0.2.0"].Yanked || got["one"]["1.0.0"].SHA256 == "" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, name := range []string{"one", "two_x"} {
		if n := s.Count(fake.CrateIndexPath(name)); n != 1 {
			t.Errorf("%d requests for %s", n, name)
		}
	}
	if n := s.Count(fake.CrateIndexPath("dep")); n != 0 {
		t.Errorf("%d requests for what they depend on", n)
	}
	if got, err := ask("three"); err != nil || len(got) != 0 {
		t.Errorf("a crate that is not there: %+v, %v", got, err)
	}
	s.Fault(fake.CrateIndexPath("one"), fake.Status(500))
	if got, err := ask("one", "two_x"); err == nil || fault.Of(err) != fault.Upstream || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a registry out of order: %+v, %v", got, err)
	}
	if _, err := ask("a b"); fault.Of(err) != fault.Usage {
		t.Errorf("not a name: %v", err)
	}
}

// TestFindWithoutHome: a cargo that finds no home, as that of a user whom
// /etc/passwd does not know, is found all the same.
func TestFindWithoutHome(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("scripts of a shell")
	}
	bin := t.TempDir()
	for name, text := range map[string]string{
		"rustc": "echo /nonexistent",
		"cargo": "[ -n \"$HOME$CARGO_HOME\" ] || { echo \"error: Cargo couldn't find your home directory\" >&2; exit 101; }\necho cargo 1.95.0",
	} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", bin)
	t.Setenv("CARGO_HOME", "")
	t.Setenv("HOME", "")
	if c, err := Find(t.Context()); err != nil || c.Version() != "1.95.0" {
		t.Error(c, err)
	}
}
