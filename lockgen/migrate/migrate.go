// Package migrate finds out how a repository generates code today, from the
// files of buf or from the programs that it contains. It lists the plugins of
// the catalogue that do the same, writes the targets of a BUCK file, and
// reports what has no equivalent. It only reads files.
package migrate

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// A Use is one generator that the repository runs today.
type Use struct {
	At      string   // FILE:LINE, or FILE
	Plugin  string   // name in the catalogue
	Version string   // "" if unknown
	Makes   string   // for protoc: NAME of --NAME_out; "" for the program itself
	Options []string // KEY=VALUE, or KEY
	Out     string   // the folder that the code goes to today, "" for none
	Imports bool     // also generates the code of imports
}

// A Lack is a setting or plugin that has no equivalent.
type Lack struct {
	At   string `json:"at"` // FILE:LINE, or FILE
	What string `json:"what"`
	Why  string `json:"why"` // the reason, and what to do instead
}

func (l Lack) String() string { return l.At + ": " + l.What + ": " + l.Why }

// A Result is what a repository uses, and what has no equivalent.
type Result struct {
	Uses   []Use
	Protos []string // proto packages of the catalogue, in the order of deps
	Owns   []Own
	Lacks  []Lack
}

func (r *Result) lack(at, what, format string, args ...any) {
	r.Lacks = append(r.Lacks, Lack{at, what, fmt.Sprintf(format, args...)})
	slices.SortStableFunc(r.Lacks, func(a, b Lack) int { return line(a.At) - line(b.At) })
}

// line returns the line of FILE:LINE, 0 for none.
func line(at string) int {
	n, _ := strconv.Atoi(at[strings.LastIndexByte(at, ':')+1:])
	return n
}

// unknown records that the catalogue does not have a plugin, which people may
// look up as name.
func (r *Result) unknown(at, what, name string) {
	c := catalog.Builtin()
	for n := name; ; { // community/danielgtaylor-betterproto is betterproto
		if err := c.Refused(n); err != nil {
			r.lack(at, what, "%v", err)
			return
		}
		_, rest, ok := strings.Cut(n, "-")
		if !ok {
			break
		}
		n = rest
	}
	if syntax.CheckName(name) != nil {
		name = "NAME"
	}
	r.lack(at, what, "lockgen does not know this plugin: set version, source and binary in [plugins.%[2]s] of %[1]s, and use the rule proto_codegen", manifest.FileName, name)
}

// Wanted lists the plugins of the uses in order, as NAME@VERSION, or NAME if
// the version is unknown. A toolchain has one protoc, so of two versions of
// protoc it takes the later one.
func (r *Result) Wanted(later func(a, b string) bool) []string {
	var all []string
	protoc := ""
	for _, u := range r.Uses {
		spec := strings.TrimSuffix(u.Plugin+"@"+u.Version, "@")
		if u.Makes != "" || u.Plugin == "protoc" {
			switch {
			case u.Version == "":
			case protoc == "":
				protoc = u.Version
			case protoc != u.Version:
				taken, other := protoc, u.Version
				if later(other, taken) {
					taken, other = other, taken
				}
				r.lack(u.At, "protoc "+other, "one protoc generates all code: lockgen takes %s, which another plugin uses", taken)
				protoc = taken
			}
			continue
		}
		if !slices.Contains(all, spec) {
			all = append(all, spec)
		}
	}
	all = slices.DeleteFunc(all, func(spec string) bool { // also listed with a version
		return !strings.Contains(spec, "@") && slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, spec+"@") })
	})
	if protoc != "" {
		all = append([]string{"protoc@" + protoc}, all...)
	}
	return all
}

// builtin has the rule and attribute for each generator that is part of protoc.
// Others use proto_codegen.
var builtin = map[string]struct{ rule, attr string }{
	"cpp":    {"cpp", ""},
	"java":   {"java", ""},
	"kotlin": {"java", "kotlin = True"},
	"pyi":    {"python", "pyi = True"},
	"python": {"python", ""},
}

// A target is a target of a BUCK file.
type target struct {
	name  string
	rule  string // LANGUAGE, "" for proto_codegen
	lines []string
	out   string
	all   bool
	uses  []string // attributes that are set

	versions []string // NAME: VERSION, for generators in several versions
}

