// Package plan determines what a manifest requires and how a lock differs from
// it. It combines the entries of plugins.toml with the recipes of the
// catalogue, orders versions, chooses among those of a source, and applies
// [policy]. It does no input or output: the same arguments always give the same
// result.
package plan

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// GoHint is the Go version that messages suggest.
const GoHint = "1.26.7"

// RustName is the name of the plugin that compiles those of source cargo, where
// plugins.toml has it.
const RustName = "rust"

// NodeHint is the node version that messages suggest.
const NodeHint = "24.19.0"

// notAmong is the reason in the cell of a platform that is not in the manifest.
const notAmong = "not among the platforms of plugins.toml"

// A Want is one plugin version that a manifest requires, with everything that
// the catalogue and the entry say about it.
type Want struct {
	Name    string
	Version string // "" for a range without a matching locked version
	Asked   string // from the entry: an exact version or a range
	At      string // FILE:LINE of the entry, for messages

	rng     Range // parsed Asked, for a range
	Ranged  bool
	Held    []Held // versions newer than the chosen one
	Written bool   // a person wrote Version, so its age does not matter
	runs    *Want  // the runtime; nil for none
	assumed bool   // whether it needs the runtime depends on its executable

	From manifest.Source
	manifest.Spec
	Overrides map[string]manifest.Override

	RuntimeName string // name of the plugin that runs this one; "" for none
	Runtime     string // its NAME@VERSION; "" for none, or while it has no version
	Toolchain   string // go, cargo: NAME@VERSION of the Go or Rust that compiles it; "" as for Runtime
	CompiledBy  string // name of the plugin that compiles it; "" for none
	compiler    *Want  // that plugin; nil for none

	Proto    *manifest.Protos // for a proto package; nil for a plugin
	Language string           // for a runtime; "" for a plugin
	Fits     []string         // for a runtime: NAME@VERSION of the plugins whose code must work with it
	Parts    []string         // for a runtime: other packages of its version that belong to it
	Consents []string         // for a runtime: those of Beside whose versions a person wrote
	Beside   []string         // for a runtime: NAME==VERSION of the others of its language, which share libraries with it
	Optional bool
	Options  []string // with which it is tried
	Untried  bool     // it is not tried
	Python   []string // pip: the interpreters to find wheels for
	Args     []string // arguments for the compiler
	features []string // for a runtime: those of its crate that a person wrote
	RunsCode bool     // the manifest allows it to run code while it is compiled

	// Finds says that nobody named the executable: the source is asked which one it
	// has, see [Want.Found].
	Finds bool
	entry *entry

	// Known says that the sources are those of the catalogue. Nobody chose
	// them, so an unreachable one may be skipped.
	Known  bool
	others []*Want // the same plugin from its other sources, in their order
	out    []Tried // sources that are excluded in advance
}

// A Tried is a source that was not used, and why.
type Tried struct {
	Plugin  string `json:"plugin"`
	Version string `json:"version"`
	Source  string `json:"source"`
	Why     string `json:"why"`

	need *NeedError // nil if there is another reason
}

// String returns a line for people.
func (t Tried) String() string {
	return fmt.Sprintf("%s %s not from %s: %s", t.Plugin, t.Version, t.Source, t.Why)
}

func (w *Want) kind() *lock.Kind { return lock.KindOf(w.From.Kind) }

// Candidates returns w for each of its sources, in the order of the attempts.
// The first one that supports every required platform is locked.
func (w *Want) Candidates() []*Want { return append([]*Want{w}, w.others...) }

// Adopt makes w the candidate that was locked.
func (w *Want) Adopt(c *Want) {
	if c == w {
		return
	}
	others := slices.DeleteFunc(slices.Clone(w.others), func(o *Want) bool { return o.From == c.From && o.Until == c.Until })
	out := w.out
	*w = *c
	w.others, w.out = others, out
}

// LockedAs returns the candidate that a locked version matches best: an earlier
// source never replaces the locked one by itself.
func (w *Want) LockedAs(m *manifest.Manifest, v *lock.Version) *Want {
	best, least := w, -1
	for _, c := range w.Candidates() {
		if n := len(c.own(m, v)); least < 0 || n < least {
			best, least = c, n
		}
	}
	return best
}

// A NeedError is an error of [Wants]: another plugin that this one needs is not
// in the manifest.
type NeedError struct {
	Plugin, Needs string // names
	Why           string // "runs on" or "is compiled by"
	error
}

// Unwrap returns the error with position, class and hint.
func (e *NeedError) Unwrap() error { return e.error }

// String returns NAME VERSION, for messages.
func (w *Want) String() string {
	if w.Version == "" {
		return w.Name + " " + w.Asked
	}
	return w.Name + " " + w.Version
}

