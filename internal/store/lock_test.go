package store

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"
)

// TestLock: whoever waits goes on when the lock is free, stops when its context
// ends, and does not keep the lock from others then.
func TestLock(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "lock")
	first, err := Lock(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Lock(ctx, name); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a lock that another has: %v", err)
	}
	time.AfterFunc(50*time.Millisecond, func() { first.Close() })
	second, err := Lock(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}
