package remote

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A turn reads, a byte at a time, what takes a while for each of them.
type turn struct{ takes time.Duration }

func (r turn) Read(p []byte) (int, error) {
	time.Sleep(r.takes)
	p[0] = 1
	return 1, nil
}

// TestSlowDiskIsNoSlowServer: the time that our disk takes is not told as that of the
// server, whenever we look. A server that is too slow is given up, also beside such a
// disk.
func TestSlowDiskIsNoSlowServer(t *testing.T) {
	t.Parallel()
	c := New(Options{Timeouts: Timeouts{Stall: 30 * time.Second, MinRate: 1}})
	for _, tt := range []struct {
		name         string
		server, disk time.Duration // for each byte
		slow         bool
	}{
		{"both are fast", 500 * time.Millisecond, 400 * time.Millisecond, false},
		{"the disk is slow", 800 * time.Millisecond, 20 * time.Second, false},
		{"the disk hangs", 900 * time.Millisecond, 47 * time.Second, false},
		{"the server is slow", 2 * time.Second, 0, true},
		{"the server hangs", time.Hour, time.Second, true},
		{"both are slow", 2 * time.Second, 20 * time.Second, true},
		{"both hang", 40 * time.Second, 50 * time.Second, true},
	} {
		const bytes = 400
		t.Run("download, "+tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				a := &answer{Response: &http.Response{Body: io.NopCloser(turn{tt.server})}}
				stop := c.watch(a, cancel)
				n := 0
				for ; n < bytes && ctx.Err() == nil; n++ {
					if _, err := a.Body.Read(make([]byte, 1)); err != nil {
						t.Fatal(err)
					}
					time.Sleep(tt.disk)
				}
				stop()
				if cause := context.Cause(ctx); errors.Is(cause, errStalled) != tt.slow {
					t.Errorf("after %d bytes: %v", n, cause)
				}
			})
		})
		t.Run("upload, "+tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				r := &request{stream: turn{tt.disk}, length: bytes}
				stop := c.watchUpload(r, cancel)
				n := 0
				for ; n < bytes && ctx.Err() == nil; n++ {
					time.Sleep(tt.server)
					if _, err := r.stream.Read(make([]byte, 1)); err != nil {
						t.Fatal(err)
					}
				}
				stop()
				cause := context.Cause(ctx)
				if told := cause != nil && strings.Contains(cause.Error(), "reads data too slowly"); told != tt.slow {
					t.Errorf("after %d bytes: %v", n, cause)
				}
			})
		})
	}
}
