//go:build unix

package input

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

func TestFile(t *testing.T) {
	limit = 4096
	pipe := func(t *testing.T, name string, text ...string) {
		if err := syscall.Mkfifo(name, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, one := range text {
			go func() { _ = os.WriteFile(name, []byte(one), 0) }()
		}
	}
	for name, test := range map[string]struct {
		make func(t *testing.T, name string)
		want string // the content, or a part of the error
		bad  fault.Class
	}{
		"a file":            {func(t *testing.T, name string) { _ = os.WriteFile(name, []byte("x"), 0o600) }, "x", 0},
		"a pipe":            {func(t *testing.T, name string) { pipe(t, name, "x") }, "x", 0},
		"nothing":           {func(t *testing.T, name string) { _ = os.Symlink(os.DevNull, name) }, "", 0},
		"a pipe of no one":  {func(t *testing.T, name string) { pipe(t, name) }, "is not a regular file, and reading it did not end in 50ms", fault.Machine},
		"a device":          {func(t *testing.T, name string) { _ = os.Symlink("/dev/zero", name) }, "has more than 4096 bytes", fault.Machine},
		"a sparse file":     {func(t *testing.T, name string) { _ = os.WriteFile(name, nil, 0o600); _ = os.Truncate(name, 1<<40) }, "has more than 4096 bytes", fault.Machine},
		"a folder":          {func(t *testing.T, name string) { _ = os.Mkdir(name, 0o700) }, "is a directory", fault.Machine},
		"what is not there": {func(t *testing.T, name string) {}, "no such file", fault.Machine},
	} {
		t.Run(name, func(t *testing.T) {
			patience = 10 * time.Second
			if strings.HasSuffix(test.want, "50ms") {
				patience = 50 * time.Millisecond
			}
			file := filepath.Join(t.TempDir(), "f")
			test.make(t, file)
			for range 2 { // a pipe gives its content only once
				data, err := File(file)
				if test.bad == 0 && (err != nil || string(data) != test.want) || test.bad != 0 && (err == nil || !strings.Contains(err.Error(), test.want) || fault.Of(err) != test.bad) {
					t.Fatalf("got %q, %v of class %v; want %q of class %v", data, err, fault.Of(err), test.want, test.bad)
				}
			}
			if test.bad != 0 {
				return
			}
			if again, err := os.ReadFile(Again(file, t.TempDir())); err != nil || string(again) != test.want {
				t.Errorf("again: %q, %v", again, err)
			}
		})
	}
}
