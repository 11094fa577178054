package disk

import (
	"io/fs"
	"math"
	"os"

	"golang.org/x/sys/windows"
)

// Freed returns the size of a file: Windows does not report the size of its
// clusters together with the other attributes.
func Freed(info fs.FileInfo) int64 {
	if info.IsDir() {
		return 0
	}
	return info.Size()
}

// Free returns how many bytes this user may still write to the disk of dir, or
// -1 if that is unknown.
func Free(dir string) int64 {
	name, err := windows.UTF16PtrFromString(dir)
	var free uint64
	if err != nil || windows.GetDiskFreeSpaceEx(name, &free, nil, nil) != nil {
		return -1
	}
	return int64(free)
}

// Lock waits for a shared lock, or takes an exclusive one if nobody has any, on
// the same range as lockedfile.
func Lock(f *os.File, exclusive bool) error {
	var how uint32
	if exclusive {
		how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	}
	return windows.LockFileEx(windows.Handle(f.Fd()), how, 0, math.MaxUint32, math.MaxUint32, new(windows.Overlapped))
}
