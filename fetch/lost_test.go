package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// lossy is standard output that takes nothing.
type lossy struct{ err error }

func (l lossy) Write([]byte) (int, error) { return 0, l.err }

// TestLostOutput: a command whose result cannot be written does not end with
// status 0, and says so, whether the disk is full or the reader has gone.
func TestLostOutput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.protos()
	entry, err := json.Marshal(lock.Entry{Name: "tool", Version: "1.0.0", Locked: w.lock.Plugins["tool"]["1.0.0"]})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "entry.json")
	if err := os.WriteFile(file, entry, 0o644); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(w.dir, "plugins.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "plugins.toml"), append(text, "\n[bundles]\none = [\"tool\"]\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	commands := map[string][]string{
		"get":          {"get", "tool"},
		"run":          nil, // what is printed is the plugin's own
		"install":      {"install", "--entry", file, "--out", "OUT", "--json"},
		"env":          {"env", "tool"},
		"protos":       {"protos", "--out", "OUT"},
		"bundle":       {"bundle", "one"},
		"cache verify": {"cache", "verify", "--json"},
		"cache clear":  {"cache", "clear", "--dry-run"},
		"stats":        {"stats"},
		"help":         {"help"},
		"version":      {"version"},
		"completion":   {"completion", "fish"},
		"__man":        {"__man"},
		"__markdown":   {"__markdown"},
		"__complete":   {"__complete", "="},
		"--help":       {"get", "--help"},
		"--version":    {"--version"},
	}
	for _, v := range table.Verbs {
		if _, ok := commands[v.Name]; !ok {
			t.Errorf("what does %s print?", v.Name)
		}
	}
	w.must("get", "tool")
	for name, args := range commands {
		if args == nil {
			continue
		}
		for _, cause := range []error{syscall.ENOSPC, syscall.EPIPE} {
			own := []string{"--lock", filepath.Join(w.dir, lock.FileName)}
			if strings.HasPrefix(name, "__") {
				own = nil
			}
			for _, arg := range args {
				if arg == "OUT" {
					arg = filepath.Join(t.TempDir(), "out")
				}
				own = append(own, arg)
			}
			var talk bytes.Buffer
			status := run(t.Context(), own, func(name string) string {
				if name == "BUCK2_PROTOBUF_CACHE_DIR" {
					return w.cache
				}
				return ""
			}, lossy{cause}, &talk)
			if status != int(fault.Machine) || !strings.Contains(talk.String(), "cannot write the result: "+cause.Error()) {
				t.Errorf("%s: %v: status %d\n%s", name, cause, status, talk.String())
			}
		}
	}
}
