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
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
)

// rulesFile is the file in our cell with the rules for toolchains.
const rulesFile = "//rules:proto.bzl"

// toolchain adds the target toolchains//:protobuf to the build file of that
// package, wherever the cell toolchains is.
func (e *editor) toolchain(w Wish) error {
	abs, err := filepath.Abs(w.Lock)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(e.project.Root, abs)
	if err != nil || !filepath.IsLocal(rel) {
		return fault.Errorf(fault.Usage, "put it below "+e.project.Root, "%s is outside the Buck2 project", w.Lock)
	}
	cell, file, ok := e.cells.of(filepath.ToSlash(rel))
	if !ok {
		return fault.Errorf(fault.Usage, "add to [cells]: root = .", "%s: no cell of %s contains it", w.Lock, e.project.File)
	}
	folder, name := path.Split(file)
	label := "@" + cell + "//" + strings.TrimSuffix(folder, "/") + ":" + name

	dir := e.cells.paths[e.cells.resolve("toolchains")]
	switch cell := e.cells.resolve("toolchains"); {
	case cell == "":
		dir = "toolchains"
		e.set(e.cells.section, "toolchains", dir)
	case e.cells.external[cell] != "":
		e.note("the cell toolchains is not in this repository; its build file needs:\n%s", toolchainText(e.plan.Cell, label))
		return nil
	}
	build, err := e.buildFile(dir)
	if err != nil {
		return err
	}
	before, err := input.File(build)
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
		e.note("%v\nleft it unchanged; it needs:\n%s", err, toolchainText(e.plan.Cell, label))
	case there != "":
		e.note("%s", there)
	case bytes.Equal(before, after):
	default:
		e.plan.Edits = append(e.plan.Edits, files.Write{Name: build, Before: before, After: after})
		e.plan.Loads = true
	}
	return nil
}

// buildFile returns the path of the build file in a cell's root, which may not
// exist yet.
func (e *editor) buildFile(dir string) (string, error) {
	root := filepath.Join(e.project.Root, filepath.FromSlash(dir))
	c := e.config
	if dir != "." { // each cell has its own names for build files
		var err error
		if c, err = readConfig(root, input.File); err != nil {
			return "", err
		}
	}
	list := func(name string) []string {
		if value := c.get(key{"buildfile", name}); value != "" {
			return strings.Split(value, ",") // the names may contain spaces
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

// toolchainText returns a whole build file for toolchains.
func toolchainText(cell, label string) string {
	text, _, err := addToolchain("BUCK", nil, []string{cell}, label)
	if err != nil {
		panic(err) // only an empty file
	}
	return string(bytes.TrimRight(text, "\n"))
}

// behindHead returns the line after which to insert loads if a file has none:
// after a licence and a docstring.
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

// loadedBy records which symbols of the target a load provides, by their name
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

// loadOf returns a load statement for symbols, each with its name in the file.
// A symbol with the name "" is loaded already.
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

// addToolchain adds the target protobuf and its loads to a build file, without
// changing its lines. cells lists the names of our cell; it writes the first
// one. there describes a target protobuf that the file has already; if that is
// complete, the text stays the same. The error for a text that does not parse
// has file, line and column.
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
	loaded := map[string]string{} // symbols that the target needs, by their name in the file
	other := ""                   // another lock that is loaded
	begin, loads := 0, 0          // lines after which to insert loads
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
				there = fmt.Sprintf("%s:%d: left the target protobuf, a %s, unchanged", name, start.Line, rule.Kind())
				if ours && other != "" {
					there += fmt.Sprintf(". It has the plugins of %s: for those of your plugins.toml, load %q there", other, label)
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

// splice inserts lines after a line number, or at the end for -1. apart puts
// empty lines around them.
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
