package buckify

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bazelbuild/buildtools/build"

	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// ours is the package that our rules are loaded from, in any cell.
const ours = "@buck2-protobuf//rules:"

// moduleOf returns the file that defines a rule.
func moduleOf(kind string) string {
	if kind == protoLibrary || kind == protoPackages {
		return "proto.bzl"
	}
	return strings.TrimSuffix(kind, "_"+protoLibrary) + ".bzl"
}

// languageRule matches the rules that generate code from a proto_library.
var languageRule = regexp.MustCompile(`^[a-z0-9]+_proto_(library|codegen)$|^proto_codegen$`)

// edit produces the new text of each BUCK file.
func (r *run) edit(ctx context.Context) error {
	by := map[*folder][]*target{}
	for _, t := range r.targets {
		by[t.folder] = append(by[t.folder], t)
	}
	packages := r.packagesFolder()
	if packages != nil && by[packages] == nil {
		by[packages] = []*target{}
	}
	for _, p := range slices.SortedFunc(maps.Keys(by), func(a, b *folder) int { return strings.Compare(a.path, b.path) }) {
		if err := ctx.Err(); err != nil {
			return err
		}
		targets := by[p]
		e := &editor{run: r, folder: p, build: p.parsed, name: p.in(p.build)}
		if e.build == nil {
			e.build = &buildFile{file: &build.File{}}
			e.name = p.in(r.BuildFiles[len(r.BuildFiles)-1])
		}
		if p.build == "" && p.taken {
			of := "proto packages"
			if len(targets) > 0 {
				of = targets[0].files[0].path
			}
			r.problems.add(e.name, "rename it, or leave the folder alone: exclude in [buckify]", "it is a folder, where the BUCK file of %s is to be", of)
			continue
		}
		e.declares = p == packages
		after, err := e.text(targets)
		if err != nil {
			return err
		}
		if after != nil && p.build != "" && bytes.Equal(after, p.data) {
			continue
		}
		if r.Within != nil && !slices.ContainsFunc(r.Within, func(dir string) bool { return below(p.path, dir) }) {
			r.result.Beyond++
			continue
		}
		var before []byte
		if p.build != "" {
			before = p.data
			if before == nil {
				before = []byte{}
			}
		}
		r.result.Edits = append(r.result.Edits, Edit{e.name, before, after})
	}
	return nil
}

// An editor changes one BUCK file.
type editor struct {
	*run
	folder *folder
	build  *buildFile
	name   string

	declares bool // the proto packages

	pieces []piece
	fresh  []string          // rules for the end of the file
	loads  map[string]bool   // rules to be loaded, by what they are called where they come from
	data   map[string]string // names for the values of data files, by their labels
	gone   map[string]bool   // names of rules that were taken out, as the file calls them
	taken  map[*build.CallExpr]bool
	calls  map[string]bool  // names that new rules call
	places map[int][]string // new loads, by offset
}

// A piece replaces some bytes of the file.
type piece struct {
	from, to int
	text     string
}

// text returns the new text, or nil if the file is to be deleted.
func (e *editor) text(targets []*target) ([]byte, error) {
	e.loads, e.gone, e.calls = map[string]bool{}, map[string]bool{}, map[string]bool{}
	e.taken, e.places, e.data = map[*build.CallExpr]bool{}, map[int][]string{}, map[string]string{}
	for _, t := range targets {
		switch {
		case t.gone:
			if t.old.keep {
				continue
			}
			e.remove(t.old)
			for _, l := range e.madeOf(e.build, t, "") {
				if !l.keep {
					e.remove(l)
				}
			}
		case t.old == nil:
			e.fresh = append(e.fresh, format(e.newLibrary(t)))
			e.languages(t)
		default:
			if e.update(t) {
				e.replace(t.old)
			}
			if len(t.files) > 0 {
				e.languages(t)
			}
		}
	}
	if e.declares {
		e.declarePackages()
	}
	e.editLoads()
	return e.apply()
}

