//go:build unix && !(linux && (amd64 || arm64))

package filestat

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// fstatat is [unix.Fstatat] without following links. The name ends with 0.
func fstatat(dir int, name []byte, st *unix.Stat_t) error {
	for {
		err := unix.Fstatat(dir, string(bytes.TrimSuffix(name, []byte{0})), st, unix.AT_SYMLINK_NOFOLLOW)
		if err != unix.EINTR {
			return err
		}
	}
}
