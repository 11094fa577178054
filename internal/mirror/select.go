package mirror

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
)

// A Selection is what is pushed.
type Selection struct {
	Entries   []*lock.Entry // with their runtimes and compilers
	bundles   []string      // sorted
	members   map[string][]*lock.Entry
	Platforms []string
	wanted    []string // of them, those that are named, or else listed in the manifest
}

// Select finds the entries of a lock for NAME or NAME@VERSION and for bundles of the
// manifest, all of both where none is named, and what runs or compiles them, or what they
// import; on the platforms, where some are named. A name that is not known is of class [fault.Usage].
func Select(m *manifest.Manifest, l *lock.Lock, specs, bundles, platforms []string) (*Selection, error) {
	what := &Selection{Platforms: lock.PlatformNames(), wanted: m.Platforms, members: map[string][]*lock.Entry{}}
	if len(platforms) > 0 {
		what.Platforms = nil
		for _, name := range platforms {
			if _, ok := lock.LookupPlatform(name); !ok {
				hint := fault.DidYouMean(name, lock.PlatformNames(), "use one of "+strings.Join(lock.PlatformNames(), ", "))
				return nil, fault.Errorf(fault.Usage, hint, "unknown platform %q", name)
			}
			if !slices.Contains(what.Platforms, name) {
				what.Platforms = append(what.Platforms, name)
			}
		}
		slices.Sort(what.Platforms)
		what.wanted = what.Platforms
	}
	var chosen []*lock.Entry
	for _, spec := range specs {
		name, version, _, err := l.Find(spec)
		if err != nil {
			return nil, err
		}
		if _, _, exact := lock.CutSpec(spec); exact {
			chosen = append(chosen, l.Entry(name, version))
			continue
		}
		for _, version := range slices.Sorted(maps.Keys(l.Plugins[name])) {
			chosen = append(chosen, l.Entry(name, version))
		}
	}
	known := slices.Sorted(maps.Keys(m.Bundles))
	for _, name := range bundles {
		if !slices.Contains(known, name) {
			hint := fault.DidYouMean(name, known, "bundles of plugins.toml are "+strings.Join(known, ", "))
			return nil, fault.Errorf(fault.Usage, hint, "plugins.toml has no bundle %q", name)
		}
	}
	all := len(specs) == 0 && len(bundles) == 0
	if all {
		for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
			for _, version := range slices.Sorted(maps.Keys(l.Plugins[name])) {
				chosen = append(chosen, l.Entry(name, version))
			}
		}
	}
	for _, name := range known {
		if !all && !slices.Contains(bundles, name) {
			continue
		}
		what.bundles = append(what.bundles, name)
		for _, spec := range m.Bundles[name] {
			plugin, version, _, err := l.Find(spec)
			if err != nil {
				return nil, fmt.Errorf("bundle %s: %w", name, err)
			}
			what.members[name] = append(what.members[name], l.Entry(plugin, version))
		}
		chosen = append(chosen, what.members[name]...)
	}
	for i := 0; i < len(chosen); i++ { // proto packages with what they import
		for _, dep := range chosen[i].Locked.Deps {
			for _, version := range slices.Sorted(maps.Keys(l.Plugins[lock.ProtosPrefix+dep])) {
				if e := l.Entry(lock.ProtosPrefix+dep, version); !slices.ContainsFunc(chosen, func(c *lock.Entry) bool { return c.String() == e.String() }) {
					chosen = append(chosen, e)
				}
			}
		}
	}
	what.Entries = withRuntimes(chosen)
	return what, nil
}

// withRuntimes is the entries and those that run or compile them, each once.
func withRuntimes(entries []*lock.Entry) []*lock.Entry {
	var all []*lock.Entry
	seen := map[string]bool{}
	var add func(e *lock.Entry)
	add = func(e *lock.Entry) {
		if e == nil || seen[e.String()] {
			return
		}
		seen[e.String()] = true
		all = append(all, e)
		add(e.Runtime)
		add(e.Toolchain)
	}
	for _, e := range entries {
		add(e)
	}
	return all
}

// Push pushes what is selected; with trees the ready folders as well.
func (p *Pusher) Push(ctx context.Context, what *Selection, trees bool) error {
	p.Transfer.Plugins(len(what.Entries))
	for _, e := range what.Entries {
		if err := p.Plugin(ctx, e, what.Platforms); err != nil {
			return err
		}
		p.Transfer.Ended()
	}
	folders := map[string]oci.Descriptor{} // by entry and platform
	id := func(e *lock.Entry, served string) string { return e.String() + " " + served }
	if trees {
		for _, e := range what.Entries {
			for _, served := range ready(e, what.Platforms) {
				layer, err := p.Folder(ctx, e, served)
				if err != nil {
					return err
				}
				folders[id(e, served)] = layer
			}
		}
	}
	for _, name := range what.bundles {
		all := withRuntimes(what.members[name])
		byPlatform := map[string][]oci.Descriptor{}
		for _, platform := range what.Platforms {
			for _, e := range all {
				_, served, err := e.Locked.Cell(platform)
				if layer, ok := folders[id(e, served)]; ok && err == nil {
					byPlatform[platform] = append(byPlatform[platform], layer)
				}
			}
		}
		if err := p.Bundle(ctx, name, what.members[name], all, what, byPlatform); err != nil {
			return err
		}
	}
	return nil
}

// ready lists the platforms with a cell of their own for which the folder of an
// entry is pushed: those of ecosystem plugins whose tree is locked. Go itself is
// none: who takes a ready folder needs no compiler.
func ready(e *lock.Entry, platforms []string) []string {
	if v := e.Locked; !v.Kind().Ecosystem || v.IsGo() {
		return nil
	}
	var served []string
	for _, platform := range platforms {
		cell, name, err := e.Locked.Cell(platform)
		if err == nil && cell.Tree != "" && !slices.Contains(served, name) {
			served = append(served, name)
		}
	}
	return served
}
