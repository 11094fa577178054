// Package redact removes secrets from text before it is shown. Everything that
// comes from a server, a registry or another program, and every URL that a user
// configured, passes through this package on its way into a message.
package redact

import (
	"net/url"
	"regexp"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/plain"
)

// URL returns a URL without its user name, password, query and fragment. It
// never fails: text that cannot be parsed loses everything that could be one of
// these.
func URL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" {
		// Userinfo ends at the last @ at the latest: better too little shown.
		scheme, rest, ok := strings.Cut(raw, ":")
		if !ok {
			scheme, rest = "", raw
		}
		if i := strings.LastIndex(rest, "@"); i >= 0 {
			rest = "//***@" + rest[i+1:]
		}
		if i := strings.IndexAny(rest, "?#"); i >= 0 {
			rest = rest[:i] + "?***"
		}
		if ok {
			rest = scheme + ":" + rest
		}
		return plain.Line(rest, 300)
	}
	text, _, _ := strings.Cut(raw, "#")
	text, _, _ = strings.Cut(text, "?")
	if u.User != nil {
		scheme, rest, _ := strings.Cut(text, "//")
		authority, path, slash := strings.Cut(rest, "/")
		text = scheme + "//***@" + authority[strings.LastIndex(authority, "@")+1:]
		if slash {
			text += "/" + path
		}
	}
	if u.RawQuery != "" {
		text += "?***"
	}
	return plain.Line(text, 1000)
}

// List applies [URL] to each address of a list separated by , and |, such as
// GOPROXY.
func List(s string) string {
	var b strings.Builder
	for s != "" {
		end := strings.IndexAny(s, ",|")
		if end < 0 {
			end = len(s)
		}
		b.WriteString(URL(s[:end]))
		if end < len(s) {
			b.WriteByte(s[end])
			end++
		}
		s = s[end:]
	}
	return b.String()
}

// Values replaces known secrets, such as a password that a server may have
// echoed. It ignores secrets of three characters or fewer, because they occur
// in any text.
func Values(s string, secrets ...string) string {
	for _, secret := range secrets {
		if len(secret) > 3 {
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	return s
}

// Line prepares text from outside for a message: one line of at most 500
// characters, without secrets of a known form.
func Line(s string) string {
	for _, secret := range secrets() {
		s = secret.form.ReplaceAllString(s, secret.with)
	}
	return plain.Line(s, 500)
}

// secrets finds what package managers print of credentials: the userinfo and
// the query of a URL, an auth setting, and tokens of a known form.
var secrets = sync.OnceValue(func() []secret {
	return []secret{
		{regexp.MustCompile(`(://)[^/\s@'"]+@`), "${1}***@"},
		{regexp.MustCompile(`(://[^\s?'"]+\?)[^\s'"]+`), "${1}***"},
		{regexp.MustCompile(`(?i)((?:_auth|_authtoken|_password|password|passwd|token|secret|authorization)["']?\s*[=:]\s*)(?:bearer\s+|basic\s+)?\S+`), "${1}***"},
		{regexp.MustCompile(`\b(?:npm_|pypi-|gh[pousr]_|github_pat_|glpat-)[A-Za-z0-9_-]{16,}`), "***"},
	}
})

// A secret is a pattern and what is shown in its place.
type secret struct {
	form *regexp.Regexp
	with string
}
