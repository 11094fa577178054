package remote

import (
	"context"
	"io"
	"net/http"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// Distrust asks the server of a URL for nothing but its certificate, without a
// credential, and returns the error of class [fault.Upstream] of one that is not
// believed. Whatever else comes in between, such as a network that is down, is nil:
// then nothing is known.
func (c *Client) Distrust(ctx context.Context, rawURL string) error {
	r, err := c.request(rawURL)
	if err != nil || c.o.Offline || r.url.Scheme != "https" {
		return nil
	}
	r.method, r.credential = http.MethodHead, Credential{}
	a, f := c.get(ctx, r)
	if f == nil {
		_, _ = io.CopyN(io.Discard, a.Body, 4<<10)
		a.Body.Close()
		return nil
	}
	if !f.distrust {
		return nil
	}
	return fault.Errorf(f.class, f.hint, "%w", f.err)
}
