package kind

import (
	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/wheel"
)

// wheelFile reads a wheel, whose content goes to a folder for each of its
// interpreters, or to the tree itself. One of its scripts may be the executable.
var wheelFile = Kind{
	roots: func(_ string, f lock.File) []string { return f.Roots() },
	options: func(a *Artifact, _ *Content) archive.Options {
		return archive.Options{Format: "zip", Exec: func(name string) bool { return name == a.Executable }}
	},
	keep:  wheel.Keep,
	check: func(a *Artifact, c *Content) error { return wheel.Check(a.Key, c.Files, c.Heads, c.again) },
}
