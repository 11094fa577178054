package managers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// tarballs is a registry that serves only locked tarballs. For a package it
// gives a name, a version and a tarball, but no dependencies, platforms,
// engines or executables: those were decided at lock time, and every manager
// would decide them in its own way.
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
		// Old enough for any minimum age.
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
