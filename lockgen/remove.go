package main

import (
	"context"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

var removeVerb = &cli.Verb[program]{
	Name: "remove", Args: "NAME[@VERSION]…", Short: "remove plugins",
	Long: `Removes plugins, or single versions, from plugins.toml and the lock.

With its last version, a plugin is also removed from the bundles and from
build-scripts of [policy]. Packages and repositories that only it needed are
removed from allow; scopes, owners and hosts stay. What ran or compiled it
(node, go, rust) is removed as well if no other plugin needs it and no bundle
names it. lockgen reports each of these.`,
	Example: `lockgen remove protoc-gen-ts
lockgen remove ts-proto@2.7.2`,
	JSON: true, Run: runRemove, Flags: dryRunFlag,
}

func runRemove(ctx context.Context, p *program, args []string) error {
	if len(args) == 0 {
		return fault.Errorf(fault.Usage, "write: lockgen remove NAME", "lockgen remove needs the name of a plugin")
	}
	r, err := p.changing(false)
	if err != nil {
		return err
	}
	return r.Remove(ctx, args)
}
