package main

import (
	"context"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/lockgen/closure"
)

var whyVerb = &cli.Verb[program]{
	Name: "why", Args: "PACKAGE[@VERSION]", Short: "show which plugins a package is locked for",
	Long: `PACKAGE is the name of a package in any closure, of a file or folder in the
lock, or of a plugin. For each place, it shows the plugin and what the lock
knows of the path to it: for npm, the packages whose folders contain it. For one
plugin: lockgen explain NAME --why PACKAGE`,
	Example: `lockgen why @bufbuild/protobuf
lockgen why prost@0.14.1
lockgen why node`,
	JSON: true, Run: runWhy,
}

func runWhy(_ context.Context, p *program, args []string) error {
	if len(args) != 1 {
		return fault.Errorf(fault.Usage, "write: lockgen why PACKAGE", "lockgen why takes one package")
	}
	if err := p.locateLock(); err != nil {
		return err
	}
	l, _, err := p.readLock()
	if err != nil {
		return err
	}
	word := args[0]
	name, version, exact := lock.CutSpec(word)
	places := []closure.Found{}
	var plugins []string // plugins with that name
	for _, t := range closure.All(l) {
		places = append(places, closure.Find(t, l.Plugins[t.Name][t.Version].Source, word)...)
		if name == t.Name && (!exact || version == t.Version) {
			plugins = append(plugins, t.Name+"@"+t.Version)
		}
	}
	if len(places)+len(plugins) == 0 {
		hint := fault.DidYouMean(word, closure.Names(l), "see what there is: lockgen tree")
		return fault.Errorf(fault.Usage, hint, "no plugin of %s has a package %s", p.lock, word)
	}
	if p.ui.JSON {
		if plugins == nil {
			plugins = []string{}
		}
		return p.ui.Data(map[string]any{"package": word, "plugins": plugins, "places": places})
	}
	var b strings.Builder
	for _, spec := range plugins {
		what, see := "plugin", "which plugins use it"
		if strings.HasPrefix(spec, lock.ProtosPrefix) {
			what = "proto package"
		} else if _, _, ok := lock.RuntimeName(spec); ok {
			what, see = "runtime", "whose code it runs"
		}
		b.WriteString(strings.Replace(spec, "@", " ", 1) + " is a " + what + " itself; to see " + see + ", run: lockgen explain " + spec + "\n")
	}
	slices.SortStableFunc(places, func(x, y closure.Found) int {
		if x.Name != y.Name {
			return strings.Compare(x.Name, y.Name)
		}
		return lock.CompareVersions(x.Version, y.Version)
	})
	last := ""
	for _, f := range places {
		if head := strings.TrimSuffix(f.Name+" "+f.Version, " "); head != last {
			b.WriteString(plain.Row(head) + "\n")
			last = head
		}
		b.WriteString("  " + plain.Row(f.Way()+": "+f.Line()) + "\n")
	}
	p.ui.Result("%s", strings.TrimRight(b.String(), "\n"))
	return nil
}
