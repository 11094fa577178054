package filestat

import (
	"bytes"
	"io/fs"
	"path/filepath"
)

// identify returns what Windows knows without opening a file.
func identify(info fs.FileInfo) Identity {
	return Identity{idSize: info.Size(), idModified: info.ModTime().UnixNano(), idMode: int64(info.Mode())}
}

// A folder is the name of a folder.
type folder string

func openFolder(name string) (folder, error) { return folder(name), nil }

func (f folder) close() {}

// same compares a folder below f with its entries.
func (f folder) same(path, entries Record) error {
	in := filepath.Join(string(f), filepath.FromSlash(string(path)))
	for len(entries) > 0 {
		name, want, size := entries.entry()
		entries = entries[size:]
		if got, err := Lstat(filepath.Join(in, string(bytes.TrimSuffix(name, []byte{0})))); err != nil {
			return err
		} else if got != want {
			return errChanged
		}
	}
	return nil
}
