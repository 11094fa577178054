package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

func TestRangeAllows(t *testing.T) {
	for _, tt := range []struct{ kind, text, in, out string }{
		{lock.NPM, "^1.10", "1.10.0 1.10.7 1.99.0", "1.9.9 2.0.0 2.0.0-rc.1 1.11.0-beta.1 0.0.1"},
		{lock.NPM, "~1.2", "1.2.0 1.2.99", "1.3.0 1.1.9 1.2.5-a"},
		{lock.NPM, ">=1 <3", "1.0.0 2.99.99", "0.9.9 3.0.0 3.0.0-rc.1 1.0.0-rc.1"},
		{lock.NPM, ">=1, <3", "1.0.0 2.99.99", "3.0.0"},
		{lock.NPM, "1.x", "1.0.0 1.99.0", "2.0.0 0.1.0"},
		{lock.NPM, "1.2.x", "1.2.0 1.2.9", "1.3.0"},
		{lock.NPM, "^0.8", "0.8.0 0.8.7", "0.9.0 1.0.0"},
		{lock.NPM, "^0.0.3", "0.0.3", "0.0.4 0.1.0"},
		{lock.NPM, "^1 || ^3", "1.2.0 3.4.0", "2.0.0 4.0.0"},
		{lock.NPM, "1.2.3 - 2.0.0", "1.2.3 1.9.0 2.0.0", "1.2.2 2.0.1"},
		{lock.NPM, "^2.0.0-rc.1", "2.0.0-rc.1 2.0.0-rc.2 2.0.0 2.5.0", "2.0.0-beta.1 2.1.0-rc.1 1.0.0 3.0.0"},
		{lock.NPM, "latest", "1.0.0 99.0.0", "1.0.0-rc.1 x next"},
		{lock.HTTP, "^30", "30.0 30.2 30.2.1", "31.0 29.9 30.3-rc1"},
		{lock.Pip, "^30", "30.2 30.2.post1 30.2.0.1", "31.0 30.3rc1 31.0a1 1!30.2 29.9.post9 30.3.dev1"},
		{lock.Pip, "~1.2", "1.2 1.2.0.post3 1.2.9.9", "1.3 1.3a1 1.3.dev0"},
		{lock.Pip, ">1.2.3", "1.2.3.1 1.2.3.post1 1.2.4", "1.2.3 1.2.4rc1"},
		{lock.Pip, "<=1.2.3", "1.2.3 1.2.2.post1", "1.2.3.1 1.2.3.post1 1.2.4"},
		{lock.Pip, ">=1 <2", "1.9.9.9", "2.0 2.0.0.0.1 2.0rc1"},
		{lock.Pip, "latest", "2024.1 1.0.post1", "2.0rc1 2.0.dev1 nightly"},
		{lock.Pip, ">=2.0.0-rc.1 <3", "2.0rc1 2.0rc2 2.0 2.1", "2.0b1 2.1rc1"},
	} {
		r, err := ParseRange(tt.kind, tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		for want, list := range map[bool]string{true: tt.in, false: tt.out} {
			for _, v := range strings.Fields(list) {
				if r.Allows(v) != want {
					t.Errorf("%s %q allows %s: %v", tt.kind, tt.text, v, !want)
				}
			}
		}
		if r.String() != tt.text {
			t.Errorf("%q became %q", tt.text, r)
		}
	}
	for _, text := range []string{"^", ">=1 <", "~>>1", "1 2 - 3"} {
		if _, err := ParseRange(lock.NPM, text); fault.Of(err) != fault.Usage {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestCompareVersions: each list is in order, and every pair of it compares so.
func TestCompareVersions(t *testing.T) {
	for kind, list := range map[string]string{
		// PEP 440, "Summary of permitted suffixes and relative ordering", and what indexes have.
		lock.Pip: "nightly 0.9 1.0.dev456 1.0a1 1.0a2.dev456 1.0a12.dev456 1.0a12 1.0b1.dev456 1.0b2 1.0b2.post345.dev456 1.0b2.post345 1.0rc1.dev456 1.0rc1 1.0 1.0.post456.dev34 1.0.post456 1.0.0.1 1.1.dev1 1.1 1.2.3 1.2.3.post1 1.2.3.4 1.10 30.2rc1 30.2 2024.1",
		lock.NPM: "x 0.0.1 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.2.0 1.10.0 2.0.0",
	} {
		versions := strings.Fields(list)
		for i, a := range versions {
			for j, b := range versions {
				if got, want := CompareVersions(kind, a, b), cmpInt(i, j); got != want {
					t.Errorf("%s: %s against %s: %d, want %d", kind, a, b, got, want)
				}
			}
		}
	}
	for _, same := range [][2]string{{"1.0", "1.0.0"}, {"1.0-1", "1.0.post1"}, {"1.0ALPHA1", "1.0a1"}, {"1.0.rev2", "1.0.post2"}, {"1.0-preview_3", "1.0rc3"}} {
		if CompareVersions(lock.Pip, same[0], same[1]) != 0 {
			t.Errorf("%s is not %s", same[0], same[1])
		}
	}
}

func cmpInt(a, b int) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// A triple is the model of a version: three numbers.
type triple [3]int

func (v triple) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// randomRange makes the text of a range and the function that it stands for.
func randomRange(rng *rand.Rand) (string, func(triple) bool) {
	less := func(a, b triple) bool { return slices.Compare(a[:], b[:]) < 0 }
	one := func() (string, func(triple) bool) {
		low := triple{rng.IntN(4), rng.IntN(4), rng.IntN(4)}
		numbers := 1 + rng.IntN(3) // how many are written
		for i := numbers; i < 3; i++ {
			low[i] = 0
		}
		text := strings.Join(strings.Split(low.String(), ".")[:numbers], ".")
		next := func(i int) triple { // the first version that differs in number i
			high := low
			high[i]++
			for j := i + 1; j < 3; j++ {
				high[j] = 0
			}
			return high
		}
		between := func(high triple) func(triple) bool {
			return func(v triple) bool { return !less(v, low) && less(v, high) }
		}
		switch op := rng.IntN(5); op {
		case 0: // ^: up to the next of the first number that is not 0
			first := numbers - 1
			for i := range numbers {
				if low[i] > 0 {
					first = i
					break
				}
			}
			return "^" + text, between(next(first))
		case 1:
			return "~" + text, between(next(min(1, numbers-1)))
		case 2:
			if numbers == 3 {
				return "=" + text, func(v triple) bool { return v == low }
			}
			return text + ".x", between(next(numbers - 1))
		case 3:
			return ">=" + text, func(v triple) bool { return !less(v, low) }
		default:
			return "<" + text, func(v triple) bool { return less(v, low) }
		}
	}
	var texts []string
	var any []func(triple) bool
	for range 1 + rng.IntN(2) {
		a, fits := one()
		if rng.IntN(2) == 0 {
			b, also := one()
			a, any = a+" "+b, append(any, func(v triple) bool { return fits(v) && also(v) })
		} else {
			any = append(any, fits)
		}
		texts = append(texts, a)
	}
	return strings.Join(texts, " || "), func(v triple) bool {
		return slices.ContainsFunc(any, func(f func(triple) bool) bool { return f(v) })
	}
}

// TestRangeProperty compares random ranges with a model of three numbers, and
// checks what is true of every range: the same for every kind of source, no
// pre-release that is not named, and for Python neighbours on both sides.
func TestRangeProperty(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	allowed, ranges := 0, testenv.Count(100, 1500)
	for range ranges {
		text, fits := randomRange(rng)
		if err := manifest.CheckWanted(text); err != nil || !manifest.IsRange(text) {
			t.Fatalf("a manifest refuses %q: %v", text, err)
		}
		r, err := ParseRange(lock.NPM, text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		pip, err := ParseRange(lock.Pip, text)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			v := triple{rng.IntN(5), rng.IntN(5), rng.IntN(5)}
			want := fits(v)
			if want {
				allowed++
			}
			if r.Allows(v.String()) != want || pip.Allows(v.String()) != want {
				t.Fatalf("%q allows %s: npm %v, pip %v, want %v", text, v, r.Allows(v.String()), pip.Allows(v.String()), want)
			}
			if r.Allows(v.String()+"-rc.1") || pip.Allows(v.String()+"rc1") || pip.Allows(v.String()+".dev1") {
				t.Fatalf("%q allows a pre-release of %s", text, v)
			}
			// 1.2.3.4 is in where 1.2.3 and 1.2.4 are, out where neither is.
			after := v
			after[2]++
			if next := fits(after); next == want && pip.Allows(v.String()+".4") != want {
				t.Fatalf("%q: %s is %v and %s is %v, but %s.4 is not", text, v, want, after, next, v)
			}
			if latest, _ := ParseRange(lock.NPM, manifest.Latest); !latest.Allows(v.String()) {
				t.Fatalf("latest does not allow %s", v)
			}
		}
	}
	if allowed < ranges {
		t.Errorf("only %d versions were in a range", allowed)
	}
}

func FuzzParseRange(f *testing.F) {
	f.Add("^1.10", "1.11.0")
	f.Add(">=1 <3 || ~4.5", "4.5.6-rc.1")
	f.Add("latest", "1.0.post1")
	f.Fuzz(func(t *testing.T, text, version string) {
		for _, kind := range []string{lock.NPM, lock.Pip} {
			r, err := ParseRange(kind, text)
			if err != nil {
				if fault.Of(err) != fault.Usage {
					t.Errorf("class %v", fault.Of(err))
				}
				continue
			}
			r.Allows(version)
			if CompareVersions(kind, version, version) != 0 {
				t.Errorf("%q is not equal to itself", version)
			}
		}
	})
}

// TestOnlyPreReleases: what has pre-releases alone is told so, with the newest one.
func TestOnlyPreReleases(t *testing.T) {
	t.Parallel()
	w := &Want{Name: "acme", At: "plugins.toml:1", From: manifest.Source{Kind: lock.Pip, Name: "acme"}}
	if err := w.Ask(manifest.Latest); err != nil {
		t.Fatal(err)
	}
	err := w.Pick([]Release{{Version: "2.0.0b6"}, {Version: "2.0.0b7"}, {Version: "2.0.0a9"}}, "", NewRules(&manifest.Policy{}, &lock.Lock{}, time.Now()))
	if fault.Of(err) != fault.Upstream || !strings.Contains(err.Error(), "it only has pre-releases, the newest is 2.0.0b7") || fault.Hint(err) != "write that version: lockgen add acme@2.0.0b7" {
		t.Errorf("%v; %s", err, fault.Hint(err))
	}
}
