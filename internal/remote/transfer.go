package remote

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/redact"
)

// transfer calls attempt until it succeeds, fails for good, or the attempts are
// used up.
func (c *Client) transfer(ctx context.Context, r *request, attempt func(context.Context, context.CancelCauseFunc) *failure) error {
	var last *failure
	attempts := 0
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		attempts++
		// The context of an attempt ends with the attempt.
		inner, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		last = attempt(inner, cancel)
		switch {
		case last == nil:
			return struct{}{}, nil
		case !last.retry:
			return struct{}{}, backoff.Permanent(last.err)
		case last.after > 0:
			after := c.o.Timeouts.RetryAfter
			if last.after < int64(after/time.Second) {
				after = time.Duration(last.after) * time.Second
			}
			return struct{}{}, &backoff.RetryAfterError{Duration: after}
		}
		return struct{}{}, last.err
	}, c.backoff()...)
	if err == nil {
		return nil
	}
	name := redact.URL(r.url.String())
	if ctx.Err() != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fault.Errorf(fault.Upstream, "try again with more time", "downloading %s: %w", name, ctx.Err())
		}
		return fmt.Errorf("downloading %s: %w", name, ctx.Err())
	}
	if attempts > 1 {
		return fault.Errorf(last.class, last.hint, "downloading %s: %w (%d attempts)", name, last.err, attempts)
	}
	return fault.Errorf(last.class, last.hint, "downloading %s: %w", name, last.err)
}

// inTime is transfer with Timeouts.Document, for results kept in memory.
func (c *Client) inTime(ctx context.Context, r *request, attempt func(context.Context, context.CancelCauseFunc) *failure) error {
	bounded, cancel := context.WithTimeout(ctx, c.o.Timeouts.Document)
	defer cancel()
	err := c.transfer(bounded, r, attempt)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return fault.Errorf(fault.Upstream, "try again later, or use a mirror", "downloading %s: it took longer than %s", redact.URL(r.url.String()), c.o.Timeouts.Document)
	}
	return err
}

// backoff returns how to wait between attempts.
func (c *Client) backoff() []backoff.RetryOption {
	return []backoff.RetryOption{
		backoff.WithBackOff(&backoff.ExponentialBackOff{
			InitialInterval:     c.o.Timeouts.RetryWait,
			RandomizationFactor: 0.5,
			Multiplier:          2,
			MaxInterval:         10 * time.Second,
		}),
		backoff.WithMaxTries(uint(c.o.Attempts)), backoff.WithMaxElapsedTime(0),
	}
}

// Retry retries an operation of several requests, such as an upload, as often
// and with the same waits as a transfer, as long as again returns true for its
// error. It returns the last error.
func (c *Client) Retry(ctx context.Context, try func() error, again func(error) bool) error {
	var last error
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		if last = try(); last != nil && !again(last) {
			return struct{}{}, backoff.Permanent(last)
		}
		return struct{}{}, last
	}, c.backoff()...)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return last
}

// A statusError is the error for a response with an unexpected status.
type statusError struct {
	code  int
	limit bool
	text  string
}

func (e *statusError) Error() string { return e.text }

// Is reports errors for a missing file as fs.ErrNotExist, for one that the
// server refuses as fs.ErrPermission, and for a rate limit as ErrRateLimit.
func (e *statusError) Is(target error) bool {
	return target == fs.ErrNotExist && (e.code == http.StatusNotFound || e.code == http.StatusGone) ||
		target == fs.ErrPermission && (e.code == http.StatusUnauthorized || e.code == http.StatusForbidden) ||
		target == ErrRateLimit && e.limit ||
		target == ErrUnauthorized && e.code == http.StatusUnauthorized
}

var (
	// ErrRateLimit is matched by the error for an exceeded rate limit. The text
	// of the error says when it resets.
	ErrRateLimit = errors.New("rate limit reached")
	// ErrUnauthorized is matched by the error of a server that requires a
	// credential, or a different one.
	ErrUnauthorized = errors.New("unauthorized")
)

