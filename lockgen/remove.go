package main

import (
	"context"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

var removeVerb = &cli.Verb[program]{
	Name: "remove", Args: "NAME[@VERSION]…", Short: "remove plugins",
	Long: `Takes the plugins, or single versions, out of plugins.toml and of the lock.

With its last version a plugin goes out of the bundles and the build-scripts of
[policy] that name it, and out of allow go the packages and repositories that
only it needed; scopes, owners and hosts stay there. What ran or compiled it
(node, go) and is needed by no other plugin goes as well, unless a bundle names
it. Each of these is said.`,
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