// Wants returns what a manifest requires, sorted by name and version, with
// runtimes set. A range stands for the newest locked version in it, no matter
// which entry that version was locked for; l is nil if there is no lock. So two
// entries may give the same version. Errors are of class [fault.Usage].
func Wants(m *manifest.Manifest, l *lock.Lock) ([]*Want, error) {
	var wants []*Want
	var of []string // [runtimes]
	for _, name := range slices.Sorted(maps.Keys(m.Plugins)) {
		if m.Plugins[name].Language != "" {
			of = append(of, name)
			continue
		}
		proto, err := planPlugin(m, name)
		if err != nil {
			return nil, err
		}
		var list []*Want
		for _, spec := range m.Plugins[name].Versions {
			w, err := proto.at(spec, l)
			if err != nil {
				return nil, err
			}
			list = append(list, w)
		}
		slices.SortStableFunc(list, byVersion)
		wants = append(wants, list...)
	}
	Link(wants)
	libraries, err := runtimes(m, of, wants, l)
	if err != nil {
		return nil, err
	}
	wants = append(wants, libraries...)
	slices.SortStableFunc(wants, func(a, b *Want) int { return strings.Compare(a.Name, b.Name) })
	return wants, nil
}

// at returns w for one version or range of the entry, without the sources that
// cannot have it.
func (w *Want) at(spec string, l *lock.Lock) (*Want, error) {
	var list []*Want
	var first error
	out := slices.Clone(w.out)
	var newest *Want
	for _, c := range w.Candidates() {
		c := *c
		c.Asked, c.others, c.out = spec, nil, nil
		if err := c.plan(l); err != nil {
			if first == nil || c.Until != "" { // for several ranges of one package, use the last
				first = err
			}
			out = append(out, Tried{Source: c.From.String(), Why: err.Error()})
			continue
		}
		list = append(list, &c)
		if newest == nil || newest.Version == "" || c.Version != "" && CompareVersions(c.From.Kind, c.Version, newest.Version) > 0 {
			newest = &c
		}
	}
	if len(list) == 0 {
		return nil, first
	}
	for _, c := range list { // use the locked version, whatever source it is from
		c.Version = newest.Version
		if err := c.found(l); err != nil {
			return nil, err
		}
	}
	list[0].others, list[0].out = list[1:], out
	return list[0], nil
}

// Ask sets an exact version or a range for w, which is not from a manifest.
func (w *Want) Ask(version string) error {
	w.Asked = version
	return w.plan(nil)
}

// plan sets the version of w according to its entry.
func (w *Want) plan(l *lock.Lock) error {
	if !manifest.IsRange(w.Asked) {
		w.Version, w.Written = w.Asked, true
		if w.Until != "" && lock.CompareVersions(w.Version, w.Until) >= 0 {
			return fault.Errorf(fault.Usage, "use a version before "+strings.TrimSuffix(w.Until, "-0"), "%s: %s cannot be locked: %s", w.At, w, w.Reason)
		}
		return nil
	}
	var err error
	if w.rng, err = ParseRange(w.From.Kind, w.Asked); err != nil {
		return fmt.Errorf("%s: plugin %s: %w", w.At, w.Name, err)
	}
	w.Ranged = true
	if l == nil {
		return nil
	}
	for version, v := range l.Plugins[w.Name] {
		same := v.Source == w.From.Kind && v.Package == w.PackageName()
		if same && w.Allows(version) && (w.Version == "" || CompareVersions(w.From.Kind, version, w.Version) > 0) {
			w.Version = version
		}
	}
	return nil
}

// byVersion compares wants of one plugin; those without a version come last.
func byVersion(a, b *Want) int {
	switch {
	case a.Version == "" && b.Version == "":
		return 0
	case a.Version == "":
		return 1
	case b.Version == "":
		return -1
	}
	return CompareVersions(a.From.Kind, a.Version, b.Version)
}

// Link sets the newest version of the runtime and toolchain of every plugin.
func Link(wants []*Want) {
	for _, root := range wants {
		for _, w := range root.Candidates() {
			w.Link(wants)
		}
	}
}

// RuntimeOf returns the runtime for a locked version of w: none if the version
// turned out to be a native program.
func (w *Want) RuntimeOf(v *lock.Version) string {
	if w.assumed && v.Runtime == "" {
		return ""
	}
	return w.Runtime
}

// Link sets the newest version in all of the runtime and toolchain of w. It
// accesses no other wants.
func (w *Want) Link(all []*Want) {
	newest := func(name string) (of *Want) {
		for _, o := range all {
			if o.Name == name && (of == nil || byVersion(o, of) >= 0) {
				of = o
			}
		}
		return of
	}
	if w.CompiledBy != "" {
		w.compiler, w.Toolchain = newest(w.CompiledBy), ""
		if w.compiler.Version != "" {
			w.Toolchain = w.CompiledBy + "@" + w.compiler.Version
		}
	}
	if w.RuntimeName == "" {
		return
	}
	w.runs, w.Runtime = newest(w.RuntimeName), ""
	if w.runs.Version != "" {
		w.Runtime = w.RuntimeName + "@" + w.runs.Version
	}
}

// An entry is one plugin of the manifest, with the catalogue's knowledge about
// it.
type entry struct {
	m      *manifest.Manifest
	name   string
	p      *manifest.Plugin
	recipe catalog.Recipe
	known  bool // there is a recipe
}

