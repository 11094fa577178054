package lock

import (
	"fmt"
	"strings"
)

// The deepest nesting and the longest dotted key that a lock or a manifest may
// have; what people and lockgen write needs 4 and 4.
const (
	maxDepth = 32
	maxDots  = 64
)

// checkNesting refuses text whose nesting would make the TOML decoder slow: its
// time grows with the square of the depth. It knows strings and comments and
// leaves every other rule of the syntax to the decoder.
func checkNesting(text string) error {
	line, depth, dots := 1, 0, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\n':
			line++
			dots = 0
		case '#':
			if end := strings.IndexByte(text[i:], '\n'); end >= 0 {
				i += end - 1
			} else {
				i = len(text)
			}
		case '"', '\'':
			end := stringEnd(text[i:])
			line += strings.Count(text[i:i+end], "\n")
			i += end - 1
		case '[', '{':
			if depth++; depth > maxDepth {
				return fmt.Errorf("line %d: nested more than %d deep", line, maxDepth)
			}
		case ']', '}':
			depth = max(0, depth-1)
		case '=', ',':
			dots = 0
		case '.':
			if dots++; dots > maxDots {
				return fmt.Errorf("line %d: a key of more than %d parts", line, maxDots)
			}
		}
	}
	return nil
}

// stringEnd returns the length of the TOML string that text begins with, or of
// all up to the end of its line or of text where it is not closed.
func stringEnd(text string) int {
	quote := openingQuote(text)
	for i := len(quote); i < len(text); i++ {
		switch {
		case text[i] == '\\' && quote[0] == '"':
			i++
		case strings.HasPrefix(text[i:], quote):
			i += len(quote)
			if len(quote) == 3 { // the text itself may end with up to two quotes
				for n := 0; n < 2 && i < len(text) && text[i] == quote[0]; n++ {
					i++
				}
			}
			return i
		case text[i] == '\n' && len(quote) == 1:
			return i // the decoder will say what is wrong
		}
	}
	return len(text)
}

// openingQuote returns what the TOML string that text begins with is opened and
// closed by: one quote, or three.
func openingQuote(text string) string {
	if triple := strings.Repeat(text[:1], 3); strings.HasPrefix(text, triple) {
		return triple
	}
	return text[:1]
}
