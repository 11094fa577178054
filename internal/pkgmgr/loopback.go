package pkgmgr

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// A loopback is a package registry for one run of a Node manager, on 127.0.0.1.
// What it serves is said in the form of
// https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md
type loopback struct {
	base   string // URL, without a slash at its end
	port   int
	own    net.Listener
	server *http.Server
}

// newLoopback begins to serve what answer has for a path below base, decoded and
// without a slash at its beginning. Other users of this machine cannot read
// along: the URL has a secret part. Who takes it for a proxy is refused, and
// elsewhere, unless it is nil, is told where the request was to go.
func newLoopback(answer func(base, path string, w http.ResponseWriter, r *http.Request), elsewhere func(url string)) (*loopback, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	s := &loopback{base: fmt.Sprintf("http://127.0.0.1:%d/%s", port, rand.Text()), port: port, own: l}
	secret := s.base[strings.LastIndexByte(s.base, '/'):] + "/"
	s.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != l.Addr().String() {
			if elsewhere != nil {
				elsewhere(cmp.Or(r.URL.String(), r.Host))
			}
			http.Error(w, "not from a registry", http.StatusForbidden)
			return
		}
		rest, ok := strings.CutPrefix(r.URL.Path, secret)
		if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.NotFound(w, r)
			return
		}
		answer(s.base, rest, w, r)
	})}
	go s.server.Serve(l)
	return s, nil
}

// also serves on a listener in another network. Close closes it.
func (s *loopback) also(l net.Listener) { go s.server.Serve(l) }

func (s *loopback) close() { s.server.Close() }
