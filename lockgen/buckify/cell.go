package buckify

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
	"github.com/birbparty/buck2-protobuf/lockgen/project"
)

// InCell finds the Buck2 cell that contains the folders, or the working directory
// if none are given, and returns the options to edit the BUCK files in them. read
// returns the manifest, or nil for the default settings, and the name of its
// lock, which holds the proto packages.
func InCell(folders []string, read func() (m *manifest.Manifest, lockName string, err error)) (*Options, error) {
	at := "."
	if len(folders) > 0 {
		at = folders[0]
	}
	var dirs []string
	for _, dir := range append([]string{at}, folders...) {
		abs, err := filepath.Abs(dir)
		if err == nil {
			abs, err = filepath.EvalSymlinks(abs)
		}
		info, err2 := os.Stat(abs)
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && err2 == nil && !info.IsDir():
			return nil, fault.Errorf(fault.Usage, "give a folder, or none for the whole cell", "%s is not a folder", dir)
		case err != nil:
			return nil, fault.Errorf(fault.Machine, fault.MachineHint(err), "looking for %s: %w", dir, err)
		}
		dirs = append(dirs, abs)
	}
	around, err := project.Find(dirs[0])
	if err != nil {
		return nil, err
	}
	if around == nil {
		return nil, fault.Errorf(fault.Usage, "run: buck2 init", "no .buckconfig here or in a folder above, so the root of the cell is unknown")
	}
	c, err := around.CellOf(dirs[0])
	if err != nil {
		return nil, err
	}
	o := &Options{Buckify: manifest.DefaultBuckify(), Root: c.Root, Cell: c.Names, BuildFiles: c.BuildFiles, Ignore: c.Ignore}
	for i, dir := range dirs[1:] {
		of, err := around.CellOf(dir)
		if err != nil {
			return nil, err
		}
		folder, ok := packageOf(c.Root, dir)
		if !ok || of.Root != c.Root {
			return nil, fault.Errorf(fault.Usage, "run the command once for each cell", "%s is not in the cell of %s, which is %s", folders[i], folders[0], c.Root)
		}
		o.Within = append(o.Within, folder)
	}
	o.Packages = &Packages{
		Label: func(string) (label, name string) { return "", "" },
		Hint: func(importPath string) string {
			if name := catalog.Builtin().Serving(importPath); name != "" {
				return "run: lockgen add " + lock.ProtosPrefix + name
			}
			return ""
		},
	}
	m, lockName, err := read()
	if m == nil || err != nil {
		return o, err
	}
	o.Buckify = m.Buckify
	return o, o.locked(m, lockName, around)
}

// locked finds the targets of the proto packages in plugins.toml. Each package
// must be locked, because its imports are recorded in the lock.
func (o *Options) locked(m *manifest.Manifest, lockName string, around *project.Project) error {
	if !slices.ContainsFunc(slices.Collect(maps.Keys(m.Plugins)), func(name string) bool { _, is := lock.ProtosName(name); return is }) {
		return nil
	}
	l, _, err := lock.Read(lockName)
	if err != nil {
		return err
	}
	labels := map[string][2]string{} // label and name, by import path
	for entry, versions := range l.Plugins {
		name, is := lock.ProtosName(entry)
		if !is {
			continue
		}
		for _, v := range versions {
			for folder, f := range v.Folders {
				label := m.Buckify.Packages + ":" + name
				if nameable(folder) {
					label += "[" + folder + "]"
				}
				for _, file := range f.Files {
					labels[path.Join(folder, file)] = [2]string{label, name}
				}
			}
		}
	}
	known := o.Packages.Hint
	o.Packages.Label = func(importPath string) (label, name string) { return labels[importPath][0], labels[importPath][1] }
	o.Packages.Hint = func(importPath string) string {
		name := lock.ProtosPrefix + catalog.Builtin().Serving(importPath)
		if m.Plugins[name] != nil && l.Plugins[name] == nil {
			return "run: lockgen update"
		}
		return known(importPath)
	}
	cell, folder, _ := strings.Cut(strings.TrimPrefix(m.Buckify.Packages, "@"), "//")
	o.Packages.Folder = folder
	o.Packages.Elsewhere = cell != "" && !slices.Contains(o.Cell, cell)
	if !o.Packages.Elsewhere {
		o.Packages.Lock, err = o.lockLabel(lockName, around)
		o.Packages.Elsewhere = o.Packages.Lock == ""
	}
	return err
}

// packageOf returns the path of a folder relative to the root of its cell, as
// labels write it; the root itself is "". ok is false if the folder is outside
// the cell.
func packageOf(root, dir string) (folder string, ok bool) {
	rel, err := filepath.Rel(root, dir)
	if err != nil || !filepath.IsLocal(rel) {
		return "", false
	}
	if rel == "." {
		rel = ""
	}
	return filepath.ToSlash(rel), true
}

// nameable reports whether Buck2 accepts a folder as the name of a sub-target.
func nameable(folder string) bool {
	return !strings.ContainsFunc(folder, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("_/.=,+-", r)
	})
}

// lockLabel returns the label with which a BUCK file of the cell loads the
// lock, or "" if no cell contains the lock.
func (o *Options) lockLabel(name string, around *project.Project) (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(files.Absolute(name)))
	if err != nil {
		return "", fault.Errorf(fault.Machine, fault.MachineHint(err), "looking for %s: %w", name, err)
	}
	c, err := around.CellOf(dir)
	if err != nil {
		return "", err
	}
	folder, ok := packageOf(c.Root, dir)
	if !ok {
		return "", nil
	}
	cell := ""
	if c.Root != o.Root {
		cell = "@" + c.Names[0]
	}
	return cell + "//" + folder + ":" + filepath.Base(name), nil
}
