package store

import (
	"io/fs"

	"golang.org/x/sys/windows"
)

// onDisk is the size of a file: what its clusters cost Windows does not tell
// with the rest.
func onDisk(info fs.FileInfo) int64 {
	if info.IsDir() {
		return 0
	}
	return info.Size()
}

// freeSpace is what this user may still write on the disk of dir, -1 where that
// is not told.
func freeSpace(dir string) int64 {
	name, err := windows.UTF16PtrFromString(dir)
	var free uint64
	if err != nil || windows.GetDiskFreeSpaceEx(name, &free, nil, nil) != nil {
		return -1
	}
	return int64(free)
}
