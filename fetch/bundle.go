package main

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// runBundle installs every plugin of a bundle and prints for each a line that
// puts the folder of its executable into the PATH of a shell: sh, or PowerShell
// on Windows.
func runBundle(ctx context.Context, a *app, args []string) error {
	if len(args) != 1 || len(a.rest) > 0 {
		return fault.Errorf(fault.Usage, "fetch bundle NAME [--from PLACE]", "bundle takes one bundle")
	}
	if err := a.open(); err != nil {
		return err
	}
	lockPath, err := a.findLock()
	if err != nil {
		return err
	}
	l, _, err := lock.Read(lockPath)
	if err != nil {
		return err
	}
	if err := a.readManifest(lockPath); err != nil {
		return err
	}
	specs, err := a.bundle(ctx, args[0])
	if err != nil {
		return err
	}
	platform := a.opts.platform
	if platform == "" {
		platform = a.host.Name
	}
	entries := make([]*lock.Entry, len(specs))
	for i, spec := range specs {
		name, version, _, err := l.Find(spec)
		if err != nil {
			return err
		}
		entries[i] = l.Entry(name, version)
	}
	programs := make([]*install.Program, len(entries))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i, e := range entries {
		g.Go(func() (err error) {
			programs[i], _, err = a.installer.Program(gctx, e, platform)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if err := distinct(args[0], programs); err != nil {
		return err
	}
	if a.opts.json {
		return a.ui.Data(map[string]any{"bundle": args[0], "programs": programs})
	}
	for _, p := range programs {
		a.ui.Result("%s", pathLine(filepath.Dir(p.Path), a.host.OS == "windows"))
	}
	return nil
}

// bundle returns what a bundle consists of: as the manifest says, else as the
// place of --from does. Either way the lock says which bytes.
func (a *app) bundle(ctx context.Context, name string) ([]string, error) {
	if specs := a.bundles[name]; len(specs) > 0 {
		return specs, nil
	}
	if a.opts.from != "" {
		return a.tiers.get(a.bringing).Bundle(ctx, a.mirrors[0].To, name)
	}
	known := slices.Sorted(maps.Keys(a.bundles))
	mend := "write it into plugins.toml, below [bundles]"
	if len(known) > 0 {
		mend = "bundles are " + strings.Join(known, ", ")
	}
	if near := lock.Nearest(name, known); near != "" {
		mend = "did you mean " + near + "? " + mend
	}
	return nil, fault.Errorf(fault.Usage, mend, "plugins.toml has no bundle %q", name)
}

// distinct refuses two plugins whose executables have one name: only one of
// them would be found.
func distinct(bundle string, programs []*install.Program) error {
	seen := map[string]*install.Program{}
	for _, p := range programs {
		base := strings.ToLower(filepath.Base(p.Path)) // as Windows and macOS find it
		for _, ext := range []string{".exe", ".cmd"} {
			base = strings.TrimSuffix(base, ext)
		}
		if other := seen[base]; other != nil {
			return fault.Errorf(fault.Usage, "put one of them into another bundle",
				"bundle %s: %s %s and %s %s both have an executable called %s", bundle, other.Plugin, other.Version, p.Plugin, p.Version, base)
		}
		seen[base] = p
	}
	return nil
}

// pathLine puts a folder before the others of PATH.
func pathLine(dir string, windows bool) string {
	if windows {
		return "$env:PATH = '" + strings.ReplaceAll(dir, "'", "''") + ";' + $env:PATH"
	}
	return "export PATH='" + strings.ReplaceAll(dir, "'", `'\''`) + "'\":$PATH\""
}
