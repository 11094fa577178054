package fault

import (
	"cmp"
	"errors"
	"io/fs"
	"net"
	"strings"
	"syscall"
)

// A reason is a refusal by the operating system that has its cause on this
// machine, no matter what was being done.
type reason struct {
	errs []error
	why  string
	hint string
	at   string // the hint where the folder is known, which stands for %s
}

func reasons() []reason {
	const place = " (the cache: BUCK2_PROTOBUF_CACHE_DIR; scratch files: TMPDIR)"
	return []reason{
		{append([]error{syscall.EMFILE}, tooManyFiles...), "too many open files", "let it open more files: ulimit -n 4096", ""},
		{[]error{syscall.ENFILE}, "too many open files", "end other programs: this machine has too many files open", ""},
		{append([]error{syscall.ENOSPC}, diskFull...), "the disk is full", "make room on the disk, or use another one" + place, "free space on the disk of %s"},
		{[]error{syscall.EDQUOT}, "the disk quota is used up", "make room: your quota of this disk is used up; or use another disk" + place, "free space on the disk of %s, or raise your quota of it"},
		{[]error{syscall.EFBIG}, "the file would be larger than allowed", "allow larger files: ulimit -f unlimited; or use another disk" + place, "allow larger files (ulimit -f unlimited), or use another disk than that of %s"},
		{append([]error{syscall.EROFS}, writeProtected...), "the file system is read-only", "use a folder that can be written" + place, "make %s writable"},
		{[]error{syscall.EIO}, "the disk reports an error", "see whether the disk is damaged, or use another one" + place, "see whether the disk of %s is damaged"},
		{[]error{syscall.ENOLCK}, "the file system has no locks", "move the cache to a local disk: BUCK2_PROTOBUF_CACHE_DIR", "move the cache to a local disk"},
		{[]error{syscall.ENOMEM, syscall.ENOBUFS}, "out of memory", "end other programs, or give this machine or container more memory", ""},
		{[]error{syscall.EACCES, syscall.EPERM, fs.ErrPermission}, "permission is missing", "see that this user may read and write what it names (ls -ld), and that no sandbox forbids it", "make %s writable"},
	}
}

// Disk classifies a file system error below dir. Alternative is appended to the
// hint.
func Disk(err error, dir, alternative string) error {
	why, hint := "cannot write", "make "+dir+" writable"
	if r := machineReason(err); r != nil {
		why, hint = r.why, strings.ReplaceAll(cmp.Or(r.at, r.hint), "%s", dir)
	}
	if alternative != "" {
		hint += ", " + alternative
	}
	if !strings.Contains(err.Error(), dir) { // the errors of os.Root are relative
		return Errorf(Machine, hint, "%s: %s: %w", dir, why, err)
	}
	return Errorf(Machine, hint, "%s: %w", why, err)
}

// IsMachine reports whether the operating system refused something because of
// this machine: too many open files, no space or memory, no permission, a
// failing disk. The error of a network connection can be such an error, too.
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

// MachineHint returns the hint for an error of which [IsMachine] is true.
func MachineHint(err error) string {
	if r := machineReason(err); r != nil {
		return r.hint
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "see whether it was moved or removed, then run this again"
	}
	return "see what the operating system says of it, then run this again"
}
