package remote

import (
	"bytes"
	"context"
	"net/http"
	"net/url"

	"github.com/birbparty/buck2-protobuf/internal/store"
)

// A condition makes a request for a document conditional, so the server answers
// 304 if the document is unchanged (RFC 9110, 13.1). A 304 then stands for the
// stored body, identified by its hash, of an answer from the same URL.
type condition struct {
	c    *Client
	key  string
	kept store.Document
	ok   bool // the request is conditional
}

// condition adds the validators of the stored answer to a request. Without a
// store, requests are unconditional.
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

// place returns the URL of an answer, without secrets.
func place(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

// unchanged returns the stored body for a 304. If the 304 comes from another
// URL than the stored body, retry is set and the next attempt is unconditional.
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
	d.c.o.Store.Relied(d.key)
	a.StatusCode, a.Status, a.ContentLength = http.StatusOK, "200 OK", int64(len(d.kept.Body))
	return bytes.Clone(d.kept.Body), true, false
}

// keep stores a good answer. If it cannot, the next request is unconditional.
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
		d.c.o.Store.Relied(d.key)
	}
}

// conditional is the key of a context whose request may be conditional.
type conditional struct{}

// Conditional marks the context of a request for [Client.RoundTrip]: its answer
// is a document that may be stored, and requested conditionally the next time.
func Conditional(ctx context.Context) context.Context {
	return context.WithValue(ctx, conditional{}, true)
}

// Kept returns what [Client.Keep] stored under a name.
func (c *Client) Kept(name string) ([]byte, bool) {
	if c.o.Store == nil {
		return nil, false
	}
	d, ok := c.o.Store.Document("kept " + name)
	return d.Body, ok
}

// Keep stores something that never changes, such as what is named by its
// digest, for [Client.Kept]. It may be removed at any time.
func (c *Client) Keep(name string, body []byte) {
	if c.o.Store != nil {
		_ = c.o.Store.KeepDocument("kept "+name, store.Document{Body: body})
	}
}
