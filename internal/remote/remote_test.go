package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// memory is a sink.
type memory struct {
	bytes.Buffer
	resets int
	full   error // what Write answers
}

func (m *memory) Offset() int64 { return int64(m.Len()) }
func (m *memory) From(string)   {}

func (m *memory) Reset() error {
	m.resets++
	m.Buffer.Reset()
	return nil
}

func (m *memory) Write(p []byte) (int, error) {
	if m.full != nil {
		return 0, m.full
	}
	return m.Buffer.Write(p)
}

// quick makes a client whose waits are short.
func quick(change ...func(*Options)) *Client {
	o := Options{Timeouts: Timeouts{
		Connect: 2 * time.Second, TLS: 2 * time.Second, Header: 600 * time.Millisecond,
		Stall: 200 * time.Millisecond, MinRate: 1000, RetryWait: time.Millisecond, RetryAfter: 20 * time.Millisecond,
	}}
	for _, f := range change {
		f(&o)
	}
	return New(o)
}

// check asserts the class of an error and pieces of its text.
func check(t *testing.T, err error, class fault.Class, parts ...string) {
	t.Helper()
	if fault.Of(err) != class {
		t.Errorf("class %v, want %v: %v", fault.Of(err), class, err)
	}
	for _, part := range parts {
		if err != nil && !strings.Contains(err.Error(), part) {
			t.Errorf("the message lacks %q: %v", part, err)
		}
	}
	if err != nil && class != fault.Internal && class != fault.Interrupted && fault.Hint(err) == "" {
		t.Errorf("no hint: %v", err)
	}
	if err != nil && (class == fault.Upstream || class == fault.Integrity) && !strings.Contains(err.Error(), "http") {
		t.Errorf("the message names no URL: %v", err)
	}
}

// content is 9,000 bytes that look like nothing.
var content = bytes.Repeat([]byte("\x00\x01\x02\x03artifact\n!?\xff\xfe\xfd"), 500)

