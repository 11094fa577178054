// Package kind turns a locked file into files of a tree, with a source file for
// each kind. Lockgen and fetch share it, so fetch makes the same tree as
// lockgen did. How a lock names and checks files is in [lock.Kind].
package kind

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// A Kind reads the files of one kind.
type Kind struct {
	roots   func(key string, f lock.File) []string // nil for the tree itself
	options func(a *Artifact, c *Content) archive.Options
	keep    func(path string) int               // bytes that check needs; nil for none
	check   func(a *Artifact, c *Content) error // nil if there is nothing to check
	// integrity says that integrity of a file is a digest of its bytes, which has to be
	// that of the lock as well.
	integrity bool
	rule      string // version of the functions in options; scan caches of another one are not used
}

// Of returns the kind with this name. Files of an unknown kind are read like
// release assets.
func Of(name string) *Kind {
	if k := kinds[name]; k != nil {
		return k
	}
	return &release
}

var kinds = map[string]*Kind{lock.NPM: &npmPackage, lock.Cargo: &crate, lock.Pip: &wheelFile, lock.Go: &module, lock.Maven: &mavenFile}

// An Artifact is a locked file to be read.
type Artifact struct {
	Key  string
	File lock.File
	// Binary is the path for a file that is a single executable and no archive.
	Binary string
	// Executable is the path of a file that is executable even if the archive
	// does not say so, see [lock.Version.Executable]; "" for none.
	Executable string
	// Keep returns how many bytes from the beginning of a file the caller
	// needs; nil for none.
	Keep func(path string) (bytes int)
}

// Content is the content of an artifact. Paths are relative to its root.
type Content struct {
	Files []archive.File
	Heads map[string][]byte // the first bytes of files, as the kind or Keep asked for
	// PackageJSON returns the package.json of an npm package, see
	// [npm.ParsePackageJSON]; nil for other kinds.
	PackageJSON func() (*npm.PackageJSON, error)

	again func(tap func(path string) io.Writer) error // reads the artifact again
}

// Roots lists the folders of the tree that a file is unpacked to; "" is the
// tree itself.
func (k *Kind) Roots(key string, f lock.File) []string {
	if k.roots == nil {
		return []string{""}
	}
	return k.roots(key, f)
}

// Read strictly reads an artifact and writes its content below root in dir; if
// dir is "", it only reads. See [archive.Unpack] for its errors.
func (k *Kind) Read(ctx context.Context, f *os.File, dir, root string, a Artifact) (*Content, error) {
	own := func(name string) string { return name }
	if root != "" {
		own = func(name string) string { return strings.TrimPrefix(name, root+"/") }
	}
	c := &Content{Heads: map[string][]byte{}}
	heads := map[string]*head{}
	o := k.options(&a, c)
	c.rereads(ctx, f, o)
	o.Prefix = root
	o.Tap = func(name string) io.Writer {
		name = own(name)
		n := k.kept(a, name)
		if n == 0 {
			return nil
		}
		heads[name] = &head{c: c, name: name, room: n}
		c.Heads[name] = nil
		return heads[name]
	}
	if exec := o.Exec; exec != nil {
		o.Exec = func(name string) bool { return exec(own(name)) }
	}
	var err error
	if c.Files, err = archive.Unpack(ctx, f, dir, o); err != nil {
		return nil, err
	}
	for i := range c.Files {
		c.Files[i].Path = own(c.Files[i].Path)
	}
	return c, nil
}

// kept is how many first bytes of a file the kind or the caller wants to see.
func (k *Kind) kept(a Artifact, name string) (n int) {
	if k.keep != nil {
		n = k.keep(name)
	}
	if a.Keep != nil {
		n = max(n, a.Keep(name))
	}
	return n
}

// rereads lets the check of an artifact read it once more.
func (c *Content) rereads(ctx context.Context, f *os.File, o archive.Options) {
	c.again = func(tap func(path string) io.Writer) error {
		o.Tap, o.Exec = tap, nil
		_, err := archive.Unpack(ctx, f, "", o)
		return err
	}
}

