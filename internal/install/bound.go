package install

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// A tree that is in the cache already is not yet the one of an entry: a lock in
// which two trees changed places names a tree that is there, and whose files are
// those of another plugin or version. So the cache remembers which files each
// tree was made of, and a tree that comes from there is taken for an entry only
// with the files of that entry; the first time they are read to find out.

// stamp names the file that says that a tree is made of the files of an entry.
func (i *Installer) stamp(e *lock.Entry, served string, cell lock.Cell) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n", cell.Tree, e.Locked.Source, cell.Binary)
	for _, key := range e.Locked.FilesFor(served) {
		f := e.Locked.Files[key]
		fmt.Fprintf(h, "%q %s %d %q\n", key, f.SHA256, f.Size, f.Archive)
		for _, python := range f.Python {
			fmt.Fprintf(h, "python %s\n", python)
		}
	}
	if e.Toolchain != nil {
		fmt.Fprintf(h, "%q %q\n", e.Locked.Main, e.Locked.Toolchain)
	}
	return fmt.Sprintf("bound/%x", h.Sum(nil))
}

func (i *Installer) bound(e *lock.Entry, served string, cell lock.Cell) bool {
	_, err := os.Stat(filepath.Join(i.Store.Dir(), filepath.FromSlash(i.stamp(e, served, cell))))
	return err == nil
}

// bind remembers it. A cache that cannot be written asks again the next time.
func (i *Installer) bind(e *lock.Entry, served string, cell lock.Cell) {
	if err := i.Store.Put(i.stamp(e, served, cell), 0o644, nil); err != nil {
		i.detail("%v", err)
	}
}

// check reads the files of an entry and compares the tree that they make with
// the locked one.
func (i *Installer) check(ctx context.Context, e *lock.Entry, served string, cell lock.Cell) error {
	if e.Toolchain != nil || e.Locked.Source == lock.Cargo {
		return i.checkCompiled(ctx, e, served, cell)
	}
	parts, err := i.unpack(ctx, e, served, "", new(work))
	if err != nil {
		return err
	}
	var files []store.TreeFile
	for _, p := range parts {
		files = append(files, p.files...)
	}
	return compare(e, cell, files)
}

// checkCompiled is check for what was compiled: it compiles once more.
func (i *Installer) checkCompiled(ctx context.Context, e *lock.Entry, served string, cell lock.Cell) error {
	dir, clean, err := i.Store.Scratch(ctx, "check")
	if err != nil {
		return err
	}
	defer clean()
	if err := i.build(ctx, e, served, dir); err != nil {
		return err
	}
	files, err := store.HashDir(ctx, dir, nil)
	if err != nil {
		return err
	}
	return compare(e, cell, files)
}

// compare holds the files of an entry against its locked tree.
func compare(e *lock.Entry, cell lock.Cell, files []store.TreeFile) error {
	tree, err := store.TreeHash(files)
	if err != nil {
		return err
	}
	if tree != cell.Tree {
		return fault.Errorf(fault.Integrity, "restore the lock, such as by: git checkout -- plugins.lock.toml; or lock the plugin again: lockgen update "+e.Name,
			"its files make tree %s, the lock says %s, which is that of something else", tree, cell.Tree)
	}
	if !slices.ContainsFunc(files, func(f store.TreeFile) bool { return f.Path == cell.Binary }) {
		return fault.Errorf(fault.Integrity, "lock the plugin again: lockgen update "+e.Name, "there is no %s in its files: %w", cell.Binary, fs.ErrNotExist)
	}
	return nil
}