func TestServerBehaviours(t *testing.T) {
	size := int64(len(content))
	row := testenv.Rows(t, "a server that errs, stalls or lies: the right class, in bounded tries, no byte too many", "")
	for _, tt := range []struct {
		name     string
		faults   []fake.Fault
		unknown  bool // the size is not known
		class    fault.Class
		parts    []string
		requests int
	}{
		{name: "honest", requests: 1},
		{name: "honest, size unknown", unknown: true, requests: 1},
		{name: "no length", faults: []fake.Fault{fake.NoLength()}, requests: 1},
		{name: "no length, size unknown", faults: []fake.Fault{fake.NoLength()}, unknown: true, requests: 1},
		{name: "compressed in passing", faults: []fake.Fault{fake.Do(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
			w.Header().Set("Content-Encoding", "gzip") // as servers say of a .tar.gz: the bytes count
			honest(w, r)
		})}, requests: 1},
		{name: "404", faults: []fake.Fault{fake.Status(404)}, class: fault.Upstream, parts: []string{"404 Not Found", "was it deleted?", "fake says 404"}, requests: 1},
		{name: "410", faults: []fake.Fault{fake.Status(410)}, class: fault.Upstream, parts: []string{"410 Gone", "was it deleted?"}, requests: 1},
		{name: "401", faults: []fake.Fault{fake.Status(401)}, class: fault.Upstream, parts: []string{"401 Unauthorized", "no credential sent"}, requests: 1},
		{name: "403", faults: []fake.Fault{fake.Status(403)}, class: fault.Upstream, parts: []string{"403 Forbidden", "no credential sent"}, requests: 1},
		{name: "403 rate limit", faults: []fake.Fault{fake.Status(403, "X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", "1577933045")}, class: fault.Upstream, parts: []string{"rate limit", "02:44 UTC"}, requests: 1},
		{name: "400", faults: []fake.Fault{fake.Status(400)}, class: fault.Upstream, parts: []string{"400 Bad Request"}, requests: 1},
		{name: "204", faults: []fake.Fault{fake.Status(204)}, class: fault.Upstream, parts: []string{"204 No Content"}, requests: 1},
		{name: "206 unasked", faults: []fake.Fault{fake.Status(206)}, class: fault.Upstream, parts: []string{"206 Partial Content"}, requests: 1},
		{name: "304 unasked", faults: []fake.Fault{fake.Status(304)}, class: fault.Upstream, parts: []string{"304"}, requests: 1},
		{name: "status 999", faults: []fake.Fault{fake.Status(999)}, class: fault.Upstream, parts: []string{"999"}, requests: 4},
		{name: "429 once", faults: []fake.Fault{fake.Status(429, "Retry-After", "1").Once()}, requests: 2},
		{name: "429 always", faults: []fake.Fault{fake.Status(429, "Retry-After", "1000000000")}, class: fault.Upstream, parts: []string{"429 Too Many Requests", "4 attempts"}, requests: 4},
		{name: "500 once", faults: []fake.Fault{fake.Status(500).Once()}, requests: 2},
		{name: "500 always", faults: []fake.Fault{fake.Status(500)}, class: fault.Upstream, parts: []string{"500 Internal Server Error", "4 attempts", "fake says 500"}, requests: 4},
		{name: "502, 503, 504, honest", faults: []fake.Fault{fake.Status(502).Once(), fake.Status(503).Once(), fake.Status(504).Once()}, requests: 4},
		{name: "503 always", faults: []fake.Fault{fake.Status(503)}, class: fault.Upstream, parts: []string{"503 Service Unavailable", "4 attempts"}, requests: 4},
		{name: "503 then 404", faults: []fake.Fault{fake.Status(503).Once(), fake.Status(404)}, class: fault.Upstream, parts: []string{"404 Not Found", "2 attempts"}, requests: 2},
		{name: "login page", faults: []fake.Fault{fake.HTML()}, class: fault.Integrity, parts: []string{"looks like HTML (a proxy or login page?)"}, requests: 1},
		{name: "login page, size unknown", faults: []fake.Fault{fake.HTML()}, unknown: true, class: fault.Integrity, parts: []string{"looks like HTML"}, requests: 1},
		{name: "login page that says it is not", faults: []fake.Fault{fake.Answer("application/gzip", fake.LoginPage)}, class: fault.Integrity, parts: []string{"looks like HTML"}, requests: 1},
		{name: "chunks and another length", faults: []fake.Fault{fake.Raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(content), content))}, requests: 1},
		{name: "chunks and another length, size unknown", faults: []fake.Fault{fake.Raw("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(content), content))}, unknown: true, requests: 1},
		{name: "a chunk shorter than it says", faults: []fake.Fault{fake.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\nx\r\n0\r\n\r\n")}, unknown: true, class: fault.Upstream, parts: []string{"ended early", "4 attempts"}, requests: 4},
		{name: "a chunk longer than it says", faults: []fake.Fault{fake.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n")}, unknown: true, class: fault.Upstream, parts: []string{"malformed chunked encoding", "4 attempts"}, requests: 4},
		{name: "a chunk of 2^70 bytes", faults: []fake.Fault{fake.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff1\r\nx\r\n0\r\n\r\n")}, unknown: true, class: fault.Upstream, parts: []string{"chunk", "4 attempts"}, requests: 4},
		{name: "more chunks than locked", faults: []fake.Fault{fake.Raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n%s!\r\n0\r\n\r\n", len(content)+1, content))}, class: fault.Integrity, parts: []string{"the server sent more"}, requests: 1},
		{name: "truncated once", faults: []fake.Fault{fake.Truncate(4000).Once()}, requests: 2},
		{name: "truncated always", faults: []fake.Fault{fake.Truncate(100), fake.NoRanges()}, class: fault.Upstream, parts: []string{"ended early", "4 attempts"}, requests: 4},
		{name: "chunks cut once", faults: []fake.Fault{fake.TruncateChunked(4000).Once()}, requests: 2},
		{name: "chunks cut always, size unknown", faults: []fake.Fault{fake.TruncateChunked(10)}, unknown: true, class: fault.Upstream, parts: []string{"ended early"}, requests: 4},
		{name: "announced shorter", faults: []fake.Fault{fake.Shorter(77)}, class: fault.Integrity, parts: []string{"the server announced 77"}, requests: 1},
		{name: "announced longer", faults: []fake.Fault{fake.Longer(1)}, class: fault.Integrity, parts: []string{"the server announced"}, requests: 1},
		{name: "endless", faults: []fake.Fault{fake.Endless()}, class: fault.Integrity, parts: []string{"the server sent more"}, requests: 1},
		{name: "empty, size unknown", faults: []fake.Fault{fake.Answer("application/gzip", "")}, unknown: true, class: fault.Upstream, parts: []string{"empty body"}, requests: 4},
		{name: "reset before the answer, always", faults: []fake.Fault{fake.Reset(-1)}, class: fault.Upstream, parts: []string{"4 attempts"}},
		{name: "reset in the body, once", faults: []fake.Fault{fake.Reset(3000).Once()}, requests: 2},
		{name: "reset in the body, always", faults: []fake.Fault{fake.Reset(0)}, class: fault.Upstream, parts: []string{"4 attempts"}, requests: 4},
		{name: "slow loris once", faults: []fake.Fault{fake.Slow(1, 20*time.Millisecond).Once()}, requests: 2},
		{name: "slow loris always", faults: []fake.Fault{fake.Slow(1, 20*time.Millisecond)}, class: fault.Upstream, parts: []string{"too slowly", "4 attempts"}, requests: 4},
		{name: "slow but above the floor", faults: []fake.Fault{fake.Slow(2500, 20*time.Millisecond)}, requests: 1},
		{name: "never answers", faults: []fake.Fault{fake.Silent(2 * time.Second)}, class: fault.Upstream, parts: []string{"4 attempts", "timeout"}, requests: 4},
		{name: "headers without end", faults: []fake.Fault{fake.SlowHeader(2*time.Second, 10*time.Millisecond)}, class: fault.Upstream, parts: []string{"4 attempts"}, requests: 4},
		{name: "huge header", faults: []fake.Fault{fake.HugeHeader(4 << 20)}, class: fault.Upstream, parts: []string{"4 attempts"}, requests: 4},
		{name: "not HTTP", faults: []fake.Fault{fake.Raw("\x1b[31mSSH-2.0-OpenSSH\r\n")}, class: fault.Upstream, parts: []string{"4 attempts"}, requests: 4},
		{name: "redirect loop", faults: []fake.Fault{fake.RedirectLoop()}, class: fault.Upstream, parts: []string{"more than 10 redirects", "->"}, requests: 11},
		{name: "redirect without Location", faults: []fake.Fault{fake.Status(302)}, class: fault.Upstream, parts: []string{"without a usable Location"}, requests: 1},
		{name: "redirect to nonsense", faults: []fake.Fault{fake.Redirect(302, "http://[::1")}, class: fault.Upstream, parts: []string{"without a usable Location"}, requests: 1},
		{name: "redirect to file:", faults: []fake.Fault{fake.Redirect(302, "file:///etc/passwd")}, class: fault.Policy, parts: []string{"scheme file"}, requests: 1},
		{name: "redirect to http elsewhere", faults: []fake.Fault{fake.Redirect(302, "http://192.0.2.1/x")}, class: fault.Policy, parts: []string{"must be https"}, requests: 1},
		{name: "redirect to another path", faults: []fake.Fault{fake.Redirect(307, "/other")}, requests: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			row(t)
			t.Parallel()
			s := fake.New(t)
			url := s.File("/f", content)
			s.File("/other", content)
			s.Fault("/f", tt.faults...)
			var seen int64
			c := quick(func(o *Options) { o.Progress = func(_ string, n int64) { seen += n } })
			var in memory
			opt := DownloadOptions{Size: size}
			if tt.unknown {
				opt.Size = 0
			}
			err := c.Download(t.Context(), url+"?token=hunter2", &in, opt)
			check(t, err, tt.class, tt.parts...)
			if tt.requests > 0 && s.Count("/f") != tt.requests {
				t.Errorf("%d requests, want %d", s.Count("/f"), tt.requests)
			}
			if err == nil && !bytes.Equal(in.Bytes(), content) {
				t.Errorf("got %d other bytes", in.Len())
			}
			if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.ContainsRune(err.Error(), '\x1b')) {
				t.Errorf("the message shows what it must not: %q", err)
			}
			if in.Len() > len(content) {
				t.Errorf("%d bytes reached the sink, more than the size %d", in.Len(), size)
			}
			if seen != int64(in.Len()) {
				t.Errorf("progress says %d bytes, the sink has %d", seen, in.Len())
			}
			missing := strings.Contains(tt.name, "404") || strings.Contains(tt.name, "410")
			if errors.Is(err, fs.ErrNotExist) != missing {
				t.Errorf("errors.Is(err, fs.ErrNotExist) = %t", !missing)
			}
		})
	}
}

// TestStatuses: whatever status a server answers, the error says how to go on.
func TestStatuses(t *testing.T) {
	t.Parallel()
	s := fake.New(t)
	c := quick(func(o *Options) { o.Attempts = 1 })
	told := map[string]bool{}
	for code := 201; code < 600; code++ {
		url := s.File(fmt.Sprintf("/%d", code), content)
		s.Fault(fmt.Sprintf("/%d", code), fake.Status(code))
		var in memory
		err := c.Download(t.Context(), url, &in, DownloadOptions{Size: 1})
		check(t, err, fault.Upstream, strconv.Itoa(code))
		told[fault.Hint(err)] = true
		_, _, err = c.Document(t.Context(), url, "*/*", 1<<20)
		check(t, err, fault.Upstream, strconv.Itoa(code))
	}
	if len(told) < 7 {
		t.Errorf("only %d hints for all statuses", len(told))
	}
}

func TestDocumentBehaviours(t *testing.T) {
	const text = `{"name":"x","versions":{}}`
	const page = "text/html"
	for _, tt := range []struct {
		name     string
		faults   []fake.Fault
		accept   string
		class    fault.Class
		parts    []string
		requests int
	}{
		{name: "honest", requests: 1},
		{name: "no length", faults: []fake.Fault{fake.NoLength()}, requests: 1},
		{name: "404", faults: []fake.Fault{fake.Status(404)}, class: fault.Upstream, parts: []string{"was it deleted?"}, requests: 1},
		{name: "410", faults: []fake.Fault{fake.Status(410)}, class: fault.Upstream, parts: []string{"was it deleted?"}, requests: 1},
		{name: "401", faults: []fake.Fault{fake.Status(401)}, class: fault.Upstream, parts: []string{"no credential sent"}, requests: 1},
		{name: "403", faults: []fake.Fault{fake.Status(403)}, class: fault.Upstream, parts: []string{"no credential sent"}, requests: 1},
		{name: "204", faults: []fake.Fault{fake.Status(204)}, class: fault.Upstream, parts: []string{"204"}, requests: 1},
		{name: "429 once", faults: []fake.Fault{fake.Status(429).Once()}, requests: 2},
		{name: "429 always", faults: []fake.Fault{fake.Status(429, "Retry-After", "3600")}, class: fault.Upstream, parts: []string{"429"}, requests: 4},
		{name: "503 once", faults: []fake.Fault{fake.Status(503, "Retry-After", "-5").Once()}, requests: 2},
		{name: "500 always", faults: []fake.Fault{fake.Status(500)}, class: fault.Upstream, parts: []string{"4 attempts"}, requests: 4},
		{name: "login page", faults: []fake.Fault{fake.HTML()}, class: fault.Upstream, parts: []string{"looks like HTML"}, requests: 1},
		{name: "login page instead of anything", faults: []fake.Fault{fake.HTML()}, accept: "*/*", class: fault.Upstream, parts: []string{"expected a document, got what looks like HTML"}, requests: 1},
		{name: "a page where pages are welcome", faults: []fake.Fault{fake.HTML()}, accept: page, requests: 1},
		{name: "truncated once", faults: []fake.Fault{fake.Truncate(5).Once()}, requests: 2},
		{name: "truncated always", faults: []fake.Fault{fake.Truncate(5)}, class: fault.Upstream, parts: []string{"ended early"}, requests: 4},
		{name: "chunks cut", faults: []fake.Fault{fake.TruncateChunked(5)}, class: fault.Upstream, parts: []string{"ended early"}, requests: 4},
		{name: "too long, announced", faults: []fake.Fault{fake.Longer(1 << 20)}, class: fault.Upstream, parts: []string{"limit of 1000 bytes"}, requests: 1},
		{name: "endless", faults: []fake.Fault{fake.Endless()}, class: fault.Upstream, parts: []string{"limit of 1000 bytes"}, requests: 1},
		{name: "slow loris", faults: []fake.Fault{fake.Slow(1, 30*time.Millisecond)}, class: fault.Upstream, parts: []string{"too slowly"}, requests: 4},
		{name: "never answers", faults: []fake.Fault{fake.Silent(2 * time.Second)}, class: fault.Upstream, requests: 4},
		{name: "reset", faults: []fake.Fault{fake.Reset(3)}, class: fault.Upstream, parts: []string{"4 attempts"}, requests: 4},
		{name: "compressed unasked", faults: []fake.Fault{fake.Status(200, "Content-Encoding", "gzip")}, class: fault.Upstream, parts: []string{`has the encoding "gzip"`}, requests: 1},
		{name: "redirect loop", faults: []fake.Fault{fake.RedirectLoop()}, class: fault.Upstream, parts: []string{"more than 10 redirects"}, requests: 11},
		{name: "redirect to http elsewhere", faults: []fake.Fault{fake.Redirect(301, "http://198.51.100.7/x")}, class: fault.Policy, requests: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := fake.New(t)
			url := s.File("/doc", []byte(text))
			s.Fault("/doc", tt.faults...)
			accept := tt.accept
			if accept == "" {
				accept = "application/json"
			}
			body, kind, err := quick().Document(t.Context(), url, accept, 1000)
			check(t, err, tt.class, tt.parts...)
			if n := s.Count("/doc"); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
			if err == nil && tt.accept == "" && (string(body) != text || kind != "application/octet-stream") {
				t.Errorf("got %q of type %q", body, kind)
			}
			for _, r := range s.Requests("/doc") {
				if r.Header.Get("Accept") != accept || r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("User-Agent") == "" || r.Header.Get("Referer") != "" {
					t.Errorf("headers %v", r.Header)
				}
			}
		})
	}
}

func TestResume(t *testing.T) {
	size := int64(len(content))
	for _, tt := range []struct {
		name   string
		second []fake.Fault
		ranges []string // of the requests
		resets int
		class  fault.Class
	}{
		{name: "taken up", ranges: []string{"", "bytes=4000-"}},
		{name: "twice", second: []fake.Fault{fake.Truncate(1000).Once()}, ranges: []string{"", "bytes=4000-", "bytes=5000-"}},
		{name: "an error in between keeps the bytes", second: []fake.Fault{fake.Status(503).Once()}, ranges: []string{"", "bytes=4000-", "bytes=4000-"}},
		{name: "ranges are ignored", second: []fake.Fault{fake.NoRanges().Once()}, ranges: []string{"", "bytes=4000-"}, resets: 1},
		{name: "another range", second: []fake.Fault{fake.Status(206, "Content-Range", "bytes 0-8999/9000").Once()}, ranges: []string{"", "bytes=4000-", ""}, resets: 1},
		{name: "another total", second: []fake.Fault{fake.Status(206, "Content-Range", "bytes 4000-4011/4012").Once()}, ranges: []string{"", "bytes=4000-", ""}, resets: 1},
		{name: "another ETag", second: []fake.Fault{fake.Status(206, "Content-Range", "bytes 4000-8999/9000", "Etag", `"other"`).Once()}, ranges: []string{"", "bytes=4000-", ""}, resets: 1},
		{name: "no range named", second: []fake.Fault{fake.Status(206).Once()}, ranges: []string{"", "bytes=4000-", ""}, resets: 1},
		{name: "not satisfiable", second: []fake.Fault{fake.Status(416).Once()}, ranges: []string{"", "bytes=4000-", ""}, resets: 1},
		{name: "gone meanwhile", second: []fake.Fault{fake.Status(404)}, ranges: []string{"", "bytes=4000-"}, class: fault.Upstream},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := fake.New(t)
			url := s.File("/f", content)
			s.Fault("/f", append([]fake.Fault{fake.Truncate(4000).Once()}, tt.second...)...)
			var in memory
			err := quick().Download(t.Context(), url, &in, DownloadOptions{Size: size})
			check(t, err, tt.class)
			if err == nil && !bytes.Equal(in.Bytes(), content) {
				t.Errorf("got %d other bytes", in.Len())
			}
			requests := s.Requests("/f")
			var ranges []string
			for _, r := range requests {
				ranges = append(ranges, r.Range)
				if ifRange := r.Header.Get("If-Range"); (ifRange != "") != (r.Range != "") {
					t.Errorf("Range %q with If-Range %q", r.Range, ifRange)
				}
			}
			if strings.Join(ranges, "|") != strings.Join(tt.ranges, "|") {
				t.Errorf("ranges %q, want %q", ranges, tt.ranges)
			}
			if in.resets != tt.resets {
				t.Errorf("%d resets, want %d", in.resets, tt.resets)
			}
		})
	}
}

func TestResumeOfOtherBytesStartsAfresh(t *testing.T) {
	s := fake.New(t)
	url := s.File("/f", bytes.Repeat([]byte{9}, len(content)))
	s.Fault("/f", fake.Truncate(4000).Once(), fake.Do(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		s.File("/f", content) // published anew between the two requests
		honest(w, r)
	}))
	var in memory
	in.WriteString("rest of an earlier call")
	if err := quick().Download(t.Context(), url, &in, DownloadOptions{Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(in.Bytes(), content) || in.resets != 2 {
		t.Errorf("%d resets, want one at the start and one for the new ETag; bytes right: %t", in.resets, bytes.Equal(in.Bytes(), content))
	}
}

func TestWrongBytesAreTheSinksBusiness(t *testing.T) {
	s := fake.New(t)
	url := s.File("/f", content)
	s.Fault("/f", fake.WrongBytes())
	var in memory
	if err := quick().Download(t.Context(), url, &in, DownloadOptions{Size: int64(len(content))}); err != nil || bytes.Equal(in.Bytes(), content) {
		t.Errorf("error %v", err)
	}
	if s.Count("/f") != 1 {
		t.Errorf("%d requests, want 1", s.Count("/f"))
	}
	for _, tt := range []struct {
		err   error
		class fault.Class
	}{
		{&fs.PathError{Op: "write", Path: "blob", Err: syscall.ENOSPC}, fault.Machine},
		{fault.Errorf(fault.Integrity, "look", "wrong"), fault.Integrity},
		{errors.New("bug"), fault.Internal},
	} {
		s.Forget()
		err := quick().Download(t.Context(), url, &memory{full: tt.err}, DownloadOptions{Size: int64(len(content))})
		check(t, err, tt.class, s.URL)
		if !errors.Is(err, tt.err) || s.Count("/f") != 1 {
			t.Errorf("%d requests, error %v", s.Count("/f"), err)
		}
	}
}

func TestInterrupted(t *testing.T) {
	s := fake.New(t)
	url := s.File("/f", content)
	for name, f := range map[string]fake.Fault{
		"silent": fake.Silent(time.Hour), "in the body": fake.Slow(300, 20*time.Millisecond), "between attempts": fake.Status(503, "Retry-After", "3600"),
	} {
		s.Fault("/f", f)
		c := quick(func(o *Options) { o.Timeouts.RetryAfter, o.Timeouts.Header = time.Hour, time.Hour })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		err := c.Download(ctx, url, &memory{}, DownloadOptions{Size: int64(len(content))})
		if fault.Of(err) != fault.Interrupted {
			t.Errorf("%s: %v", name, err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, _, err = c.Document(ctx, url, "*/*", 1e6)
		cancel()
		check(t, err, fault.Upstream, "deadline")
	}
}

func TestRetryAfter(t *testing.T) {
	later := time.Now().Add(90 * time.Second).UTC().Format(http.TimeFormat)
	for s, want := range map[string]int64{
		"": 0, "0": 0, "7": 7, " 7 ": 7, "-1": 0, "1000000000": 1e9, "99999999999999999999999": 1<<63 - 1, "-99999999999999999999999": 0,
		"soon": 0, "Thu, 01 Jan 1970 00:00:00 GMT": 0, "1.5": 0,
	} {
		if got := retryAfter(s); got != want {
			t.Errorf("retryAfter(%q) = %d, want %d", s, got, want)
		}
	}
	if got := retryAfter(later); got < 85 || got > 90 {
		t.Errorf("retryAfter(in 90 s) = %d", got)
	}
	// The cap is waited, three times between four attempts.
	s := fake.New(t)
	s.Fault("/f", fake.Status(429, "Retry-After", "1000000000"))
	start := time.Now()
	_, _, err := quick(func(o *Options) { o.Timeouts.RetryAfter = 100 * time.Millisecond }).Document(t.Context(), s.URL+"/f", "*/*", 10)
	check(t, err, fault.Upstream)
	if d := time.Since(start); d < 300*time.Millisecond {
		t.Errorf("waited %s, want 300 ms and not the 31 years that were asked for", d)
	}
}

func TestConnectionErrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	plain, secure := fake.New(t), fake.NewTLS(t)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(secure.URL, "https://"))
	roots := func(o *Options) { o.RootCAs = secure.RootCAs() }
	for _, tt := range []struct {
		name, url string
		c         *Client
		attempts  bool
		part      string
	}{
		{"refused", "http://" + closed + "/f", quick(), true, "refused"},
		{"self-signed", secure.URL + "/f", quick(), false, "certificate"},
		{"wrong name", "https://localhost:" + port + "/f", quick(roots), false, "certificate"},
		{"no TLS there", strings.Replace(plain.URL, "http:", "https:", 1) + "/f", quick(), false, "plain HTTP"},
		{"no such host", "https://nowhere.invalid/f", quick(), false, "nowhere.invalid"},
	} {
		err := tt.c.Download(t.Context(), tt.url, &memory{}, DownloadOptions{Size: 1})
		if tt.name == "no such host" && err != nil && strings.Contains(err.Error(), "attempts") {
			t.Logf("the resolver of this machine does not say that a host does not exist: %v", err)
			continue
		}
		check(t, err, fault.Upstream, tt.part)
		if err != nil && strings.Contains(err.Error(), "4 attempts") != tt.attempts {
			t.Errorf("%s: tried again: %t, want %t: %v", tt.name, !tt.attempts, tt.attempts, err)
		}
		if fault.Hint(err) == "" {
			t.Errorf("%s: no hint", tt.name)
		}
	}
	if n := plain.Count("") + secure.Count(""); n != 0 {
		t.Errorf("%d requests were made in spite of TLS errors", n)
	}
}

func TestURLsThatAreNotFetched(t *testing.T) {
	s := fake.New(t)
	offline := quick(func(o *Options) { o.Offline = true })
	for _, tt := range []struct {
		url   string
		c     *Client
		class fault.Class
		part  string
	}{
		{"file:///etc/passwd", quick(), fault.Usage, "file"},
		{"ssh://git@host/x", quick(), fault.Usage, "ssh"},
		{"git+https://host/x", quick(), fault.Usage, "git+https"},
		{"/relative", quick(), fault.Usage, "not a URL"},
		{"", quick(), fault.Usage, "not a URL"},
		{"https:///path", quick(), fault.Usage, "no host"},
		{"https://./path", quick(), fault.Usage, "no host"},
		{"https://user:hunter2@host:port/", quick(), fault.Usage, "not a URL"},
		{"https:user:hunter2@host", quick(), fault.Usage, ""},
		{"http://192.0.2.1/x?hunter2", quick(), fault.Policy, "must be https"},
		{"http://user:hunter2@localhost.example.com/x", quick(), fault.Policy, "must be https"},
		{"http://127.0.0.1.example.com/x", quick(), fault.Policy, "must be https"},
		{"http://[::2]/x", quick(), fault.Policy, "must be https"},
		{"http://0.0.0.0/x", quick(), fault.Policy, "must be https"},
		{s.URL + "/f?hunter2", offline, fault.Upstream, "offline"},
		{"https://user:hunter2@example.com/f", offline, fault.Upstream, "example.com/f"},
		{"http://192.0.2.1/x", offline, fault.Policy, "must be https"},
	} {
		err := tt.c.Download(t.Context(), tt.url, &memory{}, DownloadOptions{})
		check(t, err, tt.class, tt.part)
		_, _, err2 := tt.c.Document(t.Context(), tt.url, "*/*", 1)
		if err == nil || err2 == nil || err.Error() != err2.Error() || strings.Contains(err.Error(), "hunter2") || fault.Hint(err) == "" {
			t.Errorf("%s: %v / %v", tt.url, err, err2)
		}
	}
	if s.Count("") != 0 {
		t.Errorf("%d requests were made", s.Count(""))
	}
}

func TestManyAtOnce(t *testing.T) {
	s := fake.New(t)
	url := s.File("/f", content)
	s.Fault("/f", fake.Truncate(10).Times(3), fake.Status(503).Times(2))
	c := quick(func(o *Options) { o.Attempts = 8; o.Progress = func(string, int64) {} })
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			var in memory
			if err := c.Download(t.Context(), url, &in, DownloadOptions{Size: int64(len(content))}); err != nil || !bytes.Equal(in.Bytes(), content) {
				t.Errorf("%d bytes, %v", in.Len(), err)
			}
		})
	}
	wg.Wait()
}

// TestConnectionsPerHost: more downloads than a host may be asked for at a time
// wait for each other.
func TestConnectionsPerHost(t *testing.T) {
	const downloads = 3 * maxConnections
	arrived, goOn := make(chan struct{}, downloads), make(chan struct{})
	var mu sync.Mutex
	now, most := 0, 0
	count := func(by int) {
		mu.Lock()
		defer mu.Unlock()
		now += by
		most = max(most, now)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		count(1)
		arrived <- struct{}{}
		<-goOn
		count(-1)
		w.Write(content)
	}))
	defer s.Close()
	c := quick()
	var wg sync.WaitGroup
	for range downloads {
		wg.Go(func() {
			var in memory
			if err := c.Download(t.Context(), s.URL+"/f", &in, DownloadOptions{Size: int64(len(content))}); err != nil {
				t.Error(err)
			}
		})
	}
	for range maxConnections {
		<-arrived
	}
	time.Sleep(50 * time.Millisecond) // one too many would come now
	close(goOn)
	wg.Wait()
	if most != maxConnections {
		t.Errorf("%d at a time, want %d", most, maxConnections)
	}
}

