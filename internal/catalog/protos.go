package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

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
		if err := syntax.CheckOnly(pattern); err != nil {
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

// SearchProtos returns the known proto packages in whose name, source, modules,
// description or imports all words of a text are found, the best first; all for no
// words. Of a whole import path it is the one that provides it.
func (c *Catalog) SearchProtos(text string) []Match {
	if name := c.Serving(text); name != "" && strings.HasSuffix(text, ".proto") {
		return []Match{{Name: lock.ProtosPrefix + name, About: c.protos[name].About}}
	}
	var found []Match
	for _, name := range c.ProtosNames() {
		p := c.protos[name]
		m := Match{Name: lock.ProtosPrefix + name, About: p.About}
		places := [4][]string{wordsOf(name), wordsOf(strings.Join(p.Serves, " ")), wordsOf(p.From + " " + strings.Join(p.BSR, " ")), append(wordsOf(p.About), "protos")}
		for _, word := range wordsOf(text) {
			rank := rankOf(word, places)
			if m.rank += rank; rank == none {
				m.rank = -1
				break
			}
		}
		if m.rank >= 0 {
			found = append(found, m)
		}
	}
	slices.SortStableFunc(found, func(a, b Match) int { return cmp.Compare(a.rank, b.rank) })
	return found
}

// BufRegistry is the host of Buf's registry, as names of its modules have it.
const BufRegistry = "buf.build"

// wellKnownModule is the module of Buf's registry with the files that come with protoc.
const wellKnownModule = "protocolbuffers/wellknowntypes"

// IsModule reports whether a name has the form of a module in the deps of a buf.yaml,
// HOST/OWNER/NAME or HOST/OWNER/NAME:LABEL.
func IsModule(name string) bool {
	host, rest, _ := strings.Cut(name, "/")
	return strings.Contains(host, ".") && rest != ""
}

// Module returns the name of the known proto package that has the files of a module,
// HOST/OWNER/NAME, or "". WellKnown reports that they come with protoc.
func (c *Catalog) Module(module string) (name string, wellKnown bool) {
	host, module, _ := strings.Cut(module, "/")
	if host != BufRegistry {
		return "", false
	}
	for _, name := range c.ProtosNames() {
		if slices.Contains(c.protos[name].BSR, module) {
			return name, false
		}
	}
	return "", module == wellKnownModule
}

// UnknownProtos returns the error, of class [fault.Usage], for a proto package
// that is not known by name.
func (c *Catalog) UnknownProtos(name string) error {
	known := c.ProtosNames()
	hint := fmt.Sprintf("say where it is: %s = { version = \"…\", source = \"go:MODULE\" }, or another source; known names are %s", name, fault.List(known))
	return fault.Errorf(fault.Usage, fault.DidYouMean(name, known, hint), "there is no known proto package %q", name)
}
