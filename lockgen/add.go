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
	Long: `Writes the version into plugins.toml, beside existing versions, and keeps
comments and order. Then it locks this plugin only; the first lock gets
everything that plugins.toml asks for. Without a version, it writes the newest
version that [policy] allows, as an exact version; it writes a range as it is.
If the plugin cannot be locked, plugins.toml stays unchanged.

A PLACE is where a plugin is published: npm:NAME, @SCOPE/NAME, pip:NAME,
cargo:NAME, go:PACKAGE, maven:GROUP:ARTIFACT, github:OWNER/REPO,
oci://HOST/REPO:TAG or the URL of a file. If the catalogue knows the place,
lockgen adds its plugin. Otherwise it asks the source for executables. If
exactly one is named protoc-gen-…, it becomes an entry with that name;
otherwise, choose one with --binary.

A URL is that of the file for one platform, as copied from a page, or a template
with {version}, {os} and {arch}. lockgen takes the version from the URL, unless
@VERSION follows it. It looks for the files of the other platforms beside it,
under the names that publishers usually give them.

If plugins.toml does not have what runs or compiles the plugin (node, go), that
is added as well. If there is no plugins.toml, here or above, lockgen creates
one in the working directory, with protoc, for the platforms of --platform or
else those of lockgen init.

A plugin must exist for all platforms of plugins.toml, unless its entry says
optional = true. --optional writes that. So does --platform if it leaves out a
platform; the plugin must then exist for those that it names.`,
	Example: `lockgen add ts-proto
lockgen add node@24.19.0 ts-proto@2.18.0
lockgen add npm:protoc-gen-acme
lockgen add https://example.com/protoc-gen-acme-1.2.3-linux-x86_64.tar.gz
lockgen add 'ts-proto@^2.7'    or "~2.7.1", ">=1 <3", "1.x", latest`,
	JSON: true, Run: runAdd,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.StringArrayVar(&p.platforms, "platform", nil, "a `PLATFORM` that the plugins must have; may be repeated")
		f.BoolVar(&p.optional, "optional", false, "a platform that cannot have them becomes unavailable")
		f.StringVar(&p.binary, "binary", "", "for a PLACE: the `NAME` of the executable")
		f.StringArrayVar(&p.trial, "option", nil, "for a PLACE: an option `NAME=VALUE` that the plugin needs to run; may be repeated")
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
	return r.Add(ctx, args, change.Adding{Platforms: p.platforms, Optional: p.optional, Binary: p.binary, Trial: p.trial, Fresh: edit.Head(platforms) + "[plugins]\n"})
}

// checkPlatforms refuses names that are not platforms.
func (p *program) checkPlatforms() error {
	for _, name := range p.platforms {
		if _, ok := lock.LookupPlatform(name); !ok {
			return fault.Errorf(fault.Usage, fault.DidYouMean(name, lock.PlatformNames(), "they are "+strings.Join(lock.PlatformNames(), ", ")), "unknown platform %q", name)
		}
	}
	return nil
}
