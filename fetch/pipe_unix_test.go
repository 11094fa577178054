//go:build unix

package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestPipeInCache: a pipe in the place of what fetch remembers does not make it
// wait for ever; it is a miss, and replaced.
func TestPipeInCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if status, _, stderr := w.fetch("get", "tool"); status != 0 {
		t.Fatal(stderr)
	}
	files, err := filepath.Glob(filepath.Join(w.cache, "warm", "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(files[0], 0o644); err != nil {
		t.Skipf("no pipes here: %v", err)
	}
	if status, _, stderr := w.fetch("get", "tool"); status != 0 {
		t.Fatal(stderr)
	}
	if info, err := os.Lstat(files[0]); err != nil || !info.Mode().IsRegular() {
		t.Errorf("%v, %v", info, err)
	}
}