// attribute builds KEY = VALUE.
func attribute(key string, value build.Expr) build.Expr {
	return &build.AssignExpr{LHS: &build.Ident{Name: key}, Op: "=", RHS: value}
}

func str(s string) build.Expr { return &build.StringExpr{Value: s, Token: quote(s)} }

// quote returns a string literal in UTF-8. The printer of buildtools writes bytes
// above ASCII as octal escapes, which Buck2 reads as Latin-1 characters.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s) + `"`
}

// quoteAll gives every string that the printer would escape a literal made by
// quote.
func quoteAll(x build.Expr) {
	build.Walk(x, func(x build.Expr, _ []build.Expr) {
		s, ok := x.(*build.StringExpr)
		if ok && strings.HasPrefix(s.Token, "'") && strings.ContainsFunc(s.Value, func(c rune) bool { return c >= utf8.RuneSelf }) {
			s.Token, s.TripleQuote = quote(s.Value), false
		}
	})
}

// sortedList returns a list in the order that buildifier gives it.
func sortedList(values []string) build.Expr {
	list := &build.ListExpr{ForceMultiLine: len(values) > 1}
	for _, v := range values {
		list.List = append(list.List, str(v))
	}
	build.SortStringList(list)
	return list
}

// call builds a rule with its attributes in buildifier's order.
func (e *editor) call(kind string, attributes map[string]build.Expr) *build.CallExpr {
	name, bound := e.build.local(kind)
	if !bound {
		e.loads[kind] = true
	}
	e.calls[name] = true
	call := &build.CallExpr{X: &build.Ident{Name: name}, ForceMultiLine: true}
	for _, key := range slices.SortedFunc(maps.Keys(attributes), compareKeys) {
		call.List = append(call.List, attribute(key, attributes[key]))
	}
	return call
}