// Scan is [Kind.Read] without writing anything, of a blob d of a store that was opened
// by [store.Store.Blob]. What was read before on this machine is not read again, see
// [store.Store.Scan]; [Kind.Check] says of it what it says of what was just read.
func (k *Kind) Scan(ctx context.Context, s *store.Store, d store.Digest, f *os.File, a Artifact) (*Content, error) {
	c := &Content{}
	o := k.options(&a, c)
	how := fmt.Sprintf("%s %t %t %q %q %t %q %q", o.Format, o.Release, o.StripTop, o.StripPrefix, o.RawName, o.RawData, a.Executable, k.rule)
	if o.Place != nil {
		how += " " + a.File.Archive
	}
	found, err := s.Scan(d, how, func(name string) int { return k.kept(a, name) }, func() (store.Listing, error) {
		c, err := k.Read(ctx, f, "", "", a)
		if err != nil {
			return store.Listing{}, err
		}
		return store.Listing{Files: c.Files, Heads: c.Heads}, nil
	})
	if err != nil {
		return nil, err
	}
	c.Files, c.Heads = found.Files, found.Heads
	c.rereads(ctx, f, o)
	return c, nil
}

// Check verifies an artifact by itself: it must match the lock and its name.
// The file that was read must still be open.
func (k *Kind) Check(a Artifact, c *Content) error {
	defer func() { c.again = nil }()
	if k.check == nil {
		return nil
	}
	return k.check(&a, c)
}

// Unpack strictly reads one file of a version, checks it, and writes its
// content below dir; if dir is "", it only reads. The returned paths are those
// in the tree.
func Unpack(ctx context.Context, f *os.File, dir string, v *lock.Version, key, platform string) ([]archive.File, error) {
	if Of(v.Source).integrity {
		if err := checkIntegrity(nil, store.Digest{}, f, key, v.Files[key]); err != nil {
			return nil, err
		}
	}
	if v.IsProtos() {
		return unpackProtos(ctx, f, dir, v, key)
	}
	return files(v, key, platform, func(k *Kind, root string, a Artifact) (*Content, error) { return k.Read(ctx, f, dir, root, a) })
}

// List is [Unpack] without writing anything, by [Kind.Scan].
func List(ctx context.Context, s *store.Store, d store.Digest, f *os.File, v *lock.Version, key, platform string) ([]archive.File, error) {
	if Of(v.Source).integrity {
		if err := checkIntegrity(s, d, f, key, v.Files[key]); err != nil {
			return nil, err
		}
	}
	if v.IsProtos() {
		k, a := Of(v.Source), Artifact{Key: key, File: v.Files[key]}
		c, err := k.Scan(ctx, s, d, f, a)
		if err == nil {
			err = k.Check(a, c)
		}
		if err != nil {
			return nil, err
		}
		list := Protos(v.Root, v.Only, c.Files)
		return list, checkFolders(v, list)
	}
	list, err := files(v, key, platform, func(k *Kind, _ string, a Artifact) (*Content, error) { return k.Scan(ctx, s, d, f, a) })
	if err == nil {
		_, err = archive.TreeHash(list) // their paths below the roots
	}
	return list, err
}

// files are those of a file of a version that was read for each of its roots.
func files(v *lock.Version, key, platform string, read func(k *Kind, root string, a Artifact) (*Content, error)) ([]archive.File, error) {
	k := Of(v.Source)
	a := Artifact{Key: key, File: v.Files[key], Binary: v.Platforms[platform].Binary, Executable: v.Executable(platform)}
	var list []archive.File
	for _, root := range k.Roots(key, a.File) {
		c, err := read(k, root, a)
		if err != nil {
			return nil, err
		}
		if err := k.Check(a, c); err != nil {
			return nil, err
		}
		for _, f := range c.Files {
			f.Path = path.Join(root, f.Path)
			list = append(list, f)
		}
	}
	return list, nil
}

// A head keeps the first bytes of a file.
type head struct {
	c    *Content
	name string
	room int
}

func (h *head) Write(p []byte) (int, error) {
	n := min(len(p), h.room)
	h.c.Heads[h.name] = append(h.c.Heads[h.name], p[:n]...)
	h.room -= n
	return len(p), nil
}