func (e *entry) at() string { return e.m.At("plugins", e.name) }

func (e *entry) fail(hint, format string, args ...any) error {
	return fault.Errorf(fault.Usage, hint, "%s: plugin %s: "+format, append([]any{e.at(), e.name}, args...)...)
}

func planPlugin(m *manifest.Manifest, name string) (*Want, error) {
	if m.Plugins[name].Protos != nil {
		return planProtos(m, name)
	}
	e := &entry{m: m, name: name, p: m.Plugins[name]}
	c := catalog.Builtin()
	e.recipe, e.known = c.Lookup(name)
	if e.p.Source == nil && !e.known { // the user may have a program that the catalogue says cannot be locked
		return nil, fmt.Errorf("%s: %w", e.at(), c.Unknown(name))
	}
	asked, err := e.sources()
	if err != nil {
		return nil, err
	}
	var list []*Want
	var out []Tried
	var first error
	for n, a := range asked {
		bare, _ := a.Source.Bare()
		if err := c.Refused(bare.String()); err != nil {
			return nil, fmt.Errorf("%s: plugin %s: %w", e.at(), name, err)
		}
		w, err := e.want(a, e.recipeOf(n, a))
		if err != nil {
			return nil, err
		}
		if len(asked) > 1 && !lock.KindOf(a.Source.Kind).Compiled { // keep those that compile
			w.Args = nil
		}
		err = w.complete(e)
		switch {
		case err == nil:
			list = append(list, w)
		case e.p.Source != nil: // the source that a person wrote is used
			return nil, err
		default:
			if first == nil {
				first = err
			}
			t := Tried{Source: w.From.String(), Why: err.Error()}
			errors.As(err, &t.need)
			out = append(out, t)
		}
	}
	if len(list) == 0 {
		return nil, first
	}
	list[0].others, list[0].out = list[1:], out
	return list[0], nil
}

// Lacks returns the missing plugin that excludes the first source, or nil.
func (w *Want) Lacks() *NeedError {
	for _, t := range w.out {
		if t.need != nil {
			return t.need
		}
	}
	return nil
}

// sources returns those of the entry in order, or else those of the catalogue.
func (e *entry) sources() (list []manifest.Alternative, err error) {
	switch p := e.p; {
	case p.Source != nil && !e.known && p.Package != "" && !lock.KindOf(p.Source.Kind).Mains:
		return nil, e.fail("write source instead", "has package, but is not a known plugin")
	case len(p.Sources) > 0:
		return p.Sources, nil
	case p.Source != nil:
		return []manifest.Alternative{{Source: *p.Source}}, nil
	case p.Package != "": // another package with the first recipe
		e.recipe.Sources = e.recipe.Sources[:1]
	}
	for _, s := range e.recipe.Sources {
		list = append(list, manifest.Alternative{Source: s.Source})
	}
	return list, nil
}

// recipeOf returns the recipe for the nth source, or nil.
func (e *entry) recipeOf(n int, a manifest.Alternative) *manifest.Alternative {
	list := e.recipe.Sources
	i := n // a package may be in the catalogue twice, with another binary since some version
	if e.p.Source != nil {
		i = slices.IndexFunc(list, func(s manifest.Alternative) bool { return s.Source == a.Source })
	}
	if i < 0 && a.Source.Ecosystem() { // a recipe for another URL may not apply
		i = slices.IndexFunc(list, func(s manifest.Alternative) bool { return s.Source.Kind == a.Source.Kind })
	}
	if i < 0 {
		return nil
	}
	return &list[i]
}

// want returns the entry for one source. The keys of the source take
// precedence, then those of the entry, then those of the recipe, which may be
// nil.
func (e *entry) want(a manifest.Alternative, recipe *manifest.Alternative) (*Want, error) {
	p := e.p
	w := &Want{
		Name: e.name, At: e.at(), From: a.Source, Optional: p.Optional, Args: p.Args, Overrides: p.Platforms,
		RuntimeName: p.Runtime, Known: p.Source == nil,
		Spec: manifest.Spec{Binary: cmp.Or(a.Binary, p.Binary), Include: cmp.Or(a.Include, p.Include), Start: p.Start, MainClass: p.MainClass},
	}
	w.consented(e.m)
	if bare, features := w.From.Bare(); features != nil && w.kind().Compiled { // extras of pip are part of the name
		w.From, w.Args = bare, append(slices.Clone(w.Args), "--features", strings.Join(features, ","))
	}
	w.Untried = p.Untried || e.recipe.Untried
	if w.Options = p.Options; w.Options == nil {
		w.Options = e.recipe.Options
	}
	if p.Source != nil {
		w.Naming = p.Naming
	}
	if recipe != nil {
		w.fill(p, recipe)
	}
	// The runtime of a recipe is for its first kind: a compiled plugin from a
	// later source does not need it.
	w.recipeEmulates(e)
	if w.RuntimeName == "" && (recipe == nil || w.From.Kind == e.recipe.Sources[0].Source.Kind) {
		w.RuntimeName = e.recipe.Runtime
	}
	return w, nil
}

