package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// Copy creates the folder dir, which must not exist, with exactly the tree of
// an entry on a platform: the locked one or, for an entry that is compiled
// here, the one recorded when it was compiled. The bytes are hashed during the
// copy, whatever the cache has recorded about them. A tree that was changed in
// the cache is made again.
func (i *Installer) Copy(ctx context.Context, e *lock.Entry, platform, dir string) (lock.Cell, error) {
	for again := false; ; again = true {
		from, cell, err := i.Tree(ctx, e, platform)
		if err != nil {
			return cell, err
		}
		tree := filepath.Base(from) // also if the lock has none
		files, err := archive.CopyTree(ctx, from, dir)
		switch {
		case err == nil && treeOf(files) == tree:
			return cell, nil
		case err == nil:
			err = fault.Errorf(fault.Integrity, "find and remove what is damaged: fetch cache verify --repair", "the copy has tree %s, expected %s", treeOf(files), tree)
		case fault.Of(err) != fault.Integrity && !errors.Is(err, fs.ErrNotExist):
			return cell, fmt.Errorf("%s for %s: %w", e, platform, err)
		}
		if ctx.Err() != nil || again {
			return cell, fault.Errorf(fault.Integrity, "find out what writes to "+i.Store.Dir()+", then check the cache: fetch cache verify",
				"%s for %s: the folder in the cache changes during the copy: %w", e, platform, err)
		}
		i.detail("%s was changed in the cache (%v); making it again", e, err)
		i.Store.Doubt(tree)
		i.forget(e, platform)
		if err := os.RemoveAll(dir); err != nil {
			return cell, err
		}
	}
}

// treeOf returns the digest of a list, or "" if it is not a tree.
func treeOf(files []archive.File) string {
	tree, err := archive.TreeHash(files)
	if err != nil {
		return ""
	}
	return tree
}

// forget makes Tree check a folder again.
func (i *Installer) forget(e *lock.Entry, platform string) {
	if cell, served, err := e.Locked.Cell(platform); err == nil {
		i.trees.Forget(i.stamp(e, served, cell))
	}
}
