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
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// faultsOfCalls are the errors that a disk or a machine may give for system calls.
var faultsOfCalls = []struct {
	call   string
	errnos []string
}{
	{"openat", []string{"EMFILE", "EACCES", "EIO", "EROFS", "ENOSPC", "EDQUOT"}},
	{"mkdirat", []string{"ENOSPC", "EACCES", "EROFS", "EDQUOT", "EIO"}},
	{"renameat", []string{"EXDEV", "ENOSPC", "EACCES", "EIO", "EDQUOT"}},
	{"write", []string{"ENOSPC", "EIO", "EDQUOT"}},
	{"fsync", []string{"EIO", "ENOSPC", "EDQUOT"}},
	{"unlinkat", []string{"EACCES", "EIO", "EROFS"}},
	{"fchmodat", []string{"EACCES", "EROFS", "EIO"}},
	{"fchmod", []string{"EROFS", "EIO"}},
	{"linkat", []string{"EXDEV", "EACCES", "EMLINK"}},
	{"utimensat", []string{"EACCES", "EROFS"}},
	{"getdents64", []string{"EIO", "EACCES"}},
	{"read", []string{"EIO"}},
	{"flock", []string{"ENOLCK", "EIO"}},
}

// TestInjectedFaults has strace fail one system call of fetch, or kill fetch there:
// the first, the second and so on of each call. A fault is told of as one of this
// machine, or does not matter. Afterwards the same command works, and what the cache
// has is whole.
func TestInjectedFaults(t *testing.T) {
	strace := testenv.Program(t, "strace", "-qq", "-e", "inject=fsync:error=EIO:when=1", "true")
	program := fetchProgram(t)
	for _, command := range []struct {
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
		{"cache clear", []string{"cache", "clear"}, func(w *world) { w.must("get", "packed") }},
	} {
		t.Run(command.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			all := t.TempDir()
			round := 0
			// whole reports whether a path that was printed is that of the locked folder.
			whole := func(stdout string) bool {
				v := w.lock.Plugins["packed"]["3.1.0"]
				return isTree(t, strings.TrimSuffix(strings.TrimSpace(stdout), "/packed-3.1.0/bin/packed"), v.Platforms[host(t)].Tree)
			}
			// attempt runs the command with a fault, and reports whether it met it, whether
			// all went as promised, and whether the fault met what is ours.
			attempt := func(inject string) (met, held, counts bool) {
				round++
				w.cache = filepath.Join(all, fmt.Sprint(round))
				command.prepare(w)
				trace := filepath.Join(all, "trace")
				call, _, _ := strings.Cut(inject, ":")
				args := []string{"-f", "-qq", "-o", trace, "-e", "trace=" + call, "-e", "inject=" + inject, program, "--lock", filepath.Join(w.dir, lock.FileName)}
				cmd := exec.Command(strace, append(args, command.args...)...)
				cmd.Env = append(os.Environ(), "BUCK2_PROTOBUF_CACHE_DIR="+w.cache)
				var stdout, stderr strings.Builder
				cmd.Stdout, cmd.Stderr = &stdout, &stderr
				_ = cmd.Run()
				said, err := os.ReadFile(trace)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(string(said), "(INJECTED)") && !strings.Contains(string(said), "+++ killed by SIGKILL") {
					return false, true, false
				}
				if text := stderr.String(); strings.Contains(text, "error while loading shared libraries") || strings.Contains(text, "runtime: ") {
					return true, true, false // it never began, or Go's own call failed
				}
				held = true
				bad := func(format string, a ...any) {
					held = false
					t.Errorf("%s with %s: %s\n%s%s", command.name, inject, fmt.Sprintf(format, a...), stdout.String(), stderr.String())
				}
				status := cmd.ProcessState.ExitCode()
				switch class := fault.Class(status); {
				case strings.Contains(inject, "signal=") && status != 0: // killed
				case status == 0:
					if command.name == "get" && !whole(stdout.String()) {
						bad("exit 0 with another folder")
					}
				case class == fault.Machine:
					if call != "write" && !strings.Contains(stderr.String(), "hint: ") {
						bad("no hint")
					}
				case class == fault.Upstream && (call == "write" || call == "read" || call == "openat"): // of a connection
				case class == fault.Integrity && command.name == "cache verify --repair": // it tells what it removed
				default:
					bad("exit %d", status)
				}
				// The damage that was there before is repaired by the same command.
				w.fetch(command.args...)
				if status, out, talk := w.fetch("cache", "verify"); status != 0 {
					bad("afterwards cache verify: exit %d\n%s%s", status, out, talk)
				}
				if status, out, talk := w.fetch("get", "packed"); status != 0 || !whole(out) {
					bad("afterwards get: exit %d\n%s%s", status, out, talk)
				}
				if err := os.RemoveAll(w.cache); err != nil {
					t.Fatal(err)
				}
				return true, held, true
			}
			tried, kept := 0, 0
			for _, f := range faultsOfCalls {
				for n, errno := range append(f.errnos, "SIGKILL") {
					if !testenv.Full() && n != (len(f.call)+round)%len(f.errnos) {
						continue
					}
					how := "error=" + errno
					if errno == "SIGKILL" {
						how = "signal=" + errno
					}
					for when := 1; when <= testenv.Count(1, 12); when++ {
						met, held, counts := attempt(fmt.Sprintf("%s:%s:when=%d", f.call, how, when))
						if !met {
							break
						}
						if counts {
							if tried++; held {
								kept++
							}
						}
					}
				}
			}
			testenv.Held(t, "a system call of fetch fails, or fetch is killed there: exit 7 or no matter, then all is whole", command.name, tried, kept)
		})
	}
}
