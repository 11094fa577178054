package origin

import (
	"context"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

// Crates downloads crates from one registry.
type Crates struct {
	gives  *cargo.Downloads
	client *remote.Client
}

// CratesBy returns the Crates for a registry, as its index describes it.
func (o *Origins) CratesBy(gives *cargo.Downloads) (*Crates, error) {
	client, err := o.Client().By(gives.Way)
	if err != nil {
		return nil, err
	}
	return &Crates{gives, client}, nil
}

// Crate downloads a crate.
func (c *Crates) Crate(ctx context.Context, crate cargo.Crate, in remote.Sink) error {
	return c.client.Download(ctx, cargo.URL(c.gives.Template, crate), in, remote.DownloadOptions{Credential: c.gives.Credential})
}

// cratesOf returns the Crates for the registry of a mirror or the manifest, or
// else the one that the user's cargo uses. cargo is asked only once.
func (o *Origins) cratesOf(ctx context.Context, e *lock.Entry, registry string) (*Crates, error) {
	if registry == "" {
		registry = o.Registries.Cargo
	}
	return o.crates.Do(registry, func() (*Crates, error) {
		tool, err := o.Clients.Cargo(ctx)
		if err != nil {
			return nil, fault.Errorf(fault.Of(err), "", "cargo is needed to find the crate registry: %w", err)
		}
		gives, err := tool.CrateDownloads(ctx, o.Dir, registry, e.Locked.Package, e.Version)
		if err != nil {
			return nil, err
		}
		return o.CratesBy(gives)
	})
}

// cargoWay returns the way to a crate, as its registry describes it.
func cargoWay(ctx context.Context, o *Origins, e *lock.Entry, key, registry string) (*way, error) {
	crates, err := o.cratesOf(ctx, e, registry)
	if err != nil {
		return nil, err
	}
	f := e.Locked.Files[key]
	address := cargo.URL(crates.gives.Template, cargo.Crate{Name: f.Name, Version: f.Version, SHA256: f.SHA256})
	return &way{client: crates.client, other: o.Client(), addresses: one(address), size: f.Size,
		credential: func(string) remote.Credential { return crates.gives.Credential }}, nil
}
