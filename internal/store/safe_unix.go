//go:build unix

package store

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// safe refuses a cache that another user can write to, since programs in it are
// run. The folder and its subfolders must belong to this user or to root, and
// nobody else may write to them. A folder above may be writable for everybody
// only if it is sticky like /tmp, where others cannot rename our files.
func (s *Store) safe() error {
	real, err := filepath.EvalSymlinks(s.dir)
	if err != nil {
		real = s.dir // it does not exist yet
	}
	for _, name := range append([]string{""}, layout...) {
		if err := s.mine(real, filepath.Join(real, name)); err != nil {
			return err
		}
	}
	for _, dir := range []string{s.dir, real} {
		for top := ""; dir != top; {
			top, dir = dir, filepath.Dir(dir)
			if info, err := os.Stat(dir); err == nil && info.Mode()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
				return s.unsafe("chmod o-w "+dir, "everybody can write to the folder %s above it", dir)
			}
		}
	}
	return nil
}

// mine does the check of safe for one folder of the cache real. It ignores
// missing names and other files.
func (s *Store) mine(real, dir string) error {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return nil
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if ok && st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return s.unsafe("chown -R \"$(id -u)\" "+real, "%s belongs to another user (id %d)", dir, st.Uid)
	}
	if info.Mode()&0o022 != 0 {
		return s.unsafe("chmod -R go-w "+real, "other users can write to %s (mode %s)", dir, info.Mode())
	}
	return nil
}

func (s *Store) unsafe(hint, format string, args ...any) error {
	return fault.About(fault.AboutOthers, fault.Errorf(fault.Machine, "run: "+hint+"; or set "+EnvDir+" to a folder of your own", "the cache %s is not safe to use: "+format, append([]any{s.dir}, args...)...))
}
