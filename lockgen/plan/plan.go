// Package plan says what a manifest asks for and how a lock differs from that. It
// combines the entries of plugins.toml with the recipes of the catalogue, orders
// versions, chooses among those that a source has, and applies [policy]. It asks
// nobody: the same input gives the same answer.
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
)

// GoHint is the version of Go that messages propose.
const GoHint = "1.26.7"

// NodeHint is the version of node that messages propose.
const NodeHint = "24.19.0"

// notAmong is the reason of a cell whose platform the manifest does not list.
const notAmong = "not among the platforms of plugins.toml"

// A Want is one plugin version that a manifest asks for, with everything that
// the catalogue and the entry say about it.
type Want struct {
	Name    string
	Version string // "" for a range that no locked version fits
	Asked   string // what the entry says: an exact version or a range
	At      string // FILE:LINE of the entry, for messages

	rng     Range // what Asked means, for a range
	Ranged  bool
	Held    []Held // newer versions than the one that was picked
	Written bool   // a person wrote Version down, which is consent to its age
	runs    *Want  // the runtime, nil for none
	assumed bool   // that it takes a runtime: only its executable tells

	From manifest.Source
	manifest.Spec
	Overrides map[string]manifest.Override

	RuntimeName string // name of the plugin that runs this one, "" for none
	Runtime     string // NAME@VERSION of it, "" for none or one without a version yet
	Toolchain   string // go: NAME@VERSION of the Go that compiles it, "" as for Runtime
	ByGo        bool   // by plugin go
	compiler    *Want  // that one, nil for none

	Proto        *manifest.Protos // of a proto package, nil for a plugin
	Language     string           // of a runtime, "" for a plugin
	Fits         []string         // of a runtime: NAME@VERSION of the plugins whose code it has to run
	Beside       []string         // of a runtime: NAME==VERSION of the others of its language, with which it shares libraries
	Optional     bool
	Options      []string // with which it is tried
	Untried      bool     // it is not
	Python       []string // pip: the interpreters that wheels must fit
	Args         []string // for the compiler
	BuildScripts bool     // the manifest consents to code that runs when it is compiled

	// Known says that its sources are those of the catalogue: nobody chose between
	// them, and one that is out of reach may be left out.
	Known  bool
	others []*Want // the same plugin from its further sources, in their order
	out    []Tried // sources that are out of question before anyone is asked
}

// Tried is a source that was not locked, and why.
type Tried struct {
	Plugin  string `json:"plugin"`
	Version string `json:"version"`
	Source  string `json:"source"`
	Why     string `json:"why"`

	need *NeedError // nil where it is out for another reason
}

// String is one readable line.
func (t Tried) String() string {
	return fmt.Sprintf("%s %s not from %s: %s", t.Plugin, t.Version, t.Source, t.Why)
}

func (w *Want) kind() *lock.Kind { return lock.KindOf(w.From.Kind) }

// Candidates is w from each of its sources, in the order in which they are
// tried. The first that can serve every required platform is locked.
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

// LockedAs is the candidate that a locked version fits best: what the lock
// records is never exchanged for an earlier source by itself.
func (w *Want) LockedAs(m *manifest.Manifest, v *lock.Version) *Want {
	best, least := w, -1
	for _, c := range w.Candidates() {
		if n := len(c.own(m, v)); least < 0 || n < least {
			best, least = c, n
		}
	}
	return best
}

// A NeedError is an error of [Wants]: what a plugin needs is not in the manifest.
type NeedError struct {
	Plugin, Needs string // names
	Why           string // what Needs does: "runs on" or "is compiled by"
	error
}

// Unwrap is the same with place, class and hint.
func (e *NeedError) Unwrap() error { return e.error }

// String is NAME VERSION, as messages say it.
func (w *Want) String() string {
	if w.Version == "" {
		return w.Name + " " + w.Asked
	}
	return w.Name + " " + w.Version
}

// Wants returns what a manifest asks for, sorted by name and version, runtimes
// resolved. A range means the newest locked version that fits it, whichever
// Entry brought that one; l is nil for no lock at all. Two entries may thus
// mean one version. Its errors are of class [fault.Usage].
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

// at is a plan for one version or range of the entry: without the sources that
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
			if first == nil || c.Until != "" { // of several ranges of one package, the last
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
	for _, c := range list { // whatever source it came from, it is what is locked
		c.Version = newest.Version
	}
	list[0].others, list[0].out = list[1:], out
	return list[0], nil
}

