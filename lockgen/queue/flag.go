package queue

import (
	"context"
	"sync"
)

// A Flag is an event that several goroutines may wait for.
type Flag struct {
	Opened chan struct{} // closed after the event
	Open   func()        // marks that it has happened
}

// NewFlag returns a flag for an event that has not happened.
func NewFlag() Flag {
	opened := make(chan struct{})
	return Flag{opened, sync.OnceFunc(func() { close(opened) })}
}

// Wait reports whether the event happened before ctx ended.
func (f Flag) Wait(ctx context.Context) bool {
	select {
	case <-f.Opened:
		return true
	case <-ctx.Done():
		return false
	}
}

// IsOpen reports whether the event has happened.
func (f Flag) IsOpen() bool {
	select {
	case <-f.Opened:
		return true
	default:
		return false
	}
}
