package kind

import (
	"fmt"
	"path"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// maxGoMod is the largest go.mod that cmd/go reads, in bytes.
const maxGoMod = 16 << 20

// module reads the zip of a module, or a go.mod. It is verified by the hash of
// its files, so the zip may be compressed in any way.
var module = Kind{
	// A runtime has several modules in its tree; Go itself is one.
	roots: func(key string, f lock.File) []string {
		if f.Name == lock.GoToolchain || path.Ext(key) != ".zip" {
			return []string{""}
		}
		return []string{f.Name + "@v" + f.Version}
	},
	options: func(a *Artifact, _ *Content) archive.Options { return gotool.Unpacking(a.Key, a.File) },
	keep: func(name string) int {
		if name == "go.mod" {
			return maxGoMod + 1
		}
		return 0
	},
	rule: fmt.Sprintf("go %d", gotool.ExecRule),
	check: func(a *Artifact, c *Content) error {
		text := c.Heads["go.mod"]
		if len(text) > maxGoMod {
			return fault.Errorf(fault.Integrity, "do not use it; tell the author of the module", "go.mod has more than %d bytes", maxGoMod)
		}
		return gotool.Check(a.Key, a.File, c.Files, text)
	},
}
