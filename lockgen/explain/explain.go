// Package explain collects everything that the manifest, the catalogue and the
// lock say about one plugin.
package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/lockgen/closure"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// An Explanation has all facts about one plugin version.
type Explanation struct {
	Name     string               `json:"name"`
	Version  string               `json:"version"`
	About    string               `json:"about,omitempty"`
	Asked    string               `json:"asked"` // FILE:LINE, "" if the manifest does not ask for it
	Spec     string               `json:"spec"`  // the requested version or range
	Sources  []string             `json:"sources"`
	Out      []plan.Tried         `json:"out_of_question,omitempty"`
	Tried    []plan.Tried         `json:"tried,omitempty"` // with --upstream
	Locked   bool                 `json:"locked"`
	From     string               `json:"from,omitempty"`
	Runtime  string               `json:"runtime,omitempty"`
	Compiler string               `json:"toolchain,omitempty"`
	Python   []string             `json:"python,omitempty"`  // interpreters that run it
	Serves   []string             `json:"serves,omitempty"`  // for a runtime: the plugins whose code it matches, NAME@VERSION
	Program  string               `json:"program,omitempty"` // name of the executable
	Entry    string               `json:"entry,omitempty"`   // entry point of the executable
	Trust    string               `json:"trust,omitempty"`
	Evidence string               `json:"evidence,omitempty"`
	Bundles  []string             `json:"bundles,omitempty"`
	Runs     []string             `json:"runs,omitempty"` // plugins that this runtime runs
	Cells    map[string]lock.Cell `json:"platforms,omitempty"`
	Files    map[string]lock.File `json:"files,omitempty"`
	Why      []string             `json:"why,omitempty"` // for --why
	Fits     []string             `json:"differences,omitempty"`

	// Of a proto package.
	Root       string                 `json:"root,omitempty"` // the folder of its archive from which imports are counted
	Folders    map[string]lock.Folder `json:"folders,omitempty"`
	Imports    []string               `json:"imports,omitempty"`     // proto packages
	ImportedBy []string               `json:"imported_by,omitempty"` // proto packages
}

// New collects the facts.
func New(m *manifest.Manifest, l *lock.Lock, name, version string, want *plan.Want, v *lock.Version) *Explanation {
	s := &Explanation{Name: name, Version: version, Sources: []string{}, Locked: v != nil}
	if r, ok := catalog.Builtin().Lookup(name); ok {
		s.About = r.About
	}
	protos, isProtos := lock.ProtosName(name)
	if p, ok := catalog.Builtin().Protos(protos); ok {
		s.About = p.About
	}
	if want != nil {
		s.Asked, s.Spec, s.Runtime, s.Compiler = want.At, want.Asked, want.Runtime, want.Toolchain
		sources, out := want.Sources()
		for _, from := range sources {
			s.Sources = append(s.Sources, from.String())
		}
		s.Out = out
	}
	for _, bundle := range slices.Sorted(maps.Keys(m.Bundles)) {
		if slices.Contains(m.Bundles[bundle], name) {
			s.Bundles = append(s.Bundles, bundle)
		}
	}
	for _, other := range slices.Sorted(maps.Keys(l.Plugins)) {
		for _, at := range slices.SortedFunc(maps.Keys(l.Plugins[other]), lock.CompareVersions) {
			if l.Plugins[other][at].Runtime == name+"@"+version {
				s.Runs = append(s.Runs, other+" "+at)
			}
			if isProtos && slices.Contains(l.Plugins[other][at].Deps, protos) {
				s.ImportedBy = append(s.ImportedBy, other)
			}
		}
	}
	if v == nil {
		return s
	}
	s.From = strings.TrimSuffix(v.Source+":"+v.Package, ":")
	if want != nil {
		s.From = want.LockedFrom(m, v).String()
		for _, d := range plan.Differences(m, []*plan.Want{want}, &lock.Lock{Plugins: map[string]map[string]*lock.Version{name: {version: v}}}) {
			s.Fits = append(s.Fits, d.What)
		}
	}
	s.Python, s.Program, s.Entry, s.Serves = v.Python, v.Program, v.Entry, v.Fits
	s.Root, s.Folders = v.Root, v.Folders
	for _, dep := range v.Deps {
		s.Imports = append(s.Imports, lock.ProtosPrefix+dep)
	}
	s.Compiler = v.Toolchain
	s.Runtime, s.Trust, s.Evidence, s.Cells, s.Files = v.Runtime, v.Trust, closure.Evidence[v.Trust], v.Platforms, v.Files
	return s
}

// signers are those whom the signatures of files name.
func signers(files map[string]lock.File) []string {
	keys := map[string]bool{}
	for _, f := range files {
		if f.Signer != "" {
			keys[f.Signer] = true
		}
	}
	return slices.Sorted(maps.Keys(keys))
}

