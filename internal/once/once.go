// Package once computes a value once per key, no matter how many goroutines ask
// for it.
package once

import (
	"context"
	"errors"
	"sync"
)

// A Map caches the results of [Map.Do] by key. The zero Map is ready to use. A
// Map must not be copied after first use.
type Map[K comparable, V any] struct {
	mu    sync.Mutex
	calls map[K]*call[V]
}

type call[V any] struct {
	done  chan struct{}
	kept  bool // value and err are the result for all
	value V
	err   error
}

// Do returns what f returned for a key. Only the first caller for a key runs f.
// All others wait for it and get the same value and the same error.
//
// A cancelled or expired context is never cached: a caller that waited for such
// a call, or for one that panicked, runs its own f.
func (m *Map[K, V]) Do(key K, f func() (V, error)) (V, error) { return m.do(key, f, true) }

// Succeed is like [Map.Do], but does not cache failures: callers that are
// already waiting get the error, and later callers run their own f.
func (m *Map[K, V]) Succeed(key K, f func() (V, error)) (V, error) { return m.do(key, f, false) }

func (m *Map[K, V]) do(key K, f func() (V, error), failures bool) (V, error) {
	for {
		m.mu.Lock()
		c := m.calls[key]
		if c == nil {
			if m.calls == nil {
				m.calls = map[K]*call[V]{}
			}
			c = &call[V]{done: make(chan struct{})}
			m.calls[key] = c
			m.mu.Unlock()
			return m.run(key, c, f, failures)
		}
		m.mu.Unlock()
		if <-c.done; c.kept {
			return c.value, c.err
		}
	}
}

// Forget removes a key, so that the next caller runs its own f.
func (m *Map[K, V]) Forget(key K) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.calls, key)
}

func (m *Map[K, V]) run(key K, c *call[V], f func() (V, error), failures bool) (V, error) {
	remember := false
	defer func() {
		if !remember {
			m.mu.Lock()
			if m.calls[key] == c {
				delete(m.calls, key)
			}
			m.mu.Unlock()
		}
		close(c.done)
	}()
	c.value, c.err = f()
	c.kept = !errors.Is(c.err, context.Canceled) && !errors.Is(c.err, context.DeadlineExceeded)
	remember = c.kept && (c.err == nil || failures)
	return c.value, c.err
}
