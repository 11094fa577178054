package pkgmgr

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

func TestFindCargo(t *testing.T) {
	find := func(says map[string]string) (*Cargo, error) {
		t.Setenv("PATH", fakes(t, says))
		return FindCargo(t.Context())
	}
	c, err := find(map[string]string{"cargo": "print cargo 1.95.0 (f2d3ce0bd 2026-03-21)", "rustc": "print /nowhere"})
	if err != nil || c.Version() != "1.95.0" {
		t.Errorf("found %+v, %v", c, err)
	}
	_, err = find(map[string]string{"cargo": "print cargo 1.70.0 (x)", "rustc": "print /nowhere"})
	wantFault(t, err, fault.Machine, "has version 1.70.0, needed is 1.78 or later")
	_, err = find(map[string]string{"cargo": "print hello", "rustc": "print /nowhere"})
	wantFault(t, err, fault.Machine, `says its version is "hello"`)
	_, err = find(map[string]string{"cargo": "complain no toolchain", "rustc": "complain no toolchain"})
	wantFault(t, err, fault.Machine, "no toolchain")
	for _, says := range []map[string]string{nil, {"cargo": "print cargo 1.95.0"}} {
		_, err = find(says)
		wantFault(t, err, fault.Machine, "is not on PATH")
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(fault.Mend(err), "cargo 1.78 or later") {
			t.Errorf("%v, mend %q", err, fault.Mend(err))
		}
	}
}

// documented are variables that cargo, rustc, rustup, Go, cgo, git and the C
// compilers document as theirs, and some that they may come to have.
var documented = strings.Fields(`
	CARGO CARGO_HOME CARGO_TARGET_DIR CARGO_INCREMENTAL CARGO_CACHE_RUSTC_INFO CARGO_LOG CARGO_MAKEFLAGS CARGO_ALIAS_FETCH CARGO_BUILD_JOBS
	CARGO_BUILD_RUSTC CARGO_BUILD_RUSTC_WRAPPER CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER CARGO_BUILD_RUSTDOC CARGO_BUILD_TARGET CARGO_BUILD_TARGET_DIR
	CARGO_BUILD_RUSTFLAGS CARGO_BUILD_RUSTDOCFLAGS CARGO_BUILD_INCREMENTAL CARGO_BUILD_DEP_INFO_BASEDIR CARGO_CARGO_NEW_VCS CARGO_FUTURE_INCOMPAT_REPORT_FREQUENCY
	CARGO_NET_OFFLINE CARGO_NET_GIT_FETCH_WITH_CLI CARGO_NET_SSH_KNOWN_HOSTS CARGO_HTTP_DEBUG CARGO_PROFILE_RELEASE_LTO CARGO_RESOLVER_FEATURE_UNIFICATION
	CARGO_REGISTRIES_MINE_CREDENTIAL_PROVIDER CARGO_REGISTRIES_MINE_TOKEN CARGO_REGISTRY_DEFAULT CARGO_REGISTRY_TOKEN CARGO_REGISTRY_CREDENTIAL_PROVIDER
	CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS CARGO_CREDENTIAL_ALIAS_X CARGO_SOURCE_X_REPLACE_WITH CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER
	CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS CARGO_UNSTABLE_CONFIG_INCLUDE CARGO_ENCODED_RUSTFLAGS
	CARGO_ENCODED_RUSTDOCFLAGS CARGO_WORKSPACE_DIR CARGO_SOMETHING_NEW
	RUSTC RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER RUSTC_BOOTSTRAP RUSTC_LOG RUSTC_FORCE_RUSTC_VERSION RUSTC_SOMETHING_NEW RUSTDOC RUSTDOCFLAGS RUSTFLAGS RUST_BACKTRACE
	RUST_MIN_STACK RUST_TARGET_PATH RUST_LOG RUSTUP_TOOLCHAIN RUSTUP_DIST_SERVER RUSTUP_UPDATE_ROOT RUSTUP_DIST_ROOT RUSTUP_PERMIT_COPY_RENAME RUSTUP_OVERRIDE_HOST_TRIPLE
	GO111MODULE GCCGO GOARCH GOAMD64 GOARM64 GOBIN GOCACHE GOCACHEPROG GODEBUG GOENV GOEXE GOEXPERIMENT GOFIPS140 GOFLAGS GOHOSTARCH GOINSECURE GOMODCACHE GOOS
	GOPATH GOROOT GOTMPDIR GOTOOLCHAIN GOTOOLDIR GOVCS GOVERSION GOWORK GO_EXTLINK_ENABLED GOSOMETHINGNEW GOGCCFLAGS GOCOVERDIR
	CGO_ENABLED CGO_CFLAGS CGO_CFLAGS_ALLOW CGO_CPPFLAGS CGO_CXXFLAGS CGO_FFLAGS CGO_LDFLAGS CC CXX AR FC PKG_CONFIG PKG_CONFIG_PATH CFLAGS LDFLAGS CPPFLAGS CXXFLAGS CC_x86_64 CPATH
	GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_COMMON_DIR GIT_NAMESPACE GIT_CEILING_DIRECTORIES GIT_CONFIG
	GIT_CONFIG_COUNT GIT_CONFIG_KEY_0 GIT_CONFIG_VALUE_0 GIT_CONFIG_PARAMETERS GIT_CONFIG_GLOBAL GIT_CONFIG_SYSTEM GIT_CONFIG_NOSYSTEM GIT_EXEC_PATH GIT_TEMPLATE_DIR
	GIT_SSH GIT_SSH_COMMAND GIT_SSH_VARIANT GIT_ASKPASS GIT_PROXY_COMMAND GIT_EXTERNAL_DIFF GIT_PAGER GIT_EDITOR GIT_SEQUENCE_EDITOR GIT_TRACE GIT_ALLOW_PROTOCOL GIT_QUARANTINE_PATH
	GIT_SSL_CAINFO GIT_SSL_NO_VERIFY GIT_SOMETHING_NEW SSH_ASKPASS SSH_AUTH_SOCK
`)

// The environment of every run of cargo that asks a registry holds nothing of the
// user's but the way to servers.
func TestCargoEnv(t *testing.T) {
	for _, name := range append(documented, "LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "EDITOR", "SECRET") {
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
	env = askEnv()
	for _, name := range documented {
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
		if got := CrateURL(template, c); got != want {
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
		got, err := CrateBins(&CrateSource{Manifest: []byte("[package]\nname = \"crate\"\nversion = \"1.0.0\"\n" + tt.manifest), Files: tt.files})
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
	c, err := FindCargo(t.Context())
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
