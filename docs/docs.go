// Package docs is the manual. Lockgen holds it, so that it can be read without a
// network and fits the program: lockgen help TOPIC. The tests of the package run
// what the manual shows.
package docs

import "embed"

// Pages are the pages of the manual, NAME.md each; those of languages are in a
// folder.
//
//go:embed *.md languages/*.md
var Pages embed.FS
