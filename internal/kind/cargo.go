package kind

import (
	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// crate reads crates. Those of a plugin are in no tree, because cargo compiles them; of
// a runtime each has the folder that cargo gives it.
var crate = Kind{
	roots: func(_ string, f lock.File) []string { return []string{f.Name + "-" + f.Version} },
	options: func(*Artifact, *Content) archive.Options {
		return archive.Options{Format: "tar.gz", StripTop: true}
	},
	keep: func(name string) int {
		if name == "Cargo.toml" || name == "Cargo.lock" {
			return 4 << 20 // more than is parsed
		}
		return 0
	},
	check: func(a *Artifact, c *Content) error {
		return cargo.Check(CrateSource(cargo.Crate{Name: a.File.Name, Version: a.File.Version}, c))
	},
}

// CrateSource returns the parts of a crate that cargo needs to resolve.
func CrateSource(crate cargo.Crate, c *Content) *cargo.Source {
	source := &cargo.Source{Crate: crate, Manifest: c.Heads["Cargo.toml"], Lockfile: c.Heads["Cargo.lock"]}
	for _, f := range c.Files {
		source.Files = append(source.Files, f.Path)
	}
	return source
}
