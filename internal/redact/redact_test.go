package redact

import (
	"strings"
	"testing"
)

func TestURL(t *testing.T) {
	for in, want := range map[string]string{
		"https://host/path":                      "https://host/path",
		"https://user:pw@host:1/p%20q?a=b#c":     "https://***@host:1/p%20q?***",
		"https://token@host/":                    "https://***@host/",
		"https://user:pa/ss@host/x":              "https://***@host/x",
		"https://user:p?w@host/x":                "https://***@host/x",
		"https:user:pw@host":                     "https://***@host",
		"https://host/\x1b[31m":                  "https://host/\\u001b[31m",
		"not a url at all?secret":                "not a url at all?***",
		"https://[broken/?x=secret":              "https://[broken/?***",
		"//user:pw@host/x":                       "//***@host/x",
		"https://host/{version}/a b#c":           "https://host/{version}/a b",
		"https://host/a@b?x@y":                   "https://host/a@b?***",
		"":                                       "",
		"https://host/" + strings.Repeat("x", 2): "https://host/xx",
	} {
		if got := URL(in); got != want {
			t.Errorf("URL(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzURL(f *testing.F) {
	f.Add("https", "user", "host", "/path")
	f.Add("http", "%zz", "h:9x", "?")
	f.Add("https:", "", "[", "#")
	f.Fuzz(func(t *testing.T, scheme, user, host, path string) {
		const secret = "hunter2hunter2"
		if strings.ContainsAny(user, "/?#@:\\") || strings.ContainsAny(scheme, "/?#@") {
			t.Skip("the secret would not be userinfo")
		}
		got := URL(scheme + "://" + user + ":" + secret + "@" + host + path + "?" + secret)
		if strings.Contains(got, secret) {
			t.Errorf("shown: %s", got)
		}
	})
}

func TestLine(t *testing.T) {
	for in, want := range map[string]string{
		"https://u:p@h/a":                        "https://***@h/a",
		"see https://h/a?x=1 now":                "see https://h/a?*** now",
		"//h/:_authToken=abc":                    "//h/:_authToken=***",
		"Authorization: Bearer abcdef":           "Authorization: ***",
		"got npm_0123456789abcdefghij in .npmrc": "got *** in .npmrc",
		"@bufbuild/protobuf@2.17.0 is fine":      "@bufbuild/protobuf@2.17.0 is fine",
	} {
		if got := Line(in); got != want {
			t.Errorf("Line(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestList: as GOPROXY is one.
func TestList(t *testing.T) {
	in := "https://u:p@a.example.com|https://b.example.com/?token=x,direct"
	if got, want := List(in), "https://***@a.example.com|https://b.example.com/?***,direct"; got != want {
		t.Errorf("List(%q) = %q, want %q", in, got, want)
	}
}

func TestValues(t *testing.T) {
	if got, want := Values("sent hunter22 as abc", "hunter22", "", "abc"), "sent *** as abc"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
