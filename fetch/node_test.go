package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// TestNodeManagerChoice: who chose a manager gets it or an error, who did not
// gets the folder anyway. That the folders are the same is tested where the
// managers are run.
func TestNodeManagerChoice(t *testing.T) {
	w := newWorld(t)
	path := t.TempDir()
	t.Setenv("PATH", path)
	for name, says := range map[string]string{"pnpm": "8.15.0", "yarn": "3.8.7"} {
		if err := os.WriteFile(filepath.Join(path, name), []byte("#!/bin/sh\necho "+says+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	manifest := filepath.Join(w.dir, manifest.FileName)
	plain, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	const (
		choice = "BUCK2_PROTOBUF_NODE_MANAGER"
		forbid = "BUCK2_PROTOBUF_DISABLE_PACKAGE_MANAGERS"
	)
	for _, test := range []struct {
		name, manifest string
		env            map[string]string
		args           []string
		status         fault.Class
		says           []string
	}{
		{"none is new enough", "", map[string]string{choice: ""}, nil, 0,
			[]string{"npm is not on PATH", "version 8.15.0; 9.0 or later is needed", "version 3.8.7; 1.22, or 4.0 or later, is needed", "bun is not on PATH", "unpacking script 2.0.0 without a package manager"}},
		{"too old", "", map[string]string{choice: "pnpm"}, nil, fault.Machine, []string{"version 8.15.0; 9.0 or later is needed", "npm install --global pnpm", choice + "=none"}},
		{"between", "", nil, []string{"--node-manager", "yarn"}, fault.Machine, []string{"version 3.8.7; 1.22, or 4.0 or later, is needed"}},
		{"missing", "", map[string]string{choice: "npm"}, nil, fault.Machine, []string{"npm is not on PATH"}},
		{"of the manifest", "bun", map[string]string{choice: ""}, nil, fault.Machine, []string{"bun is not on PATH"}},
		{"the environment goes before", "bun", map[string]string{choice: "pnpm"}, nil, fault.Machine, []string{"8.15.0"}},
		{"none goes before", "bun", map[string]string{choice: "none"}, nil, 0, nil},
		{"forbidden", "bun", map[string]string{choice: "yarn", forbid: "1"}, nil, 0, nil},
		{"unknown", "", map[string]string{choice: "deno"}, nil, fault.Usage, []string{`"deno"`, "npm, pnpm, yarn, bun, none"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := string(plain)
			if test.manifest != "" {
				text = "node-manager = \"" + test.manifest + "\"\n" + text
			}
			if err := os.WriteFile(manifest, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			w.env = test.env
			if w.env == nil {
				w.env = map[string]string{}
			}
			w.cache = filepath.Join(t.TempDir(), "cache")
			status, stdout, stderr := w.fetch(append([]string{"get", "script", "-v"}, test.args...)...)
			if status != int(test.status) || (status == 0) != strings.HasSuffix(stdout, "/main\n") {
				t.Errorf("status %d, want %d; stdout %q\n%s", status, test.status, stdout, stderr)
			}
			for _, part := range test.says {
				if !strings.Contains(stderr, part) {
					t.Errorf("not said: %q\n%s", part, stderr)
				}
			}
		})
	}
}
