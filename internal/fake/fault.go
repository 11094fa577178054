package fake

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

// quiet discards the server's log: it panics on purpose to cut a connection.
var quiet = log.New(io.Discard, "", 0)

// LoginPage is the body that [HTML] sends.
const LoginPage = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please sign in to the proxy.</body></html>\n"

// A Fault is a way to misbehave. It lasts until the test ends, or for the number
// of requests set by [Fault.Times].
type Fault struct {
	times int // 0 always
	serve func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc)
}

// Times limits the fault to n requests. After them comes the path's next fault,
// or the honest answer.
func (f Fault) Times(n int) Fault {
	f.times = n
	return f
}

// Once is Times(1).
func (f Fault) Once() Fault { return f.Times(1) }

// Fault makes a decoded path misbehave, with the given faults in turn. Without
// faults, the path is honest again.
func (s *Server) Fault(path string, faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[path] = nil
	for _, f := range faults {
		s.faults[path] = append(s.faults[path], &f)
	}
}

// Do lets a function answer. honest is the answer without the fault.
func Do(serve func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc)) Fault {
	return Fault{serve: serve}
}

// Status answers with a code, headers in pairs, and a text that names the code.
func Status(code int, headers ...string) Fault {
	return Do(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		for i := 0; i+1 < len(headers); i += 2 {
			w.Header().Set(headers[i], headers[i+1])
		}
		w.WriteHeader(code)
		if code != http.StatusNoContent && code != http.StatusNotModified {
			fmt.Fprintf(w, "fake says %d\n", code)
		}
	})
}

// Answer answers 200 with the given body.
func Answer(contentType, body string) Fault {
	return Do(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
	})
}

// HTML answers 200 with a proxy's login page.
func HTML() Fault { return Answer("text/html; charset=utf-8", LoginPage) }

// Redirect answers with a code and a Location, which the client resolves.
func Redirect(code int, location string) Fault {
	return Do(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Location", location)
		w.WriteHeader(code)
	})
}

// RedirectLoop redirects a path to itself forever.
func RedirectLoop() Fault {
	return Do(func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Location", r.URL.RequestURI())
		w.WriteHeader(http.StatusFound)
	})
}

