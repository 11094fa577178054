package docs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// The pages manifest.md and lock.md are the reference of the two files. Their
// tables of keys are made from the JSON Schemas; headings, prose and examples are
// written by hand, and the tests hold them against the schemas and the parsers.

// A node is a value of a JSON Schema, with its keys in the order of the file.
type node struct {
	keys   []string
	fields map[string]*node
	list   []*node
	text   string // a string
	raw    string // another scalar
}

func readNode(t *testing.T, file string) *node {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	n, err := decodeNode(d)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return n
}

func decodeNode(d *json.Decoder) (*node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	n := &node{}
	switch v := token.(type) {
	case json.Delim:
		if v == '[' {
			n.list = []*node{}
		}
		for d.More() {
			if v == '{' {
				key, err := d.Token()
				if err != nil {
					return nil, err
				}
				value, err := decodeNode(d)
				if err != nil {
					return nil, err
				}
				if n.fields == nil {
					n.fields = map[string]*node{}
				}
				n.keys = append(n.keys, key.(string))
				n.fields[key.(string)] = value
				continue
			}
			value, err := decodeNode(d)
			if err != nil {
				return nil, err
			}
			n.list = append(n.list, value)
		}
		_, err = d.Token()
		return n, err
	case string:
		n.text = v
	default:
		n.raw = fmt.Sprint(v)
	}
	return n, nil
}

// at returns a member, or an empty node.
func (n *node) at(keys ...string) *node {
	for _, key := range keys {
		next, ok := n.fields[key]
		if !ok {
			return &node{}
		}
		n = next
	}
	return n
}

func (n *node) has(key string) bool { _, ok := n.fields[key]; return ok }

// toml is a value as plugins.toml has it.
func (n *node) toml() string {
	switch {
	case n.raw != "":
		return n.raw
	case n.list != nil:
		var list []string
		for _, e := range n.list {
			list = append(list, e.toml())
		}
		return "[" + strings.Join(list, ", ") + "]"
	}
	return lock.Quote(n.text)
}

// A place is a table of the file that a schema describes: its header, and the
// schema of it.
type place struct {
	header string
	keys   []string // of the path, with capitals for names that people choose
	list   bool     // a list of such tables
	node   *node
}

// A shape is the schema of a file.
type shape struct{ root *node }

// resolve follows references.
func (s shape) resolve(n *node) *node {
	for n.has("$ref") {
		path := strings.Split(strings.TrimPrefix(n.at("$ref").text, "#/"), "/")
		n = s.root.at(path...)
	}
	return n
}

// places returns the tables of the file, in the order of the schema, each once.
func (s shape) places() []place {
	var all []place
	seen := map[*node]bool{}
	var walk func(n *node, keys []string, list bool)
	walk = func(n *node, keys []string, list bool) {
		n = s.resolve(n)
		for _, e := range n.at("oneOf").list {
			walk(e, keys, list)
		}
		if n.has("items") {
			walk(n.at("items"), keys, true)
		}
		if n.at("additionalProperties").fields != nil {
			walk(n.at("additionalProperties"), append(slices.Clone(keys), s.chosen(n)), false)
		}
		if !n.has("properties") || seen[n] {
			return
		}
		seen[n] = true
		properties := n.at("properties")
		if same := s.same(properties); same != nil {
			walk(same, append(slices.Clone(keys), "PLATFORM"), false)
			return
		}
		header := "[" + strings.Join(keys, ".") + "]"
		if list {
			header = "[" + header + "]"
		}
		if len(keys) == 0 {
			header = "Keys of the file"
		}
		all = append(all, place{header, keys, list, n})
		for _, key := range properties.keys {
			walk(properties.at(key), append(slices.Clone(keys), key), false)
		}
	}
	walk(s.root, nil, false)
	return all
}

// same returns what all properties refer to, where they are the platforms and
// refer to one table.
func (s shape) same(properties *node) *node {
	if !slices.Equal(properties.keys, lock.PlatformNames()) {
		return nil
	}
	return properties.at(properties.keys[0])
}

// chosen is the word for the keys of a table that people choose: NAME.
func (s shape) chosen(n *node) string {
	names := n.at("propertyNames")
	if names.has("title") {
		return names.at("title").text
	}
	return strings.ToUpper(names.at("$ref").text[strings.LastIndexByte(names.at("$ref").text, '/')+1:])
}

