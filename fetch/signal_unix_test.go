//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// TestSignals: Ctrl-C, SIGTERM and a terminal that is closed end a download in
// one way: status 130, nothing half done, nothing lost. Under nohup it goes on.
func TestSignals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	binary := fetchProgram(t)
	w.must("get", "packed") // something good in the cache
	for _, tt := range []struct {
		signal syscall.Signal
		nohup  bool
		status int
	}{
		{syscall.SIGINT, false, 130}, {syscall.SIGTERM, false, 130}, {syscall.SIGHUP, false, 130}, {syscall.SIGHUP, true, 0},
	} {
		name := fmt.Sprintf("%v, nohup %t", tt.signal, tt.nohup)
		asked, told := make(chan bool), make(chan bool)
		w.registry.Fault("/files/bare-linux", fake.Do(func(rw http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
			rw.Header().Set("Content-Length", fmt.Sprint(len("#!/bin/sh\necho bare\n")))
			fmt.Fprint(rw, "#!/bin/sh\n")
			rw.(http.Flusher).Flush()
			asked <- true
			<-told
			if tt.nohup {
				fmt.Fprint(rw, "echo bare\n")
				return
			}
			<-r.Context().Done()
		}).Once())
		line := []string{binary, "get", "bare", "--lock", filepath.Join(w.dir, lock.FileName)}
		if tt.nohup { // as nohup does
			line = append([]string{"/bin/sh", "-c", `trap "" HUP; exec "$@"`, "sh"}, line...)
		}
		cmd := exec.Command(line[0], line[1:]...)
		cmd.Env = append(os.Environ(), "BUCK2_PROTOBUF_CACHE_DIR="+w.cache)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-asked
		if err := cmd.Process.Signal(tt.signal); err != nil {
			t.Fatal(err)
		}
		close(told)
		err := cmd.Wait()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if status := cmd.ProcessState.ExitCode(); status != tt.status {
			t.Errorf("%s: status %d, want %d\n%s", name, status, tt.status, stderr.String())
		}
		if tt.status == 130 && (stdout.Len() > 0 || !strings.Contains(stderr.String(), "fetch: interrupted; nothing was changed")) {
			t.Errorf("%s: %q\n%s", name, stdout.String(), stderr.String())
		}
		if left, err := filepath.Glob(filepath.Join(w.cache, "tmp", "*")); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v, %v", name, left, err)
		}
		w.must("get", "packed", "--offline")
	}
	w.must("get", "bare", "--offline")
}
