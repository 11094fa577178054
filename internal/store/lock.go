package store

import (
	"context"
	"os"

	"github.com/rogpeppe/go-internal/lockedfile"
)

// Lock creates a file if needed and locks it against all other processes and
// other calls of Lock. It waits until the lock is free; if ctx ends first, it
// returns the error of ctx. Closing the file releases the lock.
//
// If the file system does not support locks, the error is that of lockedfile.
func Lock(ctx context.Context, name string) (*lockedfile.File, error) {
	type result struct {
		f   *lockedfile.File
		err error
	}
	got := make(chan result)
	go func() { // the system call cannot be interrupted
		f, err := lockedfile.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
		select {
		case got <- result{f, err}:
		case <-ctx.Done():
			if err == nil {
				f.Close()
			}
		}
	}()
	select {
	case r := <-got:
		return r.f, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
