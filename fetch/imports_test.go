package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestImports keeps out of fetch what would cost each of its many starts time.
// The zstd of klauspost/compress is let in, for the standard library has none for
// files of others: its init was measured as 0.2 ms. oras-go, which speaks
// with registries of OCI, is let in: its init and that of go-digest, some
// regular expressions, were measured as 0.5 ms of a start of 2.7 ms, where a Go
// program that does nothing takes 1.0 ms. A client of our own for blobs and
// tokens would save them, and would be a second one to keep safe.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 100 {
		t.Fatalf("found %d packages only", len(packages))
	}
	for _, p := range packages {
		for _, prefix := range []string{"oras.land/oras-go/v2/content/", "github.com/klauspost/compress/gzip", "github.com/klauspost/compress/flate", "github.com/google/go-containerregistry"} {
			if strings.HasPrefix(p, prefix) {
				t.Errorf("fetch imports %s", p)
			}
		}
	}
}

// TestInit keeps our own packages from making regular expressions, tables and the
// like before main: fetch starts often, and most starts need none of them.
func TestInit(t *testing.T) {
	const most = 8 << 10 // bytes; a regular expression alone takes about as many
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	found := 0
	for line := range strings.Lines(string(out)) {
		// init internal/bytealg @0.008 ms, 0 ms clock, 0 bytes, 0 allocs
		var name string
		var at, clock float64
		var bytes, allocs int
		if n, _ := fmt.Sscanf(line, "init %s @%f ms, %f ms clock, %d bytes, %d allocs", &name, &at, &clock, &bytes, &allocs); n < 5 || !strings.HasPrefix(name, "github.com/birbparty/") {
			continue
		}
		found++
		if bytes > most {
			t.Errorf("package %s takes %d bytes before main, more than %d: make it when it is needed", name, bytes, most)
		}
	}
	if found < 3 {
		t.Fatalf("found %d packages only:\n%s", found, out)
	}
}
