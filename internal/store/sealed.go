package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
)

// A sealed file is a small file that somebody will believe: its first line is the
// SHA-256, in hexadecimal, over its name below the store, a line end, and all that
// follows the first line. One that was changed, cut or moved is none.

// sealedFolders hold nothing else than sealed files.
var sealedFolders = []string{"compiled", "documents", "warm"}

func sealOf(name string, data []byte) string {
	h := sha256.New()
	h.Write([]byte(name + "\n"))
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil)) + "\n"
}

// Seal writes a sealed file. Name is as in [Store.Put], in one of the folders for
// such files; so are the errors.
func (s *Store) Seal(name string, perm fs.FileMode, data []byte) error {
	return s.Put(name, perm, append([]byte(sealOf(name, data)), data...))
}

// Sealed returns what [Store.Seal] wrote, or false.
func (s *Store) Sealed(name string) ([]byte, bool) {
	text, err := readFile(s.path(name))
	if err != nil {
		return nil, false
	}
	n := bytes.IndexByte(text, '\n') + 1
	return text[n:], n > 0 && string(text[:n]) == sealOf(name, text[n:])
}

// brokenSeals lists what is in the folders of sealed files and is none.
func (s *Store) brokenSeals() (broken []string, all int) {
	for _, folder := range sealedFolders {
		entries, _ := os.ReadDir(s.path(folder)) // absent: nothing to look at
		for _, e := range entries {
			name := folder + "/" + e.Name()
			if _, ok := s.Sealed(name); !ok {
				if _, err := os.Lstat(s.path(name)); err == nil { // else it went meanwhile
					broken = append(broken, filepath.FromSlash(name))
				}
			}
			all++
		}
	}
	return broken, all
}
