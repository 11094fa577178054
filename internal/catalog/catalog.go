// Package catalog knows the plugins that people ask for by name: where each one
// lives, which of its files is the executable, and which names cannot work and
// why. The knowledge is in catalog.toml; a plugin is added there, not in code.
package catalog

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

//go:embed catalog.toml
var text string

// A Recipe tells how to lock one known plugin.
type Recipe struct {
	About   string
	Runtime string   // the plugin that runs this one, or ""
	Smoke   []string // arguments with which a program that is no plugin proves that it runs, nil for a plugin
	Fits    []Fit
	Agrees  string   // cargo: the crate with which the generated code is compiled, "" for none
	Rule    string   // LANGUAGE of the rule LANGUAGE_proto_library that is for it, "" for none
	Attr    string   // the attribute of that rule that asks for it, "" where nothing has to
	Makes   []string // NAME of each --NAME_out that a protoc has without a plugin
	Sources []Source // at least one, in the order in which they are tried
}

// A Fit is what one plugin needs of another one, where a lock has both.
type Fit struct {
	Plugin   string `toml:"plugin"`
	Versions string `toml:"versions"` // a range, of which one version must be locked
	Hint     string `toml:"hint"`     // what to do where none is
}

// A Source is one place where a known plugin can be had.
type Source struct {
	Source    manifest.Source
	Main      string   // go: folder of the main package in the module, "" for its root
	Binary    string   // npm, cargo, go: name of the executable; pip: that of a console script, or a path; else its path in the tree
	Entry     string   // pip: what Python starts, "" for the console script; see [lock.CheckEntry]
	Generator string   // pip: Entry is a protoc, whose --NAME_out of this name is the plugin
	Windows   string   // path of the executable on Windows, "" where only .exe differs
	Include   string   // folder of .proto files in the tree, or ""
	Requires  []string // npm: templates of files that each platform needs, see [NAPI]
	Until     string   // the first version that cannot be locked, "" for none
	Reason    string   // why that is so
	Naming    manifest.Naming
	Assets    map[string]string // github: the asset of a platform that Naming does not name
}

// refusal is a name, or a source, that cannot be locked.
type refusal struct {
	From   string `toml:"from"`
	Reason string `toml:"reason"`
	Use    string `toml:"use"`
}

// A Catalog is the set of known names.
type Catalog struct {
	plugins map[string]Recipe
	refused map[string]refusal // by name, and by source
	called  map[string]string  // names of plugins by what people also call them
}

// Builtin returns the catalogue that is part of the program.
var Builtin = sync.OnceValue(func() *Catalog {
	c, err := parse(text)
	if err != nil {
		panic("catalog.toml: " + err.Error()) // a test parses it
	}
	return c
})

