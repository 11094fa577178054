package main

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

var outdatedVerb = &cli.Verb[program]{
	Name: "outdated", Short: "list newer versions",
	Long: `One line for each entry of plugins.toml that is not at the newest version: the
locked version, the newest version that the entry and [policy] allow, the newest
of all, and the reason why it is held back. It asks the sources, and downloads
or writes nothing. RUN is the command that updates the entry, with what has to
move with it; if there is none, [policy], the publisher or another entry holds
it back.

--catalogue lists the plugins of the catalogue that no source has a version of,
or whose sources do not answer, for maintainers of the catalogue: then it ends
with 4, but not where a source has no list of its versions, or has pre-releases
only. It uses the registries and mirrors of plugins.toml, if there is one.`,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.BoolVar(&p.catalogue, "catalogue", false, "ask for every plugin of the catalogue")
	},
	Example: `lockgen outdated
lockgen outdated --json`,
	JSON: true, Run: runOutdated,
}

// notAll is the error if an answer is incomplete.
const notAll = "not every source could be asked"

// runOutdated writes only to the store, which may get npm.
func runOutdated(ctx context.Context, p *program, _ []string) error {
	if p.catalogue {
		return p.catalogued(ctx)
	}
	m, err := p.readManifest()
	if err != nil {
		return err
	}
	old, _, err := p.oldLock()
	if err != nil {
		return err
	}
	o, err := p.options(old)
	if err != nil {
		return err
	}
	ages, err := resolve.Outdated(ctx, m, o)
	if ages == nil && err != nil {
		return err
	}
	if err != nil {
		err = fault.Errorf(fault.Of(err), fault.Hint(err), notAll+": %w", err)
	}
	for i, a := range ages {
		ages[i].Run = command(a, len(m.Plugins[a.Name].Versions) > 1)
	}
	if old != nil { // else nothing is locked
		together(ages, old)
	}
	if p.ui.JSON {
		return p.agesData(ages, err)
	}
	w := ui.NewTable()
	w.Line("NAME\tLOCKED\tALLOWED\tLATEST\tRUN\tWHY")
	behind := 0
	for _, a := range ages {
		if !a.Behind() {
			continue
		}
		behind++
		w.Line("%s\t%s\t%s\t%s\t%s\t%s", a.Name, plain.Row(orDash(a.Locked)), plain.Row(orDash(a.Allowed)), plain.Row(orDash(a.Latest)), plain.Row(orDash(a.Run)), plain.Row(a.Why()))
	}
	if behind > 0 {
		p.ui.Result("%s", w.Fit(p.ui.Columns(), 2))
	} else {
		p.ui.Say("every plugin is at the newest version there is")
	}
	return err
}

// catalogued looks for the newest version of every plugin of the catalogue.
func (p *program) catalogued(ctx context.Context) error {
	m, err := p.readManifest()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if m == nil {
		m = &manifest.Manifest{Name: manifest.FileName, Platforms: lock.PlatformNames()}
	}
	m.Policy = manifest.Policy{} // all versions, not only the allowed ones
	o, err := p.options(&lock.Lock{})
	if err != nil {
		return err
	}
	ages, err := catalogueAges(ctx, m, o)
	if ages == nil {
		return err
	}
	if err != nil {
		err = fault.Errorf(fault.Of(err), "see the rows for the reasons: correct the recipe of what is gone, in internal/catalog/catalog.toml; if a host is down, run it again later",
			"not every plugin of the catalogue was found, or not every source could be asked")
	}
	w := ui.NewTable()
	w.Line("NAME\tWHY")
	var lack []resolve.Age
	for i := range ages {
		a := &ages[i]
		if a.Error == "" && a.Allowed == "" {
			a.Error = "its sources have only pre-releases, or no version that can be locked"
		}
		if a.Error != "" || len(a.Unasked) > 0 {
			lack = append(lack, *a)
			w.Line("%s\t%s", a.Name, plain.Row(a.Why()))
		}
	}
	if p.ui.JSON {
		return p.agesData(ages, err)
	}
	if len(lack) > 0 {
		p.ui.Result("%s", w.Fit(p.ui.Columns(), 1))
	}
	p.ui.Say("found a version of %d of the %d plugins of the catalogue, and all their sources answered", len(ages)-len(lack), len(ages))
	return err
}

