// Package queue bounds how many things go on at once, and lets them wait for one
// another.
package queue

import (
	"context"
	"slices"
	"sync"
)

// A Queue lets a number of things go on at once. Who waits is let in in order,
// what is urgent first.
type Queue struct {
	mu      sync.Mutex
	free    int
	waiting [2][]chan struct{} // urgent, and not
}

// New returns a queue that lets in n at once.
func New(n int) *Queue { return &Queue{free: n} }

// Enter waits for a place, which leave gives back.
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
	if i < 0 { // it was let in at the same time
		leave()
	}
	return nil, ctx.Err()
}

// admit lets in as many as there are places. The caller holds the lock.
func (q *Queue) admit() {
	for i := range q.waiting {
		for q.free > 0 && len(q.waiting[i]) > 0 {
			close(q.waiting[i][0])
			q.waiting[i] = q.waiting[i][1:]
			q.free--
		}
	}
}
