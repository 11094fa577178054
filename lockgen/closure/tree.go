package closure

import (
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/plain"
)

// Under returns the closures of one locked version of a plugin, or of all,
// followed by those of the plugins that run or compile them.
func Under(l *lock.Lock, spec string) (trees []*Branch, err error) {
	name, version, v, err := l.Find(spec)
	if err != nil {
		return nil, err
	}
	if _, _, exact := lock.CutSpec(spec); exact {
		trees = append(trees, Of(name, version, v))
	} else {
		for _, t := range All(l) {
			if t.Name == name {
				trees = append(trees, t)
			}
		}
	}
	for _, t := range trees {
		for _, b := range t.Below {
			if v := l.Plugins[b.Name][b.Version]; v != nil && (b.Kind == Runtime || b.Kind == Toolchain) {
				b.From, b.Below = Source(v), Of(b.Name, b.Version, v).Below
			}
		}
	}
	return trees, nil
}

// Drawn returns a branch and its descendants as lines of a tree.
func (b *Branch) Drawn() string {
	var text strings.Builder
	b.draw(&text, "", "")
	return text.String()
}

// draw writes the lines. The first starts with first, the others with rest.
func (b *Branch) draw(text *strings.Builder, first, rest string) {
	note := plain.Row(b.Note())
	if note != "" {
		note = " (" + note
	}
	text.WriteString(first + plain.Row(b.Label()) + note + ")\n")
	for i, c := range b.Below {
		if i == len(b.Below)-1 {
			c.draw(text, rest+"└── ", rest+"    ")
		} else {
			c.draw(text, rest+"├── ", rest+"│   ")
		}
	}
}

// Names returns the names of all packages and plugins of a lock, sorted.
func Names(l *lock.Lock) []string {
	names := map[string]bool{}
	for _, t := range All(l) {
		t.Walk(func(b *Branch) {
			if b.Kind != File && b.Kind != Machine {
				names[b.Name] = true
			}
		})
	}
	return slices.Sorted(maps.Keys(names))
}