// compareKeys orders attributes as buildifier does.
func compareKeys(a, b string) int {
	rank := func(key string) int {
		switch key {
		case "name":
			return -3
		case "package_name":
			return -2
		case "srcs":
			return -1
		case "deps":
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
}

// format prints a statement. A list that was written on one line stays on one
// line.
func format(stmt build.Expr) string {
	quoteAll(stmt)
	return string(build.FormatWithoutRewriting(&build.File{Type: build.TypeDefault, Stmt: []build.Expr{stmt}}))
}

// newLibrary builds the proto_library of a new target.
func (e *editor) newLibrary(t *target) *build.CallExpr {
	attributes := map[string]build.Expr{"name": str(t.name), "srcs": sortedList(e.sources(t))}
	if strip := t.strip(); strip != "" {
		attributes["strip_import_prefix"] = str(strip)
	}
	if len(e.Visibility) > 0 {
		attributes["visibility"] = sortedList(e.Visibility)
	}
	if len(t.labels) > 0 {
		attributes["deps"] = sortedList(slices.Collect(maps.Keys(t.labels)))
	}
	return e.call(protoLibrary, attributes)
}

// sources returns the files of a target, relative to its package.
func (e *editor) sources(t *target) (names []string) {
	for _, f := range t.files {
		names = append(names, strings.TrimPrefix(strings.TrimPrefix(f.path, t.folder.path), "/"))
	}
	return names
}

// strip returns the strip_import_prefix of a target, or "" if it needs none.
func (t *target) strip() string {
	if len(t.files) == 0 || t.files[0].root == "" {
		return ""
	}
	return "/" + t.files[0].root
}

// update edits a target's rule and reports whether it changed.
func (e *editor) update(t *target) (changed bool) {
	if t.old.keep {
		return false
	}
	if !t.whole {
		changed = e.mergeSources(t)
	}
	if len(t.files) > 0 && !t.old.kept("deps") {
		changed = e.mergeLabels(t.old, t.labels, t.partial) || changed
	}
	if len(t.files) > 0 && !t.files[0].fixed && !t.old.kept("strip_import_prefix") && t.old.Attr("import_prefix") == nil {
		if want := t.strip(); strings.TrimSuffix(t.old.AttrString("strip_import_prefix"), "/") != want {
			changed = true
			if want == "" {
				t.old.DelAttr("strip_import_prefix")
			} else {
				setAttribute(t.old, "strip_import_prefix", str(want))
			}
		}
	}
	return changed
}

// setAttribute sets an attribute. A new attribute goes where buildifier would put
// it, if the others are in that order.
func setAttribute(r *rule, key string, value build.Expr) {
	if as := r.AttrDefn(key); as != nil {
		as.RHS = value
		return
	}
	at := len(r.Call.List)
	for at > 0 {
		as, ok := r.Call.List[at-1].(*build.AssignExpr)
		if !ok {
			break
		}
		if id, ok := as.LHS.(*build.Ident); !ok || compareKeys(id.Name, key) < 0 {
			break
		}
		at--
	}
	r.Call.List = slices.Insert(r.Call.List, at, attribute(key, value))
}

// mergeSources edits srcs, which is a list or absent.
func (e *editor) mergeSources(t *target) bool {
	want := e.sources(t)
	list, _ := t.old.Attr("srcs").(*build.ListExpr)
	if list == nil {
		if len(want) > 0 {
			setAttribute(t.old, "srcs", sortedList(want))
		}
		return len(want) > 0
	}
	return mergeList(list, want, func(entry string) bool {
		if labelLike(entry) {
			return true
		}
		// Existing entries stay. When regrouping, only those stay that exist and
		// belong to no target.
		name := e.folder.in(entry)
		return e.exists(name) && (!e.Regroup || e.fileNamed(e.files, name) == nil)
	}, func(a string) string { return a })
}

// mergeLabels edits deps, and keeps the spelling of existing entries.
func (e *editor) mergeLabels(r *rule, labels map[string]bool, partial bool) bool {
	want := slices.Sorted(maps.Keys(labels))
	switch x := r.Attr("deps").(type) {
	case nil:
		if len(want) > 0 {
			setAttribute(r, "deps", sortedList(want))
		}
		return len(want) > 0
	case *build.ListExpr:
		changed := mergeList(x, want, func(string) bool { return partial }, e.normal)
		if changed && len(x.List) == 0 && len(x.End.Before) == 0 {
			r.DelAttr("deps")
		}
		return changed
	default:
		// An expression other than a list is left alone; labels that it does not
		// name are added.
		named := map[string]bool{}
		build.Walk(x, func(x build.Expr, _ []build.Expr) {
			if s, ok := x.(*build.StringExpr); ok {
				named[e.normal(s.Value)] = true
			}
		})
		want = slices.DeleteFunc(want, func(label string) bool { return named[e.normal(label)] })
		if len(want) == 0 {
			return false
		}
		left := &r.AttrDefn("deps").RHS
		for {
			sum, ok := (*left).(*build.BinaryExpr)
			if !ok || sum.Op != "+" {
				break
			}
			left = &sum.X
		}
		if list, ok := (*left).(*build.ListExpr); ok {
			mergeList(list, want, func(string) bool { return true }, e.normal)
		} else {
			*left = &build.BinaryExpr{X: sortedList(want), Op: "+", Y: *left}
		}
		return true
	}
}

// normal expands a label of this package to //PACKAGE:NAME.
func (e *editor) normal(label string) string { return e.normalLabel(e.folder, label) }

func (r *run) normalLabel(p *folder, label string) string {
	if name, ok := strings.CutPrefix(label, ":"); ok {
		return "//" + p.path + ":" + name
	}
	cell, rest, ok := strings.Cut(strings.TrimPrefix(label, "@"), "//")
	if !ok {
		return label
	}
	if slices.Contains(r.Cell, cell) {
		cell = ""
	}
	if !strings.Contains(rest, ":") {
		rest += ":" + path.Base(rest)
	}
	return cell + "//" + rest
}

// mergeList makes a list contain the wanted values. Other entries are removed,
// unless stays protects them or they are marked with "# keep". New entries go to
// their place in a sorted list, otherwise to the end.
func mergeList(list *build.ListExpr, want []string, stays func(string) bool, normal func(string) string) (changed bool) {
	wanted, there := map[string]bool{}, map[string]bool{}
	for _, w := range want {
		wanted[normal(w)] = true
	}
	var values []build.Expr
	for _, x := range list.List {
		s, ok := x.(*build.StringExpr)
		switch {
		case !ok || keeps(x):
		case there[normal(s.Value)]: // twice
			changed = true
			continue
		case !wanted[normal(s.Value)] && !stays(s.Value):
			changed = true
			continue
		}
		if ok {
			there[normal(s.Value)] = true
		}
		values = append(values, x)
	}
	sorted := slices.Clone(values)
	again := &build.ListExpr{List: sorted}
	build.SortStringList(again)
	inOrder := slices.Equal(again.List, values)
	for _, w := range want {
		if !there[normal(w)] {
			changed = true
			values = append(values, str(w))
		}
	}
	if !changed {
		return false
	}
	plain := len(list.End.Before) == 0 && !slices.ContainsFunc(values, func(x build.Expr) bool {
		s, ok := x.(*build.StringExpr)
		return !ok || len(s.Before)+len(s.Suffix) > 0
	})
	if plain && (len(list.List) < 2 || len(values) < 2) { // laid out anew
		list.Start, list.End, list.ForceMultiLine = build.Position{}, build.End{}, len(values) > 1
		for i, x := range values {
			values[i] = str(x.(*build.StringExpr).Value)
		}
	}
	list.List = values
	if inOrder {
		build.SortStringList(list)
	}
	return true
}

// madeOf returns the rules of a BUCK file that generate code from a target: those
// of one kind, or all of them if kind is "".
func (r *run) madeOf(b *buildFile, t *target, kind string) (rules []*rule) {
	if b == nil {
		return nil
	}
	if b.made == nil {
		b.made = map[string][]*rule{}
		for _, l := range b.rules {
			if proto := l.AttrString("proto"); proto != "" && languageRule.MatchString(l.kind) {
				label := r.normalLabel(t.folder, proto)
				b.made[label] = append(b.made[label], l)
			}
		}
	}
	for _, l := range b.made[t.label(nil)] {
		if kind == "" || l.kind == kind {
			rules = append(rules, l)
		}
	}
	return rules
}

// libraryName returns the name of a target's library in a language.
func (r *run) libraryName(t *target, language string) string {
	l, _ := manifest.LanguageOf(language)
	own := strings.TrimSuffix(t.name, "_proto") + "_" + l.Suffix
	made := r.madeOf(t.folder.parsed, t, libraryOf(language))
	if len(made) == 0 || slices.ContainsFunc(made, func(l *rule) bool { return l.name == own }) {
		return own
	}
	return made[0].name
}

// languages adds and edits the language libraries of a target.
func (e *editor) languages(t *target) {
	var texts []string
	for _, language := range slices.Sorted(slices.Values(e.Languages)) {
		kind := libraryOf(language)
		made := e.madeOf(e.build, t, kind)
		name := e.libraryName(t, language)
		for _, l := range made {
			if !l.keep && e.updateLibrary(t, l, language, l.name == name) {
				e.replace(l)
			}
		}
		if len(made) > 0 {
			continue
		}
		if other := e.build.named(name); other != nil {
			if other.kind != kind {
				e.problems.add(e.build.at(other), "rename it", "%s has the name that the %s of %s is to have", name, kind, t.label(nil))
			}
			continue // somebody wrote it, with sources of its own
		}
		l := &rule{Rule: build.NewRule(e.call(kind, map[string]build.Expr{"name": str(name), "proto": str(":" + t.name)})), kind: kind, name: name}
		if len(e.Visibility) > 0 {
			setAttribute(l, "visibility", sortedList(e.Visibility))
		}
		e.updateLibrary(t, l, language, true)
		texts = append(texts, format(l.Call))
	}
	if t.old == nil {
		e.fresh = append(e.fresh, texts...)
		return
	}
	_, end := t.old.Call.Span()
	for _, text := range texts {
		at := e.lineEnd(end.Byte)
		e.pieces = append(e.pieces, piece{at, at, "\n" + text})
	}
}

// updateLibrary edits a language library: it adds attributes from plugins.toml
// that are missing, and updates the deps of a library that is compiled.
func (e *editor) updateLibrary(t *target, l *rule, language string, main bool) (changed bool) {
	if main {
		for _, key := range slices.Sorted(maps.Keys(e.Attributes[language])) {
			if l.Attr(key) == nil {
				setAttribute(l, key, starlark(e.Attributes[language][key]))
				changed = true
			}
		}
	}
	if l.Attr("runtime") == nil || l.Attr("srcs") != nil {
		return changed
	}
	if language == "go" && l.Attr("package_name") == nil {
		if name := goPackage(t); name != "" {
			setAttribute(l, "package_name", str(name))
			changed = true
		}
	}
	if l.kept("deps") {
		return changed
	}
	labels := map[string]bool{}
	for _, u := range t.uses {
		lib := &target{folder: u.of.folder, name: e.libraryName(u.of, language)}
		labels[lib.label(e.folder)] = true
	}
	return e.mergeLabels(l, labels, t.partial) || changed
}

// goPackage returns the Go import path that all files of a target share, or "" if
// they differ.
func goPackage(t *target) string {
	for _, f := range t.files[1:] {
		if f.GoPackage != t.files[0].GoPackage {
			return ""
		}
	}
	return t.files[0].GoPackage
}

// starlark converts a TOML value to Starlark.
func starlark(v any) build.Expr {
	switch v := v.(type) {
	case string:
		return str(v)
	case bool:
		if v {
			return &build.Ident{Name: "True"}
		}
		return &build.Ident{Name: "False"}
	case int64:
		return &build.LiteralExpr{Token: fmt.Sprint(v)}
	case []any:
		list := &build.ListExpr{ForceMultiLine: len(v) > 1}
		for _, e := range v {
			list.List = append(list.List, starlark(e))
		}
		return list
	case []map[string]any:
		list := &build.ListExpr{ForceMultiLine: len(v) > 1}
		for _, e := range v {
			list.List = append(list.List, starlark(e))
		}
		return list
	case map[string]any:
		dict := &build.DictExpr{ForceMultiLine: len(v) > 1}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			dict.List = append(dict.List, &build.KeyValueExpr{Key: str(key), Value: starlark(v[key])})
		}
		return dict
	}
	panic(fmt.Sprintf("a value of type %T, which the manifest does not let in", v))
}

// replace rewrites a rule. Comments before and after it stay in place.
func (e *editor) replace(r *rule) {
	start, end := r.Call.Span()
	call := *r.Call
	call.Comments = build.Comments{}
	e.pieces = append(e.pieces, piece{start.Byte, end.Byte, strings.TrimSuffix(format(&call), "\n")})
}

// remove deletes a rule, its comments, and one empty line.
func (e *editor) remove(r *rule) {
	start, end := r.Call.Span()
	from := start.Byte
	if before := r.Call.Comment().Before; len(before) > 0 {
		from = before[0].Start.Byte
	}
	to := e.lineEnd(end.Byte)
	if rest := e.folder.data[to:]; bytes.HasPrefix(rest, []byte("\n")) {
		to++
	} else if bytes.HasPrefix(rest, []byte("\r\n")) {
		to += 2
	}
	e.pieces = append(e.pieces, piece{from, to, ""})
	e.taken[r.Call] = true
	e.gone[r.Call.X.(*build.Ident).Name] = true
}

// lineEnd returns the offset just after the line that contains an offset.
func (e *editor) lineEnd(at int) int {
	if i := bytes.IndexByte(e.folder.data[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(e.folder.data)
}

// loadRank orders loads as buildifier does: other cells, this cell, this package.
func loadRank(module string) int {
	switch {
	case strings.HasPrefix(module, "@"):
		return 0
	case strings.HasPrefix(module, "//"):
		return 1
	}
	return 2
}

// editLoads adds the loads that new rules need, and removes those that no rule
// needs any more.
func (e *editor) editLoads() {
	var loads []*build.LoadStmt
	used := map[string]bool{}
	for _, stmt := range e.build.file.Stmt {
		if l, ok := stmt.(*build.LoadStmt); ok {
			loads = append(loads, l)
			continue
		}
		if call, ok := stmt.(*build.CallExpr); ok && e.taken[call] {
			continue
		}
		build.Walk(stmt, func(x build.Expr, _ []build.Expr) {
			if id, ok := x.(*build.Ident); ok {
				used[id.Name] = true
			}
		})
	}
	changed := map[*build.LoadStmt]bool{}
	mine := func(l *build.LoadStmt) bool { return strings.Contains(l.Module.Value, "//rules:") && !keeps(l) }
	for _, l := range loads {
		for i := len(l.To) - 1; i >= 0; i-- {
			if name := l.To[i].Name; mine(l) && e.gone[name] && !used[name] && !e.calls[name] {
				l.From, l.To = slices.Delete(l.From, i, i+1), slices.Delete(l.To, i, i+1)
				changed[l] = true
			}
		}
	}
	added := map[string]*build.LoadStmt{} // by module
	for _, kind := range slices.Sorted(maps.Keys(e.loads)) {
		module := moduleOf(kind)
		i := slices.IndexFunc(loads, func(l *build.LoadStmt) bool { return mine(l) && strings.HasSuffix(l.Module.Value, "//rules:"+module) })
		if i < 0 {
			l := added[module]
			if l == nil {
				l = &build.LoadStmt{Module: &build.StringExpr{Value: ours + module}, ForceCompact: true}
				added[module] = l
			}
			l.From, l.To = append(l.From, &build.Ident{Name: kind}), append(l.To, &build.Ident{Name: kind})
			continue
		}
		l := loads[i]
		at, _ := slices.BinarySearchFunc(l.To, kind, func(id *build.Ident, name string) int { return strings.Compare(id.Name, name) })
		l.From = slices.Insert(l.From, at, &build.Ident{Name: kind})
		l.To = slices.Insert(l.To, at, &build.Ident{Name: kind})
		changed[l] = true
	}
	for _, module := range slices.Sorted(maps.Keys(added)) {
		e.insertLoad(loads, added[module])
	}
	for label, name := range e.data {
		l := &build.LoadStmt{Module: &build.StringExpr{Value: label}, ForceCompact: true}
		l.From, l.To = []*build.Ident{{Name: "value"}}, []*build.Ident{{Name: name}}
		e.insertLoad(loads, l)
	}
	for at, texts := range e.places {
		e.pieces = append(e.pieces, piece{at, at, e.loadText(at, texts)})
	}
	for _, l := range loads {
		if !changed[l] {
			continue
		}
		start, end := l.Span()
		if len(l.To) > 0 {
			plain := *l
			plain.Comments = build.Comments{}
			e.pieces = append(e.pieces, piece{start.Byte, end.Byte, strings.TrimSuffix(format(&plain), "\n")})
			continue
		}
		e.pieces = append(e.pieces, piece{start.Byte, e.lineEnd(end.Byte), ""})
	}
}

// insertLoad puts a load in its place among the existing loads, or before the
// first statement.
func (e *editor) insertLoad(loads []*build.LoadStmt, l *build.LoadStmt) {
	text := format(l)
	after := -1
	for i, other := range loads {
		if cmp.Or(cmp.Compare(loadRank(other.Module.Value), loadRank(l.Module.Value)), strings.Compare(other.Module.Value, l.Module.Value)) < 0 {
			after = i
		}
	}
	switch {
	case after >= 0:
		_, end := loads[after].Span()
		at := e.lineEnd(end.Byte)
		e.places[at] = append(e.places[at], text)
	case len(loads) > 0:
		start, _ := loads[0].Span()
		if before := loads[0].Comment().Before; len(before) > 0 {
			start = before[0].Start
		}
		e.places[start.Byte] = append(e.places[start.Byte], text)
	default:
		at := len(e.folder.data)
		for _, stmt := range e.build.file.Stmt {
			switch stmt.(type) {
			case *build.StringExpr, *build.CommentBlock: // what the file says of itself
				continue
			}
			start, _ := stmt.Span()
			if before := stmt.Comment().Before; len(before) > 0 {
				start = before[0].Start
			}
			at = start.Byte
			break
		}
		e.places[at] = append(e.places[at], text)
	}
}

// loadText returns the text of new loads for a place in the file, separated by an
// empty line from a statement that is not a load.
func (e *editor) loadText(at int, loads []string) string {
	text := strings.Join(loads, "")
	if at > 0 && e.folder.data[at-1] != '\n' {
		text = "\n" + text
	}
	if rest := strings.TrimLeft(string(e.folder.data[at:]), "\r"); rest != "" && !strings.HasPrefix(rest, "\n") && !strings.HasPrefix(rest, "load(") {
		text += "\n"
	}
	return text
}

// apply puts the pieces into the text, and appends the new rules.
func (e *editor) apply() ([]byte, error) {
	if len(e.pieces) == 0 && len(e.fresh) == 0 {
		return e.folder.data, nil
	}
	text, err := e.spliced()
	if err != nil {
		return nil, err
	}
	if len(e.taken) > 0 {
		text = e.closed(text)
	}
	if len(e.fresh) > 0 {
		more := strings.Join(e.fresh, "\n")
		if text != "" && !strings.HasSuffix(text, "\n") {
			more = "\n" + more
		}
		if text != "" && !strings.HasSuffix(text, "\n\n") && !strings.HasSuffix(text, "\n\r\n") {
			more = "\n" + more
		}
		text += e.lines(more)
	}
	after, bad := parseBuild(e.name, []byte(text))
	if bad != nil {
		return nil, fmt.Errorf("what was written does not parse: %s: %s", bad.where, bad.message)
	}
	if len(after.file.Stmt) == 0 && len(after.file.Before)+len(after.file.After) == 0 {
		return nil, nil
	}
	return []byte(text), nil
}

// spliced returns the text with all pieces applied.
func (e *editor) spliced() (string, error) {
	slices.SortStableFunc(e.pieces, func(a, b piece) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	var out strings.Builder
	at := 0
	for _, p := range e.pieces {
		if p.from < at {
			return "", fmt.Errorf("%s: two edits of one place, at offset %d", e.name, p.from)
		}
		out.Write(e.folder.data[at:p.from])
		out.WriteString(e.lines(p.text))
		at = p.to
	}
	out.Write(e.folder.data[at:])
	return out.String(), nil
}

// closed drops the empty lines that a removal left at the beginning or at the end
// of the file.
func (e *editor) closed(text string) string {
	const blank = "\r\n"
	data := string(e.folder.data)
	if strings.TrimLeft(data, blank) == data {
		text = strings.TrimLeft(text, blank)
	}
	if end := strings.TrimRight(data, blank); len(strings.ReplaceAll(data[len(end):], "\r", "")) < 2 {
		if text = strings.TrimRight(text, blank); text != "" {
			text += e.lines("\n")
		}
	}
	return text
}

// lines converts a text to the line endings of the file.
func (e *editor) lines(text string) string {
	if i := bytes.IndexByte(e.folder.data, '\n'); i > 0 && e.folder.data[i-1] == '\r' {
		return strings.ReplaceAll(text, "\n", "\r\n")
	}
	return text
}
