package pep440

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// AllowsPython reports whether a Requires-Python (PEP 440, "Version specifiers")
// allows a release of Python, "3.11.4".
func AllowsPython(requires, python string) (bool, error) {
	have, ok := release(python)
	if !ok {
		return false, fmt.Errorf("%q is not a release of Python", python)
	}
	for clause := range strings.SplitSeq(requires, ",") {
		clause = strings.TrimSpace(clause)
		if clause == "" {
			continue
		}
		m := clauseForm().FindStringSubmatch(clause)
		if m == nil {
			return false, fmt.Errorf("Requires-Python %q: %q is not a version specifier", requires, clause)
		}
		want, ok := release(m[2])
		if !ok {
			return false, fmt.Errorf("Requires-Python %q: %q is not a version specifier", requires, clause)
		}
		order := compareRelease(have, want)
		if m[4] != "" && order == 0 { // a pre-release is before its release
			order = 1
		}
		prefix := len(have) >= len(want) && slices.Equal(have[:len(want)], want)
		yes := false
		switch op := m[1]; {
		case m[3] != "" && op == "==":
			yes = prefix
		case m[3] != "" && op == "!=":
			yes = !prefix
		case m[3] != "": // ">=3.8.*" was once common: the star says nothing
			fallthrough
		default:
			switch op {
			case "==", "===":
				yes = order == 0
			case "!=":
				yes = order != 0
			case ">=":
				yes = order >= 0
			case "<=":
				yes = order <= 0
			case ">":
				yes = order > 0
			case "<":
				yes = order < 0
			case "~=":
				yes = order >= 0 && len(want) > 1 && slices.Equal(have[:len(want)-1], want[:len(want)-1])
			}
		}
		if !yes {
			return false, nil
		}
	}
	return true, nil
}

var clauseForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(===|==|~=|!=|<=|>=|<|>) *v?([0-9]+(?:\.[0-9]+)*)(\.\*)?((?:a|b|c|rc|\.dev|alpha|beta)[0-9]*)?$`)
})

// release is a version of numbers alone.
func release(version string) ([]Number, bool) {
	if strings.Trim(version, "0123456789.") != "" {
		return nil, false
	}
	v, ok := Parse(version)
	return v.Release, ok
}

// releaseForm finds releases with three numbers in specifiers and markers.
var releaseForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\b([0-9]+\.[0-9]+)\.([0-9]{1,4})\b`) })

// shortForm finds specifiers in which a series stands for its first release, and
// later ones differ from it.
var shortForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?:(?:^|,) *|python_full_version *)(?:>|<=|===|==|!=) *["']?([0-9]+\.[0-9]+)(?:["', ]|$)`)
})

// Turns lists the patch numbers of a series of Python ("3.11") at which the
// result of a Requires-Python or a marker may change: those that the texts
// name, and their neighbours, sorted.
func Turns(series string, texts ...string) []int {
	var turns []int
	for _, text := range texts {
		for _, m := range releaseForm().FindAllStringSubmatch(text, -1) {
			if n, err := strconv.Atoi(m[2]); err == nil && m[1] == series {
				turns = append(turns, max(n-1, 0), n, n+1)
			}
		}
	}
	for _, text := range texts {
		for _, m := range shortForm().FindAllStringSubmatch(text, -1) {
			if m[1] == series {
				turns = append(turns, 0, 1)
			}
		}
	}
	slices.Sort(turns)
	return slices.Compact(turns)
}
