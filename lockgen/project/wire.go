package project

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/build"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
)

// Cell is the name of our cell in a project that has none.
const Cell = "buck2-protobuf"

// platforms is the target platform that `buck2 init` sets for every cell.
const platforms = "prelude//platforms:default"

// A Wish says how a project should use buck2-protobuf.
type Wish struct {
	Origin string // of the git cell
	Commit string // of Origin: 40 or 64 hexadecimal digits (SHA-1 or SHA-256); otherwise unknown
	Lock   string // path of the plugins.lock.toml
	// Runtimes are the languages whose libraries have the runtimes of the lock.
	Runtimes []string
}

// A Plan lists the changes of a project for a [Wish].
type Plan struct {
	Cell  string        // what to write between @ and // the name for loads, between @ and //
	Edits []files.Write // none for files that do not change
	// Notes describe what was left unchanged, and what to do about it.
	Notes []string
	// Loads is true if an edit makes the toolchain load Lock.
	Loads bool
}

// ErrCommit is the error for a [Wish] without a commit, if the commit must be
// written.
var ErrCommit = errors.New("the commit of buck2-protobuf is not known")

var fullCommit = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// Wire plans how the project uses buck2-protobuf: the cell, its origin, its
// target platform, and the target toolchains//:protobuf. It keeps existing
// settings; if one differs from the wish, a note says so. If Buck2 could not
// use the result, the error has class [fault.Usage] and names the cause. If a
// commit is needed and missing, it is [ErrCommit].
func (p *Project) Wire(w Wish) (*Plan, error) {
	e := &editor{project: p, config: p.config, cells: p.config.cells(), plan: &Plan{}}
	if e.cells.resolve("prelude") == "" {
		return nil, fault.Errorf(fault.Usage, "add to it: prelude = prelude in [cells], and prelude = bundled in [external_cells]; or start with what buck2 init writes in an empty folder",
			"%s has no cell prelude, which rules of Buck2 need", p.File)
	}
	if err := e.cell(w); err != nil {
		return nil, err
	}
	e.detector()
	e.runtimes(w)
	if err := e.toolchain(w); err != nil {
		return nil, err
	}
	edits, err := e.apply()
	if err != nil {
		return nil, err
	}
	e.plan.Edits = append(edits, e.plan.Edits...)
	return e.plan, nil
}

// An editor collects changes to the configuration.
type editor struct {
	project *Project
	config  *config
	cells   cells
	plan    *Plan

	inserts []insert
	fresh   []fresh // sections that no file has
	wanted  []change
}

// An insert is text to insert at a position in a file.
type insert struct {
	in   *configFile
	at   int
	text string // with \n for a line end
}

// A fresh section is a section to append to a file.
type fresh struct {
	section string
	lines   []string
}

// A change is a setting with its new value.
type change struct {
	key
	value string
}

func (e *editor) note(format string, args ...any) {
	e.plan.Notes = append(e.plan.Notes, fmt.Sprintf(format, args...))
}

