package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

var addVerb = &cli.Verb[program]{
	Name: "add", Args: "NAME[@VERSION]…", Short: "ask for plugins and lock them",
	Long: `Writes the version into plugins.toml, beside versions that are there, keeping
comments and order, then locks this plugin alone. Without a version it is the
newest one that [policy] allows, written as an exact version; a range is written
as it is. When the plugin cannot be locked, plugins.toml stays as it was.`,
	Example: `lockgen add node@24.19.0 ts-proto@2.18.0
lockgen add ts-proto
lockgen add 'ts-proto@^2.7'    or "~2.7.1", ">=1 <3", "1.x", latest`,
	JSON: true, Run: runAdd,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.BoolVar(&p.noSmoke, "no-smoke", false, "do not run what was locked")
	},
}

func runAdd(ctx context.Context, p *program, args []string) error {
	if len(args) == 0 {
		return fault.Errorf(fault.Usage, "write: lockgen add ts-proto@2.18.0", "lockgen add needs the name of a plugin")
	}
	return p.change(ctx, change{edit: func(ctx context.Context, c *change, data []byte, o resolve.Options) ([]byte, error) {
		for _, spec := range args {
			name, version, given := strings.Cut(spec, "@")
			m, err := manifest.Parse(p.manifest, data)
			if err != nil {
				return nil, err
			}
			if m.Plugins[name] == nil {
				if err := lock.CheckName(name); err != nil {
					return nil, fault.Errorf(fault.Usage, "write: lockgen add NAME@VERSION", "%w", err)
				}
				if err := catalog.Builtin().Unknown(name); err != nil {
					return nil, err
				}
			}
			if !given {
				if version, err = p.newest(ctx, data, name, o); err != nil {
					return nil, err
				}
			}
			if err := manifest.CheckWanted(version); err != nil {
				return nil, err
			}
			if data, err = manifest.AddVersion(p.manifest, data, name, version); err != nil {
				return nil, err
			}
			c.names = append(c.names, name+"@"+version)
		}
		return data, nil
	}})
}

// newest is the version that an entry "latest" would get now.
func (p *program) newest(ctx context.Context, data []byte, name string, o resolve.Options) (string, error) {
	data, err := manifest.AddVersion(p.manifest, data, name, manifest.Latest)
	if err != nil {
		return "", err
	}
	m, err := manifest.Parse(p.manifest, data)
	if err != nil {
		return "", err
	}
	version, err := resolve.Newest(ctx, m, name, manifest.Latest, o)
	if fault.Of(err) == fault.Usage {
		return "", fault.Errorf(fault.Usage, whichVersion(name), "lockgen add %s: which version? %w", name, err)
	}
	if err != nil {
		return "", fmt.Errorf("lockgen add %s: %w", name, err)
	}
	p.ui.Say("the newest version of %s that may be locked is %s", name, version)
	return version, nil
}

// whichVersion says how to find out which versions there are.
func whichVersion(name string) string {
	example := "write: lockgen add " + name + "@1.2.3"
	r, ok := catalog.Builtin().Lookup(name)
	if !ok {
		return example
	}
	from := r.Sources[0].From
	if from.Name == lock.GoToolchain {
		return "write: lockgen add " + name + "@" + plan.GoHint
	}
	if ask := lock.KindOf(from.Kind).Ask; ask != "" {
		return example + "; " + fmt.Sprintf(ask, from.Name)
	}
	return example
}
