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

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/wheel"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// A Program is an executable of a package, for an entry of the manifest that is to
// be written.
type Program struct {
	Name   string // of the executable
	Binary string // what the entry says of it
	Main   string // go: the folder of its main package, "" for the root of the module
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
		a := s.artifact(w, pip.Wheel{Filename: f.Filename, URL: f.URL, SHA256: strings.ToLower(f.SHA256)})
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
