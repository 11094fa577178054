package main

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/lockgen/buckify"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
	"github.com/birbparty/buck2-protobuf/lockgen/project"
)

var buckifyVerb = &cli.Verb[program]{
	Name: "buckify", Args: "[DIR…]", Short: "write and update the BUCK files of .proto files",
	Long: `Writes a proto_library for the .proto files of each directory, or for each file,
with deps from their imports, and the libraries of the languages in [buckify] of
plugins.toml. It reads the whole Buck2 cell and edits the BUCK files of all
folders, or of those in DIR. It uses no network.

An import from a proto package (lockgen help docs/protos.md) becomes a dep on
its target in //third-party/proto. If there is no BUCK file for it, one is
written.

It keeps what people wrote into a BUCK file: attributes, comments, order, and
everything with the comment # keep. It removes targets and entries of files that
no longer exist. A second run changes nothing. If there is an import without a
target, a cycle of targets or a BUCK file that does not parse, it reports file
and line, and writes nothing.

With --check it also writes nothing: if a run would change a BUCK file, it
prints the difference and the exit status is 3.

The page of the manual: lockgen help docs/buckify.md`,
	Example: `lockgen buckify
lockgen buckify services/shop
lockgen buckify --check`,
	JSON: true, Run: runBuckify,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.BoolVar(&p.check, "check", false, "write nothing; if a run would, print the differences and exit 3")
		dryRunFlag(f, p)
		f.BoolVar(&p.regroup, "regroup", false, "group files by granularity, even if targets group them differently")
	},
}

// buckifyMemory is the memory limit for the garbage collector, for trees with
// tens of thousands of files.
const buckifyMemory = 512 << 20

// runBuckify edits the BUCK files of a cell.
func runBuckify(ctx context.Context, p *program, args []string) error {
	if p.check && p.dryRun {
		return fault.Errorf(fault.Usage, "leave one of them out", "--check and --dry-run both write nothing")
	}
	debug.SetMemoryLimit(buckifyMemory)
	defer debug.SetMemoryLimit(memory)
	o, err := p.buckifyOptions(args)
	if err != nil {
		return err
	}
	unlock := func() {}
	if !p.check && !p.dryRun {
		if unlock, err = files.Exclusive(ctx, p.ui, filepath.Join(o.Root, ".buckconfig")); err != nil {
			return err
		}
	}
	defer unlock()
	r, err := buckify.Run(ctx, *o)
	if err != nil {
		return fault.About(fault.AboutBuckFiles, err)
	}
	if !p.ui.JSON {
		for _, w := range r.Warnings {
			p.ui.Warn("%s", w)
		}
		if n := len(r.Unpackaged); n > 0 {
			p.ui.Warn("%s without a package, whose names may be those of others: %s", plain.Count(n, ".proto file"), fault.List(r.Unpackaged))
		}
		for _, root := range r.Roots {
			p.ui.Detail("imports are also relative to %s: %s", root.Folder, root.Why)
		}
	}
	var writes []files.Write
	for _, e := range r.Edits {
		name := filepath.Join(o.Root, filepath.FromSlash(e.Path))
		if rel, err := filepath.Rel(files.Absolute("."), name); err == nil && filepath.IsLocal(rel) {
			name = rel
		}
		writes = append(writes, files.Write{Name: name, Before: e.Before, After: e.After})
	}
	result := map[string]any{
		"cell": o.Root, "files": r.Files, "targets": r.Targets, "changes": files.Changes(writes),
		"roots": orNone(r.Roots), "warnings": orNone(r.Warnings), "unpackaged": orNone(r.Unpackaged), "beyond": r.Beyond,
	}
	if p.check {
		return p.buckifyCheck(writes, result)
	}
	if !p.dryRun { // the proto packages may be the first files in their folder
		for _, w := range writes {
			if err := os.MkdirAll(filepath.Dir(w.Name), 0o755); err != nil {
				return fault.Errorf(fault.Machine, fault.MachineHint(err), "creating the folder of %s: %w", w.Name, err)
			}
		}
	}
	if err := files.Put(p.ui, p.dryRun, writes...); err != nil {
		return err
	}
	if p.ui.JSON {
		result["written"] = !p.dryRun
		return p.ui.Data(result)
	}
	what := plain.Count(r.Targets, "proto_library target") + " for " + plain.Count(r.Files, ".proto file")
	switch {
	case p.dryRun:
		p.ui.Say("%s of %s would change; nothing was written", plain.Count(len(writes), "BUCK file"), what)
	case len(writes) > 0:
		p.ui.Say("wrote %s: %s", plain.Count(len(writes), "BUCK file"), what)
	default:
		p.ui.Say("nothing changed: %s", what)
	}
	if r.Beyond > 0 {
		p.ui.Say("%s outside of %s would change as well; run: lockgen buckify", plain.Count(r.Beyond, "BUCK file"), strings.Join(args, ", "))
	}
	return nil
}

