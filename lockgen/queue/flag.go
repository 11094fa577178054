package queue

import (
	"context"
	"sync"
)

// A Flag is something that many may wait for.
type Flag struct {
	Opened chan struct{} // closed when it has happened
	Open   func()        // it happens
}

// NewFlag is a flag of what has not happened.
func NewFlag() Flag {
	opened := make(chan struct{})
	return Flag{opened, sync.OnceFunc(func() { close(opened) })}
}

// Wait reports whether it happened before ctx ended.
func (f Flag) Wait(ctx context.Context) bool {
	select {
	case <-f.Opened:
		return true
	case <-ctx.Done():
		return false
	}
}

// IsOpen reports whether it has happened.
func (f Flag) IsOpen() bool {
	select {
	case <-f.Opened:
		return true
	default:
		return false
	}
}
