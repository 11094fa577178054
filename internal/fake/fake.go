// Package fake is a server for tests on a loopback port. It is an npm registry, a
// registry of crates, an index of Python packages, a proxy of Go modules with a
// checksum database, and a plain file server at once, complete enough for the
// real npm, cargo, pip and go. It can also misbehave; see [Fault]. The test
// creates in memory what it serves.
//
//	GET /NAME  /@SCOPE%2fNAME               packument, full or abbreviated
//	GET /NAME/VERSION                       version document
//	GET /NAME/-/BASENAME-VERSION.tgz        tarball
//	GET /simple/  /simple/PROJECT/          PEP 503 and PEP 691
//	GET /packages/FILE  …FILE.metadata      wheels, and PEP 658
//	GET /go/MODULE/@v/VERSION.zip …         module proxy, with its sumdb
//	GET /index/config.json  /index/…/NAME   sparse index of crates
//	GET /crates/NAME/VERSION/download       crate
//	GET /maven/…                            Maven repository
//	GET /ANY/PATH                           a file given to [Server.File]
//
// It records every request; see [Server.Requests].
package fake

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Released is the publication time of everything that does not set its own.
var Released = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)

// A Server is a fake registry. It is safe for concurrent use, also while it
// serves.
type Server struct {
	URL string // "http://127.0.0.1:PORT", without a slash at the end

	http     *httptest.Server
	mu       sync.Mutex
	requests []Request
	files    map[string]file                      // by decoded path
	faults   map[string][]*Fault                  // by decoded path
	packages map[string]map[string]map[string]any // name, version, full manifest
	projects map[string][]release                 // by normalized name
	simple   bool                                 // HTML only
	released map[string]time.Time                 // of packages, by name@version
	tags     map[string]string                    // "latest" of packages, by name
	noTimes  bool                                 // say nothing of when
	modules  map[string]*moduleVersions           // by path
	sumdb    *sumDB                               // nil before the first [Server.SumDB]
	token    string                               // that crates demand, see [Server.CrateToken]
	login    [2]string                            // that modules demand, see [Server.GoLogin]

	// before may answer in place of everything else; other answers a request for
	// which there is no file. Both are nil for npm and Python registries.
	before func(w http.ResponseWriter, r *http.Request) bool
	other  http.Handler
}

// A Request is a request that the server received.
type Request struct {
	Method string
	Path   string      // decoded, without the query
	Range  string      // the header of that name
	Header http.Header // all of them

	Certified bool // with a client's certificate
}

type file struct {
	body     []byte
	mimeType string
}

// New starts a server over plain http; it stops with the test.
func New(t testing.TB) *Server {
	s := newServer()
	s.http.Start()
	return s.stopWith(t)
}

// NewTLS starts a server over https, which requests client certificates. Clients
// need [Server.RootCAs]; the server's certificate is valid for 127.0.0.1 and
// example.com.
func NewTLS(t testing.TB) *Server {
	s := newServer()
	s.http.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	s.http.StartTLS()
	return s.stopWith(t)
}

func newServer() *Server {
	s := &Server{
		files:    map[string]file{},
		faults:   map[string][]*Fault{},
		packages: map[string]map[string]map[string]any{},
		projects: map[string][]release{},
		released: map[string]time.Time{},
		tags:     map[string]string{},
		modules:  map[string]*moduleVersions{},
	}
	s.http = httptest.NewUnstartedServer(s)
	s.http.Config.ErrorLog = quiet
	return s
}

func (s *Server) stopWith(t testing.TB) *Server {
	s.URL = s.http.URL
	t.Cleanup(func() {
		// Close would wait for the end of a slow answer.
		s.http.CloseClientConnections()
		s.http.Close()
	})
	return s
}

// RootCAs returns the pool that verifies the certificate of a [NewTLS] server.
func (s *Server) RootCAs() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.http.Certificate())
	return pool
}

// Certificate returns the self-signed certificate of a [NewTLS] server.
func (s *Server) Certificate() *x509.Certificate { return s.http.Certificate() }

// CertificatePEM returns the certificate of a [NewTLS] server as PEM.
func (s *Server) CertificatePEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.http.Certificate().Raw}))
}

// ClientCertificate creates a certificate and its key, as PEM.
func ClientCertificate() (certificate, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	must(err)
	secret, err := x509.MarshalECPrivateKey(private)
	must(err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}))
}

// A Proxy is an HTTP proxy that connects every host to one [NewTLS] server, so
// that the server can play a host of the internet.
type Proxy struct {
	Address string // HOST:PORT

	mu    sync.Mutex
	asked []string
}

// NewProxy starts a proxy. With a status other than 200, it answers every request
// with that status alone.
func NewProxy(t testing.TB, to *Server, status int) *Proxy {
	p := &Proxy{}
	target := to.http.Listener.Addr().String()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.asked = append(p.asked, r.Host)
		p.mu.Unlock()
		if r.Method != http.MethodConnect || status != http.StatusOK {
			w.WriteHeader(status)
			return
		}
		up, err := net.Dial("tcp", target)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer up.Close()
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
		go func() {
			_, _ = io.Copy(up, conn)
			up.Close()
		}()
		_, _ = io.Copy(conn, up)
	}))
	t.Cleanup(s.Close)
	p.Address = strings.TrimPrefix(s.URL, "http://")
	return p
}

