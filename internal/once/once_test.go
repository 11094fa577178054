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
		m, calls := Map[int, int]{}, 0
		do := m.Do
		if tt.retry {
			do = m.Succeed
		}
		for range 2 {
			if _, err := do(1, func() (int, error) { calls++; return 0, tt.err }); err != tt.err {
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

func TestForget(t *testing.T) {
	t.Parallel()
	var m Map[string, int]
	calls := 0
	count := func() (int, error) { calls++; return calls, nil }
	for i, want := range []int{1, 1, 2} {
		if i == 2 {
			m.Forget("a")
		}
		if got, _ := m.Do("a", count); got != want {
			t.Errorf("call %d: %d, want %d", i, got, want)
		}
	}
	// Forgotten while it runs: who asks next does not get what is stale.
	_, _ = m.Do("b", func() (int, error) { m.Forget("b"); return 7, nil })
	if got, _ := m.Do("b", func() (int, error) { return 8, nil }); got != 8 {
		t.Errorf("got %d, which was forgotten", got)
	}
}
