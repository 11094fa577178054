package kind

import (
	"fmt"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/npm"
)

const packageJSON = "package.json"

// npmPackage reads the tarball of a package, whose folder is its key. As npm
// does, it makes the files in "bin" of package.json executable. An unreadable
// package.json has no bins: lockgen refuses such a package.
var npmPackage = Kind{
	roots: func(key string, _ lock.File) []string { return []string{key} },
	options: func(_ *Artifact, c *Content) archive.Options {
		c.PackageJSON = sync.OnceValues(func() (*npm.PackageJSON, error) { return npm.ParsePackageJSON(c.Heads[packageJSON]) })
		return archive.Options{Format: "tar.gz", StripTop: true, Exec: func(name string) bool {
			pkg, err := c.PackageJSON() // all files have been read by now
			return err == nil && pkg.Executable[name]
		}}
	},
	keep: func(name string) int {
		if name == packageJSON {
			return 4 << 20
		}
		return 0
	},
	rule: fmt.Sprintf("bins %d", npm.BinsRule),
}
