package lock

import (
	"bytes"
	"fmt"
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
func checkNesting(data []byte) error {
	line, depth, dots := 1, 0, 0
	for i := 0; i < len(data); i++ {
		switch c := data[i]; c {
		case '\n':
			line++
			dots = 0
		case '#':
			if end := bytes.IndexByte(data[i:], '\n'); end >= 0 {
				i += end - 1
			} else {
				i = len(data)
			}
		case '"', '\'':
			end := stringEnd(data[i:])
			line += bytes.Count(data[i:i+end], []byte("\n"))
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

// stringEnd returns the length of the TOML string that data begins with, or of
// all of data where it does not end.
func stringEnd(data []byte) int {
	quote := data[:1]
	if triple := bytes.Repeat(quote, 3); bytes.HasPrefix(data, triple) {
		quote = triple
	}
	for i := len(quote); i < len(data); i++ {
		switch {
		case data[i] == '\\' && quote[0] == '"':
			i++
		case bytes.HasPrefix(data[i:], quote):
			return i + len(quote)
		case data[i] == '\n' && len(quote) == 1:
			return i // the decoder will say what is wrong
		}
	}
	return len(data)
}
