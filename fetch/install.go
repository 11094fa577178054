package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

var installVerb = &cli.Verb[app]{
	Name: "install", Short: "install one lock entry into a new folder (for Buck2 actions)",
	Long: `The folder contains exactly the locked tree, without launchers or metadata. It
is complete or it does not exist. fetch install reads neither lock nor manifest:
the files of --entry, --registries and --mirrors have all that it needs of them.`,
	Example: `fetch install --entry entry.json --out plugin
fetch install --entry entry.json --file protoc.zip=protoc.zip --out plugin`,
	JSON: true, Uses: installs[2:], Run: runInstall,
	Flags: func(f *pflag.FlagSet, a *app) {
		f.StringVar(&a.opts.entry, "entry", "", "the `FILE` with the lock entry, as JSON")
		f.StringVar(&a.opts.out, "out", "", "the `DIR` to create; it must be missing or empty")
		f.StringArrayVar(&a.opts.files, "file", nil, "a file that was downloaded already, by its key in the entry: `KEY=PATH`; may be repeated")
		f.StringVar(&a.opts.library, "library", "", "of a runtime: write the library `NAME`, a project of Python or the key of a file, into the file --out")
		f.StringArrayVar(&a.opts.with, "with", nil, "of a runtime of npm: the `FILE` with the entry of another one, whose packages go into the same folder; may be repeated")
		f.StringVar(&a.opts.registries, "registries", "", "the `FILE` with the [registries] of the manifest, as JSON")
		f.StringVar(&a.opts.mirrors, "mirrors", "", "the `FILE` with the mirrors of the manifest, as JSON")
	},
}

// runInstall installs one lock entry into one folder: exactly the locked tree, no
// launcher, no metadata. Buck2 actions call it.
func runInstall(ctx context.Context, a *app, _ []string) error {
	if a.opts.entry == "" || a.opts.out == "" {
		return fault.Errorf(fault.Usage, "", "install needs --entry and --out")
	}
	if err := a.open(); err != nil {
		return err
	}
	entries := make([]*lock.Entry, 1+len(a.opts.with))
	for i, name := range append([]string{a.opts.entry}, a.opts.with...) {
		data, err := input.File(name)
		if err != nil {
			return err
		}
		if entries[i], err = lock.ParseEntry(name, data); err != nil {
			return err
		}
	}
	e := entries[0]
	if err := a.readGiven(e); err != nil {
		return err
	}
	platform := a.opts.platform
	if platform == "" {
		platform = a.host.Name
	}
	var err error
	if a.dir, err = os.Getwd(); err != nil {
		return err
	}
	if err := vacant(a.opts.out); err != nil {
		return err
	}
	fill := func(dir string) (lock.Cell, error) { return a.installer.Copy(ctx, e, platform, dir) }
	if a.opts.library != "" {
		fill = func(file string) (lock.Cell, error) {
			return lock.Cell{}, a.installer.Library(ctx, e, platform, a.opts.library, file)
		}
	}
	if len(entries) > 1 {
		fill = func(dir string) (lock.Cell, error) {
			return lock.Cell{}, a.installer.Packages(ctx, entries, platform, dir)
		}
	}
	cell, err := publish(a.opts.out, fill)
	if err != nil {
		return err
	}
	for _, e := range entries {
		a.told(ctx, e)
	}
	if a.ui.JSON {
		return a.ui.Data(install.Program{Plugin: e.Name, Version: e.Version, Platform: platform, Tree: a.opts.out,
			Path: filepath.Join(a.opts.out, filepath.FromSlash(cell.Binary))})
	}
	return nil
}

// readGiven reads --file, --registries and --mirrors.
func (a *app) readGiven(e *lock.Entry) error {
	a.installer.Given = make(map[string]string)
	for _, arg := range a.opts.files {
		key, path, ok := strings.Cut(arg, "=")
		if !ok || path == "" {
			return fault.Errorf(fault.Usage, "write --file KEY=PATH", "--file %q has no path", arg)
		}
		if _, known := e.Locked.Files[key]; !known {
			return fault.Errorf(fault.Usage, "files are "+strings.Join(slices.Sorted(maps.Keys(e.Locked.Files)), ", "),
				"--file %q: %s has no such file", key, e)
		}
		a.installer.Given[key] = path
	}
	if err := readJSON(a.opts.registries, `{"npm": "https://…"}`, &a.registries); err != nil {
		return err
	}
	for kind := range a.registries {
		if !lock.KindOf(kind).Ecosystem {
			return fault.Errorf(fault.Usage, "use one of "+strings.Join(lock.Ecosystems(), ", "), "%s: no registry has the kind %q", a.opts.registries, kind)
		}
	}
	if err := readJSON(a.opts.mirrors, `[{"from": "*", "to": "oci://HOST/REPO"}]`, &a.mirrors); err != nil {
		return err
	}
	for _, m := range a.mirrors {
		if err := m.Check(); err != nil {
			return fmt.Errorf("%s: %w", a.opts.mirrors, err)
		}
	}
	return a.readFrom()
}

// readJSON reads the JSON file that a flag names; an empty name does nothing.
func readJSON(name, form string, v any) error {
	if name == "" {
		return nil
	}
	data, err := input.File(name)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fault.Errorf(fault.Usage, "write "+form, "%s: %w", name, err)
	}
	return nil
}

// vacant accepts an output folder that is missing or empty.
func vacant(out string) error {
	entries, err := os.ReadDir(out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fault.Errorf(fault.Machine, "name a new folder", "%w; it was not touched", err)
	case len(entries) > 0:
		return fault.Errorf(fault.Machine, "name a new folder, or remove this one yourself",
			"%s is not empty; nothing in it was touched", out)
	}
	return nil
}

// publish calls fill to create a folder, or a file, next to out and renames it, so that out is
// either complete or missing.
func publish(out string, fill func(dir string) (lock.Cell, error)) (cell lock.Cell, err error) {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return cell, err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(out), ".fetch-*")
	if err != nil {
		return cell, err
	}
	defer os.RemoveAll(tmp)
	staged := filepath.Join(tmp, "tree")
	if cell, err = fill(staged); err != nil {
		return cell, err
	}
	// Out may be an empty folder, nothing else, see vacant.
	if err := os.Remove(out); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cell, err
	}
	return cell, os.Rename(staged, out)
}
