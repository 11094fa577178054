package maven

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Compare compares two versions in Maven's order
// (https://maven.apache.org/pom.html#version-order-specification): 1.0-rc1 <
// 1.0 = 1.0.0 < 1.0-sp < 1.0-jre < 1.0.1.
func Compare(a, b string) int { return parseItems(a).compare(parseItems(b)) }

// Pre reports whether the words in a version mark a pre-release or a snapshot.
func Pre(version string) bool { return parseItems(version).pre() }

// Snapshot reports whether the files of a version may change.
func Snapshot(version string) bool { return strings.HasSuffix(strings.ToUpper(version), "SNAPSHOT") }

// Split splits a version into its leading numbers and the rest, in lower case
// and without the separator: "33.1.0-jre" is 33 1 0 and "jre". Words that mean
// a release, such as Final, are dropped.
func Split(version string) (numbers []uint64, rest string) {
	rest = strings.ToLower(version)
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseUint(rest[:digits], 10, 62)
		if err != nil {
			break
		}
		numbers, rest = append(numbers, n), rest[digits:]
		if !strings.HasPrefix(rest, ".") {
			break
		}
		rest = rest[1:]
	}
	rest = strings.TrimLeft(rest, "-_.")
	if alias, ok := aliases[rest]; ok && alias == "" {
		rest = ""
	}
	return numbers, rest
}

// An item is a number, a word, or a list of items after a hyphen.
type item struct {
	kind itemKind
	n    string // digits without leading zeros
	word string
	list []item
}

type itemKind int

const (
	aNumber itemKind = iota
	aWord
	aList
)

// qualifiers are the known words in order; all others come after them.
var qualifiers = []string{"alpha", "beta", "milestone", "rc", "snapshot", "", "sp"}

var aliases = map[string]string{"ga": "", "final": "", "release": "", "cr": "rc"}

const released = 5 // index of "" in qualifiers

func parseItems(version string) item {
	s := strings.ToLower(version)
	if len(s) > 200 { // not a real version, and lists nest
		s = s[:200]
	}
	lists := []*[]item{new([]item)}
	top := func() *[]item { return lists[len(lists)-1] }
	add := func(i item) { *top() = append(*top(), i) }
	start, digits := 0, false
	flush := func(end int, followed bool) {
		switch part := s[start:end]; {
		case part == "":
			add(item{kind: aNumber})
		case digits:
			add(item{kind: aNumber, n: strings.TrimLeft(part, "0")})
		default:
			add(newWord(part, followed))
		}
	}
	deeper := func() { lists = append(lists, new([]item)) }
	for i := 0; i < len(s); i++ {
		c := s[i]
		isDigit := c >= '0' && c <= '9'
		switch {
		case c == '.':
			flush(i, false)
			start = i + 1
		case c == '-':
			flush(i, false)
			start = i + 1
			deeper()
		case isDigit != digits && i > start:
			flush(i, isDigit)
			start = i
			deeper()
		}
		if c != '.' && c != '-' {
			digits = isDigit
		}
	}
	if start < len(s) {
		flush(len(s), false)
	}
	whole := item{kind: aList}
	for i := len(lists) - 1; i >= 0; i-- {
		list := *lists[i]
		if i < len(lists)-1 {
			list = append(list, whole)
		}
		whole = item{kind: aList, list: trim(list)}
	}
	return whole
}

func newWord(word string, followedByDigit bool) item {
	if followedByDigit && len(word) == 1 {
		switch word {
		case "a":
			word = "alpha"
		case "b":
			word = "beta"
		case "m":
			word = "milestone"
		}
	}
	if alias, ok := aliases[word]; ok {
		word = alias
	}
	return item{kind: aWord, word: word}
}

// trim removes items without meaning from the end of a list.
func trim(list []item) []item {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].null() {
			list = slices.Delete(list, i, i+1)
		} else if list[i].kind != aList {
			break
		}
	}
	return list
}

func (i item) null() bool {
	switch i.kind {
	case aNumber:
		return i.n == ""
	case aWord:
		return i.word == ""
	}
	return len(i.list) == 0
}

// rank returns the position of a word.
func (i item) rank() (int, string) {
	if n := slices.Index(qualifiers, i.word); n >= 0 {
		return n, ""
	}
	return len(qualifiers), i.word
}

