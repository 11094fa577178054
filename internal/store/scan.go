package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/archive"
)

// Scan returns what a strict reading of a blob, a tar.gz or a zip, found in it.
// It calls read where none did on this machine by the same rules of [archive.Unpack], and
// then remembers its result. How is all that read depends on besides these and
// the bytes. Those the caller has hashed, by [Store.Blob], whether it reads them
// or not.
//
// What is remembered is one document: written in one step, with a digest over
// it, bounded and cleared as all are. Its paths obey the rules each time.
func (s *Store) Scan(d Digest, how string, read func() ([]archive.File, error)) ([]archive.File, error) {
	key := "files of " + d.String() + "\n" + archive.Rules() + "\n" + how
	if doc, ok := s.Document(key); ok && doc.From == key {
		files, err := parseFiles(doc.Body)
		if err == nil && len(files) > 0 {
			if _, err = archive.TreeHash(files); err == nil {
				return files, nil
			}
		}
	}
	files, err := read()
	if err == nil {
		_ = s.KeepDocument(key, Document{Body: printFiles(files), From: key}) // else it is read again
	}
	return files, err
}

// printFiles writes a list of files, one to a line, "<sha256> <x or -> <size> <path>".
func printFiles(files []archive.File) []byte {
	var b bytes.Buffer
	for _, f := range files {
		fmt.Fprintf(&b, "%x %s %d %s\n", f.SHA256, f.Flag(), f.Size, f.Path)
	}
	return b.Bytes()
}

func parseFiles(data []byte) ([]archive.File, error) {
	files := make([]archive.File, 0, bytes.Count(data, []byte("\n")))
	malformed := errors.New("malformed list of files")
	for line := range strings.Lines(string(data)) { // one string, which the paths share
		sum, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		flag, rest, _ := strings.Cut(rest, " ")
		size, name, ok := strings.Cut(rest, " ")
		f := archive.File{Path: name, Exec: flag == "x"}
		if !ok || len(sum) != hex.EncodedLen(len(f.SHA256)) {
			return nil, malformed
		}
		if _, err := hex.Decode(f.SHA256[:], []byte(sum)); err != nil {
			return nil, malformed
		}
		var err error
		if f.Size, err = strconv.ParseInt(size, 10, 64); err != nil {
			return nil, malformed
		}
		files = append(files, f)
	}
	return files, nil
}
