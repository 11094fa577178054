package remote

import (
	"context"
	"io"
	"net/http"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// Distrust asks the server of a URL only for its certificate, without a
// credential, and returns an error of class [fault.Upstream] if the certificate
// is not trusted. It returns nil for any other failure, such as a network that
// is down: then nothing is known about the certificate.
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
