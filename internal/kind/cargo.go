package kind

import (
	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/cargo"
)

// crate is the source of a crate. It is in no tree: cargo compiles it.
var crate = Kind{
	options: func(*Artifact, *Content) archive.Options {
		return archive.Options{Format: "tar.gz", StripTop: true}
	},
	keep: func(name string) int {
		if name == "Cargo.toml" || name == "Cargo.lock" {
			return 4 << 20 // more than is decoded
		}
		return 0
	},
	check: func(a *Artifact, c *Content) error {
		return cargo.Check(CrateSource(cargo.Crate{Name: a.File.Name, Version: a.File.Version}, c))
	},
}

// CrateSource is what cargo needs to see of a crate that was read.
func CrateSource(crate cargo.Crate, c *Content) *cargo.Source {
	source := &cargo.Source{Crate: crate, Manifest: c.Heads["Cargo.toml"], Lockfile: c.Heads["Cargo.lock"]}
	for _, f := range c.Files {
		source.Files = append(source.Files, f.Path)
	}
	return source
}