// consented notes that a manifest lets w run code while it is compiled.
func (w *Want) consented(m *manifest.Manifest) {
	w.RunsCode = slices.Contains(m.Policy.BuildScripts, w.Name)
}

// fill adds from a recipe what the entry leaves out.
func (w *Want) fill(p *manifest.Plugin, recipe *manifest.Alternative) {
	if p.Source == nil {
		w.Naming, w.Assets = recipe.Naming, recipe.Assets
	}
	if p.Package != "" && !w.kind().Mains {
		w.From.Name = p.Package
	}
	if w.From == recipe.Source {
		w.Main = recipe.Main
	}
	if w.Binary == "" {
		w.Binary, w.Or, w.Windows = recipe.Binary, recipe.Or, recipe.Windows
		if p.Start == (lock.Start{}) {
			w.Start = recipe.Start
		}
	}
	w.Include = cmp.Or(w.Include, recipe.Include)
	w.With, w.Emulate = recipe.With, recipe.Emulate
	w.MainClass = cmp.Or(w.MainClass, recipe.MainClass)
	w.Layout, w.Releases = recipe.Layout, recipe.Releases
	w.Requires, w.Until, w.Reason, w.Scheme = recipe.Requires, recipe.Until, recipe.Reason, recipe.Scheme
}

// complete finishes a candidate: its executable and the name of its runtime.
func (w *Want) complete(e *entry) error {
	if err := w.planMaven(e); err != nil {
		return err
	}
	if w.entry = e; w.Binary == "" {
		if w.Start != (lock.Start{}) {
			return e.fail(`add: binary = "…", the executable's name (npm) or path in the archive`, "has no binary")
		}
		w.Finds = true
	}
	if err := w.planCompiler(e); err != nil {
		return err
	}
	if err := lock.KindOf(w.From.Kind).CheckArgs(w.Args); err != nil {
		return fmt.Errorf("%s: plugin %s: %w", w.At, w.Name, err)
	}
	if w.kind().Compiled && (w.Include != "" || w.RuntimeName != "" || strings.Contains(w.CrateBin(), "/")) {
		return e.fail("keep source, version, binary, args and optional", "a crate must not have include or runtime, and binary must be the name of an executable")
	}
	if err := w.planPython(e); err != nil {
		return err
	}
	if by := w.kind().RunBy; by != "" && w.RuntimeName == "" && !w.Varies() {
		w.RuntimeName, w.assumed = by, true
	}
	runtime := w.RuntimeName
	if runtime == "" {
		return nil
	}
	of := e.m.Plugins[runtime]
	if of == nil {
		hint := "run: lockgen add " + runtime
		if runtime == "node" {
			hint += "@" + NodeHint
		}
		return &NeedError{w.Name, runtime, "runs on", e.fail(hint, "runs on %s, which is not in [plugins]", runtime)}
	}
	if of.Runtime != "" || runtime == w.Name || of.Source != nil && lock.KindOf(of.Source.Kind).RunBy != "" {
		return e.fail("use a plugin that runs by itself", "its runtime %s needs a runtime itself", runtime)
	}
	return nil
}

// recipeEmulates applies the recipe's emulation, for platforms whose published
// file is for another one, unless the entry overrides it.
func (w *Want) recipeEmulates(e *entry) {
	for platform, other := range w.Emulate {
		if _, said := w.Overrides[platform]; !said && slices.Contains(e.m.Platforms, platform) && slices.Contains(e.m.Platforms, other) {
			w.Overrides = maps.Clone(w.Overrides)
			if w.Overrides == nil {
				w.Overrides = map[string]manifest.Override{}
			}
			w.Overrides[platform] = manifest.Override{Emulate: other}
		}
	}
}

// planCompiler finds the toolchain of a plugin of kind go or cargo.
func (w *Want) planCompiler(e *entry) error {
	if rust := e.m.Plugins[RustName]; rust != nil && w.kind().Compiled {
		if w.CompiledBy = RustName; rust.Source != nil && lock.KindOf(rust.Source.Kind).Compiled {
			return e.fail("give plugin rust another name", "is compiled by rust of [plugins], which must not come from %s", rust.Source)
		}
	}
	if !w.kind().Mains {
		return nil
	}
	if e.p.Package != "" {
		w.Main = e.p.Package
	}
	if w.From.Name == lock.GoToolchain {
		return nil
	}
	of := e.m.Plugins["go"]
	switch {
	case of == nil:
		return &NeedError{w.Name, "go", "is compiled by", e.fail("run: lockgen add go@"+GoHint, "is compiled by go, which is not in [plugins]")}
	case of.Source != nil && *of.Source != (manifest.Source{Kind: lock.Go, Name: lock.GoToolchain}):
		return e.fail("remove source from plugin go", "is compiled by go, which must come from go:%s", lock.GoToolchain)
	}
	w.CompiledBy = "go"
	return nil
}

