package docs

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	bzl "github.com/bazelbuild/buildtools/build"
	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// The pages of languages/ have a section for each plugin that a rule knows. It
// begins with a table that is made from the catalogue and from the Language of
// rules/NAME.bzl; what follows the table is written by hand.

// A generator is what a rule knows of a plugin.
type generator struct {
	plugin  string
	attr    string            // the attribute that adds it, "" for a plugin of the rule itself
	name    string            // NAME of --NAME_out where the executable does not tell
	options map[string]string // as protoc takes them; "" is a bare key
	unless  []string          // options of a target that replace those
	own     map[string]string // options for a target's own files alone
	files   []string          // for api/shop.proto, nil where its path does not tell
}

// A language is the Language of a file in rules/.
type language struct {
	name, plugin string
	generators   []generator
}

// readLanguage runs a file of rules/ without the types that only Buck2 knows, and
// returns its Language, nil for none.
func readLanguage(t *testing.T, file string) *language {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := bzl.ParseBzl(file, text)
	if err != nil {
		t.Fatal(err)
	}
	bzl.Edit(tree, func(x bzl.Expr, _ []bzl.Expr) bzl.Expr {
		switch x := x.(type) {
		case *bzl.DefStmt:
			x.Type = nil
		case *bzl.TypedIdent:
			return x.Ident
		}
		return nil
	})
	record := func(_ *star.Thread, b *star.Builtin, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		if len(args) > 0 {
			return nil, fmt.Errorf("%s with positional arguments", b.Name())
		}
		return starlarkstruct.FromKeywords(star.String(b.Name()), kwargs), nil
	}
	nothing := func(*star.Thread, *star.Builtin, star.Tuple, []star.Tuple) (star.Value, error) {
		return star.None, nil
	}
	shims := star.StringDict{
		"Generator": star.NewBuiltin("Generator", record), "Language": star.NewBuiltin("Language", record),
		"PROTOC": star.String("protoc"), "suffixes": star.NewBuiltin("suffixes", suffixes),
	}
	for _, name := range []string{"Attributes", "Files", "Options", "codegen_rule", "compile", "library", "library_attrs", "program_test", "protobuf_plugins", "LABELS",
		"proto_library", "ProtoInfo", "ProtobufToolchainInfo", "protobuf_toolchain", "pick", "declare_image", "proto_attrs",
		"default_runtimes", "run_script", "go_proto_library", "typescript_proto_library"} {
		shims[name] = star.NewBuiltin(name, nothing)
	}
	buck2 := star.StringDict{"native": star.None, "fail": star.None}
	for _, name := range []string{"DefaultInfo", "ExternalRunnerTestInfo", "RunInfo", "cmd_args", "rule"} {
		buck2[name] = star.NewBuiltin(name, nothing)
	}
	attrs := star.StringDict{}
	for _, name := range []string{"any", "bool", "dep", "dict", "exec_dep", "list", "option", "source", "string", "toolchain_dep"} {
		attrs[name] = star.NewBuiltin(name, nothing)
	}
	buck2["attrs"] = starlarkstruct.FromStringDict(star.String("attrs"), attrs)
	shims["proto_attrs"] = star.NewBuiltin("proto_attrs", func(*star.Thread, *star.Builtin, star.Tuple, []star.Tuple) (star.Value, error) {
		d := star.NewDict(1)
		return d, d.SetKey(star.String("_protobuf_toolchain"), star.None)
	})
	thread := &star.Thread{Name: file, Load: func(*star.Thread, string) (star.StringDict, error) { return shims, nil }}
	// Only files with a Language are run: the others need more of Buck2.
	if !strings.Contains(string(text), " = Language(\n") || strings.Contains(string(text), "\n_ANY = ") {
		return nil
	}
	globals, err := star.ExecFileOptions(&syntax.FileOptions{}, thread, file, bzl.FormatWithoutRewriting(tree), buck2)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for _, v := range globals {
		record, ok := v.(*starlarkstruct.Struct)
		if !ok || record.Constructor() != star.String("Language") {
			continue
		}
		l := &language{name: word(record, "name"), plugin: word(record, "plugin")}
		if list, err := record.Attr("generators"); err == nil && list != nil {
			for g := range list.(*star.List).Elements() {
				l.generators = append(l.generators, readGenerator(t, thread, "", g.(*starlarkstruct.Struct)))
			}
		}
		// The default first.
		slices.SortStableFunc(l.generators, func(a, b generator) int {
			return cmp.Compare(map[bool]int{true: 0, false: 1}[a.plugin == l.plugin], map[bool]int{true: 0, false: 1}[b.plugin == l.plugin])
		})
		if extras, err := record.Attr("extras"); err == nil && extras != nil {
			for _, item := range extras.(*star.Dict).Items() {
				attr, _ := star.AsString(item[0])
				l.generators = append(l.generators, readGenerator(t, thread, attr, item[1].(*starlarkstruct.Struct)))
			}
		}
		return l
	}
	t.Fatalf("%s has no Language", file)
	return nil
}

