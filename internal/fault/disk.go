package fault

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
)

// Disk classifies an error of the file system below dir. Alternative ends
// the hint.
func Disk(err error, dir, alternative string) error {
	hint := "make " + dir + " writable"
	why := "cannot write"
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint, why = "free space on the disk of "+dir, "the disk is full"
	case errors.Is(err, syscall.EROFS):
		why = "the file system is read-only"
	case errors.Is(err, fs.ErrPermission):
		why = "permission is missing"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		hint, why = "raise the limit of open files (ulimit -n)", "too many open files"
	case errors.Is(err, syscall.ENOLCK):
		hint, why = "move the cache to a local disk", "the file system has no locks"
	}
	if alternative != "" {
		hint += ", " + alternative
	}
	if !strings.Contains(err.Error(), dir) { // the errors of os.Root are relative
		return Errorf(Machine, hint, "%s: %s: %w", dir, why, err)
	}
	return Errorf(Machine, hint, "%s: %w", why, err)
}