// set adds a setting, but keeps an existing one. It reports whether the setting
// has the value afterwards.
func (e *editor) set(section, name, value string) bool {
	k := key{section, name}
	if s := e.config.rooted[k]; s != nil {
		return e.config.expand(s, 8) == value
	}
	e.wanted = append(e.wanted, change{k, value})
	line := name + " = " + value
	for i := range e.fresh {
		if e.fresh[i].section == section {
			e.fresh[i].lines = append(e.fresh[i].lines, line)
			return true
		}
	}
	var in *configFile
	var h heading
	for _, f := range e.config.files { // the last one, preferably of .buckconfig
		if f.local || f.included || in != nil && in.name == e.project.File && f.name != in.name {
			continue
		}
		for _, found := range f.headings {
			if found.section == section {
				in, h = f, found
			}
		}
	}
	if in == nil {
		e.fresh = append(e.fresh, fresh{section, []string{line}})
		return true
	}
	line = "\n" + e.indent(in, h.indent) + line
	if strings.HasSuffix(in.text[:h.end], `\`) { // at the end of the file; an empty line ends it
		line = "\n" + line
	}
	e.inserts = append(e.inserts, insert{in, h.end, line})
	return true
}

// runtimes lists the languages whose libraries have the runtimes of the lock.
func (e *editor) runtimes(w Wish) {
	if len(w.Runtimes) == 0 {
		return
	}
	const section, name = "buck2_protobuf", "runtimes"
	listed := strings.FieldsFunc(e.config.get(key{section, name}), func(r rune) bool { return r == ',' || r == ' ' })
	missing := slices.DeleteFunc(slices.Clone(w.Runtimes), func(language string) bool { return slices.Contains(listed, language) })
	if s := e.config.rooted[key{section, name}]; s != nil {
		if len(missing) > 0 {
			e.note("%s: add %s to %s, so that its libraries have the runtimes of the lock", s.at(), strings.Join(missing, ", "), name)
		}
		return
	}
	e.set(section, name, strings.Join(w.Runtimes, ", "))
}

// indent is that of a new setting: own where that is not empty, else what the
// file does elsewhere, else that of buck2 init.
func (e *editor) indent(f *configFile, own string) string {
	some := false
	for _, h := range f.headings {
		if own == "" {
			own = h.indent
		}
		some = some || h.set
	}
	if own == "" && !some {
		return "  "
	}
	return own
}

// ours returns the name of the cell that is buck2-protobuf, or "".
func (e *editor) ours(w Wish) string {
	for _, name := range append([]string{Cell}, slices.Sorted(maps.Keys(e.cells.paths))...) {
		name = e.cells.resolve(name)
		switch {
		case name == "":
		case e.cells.external[name] == "git":
			origin := e.config.get(key{"external_cell_" + name, "git_origin"})
			if name == Cell || same(origin, w.Origin) || same(origin, build.Home) || strings.EqualFold(path.Base(strings.TrimSuffix(origin, ".git")), Cell) {
				return name
			}
		case e.cells.external[name] == "" && e.isOurs(e.cells.paths[name]):
			return name
		}
	}
	return ""
}

// isOurs reports whether a folder of the project is a checkout of
// buck2-protobuf.
func (e *editor) isOurs(dir string) bool {
	for _, file := range []string{"rules/proto.bzl", "prelude/toolchain.bzl"} {
		if _, err := os.Stat(filepath.Join(e.project.Root, filepath.FromSlash(dir), filepath.FromSlash(file))); err != nil {
			return false
		}
	}
	return true
}

// same reports whether two URLs are the same git repository.
func same(a, b string) bool {
	plain := func(s string) string {
		s = strings.TrimSuffix(strings.TrimSuffix(s, "/"), ".git")
		if _, rest, ok := strings.Cut(s, "://"); ok {
			s = rest
		}
		if _, rest, ok := strings.Cut(s, "@"); ok {
			s = rest
		}
		return strings.ToLower(strings.Replace(s, ":", "/", 1))
	}
	return plain(a) == plain(b)
}

// cell adds our cell and its origin.
func (e *editor) cell(w Wish) error {
	name := e.ours(w)
	if name == "" {
		name = Cell
		if s := e.taken(name); s != nil {
			if e.cells.external[name] == "bundled" || e.exists(e.cells.paths[name]) || s.section == e.cells.aliasSection {
				return fault.Errorf(fault.Usage, "give that cell another name", "%s: the cell %s exists already, with the path %s, and is not buck2-protobuf", s.at(), name, s.value)
			}
		} else {
			e.set(e.cells.section, name, e.place())
		}
	}
	e.plan.Cell = name
	if dir := e.cells.paths[name]; e.cells.external[name] == "" && dir != "" && e.isOurs(dir) {
		e.note("left the cell %s unchanged, which is the folder %s of this project", name, dir)
	} else if err := e.external(name, w); err != nil {
		return err
	}
	if e.cells.resolve(Cell) == name {
		e.plan.Cell = Cell
	} else if _, aliases := e.config.section(e.cells.aliasSection); name != Cell && len(aliases) > 0 && e.taken(Cell) == nil {
		e.set(e.cells.aliasSection, Cell, name)
		e.plan.Cell = Cell
	}
	return nil
}

// external sets git as the origin of the cell.
func (e *editor) external(name string, w Wish) error {
	section := "external_cell_" + name
	if !e.set("external_cells", name, "git") {
		s := e.config.rooted[key{"external_cells", name}]
		e.note("%s: left the cell %s unchanged, which comes from %q and not from git", s.at(), name, s.value)
		return nil
	}
	if s := e.config.rooted[key{section, "git_origin"}]; !e.set(section, "git_origin", w.Origin) && !same(e.config.expand(s, 8), w.Origin) {
		e.note("%s: left the cell %s unchanged, which comes from %s", s.at(), name, s.value)
	}
	known := fullCommit.MatchString(w.Commit)
	if s := e.config.rooted[key{section, "commit_hash"}]; s != nil {
		if known && e.config.expand(s, 8) != w.Commit {
			e.note("%s: left the cell %s unchanged at commit %s; to use %s, write it there", s.at(), name, s.value, w.Commit)
		}
		return nil
	}
	if !known {
		return ErrCommit
	}
	e.set(section, "commit_hash", w.Commit)
	if len(w.Commit) == 64 {
		e.set(section, "object_format", "sha256")
	}
	return nil
}

// taken returns the setting that defines a cell's name, or nil.
func (e *editor) taken(name string) *setting {
	for _, section := range []string{e.cells.section, e.cells.aliasSection} {
		if s := e.config.rooted[key{section, name}]; s != nil {
			return s
		}
	}
	return nil
}

// place returns a path for our cell. Nothing may exist at that path, because
// Buck2 would not see it.
func (e *editor) place() string {
	for dir := Cell; ; dir += "-cell" {
		if !e.exists(dir) && !slices.Contains(slices.Collect(maps.Values(e.cells.paths)), dir) {
			return dir
		}
	}
}

func (e *editor) exists(dir string) bool {
	_, err := os.Lstat(filepath.Join(e.project.Root, filepath.FromSlash(dir)))
	return !errors.Is(err, fs.ErrNotExist)
}

// detector gives the targets of our cell the same target platform as those of
// the root cell.
func (e *editor) detector() {
	k := key{"parser", "target_platform_detector_spec"}
	name := e.plan.Cell
	s := e.config.settings[k]
	if s == nil {
		e.set(k.section, k.name, "target:"+name+"//...->"+platforms)
		return
	}
	platform := ""
	for _, rule := range strings.Fields(e.config.expand(s, 8)) {
		pattern, label, ok := strings.Cut(strings.TrimPrefix(rule, "target:"), "->")
		if !ok {
			continue
		}
		cell, _, _ := strings.Cut(pattern, "//")
		root := cell == "" || e.cells.paths[e.cells.resolve(cell)] == "."
		if cell == name || e.cells.resolve(cell) != "" && e.cells.resolve(cell) == e.cells.resolve(name) {
			return
		}
		if platform == "" || root {
			platform = label
		}
	}
	if platform == "" {
		platform = platforms
	}
	rule := "target:" + name + "//...->" + platform
	rel, err := filepath.Rel(e.project.Root, s.in.name)
	if s.in.local || err != nil || !filepath.IsLocal(rel) {
		e.note("%s: add to %s, for buck2 build %s//...: %s", s.at(), k.name, name, rule)
		return
	}
	indent := "    "
	if last := s.in.text[strings.LastIndexByte(s.in.text[:s.end], '\n')+1 : s.end]; strings.Count(s.in.text[:s.end], "\n")+1 > s.line {
		indent = last[:len(last)-len(strings.TrimLeft(last, " \t"))]
	}
	sep := " \\"
	if strings.HasSuffix(s.in.text[:s.end], `\`) { // the end of the file
		sep = ""
	}
	e.inserts = append(e.inserts, insert{s.in, s.end, sep + "\n" + indent + rule})
	e.wanted = append(e.wanted, change{k, s.value + " " + rule})
}

// apply makes the edits of the configuration, and checks that they change only
// what was intended.
func (e *editor) apply() ([]files.Write, error) {
	texts := map[string][]byte{}
	var edits []files.Write
	for _, f := range e.config.files {
		text, newline := f.text, "\n"
		if strings.Contains(text, "\r\n") {
			newline = "\r\n"
		}
		own := slices.DeleteFunc(slices.Clone(e.inserts), func(i insert) bool { return i.in != f })
		slices.SortStableFunc(own, func(a, b insert) int { return a.at - b.at })
		for _, i := range slices.Backward(own) { // backwards, so that offsets stay valid
			text = text[:i.at] + strings.ReplaceAll(i.text, "\n", newline) + text[i.at:]
		}
		if f.name == e.project.File {
			for _, s := range e.fresh {
				if text != "" && !strings.HasSuffix(text, "\n") {
					text += newline
				}
				if text != "" {
					text += newline
				}
				text += "[" + s.section + "]" + newline
				for _, line := range s.lines {
					text += e.indent(f, "") + line + newline
				}
			}
		}
		if text != f.text {
			texts[f.name] = []byte(text)
			edits = append(edits, files.Write{Name: f.name, Before: []byte(f.text), After: texts[f.name]})
		}
	}
	after, err := readConfig(e.project.Root, func(name string) ([]byte, error) {
		if text, ok := texts[name]; ok {
			return text, nil
		}
		return input.File(name)
	})
	if err == nil {
		err = errors.Join(e.prove(e.config.rooted, after.rooted), e.prove(e.config.settings, after.settings))
	}
	if err != nil {
		return nil, fault.Errorf(fault.Internal, "", "the edit of %s: %w", e.project.File, err)
	}
	return edits, nil
}

// prove compares the settings before and after the edits.
func (e *editor) prove(before, after map[key]*setting) error {
	expected := map[key]string{}
	for k, s := range before {
		expected[k] = s.value
	}
	for _, c := range e.wanted {
		if s := after[c.key]; before[c.key] != nil || s != nil && !s.in.included {
			expected[c.key] = c.value
		}
	}
	for k, want := range expected {
		if s := after[k]; s == nil || !slices.Equal(strings.Fields(s.value), strings.Fields(want)) {
			return fmt.Errorf("%s.%s is not %q in the result", k.section, k.name, want)
		}
	}
	if len(after) != len(expected) {
		return fmt.Errorf("the result has %d settings, expected %d", len(after), len(expected))
	}
	return nil
}