// Answered reports whether err is that of a server that answered with a status.
func Answered(err error, code int) bool {
	var e *statusError
	return errors.As(err, &e) && e.code == code
}

func status(resp *http.Response) string {
	return strings.TrimSpace(strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode))
}

// statusFailure returns the failure for an unexpected status.
func (c *Client) statusFailure(a *answer) *failure {
	f := &failure{class: fault.Upstream, hint: "check the address; if it is right, ask the operator of the server, or use a mirror"}
	limited := (a.StatusCode == http.StatusForbidden || a.StatusCode == http.StatusTooManyRequests) && a.Header.Get("X-Ratelimit-Remaining") == "0"
	var b strings.Builder
	b.WriteString("server answered " + status(a.Response))
	switch code := a.StatusCode; {
	case code == http.StatusNotFound || code == http.StatusGone:
		b.WriteString(": was it deleted?")
		f.hint = "check the name and the version, or use a mirror that still has it"
	case limited:
		b.WriteString(": rate limit reached")
		f.hint = "wait, or set a token for that host, which has a higher limit"
		if reset, err := strconv.ParseInt(a.Header.Get("X-Ratelimit-Reset"), 10, 64); err == nil && reset > 0 && reset < math.MaxInt32 {
			b.WriteString(", it resets at " + time.Unix(reset, 0).UTC().Format("15:04 UTC"))
		}
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		switch {
		case a.sent != "":
			b.WriteString(", credential sent: " + plain.Line(a.sent, 80))
			f.hint = "check that the credential is valid and may read this package"
		case a.req.credential.Name != "":
			b.WriteString(", no credential sent: it left the host that " + plain.Line(a.req.credential.Name, 80) + " is for")
			f.hint = "ask the operator of the registry why it leads to a host that wants a credential of its own, or use a mirror"
		default:
			b.WriteString(", no credential sent")
			f.hint = "put a credential for " + plain.Line(a.url.Hostname(), 80) + " into your netrc file, or into the settings of the registry's own client"
		}
	case code == http.StatusProxyAuthRequired:
		f.hint = "check the user name and the password in HTTPS_PROXY, and what the proxy allows"
	case code == http.StatusUnavailableForLegalReasons:
		f.hint = "the server is not allowed to serve this to you: use a mirror that is"
	case code == http.StatusPaymentRequired:
		f.hint = "check the account of the credential, or use a mirror"
	case code == http.StatusTooManyRequests || code == http.StatusRequestTimeout || code == http.StatusTooEarly || code >= 500:
		f.retry = true
		f.after = retryAfter(a.Header.Get("Retry-After"))
		f.hint = "try again later, or use a mirror"
	}
	b.WriteString(via(a.chain))
	if said := c.said(a); said != "" {
		b.WriteString("; it said: " + said)
	}
	f.err = &statusError{a.StatusCode, limited, b.String()}
	return f
}

// said returns the beginning of the server's message, safe to print.
func (c *Client) said(a *answer) string {
	head, _ := io.ReadAll(io.LimitReader(a.Body, 4<<10))
	if looksLikeHTML(head) {
		return "" // markup does not help; the status is shown
	}
	return plain.Line(a.req.scrub(string(head)), 200)
}

// retryAfter parses the Retry-After header (RFC 9110, 10.2.3): seconds or a
// date. It returns 0 for anything else and for a time in the past.
func retryAfter(s string) int64 {
	s = strings.TrimSpace(s)
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return max(n, 0)
	} else if errors.Is(err, strconv.ErrRange) && !strings.HasPrefix(s, "-") {
		return math.MaxInt64
	}
	t, err := http.ParseTime(s)
	if err != nil {
		return 0
	}
	return max(int64(math.Ceil(time.Until(t).Seconds())), 0)
}

// looksLikeHTML recognises the page of a proxy or a login in the place of a
// file, regardless of its content type.
func looksLikeHTML(head []byte) bool {
	return strings.HasPrefix(http.DetectContentType(head), "text/html")
}

