package resolve

import (
	"context"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/mirror"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// A Bringer brings files that are locked, from the mirrors of the manifest and
// the sources. It is safe for concurrent use.
type Bringer struct {
	*mirror.Tiers
	u       *update
	sources sync.Mutex
}

// NewBringer prepares the sources of a manifest and its lock, o.Old. Downloads
// are shown as part of a transfer. The caller closes it.
func NewBringer(m *manifest.Manifest, o Options, transfer *ui.Transfer) *Bringer {
	u := newUpdate(m, o)
	u.asking, u.out.Lock = true, o.Old
	u.connect()
	u.transfer.Store(transfer)
	b := &Bringer{u: u}
	client := sync.OnceValue(func() *oci.Client { return oci.New(u.hostClient(lock.OCI), "") })
	b.Tiers = &mirror.Tiers{Mirrors: m.Mirrors, Dir: o.Dir, Offline: o.Offline, OCI: client, Web: b.web, Warn: o.UI.Warn, Detail: o.UI.Detail}
	return b
}

// Add brings a file into the store, where that lacks it.
func (b *Bringer) Add(ctx context.Context, e *lock.Entry, key string) error {
	return b.u.Store.AddProven(ctx, install.Proof(e, key), func(ctx context.Context, in *store.Ingest) error {
		return b.File(ctx, e, key, in)
	})
}

// Registries is the client for the place that a person names: [policy] is about
// where plugins come from.
func (b *Bringer) Registries() *oci.Client { return oci.New(b.u.client, "") }

// Close ends what the sources began.
func (b *Bringer) Close() {
	for _, f := range b.u.cleanup {
		f()
	}
}

// web brings a file by its source, which looks at the mirrors for addresses
// itself, as it does when it locks.
func (b *Bringer) web(ctx context.Context, e *lock.Entry, key string, in *store.Ingest, m *manifest.Mirror) error {
	if m != nil {
		return mirror.ErrNoFit
	}
	a, err := b.artifact(ctx, e, key)
	if err != nil {
		return err
	}
	b.u.transfer.Load().Download(a.Label, e.Locked.Files[key].Size)
	return a.get(ctx, in)
}

func (b *Bringer) artifact(ctx context.Context, e *lock.Entry, key string) (*Artifact, error) {
	b.sources.Lock()
	defer b.sources.Unlock()
	source, err := b.u.source(ctx, e.Locked.Source)
	if err != nil {
		return nil, err
	}
	w := &Want{Name: e.Name, Version: e.Version, From: manifest.Source{Kind: e.Locked.Source, Name: e.Locked.Package}}
	return source.Locked(w, key, e.Locked.Files[key])
}