// Interpreted reports whether w is a plugin that Python runs.
func (w *Want) Interpreted() bool {
	return w.kind().Wheels && (w.Entry != "" || !strings.Contains(w.Binary, "/"))
}

// planInterpreter decides what runs a plugin of Python: the python of the manifest,
// where it has one, and otherwise that of the machine, in a version of w.Python.
func (w *Want) planInterpreter(e *entry) error {
	of := e.m.Plugins[lock.PythonName]
	if w.RuntimeName == "" && of != nil {
		w.RuntimeName = lock.PythonName
	}
	switch {
	case w.RuntimeName == "":
		if len(w.Python) == 0 {
			w.Python = lock.DefaultPython
		}
		return nil
	case w.RuntimeName != lock.PythonName:
		return e.fail("remove runtime", "is run by Python, so its runtime must not be %s", w.RuntimeName)
	case of == nil:
		return e.fail("write [plugins.python], see docs/fetching.md; or remove runtime, and the Python of the machine runs it", "runs on python, which is not in [plugins]")
	}
	newest := slices.MaxFunc(of.Versions, lock.CompareVersions) // as Link chooses
	runs := syntax.PythonOf(newest)
	switch {
	case runs == "":
		return fault.Errorf(fault.Usage, `write an exact version, such as version = "3.13.1"`, "%s: plugin python: plugins of Python run on it, and %q does not say which Python it is", e.m.At("plugins", lock.PythonName), newest)
	case len(w.Python) == 0:
		w.Python = []string{runs}
	case !slices.Contains(w.Python, runs):
		return e.fail(fmt.Sprintf("add %q to python of %s", runs, e.m.Name), "runs on python %s, and wheels are locked for Python %s", newest, strings.Join(w.Python, ", "))
	}
	return nil
}

// planPython determines for which interpreters wheels of w are needed.
func (w *Want) planPython(e *entry) error {
	if !w.kind().Wheels {
		if w.Start != (lock.Start{}) {
			return e.fail("remove entry and generator", "entry and generator are only for plugins of source pip")
		}
		return nil
	}
	w.Python = e.m.Python
	if !w.Interpreted() {
		if w.Generator != "" {
			return e.fail(`add: entry = "MODULE:FUNCTION", the main function of that protoc`, "has a generator but no entry")
		}
		if len(w.Python) == 0 { // any interpreter will do: its wheels are for all
			w.Python = lock.DefaultPython[len(lock.DefaultPython)-1:]
		}
		return nil
	}
	if err := w.planInterpreter(e); err != nil {
		return err
	}
	switch {
	case w.Generator != "" && !strings.Contains(w.Entry, ":"):
		return e.fail(`write: entry = "MODULE:FUNCTION", the main function of that protoc`, "has a generator, but its entry %q is not a function", w.Entry)
	case slices.ContainsFunc(slices.Collect(maps.Values(w.Overrides)), func(o manifest.Override) bool { return o.Binary != "" }):
		return e.fail("remove binary from its platforms", "is run by Python and has the name %s on every platform", w.Binary)
	}
	if err := syntax.CheckProgram("binary", w.Binary); err != nil && w.Binary != "" {
		return e.fail("write the name of the console script, such as protoc-gen-mypy", "%w", err)
	}
	return nil
}

// Unknown returns warnings for plugins that are not locked yet and whose name in a
// registry is similar to one of the catalogue: perhaps a typo, or worse. The lock
// may be nil. Short names are skipped: gen and go differ in only two letters.
func Unknown(m *manifest.Manifest, l *lock.Lock) []string {
	var warnings []string
	c := catalog.Builtin()
	for _, name := range slices.Sorted(maps.Keys(m.Plugins)) {
		p := m.Plugins[name]
		if _, ok := c.Lookup(name); ok || p.Protos != nil || p.Language != "" || p.Source == nil || !p.Source.Ecosystem() || len(name) < 6 || l != nil && l.Plugins[name] != nil {
			continue
		}
		if near := c.Nearest(name); near != "" {
			warnings = append(warnings, fmt.Sprintf("%s: plugin %s is %s; did you mean %s?", m.At("plugins", name), name, p.Source, near))
		}
	}
	return warnings
}

// URL returns the URL of the file for a platform, kind http only.
func (w *Want) URL(p lock.Platform) string {
	from, asset := w.From, w.Assets[p.Name]
	if o := w.Overrides[p.Name]; o.Source != nil {
		from = *o.Source
	} else if o.Asset != "" {
		asset = o.Asset
	}
	return w.Naming.URL(from, asset, w.Version, p)
}

// Asset returns the name of the file in the release for a platform; ok is false
// if the file is not from a GitHub release.
func (w *Want) Asset(p lock.Platform) (name string, ok bool) {
	if _, _, ok := w.From.GitHub(); !ok || w.Overrides[p.Name].Source != nil {
		return "", false
	}
	template := w.Naming.Asset
	for _, other := range []string{w.Assets[p.Name], w.Overrides[p.Name].Asset} {
		if other != "" {
			template = other
		}
	}
	return w.Naming.Expand(template, w.Version, p), true
}

