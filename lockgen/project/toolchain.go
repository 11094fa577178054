package project

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bazelbuild/buildtools/build"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
)

// rulesFile is the file, in our cell, of what a BUCK file of toolchains needs.
const rulesFile = "//rules:proto.bzl"

// toolchain adds the target toolchains//:protobuf, in the build file of the
// package of toolchains, wherever that cell is.
func (e *editor) toolchain(w Wish) error {
	abs, err := filepath.Abs(w.Lock)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(e.project.Root, abs)
	if err != nil || !filepath.IsLocal(rel) {
		return fault.Errorf(fault.Usage, "write it below "+e.project.Root, "%s lies outside of the Buck2 project", w.Lock)
	}
	cell, file, ok := e.cells.of(filepath.ToSlash(rel))
	if !ok {
		return fault.Errorf(fault.Usage, "add to [cells]: root = .", "%s: no cell of %s has it", w.Lock, e.project.File)
	}
	folder, name := path.Split(file)
	label := "@" + cell + "//" + strings.TrimSuffix(folder, "/") + ":" + name

	dir := e.cells.paths[e.cells.resolve("toolchains")]
	switch cell := e.cells.resolve("toolchains"); {
	case cell == "":
		dir = "toolchains"
		e.set(e.cells.section, "toolchains", dir)
	case e.cells.external[cell] != "":
		e.note("the cell toolchains is not of this repository; its build file needs:\n%s", toolchainText(e.plan.Cell, label))
		return nil
	}
	build, err := e.buildFile(dir)
	if err != nil {
		return err
	}
	before, err := os.ReadFile(build)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	names := []string{e.plan.Cell}
	for _, n := range append(slices.Sorted(maps.Keys(e.cells.paths)), slices.Sorted(maps.Keys(e.cells.aliases))...) {
		if e.cells.resolve(n) != "" && e.cells.resolve(n) == e.cells.resolve(e.plan.Cell) {
			names = append(names, n)
		}
	}
	after, there, err := addToolchain(build, before, names, label)
	switch {
	case err != nil:
		e.note("%v\nit stays as it is, and needs:\n%s", err, toolchainText(e.plan.Cell, label))
	case there != "":
		e.note("%s", there)
	case bytes.Equal(before, after):
	default:
		e.plan.Edits = append(e.plan.Edits, files.Write{Name: build, Before: before, After: after})
		e.plan.Loads = true
	}
	return nil
}

// buildFile is the path of the build file of a cell's root, which need not be
// there.
func (e *editor) buildFile(dir string) (string, error) {
	root := filepath.Join(e.project.Root, filepath.FromSlash(dir))
	c := e.config
	if dir != "." { // every cell has its own names of build files
		var err error
		if c, err = readConfig(root, os.ReadFile); err != nil {
			return "", err
		}
	}
	list := func(name string) []string {
		if value := c.get(key{"buildfile", name}); value != "" {
			return strings.Split(value, ",") // blanks are part of the names
		}
		return nil
	}
	names := list("name_v2")
	fresh := "BUCK"
	if len(names) == 0 {
		for _, name := range list("name") {
			names = append(names, name+".v2", name)
		}
		if len(names) > 0 {
			fresh = names[1]
		} else {
			names = []string{"BUCK.v2", "BUCK"}
		}
	} else {
		fresh = names[0]
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(root, name)); err == nil {
			return filepath.Join(root, name), nil
		}
	}
	return filepath.Join(root, fresh), nil
}

// toolchainText is all that a build file of toolchains needs.
func toolchainText(cell, label string) string {
	text, _, err := addToolchain("BUCK", nil, []string{cell}, label)
	if err != nil {
		panic(err) // of an empty file
	}
	return string(bytes.TrimRight(text, "\n"))
}

// behindHead is the line behind which loads go where a file has none: behind a
// licence and a docstring.
func behindHead(f *build.File, text []byte) (begin int) {
	lines := strings.Split(string(text), "\n")
	first := len(lines)
	for i, stmt := range f.Stmt {
		start, end := stmt.Span()
		if _, ok := stmt.(*build.StringExpr); ok && i == 0 {
			begin = end.Line
		} else if _, ok := stmt.(*build.CommentBlock); !ok {
			first = start.Line
			break
		}
	}
	for i, line := range lines[:first-1] {
		if i+1 > begin && strings.TrimSpace(line) == "" {
			begin = i + 1
		}
	}
	return begin
}

// loadedBy notes what a load brings of what the target needs, by what it is called
// in the file, and returns another lock that it loads.
func loadedBy(load *build.LoadStmt, cells []string, label string, loaded map[string]string) (other string) {
	for i, from := range load.From {
		module, symbol := load.Module.Value, from.Name
		switch {
		case module == label && symbol == "value":
			loaded["lock"] = load.To[i].Name
		case symbol == "value" && strings.HasSuffix(module, ":plugins.lock.toml"):
			other = module
		case slices.ContainsFunc(cells, func(c string) bool { return module == "@"+c+rulesFile }):
			loaded[symbol] = load.To[i].Name
		}
	}
	return other
}

