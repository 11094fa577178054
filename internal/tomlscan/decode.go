package tomlscan

import (
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"
)

// Limits for a TOML text other than our lock: its bytes, levels of brackets,
// and parts of a key. What people, cargo and lockgen write needs less than a
// third of each.
const (
	maxTOML  = 2 << 20
	maxDepth = 32
	maxParts = 64
)

// maxKeyWork limits the cost of keys for each byte of the text, see [Check];
// freeKeyWork is allowed for every text. A key costs its length, and partWork
// for each of its parts.
const (
	maxKeyWork  = 32
	partWork    = 16
	freeKeyWork = 1 << 20
)

// Decode decodes an untrusted text in time proportional to its length. The
// error for a text that is not TOML is a [toml.ParseError]. So is that for a
// text that would take the decoder longer, which is refused before it is
// decoded.
func Decode(text string, into any) (toml.MetaData, error) {
	err := Check(text)
	if len(text) > maxTOML {
		err = toml.ParseError{Message: fmt.Sprintf("%d bytes, more than the limit of %d", len(text), maxTOML), Position: toml.Position{Line: 1}}
	}
	if err != nil {
		return toml.MetaData{}, err
	}
	return toml.Decode(text, into)
}

// Check refuses a text that would make the TOML decoder slow. The decoder's
// time grows with the square of the depth and of the parts of a key, and for
// every key it writes down the names of all tables around it, once for each
// part. Check knows strings and comments and leaves every other syntax rule to
// the decoder, which stops at the first error.
func Check(text string) error {
	refuse := func(line int, format string, args ...any) error {
		return toml.ParseError{Message: fmt.Sprintf(format, args...), Position: toml.Position{Line: line}}
	}
	var (
		line  = 1
		start = 0     // of the key, if there is one
		dots  = 0     // since then
		fresh = true  // at the start of a line
		head  = false // in a [header]
		depth = 0     // of brackets
		outer []int   // lengths of the keys of the enclosing inline tables, by depth
		names = 0     // sum of outer, and the header
		own   = 0     // length of the last key
		work  = 0
	)
	begin := func(at int) { start, dots = at, 0 }
	key := func(end int) error {
		own = end - start + (dots+1)*partWork
		if work += (dots + 1) * (names + own); work > maxKeyWork*len(text)+freeKeyWork {
			return refuse(line, "too many keys in tables with long names")
		}
		return nil
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch c {
		case ' ', '\t', '\r':
			continue
		case '\n':
			line++
			fresh, head = true, false
			begin(i + 1)
			continue
		case '#':
			end := strings.IndexByte(text[i:], '\n')
			if end < 0 {
				end = len(text) - i
			}
			i += end - 1
			begin(i + 1)
		case '"', '\'':
			end := StringEnd(text[i:])
			line += strings.Count(text[i:i+end], "\n")
			i += end - 1
		case '[', '{':
			if c == '[' && depth == 0 && fresh {
				head = true
				begin(i)
			}
			if depth++; depth > maxDepth {
				return refuse(line, "nested more than %d deep", maxDepth)
			}
			outer = append(outer[:depth-1], 0)
			if c == '{' {
				outer[depth-1] = own
				names += own
				begin(i + 1)
			}
		case ']', '}':
			if depth > 0 {
				depth--
				if n := outer[depth]; n > 0 {
					names, own = names-n, n
				}
			}
			if head && depth == 0 {
				names = 0
				if err := key(i); err != nil {
					return err
				}
				head, names = false, own
			}
		case '=':
			if err := key(i); err != nil {
				return err
			}
			begin(i + 1)
		case ',':
			begin(i + 1)
		case '.':
			if dots++; dots >= maxParts {
				return refuse(line, "a key of more than %d parts", maxParts)
			}
		}
		fresh = false
	}
	return nil
}

// StringEnd returns the length of the TOML string at the start of text. If the
// string is not closed, it ends with its line or the text.
func StringEnd(text string) int {
	quote := OpeningQuote(text)
	for i := len(quote); i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote[0] == '"':
			i++
		case strings.HasPrefix(text[i:], quote):
			i += len(quote)
			if len(quote) == 3 { // the string itself may end with up to two quotes
				for n := 0; n < 2 && i < len(text) && text[i] == quote[0]; n++ {
					i++
				}
			}
			return i
		case text[i] == '\n' && len(quote) == 1:
			return i // the decoder reports the error
		}
	}
	return len(text)
}

// OpeningQuote returns the quotes of the TOML string at the start of text: one,
// or three.
func OpeningQuote(text string) string {
	if triple := strings.Repeat(text[:1], 3); strings.HasPrefix(text, triple) {
		return triple
	}
	return text[:1]
}
