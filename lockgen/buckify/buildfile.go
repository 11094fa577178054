package buckify

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bazelbuild/buildtools/build"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/glob"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// protoLibrary is the rule that owns .proto files.
const protoLibrary = "proto_library"

// libraryOf returns the name of a language's library rule.
func libraryOf(language string) string { return language + "_" + protoLibrary }

// A buildFile is a BUCK file as it is on disk.
type buildFile struct {
	path  string
	file  *build.File
	bound map[string]string  // names that are loaded or defined, to what they are called where they come from
	rules []*rule            // calls of the top level, in order
	names map[string]*rule   // the first of each name
	made  map[string][]*rule // rules that generate code, by the normal label of their proto
}

// A rule is a top-level call in a BUCK file.
type rule struct {
	*build.Rule
	kind string // as its own file calls it
	name string
	keep bool // nothing of it is edited
	line int
}

// at returns FILE:LINE.
func (b *buildFile) at(r *rule) string { return fmt.Sprintf("%s:%d", b.path, r.line) }

// encoding rejects a BUCK file that Buck2 could not read as text. Our parser
// accepts any bytes.
func encoding(where string, data []byte) *problem {
	if bytes.HasPrefix(data, []byte("\ufeff")) {
		return &problem{class: fault.Usage, where: where + placed(1, 1), message: "it begins with a byte order mark", hint: "save it as UTF-8 without that mark"}
	}
	for at := 0; at < len(data); {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n == 1 {
			begin := bytes.LastIndexByte(data[:at], '\n') + 1
			line, col := 1+bytes.Count(data[:at], []byte("\n")), 1+utf8.RuneCount(data[begin:at])
			return &problem{class: fault.Usage, where: where + placed(line, col), message: fmt.Sprintf("it is not UTF-8: byte 0x%02x", data[at]), hint: "save it as UTF-8"}
		}
		at += n
	}
	return nil
}

// position returns the line and column of a parse error. The parser reports the
// end of the unexpected token, and appends a line to every file.
func position(bad build.ParseError, data []byte) (line, col int) {
	line, col = bad.Pos.Line, bad.Pos.LineRune
	if _, token, ok := strings.Cut(bad.Message, "syntax error near "); ok {
		return line, max(1, col-utf8.RuneCountInString(token))
	}
	lines := bytes.Split(bytes.TrimRight(data, " \t\r\n"), []byte("\n"))
	if line > len(lines) {
		return len(lines), utf8.RuneCount(lines[len(lines)-1]) + 1
	}
	return line, col
}

