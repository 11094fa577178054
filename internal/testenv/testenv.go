// Package testenv says what a test may do on this machine: start real clients,
// ask real registries, take its time.
package testenv

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
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

// OnlyFull skips a test, or a row of one, that only the full suite runs: why
// says what it costs, or what else holds most of its promise.
func OnlyFull(t testing.TB, why string) {
	t.Helper()
	if !Full() {
		t.Skipf("%s is not full: %s", variable, why)
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
	return path, exec.Command(path, args...).Run()
}

// GoCache is a build cache of Go (GOCACHE) that outlives the test: without it
// every run compiles the standard library anew.
func GoCache(t testing.TB) string {
	t.Helper()
	base, err := os.UserCacheDir()
	if err != nil {
		return t.TempDir()
	}
	dir := filepath.Join(base, "buck2-protobuf-test", "go-build")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return t.TempDir()
	}
	return dir
}

// KeepGoCache gives the build cache dir what GoCache has, and GoCache what dir has
// at the end of the test. The files are shared: Go names them by their content. A
// link to the folder would not do, a cache of ours has folders alone.
func KeepGoCache(t testing.TB, dir string) {
	t.Helper()
	kept := GoCache(t)
	share := func(from, to string) {
		files, err := filepath.Glob(filepath.Join(from, "[0-9a-f][0-9a-f]", "*-[ad]"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			own := filepath.Join(to, filepath.Base(filepath.Dir(name)), filepath.Base(name))
			err := os.Link(name, own)
			if errors.Is(err, fs.ErrNotExist) { // its folder, or Go removed it meanwhile
				_ = os.MkdirAll(filepath.Dir(own), 0o755)
				err = os.Link(name, own)
			}
			if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
				t.Logf("compiled anew where it is not there: %v", err)
				return
			}
		}
	}
	share(kept, dir)
	t.Cleanup(func() { share(dir, kept) })
}
