package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/archive"
)

// A Listing is the result of strictly reading a blob.
type Listing struct {
	Files []archive.File    // sorted by path
	Heads map[string][]byte // the first bytes of some of them, by path
}

// Scan returns the result of strictly reading a blob. It calls read, and records
// the result, unless the blob was already read on this machine by the same
// [archive.Rules] and with the same how, which must describe everything else
// that the files depend on. Keep returns how many bytes from the beginning of a
// file are needed. The caller must have opened the blob with [Store.Blob], which
// hashes it.
//
// The result is kept as a document, so it has a digest and is limited and
// cleared like the others. Its paths are checked each time. If it lacks bytes
// that are needed now, the blob is read again and they are added.
func (s *Store) Scan(d Digest, how string, keep func(path string) int, read func() (Listing, error)) (Listing, error) {
	key := "files of " + d.String() + "\n" + archive.Rules() + "\n" + how
	var known Listing
	if doc, ok := s.Document(key); ok && doc.From == key {
		if l, err := parseListing(doc.Body); err == nil {
			if found, whole := l.only(keep); whole {
				return found, nil
			}
			known = l
		}
	}
	found, err := read()
	if err == nil {
		_ = s.KeepDocument(key, Document{Body: found.and(known).print(), From: key}) // on failure it is read again
	}
	return found, err
}

// only returns the listing with exactly the bytes that keep asks for. Whole is
// false if the listing does not have them all.
func (l Listing) only(keep func(path string) int) (found Listing, whole bool) {
	found = Listing{Files: l.Files, Heads: map[string][]byte{}}
	for _, f := range l.Files {
		n := int64(keep(f.Path))
		if n == 0 {
			continue
		}
		head, ok := l.Heads[f.Path]
		n = min(n, f.Size)
		if !ok || int64(len(head)) < n {
			return Listing{}, false
		}
		found.Heads[f.Path] = head[:n:n]
	}
	return found, true
}

// and returns the listing with the additional bytes of another listing of the
// same blob.
func (l Listing) and(other Listing) Listing {
	both := Listing{Files: l.Files, Heads: maps.Clone(other.Heads)}
	if both.Heads == nil {
		both.Heads = map[string][]byte{}
	}
	for name, head := range l.Heads {
		if have, ok := both.Heads[name]; !ok || len(have) < len(head) {
			both.Heads[name] = head
		}
	}
	return both
}

// print writes the list of files, an empty line, and the kept bytes of each file as
// "<how many> <path>\n<bytes>\n".
func (l Listing) print() []byte {
	b := bytes.NewBuffer(printFiles(l.Files))
	b.WriteByte('\n')
	for _, name := range slices.Sorted(maps.Keys(l.Heads)) {
		fmt.Fprintf(b, "%d %s\n%s\n", len(l.Heads[name]), name, l.Heads[name])
	}
	return b.Bytes()
}

func parseListing(data []byte) (Listing, error) {
	list, rest, ok := bytes.Cut(data, []byte("\n\n"))
	if !ok {
		return Listing{}, errMalformed
	}
	files, err := parseFiles(data[:len(list)+1])
	if err != nil {
		return Listing{}, err
	}
	if _, err := archive.TreeHash(files); err != nil {
		return Listing{}, err
	}
	l := Listing{Files: files, Heads: map[string][]byte{}}
	for len(rest) > 0 {
		line, after, ok := bytes.Cut(rest, []byte("\n"))
		size, name, _ := strings.Cut(string(line), " ")
		n, err := strconv.Atoi(size)
		if !ok || err != nil || n < 0 || n >= len(after) || after[n] != '\n' {
			return Listing{}, errMalformed
		}
		l.Heads[name] = bytes.Clone(after[:n]) // so that the document is not kept in memory
		rest = after[n+1:]
	}
	return l, nil
}

var errMalformed = errors.New("malformed list of files")

// printFiles writes one line for each file: "<sha256> <x or -> <size> <path>".
func printFiles(files []archive.File) []byte {
	var b bytes.Buffer
	for _, f := range files {
		fmt.Fprintf(&b, "%x %s %d %s\n", f.SHA256, f.Flag(), f.Size, f.Path)
	}
	return b.Bytes()
}

func parseFiles(data []byte) ([]archive.File, error) {
	files := make([]archive.File, 0, bytes.Count(data, []byte("\n")))
	for line := range strings.Lines(string(data)) { // the paths share one string
		sum, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		flag, rest, _ := strings.Cut(rest, " ")
		size, name, ok := strings.Cut(rest, " ")
		f := archive.File{Path: name, Exec: flag == "x"}
		if !ok || len(sum) != hex.EncodedLen(len(f.SHA256)) {
			return nil, errMalformed
		}
		if _, err := hex.Decode(f.SHA256[:], []byte(sum)); err != nil {
			return nil, errMalformed
		}
		var err error
		if f.Size, err = strconv.ParseInt(size, 10, 64); err != nil {
			return nil, errMalformed
		}
		files = append(files, f)
	}
	return files, nil
}
