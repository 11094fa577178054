package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestPipReach: the credential of the index, the folder of authorities and the
// proxy that the user's pip has serve a download: the credential goes to the host
// of the index alone and is never printed or kept, and every connection goes
// through the proxy.
func TestPipReach(t *testing.T) {
	testenv.Real(t, "it starts pip")
	w := newWorld(t)
	s := fake.NewTLS(t)
	proxy := fake.NewProxy(t, s, http.StatusOK) // the only way to these hosts
	const index, files = "https://example.com", "https://files.example.com"
	artifacts := map[string]fake.Artifact{}
	for name, host := range map[string]string{"near": index, "far": files} {
		s.URL = host
		a := s.Wheel(fake.Wheel{Name: name, Version: "1.0.0", Files: map[string]string{"bin/prog": "#!/bin/sh\necho " + name + "\n"}, Exec: []string{"bin/prog"}})
		w.add(name, "1.0.0", lock.Version{Source: lock.Pip, Package: name}, "bin/prog", map[string]fake.Artifact{a.Name: a}, nil)
		artifacts[name] = a
	}
	w.write()
	w.forget() // so that pip's configuration counts
	const user, secret = "me", "s3cret"
	for _, path := range []string{"/simple/near/", "/simple/far/", artifacts["near"].Path} {
		s.Fault(path, fake.Do(func(out http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
			if u, p, ok := r.BasicAuth(); !ok || u != user || p != secret || r.Host != "example.com" {
				out.Header().Set("WWW-Authenticate", "Basic realm=x")
				http.Error(out, "who are you?", http.StatusUnauthorized)
				return
			}
			honest(out, r)
		}))
	}
	authorities := t.TempDir()
	if err := os.WriteFile(filepath.Join(authorities, "0a1b2c3d.0"), []byte(s.CertificatePEM()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"} {
		t.Setenv(name, "")
	}
	t.Setenv("PIP_CONFIG_FILE", os.DevNull)
	t.Setenv("PIP_CERT", authorities)
	t.Setenv("PIP_PROXY", "http://proxyuser:pr0xy@"+proxy.Address)
	get := func(password, name string, status int) {
		t.Helper()
		t.Setenv("PIP_INDEX_URL", "https://"+user+":"+password+"@example.com/simple/")
		got, stdout, stderr := w.fetch("get", name, "-v")
		if got != status {
			t.Errorf("fetch get %s: status %d, want %d\n%s", name, got, status, stderr)
		}
		for _, word := range []string{secret, "wr0ng", "pr0xy"} {
			if strings.Contains(stdout+stderr, word) {
				t.Errorf("fetch get %s printed %q:\n%s%s", name, word, stdout, stderr)
			}
		}
	}
	get("wr0ng", "near", 4)
	get(secret, "near", 0)
	get(secret, "far", 0)
	asked := slices.Compact(slices.Sorted(slices.Values(proxy.Asked())))
	if !slices.Equal(asked, []string{"example.com:443", "files.example.com:443"}) {
		t.Errorf("the proxy was asked for %q", asked)
	}
	far := s.Requests(artifacts["far"].Path)
	if len(far) == 0 {
		t.Error("nothing was asked of the other host")
	}
	for _, r := range far {
		if r.Header.Get("Authorization") != "" {
			t.Error("another host got the credential")
		}
	}
	for name, content := range snapshot(t, w.cache) {
		if strings.Contains(content, secret) {
			t.Errorf("%s holds the credential", name)
		}
	}
}
