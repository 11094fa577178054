package origin

import (
	"context"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

// Crates downloads crates from a registry.
type Crates struct {
	gives  *cargo.Downloads
	client *remote.Client
}

// CratesBy is how a registry gives crates away by its own words.
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

// cratesOf asks, once, how a registry gives crates away: that of a mirror, the
// manifest's, or the one that the user's own cargo takes crates from.
func (o *Origins) cratesOf(ctx context.Context, e *lock.Entry, registry string) (*Crates, error) {
	if registry == "" {
		registry = o.Registries.Cargo
	}
	return o.crates.Do(registry, func() (*Crates, error) {
		tool, err := cargo.Find(ctx)
		if err != nil {
			return nil, fault.Errorf(fault.Of(err), "", "no cargo to ask for the registry of crates: %w", err)
		}
		gives, err := tool.CrateDownloads(ctx, o.Dir, registry, e.Locked.Package, e.Version)
		if err != nil {
			return nil, err
		}
		return o.CratesBy(gives)
	})
}

// cargoWay is the way to a crate: where the registry says that crates are.
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
