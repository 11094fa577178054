package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal (pty(7)): the side of the person, and that of
// the program.
func terminal(t testing.TB) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(person.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	}
	if err == nil {
		program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	return person, program
}

// A screen is what a program has written to a terminal by now.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// typed runs lockgen itself on a terminal, where a person types the answer to its
// question.
func (p *place) typed(answer string, args ...string) (status int, text string) {
	p.t.Helper()
	person, program := terminal(p.t)
	cmd := exec.Command(os.Args[0], append([]string{"--manifest", p.path("plugins.toml")}, args...)...)
	cmd.Env = append(os.Environ(), asLockgen+"=1", "BUCK2_PROTOBUF_CACHE_DIR="+p.cache, "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	program.Close()
	seen := &screen{}
	go io.Copy(seen, person)
	late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	for !strings.Contains(seen.String(), "[y/N] ") && late.Stop() {
		late.Reset(time.Minute)
		time.Sleep(5 * time.Millisecond)
	}
	if _, err := io.WriteString(person, answer); err != nil {
		p.t.Fatal(err)
	}
	_ = cmd.Wait()
	late.Stop()
	return cmd.ProcessState.ExitCode(), seen.String()
}

// TestConsentOnTerminal: lockgen itself, on a terminal: it asks, and a yes or no
// that is typed there counts. On a pipe it asks nobody.
func TestConsentOnTerminal(t *testing.T) {
	p := newRunning(t)
	before := p.read("plugins.toml")
	for _, tt := range []struct {
		answer string
		status int
	}{{"n\n", 6}, {"\x03", 130}, {"y\n", 0}} {
		status, text := p.typed(tt.answer, "add", "protoc-gen-prost@0.5.0")
		if status != tt.status || !strings.Contains(text, "loud-1.0.0 by Ann Author, Bob") {
			t.Errorf("%q: status %d, want %d\n%s", tt.answer, status, tt.status, text)
		}
		if tt.status != 0 {
			p.asBefore(before, "")
		}
	}
	if !strings.HasSuffix(p.read("plugins.toml"), consented) {
		t.Errorf("%s", p.read("plugins.toml"))
	}
	p.write("plugins.toml", before)
	cmd := exec.Command(os.Args[0], "--manifest", p.path("plugins.toml"), "add", "protoc-gen-prost@0.5.0")
	cmd.Env = append(os.Environ(), asLockgen+"=1", "BUCK2_PROTOBUF_CACHE_DIR="+p.cache)
	cmd.Stdin = strings.NewReader("y\n")
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 6 || strings.Contains(string(out), "[y/N]") || !strings.Contains(string(out), "--allow-build-scripts") {
		t.Errorf("on a pipe: status %d\n%s", cmd.ProcessState.ExitCode(), out)
	}
}

// TestInitOnTerminal: lockgen init shows the differences on a terminal, and writes
// after a yes alone.
func TestInitOnTerminal(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]int{"n\n": 2, "\x03": 130, "yes\n": 0} {
		p := tree(t, buckRepository)
		status, text := p.typed(answer, "init", "--commit", someCommit)
		if status != want || !strings.Contains(text, "+  buck2-protobuf = git") || (p.read("plugins.toml") != "") != (want == 0) || strings.Contains(p.read(".buckconfig"), someCommit) != (want == 0) {
			t.Errorf("%q: status %d, want %d\n%s", answer, status, want, text)
		}
	}
}
