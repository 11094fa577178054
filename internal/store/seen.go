package store

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

// An Identity is what stat says of a file or a folder: size, time of
// modification, time of change, inode and mode. Whoever writes to a file and
// sets its time back changes the third; Windows has neither that nor inodes here.
type Identity [5]int64

// The places in an [Identity].
const (
	idSize = iota
	idModified
	idChanged
	idInode
	idMode
)

// A tree that was hashed is known by what stat said of it then: of every file,
// every folder, and the list beside it. That is kept in trees/<tree>.seen, and a
// tree of which stat says the same is taken without reading it. A folder that
// got or lost an entry has other times. Anything else than full agreement, such
// as in a cache that was copied, has the tree hashed, which renews the file.

// A sight is one file or folder of a view.
type sight struct {
	name string // below the tree, "." for its folder
	Identity
}

// listSight is the name of the list of a tree, see writeStamp, below the tree.
func listSight(tree string) string { return "../" + tree + ".ok" }

// view looks at all that is below dir. The first sight is dir itself. Settled is
// whether a change from now on shows in what stat says.
func view(dir string) (all []sight, settled bool, err error) {
	err = filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		id, err := lookAt(name)
		all = append(all, sight{filepath.ToSlash(rel), id})
		return err
	})
	return all, err == nil && settle(all), err
}

// ClockTick is more than what the times of two changes, one after the other, can
// agree by on a file system that keeps fractions of a second.
const ClockTick = 20 * time.Millisecond

// settle waits until a change to what was viewed would show in its times, and
// reports whether it would: not where times are whole seconds or in the future.
func settle(all []sight) bool {
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

// Settled reports whether another change of what has the identity would show in
// it: not within the tick of the clock in which it was changed last.
func (id Identity) Settled() bool {
	age := time.Since(id.changed())
	if id.changed().Nanosecond() == 0 {
		return age > 3*time.Second // the file system may have no fractions of a second
	}
	return age >= ClockTick
}

// changed is when it was changed last, as far as that is known.
func (id Identity) changed() time.Time {
	if id[idChanged] != 0 {
		return time.Unix(0, id[idChanged])
	}
	return time.Unix(0, id[idModified])
}

// same reports whether stat says of everything in a record what it says there.
func same(r record, dir string) bool {
	root, err := openFolder(dir)
	if err != nil {
		return false
	}
	defer root.close()
	const part = 16 << 10 // bytes of a record, so that a small tree is not shared out
	var parts []record
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
			path, sights, size := p.folder()
			p = p[size:]
			if err := root.same(path, sights); err != nil {
				return err
			}
		}
		return nil
	})
	return err == nil
}

var errChanged = errors.New("not what was there")

// remember keeps what was seen of a tree before it was hashed and is still so;
// otherwise nothing is remembered, and the tree is hashed the next time.
func (s *Store) remember(tree string, all []sight) {
	name := "trees/" + tree + ".seen"
	list, err := lookAt(s.path("trees", tree+".ok"))
	r := newRecord(append(all, sight{listSight(tree), list}))
	if err != nil || !same(r, s.path("trees", tree)) {
		remove(s.path(name))
		return
	}
	_ = s.Put(name, 0o644, r.print(tree)) // a read-only cache goes without
}

// Unchanged reports whether stat says of a tree what it said when the tree was
// hashed. It reads nothing of the tree.
func (s *Store) Unchanged(tree string) bool {
	data, err := readFile(s.path("trees", tree+".seen"))
	if err != nil {
		return false
	}
	r, ok := parseRecord(tree, data)
	return ok && same(r, s.path("trees", tree))
}

// Doubt has the tree hashed by its next use.
func (s *Store) Doubt(tree string) { remove(s.path("trees", tree+".seen")) }

// A record is what a file of sights holds, as bytes: a tree of 5,000 files is
// compared without making 5,000 strings first. It has folders of the tree, one after
// the other: the length of its path, the path, the length of what was seen in it,
// and that: for each the length of its name below the folder, the name with a 0 at
// its end, and the five numbers of its identity. The tree's own folder is "." in the folder ".". Lengths
// have 4 bytes and numbers 8, little-endian. The file ends with a checksum
// (CRC-32C), see [record.sum].
type record []byte

// fewSights is below how many sights opening a folder costs more than it saves.
// What is in such a folder stands in the record with the folder above.
const fewSights = 8

// newRecord returns a record of all sights.
func newRecord(all []sight) record {
	many := map[string]int{}
	for _, s := range all {
		many[path.Dir(s.name)]++
	}
	in := map[string]record{}
	for _, s := range all {
		folder, name := path.Dir(s.name), s.name
		for folder != "." && many[folder] < fewSights {
			folder = path.Dir(folder)
		}
		if folder != "." {
			name = name[len(folder)+1:]
		}
		r := binary.LittleEndian.AppendUint32(in[folder], uint32(len(name)+1))
		r = append(append(r, name...), 0) // as the system wants it
		for _, n := range s.Identity {
			r = binary.LittleEndian.AppendUint64(r, uint64(n))
		}
		in[folder] = r
	}
	var r record
	for _, folder := range slices.Sorted(maps.Keys(in)) {
		r = binary.LittleEndian.AppendUint32(r, uint32(len(folder)))
		r = append(r, folder...)
		r = binary.LittleEndian.AppendUint32(r, uint32(len(in[folder])))
		r = append(r, in[folder]...)
	}
	return r
}

// field returns what stands behind its length, and the size of both.
func (r record) field() (text record, size int) {
	size = 4 + int(binary.LittleEndian.Uint32(r))
	return r[4:size], size
}

// folder returns the first folder, what was seen in it, and the size of both.
func (r record) folder() (path, sights record, size int) {
	path, a := r.field()
	sights, b := r[a:].field()
	return path, sights, a + b
}

// sight returns the first sight of a folder, and its size. The name ends in 0.
func (r record) sight() (name record, id Identity, size int) {
	name, size = r.field()
	for k := range id {
		id[k] = int64(binary.LittleEndian.Uint64(r[size:]))
		size += 8
	}
	return name, id, size
}

// sum is over the form, the name of the tree, and the record: a record of another
// tree, or that another release of this program wrote, is none.
func (r record) sum(tree string) uint32 {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum([]byte("sights 3\n"+tree), castagnoli), castagnoli, r)
}

func (r record) print(tree string) []byte {
	return binary.LittleEndian.AppendUint32(r[:len(r):len(r)], r.sum(tree))
}

func parseRecord(tree string, data []byte) (r record, ok bool) {
	end := len(data) - 4
	if end <= 0 {
		return nil, false
	}
	r = record(data[:end])
	return r, binary.LittleEndian.Uint32(data[end:]) == r.sum(tree)
}

// Identify returns the identity of a file, links followed.
func Identify(name string) (Identity, error) {
	info, err := os.Stat(name)
	if err != nil {
		return Identity{}, err
	}
	return identify(info), nil
}

// lookAt returns the identity of a file or a folder, or of a link itself.
func lookAt(name string) (Identity, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return Identity{}, err
	}
	return identify(info), nil
}
