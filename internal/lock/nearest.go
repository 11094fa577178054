package lock

import (
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
