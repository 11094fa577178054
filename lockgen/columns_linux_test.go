package main

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// TestColumns: on a terminal of 80 columns list has no wider line, and names all
// plugins; on a pipe nothing is cut.
func TestColumns(t *testing.T) {
	t.Parallel()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals: %v", err)
	}
	defer master.Close()
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}); err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminal: %v", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := five(t)
	cmd := exec.Command(self, "list")
	cmd.Env, cmd.Dir, cmd.Stdout = append(p.environ(), asLockgen+"=1"), p.dir, terminal
	shown := make(chan string)
	go func() {
		text, _ := io.ReadAll(master) // ends with an error when the terminal is closed
		shown <- string(text)
	}()
	err = cmd.Run()
	terminal.Close()
	text := strings.ReplaceAll(<-shown, "\r\n", "\n")
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for line := range strings.SplitSeq(text, "\n") {
		if utf8.RuneCountInString(line) > 80 {
			t.Errorf("%d columns: %s", utf8.RuneCountInString(line), line)
		}
	}
	piped, _ := p.ok("list")
	for line := range strings.SplitSeq(strings.TrimSpace(piped), "\n") {
		if name, _, _ := strings.Cut(line, " "); !strings.Contains(text, "\n"+name+" ") && name != "NAME" && name != "*" {
			t.Errorf("%s is not in\n%s", name, text)
		}
		if strings.Contains(line, "…") {
			t.Errorf("cut on a pipe: %s", line)
		}
	}
	if len(piped) < 400 {
		t.Errorf("piped:\n%s", piped)
	}
}

// TestBrief: platforms in few words.
func TestBrief(t *testing.T) {
	t.Parallel()
	for have, want := range map[string]string{
		"linux-aarch64 linux-x86_64 macos-aarch64 macos-x86_64 windows-aarch64 windows-x86_64":  "all",
		"linux-aarch64 linux-x86_64 macos-aarch64 macos-x86_64 windows-aarch64* windows-x86_64": "all*",
		"linux-aarch64 linux-x86_64 macos-aarch64* macos-x86_64":                                "all* but windows",
		"linux-aarch64 linux-x86_64": "linux-aarch64 linux-x86_64",
		"":                           "",
	} {
		if got := brief(strings.Fields(have)); got != want {
			t.Errorf("%s: %s, want %s", have, got, want)
		}
	}
}
