//go:build unix

package filestat

import (
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// identify returns the same for a FileInfo as Lstat for a name.
func identify(info fs.FileInfo) Identity {
	id := Identity{info.Size(), info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		id[Changed], id[idInode], id[idMode] = changeTime(st), int64(st.Ino), int64(st.Mode)
	}
	return id
}

// folder is an open folder.
type folder int

func openFolder(name string) (folder, error) { return folder(unix.AT_FDCWD).open(name) }

func (f folder) open(name string) (folder, error) {
	for {
		fd, err := unix.Openat(int(f), name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return folder(fd), err
		}
	}
}

func (f folder) close() { unix.Close(int(f)) }

// same compares a folder below f with its entries.
func (f folder) same(path, entries Record) error {
	in, err := f.open(string(path))
	if err != nil {
		return err
	}
	defer in.close()
	var st unix.Stat_t
	for len(entries) > 0 {
		name, want, size := entries.entry()
		entries = entries[size:]
		if err := fstatat(int(in), name, &st); err != nil {
			return err
		}
		if want != (Identity{st.Size, st.Mtim.Nano(), st.Ctim.Nano(), int64(st.Ino), int64(st.Mode)}) {
			return errChanged
		}
	}
	return nil
}
