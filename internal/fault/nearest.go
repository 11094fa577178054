package fault

import (
	"strings"
	"unicode/utf8"

	"github.com/agext/levenshtein"
)

// Nearest returns the candidate that a misspelt word most likely stands for, or
// "".
func Nearest(word string, candidates []string) string {
	best, distance, length := "", 3, utf8.RuneCountInString(word)
	for _, c := range candidates {
		if longer := utf8.RuneCountInString(c) - length; longer >= distance || -longer >= distance { // no closer than that
			continue
		}
		if d := levenshtein.Distance(word, c, nil); d < distance && d < len(word) {
			best, distance = c, d
		}
	}
	return best
}

// DidYouMean puts "did you mean …?" before a hint if a candidate is close to
// the misspelt word.
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
