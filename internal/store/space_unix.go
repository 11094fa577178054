//go:build unix

package store

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// onDisk is the number of bytes that removing a file or an empty folder frees.
func onDisk(info fs.FileInfo) int64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.Size()
	}
	if !info.IsDir() && st.Nlink > 1 {
		return 0
	}
	return int64(st.Blocks) * 512 // whatever the block size of the file system
}

// freeSpace is what this user may still write on the disk of dir, -1 where that
// is not told.
func freeSpace(dir string) int64 {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return -1
	}
	return int64(st.Bavail) * int64(st.Bsize)
}