// A pace has how many bytes went between a server and us, and for how much of the
// time the server waited for us, for our disk for example.
type pace struct {
	mu     sync.Mutex
	count  int64
	worked time.Duration // in the turns of ours that ended
	began  time.Time     // when our turn began; zero while it is the server's
}

// ours begins our turn, after n more bytes.
func (p *pace) ours(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count += int64(n)
	p.began = time.Now()
}

// theirs begins the turn of the server, after n more bytes.
func (p *pace) theirs(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count += int64(n)
	if !p.began.IsZero() {
		p.worked += time.Since(p.began)
		p.began = time.Time{}
	}
}

// now returns the bytes so far, and the time that we took.
func (p *pace) now() (count int64, worked time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	worked = p.worked
	if !p.began.IsZero() {
		worked += time.Since(p.began)
	}
	return p.count, worked
}

// A meter measures the pace of a body that we read.
type meter struct {
	pace
	body    io.Reader
	stalled atomic.Pointer[error]
}

// watch measures the body of an answer and cancels the attempt if it is too
// slow. The caller calls stop, which closes the body.
func (c *Client) watch(a *answer, cancel context.CancelCauseFunc) (stop func()) {
	body := a.Body
	m := &meter{body: body}
	a.Body = io.NopCloser(m)
	unwatch := c.floor(&m.pace, func(slow string) {
		err := fmt.Errorf("%w: %s", errStalled, slow)
		m.stalled.Store(&err)
		cancel(err) // ends a blocked Read
	})
	return func() {
		unwatch()
		body.Close()
	}
}

// floor calls tooSlow once, with a description, when a server had its turn for
// Timeouts.Stall in which it was slower than Timeouts.MinRate, unless the caller
// stops it before.
func (c *Client) floor(p *pace, tooSlow func(slow string)) (stop func()) {
	window := c.o.Timeouts.Stall
	need := max(1, int64(window.Seconds()*float64(c.o.Timeouts.MinRate)))
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(window)
		defer tick.Stop()
		last, lastWorked := p.now()
		since := time.Now()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			n, worked := p.now()
			waited := time.Since(since) - (worked - lastWorked)
			enough := n-last >= min(need, max(1, int64(waited.Seconds()*float64(c.o.Timeouts.MinRate))))
			switch {
			case waited < window*9/10 && n-last < need: // a tick may be a little early
			case enough:
				last, lastWorked, since = n, worked, time.Now()
			default:
				tooSlow(fmt.Sprintf("%d bytes in %s, expected at least %d", n-last, window, need))
				return
			}
		}
	}()
	return func() { close(done) }
}

// Read implements [io.Reader]. If the body was cancelled for being too slow,
// that is its error, not the broken connection.
func (m *meter) Read(p []byte) (int, error) {
	m.theirs(0)
	n, err := m.body.Read(p)
	m.ours(n)
	if cause := m.stalled.Load(); cause != nil && err != nil && err != io.EOF {
		err = *cause
	}
	return n, err
}

// DownloadOptions describe an artifact.
type DownloadOptions struct {
	Size int64 // bytes; 0 if unknown, then the sink limits the length
	// Credential is for the origin of the URL. If it has an Authorization, it
	// replaces the one from [Options.Credential].
	Credential Credential
}

// Download copies the artifact at a URL into a sink. An interrupted transfer
// continues where it stopped if the server supports it (Range with If-Range);
// otherwise the sink is reset. It stops at the first byte beyond Size. It does
// not verify the digest; the caller must.
//
// An error of the sink ends the download and keeps its class. After an error,
// the caller must discard what the sink has.
func (c *Client) Download(ctx context.Context, url string, in Sink, opt DownloadOptions) error {
	r, err := c.request(url)
	if err != nil {
		return err
	}
	if opt.Credential.Authorization != "" {
		r.credential = opt.Credential
	}
	d := &download{c: c, r: r, in: in, size: opt.Size, name: redact.URL(url)}
	if err := d.reset(); err != nil { // bytes of an earlier call have no validator
		return err
	}
	return c.transfer(ctx, r, d.attempt)
}

