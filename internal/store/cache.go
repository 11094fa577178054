package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/disk"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/filestat"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// Tree returns the folder of a tree. If the store does not have it, Tree calls
// build, in one process at a time, to create it in the empty folder dir; if the
// result does not hash to tree, the error is of class [fault.Integrity]. An
// existing folder is hashed again unless stat shows that it is unchanged since
// it was last hashed, see [Store.Unchanged]; if it was changed, it is built
// again. An error of build is returned as it is. Callers must not write to the
// folder. [Store.Clear] keeps it until this process ends.
func (s *Store) Tree(ctx context.Context, tree string, build func(ctx context.Context, dir string) error) (string, error) {
	if err := syntax.CheckSHA256("tree", tree); err != nil {
		return "", fault.Errorf(fault.Internal, "", "%w", err)
	}
	s.hold(tree)
	final := s.path("trees", tree)
	if s.Unchanged(tree) {
		return final, nil
	}
	unlock, err := s.lock(ctx, "tree-"+tree)
	if err != nil {
		if fault.Of(err) == fault.Machine && s.treeHashes(ctx, tree) == nil {
			return final, nil // a read-only cache, such as a copied one
		}
		return "", err
	}
	defer unlock()
	if s.Unchanged(tree) {
		return final, nil
	}
	old, _ := s.stamp(tree) // the expected files, if they are known
	if _, err := os.Lstat(final); err == nil {
		if s.treeHashes(ctx, tree) == nil {
			return final, nil
		}
		if err := ctx.Err(); err != nil {
			return "", err
		}
	}
	s.Doubt(tree)
	tmp, err := s.mkdir("tmp", "tree-"+tree)
	if err != nil {
		return "", err
	}
	// The lock makes this name ours; an existing folder is left from a crash.
	remove(tmp)
	defer remove(tmp)
	dir := filepath.Join(tmp, "tree")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", s.refused(err)
	}
	if err := build(ctx, dir); err != nil {
		return "", err
	}
	seen, settled, err := filestat.Walk(dir)
	if err != nil {
		return "", s.refused(err)
	}
	files, err := archive.HashDir(ctx, dir, nil)
	if err != nil {
		return "", err
	}
	got, err := archive.TreeHash(files)
	if err != nil {
		return "", err
	}
	if got != tree {
		var size int64
		for _, f := range files {
			size += f.Size
		}
		err := fmt.Errorf("wrong tree: got %s (%d files, %d bytes), expected %s", got, len(files), size, tree)
		if old != nil {
			err = fmt.Errorf("%w: %s", err, archive.Diff(old, files))
		}
		return "", fault.Errorf(fault.Integrity, hintBytes, "%w", err)
	}
	if err := s.replace(dir, final); err != nil {
		return "", err
	}
	if err := s.writeStamp(tree, files); err != nil {
		return "", err
	}
	// The rename changed the ctime of the folder itself and nothing else.
	if root, err := filestat.Lstat(final); err == nil && settled {
		was := seen[0].Identity
		was[filestat.Changed] = root[filestat.Changed]
		if was == root {
			seen[0].Identity = root
			s.remember(tree, seen)
		}
	}
	return final, nil
}

// replace gives a finished folder its final name. A folder that has the name
// and may be in use stays until then, and is moved to tmp.
func (s *Store) replace(dir, final string) error {
	if _, err := s.mkdir("trees"); err != nil {
		return err
	}
	if _, err := os.Lstat(final); err == nil {
		if disk.Exchange(dir, final) == nil {
			return nil // the caller removes dir, the damaged folder
		}
		grave, err := s.toGrave(final)
		if err != nil {
			return err
		}
		defer remove(grave)
	}
	if err := os.Rename(dir, final); err != nil {
		return s.refused(err)
	}
	return nil
}

// dropTree removes a tree: its records first, then its name, then its files.
func (s *Store) dropTree(tree string) error {
	grave, err := s.bury(tree)
	if grave != "" {
		remove(grave)
	}
	return err
}

// The stamp of a tree is the list of its files, see [printFiles], sorted by
// path. Without the sizes it hashes to the name of the tree, so it can be
// verified.

func (s *Store) writeStamp(tree string, files []archive.File) error {
	return s.Put("trees/"+tree+".ok", 0o644, printFiles(files))
}

// stamp reads and verifies the list of files of a tree.
func (s *Store) stamp(tree string) ([]archive.File, error) {
	data, err := readFile(s.path("trees", tree+".ok"))
	if err != nil {
		return nil, err
	}
	files, err := parseFiles(data)
	if err != nil {
		return nil, err
	}
	if archive.SortedDigest(files) != tree {
		return nil, errors.New("the stamp does not match the tree")
	}
	return files, nil
}

// treeHashes verifies an existing tree, and records it if it is good.
func (s *Store) treeHashes(ctx context.Context, tree string) error {
	seen, settled, err := filestat.Walk(s.path("trees", tree))
	if err != nil {
		return err
	}
	got, files, err := s.hashTree(ctx, tree)
	if err != nil {
		return err
	}
	if got != tree {
		return fmt.Errorf("tree %s is damaged: its digest is %s", tree, got)
	}
	// A read-only cache is hashed each time that stat reports a change.
	if s.writeStamp(tree, files) == nil && settled {
		s.remember(tree, seen)
	}
	return nil
}

// hashTree hashes an existing tree.
func (s *Store) hashTree(ctx context.Context, tree string) (got string, files []archive.File, err error) {
	files, err = archive.HashDir(ctx, s.path("trees", tree), nil)
	if err != nil {
		return "", nil, err
	}
	if !archive.KeepsExec {
		if old, err := s.stamp(tree); err == nil {
			archive.TakeExec(files, old)
		}
	}
	got, err = archive.TreeHash(files)
	return got, files, err
}
