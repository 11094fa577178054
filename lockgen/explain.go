package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/lockgen/closure"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

// A story is all that is known of one plugin version.
type story struct {
	Name     string               `json:"name"`
	Version  string               `json:"version"`
	About    string               `json:"about,omitempty"`
	Asked    string               `json:"asked"` // FILE:LINE, "" where the manifest does not ask for it
	Spec     string               `json:"spec"`  // the version or range there
	Sources  []string             `json:"sources"`
	Out      []plan.Tried         `json:"out_of_question,omitempty"`
	Tried    []plan.Tried         `json:"tried,omitempty"` // with --upstream
	Locked   bool                 `json:"locked"`
	From     string               `json:"from,omitempty"`
	Runtime  string               `json:"runtime,omitempty"`
	Python   []string             `json:"python,omitempty"`  // interpreters that run it
	Program  string               `json:"program,omitempty"` // what it is called then
	Entry    string               `json:"entry,omitempty"`   // what they start
	Trust    string               `json:"trust,omitempty"`
	Evidence string               `json:"evidence,omitempty"`
	Bundles  []string             `json:"bundles,omitempty"`
	Runs     []string             `json:"runs,omitempty"` // plugins whose runtime this is
	Cells    map[string]lock.Cell `json:"platforms,omitempty"`
	Files    map[string]lock.File `json:"files,omitempty"`
	Why      []string             `json:"why,omitempty"` // of --why
	Fits     []string             `json:"differences,omitempty"`
}

// evidence says what a kind of trust means.
var evidence = map[string]string{
	"first-use":        "nothing but the first download: upstream publishes no digest",
	"registry":         "the digests that the registry's index gives, compared with every download",
	"checksum-file":    "a checksum file of the publisher",
	"transparency-log": "a public log of checksums",
	"provenance":       "a signed statement of the build",
}

var explainVerb = &cli.Verb[program]{
	Name: "explain", Args: "NAME[@VERSION]", Short: "tell the whole story of a plugin",
	Long: `What the manifest asks for, which sources there are in which order, which one is
locked and on what evidence, the state of each platform, every file with its
size, and what runs on it. Reads manifest and lock only.

With --upstream every source is asked, to the last, whether it could serve all
platforms today, and what it lacks is told; what they offer is downloaded into
the cache. The lock stays as it is: it never moves to another source by itself.
With --why the places of one package in the closure are told, as lockgen why
does for all plugins.`,
	Example: `lockgen explain ts-proto
lockgen explain ts-proto@2.7.2 --why @bufbuild/protobuf
lockgen explain protoc --upstream`,
	JSON: true, Run: runExplain,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.BoolVar(&p.upstream, "upstream", false, "ask every source whether it could serve")
		f.StringVar(&p.why, "why", "", "why this `PACKAGE` is in the closure")
	},
}

// runExplain tells the whole story of one plugin.
func runExplain(ctx context.Context, p *program, args []string) error {
	if len(args) != 1 {
		return fault.Errorf(fault.Usage, "write: lockgen explain NAME[@VERSION]", "lockgen explain takes one plugin")
	}
	m, err := p.readManifest()
	if err != nil {
		return err
	}
	l, _, err := p.oldLock()
	if err != nil {
		return err
	}
	if l == nil {
		l = &lock.Lock{Schema: lock.Schema}
	}
	wants, err := plan.Wants(m, l)
	if err != nil {
		return err
	}
	name, version, exact := strings.Cut(args[0], "@")
	if !exact {
		version = newest(wants, l, name)
	}
	var want *plan.Want
	for _, w := range wants {
		if w.Name == name && w.Version == version {
			want = w
		}
	}
	v := l.Plugins[name][version]
	if want == nil && v == nil {
		return unknownPlugin(m, l, args[0])
	}
	s := tell(m, l, name, version, want, v)
	if p.why != "" {
		if v == nil {
			return fault.Errorf(fault.Usage, "run: lockgen update", "%s %s is not locked", name, version)
		}
		for _, f := range closure.Find(closure.Of(name, version, v), v.Source, p.why) {
			s.Why = append(s.Why, f.Line())
		}
		if len(s.Why) == 0 {
			return fault.Errorf(fault.Usage, "its packages are told by: lockgen explain "+name+"@"+version, "%s %s has no package %s", name, version, p.why)
		}
	}
	if p.upstream && want != nil {
		if s.Tried, err = p.compete(ctx, m, want, l); err != nil {
			return err
		}
	}
	if p.ui.JSON {
		return p.ui.Data(s)
	}
	p.ui.Result("%s", strings.TrimRight(s.text(p.why), "\n"))
	return nil
}

