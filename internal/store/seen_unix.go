//go:build unix

package store

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// identify makes the same of a FileInfo as look does of a name.
func identify(info fs.FileInfo) Identity {
	id := Identity{info.Size(), info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		id[idChanged], id[idInode], id[idMode] = changeTime(st), int64(st.Ino), int64(st.Mode)
	}
	return id
}

// sights looks at names below a folder that is open: the system then walks only
// the rest of the path.
type sights struct{ dir int }

func openSights(dir string) (sights, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	return sights{fd}, err
}

func (s sights) close() { unix.Close(s.dir) }

func (s sights) look(name string) (Identity, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstatat(s.dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == unix.EINTR {
			continue
		}
		return Identity{st.Size, st.Mtim.Nano(), st.Ctim.Nano(), int64(st.Ino), int64(st.Mode)}, err
	}
}
