package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/lockgen/change"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
)

var addVerb = &cli.Verb[program]{
	Name: "add", Args: "NAME[@VERSION]…|PLACE[@VERSION]…", Short: "add plugins and lock them",
	Long: `Writes the version into plugins.toml, beside versions that are there, keeping
comments and order, then locks this plugin alone, with the first one also all
else that plugins.toml asks for. Without a version it is the newest one that
[policy] allows, written as an exact version; a range is written as it is. When
the plugin cannot be locked, plugins.toml stays as it was.

A PLACE is where a plugin is published: npm:NAME, @SCOPE/NAME, pip:NAME,
cargo:NAME, go:PACKAGE, maven:GROUP:ARTIFACT, github:OWNER/REPO,
oci://HOST/REPO:TAG or the URL of a file. One that the catalogue knows is the
plugin of that name; of another one the source is asked for its executables, and
the only one that is called protoc-gen-… becomes an entry of that name. --binary
says which one it is otherwise.

A URL is that of the file for one platform, as copied from a page, or a template
with {version}, {os} and {arch}. The version in it counts, unless @VERSION is
behind it. The files of the other platforms are looked for beside it, by the
names that publishers usually give them.

What runs or compiles the plugin (node, go) is added as well, where plugins.toml
does not ask for it. Where there is no plugins.toml, here or above, one is made
in the working directory, with protoc in it, for the platforms of --platform or
else those of lockgen init.

A plugin must exist for all platforms of plugins.toml, unless its entry says
optional = true. --optional writes that; so does --platform where it leaves one
out, and then the plugin must exist for those that it names.`,
	Example: `lockgen add ts-proto
lockgen add node@24.19.0 ts-proto@2.18.0
lockgen add npm:protoc-gen-acme
lockgen add https://example.com/protoc-gen-acme-1.2.3-linux-x86_64.tar.gz
lockgen add 'ts-proto@^2.7'    or "~2.7.1", ">=1 <3", "1.x", latest`,
	JSON: true, Run: runAdd,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.StringArrayVar(&p.platforms, "platform", nil, "a `PLATFORM` that the plugins must have; may be repeated")
		f.BoolVar(&p.optional, "optional", false, "a platform that cannot have them becomes unavailable")
		f.StringVar(&p.binary, "binary", "", "of a PLACE: the `NAME` of the executable")
		f.BoolVar(&p.noSmoke, "no-smoke", false, "do not run what was locked")
		scriptsFlag(f, p)
		dryRunFlag(f, p)
	},
}

func runAdd(ctx context.Context, p *program, args []string) error {
	if len(args) == 0 {
		return fault.Errorf(fault.Usage, "write: lockgen add ts-proto", "lockgen add needs the name of a plugin")
	}
	if err := p.checkPlatforms(); err != nil {
		return err
	}
	platforms := edit.Platforms
	if len(p.platforms) > 0 {
		platforms = slices.Compact(slices.Sorted(slices.Values(p.platforms)))
	}
	r, err := p.changing(true)
	if err != nil {
		return err
	}
	return r.Add(ctx, args, change.Adding{Platforms: p.platforms, Optional: p.optional, Binary: p.binary, Fresh: edit.Head(platforms) + "[plugins]\n"})
}

// checkPlatforms refuses a name that is no platform.
func (p *program) checkPlatforms() error {
	for _, name := range p.platforms {
		if _, ok := lock.LookupPlatform(name); !ok {
			return fault.Errorf(fault.Usage, fault.DidYouMean(name, lock.PlatformNames(), "they are "+strings.Join(lock.PlatformNames(), ", ")), "unknown platform %q", name)
		}
	}
	return nil
}