func TestIsPrivate(t *testing.T) {
	for s, want := range map[string]bool{
		"127.0.0.1": true, "127.255.0.1": true, "10.1.2.3": true, "172.16.0.1": true, "192.168.1.1": true, "169.254.169.254": true, "0.0.0.0": true,
		"0.1.2.3": true, "100.64.0.1": true, "224.0.0.1": true, "::": true, "::1": true, "fe80::1%eth0": true, "fd00::1": true, "::ffff:10.0.0.1": true, "64:ff9b::7f00:1": true,
		"8.8.8.8": false, "172.32.0.1": false, "100.128.0.1": false, "2001:4860::1": false, "::ffff:8.8.8.8": false, "64:ff9b::808:808": false,
	} {
		if got := isPrivate(netip.MustParseAddr(s)); got != want {
			t.Errorf("isPrivate(%s) = %t", s, got)
		}
	}
	for s, want := range map[string]bool{"localhost": true, "LOCALHOST.": true, "a.localhost": true, "[::1]": false, "::1": true, "localhost.com": false, "example.com": false} {
		if got := isPrivateName(s); got != want {
			t.Errorf("isPrivateName(%s) = %t", s, got)
		}
	}
}

// TestDocumentTime: a document that comes above the floor and never ends, and
// attempts that never end, have an end.
func TestDocumentTime(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fake.Fault{
		"trickles": fake.Slow(20, 20*time.Millisecond), "unavailable": fake.Status(503, "Retry-After", "1"), "silent": fake.Silent(time.Hour),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fake.New(t)
			url := s.File("/x", bytes.Repeat([]byte("x"), 100_000))
			s.Fault("/x", f)
			c := New(Options{Attempts: 1000, Timeouts: Timeouts{Document: 300 * time.Millisecond, MinRate: 1, Stall: time.Hour}})
			_, _, err := c.Document(t.Context(), url, "*/*", 1<<20)
			if fault.Of(err) != fault.Upstream || !strings.Contains(err.Error(), "took longer than 300ms") || fault.Hint(err) == "" {
				t.Errorf("a document: %v", err)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = c.RoundTrip(req); fault.Of(err) != fault.Upstream || !strings.Contains(err.Error(), "took longer than 300ms") {
				t.Errorf("a message: %v", err)
			}
		})
	}
}
