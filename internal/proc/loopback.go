package proc

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// A Loopback is a package registry on 127.0.0.1 for one run of a Node package
// manager. Its responses have the form of
// https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md
type Loopback struct {
	Base     string // URL, without a slash at its end
	Port     int
	Listener net.Listener
	server   *http.Server
}

// NewLoopback starts a registry. It calls answer with the path below base, decoded
// and without a leading slash. The URL has a secret part, so other users of this
// machine cannot use the registry. A client that uses it as a proxy is refused, and
// elsewhere, if not nil, is called with the URL that the client asked for.
func NewLoopback(answer func(base, path string, w http.ResponseWriter, r *http.Request), elsewhere func(url string)) (*Loopback, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	s := &Loopback{Base: fmt.Sprintf("http://127.0.0.1:%d/%s", port, rand.Text()), Port: port, Listener: l}
	secret := s.Base[strings.LastIndexByte(s.Base, '/'):] + "/"
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
		answer(s.Base, rest, w, r)
	})}
	go s.server.Serve(l)
	return s, nil
}

// also serves on a listener in another network. Close closes it.
func (s *Loopback) also(l net.Listener) { go s.server.Serve(l) }

func (s *Loopback) Close() { s.server.Close() }