// parseBuild parses a BUCK file.
func parseBuild(where string, data []byte) (*buildFile, *problem) {
	if bad := encoding(where, data); bad != nil {
		return nil, bad
	}
	file, err := build.ParseDefault(where, slices.Clip(data))
	var bad build.ParseError
	if errors.As(err, &bad) {
		return nil, &problem{class: fault.Usage, where: where + placed(position(bad, data)), message: "it does not parse: " + bad.Message, hint: "correct it by hand; it was left alone"}
	} else if err != nil {
		return nil, &problem{class: fault.Usage, where: where, message: "it does not parse: " + err.Error(), hint: "correct it by hand; it was left alone"}
	}
	if len(file.Stmt) > 0 { // what stands at the first byte is given to the file
		first := file.Stmt[0].Comment()
		first.Before = append(file.Before, first.Before...)
		file.Before = nil
	}
	b := &buildFile{path: where, file: file, bound: map[string]string{}, names: map[string]*rule{}}
	for _, stmt := range file.Stmt {
		switch s := stmt.(type) {
		case *build.LoadStmt:
			for i := range s.To {
				b.bound[s.To[i].Name] = s.From[i].Name
			}
		case *build.DefStmt:
			b.bound[s.Name] = s.Name
		case *build.AssignExpr:
			if id, ok := s.LHS.(*build.Ident); ok {
				b.bound[id.Name] = id.Name
			}
		}
	}
	top := map[*build.CallExpr]bool{}
	for _, stmt := range file.Stmt {
		call, ok := stmt.(*build.CallExpr)
		if !ok {
			continue
		}
		id, ok := call.X.(*build.Ident)
		if !ok {
			continue
		}
		top[call] = true
		start, _ := call.Span()
		r := &rule{Rule: build.NewRule(call), kind: b.origin(id.Name), keep: keeps(call) || keeps(call.X), line: start.Line}
		r.name = r.ExplicitName()
		b.rules = append(b.rules, r)
		if r.name != "" && b.names[r.name] == nil {
			b.names[r.name] = r
		}
		if r.kind == protoLibrary && r.name == "" {
			return nil, &problem{class: fault.Usage, where: b.at(r), message: "a proto_library whose name is no string in quotes", hint: unread(where)}
		}
	}
	var nested *build.CallExpr
	build.Walk(file, func(x build.Expr, _ []build.Expr) {
		if call, ok := x.(*build.CallExpr); ok && nested == nil && !top[call] {
			if id, ok := call.X.(*build.Ident); ok && b.origin(id.Name) == protoLibrary {
				nested = call
			}
		}
	})
	if nested != nil {
		start, _ := nested.Span()
		return nil, &problem{class: fault.Usage, where: where + placed(start.Line, start.LineRune), message: "a proto_library inside another expression, so lockgen cannot tell which files it has", hint: unread(where)}
	}
	return b, nil
}

func unread(where string) string {
	dir := parent(where)
	if dir == "" {
		return "write it out, as a call of its own with strings"
	}
	return fmt.Sprintf("write it out, as a call of its own with strings, or leave the folder alone: exclude = [%q] in [buckify]", dir)
}

// origin returns the name that a loaded symbol has in the file that defines it.
func (b *buildFile) origin(name string) string {
	if from, ok := b.bound[name]; ok {
		return from
	}
	return name
}

// local returns the name by which this file calls a rule. ok is false if the rule
// has to be loaded first.
func (b *buildFile) local(kind string) (name string, ok bool) {
	if b.bound[kind] == kind {
		return kind, true
	}
	for _, name := range slices.Sorted(maps.Keys(b.bound)) {
		if b.bound[name] == kind {
			return name, true
		}
	}
	return kind, false
}

// named returns the rule of that name, or nil.
func (b *buildFile) named(name string) *rule {
	if b == nil {
		return nil
	}
	return b.names[name]
}

// keeps reports whether an expression has the comment "# keep", or "# keep:" with
// a reason.
func keeps(x build.Expr) bool {
	if x == nil {
		return false
	}
	c := x.Comment()
	for _, list := range [][]build.Comment{c.Before, c.Suffix, c.After} {
		for _, comment := range list {
			s := strings.TrimSpace(strings.TrimLeft(comment.Token, "#"))
			if s == "keep" || strings.HasPrefix(s, "keep:") {
				return true
			}
		}
	}
	return false
}

// kept reports whether "# keep" protects an attribute of a rule.
func (r *rule) kept(attribute string) bool {
	as := r.AttrDefn(attribute)
	return r.keep || as != nil && (keeps(as) || keeps(as.LHS))
}

// labelLike reports whether an entry of srcs names another target.
func labelLike(s string) bool {
	return strings.HasPrefix(s, ":") || strings.HasPrefix(s, "@") || strings.Contains(s, "//")
}

