//go:build unix

package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// scripts makes a folder of programs that all do the same.
func scripts(t *testing.T, body string, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTimeout(t *testing.T) {
	w := newWorld(t)
	w.registry.Fault("/files/bare-linux", fake.Silent(time.Minute))
	w.fails(4, []string{"not done within 300ms: bare 3.0.0 for ", "downloading " + w.registry.URL + "/files/bare-linux", "hint: see whether what it names hangs", "--timeout 600ms"},
		"get", "bare", "--timeout", "300ms")
	w.fails(2, []string{"--timeout -1s is negative"}, "get", "tool", "--timeout", "-1s")
	w.must("get", "tool", "--timeout", "0")

	// A client that hangs ends with everything that it started.
	pid := filepath.Join(t.TempDir(), "pid")
	t.Setenv("PATH", scripts(t, "/bin/sleep 60 &\necho $! > "+pid+"\nwait", "npm", "node"))
	w.forget()
	w.fails(7, []string{"not done within 1s: script 2.0.0 for ", "node -p process.execPath was ended"}, "get", "script", "--timeout", "1s")
	text, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	sleeper, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		state, err := os.ReadFile("/proc/" + strconv.Itoa(sleeper) + "/stat") // a dead one may wait for its parent
		if syscall.Kill(sleeper, 0) != nil || err == nil && strings.Contains(string(state), ") Z ") {
			break
		}
		if time.Now().After(end) {
			syscall.Kill(sleeper, syscall.SIGKILL)
			t.Fatal("what the client started was still there after ten seconds")
		}
	}
}

// TestOffline: with --offline nobody is called, and nobody is asked who might
// call somebody.
func TestOffline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.forget()
	binary := fetchProgram(t)
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	var calls atomic.Int32
	go func() {
		for {
			conn, err := proxy.Accept()
			if err != nil {
				return
			}
			calls.Add(1)
			conn.Close()
		}
	}()
	asked := filepath.Join(t.TempDir(), "asked")
	path := scripts(t, "echo \"$0 $*\" >> "+asked, "npm", "node", "pip", "python3", "python", "go", "cargo", "uv", "yarn", "pnpm", "bun")
	env := []string{"PATH=" + path, "HOME=" + t.TempDir(), "BUCK2_PROTOBUF_CACHE_DIR=" + w.cache}
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"} {
		env = append(env, name+"=http://"+proxy.Addr().String())
	}
	call := func(args ...string) (int, string) {
		cmd := exec.Command(binary, append(args, "--lock", filepath.Join(w.dir, lock.FileName))...)
		cmd.Env = env
		out, _ := cmd.CombinedOutput()
		return cmd.ProcessState.ExitCode(), string(out)
	}
	for _, spec := range []string{"tool", "script", "bare", "packed"} {
		if status, said := call("get", spec, "--offline"); status != 4 || !strings.Contains(said, "offline, and not in the cache") {
			t.Errorf("%s: status %d\n%s", spec, status, said)
		}
	}
	for _, args := range [][]string{{"stats"}, {"cache", "verify"}, {"cache", "clear"}, {"--version"}} {
		if status, said := call(append(args, "--offline")...); status != 0 {
			t.Errorf("%v: status %d\n%s", args, status, said)
		}
	}
	if text, err := os.ReadFile(asked); err == nil {
		t.Errorf("clients were started:\n%s", text)
	}
	if n, m := calls.Load(), len(w.registry.Requests("")); n+int32(m) > 0 {
		t.Errorf("%d calls to the proxy, %d to the server", n, m)
	}
	// The same without it does call: the trap works.
	if status, said := call("get", "script"); status == 0 {
		t.Errorf("without --offline:\n%s", said)
	}
	if text, err := os.ReadFile(asked); err != nil || !strings.Contains(string(text), "node -p process.execPath") {
		t.Errorf("%q, %v", text, err)
	}
}
