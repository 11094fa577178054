//go:build linux && (amd64 || arm64)

package filestat

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// fstatat is [unix.Fstatat] without following links. It saves two costs that
// matter over 5,000 calls: the original copies the name (here it ends with 0)
// and tells the scheduler that the call may block.
func fstatat(dir int, name []byte, st *unix.Stat_t) error {
	if len(name) == 0 || name[len(name)-1] != 0 {
		return unix.EINVAL
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_NEWFSTATAT, uintptr(dir), uintptr(unsafe.Pointer(&name[0])), uintptr(unsafe.Pointer(st)), unix.AT_SYMLINK_NOFOLLOW, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
