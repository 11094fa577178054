package source

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/wheel"
	"github.com/birbparty/buck2-protobuf/lockgen/github"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// A Program is an executable of a package, for an entry of the manifest that is to
// be written.
type Program struct {
	Name    string // of the executable
	Binary  string // what the entry says of it
	Runtime string // what runs it, "" for nothing
	Main    string // go: the folder of its main package, "" for the root of the module

	Naming    manifest.Naming              // github: how the files of releases are called
	Platforms map[string]manifest.Override // github: assets that are called otherwise
}

// A programmer is a [Source] that knows the programs of a package that nobody has
// described.
type programmer interface {
	// programs lists those of a version of w, in no order. Binary of w means nothing.
	programs(ctx context.Context, w *plan.Want) ([]Program, error)
}

var (
	_ programmer = (*npmSource)(nil)
	_ programmer = (*cargoSource)(nil)
	_ programmer = (*pipSource)(nil)
	_ programmer = (*goSource)(nil)
	_ programmer = (*httpSource)(nil)
	_ programmer = (*ociSource)(nil)
	_ programmer = (*mavenSource)(nil)
)

// Programs lists the executables of a version of a package, sorted by name. It is
// an error of class [fault.Usage] where its source cannot tell.
func (s *Session) Programs(ctx context.Context, w *plan.Want) ([]Program, error) {
	l, err := s.Lister(ctx, w.From.Kind)
	if err != nil {
		return nil, err
	}
	p, ok := l.(programmer)
	if !ok {
		return nil, fault.Errorf(fault.Usage, "write an entry by hand: [plugins.NAME] with version, source and binary; and for files by platform see: lockgen help troubleshooting", "what is in %s is not known before it is described", w.From)
	}
	list, err := p.programs(ctx, w)
	slices.SortFunc(list, func(a, b Program) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// programs are in the document of the package.
func (s *npmSource) programs(ctx context.Context, w *plan.Want) ([]Program, error) {
	text, err := s.Document(ctx, w.From.Name, false)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Versions map[string]struct{ Bin json.RawMessage }
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fault.Errorf(fault.Upstream, "ask the operator of the registry", "the document of npm package %s: %w", w.From.Name, err)
	}
	version, ok := doc.Versions[w.Version]
	if !ok {
		return nil, fault.Errorf(fault.Upstream, "write a version that the registry has", "the registry has no version %s of npm package %s: %w", w.Version, w.From.Name, fs.ErrNotExist)
	}
	var list []Program
	var one string
	bins := map[string]string{}
	if json.Unmarshal(version.Bin, &one) == nil && one != "" { // it has the name of the package
		bins[path.Base(w.From.Name)] = one
	} else if len(version.Bin) > 0 && json.Unmarshal(version.Bin, &bins) != nil {
		return nil, fault.Errorf(fault.Upstream, "tell its publisher", "bin of npm package %s %s is neither a path nor a table of paths", w.From.Name, w.Version)
	}
	for name := range bins {
		list = append(list, Program{Name: name, Binary: name})
	}
	return list, nil
}

// programs are those that the crate declares.
func (s *cargoSource) programs(ctx context.Context, w *plan.Want) ([]Program, error) {
	index, err := s.tool.Index(s.dir, s.registry)
	if err != nil {
		return nil, err
	}
	defer index.Close()
	crate, err := index.Crate(ctx, w.From.Name, w.Version)
	if err != nil {
		return nil, err
	}
	if err := s.learn(index); err != nil {
		return nil, err
	}
	sources, _, err := s.read(ctx, []cargo.Crate{crate})
	if err != nil {
		return nil, err
	}
	bins, err := cargo.Bins(sources[0])
	var list []Program
	for _, name := range bins {
		list = append(list, Program{Name: name, Binary: name})
	}
	return list, err
}

// programs are the console scripts of a wheel, and executables in its folder of
// scripts.
func (s *pipSource) programs(ctx context.Context, w *plan.Want) ([]Program, error) {
	files, err := s.files(ctx, w.From.Name)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if _, version := lock.KindOf(lock.Pip).PackageOf(f.Filename, lock.File{}); !f.Wheel() || f.SHA256 == "" || plan.CompareVersions(lock.Pip, version, w.Version) != 0 {
			continue
		}
		a := s.artifact(w, pip.Wheel{Filename: f.Filename, URL: f.URL, SHA256: strings.ToLower(f.SHA256), Size: f.Size})
		contents, err := s.needed(ctx, []*Artifact{a})
		if err != nil {
			return nil, err
		}
		var list []Program
		c := contents[a.Identity]
		for name, text := range c.Heads {
			if !isEntryPoints(name) {
				continue
			}
			for _, e := range wheel.EntryPoints(text) {
				if e.Group == "console_scripts" {
					list = append(list, Program{Name: e.Name, Binary: e.Name})
				}
			}
		}
		for _, file := range c.Files {
			if dir, name := path.Split(file.Path); strings.HasSuffix(dir, ".data/scripts/") {
				name = strings.TrimSuffix(name, ".exe")
				list = append(list, Program{Name: name, Binary: strings.ReplaceAll(dir, "-"+w.Version+".data", "-{version}.data") + name})
			}
		}
		return list, nil
	}
	return nil, fault.Errorf(fault.Upstream, "take another version", "the index has no wheel of %s %s: %w", w.From.Name, w.Version, fs.ErrNotExist)
}

