package remote

import (
	"bytes"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

func TestNPMTarball(t *testing.T) {
	for _, tt := range []struct{ registry, name, version, want string }{
		{"https://host/", "ts-proto", "2.7.2", "https://host/ts-proto/-/ts-proto-2.7.2.tgz"},
		{"https://host", "@scope/name", "1.0.0-rc.1", "https://host/@scope/name/-/name-1.0.0-rc.1.tgz"},
		{"https://u:p@host/api/npm/all/", "x", "1.0.0", "https://u:p@host/api/npm/all/x/-/x-1.0.0.tgz"},
		{"https://host/npm?key=1", "x", "1.0.0", "https://host/npm/x/-/x-1.0.0.tgz?key=1"},
	} {
		if got := NPMTarball(tt.registry, tt.name, tt.version); got != tt.want {
			t.Errorf("NPMTarball(%q, %q, %q) = %q, want %q", tt.registry, tt.name, tt.version, got, tt.want)
		}
	}
}

// TestNPM goes the way of a fetch: the conventional address, then what the
// registry says.
func TestNPM(t *testing.T) {
	for _, name := range []string{"plain", "@scope/scoped"} {
		s := fake.New(t)
		a := s.Package(fake.Package{Name: name, Version: "1.0.0", Files: map[string]string{"index.js": "1\n"}})
		c := quick()
		var in memory
		if err := c.Download(t.Context(), NPMTarball(s.URL+"/", name, "1.0.0"), &in, DownloadOptions{Size: a.Size}); err != nil || !bytes.Equal(in.Bytes(), a.Body) {
			t.Errorf("%s: %v", name, err)
		}
		elsewhere := s.File("/elsewhere/file.tgz", a.Body)
		s.Package(fake.Package{Name: name, Version: "2.0.0", Dist: map[string]any{"tarball": elsewhere}})
		s.Fault("/"+name+"/-/"+name[strings.LastIndex(name, "/")+1:]+"-2.0.0.tgz", fake.Status(404))
		err := c.Download(t.Context(), NPMTarball(s.URL, name, "2.0.0"), &in, DownloadOptions{})
		check(t, err, fault.Upstream, "was it deleted?")
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("not fs.ErrNotExist: %v", err)
		}
		got, err := c.NPMTarballURL(t.Context(), s.URL, name, "2.0.0")
		if err != nil || got != elsewhere {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		with := strings.Replace(s.URL, "//", "//user:pw@", 1)
		got, err = c.NPMTarballURL(t.Context(), with, name, "2.0.0")
		if err != nil || got != strings.Replace(elsewhere, "//", "//user:pw@", 1) {
			t.Errorf("%s: with userinfo %q, %v", name, got, err)
		}
		if name == "@scope/scoped" && s.Count("/@scope/scoped") != 2 {
			t.Errorf("%d requests for the packument", s.Count("/@scope/scoped"))
		}
		_, err = c.NPMTarballURL(t.Context(), s.URL, name, "3.0.0")
		check(t, err, fault.Upstream, "no version 3.0.0", "was it deleted?")
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("not fs.ErrNotExist: %v", err)
		}
		_, err = c.NPMTarballURL(t.Context(), s.URL, "unknown", "1.0.0")
		check(t, err, fault.Upstream, "the registry has no package unknown", "404")
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("not fs.ErrNotExist: %v", err)
		}
	}
}

func TestScopedNameIsOneSegment(t *testing.T) {
	s := fake.New(t)
	s.Package(fake.Package{Name: "@a/b", Version: "1.0.0"})
	var uri string
	s.Fault("/base/@a/b", fake.Do(func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		uri = r.RequestURI
		w.WriteHeader(http.StatusNotFound)
	}))
	if _, err := quick().NPMTarballURL(t.Context(), s.URL+"/base/?k=v", "@a/b", "1.0.0"); err == nil || uri != "/base/@a%2Fb?k=v" {
		t.Errorf("asked for %s, error %v", uri, err)
	}
}

