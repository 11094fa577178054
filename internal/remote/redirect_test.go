package remote

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

const canary = "canary-4711-token"

// TestCredentialStaysAtItsOrigin sends a canary through redirects and looks for
// it at every server and in every text.
func TestCredentialStaysAtItsOrigin(t *testing.T) {
	row := testenv.Rows(t, "a redirect: the credential goes to its own origin alone, and into no message", "")
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+canary))
	for _, code := range []int{301, 302, 303, 307, 308} {
		for _, tt := range []struct {
			name string
			hops func(a, b string) map[string]string // path at a or b ("b" in front) -> Location
			seen []string                            // paths that get the credential
			end  string                              // path that serves the file
		}{
			{"no redirect", func(a, b string) map[string]string { return nil }, []string{"a/0"}, "a/0"},
			{"same origin", func(a, b string) map[string]string { return map[string]string{"a/0": "/1"} }, []string{"a/0", "a/1"}, "a/1"},
			{"same origin, absolute", func(a, b string) map[string]string { return map[string]string{"a/0": a + "/1"} }, []string{"a/0", "a/1"}, "a/1"},
			{"other port", func(a, b string) map[string]string { return map[string]string{"a/0": b + "/1"} }, []string{"a/0"}, "b/1"},
			{"other port without scheme", func(a, b string) map[string]string {
				return map[string]string{"a/0": strings.TrimPrefix(b, "http:") + "/1"}
			}, []string{"a/0"}, "b/1"},
			{"other name of the host", func(a, b string) map[string]string {
				return map[string]string{"a/0": strings.Replace(a, "127.0.0.1", "localhost", 1) + "/1"}
			}, []string{"a/0"}, "a/1"},
			{"there and back", func(a, b string) map[string]string {
				return map[string]string{"a/0": b + "/1", "b/1": a + "/2"}
			}, []string{"a/0"}, "a/2"},
			{"there, on, and back", func(a, b string) map[string]string {
				return map[string]string{"a/0": "/1", "a/1": b + "/2", "b/2": b + "/3", "b/3": a + "/4"}
			}, []string{"a/0", "a/1"}, "a/4"},
			{"userinfo in the Location", func(a, b string) map[string]string {
				return map[string]string{"a/0": strings.Replace(b, "//", "//evil:evil@", 1) + "/1"}
			}, []string{"a/0"}, "b/1"},
			{"userinfo in the Location, same origin", func(a, b string) map[string]string {
				return map[string]string{"a/0": strings.Replace(a, "//", "//evil:evil@", 1) + "/1"}
			}, []string{"a/0", "a/1"}, "a/1"},
		} {
			for _, how := range []string{"userinfo", "hook"} {
				t.Run(fmt.Sprintf("%s %d %s", tt.name, code, how), func(t *testing.T) {
					row(t)
					t.Parallel()
					a, b := fake.New(t), fake.New(t)
					servers := map[string]*fake.Server{"a": a, "b": b}
					for at, location := range tt.hops(a.URL, b.URL) {
						servers[at[:1]].Fault(at[1:], fake.Redirect(code, location))
					}
					servers[tt.end[:1]].File(tt.end[1:], content)
					start, want := strings.Replace(a.URL, "//", "//user:"+canary+"@", 1)+"/0", basic
					var texts []string
					c := quick(func(o *Options) { o.Progress = func(u string, _ int64) { texts = append(texts, u) } })
					if how == "hook" {
						start, want = a.URL+"/0", "Bearer "+canary
						c = quick(func(o *Options) {
							o.Credential = func(u *url.URL) Credential { return Credential{"FAKE_TOKEN", want} }
						})
					}
					var in memory
					if err := c.Download(t.Context(), start, &in, DownloadOptions{}); err != nil || !bytes.Equal(in.Bytes(), content) {
						t.Fatalf("%d bytes, error %v", in.Len(), err)
					}
					seen := map[string]bool{}
					for _, p := range tt.seen {
						seen[p] = true
					}
					requests := 0
					for name, s := range servers {
						for _, r := range s.Requests("") {
							requests++
							got := r.Header.Get("Authorization")
							if seen[name+r.Path] && got != want || !seen[name+r.Path] && got != "" {
								t.Errorf("%s%s got Authorization %q", name, r.Path, got)
							}
							delete(r.Header, "Authorization")
							if all := fmt.Sprint(r.Header); strings.Contains(all, canary) || r.Header.Get("Referer") != "" {
								t.Errorf("%s%s got headers %s", name, r.Path, all)
							}
						}
					}
					if requests != len(tt.hops("", ""))+1 {
						t.Errorf("%d requests", requests)
					}
					// What the last server says must not bring the secret into the message.
					echo := fake.Do(func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
						w.WriteHeader(http.StatusForbidden)
						fmt.Fprintf(w, "bad %s %s %s\n", r.Header.Get("Authorization"), canary, want)
					})
					servers[tt.end[:1]].Fault(tt.end[1:], echo)
					err := c.Download(t.Context(), start, &in, DownloadOptions{})
					wantPart := "no credential sent: it left the host that"
					if seen[tt.end] {
						wantPart = "credential sent: "
					}
					check(t, err, fault.Upstream, "403 Forbidden", wantPart)
					for _, text := range append(texts, err.Error(), fault.Hint(err)) {
						if strings.Contains(text, canary) || strings.Contains(text, strings.TrimPrefix(basic, "Basic ")) || strings.Contains(text, "evil") {
							t.Errorf("shown: %s", text)
						}
					}
					if how == "hook" && !strings.Contains(err.Error(), "FAKE_TOKEN") {
						t.Errorf("the message does not name the credential: %v", err)
					}
				})
			}
		}
	}
}

