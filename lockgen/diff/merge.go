package diff

import (
	"bytes"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// A Conflict is a difference that [Merge] cannot resolve.
type Conflict struct {
	Plugin, Version string
	Why             string
}

// String describes the conflict in one line.
func (c Conflict) String() string {
	return strings.TrimSuffix(c.Plugin+" "+c.Version, " ") + ": " + c.Why
}

// Merge merges two locks with a common base, as a merge driver of git does:
// base, ours, theirs. It merges whole tables of versions: it takes a table from
// the side that changed it. It keeps all versions that both sides add. It is a
// conflict if both sides replace a version with different ones, if both change
// a table, or if one changes it and the other drops it. If one side replaced a
// runtime, plugins from the other side get the new runtime.
//
// Without conflicts, text is the canonical text of the merged lock. Otherwise
// it contains both sides of each conflict between git's markers, which [Parse]
// refuses.
func Merge(base, ours, theirs *lock.Lock) (text []byte, conflicts []Conflict) {
	m := merger{base: base, ours: ours, theirs: theirs, out: &lock.Lock{Schema: lock.Schema, Plugins: map[string]map[string]*lock.Version{}}, marked: map[string]bool{}}
	for _, name := range unionKeys(base.Plugins, ours.Plugins, theirs.Plugins) {
		m.plugin(name)
	}
	m.runtimes()
	if err := m.out.Validate(); err != nil && len(m.conflicts) == 0 {
		m.conflicts = append(m.conflicts, Conflict{Why: err.Error()})
		for name := range m.out.Plugins {
			m.marked[name] = true
		}
	}
	if len(m.conflicts) == 0 {
		return lock.Print(m.out), nil
	}
	return m.text(), m.conflicts
}

type merger struct {
	base, ours, theirs, out *lock.Lock
	conflicts               []Conflict
	marked                  map[string]bool // plugins to show from both sides
}

func (m *merger) conflict(name, version, why string) {
	m.conflicts = append(m.conflicts, Conflict{name, version, why})
	m.marked[name] = true
}

func (m *merger) plugin(name string) {
	base, ours, theirs := m.base.Plugins[name], m.ours.Plugins[name], m.theirs.Plugins[name]
	added := func(side map[string]*lock.Version) []string {
		return minus(slices.Sorted(maps.Keys(side)), slices.Collect(maps.Keys(base)))
	}
	dropped := func(side map[string]*lock.Version) []string {
		return minus(slices.Sorted(maps.Keys(base)), slices.Collect(maps.Keys(side)))
	}
	us, them := added(ours), added(theirs)
	both := slices.ContainsFunc(dropped(ours), func(v string) bool { return slices.Contains(dropped(theirs), v) })
	if (both || len(base) == 0) && len(us) > 0 && len(them) > 0 && !slices.Equal(us, them) {
		m.conflict(name, "", "one side takes "+strings.Join(us, ", ")+", the other "+strings.Join(them, ", "))
		return
	}
	if gone := len(ours) == 0 || len(theirs) == 0; gone && len(base) > 0 && len(us)+len(them) > 0 {
		m.conflict(name, "", "one side takes "+strings.Join(append(us, them...), ", ")+", the other drops the plugin")
		return
	}
	for _, version := range unionKeys(base, ours, theirs) {
		was, a, b := lock.Table(name, version, base[version]), lock.Table(name, version, ours[version]), lock.Table(name, version, theirs[version])
		var take *lock.Version
		switch {
		case a == b, b == was:
			take = ours[version]
		case a == was:
			take = theirs[version]
		case a == "" || b == "":
			m.conflict(name, version, "one side changes it, the other drops it")
			return
		case was == "":
			m.conflict(name, version, "both sides add it, but differently")
			return
		default:
			m.conflict(name, version, "both sides change it")
			return
		}
		if take != nil {
			if m.out.Plugins[name] == nil {
				m.out.Plugins[name] = map[string]*lock.Version{}
			}
			c := *take
			m.out.Plugins[name][version] = &c
		}
	}
}

// runtimes replaces runtimes that were removed by their newest locked version.
func (m *merger) runtimes() {
	for _, versions := range m.out.Plugins {
		for _, v := range versions {
			name, version, ok := strings.Cut(v.Runtime, "@")
			there := m.out.Plugins[name]
			if ok && there[version] == nil && len(there) > 0 {
				v.Runtime = name + "@" + slices.MaxFunc(slices.Collect(maps.Keys(there)), lock.CompareVersions)
			}
		}
	}
}

// text prints the merged plugins, and both sides of those in conflict.
func (m *merger) text() []byte {
	var b bytes.Buffer
	b.Write(lock.Print(&lock.Lock{Schema: lock.Schema}))
	names := unionKeys(m.ours.Plugins, m.theirs.Plugins, m.out.Plugins)
	slices.SortFunc(names, lock.InText)
	for _, name := range names {
		if !m.marked[name] {
			b.WriteString(pluginText(name, m.out.Plugins[name]))
			continue
		}
		b.WriteString("<<<<<<< ours\n" + pluginText(name, m.ours.Plugins[name]) +
			"=======\n" + pluginText(name, m.theirs.Plugins[name]) + ">>>>>>> theirs\n")
	}
	return b.Bytes()
}

func pluginText(name string, versions map[string]*lock.Version) string {
	var b strings.Builder
	for _, version := range slices.Sorted(maps.Keys(versions)) {
		b.WriteString(lock.Table(name, version, versions[version]))
	}
	return b.String()
}

// unionKeys returns the keys of several maps, sorted.
func unionKeys[V any](maps ...map[string]V) []string {
	var keys []string
	for _, m := range maps {
		for k := range m {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
