package manifest

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/plain"
)

// A Buckify is the table [buckify]: how lockgen buckify writes BUCK files. It
// does not change the lock.
type Buckify struct {
	Granularity string   // one of granularities
	Languages   []string // whose libraries are written beside each proto_library, of [Languages]
	Visibility  []string // of new targets; empty for no such attribute
	Roots       []string // folders from which imports are counted, from the root of the cell; nil: found
	Exclude     []string // patterns of what is left alone, from the root of the cell
	// Resolve has the label of what serves an import, by import path or by a
	// pattern of such.
	Resolve map[string]string
	// Attributes of the libraries of a language, by its name. A value is what TOML
	// made of it.
	Attributes map[string]map[string]any
}

// granularities are what one proto_library may stand for, the default first.
var granularities = []string{"directory", "file"}

// Languages are the languages that have rules, rules/NAME.bzl, each with the
// ending of the names of its targets.
var Languages = map[string]string{"cpp": "cpp", "go": "go", "java": "java", "python": "py", "rust": "rs", "typescript": "ts"}

// DefaultBuckify is the table of a manifest that has none.
func DefaultBuckify() Buckify {
	return Buckify{Granularity: granularities[0], Visibility: []string{"PUBLIC"}}
}

var buckifyKeys = []string{"attributes", "exclude", "granularity", "languages", "resolve", "roots", "visibility"}

func (d *decoder) buckify(v any) error {
	b := DefaultBuckify()
	if v == nil {
		d.m.Buckify = b
		return nil
	}
	table, err := d.table([]string{"buckify"}, v)
	if err != nil {
		return err
	}
	if err := d.known([]string{"buckify"}, table, buckifyKeys...); err != nil {
		return err
	}
	at := func(keys ...string) []string { return append([]string{"buckify"}, keys...) }
	if v, ok := table["granularity"]; ok {
		if b.Granularity, err = d.str(at("granularity"), v); err != nil {
			return err
		}
		if !slices.Contains(granularities, b.Granularity) {
			return d.errorf(at("granularity"), fault.DidYouMean(b.Granularity, granularities, "known are "+strings.Join(granularities, ", ")), "unknown granularity %q", b.Granularity)
		}
	}
	known := slices.Sorted(maps.Keys(Languages))
	language := func(at []string, name string) error {
		if _, ok := Languages[name]; ok {
			return nil
		}
		return d.errorf(at, fault.DidYouMean(name, known, "known are "+strings.Join(known, ", ")), "unknown language %q", name)
	}
	if v, ok := table["languages"]; ok {
		if b.Languages, err = d.strs(at("languages"), v); err != nil {
			return err
		}
		for _, name := range b.Languages {
			if err := language(at("languages"), name); err != nil {
				return err
			}
		}
	}
	if v, ok := table["visibility"]; ok {
		if list, is := v.([]any); is && len(list) == 0 {
			b.Visibility = nil
		} else if b.Visibility, err = d.strs(at("visibility"), v); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		key string
		to  *[]string
	}{{"roots", &b.Roots}, {"exclude", &b.Exclude}} {
		v, ok := table[f.key]
		if !ok {
			continue
		}
		list, err := d.strs(at(f.key), v)
		if err != nil {
			return err
		}
		for _, s := range list {
			name := strings.TrimSuffix(s, "/")
			if name != "." && (path.Clean(name) != name || strings.HasPrefix(name, "../") || name == ".." || path.IsAbs(name) || strings.Contains(name, `\`) || plain.Row(name) != name) {
				return d.errorf(at(f.key), `write a path from the root of the cell, with slashes: "a/b"`, "%s holds %q, which is no such path", f.key, s)
			}
			*f.to = append(*f.to, name)
		}
	}
	if v, ok := table["resolve"]; ok {
		t, err := d.table(at("resolve"), v)
		if err != nil {
			return err
		}
		b.Resolve = map[string]string{}
		for _, key := range slices.Sorted(maps.Keys(t)) {
			label, err := d.str(at("resolve", key), t[key])
			if err != nil {
				return err
			}
			if cell, rest, ok := strings.Cut(label, "//"); !ok || !strings.Contains(rest, ":") || strings.ContainsAny(cell, " \":/") || plain.Row(label) != label {
				return d.errorf(at("resolve", key), `write a label with its package: "//third-party/proto:acme"`, "%q is not the label of a target", label)
			}
			b.Resolve[key] = label
		}
	}
	if v, ok := table["attributes"]; ok {
		t, err := d.table(at("attributes"), v)
		if err != nil {
			return err
		}
		b.Attributes = map[string]map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(t)) {
			if err := language(at("attributes", name), name); err != nil {
				return err
			}
			if b.Attributes[name], err = d.table(at("attributes", name), t[name]); err != nil {
				return err
			}
			for _, key := range slices.Sorted(maps.Keys(b.Attributes[name])) {
				if slices.Contains([]string{"deps", "name", "proto", "srcs"}, key) {
					return d.errorf(at("attributes", name, key), "take it out", "lockgen buckify itself writes %s", key)
				}
				if !isIdentifier(key) {
					return d.errorf(at("attributes", name, key), "write the name of an attribute, such as grpc", "%q is not the name of an attribute", key)
				}
				if err := d.starlark(at("attributes", name, key), b.Attributes[name][key]); err != nil {
					return err
				}
			}
		}
	}
	d.m.Buckify = b
	return nil
}

func isIdentifier(s string) bool {
	for i, c := range []byte(s) {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// starlark accepts values that Starlark has as well.
func (d *decoder) starlark(path []string, v any) error {
	switch v := v.(type) {
	case string, bool, int64:
		return nil
	case []any:
		for _, e := range v {
			if err := d.starlark(path, e); err != nil {
				return err
			}
		}
		return nil
	case []map[string]any:
		for _, e := range v {
			if err := d.starlark(path, e); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if err := d.starlark(path, v[key]); err != nil {
				return err
			}
		}
		return nil
	}
	return d.errorf(path, "write a string, a whole number, true, false, a list or a table", "%s is nothing that a BUCK file can say", strings.Join(path, "."))
}
