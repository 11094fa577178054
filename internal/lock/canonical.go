package lock

import (
	"strconv"
	"strings"
)

// A text that [Print] wrote can be read without the full rules of TOML: each
// key has one place, and each value one form. This reader knows only that form
// and checks little. If printing its result gives the same text, the result is
// right; otherwise the text is left to the TOML decoder. This makes reading
// several times as fast.

// A reader reads text from pos on.
type reader struct {
	text string
	pos  int
	bad  bool // the text has another form; stop reading
}

// readCanonical returns the lock of a canonical text. The caller must print it
// to find out whether the text was canonical. It returns nil if it certainly
// was not.
func readCanonical(text string) *Lock {
	r := &reader{text: text}
	l := &Lock{Schema: Schema}
	r.need(header)
	r.need("schema = " + strconv.Itoa(Schema) + "\n")
	for !r.bad && r.pos < len(text) {
		start := r.pos
		prefix, language := "", ""
		switch {
		case r.skip("\n[protos."):
			prefix = ProtosPrefix
		case r.skip("\n[runtimes."):
			language = r.key()
			r.need(".")
			prefix = RuntimeEntry(language, "")
		default:
			r.need("\n[plugins.")
		}
		name := prefix + r.key()
		r.need(".")
		version := r.quoted()
		table := text[start:r.pos]
		r.need("]\n")
		v := &Version{Language: language, Files: map[string]File{}, Platforms: map[string]Cell{}}
		fields := v.fields()
		for i := range fields {
			if r.field(&fields[i]) {
				r.need("\n")
			}
		}
		r.need(table)
		r.need(".files]\n")
		for r.more() {
			var f File
			path := r.quoted()
			fields := f.fields()
			r.inline(fields[:])
			v.Files[path] = f
		}
		if r.skip(table + ".folders]\n") {
			v.Folders = map[string]Folder{}
			for r.more() {
				var f Folder
				name := r.quoted()
				fields := f.fields()
				r.inline(fields[:])
				v.Folders[name] = f
			}
		}
		r.need(table)
		r.need(".platforms]\n")
		for r.more() {
			var c Cell
			platform := r.key()
			fields := c.fields()
			r.inline(fields[:])
			v.Platforms[platform] = c
		}
		v.spread()
		if l.Plugins == nil {
			l.Plugins = map[string]map[string]*Version{}
		}
		if l.Plugins[name] == nil {
			l.Plugins[name] = map[string]*Version{}
		}
		l.Plugins[name][version] = v
	}
	if r.bad {
		return nil
	}
	return l
}

// skip skips s if it comes next.
func (r *reader) skip(s string) bool {
	if r.bad || !strings.HasPrefix(r.text[r.pos:], s) {
		return false
	}
	r.pos += len(s)
	return true
}

func (r *reader) need(s string) { r.bad = !r.skip(s) }

// more reports whether the table has another line.
func (r *reader) more() bool { return !r.bad && r.pos < len(r.text) && r.text[r.pos] != '\n' }

func (r *reader) key() string {
	if r.pos < len(r.text) && r.text[r.pos] == '"' {
		return r.quoted()
	}
	start := r.pos
	for r.pos < len(r.text) && bare(r.text[r.pos]) {
		r.pos++
	}
	return r.text[start:r.pos]
}

func (r *reader) quoted() string {
	if !r.skip(`"`) {
		r.bad = true
		return ""
	}
	start, escaped := r.pos, false
	for r.pos < len(r.text) && r.text[r.pos] != '"' {
		if r.text[r.pos] == '\\' {
			escaped = true
			r.pos++
		}
		r.pos++
	}
	if r.pos >= len(r.text) {
		r.bad = true
		return ""
	}
	s := r.text[start:r.pos]
	r.pos++
	if escaped { // Go reads Print's escapes
		var err error
		s, err = strconv.Unquote(r.text[start-1 : r.pos])
		r.bad = r.bad || err != nil
	}
	return s
}

// inline reads an inline table after its key, up to the end of the line.
func (r *reader) inline(fields []field) {
	r.need(" = { ")
	before := ""
	for i := range fields {
		start := r.pos
		if before != "" && !r.skip(before) {
			break
		}
		if r.field(&fields[i]) {
			before = ", "
		} else {
			r.pos = start
		}
	}
	r.need(" }\n")
}

// field reads KEY = VALUE, if it comes next.
func (r *reader) field(f *field) bool {
	start := r.pos
	if !r.skip(f.key) || !r.skip(" = ") {
		r.pos = start
		return false
	}
	switch {
	case f.text != nil:
		*f.text = r.quoted()
	case f.list != nil:
		r.need("[")
		for !r.bad && !r.skip("]") {
			if len(*f.list) > 0 {
				r.need(", ")
			}
			*f.list = append(*f.list, r.quoted())
		}
	default:
		start := r.pos
		for r.pos < len(r.text) && r.text[r.pos] >= '0' && r.text[r.pos] <= '9' {
			r.pos++
		}
		n, err := strconv.ParseInt(r.text[start:r.pos], 10, 64)
		*f.size, r.bad = n, r.bad || err != nil
	}
	return !r.bad
}
