package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// reflink makes dst share the blocks of src where the file system can (btrfs,
// XFS, bcachefs), and reports whether it did.
func reflink(dst, src *os.File) bool {
	return unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())) == nil
}
