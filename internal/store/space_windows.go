package store

import "io/fs"

// onDisk is the size of a file: what its clusters cost Windows does not tell
// with the rest.
func onDisk(info fs.FileInfo) int64 {
	if info.IsDir() {
		return 0
	}
	return info.Size()
}
