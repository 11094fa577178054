package install

import (
	"context"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// A Tier says where a folder or a file came from.
type Tier string

// The tiers. A folder has one of the first three, a file one of the others.
// Files that were in the cache or given by the caller are not reported.
const (
	FromCache    Tier = "cache"           // the folder was in the cache
	FromManager  Tier = "package-manager" // a package manager built the folder
	FromUnpacker Tier = "unpacker"        // our own unpacker made the folder
	FromOCI      Tier = "oci"             // a file or a ready folder from an OCI registry or layout
	FromHTTP     Tier = "http"            // a file from a mirror or its origin over HTTP
)

// Tiers lists the tiers in the order to show them.
func Tiers() []Tier {
	return []Tier{FromCache, FromManager, FromUnpacker, FromOCI, FromHTTP}
}

// An Event is a folder or file that was obtained, or a failed attempt.
type Event struct {
	Tier     Tier
	Bytes    int64         // of the locked files involved; for a failure, what arrived
	Duration time.Duration // of this step
	Err      error         // nil if it succeeded
}

// observe reports an event, unless it is a failure because the user stopped the
// program.
func (i *Installer) observe(ctx context.Context, e Event) {
	if i.Observe != nil && (e.Err == nil || ctx.Err() == nil) {
		i.Observe(e)
	}
}

// Folders returns the size of the locked files, as in [Event], of the folder of
// an entry on a platform, and then of its runtime.
func Folders(e *lock.Entry, platform string) (bytes []int64) {
	for ; e != nil; e = e.Runtime {
		if _, served, err := e.Locked.Cell(platform); err == nil {
			bytes = append(bytes, bytesOf(e.Locked, served))
		}
	}
	return bytes
}

// bytesOf returns the size of the files of a version that a platform needs.
func bytesOf(v *lock.Version, served string) (n int64) {
	for _, key := range v.FilesFor(served) {
		n += v.Files[key].Size
	}
	return n
}
