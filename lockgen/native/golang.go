package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/module"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/clients"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/executable"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/queue"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// goSource locks plugins that are published as Go source, and Go itself. The user's
// own go knows where modules come from. The locked go finds the closure and
// compiles, so that every machine gets the same bytes.
type goSource struct {
	GoSettings
	building *queue.Queue // compilations
	runtimeFolders

	mu        sync.Mutex
	compilers map[string]*gotool.Client // by NAME@VERSION
	builds    map[string]*queue.Queue   // by platform, one at a time: they share the standard library
	counts    map[string]*platformCount // by NAME VERSION

	together once.Map[string, *goLibraries]
}

// GoSettings are the parameters of [NewGo].
type GoSettings struct {
	Clients  *clients.Set
	Tool     *gotool.Client // of this machine
	Client   *remote.Client
	Config   gotool.Config
	Store    *store.Store
	Scratch  string                                     // removed when the update is over
	Progress func(n int64)                              // of downloads
	Shown    func() *ui.Transfer                        // nil for nothing
	Old      func(a *source.Artifact) (lock.File, bool) // of the old lock
	Entry    func(name, version string) *lock.Entry     // locked by now: the toolchains
	Needed   source.Needed
	Now      time.Time
	Believed bool // [policy] lets the times of authors count
	Ages     bool // [policy] says how old a version must be
}

// NewGo returns the source of Go modules.
func NewGo(settings GoSettings) source.Source {
	return &goSource{
		GoSettings: settings, building: queue.New(runtime.GOMAXPROCS(0)),
		compilers: map[string]*gotool.Client{}, builds: map[string]*queue.Queue{}, counts: map[string]*platformCount{},
	}
}

// A platformCount counts the platforms that a plugin is compiled for.
type platformCount struct {
	of    int
	begun []string
}

var (
	_ source.Compiler  = (*goSource)(nil)
	_ source.Finisher  = (*goSource)(nil)
	_ source.Dater     = (*goSource)(nil)
	_ source.Packager  = (*goSource)(nil)
	_ source.Describer = (*goSource)(nil)
)

func (s *goSource) Resolve(ctx context.Context, w *plan.Want, platforms []lock.Platform) (*source.Resolution, error) {
	if w.From.Name == lock.GoToolchain {
		return s.toolchain(ctx, w, platforms)
	}
	if err := module.Check(w.From.Name, "v"+w.Version); err != nil {
		hint := "correct the module or the version; from version 2 on the path of a module ends in /v2, and so on"
		if old := w.Version + "+incompatible"; module.Check(w.From.Name, "v"+old) == nil {
			hint += "; or, of a module without a go.mod, write the version as " + old
		}
		return nil, fault.Errorf(fault.Usage, hint, "%w", err)
	}
	if w.Language != "" {
		return s.libraries(ctx, w, platforms)
	}
	compiler, err := s.compiler(ctx, w)
	if err != nil {
		return nil, err
	}
	scratch, err := os.MkdirTemp(s.Scratch, "resolve-")
	if err != nil {
		return nil, err
	}
	closure, err := compiler.Resolve(ctx, s.Config, scratch, s.main(w), platforms)
	if err != nil {
		return nil, err
	}
	res := &source.Resolution{Missing: map[string]source.Missing{}}
	var chosen []string
	for _, m := range closure.Modules {
		a, err := s.artifact(m.Path, m.Version, m.Zip == "")
		if err != nil {
			return nil, err
		}
		file := m.Zip
		if a.File.Integrity, a.File.GoMod = m.Sum, m.ModSum; file == "" {
			a.File.Integrity, a.File.GoMod, file = m.ModSum, "", m.Mod
		}
		a.Digest = a.File.Integrity
		if of := (module.Version{Path: m.Path, Version: "v" + m.Version}); slices.Contains(closure.Chosen, of) {
			chosen = append(chosen, m.String())
			if a.Aged = s.Ages; a.Aged {
				if a.Released, err = s.known(ctx, m.Path, m.Version); err != nil {
					return nil, err
				}
			}
		}
		a.Get = func(_ context.Context, in *store.Ingest) error { return s.copy(file, a, in) }
		for _, p := range platforms {
			if closure.Missing[p.Name] == "" {
				a.Platforms = append(a.Platforms, p.Name)
			}
		}
		res.Artifacts = append(res.Artifacts, a)
		if a.Trust = "transparency-log"; !s.Config.Transparent(m.Path) {
			a.Trust = "first-use"
		}
	}
	s.mu.Lock()
	s.counts[w.String()] = &platformCount{of: len(platforms) - len(closure.Missing)}
	s.mu.Unlock()
	for name, reason := range closure.Missing {
		res.Missing[name] = source.Missing{Reason: reason, Err: unsupported(fault.Usage, reason)}
	}
	res.Notes, err = compiler.Withdrawn(ctx, s.Config, scratch, w.From.Name, w.Version)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		res.Notes = []string{fmt.Sprintf("%s: the module proxy does not say whether it was retracted: %v", w, err)}
	}
	if len(chosen) > 0 {
		res.Notes = append(res.Notes, fmt.Sprintf("%s has no go.mod that says what it needs: Go took the newest of today, %s", w, strings.Join(chosen, ", ")))
	}
	return res, nil
}