// claim assigns each .proto file to its target.
func (r *run) claim(context.Context) error {
	r.Granularity = cmp.Or(r.Granularity, manifest.DefaultBuckify().Granularity)
	owned := map[*folder][]*file{} // files by package
	for _, f := range r.files {
		if p := r.owner(f.folder); p != nil {
			owned[p] = append(owned[p], f)
		}
	}
	named := map[*folder]map[string]*target{}
	spanned := map[*folder]*target{} // folders of which a package above has files
	for _, p := range r.order {
		named[p] = map[string]*target{}
		if p.parsed == nil {
			continue
		}
		for _, old := range p.parsed.rules {
			if old.kind != protoLibrary {
				continue
			}
			if twice := named[p][old.name]; twice != nil {
				r.problems.add(p.parsed.at(old), "keep one of the two", "a second proto_library %s, after line %d", old.name, twice.old.line)
			} else if t := r.existing(p, owned[p], old, spanned); t != nil {
				named[p][old.name] = t
				r.targets = append(r.targets, t)
			}
		}
	}
	for _, p := range r.order {
		free := slices.DeleteFunc(slices.Clone(p.files), func(f *file) bool { return f.target != nil })
		if by := spanned[p]; by != nil && p.build == "" {
			for _, f := range free {
				r.problems.add(f.path, fmt.Sprintf("add it to the srcs of %s, or take the files of this folder out of them", by.label(nil)),
					"%s has other files of this folder, which a BUCK file here would take from it", by.label(nil))
			}
		} else if len(free) > 0 {
			r.divide(p, free, named[p])
		}
	}
	slices.SortStableFunc(r.targets, func(a, b *target) int { return strings.Compare(a.folder.path, b.folder.path) })
	for i, t := range r.targets {
		t.order = i
		t.gone = len(t.files) == 0 && !t.whole && !t.partial
		if len(t.files) > 0 {
			r.result.Targets++
		}
	}
	return nil
}

// existing returns the target of an existing rule, with the files that its srcs
// name in its own package, or nil if these cannot be known. It records in spanned
// each subfolder that srcs reaches into.
func (r *run) existing(p *folder, files []*file, old *rule, spanned map[*folder]*target) *target {
	names, list, ok := r.srcs(files, p, old.Attr("srcs"))
	if !ok {
		r.problems.add(p.parsed.at(old), unread(p.parsed.path), "the srcs of %s are neither a list of strings nor a glob, so lockgen cannot tell which files they are", old.name)
		return nil
	}
	t := &target{folder: p, name: old.name, old: old, whole: !list || old.kept("srcs"), partial: generates(old)}
	if r.Regroup && !t.whole {
		return t
	}
	for _, name := range names {
		f := r.fileNamed(files, p.in(name))
		if f == nil {
			t.partial = t.partial || r.exists(p.in(name))
			continue
		}
		if slices.Contains(t.files, f) {
			continue
		}
		t.files = append(t.files, f)
		if f.target != nil {
			r.warn("%s: %s has %s as %s has, which is the one that counts", p.parsed.at(old), old.name, f.path, f.target.label(nil))
			continue
		}
		f.target = t
		for dir := f.folder.path; dir != p.path; dir = parent(dir) {
			spanned[r.folders[dir]] = t
		}
	}
	return t
}

// exists reports whether something outside the tree has this path.
func (r *run) exists(name string) bool {
	_, err := os.Lstat(filepath.Join(r.Root, filepath.FromSlash(name)))
	return err == nil
}

// generates reports whether the srcs of a rule name other targets, or are
// protected by "# keep".
func generates(old *rule) bool {
	list, ok := old.Attr("srcs").(*build.ListExpr)
	return ok && slices.ContainsFunc(list.List, func(x build.Expr) bool {
		s, ok := x.(*build.StringExpr)
		return ok && (labelLike(s.Value) || keeps(s))
	})
}

// divide assigns the files of a folder that no target lists.
func (r *run) divide(p *folder, free []*file, named map[string]*target) {
	if r.Granularity == "file" {
		for _, f := range free {
			r.give(p, stem(path.Base(f.path)), []*file{f}, named)
		}
		return
	}
	name := "root"
	if p.path != "" {
		name = stem(path.Base(p.path) + ".proto")
	}
	// A folder's only target is the folder's target, whatever its name.
	if named[name+"_proto"] == nil {
		var only []*target
		for _, t := range named {
			if !t.whole {
				only = append(only, t)
			}
		}
		if len(only) == 1 && len(named) == 1 {
			only[0].files = append(only[0].files, free...)
			for _, f := range free {
				f.target = only[0]
			}
			return
		}
	}
	r.give(p, name, free, named)
}

