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
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// Tree returns the folder of a tree. When it is not in the store, build is
// called, by one process at a time, to make it in the empty folder dir; the
// result must hash to tree or the error is of class [fault.Integrity]. A folder
// of which stat says what it said when it was hashed is taken as it is, see
// [Store.Unchanged]; any other is hashed again, and made anew when it was changed.
// The error of build is returned as it is. Callers do not write to the folder.
// [Store.Clear] leaves it alone as long as this process lives.
func (s *Store) Tree(ctx context.Context, tree string, build func(ctx context.Context, dir string) error) (string, error) {
	if err := lock.CheckSHA256("tree", tree); err != nil {
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
			return final, nil // a read-only cache, such as one that was copied
		}
		return "", err
	}
	defer unlock()
	if s.Unchanged(tree) {
		return final, nil
	}
	old, _ := s.stamp(tree) // what should be there, if it is known
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
	// The lock makes this name ours; what is in it was left by a crash.
	remove(tmp)
	defer remove(tmp)
	dir := filepath.Join(tmp, "tree")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", s.refused(err)
	}
	if err := build(ctx, dir); err != nil {
		return "", err
	}
	seen, settled, err := view(dir)
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
	// Its new name gave the folder itself another time of change, nothing else.
	if root, err := lookAt(final); err == nil && settled {
		was := seen[0].Identity
		was[idChanged] = root[idChanged]
		if was == root {
			seen[0].Identity = root
			s.remember(tree, seen)
		}
	}
	return final, nil
}

// replace gives a finished folder its name. What has the name now, and may be in
// use, is there until then; it ends up in tmp.
func (s *Store) replace(dir, final string) error {
	if _, err := s.mkdir("trees"); err != nil {
		return err
	}
	if _, err := os.Lstat(final); err == nil {
		if disk.Exchange(dir, final) == nil {
			return nil // the caller removes what is in dir now
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

// dropTree takes a tree out of the store: first what is known of it, then its
// name, then its files.
func (s *Store) dropTree(tree string) error {
	grave, err := s.bury(tree)
	if grave != "" {
		remove(grave)
	}
	return err
}

// The stamp of a tree is the list of its files, see [printFiles], sorted by path.
// Without the sizes it hashes to the name of the tree, so it proves itself.

func (s *Store) writeStamp(tree string, files []archive.File) error {
	return s.Put("trees/"+tree+".ok", 0o644, printFiles(files))
}

// stamp reads the list of a tree and checks that it is the tree's.
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
		return nil, errors.New("the stamp is not that of the tree")
	}
	return files, nil
}

// treeHashes hashes a tree that is there, and remembers it when it is good.
func (s *Store) treeHashes(ctx context.Context, tree string) error {
	seen, settled, err := view(s.path("trees", tree))
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
	// A read-only cache is hashed each time that stat says something else of it.
	if s.writeStamp(tree, files) == nil && settled {
		s.remember(tree, seen)
	}
	return nil
}

// hashTree hashes a tree that is there.
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
