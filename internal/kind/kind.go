// Package kind says how a locked file becomes files of a tree, a file of source
// for each source kind. Lockgen and fetch read with it, so what one locks the
// other makes again. How files are named and checked in a lock is [lock.Kind].
package kind

import (
	"context"
	"io"
	"os"
	"path"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/npm"
)

// A Kind reads the files of one kind of source.
type Kind struct {
	roots   func(key string, f lock.File) []string // nil for the tree itself
	options func(a *Artifact, c *Content) archive.Options
	keep    func(path string) int                // what check wants to see; nil for nothing
	check   func(a *Artifact, c *Content) error  // nil for nothing to check
	rule    func(key string, f lock.File) string // nil where nothing is remembered
}

// Of returns the kind of a name. Files of an unknown kind are read like release
// assets.
func Of(name string) *Kind {
	if k := kinds[name]; k != nil {
		return k
	}
	return &release
}

var kinds = map[string]*Kind{lock.NPM: &npmPackage, lock.Cargo: &crate, lock.Pip: &wheelFile, lock.Go: &module, lock.Maven: &mavenFile}

// An Artifact is a file of a lock to be read.
type Artifact struct {
	Key  string
	File lock.File
	// Binary is where a file without an archive has its one executable.
	Binary string
	// Executable is the path of a file that is executable whatever its archive
	// says, see [lock.Version.Executable]; "" for none.
	Executable string
	// Keep names the files of which the caller wants to see so many first bytes;
	// nil for none.
	Keep func(path string) (bytes int)
}

// Content is what an artifact contains. Paths are relative to its root.
type Content struct {
	Files []archive.File
	Heads map[string][]byte // the first bytes of files, as the kind or Keep asked for
	// PackageJSON is what an npm package says of itself, see [npm.ParsePackageJSON];
	// nil for other kinds.
	PackageJSON func() (*npm.PackageJSON, error)

	again func(tap func(path string) io.Writer) error // reads it once more
}

// Roots lists the folders of the tree into which a file is unpacked, "" for the
// tree itself.
func (k *Kind) Roots(key string, f lock.File) []string {
	if k.roots == nil {
		return []string{""}
	}
	return k.roots(key, f)
}

// Rule names everything but the bytes that reading a file depends on. It is ""
// if the result is not worth caching.
func (k *Kind) Rule(key string, f lock.File) string {
	if k.rule == nil {
		return ""
	}
	return k.rule(key, f)
}

// Read reads an artifact strictly and writes what it holds below root in dir;
// with dir == "" it only reads. See [archive.Unpack] for its errors.
func (k *Kind) Read(ctx context.Context, f *os.File, dir, root string, a Artifact) (*Content, error) {
	own := func(name string) string { return name }
	if root != "" {
		own = func(name string) string { return strings.TrimPrefix(name, root+"/") }
	}
	c := &Content{Heads: map[string][]byte{}}
	heads := map[string]*head{}
	o := k.options(&a, c)
	plain := o
	o.Prefix = root
	o.Tap = func(name string) io.Writer {
		n, name := 0, own(name)
		if k.keep != nil {
			n = k.keep(name)
		}
		if a.Keep != nil {
			n = max(n, a.Keep(name))
		}
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
	c.again = func(tap func(path string) io.Writer) error {
		o := plain
		o.Tap, o.Exec = tap, nil
		_, err := archive.Unpack(ctx, f, "", o)
		return err
	}
	return c, nil
}

// Check proves what can be proved of an artifact by itself: that it is what the
// lock and its name say. The file that was read must still be open.
func (k *Kind) Check(a Artifact, c *Content) error {
	defer func() { c.again = nil }()
	if k.check == nil {
		return nil
	}
	return k.check(&a, c)
}

// Unpack reads one file of a version strictly, checks it, and writes what it
// holds below dir; with dir == "" it only reads. The paths are those of the tree.
func Unpack(ctx context.Context, f *os.File, dir string, v *lock.Version, key, platform string) ([]archive.File, error) {
	if v.IsProtos() {
		return unpackProtos(ctx, f, dir, v, key)
	}
	k := Of(v.Source)
	a := Artifact{Key: key, File: v.Files[key], Binary: v.Platforms[platform].Binary, Executable: v.Executable(platform)}
	var files []archive.File
	for _, root := range k.Roots(key, a.File) {
		c, err := k.Read(ctx, f, dir, root, a)
		if err != nil {
			return nil, err
		}
		if err := k.Check(a, c); err != nil {
			return nil, err
		}
		for i := range c.Files {
			c.Files[i].Path = path.Join(root, c.Files[i].Path)
		}
		files = append(files, c.Files...)
	}
	return files, nil
}

// head keeps the first bytes of a file.
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
