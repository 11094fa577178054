// Package docs is the manual. Lockgen holds it, so that it can be read without a
// network and fits the program: lockgen help TOPIC. The tests of the package run
// what the manual shows.
package docs

import "embed"

// Pages are the pages of the manual, NAME.md each.
//
//go:embed *.md
var Pages embed.FS
