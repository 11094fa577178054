package internal

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestMap: the map in the package comment has every package, and none imports
// one that stands above it.
func TestMap(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "# The packages")
	var order []string
	for _, m := range regexp.MustCompile(`(?m)^//\t +?([a-z]+/[a-z]+) |^//\t([a-z][a-z0-9]*(?:/[a-z]+)?) `).FindAllStringSubmatch(list, -1) {
		order = append(order, m[1]+m[2])
	}
	place := func(path string) int {
		_, path, _ = strings.Cut(path, "buck2-protobuf/")
		return slices.Index(order, strings.TrimPrefix(path, "internal/"))
	}
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "./...", "../lockgen/...", "../fetch/...", "../docs").Output()
	if err != nil {
		t.Fatal(err)
	}
	tests := []string{"internal", "fake", "signed", "testenv", "bucktest"}
	seen := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(tests, p.ImportPath[strings.LastIndexByte(p.ImportPath, '/')+1:]) {
			continue
		}
		seen++
		at := place(p.ImportPath)
		if at < 0 {
			t.Errorf("%s is not in the map", p.ImportPath)
			continue
		}
		for _, i := range p.Imports {
			if strings.Contains(i, "buck2-protobuf/") && place(i) <= at {
				t.Errorf("%s imports %s, which does not stand below it", p.ImportPath, i)
			}
		}
	}
	if seen != len(order) {
		t.Errorf("the map has %d packages, there are %d: %q", len(order), seen, order)
	}
}
