package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/wheel"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// runtimeFolders keeps how the runtimes that are resolved are compiled, until their
// versions are locked.
type runtimeFolders struct {
	guard sync.Mutex
	by    map[string]map[string]lock.Folder // by NAME VERSION
}

func (r *runtimeFolders) keepFolders(w *plan.Want, folders map[string]lock.Folder) {
	r.guard.Lock()
	defer r.guard.Unlock()
	if r.by == nil {
		r.by = map[string]map[string]lock.Folder{}
	}
	r.by[w.String()] = folders
}

// Finish implements [source.Finisher] for runtimes.
func (r *runtimeFolders) Finish(w *plan.Want, v *lock.Version, _ map[string]*source.Content) error {
	if w.Language == "" {
		return nil
	}
	r.guard.Lock()
	defer r.guard.Unlock()
	v.Folders = r.by[w.String()]
	return nil
}

// together runs pip once for all Python runtimes, and returns its choice as
// NAME==VERSION; each runtime then takes its dependencies from this choice. apart
// explains, by target, why no common choice exists. Both are nil if w has no
// sibling runtimes.
func (s *pipSource) together(ctx context.Context, w *plan.Want, targets []pip.Target, rule *cooldown.Rule) (within []string, apart []error, err error) {
	if len(w.Beside) == 0 {
		return nil, nil, nil
	}
	all := w.Together()
	name, version, _ := strings.Cut(all[0], "==") // the same question for each of them
	closures, err := s.report(ctx, requirement{pip.Requirement{Package: name, Version: version, With: all[1:], Targets: targets}, w}, rule)
	if err != nil {
		return nil, nil, err
	}
	apart = make([]error, len(targets))
	chosen := map[string]string{}
	for i, c := range closures {
		if c.Err != nil {
			if !errors.Is(c.Err, fs.ErrNotExist) { // of what is not there the one that needs it tells
				apart[i] = c.Err
			}
			continue
		}
		for _, of := range c.Wheels {
			if other, ok := chosen[of.Name]; ok && other != of.Version {
				return nil, nil, fault.Errorf(fault.Usage, fmt.Sprintf("lock fewer interpreters: python = [%q]", targets[i].Python),
					"the runtimes of Python together need %s %s for Python %s on %s, and %s elsewhere", of.Name, of.Version, targets[i].Python, targets[i].Platform.Name, other)
			}
			chosen[of.Name] = of.Version
		}
	}
	for _, name := range slices.Sorted(maps.Keys(chosen)) {
		within = append(within, name+"=="+chosen[name])
	}
	return within, apart, nil
}

// mergeable refuses a runtime if its wheels for several interpreters cannot be in
// one folder, which is how Buck2 uses them.
func mergeable(w *plan.Want, v *lock.Version, contents map[string]*source.Content) error {
	for _, p := range lock.Platforms {
		if !v.Platforms[p.Name].Locked() {
			continue
		}
		for _, keys := range wheel.ByProject(v, p.Name) {
			var parts []wheel.Part
			for _, key := range keys {
				parts = append(parts, wheel.Part{Wheel: key, Files: contents[key].Files})
			}
			if _, err := wheel.Merge(parts); err != nil {
				hint := fmt.Sprintf("lock fewer interpreters: python = [%q]", w.Python[len(w.Python)-1])
				if errors.Is(err, wheel.ErrAside) {
					hint = fault.OtherLibrary
				}
				return fault.Errorf(fault.Usage, hint, "%s for %s: %w", w, p.Name, err)
			}
		}
	}
	return nil
}