// Ask gives w, which is of no manifest, an exact version or a range.
func (w *Want) Ask(version string) error {
	w.Asked = version
	return w.plan(nil)
}

// plan gives w the version that its entry means.
func (w *Want) plan(l *lock.Lock) error {
	if !manifest.IsRange(w.Asked) {
		w.Version, w.Written = w.Asked, true
		if w.Until != "" && lock.CompareVersions(w.Version, w.Until) >= 0 {
			return fault.Errorf(fault.Usage, "take a version before "+strings.TrimSuffix(w.Until, "-0"), "%s: %s cannot be locked: %s", w.At, w, w.Reason)
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

// byVersion orders wants of one plugin; what has no version yet comes last.
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

// Link gives every plugin the newest version of its runtime and toolchain.
func Link(wants []*Want) {
	for _, root := range wants {
		for _, w := range root.Candidates() {
			w.Link(wants)
		}
	}
}

// RuntimeOf is the runtime that a locked version of w has: none where it turned out
// to be a program by itself.
func (w *Want) RuntimeOf(v *lock.Version) string {
	if w.assumed && v.Runtime == "" {
		return ""
	}
	return w.Runtime
}

// Link gives w the newest version of its runtime and toolchain among all. It
// looks at no other wants than those.
func (w *Want) Link(all []*Want) {
	newest := func(name string) (of *Want) {
		for _, o := range all {
			if o.Name == name && (of == nil || byVersion(o, of) >= 0) {
				of = o
			}
		}
		return of
	}
	if w.ByGo {
		w.compiler, w.Toolchain = newest("go"), ""
		if w.compiler.Version != "" {
			w.Toolchain = "go@" + w.compiler.Version
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

// An entry is one plugin of the manifest, with what the catalogue knows of it.
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
	if e.p.Source == nil && !e.known { // of what cannot be locked a person may have a program
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
		if len(asked) > 1 && !lock.KindOf(a.Source.Kind).Compiled { // those among them that compile
			w.Args = nil
		}
		err = w.complete(e)
		switch {
		case err == nil:
			list = append(list, w)
		case e.p.Source != nil: // what a person wrote is meant
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

// Lacks is what the first source needs that is out of question for want of that, nil
// for none.
func (w *Want) Lacks() *NeedError {
	for _, t := range w.out {
		if t.need != nil {
			return t.need
		}
	}
	return nil
}

// sources are those of the entry in order, else those of the catalogue.
func (e *entry) sources() (list []manifest.Alternative, err error) {
	switch p := e.p; {
	case p.Source != nil && !e.known && p.Package != "" && !lock.KindOf(p.Source.Kind).Mains:
		return nil, e.fail("write source instead", "package without a known plugin")
	case len(p.Sources) > 0:
		return p.Sources, nil
	case p.Source != nil:
		return []manifest.Alternative{{Source: *p.Source}}, nil
	case p.Package != "": // another package under the first recipe
		e.recipe.Sources = e.recipe.Sources[:1]
	}
	for _, s := range e.recipe.Sources {
		list = append(list, manifest.Alternative{Source: s.Source})
	}
	return list, nil
}

// recipeOf is what the catalogue knows of the nth source, nil for nothing.
func (e *entry) recipeOf(n int, a manifest.Alternative) *manifest.Alternative {
	list := e.recipe.Sources
	i := n // one package may be in the catalogue twice, with another binary from some version on
	if e.p.Source != nil {
		i = slices.IndexFunc(list, func(s manifest.Alternative) bool { return s.Source == a.Source })
	}
	if i < 0 && a.Source.Ecosystem() { // at another address it may look otherwise
		i = slices.IndexFunc(list, func(s manifest.Alternative) bool { return s.Source.Kind == a.Source.Kind })
	}
	if i < 0 {
		return nil
	}
	return &list[i]
}

// want is the entry from one source. What that says itself counts most, then what
// the entry says of all, then the recipe, nil for none.
func (e *entry) want(a manifest.Alternative, recipe *manifest.Alternative) (*Want, error) {
	p := e.p
	w := &Want{
		Name: e.name, At: e.at(), From: a.Source, Optional: p.Optional, Args: p.Args, Overrides: p.Platforms,
		BuildScripts: slices.Contains(e.m.Policy.BuildScripts, e.name), RuntimeName: p.Runtime, Known: p.Source == nil,
		Spec: manifest.Spec{Binary: cmp.Or(a.Binary, p.Binary), Include: cmp.Or(a.Include, p.Include), Entry: p.Entry, Generator: p.Generator, MainClass: p.MainClass},
	}
	if bare, features := w.From.Bare(); features != nil && w.kind().Compiled { // those of pip are part of the name
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
	// The runtime of a recipe is that of its first kind: what a later source has in
	// compiled form needs none.
	w.recipeEmulates(e)
	if w.RuntimeName == "" && (recipe == nil || w.From.Kind == e.recipe.Sources[0].Source.Kind) {
		w.RuntimeName = e.recipe.Runtime
	}
	return w, nil
}

// fill takes from a recipe what the entry leaves open.
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
		if p.Entry == "" && p.Generator == "" {
			w.Entry, w.Generator = recipe.Entry, recipe.Generator
		}
	}
	w.Include = cmp.Or(w.Include, recipe.Include)
	w.With, w.Emulate = recipe.With, recipe.Emulate
	w.MainClass = cmp.Or(w.MainClass, recipe.MainClass)
	w.Requires, w.Until, w.Reason, w.Scheme = recipe.Requires, recipe.Until, recipe.Reason, recipe.Scheme
}

// complete finishes a candidate: its executable and its runtime, by name.
func (w *Want) complete(e *entry) error {
	if err := w.planMaven(e); err != nil {
		return err
	}
	if w.Binary == "" {
		return e.fail(`add: binary = "…", the executable's name (npm) or path in the archive`, "says no binary")
	}
	if err := w.planGo(e); err != nil {
		return err
	}
	if err := lock.KindOf(w.From.Kind).CheckArgs(w.Args); err != nil {
		return fmt.Errorf("%s: plugin %s: %w", w.At, w.Name, err)
	}
	if w.kind().Compiled && (w.Include != "" || w.RuntimeName != "" || strings.Contains(w.CrateBin(), "/")) {
		return e.fail("keep source, version, binary, args and optional", "a crate has no include and no runtime, and binary is the name of an executable")
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
		return e.fail("name a plugin that runs by itself", "its runtime %s needs a runtime of its own", runtime)
	}
	return nil
}

// recipeEmulates takes over which program of another platform runs instead of one
// that is not what it is called, unless the entry says more.
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

// planGo finds the toolchain of a plugin of kind Go.
func (w *Want) planGo(e *entry) error {
	if w.From.Kind != lock.Go {
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
		return e.fail("take source out of plugin go", "is compiled by go, which must come from go:%s", lock.GoToolchain)
	}
	w.ByGo = true
	return nil
}

// Interpreted reports whether w is a plugin that Python runs.
func (w *Want) Interpreted() bool {
	return w.kind().Wheels && (w.Entry != "" || !strings.Contains(w.Binary, "/"))
}

// planPython decides which interpreters the wheels of w must fit.
func (w *Want) planPython(e *entry) error {
	if !w.kind().Wheels {
		if w.Entry != "" || w.Generator != "" {
			return e.fail("take entry and generator out", "entry and generator are for plugins of source pip")
		}
		return nil
	}
	w.Python = e.m.Python
	if !w.Interpreted() {
		if w.Generator != "" {
			return e.fail(`add: entry = "MODULE:FUNCTION", the main function of that protoc`, "has a generator without an entry")
		}
		if len(w.Python) == 0 { // any does: its wheels are for all
			w.Python = lock.DefaultPython[len(lock.DefaultPython)-1:]
		}
		return nil
	}
	if len(w.Python) == 0 {
		w.Python = lock.DefaultPython
	}
	switch {
	case w.RuntimeName != "":
		return e.fail("take runtime out", "is run by Python and has no runtime")
	case w.Generator != "" && !strings.Contains(w.Entry, ":"):
		return e.fail(`write: entry = "MODULE:FUNCTION", the main function of that protoc`, "has a generator, and its entry %q is no function", w.Entry)
	case slices.ContainsFunc(slices.Collect(maps.Values(w.Overrides)), func(o manifest.Override) bool { return o.Binary != "" }):
		return e.fail("take binary out of its platforms", "is run by Python and is called %s on every platform", w.Binary)
	}
	if err := lock.CheckProgram("binary", w.Binary); err != nil {
		return e.fail("write the name of the console script, such as protoc-gen-mypy", "%w", err)
	}
	return nil
}

// Unknown warns of names that are not in the catalogue but one slip away from
// a name that is: a possible typing error, or worse. Of an entry with a source of
// its own a short name says nothing: two slips make gen of go.
func Unknown(m *manifest.Manifest) []string {
	var warnings []string
	c := catalog.Builtin()
	for _, name := range slices.Sorted(maps.Keys(m.Plugins)) {
		if _, ok := c.Lookup(name); ok || m.Plugins[name].Protos != nil || m.Plugins[name].Language != "" || m.Plugins[name].Source != nil && len(name) < 6 {
			continue
		}
		if near := c.Nearest(name); near != "" {
			warnings = append(warnings, fmt.Sprintf("%s: plugin %s is not known by name; did you mean %s?", m.At("plugins", name), name, near))
		}
	}
	return warnings
}

// URL is the address of the file for a platform, kind HTTP only.
func (w *Want) URL(p lock.Platform) string {
	from, asset := w.From, w.Assets[p.Name]
	if o := w.Overrides[p.Name]; o.Source != nil {
		from = *o.Source
	} else if o.Asset != "" {
		asset = o.Asset
	}
	return w.Naming.URL(from, asset, w.Version, p)
}

// Asset is the name of the file in the release for a platform; ok is false
// where the file is not one of a release of GitHub.
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

// OCI is what a source names for a platform, kind OCI only.
func (w *Want) OCI(p lock.Platform) (manifest.OCIRef, error) {
	return manifest.ParseOCI(w.Naming.Expand(w.From.Name, w.Version, p))
}

// PackageName is what the lock calls package: "" for what has an address.
func (w *Want) PackageName() string {
	switch w.From.Kind {
	case lock.HTTP:
		return ""
	case lock.OCI: // the same on every platform
		named := *w
		named.Version = cmp.Or(w.Version, "1") // of a range that is not locked yet
		ref, err := named.OCI(lock.Platforms[0])
		if err != nil {
			return ""
		}
		return ref.Package()
	}
	return w.From.Name
}

// Binaries lists the paths, best first, at which the executable may lie in the
// tree of a platform. It is empty where only the name of a bin (npm) or of a
// console script (pip) is known.
func (w *Want) Binaries(p lock.Platform) []string {
	if w.Interpreted() {
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

// BinName is the name in the package's bin that is asked for, kind NPM only; ""
// where the entry gives a path.
func (w *Want) BinName() string {
	if w.From.Kind != lock.NPM || strings.Contains(w.Binary, "/") {
		return ""
	}
	return w.Binary
}

// CrateBin is the name of the executable, kind Cargo only.
func (w *Want) CrateBin() string {
	return strings.TrimSuffix(strings.TrimPrefix(manifest.Expand(w.Binary, w.Version, lock.Platform{}), "bin/"), ".exe")
}

// TellsBin reports whether the file of a bin tells the bin's name. Only such a bin
// can be asked for by its name, because the lock keeps the path alone.
func TellsBin(file, bin string) bool {
	base := path.Base(file)
	return base == bin || slices.Contains([]string{".js", ".cjs", ".mjs"}, strings.TrimPrefix(base, bin)) && strings.HasPrefix(base, bin)
}

// fitsBinary reports whether the executable of a locked cell is the one that
// the entry asks for.
func (w *Want) fitsBinary(p lock.Platform, binary string) bool {
	if w.Interpreted() { // see own
		return true
	}
	if bin := w.BinName(); bin != "" && w.Overrides[p.Name].Binary == "" {
		return strings.HasPrefix(binary, w.PackageDir()+"/") && TellsBin(binary, bin)
	}
	return slices.Contains(w.Binaries(p), binary)
}

// PackageDir is the folder of the plugin's own package, kind NPM only.
func (w *Want) PackageDir() string { return "node_modules/" + w.From.Name }

// Uses are the entries of the runtime and of the toolchain of w.
func (w *Want) Uses() (list []*Want) {
	for _, o := range []*Want{w.runs, w.compiler} {
		if o != nil {
			list = append(list, o)
		}
	}
	return list
}

// Needs are the names of the plugins that resolving and running w takes.
func (w *Want) Needs() []string {
	var names []string
	if w.RuntimeName != "" {
		names = append(names, w.RuntimeName)
	}
	if by := w.kind().RunBy; by != "" && w.Proto == nil {
		names = append(names, by)
	}
	if w.ByGo {
		names = append(names, "go")
	}
	return slices.DeleteFunc(names, func(name string) bool { return name == w.Name })
}

// Sources returns the sources of a plugin version in the order in which they
// are tried, and those that are out of question whatever they have.
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

// LockedFrom is the source of w that a locked version came from.
func (w *Want) LockedFrom(m *manifest.Manifest, v *lock.Version) manifest.Source {
	return w.LockedAs(m, v).From
}

// A Difference is one way in which a lock does not fit a manifest.
type Difference struct {
	Plugin  string `json:"plugin"`
	Version string `json:"version"`
	What    string `json:"what"`

	Local bool `json:"-"` // can be settled without asking any source
}

// String is one readable line.
func (d Difference) String() string { return d.Plugin + " " + d.Version + ": " + d.What }

// Differences says how a lock does not fit a manifest: nothing when it does.
// They are sorted by plugin and version. L may be nil for no lock at all.
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
				out = append(out, Difference{name, version, "is locked, but " + m.Name + " does not ask for it", true})
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

// Differences says how a locked version, nil for none, does not fit w, taken
// from that of its sources which fits best.
func (w *Want) Differences(m *manifest.Manifest, v *lock.Version) []Difference {
	if v == nil {
		if w.Ranged {
			return []Difference{{w.Name, w.Asked, "is asked for, but no version that fits is locked", false}}
		}
		return []Difference{{w.Name, w.Version, "is asked for, but not locked", false}}
	}
	return w.LockedAs(m, v).own(m, v)
}

// own is differences with this very source.
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

// A comparison holds a locked version against what is wanted.
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
		d.add(local, "%s is %s in the lock, %s asked for", what, cmp.Or(locked, "none"), cmp.Or(asked, "none"))
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
	if len(v.BuildScripts) > 0 && !w.BuildScripts {
		d.add(false, "runs code when it is compiled (%s), to which build-scripts of [policy] does not consent", fault.List(v.BuildScripts))
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

// files compares what a platform has of its own.
func (d *comparison) files(p lock.Platform, c lock.Cell) {
	w, v := d.w, d.v
	if !w.fitsBinary(p, c.Binary) {
		d.add(false, "binary for %s is %s in the lock, %s asked for", p.Name, c.Binary, w.binaryText(p))
	}
	if w.From.Kind == v.Source {
		d.addresses(p, " for "+p.Name)
	}
}

// addresses compares what tells where the files of a platform are.
func (d *comparison) addresses(p lock.Platform, platform string) {
	w, v := d.w, d.v
	switch w.From.Kind {
	case lock.HTTP:
		for _, key := range v.FilesFor(p.Name) {
			d.compare("url"+platform, w.URL(p), v.Files[key].URL, false)
		}
	case lock.OCI:
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

// UnlistedCell is the cell of a platform that the manifest does not list.
func UnlistedCell(m *manifest.Manifest, cells map[string]lock.Cell, p lock.Platform) lock.Cell {
	if slices.Contains(m.Platforms, p.Emulates) && cells[p.Emulates].Locked() {
		return lock.Cell{Emulate: p.Emulates}
	}
	return lock.Cell{Unavailable: notAmong}
}

// Settle makes a locked version fit a manifest where that needs nothing from
// outside: platforms that are not listed any more, another runtime. It returns
// a copy.
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
	v.BuildScripts = ScriptsAmong(old.BuildScripts, v.Files)
	return &v
}

// ScriptsAmong leaves out the packages that no platform needs any more.
func ScriptsAmong(scripts []string, files map[string]lock.File) []string {
	var left []string
	for _, name := range scripts {
		if _, ok := files[name+".crate"]; ok {
			left = append(left, name)
		}
	}
	return left
}

// PlatformsKey is the platforms key of a file that the trees of some platforms
// are made of: empty when it belongs to every tree.
func PlatformsKey(use []string, cells map[string]lock.Cell) []string {
	for name, c := range cells {
		if c.Locked() && !slices.Contains(use, name) {
			return slices.Compact(slices.Sorted(slices.Values(use)))
		}
	}
	return nil
}
