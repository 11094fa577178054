// Package store is the content-addressed cache of lockgen and fetch: downloaded
// files (blobs), trees as package archive defines them, and records about both.
//
// # Layout
//
//	blobs/sha256/ab/<digest>   files as they were downloaded, mode 0444
//	trees/<tree>/…             unpacked folders
//	trees/<tree>.ok            what is in that folder
//	trees/<tree>.seen          what stat said of it when it was hashed; written last
//	documents/<digest of key>  answers of registries, with their validators, and what was
//	                           found in archives, see [Store.Scan]; limited
//	locks/                     one lock file per blob or tree being written, and
//	                           use-<tree>, held while a tree is in use
//	compiled/                  the digests of trees that were compiled here, by what they were made of
//	go-build/                  Go's own build cache, as `go help cache` says
//	tmp/                       unfinished work; what is older than a day is removed
//	CACHEDIR.TAG               says that the folder is a cache, and ours
//
// Packages install and fetch keep small derived files in bound/, which also has
// the proofs (see [Proof]), launchers/, warm/ and stats.json.
//
// Nothing gets its final name before it is verified: bytes are hashed while
// they are written to tmp, and then renamed under a file lock that all
// processes on the machine share. What is read is hashed again ([Store.Blob]),
// or used as it is while stat shows no change since it was hashed
// ([Store.Tree]). What leaves the cache is hashed on the way
// ([archive.CopyTree], [Store.Pack]). Damaged entries are made again. So files
// need not be flushed to disk, which would make a download take twice as long.
// Nothing is created before the first write, so a complete cache may be
// read-only.
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
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// EnvDir is the environment variable that sets the cache folder.
const EnvDir = "BUCK2_PROTOBUF_CACHE_DIR"

// staleAfter is the age from which a file in tmp belongs to no living process.
const staleAfter = 24 * time.Hour

// A Store is a cache folder. Its methods are safe for use by several goroutines
// and processes at once.
type Store struct {
	dir   string
	sweep sync.Once

	usesMu sync.Mutex
	uses   map[string]*os.File // the lock of each tree in use

	buildMu sync.Mutex // held while Go's build cache is checked

	docsMu   sync.Mutex
	docs     int64           // bytes of the documents, as far as this process knows
	docsSeen bool            // it has counted them
	relied   map[string]bool // see [Store.Relied]
}

// Open returns the store in dir. If dir is "", that is the folder named by
// [EnvDir], or else buck2-protobuf in the user's cache folder. It creates
// nothing. Errors are of class [fault.Machine]: there is no such folder to
// name, or another user can write to it; [fault.Usage] for ~, see [syntax.Expanded].
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
		if !filepath.IsAbs(base) {
			return nil, fault.Errorf(fault.Machine, hint, "no folder for the cache: %s is relative, since HOME is", base)
		}
		dir = filepath.Join(base, "buck2-protobuf")
	}
	if err := syntax.Expanded("the folder of the cache ("+EnvDir+")", "", dir); err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fault.Errorf(fault.Machine, hint, "no folder for the cache: %w", err)
	}
	s := &Store{dir: abs}
	return s, s.safe()
}

// Dir returns the absolute path of the cache folder, which may not exist yet.
func (s *Store) Dir() string { return s.dir }

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// mkdir creates a folder of the store. On the first call it also marks the
// store as a cache and removes what dead processes left in tmp.
func (s *Store) mkdir(elem ...string) (string, error) {
	dir := s.path(elem...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", s.refused(err)
	}
	s.sweep.Do(func() {
		if !s.mark() {
			return // tmp may belong to somebody else
		}
		tmp := s.path("tmp")
		entries, _ := os.ReadDir(tmp) // missing: nothing to remove
		for _, e := range entries {
			if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > staleAfter {
				os.RemoveAll(filepath.Join(tmp, e.Name())) // a failure only costs space
			}
		}
	})
	return dir, nil
}

// lock takes the file lock of that name, shared with other processes, and stops
// waiting when ctx ends. It only creates the folder of locks, if needed,
// because a warm start takes a lock.
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
	err = fmt.Errorf("waiting for the process that holds the lock %s: %w", filepath.Join(dir, name), err)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fault.Errorf(fault.Machine, "find out what the process that holds it is doing", "%w", err)
	}
	return nil, err
}

// Scratch creates an empty private folder on the same file system as the trees.
// Name becomes part of its path. Cleanup removes the folder with its content
// and may be called more than once. Errors are of class [fault.Machine].
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
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o700 != 0o700 {
		remove(dir)
		if err != nil {
			return "", nil, s.refused(err)
		}
		return "", nil, fault.Errorf(fault.Machine, "run: umask 022; or use another disk for the cache: "+EnvDir,
			"%s: a new folder gets the mode %#o: the umask, or the disk, takes rights from the owner of what is written", s.dir, info.Mode().Perm())
	}
	return dir, func() {
		remove(dir)
		remove(dir + ".exec") // see archive.KeepsExec
	}, nil
}

// remove deletes a file or folder of ours. A failure only costs space: tmp is
// cleaned again, and replacing a damaged entry reports its own error.
func remove(name string) {
	if robustio.RemoveAll(name) == nil {
		return
	}
	// RemoveAll fails on folders without write permission.
	filepath.WalkDir(name, func(p string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			os.Chmod(p, 0o755)
		}
		return nil
	})
	robustio.RemoveAll(name)
}

// refused turns an error of the file system under the store into one of class
// [fault.Machine] with a hint. Err already names the path.
func (s *Store) refused(err error) error {
	return fault.Disk(err, s.dir, "or set "+EnvDir+" to another folder")
}

// Put writes a small file of the store in one step. Name is its slash-separated
// path below [Store.Dir]. The file is not flushed to disk, so its reader must
// be able to tell that it is incomplete after a power failure. Errors are of
// class [fault.Machine].
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
		remove(s.path(name)) // something damaged that a file cannot replace
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

// rename gives a finished file its final name. Its readers detect damage by a
// power failure.
func rename(f *os.File, name string, perm fs.FileMode) error {
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), perm); err != nil {
		return err
	}
	return robustio.Rename(f.Name(), name)
}
