package archive

import (
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// TestFold compares our folding with Unicode's own full case folding around
// NFKD, for every code point: what that takes for equal must be equal here.
func TestFold(t *testing.T) {
	full := cases.Fold()
	key := func(s string) string { return norm.NFKD.String(full.String(norm.NFKD.String(s))) }
	classes := map[string]rune{}
	shared := 0
	for r := rune(0x80); r <= utf8.MaxRune; r++ {
		if !utf8.ValidRune(r) || unicode.Is(unicode.Co, r) {
			continue
		}
		// Cherokee folds upwards in Unicode; any direction will do here.
		k := key(string(r))
		other, ok := classes[k]
		if !ok {
			classes[k] = r
			if k != string(r) && foldPart(k) != foldPart(string(r)) && !unicode.Is(unicode.Cf, r) {
				t.Errorf("%U (%c) folds to %+q, its full folding %+q to %+q", r, r, foldPart(string(r)), k, foldPart(k))
			}
			continue
		}
		shared++
		if foldPart(string(other)) != foldPart(string(r)) {
			t.Errorf("%U and %U are equal for Unicode and not here: %+q, %+q", other, r, foldPart(string(other)), foldPart(string(r)))
		}
	}
	if shared < 3000 {
		t.Errorf("only %d pairs compared", shared)
	}
	for _, s := range []string{"plain.txt", "MiXeD", "日本語"} {
		if f := foldPart(s); foldPart(f) != f {
			t.Errorf("%q folds to %q and that to %q", s, f, foldPart(f))
		}
	}
}
