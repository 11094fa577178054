package pkgmgr

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// A loopback is a package registry for one run of a Node manager: it serves
// some tarballs on 127.0.0.1 and nothing else. What it says of a package is its
// name, its version and its tarball, and no word of dependencies, platforms,
// engines or executables: all that was settled at lock time, and every manager
// would settle it in its own way.
//
// The documents have the form of
// https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md
type loopback struct {
	base     string // URL, without a slash at its end
	port     int
	own      net.Listener
	server   *http.Server
	packages map[string]map[string]int // index in pkgs, by name and version
	pkgs     []Tarball
}

// newLoopback begins to serve. Other users of this machine cannot read along:
// the URL has a secret part.
func newLoopback(pkgs []Tarball) (*loopback, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	s := &loopback{
		base: fmt.Sprintf("http://127.0.0.1:%d/%s", port, rand.Text()), port: port, own: l,
		packages: map[string]map[string]int{}, pkgs: pkgs,
	}
	for i, p := range pkgs {
		if s.packages[p.Name] == nil {
			s.packages[p.Name] = map[string]int{}
		}
		s.packages[p.Name][p.Version] = i
	}
	s.server = &http.Server{Handler: s}
	go s.server.Serve(l)
	return s, nil
}

// also serves on a listener in another network. Close closes it.
func (s *loopback) also(l net.Listener) { go s.server.Serve(l) }

func (s *loopback) close() { s.server.Close() }

func (s *loopback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(r.URL.Path, s.base[strings.LastIndexByte(s.base, '/'):]+"/")
	if !ok || (r.Method != http.MethodGet && r.Method != http.MethodHead) {
		http.NotFound(w, r)
		return
	}
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
			"tarball": fmt.Sprintf("%s/-/%d.tgz", s.base, i), "integrity": s.pkgs[i].Integrity,
		}}
	}
	if latest == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(m{"name": rest, "dist-tags": m{"latest": latest}, "versions": versions, "time": times})
}
