package project

import (
	"cmp"
	"path/filepath"
	"slices"
	"strings"
)

// A LocalCell is a cell inside a project.
type LocalCell struct {
	Root       string   // absolute path without links
	Names      []string // its name and its aliases, sorted
	BuildFiles []string // names of BUCK files, in the order in which Buck2 looks for them
	Ignore     []string // paths and patterns that the cell ignores, relative to its root, sorted
}

// CellOf returns the innermost cell around a folder of the project, which is an
// absolute path without links. Its errors are those of [Find].
func (p *Project) CellOf(dir string) (*LocalCell, error) {
	root, err := filepath.EvalSymlinks(p.Root)
	if err != nil {
		return nil, err
	}
	all := p.config.cells()
	folders := map[string]string{} // by name
	c := &LocalCell{Root: root}
	for name, path := range all.paths {
		if all.external[name] != "" {
			continue
		}
		folders[name] = filepath.Join(root, filepath.FromSlash(path))
		if rel, err := filepath.Rel(folders[name], dir); err == nil && filepath.IsLocal(rel) && len(folders[name]) > len(c.Root) {
			c.Root = folders[name]
		}
	}
	for name, folder := range folders {
		if folder == c.Root {
			c.Names = append(c.Names, name)
		} else if rel, err := filepath.Rel(c.Root, folder); err == nil && filepath.IsLocal(rel) {
			c.Ignore = append(c.Ignore, filepath.ToSlash(rel))
		}
	}
	for alias := range all.aliases {
		if slices.Contains(c.Names, all.resolve(alias)) {
			c.Names = append(c.Names, alias)
		}
	}
	config := p.config
	if c.Root != root { // each cell has its own settings
		if config, err = readConfig(c.Root, p.config.open); err != nil {
			return nil, err
		}
	}
	list := func(section, name string) []string {
		values := strings.Split(config.get(key{section, name}), ",")
		for i := range values {
			values[i] = strings.TrimSpace(values[i])
		}
		return slices.DeleteFunc(values, func(value string) bool { return value == "" })
	}
	c.Ignore = append(c.Ignore, list("project", "ignore")...)
	slices.Sort(c.Names)
	c.Names = slices.Compact(c.Names)
	slices.Sort(c.Ignore)
	// As in app/buck2_common/src/buildfiles.rs of Buck2.
	if c.BuildFiles = list("buildfile", "name_v2"); len(c.BuildFiles) > 0 {
		return c, nil
	}
	for _, name := range strings.Split(cmp.Or(strings.Join(list("buildfile", "name"), ","), "BUCK"), ",") {
		c.BuildFiles = append(c.BuildFiles, name+".v2", name)
	}
	return c, nil
}
