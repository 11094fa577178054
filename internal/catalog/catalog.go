// Package catalog knows the plugins that people ask for by name: where each one
// lives, which of its files is the executable, and which names cannot work and
// why. The knowledge is in catalog.toml; a plugin is added there, not in code.
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
)

//go:embed catalog.toml
var text string

// A Recipe says how to lock one known plugin.
type Recipe struct {
	About   string                 `toml:"about"`
	Runtime string                 `toml:"runtime"` // the plugin that runs this one, or ""
	Smoke   []string               `toml:"smoke"`   // arguments with which a program that is no plugin proves that it runs, nil for a plugin
	Options []string               `toml:"options"` // without which a plugin cannot be tried, as --NAME_opt takes them
	Untried bool                   `toml:"untried"` // no option is enough to try it
	Fits    []Fit                  `toml:"fits"`
	Agrees  string                 `toml:"agrees"` // cargo: the crate with which the generated code is compiled, "" for none
	Rule    string                 `toml:"rule"`   // LANGUAGE of the rule LANGUAGE_proto_library that is for it, "" for none
	Attr    string                 `toml:"attr"`   // the attribute of that rule that asks for it, "" where nothing has to
	Makes   []string               `toml:"makes"`  // NAME of each --NAME_out that a protoc has without a plugin
	BSR     map[string]string      `toml:"bsr"`    // OWNER/NAME of Buf's remote plugins that are this one, with the option that each adds
	Sources []manifest.Alternative `toml:"-"`      // at least one, in the order in which they are tried
}

// A Fit is what one plugin requires of another one if a lock has both.
type Fit struct {
	Plugin   string `toml:"plugin"`
	Versions string `toml:"versions"` // a range, of which one version must be locked
	Hint     string `toml:"hint"`     // what to do where none is
}

// refusal is a name, or a source, that cannot be locked.
type refusal struct {
	From   string   `toml:"from"`
	Reason string   `toml:"reason"`
	Use    string   `toml:"use"`
	Do     string   `toml:"do"`
	BSR    []string `toml:"bsr"`
}

// A Catalog holds the plugins that are known by name.
type Catalog struct {
	plugins map[string]Recipe
	refused map[string]refusal // by name, and by source
	protos  map[string]Protos
	called  map[string]string // names of plugins by what people also call them
}

// Builtin returns the catalogue that is part of the program.
var Builtin = sync.OnceValue(func() *Catalog {
	c, err := parse(text)
	if err != nil {
		panic("catalog.toml: " + err.Error()) // a test parses it
	}
	return c
})

// entry is a recipe as catalog.toml has it.
type entry struct {
	Recipe
	Sources []struct {
		From string `toml:"from"`
		manifest.Spec
	} `toml:"sources"`
}

func parse(text string) (*Catalog, error) {
	var file struct {
		Plugins map[string]entry   `toml:"plugins"`
		Refused map[string]refusal `toml:"refused"`
		Called  map[string]string  `toml:"called"`
		Protos  map[string]Protos  `toml:"protos"`
	}
	meta, err := toml.Decode(text, &file)
	if err != nil {
		return nil, err
	}
	if keys := meta.Undecoded(); len(keys) > 0 {
		return nil, fmt.Errorf("unknown key %s", keys[0])
	}
	c := &Catalog{plugins: map[string]Recipe{}, refused: map[string]refusal{}, protos: map[string]Protos{}, called: file.Called}
	for name, p := range file.Protos {
		if err := p.check(name); err != nil {
			return nil, fmt.Errorf("protos %s: %w", name, err)
		}
		c.protos[name] = p
	}
	for name, e := range file.Plugins {
		r, err := e.recipe(file.Plugins)
		if err == nil {
			err = lock.CheckName(name)
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

// recipe checks an entry beside all of them.
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

// refuse takes in a name, or a source, that cannot be locked.
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

// Lookup returns the recipe of a name. Ok is false if there is none.
func (c *Catalog) Lookup(name string) (r Recipe, ok bool) {
	r, ok = c.plugins[name]
	return r, ok
}

// Remote returns the name of the plugin that is OWNER/NAME in Buf's registry, ""
// for none.
func (c *Catalog) Remote(remote string) string {
	for _, name := range c.Names() {
		if _, ok := c.plugins[name].BSR[remote]; ok {
			return name
		}
	}
	return ""
}

// Program returns the name of the plugin whose executable is called so, "" for
// none. Of several it is the one that has the name itself.
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

// Refused returns an error of class [fault.Usage] with the reason and the
// replacement for a name, a source in the form of [manifest.Source.String], or
// OWNER/NAME of a plugin in Buf's registry, that cannot be locked, else nil.
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

// Nearest returns the known name that a misspelt name most likely stands for,
// or "". What names another language, such as protoc-gen-js, or another version,
// such as protoc-gen-py3, is not misspelt.
func (c *Catalog) Nearest(name string) string {
	near := fault.Nearest(name, c.Names())
	const plugin = "protoc-gen-" // what all of them begin with makes nothing alike
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
