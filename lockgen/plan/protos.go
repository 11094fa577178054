package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// planProtos is [planPlugin] for an entry of [protos].
func planProtos(m *manifest.Manifest, name string) (*Want, error) {
	p, at := m.Plugins[name], m.At("plugins", name)
	bare, _ := lock.ProtosName(name)
	recipe, known := catalog.Builtin().Protos(bare)
	if p.Source == nil && !known {
		return nil, fmt.Errorf("%s: %w", at, catalog.Builtin().UnknownProtos(bare))
	}
	w := &Want{Name: name, At: at, Untried: true, Known: p.Source == nil, Proto: &manifest.Protos{Root: p.Protos.Root, Only: p.Protos.Only, Deps: p.Protos.Deps}}
	if p.Source != nil {
		w.From, w.Naming = *p.Source, p.Naming
		if w.From != recipe.Source {
			return w, nil
		}
	}
	w.From = recipe.Source
	if p.Source == nil {
		w.Naming = recipe.Naming
	}
	w.Proto.Root = cmp.Or(w.Proto.Root, recipe.Root)
	if w.Proto.Only == nil {
		w.Proto.Only = recipe.Only
	}
	return w, nil
}

// ProtosRoot returns the folder of the archive of a proto package that import
// paths start at.
func (w *Want) ProtosRoot() string { return manifest.Expand(w.Proto.Root, w.Version, lock.Platform{}) }

// protos compares a locked proto package with a want.
func (d *comparison) protos() {
	w, v := d.w, d.v
	d.compare("source", w.From.Kind, v.Source, false)
	d.compare("package", w.PackageName(), v.Package, false)
	d.compare("root", w.ProtosRoot(), v.Root, false)
	d.compare("files", strings.Join(w.Proto.Only, " "), strings.Join(v.Only, " "), false)
	if w.Proto.Deps != nil && !slices.Equal(w.Proto.Deps, v.Deps) {
		d.compare("deps", strings.Join(w.Proto.Deps, " "), strings.Join(v.Deps, " "), false)
	}
	if w.From.Kind != v.Source {
		return
	}
	d.addresses(lock.Platforms[0], "")
}
