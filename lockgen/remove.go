package main

import (
	"context"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

var removeVerb = &cli.Verb[program]{
	Name: "remove", Args: "NAME[@VERSION]…", Short: "ask for plugins no more",
	Long: `Takes the plugins, or single versions, out of plugins.toml and of the lock.`,
	Example: `lockgen remove protoc-gen-ts
lockgen remove ts-proto@2.7.2`,
	JSON: true, Run: runRemove,
}

func runRemove(ctx context.Context, p *program, args []string) error {
	if len(args) == 0 {
		return fault.Errorf(fault.Usage, "write: lockgen remove NAME", "lockgen remove needs the name of a plugin")
	}
	return p.change(ctx, change{removed: args, edit: func(_ context.Context, _ *change, data []byte, _ resolve.Options) ([]byte, error) {
		for _, spec := range args {
			name, version, exact := strings.Cut(spec, "@")
			if exact && version == "" {
				return nil, fault.Errorf(fault.Usage, "write: lockgen remove "+name, "%q has no version behind the @", spec)
			}
			var err error
			if data, err = manifest.RemoveVersion(p.manifest, data, name, version); err != nil {
				return nil, err
			}
		}
		return data, nil
	}})
}
