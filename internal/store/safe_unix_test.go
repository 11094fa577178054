//go:build unix

package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestSafe: a cache that another user can write to is refused with its path and a
// hint, before anything of it is used.
func TestSafe(t *testing.T) {
	t.Parallel()
	chown := func(dir string) error {
		if os.Geteuid() != 0 {
			return errors.ErrUnsupported
		}
		return os.Chown(dir, 7777, 7777)
	}
	mode := func(mode fs.FileMode) func(string) error {
		return func(dir string) error { return os.Chmod(dir, mode) }
	}
	for _, tt := range []struct {
		what string
		at   string // of the cache "cache"
		do   func(dir string) error
		says string // "" for a cache that is used
	}{
		{"fresh", "cache", mode(0o755), ""},
		{"private", "cache", mode(0o700), ""},
		{"read-only", "cache", mode(0o555), ""},
		{"group", "cache", mode(0o775), "chmod -R go-w "},
		{"world", "cache", mode(0o777), "chmod -R go-w "},
		{"like /tmp", "cache", mode(0o777 | fs.ModeSticky), "chmod -R go-w "},
		{"trees of the group", "cache/trees", mode(0o775), "chmod -R go-w "},
		{"records of the world", "cache/warm", mode(0o757), "chmod -R go-w "},
		{"of another user", "cache", chown, "chown -R "},
		{"trees of another user", "cache/trees", chown, "chown -R "},
		{"in a folder of the world", ".", mode(0o777), "chmod o-w "},
		{"in a folder like /tmp", ".", mode(0o777 | fs.ModeSticky), ""},
	} {
		top, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(top, "cache")
		for _, name := range []string{"trees", "warm"} {
			if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		switch err := tt.do(filepath.Join(top, filepath.FromSlash(tt.at))); {
		case errors.Is(err, errors.ErrUnsupported):
			continue
		case err != nil:
			t.Fatal(err)
		}
		link := filepath.Join(t.TempDir(), "link")
		if err := os.Symlink(dir, link); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{dir, link} {
			_, err = Open(name)
			if tt.says == "" && err != nil {
				t.Errorf("%s: %v", tt.what, err)
			}
			if tt.says != "" && (fault.Of(err) != fault.Machine || !strings.Contains(err.Error(), name) || !strings.Contains(fault.Hint(err), tt.says)) {
				t.Errorf("%s: %v; hint %q", tt.what, err, fault.Hint(err))
			}
		}
		// The hint, word for word.
		if hint, _, _ := strings.Cut(fault.Hint(err), "; or"); tt.says != "" {
			command := strings.TrimPrefix(hint, "run: ")
			if out, err := exec.Command("sh", "-c", command).CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v %s", tt.what, command, err, out)
			}
			if _, err := Open(link); err != nil {
				t.Errorf("%s, after %s: %v", tt.what, command, err)
			}
		}
	}
}

// TestUmask: a umask that takes what fetch needs of its own files is named, before a
// program without its executable bit looks like other bytes than the locked ones.
func TestUmask(t *testing.T) {
	const asked = "STORE_TEST_UMASK"
	dir := t.TempDir()
	if text := os.Getenv(asked); text != "" { // in a process of its own, whose umask it is
		mask, err := strconv.ParseUint(text, 8, 16)
		if err != nil {
			t.Fatal(err)
		}
		s, err := Open(filepath.Join(dir, "cache"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.mkdir("tmp"); err != nil {
			t.Fatal(err)
		}
		syscall.Umask(int(mask))
		_, done, err := s.Scratch(t.Context(), "x")
		syscall.Umask(0o022)
		if err == nil {
			done()
		}
		left, _ := filepath.Glob(filepath.Join(dir, "cache", "tmp", "*"))
		fmt.Printf("class %v, left %q: %v: %s\n", fault.Of(err), left, err, fault.Hint(err))
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for mask, want := range map[string]string{
		"022": "class ok, left []", "002": "class ok, left []", "077": "class ok, left []",
		"0111": "class machine, left []", "0177": "class machine, left []", "0777": "class machine, left []", "0400": "class machine, left []",
	} {
		cmd := exec.Command(self, "-test.run", "^TestUmask$")
		cmd.Env = append(os.Environ(), asked+"="+mask)
		out, err := cmd.CombinedOutput()
		text := string(out)
		if err != nil || !strings.Contains(text, want) || strings.Contains(want, "machine") && !strings.Contains(text, "run: umask 022") {
			t.Errorf("umask %s, want %s: %v\n%s", mask, want, err, out)
		}
	}
}
