package session

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

// A Fetcher downloads locked files, from the mirrors of the manifest and from
// the sources. It is safe for concurrent use.
type Fetcher struct {
	*mirror.Tiers
	session *Session
}

// NewFetcher returns a Fetcher for a manifest and its lock. It shows downloads
// as part of a transfer. The caller must close it.
func NewFetcher(m *manifest.Manifest, l *lock.Lock, settings Settings, transfer *ui.Transfer) *Fetcher {
	s := New(m, l, settings)
	s.Asking = true
	s.transfer.Store(transfer)
	f := &Fetcher{session: s}
	f.Tiers = &mirror.Tiers{Mirrors: m.Mirrors, Dir: s.Dir, Offline: s.Offline, OCI: s.origins.OCI, Web: f.web, Warn: s.UI.Warn, Detail: s.UI.Detail}
	return f
}

// Add downloads a file into the store, if the store does not have it.
func (f *Fetcher) Add(ctx context.Context, e *lock.Entry, key string) error {
	return f.session.Store.AddProven(ctx, install.Proof(e, key), func(ctx context.Context, in *store.Ingest) error {
		return f.File(ctx, e, key, in)
	})
}

// Registries returns the client for a destination that a person names. [policy]
// does not apply to it, only to sources of plugins.
func (f *Fetcher) Registries() *oci.Client { return oci.New(f.session.origins.Client(), "") }

// Close ends what the sources started.
func (f *Fetcher) Close() { f.session.Close() }

// web downloads a file over HTTP, like fetch.
func (f *Fetcher) web(ctx context.Context, e *lock.Entry, key string, in *store.Ingest, m *manifest.Mirror) error {
	if file := e.Locked.Files[key]; m == nil {
		shown := f.session.Shown()
		shown.Grow(file.Size)
		defer shown.Step("downloading %s: %s (%s)", e, file.Label(key), ui.Size(file.Size))()
	}
	return f.session.origins.File(ctx, e, key, in, m)
}
