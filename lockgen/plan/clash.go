package plan

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// command is the name of the executable of w where PATH finds it, as Windows and
// macOS tell them apart.
func (w *Want) command() string {
	name := w.Binary
	if list := w.Binaries(lock.Platforms[0]); len(list) > 0 {
		name = list[0]
	}
	return strings.ToLower(strings.TrimSuffix(path.Base(name), ".exe"))
}

// Clashes says, in a line each, which plugins have executables of one name, so that
// PATH cannot have both: those that one bundle names, and those of names with any
// other.
func Clashes(m *manifest.Manifest, wants []*Want, names []string) []string {
	commands := map[string][]string{} // plugins by command
	for _, w := range wants {
		if c := w.command(); !slices.Contains(commands[c], w.Name) {
			commands[c] = append(commands[c], w.Name)
		}
	}
	var lines []string
	for _, command := range slices.Sorted(maps.Keys(commands)) {
		plugins := commands[command]
		if len(plugins) < 2 {
			continue
		}
		both := strings.Join(plugins, " and ") + " have an executable of one name, " + command
		told := false
		for _, bundle := range slices.Sorted(maps.Keys(m.Bundles)) {
			in := slices.DeleteFunc(slices.Clone(plugins), func(p string) bool { return !slices.Contains(m.Bundles[bundle], p) })
			if len(in) > 1 {
				told = true
				lines = append(lines, fmt.Sprintf("%s: %s: fetch bundle %s and fetch env --bundle %s refuse that; take one of them out of the bundle", m.At("bundles", bundle), both, bundle, bundle))
			}
		}
		if !told && slices.ContainsFunc(plugins, func(p string) bool { return slices.Contains(names, p) }) {
			lines = append(lines, both+": fetch env puts neither on PATH unless one is named; Buck2 and fetch get tell them apart")
		}
	}
	return lines
}
