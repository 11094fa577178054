package pep440_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/pep440"
)

// TestCompare has the order that PEP 440 gives ("Summary of permitted suffixes
// and relative ordering"), with numbers of any size.
func TestCompare(t *testing.T) {
	t.Parallel()
	order := []string{
		"0.9", "1.dev0", "1.0.dev456", "1.0a1", "1.0a2.dev456", "1.0a12.dev456", "1.0a12", "1.0b1.dev456", "1.0b2", "1.0b2.post345.dev456",
		"1.0b2.post345", "1.0rc1.dev456", "1.0rc1", "1.0", "1.0.post456.dev34", "1.0.post456", "1.0.15", "1.1.dev1", "1.9", "1.10",
		"1.99999999999999999998", "1.99999999999999999999", "1.100000000000000000000", "2024.1", "1!0.1",
	}
	for i, a := range order {
		for j, b := range order {
			v, okV := pep440.Parse(a)
			w, okW := pep440.Parse(b)
			if c := v.Compare(w); !okV || !okW || c != min(max(i-j, -1), 1) {
				t.Errorf("%s and %s: %d, %v %v", a, b, c, okV, okW)
			}
		}
	}
	shuffled := slices.Clone(order)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	slices.SortFunc(shuffled, func(a, b string) int {
		v, _ := pep440.Parse(a)
		w, _ := pep440.Parse(b)
		return v.Compare(w)
	})
	if !slices.Equal(shuffled, order) {
		t.Errorf("sorted: %q", shuffled)
	}
	for _, bad := range []string{"", "x", "1.x", "1..2", "1-", "1.0+", "1.0+a+b", "latest", "1.0 2", "!1", "1!"} {
		if v, ok := pep440.Parse(bad); ok {
			t.Errorf("%q: %+v", bad, v)
		}
	}
}

func TestSame(t *testing.T) {
	t.Parallel()
	for _, same := range [][2]string{{"1.0", "1.0.0"}, {"1.0", "v1"}, {"1.0a1", "1.0-alpha.1"}, {"1.0rc1", "1.0c1"}, {"1.0.post1", "1.0-1"}, {"1.0+cu1.b", "1.0_cu1.b"}, {"0!1", "1"}, {"2024.01", "2024.1"}, {"1.dev", "1.dev0"}} {
		if !pep440.Same(same[0], same[1]) {
			t.Errorf("%v are one", same)
		}
	}
	for _, other := range [][2]string{{"1.0", "1.1"}, {"1.0a1", "1.0b1"}, {"1.0", "1.0.post1"}, {"1.0", "1.0.dev1"}, {"1!1", "1"}, {"1.0+a", "1.0"}, {"x", "y"}, {"10", "1"}} {
		if pep440.Same(other[0], other[1]) {
			t.Errorf("%v are two", other)
		}
	}
}

func TestAllowsPython(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		requires, python string
		want             bool
	}{
		{"", "3.11.0", true}, {">=3.8", "3.11.0", true}, {">=3.11.2", "3.11.1", false}, {">=3.11.2", "3.11.2", true}, {">=3.11.2, !=3.11.5", "3.11.5", false},
		{"!=3.11.*", "3.11.4", false}, {"!=3.0.*,!=3.1.*", "3.11.4", true}, {"==3.11.*", "3.11.4", true}, {"==3.11", "3.11.4", false}, {"==3.11", "3.11.0", true},
		{"~=3.8", "3.11.0", true}, {"~=3.11.2", "3.11.9", true}, {"~=3.11.2", "3.12.0", false}, {"<4", "3.11.0", true}, {"<3.11", "3.11.0", false},
		{">3.11.2", "3.11.2", false}, {"<=3.11.4", "3.11.5", false}, {">=3.8.*", "3.11.0", true}, {">=3.12.0rc1", "3.12.0", true}, {"<3.12.0a1", "3.12.0", false},
	} {
		if got, err := pep440.AllowsPython(tt.requires, tt.python); got != tt.want || err != nil {
			t.Errorf("%q %s: %v, %v", tt.requires, tt.python, got, err)
		}
	}
	for _, bad := range []string{"3.8", ">=x", ">>3", "=3"} {
		if got, err := pep440.AllowsPython(bad, "3.11.0"); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
	if got := pep440.Turns("3.11", ">=3.11.2, !=3.11.5", "python_full_version < '3.11.0'", "3.12.7 13.11.8"); !slices.Equal(got, []int{0, 1, 2, 3, 4, 5, 6}) {
		t.Errorf("turns %v", got)
	}
}