// Asked lists the requested hosts as HOST:PORT, one for each connection.
func (p *Proxy) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// File serves a body at a path, which begins with a slash, and returns its URL.
// It supports ranges and sends a strong ETag.
func (s *Server) File(path string, body []byte) (url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[path] = file{body, "application/octet-stream"}
	return s.URL + path
}

// Requests returns the requests for a decoded path in the order of their arrival,
// or all requests for "".
func (s *Server) Requests(path string) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Request
	for _, r := range s.requests {
		if path == "" || r.Path == path {
			found = append(found, r)
		}
	}
	return found
}

// Count returns the number of [Server.Requests].
func (s *Server) Count(path string) int { return len(s.Requests(path)) }

// Paths returns the decoded paths that were asked for, in the order of their first
// requests.
func (s *Server) Paths() (paths []string) {
	for _, r := range s.Requests("") {
		if !slices.Contains(paths, r.Path) {
			paths = append(paths, r.Path)
		}
	}
	return paths
}

// Forget clears the record of requests.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = nil
}

// NoTimes makes the registries leave out publication times, as some mirrors do.
func (s *Server) NoTimes(none bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noTimes = none
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if _, ok := s.files[r.URL.Path]; ok && r.Method == http.MethodHead { // nothing goes wrong, and nobody counts it
		s.mu.Unlock()
		s.honest(w, r)
		return
	}
	s.requests = append(s.requests, Request{r.Method, r.URL.Path, r.Header.Get("Range"), r.Header.Clone(), r.TLS != nil && len(r.TLS.PeerCertificates) > 0})
	var fault *Fault
	if list := s.faults[r.URL.Path]; len(list) > 0 {
		fault = list[0]
		if fault.times > 0 {
			if fault.times--; fault.times == 0 {
				s.faults[r.URL.Path] = list[1:]
			}
		}
	}
	s.mu.Unlock()
	if fault != nil {
		fault.serve(w, r, s.honest)
		return
	}
	s.honest(w, r)
}

// honest serves what the test put there.
func (s *Server) honest(w http.ResponseWriter, r *http.Request) {
	if s.before != nil && s.before(w, r) {
		return
	}
	s.mu.Lock()
	db := s.sumdb
	if s.token != "" && r.Header.Get("Authorization") != s.token && (strings.HasPrefix(r.URL.Path, "/index/") || strings.HasPrefix(r.URL.Path, "/crates/")) {
		s.mu.Unlock()
		w.Header().Set("WWW-Authenticate", `Cargo login_url="https://example.com/login"`)
		http.Error(w, `{"error":"unauthorized"}`, http.StatusUnauthorized)
		return
	}
	if user, password, _ := r.BasicAuth(); s.login != [2]string{} && s.login != [2]string{user, password} && strings.HasPrefix(r.URL.Path, "/go/") {
		s.mu.Unlock()
		w.Header().Set("WWW-Authenticate", "Basic")
		http.Error(w, "unauthorized", http.StatusUnauthorized)
		return
	}
	f, ok := s.files[r.URL.Path]
	if !ok && s.other == nil {
		f, ok = s.document(r)
	}
	s.mu.Unlock()
	if db != nil && strings.HasPrefix(r.URL.Path, db.prefix) {
		f, ok = db.document(r) // which asks for the modules
	}
	if !ok && s.other != nil {
		rec := httptest.NewRecorder()
		s.other.ServeHTTP(rec, r)
		copyHeader(w, rec)
		// Real registries send this for content that may change.
		tag := `"` + sum(rec.Body.Bytes()) + `"`
		if rec.Code == http.StatusOK && r.Method == http.MethodGet && !strings.Contains(r.URL.Path, "/blobs/") {
			w.Header().Set("Etag", tag)
			if r.Header.Get("If-None-Match") == tag {
				w.Header().Del("Content-Length")
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
		return
	}
	if !ok {
		http.Error(w, `{"error":"not found"}`, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", f.mimeType)
	w.Header().Set("Etag", `"`+sum(f.body)+`"`)
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(f.body)))
}

// document builds the answer of a registry. The caller holds the lock.
func (s *Server) document(r *http.Request) (file, bool) {
	switch p := r.URL.Path; {
	case strings.HasPrefix(p, "/-/"): // ping, audit and the like
		return file{[]byte("{}"), "application/json"}, true
	case strings.HasPrefix(p, "/simple/"):
		return s.simplePage(strings.Trim(strings.TrimPrefix(p, "/simple/"), "/"), r.Header.Get("Accept"))
	default:
		return s.npmDocument(strings.TrimPrefix(p, "/"), r.Header.Get("Accept"))
	}
}

func sum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func jsonFile(v any, mimeType string) (file, bool) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("fake: " + err.Error()) // the test gave what JSON cannot say
	}
	return file{body, mimeType}, true
}
