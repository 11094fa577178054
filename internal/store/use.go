package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/robustio"

	"github.com/birbparty/buck2-protobuf/internal/disk"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// A tree or blob can be in use in two ways; [Store.Clear] keeps it in both.
// First, a process that works with a tree holds a shared lock on the file
// locks/use-<tree> until it ends; a plugin that fetch executes inherits it.
// Second, recently used entries may be used again by a caller that was given
// their path. The time of last use is the mtime of that lock file, or of a blob
// itself. It is updated at most once an hour, so a use usually costs one stat,
// and not at all in a read-only cache.

// touchAfter is the precision of the time of last use.
const touchAfter = time.Hour

// Use says that a path inside a tree of the store is about to be used, so the
// tree is not cleared until this process ends. It does not check that the tree
// exists or is good; do that afterwards. Other paths are ignored.
func (s *Store) Use(name string) {
	rel, err := filepath.Rel(s.path("trees"), name)
	if err != nil {
		return
	}
	tree, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
	if syntax.CheckSHA256("tree", tree) == nil {
		s.hold(tree)
	}
}

// hold takes the shared lock of a tree, once for each store, and records the
// use. If the file cannot be created or locked, the tree is used without:
// nobody with these permissions can clear that cache either.
func (s *Store) hold(tree string) {
	s.usesMu.Lock()
	defer s.usesMu.Unlock()
	if s.uses[tree] != nil {
		return
	}
	name := s.path("locks", "use-"+tree)
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := s.mkdir("locks"); err != nil {
			return
		}
		f, err = os.OpenFile(name, os.O_RDONLY|os.O_CREATE, 0o644)
	}
	if err != nil {
		return
	}
	if disk.Lock(f, false) != nil {
		f.Close()
		return
	}
	if info, err := f.Stat(); err == nil {
		touch(name, info)
	}
	if s.uses == nil {
		s.uses = map[string]*os.File{}
	}
	s.uses[tree] = f
}

// Release gives up all trees that this store holds, as the end of the process
// does.
func (s *Store) Release() {
	s.usesMu.Lock()
	defer s.usesMu.Unlock()
	for _, f := range s.uses {
		f.Close()
	}
	s.uses = nil
}

// touch updates the time of a file if it is older than touchAfter.
func touch(name string, info fs.FileInfo) {
	now := time.Now()
	if age := now.Sub(info.ModTime()); age > touchAfter || age < -touchAfter {
		_ = os.Chtimes(name, now, now) // fails for files of another user or on a read-only disk
	}
}

// tryLock takes an exclusive lock of the store if nobody has it, and reports
// whether it did.
func (s *Store) tryLock(name string) (unlock func(), ok bool) {
	f, err := os.OpenFile(s.path("locks", name), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		f, err = os.Open(s.path("locks", name)) // of another user, or read-only
	}
	if err != nil {
		return nil, false
	}
	if disk.Lock(f, true) != nil {
		f.Close()
		return nil, false
	}
	return func() { f.Close() }, true
}

// Read returns a small file of the store, or nil if there is none. Name is as
// in [Store.Put]. Anything but a file is an error of class [fault.Machine].
func (s *Store) Read(name string) ([]byte, error) {
	data, err := readFile(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// readFile reads a small file of the store. Opening a pipe in its place would
// block forever.
func readFile(name string) ([]byte, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fault.Errorf(fault.Machine, "remove "+name, "%s is not a file", name)
	}
	return os.ReadFile(name)
}

// Update changes a small file at the top of the store in one step, one process
// at a time. Change gets the current content, or nil if there is none, and
// returns the new content, or nil to remove the file. After a crash the file is
// the old or the new one; after a power failure it may be empty.
func (s *Store) Update(ctx context.Context, name string, change func(old []byte) ([]byte, error)) error {
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := s.Read(name)
	if err != nil {
		return err
	}
	data, err := change(old)
	if err != nil {
		return err
	}
	if data == nil {
		if err := os.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s.refused(err)
		}
		return nil
	}
	part := s.path("tmp", name+".part") // ours, by the lock
	err = os.WriteFile(part, data, 0o644)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := s.mkdir("tmp"); err != nil {
			return err
		}
		err = os.WriteFile(part, data, 0o644)
	}
	if err != nil {
		return s.refused(err)
	}
	if err := robustio.Rename(part, s.path(name)); err != nil {
		return s.refused(err)
	}
	return nil
}
