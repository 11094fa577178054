package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImports keeps out of fetch what would cost each of its many starts time,
// such as zstd with tables that are made at the start. oras-go, which speaks
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
		for _, prefix := range []string{"oras.land/oras-go/v2/content/", "github.com/klauspost/compress", "github.com/google/go-containerregistry"} {
			if strings.HasPrefix(p, prefix) {
				t.Errorf("fetch imports %s", p)
			}
		}
	}
}
