package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
)

// A sealed file is a small file whose content is trusted: its first line is the
// SHA-256, in hexadecimal, of its name below the store, a newline, and
// everything after the first line. A file that was changed, cut short or moved
// is not accepted.

// sealedFolders have only sealed files.
var sealedFolders = []string{"compiled", "documents", "warm"}

func sealOf(name string, data []byte) string {
	h := sha256.New()
	h.Write([]byte(name + "\n"))
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil)) + "\n"
}

// Seal writes a sealed file. Name and errors are as in [Store.Put]; the name
// must be in one of the sealed folders.
func (s *Store) Seal(name string, perm fs.FileMode, data []byte) error {
	return s.Put(name, perm, append([]byte(sealOf(name, data)), data...))
}

// Sealed returns the content that [Store.Seal] wrote, or false.
func (s *Store) Sealed(name string) ([]byte, bool) {
	text, err := readFile(s.path(name))
	if err != nil {
		return nil, false
	}
	n := bytes.IndexByte(text, '\n') + 1
	return text[n:], n > 0 && string(text[:n]) == sealOf(name, text[n:])
}

// brokenSeals lists the files in sealed folders whose seal is broken.
func (s *Store) brokenSeals() (broken []string, all int) {
	for _, folder := range sealedFolders {
		entries, _ := os.ReadDir(s.path(folder)) // missing: nothing to check
		for _, e := range entries {
			name := folder + "/" + e.Name()
			if _, ok := s.Sealed(name); !ok {
				if _, err := os.Lstat(s.path(name)); err == nil { // otherwise it was removed in the meantime
					broken = append(broken, filepath.FromSlash(name))
				}
			}
			all++
		}
	}
	return broken, all
}