// Targets returns the lines of a BUCK file that generates the same code, with
// rules from a cell: one library for all generators of a language that write to
// the same folder.
func (r *Result) Targets(cell string) string {
	all := r.targets()
	var b strings.Builder
	names := map[string]int{}
	loads := map[string]bool{}
	for _, t := range all {
		loads[fmt.Sprintf("load(\"@%s//rules:%s.bzl\", \"%s\")\n", cell, t.file(), t.function())] = true
	}
	b.WriteString(strings.Join(slices.Sorted(maps.Keys(loads)), ""))
	for _, t := range all {
		name := t.name
		if names[t.name]++; names[t.name] > 1 {
			name += "_" + strconv.Itoa(names[t.name])
		}
		b.WriteString("\n")
		if t.all {
			fmt.Fprintf(&b, "# With the code of imports: :%s[all]\n", name)
		}
		lines := []string{"name = " + strconv.Quote(name), `srcs = ["api.proto"]`}
		if len(t.versions) > 0 {
			t.lines = append(t.lines, "versions = {"+strings.Join(t.versions, ", ")+"}")
		}
		slices.Sort(t.lines)
		lines = append(lines, t.lines...)
		if t.out != "" {
			lines = append(lines, "sync_to = "+strconv.Quote(t.out))
		}
		fmt.Fprintf(&b, "%s(\n", t.function())
		for _, l := range lines {
			fmt.Fprintf(&b, "    %s,\n", l)
		}
		b.WriteString(")\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// targets returns the targets for the uses.
func (r *Result) targets() (all []*target) {
	for _, main := range []bool{true, false} { // messages first, because services become attributes of their targets
		for _, u := range r.Uses {
			rule, attr := u.rule()
			if own := attr == "" || strings.HasPrefix(attr, "plugin = "); u.isProgram() || own != main && rule != "" || rule == "" && main {
				continue
			}
			key, _, _ := strings.Cut(attr, " = ")
			i := slices.IndexFunc(all, func(t *target) bool {
				return !main && t.rule == rule && rule != "" && t.out == u.Out && !slices.Contains(t.uses, key)
			})
			if i >= 0 {
				t := all[i]
				t.uses, t.all = append(t.uses, key), t.all || u.Imports
				if value := dict(u.Options, "    "); value != "" {
					attr = key + " = " + value
				}
				t.lines = append(t.lines, attr)
				if r.several(u) {
					t.versions = append(t.versions, fmt.Sprintf("%q: %q", u.Plugin, u.Version))
				}
				continue
			}
			t := newTarget(u, rule, attr, main)
			if r.several(u) {
				t.lines = append(t.lines, "plugin_version = "+strconv.Quote(u.Version))
			}
			all = append(all, t)
		}
	}
	return all
}

// several reports whether the uses also have another version of the plugin.
func (r *Result) several(u Use) bool {
	return u.Makes == "" && u.Version != "" && slices.ContainsFunc(r.Uses, func(o Use) bool {
		return o.Plugin == u.Plugin && o.Version != "" && o.Version != u.Version
	})
}

// isProgram reports whether the plugin is a program and not a generator.
func (u Use) isProgram() bool {
	r, _ := catalog.Builtin().Lookup(u.Plugin)
	return u.Makes == "" && r.Smoke != nil
}

// rule returns the LANGUAGE of the rule for a use, or "" for proto_codegen, and
// the attribute that selects the generator, or "" for the rule's default.
func (u Use) rule() (rule, attr string) {
	if u.Makes != "" {
		b := builtin[u.Makes]
		return b.rule, b.attr
	}
	r, _ := catalog.Builtin().Lookup(u.Plugin)
	return r.Rule, r.Attr
}

func newTarget(u Use, rule, attr string, main bool) *target {
	t := &target{rule: rule, out: u.Out, all: u.Imports, name: "api_" + rule}
	if !main { // services only
		t.rule, attr = "", "plugin = "+strconv.Quote(u.Plugin)
		t.name = "api_" + strings.ReplaceAll(strings.TrimPrefix(u.Plugin, "protoc-gen-"), "-", "_")
		if u.Makes != "" {
			t.name = "api_" + u.Makes
			t.lines = append(t.lines, "out_name = "+strconv.Quote(u.Makes))
		}
	}
	if attr != "" {
		t.lines = append(t.lines, attr)
	}
	if value := dict(u.Options, "    "); value != "" {
		t.lines = append(t.lines, "options = "+value)
	}
	return t
}

func (t *target) file() string {
	if t.rule == "" {
		return "proto"
	}
	return t.rule
}

func (t *target) function() string {
	if t.rule == "" {
		return "proto_codegen"
	}
	return t.rule + "_proto_library"
}

// dict returns options as a dictionary in Starlark, or "" for none. A key that
// occurs twice gets a list.
func dict(options []string, indent string) string {
	values := map[string][]string{}
	var keys []string
	for _, o := range options {
		key, value, given := strings.Cut(o, "=")
		text := strconv.Quote(value)
		switch {
		case !given:
			text = `""`
		case value == "true":
			text = "True"
		}
		if values[key] == nil {
			keys = append(keys, key)
		}
		values[key] = append(values[key], text)
	}
	if len(keys) == 0 {
		return ""
	}
	slices.Sort(keys)
	var entries []string
	for _, key := range keys {
		value := values[key][0]
		if len(values[key]) > 1 {
			value = "[" + strings.ReplaceAll(strings.Join(values[key], ", "), "True", `"true"`) + "]"
		}
		entries = append(entries, strconv.Quote(key)+": "+value)
	}
	if len(entries) == 1 {
		return "{" + entries[0] + "}"
	}
	return "{\n" + indent + "    " + strings.Join(entries, ",\n"+indent+"    ") + ",\n" + indent + "}"
}

// options splits the options of a protoc flag: KEY=VALUE, separated by commas.
func options(text string) (list []string) {
	for _, o := range strings.Split(text, ",") {
		if o = strings.TrimSpace(o); o != "" {
			list = append(list, o)
		}
	}
	return list
}

// folder returns a path relative to the root of the cell, as sync_to takes it.
// ok is false for a path outside the cell.
func folder(out string) (dir string, ok bool) {
	dir = path.Clean(strings.ReplaceAll(out, `\`, "/"))
	if dir == "." {
		return "", true
	}
	return dir, !path.IsAbs(dir) && dir != ".." && !strings.HasPrefix(dir, "../")
}