// loadOf is a load of symbols, each with what the file is to call it, "" for one
// that it has already.
func loadOf(module string, symbols ...[2]string) string {
	words := ""
	for _, s := range symbols {
		switch s[1] {
		case "":
		case s[0]:
			words += fmt.Sprintf(", %q", s[0])
		default:
			words += fmt.Sprintf(", %s = %q", s[1], s[0])
		}
	}
	return fmt.Sprintf("load(%q%s)", module, words)
}

// addToolchain adds the target protobuf, and what it loads, to the text of a build
// file; every line that is there stays. Cells are the names of our cell, the first
// of them to be written. There says which target protobuf the file has already;
// with one that has everything, the text stays as it is.
// The error is that of a text that does not parse, with file, line and column.
func addToolchain(name string, text []byte, cells []string, label string) (after []byte, there string, err error) {
	f, err := build.ParseBuild(name, text)
	if err != nil {
		return nil, "", err
	}
	used := map[string]bool{} // names
	build.Walk(f, func(x build.Expr, _ []build.Expr) {
		if id, ok := x.(*build.Ident); ok {
			used[id.Name] = true
		}
	})
	loaded := map[string]string{} // what the target needs, by what it is called in the file
	other := ""                   // a lock that is loaded
	begin, loads := 0, 0          // lines that loads go behind
	for _, stmt := range f.Stmt {
		start, end := stmt.Span()
		switch x := stmt.(type) {
		case *build.LoadStmt:
			loads = end.Line
			if lock := loadedBy(x, cells, label, loaded); lock != "" {
				other = lock
			}
		case *build.CallExpr:
			if rule := build.NewRule(x); rule.Name() == "protobuf" {
				ours := rule.Kind() == loaded["protobuf_toolchain"]
				if ours && loaded["lock"] != "" {
					return text, "", nil
				}
				there = fmt.Sprintf("%s:%d: there is a target protobuf already, of %s; it stays as it is", name, start.Line, rule.Kind())
				if ours && other != "" {
					there += fmt.Sprintf(". It has the plugins of %s: for those of your own plugins.toml, load %q there", other, label)
				}
				return nil, there, nil
			}
		}
	}
	if loads == 0 {
		begin = behindHead(f, text)
	}
	local := func(symbol string, other ...string) (string, string) {
		if name := loaded[symbol]; name != "" {
			return name, ""
		}
		for _, name := range append([]string{symbol}, other...) {
			if !used[name] {
				return name, name
			}
		}
		return "", ""
	}
	lockName, loadLock := local("lock", "plugins_lock", "protobuf_plugins_lock")
	plugins, loadPlugins := local("protobuf_plugins", "buck2_protobuf_plugins")
	toolchain, loadToolchain := local("protobuf_toolchain", "buck2_protobuf_toolchain")
	if lockName == "" || plugins == "" || toolchain == "" {
		return nil, "", fmt.Errorf("%s: the names lock, protobuf_plugins or protobuf_toolchain are taken", name)
	}
	var lines []string
	if loadPlugins != "" || loadToolchain != "" {
		lines = append(lines, loadOf("@"+cells[0]+rulesFile, [2]string{"protobuf_plugins", loadPlugins}, [2]string{"protobuf_toolchain", loadToolchain}))
	}
	if loadLock != "" {
		lines = append(lines, fmt.Sprintf("load(%q, %s = \"value\")", label, lockName))
	}
	target := []string{"", toolchain + "(", `    name = "protobuf",`, "    plugins = " + plugins + "(lock = " + lockName + "),", `    visibility = ["PUBLIC"],`, ")"}
	after = splice(text, cmp.Or(loads, begin), lines, loads == 0)
	after = splice(after, -1, target, false)
	if _, err := build.ParseBuild(name, after); err != nil {
		return nil, "", fmt.Errorf("the edit would not parse: %w", err)
	}
	return after, "", nil
}

// splice puts lines behind the one of that number, or at the end for -1. Apart
// says that empty lines are to be around them.
func splice(text []byte, behind int, lines []string, apart bool) []byte {
	newline := "\n"
	if bytes.Contains(text, []byte("\r\n")) {
		newline = "\r\n"
	}
	old := strings.SplitAfter(string(text), "\n")
	if old[len(old)-1] == "" {
		old = old[:len(old)-1]
	}
	if behind < 0 {
		behind = len(old)
	}
	head, tail := strings.Join(old[:behind], ""), strings.Join(old[behind:], "")
	if head != "" && !strings.HasSuffix(head, "\n") {
		head += newline
	}
	if head == "" {
		for len(lines) > 0 && lines[0] == "" {
			lines = lines[1:]
		}
	}
	if len(lines) == 0 {
		return text
	}
	added := strings.Join(lines, newline) + newline
	if apart && head != "" && !strings.HasSuffix(head, newline+newline) {
		added = newline + added
	}
	if apart && tail != "" && !strings.HasPrefix(tail, newline) {
		added += newline
	}
	return []byte(head + added + tail)
}
