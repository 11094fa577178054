package queue

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
)

func TestQueue(t *testing.T) {
	q := New(1)
	leave, err := q.Enter(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := q.Enter(ended, true); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
	order := make(chan string, 2)
	var waiting sync.WaitGroup
	for i, name := range []string{"last", "urgent"} {
		waiting.Go(func() {
			leave, err := q.Enter(t.Context(), name == "urgent")
			if err != nil {
				t.Error(err)
			}
			order <- name
			leave()
			leave() // once counts
		})
		for q.length() != i+1 {
			runtime.Gosched()
		}
	}
	leave()
	waiting.Wait()
	if first, second := <-order, <-order; first != "urgent" || second != "last" || q.free != 1 {
		t.Errorf("%s, then %s, and %d places are free", first, second, q.free)
	}
}

func (q *Queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting[0]) + len(q.waiting[1])
}