func TestNPMBadDocuments(t *testing.T) {
	s := fake.New(t)
	deep := strings.Repeat(`{"a":`, 100000)
	for _, tt := range []struct {
		doc   string
		class fault.Class
		part  string
	}{
		{`{"versions":{"1.0.0":{"dist":{"tarball":"`, fault.Upstream, "malformed document"},
		{`[]`, fault.Upstream, "malformed document"},
		{`{"versions":[]}`, fault.Upstream, "field versions"},
		{`{"versions":{"1.0.0":{"dist":{"tarball":7}}}}`, fault.Upstream, "dist.tarball"},
		{`{"versions":{"1.0.0":{}}}`, fault.Upstream, `versions["1.0.0"].dist.tarball is missing`},
		{`{"versions":{"1.0.0":{"dist":{"tarball":"http://[::1"}}}}`, fault.Upstream, "is not a URL"},
		{`{"versions":{"1.0.0":{"dist":{"tarball":"http://203.0.113.9/x.tgz"}}}}`, fault.Policy, "must be https"},
		{`{"versions":{"1.0.0":{"dist":{"tarball":"git+ssh://host/x"}}}}`, fault.Policy, "scheme git+ssh"},
		{`{}`, fault.Upstream, "no version 1.0.0"},
		{deep, fault.Upstream, "malformed document"},
		{fake.LoginPage, fault.Upstream, "looks like HTML"},
	} {
		s.Fault("/x", fake.Answer("application/json", tt.doc))
		_, err := quick().NPMTarballURL(t.Context(), s.URL, "x", "1.0.0")
		check(t, err, tt.class, tt.part)
		if err == nil {
			t.Errorf("%.40s: no error", tt.doc)
		}
	}
}

func TestPyPIFile(t *testing.T) {
	for _, html := range []bool{false, true} {
		s := fake.New(t)
		s.HTMLOnly(html)
		s.Wheel(fake.Wheel{Name: "Proto.C_wheel-0", Version: "29"})
		want := s.Wheel(fake.Wheel{Name: "Proto.C_wheel-0", Version: "30.2", Tag: "py2.py3-none-manylinux1_x86_64", Python: ">=3"})
		for _, index := range []string{s.URL + "/simple/", s.URL + "/simple"} {
			got, err := quick().PyPIFile(t.Context(), index, "Proto.C_wheel-0", want.Name)
			if err != nil || got != want.URL {
				t.Errorf("html %t: %q, %v, want %q", html, got, err, want.URL)
			}
		}
		if s.Count("/simple/proto-c-wheel-0/") != 2 {
			t.Errorf("html %t: %d requests", html, s.Count("/simple/proto-c-wheel-0/"))
		}
		got, err := quick().PyPIFile(t.Context(), strings.Replace(s.URL, "//", "//user:pw@", 1)+"/simple", "proto-c-wheel-0", want.Name)
		if err != nil || got != strings.Replace(want.URL, "//", "//user:pw@", 1) {
			t.Errorf("html %t: with userinfo %q, %v", html, got, err)
		}
		_, err = quick().PyPIFile(t.Context(), s.URL+"/simple", "proto-c-wheel-0", "other-1-py3-none-any.whl")
		check(t, err, fault.Upstream, "no file other-1-py3-none-any.whl", "2 others")
		_, err2 := quick().PyPIFile(t.Context(), s.URL+"/simple", "unknown", "x.whl")
		check(t, err2, fault.Upstream, "the index has no project", "404")
		if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err2, fs.ErrNotExist) {
			t.Errorf("not fs.ErrNotExist: %v / %v", err, err2)
		}
	}
}

