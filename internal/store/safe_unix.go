//go:build unix

package store

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// safe refuses a cache that another user can write to: what is in it is run. The
// folder and those at its top belong to this user or to root, and nobody else may
// write to them. Everybody may write to a folder above only if it is like /tmp,
// where what is one's own cannot be renamed by others.
func (s *Store) safe() error {
	real, err := filepath.EvalSymlinks(s.dir)
	if err != nil {
		real = s.dir // not there yet
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
				return s.unsafe("chmod o-w "+dir, "everybody can write to %s, above it", dir)
			}
		}
	}
	return nil
}

// mine is safe for one folder of the cache real; what is none, or not there, is
// not its matter.
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
	return fault.About(fault.AboutOthers, fault.Errorf(fault.Machine, "run: "+hint+"; or set "+EnvDir+" to a folder of your own", "the cache %s is not used: "+format, append([]any{s.dir}, args...)...))
}
