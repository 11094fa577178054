//go:build unix

package disk

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Freed returns how many bytes removing a file or an empty folder frees.
func Freed(info fs.FileInfo) int64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.Size()
	}
	if !info.IsDir() && st.Nlink > 1 {
		return 0
	}
	return int64(st.Blocks) * 512 // whatever the block size of the file system
}

// Free returns how many bytes this user may still write to the disk of dir, or
// -1 if that is unknown.
func Free(dir string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return -1
	}
	return int64(st.Bavail) * int64(st.Bsize)
}

// Lock waits for a shared lock, or takes an exclusive lock if nobody holds one.
// It is the lock that lockedfile takes on these systems. It belongs to the open
// file: a process that inherits the file keeps the lock.
func Lock(f *os.File, exclusive bool) error {
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX | unix.LOCK_NB
	}
	for {
		if err := unix.Flock(int(f.Fd()), how); err != unix.EINTR {
			return err
		}
	}
}
