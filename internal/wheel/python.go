package wheel

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
	have, ok := numbers(python)
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
			return false, fmt.Errorf("Requires-Python %q: %q is no version specifier", requires, clause)
		}
		want, ok := numbers(m[2])
		if !ok {
			return false, fmt.Errorf("Requires-Python %q: %q is no version specifier", requires, clause)
		}
		order := compare(have, want)
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

func numbers(version string) ([]int, bool) {
	var all []int
	for part := range strings.SplitSeq(version, ".") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return nil, false
		}
		all = append(all, n)
	}
	return all, true
}

// compare is that of versions, whose missing numbers are zero.
func compare(a, b []int) int {
	for i := range max(len(a), len(b)) {
		x, y := 0, 0
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return x - y
		}
	}
	return 0
}

// releaseForm finds releases with three numbers in specifiers and markers.
var releaseForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\b([0-9]+\.[0-9]+)\.([0-9]{1,4})\b`) })

// Turns lists, sorted, the patch numbers of a series of Python ("3.11") at which
// a Requires-Python or a marker may change its mind: those that it names, and
// their neighbours.
func Turns(series string, texts ...string) []int {
	var turns []int
	for _, text := range texts {
		for _, m := range releaseForm().FindAllStringSubmatch(text, -1) {
			if n, err := strconv.Atoi(m[2]); err == nil && m[1] == series {
				turns = append(turns, max(n-1, 0), n, n+1)
			}
		}
	}
	slices.Sort(turns)
	return slices.Compact(turns)
}
