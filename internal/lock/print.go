package lock

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// header is the first line of every lock.
const header = "# Written by lockgen from plugins.toml. Do not edit: run \"lockgen update\".\n"

// Print returns the canonical text of a lock: sorted keys, one file a line,
// line feeds only. Parsing and printing it gives the same bytes.
func Print(l *Lock) []byte {
	p := &printer{b: make([]byte, 0, 4096)}
	p.text(header, "schema = ", strconv.Itoa(l.Schema), "\n")
	for _, name := range slices.SortedFunc(maps.Keys(l.Plugins), InText) {
		for _, version := range slices.Sorted(maps.Keys(l.Plugins[name])) {
			p.version(name, version, l.Plugins[name][version])
		}
	}
	return p.b
}

// InText compares the names of entries in the order of their tables in a lock:
// plugins first, then proto packages, then runtimes.
func InText(a, b string) int {
	a, _, ofA := tableAndName(a)
	b, _, ofB := tableAndName(b)
	return cmp.Or(strings.Compare(ofA, ofB), strings.Compare(a, b))
}

// tableAndName splits the name of an entry into its name in the text of a lock,
// that name as a key, and its table.
func tableAndName(entry string) (name, key, table string) {
	if name, ok := ProtosName(entry); ok {
		return name, Key(name), "protos"
	}
	if language, name, ok := RuntimeName(entry); ok {
		return language + "." + name, Key(language) + "." + Key(name), "runtimes"
	}
	return entry, Key(entry), "plugins"
}

// tableOf returns the beginning of the table header for a version of an entry.
func tableOf(entry string) string {
	_, key, table := tableAndName(entry)
	return table + "." + key
}

// A field is a key of a table and its value, in one of text, list and size.
// Empty fields are not printed.
type field struct {
	key  string
	text *string
	list *[]string
	size *int64
}

// fields returns the keys of a version, without its tables, in canonical order.
func (v *Version) fields() [18]field {
	return [...]field{
		{key: "args", list: &v.Args},
		{key: "build-scripts", list: &v.BuildScripts},
		{key: "deps", list: &v.Deps},
		{key: "entry", text: &v.Entry},
		{key: "fits", list: &v.Fits},
		{key: "generator", text: &v.Generator},
		{key: "include", text: &v.Include},
		{key: "main", text: &v.Main},
		{key: "only", list: &v.Only},
		{key: "package", text: &v.Package},
		{key: "program", text: &v.Program},
		{key: "python", list: &v.Python},
		{key: "root", text: &v.Root},
		{key: "runtime", text: &v.Runtime},
		{key: "source", text: &v.Source},
		{key: "toolchain", text: &v.Toolchain},
		{key: "trust", text: &v.Trust},
		{key: "upstream", text: &v.Upstream},
	}
}

// runtimeFields are those that runtimes may have.
var runtimeFields = []string{"args", "build-scripts", "fits", "package", "python", "source", "trust"}

func (f *File) fields() [13]field {
	return [...]field{
		{key: "name", text: &f.Name},
		{key: "version", text: &f.Version},
		{key: "url", text: &f.URL},
		{key: "manifest", text: &f.Manifest},
		{key: "archive", text: &f.Archive},
		{key: "sha256", text: &f.SHA256},
		{key: "size", size: &f.Size},
		{key: "integrity", text: &f.Integrity},
		{key: "gomod", text: &f.GoMod},
		{key: "signer", text: &f.Signer},
		{key: "bundled", list: &f.Bundled},
		{key: "python", list: &f.Python},
		{key: "platforms", list: &f.Platforms},
	}
}

func (f *Folder) fields() [9]field {
	return [...]field{
		{key: "type", text: &f.Type},
		{key: "called", text: &f.Called},
		{key: "root", text: &f.Root},
		{key: "edition", text: &f.Edition},
		{key: "features", list: &f.Features},
		{key: "files", list: &f.Files},
		{key: "imports", list: &f.Imports},
		{key: "script", text: &f.Script},
		{key: "script-imports", list: &f.ScriptImports},
	}
}

func (c *Cell) fields() [4]field {
	return [...]field{
		{key: "binary", text: &c.Binary},
		{key: "tree", text: &c.Tree},
		{key: "emulate", text: &c.Emulate},
		{key: "unavailable", text: &c.Unavailable},
	}
}

func (f field) empty() bool {
	return f.text != nil && *f.text == "" || f.list != nil && len(*f.list) == 0
}

