package once

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestDo: many who ask at the same time share one call.
func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Map[string, int]
		var calls atomic.Int32
		var g sync.WaitGroup
		for range 20 {
			g.Go(func() {
				got, err := m.Do("a", func() (int, error) {
					time.Sleep(time.Second)
					return int(calls.Add(1)), nil
				})
				if got != 1 || err != nil {
					t.Errorf("got %d, %v", got, err)
				}
			})
		}
		g.Wait()
		if got, _ := m.Do("b", func() (int, error) { return 7, nil }); got != 7 {
			t.Errorf("another key: %d", got)
		}
	})
}

// TestErrors: which errors are remembered.
func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		err   error
		retry bool
		calls int // of two in a row
	}{
		{errors.New("x"), false, 1},
		{errors.New("x"), true, 2},
		{nil, true, 1},
		{fmt.Errorf("x: %w", context.Canceled), false, 2},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), false, 2},
	} {
		m, calls := Map[int, int]{Retry: tt.retry}, 0
		for range 2 {
			if _, err := m.Do(1, func() (int, error) { calls++; return 0, tt.err }); err != tt.err {
				t.Errorf("%v became %v", tt.err, err)
			}
		}
		if calls != tt.calls {
			t.Errorf("%v, retry %v: %d calls, want %d", tt.err, tt.retry, calls, tt.calls)
		}
	}
}

// TestCancelled: whoever waited for a call that was cancelled, or that
// panicked, makes its own.
func TestCancelled(t *testing.T) {
	for _, how := range []string{"cancelled", "panics"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var m Map[string, string]
				go func() {
					defer func() { _ = recover() }()
					_, _ = m.Do("a", func() (string, error) {
						time.Sleep(time.Second)
						if how == "panics" {
							panic("x")
						}
						return "", context.Canceled
					})
				}()
				synctest.Wait()
				if got, err := m.Do("a", func() (string, error) { return "mine", nil }); got != "mine" || err != nil {
					t.Errorf("got %q, %v", got, err)
				}
			})
		})
	}
}
