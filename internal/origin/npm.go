package origin

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

// NPM accesses npm registries.
type NPM struct {
	Client *remote.Client // with npm's own settings
	config *npm.Config
	ours   string // registry of plugins.toml; "" for none
}

// NPMBy returns an NPM with the user's settings for the folder of the manifest.
// Find returns the npm to ask for its default registry.
func (o *Origins) NPMBy(ctx context.Context, find func(ctx context.Context) (*npm.Client, error)) (*NPM, error) {
	config, err := npm.ReadConfig(ctx, o.Dir, o.Clients.UserNPM, find)
	if err != nil {
		return nil, err
	}
	options, err := config.Options(o.Remote)
	if err != nil {
		return nil, err
	}
	return &NPM{remote.New(options), config, o.Registries[lock.NPM]}, nil
}

// Registry returns the registry of a package.
func (n *NPM) Registry(ctx context.Context, name string) (string, error) {
	return n.config.RegistryOf(ctx, name, n.ours)
}

// way returns the way to a tarball: its usual URL, which needs no document, or
// else the one in the registry's document, since registries may use other URLs.
func (n *NPM) way(ctx context.Context, registry, name, version string) *way {
	return &way{
		client:     n.Client,
		credential: func(address string) remote.Credential { return n.config.CredentialFor(address, registry) },
		addresses: func(try func(string) error) error {
			usual := remote.NPMTarball(registry, name, version)
			missing := try(usual)
			if !errors.Is(missing, fs.ErrNotExist) {
				return missing
			}
			address, err := n.Client.NPMTarballURL(ctx, registry, name, version)
			switch {
			case err != nil:
				return err
			case address == usual:
				return missing
			}
			return try(address)
		},
	}
}

// Tarball downloads the tarball of a package. It implements [npm.Registry].
func (n *NPM) Tarball(ctx context.Context, name, version string, in remote.Sink) error {
	registry, err := n.Registry(ctx, name)
	if err != nil {
		return err
	}
	w := n.way(ctx, registry, name, version)
	return w.addresses(func(address string) error {
		return n.Client.Download(ctx, address, in, remote.DownloadOptions{Credential: w.credential(address)})
	})
}

// Attestations returns what the registry has that is signed about a version of a
// package, up to limit bytes, and where it is. It is [fs.ErrNotExist] where there is
// nothing.
func (n *NPM) Attestations(ctx context.Context, name, version string, limit int64) (address string, body []byte, err error) {
	registry, err := n.Registry(ctx, name)
	if err != nil {
		return "", nil, err
	}
	address = strings.TrimSuffix(registry, "/") + "/-/npm/v1/attestations/" + strings.ReplaceAll(name, "/", "%2f") + "@" + version
	body, err = n.Client.Look(ctx, address, "application/json", limit, n.config.CredentialFor(address, registry))
	return address, body, err
}

func npmWay(ctx context.Context, o *Origins, e *lock.Entry, key, registry string) (*way, error) {
	n, err := o.npm.Do("", func() (*NPM, error) {
		return o.NPMBy(ctx, func(ctx context.Context) (*npm.Client, error) { return o.NPM(ctx, e) })
	})
	f := e.Locked.Files[key]
	if err == nil && registry == "" {
		registry, err = n.Registry(ctx, f.Name)
	}
	if err != nil {
		return nil, err
	}
	w := n.way(ctx, registry, f.Name, f.Version)
	w.size = f.Size
	return w, nil
}

func npmConfigured(ctx context.Context, o *Origins, scopes []string) (map[string]string, *remote.Client, error) {
	n, err := o.NPMBy(ctx, o.Clients.NPM)
	if err != nil {
		return nil, nil, err
	}
	if n.ours != "" {
		return nil, n.Client, nil
	}
	urls, err := n.config.Registries(ctx, scopes...)
	return urls, n.Client, err
}
