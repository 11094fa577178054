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
		if strings.EqualFold(word, c) {
			return c
		}
		if longer := utf8.RuneCountInString(c) - length; longer >= distance || -longer >= distance { // no closer than that
			continue
		}
		d := levenshtein.Distance(word, c, nil)
		if d == 2 && swapped(word, c) {
			d = 1
		}
		if d < distance && d < len(word) {
			best, distance = c, d
		}
	}
	return best
}

// swapped reports whether two words differ by two neighbouring letters that
// change places, which is one slip of the hand.
func swapped(a, b string) bool {
	x, y := []rune(a), []rune(b)
	if len(x) != len(y) {
		return false
	}
	for i := range x {
		if x[i] != y[i] {
			return i+1 < len(x) && x[i] == y[i+1] && x[i+1] == y[i] && string(x[i+2:]) == string(y[i+2:])
		}
	}
	return false
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
