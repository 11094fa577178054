package fault

import (
	"errors"
	"io/fs"
	"net"
	"strings"
	"syscall"
)

// A reason is a refusal of the operating system that is about this machine
// alone, whoever was asked for what.
type reason struct {
	errs []error
	hint string
}

func reasons() []reason {
	const place = " (the cache: BUCK2_PROTOBUF_CACHE_DIR; scratch files: TMPDIR)"
	return []reason{
		{append([]error{syscall.EMFILE}, tooManyFiles...), "let it open more files: ulimit -n 4096"},
		{[]error{syscall.ENFILE}, "end other programs: this machine has too many files open"},
		{append([]error{syscall.ENOSPC}, diskFull...), "make room on the disk, or use another one" + place},
		{[]error{syscall.EDQUOT}, "make room: your quota of this disk is used up; or use another disk" + place},
		{append([]error{syscall.EROFS}, writeProtected...), "use a folder that can be written" + place},
		{[]error{syscall.EIO}, "see whether the disk is damaged, or use another one" + place},
		{[]error{syscall.ENOMEM, syscall.ENOBUFS}, "end other programs, or give this machine or container more memory"},
		{[]error{syscall.EACCES, syscall.EPERM, fs.ErrPermission}, "see that this user may read and write what it names (ls -ld), and that no sandbox forbids it"},
	}
}

// IsMachine reports whether the operating system refused for a reason of this
// machine: no more files, space or memory, no permission, a disk that fails. An
// error of a network connection may be one as well.
func IsMachine(err error) bool {
	return machineReason(err) != nil
}

func machineReason(err error) *reason {
	if err == nil || errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	// A server that forbids says fs.ErrPermission as well; only what the system
	// says counts.
	var errno syscall.Errno
	system := errors.As(err, &errno)
	var dns *net.DNSError
	errors.As(err, &dns)
	for _, r := range reasons() {
		for _, e := range r.errs {
			if system && errors.Is(errno, e) {
				return &r
			}
			// The resolver keeps the text alone.
			if n, ok := e.(syscall.Errno); ok && dns != nil && strings.Contains(dns.Err, n.Error()) {
				return &r
			}
		}
	}
	return nil
}

// MachineHint is the hint for what this machine refused: see [IsMachine].
func MachineHint(err error) string {
	if r := machineReason(err); r != nil {
		return r.hint
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "see whether it was moved or removed, then run this again"
	}
	return "see what the operating system says of it, then run this again"
}
