package main

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestRealPlugins installs a pip and an npm plugin of this repository, and in the
// full suite all of them, from the real registries, those of npm by the locked npm and by our unpacker. Both folders are
// compared with the lock, so both are the same. Bytes are kept between runs.
func TestRealPlugins(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "needs the registries")
	base, err := os.UserCacheDir()
	if err != nil {
		t.Skip("skipped: no cache folder:", err)
	}
	cache := filepath.Join(base, "buck2-protobuf-test", "fetch")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		t.Fatal(err)
	}
	// Another run of this test would make anew what this one has just removed.
	unlock, err := lockedfile.MutexAt(cache + ".lock").Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	lockPath := repositoryLock(t)
	l, _, err := lock.Read(lockPath)
	if err != nil {
		t.Fatal(err)
	}
	fetch := func(args ...string) (status int, stdout, stderr string) {
		var o, e bytes.Buffer
		status = run(t.Context(), append([]string{"--lock", lockPath, "--cache-dir", cache, "-v"}, args...), func(string) string { return "" }, &o, &e)
		return status, strings.TrimSpace(o.String()), e.String()
	}
	// One look whether there is a network at all.
	if status, _, stderr := fetch("get", "protoc"); fault.Class(status) == fault.Upstream || fault.Class(status) == fault.Machine {
		t.Skip("skipped: the registries cannot be reached:", stderr)
	}
	found, one := 0, map[string]bool{} // a plugin of that source was installed, and no more are
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		for version, v := range l.Plugins[name] {
			if v.Source != lock.NPM && v.Source != lock.Pip {
				continue
			}
			found++
			if one[v.Source] {
				continue
			}
			one[v.Source] = !testenv.Full()
			cell, _, err := v.Cell(host(t))
			if err != nil {
				t.Fatal(err)
			}
			forget := func() {
				for _, old := range []string{cell.Tree, cell.Tree + ".ok"} {
					if err := os.RemoveAll(filepath.Join(cache, "trees", old)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if v.Source == lock.Pip {
				forget()
				if status, _, stderr := fetch("get", name+"@"+version); status != 0 && fault.Class(status) != fault.Machine {
					t.Errorf("%s: status %d\n%s", name, status, stderr)
				}
				continue
			}
			paths := map[string]string{}
			for _, manager := range []string{"npm", "none"} {
				forget()
				status, stdout, stderr := fetch("get", name+"@"+version, "--node-manager", manager)
				if status != 0 {
					t.Fatalf("%s by %s: status %d\n%s", name, manager, status, stderr)
				}
				if byNPM := strings.Contains(stderr, " builds "+name+" "); byNPM != (manager == "npm") {
					t.Errorf("%s by %s: npm was used: %v\n%s", name, manager, byNPM, stderr)
				}
				paths[manager] = stdout
			}
			if paths["npm"] != paths["none"] {
				t.Errorf("%s: %q", name, paths)
			}
		}
	}
	if found < 6 {
		t.Errorf("the lock has %d npm and pip plugins, want at least 6", found)
	}
}
