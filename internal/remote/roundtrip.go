package remote

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// maxMessage limits what [Client.RoundTrip] sends and receives, in bytes: the
// limit of OCI registries for manifests.
const maxMessage = 4 << 20

// RoundTrip implements [http.RoundTripper] for libraries that speak a protocol
// over HTTP, so that the promises of this package hold for their requests. A
// request body over 4 MiB is streamed and sent only once; retrying is up to the
// library. Redirects are followed here, so the library sees none, and its
// Authorization header is sent only to the request's origin. An answer over 4
// MiB is an error: artifacts are for [Client.Download]. If a retry may help
// (429, 5xx, a broken connection or body), RoundTrip retries, and returns an
// error at the end; other answers are returned as they are.
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
	if r.stream != nil { // of any length, but with a minimum speed
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
		// The URL that answered, so that the library does not take the
		// challenge of another host for that of its server.
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

// message reads the body of an answer, or takes the stored one for a 304.
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
		return nil, &failure{class: fault.Upstream, hint: "ask its operator, or use another mirror", err: fmt.Errorf("the answer exceeds the limit of %d bytes%s", maxMessage, via(a.chain))}
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

// watchUpload measures the upload of a request and cancels the attempt if the
// server reads too slowly. The caller stops it.
func (c *Client) watchUpload(r *request, cancel context.CancelCauseFunc) (stop func()) {
	m := &uploadMeter{body: r.stream}
	length := r.length
	r.stream = m
	return c.floor(&m.pace, func(slow string) {
		if n, _ := m.now(); n < length { // otherwise we wait for the answer, which has its own timeout
			cancel(fmt.Errorf("the server reads data too slowly: %s", slow))
		}
	})
}

// An uploadMeter measures the pace of a body that a server reads.
type uploadMeter struct {
	pace
	body io.Reader
}

func (m *uploadMeter) Read(p []byte) (int, error) {
	m.ours(0)
	n, err := m.body.Read(p)
	m.theirs(n)
	return n, err
}
