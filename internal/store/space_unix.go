//go:build unix

package store

import (
	"io/fs"
	"syscall"
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
