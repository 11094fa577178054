package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/pkgmgr"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// parallelDownloads bounds the connections of one run.
const parallelDownloads = 8

func digest(f lock.File) store.Digest { return store.Digest{SHA256: f.SHA256, Size: f.Size} }

// need brings the bytes of an entry's files into the cache, those that are not
// there yet, several at a time.
func (a *app) need(ctx context.Context, e *lock.Entry, keys []string) error {
	var missing []string
	for _, key := range keys {
		if !a.store.HasBlob(digest(e.Locked.Files[key])) {
			missing = append(missing, key)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelDownloads)
	for _, key := range missing {
		g.Go(func() error { return a.download(ctx, e, key) })
	}
	return g.Wait()
}

// blob opens the verified bytes of one file in the cache. A copy that was
// damaged is fetched again.
func (a *app) blob(ctx context.Context, e *lock.Entry, key string) (*os.File, error) {
	d := digest(e.Locked.Files[key])
	f, err := a.store.Blob(ctx, d)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	a.ui.Detail("%s is not, or no longer, good in the cache; fetching it again", key)
	if err := a.need(ctx, e, []string{key}); err != nil {
		return nil, err
	}
	return a.store.Blob(ctx, d)
}

// download brings one file into the cache: from where --file says it is, else
// from its origin.
func (a *app) download(ctx context.Context, e *lock.Entry, key string) error {
	f := e.Locked.Files[key]
	err := a.store.AddBlob(ctx, digest(f), func(ctx context.Context, in *store.Ingest) error {
		if name := a.given[key]; name != "" {
			return copyFile(in, name)
		}
		client, transfer := a.net()
		addresses, err := a.addresses(ctx, client, e, key)
		if err != nil {
			return err
		}
		transfer.Expect(label(key, f), f.Size)
		return addresses(func(url string) error {
			if in.Offset() > 0 {
				if err := in.Reset(); err != nil {
					return err
				}
			}
			return client.Download(ctx, url, in, remote.DownloadOptions{Size: f.Size})
		})
	})
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// label names a file for people: NAME@VERSION, or the name of the file.
func label(key string, f lock.File) string {
	if f.Name != "" {
		return f.Name + "@" + f.Version
	}
	return path.Base(key)
}

// copyFile takes the bytes of a file that is on this machine already.
func copyFile(in io.Writer, name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(in, f)
	return err
}

// addresses finds out where a file is served. The function that it returns
// tries the addresses in order until one serves the file.
func (a *app) addresses(ctx context.Context, client *remote.Client, e *lock.Entry, key string) (func(try func(url string) error) error, error) {
	f := e.Locked.Files[key]
	switch e.Locked.Source {
	case lock.HTTP:
		return func(try func(string) error) error { return try(lock.Rewrite(a.mirrors, f.URL)) }, nil
	case lock.NPM:
		registry, err := a.npmRegistry(ctx, e, f.Name)
		if err != nil {
			return nil, err
		}
		return func(try func(string) error) error {
			err := try(remote.NPMTarball(registry, f.Name, f.Version))
			if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			// Registries are free to name tarballs as they like.
			url, lookup := client.NPMTarballURL(ctx, registry, f.Name, f.Version)
			if lookup != nil {
				return lookup
			}
			return try(url)
		}, nil
	case lock.Pip:
		index, err := a.indexOfWheels(ctx)
		if err != nil {
			return nil, err
		}
		url, err := client.PyPIFile(ctx, index, wheelProject(key), key)
		if err != nil {
			return nil, err
		}
		return func(try func(string) error) error { return try(url) }, nil
	}
	return nil, fault.Errorf(fault.Usage, "", "%s: files of source %q cannot be fetched", e, e.Locked.Source)
}

// npmRegistry returns the registry of a package: the manifest's, else what the
// user's own npm is configured with for its scope.
func (a *app) npmRegistry(ctx context.Context, e *lock.Entry, name string) (string, error) {
	if a.registries.NPM != "" {
		return a.registries.NPM, nil
	}
	// npm starts slowly, so it is asked once for all packages of the entry.
	registries, err := a.npmConfig.get(func() (map[string]string, error) {
		npm, err := pkgmgr.FindNPM(ctx)
		if fault.Of(err) == fault.Machine {
			npm, err = a.findNPM(ctx, e)
		}
		if err != nil {
			mend := `install npm, or add to plugins.toml: [registries] npm = "https://…"`
			if e.Runtime != nil {
				mend = "" // the locked npm would do, so what it lacks is the cause
			}
			return nil, fault.Errorf(fault.Of(err), mend, "no npm to ask for the registry: %w", err)
		}
		var scopes []string
		for _, f := range e.Locked.Files {
			if s := scope(f.Name); s != "" && !slices.Contains(scopes, s) {
				scopes = append(scopes, s)
			}
		}
		return npm.Registries(ctx, a.dir, scopes...)
	})
	if err != nil {
		return "", err
	}
	return registries[scope(name)], nil
}

// scope returns the scope of a package of npm, "" where it has none.
func scope(name string) string {
	if s, _, ok := strings.Cut(name, "/"); ok && strings.HasPrefix(s, "@") {
		return s
	}
	return ""
}

// indexOfWheels returns the package index: the manifest's, else what the user's
// own pip is configured with.
func (a *app) indexOfWheels(ctx context.Context) (string, error) {
	if a.registries.Pip != "" {
		return a.registries.Pip, nil
	}
	return a.wheelIndex.get(func() (string, error) {
		pip, err := pkgmgr.FindPip(ctx)
		if err != nil {
			return "", fault.Errorf(fault.Of(err), `install pip, or add to plugins.toml: [registries] pip = "https://…"`,
				"no pip to ask for the package index: %w", err)
		}
		return pip.Index(ctx, a.dir)
	})
}

// wheelProject returns the normalised project name of a wheel's file name,
// which begins with it (PEP 427, PEP 503).
func wheelProject(filename string) string {
	name, _, _ := strings.Cut(filename, "-")
	return strings.Join(strings.FieldsFunc(strings.ToLower(name), func(r rune) bool {
		return r == '-' || r == '_' || r == '.'
	}), "-")
}
