package plan

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/Masterminds/semver/v3"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// A Range is a set of versions that an entry of the manifest allows: "^1.10",
// "~1.2", ">=1 <3", "1.x", alternatives of these with ||, or "latest". The
// notation is that of semantic versions for every source, and the versions of
// Python packages are fitted into it: 1.2.3.4 and 1.2.3.post1 lie between 1.2.3
// and 1.2.4, and 1.2rc1 is a pre-release of 1.2.0.
type Range struct {
	text string
	kind string
	set  *semver.Constraints // nil for latest
}

// ParseRange reads a range for the versions of a source kind. Its errors are of
// class [fault.Usage].
func ParseRange(kind, text string) (Range, error) {
	r := Range{text: text, kind: kind}
	if text == manifest.Latest {
		return r, nil
	}
	// To the library ~0.0.0 means every version; to everybody else, 0.0.x.
	set, err := semver.NewConstraint(allZero().ReplaceAllString(text, ">=0.0.0 <0.1.0$1"))
	if err != nil {
		return r, fault.Errorf(fault.Usage, `write "^1.10", "~1.2", ">=1 <3", "1.x" or "latest"`, "range %q: %w", text, err)
	}
	set.IncludePrerelease = true // ours is the stricter rule, see Allows
	r.set = set
	return r, nil
}

// String is the range as it was written.
func (r Range) String() string { return r.text }

// Allows reports whether a version is in the range. A pre-release is only where
// the range names one of the same three numbers; what is not a version of the
// source's scheme is in no range.
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

// CompareVersions orders two versions of a source kind: PEP 440 for pip, else
// semantic versions, of which the last numbers may be missing. What is no such
// version comes before all that are.
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
		return va.python.compare(vb.python)
	}
	if c := va.place.Compare(vb.place); c != 0 {
		return c
	}
	return strings.Compare(a, b) // build metadata, 1.2 and 1.2.0
}

// isPre reports whether a version is a pre-release in its scheme.
func isPre(kind, s string) bool {
	v, ok := parseVersion(kind, s)
	return ok && v.pre()
}

// A version is parsed by the scheme of its source.
type version struct {
	place  *semver.Version // where it lies among semantic versions
	python *pep440         // nil but for pip
}

func (v version) pre() bool {
	if v.python != nil {
		return v.python.pre != "" || v.python.dev >= 0
	}
	return v.place.Prerelease() != ""
}

func parseVersion(kind, s string) (version, bool) {
	if kind != lock.Pip {
		if s == "" || s[0] < '0' || s[0] > '9' {
			return version{}, false
		}
		v, err := semver.NewVersion(s)
		return version{place: v}, err == nil
	}
	p, ok := parsePEP440(s)
	if !ok || p.epoch > 0 {
		// An epoch says that the numbers before it mean something else.
		return version{}, false
	}
	return version{place: p.place(), python: p}, true
}

// A pep440 is a version of a Python package (PEP 440, "Appendix B"). Local
// versions are not published and not read.
type pep440 struct {
	epoch   uint64
	release []uint64
	pre     string // "a", "b", "rc", "" for none
	preN    int64
	post    int64 // -1 for none
	dev     int64 // -1 for none
}

var pep440Form = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^v?(?:([0-9]+)!)?([0-9]+(?:\.[0-9]+)*)` +
		`(?:[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?([0-9]*))?` +
		`(?:-([0-9]+)|[-_.]?(post|rev|r)[-_.]?([0-9]*))?` +
		`(?:[-_.]?(dev)[-_.]?([0-9]*))?$`)
})

func parsePEP440(s string) (*pep440, bool) {
	m := pep440Form().FindStringSubmatch(strings.ToLower(s))
	if m == nil || len(s) > 100 {
		return nil, false
	}
	number := func(s string) int64 {
		n, err := strconv.ParseUint("0"+s, 10, 62)
		if err != nil {
			return 1<<62 - 1
		}
		return int64(n)
	}
	p := &pep440{epoch: uint64(number(m[1])), post: -1, dev: -1}
	for part := range strings.SplitSeq(m[2], ".") {
		p.release = append(p.release, uint64(number(part)))
	}
	if m[3] != "" {
		p.pre = map[string]string{"alpha": "a", "beta": "b", "preview": "rc", "pre": "rc", "c": "rc"}[m[3]]
		p.pre = cmp.Or(p.pre, m[3])
		p.preN = number(m[4])
	}
	if m[5] != "" || m[6] != "" {
		p.post = number(m[5] + m[7])
	}
	if m[8] != "" {
		p.dev = number(m[9])
	}
	return p, true
}

// key makes the order of PEP 440 one of numbers: epoch, release without zeros
// at its end, then pre, post and dev, where none of pre is before the first one
// for a bare dev release and after the last one otherwise.
func (p *pep440) key() (release []uint64, rest []int64) {
	release = p.release
	for len(release) > 0 && release[len(release)-1] == 0 {
		release = release[:len(release)-1]
	}
	pre := map[string]int64{"a": 1, "b": 2, "rc": 3}[p.pre]
	if p.pre == "" {
		pre = 4
		if p.post < 0 && p.dev >= 0 {
			pre = 0
		}
	}
	dev := p.dev
	if dev < 0 {
		dev = 1<<62 - 1
	}
	return release, []int64{pre, p.preN, p.post, dev}
}

func (p *pep440) compare(q *pep440) int {
	if c := cmp.Compare(p.epoch, q.epoch); c != 0 {
		return c
	}
	releaseP, restP := p.key()
	releaseQ, restQ := q.key()
	if c := slices.Compare(releaseP, releaseQ); c != 0 {
		return c
	}
	return slices.Compare(restP, restQ)
}

// place is the semantic version that has the same neighbours among those of
// three numbers.
func (p *pep440) place() *semver.Version {
	var n [3]uint64
	copy(n[:], p.release)
	more := p.post >= 0
	for i, part := range p.release {
		more = more || i >= 3 && part > 0
	}
	pre := ""
	switch {
	case more: // behind n, before anything of the next number
		n[2]++
		pre = "0"
	case p.pre != "":
		pre = fmt.Sprintf("%s.%d", p.pre, p.preN)
	case p.dev >= 0:
		pre = fmt.Sprintf("0dev.%d", p.dev)
	}
	return semver.New(n[0], n[1], n[2], pre, "")
}
