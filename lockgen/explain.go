package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/lockgen/closure"
	"github.com/birbparty/buck2-protobuf/lockgen/explain"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

var explainVerb = &cli.Verb[program]{
	Name: "explain", Args: "NAME[@VERSION]", Short: "show everything that is known about a plugin",
	Long: `What the manifest asks for, the sources in their order, which one is locked and
on what evidence, the state of each platform, every file with its size, and the
plugins that run on it. It reads only the manifest and the lock.

With --upstream, it asks every source whether it could provide all platforms
today, and shows what it lacks; the files are downloaded into the cache. The
lock does not change: it never switches to another source by itself. With --why,
it shows where one package occurs in the closure, as lockgen why does for all
plugins.`,
	Example: `lockgen explain ts-proto
lockgen explain ts-proto@2.7.2 --why @bufbuild/protobuf
lockgen explain protoc --upstream`,
	JSON: true, Run: runExplain,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.BoolVar(&p.upstream, "upstream", false, "ask every source whether it could serve")
		f.StringVar(&p.why, "why", "", "why this `PACKAGE` is in the closure")
	},
}

// runExplain prints everything about one plugin.
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
	name, version, exact := lock.CutSpec(args[0])
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
	s := explain.New(m, l, name, version, want, v)
	if p.why != "" {
		if v == nil {
			return fault.Errorf(fault.Usage, "run: lockgen update", "%s %s is not locked", name, version)
		}
		for _, f := range closure.Find(closure.Of(name, version, v), v.Source, p.why) {
			s.Why = append(s.Why, f.Line())
		}
		if len(s.Why) == 0 {
			return fault.Errorf(fault.Usage, "to list its packages, run: lockgen explain "+name+"@"+version, "%s %s has no package %s", name, version, p.why)
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
	p.ui.Result("%s", strings.TrimRight(s.Text(p.why), "\n"))
	return nil
}

func (p *program) compete(ctx context.Context, m *manifest.Manifest, w *plan.Want, l *lock.Lock) ([]plan.Tried, error) {
	o, err := p.options(l)
	if err != nil {
		return nil, err
	}
	return resolve.Compete(ctx, m, w, o)
}

// newest returns the newest requested version of a plugin, or else the newest
// locked one.
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
	name, _, _ := lock.CutSpec(spec)
	names := slices.Sorted(maps.Keys(m.Plugins))
	if p := m.Plugins[name]; p != nil {
		return fault.Errorf(fault.Usage, syntax.AddHint(spec), "%s asks for %s %s, not for %s, which is not locked either", m.Name, name, strings.Join(p.Versions, " and "), spec)
	}
	if versions := l.Plugins[name]; versions != nil {
		return fault.Errorf(fault.Usage, "run: lockgen list", "%s is neither asked for nor locked", spec)
	}
	if err := catalog.Builtin().Refused(name); err != nil {
		return err
	}
	hint := fault.DidYouMean(name, names, syntax.AddHint(spec))
	return fault.Errorf(fault.Usage, hint, "%s does not ask for a plugin %q; it asks for %s", m.Name, name, strings.Join(names, ", "))
}
