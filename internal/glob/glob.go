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
// of the name.
func match(pattern, name []string, above bool) bool {
	for ; len(pattern) > 0; pattern, name = pattern[1:], name[1:] {
		if pattern[0] == "**" {
			for i := range len(name) + 1 {
				if match(pattern[1:], name[i:], above) {
					return true
				}
			}
			return false
		}
		if len(name) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], name[0]); !ok || err != nil {
			return false
		}
	}
	return above || len(name) == 0
}
