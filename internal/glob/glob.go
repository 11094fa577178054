// Package glob matches paths with patterns: * is anything but a slash, and the part
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

// MatchAbove reports whether a pattern matches a path or a folder above it.
func MatchAbove(pattern, name string) bool {
	return match(strings.Split(pattern, "/"), strings.Split(name, "/"), true)
}

// match compares parts. With above, parts of the name may be left when the pattern
// ends.
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