// Text formats the explanation for people. If why is set, it is limited to that
// package.
func (s *Explanation) Text(why string) string {
	t := &textWriter{}
	if why != "" {
		t.line("%s in %s %s:", why, s.Name, s.Version)
		for _, w := range s.Why {
			t.line("  %s", w)
		}
		return t.String()
	}
	t.line("%s %s%s", s.Name, s.Version, prefixed(": ", s.About))
	t.asked(s)
	t.sources(s)
	if !s.Locked {
		t.line("not locked; run: lockgen update")
		return t.String()
	}
	t.line("locked from: %s", s.From)
	t.line("trust: %s, %s", s.Trust, s.Evidence)
	signers := strings.Join(signers(s.Files), " and ")
	switch _, _, verified := lock.CutSigner(signers); {
	case verified:
		t.line("signed by: %s", signers)
	case signers != "":
		t.line("signatures name the PGP key %s; they are not verified", signers)
	}
	_, _, runtime := lock.RuntimeName(s.Name)
	switch {
	case runtime:
		if len(s.Python) > 0 {
			t.line("for: CPython %s", strings.Join(s.Python, ", "))
		}
		if len(s.Serves) > 0 {
			t.line("runs the code of: %s", strings.ReplaceAll(strings.Join(s.Serves, ", "), "@", " "))
		}
	case len(s.Python) > 0 && s.Runtime == "":
		t.line("runs on: CPython %s from the machine, as %s (%s)", strings.Join(s.Python, ", "), s.Program, s.Entry)
	}
	if s.Runtime != "" {
		as := ""
		if len(s.Python) > 0 {
			as = fmt.Sprintf(", as %s (%s)", s.Program, s.Entry)
		}
		t.line("runs on: %s%s", s.Runtime, as)
	}
	if s.Compiler != "" {
		t.line("compiled by: %s", s.Compiler)
	}
	if len(s.Runs) > 0 {
		t.line("runs: %s", strings.Join(s.Runs, ", "))
	}
	for _, d := range s.Fits {
		t.line("does not match: %s", d)
	}
	if _, protos := lock.ProtosName(s.Name); protos { // the same on every platform
		t.imports(s)
	} else {
		t.platforms(s)
	}
	t.files(s)
	return t.String()
}

// A textWriter writes the text of an explanation, without control characters.
type textWriter struct{ strings.Builder }

func (t *textWriter) line(format string, args ...any) {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = plain.Row(text)
		}
	}
	fmt.Fprintf(t, format+"\n", args...)
}

func (t *textWriter) asked(s *Explanation) {
	if s.Asked == "" {
		t.line("asked for: nowhere; lockgen update drops it")
		return
	}
	spec := ""
	if s.Spec != s.Version {
		spec = " as " + s.Spec
	}
	t.line("asked for: %s%s%s", s.Asked, spec, prefixed(", in the bundle ", strings.Join(s.Bundles, ", ")))
}

func (t *textWriter) sources(s *Explanation) {
	if len(s.Sources) > 0 {
		t.line("sources, in order:")
	}
	for _, from := range s.Sources {
		what := ""
		if from == s.From {
			what = "  <- locked"
		}
		t.line("  %s%s", from, what)
		for _, tried := range s.Tried {
			if tried.Source == from && tried.Why == "" {
				t.line("    usable: would be locked if no earlier source were")
			} else if tried.Source == from {
				for i, why := range strings.Split(tried.Why, "\n") {
					t.line([]string{"    lost: %s", "      %s"}[min(i, 1)], why)
				}
			}
		}
	}
	for _, out := range s.Out {
		t.line("  %s\n    not usable: %s", out.Source, out.Why)
	}
}

func (t *textWriter) platforms(s *Explanation) {
	t.line("platforms:")
	for _, platform := range lock.PlatformNames() {
		switch c := s.Cells[platform]; {
		case c.Emulate != "":
			t.line("  %-16s runs what %s has", platform, c.Emulate)
		case c.Unavailable != "":
			t.line("  %-16s unavailable: %s", platform, c.Unavailable)
		default:
			n, size := 0, int64(0)
			for _, f := range s.Files {
				if f.For(platform) {
					n, size = n+1, size+f.Size
				}
			}
			t.line("  %-16s %s(%s, %s)", platform, strings.TrimPrefix(c.Binary+" ", " "), plain.Count(n, "file"), plain.Bytes(size))
		}
	}
}

// imports tells of a proto package what can be imported from it, and what it imports.
func (t *textWriter) imports(s *Explanation) {
	if s.Root != "" {
		t.line("root: %s", s.Root)
	}
	if len(s.Imports) > 0 {
		t.line("imports: %s", strings.Join(s.Imports, ", "))
	}
	if len(s.ImportedBy) > 0 {
		t.line("imported by: %s", strings.Join(s.ImportedBy, ", "))
	}
	t.line("folders:")
	for _, folder := range slices.Sorted(maps.Keys(s.Folders)) {
		t.line("  %s (%s)", folder, plain.Count(len(s.Folders[folder].Files), "file"))
	}
}

func (t *textWriter) files(s *Explanation) {
	t.line("files:")
	for _, key := range slices.Sorted(maps.Keys(s.Files)) {
		f := s.Files[key]
		what, form := key, ""
		if f.Version != "" && f.Name != "" {
			what = f.Name + "@" + f.Version
			if !strings.HasSuffix(key, "node_modules/"+f.Name) || strings.Count(key, "node_modules/") > 1 {
				what += " at " + key
			}
		}
		if f.Archive != "" {
			form = f.Archive + ", "
		}
		t.line("  %s (%s%s)%s", what, form, plain.Bytes(f.Size), prefixed(" for Python ", strings.Join(f.Python, ", "))+prefixed(" for ", strings.Join(f.Platforms, ", ")))
	}
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}