// give adds files to the target of that name, and creates it if needed.
func (r *run) give(p *folder, base string, files []*file, named map[string]*target) {
	name := base + "_proto"
	t := named[name]
	if t == nil {
		if other := p.parsed.named(name); other != nil {
			r.problems.add(p.parsed.at(other), "rename it, or write a proto_library of another name for the files by hand", "%s has the name that the proto_library of %s is to have", name, files[0].path)
			return
		}
		t = &target{folder: p, name: name}
		r.targets = append(r.targets, t)
		named[name] = t
	}
	switch first := files[0].path; {
	case r.Granularity == "file" && t.old == nil && len(t.files) > 0:
		r.problems.add(first, "rename one of the two, or leave one of them alone: exclude in [buckify]", "its target would be called %s, as that of %s", name, t.files[0].path)
		return
	case t.whole, r.Granularity == "file" && len(t.files) > 0:
		r.problems.add(p.parsed.at(t.old), "rename the target, or add the file to its srcs by hand", "the proto_library %s has other files than %s, for which the name is meant", name, first)
		return
	}
	t.files = append(t.files, files...)
	for _, f := range files {
		f.target = t
	}
}

// stem turns a file name into a target name. Characters that Buck2 rejects become
// underscores.
func stem(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("_.-+=~@!", c) {
			return c
		}
		return '_'
	}, strings.TrimSuffix(name, ".proto"))
}

func (r *run) fileNamed(files []*file, name string) *file {
	if i, ok := slices.BinarySearchFunc(files, name, func(f *file, name string) int { return strings.Compare(f.path, name) }); ok {
		return files[i]
	}
	return nil
}

// srcs evaluates the attribute srcs. list reports that it is a plain list; ok is
// false if its value cannot be known.
func (r *run) srcs(files []*file, p *folder, x build.Expr) (names []string, list, ok bool) {
	switch x := x.(type) {
	case nil:
		return nil, true, true
	case *build.ListExpr:
		for _, e := range x.List {
			s, ok := e.(*build.StringExpr)
			if !ok {
				return nil, false, false
			}
			if !labelLike(s.Value) {
				names = append(names, s.Value)
			}
		}
		return names, true, true
	case *build.ParenExpr:
		return r.srcs(files, p, x.X)
	case *build.BinaryExpr:
		left, _, ok1 := r.srcs(files, p, x.X)
		right, _, ok2 := r.srcs(files, p, x.Y)
		return append(left, right...), false, ok1 && ok2 && x.Op == "+"
	case *build.CallExpr:
		if id, is := x.X.(*build.Ident); !is || id.Name != "glob" {
			return nil, false, false
		}
		include, exclude := []string{}, []string{}
		for i, arg := range x.List {
			key, value := "", arg
			if as, ok := arg.(*build.AssignExpr); ok {
				if id, ok := as.LHS.(*build.Ident); ok {
					key, value = id.Name, as.RHS
				}
			}
			patterns := build.Strings(value)
			switch {
			case patterns == nil:
				return nil, false, false
			case key == "include" || key == "" && i == 0:
				include = patterns
			case key == "exclude":
				exclude = patterns
			default:
				return nil, false, false
			}
		}
		for _, f := range files {
			name := strings.TrimPrefix(strings.TrimPrefix(f.path, p.path), "/")
			is := func(pattern string) bool { return glob.Match(pattern, name) }
			if slices.ContainsFunc(include, is) && !slices.ContainsFunc(exclude, is) {
				names = append(names, name)
			}
		}
		return names, false, true
	}
	return nil, false, false
}
