package change

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

// Remove removes plugins, NAME or NAME@VERSION, from the manifest and the lock,
// together with what only they needed.
func (r *Run) Remove(ctx context.Context, args []string) error {
	return r.change(ctx, change{edit: func(_ context.Context, c *change, data []byte, o resolve.Options) ([]byte, error) {
		g := &removing{Run: r, c: c, data: data, old: o.Old}
		c.removed, c.said = nil, nil
		for _, spec := range args {
			if err := g.remove(spec); err != nil {
				return nil, err
			}
		}
		if err := g.dropNeeds(data, o.Old); err != nil {
			return nil, err
		}
		return g.data, g.disallow(o.Old)
	}})
}

// removing is one edit of remove.
type removing struct {
	*Run
	c    *change
	data []byte     // the manifest so far
	old  *lock.Lock // nil for none
}

func (r *removing) say(format string, args ...any) {
	r.c.said = append(r.c.said, fmt.Sprintf(format, args...))
}

// remove removes NAME or NAME@VERSION from the manifest. What only the lock has is
// left of a run that was interrupted: it goes from there.
func (r *removing) remove(spec string) error {
	name, version, exact := lock.CutSpec(spec)
	if exact && version == "" {
		return fault.Errorf(fault.Usage, "write: lockgen remove "+name, "%q has no version after the @", spec)
	}
	data, said, err := edit.RemoveVersion(r.Manifest, r.data, name, version)
	if err != nil {
		left := r.onlyLocked(name, version)
		for _, version := range left {
			r.c.removed = append(r.c.removed, name+"@"+version)
			v := r.old.Plugins[name][version]
			for _, need := range []string{v.Runtime, v.Toolchain} {
				name, version, _ := lock.CutSpec(need)
				if need != "" && len(r.onlyLocked(name, version)) > 0 && !slices.Contains(r.c.removed, need) {
					r.c.removed = append(r.c.removed, need)
				}
			}
		}
		if len(left) > 0 {
			return nil
		}
		return err
	}
	r.data = data
	r.c.said = append(r.c.said, said...)
	r.c.removed = append(r.c.removed, spec)
	return nil
}

// onlyLocked returns the versions of a plugin that the lock has and the manifest does
// not ask for: all of them for "", else at most the one.
func (r *removing) onlyLocked(name, version string) (left []string) {
	m, err := manifest.Parse(r.Manifest, r.data)
	if err != nil || r.old == nil {
		return nil
	}
	wants, err := plan.Wants(m, r.old)
	if err != nil {
		return nil
	}
	for _, locked := range slices.Sorted(maps.Keys(r.old.Plugins[name])) {
		wanted := slices.ContainsFunc(wants, func(w *plan.Want) bool { return w.Name == name && w.Version == locked })
		if !wanted && (version == "" || version == locked) {
			left = append(left, locked)
		}
	}
	return left
}

// dropNeeds removes what only the removed plugins needed. before is the text
// with them. It undoes what add adds together with a plugin.
func (r *removing) dropNeeds(before []byte, old *lock.Lock) error {
	was, err := manifest.Parse(r.Manifest, before)
	if err != nil {
		return err
	}
	m, err := manifest.Parse(r.Manifest, r.data)
	if err != nil {
		return err
	}
	needed := neededBy(was, old) // according to the old manifest
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		users := slices.DeleteFunc(slices.Clone(needed[name]), func(user string) bool { return m.Plugins[user] == nil })
		switch entry := m.Plugins[name]; {
		case entry == nil && was.Plugins[name] != nil && len(users) > 0:
			if _, err := plan.Wants(m, nil); errors.As(err, new(*plan.NeedError)) {
				return fault.Errorf(fault.Usage, "to remove them as well, run: lockgen remove "+strings.Join(users, " ")+" "+name, "%s: %s is needed by %s", was.At("plugins", name), name, strings.Join(users, ", "))
			}
		case entry == nil || len(users) > 0:
		case entry.Source != nil || !known(name):
			r.say("%s: nothing needs %s any more; to remove it as well, run: lockgen remove %s", m.At("plugins", name), name, name)
		case len(bundlesOf(m, name)) > 0:
			r.say("%s: kept %s, which no plugin needs any more, because bundle %s names it", m.At("plugins", name), name, bundlesOf(m, name)[0])
		default:
			r.say("%s: removed %s as well, which nothing needs any more", m.At("plugins", name), name)
			if err := r.remove(name); err != nil {
				return err
			}
			if m, err = manifest.Parse(r.Manifest, r.data); err != nil {
				return err
			}
		}
	}
	return nil
}

// neededBy lists the plugins that need each runtime or toolchain, by its name,
// with the source they are locked from, or else with their first source. It is
// empty for a manifest that cannot be planned. The lock may be nil.
func neededBy(m *manifest.Manifest, l *lock.Lock) map[string][]string {
	needed := map[string][]string{}
	wants, err := plan.Wants(m, nil)
	if err != nil {
		return needed
	}
	for _, w := range wants {
		var names []string
		if l != nil {
			for _, v := range l.Plugins[w.Name] {
				names = append(names, w.LockedAs(m, v).RunBy(v)...)
			}
		}
		if l == nil || len(l.Plugins[w.Name]) == 0 {
			names = w.RunBy(nil)
		}
		for _, name := range names {
			if !slices.Contains(needed[name], w.Name) {
				needed[name] = append(needed[name], w.Name)
			}
		}
	}
	return needed
}

func known(name string) bool {
	_, ok := catalog.Builtin().Lookup(name)
	return ok
}

// bundlesOf lists the bundles that name a plugin, sorted.
func bundlesOf(m *manifest.Manifest, name string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m.Bundles)), func(b string) bool { return !slices.Contains(m.Bundles[b], name) })
}

// disallow removes the entries of allow in [policy] for packages and
// repositories whose last user was removed. The lock, which may be nil, says
// what was used.
func (r *removing) disallow(old *lock.Lock) error {
	m, err := manifest.Parse(r.Manifest, r.data)
	if err != nil || m.Policy.Allow == nil || old == nil {
		return err
	}
	wants, err := plan.Wants(m, old)
	if err != nil {
		return nil // a later step reports it
	}
	kept := map[string]bool{} // NAME@VERSION
	for _, w := range wants {
		kept[w.Name+"@"+w.Version] = true
	}
	used := func(entry string, after bool) bool {
		only := manifest.Policy{Allow: []string{entry}}
		for name, versions := range old.Plugins {
			for version, v := range versions {
				if kept[name+"@"+version] != after {
					continue
				}
				for key, f := range v.Files {
					if only.CheckFile(v.Source, v.Package, key, f) == nil {
						return true
					}
				}
			}
		}
		return false
	}
	var gone []string
	for _, entry := range m.Policy.Allow {
		if strings.HasPrefix(entry, "host:") || strings.HasSuffix(entry, "*") || !used(entry, false) || used(entry, true) {
			continue
		}
		if len(gone) == len(m.Policy.Allow)-1 {
			r.say("%s: kept %s in allow of [policy], though nothing uses it any more: without an entry, everything would be allowed", m.At("policy", "allow"), entry)
			break
		}
		r.say("%s: removed %s from allow of [policy]", m.At("policy", "allow"), entry)
		gone = append(gone, entry)
	}
	if len(gone) > 0 {
		r.data, err = edit.Disallow(r.Manifest, r.data, gone)
	}
	return err
}
