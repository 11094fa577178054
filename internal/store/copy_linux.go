package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// reflink makes dst share the blocks of src where the file system can (btrfs,
// XFS, bcachefs), and reports whether it did.
func reflink(dst, src *os.File) bool {
	return unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())) == nil
}

// syncDir makes a rename in dir last through a loss of power. File systems that
// cannot do it need not.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	return nil
}