// kind says of which type the values of a key are.
func (s shape) kind(n *node) string {
	code := func(list []*node) (all []string) {
		for _, e := range list {
			all = append(all, "`"+e.toml()+"`")
		}
		return all
	}
	switch {
	case n.has("title") && n != s.root:
		return n.at("title").text
	case n.has("$ref"):
		return s.kind(s.resolve(n))
	case n.has("properties"):
		return "table"
	case n.has("enum"):
		return strings.Join(code(n.at("enum").list), ", ")
	case n.has("const"):
		return "`" + n.at("const").toml() + "`"
	case n.has("oneOf"):
		var all []string
		for _, e := range n.at("oneOf").list {
			if k := s.kind(e); !slices.Contains(all, k) {
				all = append(all, k)
			}
		}
		return strings.Join(all, " or ")
	case n.has("allOf"):
		return s.kind(n.at("allOf").list[0])
	case n.has("items"):
		if s.kind(n.at("items")) == "table" {
			return "list of tables"
		}
		return "list: " + s.kind(n.at("items"))
	}
	switch n.at("type").text {
	case "boolean":
		return "true or false"
	case "integer":
		return "whole number"
	case "object":
		if of := s.resolve(n.at("additionalProperties")); of.at("type").text != "object" {
			return "by " + s.chosen(n) + ": " + s.kind(n.at("additionalProperties"))
		}
		return "tables by " + s.chosen(n)
	}
	return n.at("type").text
}

// about is what the schema says of a key.
func (s shape) about(n *node) string {
	for ; ; n = s.root.at(strings.Split(strings.TrimPrefix(n.at("$ref").text, "#/"), "/")...) {
		if n.has("description") {
			return n.at("description").text
		}
		if all := n.at("allOf").list; len(all) > 0 && !n.has("$ref") {
			n = all[0]
		}
		if !n.has("$ref") {
			return ""
		}
	}
}

const (
	keysHead  = "| key | type | default | |\n|---|---|---|---|\n"
	typesHead = "| type | |\n|---|---|\n"
)

