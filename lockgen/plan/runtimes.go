package plan

import (
	"fmt"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// planRuntime is [planPlugin] for an entry of [runtimes].
func planRuntime(m *manifest.Manifest, name string) (*Want, error) {
	p := m.Plugins[name]
	w := &Want{Name: name, At: m.At("plugins", name), Language: p.Language, Untried: true}
	w.consented(m)
	w.From, w.features = p.Source.Bare()
	if len(w.features) > 0 {
		w.Args = []string{"--features", strings.Join(w.features, ",")}
	}
	if w.kind().Wheels {
		w.Python = m.Python
		if len(w.Python) == 0 {
			w.Python = lock.DefaultPython
		}
	}
	r, known := w.runtime()
	if known && r.Package != "" {
		w.From.Name, w.Parts = r.Package, r.With
		return w, nil
	}
	if w.kind().CheckPackage(w.From.Name) != nil {
		return nil, fault.Errorf(fault.Usage, "write "+strings.Join(catalog.Builtin().Runtimes(p.Language), ", ")+", or for any other library its name in the registry, such as GROUP:ARTIFACT for Java",
			"%s: no runtime of %s is called %q", w.At, p.Language, w.From.Name)
	}
	if own := catalog.Builtin().RuntimeOf(p.Language, w.From.Name); own != "" && !known {
		return nil, fault.Errorf(fault.Usage, fmt.Sprintf("write %q, whose versions fit the plugins", own), "%s: %s is called %s here", w.At, w.From.Name, own)
	}
	return w, nil
}

// runtime is what the catalogue knows of a runtime.
func (w *Want) runtime() (catalog.Runtime, bool) {
	_, name, _ := lock.RuntimeName(w.Name)
	return catalog.Builtin().Runtime(w.Language, name)
}

// listed is the name of a runtime as a list of [runtimes] has it.
func (w *Want) listed() string {
	if r, _ := w.runtime(); r.Package != "" && lock.RuntimeEntry(w.Language, r.Package) != w.Name {
		_, name, _ := lock.RuntimeName(w.Name)
		return name
	}
	return w.From.Name
}

// OneEach reports whether each platform has its own file, which the server may lack.
func (w *Want) OneEach() bool { return w.kind().OneEach && w.Language == "" }

// Items are the packages that a runtime is, as NAME==VERSION, and with features of a
// crate as NAME[FEATURE,…]==VERSION.
func (w *Want) Items() (items []string) {
	own := w.From.Name
	if len(w.features) > 0 {
		own += "[" + strings.Join(w.features, ",") + "]"
	}
	for _, name := range append([]string{own}, w.Parts...) {
		items = append(items, manifest.RuntimeItem(name, w.Version))
	}
	return items
}

// Consented are the packages that a runtime is, as [Want.Consents] has them.
func (w *Want) Consented() (items []string) {
	for _, name := range append([]string{w.From.Name}, w.Parts...) {
		items = append(items, manifest.RuntimeItem(w.kind().Normal(name), w.Version))
	}
	return items
}

// Together are the packages of all runtimes of the language of w, as NAME==VERSION,
// sorted: one question for each of them.
func (w *Want) Together() []string {
	return slices.Sorted(slices.Values(append(w.Items(), w.Beside...)))
}

// runtimes are what [runtimes] asks for, for the code of the plugins among others.
func runtimes(m *manifest.Manifest, names []string, others []*Want, l *lock.Lock) ([]*Want, error) {
	var wants []*Want
	for _, name := range names {
		w, err := planRuntime(m, name)
		if err != nil {
			return nil, err
		}
		w.Asked = m.Plugins[name].Versions[0]
		w.Ranged = w.Asked == manifest.Latest
		if w.lockedIn(l); !w.Ranged {
			w.Version, w.Written = w.Asked, true
		}
		if err := w.Fit(others); err != nil {
			return nil, err
		}
		if !w.Allows(w.Version) {
			w.Version = ""
		}
		wants = append(wants, w)
	}
	return wants, nil
}

// lockedIn gives w the version that a lock has; l is nil for no lock.
func (w *Want) lockedIn(l *lock.Lock) {
	if l == nil {
		return
	}
	for version, v := range l.Plugins[w.Name] {
		if v.Source == w.From.Kind && v.Package == w.PackageName() {
			w.Version = version
		}
	}
}

// Follows are the names of the plugins whose code a runtime has to fit.
func (w *Want) Follows() (names []string) {
	if w.Language == "" {
		return nil
	}
	r, _ := w.runtime()
	for _, f := range r.Fits {
		names = append(names, f.Plugin)
	}
	return names
}

// Fit makes the range of a runtime that of the versions that run the code of all
// plugins among others whose versions are known; an exact version has to be one. They
// are of the series of the newest of that code, unless w has another one that
// does: what is locked is not left for an older one. The error is of class
// [fault.Usage].
func (w *Want) Fit(others []*Want) error {
	r, _ := w.runtime()
	kind := w.From.Kind
	type bound struct{ version, by string }
	var least, below bound
	w.Fits = nil
	for _, f := range r.Fits {
		for _, o := range others {
			if o.Name != f.Plugin || o.Version == "" || slices.Contains(w.Fits, o.Name+"@"+o.Version) {
				continue
			}
			from, to, err := f.Bounds(o.Version)
			if err != nil {
				return fmt.Errorf("%s: %s: %w", w.At, w.Name, err)
			}
			if from == "" { // its code does not use this library
				continue
			}
			w.Fits = append(w.Fits, o.Name+"@"+o.Version)
			if least.version == "" || CompareVersions(kind, from, least.version) > 0 {
				least = bound{from, o.String()}
			}
			if below.version == "" || CompareVersions(kind, to, below.version) < 0 {
				below = bound{to, o.String()}
			}
		}
	}
	slices.Sort(w.Fits)
	w.rng = Range{text: manifest.Latest, kind: kind}
	if least.version == "" {
		return nil
	}
	misfit := func(hint, format string, args ...any) error {
		return fault.About(fault.AboutConflict, fault.Errorf(fault.Usage, hint, "%s: %s", w.At, fmt.Sprintf(format, args...)))
	}
	if CompareVersions(kind, least.version, below.version) >= 0 {
		return misfit("keep versions of them in plugins.toml that are closer to each other, or take "+w.listed()+" out of [runtimes] and write runtime = […] in BUCK files",
			"no %s runs the code of both %s, which wants %s or later, and %s, which wants one before %s", w.listed(), least.by, least.version, below.by, below.version)
	}
	fits := func(version string) bool {
		return CompareVersions(kind, version, least.version) >= 0 && CompareVersions(kind, version, below.version) < 0
	}
	if !w.Ranged {
		if fits(w.Version) {
			return nil
		}
		return misfit(fmt.Sprintf("write %q, for a version that fits, or %q", w.listed(), manifest.RuntimeItem(w.listed(), least.version)),
			"%s %s does not run the code of %s, which wants %s or later, before %s", w.listed(), w.Version, least.by, least.version, below.version)
	}
	if next := catalog.NextSeries(least.version); fits(next) && (w.Version == "" || !fits(w.Version) || CompareVersions(kind, w.Version, next) < 0) {
		below.version = next
	}
	var err error
	w.rng, err = ParseRange(kind, fmt.Sprintf(">=%s <%s", least.version, below.version))
	return err
}

// Hint is the hint of an error for w.
func (w *Want) Hint(err error) string {
	if w.Language == "" {
		return fault.Hint(err)
	}
	return fault.LibraryHint(err)
}

// noneFits is the hint where there is no version that fits yet.
func (w *Want) noneFits() string {
	var plugins []string
	for _, spec := range w.Fits {
		name, _, _ := strings.Cut(spec, "@")
		plugins = append(plugins, name)
	}
	return "lock an older version of " + strings.Join(slices.Compact(plugins), " and ") + " until there is one, or " + strings.Replace(fault.Aside, "it", w.listed(), 1)
}

// Runs reports whether a version of a library, from a kind of source, runs the code of a
// version of a plugin, as far as anything is known of it.
func Runs(r catalog.Runtime, kind, version, plugin, of string) bool {
	for _, f := range r.Fits {
		if f.Plugin != plugin {
			continue
		}
		least, below, err := f.Bounds(of)
		if err != nil || least != "" && (CompareVersions(kind, version, least) < 0 || CompareVersions(kind, version, below) >= 0) {
			return false
		}
	}
	return true
}

// fitted reports whether plugins, and not the manifest, say which versions of a runtime
// may be locked.
func (w *Want) fitted() bool { return w.Language != "" && w.Ranged && len(w.Fits) > 0 }

// Range is what the version of w has to be in.
func (w *Want) Range() string {
	if w.fitted() {
		return w.rng.text + ", which is what fits " + strings.ReplaceAll(strings.Join(w.Fits, " and "), "@", " ")
	}
	return w.Asked
}