// catalogueAges compares every plugin of the catalogue with its sources. It
// asks for Python separately: in a manifest that has it, Python plugins need
// its exact version.
func catalogueAges(ctx context.Context, m *manifest.Manifest, o resolve.Options) ([]resolve.Age, error) {
	others := slices.DeleteFunc(catalog.Builtin().Names(), func(name string) bool { return name == lock.PythonName })
	var all []resolve.Age
	var errs []error
	for _, names := range [][]string{others, {lock.PythonName}} {
		m.Plugins = map[string]*manifest.Plugin{}
		for _, name := range names {
			m.Plugins[name] = &manifest.Plugin{Versions: []string{manifest.Latest}}
		}
		ages, err := resolve.Outdated(ctx, m, o)
		if ages == nil {
			return nil, err
		}
		all, errs = append(all, ages...), append(errs, err)
	}
	slices.SortFunc(all, func(a, b resolve.Age) int { return strings.Compare(a.Name, b.Name) })
	return all, errors.Join(errs...)
}

// agesData returns the result for JSON, with the error of sources that did not
// answer.
func (p *program) agesData(ages []resolve.Age, err error) error {
	data := map[string]any{"entries": ages}
	if err == nil {
		return p.ui.Data(data)
	}
	data["error"] = ui.FailureOf(err)
	if err := p.ui.Data(data); err != nil {
		return err
	}
	return &toldError{err}
}

// command returns the command that locks a newer version, or "". several is
// true if the manifest asks for more than one version of the plugin.
func command(a resolve.Age, several bool) string {
	switch {
	case a.Error != "":
		return ""
	case a.Locked != a.Allowed:
		return "lockgen update " + a.Name
	case a.Latest == "" || a.Latest == a.Locked || len(a.Held) == 0 || !a.Held[0].Outside:
		return ""
	case several:
		return "lockgen upgrade --latest '" + a.Name + "@" + a.Asked + "'"
	}
	return "lockgen upgrade --latest " + a.Name
}

// together gives what only moves in one step the command that moves all of it: the exact
// version of a runtime, and a plugin whose newer code it does not run. A newer version of
// the runtime that does not run the locked code is held back by that plugin.
func together(ages []resolve.Age, l *lock.Lock) {
	at := map[string]*resolve.Age{}
	for i := range ages {
		at[ages[i].Name] = &ages[i]
	}
	with := map[string]string{} // runtimes that wait for a plugin
	for i := range ages {
		r := &ages[i]
		language, name, ok := lock.RuntimeName(r.Name)
		v := l.Plugins[r.Name][r.Locked]
		if !ok || r.Asked != r.Locked || v == nil {
			continue
		}
		known, _ := catalog.Builtin().Runtime(language, name)
		alone := false // a newer version runs the locked code
		for j := range r.Held {
			held := &r.Held[j]
			for _, spec := range v.Fits {
				if plugin, of, _ := strings.Cut(spec, "@"); !plan.Runs(known, v.Source, held.Version, plugin, of) {
					held.Why, held.Outside = "does not run the code of "+plugin+" "+of, false
				}
			}
			alone = alone || held.Outside
		}
		if !alone {
			r.Run = ""
		}
		for _, f := range known.Fits {
			p := at[f.Plugin]
			if p == nil || p.Run == "" {
				continue
			}
			newer := p.Latest
			if p.Locked != p.Allowed {
				newer = p.Allowed
			}
			if !plan.Runs(known, v.Source, r.Locked, p.Name, newer) {
				p.Run = strings.Replace(p.Run, "lockgen update ", "lockgen upgrade ", 1) + " " + r.Name
				with[r.Name] = p.Name
			}
		}
	}
	for name, plugin := range with {
		if r := at[name]; r.Run == "" {
			r.Run = at[plugin].Run
		}
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
