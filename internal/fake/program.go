package fake

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// Main is the TestMain of a package that uses [Programs]: it lets a link to the
// test binary act as a program, as the file NAME.says beside the link tells it
// to. Main calls each setup, such as [WarmPip], before the tests, and the
// function it returned after them. The tests overlap, see [testenv.Overlap].
func Main(m *testing.M, setups ...func() (stop func())) {
	me := strings.TrimSuffix(os.Args[0], ".exe")
	says, err := os.ReadFile(me + ".says")
	if err != nil {
		var stops []func()
		for _, setup := range setups {
			stops = append(stops, setup())
		}
		testenv.Overlap()
		status := m.Run()
		for _, stop := range stops {
			stop()
		}
		os.Exit(status)
	}
	os.Exit(program(strings.TrimSpace(string(says)), me))
}

// program is a program that does one thing.
func program(says, me string) int {
	word, rest, _ := strings.Cut(says, " ")
	switch word {
	case "print":
		fmt.Println(rest)
	case "complain": // on stderr, then fail
		fmt.Fprintln(os.Stderr, strings.ReplaceAll(rest, `\e`, "\x1b"))
		return 3
	case "flood":
		for {
			if _, err := fmt.Println(strings.Repeat("x", 1<<10)); err != nil {
				return 1
			}
		}
	case "env":
		fmt.Println(strings.Join(os.Environ(), "\n"))
	case "dial":
		_, err := net.Dial("tcp", rest)
		fmt.Println(err)
	case "stdin":
		data, err := io.ReadAll(os.Stdin)
		fmt.Println(len(data), err)
	case "hang", "leave": // with a child that hangs as well and holds the pipes
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "FAKE_CHILD=1")
		child.Stdout, child.Stderr = os.Stdout, os.Stderr
		if os.Getenv("FAKE_CHILD") == "" {
			if err := child.Start(); err != nil {
				return 1
			}
			if err := os.WriteFile(me+".pid", fmt.Append(nil, child.Process.Pid), 0o600); err != nil {
				return 1
			}
		}
		if word == "leave" && os.Getenv("FAKE_CHILD") == "" {
			fmt.Println("left")
			return 0
		}
		time.Sleep(10 * time.Minute)
	}
	return 0
}

// Programs creates programs in a new folder and returns the folder; see [Main].
// says maps a name to what that program does: "print TEXT", "complain TEXT" (on
// standard error, and fail), "flood", "env", "dial ADDRESS", "stdin", "hang",
// "leave".
func Programs(t *testing.T, says map[string]string) string {
	t.Helper()
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range says {
		link := filepath.Join(dir, name)
		if err := os.WriteFile(link+".says", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS == "windows" {
			link += ".exe"
		}
		if err := os.Symlink(me, link); err != nil && os.Link(me, link) != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// WantFault checks the class of an error, and that its message contains the
// texts.
func WantFault(t *testing.T, err error, class fault.Class, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want class %s and %q", class, texts)
	}
	if got := fault.Of(err); got != class {
		t.Errorf("class %s, want %s: %v", got, class, err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is not in: %v", text, err)
		}
	}
}

// Write writes a file for a test, and creates the folders above it.
func Write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Platform parses the name of a platform in the lock.
func Platform(t *testing.T, name string) lock.Platform {
	t.Helper()
	p, ok := lock.LookupPlatform(name)
	if !ok {
		t.Fatalf("no platform %s", name)
	}
	return p
}

// Variables lists the environment variables that cargo, rustc, rustup, Go, cgo,
// git and the C compilers document, and some that they may read one day.
var Variables = strings.Fields(`
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

// Host is the platform of this machine. It skips the test where no lock has one for it.
func Host(t testing.TB) lock.Platform {
	t.Helper()
	host, ok := lock.Host()
	if !ok {
		t.Skip("skipped: no lock knows this machine")
	}
	return host
}
