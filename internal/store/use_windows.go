package store

import (
	"math"
	"os"

	"golang.org/x/sys/windows"
)

// flock waits for a shared lock, or takes an exclusive one if nobody has any, on
// the same range as lockedfile.
func flock(f *os.File, exclusive bool) error {
	var how uint32
	if exclusive {
		how = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	}
	return windows.LockFileEx(windows.Handle(f.Fd()), how, 0, math.MaxUint32, math.MaxUint32, new(windows.Overlapped))
}

// Bequeath does nothing: here a plugin is a child, and fetch holds what it uses
// until it ends.
func (s *Store) Bequeath() {}
