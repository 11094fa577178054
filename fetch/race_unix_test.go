//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestRepairRaces: "cache verify --repair" in one process takes no folder from a
// "fetch run" that starts in another one, or runs, whether stat shows the damage or
// not; and the next use finds the folder whole.
func TestRepairRaces(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it starts many processes")
	if runtime.GOOS != "linux" {
		t.Skip("skipped: what runs is found in /proc")
	}
	w := newWorld(t)
	binary := fetchProgram(t)
	// It reads another file of its folder only after a while.
	const program = "#!/bin/sh\nsleep 0.03\ncat \"$(dirname \"$0\")/../share/said\"\n"
	w.file("slow", "1.0.0", "tar.gz", "slow-1.0.0/bin/slow", "slow.tar.gz",
		fake.Tarball("slow-1.0.0", map[string]string{"bin/slow": program, "share/said": "all is here\n", "share/other": "right"}, "bin/slow"))
	w.write()
	tree := filepath.Dir(filepath.Dir(filepath.Dir(w.must("get", "slow"))))
	env := append(os.Environ(), "BUCK2_PROTOBUF_CACHE_DIR="+w.cache)
	start := func(args ...string) (*exec.Cmd, *bytes.Buffer) {
		t.Helper()
		cmd, out := exec.Command(binary, append([]string{"--lock", filepath.Join(w.dir, lock.FileName)}, args...)...), &bytes.Buffer{}
		cmd.Env, cmd.Stdout, cmd.Stderr = env, out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, out
	}
	tried, lost := testenv.Count(8, 164), 0
	for i := range tried {
		if err := os.WriteFile(filepath.Join(tree, "slow-1.0.0", "share", "other"), []byte("wrong"), 0o644); err != nil {
			t.Fatal(err)
		}
		if i%2 == 1 {
			disguise(t, tree)
		}
		// One of them begins up to 40 ms before the other.
		wait := time.Duration(i%41) * time.Millisecond
		var run, repair *exec.Cmd
		var ran, repaired *bytes.Buffer
		if i%4 < 2 {
			repair, repaired = start("cache", "verify", "--repair")
			time.Sleep(wait)
			run, ran = start("run", "slow")
		} else {
			run, ran = start("run", "slow")
			time.Sleep(wait)
			repair, repaired = start("cache", "verify", "--repair")
		}
		runErr, repairErr := run.Wait(), repair.Wait()
		if runErr != nil || ran.String() != "all is here\n" {
			lost++
			t.Errorf("race %d, %v apart: fetch run: %v, %q\nverify: %v, %s", i, wait, runErr, ran.String(), repairErr, repaired.String())
		}
		if status := repair.ProcessState.ExitCode(); status != 0 && status != 5 {
			t.Errorf("race %d: verify: %v, %s", i, repairErr, repaired.String())
		}
		if w.must("get", "slow"); !isTree(t, tree, filepath.Base(tree)) {
			t.Errorf("race %d: the next use takes a damaged folder", i)
		}
	}
	testenv.Held(t, "cache verify --repair while fetch run starts in another process: the plugin runs, the next use finds its folder whole", "", tried, tried-lost)
}

// TestHelperChildren: what a credential helper of docker leaves behind does not
// outlive fetch, whether the helper answers, fails or hangs until Ctrl-C.
func TestHelperChildren(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it starts many processes")
	w := newWorld(t)
	binary := fetchProgram(t)
	o := fake.NewOCI(t, "me:secret")
	o.Repo = "acme/plugins"
	o.Blob("application/octet-stream", "", []byte("#!/bin/sh\necho bare\n"))
	w.mirrors("*", "oci://"+o.Host+"/acme/plugins")
	for name, tt := range map[string]struct {
		script string // behind the child
		signal bool
		status int
	}{
		"answers": {`echo '{"Username":"me","Secret":"secret"}'`, false, 0},
		"fails":   {"echo no session; exit 1", false, 0}, // the origin has the file
		"hangs":   {"wait", true, 130},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bin := t.TempDir()
			pid := filepath.Join(bin, "pid")
			script := "#!/bin/sh\ncat >/dev/null\nsleep 600 &\necho $! >" + pid + ".new\nmv " + pid + ".new " + pid + "\n" + tt.script + "\n"
			for name, text := range map[string]string{"docker-credential-left": script, "config.json": `{"credsStore": "left"}`} {
				if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command(binary, "get", "bare", "--lock", filepath.Join(w.dir, lock.FileName))
			cmd.Env = append(os.Environ(), "BUCK2_PROTOBUF_CACHE_DIR="+filepath.Join(bin, "cache"), "DOCKER_CONFIG="+bin, "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			child := 0
			for begin := time.Now(); child == 0; time.Sleep(10 * time.Millisecond) {
				text, _ := os.ReadFile(pid)
				child, _ = strconv.Atoi(strings.TrimSpace(string(text)))
				if time.Since(begin) > time.Minute {
					_ = cmd.Process.Kill()
					t.Fatalf("the helper was not started\n%s", out.String())
				}
			}
			if tt.signal {
				if err := cmd.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
			}
			_ = cmd.Wait()
			if status := cmd.ProcessState.ExitCode(); status != tt.status {
				t.Errorf("status %d, want %d\n%s", status, tt.status, out.String())
			}
			for begin := time.Now(); lives(child); time.Sleep(10 * time.Millisecond) {
				if time.Since(begin) > time.Minute {
					_ = syscall.Kill(child, syscall.SIGKILL)
					t.Fatal("its child lives on")
				}
			}
		})
	}
}

// lives reports whether a process is there that has not ended: one that nobody has
// waited for yet has.
func lives(pid int) bool {
	if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
		_, after, _ := strings.Cut(string(stat), ") ")
		return !strings.HasPrefix(after, "Z")
	}
	return syscall.Kill(pid, 0) == nil
}
