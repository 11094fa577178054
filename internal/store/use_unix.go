//go:build unix

package store

import (
	"golang.org/x/sys/unix"
)

// Bequeath lets the program that this process becomes keep the trees that this
// store holds.
func (s *Store) Bequeath() {
	s.usesMu.Lock()
	defer s.usesMu.Unlock()
	for _, f := range s.uses {
		// Not to be inherited is how Go opens files; failure means no lock.
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETFD, 0)
	}
}
