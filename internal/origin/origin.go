// Package origin downloads locked files from where they are published: the
// registries in plugins.toml, or those that the user's own clients are
// configured with, with their addresses, credentials and proxies. Each client
// is asked once. Both lockgen and fetch download with it. There is one source
// file per kind.
package origin

import (
	"context"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/mirror"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// Origins downloads the files of one manifest during one run. It is safe for
// concurrent use.
type Origins struct {
	Dir        string // where the manifest lies: clients are asked there
	Registries manifest.Registries
	Mirrors    []manifest.Mirror // an address of theirs is allowed by being there
	Policy     *manifest.Policy
	Remote     remote.Options // of every connection; what a client says is added
	Store      *store.Store
	Detail     func(string, ...any)

	// NPM returns the npm that is asked for the settings of its user.
	NPM func(ctx context.Context, e *lock.Entry) (*npm.Client, error)
	// Go returns the locked Go, which is asked where this machine has none; nil for
	// only this machine's.
	Go func(ctx context.Context, toolchain *lock.Entry) (*gotool.Client, error)

	clients once.Map[string, *remote.Client] // by the kind that names hosts, "" for all others
	oci     once.Map[string, *oci.Client]
	npm     once.Map[string, *NPM]
	pip     once.Map[string, *Pip]
	maven   once.Map[string, *Maven]
	golang  once.Map[bool, *goOrigin] // for modules, which the locked Go may download, and for Go itself
	crates  once.Map[string, *Crates] // by registry, "" for cargo's own
}

// Client returns the client for servers that no package manager has settings
// for.
func (o *Origins) Client() *remote.Client {
	c, _ := o.clients.Do("", func() (*remote.Client, error) { return remote.New(o.Remote), nil })
	return c
}

// Hosts is the client for files of a kind that names hosts: it goes only where
// allow of [policy] lets it, through redirects too.
func (o *Origins) Hosts(kind string) *remote.Client {
	if o.Policy.Allow == nil {
		return o.Client()
	}
	c, _ := o.clients.Do(kind, func() (*remote.Client, error) {
		options := o.Remote
		options.Allow = o.Policy.CheckRedirect(kind, o.Mirrors)
		return remote.New(options), nil
	})
	return c
}

// OCI returns the client for OCI registries.
func (o *Origins) OCI() *oci.Client {
	c, _ := o.oci.Do("", func() (*oci.Client, error) { return oci.New(o.Hosts(lock.OCI), ""), nil })
	return c
}

// A way is how one file is had.
type way struct {
	client *remote.Client // of the registry
	// credential is what an address is asked with; nil for nothing.
	credential func(address string) remote.Credential
	// other is the client for a mirror, which is another server and gets no
	// credential; nil where client and credential depend on the address anyway.
	other *remote.Client
	// addresses tries the addresses of the file in order, until one serves it.
	addresses func(try func(address string) error) error
	size      int64 // 0 where other bytes may be right as well

	get func(in *store.Ingest) error // instead of all these: a client that downloads itself
}

// ways finds the way to a file, by kind. Registry is that of a mirror, "" for the
// configured one.
var ways = map[string]func(ctx context.Context, o *Origins, e *lock.Entry, key, registry string) (*way, error){
	lock.HTTP: plainWay, lock.NPM: npmWay, lock.Pip: pipWay, lock.Cargo: cargoWay, lock.Go: goWay, lock.Maven: mavenWay,
}

// File brings one file over HTTP into a sink: from its origin, or where m is not
// nil by that mirror, which may match [mirror.ErrNoFit]. The caller compares the
// bytes with the lock.
func (o *Origins) File(ctx context.Context, e *lock.Entry, key string, in *store.Ingest, m *manifest.Mirror) error {
	find := ways[e.Locked.Source]
	if find == nil {
		return fault.Errorf(fault.Usage, "lock it anew with this version of the programs: lockgen update", "%s: files of source %q cannot be fetched", e, e.Locked.Source)
	}
	registry := ""
	if m != nil && m.Registry() {
		registry = m.To
	}
	w, err := find(ctx, o, e, key, registry)
	if err != nil {
		return err
	}
	rewritten := m != nil && registry == ""
	switch {
	case w.get != nil && rewritten: // it asks at addresses of its own
		return mirror.ErrNoFit
	case w.get != nil:
		return w.get(in)
	}
	return w.addresses(func(address string) error {
		client, credential, options := w.client, w.credential, remote.DownloadOptions{Size: w.size}
		if rewritten {
			if w.other != nil {
				client, credential = w.other, nil
			}
			var fits bool
			if address, fits = m.Rewrite(address); !fits {
				return mirror.ErrNoFit
			}
		}
		if in.Offset() > 0 {
			if err := in.Reset(); err != nil {
				return err
			}
		}
		if credential != nil {
			options.Credential = credential(address)
		}
		return client.Download(ctx, address, in, options)
	})
}

// one is the only address of a file.
func one(address string) func(try func(string) error) error {
	return func(try func(string) error) error { return try(address) }
}
