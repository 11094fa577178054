package origin

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/redact"
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

// CrateDownloads asks a registry how it gives its files away, "" for that of the
// user's cargo. To find out, it requests a crate, which may be any that the registry
// has.
func (o *Origins) CrateDownloads(ctx context.Context, tool *cargo.Client, registry, name, version string) (*cargo.Downloads, error) {
	index, err := tool.Index(o.Dir, registry)
	if err != nil {
		return nil, err
	}
	defer index.Close()
	if _, err := index.Crate(ctx, name, version); err != nil {
		return nil, o.WhyNoCrate(ctx, index, name, err)
	}
	return index.Downloads()
}

// maxCratePage bounds what an index has of one crate, in bytes.
const maxCratePage = 32 << 20

// WhyNoCrate looks at what an index answers when cargo says in err that it has no
// such crate, since cargo says so of much else. It returns err where there is none,
// and otherwise the true cause.
func (o *Origins) WhyNoCrate(ctx context.Context, index *cargo.Index, name string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	address, gives, settings := index.Page(name)
	if settings != nil {
		return err // of an index that cannot be asked cargo's word is all there is
	}
	crates, settings := o.CratesBy(gives)
	if settings != nil {
		return settings
	}
	where := redact.URL(address)
	body, answer := crates.client.Look(ctx, address, "text/plain", maxCratePage, gives.Credential)
	switch {
	case answer == nil && len(bytes.TrimSpace(body)) == 0:
		return fault.Errorf(fault.Upstream, askOperator, "%s: the server answered with nothing, which cargo takes for an index without crate %s", where, name)
	case answer == nil && !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")):
		return fault.Errorf(fault.Upstream, askOperator, "%s: what the server answered is not the entry of a crate in an index, which cargo takes for an index without crate %s", where, name)
	case answer == nil:
		return err
	case remote.Answered(answer, http.StatusNotFound), fault.Of(answer) == fault.Usage:
		return err
	}
	return answer
}

const askOperator = "open the address in a browser, and check the proxy; if it is right, ask the operator of the registry"

// cratesOf returns the Crates for the registry of a mirror or the manifest, or
// else the one that the user's cargo uses. cargo is asked only once: the user's, or the
// locked one, which reads the same settings, where there is none.
func (o *Origins) cratesOf(ctx context.Context, e *lock.Entry, registry string) (*Crates, error) {
	if registry == "" {
		registry = o.Registries[lock.Cargo]
	}
	return o.crates.Do(registry, func() (*Crates, error) {
		tool, err := o.Clients.Cargo(ctx)
		if fault.Of(err) == fault.Machine && e.Toolchain != nil && o.Rust != nil {
			tool, err = o.Rust(ctx, e.Toolchain)
		}
		if err != nil {
			return nil, fault.Errorf(fault.Of(err), "", "cargo is needed to find the crate registry: %w", err)
		}
		gives, err := o.CrateDownloads(ctx, tool, registry, e.Locked.Package, e.Version)
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

func cargoConfigured(_ context.Context, o *Origins, _ []string) (map[string]string, *remote.Client, error) {
	index, way, err := cargo.Way(o.Dir, o.Registries[lock.Cargo])
	if err != nil {
		return nil, nil, err
	}
	client, err := o.Client().By(way)
	if index == "" || err != nil {
		return nil, nil, err
	}
	return map[string]string{"": index}, client, nil
}
