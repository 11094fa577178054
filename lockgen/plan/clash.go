package plan

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// command returns the name of the executable of w on PATH, in the form that is
// equal if Windows and macOS treat names as equal.
func (w *Want) command() string {
	name := w.Binary
	if list := w.Binaries(lock.Platforms[0]); len(list) > 0 {
		name = list[0]
	}
	return strings.ToLower(strings.TrimSuffix(path.Base(name), ".exe"))
}

// commands returns the plugins by the name of their executable, sorted.
func commands(wants []*Want) map[string][]string {
	by := map[string][]string{}
	for _, w := range wants {
		if w.Proto != nil || w.Language != "" { // no programs
			continue
		}
		if c := w.command(); !slices.Contains(by[c], w.Name) {
			by[c] = append(by[c], w.Name)
		}
	}
	for _, plugins := range by {
		slices.Sort(plugins)
	}
	return by
}

// CheckBundles refuses a bundle of plugins whose executables have the same
// name: PATH cannot have both.
func CheckBundles(m *manifest.Manifest, wants []*Want) error {
	by := commands(wants)
	for _, bundle := range slices.Sorted(maps.Keys(m.Bundles)) {
		for _, command := range slices.Sorted(maps.Keys(by)) {
			in := slices.DeleteFunc(slices.Clone(by[command]), func(p string) bool { return !slices.Contains(m.Bundles[bundle], p) })
			if len(in) < 2 {
				continue
			}
			return fault.Errorf(fault.Usage, fmt.Sprintf("remove %s from bundle %s, or make another bundle for it", strings.Join(in[1:], " and "), bundle),
				"%s: bundle %s: %s have executables with the same name, %s: PATH cannot have both, so fetch bundle %s would fail",
				m.At("bundles", bundle), bundle, strings.Join(in, " and "), command, bundle)
		}
	}
	return nil
}

// Clashes returns a line for each of names whose executable has the same name
// as another plugin's, outside bundles, so that on PATH only one of them can be
// used.
func Clashes(wants []*Want, names []string) []string {
	by := commands(wants)
	var lines []string
	for _, command := range slices.Sorted(maps.Keys(by)) {
		if plugins := by[command]; len(plugins) > 1 && slices.ContainsFunc(plugins, func(p string) bool { return slices.Contains(names, p) }) {
			lines = append(lines, strings.Join(plugins, " and ")+" have executables with the same name, "+command+
				": fetch env puts neither on PATH unless you name one; Buck2 and fetch get can use both")
		}
	}
	return lines
}
