// Package glob matches paths with patterns: * matches anything but a slash, and
// ** any number of folders.
package glob

import (
	"path"
	"strings"
)

// Match reports whether a pattern matches a path with slashes.
func Match(pattern, name string) bool {
	return match(strings.Split(pattern, "/"), strings.Split(name, "/"), false)
}

// MatchAbove reports whether a pattern matches a path or one of its parent
// folders.
func MatchAbove(pattern, name string) bool {
	return match(strings.Split(pattern, "/"), strings.Split(name, "/"), true)
}

// match compares parts. With above, the pattern may match only the first parts
// of the name. Of several ** only the last one is tried with more folders: what is
// before it matched as early as it can. So no pattern takes long.
func match(pattern, name []string, above bool) bool {
	p, n := 0, 0
	after, from := -1, 0 // the last **, and the first folder behind what it matches
	for {
		switch {
		case p == len(pattern) && (above || n == len(name)):
			return true
		case p < len(pattern) && pattern[p] == "**":
			p++
			after, from = p, n
		case p < len(pattern) && n < len(name) && one(pattern[p], name[n]):
			p, n = p+1, n+1
		case after >= 0 && from < len(name):
			from++
			p, n = after, from
		default:
			return false
		}
	}
}

// one compares one part.
func one(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}
