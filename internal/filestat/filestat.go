// Package filestat records the result of stat for files and folders, and
// compares it later without reading the files.
package filestat

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/archive"
)

// An Identity has the numbers that stat returns for a file or folder: size,
// mtime, ctime, inode and mode. Resetting the mtime after a write changes the
// ctime. On Windows, ctime and inode are 0.
type Identity [5]int64

// Indexes of an [Identity].
const (
	idSize = iota
	idModified
	Changed
	idInode
	idMode
)

// An Entry is the record of one file or folder.
type Entry struct {
	Name string // path below the tree, "." for the tree itself
	Identity
}

// Walk calls stat for everything below dir. The first entry is dir itself.
// settled is true if any change from now on will be visible to stat.
func Walk(dir string) (all []Entry, settled bool, err error) {
	err = filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		id, err := Lstat(name)
		all = append(all, Entry{filepath.ToSlash(rel), id})
		return err
	})
	return all, err == nil && settle(all), err
}

// ClockTick is longer than the resolution of file times on file systems that
// have fractions of a second: changes further apart get different times.
const ClockTick = 20 * time.Millisecond

// settle waits until a change to the files would change their times, and
// reports whether it would. It would not if times are whole seconds or in the
// future.
func settle(all []Entry) bool {
	newest := all[0].Identity
	for _, s := range all {
		if s.changed().After(newest.changed()) {
			newest = s.Identity
		}
	}
	if age := time.Since(newest.changed()); age >= 0 && age < ClockTick {
		time.Sleep(ClockTick - age)
	}
	return newest.Settled()
}

// Settled reports whether a change from now on would change the identity. That
// is not so within the clock tick of the last change.
func (id Identity) Settled() bool {
	age := time.Since(id.changed())
	if id.changed().Nanosecond() == 0 {
		return age > 3*time.Second // the file system may only store whole seconds
	}
	return age >= ClockTick
}

// changed returns the time of the last change, as far as stat returns it.
func (id Identity) changed() time.Time {
	if id[Changed] != 0 {
		return time.Unix(0, id[Changed])
	}
	return time.Unix(0, id[idModified])
}

// Same reports whether stat still returns what the record has for each file.
func Same(r Record, dir string) bool {
	root, err := openFolder(dir)
	if err != nil {
		return false
	}
	defer root.close()
	const part = 16 << 10 // bytes of a record, so that small trees use one goroutine
	var parts []Record
	for rest := r; len(rest) > 0; {
		n := 0
		for n < min(part, len(rest)) {
			_, _, size := rest[n:].folder()
			n += size
		}
		parts, rest = append(parts, rest[:n]), rest[n:]
	}
	err = archive.ForEach(context.Background(), len(parts), func(i int) error {
		for p := parts[i]; len(p) > 0; {
			path, entries, size := p.folder()
			p = p[size:]
			if err := root.same(path, entries); err != nil {
				return err
			}
		}
		return nil
	})
	return err == nil
}

var errChanged = errors.New("not what was there")

// A Record is the content of a .seen file. It is not decoded, so that comparing
// a tree of 5,000 files needs no 5,000 strings. It lists the folders of a tree:
// the length of the path, the path, the length of the entries, and the entries.
// Each entry has the length of the name below the folder, the name with a 0 at
// its end, and the five numbers of its identity. The tree itself is "." in the
// folder ".". Lengths have 4 bytes and numbers 8, little-endian. A checksum
// (CRC-32C) follows, see [Record.sum].
type Record []byte

// fewEntries is the number of entries below which opening a folder is not worth
// its cost. They are then recorded with the folder above.
const fewEntries = 8

// NewRecord returns a record with all entries.
func NewRecord(all []Entry) Record {
	many := map[string]int{}
	for _, s := range all {
		many[path.Dir(s.Name)]++
	}
	in := map[string]Record{}
	for _, s := range all {
		folder, name := path.Dir(s.Name), s.Name
		for folder != "." && many[folder] < fewEntries {
			folder = path.Dir(folder)
		}
		if folder != "." {
			name = name[len(folder)+1:]
		}
		r := binary.LittleEndian.AppendUint32(in[folder], uint32(len(name)+1))
		r = append(append(r, name...), 0) // as the system call expects
		for _, n := range s.Identity {
			r = binary.LittleEndian.AppendUint64(r, uint64(n))
		}
		in[folder] = r
	}
	var r Record
	for _, folder := range slices.Sorted(maps.Keys(in)) {
		r = binary.LittleEndian.AppendUint32(r, uint32(len(folder)))
		r = append(r, folder...)
		r = binary.LittleEndian.AppendUint32(r, uint32(len(in[folder])))
		r = append(r, in[folder]...)
	}
	return r
}

// field returns the bytes after a length, and the size of both.
func (r Record) field() (text Record, size int) {
	size = 4 + int(binary.LittleEndian.Uint32(r))
	return r[4:size], size
}

// folder returns the first folder, its entries, and the size of both.
func (r Record) folder() (path, entries Record, size int) {
	path, a := r.field()
	entries, b := r[a:].field()
	return path, entries, a + b
}

// entry returns the first entry of a folder, and its size. The name ends with
// 0.
func (r Record) entry() (name Record, id Identity, size int) {
	name, size = r.field()
	for k := range id {
		id[k] = int64(binary.LittleEndian.Uint64(r[size:]))
		size += 8
	}
	return name, id, size
}

// sum covers the version of the format, the name of the tree, and the record,
// so that a record of another tree or version is rejected.
func (r Record) sum(tree string) uint32 {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum([]byte("sights 3\n"+tree), castagnoli), castagnoli, r)
}

// Print returns the text of the record of a tree.
func (r Record) Print(tree string) []byte {
	return binary.LittleEndian.AppendUint32(r[:len(r):len(r)], r.sum(tree))
}

// ParseRecord parses what [Record.Print] printed for the same tree.
func ParseRecord(tree string, data []byte) (r Record, ok bool) {
	end := len(data) - 4
	if end <= 0 {
		return nil, false
	}
	r = Record(data[:end])
	return r, binary.LittleEndian.Uint32(data[end:]) == r.sum(tree)
}

// Stat returns the identity of a file. It follows links.
func Stat(name string) (Identity, error) {
	info, err := os.Stat(name)
	if err != nil {
		return Identity{}, err
	}
	return identify(info), nil
}

// Lstat returns the identity of a file, a folder, or a link itself.
func Lstat(name string) (Identity, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return Identity{}, err
	}
	return identify(info), nil
}
