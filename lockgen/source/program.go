package source

import (
	"context"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
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
	// Binary of w. Where each platform has a file of its own, it looks into that of
	// the first of some platforms that has one.
	Programs(ctx context.Context, w *plan.Want, on []lock.Platform) ([]Program, error)
}

// Choose is the program called binary or, without that, the only one that is a plugin
// of protoc. Say is how a person chooses one of several.
func Choose(from manifest.Source, programs []Program, binary string, say func(p Program) string) (Program, error) {
	var names []string
	var plugins []Program
	for _, p := range programs {
		if names = append(names, p.Name); binary == p.Name {
			return p, nil
		}
		if strings.HasPrefix(p.Name, "protoc-gen-") {
			plugins = append(plugins, p)
		}
	}
	switch {
	case len(names) == 0:
		return Program{}, fault.Errorf(fault.Usage, "name the package that holds the plugin", "%s has no executable: it is a library", from)
	case binary != "":
		return Program{}, fault.Errorf(fault.Usage, "choose one of them with --binary", "%s has no executable %q; it has %s", from, binary, fault.List(names))
	case len(plugins) == 1:
		return plugins[0], nil
	case len(plugins) > 1:
		names = nil
		for _, p := range plugins {
			names = append(names, p.Name)
		}
		return Program{}, fault.Errorf(fault.Usage, "choose one: "+say(plugins[0]), "%s has several plugins: %s", from, fault.List(names))
	}
	return Program{}, fault.Errorf(fault.Usage, "if one of them is a plugin, choose it: "+say(programs[0]), "%s has no executable protoc-gen-…; it has %s", from, fault.List(names))
}

// A Tagger is a [Source] of releases with tags.
type Tagger interface {
	// Tag finds the form of the tags in the repository of w, from its newest
	// release with a version in its tag; "" for the usual form.
	Tag(ctx context.Context, w *plan.Want) (template string, err error)
}
