package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync/atomic"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// Tree returns the folder of a tree. When it is not in the store, build is
// called, by one process at a time, to make it in the empty folder dir; the
// result must hash to tree or the error is of class [fault.Integrity]. A folder
// that is there is compared with its list by size, mode and time, and hashed
// again where that leaves a doubt; when it was changed it is made anew. The
// error of build is returned as it is. Callers do not write to the folder.
// [Store.Clear] leaves it alone as long as this process lives.
func (s *Store) Tree(ctx context.Context, tree string, build func(ctx context.Context, dir string) error) (string, error) {
	if err := lock.CheckSHA256("tree", tree); err != nil {
		return "", fault.Errorf(fault.Internal, "", "%w", err)
	}
	s.hold(tree)
	final := s.path("trees", tree)
	if s.treeGood(ctx, tree) {
		return final, nil
	}
	unlock, err := s.lock(ctx, "tree-"+tree)
	if err != nil {
		if fault.Of(err) == fault.Machine && s.treeHashes(ctx, tree) == nil {
			return final, nil // a read-only cache whose stamp or times were lost
		}
		return "", err
	}
	defer unlock()
	if s.treeGood(ctx, tree) {
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
	if err := s.dropTree(tree); err != nil {
		return "", err
	}
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
	files, err := HashDir(ctx, dir, nil)
	if err != nil {
		return "", err
	}
	got, err := TreeHash(files)
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
			err = fmt.Errorf("%w: %s", err, Diff(old, files))
		}
		return "", fault.Errorf(fault.Integrity, mendBytes, "%w", err)
	}
	if _, err := s.mkdir("trees"); err != nil {
		return "", err
	}
	if err := os.Rename(dir, final); err != nil {
		return "", s.refused(err)
	}
	if err := s.writeStamp(tree, files); err != nil {
		return "", err
	}
	return final, nil
}

// dropTree takes a tree out of the store: first its stamp, then its name, then
// its files.
func (s *Store) dropTree(tree string) error {
	grave, err := s.bury(tree)
	if grave != "" {
		remove(grave)
	}
	return err
}

// The stamp of a tree is the list of its files, see [printFiles], sorted by path.
// Without the sizes it hashes to the name of the tree, so it proves itself.

func (s *Store) writeStamp(tree string, files []TreeFile) error {
	return s.Put("trees/"+tree+".ok", 0o644, printFiles(files))
}

// stamp reads the list of a tree and checks that it is the tree's.
func (s *Store) stamp(tree string) ([]TreeFile, error) {
	data, err := readFile(s.path("trees", tree+".ok"))
	if err != nil {
		return nil, err
	}
	files, err := parseFiles(data)
	if err != nil {
		return nil, err
	}
	if treeDigest(files) != tree {
		return nil, errors.New("the stamp is not that of the tree")
	}
	return files, nil
}

// treeGood compares a tree with its stamp without reading it: every file has
// its size and mode, and both files and folders are older than the stamp. Where
// only times are in doubt it hashes. The files of a tree are not flushed one by
// one: a loss of power leaves them too short, which shows here.
func (s *Store) treeGood(ctx context.Context, tree string) bool {
	stamp, err := os.Lstat(s.path("trees", tree+".ok"))
	if err != nil {
		return false
	}
	files, err := s.stamp(tree)
	if err != nil {
		return false
	}
	var folders []string
	seen := map[string]bool{}
	for _, f := range files {
		for dir := path.Dir(f.Path); !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			folders = append(folders, dir)
		}
	}
	root := s.path("trees", tree) + string(filepath.Separator)
	var doubt atomic.Bool
	look := func(rel string) (fs.FileInfo, error) {
		info, err := os.Lstat(root + filepath.FromSlash(rel))
		if err == nil && !info.ModTime().Before(stamp.ModTime()) {
			doubt.Store(true)
		}
		return info, err
	}
	errOther := errors.New("not what was there")
	err = each(context.WithoutCancel(ctx), len(folders)+len(files), func(i int) error {
		if i < len(folders) {
			info, err := look(folders[i])
			if err == nil && !info.IsDir() {
				err = errOther
			}
			return err
		}
		f := files[i-len(folders)]
		info, err := look(f.Path)
		if err == nil && (!info.Mode().IsRegular() || info.Size() != f.Size || keepsExec && (info.Mode()&0o111 != 0) != f.Exec) {
			err = errOther
		}
		return err
	})
	return err == nil && (!doubt.Load() || s.treeHashes(ctx, tree) == nil)
}

// treeHashes hashes a tree that is there, and renews its stamp when it is good.
func (s *Store) treeHashes(ctx context.Context, tree string) error {
	got, files, err := s.hashTree(ctx, tree)
	if err != nil {
		return err
	}
	if got != tree {
		return fmt.Errorf("tree %s is damaged: its digest is %s", tree, got)
	}
	s.writeStamp(tree, files) // saves the next hashing; a read-only cache goes without
	return nil
}

// hashTree hashes a tree that is there.
func (s *Store) hashTree(ctx context.Context, tree string) (got string, files []TreeFile, err error) {
	files, err = HashDir(ctx, s.path("trees", tree), nil)
	if err != nil {
		return "", nil, err
	}
	if !keepsExec {
		if old, err := s.stamp(tree); err == nil {
			takeExec(files, old)
		}
	}
	got, err = TreeHash(files)
	return got, files, err
}
