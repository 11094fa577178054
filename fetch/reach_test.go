package main

import (
	"net/http"
	"os"
	"path/filepath"
	"runtime"
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

// TestNoPipIsAsked: where the index is known, by the manifest or a variable, and
// no pip can say more of the way there, none is started.
func TestNoPipIsAsked(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("skipped: pip is asked on this system")
	}
	testenv.Real(t, "it compiles fetch")
	w := newWorld(t)
	bin := t.TempDir()
	if err := os.Symlink(fetchProgram(t), filepath.Join(bin, "python3")); err != nil { // a program that fails
		t.Fatal(err)
	}
	home := t.TempDir()
	for name, value := range map[string]string{
		"PATH": bin, "HOME": home, "XDG_CONFIG_HOME": "", "XDG_CONFIG_DIRS": home, "PIP_PROXY": "", "PIP_CERT": "", "PIP_CLIENT_CERT": "", "PIP_KEYRING_PROVIDER": "",
		"PIP_CONFIG_FILE": os.DevNull, "REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "", "PIP_INDEX_URL": "",
	} {
		t.Setenv(name, value)
	}
	get := func(what string, asks bool) {
		t.Helper()
		w.cache = filepath.Join(t.TempDir(), "cache")
		status, _, stderr := w.fetch("get", "tool", "-v")
		if asked := strings.Contains(stderr, "no pip is available"); status != 0 || asked != asks {
			t.Errorf("%s: status %d, pip was asked: %t\n%s", what, status, asked, stderr)
		}
	}
	get("the manifest", false)
	t.Setenv("PIP_CONFIG_FILE", filepath.Join(home, "pip.conf"))
	get("the manifest, with a file of settings", true)
	t.Setenv("PIP_CONFIG_FILE", os.DevNull)
	w.forget()
	t.Setenv("PIP_INDEX_URL", w.registry.URL+"/simple/")
	get("a variable", false)
	t.Setenv("PIP_INDEX_URL", "")
	w.fails(7, []string{"pip is needed to find the package index"}, "get", "shell")
}

// TestUnknownAuthority: a certificate that nobody here believes, as behind a proxy
// that opens TLS, is told at once with what makes the client of the source believe
// it, and with that it works.
func TestUnknownAuthority(t *testing.T) {
	testenv.Real(t, "it starts pip")
	testenv.Program(t, "pip")
	w := newWorld(t)
	w.registry = fake.NewTLS(t)
	wheel := w.registry.Wheel(fake.Wheel{Name: "near", Version: "1.0.0", Files: map[string]string{"bin/prog": "#!/bin/sh\n"}, Exec: []string{"bin/prog"}})
	w.add("near", "1.0.0", lock.Version{Source: lock.Pip, Package: "near"}, "bin/prog", map[string]fake.Artifact{wheel.Name: wheel}, nil)
	tarball := w.registry.Package(fake.Package{Name: "nodal", Version: "1.0.0", Manifest: map[string]any{"bin": map[string]string{"nodal": "main.sh"}}, Files: map[string]string{"main.sh": "#!/bin/sh\n"}})
	w.add("nodal", "1.0.0", lock.Version{Source: lock.NPM, Package: "nodal"}, "node_modules/nodal/main.sh",
		map[string]fake.Artifact{"node_modules/nodal": tarball}, map[string]lock.File{"node_modules/nodal": {Name: "nodal", Version: "1.0.0"}})
	w.file("plain", "1.0.0", "", "plain", "plain-linux", []byte("#!/bin/sh\n"))
	w.write()
	for name, value := range map[string]string{
		"npm_config_cafile": "", "npm_config_ca": "", "npm_config_userconfig": filepath.Join(t.TempDir(), "user"), "npm_config_globalconfig": filepath.Join(t.TempDir(), "global"),
		"NODE_EXTRA_CA_CERTS": "", "PIP_CERT": "", "PIP_CONFIG_FILE": os.DevNull, "REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": "",
	} {
		t.Setenv(name, value)
		if value == "" {
			os.Unsetenv(name) // until the end of the test
		}
	}
	file := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(file, []byte(w.registry.CertificatePEM()), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, variable := range map[string]string{"near": "PIP_CERT", "nodal": "NODE_EXTRA_CA_CERTS", "plain": "SSL_CERT_FILE"} {
		hint := "export " + variable + "=FILE"
		if variable == "SSL_CERT_FILE" && runtime.GOOS == "darwin" {
			hint = "certificates that this system trusts"
		}
		w.fails(4, []string{"certificate", hint, "troubleshooting.md#proxy"}, "get", name)
		if _, _, stderr := w.fetch("get", name); strings.Contains(stderr, "attempts") {
			t.Errorf("%s: tried again: %s", name, stderr)
		}
		if name == "plain" {
			continue // our own process has read SSL_CERT_FILE by now
		}
		t.Setenv(variable, file)
		w.must("get", name)
	}
}
