package compat

import (
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// TestAgrees: plugins for one crate whose generated code is for two versions of
// it are noted, each pair once.
func TestAgrees(t *testing.T) {
	crate := func(prost string) *lock.Version {
		return &lock.Version{Source: lock.Cargo, Files: map[string]lock.File{
			"prost-" + prost + ".crate": {Name: "prost", Version: prost}, "serde-1.0.0.crate": {Name: "serde", Version: "1.0.0"},
		}}
	}
	for _, tt := range []struct {
		name  string
		prost []string // of protoc-gen-prost, by version
		tonic string
		notes int
	}{
		{"the same", []string{"0.14.6"}, "0.14.1", 0},
		{"two", []string{"0.13.5"}, "0.12.6", 1},
		{"one of two", []string{"0.13.5", "0.12.1"}, "0.12.6", 0},
	} {
		plugins := map[string]map[string]*lock.Version{"protoc-gen-prost": {}, "protoc-gen-tonic": {"1.0.0": crate(tt.tonic)}}
		for i, version := range tt.prost {
			plugins["protoc-gen-prost"][[]string{"1.0.0", "2.0.0"}[i]] = crate(version)
		}
		c := &Check{Lock: &lock.Lock{Plugins: plugins}}
		for _, name := range []string{"protoc-gen-prost", "protoc-gen-tonic"} {
			c.agrees(name, "prost")
		}
		if len(c.Notes) != tt.notes || slices.ContainsFunc(c.Notes, func(n string) bool {
			return !strings.Contains(n, "protoc-gen-prost for 0.13 and protoc-gen-tonic for 0.12 generate code")
		}) {
			t.Errorf("%s: %q", tt.name, c.Notes)
		}
	}
}
