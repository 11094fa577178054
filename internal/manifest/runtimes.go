package manifest

import (
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// RuntimeItem is a runtime as a list of [runtimes] has it: NAME for a version that
// fits the plugins, NAME==VERSION for an exact one.
func RuntimeItem(name, version string) string {
	if version == Latest {
		return name
	}
	return name + "==" + version
}

// ParseRuntime reads an item of a list of [runtimes]: the name of the library in the
// catalogue or as its registry spells it, and its version, [Latest] for one that fits.
// The error is of class [fault.Usage].
func ParseRuntime(language, item string) (name, version string, err error) {
	name, version, exact := strings.Cut(item, "==")
	name, version = strings.TrimSpace(name), strings.TrimSpace(version)
	kind := lock.KindOf(lock.RuntimesKind(language))
	hint := kind.RuntimeHint
	source := RuntimeSource(language, name)
	_, entry, _ := lock.RuntimeName(lock.RuntimeEntry(language, source.Name))
	bare, extras := kind.Extras(name)
	bad := extras != nil && !kind.Compiled || slices.ContainsFunc(extras, func(extra string) bool { return kind.CheckExtra(extra) != nil })
	if bad || kind.CheckPackage(bare) != nil && syntax.CheckName(bare) != nil || strings.Count(name, ":") > 1 || syntax.CheckName(entry) != nil {
		return "", "", fault.Errorf(fault.Usage, hint, "%q is not the name of a library, or not only that", item)
	}
	if !exact {
		return name, Latest, nil
	}
	if err := CheckExact(version); err != nil {
		return "", "", fault.Errorf(fault.Usage, hint, "%q: %w", item, err)
	}
	return name, version, nil
}

// RuntimeSource is where a library of a language is published. What is no name of a
// package there is one of the catalogue, which knows the package. Features of a crate
// are part of the name, as in [Source].
func RuntimeSource(language, name string) *Source {
	kind := lock.KindOf(lock.RuntimesKind(language))
	if source, err := parseExtras(kind, name); err == nil && kind.Compiled { // a registry tells _ from -
		return &source
	}
	if kind.CheckPackage(name) == nil {
		name = kind.Normal(name)
	}
	return &Source{Kind: kind.Name, Name: name}
}

// runtimes reads [runtimes]. In [Manifest.Plugins] a runtime is called
// runtimes/LANGUAGE/NAME.
func (d *decoder) runtimes(v any) {
	if v == nil {
		return
	}
	table := d.table([]string{"runtimes"}, v)
	d.known([]string{"runtimes"}, table, lock.Languages()...)
	for _, language := range lock.Languages() {
		if _, ok := table[language]; !ok {
			continue
		}
		at := []string{"runtimes", language}
		items := d.strs(at, table[language])
		var names []string
		for _, item := range items {
			name, version, err := ParseRuntime(language, item)
			d.check(at, err)
			source := RuntimeSource(language, name)
			if slices.Contains(names, source.Name) {
				panic(d.errorf(at, "keep one of the two", "%s names %s twice, and a program has one version of a library", dotted(at), source.Name))
			}
			names = append(names, source.Name)
			entry := lock.RuntimeEntry(language, source.Name)
			if d.m.Plugins[entry] != nil {
				panic(d.errorf(at, "keep one of the two", "%s has two libraries that are both called %s", dotted(at), entry))
			}
			d.m.Plugins[entry] = &Plugin{Language: language, Source: source, Versions: []string{version}}
		}
	}
}