// headTime limits an optional request.
const headTime = 10 * time.Second

// Head asks once for the size of the artifact at a URL; 0 means unknown. It
// returns an error if the server says that the artifact does not exist or
// refuses HEAD; a caller who must know can request the beginning instead. After
// any other failure, size is 0 and the error is nil.
func (c *Client) Head(ctx context.Context, url string) (size int64, err error) {
	r, err := c.request(url)
	if err != nil || c.o.Offline {
		return 0, nil
	}
	r.method = http.MethodHead
	ctx, cancel := context.WithTimeout(ctx, headTime)
	defer cancel()
	a, f := c.get(ctx, r)
	if f != nil {
		return 0, nil
	}
	defer a.Body.Close()
	switch a.StatusCode {
	case http.StatusNotFound, http.StatusGone, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return 0, c.statusFailure(a).err
	case http.StatusOK:
		return max(0, a.ContentLength), nil
	}
	return 0, nil
}

// Probe asks for the beginning of the artifact at a URL, and no more than that: nil
// if it comes. Size is how long the server has to say it is, 0 for any length.
func (c *Client) Probe(ctx context.Context, url string, size int64) error {
	err := c.Download(ctx, url, &glance{}, DownloadOptions{Size: size})
	if errors.Is(err, errSeen) {
		return nil
	}
	return err
}

// errSeen ends a download whose first bytes came.
var errSeen = errors.New("seen")

// glance is a sink that wants to see only that there are bytes.
type glance struct{}

func (*glance) Write([]byte) (int, error) { return 0, errSeen }
func (*glance) Offset() int64             { return 0 }
func (*glance) From(string)               {}
func (*glance) Reset() error              { return nil }

// A download is the state of one artifact between attempts.
type download struct {
	c         *Client
	r         *request
	in        Sink
	size      int64  // 0 if unknown
	name      string // for Progress
	validator string // of the bytes in the sink, for If-Range; "" for none
}

func (d *download) progress(n int64) {
	if d.c.o.Progress != nil && n != 0 {
		d.c.o.Progress(d.name, n)
	}
}

func (d *download) reset() error {
	d.validator = ""
	n := d.in.Offset()
	if n == 0 {
		return nil
	}
	d.progress(-n)
	if err := d.in.Reset(); err != nil {
		return fault.Errorf(fault.Of(err), "", "starting %s over: %w", d.name, err)
	}
	return nil
}

func (d *download) attempt(ctx context.Context, cancel context.CancelCauseFunc) *failure {
	offset := d.in.Offset()
	if offset > 0 && d.validator == "" {
		if err := d.reset(); err != nil {
			return &failure{class: fault.Of(err), err: err}
		}
		offset = 0
	}
	r := *d.r
	if offset > 0 {
		r.header = r.header.Clone()
		r.header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		r.header.Set("If-Range", d.validator)
	}
	a, f := d.c.get(ctx, &r)
	if f != nil {
		return f
	}
	defer d.c.watch(a, cancel)()
	switch {
	case a.StatusCode == http.StatusOK:
		if err := d.reset(); err != nil { // the answer starts at byte 0
			return &failure{class: fault.Of(err), err: err}
		}
		return d.receive(a, 0)
	case offset > 0 && a.StatusCode == http.StatusPartialContent && d.continues(a, offset):
		return d.receive(a, offset)
	case offset > 0 && (a.StatusCode == http.StatusPartialContent || a.StatusCode == http.StatusRequestedRangeNotSatisfiable):
		d.validator = "" // the next attempt requests everything
		return &failure{class: fault.Upstream, retry: true, hint: "try again later, or use a mirror",
			err: fmt.Errorf("server cannot continue at byte %d: it answered %s, Content-Range %q", offset, status(a.Response), plain.Line(a.Header.Get("Content-Range"), 80))}
	}
	return d.c.statusFailure(a)
}