// Truncate announces the honest length and cuts the connection after n bytes.
func Truncate(n int) Fault {
	return distort(func(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
		body := rec.Body.Bytes()
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(rec.Code)
		_, _ = w.Write(body[:min(n, len(body))])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
}

// TruncateChunked is Truncate without a length: the last chunk never comes.
func TruncateChunked(n int) Fault {
	return distort(func(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
		body := rec.Body.Bytes()
		w.Header().Del("Content-Length")
		w.WriteHeader(rec.Code)
		_, _ = w.Write(body[:min(n, len(body))])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
}

// Shorter sends n bytes of the honest body and an honest length for them.
func Shorter(n int) Fault {
	return Map(func(body []byte) []byte { return body[:min(n, len(body))] })
}

// Longer appends n bytes and announces them.
func Longer(n int) Fault {
	return Map(func(body []byte) []byte { return append(body, make([]byte, n)...) })
}

// WrongBytes flips a bit in the middle and keeps the length.
func WrongBytes() Fault {
	return Map(func(body []byte) []byte {
		if len(body) > 0 {
			body[len(body)/2] ^= 1
		}
		return body
	})
}

// Map changes the honest body and adjusts the length. The ETag stays the same, as
// a lying server's would.
func Map(change func(body []byte) []byte) Fault {
	return distort(func(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
		body := change(rec.Body.Bytes())
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(rec.Code)
		_, _ = w.Write(body)
	})
}

// NoLength sends the honest body in chunks, without Content-Length.
func NoLength() Fault {
	return distort(func(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
		w.Header().Del("Content-Length")
		w.WriteHeader(rec.Code)
		_ = http.NewResponseController(w).Flush()
		_, _ = w.Write(rec.Body.Bytes())
	})
}

// Endless sends bytes without a length and without end.
func Endless() Fault {
	return Do(func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		chunk := make([]byte, 64<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
}

// Slow sends the honest body n bytes at a time, waiting before each.
func Slow(n int, wait time.Duration) Fault {
	return distort(func(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
		w.Header().Set("Content-Length", strconv.Itoa(rec.Body.Len()))
		w.WriteHeader(rec.Code)
		flush := http.NewResponseController(w)
		_ = flush.Flush()
		for rec.Body.Len() > 0 {
			time.Sleep(wait)
			if _, err := w.Write(rec.Body.Next(n)); err != nil {
				return
			}
			if flush.Flush() != nil {
				return
			}
		}
	})
}

// Silent accepts the request, sends nothing for d, and closes the connection.
func Silent(d time.Duration) Fault {
	return Do(func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		select {
		case <-r.Context().Done():
		case <-time.After(d):
		}
		panic(http.ErrAbortHandler)
	})
}

// SlowHeader sends header lines for d, and waits before each.
func SlowHeader(d, wait time.Duration) Fault {
	return hijack(func(conn net.Conn, _ *httptest.ResponseRecorder) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(wait) {
			if _, err := io.WriteString(conn, "X-Loris: slow\r\n"); err != nil {
				return
			}
		}
	})
}

// HugeHeader answers with n bytes of headers.
func HugeHeader(n int) Fault {
	return hijack(func(conn net.Conn, _ *httptest.ResponseRecorder) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		line := "X-Huge: " + fmt.Sprintf("%01000d", 0) + "\r\n"
		for sent := 0; sent < n; sent += len(line) {
			if _, err := io.WriteString(conn, line); err != nil {
				return
			}
		}
		_, _ = io.WriteString(conn, "Content-Length: 0\r\n\r\n")
	})
}

// Raw sends the given bytes instead of HTTP, and closes the connection.
func Raw(text string) Fault {
	return hijack(func(conn net.Conn, _ *httptest.ResponseRecorder) { _, _ = io.WriteString(conn, text) })
}

// Reset resets the connection (RST) after n bytes of the honest body, or before
// the answer if n < 0.
func Reset(n int) Fault {
	return hijack(func(conn net.Conn, rec *httptest.ResponseRecorder) {
		if n >= 0 {
			fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\n", rec.Code, http.StatusText(rec.Code))
			rec.Header().Set("Content-Length", strconv.Itoa(rec.Body.Len()))
			_ = rec.Header().Write(conn)
			_, _ = io.WriteString(conn, "\r\n")
			_, _ = conn.Write(rec.Body.Next(n))
			time.Sleep(20 * time.Millisecond) // a reset overtakes what is on its way
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	})
}

// NoRanges is honest, but ignores ranges and sends no validators.
func NoRanges() Fault {
	return Do(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
		rec := httptest.NewRecorder()
		honest(rec, r)
		for _, name := range []string{"Etag", "Last-Modified", "Accept-Ranges"} {
			rec.Header().Del(name)
		}
		copyHeader(w, rec)
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
}

// distort records the honest answer, copies its headers, and passes it on.
func distort(send func(w http.ResponseWriter, rec *httptest.ResponseRecorder)) Fault {
	return Do(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		rec := httptest.NewRecorder()
		honest(rec, r)
		copyHeader(w, rec)
		send(w, rec)
	})
}

func copyHeader(w http.ResponseWriter, rec *httptest.ResponseRecorder) {
	for name, values := range rec.Header() {
		w.Header()[name] = values
	}
}

// hijack passes on the connection and the honest answer. HTTP/1 only.
func hijack(send func(conn net.Conn, rec *httptest.ResponseRecorder)) Fault {
	return Do(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		rec := httptest.NewRecorder()
		honest(rec, r)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer conn.Close()
		send(conn, rec)
	})
}
