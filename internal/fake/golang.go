package fake

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/note"
)

// A Module is one version of a Go module.
type Module struct {
	Path, Version string            // Version with the v
	Files         map[string]string // by path in the module; go.mod is made here where it is not among them, but for one that is +incompatible
	Mod           string            // what the proxy says go.mod is, "" for the one in the zip
	Released      time.Time         // that of the commit, zero is [Released]
}

// goMod returns the go.mod that the proxy serves.
func (m Module) goMod() string {
	if m.Mod != "" {
		return m.Mod
	}
	if text, ok := m.Files["go.mod"]; ok {
		return text
	}
	if m.bare() {
		return "module " + m.Path + "\n"
	}
	return "module " + m.Path + "\n\ngo 1.21\n"
}

// bare reports whether the module is from before go.mod existed.
func (m Module) bare() bool { return strings.HasSuffix(m.Version, "+incompatible") }

// Zip builds the module's zip. Equal fields give equal bytes.
func (m Module) Zip() []byte {
	files := map[string]string{}
	for name, text := range m.files() {
		files[m.Path+"@"+m.Version+"/"+name] = text
	}
	return Zip(files)
}

func (m Module) files() map[string]string {
	files := maps.Clone(m.Files)
	if files == nil {
		files = map[string]string{}
	}
	if _, ok := files["go.mod"]; !ok && !m.bare() {
		files["go.mod"] = m.goMod()
	}
	return files
}

// Sums returns the module's two hashes in go.sum.
func (m Module) Sums() (zip, mod string) {
	files := map[string]string{}
	for name, text := range m.files() {
		files[m.Path+"@"+m.Version+"/"+name] = text
	}
	return hash1(files), hash1(map[string]string{"go.mod": m.goMod()})
}

// hash1 is golang.org/x/mod/sumdb/dirhash.Hash1 for files in memory.
func hash1(files map[string]string) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%x  %s\n", sha256.Sum256([]byte(files[name])), name)
	}
	return "h1:" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

type moduleVersions struct {
	versions []string
	sums     map[string]string // lines of go.sum, by version
}

// GoProxy returns the address of the module proxy, for GOPROXY.
func (s *Server) GoProxy() string { return s.URL + "/go" }

// GoLogin makes the module proxy require a user name and a password.
func (s *Server) GoLogin(user, password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.login = [2]string{user, password}
}

// Module publishes a version of a Go module. Publishing it again replaces it, but
// the checksum database still has the first one.
func (s *Server) Module(m Module) Artifact {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, err := module.EscapePath(m.Path)
	must(err)
	version, err := module.EscapeVersion(m.Version)
	must(err)
	v := s.modules[m.Path]
	if v == nil {
		v = &moduleVersions{sums: map[string]string{}}
		s.modules[m.Path] = v
	}
	if !slices.Contains(v.versions, m.Version) {
		v.versions = append(v.versions, m.Version)
		semver.Sort(v.versions)
		zip, mod := m.Sums()
		v.sums[m.Version] = fmt.Sprintf("%s %s %s\n%s %s/go.mod %s\n", m.Path, m.Version, zip, m.Path, m.Version, mod)
	}
	base := "/go/" + path + "/@v/"
	released := m.Released
	if released.IsZero() {
		released = Released
	}
	info := fmt.Sprintf("{\"Version\":%q,\"Time\":%q}\n", m.Version, released.UTC().Format("2006-01-02T15:04:05Z"))
	text := func(p, body string) { s.files[p] = file{[]byte(body), "text/plain; charset=utf-8"} }
	text(base+version+".info", info)
	text(base+version+".mod", m.goMod())
	text(base+"list", strings.Join(v.versions, "\n")+"\n")
	if v.versions[len(v.versions)-1] == m.Version {
		text("/go/"+path+"/@latest", info)
	}
	return s.artifact(base+version+".zip", m.Zip())
}

// sumDB is a checksum database.
type sumDB struct {
	prefix  string // of its paths
	handler *sumdb.Server
}

// SumDB starts a checksum database of the modules published here, and returns its
// value for GOSUMDB. The module proxy serves it as well.
func (s *Server) SumDB() string {
	const name = "sums.invalid"
	private, public, err := note.GenerateKey(nil, name)
	must(err)
	db := sumdb.NewTestServer(private, func(path, version string) ([]byte, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if v := s.modules[path]; v != nil && v.sums[version] != "" {
			return []byte(v.sums[version]), nil
		}
		return nil, fmt.Errorf("unknown module %s@%s", path, version)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sumdb = &sumDB{prefix: "/go/sumdb/" + name + "/", handler: sumdb.NewServer(db)}
	return public + " " + s.URL + "/go/sumdb/" + name
}

// document answers a request below the database's prefix.
func (d *sumDB) document(r *http.Request) (file, bool) {
	rest := "/" + strings.TrimPrefix(r.URL.Path, d.prefix)
	if rest == "/supported" {
		return file{nil, "text/plain"}, true
	}
	clone := r.Clone(r.Context())
	clone.URL.Path = rest
	clone.Header.Del("Range")
	rec := httptest.NewRecorder()
	d.handler.ServeHTTP(rec, clone)
	return file{bytes.Clone(rec.Body.Bytes()), "text/plain; charset=utf-8"}, rec.Code == http.StatusOK
}