// continues reports whether a partial answer continues what the sink has.
func (d *download) continues(a *answer, offset int64) bool {
	var from, to, total int64
	n, _ := fmt.Sscanf(a.Header.Get("Content-Range"), "bytes %d-%d/%d", &from, &to, &total)
	if n < 2 || from != offset || to < from {
		return false
	}
	if tag := a.Header.Get("Etag"); tag != "" && strings.HasPrefix(d.validator, `"`) && tag != d.validator {
		return false
	}
	return n < 3 || d.size == 0 || total == d.size
}

// receive copies an answer, which starts at offset, into the sink.
func (d *download) receive(a *answer, offset int64) *failure {
	d.in.From(d.name + via(a.chain))
	body := bufio.NewReaderSize(a.Body, 64<<10)
	if f := d.announced(a, body, offset); f != nil {
		return f
	}
	announced := a.ContentLength // -1 if unknown
	// Large writes take the file system half as long as many small ones. For
	// them, the bufio.Reader must read directly into our larger buffer.
	room := int64(1 << 20)
	if announced >= 0 {
		room = min(room, announced+1)
	}
	buf := make([]byte, 0, room)
	for {
		n, err := body.Read(buf[len(buf):cap(buf)])
		offset += int64(n)
		tooLong := d.size > 0 && offset > d.size
		if !tooLong {
			buf = buf[:len(buf)+n]
			d.progress(int64(n))
		}
		if len(buf) > 0 && (tooLong || err != nil || len(buf) == cap(buf) || offset == d.size) {
			if _, err := d.in.Write(buf); err != nil {
				return &failure{class: fault.Of(err), err: err}
			}
			buf = buf[:0]
		}
		if tooLong {
			return &failure{class: fault.Integrity, hint: otherBytes,
				err: fmt.Errorf("expected %d bytes, but the server sent more%s", d.size, via(a.chain))}
		}
		switch {
		case err == nil:
		case d.size > 0 && offset == d.size: // complete; an error after that does not matter
			return nil
		case err == io.EOF && d.size == 0 && offset == 0:
			return &failure{class: fault.Upstream, hint: "try again later, or use a mirror", err: errors.New("the server sent an empty body"), retry: true}
		case err == io.EOF && d.size == 0:
			return nil
		default:
			return bodyFailure(a, err, offset, max(d.size, announced))
		}
	}
}

// announced refuses an answer that by its length or first bytes is not the
// artifact.
func (d *download) announced(a *answer, body *bufio.Reader, offset int64) *failure {
	length := a.ContentLength
	if offset == 0 {
		d.validator = validator(a.Header)
		head, _ := body.Peek(512)
		// A page with exactly the right length is left to the digest.
		if looksLikeHTML(head) && (d.size == 0 || length != d.size) {
			return &failure{class: fault.Integrity, hint: "open the address in a browser, and check the proxy and the credential",
				err: fault.About(fault.AboutProxy, fmt.Errorf("expected an artifact, got what looks like HTML (a proxy or login page?)%s", via(a.chain)))}
		}
	}
	if d.size > 0 && length >= 0 && offset+length != d.size {
		return &failure{class: fault.Integrity, hint: otherBytes,
			err: fmt.Errorf("expected %d bytes, but the server announced %d%s", d.size, offset+length, via(a.chain))}
	}
	return nil
}

const otherBytes = "the file at this URL was replaced: ask the publisher why before you lock it again"

// validator returns the value for If-Range (RFC 9110, 13.1.5): a strong entity
// tag, or else the date of the last change.
func validator(h http.Header) string {
	if tag := h.Get("Etag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return h.Get("Last-Modified")
}

// bodyFailure returns the failure for an interrupted body.
func bodyFailure(a *answer, err error, got, want int64) *failure {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errShort
	}
	of := ""
	if want > 0 {
		of = fmt.Sprintf(" of %d", want)
	}
	text := fmt.Sprintf("%s, after %d%s bytes%s", a.req.scrub(plain.Line(err.Error(), 300)), got, of, via(a.chain))
	if fault.IsMachine(err) {
		return &failure{class: fault.Machine, err: &shown{text, err}, retry: true, hint: fault.MachineHint(err)}
	}
	return &failure{class: fault.Upstream, err: &shown{text, err}, retry: true,
		hint: "check the network and the proxy (HTTPS_PROXY, NO_PROXY), then try again"}
}