// suffixes is that of prelude/library.bzl.
func suffixes(_ *star.Thread, _ *star.Builtin, endings star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	return star.NewBuiltin("files", func(thread *star.Thread, _ *star.Builtin, args star.Tuple, _ []star.Tuple) (star.Value, error) {
		stem := star.Value(star.String(strings.TrimSuffix(string(args[0].(star.String)), ".proto")))
		for _, kwarg := range kwargs { // stem alone
			var err error
			if stem, err = star.Call(thread, kwarg[1], args[:1], nil); err != nil {
				return nil, err
			}
		}
		var all []star.Value
		for _, ending := range endings {
			all = append(all, stem.(star.String)+ending.(star.String))
		}
		return star.NewList(all), nil
	}), nil
}

// word is a field with a string, "" for none.
func word(record *starlarkstruct.Struct, field string) string {
	v, err := record.Attr(field)
	if err != nil {
		return ""
	}
	text, _ := star.AsString(v)
	return text
}

// rendered are options as protoc takes them.
func rendered(t *testing.T, record *starlarkstruct.Struct, field string) (*star.Dict, map[string]string) {
	t.Helper()
	v, err := record.Attr(field)
	if err != nil {
		return star.NewDict(0), nil
	}
	options := map[string]string{}
	for _, item := range v.(*star.Dict).Items() {
		key, _ := star.AsString(item[0])
		switch value := item[1].(type) {
		case star.String:
			options[key] = string(value)
		case star.Bool:
			options[key] = strings.ToLower(value.String())
		default:
			t.Fatalf("%s: %s = %s", word(record, "plugin"), key, value)
		}
	}
	return v.(*star.Dict), options
}

func readGenerator(t *testing.T, thread *star.Thread, attr string, record *starlarkstruct.Struct) generator {
	t.Helper()
	g := generator{plugin: word(record, "plugin"), attr: attr, name: word(record, "name")}
	given, options := rendered(t, record, "options")
	g.options = options
	_, g.own = rendered(t, record, "own_options")
	if unless, err := record.Attr("unless"); err == nil {
		for v := range unless.(*star.List).Elements() {
			text, _ := star.AsString(v)
			g.unless = append(g.unless, text)
		}
	}
	if files, err := record.Attr("files"); err == nil && files != star.None {
		list, err := star.Call(thread, files, star.Tuple{star.String("api/shop.proto"), given}, nil)
		if err != nil {
			t.Fatalf("files of %s: %v", g.plugin, err)
		}
		g.files = []string{}
		for v := range list.(*star.List).Elements() {
			text, _ := star.AsString(v)
			g.files = append(g.files, text)
		}
	}
	return g
}

// codes are words as code, with commas.
func codes(list []string) string {
	var all []string
	for _, text := range list {
		all = append(all, "`"+text+"`")
	}
	return strings.Join(all, ", ")
}

// pairs are options in the form of --NAME_opt, sorted.
func pairs(options map[string]string) (all []string) {
	for key, value := range options {
		if value != "" {
			key += "=" + value
		}
		all = append(all, key)
	}
	slices.Sort(all)
	return all
}

