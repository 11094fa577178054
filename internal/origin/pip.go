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
)

// Pip reaches an index of Python packages.
type Pip struct {
	Index  string
	Client *remote.Client
}

// PipBy asks a pip for the index, the manifest's or else what its user has
// configured where the manifest lies, and for the way there.
func (o *Origins) PipBy(ctx context.Context, tool *pip.Client) (*Pip, error) {
	config, err := tool.Config(ctx, o.Dir, o.Registries.Pip)
	if err != nil {
		return nil, err
	}
	client, err := config.Client(o.Remote)
	return &Pip{config.Index, client}, err
}

// Address returns the address of a wheel in the index.
func (p *Pip) Address(ctx context.Context, file string) (string, error) {
	project, _ := lock.KindOf(lock.Pip).PackageOf(file, lock.File{})
	return p.Client.PyPIFile(ctx, p.Index, project, file)
}

// pipOf returns the package index, the manifest's or else what the user's own pip
// is configured with, and the client for it. The pip also says how the manifest's
// is reached; where there is none, it is reached like every other server. No pip is
// started where the address is known and no pip could say more.
func (o *Origins) pipOf(ctx context.Context) (*Pip, error) {
	return o.pip.Do("", func() (*Pip, error) {
		if known := cmp.Or(o.Registries.Pip, os.Getenv("PIP_INDEX_URL")); lock.CheckURL(known) == nil && pip.Unset() {
			client, err := o.Client().By(remote.Way{Client: "pip"})
			return &Pip{known, client}, err
		}
		tool, err := pip.Find(ctx)
		switch ours := o.Registries.Pip; {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && ours != "":
			o.Detail("no pip to ask how %s is reached: %v", redact.URL(ours), err)
			return &Pip{ours, o.Client()}, nil
		case err != nil:
			return nil, fault.Errorf(fault.Of(err), `install pip, or add to plugins.toml: [registries] pip = "https://…"`,
				"no pip to ask for the package index: %w", err)
		}
		return o.PipBy(ctx, tool)
	})
}

// pipWay is the way to a wheel: where the index says. A mirror that is an index
// is reached like every other server.
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
