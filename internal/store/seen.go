package store

import (
	"context"
	"encoding/binary"
	"errors"
	"github.com/birbparty/buck2-protobuf/internal/archive"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"time"
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

// same reports whether stat says the same of everything below dir.
func same(all []sight, dir string) bool {
	at, err := openSights(dir)
	if err != nil {
		return false
	}
	defer at.close()
	const part = 256 // sights, so that a small tree is not shared out
	err = archive.ForEach(context.Background(), (len(all)+part-1)/part, func(i int) error {
		for _, s := range all[i*part : min((i+1)*part, len(all))] {
			if id, err := at.look(s.name); err != nil || id != s.Identity {
				return errChanged
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
	all = append(all, sight{listSight(tree), list})
	if err != nil || !same(all, s.path("trees", tree)) {
		remove(s.path(name))
		return
	}
	_ = s.Put(name, 0o644, printSights(tree, all)) // a read-only cache goes without
}

// Unchanged reports whether stat says of a tree what it said when the tree was
// hashed. It reads nothing of the tree.
func (s *Store) Unchanged(tree string) bool {
	data, err := readFile(s.path("trees", tree+".seen"))
	if err != nil {
		return false
	}
	all, ok := parseSights(tree, data)
	return ok && same(all, s.path("trees", tree))
}

// Doubt has the tree hashed by its next use.
func (s *Store) Doubt(tree string) { remove(s.path("trees", tree+".seen")) }

// The file has for each sight the length of its name, the name, and five numbers
// of 8 bytes; at the end a checksum (CRC-32C) over the name of the tree and all
// that. Numbers are little-endian.

func sightsSum(tree string, body []byte) uint32 {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum([]byte(tree), castagnoli), castagnoli, body)
}

func printSights(tree string, all []sight) []byte {
	var b []byte
	for _, s := range all {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(s.name)))
		b = append(b, s.name...)
		for _, n := range s.Identity {
			b = binary.LittleEndian.AppendUint64(b, uint64(n))
		}
	}
	return binary.LittleEndian.AppendUint32(b, sightsSum(tree, b))
}

func parseSights(tree string, data []byte) (all []sight, ok bool) {
	end := len(data) - 4
	if end <= 0 || binary.LittleEndian.Uint32(data[end:]) != sightsSum(tree, data[:end]) {
		return nil, false
	}
	text := string(data[:end]) // one string, which the names share
	all = make([]sight, 0, end/64)
	for i := 0; i < end; {
		n := int(binary.LittleEndian.Uint32(data[i:]))
		i += 4
		if n > end-i-8*len(Identity{}) {
			return nil, false
		}
		s := sight{name: text[i : i+n]}
		i += n
		for k := range s.Identity {
			s.Identity[k] = int64(binary.LittleEndian.Uint64(data[i:]))
			i += 8
		}
		all = append(all, s)
	}
	return all, true
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
