package source

import (
	"context"

	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// A Program is an executable of a package, for an entry of the manifest that is to
// be written.
type Program struct {
	Name    string // of the executable
	Binary  string // what the entry says of it
	Runtime string // what runs it, "" for nothing
	Main    string // go: the folder of its main package, "" for the root of the module

	Naming    manifest.Naming              // github: how the files of releases are called
	Platforms map[string]manifest.Override // github: assets that are called otherwise
}

// A Describer is a [Source] that knows the programs of a package that nobody has
// described.
type Describer interface {
	// Programs lists those of a version of w, in no order. Binary of w means nothing.
	Programs(ctx context.Context, w *plan.Want) ([]Program, error)
}

// A Tagger is a [Source] of releases with tags.
type Tagger interface {
	// Tag finds the form of the tags of the repository of w, of its newest release
	// that has a version in its tag; "" for the usual one.
	Tag(ctx context.Context, w *plan.Want) (template string, err error)
}
