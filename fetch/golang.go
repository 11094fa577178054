package main

import (
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// A goClient is a Go that downloads as its user has configured it.
type goClient struct {
	tool   *gotool.Client
	config gotool.Config
}

// goClient returns the user's own Go. Where there is none the locked one, which
// is there before the modules that it compiles, knows the settings as well.
func (a *app) goClient(ctx context.Context, e *lock.Entry) (*goClient, error) {
	known := &a.goClients[0]
	if e.Toolchain != nil {
		known = &a.goClients[1]
	}
	return known.get(func() (*goClient, error) {
		tool, err := gotool.Find(ctx)
		if fault.Of(err) == fault.Machine && e.Toolchain != nil {
			tool, err = a.installer.Go(ctx, e.Toolchain)
		}
		if err != nil {
			return nil, fault.Errorf(fault.Of(err), `install Go, or add to plugins.toml: [registries] go = "https://…", a module proxy`,
				"no go to ask for the module proxy: %w", err)
		}
		config, err := tool.Config(ctx, "")
		return &goClient{tool, config}, err
	})
}

// downloadByGo lets Go download one file, with the proxies, tokens and checksum
// database of its user.
func (a *app) downloadByGo(ctx context.Context, e *lock.Entry, key string, in *store.Ingest) error {
	f := e.Locked.Files[key]
	if a.opts.offline {
		return fault.About(fault.AboutOffline, fault.Errorf(fault.Upstream, "run the same command once without --offline", "%s is needed and the network is not allowed (offline)", f.Label(key)))
	}
	client, err := a.goClient(ctx, e)
	if err != nil {
		return err
	}
	scratch, clean, err := a.store.Scratch(ctx, "go-download")
	if err != nil {
		return err
	}
	defer clean()
	_, transfer := a.net()
	get := client.tool.DownloadMod
	if strings.HasSuffix(key, ".zip") {
		get = client.tool.Download
	}
	start := time.Now()
	m, err := get(ctx, client.config, scratch, f.Name, f.Version)
	if err == nil || ctx.Err() == nil {
		e := install.Event{Tier: install.FromHTTP, Duration: time.Since(start), Err: err}
		if err == nil {
			e.Bytes = f.Size
		}
		a.counts.add(e)
	}
	if err != nil {
		return err
	}
	name := m.Zip
	if name == "" {
		name = m.Mod
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	n, err := io.Copy(in, file)
	transfer.Add(n)
	return err
}
