package catalog

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/glob"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// A Protos says how to lock a known proto package.
type Protos struct {
	About           string          `toml:"about"`
	From            string          `toml:"from"`
	Root            string          `toml:"root"`   // see [manifest.Protos]
	Only            []string        `toml:"files"`  // see [manifest.Protos]
	Serves          []string        `toml:"serves"` // patterns of the imports that it provides
	BSR             []string        `toml:"bsr"`    // OWNER/NAME of modules in Buf's registry with the same files
	manifest.Naming                 // of its archive
	Source          manifest.Source `toml:"-"` // parsed from From
}

// check validates a recipe and parses its source.
func (p *Protos) check(name string) (err error) {
	if err := syntax.CheckName(name); err != nil {
		return err
	}
	if p.About == "" || len(p.Serves) == 0 {
		return errors.New("about and serves are needed")
	}
	if p.Source, err = manifest.ParseSource(p.From); err != nil {
		return err
	}
	if err := p.Naming.Check(p.Source, ""); err != nil {
		return err
	}
	if err := manifest.CheckProtos(p.Source, p.Naming); err != nil {
		return err
	}
	if p.Root != "" {
		if err := manifest.CheckRoot(p.Root); err != nil {
			return err
		}
	}
	for _, pattern := range slices.Concat(p.Only, p.Serves) {
		if err := lock.CheckOnly(pattern); err != nil {
			return err
		}
	}
	return nil
}

// ProtosNames returns the names of all known proto packages, sorted.
func (c *Catalog) ProtosNames() []string { return slices.Sorted(maps.Keys(c.protos)) }

// Protos returns the recipe of a proto package. Ok is false if there is none.
func (c *Catalog) Protos(name string) (p Protos, ok bool) {
	p, ok = c.protos[name]
	return p, ok
}

// Serving returns the name of the known proto package that provides an import,
// or "".
func (c *Catalog) Serving(importPath string) string {
	for _, name := range c.ProtosNames() {
		if slices.ContainsFunc(c.protos[name].Serves, func(p string) bool { return glob.Match(p, importPath) }) {
			return name
		}
	}
	return ""
}

// Module returns the name of the known proto package that has the files of a module of
// Buf's registry, OWNER/NAME, "" for none.
func (c *Catalog) Module(module string) string {
	for _, name := range c.ProtosNames() {
		if slices.Contains(c.protos[name].BSR, module) {
			return name
		}
	}
	return ""
}

// UnknownProtos returns the error, of class [fault.Usage], for a proto package
// that is not known by name.
func (c *Catalog) UnknownProtos(name string) error {
	known := c.ProtosNames()
	hint := fmt.Sprintf("say where it is: %s = { version = \"…\", source = \"go:MODULE\" }, or another source; known names are %s", name, fault.List(known))
	return fault.Errorf(fault.Usage, fault.DidYouMean(name, known, hint), "there is no known proto package %q", name)
}
