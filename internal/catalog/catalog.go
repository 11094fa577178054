// Package catalog has the plugins that are known by name: where to get them,
// which file is the executable, and which names cannot be locked and why. The
// data is in catalog.toml; to add a plugin, edit that file and no code.
package catalog

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/BurntSushi/toml"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

//go:embed catalog.toml
var text string

// A Recipe says how to lock a known plugin.
type Recipe struct {
	About   string                 `toml:"about"`
	Runtime string                 `toml:"runtime"` // the plugin that runs this one; "" for none
	Smoke   []string               `toml:"smoke"`   // arguments with which to try a program that is not a plugin; nil for a plugin
	Options []string               `toml:"options"` // options that a plugin needs to be tried, as for --NAME_opt
	Untried bool                   `toml:"untried"` // it cannot be tried with any options
	Fits    []Fit                  `toml:"fits"`
	Agrees  string                 `toml:"agrees"` // cargo: the crate that the generated code is compiled with; "" for none
	Rule    string                 `toml:"rule"`   // LANGUAGE of its rule LANGUAGE_proto_library; "" for none
	Attr    string                 `toml:"attr"`   // the attribute of that rule that enables it; "" if it is always on
	Makes   []string               `toml:"makes"`  // NAME of each --NAME_out that is built into a protoc
	BSR     map[string]string      `toml:"bsr"`    // OWNER/NAME of Buf's remote plugins for this one, with the option that each adds
	Sources []manifest.Alternative `toml:"-"`      // in the order of the attempts; at least one
}

// A Fit is a requirement of one plugin on another, if a lock has both.
type Fit struct {
	Plugin   string `toml:"plugin"`
	Versions string `toml:"versions"` // a range; one version in it must be locked
	Hint     string `toml:"hint"`     // what to do if there is none
}

// A refusal is a name or a source that cannot be locked.
type refusal struct {
	From   string   `toml:"from"`
	Reason string   `toml:"reason"`
	Use    string   `toml:"use"`
	Do     string   `toml:"do"`
	BSR    []string `toml:"bsr"`
}

// A Catalog has the plugins that are known by name.
type Catalog struct {
	plugins  map[string]Recipe
	refused  map[string]refusal // by name and by source
	protos   map[string]Protos
	runtimes map[string]map[string]Runtime // by language
	called   map[string]string             // names of plugins by their other names
}

// Builtin returns the catalogue that is compiled into the program.
var Builtin = sync.OnceValue(func() *Catalog {
	c, err := parse(text)
	if err != nil {
		panic("catalog.toml: " + err.Error()) // a test parses it
	}
	return c
})

// An entry is a recipe as written in catalog.toml.
type entry struct {
	Recipe
	Sources []struct {
		From string `toml:"from"`
		manifest.Spec
	} `toml:"sources"`
}

