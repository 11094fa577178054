package lock

import (
	"bytes"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// header begins every lock.
const header = "# Written by lockgen from plugins.toml. Do not edit: run \"lockgen update\".\n"

// Print returns the canonical text of a lock: sorted keys, one artifact a line,
// line feeds only. Parsing it and printing again gives the same bytes.
func Print(l *Lock) []byte {
	var b bytes.Buffer
	b.WriteString(header)
	b.WriteString("schema = " + strconv.Itoa(l.Schema) + "\n")
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		for _, version := range slices.Sorted(maps.Keys(l.Plugins[name])) {
			printVersion(&b, "plugins."+key(name)+"."+quote(version), l.Plugins[name][version])
		}
	}
	return b.Bytes()
}

func printVersion(b *bytes.Buffer, table string, v *Version) {
	b.WriteString("\n[" + table + "]\n")
	text := func(s string) string {
		if s == "" {
			return ""
		}
		return quote(s)
	}
	list := func(l []string) string {
		if len(l) == 0 {
			return ""
		}
		return printList(l)
	}
	for _, f := range []struct{ key, value string }{
		{"args", list(v.Args)},
		{"build-scripts", list(v.BuildScripts)},
		{"entry", text(v.Entry)},
		{"generator", text(v.Generator)},
		{"include", text(v.Include)},
		{"main", text(v.Main)},
		{"package", text(v.Package)},
		{"program", text(v.Program)},
		{"python", list(v.Python)},
		{"runtime", text(v.Runtime)},
		{"source", text(v.Source)},
		{"toolchain", text(v.Toolchain)},
		{"trust", text(v.Trust)},
	} {
		if f.value != "" {
			b.WriteString(f.key + " = " + f.value + "\n")
		}
	}
	b.WriteString("\n[" + table + ".files]\n")
	for _, path := range slices.Sorted(maps.Keys(v.Files)) {
		f := v.Files[path]
		var in inline
		in.str("name", f.Name)
		in.str("version", f.Version)
		in.str("url", f.URL)
		in.str("manifest", f.Manifest)
		in.str("archive", f.Archive)
		in.str("sha256", f.SHA256)
		in.add("size", strconv.FormatInt(f.Size, 10))
		in.str("integrity", f.Integrity)
		in.str("gomod", f.GoMod)
		in.list("python", f.Python)
		in.list("platforms", f.Platforms)
		b.WriteString(quote(path) + " = " + in.String() + "\n")
	}
	b.WriteString("\n[" + table + ".platforms]\n")
	for _, name := range slices.Sorted(maps.Keys(v.Platforms)) {
		c := v.Platforms[name]
		var in inline
		in.str("binary", c.Binary)
		in.str("tree", c.Tree)
		in.str("emulate", c.Emulate)
		in.str("unavailable", c.Unavailable)
		b.WriteString(key(name) + " = " + in.String() + "\n")
	}
}

// inline collects the pairs of an inline table; empty values are left out.
type inline []string

func (in *inline) add(k, v string) { *in = append(*in, k+" = "+v) }

func (in *inline) str(k, v string) {
	if v != "" {
		in.add(k, quote(v))
	}
}

func (in *inline) list(k string, v []string) {
	if len(v) > 0 {
		in.add(k, printList(v))
	}
}

func (in inline) String() string { return "{ " + strings.Join(in, ", ") + " }" }

// key writes a TOML key, bare where it may be.
func key(s string) string {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_') {
			return quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}

// quote writes a TOML basic string.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			const hex = "0123456789ABCDEF"
			b.WriteString(`\u00`)
			b.WriteByte(hex[r>>4])
			b.WriteByte(hex[r&15])
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Canonical checks that data is the canonical text of l, which was parsed from
// it; a hand edit, a bad merge, another order of keys or a carriage return is
// an error of class [fault.Lock] that names the first line that differs.
func Canonical(name string, data []byte, l *Lock) error {
	want := Print(l)
	if bytes.Equal(data, want) {
		return nil
	}
	n, got, expected := firstDifference(data, want)
	return fault.Errorf(fault.Lock, "run: lockgen update",
		"%s:%d: not canonical: found %q, lockgen writes %q", name, n, got, expected)
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
