package testenv

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

// HeldFile is the environment variable that names a file to which each count is
// appended, as a line of JSON. TestReliability of package docs makes the table of
// docs/reliability.md from it.
const HeldFile = "BUCK2_PROTOBUF_HELD"

// A Tally is one count of a test: of how many inputs how many ended as promised.
type Tally struct {
	What  string `json:"what"`
	Kind  string `json:"kind"` // of source, or the like; "" where there is one count
	Tried int    `json:"tried"`
	Held  int    `json:"held"`
	Full  bool   `json:"full"`
	Dir   string `json:"dir"`  // of the package, from the root of the module
	Test  string `json:"test"` // the function
}

// Held logs a count, records it where HeldFile asks for that, and fails the test
// unless every input held. What is a promise in words, the same at every call for
// it and written as a literal: the table of docs/reliability.md is checked against
// the calls in the source.
func Held(t testing.TB, what, kind string, tried, held int) {
	t.Helper()
	_, caller, _, _ := runtime.Caller(1)
	record(t, what, kind, tried, held, caller)
}

// Rows is Held for a test that has a subtest for each input: the returned function
// is called in each of them, and counts it when it ends.
func Rows(t *testing.T, what, kind string) (row func(t *testing.T)) {
	_, caller, _, _ := runtime.Caller(1)
	var tried, held atomic.Int64
	t.Cleanup(func() { // behind the last subtest, also of those in parallel
		if tried.Load() > 0 { // -run may leave none
			record(t, what, kind, int(tried.Load()), int(held.Load()), caller)
		}
	})
	return func(t *testing.T) {
		t.Cleanup(func() {
			if t.Skipped() {
				return
			}
			tried.Add(1)
			if !t.Failed() {
				held.Add(1)
			}
		})
	}
}

// record is Held for a count of the file caller.
func record(t testing.TB, what, kind string, tried, held int, caller string) {
	t.Helper()
	label := what
	if kind != "" {
		label += " (" + kind + ")"
	}
	t.Logf("%s: %d of %d held", label, held, tried)
	if held != tried || tried == 0 {
		t.Errorf("%s: %d of %d held", label, held, tried)
	}
	file := os.Getenv(HeldFile)
	if file == "" {
		return
	}
	_, self, _, _ := runtime.Caller(0)
	dir, err := filepath.Rel(filepath.Join(filepath.Dir(self), "..", ".."), filepath.Dir(caller))
	if err != nil {
		t.Fatal(err)
	}
	test, _, _ := strings.Cut(t.Name(), "/")
	line, err := json.Marshal(Tally{what, kind, tried, held, Full(), filepath.ToSlash(dir), test})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(append(line, '\n'))
	if err2 := f.Close(); err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
}
