package store

import (
	"io/fs"
	"path/filepath"
)

// identify has what Windows tells without opening a file.
func identify(info fs.FileInfo) Identity {
	return Identity{idSize: info.Size(), idModified: info.ModTime().UnixNano(), idMode: int64(info.Mode())}
}

type sights struct{ dir string }

func openSights(dir string) (sights, error) { return sights{dir}, nil }

func (s sights) close() {}

func (s sights) look(name string) (Identity, error) {
	return lookAt(filepath.Join(s.dir, filepath.FromSlash(name)))
}
