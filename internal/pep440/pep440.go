// Package pep440 reads and compares the versions of Python packages, and the
// specifiers that select among them ([PEP 440]).
//
// [PEP 440]: https://peps.python.org/pep-0440/
package pep440

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// A Version is a version in its normal form: 1.0-beta.02 is 1.0b2. The zero
// value is no version.
type Version struct {
	Epoch   Number
	Release []Number
	Pre     string // "a", "b", "rc", or "" for a release
	PreN    Number
	Post    Number // "" for none
	Dev     Number // "" for none
	Local   string // "" for none
}

// A Number is a decimal number of any size, without zeros in front.
type Number string

func number(s string) Number {
	return Number(cmp.Or(strings.TrimLeft(s, "0"), "0"))
}

// Compare orders numbers by value. An empty one comes before all others.
func (n Number) Compare(m Number) int {
	return cmp.Or(cmp.Compare(len(n), len(m)), cmp.Compare(n, m))
}

// form is the grammar of PEP 440, appendix B, where the name of a file may have
// _ for the + before a local version.
var form = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^v?(?:([0-9]+)!)?([0-9]+(?:\.[0-9]+)*)` +
		`(?:[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?([0-9]*))?` +
		`(?:-([0-9]+)|[-_.]?(post|rev|r)[-_.]?([0-9]*))?` +
		`(?:[-_.]?(dev)[-_.]?([0-9]*))?(?:[+_]([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$`)
})

// Parse reads a version in any spelling. Ok is false if s is not a version.
func Parse(s string) (v Version, ok bool) {
	m := form().FindStringSubmatch(strings.ToLower(strings.TrimSpace(s)))
	if m == nil {
		return Version{}, false
	}
	v.Epoch = number(m[1])
	for part := range strings.SplitSeq(m[2], ".") {
		v.Release = append(v.Release, number(part))
	}
	if m[3] != "" {
		v.Pre = cmp.Or(map[string]string{"alpha": "a", "beta": "b", "preview": "rc", "pre": "rc", "c": "rc"}[m[3]], m[3])
		v.PreN = number(m[4])
	}
	if m[5] != "" || m[6] != "" {
		v.Post = number(m[5] + m[7])
	}
	if m[8] != "" {
		v.Dev = number(m[9])
	}
	v.Local = strings.NewReplacer("-", ".", "_", ".").Replace(m[10])
	return v, true
}

// IsPre reports whether v is a pre-release: an alpha, a beta, a release
// candidate or a development release.
func (v Version) IsPre() bool { return v.Pre != "" || v.Dev != "" }

// Compare orders versions. It ignores their local parts.
func (v Version) Compare(w Version) int {
	return cmp.Or(
		v.Epoch.Compare(w.Epoch),
		compareRelease(v.Release, w.Release),
		cmp.Compare(v.phase(), w.phase()),
		v.PreN.Compare(w.PreN),
		v.Post.Compare(w.Post),
		compareDev(v.Dev, w.Dev),
	)
}

// phase is where a release of development without another phase comes first, and
// what is no pre-release last.
func (v Version) phase() int {
	switch {
	case v.Pre != "":
		return map[string]int{"a": 1, "b": 2, "rc": 3}[v.Pre]
	case v.Post == "" && v.Dev != "":
		return 0
	}
	return 4
}

// compareRelease compares number by number; a number that is not there is zero.
func compareRelease(a, b []Number) int {
	return slices.CompareFunc(trim(a), trim(b), Number.Compare)
}

func trim(release []Number) []Number {
	for len(release) > 0 && release[len(release)-1] == "0" {
		release = release[:len(release)-1]
	}
	return release
}

// compareDev puts a release of development before the one that it leads to.
func compareDev(a, b Number) int {
	if (a == "") != (b == "") {
		return -cmp.Compare(len(a), len(b))
	}
	return a.Compare(b)
}

// Same reports whether two strings spell the same version, including the local
// part. A string that is not a version is the same only as itself, in upper or
// lower case.
func Same(a, b string) bool {
	v, okV := Parse(a)
	w, okW := Parse(b)
	if !okV || !okW {
		return okV == okW && strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b))
	}
	return v.Compare(w) == 0 && v.Local == w.Local
}