// elsewhere returns the failure for a 304 from another URL than the stored
// body.
func elsewhere(a *answer) *failure {
	return &failure{class: fault.Upstream, retry: true, hint: "try again later, or use a mirror",
		err: fmt.Errorf("server answered %s for a document from another URL%s", status(a.Response), via(a.chain))}
}

// Document returns the body and content type of a registry's answer; the body
// may have at most max bytes. Accept is the Accept header. All errors of the
// server are of class [fault.Upstream], including an HTML page that accept does
// not allow.
func (c *Client) Document(ctx context.Context, url, accept string, max int64) (body []byte, contentType string, err error) {
	body, a, err := c.document(ctx, url, accept, max)
	if err != nil {
		return nil, "", err
	}
	return body, a.Header.Get("Content-Type"), nil
}

// Look asks what is at a URL, with a credential that is for its origin, and
// returns the body, which may have at most max bytes. Its errors are those of
// [Client.Document].
func (c *Client) Look(ctx context.Context, url, accept string, max int64, credential Credential) ([]byte, error) {
	r, err := c.request(url)
	if err != nil {
		return nil, err
	}
	if credential.Authorization != "" {
		r.credential = credential
	}
	body, _, err := c.documentOf(ctx, r, accept, max)
	return body, err
}

// document is Document, with the answer, against which links are resolved.
func (c *Client) document(ctx context.Context, url, accept string, limit int64) ([]byte, *answer, error) {
	r, err := c.request(url)
	if err != nil {
		return nil, nil, err
	}
	return c.documentOf(ctx, r, accept, limit)
}

func (c *Client) documentOf(ctx context.Context, r *request, accept string, limit int64) (_ []byte, _ *answer, err error) {
	r.header.Set("Accept", accept)
	var body []byte
	var a *answer
	cond := c.condition(r)
	err = c.inTime(ctx, r, func(ctx context.Context, cancel context.CancelCauseFunc) *failure {
		var f *failure
		if a, f = c.get(ctx, r); f != nil {
			return f
		}
		defer c.watch(a, cancel)()
		kept, ok, retry := cond.unchanged(a, r)
		switch {
		case ok:
			body = kept
			return nil
		case retry:
			return elsewhere(a)
		case a.StatusCode != http.StatusOK:
			return c.statusFailure(a)
		}
		var buf bytes.Buffer
		n, err := buf.ReadFrom(io.LimitReader(a.Body, limit+1))
		body = buf.Bytes()
		switch {
		case n > limit || a.ContentLength > limit:
			return &failure{class: fault.Upstream, hint: "check that the address is that of a registry; if it is, ask its operator", err: fmt.Errorf("the document exceeds the limit of %d bytes%s", limit, via(a.chain))}
		case err != nil:
			return bodyFailure(a, err, n, a.ContentLength)
		case a.Header.Get("Content-Encoding") != "" && a.Header.Get("Content-Encoding") != "identity":
			return &failure{class: fault.Upstream, hint: "ask the operator of the server or of the proxy, or use a mirror", err: fmt.Errorf("the document has the encoding %q, which was not requested%s", plain.Line(a.Header.Get("Content-Encoding"), 40), via(a.chain))}
		case looksLikeHTML(body) && !strings.Contains(accept, "html"):
			return &failure{class: fault.Upstream, hint: "open the address in a browser, and check the proxy and the credential",
				err: fault.About(fault.AboutProxy, fmt.Errorf("expected %s, got what looks like HTML (a proxy or login page?)%s", cmp.Or(strings.TrimPrefix(accept, "*/*"), "a document"), via(a.chain)))}
		}
		cond.keep(a, body)
		return nil
	})
	return body, a, err
}