func (p *program) compete(ctx context.Context, m *manifest.Manifest, w *plan.Want, l *lock.Lock) ([]plan.Tried, error) {
	o, err := p.options(l)
	if err != nil {
		return nil, err
	}
	return resolve.Compete(ctx, m, w, o)
}

// newest is the newest version of a plugin that is asked for, else locked.
func newest(wants []*plan.Want, l *lock.Lock, name string) string {
	var versions []string
	for _, w := range wants {
		if w.Name == name {
			versions = append(versions, w.Version)
		}
	}
	if len(versions) == 0 {
		versions = slices.Collect(maps.Keys(l.Plugins[name]))
	}
	if len(versions) == 0 {
		return ""
	}
	return slices.MaxFunc(versions, lock.CompareVersions)
}

func unknownPlugin(m *manifest.Manifest, l *lock.Lock, spec string) error {
	name, _, _ := strings.Cut(spec, "@")
	names := slices.Sorted(maps.Keys(m.Plugins))
	if p := m.Plugins[name]; p != nil {
		return fault.Errorf(fault.Usage, "run: lockgen add "+spec, "%s asks for %s %s, not for %s, which is not locked either", m.Name, name, strings.Join(p.Versions, " and "), spec)
	}
	if versions := l.Plugins[name]; versions != nil {
		return fault.Errorf(fault.Usage, "run: lockgen list", "%s is neither asked for nor locked", spec)
	}
	if err := catalog.Builtin().Refused(name); err != nil {
		return err
	}
	hint := fault.DidYouMean(name, names, "run: lockgen add "+spec)
	return fault.Errorf(fault.Usage, hint, "%s does not ask for a plugin %q; it asks for %s", m.Name, name, strings.Join(names, ", "))
}

// tell gathers what manifest, catalogue and lock say.
func tell(m *manifest.Manifest, l *lock.Lock, name, version string, want *plan.Want, v *lock.Version) *story {
	s := &story{Name: name, Version: version, Sources: []string{}, Locked: v != nil}
	if r, ok := catalog.Builtin().Lookup(name); ok {
		s.About = r.About
	}
	if want != nil {
		s.Asked, s.Spec, s.Runtime = want.At, want.Asked, want.Runtime
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
	s.Python, s.Program, s.Entry = v.Python, v.Program, v.Entry
	s.Runtime, s.Trust, s.Evidence, s.Cells, s.Files = v.Runtime, v.Trust, evidence[v.Trust], v.Platforms, v.Files
	return s
}

// text is the story for people. With why set, of that package alone.
func (s *story) text(why string) string {
	t := &storyText{}
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
	if len(s.Python) > 0 {
		t.line("runs on: CPython %s of the machine, as %s (%s)", strings.Join(s.Python, ", "), s.Program, s.Entry)
	}
	if s.Runtime != "" {
		t.line("runs on: %s", s.Runtime)
	}
	if len(s.Runs) > 0 {
		t.line("runs: %s", strings.Join(s.Runs, ", "))
	}
	for _, d := range s.Fits {
		t.line("does not fit: %s", d)
	}
	if _, protos := lock.ProtosName(s.Name); !protos { // whose files are for all
		t.platforms(s)
	}
	t.files(s)
	return t.String()
}

// A storyText is the text of a story, without what a terminal would obey.
type storyText struct{ strings.Builder }

func (t *storyText) line(format string, args ...any) {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = plain.Row(text)
		}
	}
	fmt.Fprintf(t, format+"\n", args...)
}

func (t *storyText) asked(s *story) {
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

func (t *storyText) sources(s *story) {
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
				t.line("    can serve: would be locked if none before it could")
			} else if tried.Source == from {
				for i, why := range strings.Split(tried.Why, "\n") {
					t.line([]string{"    lost: %s", "      %s"}[min(i, 1)], why)
				}
			}
		}
	}
	for _, out := range s.Out {
		t.line("  %s\n    out of question: %s", out.Source, out.Why)
	}
}

func (t *storyText) platforms(s *story) {
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
			t.line("  %-16s %s (%s, %s)", platform, c.Binary, plain.Count(n, "file"), plain.Bytes(size))
		}
	}
}

func (t *storyText) files(s *story) {
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
