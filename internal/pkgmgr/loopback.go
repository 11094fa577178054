package pkgmgr

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
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

// Tarballs are what a registry has that serves locked tarballs and nothing else.
// What it says of a package is its name, its version and its tarball, and no word
// of dependencies, platforms, engines or executables: all that was settled at lock
// time, and every manager would settle it in its own way.
type tarballs struct {
	pkgs     []Tarball
	packages map[string]map[string]int // index in pkgs, by name and version
}

func newTarballs(pkgs []Tarball) *tarballs {
	s := &tarballs{pkgs, map[string]map[string]int{}}
	for i, p := range pkgs {
		if s.packages[p.Name] == nil {
			s.packages[p.Name] = map[string]int{}
		}
		s.packages[p.Name][p.Version] = i
	}
	return s
}

func (s *tarballs) answer(base, rest string, w http.ResponseWriter, r *http.Request) {
	if file, ok := strings.CutPrefix(rest, "-/"); ok {
		i, err := strconv.Atoi(strings.TrimSuffix(file, ".tgz"))
		if err != nil || i < 0 || i >= len(s.pkgs) {
			http.NotFound(w, r)
			return
		}
		f, err := os.Open(s.pkgs[i].File)
		if err != nil {
			http.Error(w, "cannot open the tarball", http.StatusInternalServerError)
			return
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			http.Error(w, "cannot read the tarball", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", info.ModTime(), f)
		return
	}
	type m = map[string]any
	versions, times, latest := m{}, m{}, ""
	for version, i := range s.packages[rest] {
		latest = max(latest, version)
		// Old enough for every manager that asks for an age.
		times[version] = "2000-01-01T00:00:00.000Z"
		versions[version] = m{"name": rest, "version": version, "dist": m{
			"tarball": fmt.Sprintf("%s/-/%d.tgz", base, i), "integrity": s.pkgs[i].Integrity,
		}}
	}
	if latest == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(m{"name": rest, "dist-tags": m{"latest": latest}, "versions": versions, "time": times})
}