func TestRedirectBounds(t *testing.T) {
	s := fake.New(t)
	for i := range 11 {
		s.Fault(fmt.Sprintf("/%d", i), fake.Redirect(302, fmt.Sprintf("/%d", i+1)))
	}
	s.File("/10", content)
	s.Fault("/10")
	var in memory
	if err := quick().Download(t.Context(), s.URL+"/0", &in, DownloadOptions{}); err != nil {
		t.Errorf("ten redirects: %v", err)
	}
	s.Fault("/10", fake.Redirect(302, "/11?"+canary))
	s.File("/11", content)
	err := quick().Download(t.Context(), s.URL+"/0", &in, DownloadOptions{})
	check(t, err, fault.Upstream, "more than 10 redirects", s.URL+"/0 -> "+s.URL+"/1", "/10)")
	if s.Count("/11") != 0 {
		t.Error("the eleventh redirect was followed")
	}
}

func TestNeverFromHTTPSToHTTP(t *testing.T) {
	secure, plain := fake.NewTLS(t), fake.New(t)
	plain.File("/x", content)
	secure.Fault("/1", fake.Redirect(302, plain.URL+"/x?"+canary))
	secure.Fault("/3", fake.Redirect(302, "/2"))
	secure.Fault("/2", fake.Redirect(302, "/1"))
	plain.Fault("/to", fake.Redirect(302, secure.URL+"/ok"))
	secure.File("/ok", content)
	c := quick(func(o *Options) { o.RootCAs = secure.RootCAs() })
	for _, path := range []string{"/1", "/3"} {
		err := c.Download(t.Context(), secure.URL+path, &memory{}, DownloadOptions{})
		check(t, err, fault.Policy, "from https to http", "/x")
		if strings.Contains(err.Error(), canary) {
			t.Errorf("shown: %v", err)
		}
		_, _, err = c.Document(t.Context(), secure.URL+path, "*/*", 1e6)
		check(t, err, fault.Policy, "from https to http")
	}
	if plain.Count("") != 0 {
		t.Errorf("%d requests in clear", plain.Count(""))
	}
	if err := c.Download(t.Context(), plain.URL+"/to", &memory{}, DownloadOptions{}); err != nil {
		t.Errorf("from http on loopback to https: %v", err)
	}
}

// proxy is a proxy of the environment that leads every host to one server. It
// is how a host of the internet is played here.
func proxy(t *testing.T, to *fake.Server, status int) (connects func() int) {
	p := fake.NewProxy(t, to, status)
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"} {
		t.Setenv(name, "")
	}
	t.Setenv("HTTPS_PROXY", "http://me:"+canary+"@"+p.Address)
	return func() int { return len(p.Asked()) }
}

func TestProxyOfTheEnvironment(t *testing.T) {
	s := fake.NewTLS(t)
	s.File("/f", content)
	roots := func(o *Options) { o.RootCAs = s.RootCAs() }
	connects := proxy(t, s, http.StatusOK)
	var in memory
	if err := quick(roots).Download(t.Context(), "https://example.com/f", &in, DownloadOptions{}); err != nil || !bytes.Equal(in.Bytes(), content) {
		t.Errorf("%d bytes, %v", in.Len(), err)
	}
	if connects() != 1 {
		t.Errorf("%d connections through the proxy", connects())
	}
	// Loopback needs no proxy.
	if err := quick(roots).Download(t.Context(), s.URL+"/f", &in, DownloadOptions{}); err != nil || connects() != 1 {
		t.Errorf("%d connections through the proxy, %v", connects(), err)
	}
	t.Setenv("NO_PROXY", "example.invalid")
	err := quick(roots, func(o *Options) { o.Attempts = 1 }).Download(t.Context(), "https://example.invalid/f", &in, DownloadOptions{})
	check(t, err, fault.Upstream, "example.invalid")
	if connects() != 1 {
		t.Error("NO_PROXY is not honoured")
	}
}