// cell is a text as a cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// table is the table of the keys of a place.
func (s shape) table(p place) string {
	var b strings.Builder
	b.WriteString(keysHead)
	for _, key := range p.node.at("properties").keys {
		n := p.node.at("properties", key)
		absent := ""
		switch {
		case slices.ContainsFunc(p.node.at("required").list, func(r *node) bool { return r.text == key }):
			absent = "required"
		case n.has("default"):
			absent = "`" + n.at("default").toml() + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", key, cell(s.kind(n)), cell(absent), cell(s.about(n)))
	}
	return b.String()
}

// types is the table of the types that have a name.
func (s shape) types() string {
	var b strings.Builder
	b.WriteString(typesHead)
	for _, name := range s.root.at("$defs").keys {
		if n := s.root.at("$defs", name); n.has("title") {
			fmt.Fprintf(&b, "| %s | %s |\n", n.at("title").text, cell(n.at("description").text))
		}
	}
	return b.String()
}

// A part is a section of a page: its heading with the marks, and what follows.
type part struct{ heading, body string }

// parts cuts a page at its headings, but for those in code.
func parts(text string) []part {
	all := []part{{}}
	code := false
	for line := range strings.Lines(text) {
		code = code != strings.HasPrefix(line, "```")
		if !code && strings.HasPrefix(line, "## ") {
			all = append(all, part{heading: strings.TrimSpace(line[len("## "):])})
			continue
		}
		all[len(all)-1].body += line
	}
	return all
}

// withTable puts a table in the place of the one that begins with its head, or
// at the beginning.
func (p *part) withTable(head, table string) {
	before, after, found := strings.Cut(p.body, head)
	if !found {
		p.body = "\n" + table + p.body
		return
	}
	_, after, found = strings.Cut(after, "\n\n")
	if p.body = before + table; found {
		p.body += "\n" + after
	}
}

var references = []struct{ page, schema string }{
	{"manifest.md", "../schemas/plugins.schema.json"},
	{"lock.md", "../schemas/plugins.lock.schema.json"},
}

// TestKeys: the tables of keys in the reference are those of the schemas, with a
// section for each table of the file, and every key says what it is for.
func TestKeys(t *testing.T) {
	t.Parallel()
	for _, r := range references {
		s := shape{readNode(t, r.schema)}
		text, err := os.ReadFile(r.page)
		if err != nil {
			t.Fatal(err)
		}
		page := parts(string(text))
		find := func(heading string) *part {
			if i := slices.IndexFunc(page, func(p part) bool { return p.heading == heading }); i >= 0 {
				return &page[i]
			}
			page = append(page, part{heading: heading})
			return &page[len(page)-1]
		}
		var headings []string
		for _, p := range s.places() {
			find(p.header).withTable(keysHead, s.table(p))
			headings = append(headings, p.header)
			for key, n := range p.node.at("properties").fields {
				if s.about(n) == "" {
					t.Errorf("%s: %s of %s has no description", r.schema, key, p.header)
				}
			}
		}
		if len(headings) < 4 {
			t.Errorf("%s has the tables %v only", r.schema, headings)
		}
		find("Types").withTable(typesHead, s.types())
		want := ""
		for _, p := range page {
			if strings.HasPrefix(p.heading, "[") && !slices.Contains(headings, p.heading) {
				t.Errorf("%s has a section %q, and the schema no such table", r.page, p.heading)
			}
			if p.heading != "" {
				want += "## " + p.heading + "\n"
			}
			want += p.body
		}
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(r.page, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if string(text) != want {
			t.Errorf("%s is stale; look at the schema and run: UPDATE_GOLDEN=1 go test ./docs -run TestKeys", r.page)
		}
	}
}

// examples returns the examples of a page.
func examples(t *testing.T, page string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split(string(text), "```toml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		all = append(all, block)
	}
	return all
}

// collect adds the keys that a decoded file has at a place.
func collect(value any, path []string, keys map[string]bool) {
	switch v := value.(type) {
	case []map[string]any:
		for _, e := range v {
			collect(e, path, keys)
		}
	case []any:
		for _, e := range v {
			collect(e, path, keys)
		}
	case map[string]any:
		for key, e := range v {
			switch {
			case len(path) == 0:
				keys[key] = true
			case path[0] == strings.ToUpper(path[0]) || path[0] == key:
				collect(e, path[1:], keys)
			}
		}
	}
}

// shown reports the keys of a place that no example of the page has.
func shown(t *testing.T, page string, p place, blocks []string) {
	t.Helper()
	keys := map[string]bool{}
	for _, block := range blocks {
		var tree map[string]any
		if _, err := toml.Decode(block, &tree); err != nil {
			t.Errorf("%s: %v in\n%s", page, err, block)
		}
		collect(tree, p.keys, keys)
	}
	for _, key := range p.node.at("properties").keys {
		if !keys[key] {
			t.Errorf("%s: no example has %s of %s", page, key, p.header)
		}
	}
}

// whole makes a manifest of an example.
func whole(block string) string {
	head := ""
	if !regexp.MustCompile(`(?m)^platforms = `).MatchString(block) {
		head = "platforms = [\"" + strings.Join(lock.PlatformNames(), `", "`) + "\"]\n"
	}
	if !strings.Contains(block, "[plugins") {
		block += "\n[plugins]\nprotoc = \"30.2\"\n"
	}
	return head + block
}

// TestManifestPage: every example of manifest.md is a manifest, together they have
// every key, what a table calls the default is what the parser takes without the
// key, and the parser knows the same keys.
func TestManifestPage(t *testing.T) {
	t.Parallel()
	const page = "manifest.md"
	blocks := examples(t, page)
	for _, block := range blocks {
		if _, err := manifest.Parse(manifest.FileName, []byte(whole(block))); err != nil {
			t.Errorf("%s: %v (%s)\n%s", page, err, fault.Hint(err), block)
		}
	}
	defaults := 0
	s := shape{readNode(t, references[0].schema)}
	for _, p := range s.places() {
		shown(t, page, p, blocks)
		known := p.node.at("properties").keys
		if got := parserKeys(t, p); !sameWords(got, known) {
			t.Errorf("%s: the parser knows %v, the page %v", p.header, got, known)
		}
		for _, key := range known {
			n := p.node.at("properties", key)
			if !n.has("default") {
				continue
			}
			defaults++
			with, without := parsed(t, p, key+" = "+n.at("default").toml()), parsed(t, p, "")
			if len(without.Python) == 0 {
				without.Python = lock.DefaultPython
			}
			if len(with.Python) == 0 {
				with.Python = lock.DefaultPython
			}
			if a, b := meaning(t, with), meaning(t, without); a != b {
				t.Errorf("%s: %s = %s is not what the parser takes without it:\n%s\n%s", p.header, key, n.at("default").toml(), a, b)
			}
		}
	}
	if defaults < 4 {
		t.Errorf("%d defaults were compared", defaults)
	}
}

// manifestWith is a manifest with a line in the table of a place.
func manifestWith(p place, line string) string {
	platforms := "platforms = [\"" + strings.Join(lock.PlatformNames(), `", "`) + "\"]\n"
	plugin := "[plugins.acme]\nversion = \"1\"\n"
	header := strings.NewReplacer("NAME", "acme", "PLATFORM", lock.PlatformNames()[0]).Replace(p.header)
	switch {
	case len(p.keys) == 0:
		return platforms + line + "\n" + plugin
	case strings.HasPrefix(plugin, header+"\n"):
		return platforms + plugin + line + "\n"
	case slices.Contains(p.keys, "os") || slices.Contains(p.keys, "arch"):
		plugin += "source = \"https://example.com/{version}/{os}/{arch}\"\n"
	case slices.Equal(p.keys, []string{"tool", "fetch"}):
		header += "\nversion = \"1\""
	}
	return platforms + plugin + header + "\n" + line + "\n"
}

// parsed is the manifest with a line in the table of a place.
func parsed(t *testing.T, p place, line string) *manifest.Manifest {
	t.Helper()
	m, err := manifest.Parse(manifest.FileName, []byte(manifestWith(p, line)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// parserKeys returns the keys of a table that the parser knows: it lists them
// where it is given another.
func parserKeys(t *testing.T, p place) []string {
	t.Helper()
	text := manifestWith(p, `zzzzzz = "x"`)
	_, err := manifest.Parse(manifest.FileName, []byte(text))
	_, list, found := strings.Cut(fault.Hint(err), "use one of ")
	if !found {
		t.Errorf("%s: the parser says %v (%s), and not which keys are known, of\n%s", p.header, err, fault.Hint(err), text)
	}
	return strings.Split(list, ", ")
}

// meaning is what a manifest says.
func meaning(t *testing.T, m *manifest.Manifest) string {
	t.Helper()
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// digests are what stands for "…" in the examples of a lock.
var digests = []struct{ shown, full string }{
	{`"sha512-…"`, `"sha512-` + strings.Repeat("a", 85) + `A=="`},
	{`"h1:…"`, `"h1:` + strings.Repeat("a", 42) + `A="`},
	{`"…"`, `"` + strings.Repeat("a", 64) + `"`},
}

// TestLockPage: the examples of lock.md are a lock, and have every key; and the
// reader of locks knows the same keys.
func TestLockPage(t *testing.T) {
	t.Parallel()
	const page = "lock.md"
	blocks := examples(t, page)
	text := strings.Join(blocks, "\n")
	for _, d := range digests {
		text = strings.ReplaceAll(text, d.shown, d.full)
	}
	var l lock.Lock
	if _, err := toml.Decode(text, &l); err != nil {
		t.Fatal(err)
	}
	if _, err := lock.Parse(lock.FileName, []byte(ownTables(text))); err != nil {
		t.Error(err)
	}
	for _, versions := range l.Plugins {
		for _, v := range versions {
			for _, name := range lock.PlatformNames() {
				if _, shown := v.Platforms[name]; !shown {
					v.Platforms[name] = lock.Cell{Unavailable: "not shown"}
				}
			}
		}
	}
	if _, err := lock.Parse(lock.FileName, lock.Print(&l)); err != nil {
		t.Error(err)
	}
	var meta toml.MetaData
	if meta, _ = toml.Decode(text, &l); len(meta.Undecoded()) > 0 {
		t.Errorf("unknown keys: %v", meta.Undecoded())
	}
	places := shape{readNode(t, references[1].schema)}.places()
	table := map[string]place{}
	for _, p := range places {
		table[p.header] = p
	}
	for header, of := range map[string]any{"Keys of the file": lock.Lock{}, "[plugins.NAME.VERSION]": lock.Version{}, "[plugins.NAME.VERSION.files.PATH]": lock.File{}, "[plugins.NAME.VERSION.platforms.PLATFORM]": lock.Cell{}, "[runtimes.LANGUAGE.NAME.VERSION.folders.PACKAGE]": lock.Folder{}} {
		p, known := table[header], fieldsOf(of)
		if header == "[plugins.NAME.VERSION]" { // the others are those of the other tables of versions
			plugins := p.node.at("properties").keys
			others := slices.Concat(table["[protos.NAME.VERSION]"].node.at("properties").keys, table["[runtimes.LANGUAGE.NAME.VERSION]"].node.at("properties").keys)
			known = slices.DeleteFunc(known, func(key string) bool { return slices.Contains(others, key) && !slices.Contains(plugins, key) })
		}
		if !sameWords(known, p.node.at("properties").keys) {
			t.Errorf("%s: the reader knows %v, the page %v", p.header, known, p.node.at("properties").keys)
		}
	}
	for _, p := range places { // of [protos]: the reader knows more, which plugins have
		shown(t, page, p, blocks)
	}
	if len(places) != 11 {
		t.Errorf("the page has %d tables; compare the others as well", len(places))
	}
}

// ownTables is the tables of [protos] and [runtimes] in the text of a lock.
func ownTables(text string) string {
	part, in := "schema = 1\n", false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "[") {
			in = strings.HasPrefix(line, "[protos.") || strings.HasPrefix(line, "[runtimes.")
		}
		if in {
			part += line
		}
	}
	return part
}

// fieldsOf returns the keys that a struct is decoded from.
func fieldsOf(of any) (keys []string) {
	for _, f := range reflect.VisibleFields(reflect.TypeOf(of)) {
		if key := f.Tag.Get("toml"); key != "" && key != "-" {
			keys = append(keys, key)
		}
	}
	return keys
}
