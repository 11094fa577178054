package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestShapes runs every command that prints JSON. [fake.Speech] holds what it prints
// against the schema of its shape, here as in all other tests.
func TestShapes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := map[string]bool{}
	run := func(status int, args ...string) {
		t.Helper()
		got, stdout, stderr := w.fetch(append(args, "--json")...)
		if got != status {
			t.Errorf("%v: status %d, want %d\n%s%s", args, got, status, stdout, stderr)
		}
		var doc struct{ Schema string }
		if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
			t.Errorf("%v: %v\n%s", args, err, stdout)
		}
		seen[doc.Schema] = true
	}
	run(0, "get", "tool")
	run(0, "get", "tool") // warm
	run(0, "get", "script")
	run(0, "env", "tool", "bare")
	w.protos()
	run(0, "protos", "--out", filepath.Join(t.TempDir(), "protos"))
	plugins, err := os.ReadFile(filepath.Join(w.dir, manifest.FileName))
	if err != nil {
		t.Fatal(err)
	}
	plugins = []byte(strings.Replace(string(plugins), "[plugins]\n", "[plugins]\nbare = \"3.0.0\"\n", 1) + "\n[bundles]\nboth = [\"tool\", \"bare\"]\n")
	if err := os.WriteFile(filepath.Join(w.dir, manifest.FileName), plugins, 0o644); err != nil {
		t.Fatal(err)
	}
	run(0, "bundle", "both")
	entry, err := json.Marshal(lock.Entry{Name: "tool", Version: "1.0.0", Locked: w.lock.Plugins["tool"]["1.0.0"]})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "entry.json")
	if err := os.WriteFile(file, entry, 0o644); err != nil {
		t.Fatal(err)
	}
	run(0, "install", "--entry", file, "--out", filepath.Join(t.TempDir(), "out"))
	run(0, "stats")
	run(0, "stats", "--reset")
	run(0, "cache", "verify")
	if err := os.WriteFile(w.must("get", "tool"), []byte("#!/bin/sh\necho evil\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	run(5, "cache", "verify")
	run(0, "cache", "verify", "--repair")
	run(0, "cache", "clear", "--dry-run")
	run(0, "cache", "clear")
	run(0, "version")
	run(0, "--version")
	run(2, "gte")
	run(2, "get", "gone")
	var verbs []string
	for _, v := range table.Verbs {
		if v.JSON {
			verbs = append(verbs, v.Name)
		}
	}
	testenv.Shapes(t, "fetch", seen, verbs)
}
