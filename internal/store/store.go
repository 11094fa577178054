// Package store is the content-addressed cache of lockgen and fetch: blobs as they
// were downloaded, trees as package archive defines them, and what was learned
// on the way.
//
// # Layout
//
//	blobs/sha256/ab/<digest>   files as they were downloaded, mode 0444
//	trees/<tree>/…             unpacked folders
//	trees/<tree>.ok            what is in that folder
//	trees/<tree>.seen          what stat said of it when it was hashed; written last
//	documents/<digest of key>  answers of registries, with their validators, and what was
//	                           found in archives, see [Store.Listed]; bounded
//	locks/                     one lock file per blob or tree being written, and
//	                           use-<tree>, held while a tree is in use
//	compiled/                  the digests of trees that were compiled here, by what they were made of
//	go-build/                  Go's own build cache, as `go help cache` says
//	tmp/                       unfinished work; what is older than a day is removed
//	CACHEDIR.TAG               says that the folder is a cache, and ours
//
// Packages install and fetch keep small files that they derive from these in
// bound/, where proofs are as well (see [Proof]), launchers/, warm/ and stats.json.
//
// Nothing gets its final name before it was verified: bytes are hashed while
// they are written to tmp, and renamed under a file lock that all processes of
// the machine share. What is read is hashed again ([Store.Blob]), or as long as
// stat says of it what it did when it was hashed, taken as it is ([Store.Tree]);
// what goes out is hashed on the way ([archive.CopyTree], [Store.Pack]). What is damaged
// is made anew. So nothing is flushed to the disk: waiting for
// it costs a download half of its speed. Nothing is created before the first write,
// so a cache that has everything may be read-only.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/robustio"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// EnvDir is the environment variable that moves the cache.
const EnvDir = "BUCK2_PROTOBUF_CACHE_DIR"

// staleAfter is the age at which something in tmp belongs to no living process.
const staleAfter = 24 * time.Hour

// A Store is a cache folder. Its methods may be called by many goroutines and
// many processes at once.
type Store struct {
	dir   string
	sweep sync.Once

	usesMu sync.Mutex
	uses   map[string]*os.File // the lock of each tree in use, by tree

	buildMu sync.Mutex // of looking at Go's build cache

	docsMu   sync.Mutex
	docs     int64 // bytes of the documents, as far as this process knows
	docsSeen bool  // it has looked at them
}

// Open returns the store in dir; "" means the folder that EnvDir names, else
// buck2-protobuf in the user's cache folder. It creates nothing. Its error is
// of class [fault.Machine]: no such folder can be named, or another user can write
// to it.
func Open(dir string) (*Store, error) {
	const hint = "set " + EnvDir + " to an absolute path"
	if dir == "" {
		dir = os.Getenv(EnvDir)
	}
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return nil, fault.Errorf(fault.Machine, hint, "no folder for the cache: %w", err)
		}
		dir = filepath.Join(base, "buck2-protobuf")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fault.Errorf(fault.Machine, hint, "no folder for the cache: %w", err)
	}
	s := &Store{dir: abs}
	return s, s.safe()
}

// Dir is the absolute path of the cache folder, which need not exist yet.
func (s *Store) Dir() string { return s.dir }

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// mkdir makes a folder of the store and, once per process, marks the store as a
// cache and removes what dead processes left in tmp.
func (s *Store) mkdir(elem ...string) (string, error) {
	dir := s.path(elem...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", s.refused(err)
	}
	s.sweep.Do(func() {
		if !s.mark() {
			return // tmp may be somebody's
		}
		tmp := s.path("tmp")
		entries, _ := os.ReadDir(tmp) // absent: nothing to sweep
		for _, e := range entries {
			if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > staleAfter {
				os.RemoveAll(filepath.Join(tmp, e.Name())) // a failure costs space only
			}
		}
	})
	return dir, nil
}

// lock takes the file lock of that name, shared with other processes, and
// stops waiting for it when ctx ends. It makes the folder of locks where there is
// none, and looks at nothing else: a warm start takes one.
func (s *Store) lock(ctx context.Context, name string) (unlock func(), err error) {
	dir := s.path("locks")
	f, err := Lock(ctx, filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := s.mkdir("locks"); err != nil {
			return nil, err
		}
		f, err = Lock(ctx, filepath.Join(dir, name))
	}
	switch {
	case err == nil:
		return func() { f.Close() }, nil
	case ctx.Err() == nil:
		return nil, s.refused(err)
	}
	err = fmt.Errorf("waiting for another process at %s: %w", filepath.Join(dir, name), err)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fault.Errorf(fault.Machine, "see what the process that holds it does", "%w", err)
	}
	return nil, err
}

// Scratch makes an empty private folder inside the store, on the same file
// system as its trees. Name becomes part of its path. Cleanup removes it with
// all it holds and may be called more than once. Errors are of class
// [fault.Machine].
func (s *Store) Scratch(ctx context.Context, name string) (dir string, cleanup func(), err error) {
	if err := ctx.Err(); err != nil {
		return "", nil, err
	}
	tmp, err := s.mkdir("tmp")
	if err != nil {
		return "", nil, err
	}
	dir, err = os.MkdirTemp(tmp, filepath.Base(name)+"-*")
	if err != nil {
		return "", nil, s.refused(err)
	}
	return dir, func() {
		remove(dir)
		remove(dir + ".exec") // see keepsExec
	}, nil
}

// remove deletes a file or a folder of ours. A failure costs space only: tmp is
// swept again, and what replaces a damaged entry reports its own error.
func remove(name string) {
	if robustio.RemoveAll(name) == nil {
		return
	}
	// Folders without write permission stop RemoveAll.
	filepath.WalkDir(name, func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			os.Chmod(p, 0o755)
		}
		return nil
	})
	robustio.RemoveAll(name)
}

// refused turns an error of the file system under the store into one of class
// [fault.Machine] with a hint. Err names the path already.
func (s *Store) refused(err error) error {
	return fault.Disk(err, s.dir, "or set "+EnvDir+" to another folder")
}

// Put writes a small file of the store in one step. Name is its path below
// [Store.Dir], slash-separated. It is not flushed to the disk: what a loss of
// power leaves of it must tell whoever reads it that it is not whole. Errors are
// of class [fault.Machine].
func (s *Store) Put(name string, perm fs.FileMode, data []byte) error {
	if _, err := s.mkdir(path.Dir(name)); err != nil {
		return err
	}
	tmp, err := s.mkdir("tmp")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(tmp, "put-*")
	if err != nil {
		return s.refused(err)
	}
	if info, err := os.Lstat(s.path(name)); err == nil && info.IsDir() {
		remove(s.path(name)) // damage; nothing could be renamed to it
	}
	if _, err = f.Write(data); err == nil {
		err = rename(f, s.path(name), perm)
	}
	if err != nil {
		f.Close()
		remove(f.Name())
		return s.refused(err)
	}
	return nil
}

// rename gives a finished file its final name. What a loss of power then leaves
// of it is found by whoever reads it.
func rename(f *os.File, name string, perm fs.FileMode) error {
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), perm); err != nil {
		return err
	}
	return robustio.Rename(f.Name(), name)
}
