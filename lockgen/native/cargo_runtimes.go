package native

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/crate"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// crateLibraries are all runtimes of Rust together.
type crateLibraries struct {
	libraries map[string]*cargo.Library // by NAME-VERSION, like the others
	artifacts map[string]*source.Artifact
}

// libraries are the crates of a runtime of Rust and of what it needs, in the versions
// and with the features that the runtimes of Rust come to together. For
// [runtimeFolders.Finish] it keeps how they are compiled.
func (s *cargoSource) libraries(ctx context.Context, w *plan.Want, platforms []lock.Platform) (*source.Resolution, error) {
	all, err := s.together.Do(fmt.Sprint(w.Together(), platforms), func() (*crateLibraries, error) { return s.resolve(ctx, w, platforms) })
	if err != nil {
		return nil, err
	}
	var roots []string
	for _, item := range w.Items() {
		name, version, _ := strings.Cut(item, "==")
		name, _ = syntax.Extras(name)
		roots = append(roots, name+"-"+version)
	}
	on := cargo.On(all.libraries, roots, platforms)
	res := &source.Resolution{}
	folders, scripts := map[string]lock.Folder{}, map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(on)) {
		l := all.libraries[name]
		a := *all.artifacts[name]
		a.Platforms = on[name]
		a.Aged = name != roots[0] && !(w.Written && slices.Contains(roots, name))
		res.Artifacts = append(res.Artifacts, &a)
		f := folderOf(l)
		if folders[name] = f; f.Runs() {
			scripts[name] = l.By
		}
	}
	if err := consent(w, res, scripts); err != nil {
		return nil, err
	}
	s.keepFolders(w, folders)
	return res, nil
}

// folderOf is how a lock describes a library.
func folderOf(l *cargo.Library) lock.Folder {
	f := lock.Folder{Spec: crate.Spec{Edition: l.Edition, Features: l.Features, Script: l.Script}}
	if l.Called != strings.ReplaceAll(l.Name, "-", "_") {
		f.Called = l.Called
	}
	if l.Root != crate.Root {
		f.Root = l.Root
	}
	if l.Macro {
		f.Type = crate.Macro
	}
	for _, u := range l.Deps {
		f.Imports = append(f.Imports, u.String())
	}
	for _, u := range l.ScriptDeps {
		f.ScriptImports = append(f.ScriptImports, u.String())
	}
	return f
}

// resolve lets cargo choose what all runtimes of Rust need.
func (s *cargoSource) resolve(ctx context.Context, w *plan.Want, platforms []lock.Platform) (*crateLibraries, error) {
	index, err := s.index()
	if err != nil {
		return nil, err
	}
	defer index.Close()
	var roots []cargo.Crate
	features := map[string][]string{}
	for _, item := range w.Together() {
		name, version, _ := strings.Cut(item, "==")
		name, more := syntax.Extras(name)
		c, err := index.Crate(ctx, name, version)
		if err = s.origins.WhyNoCrate(ctx, index, name, err); err != nil {
			return nil, err
		}
		if c.Yanked {
			return nil, yanked(c)
		}
		roots, features[name] = append(roots, c), more
	}
	if err := s.learn(index); err != nil {
		return nil, err
	}
	crates, root, err := index.Lock(ctx, cargo.Together(roots, features))
	if err != nil {
		return nil, explainTogether(err)
	}
	if rule := s.cooldown(w); rule != nil {
		crates, root, err = index.Settle(ctx, root, crates, func(c cargo.Crate) bool {
			return !slices.Contains(roots, c) && !slices.Contains(rule.Except, lock.KindOf(lock.Cargo).Normal(c.Name)+"@"+c.Version) && (c.Released.IsZero() || c.Released.After(rule.Before))
		})
		if err != nil {
			return nil, err
		}
	}
	sources, artifacts, err := s.read(ctx, crates)
	if err != nil {
		return nil, err
	}
	all := &crateLibraries{artifacts: map[string]*source.Artifact{}}
	for i, c := range crates {
		artifacts[i].Compiled, artifacts[i].Released = false, c.Released
		all.artifacts[c.String()] = artifacts[i]
	}
	all.libraries, err = s.tool.Libraries(ctx, root, sources, platforms)
	if err == nil {
		err = cargo.CheckRoots(all.libraries, roots, func(name string) bool { return catalog.Builtin().RuntimeOf("rust", name) != "" })
	}
	return all, err
}

// explainTogether says what it means that cargo finds no versions.
func explainTogether(err error) error {
	if fault.Of(err) != fault.Upstream || !strings.Contains(err.Error(), "failed to select a version") && !strings.Contains(err.Error(), "no matching package") {
		return err
	}
	return fault.About(fault.AboutConflict, fault.Errorf(fault.Usage, "take versions of them that can be compiled together, or take one out of [runtimes] and write runtime = […] in BUCK files",
		"the runtimes of Rust cannot be had together: %w", err))
}
