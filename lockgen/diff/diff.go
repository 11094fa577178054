package diff

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// A Change is a change of one plugin between two locks. From and To are its
// versions. From is "" for a new plugin, To for one that is gone; they are
// equal if the version is the same but something in it changed.
type Change struct {
	Plugin string   `json:"plugin"`
	From   string   `json:"from,omitempty"`
	To     string   `json:"to,omitempty"`
	New    []string `json:"new,omitempty"`     // NAME@VERSION of packages in the closure
	Gone   []string `json:"dropped,omitempty"` // NAME@VERSION of packages in the closure
	Moved  []string `json:"moved,omitempty"`   // NAME VERSION -> VERSION of packages in the closure
	// Replaced lists files whose bytes changed under the same name and version,
	// which upstreams promise never to do.
	Replaced []string `json:"replaced,omitempty"`
	// Rest describes all other changes, one phrase each.
	Rest []string `json:"rest,omitempty"`
}

// String returns one line, such as "ts-proto 2.7.2 -> 2.18.0: 1 new package:
// a@1".
func (c Change) String() string {
	var parts []string
	add := func(list []string, one, many string) {
		switch len(list) {
		case 0:
		case 1:
			parts = append(parts, one+strings.Join(list, ", "))
		default:
			parts = append(parts, fmt.Sprintf(many, len(list))+strings.Join(list, ", "))
		}
	}
	add(c.Replaced, "OTHER BYTES under the same version: ", "OTHER BYTES under the same version in %d files: ")
	add(c.New, "1 new package: ", "%d new packages: ")
	add(c.Moved, "", "%d packages moved: ")
	add(c.Gone, "dropped ", "dropped %d packages: ")
	parts = append(parts, c.Rest...)
	what := strings.Join(parts, "; ")
	switch {
	case c.From == "":
		return strings.TrimSuffix(fmt.Sprintf("%s %s is new: %s", c.Plugin, c.To, what), ": ")
	case c.To == "":
		return fmt.Sprintf("%s %s is gone", c.Plugin, c.From)
	case c.From == c.To:
		return fmt.Sprintf("%s %s: %s", c.Plugin, c.From, what)
	}
	return strings.TrimSuffix(fmt.Sprintf("%s %s -> %s: %s", c.Plugin, c.From, c.To, what), ": ")
}

