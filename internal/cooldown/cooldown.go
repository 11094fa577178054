// Package cooldown says which versions are too young to be chosen.
package cooldown

import (
	"time"
)

// A Rule keeps a package manager from choosing versions that are too young, and
// makes it record when the chosen versions were released according to the
// registry. A nil Rule does nothing.
//
// The managers' own options (npm --before, pip --uploaded-prior-to) are not
// enough: npm accepts a version for which the registry has no time, both apply
// to versions that a person chose explicitly, and neither reports the times
// afterwards. So npm runs with a small script of ours (cooldown.js in package
// npm) that reads the documents npm requests anyway, and pip gets its index
// from us.
type Rule struct {
	// Before is the latest time of release; zero lets everything through and
	// only writes down. A version without a time is too young.
	Before time.Time
	// Except lists what passes in any case, NAME@VERSION. Names are those of the
	// registry, for pip as PEP 503 says.
	Except []string
}
