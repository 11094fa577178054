// Package origin downloads locked files from where they are published: from the
// registries in plugins.toml, or those that the user's own clients are
// configured with, using their URLs, credentials and proxies. It asks each
// client once. Both lockgen and fetch use it. There is one source file for each
// kind.
package origin

import (
	"context"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/clients"
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
	Dir        string // folder of the manifest, in which clients are asked
	Registries manifest.Registries
	Mirrors    []manifest.Mirror // their URLs are always allowed
	Policy     *manifest.Policy
	Remote     remote.Options // for all connections; settings of a client are added
	Store      *store.Store
	Clients    *clients.Set
	Detail     func(string, ...any)

	// NPM returns the npm to ask for the user's settings.
	NPM func(ctx context.Context, e *lock.Entry) (*npm.Client, error)
	// Go returns the locked Go, to be asked if this machine has none; nil to
	// use only the machine's.
	Go func(ctx context.Context, toolchain *lock.Entry) (*gotool.Client, error)
	// Rust is the same for the locked Rust.
	Rust func(ctx context.Context, toolchain *lock.Entry) (*cargo.Client, error)

	clients once.Map[string, *remote.Client] // for kinds restricted by allow, by kind; "" for all others
	oci     once.Map[string, *oci.Client]
	npm     once.Map[string, *NPM]
	pip     once.Map[string, *Pip]
	maven   once.Map[string, *Maven]
	golang  once.Map[bool, *goOrigin] // for modules, which the locked Go may download, and for Go itself
	crates  once.Map[string, *Crates] // by registry; "" for cargo's own
}

// Client returns the client for servers that are in no package manager's
// settings.
func (o *Origins) Client() *remote.Client {
	c, _ := o.clients.Do("", func() (*remote.Client, error) { return remote.New(o.Remote), nil })
	return c
}

// Hosts returns the client for files of a kind whose sources name hosts: it
// only connects to those that allow in [policy] permits, also after redirects.
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

// A way is how to download one file.
type way struct {
	client *remote.Client // for the registry
	// credential returns the credential for a URL; nil for none.
	credential func(address string) remote.Credential
	// other is the client for a mirror, which must not get the credentials of
	// the registry; nil if client and credential depend on the URL anyway.
	other *remote.Client
	// addresses calls try with the URLs of the file in order, until one
	// succeeds.
	addresses func(try func(address string) error) error
	size      int64 // 0 if other bytes may be valid too

	get func(in *store.Ingest) error // if set, downloads the file, and the fields above are not used
}

// An origin has what differs between kinds.
type origin struct {
	// way returns the way to a file. Registry is that of a mirror; "" for the configured
	// one.
	way func(ctx context.Context, o *Origins, e *lock.Entry, key, registry string) (*way, error)
	// configured is [Origins.Configured]; nil for a kind without registries.
	configured func(ctx context.Context, o *Origins, scopes []string) (map[string]string, *remote.Client, error)
}

var origins = map[string]origin{
	lock.HTTP:  {plainWay, nil},
	lock.NPM:   {npmWay, npmConfigured},
	lock.Pip:   {pipWay, pipConfigured},
	lock.Cargo: {cargoWay, cargoConfigured},
	lock.Go:    {goWay, goConfigured},
	lock.Maven: {mavenWay, mavenConfigured},
}

// Configured asks the client of an ecosystem kind for the URLs of its registries, by
// scope ("" for the default), and returns the client that downloads from them. If
// [Origins.Registries] has one for the kind, the URLs are not asked for.
func (o *Origins) Configured(ctx context.Context, kind string, scopes ...string) (map[string]string, *remote.Client, error) {
	return origins[kind].configured(ctx, o, scopes)
}

// File downloads one file over HTTP into a sink: from its origin or, if m is
// not nil, from that mirror; then the error may match [mirror.ErrNoFit]. The
// caller compares the bytes with the lock.
func (o *Origins) File(ctx context.Context, e *lock.Entry, key string, in *store.Ingest, m *manifest.Mirror) error {
	find := origins[e.Locked.Source].way
	if find == nil {
		return fault.Errorf(fault.Usage, "lock it again with this version of the programs: lockgen update", "%s: files of source %q cannot be downloaded", e, e.Locked.Source)
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
	case w.get != nil && rewritten: // such a client uses its own URLs
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

// one returns addresses for a single URL.
func one(address string) func(try func(string) error) error {
	return func(try func(string) error) error { return try(address) }
}