// A printer writes TOML.
type printer struct {
	b    []byte
	keys []string // buffer for sorting
}

func (p *printer) text(parts ...string) {
	for _, s := range parts {
		p.b = append(p.b, s...)
	}
}

func (p *printer) version(name, version string, v *Version) {
	table := "\n[" + tableOf(name) + "." + Quote(version)
	p.text(table, "]\n")
	fields := v.fields()
	for i := range fields {
		if f := &fields[i]; !f.empty() {
			p.field(f)
			p.text("\n")
		}
	}
	p.text(table, ".files]\n")
	for _, path := range sorted(p, v.Files) {
		f := v.Files[path]
		fields := f.fields()
		p.quote(path)
		p.inline(fields[:])
	}
	if len(v.Folders) > 0 {
		p.text(table, ".folders]\n")
	}
	for _, name := range sorted(p, v.Folders) {
		f := v.Folders[name]
		fields := f.fields()
		p.quote(name)
		p.inline(fields[:])
	}
	p.text(table, ".platforms]\n")
	cells := v.cells()
	for _, name := range sorted(p, cells) {
		c := cells[name]
		fields := c.fields()
		p.text(Key(name))
		p.inline(fields[:])
	}
}

// sorted returns the keys of a map. They are valid until the next call.
func sorted[V any](p *printer, m map[string]V) []string {
	p.keys = slices.AppendSeq(p.keys[:0], maps.Keys(m))
	slices.Sort(p.keys)
	return p.keys
}

// inline writes an inline table after its key, and ends the line.
func (p *printer) inline(fields []field) {
	p.text(" = { ")
	before := ""
	for i := range fields {
		if f := &fields[i]; !f.empty() {
			p.text(before)
			p.field(f)
			before = ", "
		}
	}
	p.text(" }\n")
}

func (p *printer) field(f *field) {
	p.text(f.key, " = ")
	switch {
	case f.text != nil:
		p.quote(*f.text)
	case f.list != nil:
		p.text(PrintList(*f.list))
	default:
		p.b = strconv.AppendInt(p.b, *f.size, 10)
	}
}

// bare reports whether a key with this byte needs no quotes.
func bare(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// Key returns a TOML key, without quotes if possible.
func Key(s string) string {
	for i := range len(s) {
		if !bare(s[i]) {
			return Quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}

// Quote returns a TOML basic string.
func Quote(s string) string {
	var p printer
	p.quote(s)
	return string(p.b)
}

func (p *printer) quote(s string) {
	p.b = append(p.b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			p.b = append(p.b, '\\', byte(r))
		case r < 0x20 || r == 0x7f:
			const hex = "0123456789ABCDEF"
			p.b = append(p.b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			p.b = utf8.AppendRune(p.b, r)
		}
	}
	p.b = append(p.b, '"')
}

// Canonical checks that data, from which l was parsed, is the canonical text of
// l. After a manual edit, a bad merge, another order of keys or a carriage
// return, the error is of class [fault.Lock] and names the first line that
// differs.
func Canonical(name string, data []byte, l *Lock) error {
	want := Print(l)
	if bytes.Equal(data, want) {
		return nil
	}
	n, got, expected := firstDifference(data, want)
	return fault.Errorf(fault.Lock, "run: lockgen update",
		"%s:%d: not canonical: found %q, lockgen writes %q", name, n, got, expected)
}

// CRLF reports whether data is the canonical text of l except for CRLF line
// ends, which git writes if core.autocrlf is on.
func CRLF(data []byte, l *Lock) bool {
	return bytes.Contains(data, []byte("\r\n")) && bytes.Equal(bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), Print(l))
}

func firstDifference(a, b []byte) (line int, inA, inB string) {
	as, bs := strings.SplitAfter(string(a), "\n"), strings.SplitAfter(string(b), "\n")
	for i := 0; ; i++ {
		switch {
		case i >= len(as):
			return i + 1, "", bs[i]
		case i >= len(bs):
			return i + 1, as[i], ""
		case as[i] != bs[i]:
			return i + 1, as[i], bs[i]
		}
	}
}

func PrintList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = Quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// Table returns the canonical text of one version of a plugin; "" for none.
func Table(name, version string, v *Version) string {
	if v == nil {
		return ""
	}
	var p printer
	p.version(name, version, v)
	return string(p.b)
}
