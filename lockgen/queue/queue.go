// Package queue limits how many operations run at once, and lets them wait for
// one another.
package queue

import (
	"context"
	"slices"
	"sync"
)

// A Queue lets a limited number of operations run at once. The others wait in
// order, urgent ones first.
type Queue struct {
	mu      sync.Mutex
	free    int
	waiting [2][]chan struct{} // urgent ones, and others
}

// New returns a queue for n operations at once.
func New(n int) *Queue { return &Queue{free: n} }

// Enter waits for a place. The caller gives it back with leave.
func (q *Queue) Enter(ctx context.Context, urgent bool) (leave func(), err error) {
	line := &q.waiting[1]
	if urgent {
		line = &q.waiting[0]
	}
	turn := make(chan struct{})
	q.mu.Lock()
	*line = append(*line, turn)
	q.admit()
	q.mu.Unlock()
	leave = sync.OnceFunc(func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.free++
		q.admit()
	})
	select {
	case <-turn:
		return leave, nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	i := slices.Index(*line, turn)
	if i >= 0 {
		*line = slices.Delete(*line, i, i+1)
	}
	q.mu.Unlock()
	if i < 0 { // it was admitted at the same time
		leave()
	}
	return nil, ctx.Err()
}

// admit admits operations while there are places. The caller holds the lock.
func (q *Queue) admit() {
	for i := range q.waiting {
		for q.free > 0 && len(q.waiting[i]) > 0 {
			close(q.waiting[i][0])
			q.waiting[i] = q.waiting[i][1:]
			q.free--
		}
	}
}