// TestMalformedSettings: what cannot be used as it is set is refused before a request,
// and nothing is asked without it.
func TestMalformedSettings(t *testing.T) {
	s := fake.New(t)
	s.File("/f", content)
	get := func(url string, options ...func(*Options)) error {
		return quick(options...).Download(t.Context(), url, &memory{}, DownloadOptions{})
	}
	for _, proxy := range []string{"::::", "http://", "http://me:" + canary + "@:1 x", "https://me:" + canary + "@"} {
		t.Setenv("https_proxy", "")
		t.Setenv("NO_PROXY", "")
		t.Setenv("HTTPS_PROXY", proxy)
		err := get("https://example.invalid/f")
		check(t, err, fault.Machine, "HTTPS_PROXY is not the URL of a proxy")
		if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "attempts") || !strings.Contains(fault.Hint(err), "unset") {
			t.Errorf("%q: %v (%s)", proxy, err, fault.Hint(err))
		}
		t.Setenv("NO_PROXY", "example.invalid") // of no matter there
		check(t, get("https://example.invalid/f", func(o *Options) { o.Attempts = 1 }), fault.Upstream, "example.invalid")
		if err := get(s.URL + "/f"); err != nil {
			t.Errorf("of a loopback address: %v", err)
		}
	}
	before := s.Count("")
	for _, token := range []string{canary + "\n", canary + "\r\n", "\x00" + canary, canary + "\x7f"} {
		err := get(s.URL+"/f", func(o *Options) {
			o.Credential = func(*url.URL) Credential { return Credential{Name: "GITHUB_TOKEN", Authorization: "Bearer " + token} }
		})
		check(t, err, fault.Machine, "GITHUB_TOKEN has a line break")
		if strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "attempts") || !strings.Contains(fault.Hint(err), "one line") || s.Count("") != before {
			t.Errorf("%q: %d requests: %v (%s)", token, s.Count("")-before, err, fault.Hint(err))
		}
	}
}

func TestProxyThatRefuses(t *testing.T) {
	s := fake.NewTLS(t)
	for _, tt := range []struct {
		status   int
		connects int
	}{{407, 1}, {403, 1}, {502, 4}} {
		connects := proxy(t, s, tt.status)
		err := quick().Download(t.Context(), "https://example.com/f", &memory{}, DownloadOptions{})
		check(t, err, fault.Upstream, fmt.Sprintf("answered %d", tt.status), "the proxy http://***@127.0.0.1")
		if connects() != tt.connects || strings.Contains(err.Error(), canary) || !strings.Contains(fault.Hint(err), "PROXY") {
			t.Errorf("%d: %d connections, want %d: %v", tt.status, connects(), tt.connects, err)
		}
	}
}

func TestPublicHostsMayNotLeadInside(t *testing.T) {
	s := fake.NewTLS(t)
	proxy(t, s, http.StatusOK)
	s.File("/ok", content)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.URL, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	c := quick(func(o *Options) { o.RootCAs = s.RootCAs() })
	for i, inside := range []string{"127.0.0.1:" + port, "localhost:" + port, "LOCALHOST.:" + port, "x.localhost:" + port, "[::1]:" + port, "[::ffff:127.0.0.1]:" + port,
		"10.0.0.1", "192.168.0.1", "172.16.5.5", "169.254.169.254", "100.64.0.1", "0.0.0.0:" + port, "[fe80::1]", "[fd00::1]", "[64:ff9b::7f00:1]"} {
		path := fmt.Sprintf("/%d", i)
		s.Fault(path, fake.Redirect(302, "https://"+inside+"/ok"))
		before := s.Count("")
		err := c.Download(t.Context(), "https://example.com"+path, &memory{}, DownloadOptions{})
		check(t, err, fault.Policy, "is public but redirects into this machine or its network", "https://example.com"+path)
		if n := s.Count("") - before; n != 1 {
			t.Errorf("%s: %d requests, want the one that redirects", inside, n)
		}
	}
	// Two public hosts first.
	s.Fault("/a", fake.Redirect(302, "https://www.example.com/b"))
	s.Fault("/b", fake.Redirect(302, s.URL+"/ok"))
	check(t, c.Download(t.Context(), "https://example.com/a", &memory{}, DownloadOptions{}), fault.Policy, "public")
	// Inside from inside is none of its business, nor outside from outside.
	s.Fault("/in", fake.Redirect(302, s.URL+"/ok"))
	s.Fault("/out", fake.Redirect(302, "https://example.com/ok"))
	for _, u := range []string{s.URL + "/in", "https://example.com/out", s.URL + "/out"} {
		if err := c.Download(t.Context(), u, &memory{}, DownloadOptions{}); err != nil {
			t.Errorf("%s: %v", u, err)
		}
	}
}