func parse(text string) (*Catalog, error) {
	var file struct {
		Plugins  map[string]entry              `toml:"plugins"`
		Refused  map[string]refusal            `toml:"refused"`
		Called   map[string]string             `toml:"called"`
		Protos   map[string]Protos             `toml:"protos"`
		Runtimes map[string]map[string]Runtime `toml:"runtimes"`
	}
	meta, err := toml.Decode(text, &file)
	if err != nil {
		return nil, err
	}
	if keys := meta.Undecoded(); len(keys) > 0 {
		return nil, fmt.Errorf("unknown key %s", keys[0])
	}
	c := &Catalog{plugins: map[string]Recipe{}, refused: map[string]refusal{}, protos: map[string]Protos{}, runtimes: file.Runtimes, called: file.Called}
	for name, p := range file.Protos {
		if err := p.check(name); err != nil {
			return nil, fmt.Errorf("protos %s: %w", name, err)
		}
		c.protos[name] = p
	}
	for language, runtimes := range file.Runtimes {
		for name, r := range runtimes {
			if err := r.check(language, name); err != nil {
				return nil, fmt.Errorf("runtimes %s %s: %w", language, name, err)
			}
		}
	}
	for name, e := range file.Plugins {
		r, err := e.recipe(file.Plugins)
		if err == nil {
			err = syntax.CheckName(name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		c.plugins[name] = r
	}
	for name, r := range file.Refused {
		if err := c.refuse(name, r); err != nil {
			return nil, fmt.Errorf("refused %s: %w", name, err)
		}
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

// recipe validates an entry; all has the other entries.
func (e entry) recipe(all map[string]entry) (Recipe, error) {
	r := e.Recipe
	if r.About == "" || len(e.Sources) == 0 {
		return r, errors.New("about and sources are needed")
	}
	if r.Rule == "" && r.Attr != "" {
		return r, errors.New("attr without rule")
	}
	for name := range e.BSR {
		if _, of, ok := strings.Cut(name, "/"); !ok || len(e.Makes) > 0 && !slices.Contains(e.Makes, of) {
			return r, fmt.Errorf("bsr: %q is not OWNER/NAME, or not one that it makes", name)
		}
	}
	if _, ok := all[r.Runtime]; r.Runtime != "" && !ok {
		return r, fmt.Errorf("unknown runtime %s", r.Runtime)
	}
	for _, f := range e.Fits {
		if _, ok := all[f.Plugin]; !ok || f.Versions == "" || f.Hint == "" {
			return r, errors.New("fits needs a known plugin, versions and hint")
		}
	}
	for _, s := range e.Sources {
		from, err := manifest.ParseSource(s.From)
		if err == nil {
			err = s.Spec.Check(from)
		}
		if err != nil {
			return r, err
		}
		r.Sources = append(r.Sources, manifest.Alternative{Source: from, Spec: s.Spec})
	}
	return r, nil
}

// refuse adds a name or a source that cannot be locked.
func (c *Catalog) refuse(name string, r refusal) error {
	if _, ok := c.plugins[name]; ok || r.Reason == "" || (r.Use == "") == (r.Do == "") {
		return errors.New("reason and either use or do are needed, and no recipe")
	}
	c.refused[name] = r
	for _, remote := range r.BSR {
		if _, ok := c.refused[remote]; ok || c.Remote(remote) != "" {
			return fmt.Errorf("bsr: %s is something else", remote)
		}
		c.refused[remote] = r
	}
	from := r.From
	if strings.Contains(name, ":") {
		from = name
	}
	if from == "" {
		return nil
	}
	if _, err := manifest.ParseSource(from); err != nil {
		return err
	}
	c.refused[from] = r
	return nil
}

// Names returns the names of all recipes, sorted.
func (c *Catalog) Names() []string { return slices.Sorted(maps.Keys(c.plugins)) }

// Lookup returns the recipe with a name. Ok is false if there is none.
func (c *Catalog) Lookup(name string) (r Recipe, ok bool) {
	r, ok = c.plugins[name]
	return r, ok
}

// Remote returns the name of the plugin that is OWNER/NAME in Buf's registry,
// or "".
func (c *Catalog) Remote(remote string) string {
	for _, name := range c.Names() {
		if _, ok := c.plugins[name].BSR[remote]; ok {
			return name
		}
	}
	return ""
}

// RemoteVersion returns the version of a plugin for one of Buf's registry, whose versions
// begin with v. The oldest end with a revision.
func RemoteVersion(version string) string {
	version, _, _ = strings.Cut(version, "-")
	return strings.TrimPrefix(version, "v")
}

// Program returns the name of the plugin with this executable, or "". If there
// are several, it is the one with the same name.
func (c *Catalog) Program(file string) string {
	if _, ok := c.plugins[file]; ok {
		return file
	}
	for _, name := range c.Names() {
		for _, s := range c.plugins[name].Sources {
			if path.Base(s.Binary) == file {
				return name
			}
		}
	}
	return ""
}

// Refused returns an error of class [fault.Usage], with the reason and the
// replacement, if a name, a source in the form of [manifest.Source.String], or
// OWNER/NAME of a plugin in Buf's registry cannot be locked; otherwise nil.
func (c *Catalog) Refused(name string) error {
	r, ok := c.refused[name]
	if !ok {
		return nil
	}
	hint := "use " + r.Use
	if r.Do != "" {
		hint = r.Do
	} else if _, ok := c.plugins[r.Use]; !ok {
		hint += ", which this version of lockgen does not know by name yet"
	}
	return fault.Errorf(fault.Usage, hint, "%s cannot be locked: %s", name, r.Reason)
}

// Nearest returns the known name that a misspelt name most likely means, or "".
// A name with another language, such as protoc-gen-js, or with another version,
// such as protoc-gen-py3, is not misspelt.
func (c *Catalog) Nearest(name string) string {
	near := fault.Nearest(name, c.Names())
	const plugin = "protoc-gen-" // a common prefix, ignored in comparisons
	word, ok := strings.CutPrefix(name, plugin)
	if of, also := strings.CutPrefix(near, plugin); ok && also && fault.Nearest(word, []string{of}) == "" {
		return ""
	}
	const digits = "0123456789"
	if name != near && strings.TrimRight(name, digits) == strings.TrimRight(near, digits) || ok && synonyms[strings.ToLower(word)] != "" {
		return ""
	}
	return near
}

// NAPI returns the name of a platform in the file names of native modules by
// napi-rs (https://napi.rs/docs/cross-build/summary): linux-x64-gnu,
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