// orNone returns a list that JSON prints as [] if it is empty.
func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// buckifyCheck prints what would change, and fails if anything would.
func (p *program) buckifyCheck(writes []files.Write, result map[string]any) error {
	result["ok"] = len(writes) == 0
	if len(writes) == 0 {
		if p.ui.JSON {
			return p.ui.Data(result)
		}
		p.ui.Say("all BUCK files match their .proto files")
		return nil
	}
	if !p.ui.JSON {
		for _, w := range writes {
			p.ui.Result("%s", strings.TrimRight(files.Diff(w), "\n"))
		}
	}
	return p.refuse(result, fault.About(fault.AboutBuckFiles, fault.Errorf(fault.Lock, "run: lockgen buckify", "%s out of date", are(len(writes), "BUCK file"))))
}

// are returns "1 BUCK file is" or "2 BUCK files are".
func are(n int, noun string) string {
	if n == 1 {
		return plain.Count(n, noun) + " is"
	}
	return plain.Count(n, noun) + " are"
}

// buckifyOptions finds the cell, its settings, and those of plugins.toml.
func (p *program) buckifyOptions(args []string) (*buckify.Options, error) {
	at := "."
	if len(args) > 0 {
		at = args[0]
	}
	var dirs []string
	for _, dir := range append([]string{at}, args...) {
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
	o := &buckify.Options{Buckify: manifest.DefaultBuckify(), Root: c.Root, Cell: c.Names, BuildFiles: c.BuildFiles, Ignore: c.Ignore, Regroup: p.regroup}
	for i, dir := range dirs[1:] {
		of, err := around.CellOf(dir)
		if err != nil {
			return nil, err
		}
		rel, err := filepath.Rel(c.Root, dir)
		if err != nil || !filepath.IsLocal(rel) || of.Root != c.Root {
			return nil, fault.Errorf(fault.Usage, "run the command once for each cell", "%s is not in the cell of %s, which is %s", args[i], args[0], c.Root)
		}
		if rel = filepath.ToSlash(rel); rel == "." {
			rel = ""
		}
		o.Within = append(o.Within, rel)
	}
	o.Packages = &buckify.Packages{
		Label: func(string) (label, name string) { return "", "" },
		Hint: func(importPath string) string {
			if name := catalog.Builtin().Serving(importPath); name != "" {
				return "run: lockgen add " + lock.ProtosPrefix + name
			}
			return ""
		},
	}
	m, err := p.readManifest()
	if p.manifestGiven == "" && errors.Is(err, fs.ErrNotExist) {
		return o, nil // the defaults need no lock
	} else if err != nil {
		return nil, err
	}
	o.Buckify = m.Buckify
	return o, p.protoPackages(o, m, around)
}

// protoPackages finds the targets of the proto packages in plugins.toml. All of
// them must be locked, because the lock has their imports.
func (p *program) protoPackages(o *buckify.Options, m *manifest.Manifest, around *project.Project) error {
	if !slices.ContainsFunc(slices.Collect(maps.Keys(m.Plugins)), func(name string) bool { _, is := lock.ProtosName(name); return is }) {
		return nil
	}
	l, _, err := lock.Read(p.lock)
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
		o.Packages.Lock, err = lockLabel(p.lock, o, around)
		o.Packages.Elsewhere = o.Packages.Lock == ""
	}
	return err
}

// nameable reports whether Buck2 accepts a folder as the name of a sub-target.
func nameable(folder string) bool {
	return !strings.ContainsFunc(folder, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("_/.=,+-", r)
	})
}

// lockLabel returns the label with which a BUCK file of the cell loads the
// lock, or "" if no cell contains the lock.
func lockLabel(name string, o *buckify.Options, around *project.Project) (string, error) {
	dir, err := filepath.EvalSymlinks(filepath.Dir(files.Absolute(name)))
	if err != nil {
		return "", fault.Errorf(fault.Machine, fault.MachineHint(err), "looking for %s: %w", name, err)
	}
	c, err := around.CellOf(dir)
	if err != nil {
		return "", err
	}
	rel, err := filepath.Rel(c.Root, dir)
	if err != nil || !filepath.IsLocal(rel) {
		return "", nil
	}
	if rel = filepath.ToSlash(rel); rel == "." {
		rel = ""
	}
	cell := ""
	if c.Root != o.Root {
		cell = "@" + c.Names[0]
	}
	return cell + "//" + rel + ":" + filepath.Base(name), nil
}
