package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// The registries that others wrote: that of distribution, built from its Go
// module by the go command, and Debian's docker-registry, an older one of them,
// where it is installed.

// distribution is the version that is built. It is no dependency in go.mod: it
// would bring some 60 modules there for a test.
const distribution = "github.com/distribution/distribution/v3/cmd/registry@v3.0.0"

// registryPrograms finds the registries, by name. What is not there is said.
func registryPrograms(t *testing.T) map[string]string {
	t.Helper()
	testenv.Real(t, "builds and runs registries")
	found := map[string]string{}
	if name, err := testenv.Find("docker-registry"); err == nil {
		found["docker-registry"] = name
	} else {
		t.Log("not tried: docker-registry does not run (apt-get install docker-registry)")
	}
	base, err := os.UserCacheDir()
	if err != nil {
		t.Skip("skipped: no cache folder:", err)
	}
	_, version, _ := strings.Cut(distribution, "@")
	bin := filepath.Join(base, "buck2-protobuf-test", "distribution-"+version)
	name := filepath.Join(bin, "registry")
	if _, err := os.Stat(name); err != nil {
		cmd := exec.CommandContext(t.Context(), "go", "install", distribution)
		cmd.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=-mod=mod")
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Logf("not tried: distribution cannot be built: %v\n%s", err, text)
			return found
		}
	}
	found["distribution"] = name
	return found
}

// authentication is how a registry knows its clients.
type authentication string

const (
	noAuth   authentication = "none"
	htpasswd authentication = "htpasswd"
	byToken  authentication = "token"
)

// startRegistry runs a registry until the test ends and returns its HOST:PORT,
// and the user that it wants, "" for none.
func startRegistry(t *testing.T, program string, auth authentication) (host, user string) {
	t.Helper()
	dir := t.TempDir()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	config := map[string]any{
		"version": "0.1",
		"log":     map[string]any{"level": "error"},
		"storage": map[string]any{"filesystem": map[string]any{"rootdirectory": filepath.Join(dir, "data")}},
		"http":    map[string]any{"addr": address, "relativeurls": true, "secret": "not one"},
	}
	host = address
	switch auth {
	case htpasswd:
		// "me:secret", by bcrypt, the only kind that it takes.
		file := filepath.Join(dir, "htpasswd")
		if err := os.WriteFile(file, []byte("me:$2a$04$m7G0MgdcrnjYiSuAN/NpW.97QG5IGO.gTIlVatdDkO.BJgEDz.bIC\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		config["auth"] = map[string]any{"htpasswd": map[string]any{"realm": "test", "path": file}}
		user = "me:secret"
	case byToken:
		var bundle string
		host, bundle = tokenServer(t, address, dir)
		config["auth"] = map[string]any{"token": map[string]any{"realm": "http://" + host + "/token", "service": "test", "issuer": "test", "rootcertbundle": bundle}}
		user = "me:secret"
	}
	text, err := json.Marshal(config) // YAML is a superset of it
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	var talk bytes.Buffer
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "serve", file)
	cmd.Stdout, cmd.Stderr = &talk, &talk
	cmd.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the registry said:\n%s", talk.String())
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; {
		resp, err := http.Get("http://" + address + "/v2/")
		if err == nil {
			resp.Body.Close()
			return host, user
		}
		if time.Now().After(deadline) {
			t.Fatalf("the registry does not start: %v\n%s", err, talk.String())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// tokenServer stands before a registry and gives tokens at /token of the same
// host (distribution, docs/spec/auth/token.md and jwt.md).
func tokenServer(t *testing.T, registry, dir string) (host, bundle string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	bundle = filepath.Join(dir, "token.pem")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600); err != nil {
		t.Fatal(err)
	}
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/token" {
			proxy.ServeHTTP(w, r)
			return
		}
		if name, password, _ := r.BasicAuth(); name+":"+password != "me:secret" {
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"wrong password"}]}`, http.StatusUnauthorized)
			return
		}
		type access struct {
			Type    string   `json:"type"`
			Name    string   `json:"name"`
			Actions []string `json:"actions"`
		}
		var may []access
		for _, scopes := range r.URL.Query()["scope"] {
			for scope := range strings.FieldsSeq(scopes) {
				if f := strings.Split(scope, ":"); len(f) == 3 {
					may = append(may, access{f[0], f[1], strings.Split(f[2], ",")})
				}
			}
		}
		now := time.Now()
		signed := part(map[string]any{"typ": "JWT", "alg": "ES256", "x5c": []string{base64.StdEncoding.EncodeToString(cert)}}) + "." + part(map[string]any{
			"iss": "test", "sub": "me", "aud": "test", "exp": now.Add(time.Minute).Unix(), "nbf": now.Add(-time.Minute).Unix(), "iat": now.Unix(), "jti": "1", "access": may,
		})
		sum := sha256.Sum256([]byte(signed))
		a, b, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			panic(err)
		}
		signature := append(a.FillBytes(make([]byte, 32)), b.FillBytes(make([]byte, 32))...)
		_ = json.NewEncoder(w).Encode(map[string]string{"token": signed + "." + base64.RawURLEncoding.EncodeToString(signature)})
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://"), bundle
}

// TestMirrorRealRegistries fills each real registry, with each way to know its
// clients, and takes everything from it again.
func TestMirrorRealRegistries(t *testing.T) {
	testenv.OnlyFull(t, "it compiles a registry; the one of internal/fake is mirrored to always")
	programs := registryPrograms(t)
	if len(programs) == 0 {
		t.Skip("skipped: there is no registry to run")
	}
	p := newMirrored(t)
	for name, program := range programs {
		for _, auth := range []authentication{noAuth, htpasswd, byToken} {
			t.Run(name+" "+string(auth), func(t *testing.T) {
				host, user := startRegistry(t, program, auth)
				to := "oci://" + host + "/acme/plugins"
				if user != "" {
					p.docker()
					if text := p.fails(4, []string{"docker login"}, "mirror", "--to", to); strings.Contains(text, "secret") {
						t.Errorf("a secret is shown: %s", text)
					}
					p.docker(host, user)
				}
				first := p.pushed("--to", to, "--trees")
				p.has(to)
				if again := p.pushed("--to", to, "--trees"); again.Pushed != 0 || again.Present < first.Pushed {
					t.Errorf("first %+v, then %+v", first, again)
				}
			})
		}
	}
}
