// Package plain makes untrusted text safe to print. There is one rule,
// [Printable]; [Escape] and [JSON] apply it to everything that reaches a
// terminal or a pipe.
package plain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// invisible are marks that show nothing and are of category M, which
// unicode.IsPrint takes: text can be hidden in them.
var invisible = []*unicode.RangeTable{unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point}

// Printable reports whether a character may be printed as it is: a letter,
// mark, number, punctuation character, symbol, or the ASCII space. Control
// characters, joiners, characters that reorder text, byte order marks, tags,
// variation selectors, other spaces, line ends, private and unassigned
// characters may not. Nor may U+FFFD, which stands for bytes that are not valid
// text.
func Printable(r rune) bool {
	return unicode.IsPrint(r) && r != utf8.RuneError && !unicode.In(r, invisible...)
}

// Escape replaces everything but printable characters, line feeds and tabs with
// escapes: \x9b for a byte that is not valid text, \u202e, \U000e0041.
func Escape(s string) string {
	return escape(s, func(r rune) bool { return r == '\n' || r == '\t' || Printable(r) }, func(b *strings.Builder, r rune, bad string) {
		switch {
		case bad != "":
			fmt.Fprintf(b, `\x%02x`, bad)
		case r > 0xffff:
			fmt.Fprintf(b, `\U%08x`, r)
		default:
			fmt.Fprintf(b, `\u%04x`, r)
		}
	})
}

// Row is [Escape] for text that must stay within one line and one column.
func Row(s string) string { return breaks.Replace(Escape(s)) }

// breaks replaces the characters that [Escape] keeps and a row cannot hold.
var breaks = strings.NewReplacer("\n", `\n`, "\t", `\t`)

// JSON escapes the unprintable characters of a JSON text. The result has the
// same meaning.
func JSON(text []byte) []byte {
	return []byte(escape(string(text), func(r rune) bool { return r == '\n' || r == '\t' || Printable(r) }, func(b *strings.Builder, r rune, bad string) {
		switch {
		case bad != "": // encoding/json leaves none
			b.WriteString(`\ufffd`)
		case r > 0xffff: // RFC 8259, 7: a surrogate pair
			r -= 0x10000
			fmt.Fprintf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(b, `\u%04x`, r)
		}
	}))
}

// escape copies s and calls write for each character that keep refuses; bad is the
// byte if it is not part of a character.
func escape(s string, keep func(rune) bool, write func(b *strings.Builder, r rune, bad string)) string {
	clean := func(r rune) bool { return !keep(r) }
	if strings.IndexFunc(s, clean) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			write(&b, r, s[i:i+1])
		case keep(r):
			b.WriteRune(r)
		default:
			write(&b, r, "")
		}
		i += n
	}
	return b.String()
}

// Line turns s into one line of at most n characters and ends it with … if s is
// longer. An escape counts as one character and is never cut. Runs of spaces
// become one space.
func Line(s string, n int) string {
	var b strings.Builder
	count := 0
	for _, word := range strings.Fields(s) {
		if count > 0 {
			if count == n {
				return b.String() + "…"
			}
			b.WriteByte(' ')
			count++
		}
		for i := 0; i < len(word); {
			if count >= n {
				return b.String() + "…"
			}
			_, size := utf8.DecodeRuneInString(word[i:])
			b.WriteString(Escape(word[i : i+size]))
			i += size
			count++
		}
	}
	return b.String()
}
