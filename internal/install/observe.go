package install

import (
	"context"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// A Tier says where a folder, or the bytes of one file, came from.
type Tier string

// The tiers. A folder is of one of the first three, a file of one of the others;
// what was in the cache already, or was given by the caller, is no file of them.
const (
	FromCache    Tier = "cache"           // the folder was in the cache
	FromManager  Tier = "package-manager" // the folder was built by a package manager
	FromUnpacker Tier = "unpacker"        // the folder was made by our own strict unpacker
	FromOCI      Tier = "oci"             // a file, or a ready folder, from an OCI registry or layout
	FromHTTP     Tier = "http"            // a file from a mirror or its origin over HTTP
)

// Tiers lists the tiers in the order in which they are shown.
func Tiers() []Tier {
	return []Tier{FromCache, FromManager, FromUnpacker, FromOCI, FromHTTP}
}

// An Event is a folder or file that was obtained, or a failed attempt.
type Event struct {
	Tier     Tier
	Bytes    int64         // of the locked files that it stands for; what arrived, where it failed
	Duration time.Duration // of this step alone
	Err      error         // nil when it worked
}

// observe tells an event, unless it failed because the user stopped it.
func (i *Installer) observe(ctx context.Context, e Event) {
	if i.Observe != nil && (e.Err == nil || ctx.Err() == nil) {
		i.Observe(e)
	}
}

// Folders returns, for an entry and then its runtime, the size of the locked
// files of the folder that a platform needs, as [Event] has it.
func Folders(e *lock.Entry, platform string) (bytes []int64) {
	for ; e != nil; e = e.Runtime {
		if _, served, err := e.Locked.Cell(platform); err == nil {
			bytes = append(bytes, bytesOf(e.Locked, served))
		}
	}
	return bytes
}

// bytesOf is the size of the files of a version that a platform needs.
func bytesOf(v *lock.Version, served string) (n int64) {
	for _, key := range v.FilesFor(served) {
		n += v.Files[key].Size
	}
	return n
}
