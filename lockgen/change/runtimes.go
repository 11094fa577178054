package change

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/project"
)

// isRuntime reports whether an entry is one of [runtimes].
func isRuntime(entry string) bool {
	_, _, ok := lock.RuntimeName(entry)
	return ok
}

// dropRuntimes removes the runtimes except one from a manifest that is being
// edited, because what they must match may still change.
func dropRuntimes(m *manifest.Manifest, but string) {
	maps.DeleteFunc(m.Plugins, func(name string, _ *manifest.Plugin) bool { return isRuntime(name) && name != but })
}

// asksFor reports whether an entry of a manifest that is being edited has a
// version already.
func asksFor(m *manifest.Manifest, l *lock.Lock, name, version string) (bool, error) {
	if isRuntime(name) {
		asked := m.Plugins[name].Versions[0]
		return asked == version || asked == manifest.Latest, nil
	}
	dropRuntimes(m, "")
	wants, err := plan.Wants(m, l)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(wants, func(w *plan.Want) bool {
		return w.Name == name && (w.Asked == version || w.Version == version || w.Ranged && w.Allows(version))
	}), nil
}

// library turns runtimes/LANGUAGE/PACKAGE into the name of its entry, if that is
// another one, and keeps the item of the list for [adding.write].
func (a *adding) library(spec string) string {
	language, rest, ok := lock.RuntimeName(spec)
	if !ok || lock.RuntimesKind(language) == "" {
		return spec
	}
	name, _, _ := lock.CutPackage(rest)
	source := manifest.RuntimeSource(language, name)
	entry := lock.RuntimeEntry(language, source.Name)
	if !strings.ContainsAny(name, ":/@[") || lock.CheckEntryName(entry) != nil {
		return spec
	}
	if a.entries == nil {
		a.entries = map[string]*manifest.Plugin{}
	}
	a.entries[entry] = &manifest.Plugin{Language: language, Source: source}
	return entry + strings.TrimPrefix(rest, name)
}

// nextOfRuntimes says what to write into .buckconfig, so that libraries get the
// runtimes of their language by default.
func (a *adding) nextOfRuntimes() {
	buck2, _ := project.Find(filepath.Dir(files.Absolute(a.Manifest)))
	for _, language := range lock.Languages() {
		of := func(name string) bool {
			l, _, _ := lock.RuntimeName(name)
			return l == language
		}
		if buck2 == nil || !slices.ContainsFunc(a.asked, of) || slices.Contains(strings.FieldsFunc(buck2.Get("buck2_protobuf", "runtimes"), func(r rune) bool { return r == ',' || r == ' ' }), language) {
			continue
		}
		a.UI.Say("to give every %s_proto_library this runtime by default, set runtimes = %s in [buck2_protobuf] of .buckconfig", language, language)
	}
}

// checkRuntime checks a runtime of a command line: it must have an exact
// version, or none for the newest that matches.
func checkRuntime(entry, version string, given bool) error {
	language, name, _ := lock.RuntimeName(entry)
	if normal := manifest.RuntimeSource(language, name).Name; normal != name {
		return fault.Errorf(fault.Usage, "write: lockgen add "+lock.RuntimeEntry(language, normal), "in a lock, %s is called %s", name, normal)
	}
	if !given || version == manifest.Latest {
		return nil
	}
	if manifest.IsRange(version) {
		return fault.Errorf(fault.Usage, "omit the version for the newest one that matches, or write an exact one", "%q is a range, which a runtime cannot have", version)
	}
	return manifest.CheckExact(version)
}
