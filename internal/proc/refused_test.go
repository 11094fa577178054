package proc

import (
	"strings"
	"syscall"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

func TestRefusedBySystem(t *testing.T) {
	for said, want := range map[string]error{
		"npm error code ENOSPC\nnpm error syscall write":                                            syscall.ENOSPC,
		"Error: EMFILE: too many open files, open '/x/y'":                                           syscall.EMFILE,
		"npm error code EACCES\nnpm error path /x":                                                  syscall.EACCES,
		"ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device":   syscall.ENOSPC,
		"OSError: [Errno 122] Disk quota exceeded: '/x'":                                            syscall.EDQUOT,
		"OSError: [Errno 24] Too many open files: '/x'":                                             syscall.EMFILE,
		"Caused by:\n  Read-only file system (os error 30)":                                         syscall.EROFS,
		"error: failed to write `/x`: No space left on device (os error 28)":                        syscall.ENOSPC,
		"go: open /x/go.mod: permission denied":                                                     syscall.EACCES,
		"go: writing go.sum: write /x: no space left on device\n":                                   syscall.ENOSPC,
		"dial tcp: lookup host: dial udp 127.0.0.1:53: socket: too many open files":                 syscall.EMFILE,
		"npm error code E500\nnpm error 500 Internal Server Error - no space left on device":        nil,
		"go: module x: reading https://proxy/x: 500 Internal Server Error: no space left on device": nil,
		"git@github.com: Permission denied (publickey).":                                            nil,
		"npm error code E403\nnpm error 403 Forbidden":                                              nil,
		"ERROR: HTTP error 403 while getting https://host/x":                                        nil,
		"": nil,
	} {
		if got := refusedBySystem(said); got != want {
			t.Errorf("%q: %v, want %v", said, got, want)
		}
	}
}

// TestRefusedClass: a client that could not write is of this machine, whatever
// it was started for; what a plugin says of itself counts for nothing.
func TestRefusedClass(t *testing.T) {
	t.Parallel()
	for class, want := range map[fault.Class]fault.Class{fault.Upstream: fault.Machine, fault.Machine: fault.Machine, fault.Integrity: fault.Integrity} {
		c := tool(t, "complain OSError: [Errno 28] No space left on device")
		c.Class, c.Hint = class, ""
		_, err := c.Run(t.Context())
		fake.WantFault(t, err, want, "exit status 3", "No space left on device")
		if hint := fault.Hint(err); hint == "" || want == fault.Machine && !strings.Contains(hint, "make room") {
			t.Errorf("%s: hint %q", class, hint)
		}
	}
}
