//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
)

// started is lockgen as a process of its own, with the place's files and cache.
func (p *place) started(t *testing.T, nohup bool, env []string, args ...string) (cmd *exec.Cmd, stderr *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	line := append([]string{self, "--manifest", p.path("plugins.toml")}, args...)
	if nohup { // as nohup does
		line = append([]string{"/bin/sh", "-c", `trap "" HUP; exec "$@"`, "sh"}, line...)
	}
	cmd = exec.Command(line[0], line[1:]...)
	cmd.Dir = p.dir
	cmd.Env = append(append(p.environ(), asLockgen+"=1", "BUCK2_PROTOBUF_CACHE_DIR="+p.cache), env...)
	stderr = &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = io.Discard, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, stderr
}

// ended waits for the end of a program that a signal was sent to.
func ended(t *testing.T, what string, cmd *exec.Cmd, stderr *bytes.Buffer, status int) {
	t.Helper()
	begin := time.Now()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != status {
		t.Errorf("%s: status %d, want %d\n%s", what, got, status, stderr.String())
	}
	if status == 130 && !strings.Contains(stderr.String(), "lockgen: interrupted; nothing was changed") {
		t.Errorf("%s: told\n%s", what, stderr.String())
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("%s: took %s", what, took)
	}
}

// TestSignals: Ctrl-C, SIGTERM and a terminal that is closed end every command
// that writes in one way: status 130, both files as they were, and nothing left
// behind. Under nohup it goes on.
func TestSignals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		signal syscall.Signal
		nohup  bool
		status int
	}{
		{syscall.SIGINT, false, 130}, {syscall.SIGTERM, false, 130}, {syscall.SIGHUP, false, 130}, {syscall.SIGHUP, true, 0},
	} {
		for _, args := range [][]string{{"update", "--no-smoke"}, {"add", "--no-smoke", "gen@2.0.0"}, {"update", "--no-smoke", "--all"}} {
			name := fmt.Sprintf("%v, nohup %t, %s", tt.signal, tt.nohup, strings.Join(args, " "))
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := newPlace(t)
				asked, told := make(chan bool), make(chan bool)
				p.server.File("/rel/1.0.0/gen", []byte(linuxARM))
				p.server.File("/rel/2.0.0/gen", []byte(linuxARM+"2"))
				slow := fake.Do(func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
					w.Header().Set("Content-Length", fmt.Sprint(len(linuxARM)+1))
					fmt.Fprint(w, linuxARM[:8])
					w.(http.Flusher).Flush()
					asked <- true
					<-told
					if tt.nohup {
						fmt.Fprint(w, linuxARM[8:]+"2")
						return
					}
					<-r.Context().Done()
				}).Once()
				text := "platforms = [\"linux-aarch64\"]\n[plugins.gen]\nversions = [\"1.0.0\"]\nsource = \"" + p.server.URL + "/rel/{version}/gen\"\nbinary = \"gen\"\n"
				p.write("plugins.toml", text)
				p.ok("update")
				manifest, locked := text, p.read("plugins.lock.toml")
				if args[0] != "add" { // the manifest asks for more than is locked
					manifest = strings.Replace(text, `"1.0.0"`, `"1.0.0", "2.0.0"`, 1)
					p.write("plugins.toml", manifest)
				}
				p.server.Fault("/rel/2.0.0/gen", slow)
				cmd, stderr := p.started(t, tt.nohup, nil, args...)
				select {
				case <-asked:
				case <-time.After(time.Minute):
					_ = cmd.Process.Kill()
					t.Fatalf("nothing was asked for\n%s", stderr.String())
				}
				if err := cmd.Process.Signal(tt.signal); err != nil {
					t.Fatal(err)
				}
				close(told)
				ended(t, name, cmd, stderr, tt.status)
				if tt.status == 130 {
					p.asBefore(manifest, locked)
					p.noLeftovers()
				}
				p.ok("update") // nothing bars the way
				p.ok("check")
				if tt.status == 0 != strings.Contains(p.read("plugins.toml"), "2.0.0") && args[0] == "add" {
					t.Errorf("the manifest is\n%s", p.read("plugins.toml"))
				}
			})
		}
	}
}

// TestSignalsEndChildren: what lockgen started, and what that started, ends with
// it.
func TestSignalsEndChildren(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			bin := t.TempDir()
			pids := filepath.Join(bin, "pids")
			script := "#!/bin/sh\nsleep 600 &\necho $$ $! >" + pids + ".new\nmv " + pids + ".new " + pids + "\nwait\n"
			for name, text := range map[string]string{"docker-credential-hangs": script, "config.json": `{"credsStore": "hangs"}`} {
				if err := os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			host := strings.TrimPrefix(p.server.URL, "http://")
			p.server.Fault("/v2/acme/gen/manifests/1.0.0", fake.Status(http.StatusUnauthorized, "WWW-Authenticate", `Basic realm="x"`))
			manifest := "platforms = [\"linux-aarch64\"]\n[plugins.gen]\nversion = \"1.0.0\"\nsource = \"oci://" + host + "/acme/gen:{version}\"\nbinary = \"gen\"\n"
			p.write("plugins.toml", manifest)
			cmd, stderr := p.started(t, false, []string{"DOCKER_CONFIG=" + bin, "PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH")}, "update")
			var helper, child int
			for begin := time.Now(); child == 0; time.Sleep(20 * time.Millisecond) {
				if time.Since(begin) > time.Minute {
					_ = cmd.Process.Kill()
					t.Fatalf("the helper was not started\n%s", stderr.String())
				}
				text, _ := os.ReadFile(pids)
				_, _ = fmt.Sscan(string(text), &helper, &child)
			}
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			ended(t, signal.String(), cmd, stderr, 130)
			p.asBefore(manifest, "")
			for _, pid := range []int{helper, child} {
				for begin := time.Now(); running(pid); time.Sleep(20 * time.Millisecond) {
					if time.Since(begin) > time.Minute {
						_ = syscall.Kill(pid, syscall.SIGKILL)
						t.Fatalf("process %d lives on", pid)
					}
				}
			}
		})
	}
}

// running reports whether a process is there that has not ended: one that nobody
// has waited for yet has.
func running(pid int) bool {
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		_, after, _ := strings.Cut(string(stat), ") ")
		return !strings.HasPrefix(after, "Z")
	}
	return syscall.Kill(pid, 0) == nil
}