func TestPyPIPages(t *testing.T) {
	const file = "a_b-1.0+cpu-py3-none-any.whl"
	const wheel = "a_b-1.0%2Bcpu-py3-none-any.whl"
	for _, tt := range []struct {
		name, kind, page string
		want             string // relative to the server; "" for an error
		class            fault.Class
		part             string
	}{
		{"relative", "text/html", `<a href="../../p/` + wheel + `#sha256=00">x</a>`, "/p/" + wheel, 0, ""},
		{"same folder, odd markup", "text/html", `<A class=x HREF='` + wheel + `'>`, "/simple/a-b/" + wheel, 0, ""},
		{"root", "text/html; charset=utf-8", `<a href="/p/` + wheel + `">`, "/p/" + wheel, 0, ""},
		{"query and entities", "text/html", `<a href=" /p/` + wheel + `?a=1&amp;b=2#sha256=00 ">`, "/p/" + wheel + "?a=1&b=2", 0, ""},
		{"base", "text/html", `<html><head><base href="/mirror/x/"></head><a href="` + wheel + `">`, "/mirror/x/" + wheel, 0, ""},
		{"first of two", "application/vnd.pypi.simple.v1+html", `<a href="/1/` + wheel + `"><a href="/2/` + wheel + `">`, "/1/" + wheel, 0, ""},
		{"in a comment", "text/html", `<!-- <a href="/p/` + wheel + `"> --><a href="/q/other.whl">`, "", fault.Upstream, "1 others"},
		{"only the text", "text/html", `<a href="/p/other.whl">` + file + `</a>`, "", fault.Upstream, "no file"},
		{"clear text elsewhere", "text/html", `<a href="http://203.0.113.9/` + wheel + `">`, "", fault.Policy, "must be https"},
		{"file", "text/html", `<a href="file:///tmp/` + wheel + `">`, "", fault.Policy, "scheme file"},
		{"login", "text/html", fake.LoginPage, "", fault.Upstream, "login page"},
		{"JSON", "application/vnd.pypi.simple.v1+json", `{"meta":{"api-version":"1.4"},"files":[{"filename":"` + file + `","url":"../../p/` + wheel + `#sha256=00"}]}`, "/p/" + wheel, 0, ""},
		{"plain JSON", "application/json", `{"meta":{"api-version":"1.0"},"files":[{"filename":"` + file + `","url":"/p/f"}]}`, "/p/f", 0, ""},
		{"later JSON", "application/vnd.pypi.simple.v2+json", `{"meta":{"api-version":"2.0"},"files":[]}`, "", fault.Upstream, `api-version is "2.0"`},
		{"no url", "application/json", `{"meta":{"api-version":"1.0"},"files":[{"filename":"` + file + `"}]}`, "", fault.Upstream, "has no url"},
		{"cut JSON", "application/json", `{"meta":{"api-version":"1.0"},"files":[`, "", fault.Upstream, "malformed document"},
		{"wrong type", "application/json", `{"meta":{"api-version":"1.0"},"files":{}}`, "", fault.Upstream, "field files"},
		{"neither", "text/plain", `hello`, "", fault.Upstream, "neither JSON nor HTML"},
	} {
		s := fake.New(t)
		s.Fault("/simple/a-b/", fake.Answer(tt.kind, tt.page))
		got, err := quick().PyPIFile(t.Context(), s.URL+"/simple/", "a_b", file)
		check(t, err, tt.class, tt.part)
		if tt.want != "" && got != s.URL+tt.want || tt.want == "" && err == nil {
			t.Errorf("%s: %q, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestLinksAreHeldToTheRulesOfRedirects(t *testing.T) {
	s, plain := fake.NewTLS(t), fake.New(t)
	_ = proxy(t, s, http.StatusOK)
	roots := func(o *Options) { o.RootCAs = s.RootCAs() }
	for _, tt := range []struct{ link, part string }{
		{plain.URL + "/x.whl", "from https to http"},
		{"https://127.0.0.1/x.whl", "is public but redirects into this machine"},
		{"https://169.254.169.254/x.whl", "is public but redirects into this machine"},
	} {
		s.Fault("/simple/x/", fake.Answer("text/html", `<a href="`+tt.link+`">x</a>`))
		_, err := quick(roots).PyPIFile(t.Context(), "https://example.com/simple", "x", "x.whl")
		check(t, err, fault.Policy, tt.part)
	}
	// A page that moved: its own links count from there, and userinfo stays behind.
	s.Fault("/simple/x/", fake.Redirect(301, "https://www.example.com/new/x/"))
	s.Fault("/new/x/", fake.Answer("text/html", `<a href="x.whl">x</a> <a href="https://example.com/y.whl">`))
	for file, want := range map[string]string{"x.whl": "https://www.example.com/new/x/x.whl", "y.whl": "https://example.com/y.whl"} {
		got, err := quick(roots).PyPIFile(t.Context(), "https://u:p@example.com/simple", "x", file)
		if err != nil || got != want {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
}

// TestCredentialHook asks for documents with a credential of the caller.
func TestCredentialHook(t *testing.T) {
	s := fake.New(t)
	s.Package(fake.Package{Name: "x", Version: "1.0.0"})
	c := quick(func(o *Options) {
		o.Credential = func(u *url.URL) Credential {
			if u.Path != "/x" {
				return Credential{}
			}
			return Credential{"NPM_TOKEN", "Bearer " + canary}
		}
	})
	if _, err := c.NPMTarballURL(t.Context(), s.URL, "x", "1.0.0"); err != nil {
		t.Fatal(err)
	}
	if got := s.Requests("/x")[0].Header.Get("Authorization"); got != "Bearer "+canary {
		t.Errorf("Authorization %q", got)
	}
	s.Fault("/x", fake.Status(401))
	_, err := c.NPMTarballURL(t.Context(), s.URL, "x", "1.0.0")
	check(t, err, fault.Upstream, "credential sent: NPM_TOKEN")
}
