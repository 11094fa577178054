package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestInjectedFaults has strace fail one system call of fetch, or kill fetch there:
// the first, the second and so on of each call. A fault is told of as one of this
// machine, or does not matter. Afterwards the same command works, and what the cache
// has is whole.
func TestInjectedFaults(t *testing.T) {
	testenv.Real(t, "each row is a process under strace")
	program := fetchProgram(t)
	for seed, command := range []struct {
		name string
		args []string
		// prepare brings the cache into the state in which the command has work.
		prepare func(w *world)
	}{
		{"get", []string{"get", "packed"}, func(*world) {}},
		{"cache verify --repair", []string{"cache", "verify", "--repair"}, func(w *world) {
			path := w.must("get", "packed")
			fake.Write(w.T, path, "damaged")
			sum := sum256(w.bodyOf("/files/packed.tar.gz"))
			fake.Write(w.T, filepath.Join(w.cache, "blobs", "sha256", sum[:2], sum), "damaged")
		}},
		{"bundle", []string{"bundle", "both"}, func(*world) {}},
		{"cache clear", []string{"cache", "clear"}, func(w *world) { w.must("get", "packed") }},
	} {
		t.Run(command.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.bundled()
			all := t.TempDir()
			round := 0
			// whole reports whether a path that was printed is that of the locked folder.
			whole := func(stdout string) bool {
				v := w.lock.Plugins["packed"]["3.1.0"]
				return isTree(t, strings.TrimSuffix(strings.TrimSpace(stdout), "/packed-3.1.0/bin/packed"), v.Platforms[host(t)].Tree)
			}
			// attempt runs the command with a fault.
			tried, kept := 0, 0
			attempt := func(inject string) testenv.Injected {
				round++
				w.cache = filepath.Join(all, fmt.Sprint(round))
				defer os.RemoveAll(w.cache)
				command.prepare(w)
				cmd := exec.Command(program, append([]string{"--lock", filepath.Join(w.dir, lock.FileName)}, command.args...)...)
				cmd.Env = append(os.Environ(), "BUCK2_PROTOBUF_CACHE_DIR="+w.cache)
				i := testenv.Inject(t, inject, cmd)
				if !i.Began() {
					return i
				}
				held := true
				bad := func(format string, a ...any) {
					held = false
					t.Errorf("%s with %s: %s\n%s%s", command.name, i, fmt.Sprintf(format, a...), i.Stdout, i.Stderr)
				}
				switch class := fault.Class(i.Status); {
				case i.Killed():
				case class == fault.OK:
					if command.name == "get" && !whole(i.Stdout) {
						bad("exit 0 with another folder")
					}
				case class == fault.Machine:
					if i.Call != "write" && !strings.Contains(i.Stderr, "hint: ") { // which is written, too
						bad("no hint")
					}
				case class == fault.Upstream && (i.OfConnection() || strings.Contains(i.Site, "/ssl/")): // told as a fault of the server
				case class == fault.Integrity && command.name == "cache verify --repair": // it tells what it removed
				default:
					bad("exit %d", i.Status)
				}
				// The damage that was there before is repaired by the same command.
				w.fetch(command.args...)
				if status, out, talk := w.fetch("cache", "verify"); status != 0 {
					bad("afterwards cache verify: exit %d\n%s%s", status, out, talk)
				}
				if status, out, talk := w.fetch("get", "packed"); status != 0 || !whole(out) {
					bad("afterwards get: exit %d\n%s%s", status, out, talk)
				}
				if tried++; held {
					kept++
				}
				return i
			}
			sites := testenv.EachFault(seed, attempt)
			t.Logf("%d system calls", sites)
			testenv.Held(t, "a system call of fetch fails, or fetch is killed there: exit 7 or no matter, then all is whole", command.name, tried, kept)
		})
	}
}

// bundled adds a bundle of two plugins to the manifest.
func (w *world) bundled() {
	w.Helper()
	name := filepath.Join(w.dir, manifest.FileName)
	text, err := os.ReadFile(name)
	if err != nil {
		w.Fatal(err)
	}
	text = append([]byte(strings.Replace(string(text), "[plugins]\n", "[plugins]\nbare = \"3.0.0\"\npacked = \"3.1.0\"\n", 1)), "\n[bundles]\nboth = [\"packed\", \"bare\"]\n"...)
	fake.Write(w.T, name, string(text))
}
