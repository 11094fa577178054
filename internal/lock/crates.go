package lock

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/crate"
)

// checkCrates checks the crates of a runtime of Rust, which are its folders.
func (v *Version) checkCrates() error {
	for key := range v.Files {
		if _, ok := v.Folders[strings.TrimSuffix(key, ".crate")]; !ok {
			return fmt.Errorf("file %q: its crate is not among the folders", key)
		}
	}
	for _, at := range slices.Sorted(maps.Keys(v.Folders)) {
		f := v.Folders[at]
		err := errors.Join(f.Check(), checkSorted("features", f.Features, func(string) error { return nil }), checkSorted("imports", f.Imports, v.checkUse), checkSorted("script-imports", f.ScriptImports, v.checkUse))
		if _, ok := v.Files[at+".crate"]; !ok {
			err = errors.New("it is none of the files")
		}
		if err == nil && (len(f.Files) > 0 || f.Runs() != v.RunsCode(at)) {
			err = errors.New("it has files, or what runs code when it is compiled is not among what may")
		}
		if err != nil {
			return fmt.Errorf("folder %q: %w", at, err)
		}
	}
	return nil
}

// checkUse checks an item of the imports of a crate.
func (v *Version) checkUse(item string) error {
	u, err := crate.ParseUse(item)
	if err != nil {
		return err
	}
	if _, ok := v.Folders[u.Crate]; !ok {
		return fmt.Errorf("%q is not among the folders", u.Crate)
	}
	return checkSorted("platforms", u.Platforms, func(name string) error {
		if _, ok := LookupPlatform(name); !ok {
			return fmt.Errorf("unknown platform %q", name)
		}
		return nil
	})
}
