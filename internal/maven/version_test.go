package maven

import (
	"slices"
	"testing"
)

// TestOrder: the examples of Maven's own specification and test
// (ComparableVersionTest), each list from the lowest to the highest.
func TestOrder(t *testing.T) {
	t.Parallel()
	for _, list := range [][]string{
		{"1-alpha2snapshot", "1-alpha2", "1-alpha-123", "1-beta-2", "1-beta123", "1-m2", "1-m11", "1-rc", "1-cr2", "1-rc123", "1-SNAPSHOT", "1", "1-sp", "1-sp2", "1-sp123", "1-abc", "1-def", "1-pom-1", "1-1-snapshot", "1-1", "1-2", "1-123"},
		{"2.0", "2-1", "2.0.2", "2.0.123", "2.1.0", "2.1-a", "2.1b", "2.1-c", "2.1-1", "2.1.0.1", "2.2", "2.123", "11.a2", "11.a11", "11.b2", "11.b11", "11.m2", "11.m11", "11", "11.a", "11b", "11c", "11m"},
		{"4.0.0-rc-2", "4.26.0-RC1", "4.26.0-RC2", "4.26.0", "4.27.1", "4.36.2"},
		{"32.1.3-android", "32.1.3-jre", "33.0.0-jre", "33.1.0"},
	} {
		for i, a := range list {
			for j, b := range list {
				if got, want := Compare(a, b), sign(i-j); got != want {
					t.Errorf("%s and %s: %d, want %d", a, b, got, want)
				}
			}
		}
	}
	for _, same := range [][]string{{"1", "1.0", "1.0.0", "1-0", "1.ga", "1-final", "1.0-release", "01"}, {"1-a1", "1-alpha-1"}, {"1x", "1-x", "1.0-x", "1.0.0x"}, {"1.0cr", "1.0rc"}, {"0.0", ""}} {
		for _, v := range same {
			if Compare(same[0], v) != 0 || Compare(v, same[0]) != 0 {
				t.Errorf("%q is not %q", same[0], v)
			}
		}
	}
	for v, want := range map[string]bool{"1.0": false, "1.0-jre": false, "1.2.3.Final": false, "4.36.0-RC1": true, "1.0-M3": true, "2.0.0-SNAPSHOT": true, "1.0-alpha.1": true, "26-ea+5": true, "1.0-sp1": false, "1.5.0-jdk8": false} {
		if Pre(v) != want {
			t.Errorf("Pre(%s) is %v", v, !want)
		}
	}
	if n, rest := Split("33.1.0-jre"); !slices.Equal(n, []uint64{33, 1, 0}) || rest != "jre" {
		t.Errorf("%v %q", n, rest)
	}
	if n, rest := Split("1.2.3.Final"); !slices.Equal(n, []uint64{1, 2, 3}) || rest != "" {
		t.Errorf("%v %q", n, rest)
	}
}

func sign(n int) int { return max(-1, min(1, n)) }

func TestConstraint(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, in, out string }{
		{"[1.0,2.0)", "1.5", "2.0"}, {"(1.0,2.0]", "2.0", "1.0"}, {"[1.0]", "1.0.0", "1.1"}, {"(,1.0],[1.2,)", "1.3", "1.1"}, {"[1,)", "99", "0.9"},
	} {
		c, err := parseConstraint(tt.text)
		if err != nil || !c.allows(tt.in) || c.allows(tt.out) {
			t.Errorf("%s: %v, %v", tt.text, err, c)
		}
	}
	for _, bad := range []string{"[1.0", "[1,2)x", "(1.0)", "[]"} {
		if _, err := parseConstraint(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if c, err := parseConstraint("1.0"); err != nil || c.wish != "1.0" || !c.allows("9") {
		t.Errorf("%v %v", c, err)
	}
}
