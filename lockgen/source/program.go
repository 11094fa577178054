package source

import (
	"context"

	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// A Program is an executable of a package, for a new entry of the manifest.
type Program struct {
	Name    string // of the executable
	Binary  string // as in the entry
	Runtime string // what runs it; "" for nothing
	Main    string // go: the folder of its main package; "" for the root of the module

	Source    *manifest.Source             // of a URL: the template of it; nil for that of the question
	Naming    manifest.Naming              // github and URLs: how files are named
	Platforms map[string]manifest.Override // likewise: those with other names
}

// A Describer is a [Source] that can list the programs of a package without a
// recipe.
type Describer interface {
	// Programs lists the programs of a version of w, in no order. It ignores
	// Binary of w.
	Programs(ctx context.Context, w *plan.Want) ([]Program, error)
}

// A Tagger is a [Source] of releases with tags.
type Tagger interface {
	// Tag finds the form of the tags in the repository of w, from its newest
	// release with a version in its tag; "" for the usual form.
	Tag(ctx context.Context, w *plan.Want) (template string, err error)
}