// title is the heading of a generator: plugins of protoc's own have a NAME.
func (g generator) title() string {
	if g.plugin == "protoc" {
		return "protoc, --" + g.name + "_out"
	}
	return g.plugin
}

const factsHead = "| | |\n|---|---|\n"

// facts is the table of a generator.
func (l *language) facts(t *testing.T, g generator) string {
	t.Helper()
	r, ok := catalog.Builtin().Lookup(g.plugin)
	var b strings.Builder
	row := func(about, value string) {
		if value != "" {
			fmt.Fprintf(&b, "| %s | %s |\n", about, value)
		}
	}
	out, program := g.name, ""
	if g.plugin != "protoc" {
		if ok {
			row("makes", cell(r.About))
			program = filepath.Base(r.Sources[0].Binary)
			if out == "" {
				out = strings.TrimPrefix(program, "protoc-gen-")
			}
		}
		if out == "" {
			t.Errorf("%s: no NAME of --NAME_out", g.plugin)
		}
		if ok {
			from, on := places(r)
			row("lock it", "`lockgen add "+g.plugin+"`")
			row("from", strings.Join(from, ", "))
			row("runs on", on)
		} else {
			row("lock it", "no name of the catalogue: say in plugins.toml where it is, see [own-plugin.md](../own-plugin.md)")
		}
	} else {
		row("lock it", "`lockgen add protoc`")
	}
	call := "`plugin = \"" + g.plugin + "\"`, options in `options`"
	switch {
	case g.attr != "":
		call = fmt.Sprintf("`%s = True`, or with options `%s = {\"KEY\": \"VALUE\"}`", g.attr, g.attr)
	case g.plugin == l.plugin:
		call = "nothing: it is the default; options in `options`"
	}
	row("in a BUCK file", call)
	rule := codes(pairs(g.options))
	if len(g.unless) > 0 {
		rule += ", and none of that where you set " + codes(g.unless)
	}
	row("options that the rule sets", rule)
	row("for a target's own files, unless you set it", codes(pairs(g.own)))
	switch {
	case g.files == nil:
		row("files", "named by what is in the .proto file; `files` of the target lists those that are to be sub-targets")
	default:
		row("files of `api/shop.proto`", codes(g.files))
	}
	command := "protoc"
	if program != "" && !strings.HasPrefix(program, "protoc-gen-") {
		command += " --plugin=protoc-gen-" + out + "=\"$(fetch get " + g.plugin + ")\""
	}
	command += " --" + out + "_out=gen"
	if options := pairs(g.options); len(options) > 0 {
		command += " --" + out + "_opt=" + strings.Join(options, ",")
	}
	row("without Buck2", "`"+command+" api/shop.proto`")
	for _, f := range r.Fits {
		row("fits", "`"+f.Plugin+"` "+f.Versions)
	}
	var remote []string
	for _, name := range slices.Sorted(maps.Keys(r.BSR)) {
		if g.plugin != "protoc" || filepath.Base(name) == g.name {
			remote = append(remote, "buf.build/"+name)
		}
	}
	row("in place of", codes(remote))
	return factsHead + b.String()
}

// places are where a plugin comes from, as code, and what runs or compiles it.
func places(r catalog.Recipe) (from []string, on string) {
	on = r.Runtime
	for _, s := range r.Sources {
		if place := "`" + s.Source.String() + "`"; !slices.Contains(from, place) {
			from = append(from, place)
		}
		switch {
		case s.Source.Name == lock.GoToolchain:
		case s.Source.Kind == lock.Go:
			on = "compiled by the locked Go"
		case s.Source.Kind == lock.Cargo:
			on = "compiled by the machine's cargo, or by the locked Rust"
		}
	}
	return from, on
}

const othersHead = "| plugin | makes | from |\n|---|---|---|\n"

// withoutRule are the languages of languages/others.md, each with the NAME of
// --NAME_out where protoc makes it by itself.
var withoutRule = []struct{ name, own string }{
	{"C#", "csharp"}, {"Dart", ""}, {"Kotlin", "kotlin"}, {"Objective-C", "objc"}, {"PHP", "php"}, {"Ruby", "ruby"}, {"Scala", ""}, {"Swift", ""},
}

