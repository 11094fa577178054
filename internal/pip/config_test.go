package pip

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

// TestPipConfig: of the user's configuration of pip, and of the project that
// the manifest lies in, the index, its credential, the proxy and certificates
// count. Nothing else changes anything, in whichever form it is given.
func TestPipConfig(t *testing.T) {
	p := realPip(t)
	home := cleanPipEnv(t)
	project := t.TempDir()
	canary := filepath.Join(home, "canary")
	for name, text := range map[string]string{
		".python-version": "2.7\n", "uv.toml": "index-url = \"http://127.0.0.1:9/uv\"\n", "pip.conf": "[global]\nindex-url = http://127.0.0.1:9/here\n",
		"pyproject.toml": "[tool.uv]\nindex-url = \"http://127.0.0.1:9/uv\"\n[tool.uv.pip]\nextra-index-url = [\"http://127.0.0.1:9/uv\"]\n[build-system]\nrequires = [\"evil\"]\n",
		"setup.cfg":      "[easy_install]\nindex_url = http://127.0.0.1:9/setup\n[install]\nuser = 1\n", "setup.py": "open(" + strings.ReplaceAll("'"+canary+"'", `\`, `/`) + ", 'w')\n",
		"pip.py": "raise SystemExit('another pip')\n", "sitecustomize.py": "open('" + canary + "', 'w')\n", "requirements.txt": "evil\n", "Pipfile": "[[source]]\nurl = \"http://127.0.0.1:9\"\n",
	} {
		fake.Write(t, filepath.Join(project, name), text)
	}
	const index = "https://pip.example.com/simple"
	says := func(what string) {
		t.Helper()
		c, err := p.Config(t.Context(), project, "")
		if err != nil || c.Index != index || c.o.Client != "" || c.o.Proxy != "" {
			t.Errorf("%s: %+v, %v", what, c, err)
		}
	}
	settings := map[string]string{
		"require-virtualenv": "true", "target": home, "user": "true", "find-links": home, "constraint": filepath.Join(home, "none.txt"), "build-constraint": filepath.Join(home, "none.txt"),
		"config-settings": "a=b", "python": filepath.Join(home, "none"), "extra-index-url": "http://127.0.0.1:9/extra", "trusted-host": "pip.example.com", "platform": "plan9",
		"only-binary": ":none:", "no-binary": ":all:", "pre": "true", "no-deps": "true", "require-hashes": "true", "prefix": home, "root": home, "editable": ".", "requirement": "requirements.txt",
		"no-build-isolation": "false", "use-feature": "fast-deps", "log": filepath.Join(home, "pip.log"), "cache-dir": filepath.Join(home, "cache"), "exists-action": "w", "isolated": "true", "quiet": "3", "verbose": "3",
		"no-input": "false", "report": filepath.Join(home, "report"), "src": home, "upgrade": "true", "ignore-requires-python": "true", "keyring-provider": "auto", "disable-pip-version-check": "false",
	}
	conf := func(section string) string {
		text := "[global]\nindex-url = " + index + "\n[" + section + "]\n"
		for key, value := range settings {
			text += key + " = " + value + "\n"
		}
		return text
	}
	fake.Write(t, filepath.Join(home, "install.conf"), conf("install"))
	fake.Write(t, filepath.Join(home, "global.conf"), strings.Replace(conf("x"), "[x]\n", "", 1))
	for _, file := range []string{"install.conf", "global.conf"} {
		t.Setenv("PIP_CONFIG_FILE", filepath.Join(home, file))
		says(file)
	}
	fake.Write(t, filepath.Join(home, "pip", "pip.conf"), conf("install"))
	t.Setenv("PIP_CONFIG_FILE", "")
	if runtime.GOOS == "linux" {
		says("the file of the user")
	}
	t.Setenv("PIP_INDEX_URL", index)
	for key, value := range settings {
		t.Setenv("PIP_"+strings.ToUpper(strings.ReplaceAll(key, "-", "_")), value)
	}
	t.Setenv("PYTHONPATH", project)
	t.Setenv("PYTHONSTARTUP", filepath.Join(project, "pip.py"))
	t.Setenv("VIRTUAL_ENV", home)
	t.Setenv("UV_INDEX_URL", "http://127.0.0.1:9/uv")
	says("variables")
	for _, left := range []string{"canary", "report", "cache"} {
		if _, err := os.Stat(filepath.Join(home, left)); err == nil {
			t.Errorf("%s was written", left)
		}
	}
}

// TestPipReach: what pip is configured with to reach its index, our own
// downloads have as well, for that index alone.
func TestPipReach(t *testing.T) {
	p := realPip(t)
	home := cleanPipEnv(t)
	for _, name := range []string{"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "NO_PROXY", "no_proxy"} {
		t.Setenv(name, "")
	}
	t.Setenv("PIP_CONFIG_FILE", os.DevNull) // nor those of this machine
	mine, key := certificate(t)
	client := filepath.Join(home, "client.pem")
	fake.Write(t, client, mine+key)
	shown := map[string]int{}
	server := func(name string) *httptest.Server {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			shown[name] = len(r.TLS.PeerCertificates)
			w.Write([]byte("ok"))
		}))
		s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	index, other := server("index"), server("other")
	bundle := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: index.Certificate().Raw}) // both have it
	ca := filepath.Join(home, "ca.pem")
	fake.Write(t, ca, string(bundle))
	t.Setenv("PIP_INDEX_URL", index.URL+"/simple/")
	get := func() error {
		c, err := p.Config(t.Context(), home, "")
		if err != nil {
			return err
		}
		client, err := c.Client(remote.Options{Attempts: 1})
		if err != nil {
			return err
		}
		for _, s := range []*httptest.Server{index, other} {
			if _, _, err := client.Document(t.Context(), s.URL, "*/*", 10); err != nil {
				return err
			}
		}
		return nil
	}
	if err := get(); err == nil {
		t.Error("an unknown authority is taken")
	}
	t.Setenv("PIP_TRUSTED_HOST", strings.TrimPrefix(index.URL, "https://"))
	if err := get(); err == nil {
		t.Error("trusted-host lets through what nothing proves")
	}
	t.Setenv("REQUESTS_CA_BUNDLE", ca)
	if err := get(); err != nil || shown["index"] != 0 {
		t.Errorf("REQUESTS_CA_BUNDLE: %v, %v", err, shown)
	}
	t.Setenv("REQUESTS_CA_BUNDLE", "")
	t.Setenv("PIP_CERT", ca)
	t.Setenv("PIP_CLIENT_CERT", client)
	if err := get(); err != nil || shown["index"] != 1 || shown["other"] != 0 {
		t.Errorf("certificates %v: %v", shown, err)
	}
	t.Setenv("PIP_CLIENT_CERT", ca)
	fake.WantFault(t, get(), fault.Machine, "client-cert", ca)
	t.Setenv("PIP_CLIENT_CERT", "")
	t.Setenv("PIP_CERT", filepath.Join(home, "none.pem"))
	fake.WantFault(t, get(), fault.Machine, "certificate authorities", "none.pem")
	t.Setenv("PIP_CERT", "")

	t.Setenv("PIP_PROXY", "http://proxy.example.com:3128")
	c, err := p.Config(t.Context(), home, "")
	if err != nil {
		t.Fatal(err)
	}
	if c.o.Proxy != "http://proxy.example.com:3128" {
		t.Errorf("proxy %q", c.o.Proxy)
	}
	t.Setenv("PIP_PROXY", "http://")
	if c, err = p.Config(t.Context(), home, ""); err != nil {
		t.Fatal(err)
	}
	_, err = c.Client(remote.Options{})
	fake.WantFault(t, err, fault.Machine, "not the URL of a proxy")
}

// TestPipKeyring: a keyring is asked only where the user chose one.
func TestPipKeyring(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the keyring of the test is a shell script")
	}
	p := realPip(t)
	home := cleanPipEnv(t)
	fake.Write(t, filepath.Join(home, "bin", "keyring"), "#!/bin/sh\necho \"$@\" >> "+home+"/asked\n[ \"$2\" = pip.example.com:8443 ] && [ \"$3\" = me ] && echo SECRET && exit\nexit 1\n")
	if err := os.Chmod(filepath.Join(home, "bin", "keyring"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(home, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	ask := func(ours string) string {
		t.Helper()
		c, err := p.Config(t.Context(), home, ours)
		if err != nil {
			t.Fatal(err)
		}
		return c.Index
	}
	const index, full = "https://me@pip.example.com:8443/simple/", "https://me:SECRET@pip.example.com:8443/simple/"
	t.Setenv("PIP_INDEX_URL", index)
	if got := ask(""); got != index {
		t.Errorf("unasked: %s", got)
	}
	if _, err := os.Stat(filepath.Join(home, "asked")); err == nil {
		t.Error("a keyring was asked that nobody chose")
	}
	t.Setenv("PIP_KEYRING_PROVIDER", "subprocess")
	for _, tt := range [][3]string{{index, "", full}, {"https://me:other@pip.example.com:8443/", "", "https://me:other@pip.example.com:8443/"}, {"https://me@else.example.com/", "", "https://me@else.example.com/"}, {"https://else.example.com/", index, full}} {
		t.Setenv("PIP_INDEX_URL", tt[0])
		if got := ask(tt[1]); got != tt[2] {
			t.Errorf("%s and %q: %s, want %s", tt[0], tt[1], got, tt[2])
		}
	}
}

// certificate makes one that signs itself, and its key, in PEM.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}