// known returns when a module version was first seen, if neither a manifest nor a
// go.mod names it.
func (s *goSource) known(ctx context.Context, path, version string) (time.Time, error) {
	seen, err := s.Store.FirstSeen(ctx, "go for others "+path, []string{version}, s.Now)
	if err != nil {
		return time.Time{}, err
	}
	r := &plan.Release{Version: version, Released: seen[version]}
	err = s.Date(ctx, &plan.Want{From: manifest.Source{Kind: lock.Go, Name: path}}, []*plan.Release{r})
	return r.Released, err
}

// Versions runs go twice. The only time that a proxy knows is the commit's, which
// its author can set. So a version is as old as this machine has known it.
func (s *goSource) Versions(ctx context.Context, w *plan.Want) ([]plan.Release, error) {
	scratch, err := os.MkdirTemp(s.Scratch, "versions-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	news, err := s.Tool.Versions(ctx, s.Config, scratch, w.From.Name)
	if err != nil {
		return nil, err
	}
	var releases []plan.Release
	var versions []string
	before := func(n gotool.News) bool { return strings.HasSuffix(n.Version, "+incompatible") }
	modern := slices.ContainsFunc(news, func(n gotool.News) bool { return !before(n) })
	for _, n := range news {
		if before(n) && modern {
			continue // from before modules: a person may name it
		}
		releases = append(releases, plan.Release{Version: n.Version, Yanked: n.Retracted, Deprecated: n.Deprecated})
		versions = append(versions, n.Version)
	}
	seen, err := s.Store.FirstSeen(ctx, "go "+w.From.Name, versions, s.Now)
	for i := range releases {
		releases[i].Released, releases[i].Seen = seen[releases[i].Version], true
	}
	return releases, err
}

// Date asks for commit times, if [policy] trusts them.
func (s *goSource) Date(ctx context.Context, w *plan.Want, releases []*plan.Release) error {
	if !s.Believed {
		return nil
	}
	var modules []module.Version
	for _, r := range releases {
		m := module.Version{Path: w.From.Name, Version: "v" + r.Version}
		if w.From.Name == lock.GoToolchain {
			m.Version = toolchainVersion(r.Version, lock.Platforms[0])
		}
		modules = append(modules, m)
	}
	scratch, err := os.MkdirTemp(s.Scratch, "dates-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	news, err := s.Tool.News(ctx, s.Config, scratch, modules)
	if err != nil {
		return err
	}
	for i, n := range news {
		if !n.Committed.IsZero() && n.Committed.Before(releases[i].Released) {
			releases[i].Released, releases[i].Seen = n.Committed, false
		}
	}
	return nil
}

// toolchainVersion is the version of the toolchain module, with its v.
func toolchainVersion(version string, p lock.Platform) string {
	return "v0.0.1-go" + version + "." + p.GOOS + "-" + p.GOARCH
}

func (s *goSource) main(w *plan.Want) gotool.Main {
	return gotool.Main{Module: w.From.Name, Version: w.Version, Dir: w.Main}
}

// toolchain locks Go itself: one zip for each platform, whose hashes are known
// after the download. go downloads it only if the checksum database has it.
// Platforms that the proxy does not have are known before the download.
func (s *goSource) toolchain(ctx context.Context, w *plan.Want, platforms []lock.Platform) (*source.Resolution, error) {
	res := &source.Resolution{Missing: map[string]source.Missing{}}
	var ask []module.Version
	var of []string
	for _, p := range platforms {
		a, err := s.artifact(lock.GoToolchain, strings.TrimPrefix(toolchainVersion(w.Version, p), "v"), false)
		if err != nil {
			return nil, fault.Errorf(fault.Usage, "write the version as "+plan.GoHint, "go %s: %w", w.Version, err)
		}
		if f, ok := s.Old(a); ok {
			a.File.Integrity, a.File.GoMod, a.Digest = f.Integrity, f.GoMod, f.Integrity
		} else {
			ask, of = append(ask, module.Version{Path: lock.GoToolchain, Version: toolchainVersion(w.Version, p)}), append(of, p.Name)
		}
		a.Label = w.String() + " for " + p.Name
		a.Trust = "transparency-log"
		a.Platforms = []string{p.Name}
		a.ReadFor(w, p)
		res.Artifacts = append(res.Artifacts, a)
	}
	if len(ask) == 0 {
		return res, nil
	}
	scratch, err := os.MkdirTemp(s.Scratch, "toolchain-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	errs, err := s.Tool.Absent(ctx, s.Config, scratch, ask)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	for i := range errs { // of any other error the download tells, as of err
		if errors.Is(errs[i], fs.ErrNotExist) {
			res.Missing[of[i]] = source.Missing{Reason: source.NoFile, Err: fault.Errorf(fault.Of(errs[i]), noToolchain, "%w", errs[i])}
		}
	}
	res.Artifacts = slices.DeleteFunc(res.Artifacts, func(a *source.Artifact) bool {
		_, missing := res.Missing[a.Platforms[0]]
		return missing
	})
	if err == nil && len(res.Artifacts) == 0 {
		return nil, res.Missing[of[0]].Err
	}
	return res, nil
}

const noToolchain = `correct the version; or, where nobody compiles on that platform: go = { version = "…", optional = true }`

// artifact returns the artifact of a module's zip, or of its go.mod alone.
func (s *goSource) artifact(path, version string, modOnly bool) (*source.Artifact, error) {
	suffix := "zip"
	if modOnly {
		suffix = "mod"
	}
	key, err := lock.GoKey(path, version, suffix)
	if err != nil {
		return nil, err
	}
	name := path + "@v" + version
	a := &source.Artifact{
		Kind: lock.Go, Key: key, Label: name,
		File:     lock.File{Name: path, Version: version},
		Identity: lock.KindOf(lock.Go).Identity("", key, lock.File{}),
	}
	if modOnly {
		a.Label += "/go.mod"
	}
	a.Get = func(ctx context.Context, in *store.Ingest) error { return s.download(ctx, a, modOnly, in) }
	return a, nil
}

// download runs go to download one file and compare it with the checksum database.
func (s *goSource) download(ctx context.Context, a *source.Artifact, modOnly bool, in *store.Ingest) error {
	scratch, err := os.MkdirTemp(s.Scratch, "download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	get := s.Tool.Download
	if modOnly {
		get = s.Tool.DownloadMod
	}
	m, err := get(ctx, s.Config, scratch, a.File.Name, a.File.Version)
	if err != nil {
		if a.File.Name == lock.GoToolchain && errors.Is(err, fs.ErrNotExist) {
			err = fault.Errorf(fault.Of(err), noToolchain, "%w", err)
		}
		return err
	}
	sum, gomod, file := m.Sum, m.ModSum, m.Zip
	if modOnly {
		sum, gomod, file = m.ModSum, "", m.Mod
	}
	switch {
	case a.File.Integrity == "":
		a.File.Integrity, a.File.GoMod = sum, gomod
	case a.File.Integrity != sum:
		return source.ReplacedError(a, a.File.Integrity, sum)
	}
	return s.copy(file, a, in)
}

// copy copies a file that go has downloaded into the store.
func (s *goSource) copy(file string, a *source.Artifact, in *store.Ingest) error {
	in.From(s.Config.Place(a.File.Name, a.File.Version, strings.TrimPrefix(filepath.Ext(a.Key), ".")))
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(in, f)
	s.Progress(n)
	return err
}

// Upstream runs go once for all modules. go reports what their authors
// (retractions) and the checksum database say; the proxies are asked whether they
// still have the zips.
func (s *goSource) Upstream(ctx context.Context, _ *plan.Want, v *lock.Version) map[string]source.Answer {
	answers := map[string]source.Answer{}
	keys := slices.Sorted(maps.Keys(v.Files))
	var modules []module.Version
	for _, key := range keys {
		f := v.Files[key]
		modules = append(modules, module.Version{Path: f.Name, Version: "v" + f.Version})
	}
	scratch, err := os.MkdirTemp(s.Scratch, "upstream-")
	if err == nil {
		defer os.RemoveAll(scratch)
	}
	var news []gotool.News
	if err == nil {
		news, err = s.Tool.News(ctx, s.Config, scratch, modules)
	}
	if err != nil {
		for _, key := range keys {
			answers[key] = source.Answer{Err: err}
		}
		return answers
	}
	zips := source.Each(keys, func(key string) (map[string]source.Record, error) {
		f := v.Files[key]
		if strings.HasSuffix(key, ".mod") {
			return nil, nil
		}
		return nil, s.hasZip(ctx, f.Name, "v"+f.Version)
	})
	for i, key := range keys {
		f, n := v.Files[key], news[i]
		mod := f.GoMod
		w := source.Answer{Err: n.Err, Expected: f.Integrity, Record: source.Record{Digest: n.Sum, Yanked: n.Retracted, Deprecated: n.Deprecated}}
		if strings.HasSuffix(key, ".mod") {
			mod, w.Digest = f.Integrity, n.ModSum
		} else if w.Err == nil {
			w.Err = zips[key].Err
		}
		switch {
		case n.ModSum != mod:
			w.Digest, w.Expected = n.ModSum, mod
		case w.Digest == "":
			w.Unproved = "no checksum database was asked; only a download would tell whether it is the same; run: lockgen check --upstream --verify"
		}
		answers[key] = w
	}
	return answers
}

// hasZip requests the first bytes of a module's zip from the user's proxies, in
// order. It skips entries of GOPROXY that are not servers, because go finds the
// rest by itself.
func (s *goSource) hasZip(ctx context.Context, path, version string) error {
	p, err1 := module.EscapePath(path)
	v, err2 := module.EscapeVersion(version)
	if err := errors.Join(err1, err2); err != nil || module.MatchPrefixPatterns(s.Config.NoProxy, path) {
		return err
	}
	var err error
	for proxy := range strings.FieldsFuncSeq(s.Config.Proxy, func(r rune) bool { return r == ',' || r == '|' }) {
		proxy = strings.TrimSpace(proxy)
		if !strings.HasPrefix(proxy, "https://") && !strings.HasPrefix(proxy, "http://") {
			return nil
		}
		err = s.Client.Probe(ctx, strings.TrimSuffix(proxy, "/")+"/"+p+"/@v/"+v+".zip", 0)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

func (s *goSource) Locked(_ *plan.Want, key string, f lock.File) (*source.Artifact, error) {
	a, err := s.artifact(f.Name, f.Version, strings.HasSuffix(key, ".mod"))
	if err != nil {
		return nil, fault.Errorf(fault.Lock, "run: lockgen update", "file %q: %w", key, err)
	}
	a.File.Integrity, a.File.GoMod, a.Digest = f.Integrity, f.GoMod, f.Integrity
	return a, nil
}

func (s *goSource) Executable(w *plan.Want, p lock.Platform, tree source.Tree, contents map[string]*source.Content) (string, error) {
	if w.Language != "" {
		return "", nil
	}
	return source.NativeExecutable(w, p, tree, contents)
}

// Compile builds the executable for a platform, on any machine.
func (s *goSource) Compile(ctx context.Context, w *plan.Want, p lock.Platform, artifacts []*source.Artifact, contents map[string]*source.Content) (cell lock.Cell, compiled bool, err error) {
	if w.From.Name == lock.GoToolchain || w.Language != "" {
		return lock.Cell{}, false, nil
	}
	compiler, err := s.compiler(ctx, w)
	if err != nil {
		return lock.Cell{}, true, err
	}
	dir, err := os.MkdirTemp(s.Scratch, "compile-")
	if err != nil {
		return lock.Cell{}, true, err
	}
	defer os.RemoveAll(dir)
	b := gotool.Build{Main: s.main(w), Platform: p}
	if b.Cache, err = s.Store.GoBuild(ctx); err != nil {
		return lock.Cell{}, true, err
	}
	for i, a := range artifacts {
		m, err := s.module(ctx, a, contents[a.Key], filepath.Join(dir, fmt.Sprintf("%d.mod", i)))
		if err != nil {
			return lock.Cell{}, true, err
		}
		b.Modules = append(b.Modules, m)
	}
	// The last candidate is the one that ends in .exe on Windows.
	paths := w.Binaries(p)
	binary := paths[len(paths)-1]
	root := filepath.Join(dir, "tree")
	out := filepath.Join(root, filepath.FromSlash(binary))
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return lock.Cell{}, true, err
	}
	leave, err := s.turn(ctx, p)
	if err != nil {
		return lock.Cell{}, true, err
	}
	defer leave()
	change, end := s.Shown().Steps()
	defer end()
	what := fmt.Sprintf("compiling %s for %s", w, p.Name)
	if n, of := s.count(w, p); of > 1 {
		what += fmt.Sprintf(" (%d of %d)", n, of)
	}
	change("%s", what)
	b.Compiled = func(packages int) { change("%s: %s", what, plain.Count(packages, "package")) }
	err = compiler.Build(ctx, b, out)
	s.Shown().Did(ui.For(ctx, w.String()), "compiled")
	if err != nil {
		if errors.Is(err, proc.ErrCompile) {
			err = fmt.Errorf("%w: %w", &source.UnsupportedError{Reason: "it does not compile for " + p.GOOS + "/" + p.GOARCH + " without cgo"}, err)
		}
		return lock.Cell{}, true, err
	}
	files, err := archive.HashDir(ctx, root, nil)
	if err != nil {
		return lock.Cell{}, true, err
	}
	if len(files) != 1 {
		return lock.Cell{}, true, fault.Errorf(fault.Internal, "", "go build left %d files", len(files))
	}
	files[0].Exec = true // which not every file system keeps
	if err := executable.CheckFile(p, binary, out); err != nil {
		return lock.Cell{}, true, err
	}
	tree, err := archive.TreeHash(files)
	return lock.Cell{Binary: binary, Tree: tree}, true, err
}

// count reports which of its platforms w is being compiled for, and how many there
// are.
func (s *goSource) count(w *plan.Want, p lock.Platform) (n, of int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counts[w.String()]
	if c == nil {
		return 0, 0
	}
	if !slices.Contains(c.begun, p.Name) {
		c.begun = append(c.begun, p.Name)
	}
	return slices.Index(c.begun, p.Name) + 1, max(c.of, len(c.begun))
}

// turn waits until it is p's turn to compile.
func (s *goSource) turn(ctx context.Context, p lock.Platform) (leave func(), err error) {
	s.mu.Lock()
	if s.builds[p.Name] == nil {
		s.builds[p.Name] = queue.New(1)
	}
	own := s.builds[p.Name]
	s.mu.Unlock()
	first, err := own.Enter(ctx, false)
	if err != nil {
		return nil, err
	}
	second, err := s.building.Enter(ctx, false)
	if err != nil {
		first()
		return nil, err
	}
	return func() { second(); first() }, nil
}

// module writes the verified files of one module of the closure into the module
// cache.
func (s *goSource) module(ctx context.Context, a *source.Artifact, c *source.Content, modFile string) (gotool.Module, error) {
	m := gotool.Module{Path: a.File.Name, Version: a.File.Version}
	blob, err := s.Store.Blob(ctx, c.Digest)
	if err != nil {
		return m, err
	}
	defer blob.Close()
	if strings.HasSuffix(a.Key, ".mod") {
		m.Mod, m.ModSum = blob.Name(), a.File.Integrity
		return m, nil
	}
	m.Zip, m.Sum, m.Mod, m.ModSum = blob.Name(), a.File.Integrity, modFile, a.File.GoMod
	text, _ := gotool.ModOf(m.Path, c.Heads["go.mod"])
	return m, os.WriteFile(modFile, text, 0o644)
}

// compiler returns the unpacked, locked Go that compiles w.
func (s *goSource) compiler(ctx context.Context, w *plan.Want) (*gotool.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.compilers[w.Toolchain]; g != nil {
		return g, nil
	}
	g, err := s.unpackCompiler(ctx, w.Toolchain)
	if err == nil {
		s.compilers[w.Toolchain] = g
	}
	return g, err
}

func (s *goSource) unpackCompiler(ctx context.Context, toolchain string) (*gotool.Client, error) {
	name, version, _ := strings.Cut(toolchain, "@")
	e := s.Entry(name, version)
	if e == nil {
		return nil, fault.Errorf(fault.Usage, "run: lockgen update", "its toolchain %s is not locked", toolchain)
	}
	host, _ := lock.Host()
	i := &install.Installer{Store: s.Store, Host: host, Download: s.fetchFile, Clients: s.Clients, Transfer: s.Shown()}
	return i.Go(ctx, e)
}

// fetchFile downloads a toolchain file that is no longer in the store.
func (s *goSource) fetchFile(ctx context.Context, e *lock.Entry, key string, in *store.Ingest) error {
	a, err := s.Locked(nil, key, e.Locked.Files[key])
	if err != nil {
		return err
	}
	return a.GetLocked(ctx, e, key, in, s.Shown())
}

// majorDir is the last path element of a module from version 2 on, such as v2.
var majorDir = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^v[0-9]+$`) })

// programOf is the file name that go install gives to a main package.
func programOf(importPath string) string {
	name := path.Base(importPath)
	if majorDir().MatchString(name) && strings.Contains(importPath, "/") {
		return path.Base(path.Dir(importPath))
	}
	return name
}

// Programs returns the main package that w names, or the packages of its module
// that are named like plugins.
func (s *goSource) Programs(ctx context.Context, w *plan.Want, _ []lock.Platform) ([]source.Program, error) {
	if w.Main != "" {
		name := programOf(w.From.Name + "/" + w.Main)
		return []source.Program{{Name: name, Binary: name, Main: w.Main}}, nil
	}
	a, _, err := s.Pack(ctx, w) // with the digest that it is locked with
	if err != nil {
		return nil, err
	}
	contents, err := s.Needed(ctx, []*source.Artifact{a})
	if err != nil {
		return nil, err
	}
	mains := map[string]bool{}
	for _, f := range contents[a.Identity].Files {
		file := strings.TrimPrefix(f.Path, w.From.Name+"@v"+w.Version+"/")
		dir := strings.TrimPrefix(path.Dir(file), ".")
		name := programOf(path.Join(w.From.Name, dir))
		if path.Base(file) == "main.go" || path.Ext(file) == ".go" && strings.HasPrefix(name, "protoc-gen-") {
			mains[dir] = true
		}
	}
	var list []source.Program
	for _, dir := range slices.Sorted(maps.Keys(mains)) {
		if strings.Contains("/"+dir+"/", "/internal/") || strings.Contains("/"+dir+"/", "/testdata/") || strings.Contains("/"+dir+"/", "/vendor/") {
			continue
		}
		name := programOf(path.Join(w.From.Name, dir))
		list = append(list, source.Program{Name: name, Binary: name, Main: dir})
	}
	return list, nil
}

// Pack lets go download a module that is not in the lock. Only that tells the
// digest of the checksum database to compare with, and another plugin of the same
// module then has it from the start.
func (s *goSource) Pack(ctx context.Context, w *plan.Want) (*source.Artifact, []string, error) {
	if err := module.Check(w.From.Name, "v"+w.Version); err != nil {
		return nil, nil, fault.Errorf(fault.Usage, "correct the module or the version; from version 2 on the path of a module ends in /v2, and so on", "%w", err)
	}
	a, err := s.artifact(w.From.Name, w.Version, false)
	if err != nil {
		return nil, nil, err
	}
	if f, ok := s.Old(a); ok {
		a.File.Integrity, a.File.GoMod, a.Digest = f.Integrity, f.GoMod, f.Integrity
	} else {
		scratch, err := os.MkdirTemp(s.Scratch, "pack-")
		if err != nil {
			return nil, nil, err
		}
		m, err := s.Tool.Download(ctx, s.Config, scratch, w.From.Name, w.Version)
		if err != nil {
			return nil, nil, err
		}
		a.File.Integrity, a.File.GoMod, a.Digest = m.Sum, m.ModSum, m.Sum
		a.Get = func(_ context.Context, in *store.Ingest) error { return s.copy(m.Zip, a, in) }
	}
	if a.Trust = "transparency-log"; !s.Config.Transparent(w.From.Name) {
		a.Trust = "first-use"
	}
	return a, nil, nil
}
