package origin

import (
	"context"
	"errors"
	"io/fs"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

// npmOrigin is how registries of npm are reached.
type npmOrigin struct {
	config *npm.Config
	client *remote.Client
}

// npmOf returns what the user's own npm is configured with where the manifest
// lies, and the client for that.
func (o *Origins) npmOf(ctx context.Context, e *lock.Entry) (*npmOrigin, error) {
	return o.npm.get(func() (*npmOrigin, error) {
		config, err := npm.ReadConfig(ctx, o.Dir, func(ctx context.Context) (*npm.Client, error) { return o.NPM(ctx, e) })
		if err != nil {
			return nil, err
		}
		options, err := config.Options(o.Remote)
		if err != nil {
			return nil, err
		}
		return &npmOrigin{config, remote.New(options)}, nil
	})
}

// npmWay is the way to a tarball: at its conventional address, which needs no
// document, else where the registry says, for registries are free to name
// tarballs as they like.
func npmWay(ctx context.Context, o *Origins, e *lock.Entry, key, registry string) (*way, error) {
	f := e.Locked.Files[key]
	npm, err := o.npmOf(ctx, e)
	if err == nil && registry == "" {
		registry, err = npm.config.RegistryOf(ctx, f.Name, o.Registries.NPM)
	}
	if err != nil {
		return nil, err
	}
	return &way{
		client: npm.client, size: f.Size,
		credential: func(address string) remote.Credential { return npm.config.CredentialFor(address, registry) },
		addresses: func(try func(string) error) error {
			err := try(remote.NPMTarball(registry, f.Name, f.Version))
			if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			address, err := npm.client.NPMTarballURL(ctx, registry, f.Name, f.Version)
			if err != nil {
				return err
			}
			return try(address)
		},
	}, nil
}
