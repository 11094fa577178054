package checksums

import (
	"encoding/base64"
	"encoding/hex"
	"html"
	"regexp"
	"strings"
	"sync"
)

// once compiles an expression when it is first used: most runs read no checksum file.
func once(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}

var (
	// tag is one of HTML, hidden what a reader of the page does not see, and lineEnd
	// a tag at which a line of it ends. Those of XML say something.
	tag     = once(`(?i)</?(?:a|abbr|article|b|body|br|button|center|code|col|colgroup|dd|details|div|dl|dt|em|font|footer|form|h[1-6]|head|header|hr|html|i|img|kbd|li|link|main|meta|nav|ol|p|pre|samp|section|small|span|strong|summary|sub|sup|table|tbody|td|tfoot|th|thead|title|tr|tt|u|ul|var)(?:\s[^<>]*)?/?>|<!doctype[^<>]*>`)
	hidden  = once(`(?is)<!--.*?-->|<script\b.*?</script\s*>|<style\b.*?</style\s*>`)
	lineEnd = once(`(?i)^</?(?:br|p|div|tr|li|ul|ol|pre|table|dt|dl|h[1-6])\b`)
)

// pageText is what a reader sees of a page; text without tags is as it was.
func pageText(text string) string {
	if !tag().MatchString(text) {
		return text
	}
	text = tag().ReplaceAllStringFunc(hidden().ReplaceAllString(text, ""), func(t string) string {
		if lineEnd().MatchString(t) {
			return "\n"
		}
		return " "
	})
	return strings.ReplaceAll(html.UnescapeString(text), "\u00a0", " ")
}

// base64Digest is an algorithm and a digest of it in base64, as in integrity of web
// pages, in latest.yml and in what OpenBSD prints.
var base64Digest = once(`(?i)\b(sha-?2?-?(?:224|256|384|512)|sha-?1|md5)(?:sum)?["'` + "`" + `]?[ \t]*[-:= \t|,][ \t]*["'` + "`" + `]?([A-Za-z0-9+/_-]{22,86}={0,2})(?:\?[!-~]*)?(["'` + "`" + `|,;)\]}<\s]|$)`)

// hexOfBase64 writes the digests of a line that are in base64 in hexadecimal, each
// behind its algorithm.
func hexOfBase64(line string) string {
	return base64Digest().ReplaceAllStringFunc(line, func(found string) string {
		m := base64Digest().FindStringSubmatch(found)
		word := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(m[2], "="))
		raw, err := base64.RawStdEncoding.Strict().DecodeString(word)
		if size := len(raw); err != nil || digestSize[normal(m[1])] != size {
			return found
		}
		return m[1] + ":" + hex.EncodeToString(raw) + m[3]
	})
}

// digestSize are the bytes of a digest, by the algorithm as [normal] has it.
var digestSize = map[string]int{"md5": 16, "sha1": 20, "sha224": 28, "sha2224": 28, "sha256": 32, "sha2256": 32, "sha384": 48, "sha2384": 48, "sha512": 64, "sha2512": 64}

// group is a digest, or a part of one, in groups of hexadecimal digits, as gpg and
// old programs of Windows print it: what is before it in the line, and the digits.
var group = once(`^(.*?[:=])?[ \t]*((?:[0-9A-Fa-f]{2}|[0-9A-Fa-f]{4}|[0-9A-Fa-f]{8})(?:[ \t:]+(?:[0-9A-Fa-f]{2}|[0-9A-Fa-f]{4}|[0-9A-Fa-f]{8}))+)[ \t]*\r?$`)

// joinGroups puts the digits of such a digest together, in the line in which they
// begin. As many lines come out as go in.
func joinGroups(text string) string {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		m := group().FindStringSubmatch(lines[i])
		if m == nil {
			// gpg begins a new line behind a long name.
			if !strings.HasSuffix(strings.TrimSpace(lines[i]), ":") {
				continue
			}
			m = []string{"", strings.TrimSpace(lines[i]), ""}
		}
		digits, end := onlyDigits(m[2]), i+1
		for ; end < len(lines) && len(digits) < 128; end++ {
			next := group().FindStringSubmatch(lines[end])
			if next == nil || next[1] != "" {
				break
			}
			digits += onlyDigits(next[2])
		}
		if len(digits) != 64 && len(digits) != 128 {
			continue
		}
		lines[i] = m[1] + " " + digits
		for j := i + 1; j < end; j++ {
			lines[j] = ""
		}
		i = end - 1
	}
	return strings.Join(lines, "\n")
}

func onlyDigits(groups string) string {
	return strings.Join(strings.FieldsFunc(groups, func(r rune) bool { return r == ' ' || r == '\t' || r == ':' }), "")
}
