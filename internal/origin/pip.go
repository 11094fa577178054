package origin

import (
	"cmp"
	"context"
	"os"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// Pip accesses a Python package index.
type Pip struct {
	Index  string
	Client *remote.Client
}

// PipBy asks a pip for the index, which is that of the manifest or the one that
// the user has configured for the folder of the manifest, and how to reach it.
func (o *Origins) PipBy(ctx context.Context, tool *pip.Client) (*Pip, error) {
	config, err := o.Clients.PipConfig(ctx, tool, o.Dir, o.Registries[lock.Pip])
	if err != nil {
		return nil, err
	}
	client, err := config.Client(o.Remote)
	return &Pip{config.Index, client}, err
}

// Address returns the URL of a wheel in the index.
func (p *Pip) Address(ctx context.Context, file string) (string, error) {
	project, _ := lock.KindOf(lock.Pip).PackageOf(file, lock.File{})
	return p.Client.PyPIFile(ctx, p.Index, project, file)
}

// pipOf returns the index, that of the manifest or else the one that the user's
// pip is configured with, and the client for it. pip also knows how to reach
// the index of the manifest; without pip, it is reached like any other server.
// pip is not started if the URL is known and no pip is configured.
func (o *Origins) pipOf(ctx context.Context) (*Pip, error) {
	return o.pip.Do("", func() (*Pip, error) {
		if known := cmp.Or(o.Registries[lock.Pip], os.Getenv("PIP_INDEX_URL")); syntax.CheckURL(known) == nil && pip.Unset() {
			client, err := o.Client().By(remote.Way{Client: "pip"})
			return &Pip{known, client}, err
		}
		tool, err := o.Clients.Pip(ctx)
		switch ours := o.Registries[lock.Pip]; {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && ours != "":
			o.Detail("no pip is available to say how to reach %s: %v", redact.URL(ours), err)
			return &Pip{ours, o.Client()}, nil
		case err != nil:
			return nil, fault.Errorf(fault.Of(err), `install pip, or add to plugins.toml: [registries] pip = "https://…"`,
				"pip is needed to find the package index: %w", err)
		}
		return o.PipBy(ctx, tool)
	})
}

// pipWay returns the way to a wheel, as the index says. A mirror that is an
// index is treated like any other server.
func pipWay(ctx context.Context, o *Origins, e *lock.Entry, key, registry string) (*way, error) {
	pip := &Pip{registry, o.Client()}
	if registry == "" {
		var err error
		if pip, err = o.pipOf(ctx); err != nil {
			return nil, err
		}
	}
	address, err := pip.Address(ctx, key)
	return &way{client: pip.Client, other: o.Client(), addresses: one(address), size: e.Locked.Files[key].Size}, err
}

func pipConfigured(ctx context.Context, o *Origins, _ []string) (map[string]string, *remote.Client, error) {
	tool, err := o.Clients.Pip(ctx)
	if err != nil {
		return nil, nil, err
	}
	p, err := o.PipBy(ctx, tool)
	if err != nil {
		return nil, nil, err
	}
	return map[string]string{"": p.Index}, p.Client, nil
}
