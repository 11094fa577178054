package main

import (
	"context"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/lockgen/closure"
)

var treeVerb = &cli.Verb[program]{
	Name: "tree", Args: "[NAME[@VERSION]]", Short: "show the closures of what is locked",
	Long: `Every plugin of the lock, or one, with the packages that it is made of and with
what runs or compiles it. The lock holds which packages a closure has, not which
of them asks for which; so all are below the plugin, and only where npm puts a
package into the folder of another it is below that one.`,
	Example: `lockgen tree ts-proto
lockgen tree protoc-gen-es@1.10.0 --json`,
	JSON: true, Run: runTree,
}

func runTree(_ context.Context, p *program, args []string) error {
	if len(args) > 1 {
		return fault.Errorf(fault.Usage, "write: lockgen tree [NAME[@VERSION]]", "lockgen tree takes one plugin, got %q", args[1])
	}
	if err := p.locateLock(); err != nil {
		return err
	}
	l, _, err := p.readLock()
	if err != nil {
		return err
	}
	trees := closure.All(l)
	if len(args) == 1 {
		if trees, err = treesOf(l, args[0]); err != nil {
			return err
		}
	}
	if p.ui.JSON {
		if trees == nil {
			trees = []*closure.Branch{}
		}
		return p.ui.Data(map[string]any{"plugins": trees})
	}
	var b strings.Builder
	for _, t := range trees {
		draw(&b, t, "", "")
	}
	if b.Len() == 0 {
		p.ui.Say("nothing is locked")
		return nil
	}
	p.ui.Result("%s", strings.TrimRight(b.String(), "\n"))
	return nil
}

// treesOf returns the closures of all locked versions of a plugin, or of one,
// with those of the plugins that run or compile them.
func treesOf(l *lock.Lock, spec string) (trees []*closure.Branch, err error) {
	name, version, v, err := l.Find(spec)
	if err != nil {
		return nil, err
	}
	if strings.Contains(spec, "@") {
		trees = append(trees, closure.Of(name, version, v))
	} else {
		for _, t := range closure.All(l) {
			if t.Name == name {
				trees = append(trees, t)
			}
		}
	}
	for _, t := range trees {
		for _, b := range t.Below {
			if v := l.Plugins[b.Name][b.Version]; v != nil && (b.Kind == closure.Runtime || b.Kind == closure.Toolchain) {
				b.From, b.Below = closure.Source(v), closure.Of(b.Name, b.Version, v).Below
			}
		}
	}
	return trees, nil
}

// draw writes a branch and what is below it, in lines that begin with first and
// rest.
func draw(b *strings.Builder, t *closure.Branch, first, rest string) {
	b.WriteString(first + plain.Row(t.Label()) + prefixed(" (", plain.Row(t.Note())) + ")\n")
	for i, c := range t.Below {
		if i == len(t.Below)-1 {
			draw(b, c, rest+"└── ", rest+"    ")
		} else {
			draw(b, c, rest+"├── ", rest+"│   ")
		}
	}
}