func parse(text string) (*Catalog, error) {
	var file struct {
		Plugins map[string]struct {
			About   string   `toml:"about"`
			Runtime string   `toml:"runtime"`
			Smoke   []string `toml:"smoke"`
			Fits    []Fit    `toml:"fits"`
			Agrees  string   `toml:"agrees"`
			Rule    string   `toml:"rule"`
			Attr    string   `toml:"attr"`
			Makes   []string `toml:"makes"`
			Sources []struct {
				From      string   `toml:"from"`
				Package   string   `toml:"package"`
				Binary    string   `toml:"binary"`
				Entry     string   `toml:"entry"`
				Generator string   `toml:"generator"`
				Windows   string   `toml:"windows"`
				Include   string   `toml:"include"`
				Requires  []string `toml:"requires"`
				Until     string   `toml:"until"`
				Reason    string   `toml:"reason"`

				Tag       string            `toml:"tag"`
				Asset     string            `toml:"asset"`
				Assets    map[string]string `toml:"assets"`
				Checksums string            `toml:"checksums"`
				OS        map[string]string `toml:"os"`
				Arch      map[string]string `toml:"arch"`
			} `toml:"sources"`
		} `toml:"plugins"`
		Refused map[string]refusal `toml:"refused"`
		Called  map[string]string  `toml:"called"`
	}
	meta, err := toml.Decode(text, &file)
	if err != nil {
		return nil, err
	}
	if keys := meta.Undecoded(); len(keys) > 0 {
		return nil, fmt.Errorf("unknown key %s", keys[0])
	}
	c := &Catalog{plugins: map[string]Recipe{}, refused: map[string]refusal{}, called: file.Called}
	for name, p := range file.Plugins {
		if err := lock.CheckName(name); err != nil {
			return nil, err
		}
		r := Recipe{About: p.About, Runtime: p.Runtime, Smoke: p.Smoke, Fits: p.Fits, Agrees: p.Agrees, Rule: p.Rule, Attr: p.Attr, Makes: p.Makes}
		if r.About == "" || len(p.Sources) == 0 {
			return nil, fmt.Errorf("%s: about and sources are needed", name)
		}
		if r.Rule == "" && r.Attr != "" {
			return nil, fmt.Errorf("%s: attr without rule", name)
		}
		if _, ok := file.Plugins[r.Runtime]; r.Runtime != "" && !ok {
			return nil, fmt.Errorf("%s: unknown runtime %s", name, r.Runtime)
		}
		for _, f := range p.Fits {
			if _, ok := file.Plugins[f.Plugin]; !ok || f.Versions == "" || f.Hint == "" {
				return nil, fmt.Errorf("%s: fits needs a known plugin, versions and hint", name)
			}
		}
		for _, s := range p.Sources {
			from, err := manifest.ParseSource(s.From)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			if (s.Until == "") != (s.Reason == "") {
				return nil, fmt.Errorf("%s: until and reason need each other", name)
			}
			if s.Binary == "" {
				return nil, fmt.Errorf("%s: binary is missing", name)
			}
			if s.Package != "" && !lock.KindOf(from.Kind).Mains {
				return nil, fmt.Errorf("%s: package is for go sources", name)
			}
			if s.Entry != "" && (from.Kind != lock.Pip || lock.CheckEntry(s.Entry) != nil) || s.Generator != "" && s.Entry == "" {
				return nil, fmt.Errorf("%s: entry %q, generator %q: not of source pip, or no entry", name, s.Entry, s.Generator)
			}
			naming := manifest.Naming{Tag: s.Tag, Asset: s.Asset, Checksums: s.Checksums, OS: s.OS, Arch: s.Arch}
			if err := naming.Check(from); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			for platform := range s.Assets {
				if _, ok := lock.LookupPlatform(platform); !ok || s.Asset == "" {
					return nil, fmt.Errorf("%s: assets.%s: no such platform, or no asset", name, platform)
				}
			}
			r.Sources = append(r.Sources, Source{from, s.Package, s.Binary, s.Entry, s.Generator, s.Windows, s.Include, s.Requires, s.Until, s.Reason, naming, s.Assets})
		}
		c.plugins[name] = r
	}
	for name, r := range file.Refused {
		if _, ok := c.plugins[name]; ok || r.Reason == "" || r.Use == "" {
			return nil, fmt.Errorf("refused %s: reason and use are needed, and no recipe", name)
		}
		c.refused[name] = r
		from := r.From
		if strings.Contains(name, ":") {
			from = name
		}
		if from == "" {
			continue
		}
		if _, err := manifest.ParseSource(from); err != nil {
			return nil, fmt.Errorf("refused %s: %w", name, err)
		}
		c.refused[from] = r
	}
	for name, of := range c.called {
		_, known := c.plugins[name]
		_, refused := c.refused[name]
		if _, ok := c.plugins[of]; !ok || known || refused {
			return nil, fmt.Errorf("called %s: %s must be a recipe, and %s nothing else", name, of, name)
		}
	}
	return c, nil
}

// Names returns the names of all recipes, sorted.
func (c *Catalog) Names() []string { return slices.Sorted(maps.Keys(c.plugins)) }

// Lookup returns the recipe of a name; ok is false where there is none.
func (c *Catalog) Lookup(name string) (r Recipe, ok bool) {
	r, ok = c.plugins[name]
	return r, ok
}

// Refused returns an error of class [fault.Usage] with the reason and the
// replacement for a name, or a source in the form of [manifest.Source.String], that
// cannot be locked, else nil.
func (c *Catalog) Refused(name string) error {
	r, ok := c.refused[name]
	if !ok {
		return nil
	}
	hint := "use " + r.Use
	if _, ok := c.plugins[r.Use]; !ok {
		hint += ", which this version of lockgen does not know by name yet"
	}
	return fault.Errorf(fault.Usage, hint, "%s cannot be locked: %s", name, r.Reason)
}

// Nearest returns the known name that a misspelt one most likely means, or "".
func (c *Catalog) Nearest(name string) string {
	near := fault.Nearest(name, c.Names())
	const plugin = "protoc-gen-" // what all of them begin with makes nothing alike
	word, ok := strings.CutPrefix(name, plugin)
	if of, also := strings.CutPrefix(near, plugin); ok && also && fault.Nearest(word, []string{of}) == "" {
		return ""
	}
	return near
}

// NAPI is the name that napi-rs gives a platform in the file names of native
// modules (https://napi.rs/docs/cross-build/summary): linux-x64-gnu,
// darwin-arm64, win32-x64-msvc.
func NAPI(p lock.Platform) string {
	switch p.OS {
	case "linux":
		return p.NodeOS + "-" + p.NodeCPU + "-gnu"
	case "windows":
		return p.NodeOS + "-" + p.NodeCPU + "-msvc"
	}
	return p.NodeOS + "-" + p.NodeCPU
}
