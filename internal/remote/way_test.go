package remote

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestBy: the authorities and the proxy of a package manager count for the
// client that was made with them, and for no other.
func TestBy(t *testing.T) {
	s := fake.NewTLS(t)
	s.File("/f", content)
	connects := proxy(t, s, http.StatusOK)
	address := os.Getenv("HTTPS_PROXY")
	t.Setenv("HTTPS_PROXY", "")
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	// A folder, of which the names count that OpenSSL looks for.
	folder := t.TempDir()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{"0a1b2c3d.0": string(text), "0a1b2c3d.1": "nothing", "ca.pem": "nothing", "0a1b2c3d.r0": "nothing"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other := filepath.Join(t.TempDir(), "unhashed")
	if err := os.CopyFS(other, os.DirFS(filepath.Dir(file))); err != nil {
		t.Fatal(err)
	}
	plain := quick()
	for _, w := range []Way{{Proxy: address, CAFile: file}, {Proxy: strings.TrimPrefix(address, "http://"), CAFile: file}, {Proxy: address, CAFile: folder}} {
		by, err := plain.By(w)
		if err != nil {
			t.Fatal(err)
		}
		before := connects()
		var in memory
		if err := by.Download(t.Context(), "https://example.com/f", &in, DownloadOptions{}); err != nil || !bytes.Equal(in.Bytes(), content) {
			t.Errorf("%+v: %v", w, err)
		}
		if connects() == before {
			t.Errorf("%+v: the proxy was not asked", w)
		}
	}
	if err := plain.Download(t.Context(), s.URL+"/f", &memory{}, DownloadOptions{}); err == nil {
		t.Error("the client that it was made from believes the authority as well")
	}
	if same, err := plain.By(Way{}); err != nil || same != plain {
		t.Errorf("no way is another client: %v", err)
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, w := range []Way{{CAFile: empty}, {CAFile: empty + ".not"}, {CAFile: other}, {CAFile: t.TempDir()}, {Proxy: "http://"}, {Proxy: "me:canary@:1 x"}} {
		if _, err := plain.By(w); fault.Of(err) != fault.Machine || strings.Contains(err.Error(), "canary") {
			t.Errorf("%+v: %v", w, err)
		}
	}
}
