package main

import (
	"context"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/lockgen/closure"
)

var treeVerb = &cli.Verb[program]{
	Name: "tree", Args: "[NAME[@VERSION]]", Short: "show the closures of locked plugins",
	Long: `Every locked plugin, or one of them, with the packages that it consists of and
what runs or compiles it. All packages are below the plugin, because the lock of
most does not record which package needs which; only if npm puts a package into
the folder of another, it is below that one. See lockgen why.`,
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
		if trees, err = closure.Under(l, args[0]); err != nil {
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
		b.WriteString(t.Drawn())
	}
	if b.Len() == 0 {
		p.ui.Say("nothing is locked")
		return nil
	}
	p.ui.Result("%s", strings.TrimRight(b.String(), "\n"))
	return nil
}