// OCI returns the OCI reference for a platform, kind oci only.
func (w *Want) OCI(p lock.Platform) (manifest.OCIRef, error) {
	return manifest.ParseOCI(w.Naming.Expand(w.From.Name, w.Version, p))
}

// PackageName returns the package in the lock; "" for a source with a URL.
func (w *Want) PackageName() string {
	switch k := w.kind(); {
	case k.URLs:
		return ""
	case !k.Ecosystem: // the same on every platform
		named := *w
		named.Version = cmp.Or(w.Version, "1") // for a range that is not locked yet
		ref, err := named.OCI(lock.Platforms[0])
		if err != nil {
			return ""
		}
		return ref.Package()
	}
	return w.From.Name
}

// Binaries lists the possible paths of the executable in the tree of a
// platform, best first. It is empty if only the name of a bin (npm) or of a
// console script (pip) is known.
func (w *Want) Binaries(p lock.Platform) []string {
	if w.Interpreted() || w.Language != "" {
		return nil
	}
	if o := w.Overrides[p.Name].Binary; o != "" && !w.kind().Compiled {
		return []string{w.Naming.Expand(o, w.Version, p)}
	}
	if w.BinName() != "" {
		return nil
	}
	if w.jar() {
		return []string{lock.MavenLib + "/" + w.Artifact(p).Key()}
	}
	if w.kind().Compiled {
		return []string{"bin/" + w.CrateBin() + p.Exe()}
	}
	if p.OS == "windows" && w.Windows != "" {
		return []string{w.Windows}
	}
	var list []string
	for _, template := range append([]string{w.Binary}, w.Or...) {
		b := w.Naming.Expand(template, w.Version, p)
		if list = append(list, b); p.OS == "windows" && !strings.HasSuffix(b, ".exe") {
			list = append(list, b+".exe")
		}
	}
	return list
}

// BinName returns the required name in the package's bin; "" if it has none, or if
// the entry has a path.
func (w *Want) BinName() string {
	if !w.kind().Bins || strings.Contains(w.Binary, "/") {
		return ""
	}
	return w.Binary
}

// CrateBin returns the name of the executable, kind cargo only.
func (w *Want) CrateBin() string {
	return strings.TrimSuffix(strings.TrimPrefix(manifest.Expand(w.Binary, w.Version, lock.Platform{}), "bin/"), ".exe")
}

// TellsBin reports whether the name of a bin follows from its file. Only such a
// bin can be selected by name, because the lock only keeps the path.
func TellsBin(file, bin string) bool {
	base := path.Base(file)
	return base == bin || slices.Contains([]string{".js", ".cjs", ".mjs"}, strings.TrimPrefix(base, bin)) && strings.HasPrefix(base, bin)
}

// fitsBinary reports whether the executable of a locked cell is the one that
// the entry requires.
func (w *Want) fitsBinary(p lock.Platform, binary string) bool {
	if w.Interpreted() || w.Language != "" { // see own
		return true
	}
	if bin := w.BinName(); bin != "" && w.Overrides[p.Name].Binary == "" {
		return strings.HasPrefix(binary, w.PackageDir()+"/") && TellsBin(binary, bin)
	}
	return slices.Contains(w.Binaries(p), binary)
}

// PackageDir returns the folder of the plugin's own package, kind npm only.
func (w *Want) PackageDir() string { return "node_modules/" + w.From.Name }

// Uses returns the entries of the runtime and the toolchain of w.
func (w *Want) Uses() (list []*Want) {
	for _, o := range []*Want{w.runs, w.compiler} {
		if o != nil {
			list = append(list, o)
		}
	}
	return list
}

// RunBy returns the names of the plugins that run or compile w as it is locked;
// v is nil if it is not.
func (w *Want) RunBy(v *lock.Version) (names []string) {
	for _, o := range w.Uses() {
		if native := w.assumed && v != nil && v.Runtime == ""; o != w.runs || !native {
			names = append(names, o.Name)
		}
	}
	return names
}

// ResolvedBy returns the plugin whose package manager resolves w, if that is in
// the manifest, or "".
func (w *Want) ResolvedBy() string {
	if w.Proto != nil {
		return ""
	}
	return w.kind().RunBy
}

// Needs returns the names of the plugins needed to resolve and run w.
func (w *Want) Needs() []string {
	var names []string
	if w.RuntimeName != "" {
		names = append(names, w.RuntimeName)
	}
	if by := w.ResolvedBy(); by != "" {
		names = append(names, by)
	}
	if w.CompiledBy != "" {
		names = append(names, w.CompiledBy)
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == w.Name })
}

// Sources returns the sources of a plugin version in the order of the attempts,
// and those that are excluded in advance.
func (w *Want) Sources() (list []manifest.Source, out []Tried) {
	for _, c := range w.Candidates() {
		list = append(list, c.From)
	}
	for _, t := range w.out {
		t.Plugin, t.Version = w.Name, w.Version
		out = append(out, t)
	}
	return list, out
}

