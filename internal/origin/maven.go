package origin

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/maven"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

// Maven has the Maven repositories to use.
type Maven struct {
	Repositories []maven.Repository // in the order to ask them, at least one
	Client       *remote.Client     // with their credentials and the proxy in the settings
}

// Maven returns the repository of plugins.toml, or else those of the user's
// mvn.
func (o *Origins) Maven() (*Maven, error) {
	return o.maven.Do("", func() (*Maven, error) {
		config, err := maven.ReadConfig()
		if err != nil {
			return nil, err
		}
		list, err := config.Repositories(o.Registries[lock.Maven])
		if err != nil {
			return nil, err
		}
		options := config.Options(o.Remote)
		others := options.Credential
		options.Credential = func(u *url.URL) remote.Credential {
			for _, r := range list {
				if r.Credential.Authorization != "" && strings.HasPrefix(u.String(), folder(r.URL)) {
					return r.Credential
				}
			}
			if others == nil {
				return remote.Credential{}
			}
			return others(u)
		}
		return &Maven{list, remote.New(options)}, nil
	})
}

// folder returns a URL with exactly one slash at the end.
func folder(address string) string { return strings.TrimSuffix(address, "/") + "/" }

// Addresses calls try with the URL of a path in each repository, until one has
// it. If none does, the error matches [fs.ErrNotExist] and is that of the last
// one.
func (m *Maven) Addresses(path string, try func(address string) error) error {
	var err error
	for _, r := range m.Repositories {
		if err = try(folder(r.URL) + path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// Document returns a file of a repository, with at most limit bytes.
func (m *Maven) Document(ctx context.Context, path string, limit int64) (body []byte, err error) {
	err = m.Addresses(path, func(address string) error {
		body, _, err = m.Client.Document(ctx, address, "*/*", limit)
		return err
	})
	return body, err
}

// mavenWay returns the way to a file of a repository. A mirror that is a
// repository is treated like any other server.
func mavenWay(_ context.Context, o *Origins, e *lock.Entry, key, registry string) (*way, error) {
	f := e.Locked.Files[key]
	c, ok := maven.ParseKey(f.Name, f.Version, key)
	if !ok {
		return nil, fault.Errorf(fault.Lock, "run: lockgen update", "%q is not a file of %s %s", key, f.Name, f.Version)
	}
	m := &Maven{[]maven.Repository{{URL: registry}}, o.Client()}
	if registry == "" {
		var err error
		if m, err = o.Maven(); err != nil {
			return nil, err
		}
	}
	return &way{
		client: m.Client, other: o.Client(), size: f.Size,
		addresses: func(try func(string) error) error {
			err := m.Addresses(c.Path(), try)
			if errors.Is(err, fs.ErrNotExist) && len(m.Repositories) > 1 {
				var places []string
				for _, r := range m.Repositories {
					places = append(places, redact.URL(r.URL))
				}
				return fault.Errorf(fault.Of(err), fault.Hint(err), "none of %s has it: %w", strings.Join(places, ", "), err)
			}
			return err
		},
	}, nil
}

func mavenConfigured(_ context.Context, o *Origins, _ []string) (map[string]string, *remote.Client, error) {
	m, err := o.Maven()
	if err != nil {
		return nil, nil, err
	}
	urls := map[string]string{}
	for _, r := range m.Repositories {
		urls[r.ID] = r.URL
	}
	return urls, m.Client, nil
}
