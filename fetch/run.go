package main

import (
	"context"
	"fmt"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

var runVerb = &cli.Verb[app]{
	Name: "run", Args: "NAME[@VERSION] [ARG…]", Short: "install a plugin if needed, then run it",
	Long: `Everything after the name is passed to the plugin, including --help and
--version. Flags of fetch come before the name, or between the name and a "--",
which is not passed. The plugin uses the standard streams of fetch, and fetch
ends with its exit status.`,
	Example: `fetch run protoc --version
fetch run --offline protoc -I. --java_out=gen api.proto
fetch run protoc -- --version`,
	Passes: true, Uses: installs, Run: runPlugin,
}

// exitStatus ends the program with the status of the plugin it ran.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// runPlugin installs a plugin if needed and becomes it.
func runPlugin(ctx context.Context, a *app, args []string) error {
	if len(args) == 0 {
		return fault.Errorf(fault.Usage, "", "run takes a plugin and the arguments for it")
	}
	p, err := a.locate(ctx, args[0])
	if err != nil {
		return err
	}
	a.close()
	a.store.Bequeath()
	return become(context.WithoutCancel(ctx), p.Path, args[1:]) // --timeout does not apply to it
}