// LockedFrom returns the source of w that a locked version is from.
func (w *Want) LockedFrom(m *manifest.Manifest, v *lock.Version) manifest.Source {
	return w.LockedAs(m, v).From
}

// A Difference is one way in which a lock does not match a manifest.
type Difference struct {
	Plugin  string `json:"plugin"`
	Version string `json:"version"`
	What    string `json:"what"`

	Local bool `json:"-"` // can be settled without asking a source
}

// String returns a line for people.
func (d Difference) String() string { return d.Plugin + " " + d.Version + ": " + d.What }

// Differences returns how a lock differs from a manifest, sorted by plugin and
// version. L may be nil if there is no lock.
func Differences(m *manifest.Manifest, wants []*Want, l *lock.Lock) []Difference {
	if l == nil {
		l = &lock.Lock{}
	}
	var out []Difference
	asked := map[string]bool{}
	for _, w := range wants {
		key := w.Name + "@" + w.Version
		if w.Version == "" || !asked[key] {
			out = append(out, w.Differences(m, l.Plugins[w.Name][w.Version])...)
		}
		asked[key] = true
	}
	for name, versions := range l.Plugins {
		for version := range versions {
			if !asked[name+"@"+version] {
				out = append(out, Difference{name, version, "is locked, but not in " + m.Name, true})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Difference) int {
		if c := strings.Compare(a.Plugin, b.Plugin); c != 0 {
			return c
		}
		return lock.CompareVersions(a.Version, b.Version)
	})
	return out
}

// Differences returns how a locked version, which may be nil, differs from w
// for the best matching source.
func (w *Want) Differences(m *manifest.Manifest, v *lock.Version) []Difference {
	if v == nil {
		if w.Ranged {
			return []Difference{{w.Name, w.Asked, "is in plugins.toml, but no matching version is locked", false}}
		}
		return []Difference{{w.Name, w.Version, "is in plugins.toml, but not locked", false}}
	}
	return w.LockedAs(m, v).own(m, v)
}

// own is Differences for exactly this source.
func (w *Want) own(m *manifest.Manifest, v *lock.Version) []Difference {
	d := &comparison{w: w, m: m, v: v}
	if w.Proto != nil {
		d.protos()
		return d.found
	}
	d.keys()
	for _, p := range lock.Platforms {
		d.platform(p)
	}
	return d.found
}

// A comparison compares a locked version with a want.
type comparison struct {
	w     *Want
	m     *manifest.Manifest
	v     *lock.Version
	found []Difference
}

func (d *comparison) add(local bool, format string, args ...any) {
	d.found = append(d.found, Difference{d.w.Name, d.w.Version, fmt.Sprintf(format, args...), local})
}

func (d *comparison) compare(what, asked, locked string, local bool) {
	if asked != locked {
		d.add(local, "%s is %s in the lock, but %s in plugins.toml", what, cmp.Or(locked, "none"), cmp.Or(asked, "none"))
	}
}

// keys compares what is the same on every platform.
func (d *comparison) keys() {
	w, v := d.w, d.v
	d.compare("source", w.From.Kind, v.Source, false)
	d.compare("package", w.PackageName(), v.Package, false)
	if w.Version != "" {
		d.compare("upstream", w.NumberedOtherwise(), v.Upstream, false)
	}
	d.compare("include", w.Include, v.Include, false)
	if w.runs == nil || w.runs.Version != "" {
		d.compare("runtime", w.RuntimeOf(v), v.Runtime, true)
	}
	if program := ""; w.kind().Wheels {
		var python []string
		if w.Interpreted() {
			program, python = w.Binary, w.Python
		}
		d.compare("program", program, v.Program, false)
		d.compare("python", strings.Join(python, " "), strings.Join(v.Python, " "), false)
		d.compare("generator", w.Generator, v.Generator, false)
		if w.Entry != "" {
			d.compare("entry", w.Entry, v.Entry, false)
		}
	}
	if w.jar() {
		d.compare("program", w.Binary, v.Program, false)
		if w.MainClass != "" {
			d.compare("main", w.MainClass, v.Main, false)
		}
	} else {
		d.compare("main package", w.Main, v.Main, false)
	}
	if w.compiler == nil || w.compiler.Version != "" {
		d.compare("toolchain", w.Toolchain, v.Toolchain, false)
	}
	d.compare("fits", strings.Join(w.Fits, " "), strings.Join(v.Fits, " "), true)
	d.compare("args", strings.Join(w.Args, " "), strings.Join(v.Args, " "), false)
	if len(v.BuildScripts) > 0 && !w.RunsCode {
		d.add(false, "runs code while it is compiled (%s), which build-scripts of [policy] does not allow", fault.List(v.BuildScripts))
	}
}

// platform compares the cell of a platform.
func (d *comparison) platform(p lock.Platform) {
	c := d.v.Platforms[p.Name]
	if !slices.Contains(d.m.Platforms, p.Name) {
		if want := UnlistedCell(d.m, d.v.Platforms, p); c != want {
			d.add(true, "platform %s is %s in the lock, expected %s", p.Name, describeCell(c), describeCell(want))
		}
		return
	}
	unavailable := c.Unavailable != "" && c.Unavailable != notAmong && d.w.Optional
	emulated := d.w.Overrides[p.Name].Emulate
	switch {
	case emulated != "" && c.Emulate == emulated:
	case emulated != "" && c.Emulate == "" && !d.v.Platforms[emulated].Locked() && unavailable:
	case emulated != "":
		d.add(d.v.Platforms[emulated].Locked(), "platform %s is %s in the lock, expected emulated by %s", p.Name, describeCell(c), emulated)
	case c.Locked():
		d.files(p, c)
	case c.Emulate != "" && c.Emulate == p.Emulates && slices.Contains(d.m.Platforms, p.Emulates):
	case unavailable:
	default:
		d.add(false, "platform %s is %s in the lock, but %s lists it", p.Name, describeCell(c), d.m.Name)
	}
}

// files compares the files of a platform.
func (d *comparison) files(p lock.Platform, c lock.Cell) {
	w, v := d.w, d.v
	if !w.fitsBinary(p, c.Binary) {
		d.add(false, "binary for %s is %s in the lock, but %s in plugins.toml", p.Name, c.Binary, w.binaryText(p))
	}
	if w.From.Kind == v.Source {
		d.addresses(p, " for "+p.Name)
	}
}

// addresses compares where the files of a platform are.
func (d *comparison) addresses(p lock.Platform, platform string) {
	w, v := d.w, d.v
	switch k := w.kind(); {
	case k.URLs:
		for _, key := range v.FilesFor(p.Name) {
			d.compare("url"+platform, w.URL(p), v.Files[key].URL, false)
		}
	case !k.Ecosystem:
		ref, _ := w.OCI(p)
		for _, key := range v.FilesFor(p.Name) {
			d.compare("tag"+platform, ref.Tag, v.Files[key].Version, false)
			d.compare("file"+platform, ref.File, v.Files[key].Name, false)
		}
	}
}

func (w *Want) binaryText(p lock.Platform) string {
	if list := w.Binaries(p); len(list) > 0 {
		return strings.Join(list, " or ")
	}
	return w.Binary
}

func describeCell(c lock.Cell) string {
	switch {
	case c.Locked():
		return "locked"
	case c.Emulate != "":
		return "emulated by " + c.Emulate
	case c.Unavailable != "":
		return fmt.Sprintf("unavailable (%s)", c.Unavailable)
	}
	return "missing"
}

// UnlistedCell returns the cell of a platform that is not in the manifest.
func UnlistedCell(m *manifest.Manifest, cells map[string]lock.Cell, p lock.Platform) lock.Cell {
	if slices.Contains(m.Platforms, p.Emulates) && cells[p.Emulates].Locked() {
		return lock.Cell{Emulate: p.Emulates}
	}
	return lock.Cell{Unavailable: notAmong}
}

// Settle returns a copy of a locked version that matches a manifest, as far as
// that is possible without asking a source: platforms that were removed,
// another runtime.
func (w *Want) Settle(m *manifest.Manifest, old *lock.Version) *lock.Version {
	v := *old
	if w.Proto != nil {
		return &v
	}
	v.Runtime, v.Fits = w.RuntimeOf(old), w.Fits
	v.Platforms = maps.Clone(old.Platforms)
	for _, p := range lock.Platforms {
		emulated := w.Overrides[p.Name].Emulate
		switch {
		case !slices.Contains(m.Platforms, p.Name):
			v.Platforms[p.Name] = UnlistedCell(m, v.Platforms, p)
		case v.Platforms[emulated].Locked():
			v.Platforms[p.Name] = lock.Cell{Emulate: emulated}
		}
	}
	use := map[string][]string{}
	for name, c := range v.Platforms {
		if c.Locked() {
			for _, key := range old.FilesFor(name) {
				use[key] = append(use[key], name)
			}
		}
	}
	v.Files = map[string]lock.File{}
	for key, f := range old.Files {
		if len(use[key]) > 0 {
			f.Platforms = PlatformsKey(use[key], v.Platforms)
			v.Files[key] = f
		}
	}
	KeepScripts(&v, old.BuildScripts)
	return &v
}

// KeepScripts records which packages run code while a version is compiled: scripts,
// without those that no platform needs any more.
func KeepScripts(v *lock.Version, scripts []string) {
	v.BuildScripts = nil
	for _, name := range scripts {
		if _, ok := v.Files[name+".crate"]; ok {
			v.BuildScripts = append(v.BuildScripts, name)
		}
	}
}

// PlatformsKey returns the platforms key of a file used in the trees of some
// platforms: empty if it is in every tree.
func PlatformsKey(use []string, cells map[string]lock.Cell) []string {
	for name, c := range cells {
		if c.Locked() && !slices.Contains(use, name) {
			return slices.Compact(slices.Sorted(slices.Values(use)))
		}
	}
	return nil
}
