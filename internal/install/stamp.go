package install

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// A tree in the cache need not be the one of an entry: if two trees in a lock
// are swapped, both are in the cache, but with the files of another plugin or
// version. So the cache records which files each tree was made of, and their
// identities. A tree in the cache is used for an entry only if it was made of
// the files of that entry; the first time, these are read to find out. The same
// holds for files, see [store.Proof].

// Proof returns the proof that the cache needs to use a blob as a file of an
// entry.
func Proof(e *lock.Entry, key string) store.Proof {
	f := e.Locked.Files[key]
	return store.Proof{Identity: e.Locked.Identity(key), Manifest: f.Manifest, Digest: digest(f)}
}

// here reports whether the cache has a file and a proof for it, or the caller
// gave it.
func (i *Installer) here(e *lock.Entry, key string) bool {
	p := Proof(e, key)
	return i.Store.HasBlob(p.Digest) && (i.Given[key] != "" || i.Store.Proven(p))
}

// stamp returns the name of the file that records that a tree is made of the
// files of an entry.
func (i *Installer) stamp(e *lock.Entry, served string, cell lock.Cell) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%q %q %q\n%q %q %q\n", cell.Tree, e.Locked.Source, e.Locked.Package, e.Version, cell.Binary, e.Locked.Args, e.Locked.Main)
	if e.Locked.IsProtos() {
		fmt.Fprintf(h, "protos %q %q\n", e.Locked.Root, e.Locked.Only)
		for _, name := range slices.Sorted(maps.Keys(e.Locked.Folders)) {
			fmt.Fprintf(h, "folder %q %q\n", name, e.Locked.Folders[name].Files)
		}
	}
	for _, key := range e.Locked.FilesFor(served) {
		f, proof := e.Locked.Files[key], Proof(e, key)
		fmt.Fprintf(h, "%q %q %q %s %q\n", key, proof.Identity, proof.Manifest, proof.Digest, f.Archive)
		if f.Integrity != "" {
			fmt.Fprintf(h, "%s %s\n", f.Integrity, f.GoMod)
		}
		for _, python := range f.Python {
			fmt.Fprintf(h, "python %s\n", python)
		}
	}
	if e.Toolchain != nil {
		fmt.Fprintf(h, "%q %q\n", e.Locked.Main, e.Locked.Toolchain)
	}
	return fmt.Sprintf("bound/%x", h.Sum(nil))
}

// stamped reports whether the cache has that record.
func (i *Installer) stamped(e *lock.Entry, served string, cell lock.Cell) bool {
	_, err := os.Stat(filepath.Join(i.Store.Dir(), filepath.FromSlash(i.stamp(e, served, cell))))
	return err == nil
}

// putStamp writes the stamp of a tree. If it cannot be written, the check is
// repeated the next time.
func (i *Installer) putStamp(e *lock.Entry, served string, cell lock.Cell) {
	if err := i.Store.Put(i.stamp(e, served, cell), 0o644, nil); err != nil {
		i.detail("%v", err)
	}
}

// check reads the files of an entry and compares the tree that they make with
// the locked one.
func (i *Installer) check(ctx context.Context, e *lock.Entry, served string, cell lock.Cell) error {
	if e.Toolchain != nil || e.Locked.Compiles() {
		return i.checkCompiled(ctx, e, served, cell)
	}
	parts, err := i.unpack(ctx, e, served, "", new(work))
	if err != nil {
		return err
	}
	var files []archive.File
	for _, p := range parts {
		files = append(files, p.files...)
	}
	return compare(e, cell, files)
}

// checkCompiled is check for a compiled entry: it compiles again.
func (i *Installer) checkCompiled(ctx context.Context, e *lock.Entry, served string, cell lock.Cell) error {
	dir, clean, err := i.Store.Scratch(ctx, "check")
	if err != nil {
		return err
	}
	defer clean()
	if err := i.build(ctx, e, served, dir); err != nil {
		return err
	}
	files, err := archive.HashDir(ctx, dir, nil)
	if err != nil {
		return err
	}
	return compare(e, cell, files)
}

// compare compares the tree of an entry's files with the locked one.
func compare(e *lock.Entry, cell lock.Cell, files []archive.File) error {
	tree, err := archive.TreeHash(files)
	if err != nil {
		return err
	}
	if tree != cell.Tree {
		return fault.Errorf(fault.Integrity, "restore the lock with: git checkout -- plugins.lock.toml; or lock the plugin again: lockgen update "+e.Name,
			"its files have tree %s, but the lock says %s, which is that of something else", tree, cell.Tree)
	}
	if cell.Binary != "" && !slices.ContainsFunc(files, func(f archive.File) bool { return f.Path == cell.Binary }) {
		return fault.Missingf(fault.Integrity, "lock the plugin again: lockgen update "+e.Name, "there is no %s in its files", cell.Binary)
	}
	return nil
}
