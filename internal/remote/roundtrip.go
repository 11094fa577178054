package remote

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// maxMessage bounds what [Client.RoundTrip] sends and receives, in bytes: the
// limit of manifests that registries of OCI have.
const maxMessage = 4 << 20

// RoundTrip is http.RoundTripper's, for a library that speaks a protocol over
// HTTP: with it, everything that this package promises holds for the library's
// requests as well. A body of more than 4 MiB is streamed and sent once: the
// library has it, so the library tries again. Redirects are followed here, so the library sees none; the
// Authorization of the request goes to its origin and nowhere else. An answer
// of more than 4 MiB is an error, so artifacts come by [Client.Download]. What
// a server may do better the next time (429, 5xx, a broken connection or body)
// is tried again here and is an error in the end; other answers are returned
// as they are.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	r, err := c.request(req.URL.String())
	if err != nil {
		return nil, err
	}
	r.method = req.Method
	if req.Body != nil {
		defer req.Body.Close()
		if req.ContentLength > maxMessage {
			r.stream, r.length = req.Body, req.ContentLength
		} else if r.body, err = io.ReadAll(io.LimitReader(req.Body, maxMessage)); err != nil {
			return nil, err
		}
	}
	for name, values := range req.Header {
		if name != "Authorization" && name != "Accept-Encoding" && name != "User-Agent" {
			r.header[name] = slices.Clone(values)
		}
	}
	r.credential = Credential{}
	if auth := req.Header.Get("Authorization"); auth != "" {
		r.credential = Credential{Name: "that for " + req.URL.Host, Authorization: auth}
	}
	var cond *condition
	if req.Method == http.MethodGet && req.Context().Value(conditional{}) != nil {
		cond = c.condition(r)
	}
	var resp *http.Response
	transfer := c.inTime
	if r.stream != nil { // of any length, and with a floor of its own
		transfer = c.transfer
	}
	err = transfer(req.Context(), r, func(ctx context.Context, cancel context.CancelCauseFunc) (f *failure) {
		if r.stream != nil {
			defer c.watchUpload(r, cancel)()
			defer func() {
				if f == nil {
					return
				}
				f.retry = false
				if cause := context.Cause(ctx); cause != nil && cause != ctx.Err() {
					f.err = cause
				}
			}()
		}
		a, f := c.get(ctx, r)
		if f != nil {
			return f
		}
		defer c.watch(a, cancel)()
		body, f := c.message(a, r, cond)
		if f != nil {
			return f
		}
		answer := *a.Response
		answer.Body = io.NopCloser(bytes.NewReader(body))
		if r.method != http.MethodHead {
			answer.ContentLength = int64(len(body))
		}
		// Where the answer came from, so that the library does not take a
		// stranger's challenge for its server's.
		asked := req.Clone(req.Context())
		asked.URL, asked.Host, asked.Body = a.url, a.url.Host, nil
		answer.Request = asked
		resp = &answer
		return nil
	})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// message reads the body of an answer, or takes what was kept of it.
func (c *Client) message(a *answer, r *request, cond *condition) ([]byte, *failure) {
	if a.StatusCode == http.StatusTooManyRequests || a.StatusCode >= 500 {
		return nil, c.statusFailure(a)
	}
	kept, ok, retry := cond.unchanged(a, r)
	if retry {
		return nil, elsewhere(a)
	}
	from := io.Reader(bytes.NewReader(kept))
	if !ok {
		from = a.Body
	}
	body, err := io.ReadAll(io.LimitReader(from, maxMessage+1))
	switch {
	case len(body) > maxMessage:
		return nil, &failure{class: fault.Upstream, hint: "ask its operator, or use another mirror", err: fmt.Errorf("the answer is longer than the limit of %d bytes%s", maxMessage, via(a.chain))}
	case err != nil:
		return nil, bodyFailure(a, err, int64(len(body)), a.ContentLength)
	case a.StatusCode == http.StatusOK && looksLikeHTML(body):
		return nil, &failure{class: fault.Upstream, hint: "open the address in a browser, and check the proxy and the credential",
			err: fault.About(fault.AboutProxy, fmt.Errorf("got what looks like HTML (a proxy or login page?)%s", via(a.chain)))}
	}
	if a.StatusCode == http.StatusOK && !ok {
		cond.keep(a, body)
	}
	return body, nil
}

// watchUpload puts a meter on the body of a request and cancels the attempt
// when the server takes it too slowly. The caller stops it.
func (c *Client) watchUpload(r *request, cancel context.CancelCauseFunc) (stop func()) {
	m := &uploadMeter{body: r.stream, length: r.length}
	r.stream = m
	return c.floor(&m.count, func(slow string) bool {
		if m.count.Load() < m.length { // else what remains is the answer, which has a timeout of its own
			cancel(fmt.Errorf("the server takes too slowly: %s", slow))
		}
		return false
	})
}

type uploadMeter struct {
	body   io.Reader
	length int64
	count  atomic.Int64
}

func (m *uploadMeter) Read(p []byte) (int, error) {
	n, err := m.body.Read(p)
	m.count.Add(int64(n))
	return n, err
}
