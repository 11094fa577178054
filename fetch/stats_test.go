package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// stats is what fetch stats --json prints.
func (w *world) stats(args ...string) (r report) {
	w.Helper()
	if err := json.Unmarshal([]byte(w.must(append([]string{"stats", "--json"}, args...)...)), &r); err != nil {
		w.Fatal(err)
	}
	return r
}

func TestStats(t *testing.T) {
	w := newWorld(t)
	if r := w.stats(); r.CacheHits+r.HTTPFallbacks+r.UnpackerHits+r.PackageManagerHits+r.OrasHits != 0 || len(r.Tiers) != len(install.Tiers()) {
		t.Errorf("nothing ran: %+v", r)
	}
	w.must("get", "tool") // cold: one file, one folder
	r := w.stats()
	if r.CacheHits != 0 || r.HTTPFallbacks != 1 || r.UnpackerHits != 1 || r.PackageManagerHits != 0 || r.OrasHits != 0 {
		t.Errorf("cold: %+v", r)
	}
	http := r.Tiers[install.FromHTTP]
	if http.Bytes != w.wheel.Size || http.AverageSeconds <= 0 || http.Failures != 0 {
		t.Errorf("http: %+v", http)
	}
	since := r.Since
	w.must("get", "script") // two files and that of its runtime, two folders
	w.must("get", "script") // from memory
	w.must("get", "tool")
	os.RemoveAll(filepath.Join(w.cache, "warm"))
	w.must("get", "script") // from the trees
	r = w.stats()
	if r.CacheHits != 5 || r.HTTPFallbacks != 4 || r.UnpackerHits != 3 || !r.Since.Equal(since) {
		t.Errorf("warm: %+v", r)
	}
	if c := r.Tiers[install.FromCache]; c.Bytes <= w.wheel.Size || c.AverageSeconds <= 0 {
		t.Errorf("cache: %+v", c)
	}

	// A failure is counted apart.
	w.registry.Fault("/files/bare-linux", fake.Status(404))
	w.fails(4, nil, "get", "bare")
	if r = w.stats(); r.HTTPFallbacks != 4 || r.Tiers[install.FromHTTP].Failures != 1 || r.Tiers[install.FromUnpacker].Failures != 0 {
		t.Errorf("after a failure: %+v", r)
	}

	text := w.must("stats", "--reset")
	for _, part := range []string{"since ", "cache            5     0         ", "http             4     1         "} {
		if !strings.Contains(text, part) {
			t.Errorf("the table lacks %q:\n%s", part, text)
		}
	}
	if r := w.stats(); r.CacheHits != 0 || r.Tiers[install.FromHTTP].Failures != 0 {
		t.Errorf("after a reset: %+v", r)
	}

	w.fails(2, []string{"stats takes no arguments"}, "stats", "tool")
}

// TestStatsDamaged: what a crash left of the counters, or what is no file, stops nobody.
func TestStatsDamaged(t *testing.T) {
	w := newWorld(t)
	w.must("get", "tool")
	// What a crash left is told once, and then counted over.
	if err := os.WriteFile(filepath.Join(w.cache, statsFile), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	w.fails(7, []string{"stats.json in ", "hint: run: fetch stats --reset"}, "stats")
	if status, _, stderr := w.fetch("stats", "--reset"); status != 0 || !strings.Contains(stderr, "warning: stats.json: unexpected end of JSON input; it told nothing") {
		t.Errorf("status %d:\n%s", status, stderr)
	}
	// What is no file stops nobody, and is told to who asks.
	if err := os.Mkdir(filepath.Join(w.cache, statsFile), 0o755); err != nil {
		t.Fatal(err)
	}
	w.must("get", "tool")
	w.fails(7, []string{"stats.json is not a file", "hint: remove "}, "stats")
	if err := os.Remove(filepath.Join(w.cache, statsFile)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.cache, statsFile), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := w.fetch("get", "tool"); status != 0 || !strings.Contains(stderr, "warning: stats.json: unexpected end of JSON input; counting from zero") {
		t.Errorf("status %d:\n%s", status, stderr)
	}
	if status, _, stderr := w.fetch("get", "tool"); status != 0 || stderr != "" {
		t.Errorf("status %d:\n%s", status, stderr)
	}
	if r := w.stats(); r.CacheHits != 2 {
		t.Errorf("after a crash: %+v", r)
	}
}

// TestStatsProcesses: no run is lost, however many there are at once.
func TestStatsProcesses(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it starts many processes")
	w := newWorld(t)
	w.must("get", "tool")
	w.must("stats", "--reset")
	binary := fetchProgram(t)
	const processes, runs = 8, 10
	var all sync.WaitGroup
	for range processes {
		all.Go(func() {
			for range runs {
				cmd := exec.Command(binary, "get", "tool", "--lock", filepath.Join(w.dir, lock.FileName), "--cache-dir", w.cache)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			}
		})
	}
	all.Wait()
	if r := w.stats(); r.CacheHits != processes*runs || r.HTTPFallbacks != 0 {
		t.Errorf("%d runs: %+v", processes*runs, r)
	}
	info, err := os.Stat(filepath.Join(w.cache, statsFile))
	if err != nil || info.Size() > 1<<10 {
		t.Errorf("%v, %v", info.Size(), err)
	}
}
