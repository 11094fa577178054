package plan

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/Masterminds/semver/v3"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/maven"
	"github.com/birbparty/buck2-protobuf/internal/pep440"
)

// A Range is a set of versions that an entry of the manifest allows: "^1.10",
// "~1.2", ">=1 <3", "1.x", alternatives of these with ||, or "latest". The
// notation is that of semantic versions for every source. Versions of Python
// packages are mapped to it: 1.2.3.4 and 1.2.3.post1 are between 1.2.3 and
// 1.2.4, and 1.2rc1 is a pre-release of 1.2.0.
type Range struct {
	text string
	kind string
	set  *semver.Constraints // nil for latest
}

// ParseRange parses a range for versions of a kind. Errors are of class
// [fault.Usage].
func ParseRange(kind, text string) (Range, error) {
	r := Range{text: text, kind: kind}
	if text == manifest.Latest {
		return r, nil
	}
	// The library treats ~0.0.0 as every version; everybody else, as 0.0.x.
	set, err := semver.NewConstraint(allZero().ReplaceAllString(text, ">=0.0.0 <0.1.0$1"))
	if err != nil {
		return r, fault.Errorf(fault.Usage, `write "^1.10", "~1.2", ">=1 <3", "1.x" or "latest"`, "range %q: %w", text, err)
	}
	set.IncludePrerelease = true // our rule is stricter, see Allows
	r.set = set
	return r, nil
}

// String returns the range as it was written.
func (r Range) String() string { return r.text }

// Allows reports whether a version is in the range. A pre-release is only in a
// range that names a pre-release of the same three numbers. Anything that is
// not a version of the source's scheme is in no range.
func (r Range) Allows(version string) bool {
	v, ok := parseVersion(r.kind, version)
	if !ok || r.set == nil {
		return ok && !v.pre()
	}
	if v.pre() && !r.names(v) {
		return false
	}
	return r.set.Check(v.place)
}

var allZero = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`~>? *0\.0\.0($|[ ,|])`) })

var preForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`[0-9]+(\.[0-9]+)*-[0-9A-Za-z][0-9A-Za-z.-]*`)
})

// names reports whether the range has a pre-release of the numbers of v.
func (r Range) names(v version) bool {
	for _, s := range preForm().FindAllString(r.text, -1) {
		if p, err := semver.NewVersion(s); err == nil && p.Major() == v.place.Major() && p.Minor() == v.place.Minor() && p.Patch() == v.place.Patch() {
			return true
		}
	}
	return false
}

// CompareVersions compares two versions of a kind: by PEP 440 for pip,
// otherwise as semantic versions, whose last numbers may be missing. Anything
// else comes before those.
func CompareVersions(kind, a, b string) int {
	va, okA := parseVersion(kind, a)
	vb, okB := parseVersion(kind, b)
	switch {
	case okA != okB && okA:
		return 1
	case okA != okB:
		return -1
	case !okA:
		return lock.CompareVersions(a, b)
	}
	if va.python != nil {
		return va.python.Compare(*vb.python)
	}
	if va.maven != "" {
		return cmp.Or(maven.Compare(a, b), strings.Compare(a, b))
	}
	if c := va.place.Compare(vb.place); c != 0 {
		return c
	}
	return strings.Compare(a, b) // build metadata, or 1.2 and 1.2.0
}

// Compare compares the versions of two wants of one plugin, each by the scheme
// of its source.
func Compare(a, b *Want) int {
	return compareAcross(a.From.Kind, a.Version, b.From.Kind, b.Version)
}

func compareAcross(kindA, a, kindB, b string) int {
	if kindA == kindB {
		return CompareVersions(kindA, a, b)
	}
	va, okA := parseVersion(kindA, a)
	vb, okB := parseVersion(kindB, b)
	if !okA || !okB {
		return lock.CompareVersions(a, b)
	}
	return va.place.Compare(vb.place)
}

// isPre reports whether a version is a pre-release in its scheme.
func isPre(kind, s string) bool {
	v, ok := parseVersion(kind, s)
	return ok && v.pre()
}

// A version is a version parsed by the scheme of its source.
type version struct {
	place  *semver.Version // position among semantic versions
	python *pep440.Version // only for pip
	maven  string          // only for maven; otherwise ""
}

func (v version) pre() bool {
	if v.python != nil {
		return v.python.IsPre()
	}
	if v.maven != "" {
		return maven.Pre(v.maven)
	}
	return v.place.Prerelease() != ""
}

func parseVersion(kind, s string) (version, bool) {
	k := lock.KindOf(kind)
	if k.Jars {
		return mavenVersion(s)
	}
	if !k.Wheels {
		if s == "" || s[0] < '0' || s[0] > '9' {
			return version{}, false
		}
		v, err := semver.NewVersion(s)
		return version{place: v}, err == nil
	}
	p, ok := pep440.Parse(s)
	if !ok || p.Local != "" || len(s) > 100 {
		return version{}, false // local versions are not published
	}
	if p.Epoch != "0" {
		// An epoch changes the meaning of all later numbers.
		return version{}, false
	}
	return version{place: place(p), python: &p}, true
}

// mavenVersion maps a Maven version: 1.2.3.4 and 1.2.3-jre are between 1.2.3
// and 1.2.4, and a pre-release by its words is a pre-release of its numbers.
func mavenVersion(s string) (version, bool) {
	numbers, rest := maven.Split(s)
	if len(numbers) == 0 || len(s) > 100 {
		return version{}, false
	}
	var n [3]uint64
	copy(n[:], numbers)
	more := slices.ContainsFunc(numbers[min(3, len(numbers)):], func(i uint64) bool { return i > 0 })
	pre := ""
	switch {
	case maven.Pre(s):
		pre = strings.Map(func(r rune) rune {
			if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r == '-' || r == '.' {
				return r
			}
			return '-'
		}, rest)
	case more || rest != "": // after n, before anything with the next number
		n[2]++
		pre = "0"
	}
	return version{place: semver.New(n[0], n[1], n[2], pre, ""), maven: s}, true
}

// place returns the semantic version with the same neighbours among those with
// three numbers.
func place(p pep440.Version) *semver.Version {
	var n [3]uint64
	more := p.Post != ""
	for i, part := range p.Release {
		if i < len(n) {
			n[i], _ = strconv.ParseUint(string(part), 10, 62) // the largest value for a larger number
		}
		more = more || i >= len(n) && part != "0"
	}
	pre := ""
	switch {
	case more: // after n, before anything with the next number
		n[2]++
		pre = "0"
	case p.Pre != "":
		pre = p.Pre + "." + string(p.PreN)
	case p.Dev != "":
		pre = "0dev." + string(p.Dev)
	}
	return semver.New(n[0], n[1], n[2], pre, "")
}
