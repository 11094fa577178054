package store

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/disk"
)

// Health describes the disk of a cache.
type Health struct {
	Exists  bool  `json:"exists"`
	Free    int64 `json:"free_bytes"` // free for this user; -1 if the system does not say
	Reflink bool  `json:"reflink"`    // copies share their blocks
}

// Probe writes a small file in the cache folder, or the folder where it would
// be created, copies it and removes both. An error is of class [fault.Machine]
// if the cache cannot be written, or [fault.Usage] if the folder is not our
// cache.
func (s *Store) Probe() (Health, error) {
	h := Health{Free: -1}
	if err := s.mustBeOurs(); err != nil {
		return h, err
	}
	dir := s.dir
	for {
		_, err := os.Stat(dir)
		if err == nil {
			h.Exists = dir == s.dir
			break
		}
		parent := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || parent == dir {
			return h, s.refused(err)
		}
		dir = parent
	}
	h.Free = disk.Free(dir)
	tmp, err := os.MkdirTemp(dir, ".buck2-protobuf-probe-*")
	if err != nil {
		return h, s.refused(err)
	}
	defer os.RemoveAll(tmp)
	a, err := os.Create(filepath.Join(tmp, "a"))
	if err != nil {
		return h, s.refused(err)
	}
	defer a.Close()
	b, err := os.Create(filepath.Join(tmp, "b"))
	if err != nil {
		return h, s.refused(err)
	}
	defer b.Close()
	if _, err := a.Write(bytes.Repeat([]byte("probe\n"), 64<<10)); err != nil {
		return h, s.refused(err)
	}
	h.Reflink = archive.Reflink(b, a)
	return h, nil
}
