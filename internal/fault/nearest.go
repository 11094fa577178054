package fault

import (
	"strings"

	"github.com/agext/levenshtein"
)

// Nearest returns the candidate that a misspelt word most likely means, or "".
func Nearest(word string, candidates []string) string {
	best, distance := "", 3
	for _, c := range candidates {
		if d := levenshtein.Distance(word, c, nil); d < distance && d < len(word) {
			best, distance = c, d
		}
	}
	return best
}

// DidYouMean puts what a misspelt word most likely means before the hint of the
// error about it.
func DidYouMean(word string, candidates []string, hint string) string {
	near := Nearest(word, candidates)
	if near == "" {
		return hint
	}
	if strings.HasPrefix(hint, "run: ") {
		hint = "otherwise " + hint
	}
	return "did you mean " + near + "? " + hint
}
