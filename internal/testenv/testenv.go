// Package testenv says what a test may do on this machine: start real clients,
// ask real registries, take its time.
package testenv

import (
	"cmp"
	"errors"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/once"
)

// variable is the environment variable for the tests and the counts that take
// longer than the ordinary suite may: "full" asks for them.
const variable = "BUCK2_PROTOBUF_TEST"

// Full reports whether BUCK2_PROTOBUF_TEST=full asks for everything.
func Full() bool { return os.Getenv(variable) == "full" }

// Count returns how many samples a test takes: few, and all of them in the full
// suite.
func Count(few, all int) int {
	if Full() {
		return all
	}
	return few
}

// Brief returns how many samples a test takes with -short, and n without.
func Brief(short, n int) int {
	if testing.Short() {
		return short
	}
	return n
}

// OnlyFull skips a test, or a row of one, that only the full suite runs: why
// says what it costs, or what else holds most of its promise.
func OnlyFull(t testing.TB, why string) {
	t.Helper()
	if !Full() {
		t.Skipf("%s is not full: %s", variable, why)
	}
}

// Sample skips the rows of a table but for one in n, for a client starts with each.
// The full suite has them all.
func Sample(t testing.TB, row, n int) {
	t.Helper()
	if row%n != 0 {
		OnlyFull(t, "of a table whose rows each start a client, some are tried")
	}
}

// Real skips a test with -short, as every test does that starts a real package
// manager or Buck2, or that downloads: what names it.
func Real(t testing.TB, what string) {
	t.Helper()
	if testing.Short() {
		t.Skipf("-short: %s", what)
	}
}

// linkOrCopy makes a file that is another one, or equal to it where the file system is
// another one. It is whole as soon as it has its name.
func linkOrCopy(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return err
	}
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(to), "copy-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), to)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// Overlap has more tests run at a time than there are processors. TestMain calls it
// where most tests wait: for a client, a program or a server of theirs. A -parallel on
// the command line counts.
func Overlap() {
	const name = "test.parallel"
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == name })
	if asked {
		return
	}
	if err := flag.Set(name, strconv.Itoa(2*runtime.GOMAXPROCS(0)+1)); err != nil {
		panic(err)
	}
}

// FlipBit flips one bit in the middle of a file, unless that is empty.
func FlipBit(file string) error {
	data, err := os.ReadFile(file)
	if err != nil || len(data) == 0 {
		return err
	}
	data[len(data)/2] ^= 1
	return os.WriteFile(file, data, 0o644)
}

// Program returns the path of a program of this machine. It skips the test where
// none is on PATH, and where the one on PATH does not run: a proxy of rustup is
// there without a toolchain behind it. With args it is run with these, else it is
// asked for its version.
func Program(t testing.TB, name string, args ...string) string {
	t.Helper()
	path, err := Find(name, args...)
	if err != nil {
		t.Skipf("no %s that runs: %v", name, err)
	}
	return path
}

// Find is Program for a test that does without.
func Find(name string, args ...string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return runs.Do(strings.Join(append([]string{os.Getenv("HOME"), path}, args...), "\x00"), func() (string, error) { return path, run(name, path, args) })
}

// runs has the programs that were tried: one that runs does so for all tests with
// this home.
var runs once.Map[string, string]

func run(name, path string, args []string) error {
	if len(args) == 0 {
		args = []string{"--version"}
		switch name {
		case "go":
			args = []string{"version"}
		case "java", "javac":
			args = []string{"-version"}
		case "ip":
			args = []string{"-V"}
		}
	}
	return exec.Command(path, args...).Run()
}

// userCache is where the user's caches are, whatever home a test has.
var userCache, noUserCache = os.UserCacheDir()

// userGoCache is the user's build cache of Go, whatever home a test has.
var userGoCache = cmp.Or(os.Getenv("GOCACHE"), filepath.Join(userCache, "go-build"))

// GoCache is the user's build cache of Go (GOCACHE), where what the tests themselves
// need is compiled already.
func GoCache(t testing.TB) string { return goCache(t, userGoCache) }

// SmallGoCache is a build cache that outlives the test, for programs that import next
// to nothing: it has few files.
func SmallGoCache(t testing.TB) string {
	return goCache(t, filepath.Join(userCache, "buck2-protobuf-test", "go-build-small"))
}

func goCache(t testing.TB, dir string) string {
	t.Helper()
	if noUserCache != nil || os.MkdirAll(dir, 0o755) != nil {
		return t.TempDir()
	}
	return dir
}

// KeepGoCache gives the build cache dir what [SmallGoCache] has, and SmallGoCache
// what is new in dir at the end of the test. The files are shared, or copied to another
// file system: Go names them by their content. A link to the folder would not do, a
// cache of ours has folders alone.
func KeepGoCache(t testing.TB, dir string) {
	t.Helper()
	kept := SmallGoCache(t)
	shared := map[string]bool{}
	share := func(from, to string) {
		folders, err := os.ReadDir(from)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for _, folder := range folders {
			if len(folder.Name()) != 2 {
				continue
			}
			files, err := os.ReadDir(filepath.Join(from, folder.Name()))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				name := filepath.Join(folder.Name(), file.Name())
				if shared[name] || !strings.HasSuffix(name, "-a") && !strings.HasSuffix(name, "-d") {
					continue
				}
				shared[name] = true
				own := filepath.Join(to, name)
				err := linkOrCopy(filepath.Join(from, name), own)
				if errors.Is(err, fs.ErrNotExist) { // its folder, or Go removed it meanwhile
					_ = os.MkdirAll(filepath.Dir(own), 0o755)
					err = linkOrCopy(filepath.Join(from, name), own)
				}
				if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
					t.Logf("compiled anew where it is not there: %v", err)
					return
				}
			}
		}
	}
	share(kept, dir)
	t.Cleanup(func() { share(dir, kept) })
}
