package origin

import (
	"context"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

// pipOrigin is how indexes of Python packages are reached.
type pipOrigin struct {
	index  string
	client *remote.Client
}

// pipOf returns the package index, the manifest's or else what the user's own pip
// is configured with, and the client for it. The pip also says how the manifest's
// is reached; where there is none, it is reached like every other server.
func (o *Origins) pipOf(ctx context.Context) (*pipOrigin, error) {
	return o.pip.get(func() (*pipOrigin, error) {
		tool, err := pip.Find(ctx)
		switch ours := o.Registries.Pip; {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && ours != "":
			o.Detail("no pip to ask how %s is reached: %v", redact.URL(ours), err)
			return &pipOrigin{ours, o.Client()}, nil
		case err != nil:
			return nil, fault.Errorf(fault.Of(err), `install pip, or add to plugins.toml: [registries] pip = "https://…"`,
				"no pip to ask for the package index: %w", err)
		}
		config, err := tool.Config(ctx, o.Dir, o.Registries.Pip)
		if err != nil {
			return nil, err
		}
		client, err := config.Client(o.Remote)
		return &pipOrigin{config.Index, client}, err
	})
}

// pipWay is the way to a wheel: where the index says. A mirror that is an index
// is reached like every other server.
func pipWay(ctx context.Context, o *Origins, e *lock.Entry, key, registry string) (*way, error) {
	pip := &pipOrigin{registry, o.Client()}
	if registry == "" {
		var err error
		if pip, err = o.pipOf(ctx); err != nil {
			return nil, err
		}
	}
	project, _ := e.Locked.PackageOf(key)
	address, err := pip.client.PyPIFile(ctx, pip.index, project, key)
	return &way{client: pip.client, other: o.Client(), addresses: one(address), size: e.Locked.Files[key].Size}, err
}
