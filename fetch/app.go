package main

import (
	"os"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/mirror"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// app is one run of fetch.
type app struct {
	ui   *ui.UI
	env  func(string) string
	opts options

	dir        string              // where the manifest lies: clients are asked there
	registries manifest.Registries // of the manifest
	mirrors    []manifest.Mirror   // likewise, behind --from
	bundles    map[string][]string
	loginShell string          // the name of the user's shell
	policy     manifest.Policy // likewise; what may be downloaded

	store     *store.Store
	host      lock.Platform
	installer *install.Installer
	counts    counts

	netOnce  sync.Once
	client   *remote.Client
	hosts    *remote.Client // for files by URL: it goes only where [policy] allows
	transfer *ui.Transfer
	oci      once[*oci.Client]
	tiers    once[*mirror.Tiers]

	cratesMu sync.Mutex
	crates   map[string]*crates // by registry, "" for cargo's own

	npmOrigin memo[*npmOrigin]
	pipOrigin memo[*pipOrigin]
	goClients [2]memo[*goClient] // for Go itself, and for modules, which the locked Go may download
}

// open prepares what every command needs.
func (a *app) open() error {
	host, err := hostPlatform()
	if err != nil {
		return err
	}
	a.host = host
	if a.store, err = store.Open(a.opts.cacheDir); err != nil {
		return err
	}
	a.installer = &install.Installer{
		Store: a.store, Host: host, Download: a.download, Ready: a.ready, Local: a.local,
		Observe: a.counts.add,
		Offline: a.opts.offline, NodeManager: a.opts.nodeManager, WheelManager: a.opts.wheelManager, NoManagers: a.opts.noManagers,
		Python: a.opts.python,
	}
	if a.ui != nil {
		a.installer.Detail = a.ui.Detail
	}
	return nil
}

// net prepares the connections, once.
func (a *app) net() (*remote.Client, *ui.Transfer) {
	a.netOnce.Do(func() {
		a.transfer = a.ui.Transfer()
		a.client = remote.New(a.netOptions(""))
		a.hosts = a.client
		if a.policy.Allow != nil {
			a.hosts = remote.New(a.netOptions(lock.HTTP))
		}
	})
	return a.client, a.transfer
}

// netOptions are those of connections for files of a source kind that names
// hosts, to where [policy] allows, or of others for "".
func (a *app) netOptions(kind string) remote.Options {
	o := remote.Options{
		Offline:    a.opts.offline,
		UserAgent:  "buck2-protobuf-fetch",
		Progress:   func(_ string, delta int64) { a.transfer.Add(delta) },
		Credential: remote.Netrc(os.Getenv),
	}
	if kind != "" {
		o.Allow = a.policy.CheckHop(kind, a.mirrors)
	}
	return o
}

// registry is the client of registries of OCI, made when it is asked for.
func (a *app) registry() *oci.Client {
	return a.oci.get(func() *oci.Client {
		client, _ := a.net()
		if a.policy.Allow != nil {
			client = remote.New(a.netOptions(lock.OCI))
		}
		return oci.New(client, "")
	})
}

// close ends what the run began.
func (a *app) close() {
	if a.store != nil {
		a.counts.save(a.store, a.ui)
	}
	if a.transfer != nil {
		a.transfer.Done()
	}
}

// once makes a value when it is first asked for.
type once[T any] struct {
	once sync.Once
	v    T
}

func (o *once[T]) get(f func() T) T {
	o.once.Do(func() { o.v = f() })
	return o.v
}

// memo computes a value once, for all goroutines.
type memo[T any] struct {
	once sync.Once
	v    T
	err  error
}

func (m *memo[T]) get(f func() (T, error)) (T, error) {
	m.once.Do(func() { m.v, m.err = f() })
	return m.v, m.err
}
