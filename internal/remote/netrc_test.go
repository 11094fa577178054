package remote

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
)

// TestNetrc: a password is for the host that it stands beside, and for no other.
func TestNetrc(t *testing.T) {
	t.Parallel()
	const text = "# machine commented.invalid login a password b\n" +
		"machine one.invalid login me password canary1\n" +
		"machine two.invalid\n\tlogin you\n\taccount x\n\tpassword canary2 # not read\n" +
		"macdef machine\nmachine macro.invalid login m password canary3\n\n" +
		"machine One.invalid login other password canary4\n" +
		"machine half.invalid login me\nmachine\ndefault login anyone password canary5\n"
	name := filepath.Join(t.TempDir(), "netrc")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	give := Netrc(func(v string) string { return map[string]string{"NETRC": name}[v] })
	given := 0
	for address, want := range map[string]string{
		"https://one.invalid/x": "me:canary1", "https://ONE.invalid:443/": "me:canary1", "https://two.invalid/": "you:canary2",
		"https://commented.invalid/": "", "https://macro.invalid/": "", "https://half.invalid/": "", "https://x.one.invalid/": "",
		"https://one.invalid.evil/": "", "https://evil/one.invalid": "", "https:///": "",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		got := give(u)
		if want != "" {
			given++
			want = "Basic " + base64.StdEncoding.EncodeToString([]byte(want))
		}
		if got.Authorization != want || strings.Contains(got.Name, "canary") {
			t.Errorf("%s: %+v, want %q", address, got, want)
		}
	}
	if given == 0 {
		t.Error("nobody was given anything")
	}
	for _, env := range []string{"", filepath.Join(t.TempDir(), "none")} {
		if c := Netrc(func(string) string { return env })(&url.URL{Scheme: "https", Host: "one.invalid"}); c.Authorization != "" {
			t.Errorf("without a file: %+v", c)
		}
	}
}

// TestNetrcStays: on the wire it goes to its host, and not where that redirects.
func TestNetrcStays(t *testing.T) {
	t.Parallel()
	s, other := fake.New(t), fake.New(t)
	s.File("/x", []byte("x"))
	s.Fault("/moved", fake.Redirect(http.StatusFound, other.File("/x", []byte("x"))))
	name := filepath.Join(t.TempDir(), "netrc")
	if err := os.WriteFile(name, []byte("machine 127.0.0.1 login me password canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := New(Options{Credential: Netrc(func(v string) string { return map[string]string{"NETRC": name}[v] })})
	for _, path := range []string{"/x", "/moved"} {
		if _, _, err := c.Document(t.Context(), s.URL+path, "*/*", 100); err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range s.Requests("") {
		if r.Header.Get("Authorization") == "" {
			t.Errorf("%s: no credential", r.Path)
		}
	}
	if got := other.Requests("/x"); len(got) != 1 || got[0].Header.Get("Authorization") != "" {
		t.Errorf("the credential went to another origin: %+v", got)
	}
}