// Locks returns the changes between two locks, sorted by plugin and version, or
// nothing if they pin the same. If a plugin lost and gained versions, the
// newest lost one and the newest gained one are one update, then the next
// newest, and so on.
func Locks(old, now *lock.Lock) []Change {
	var changes []Change
	names := map[string]bool{}
	for name := range old.Plugins {
		names[name] = true
	}
	for name := range now.Plugins {
		names[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		before, after := old.Plugins[name], now.Plugins[name]
		var went, came []string
		for _, version := range newestFirst(before) {
			if after[version] == nil {
				went = append(went, version)
			} else if c := compareVersion(before[version], after[version]); !c.empty() {
				c.Plugin, c.From, c.To = name, version, version
				changes = append(changes, c)
			}
		}
		for _, version := range newestFirst(after) {
			if before[version] == nil {
				came = append(came, version)
			}
		}
		for i := range max(len(went), len(came)) {
			c := Change{}
			switch {
			case i >= len(went):
				c.To, c.Rest = came[i], summary(after[came[i]])
			case i >= len(came):
				c.From = went[i]
			default:
				c = compareVersion(before[went[i]], after[came[i]])
				c.From, c.To = went[i], came[i]
			}
			c.Plugin = name
			changes = append(changes, c)
		}
	}
	slices.SortStableFunc(changes, func(a, b Change) int {
		if c := strings.Compare(a.Plugin, b.Plugin); c != 0 {
			return c
		}
		return lock.CompareVersions(a.at(), b.at())
	})
	return changes
}

func (c Change) at() string {
	if c.To == "" {
		return c.From
	}
	return c.To
}

func (c Change) empty() bool {
	return len(c.New)+len(c.Gone)+len(c.Moved)+len(c.Replaced)+len(c.Rest) == 0
}

func newestFirst(versions map[string]*lock.Version) []string {
	list := slices.SortedFunc(maps.Keys(versions), lock.CompareVersions)
	slices.Reverse(list)
	return list
}

// summary describes a new version.
func summary(v *lock.Version) []string {
	from := v.Source
	if v.Package != "" {
		from += ":" + v.Package
	}
	files := fmt.Sprintf("%d files", len(v.Files))
	if len(v.Files) == 1 {
		files = "1 file"
	}
	return []string{"from " + from, files, "trust " + v.Trust}
}

// compareVersion compares two versions of a plugin, or the same version in two
// locks.
func compareVersion(old, now *lock.Version) Change {
	var c Change
	// All keys that are strings or lists of strings, so that none is missed.
	a, b := reflect.ValueOf(*old), reflect.ValueOf(*now)
	for _, f := range reflect.VisibleFields(a.Type()) {
		key, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		switch f.Type.Kind() {
		case reflect.String:
			if from, to := a.FieldByIndex(f.Index).String(), b.FieldByIndex(f.Index).String(); from != to {
				c.Rest = append(c.Rest, fmt.Sprintf("%s %s -> %s", key, orNone(from), orNone(to)))
			}
		case reflect.Slice:
			from, _ := a.FieldByIndex(f.Index).Interface().([]string)
			to, _ := b.FieldByIndex(f.Index).Interface().([]string)
			if !slices.Equal(from, to) {
				c.Rest = append(c.Rest, fmt.Sprintf("%s %s -> %s", key, orNone(strings.Join(from, " ")), orNone(strings.Join(to, " "))))
			}
		}
	}
	c.packages(old, now)
	c.cells(old, now)
	return c
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// packages compares the closures.
func (c *Change) packages(old, now *lock.Version) {
	before, after := closure(old), closure(now)
	for _, name := range slices.Sorted(maps.Keys(after)) {
		came, went := minus(after[name], before[name]), minus(before[name], after[name])
		for i, version := range came {
			switch {
			case i >= len(went):
				c.New = append(c.New, name+"@"+version)
			case !isOwn(old, name) || !isOwn(now, name): // that it moved is the bump itself
				c.Moved = append(c.Moved, name+" "+went[i]+" -> "+version)
			}
		}
		for i := len(came); i < len(went); i++ {
			c.Gone = append(c.Gone, name+"@"+went[i])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if after[name] == nil {
			for _, version := range before[name] {
				c.Gone = append(c.Gone, name+"@"+version)
			}
		}
	}
	was := map[string]lock.File{}
	for key, f := range old.Files {
		was[old.Kind().Identify(old.Package, key, f)] = f
	}
	seen := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(now.Files)) {
		f := now.Files[key]
		id := now.Kind().Identify(now.Package, key, f)
		o, ok := was[id]
		if ok && (o.SHA256 != f.SHA256 || o.Size != f.Size || o.Integrity != f.Integrity) && !seen[id] {
			c.Replaced = append(c.Replaced, id)
			seen[id] = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(now.Files)) {
		f, o := now.Files[key], old.Files[key]
		switch {
		case o.SHA256 == "":
			if before[f.Name] != nil && f.Name != "" && slices.Contains(before[f.Name], f.Version) {
				c.Rest = append(c.Rest, fmt.Sprintf("%s@%s now also at %s", f.Name, f.Version, key))
			}
		case o.SHA256 == f.SHA256 && !slices.Equal(o.Platforms, f.Platforms):
			c.Rest = append(c.Rest, fmt.Sprintf("%s is for %s, was for %s", key, platformWords(f), platformWords(o)))
		}
	}
}

func platformWords(f lock.File) string {
	if len(f.Platforms) == 0 {
		return "every platform"
	}
	return strings.Join(f.Platforms, " ")
}

// closure returns the versions of the packages in a plugin's closure, by name.
// Files of http and oci belong to no package and are left out.
func closure(v *lock.Version) map[string][]string {
	found := map[string][]string{}
	for key := range v.Files {
		if name, version := v.PackageOf(key); name != "" && !slices.Contains(found[name], version) {
			found[name] = append(found[name], version)
		}
	}
	for _, list := range found {
		slices.SortFunc(list, lock.CompareVersions)
	}
	return found
}

// isOwn reports whether a package of the closure is the plugin's own: that of its
// source, without extras and classifiers.
func isOwn(v *lock.Version, name string) bool {
	own, _ := syntax.Extras(v.Package)
	if v.Kind().Wheels {
		return syntax.NormalProject(own) == syntax.NormalProject(name)
	}
	return own == name || strings.HasPrefix(own, name+":") // GROUP:ARTIFACT of GROUP:ARTIFACT:CLASSIFIER
}

// minus is the elements of a that are not in b.
func minus(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// cells compares the platforms.
func (c *Change) cells(old, now *lock.Version) {
	var trees []string
	for _, p := range lock.Platforms {
		a, b := old.Platforms[p.Name], now.Platforms[p.Name]
		switch from, to := state(a), state(b); {
		case from != to:
			c.Rest = append(c.Rest, "platform "+p.Name+" now "+to)
		case a.Binary != b.Binary && (old.Program == "" || now.Program == ""): // else the name of the jar, or of the script
			c.Rest = append(c.Rest, fmt.Sprintf("binary for %s %s -> %s", p.Name, a.Binary, b.Binary))
		case a.Tree != b.Tree && sameFiles(old, now, p.Name):
			trees = append(trees, p.Name)
		}
	}
	if len(trees) > 0 {
		c.Rest = append(c.Rest, "a different tree from the same files on "+strings.Join(trees, ", "))
	}
}

// sameFiles reports whether a platform has the same files in both versions.
func sameFiles(a, b *lock.Version, platform string) bool {
	keys := a.FilesFor(platform)
	if !slices.Equal(keys, b.FilesFor(platform)) {
		return false
	}
	for _, key := range keys {
		if a.Files[key].SHA256 != b.Files[key].SHA256 {
			return false
		}
	}
	return true
}

// state describes a cell.
func state(c lock.Cell) string {
	switch {
	case c.Emulate != "":
		return "emulated by " + c.Emulate
	case c.Unavailable != "":
		return "unavailable (" + c.Unavailable + ")"
	}
	return "locked"
}
