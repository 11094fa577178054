package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

var upgradeVerb = &cli.Verb[program]{
	Name: "upgrade", Args: "[NAME[@VERSION]…]", Short: "move plugins.toml and the lock to newer versions",
	Long: `Exact versions in plugins.toml move to the newest one that [policy] allows and
that is compatible: below the next major version, or for 0.x below the next
minor one. Ranges stay, and take the newest version in them. With --latest exact
versions move to the newest of all, and ranges move with it where it is not in
them. Nothing moves to an older version. Without names it is every plugin.

A plugin of which plugins.toml asks for several versions stays, unless one of
them is named: NAME@VERSION, as plugins.toml has it.`,
	Example: `lockgen upgrade
lockgen upgrade ts-proto
lockgen upgrade ts-proto@2.7.2 --latest`,
	JSON: true, Run: runUpgrade,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.BoolVar(&p.latest, "latest", false, "across major versions, and out of ranges")
		f.BoolVar(&p.noSmoke, "no-smoke", false, "do not run what was locked")
		scriptsFlag(f, p)
		dryRunFlag(f, p)
	},
}

func runUpgrade(ctx context.Context, p *program, args []string) error {
	return p.change(ctx, change{edit: func(ctx context.Context, c *change, data []byte, o resolve.Options) ([]byte, error) {
		m, err := manifest.Parse(p.manifest, data)
		if err != nil {
			return nil, err
		}
		specs := args
		if len(specs) == 0 {
			specs = slices.Sorted(maps.Keys(m.Plugins))
		}
		for _, spec := range specs {
			name, version, given := strings.Cut(spec, "@")
			entry := m.Plugins[name]
			switch {
			case entry == nil:
				names := slices.Sorted(maps.Keys(m.Plugins))
				return nil, fault.Errorf(fault.Usage, fault.DidYouMean(name, names, "run: lockgen add "+name), "%s does not ask for a plugin %q; it asks for %s", m.Name, name, strings.Join(names, ", "))
			case given && !slices.Contains(entry.Versions, version):
				return nil, fault.Errorf(fault.Usage, "name one of them, or run: lockgen update "+spec, "%s asks for %s %s, not %s", m.At("plugins", name), name, strings.Join(entry.Versions, " and "), version)
			case !given && len(entry.Versions) > 1:
				say := fault.Errorf(fault.Usage, "name the one that is to move: lockgen upgrade "+name+"@"+entry.Versions[0], "%s asks for %s %s, side by side", m.At("plugins", name), name, strings.Join(entry.Versions, " and "))
				if len(args) > 0 {
					return nil, say
				}
				p.ui.Say("%v, which stay as they are; %s", say, fault.Hint(say))
				continue
			case !given:
				version = entry.Versions[0]
			}
			to, err := p.upgraded(ctx, data, name, version, o)
			if fault.Of(err) == fault.Usage && len(args) == 0 { // a source without a list
				p.ui.Say("%s %s stays: %v", name, version, err)
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("lockgen upgrade %s: %w", name, err)
			}
			if to == version && !manifest.IsRange(version) {
				continue
			}
			if to != version {
				if data, err = edit.SetVersion(p.manifest, data, name, version, to); err != nil {
					return nil, err
				}
				c.said = append(c.said, fmt.Sprintf("%s: %s moves from %s to %s", m.At("plugins", name), name, version, to))
			}
			c.names = append(c.names, name+"@"+to)
		}
		return data, nil
	}})
}

// upgraded is what an entry of the manifest is to say in place of version, which
// may be version.
func (p *program) upgraded(ctx context.Context, data []byte, name, version string, o resolve.Options) (string, error) {
	ranged := manifest.IsRange(version)
	probe := "^" + version
	switch {
	case p.latest:
		probe = manifest.Latest
	case ranged:
		return version, nil // the update moves within it
	}
	m, err := manifest.Parse(p.manifest, data)
	if err != nil {
		return "", err
	}
	m.Plugins[name].Versions = []string{probe}
	newest, _, err := resolve.Newest(ctx, m, name, probe, o)
	if fault.Of(err) == fault.Policy { // nothing newer is old enough
		return version, nil
	}
	if err != nil {
		return "", err
	}
	if !ranged {
		if plan.CompareVersions(p.kindOf(m, name), newest, version) <= 0 {
			return version, nil
		}
		return newest, nil
	}
	r, err := plan.ParseRange(p.kindOf(m, name), version)
	if err != nil || version == manifest.Latest || r.Allows(newest) {
		return version, err
	}
	sign := "^"
	if strings.HasPrefix(version, "~") && !strings.HasPrefix(version, "~=") {
		sign = "~"
	}
	return sign + newest, nil
}

// kindOf is the kind of the source that a plugin comes from first.
func (p *program) kindOf(m *manifest.Manifest, name string) string {
	wants, err := plan.Wants(m, nil)
	if err != nil {
		return lock.HTTP
	}
	return wants[slices.IndexFunc(wants, func(w *plan.Want) bool { return w.Name == name })].From.Kind
}