func TestNamesOfPrivateAddressesAreFoundWhenDialled(t *testing.T) {
	s := fake.New(t)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	c := quick()
	conn, err := c.guarded.DialContext(t.Context(), "tcp", "localhost:"+port)
	if err == nil {
		conn.Close()
		t.Fatal("the guarded dialler connects to a private address")
	}
	if fault.Of(err) != fault.Policy {
		t.Errorf("class %v: %v", fault.Of(err), err)
	}
	r, err := c.request(s.URL + "/f")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.guarded.RoundTrip(&http.Request{Method: http.MethodGet, URL: r.url, Header: http.Header{}})
	if f := New(Options{}).connectFailure(r, err, nil); f.class != fault.Policy || f.retry {
		t.Errorf("class %v, retry %t: %v", f.class, f.retry, f.err)
	}
	if s.Count("") != 0 {
		t.Error("a request was made")
	}
	conn, err = c.open.DialContext(t.Context(), "tcp", "localhost:"+port)
	if err != nil {
		t.Fatalf("the open dialler: %v", err)
	}
	conn.Close()
}

// FuzzRedirect has any Location as an answer of a public host and of one on this
// machine. What net/url says of it decides what must not be followed, and when a
// credential may go along.
func FuzzRedirect(f *testing.F) {
	const public, local = "https://files.example/a/b", "http://127.0.0.1:8080/a/b"
	seeds := []struct {
		from, location string
		followed, kept bool // and with the credential
	}{
		{public, "/c", true, true},
		{public, "../../../c", true, true},
		{public, "https://FILES.example:443/c", true, true},
		{public, "//me:secret@files.example/c", true, true},
		{public, "https://files.example.evil/c", true, false},
		{public, "https://files.example@evil.invalid/c", true, false},
		{public, "https://files.example:8443/c", true, false},
		{public, "http://files.example/c", false, false},
		{public, "file:///etc/passwd", false, false},
		{public, "https:///c", false, false},
		{public, "https://./c", false, false},
		{public, "javascript:x", false, false},
		{public, "https://localhost/c", false, false},
		{public, "https://a.localhost./c", false, false},
		{public, "https://127.0.0.1/c", false, false},
		{public, "https://[::ffff:10.0.0.1]/c", false, false},
		{public, "https://169.254.169.254/latest", false, false},
		{public, "https://[64:ff9b::7f00:1]/", false, false},
		{local, "/c", true, true},
		{local, "https://127.0.0.1:8080/c", true, false},
		{local, "http://localhost:8080/c", true, false},
		{local, "https://files.example/c", true, false},
		{local, "http://files.example/c", false, false},
		{local, "http://10.0.0.1/c", false, false},
		{local, "https://.", false, false},
	}
	for _, s := range seeds {
		f.Add(s.from == public, s.location)
	}
	f.Fuzz(func(t *testing.T, isPublic bool, location string) {
		from := local
		if isPublic {
			from = public
		}
		u, err := url.Parse(from)
		if err != nil {
			t.Fatal(err)
		}
		next, err := u.Parse(location)
		if err != nil {
			return
		}
		refused := checkRedirect(u, next, isPublic)
		kept := refused == nil && origin(next) == origin(u)
		for _, s := range seeds {
			if s.from == from && s.location == location && (s.followed != (refused == nil) || s.kept != kept) {
				t.Errorf("%q from %s: %v, with the credential %v", location, from, refused, kept)
			}
		}
		if refused != nil {
			if fault.Of(refused) != fault.Policy || fault.Hint(refused) == "" {
				t.Errorf("%q: class %v of %v", location, fault.Of(refused), refused)
			}
			return
		}
		if what := unsafe(u, next, isPublic, kept); what != "" {
			t.Errorf("%q from %s: %s", location, from, what)
		}
	})
}

// unsafe says why a redirect may not be followed, or not with the credential of where it
// is from; "" for one that may.
func unsafe(from, to *url.URL, isPublic, credential bool) string {
	host := strings.ToLower(strings.TrimSuffix(to.Hostname(), "."))
	ip := net.ParseIP(host)
	loopback := host == "localhost" || ip != nil && ip.IsLoopback()
	near := loopback || strings.HasSuffix(host, ".localhost") || ip != nil && (ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified())
	switch {
	case host == "":
		return "it has no host"
	case to.Scheme != "https" && (isPublic || to.Scheme != "http" || !loopback):
		return "it is in clear"
	case isPublic && near:
		return "it leads into the network of this machine"
	case credential && (to.Scheme != from.Scheme || !strings.EqualFold(to.Hostname(), from.Hostname())):
		return "another host gets the credential"
	case bare(to).User != nil || strings.Contains(bare(to).Host, "@"):
		return "it has a user"
	}
	return ""
}
