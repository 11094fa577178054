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
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// A tree, or a blob, is in use in two ways, and [Store.Clear] leaves it alone in
// both. While a process works with a tree it holds a shared lock on the file
// locks/use-<tree>, until it ends; a plugin that fetch turns into inherits it.
// And what was used a short while ago may be used again by somebody who was
// told its path: the time of last use is the time of that same file, of a blob
// its own. Times are renewed at most once an hour, so reading costs a call to
// stat, and where the cache is read-only nothing is noted.

// touchAfter is how exact times of last use are.
const touchAfter = time.Hour

// Use says that a path inside a tree of the store is about to be used: until
// this process ends the tree is not cleared away. It tells nothing of whether
// the tree is there or good: ask afterwards. Other paths are ignored.
func (s *Store) Use(name string) {
	rel, err := filepath.Rel(s.path("trees"), name)
	if err != nil {
		return
	}
	tree, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
	if lock.CheckSHA256("tree", tree) == nil {
		s.hold(tree)
	}
}

// hold takes the shared lock of a tree, once for each store, and notes the use.
// Where the file cannot be made or locked the tree is used without: it is then
// a cache that nobody of these rights can clear.
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

// Release lets go of all trees that this store holds, as the end of the process
// does.
func (s *Store) Release() {
	s.usesMu.Lock()
	defer s.usesMu.Unlock()
	for _, f := range s.uses {
		f.Close()
	}
	s.uses = nil
}

// touch renews the time of a file where it is older than touchAfter.
func touch(name string, info fs.FileInfo) {
	now := time.Now()
	if age := now.Sub(info.ModTime()); age > touchAfter || age < -touchAfter {
		_ = os.Chtimes(name, now, now) // of another user, or read-only: not noted
	}
}

// tryLock takes a lock of the store for itself alone if nobody has it, and
// reports whether it did.
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

// Read returns a small file of the store, nil where there is none. Name is as in
// [Store.Put]. What is no file is an error of class [fault.Machine].
func (s *Store) Read(name string) ([]byte, error) {
	data, err := readFile(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// readFile reads a small file of the store. A pipe in its place would block for
// ever.
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
// at a time: change gets what is there, nil for nothing, and returns what shall
// be; nil removes the file. After a crash it is the old or the new one; after a
// loss of power it may be empty.
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
