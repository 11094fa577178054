package origin

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// A goOrigin is a Go that downloads with the user's settings.
type goOrigin struct {
	tool   *gotool.Client
	config gotool.Config
}

// goOf returns the user's Go. If there is none, it returns the locked Go, which
// reads the same settings and is installed before the modules that it compiles.
func (o *Origins) goOf(ctx context.Context, e *lock.Entry) (*goOrigin, error) {
	return o.golang.Do(e.Toolchain != nil, func() (*goOrigin, error) {
		tool, err := o.Clients.Go(ctx)
		if fault.Of(err) == fault.Machine && e.Toolchain != nil && o.Go != nil {
			tool, err = o.Go(ctx, e.Toolchain)
		}
		if err != nil {
			return nil, fault.Errorf(fault.Of(err), `install Go, or add to plugins.toml: [registries] go = "https://…", a module proxy`,
				"go is needed to find the module proxy: %w", err)
		}
		config, err := o.Clients.GoConfig(ctx, tool, "")
		return &goOrigin{tool, config}, err
	})
}

// goWay returns the way to a module: from the proxy of a mirror or the
// manifest, or else with Go. A proxy may compress a module differently, so its
// reader compares the hash of the files.
func goWay(ctx context.Context, o *Origins, e *lock.Entry, key, registry string) (*way, error) {
	if registry == "" {
		registry = o.Registries[lock.Go]
	}
	if registry == "" {
		return &way{get: func(in *store.Ingest) error { return o.downloadByGo(ctx, e, key, in) }}, nil
	}
	return &way{client: o.Client(), addresses: one(remote.GoModule(registry, key))}, nil
}

// downloadByGo has Go download one file, with the user's proxies, tokens and
// checksum database.
func (o *Origins) downloadByGo(ctx context.Context, e *lock.Entry, key string, in *store.Ingest) error {
	f := e.Locked.Files[key]
	if o.Remote.Offline {
		return fault.About(fault.AboutOffline, fault.Errorf(fault.Upstream, "run the same command once without --offline", "%s is needed, but the network is not allowed (offline)", f.Label(key)))
	}
	client, err := o.goOf(ctx, e)
	if err != nil {
		return err
	}
	scratch, clean, err := o.Store.Scratch(ctx, "go-download")
	if err != nil {
		return err
	}
	defer clean()
	get := client.tool.DownloadMod
	if strings.HasSuffix(key, ".zip") {
		get = client.tool.Download
	}
	m, err := get(ctx, client.config, scratch, f.Name, f.Version)
	if err != nil {
		return err
	}
	name, suffix := m.Zip, "zip"
	if name == "" {
		name, suffix = m.Mod, "mod"
	}
	in.From(client.config.Place(f.Name, f.Version, suffix))
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	n, err := io.Copy(in, file)
	if o.Remote.Progress != nil {
		o.Remote.Progress("", n)
	}
	return err
}

func goConfigured(ctx context.Context, o *Origins, _ []string) (map[string]string, *remote.Client, error) {
	options := o.Remote
	options.Authority = fault.Authority("go")
	if o.Registries[lock.Go] != "" {
		return nil, remote.New(options), nil
	}
	tool, err := o.Clients.Go(ctx)
	if err != nil {
		return nil, nil, err
	}
	config, err := o.Clients.GoConfig(ctx, tool, "")
	return map[string]string{"": config.Proxy}, remote.New(options), err
}
