package fake

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// A Lie is one of the ways to err, stall or lie that a file or a document of any
// registry may meet.
type Lie struct {
	Name  string
	Fault Fault
	Class fault.Class // in the place of a file, and of most documents
}

// Names reports whether a message names a path of the server: as it is or as a URL has
// it, by its folder or by the file that it ends in. Of a Go module, the message has the
// proxy and the module, as Go does.
func (s *Server) Names(text, at string) bool {
	if module, _, ok := strings.Cut(strings.TrimPrefix(at, "/go/"), "/@v/"); ok && strings.Contains(text, s.URL+"/go") && strings.Contains(text, module+"@v") {
		return true
	}
	escaped := (&url.URL{Path: at}).EscapedPath()
	return slices.ContainsFunc([]string{at, escaped, s.URL + path.Dir(at), path.Base(at)}, func(part string) bool { return strings.Contains(text, part) })
}

// Damaged returns a blob of a cache that is not what its name says, or "".
func Damaged(t testing.TB, cache string) string {
	t.Helper()
	return findFile(t, filepath.Join(cache, "blobs"), func(name string) (bool, error) {
		body, err := os.ReadFile(name)
		return err == nil && fmt.Sprintf("%x", sha256.Sum256(body)) != filepath.Base(name), err
	})
}

// Leftover returns a file in the temporary folder of a cache, or "".
func Leftover(t testing.TB, cache string) string {
	t.Helper()
	return findFile(t, filepath.Join(cache, "tmp"), func(string) (bool, error) { return true, nil })
}

// findFile returns a file below a folder that a predicate holds of, or "".
func findFile(t testing.TB, dir string, is func(name string) (bool, error)) (found string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		yes, err := is(name)
		if yes {
			found = name
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return found
}

// Lies lists them. None lasts longer than two seconds, or is longer than 16 MiB:
// also for a client without bounds of its own.
func Lies() []Lie {
	const seconds = 2 * time.Second
	of := func(class fault.Class, list ...Lie) []Lie {
		for i := range list {
			list[i].Class = class
		}
		return list
	}
	var statuses []Lie
	for _, code := range []int{204, 206, 304, 400, 401, 403, 404, 407, 410, 451, 500, 502, 503, 504} {
		statuses = append(statuses, Lie{Name: strconv.Itoa(code), Fault: Status(code)})
	}
	lies := of(fault.Upstream, append(statuses,
		Lie{Name: "403, a limit of requests", Fault: Status(403, "X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", "4102444800")},
		Lie{Name: "429, again in 30 years", Fault: Status(429, "Retry-After", "1000000000")},
		Lie{Name: "429, again in 2100", Fault: Status(429, "Retry-After", "Fri, 01 Jan 2100 00:00:00 GMT")},
		Lie{Name: "429, again 5 s ago", Fault: Status(429, "Retry-After", "-5")},
		Lie{Name: "429, again soon", Fault: Status(429, "Retry-After", "soon")},
		Lie{Name: "reset at once", Fault: Reset(-1)},
		Lie{Name: "reset in the middle", Fault: Reset(20)},
		Lie{Name: "cut", Fault: Truncate(20)},
		Lie{Name: "cut in chunks", Fault: TruncateChunked(20)},
		Lie{Name: "no HTTP", Fault: Raw("SSH-2.0\r\n")},
		Lie{Name: "headers without end", Fault: SlowHeader(seconds, 10*time.Millisecond)},
		Lie{Name: "headers of 16 MiB", Fault: HugeHeader(16 << 20)},
		Lie{Name: "silent", Fault: Silent(seconds)},
		Lie{Name: "slow", Fault: drip(seconds)},
		Lie{Name: "a redirect without end", Fault: RedirectLoop()},
		Lie{Name: "a redirect to nowhere", Fault: Status(302)},
	)...)
	lies = append(lies, of(fault.Policy,
		Lie{Name: "a redirect in clear", Fault: Redirect(302, "http://elsewhere.invalid/x")},
		Lie{Name: "a redirect to a file", Fault: Redirect(302, "file:///etc/passwd")},
	)...)
	return append(lies, of(fault.Integrity,
		Lie{Name: "nothing", Fault: Answer("application/octet-stream", "")},
		Lie{Name: "a login page", Fault: HTML()},
		Lie{Name: "half", Fault: Map(func(b []byte) []byte { return b[:len(b)/2] })},
		Lie{Name: "8 MiB", Fault: Answer("application/octet-stream", strings.Repeat("\x00", 8<<20))},
		Lie{Name: "JSON, a million deep", Fault: Answer("application/json", strings.Repeat("[", 1<<20))},
		Lie{Name: "JSON of other types", Fault: Answer("application/json", `{"name": 7, "versions": [1], "files": {}, "Version": [], "manifests": 3, "assets": "x"}`)},
		Lie{Name: "null", Fault: Answer("application/json", "null")},
		Lie{Name: "a list of null", Fault: Answer("application/json", "[null]")},
		Lie{Name: "JSON of nulls", Fault: Answer("application/json", `{"name": null, "versions": {"1.2.0": null}, "files": [null], "assets": [null], "manifests": [null], "layers": [null], "tags": [null], "config": null}`)},
	)...)
}

// drip sends the honest body a byte at a time, and cuts the connection after d.
func drip(d time.Duration) Fault {
	return hijack(func(conn net.Conn, rec *httptest.ResponseRecorder) {
		head := "HTTP/1.1 " + strconv.Itoa(rec.Code) + " " + http.StatusText(rec.Code) + "\r\nContent-Length: " + strconv.Itoa(max(1000, rec.Body.Len())) + "\r\n\r\n"
		if _, err := conn.Write([]byte(head)); err != nil {
			return
		}
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if _, err := conn.Write(rec.Body.Next(1)); err != nil {
				return
			}
		}
	})
}
