package native

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/mod/module"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// goLibraries are all Go runtimes together.
type goLibraries struct {
	packages map[string]*gotool.Package
	modules  []gotool.Module
}

// libraries returns the modules of a Go runtime and its dependencies, in the
// versions that all Go runtimes agree on. It keeps the packages for
// [runtimeFolders.Finish].
func (s *goSource) libraries(ctx context.Context, w *plan.Want, platforms []lock.Platform) (*source.Resolution, error) {
	var roots []module.Version
	var patterns []string
	for _, item := range w.Together() {
		name, version, _ := strings.Cut(item, "==")
		roots = append(roots, module.Version{Path: name, Version: "v" + version})
		patterns = append(patterns, patternsOf(name)...)
	}
	all, err := s.together.Do(fmt.Sprint(roots, platforms), func() (*goLibraries, error) {
		scratch, err := os.MkdirTemp(s.Scratch, "libraries-")
		if err != nil {
			return nil, err
		}
		packages, modules, err := s.Tool.Libraries(ctx, s.Config, scratch, roots, patterns, platforms)
		return &goLibraries{packages, modules}, err
	})
	if err != nil {
		return nil, err
	}
	folders, used := all.of(w.From.Name)
	res := &source.Resolution{Missing: map[string]source.Missing{}}
	for _, m := range all.modules {
		if !used[module.Version{Path: m.Path, Version: "v" + m.Version}] {
			continue
		}
		a, err := s.artifact(m.Path, m.Version, false)
		if err != nil {
			return nil, err
		}
		a.File.Integrity, a.File.GoMod, a.Digest = m.Sum, m.ModSum, m.Sum
		a.Get = func(_ context.Context, in *store.Ingest) error { return s.copy(m.Zip, a, in) }
		for _, p := range platforms {
			a.Platforms = append(a.Platforms, p.Name)
		}
		if a.Trust = "transparency-log"; !s.Config.Transparent(m.Path) {
			a.Trust = "first-use"
		}
		res.Artifacts = append(res.Artifacts, a)
	}
	s.keepFolders(w, folders)
	scratch, err := os.MkdirTemp(s.Scratch, "withdrawn-")
	if err != nil {
		return nil, err
	}
	res.Notes, err = s.Tool.Withdrawn(ctx, s.Config, scratch, w.From.Name, w.Version)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		res.Notes = []string{fmt.Sprintf("%s: the module proxy does not say whether it was retracted: %v", w, err)}
	}
	return res, nil
}

// patternsOf returns the packages of a module that programs import, as patterns for
// go list.
func patternsOf(path string) (patterns []string) {
	c := catalog.Builtin()
	r, _ := c.Runtime("go", c.RuntimeOf("go", path))
	if len(r.Packages) == 0 {
		return []string{path + "/..."}
	}
	for _, name := range r.Packages {
		if name == "." {
			patterns = append(patterns, path)
		} else {
			patterns = append(patterns, path+"/"+name)
		}
	}
	return patterns
}

// of returns the packages of a module and everything they import, with the modules
// that contain them.
func (l *goLibraries) of(path string) (folders map[string]lock.Folder, used map[module.Version]bool) {
	folders, used = map[string]lock.Folder{}, map[module.Version]bool{}
	var queue []string
	for _, at := range slices.Sorted(maps.Keys(l.packages)) {
		if l.packages[at].Module.Path == path {
			queue = append(queue, at)
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		if _, seen := folders[queue[0]]; seen {
			continue
		}
		p := l.packages[queue[0]]
		folders[p.Path] = lock.Folder{Files: p.Files, Imports: p.Imports}
		used[p.Module] = true
		queue = append(queue, p.Imports...)
	}
	return folders, used
}
