// Package session creates the sources of a run, each on first use and with the
// client program that it needs, and holds what they share.
package session

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/clients"
	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/input"
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
	"github.com/birbparty/buck2-protobuf/lockgen/provenance"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
	"github.com/birbparty/buck2-protobuf/lockgen/web"
)

// Settings control how sources are asked.
type Settings struct {
	Offline  bool                // refuse the network
	Now      time.Time           // for minimum-release-age; zero means the machine's clock
	Env      func(string) string // nil for the environment of the process: GITHUB_TOKEN
	Dir      string              // the manifest's folder, whose project configuration the package managers use
	Store    *store.Store
	Clients  *clients.Set // of this machine; sessions of one command share it
	UI       *ui.UI
	Timeouts remote.Timeouts // of requests; the zero value works
}

// A Session holds what the sources of one run share. It creates each source on
// first use, with the client program that it needs. It is safe for concurrent
// use once the fields are set. The caller must close it.
type Session struct {
	Settings
	Manifest *manifest.Manifest
	Old      *lock.Lock    // never nil
	Locked   Locked        // what is locked now; Old by default
	Needed   source.Needed // downloads what sources must read; required by sources that read artifacts
	Asking   bool          // only ask questions; install no client for them

	origins  *origin.Origins
	transfer atomic.Pointer[ui.Transfer]        // shows the run
	sources  once.Map[string, source.Source]    // by kind
	listers  once.Map[string, source.Source]    // by kind
	roots    once.Map[string, provenance.Roots] // by file
	oldFiles func() map[string]lock.File

	mu      sync.Mutex
	cleanup []func() // removes what sources left in the scratch folder
}

// Locked looks up what is locked. A [lock.Lock] implements it.
type Locked interface {
	// Entry returns nil for what is not locked.
	Entry(name, version string) *lock.Entry
	// Find returns the newest version of a plugin.
	Find(name string) (string, string, *lock.Version, error)
}

// New returns a session for a manifest and its lock, which may be nil.
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

// Close removes what sources left in the scratch folder of the store.
func (s *Session) Close() {
	for _, f := range s.cleanup {
		f()
	}
}

// Rules returns the rules of [policy] at the current time.
func (s *Session) Rules() plan.Rules { return plan.NewRules(&s.Manifest.Policy, s.Old, s.Now) }

// OldFile returns the file in the old lock with the identity of an artifact.
func (s *Session) OldFile(a *source.Artifact) (f lock.File, ok bool) {
	f, ok = s.oldFiles()[a.Identity]
	return f, ok
}

// filesOf returns all files of a lock, by the identity of their artifacts.
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

// Show shows the run until done is called, unless something shows it already.
// Call it before fetching several things at once.
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

// Shown returns what shows the run, or nil.
func (s *Session) Shown() *ui.Transfer { return s.transfer.Load() }

func (s *Session) progress(n int64) { s.Shown().Add(n) }

// Getenv reads the environment of the settings.
func (s *Session) Getenv(name string) string {
	if s.Env == nil {
		return os.Getenv(name)
	}
	return s.Env(name)
}

// Source returns the source for a kind, with the client program that it needs.
func (s *Session) Source(ctx context.Context, kind string) (source.Source, error) {
	return s.sources.Succeed(kind, func() (source.Source, error) { return s.newSource(ctx, kind) })
}

// Lister returns the source for a kind, to ask for versions. For npm it needs
// no npm, unless only npm knows the registry.
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

// Dated returns a list of versions, with times for those whose age matters to
// w. locked is the locked version, or "".
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
		return native.NewCargo(tool, s.origins, s.cooldown, s.Needed), nil
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

// Roots returns what signatures are verified with; nil if [policy] has nothing for that.
func (s *Session) Roots() (provenance.Roots, error) {
	name := s.Manifest.Policy.TrustedRoot
	if name == "" {
		return nil, nil
	}
	return s.roots.Do(name, func() (provenance.Roots, error) {
		text, err := input.File(filepath.Join(s.Dir, filepath.FromSlash(name)))
		if err != nil {
			return nil, fault.Errorf(fault.Usage, "make it: cosign trusted-root create --out "+name, "trusted-root of [policy] in %s: %w", s.Manifest.Name, err)
		}
		roots, err := provenance.ParseRoots(text)
		if err != nil {
			return nil, fault.Errorf(fault.Usage, "make it anew: cosign trusted-root create --out "+name, "%s, trusted-root of [policy] in %s: %w", name, s.Manifest.Name, err)
		}
		return roots, nil
	})
}

func (s *Session) ignores(name string) bool {
	return slices.Contains(s.Manifest.Policy.IgnoreScripts, name)
}

func (s *Session) cooldown(w *plan.Want) *cooldown.Rule { return s.Rules().Cooldown(w) }

// Download downloads a locked file for an installation, if the store no longer
// has it.
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
		return nil, fault.Errorf(fault.Usage, "write an entry by hand: [plugins.NAME] with version, source and binary; and for files by platform see: lockgen help troubleshooting", "lockgen cannot find out what %s contains", w.From)
	}
	list, err := p.Programs(ctx, w, on)
	slices.SortFunc(list, func(a, b source.Program) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// Tag returns the form of the tags in a GitHub repository, according to its
// newest release with a version in its tag; "" is the usual form.
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
