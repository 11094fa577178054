package main

import (
	"context"

	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/mirror"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// newTiers returns the places where files are looked for: the mirrors, then the
// origin.
func (a *app) newTiers() *mirror.Tiers {
	return &mirror.Tiers{
		Mirrors: a.mirrors, Dir: a.dir, Offline: a.opts.offline,
		OCI: func() *oci.Client { return a.origins().OCI() },
		Web: func(ctx context.Context, e *lock.Entry, key string, in *store.Ingest, m *manifest.Mirror) error {
			return a.origins().File(ctx, e, key, in, m)
		},
		Warn: a.ui.Warn, Detail: a.ui.Detail,
		Report: func(t mirror.Attempt) {
			tier := install.FromHTTP
			if t.OCI {
				tier = install.FromOCI
			}
			a.counts.add(install.Event{Tier: tier, Bytes: t.Bytes, Duration: t.Duration, Err: t.Err})
		},
	}
}

// download downloads one file from the first place that has it.
func (a *app) download(ctx context.Context, e *lock.Entry, key string, in *store.Ingest) error {
	// The lock may be malicious, or older than the rule.
	if err := a.policy.CheckFile(e.Locked.Source, e.Locked.Package, key, e.Locked.Files[key]); err != nil {
		return err
	}
	f := e.Locked.Files[key]
	arrived := a.transfer.Expect(ui.For(ctx, e.String()), f.Label(key), f.Size)
	if err := a.tiers().File(ctx, e, key, in); err != nil {
		return err
	}
	arrived(f.Size)
	return nil
}

// ready downloads the installed folder of an entry from a mirror.
func (a *app) ready(ctx context.Context, e *lock.Entry, served, dir string) error {
	return a.tiers().Tree(ctx, a.store, e, served, dir)
}

// local reports whether a file is in a folder among the mirrors.
func (a *app) local(ctx context.Context, e *lock.Entry, key string) bool {
	return a.tiers().Local(ctx, e, key)
}
