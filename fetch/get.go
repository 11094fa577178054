package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// get installs a plugin if needed and prints the path of its executable.
func get(ctx context.Context, a *app, args []string) error {
	if len(args) != 1 || len(a.rest) > 0 {
		return fault.Errorf(fault.Usage, "fetch get NAME[@VERSION]", "get takes one plugin")
	}
	p, err := a.locate(ctx, args[0])
	if err != nil {
		return err
	}
	if a.opts.json {
		return a.ui.Data(p)
	}
	a.ui.Result("%s", p.Path)
	return nil
}

// exitStatus ends the program with the status of the plugin it ran.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// runPlugin installs a plugin if needed and becomes it.
func runPlugin(ctx context.Context, a *app, args []string) error {
	if len(args) != 1 {
		return fault.Errorf(fault.Usage, "fetch run NAME[@VERSION] -- ARGS...", "run takes one plugin, and its arguments after --")
	}
	p, err := a.locate(ctx, args[0])
	if err != nil {
		return err
	}
	a.close()
	return become(ctx, p.Path, a.rest)
}

// A place is an installed plugin; --json prints it.
type place struct {
	Plugin   string `json:"plugin"`
	Version  string `json:"version"`
	Platform string `json:"platform"`
	Path     string `json:"path"` // the executable
	Tree     string `json:"tree"` // the folder that holds it
	Include  string `json:"include,omitempty"`
}

// locate installs what spec names if needed. What was located before is found
// again by the times of a few files, without reading the lock.
func (a *app) locate(ctx context.Context, spec string) (*place, error) {
	if err := a.open(); err != nil {
		return nil, err
	}
	platform := a.opts.platform
	if platform == "" {
		platform = a.host.Name
	}
	lockPath, err := a.findLock()
	if err != nil {
		return nil, err
	}
	w := a.warm(lockPath, spec, platform)
	if p := w.load(); p != nil {
		return p, nil
	}
	before, unidentified := w.identify(lockPath)
	l, _, err := lock.Read(lockPath)
	if err != nil {
		return nil, err
	}
	if unidentified != nil {
		return nil, unidentified
	}
	if err := a.readManifest(lockPath); err != nil {
		return nil, err
	}
	name, version, _, err := l.Find(spec)
	if err != nil {
		return nil, err
	}
	p, depends, err := a.place(ctx, l.Entry(name, version), platform)
	if err != nil {
		return nil, err
	}
	w.save(before, p, depends)
	return p, nil
}

// place installs an entry for a platform and says where its executable is, and
// which files that rests on.
func (a *app) place(ctx context.Context, e *lock.Entry, platform string) (p *place, depends []string, err error) {
	dir, cell, err := a.tree(ctx, e, platform)
	if err != nil {
		return nil, nil, err
	}
	p = &place{Plugin: e.Name, Version: e.Version, Platform: platform, Tree: dir}
	p.Path = filepath.Join(dir, filepath.FromSlash(cell.Binary))
	if e.Locked.Include != "" {
		p.Include = filepath.Join(dir, filepath.FromSlash(e.Locked.Include))
	}
	depends = []string{p.Path}
	if e.Runtime == nil {
		return p, depends, nil
	}
	runtimeDir, runtimeCell, err := a.tree(ctx, e.Runtime, platform)
	if err != nil {
		return nil, nil, err
	}
	node := filepath.Join(runtimeDir, filepath.FromSlash(runtimeCell.Binary))
	launcher, err := a.launcher(cell, runtimeCell, node, p.Path)
	if err != nil {
		return nil, nil, err
	}
	p.Path = launcher
	return p, append(depends, node, launcher), nil
}

// launcher writes the program that starts main with its runtime and returns
// its path. It is named after the plugin's binary, as protoc expects.
func (a *app) launcher(cell, runtimeCell lock.Cell, node, main string) (string, error) {
	base := path.Base(cell.Binary)
	switch ext := path.Ext(base); ext {
	case ".js", ".cjs", ".mjs":
		base = strings.TrimSuffix(base, ext)
	}
	// What the user's shell says to node must not change what a plugin writes.
	text := "#!/bin/sh\nunset NODE_OPTIONS NODE_PATH\nexec " + shellQuote(node) + " " + shellQuote(main) + " \"$@\"\n"
	if a.host.OS == "windows" {
		base += ".cmd"
		text = "@echo off\r\nset NODE_OPTIONS=\r\nset NODE_PATH=\r\n\"" + node + "\" \"" + main + "\" %*\r\n"
	}
	name := filepath.Join(a.store.Dir(), "launchers", cell.Tree[:16]+"-"+runtimeCell.Tree[:16], base)
	old, err := os.ReadFile(name)
	if err == nil && string(old) == text {
		return name, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return name, writeFile(name, []byte(text), 0o755)
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// writeFile puts a file in place in one step.
func writeFile(name string, data []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if _, err = tmp.Write(data); err == nil {
		err = tmp.Chmod(mode)
	}
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}

// hostPlatform is lock.Host with an error for machines that no lock knows.
func hostPlatform() (lock.Platform, error) {
	p, ok := lock.Host()
	if !ok {
		return p, fault.Errorf(fault.Machine, "known platforms are "+strings.Join(lock.PlatformNames(), ", "),
			"this machine is %s/%s, for which no plugin is locked", runtime.GOOS, runtime.GOARCH)
	}
	return p, nil
}

// findLock returns the absolute path of the lock: --lock, else the nearest one
// in the working directory or above it.
func (a *app) findLock() (string, error) {
	name := a.opts.lock
	if name == "" {
		var err error
		if name, err = lock.FindLock("."); err != nil {
			return "", err
		}
	}
	return filepath.Abs(name)
}

// readManifest reads the [registries] of the manifest. Only one that was named
// with --manifest has to be there: fetch works from a lock alone.
func (a *app) readManifest(lockPath string) error {
	name := a.opts.manifest
	if name == "" {
		name = filepath.Join(filepath.Dir(lockPath), lock.ManifestName)
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			a.dir = filepath.Dir(lockPath)
			return nil
		}
	}
	m, _, err := lock.ReadManifest(name)
	if err != nil {
		return err
	}
	a.dir, a.registries, a.mirrors = filepath.Dir(name), m.Registries, m.Mirrors
	return nil
}
