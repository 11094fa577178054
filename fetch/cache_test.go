package main

import (
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// age makes the whole cache look unused for two days.
func (w *world) age() {
	w.Helper()
	old := time.Now().Add(-48 * time.Hour)
	n := 0
	for _, pattern := range []string{"locks/use-*", "blobs/sha256/*/*"} {
		names, _ := filepath.Glob(filepath.Join(w.cache, filepath.FromSlash(pattern)))
		for _, name := range names {
			n++
			if err := os.Chtimes(name, old, old); err != nil {
				w.Fatal(err)
			}
		}
	}
	if n == 0 {
		w.Fatal("nothing to age")
	}
}

func TestCacheVerify(t *testing.T) {
	w := newWorld(t)
	if status, stdout, stderr := w.fetch("cache", "verify"); status != 0 || stdout != "" || !strings.Contains(stderr, "read 0 blobs and 0 trees") {
		t.Errorf("no cache: %d %q %q", status, stdout, stderr)
	}
	path := w.must("get", "tool")
	if status, stdout, stderr := w.fetch("cache", "verify"); status != 0 || stdout != "" || !strings.Contains(stderr, "read 1 blobs and 1 trees, 2 records") {
		t.Errorf("sound: %d %q %q", status, stdout, stderr)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho evil\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := w.fetch("cache", "verify")
	if status != 5 || !strings.Contains(stdout, "tree damaged: its digest is ") || !strings.Contains(stdout, `"tool/bin/tool" has other bytes`) ||
		!strings.Contains(stderr, "1 of 4 blobs, trees and other files are damaged") || !strings.Contains(stderr, "hint: remove what is damaged: fetch cache verify --repair") {
		t.Errorf("damaged: %d\n%s\n%s", status, stdout, stderr)
	}
	var doc struct {
		Cache   string
		Damaged []store.Damage
	}
	status, stdout, _ = w.fetch("cache", "verify", "--json")
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil || status != 5 || doc.Cache != w.cache || len(doc.Damaged) != 1 || doc.Damaged[0].Kind != "tree" || doc.Damaged[0].Repaired {
		t.Errorf("--json: %d %+v, %v", status, doc, err)
	}
	if out := w.must("cache", "verify", "--repair"); !strings.Contains(out, "tree damaged and removed; its next use fetches it again") {
		t.Errorf("repair said %q", out)
	}
	w.must("cache", "verify")
	if again := w.must("get", "tool"); again != path {
		t.Errorf("got %s", again)
	}
	if data, err := os.ReadFile(path); err != nil || strings.Contains(string(data), "evil") {
		t.Errorf("%q, %v", data, err)
	}
	for _, args := range [][]string{{"cache"}, {"cache", "wipe"}, {"cache", "verify", "tool"}} {
		w.fails(2, []string{"fetch: hint: ", "verify"}, args...)
	}
	w.fails(2, []string{"is not a cache of buck2-protobuf", "plugins.lock.toml"}, "cache", "verify", "--cache-dir", w.dir)
	w.fails(2, []string{"is not a cache of buck2-protobuf", "nothing in it was touched"}, "cache", "clear", "--cache-dir", w.dir)
}

func TestCacheClear(t *testing.T) {
	w := newWorld(t)
	tool := w.must("get", "tool")
	script := w.must("get", "script")
	if out := w.must("cache", "clear"); !strings.HasPrefix(out, "freed 0 KiB on the disk (0 blobs, 0 trees); kept 4 blobs and 3 trees, ") {
		t.Errorf("just used: %q", out)
	}
	w.age()
	w.must("get", "tool") // from memory, which is a use
	if out := w.must("cache", "clear", "--older-than", "3d"); !strings.HasPrefix(out, "freed 0 KiB") {
		t.Errorf("3d: %q", out)
	}
	type cleared struct {
		DryRun bool `json:"dry_run"`
		store.Cleared
	}
	var dry, wet cleared
	for _, run := range []struct {
		args []string
		to   *cleared
	}{{[]string{"--dry-run"}, &dry}, {nil, &wet}} {
		out := w.must(append([]string{"cache", "clear", "--older-than", "1d", "--json"}, run.args...)...)
		if err := json.Unmarshal([]byte(out), run.to); err != nil {
			t.Fatal(err)
		}
	}
	if !dry.DryRun || wet.DryRun || dry.Cleared != wet.Cleared || wet.Trees != 2 || wet.Blobs != 4 || wet.KeptTrees != 1 || wet.Freed <= 0 {
		t.Errorf("dry %+v\nwet %+v", dry, wet)
	}
	if _, err := os.Stat(tool); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(script); err == nil {
		t.Errorf("the launcher %s is still there, its tree is not", script)
	}
	requests := len(w.registry.Requests(""))
	w.must("get", "tool")
	if len(w.registry.Requests("")) != requests {
		t.Error("what was kept was fetched again")
	}
	if again := w.must("get", "script"); again != script || len(w.registry.Requests("")) == requests {
		t.Errorf("got %s", again)
	}
	w.fails(2, []string{`--older-than "soon" is not an age`, "30d"}, "cache", "clear", "--older-than", "soon")
	w.fails(2, []string{"is not an age"}, "cache", "clear", "--older-than", "")
	w.fails(2, []string{"--dry-run is a flag of fetch cache clear"}, "cache", "verify", "--repair", "--dry-run")
	w.fails(2, []string{"--repair is a flag of fetch cache verify"}, "get", "tool", "--repair")
	w.fails(2, []string{"--shell is a flag of fetch env and fetch bundle"}, "get", "tool", "--shell", "sh")
	w.fails(2, []string{`"" for "--platform" flag: it is empty`}, "get", "tool", "--platform", "")
	w.fails(2, []string{"it was linux-x86_64 before"}, "get", "tool", "--platform", "linux-x86_64", "--platform", "macos-x86_64")
	w.fails(2, []string{"what was used within the last hour is never removed", "remove the folder " + w.cache}, "cache", "clear", "--older-than", "0")
}

// TestClearWhileRunning: a plugin that fetch became keeps its tree until it ends.
func TestClearWhileRunning(t *testing.T) {
	w := newWorld(t)
	binary := filepath.Join(t.TempDir(), "fetch")
	if text, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	w.must("get", "tool")
	w.must("get", "bare")
	for _, memory := range []bool{true, false} {
		cmd := exec.Command(binary, "run", "tool", "--lock", filepath.Join(w.dir, lock.FileName), "--cache-dir", w.cache)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, len("tool \n"))); err != nil { // it runs
			t.Fatal(err)
		}
		w.age()
		var c store.Cleared
		if err := json.Unmarshal([]byte(w.must("cache", "clear", "--json")), &c); err != nil || c.InUse != 1 || c.KeptTrees != 1 {
			t.Errorf("memory %v: %+v, %v", memory, c, err)
		}
		in.Close()
		io.Copy(io.Discard, out)
		if cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
			t.Errorf("%v", cmd.ProcessState)
		}
		os.RemoveAll(filepath.Join(w.cache, "warm"))
	}
	if err := json.Unmarshal([]byte(w.must("cache", "clear", "--json")), new(store.Cleared)); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(w.cache, "trees", "*")); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}
