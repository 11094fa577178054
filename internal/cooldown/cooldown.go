// Package cooldown says which versions are too young to be chosen.
package cooldown

import (
	"time"
)

// A Rule keeps a package manager from choosing versions that are too young, and
// makes it write down when those that it chose were released, by the clock of
// the registry. Nil is no rule.
//
// The managers' own options (npm --before, pip --uploaded-prior-to) are not
// enough: npm lets a version through that the registry has no time for, both
// judge versions that a person chose by themselves as well, and neither says
// afterwards what it saw. So npm runs with a few lines of ours inside of it,
// cooldown.js of package npm, on the documents that it asks for anyway, and pip sees an index of
// ours.
type Rule struct {
	// Before is the latest time of release; zero lets everything through and
	// only writes down. A version without a time is too young.
	Before time.Time
	// Except lists what passes in any case, NAME@VERSION. Names are those of the
	// registry, for pip as PEP 503 says.
	Except []string
}