// makes says whether a plugin says that it makes a language.
func makes(r catalog.Recipe, language string) bool {
	words := regexp.MustCompile(`[\w+#-]+`).FindAllString(r.About, -1)
	return slices.Contains(words, language)
}

// TestPluginsOfLanguagesWithoutRule: languages/others.md has a section for each of them, with
// the plugins that the catalogue knows.
func TestPluginsOfLanguagesWithoutRule(t *testing.T) {
	t.Parallel()
	const name = "languages/others.md"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	page := parts(string(text))
	c := catalog.Builtin()
	protoc, _ := c.Lookup("protoc")
	for _, l := range withoutRule {
		i := slices.IndexFunc(page, func(p part) bool { return p.heading == l.name })
		if i < 0 {
			t.Errorf("%s has no section %q", name, l.name)
			continue
		}
		table := ""
		if l.own != "" {
			if !slices.Contains(protoc.Makes, l.own) {
				t.Errorf("protoc does not make %s", l.own)
			}
			table = fmt.Sprintf("| `protoc` | messages: `--%s_out`, in place of `buf.build/protocolbuffers/%[1]s` | `lockgen add protoc` |\n", l.own)
		}
		for _, plugin := range c.Names() {
			if r, _ := c.Lookup(plugin); makes(r, l.name) {
				table += fmt.Sprintf("| `%s` | %s | `lockgen add %[1]s` |\n", plugin, cell(r.About))
			}
		}
		if table != "" {
			page[i].withTable(makersHead, makersHead+table)
		}
	}
	var want strings.Builder
	for _, p := range page {
		if p.heading != "" {
			want.WriteString("## " + p.heading + "\n")
		}
		want.WriteString(p.body)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(name, []byte(want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want.String() {
		t.Errorf("docs/%s is stale; run: UPDATE_GOLDEN=1 go test ./docs -run TestPlugins", name)
	}
}

const makersHead = "| plugin | makes | lock it |\n|---|---|---|\n"

// others is the table of known plugins that make a language, and that its rule has
// no name for.
func (l *language) others() string {
	var b strings.Builder
	c := catalog.Builtin()
	said, _ := manifest.LanguageOf(l.name)
	for _, name := range c.Names() {
		r, _ := c.Lookup(name)
		if r.Rule != "" || r.Smoke != nil || r.Makes != nil || !makes(r, said.Name) {
			continue
		}
		from, _ := places(r)
		about := r.About
		if len(r.Options) > 0 {
			about += "; makes nothing without an option, such as " + codes(r.Options)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, cell(about), strings.Join(from, ", "))
	}
	if b.Len() == 0 {
		return ""
	}
	return othersHead + b.String()
}

const attributesHead = "| attribute | type | default | |\n|---|---|---|---|\n"

// attributes is the table of what the rule has besides what all languages have,
// from its reference.
func (l *language) attributes(t *testing.T, all [][]byte) string {
	t.Helper()
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| .*\\n")
	in := map[string]int{}
	for _, page := range all {
		seen := map[string]bool{}
		for _, m := range row.FindAllSubmatch(page, -1) {
			if !seen[string(m[1])] {
				in[string(m[1])]++
			}
			seen[string(m[1])] = true
		}
	}
	page, err := os.ReadFile(filepath.Join("api", l.name+".md"))
	if err != nil {
		t.Fatal(err)
	}
	table, seen := "", map[string]bool{"name": true, "visibility": true}
	for _, m := range row.FindAllSubmatch(page, -1) {
		if name := string(m[1]); in[name] < len(all)-1 && !seen[name] {
			seen[name] = true
			table += string(m[0])
		}
	}
	if table == "" {
		t.Errorf("%s has no attributes of its own", l.name)
	}
	return attributesHead + table
}

// TestPluginsOfLanguages: the tables of languages/*.md are those of the code, with a
// page for each language and a section for each generator.
func TestPluginsOfLanguages(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../rules/*.bzl")
	if err != nil {
		t.Fatal(err)
	}
	var languages []*language
	var references [][]byte
	for _, file := range files {
		l := readLanguage(t, file)
		if l == nil {
			continue
		}
		languages = append(languages, l)
		reference, err := os.ReadFile(filepath.Join("api", l.name+".md"))
		if err != nil {
			t.Fatal(err)
		}
		references = append(references, reference)
	}
	if len(languages) < 6 {
		t.Fatalf("read %d languages only", len(languages))
	}
	pages, err := filepath.Glob("languages/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range languages {
		name := filepath.Join("languages", l.name+".md")
		pages = slices.DeleteFunc(pages, func(page string) bool { return page == name })
		text, err := os.ReadFile(name)
		if err != nil && os.Getenv("UPDATE_GOLDEN") == "" {
			t.Error(err)
			continue
		}
		page := parts(string(text))
		find := func(heading string) *part {
			if i := slices.IndexFunc(page, func(p part) bool { return p.heading == heading }); i >= 0 {
				return &page[i]
			}
			if last := &page[len(page)-1]; !strings.HasSuffix(last.body, "\n\n") {
				last.body += "\n"
			}
			page = append(page, part{heading: heading})
			return &page[len(page)-1]
		}
		known := []string{"", "A first target", "Attributes", "Other plugins", "More"}
		for _, g := range l.generators {
			find(g.title()).withTable(factsHead, l.facts(t, g))
			known = append(known, g.title())
		}
		find("Attributes").withTable(attributesHead, l.attributes(t, references))
		if others := l.others(); others != "" {
			find("Other plugins").withTable(othersHead, others)
		}
		want := ""
		for _, p := range page {
			if !slices.Contains(known, p.heading) && strings.Contains(p.body, factsHead) {
				t.Errorf("%s has a section %q, which the rule does not know", name, p.heading)
			}
			if p.heading != "" {
				want += "## " + p.heading + "\n"
			}
			want += p.body
		}
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if string(text) != want {
			t.Errorf("docs/%s is stale; run: UPDATE_GOLDEN=1 go test ./docs -run TestPlugins", filepath.ToSlash(name))
		}
	}
	for _, page := range pages {
		if page != filepath.Join("languages", "others.md") {
			t.Errorf("docs/%s is of no language", page)
		}
	}
}

// excerpt is code of a page that names the file it is from.
var excerpt = regexp.MustCompile("(?s)\\]\\(([^)]*examples/[^)]*/BUCK)\\)[^`]*```python\\n(.*?)```")

// TestPagesOfLanguages: the examples of languages/*.md are those of examples/, and
// each target that a page builds is one that a test of examples/ builds.
func TestPagesOfLanguages(t *testing.T) {
	t.Parallel()
	tests, err := filepath.Glob("../examples/*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	built := ""
	for _, file := range tests {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		built += string(text)
	}
	pages, err := filepath.Glob("languages/*.md")
	if err != nil || len(pages) < 6 {
		t.Fatalf("%v (%v)", pages, err)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		found := excerpt.FindAllStringSubmatch(string(text), -1)
		if len(found) == 0 {
			t.Errorf("%s shows no example of examples/", page)
		}
		for _, m := range found {
			file := filepath.Join(filepath.Dir(page), m[1])
			example, err := os.ReadFile(file)
			if err != nil {
				t.Error(err)
			} else if !strings.Contains(string(example), m[2]) {
				t.Errorf("%s shows what is not in %s:\n%s", page, file, m[2])
			}
		}
		commands := 0
		for _, s := range sections(t, page) {
			for _, line := range slices.Concat(s.blocks...) {
				command, ok := strings.CutPrefix(line, "$ ")
				if !ok {
					continue
				}
				commands++
				target, ok := strings.CutPrefix(command, "buck2 build ")
				if !ok || !strings.Contains(built, `"`+target+`"`) {
					t.Errorf("%s shows %q, and no test of examples/ builds that", page, command)
				}
			}
		}
		if commands == 0 {
			t.Errorf("%s shows no command", page)
		}
	}
}
