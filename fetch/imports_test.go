package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImports keeps out of fetch what would cost each of its many starts time:
// clients of registries of OCI, and zstd with tables that are made at the start.
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
		for _, prefix := range []string{"oras.land/", "github.com/opencontainers/", "github.com/klauspost/compress", "github.com/google/go-containerregistry", "golang.org/x/net/publicsuffix"} {
			if strings.HasPrefix(p, prefix) {
				t.Errorf("fetch imports %s", p)
			}
		}
	}
}
