// Package testenv says what a test may do on this machine: start real clients,
// ask real registries, take its time.
package testenv

import (
	"os"
	"os/exec"
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