func (i item) compare(o item) int {
	switch {
	case i.kind == aNumber && o.kind == aNumber:
		if c := cmp.Compare(len(i.n), len(o.n)); c != 0 {
			return c
		}
		return strings.Compare(i.n, o.n)
	case i.kind == aNumber:
		return 1
	case o.kind == aNumber:
		return -1
	case i.kind == aWord && o.kind == aWord:
		a, x := i.rank()
		b, y := o.rank()
		return cmp.Or(cmp.Compare(a, b), strings.Compare(x, y))
	case i.kind == aWord:
		return -1
	case o.kind == aWord:
		return 1
	}
	for n := range max(len(i.list), len(o.list)) {
		c := 0
		switch {
		case n >= len(i.list):
			c = -o.list[n].toNothing()
		case n >= len(o.list):
			c = i.list[n].toNothing()
		default:
			c = i.list[n].compare(o.list[n])
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// toNothing compares an item with a missing one.
func (i item) toNothing() int {
	switch i.kind {
	case aNumber:
		return min(len(i.n), 1)
	case aWord:
		n, _ := i.rank()
		return cmp.Compare(n, released)
	}
	for _, of := range i.list {
		if c := of.toNothing(); c != 0 {
			return c
		}
	}
	return 0
}

// preWords are prefixes that publishers use for pre-releases, besides those
// that Maven orders before a release.
var preWords = []string{"dev", "ea", "preview", "pre", "eap", "nightly", "incubating"}

func (i item) pre() bool {
	switch i.kind {
	case aWord:
		n, _ := i.rank()
		word, _, _ := strings.Cut(i.word, "+") // build metadata
		return n < released || slices.Contains(preWords, word) || word == "m"
	case aList:
		return slices.ContainsFunc(i.list, item.pre)
	}
	return false
}

// A constraint is the version in a dependency: a preference, "1.0", or one or
// more ranges that must be satisfied, "[1.0,2.0)"
// (https://maven.apache.org/pom.html#dependency-version-requirement-specification).
type constraint struct {
	wish   string
	ranges []span
}

type span struct {
	low, high     string // "" for none
	withLow, with bool   // whether the bounds themselves are allowed
}

// maxVersion bounds a version, or ranges of versions, in bytes: what takes long to
// compare is none.
const maxVersion = 1000

func parseConstraint(s string) (constraint, error) {
	s = strings.TrimSpace(s)
	if len(s) > maxVersion {
		return constraint{}, fmt.Errorf("a version has at most %d characters, and this one has %d", maxVersion, len(s))
	}
	if !strings.ContainsAny(s, "[(") {
		return constraint{wish: s}, nil
	}
	var c constraint
	rest := s
	for rest != "" {
		end := strings.IndexAny(rest, ")]")
		if rest[0] != '[' && rest[0] != '(' || end < 0 {
			return c, fmt.Errorf("%q is not a version range", s)
		}
		r := span{withLow: rest[0] == '[', with: rest[end] == ']'}
		low, high, two := strings.Cut(rest[1:end], ",")
		r.low, r.high = strings.TrimSpace(low), strings.TrimSpace(high)
		if !two {
			if !r.withLow || !r.with || r.low == "" {
				return c, fmt.Errorf("%q is not a version range", s)
			}
			r.high = r.low
		}
		c.ranges = append(c.ranges, r)
		rest = strings.TrimLeft(rest[end+1:], " ,")
	}
	return c, nil
}

// allows reports whether a version is in the ranges, or there are none.
func (c constraint) allows(version string) bool {
	return len(c.ranges) == 0 || slices.ContainsFunc(c.ranges, func(r span) bool {
		if r.low != "" {
			if n := Compare(version, r.low); n < 0 || n == 0 && !r.withLow {
				return false
			}
		}
		if r.high != "" {
			if n := Compare(version, r.high); n > 0 || n == 0 && !r.with {
				return false
			}
		}
		return true
	})
}

// only returns the only version that the ranges allow, or "" if there are more.
func (c constraint) only() string {
	if len(c.ranges) == 1 && c.ranges[0].low != "" && c.ranges[0].low == c.ranges[0].high {
		return c.ranges[0].low
	}
	return ""
}
