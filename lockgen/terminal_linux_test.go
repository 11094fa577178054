package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/birbparty/buck2-protobuf/internal/ui"
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
	cmd.Env = append(p.environ(), asLockgen+"=1", "BUCK2_PROTOBUF_CACHE_DIR="+p.cache, "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	program.Close()
	seen := &screen{}
	go io.Copy(seen, person)
	late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer late.Stop()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for !strings.Contains(seen.String(), "[y/N] ") && len(ended) == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	if _, err := io.WriteString(person, answer); err != nil {
		p.t.Fatal(err)
	}
	<-ended
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
	cmd.Env = append(p.environ(), asLockgen+"=1", "BUCK2_PROTOBUF_CACHE_DIR="+p.cache)
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

// A picture is what a terminal shows of what was written to it.
type picture struct {
	lines  []string
	row    int
	widest int // columns that a line ever had
}

// show takes in text with the sequences that the UI writes: CUU, ED, CR and LF.
func (p *picture) show(text string) {
	for len(text) > 0 {
		for len(p.lines) <= p.row {
			p.lines = append(p.lines, "")
		}
		var n int
		switch {
		case strings.HasPrefix(text, "\x1b[J"):
			p.lines = p.lines[:p.row]
			text = text[len("\x1b[J"):]
			continue
		case strings.HasPrefix(text, "\x1b["):
			if _, err := fmt.Sscanf(text, "\x1b[%dA", &n); err == nil {
				p.row -= n
			}
			text = text[strings.IndexFunc(text[2:], unicode.IsLetter)+3:]
			continue
		}
		r, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		switch r {
		case '\n':
			p.row++
		case '\r':
		default:
			p.lines[p.row] += string(r)
			p.widest = max(p.widest, utf8.RuneCountInString(p.lines[p.row]))
		}
	}
}

// TestProgressOnTerminal: on a terminal of 80 columns, what goes on is drawn below the
// talk while it goes on, with the plugin, the file, how many there are and how large,
// within its columns; at the end it is gone, and what was done is told.
func TestProgressOnTerminal(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	noise := make([]byte, 8<<10) // more than is looked at before anything is told
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	body := toolTar(linuxARM + string(noise))
	seen, half := &screen{}, len(body)/2
	arrived := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body[:half])
		w.(http.Flusher).Flush()
		select {
		case <-arrived: // it was seen that half has come
		case <-r.Context().Done():
			return
		}
		_, _ = w.Write(body[half:])
	}))
	t.Cleanup(slow.Close)
	p.manifest("[plugins.a-tool-with-a-name]\nversion = \"1.2.0\"\nsource = \"" + slow.URL + "/dl/{version}/a-tool-with-a-name-that-is-rather-long-and-its-platform-{os}-{arch}.tar.gz\"\nbinary = \"tool\"\n")
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), `["linux-aarch64", "windows-x86_64"]`, `["linux-aarch64"]`, 1))
	person, program := terminal(t)
	cmd := exec.Command(os.Args[0], "update")
	cmd.Dir = p.path("") // its path may be longer than a line
	cmd.Env = append(p.environ(), asLockgen+"=1", "BUCK2_PROTOBUF_CACHE_DIR="+p.cache, "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	program.Close()
	copied := make(chan struct{})
	go func() {
		_, _ = io.Copy(seen, person) // ends with an error when the terminal is closed
		close(copied)
	}()
	wanted := "lockgen: 0 of 1 plugins, 0 of 1 files, " + ui.Size(int64(half))
	late := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer late.Stop()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for !strings.Contains(seen.String(), wanted) && len(ended) == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	close(arrived)
	err := <-ended
	<-copied
	shown := &picture{}
	shown.show(seen.String())
	text := strings.Join(shown.lines, "\n")
	if err != nil || !strings.Contains(seen.String(), wanted) || !strings.Contains(seen.String(), "\n    downloading a-tool-with-a-name 1.2.0: a-tool-with-a-name-that-is-") {
		t.Errorf("%v\n%q", err, seen.String())
	}
	if shown.widest > 80 {
		t.Errorf("%d columns:\n%q", shown.widest, seen.String())
	}
	if !strings.HasPrefix(text, "lockgen: a-tool-with-a-name 1.2.0: 1 file ("+ui.Size(int64(len(body)))+"), ") || !strings.Contains(text, "\nlockgen: wrote ") || strings.Contains(text, "downloading") || strings.Contains(text, "0 of 1") {
		t.Errorf("at the end:\n%s", text)
	}
}
