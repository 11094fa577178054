package remote

import (
	"bytes"
	"context"
	"net/http"
	"net/url"

	"github.com/birbparty/buck2-protobuf/internal/store"
)

// A condition is what makes the request for a document one that an unchanged
// document answers with 304 (RFC 9110, 13.1). What a 304 stands for is the body
// that was kept, by its hash, of an answer from the same address.
type condition struct {
	c    *Client
	key  string
	kept store.Document
	ok   bool // there is one, and the request asks for it
}

// condition puts the validators of the kept answer into a request. A client
// without a store asks for everything.
func (c *Client) condition(r *request) *condition {
	if c.o.Store == nil {
		return nil
	}
	d := &condition{c: c, key: "document " + r.header.Get("Accept") + " " + bare(r.url).String()}
	if d.kept, d.ok = c.o.Store.Document(d.key); !d.ok {
		return d
	}
	if d.kept.ETag != "" {
		r.header.Set("If-None-Match", d.kept.ETag)
	} else {
		r.header.Set("If-Modified-Since", d.kept.Modified)
	}
	return d
}

// place is where an answer came from, without secrets.
func place(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

// unchanged makes an answer to the condition whole again. Where another place
// than before says that nothing has changed, retry is set and the request is
// one without a condition.
func (d *condition) unchanged(a *answer, r *request) (body []byte, ok, retry bool) {
	if d == nil || !d.ok || a.StatusCode != http.StatusNotModified {
		return nil, false, false
	}
	if d.kept.From != place(a.url) {
		d.ok = false
		r.header.Del("If-None-Match")
		r.header.Del("If-Modified-Since")
		return nil, false, true
	}
	for name, value := range map[string]string{"Content-Type": d.kept.ContentType, "Link": d.kept.Link} {
		if a.Header.Del(name); value != "" {
			a.Header.Set(name, value)
		}
	}
	a.StatusCode, a.Status, a.ContentLength = http.StatusOK, "200 OK", int64(len(d.kept.Body))
	return bytes.Clone(d.kept.Body), true, false
}

// keep remembers a good answer. That it could not costs the next request its
// condition and nothing else.
func (d *condition) keep(a *answer, body []byte) {
	if d == nil {
		return
	}
	n := store.Document{
		Body: body, ContentType: a.Header.Get("Content-Type"), Link: a.Header.Get("Link"),
		ETag: a.Header.Get("Etag"), Modified: a.Header.Get("Last-Modified"), From: place(a.url),
	}
	if n.ETag != "" || n.Modified != "" {
		_ = d.c.o.Store.KeepDocument(d.key, n)
	}
}

// conditional is the key of a context whose request may be asked on condition.
type conditional struct{}

// Conditional marks the context of a request for [Client.RoundTrip]: its answer
// is a document that may be kept, and asked for on condition the next time.
func Conditional(ctx context.Context) context.Context {
	return context.WithValue(ctx, conditional{}, true)
}

// Kept returns what [Client.Keep] kept for something that never changes.
func (c *Client) Kept(name string) ([]byte, bool) {
	if c.o.Store == nil {
		return nil, false
	}
	d, ok := c.o.Store.Document("kept " + name)
	return d.Body, ok
}

// Keep keeps the content of something that never changes, such as what is named
// by its digest, for [Client.Kept]. It may be forgotten.
func (c *Client) Keep(name string, body []byte) {
	if c.o.Store != nil {
		_ = c.o.Store.KeepDocument("kept "+name, store.Document{Body: body})
	}
}
