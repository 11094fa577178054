package manifest

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/plain"
)

// A Buckify is the table [buckify], which says how lockgen buckify writes BUCK
// files. It does not affect the lock.
type Buckify struct {
	Granularity string   // one of granularities
	Languages   []string // rules of [Languages] for which to write a library beside each proto_library
	Visibility  []string // of new targets; empty to write none
	Roots       []string // folders from which imports are counted, relative to the cell; nil to detect them
	Exclude     []string // patterns of paths to skip, relative to the cell
	// Packages is the Buck2 package with the targets of proto packages.
	Packages string
	// Resolve maps import paths, or patterns of them, to the label of the
	// target that provides the import.
	Resolve map[string]string
	// Attributes has attributes for the libraries of each language, with TOML
	// values.
	Attributes map[string]map[string]any
}

// granularities are the possible units of a proto_library, the default first.
var granularities = []string{"directory", "file"}

// DefaultBuckify returns the settings of a manifest without the table.
func DefaultBuckify() Buckify {
	return Buckify{Granularity: granularities[0], Visibility: []string{"PUBLIC"}, Packages: "//third-party/proto"}
}

var buckifyKeys = []string{"attributes", "exclude", "granularity", "languages", "packages", "resolve", "roots", "visibility"}

func (d *decoder) buckify(v any) {
	b := &d.m.Buckify
	*b = DefaultBuckify()
	if v == nil {
		return
	}
	table := d.table([]string{"buckify"}, v)
	d.known([]string{"buckify"}, table, buckifyKeys...)
	for _, key := range slices.Sorted(maps.Keys(table)) {
		at, v := []string{"buckify", key}, table[key]
		switch key {
		case "granularity":
			if b.Granularity = d.str(at, v); !slices.Contains(granularities, b.Granularity) {
				panic(d.errorf(at, fault.DidYouMean(b.Granularity, granularities, "use one of "+strings.Join(granularities, ", ")), "unknown granularity %q", b.Granularity))
			}
		case "languages":
			b.Languages = d.strs(at, v)
			for _, name := range b.Languages {
				d.language(at, name)
			}
		case "visibility":
			if list, is := v.([]any); is && len(list) == 0 {
				b.Visibility = nil
			} else {
				b.Visibility = d.strs(at, v)
			}
		case "roots":
			b.Roots = d.inCell(at, v)
		case "exclude":
			b.Exclude = d.inCell(at, v)
		case "packages":
			b.Packages = d.buckPackage(at, v)
		case "resolve":
			b.Resolve = d.labels(at, v)
		case "attributes":
			b.Attributes = d.attributes(at, v)
		}
	}
}

// language checks the name of a language with rules.
func (d *decoder) language(at []string, name string) {
	if _, ok := LanguageOf(name); ok {
		return
	}
	known := languageRules()
	panic(d.errorf(at, fault.DidYouMean(name, known, "use one of "+strings.Join(known, ", ")), "unknown language %q", name))
}

// inCell parses paths and patterns relative to the cell.
func (d *decoder) inCell(at []string, v any) []string {
	list := d.strs(at, v)
	for i, s := range list {
		name := strings.TrimSuffix(s, "/")
		if name != "." && (path.Clean(name) != name || strings.HasPrefix(name, "../") || name == ".." || path.IsAbs(name) || strings.Contains(name, `\`) || plain.Row(name) != name) {
			panic(d.errorf(at, `write a path from the root of the cell, with slashes: "a/b"`, "%s has %q, which is not such a path", at[len(at)-1], s))
		}
		list[i] = name
	}
	return list
}

// buckPackage parses the name of a Buck2 package.
func (d *decoder) buckPackage(at []string, v any) string {
	s := d.str(at, v)
	cell, folder, ok := strings.Cut(s, "//")
	if !ok || strings.ContainsAny(cell, " \":/") || strings.ContainsAny(folder, `":\`) || folder != "" && (path.Clean(folder) != folder || strings.HasPrefix(folder, "..") || folder == "." || path.IsAbs(folder)) || plain.Row(s) != s {
		panic(d.errorf(at, `write a package without a target: "//third-party/proto"`, "%q is not the name of a package", s))
	}
	return s
}

// labels parses labels of targets, which must have a package.
func (d *decoder) labels(at []string, v any) map[string]string {
	table := d.table(at, v)
	labels := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(table)) {
		at := in(at, key)
		label := d.str(at, table[key])
		if cell, rest, ok := strings.Cut(label, "//"); !ok || !strings.Contains(rest, ":") || strings.ContainsAny(cell, " \":/") || plain.Row(label) != label {
			panic(d.errorf(at, `write a label with its package: "//third-party/proto:acme"`, "%q is not the label of a target", label))
		}
		labels[key] = label
	}
	return labels
}

// attributes parses attributes of rules, by language.
func (d *decoder) attributes(at []string, v any) map[string]map[string]any {
	table := d.table(at, v)
	all := map[string]map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		at := in(at, name)
		d.language(at, name)
		all[name] = d.table(at, table[name])
		for _, key := range slices.Sorted(maps.Keys(all[name])) {
			at := in(at, key)
			if slices.Contains([]string{"deps", "name", "proto", "srcs"}, key) {
				panic(d.errorf(at, "remove it", "lockgen buckify writes %s by itself", key))
			}
			if !isIdentifier(key) {
				panic(d.errorf(at, "write the name of an attribute, such as grpc", "%q is not the name of an attribute", key))
			}
			d.starlark(at, all[name][key])
		}
	}
	return all
}

func isIdentifier(s string) bool {
	for i, c := range []byte(s) {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// starlark accepts values that also exist in Starlark.
func (d *decoder) starlark(path []string, v any) {
	switch v := v.(type) {
	case string, bool, int64:
		return
	case []any:
		for _, e := range v {
			d.starlark(path, e)
		}
		return
	case []map[string]any:
		for _, e := range v {
			d.starlark(path, e)
		}
		return
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			d.starlark(path, v[key])
		}
		return
	}
	panic(d.errorf(path, "write a string, a whole number, true, false, a list or a table", "%s has a value that a BUCK file cannot have", dotted(path)))
}
