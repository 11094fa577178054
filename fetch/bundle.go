package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

var bundleVerb = &cli.Verb[app]{
	Name: "bundle", Args: "NAME", Short: "install the plugins of a bundle, print a PATH line for each",
	Long: `A bundle is a list of plugins in [bundles] of plugins.toml. Each line of the
output puts the folder of one executable on PATH, for the eval of a shell. If
plugins.toml does not have the bundle, fetch looks for it at the place of
--from, to which lockgen mirror pushed it. In both cases, the lock decides which
bytes are installed. If the bundle has proto packages, protos/NAME, a last line
sets PROTO_PATH, as fetch env does.`,
	Example: `fetch bundle typescript
eval "$(fetch bundle typescript --from oci://registry.example.com/plugins)"`,
	JSON: true, Uses: installs, Run: runBundle,
	Flags: shellFlag,
}

// runBundle installs every plugin of a bundle and prints a line for each that puts
// the folder of its executable on PATH.
func runBundle(ctx context.Context, a *app, args []string) error {
	if len(args) != 1 {
		return fault.Errorf(fault.Usage, "", "bundle takes one bundle, got %d arguments", len(args))
	}
	l, platform, shell, err := a.prepare()
	if err != nil {
		return err
	}
	specs, err := a.bundle(ctx, args[0])
	if err != nil {
		return err
	}
	plugins, protos, err := a.divide(l, specs)
	if err != nil {
		return fmt.Errorf("bundle %s: %w", args[0], err)
	}
	programs, err := a.programs(ctx, l, plugins, platform)
	if err != nil {
		return fmt.Errorf("bundle %s: %w", args[0], err)
	}
	packages, err := a.packages(ctx, l, protos, platform)
	if err != nil {
		return fmt.Errorf("bundle %s: %w", args[0], err)
	}
	imports := importFolders(packages, programs)
	if a.ui.JSON {
		return a.ui.Data(map[string]any{"bundle": args[0], "programs": programs, "protoPath": imports, "packages": packages})
	}
	for _, p := range programs {
		line, err := pathLine(shell, []string{filepath.Dir(p.Path)})
		if err != nil {
			return err
		}
		if err := a.ui.Exact("PATH", line); err != nil {
			return err
		}
	}
	if len(imports) == 0 {
		return nil
	}
	line, err := envLine(shell, nil, imports)
	if err != nil {
		return err
	}
	return a.ui.Exact("PROTO_PATH", line)
}

// bundle returns the plugins of a bundle, from the manifest or, if that does not
// have it, from the place of --from. The bytes always come from the lock.
func (a *app) bundle(ctx context.Context, name string) ([]string, error) {
	if specs := a.bundles[name]; len(specs) > 0 {
		return specs, nil
	}
	if a.opts.from != "" {
		return a.tiers().Bundle(ctx, a.mirrors[0].To, name)
	}
	known := slices.Sorted(maps.Keys(a.bundles))
	hint := "write it into plugins.toml, below [bundles]"
	if len(known) > 0 {
		hint = "bundles are " + strings.Join(known, ", ")
	}
	hint = fault.DidYouMean(name, known, hint)
	return nil, fault.Errorf(fault.Usage, hint, "plugins.toml has no bundle %q", name)
}