// majorDir is the last element of the path of a module from version 2 on.
var majorDir = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^v[0-9]+$`) })

// programOf is what go install calls the program of a main package.
func programOf(importPath string) string {
	name := path.Base(importPath)
	if majorDir().MatchString(name) && strings.Contains(importPath, "/") {
		return path.Base(path.Dir(importPath))
	}
	return name
}

// programs are the main package that w names, or those of its module that are named
// like plugins.
func (s *goSource) programs(ctx context.Context, w *plan.Want) ([]Program, error) {
	if w.Main != "" {
		name := programOf(w.From.Name + "/" + w.Main)
		return []Program{{Name: name, Binary: name, Main: w.Main}}, nil
	}
	a, err := s.artifact(w.From.Name, w.Version, false)
	if err != nil {
		return nil, err
	}
	contents, err := s.needed(ctx, []*Artifact{a})
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
	var list []Program
	for _, dir := range slices.Sorted(maps.Keys(mains)) {
		if strings.Contains("/"+dir+"/", "/internal/") || strings.Contains("/"+dir+"/", "/testdata/") || strings.Contains("/"+dir+"/", "/vendor/") {
			continue
		}
		name := programOf(path.Join(w.From.Name, dir))
		list = append(list, Program{Name: name, Binary: name, Main: dir})
	}
	return list, nil
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

// programs are the executables in the file of a release for one of the platforms: that
// of this machine, if there is one. How the others are called is read off their
// names.
func (s *httpSource) programs(ctx context.Context, w *plan.Want) ([]Program, error) {
	owner, repo, ok := w.From.GitHub()
	if !ok {
		return nil, noList(w)
	}
	names, err := s.gitHub.Names(ctx, owner, repo, w.Naming.ReleaseTag(w.Version))
	if err != nil {
		return nil, err
	}
	g := github.GuessNaming(w.Version, names)
	if len(g.Files) == 0 {
		return nil, fault.Errorf(fault.Usage, "write an entry by hand: [plugins.NAME] with version, source, asset and binary", "release %s of %s/%s has no file that is named after a platform; it has %s", w.Naming.ReleaseTag(w.Version), owner, repo, fault.List(names))
	}
	of := Program{Naming: manifest.Naming{Tag: w.Naming.Tag, Asset: g.Asset}, Platforms: map[string]manifest.Override{}}
	if len(g.OS) > 0 {
		of.Naming.OS = g.OS
	}
	if len(g.Arch) > 0 {
		of.Naming.Arch = g.Arch
	}
	for platform, asset := range g.Assets {
		of.Platforms[platform] = manifest.Override{Asset: asset}
	}
	platforms := slices.Sorted(maps.Keys(g.Files))
	if host, ok := lock.Host(); ok && g.Files[host.Name] != "" {
		platforms = []string{host.Name}
	}
	p, _ := lock.LookupPlatform(platforms[0])
	file := g.Files[p.Name]
	archive, err := manifest.Archive(file)
	if err != nil {
		return nil, err
	}
	if archive == "" {
		of.Name = github.ProgramOf(file, w.Version)
		of.Binary = of.Name
		return []Program{of}, nil
	}
	named := *w
	named.Naming, named.Overrides = of.Naming, of.Platforms
	named.Binary = "no/such/file"
	a, err := s.artifact(&named, p, named.URL(p))
	if err != nil {
		return nil, err
	}
	if err := s.evidence(ctx, &named, p, a); err != nil {
		return nil, err
	}
	contents, err := s.needed(ctx, []*Artifact{a})
	if err != nil {
		return nil, err
	}
	return executables(contents[a.Identity], g, w.Version, p, of), nil
}

// executables are those of an archive for a platform; each is as of, but for its name
// and its path.
func executables(c *Content, g github.Guess, version string, p lock.Platform, of Program) (list []Program) {
	for _, f := range c.Files {
		name := strings.TrimSuffix(path.Base(f.Path), ".exe")
		if !f.Exec && !strings.HasPrefix(name, "protoc-gen-") {
			continue
		}
		one := of
		one.Name, one.Binary = github.ProgramOf(name, version), g.PathTemplate(f.Path, version, p)
		list = append(list, one)
	}
	return list
}

// programs are the executables of what a tag has for one of the platforms: that of
// this machine, if there is one.
func (s *ociSource) programs(ctx context.Context, w *plan.Want) ([]Program, error) {
	named := *w
	named.Name, named.Binary = path.Base(w.PackageName()), "no/such/file"
	res, err := s.Resolve(ctx, &named, lock.Platforms)
	if err != nil {
		return nil, err
	}
	a := res.Artifacts[0]
	if host, ok := lock.Host(); ok {
		for _, other := range res.Artifacts {
			if slices.Contains(other.Platforms, host.Name) {
				a = other
			}
		}
	}
	if a.File.Archive == "" {
		name := github.ProgramOf(path.Base(a.Key), w.Version)
		return []Program{{Name: name, Binary: name}}, nil
	}
	contents, err := s.needed(ctx, []*Artifact{a})
	if err != nil {
		return nil, err
	}
	p, _ := lock.LookupPlatform(a.Platforms[0])
	return executables(contents[a.Identity], github.Guess{}, w.Version, p, Program{}), nil
}

// programs are the program of a platform, else the jar: each is called as its artifact
// is. There is no list of the files of a version, so it is asked for each.
func (s *mavenSource) programs(ctx context.Context, w *plan.Want) ([]Program, error) {
	jar, ok := w.Jar()
	if ok {
		found := make([]error, len(lock.Platforms))
		var g errgroup.Group
		for i, p := range lock.Platforms {
			g.Go(func() error {
				found[i] = s.there(ctx, w.Program(p), 0)
				return nil
			})
		}
		_ = g.Wait()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		for _, err := range found {
			if err == nil {
				return []Program{{Name: jar.Artifact, Binary: jar.Artifact}}, nil
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	if err := s.there(ctx, jar, 0); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, fault.Errorf(fault.Upstream, "is the version right, and does the jar have a classifier? then write maven:GROUP:ARTIFACT:CLASSIFIER; another repository is named by [registries] maven of plugins.toml, or by settings.xml of mvn",
			"no repository has a program of %s %s for any platform, nor %s: %w", jar.Package(), jar.Version, jar.File(), fs.ErrNotExist)
	}
	return []Program{{Name: jar.Artifact, Binary: jar.Artifact, Runtime: "java"}}, nil
}

// Tag finds the form of the tags of a repository of GitHub, of its newest release that
// has a version in its tag; "" for the usual one.
func (s *Session) Tag(ctx context.Context, w *plan.Want) (template string, err error) {
	owner, repo, ok := w.From.GitHub()
	l, err := s.Lister(ctx, w.From.Kind)
	if err != nil || !ok {
		return "", err
	}
	releases, err := l.(*httpSource).gitHub.Releases(ctx, owner, repo)
	if err != nil {
		return "", err
	}
	for _, r := range releases {
		template, ok := github.TagTemplate(r.Tag)
		switch {
		case !ok || r.Draft || r.Prerelease:
		case template == "v{version}":
			return "", nil
		default:
			return template, nil
		}
	}
	return "", nil
}
