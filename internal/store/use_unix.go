//go:build unix

package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// flock waits for a shared lock, or takes an exclusive one if nobody has any. It
// is the lock that lockedfile takes on these systems, and belongs to the open
// file: who inherits that keeps the lock.
func flock(f *os.File, exclusive bool) error {
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX | unix.LOCK_NB
	}
	for {
		if err := unix.Flock(int(f.Fd()), how); err != unix.EINTR {
			return err
		}
	}
}

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
