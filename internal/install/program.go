package install

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// A Program is an installed plugin; --json prints it.
type Program struct {
	Plugin   string `json:"plugin"`
	Version  string `json:"version"`
	Platform string `json:"platform"`
	Path     string `json:"path"` // the executable
	Tree     string `json:"tree"` // the folder that holds it
	Include  string `json:"include,omitempty"`
}

// Program installs an entry for a platform and says where its executable is, and
// which files that rests on.
func (i *Installer) Program(ctx context.Context, e *lock.Entry, platform string) (p *Program, depends []string, err error) {
	dir, cell, err := i.Tree(ctx, e, platform)
	if err != nil {
		return nil, nil, err
	}
	p = &Program{Plugin: e.Name, Version: e.Version, Platform: platform, Tree: dir}
	p.Path = filepath.Join(dir, filepath.FromSlash(cell.Binary))
	if e.Locked.Include != "" {
		p.Include = filepath.Join(dir, filepath.FromSlash(e.Locked.Include))
	}
	depends = []string{p.Path}
	if e.Runtime == nil {
		return p, depends, nil
	}
	runtimeDir, runtimeCell, err := i.Tree(ctx, e.Runtime, platform)
	if err != nil {
		return nil, nil, err
	}
	node := filepath.Join(runtimeDir, filepath.FromSlash(runtimeCell.Binary))
	launcher, err := i.launcher(cell, runtimeCell, node, p.Path)
	if err != nil {
		return nil, nil, err
	}
	p.Path = launcher
	return p, append(depends, node, launcher), nil
}

// launcher writes the program that starts main with its runtime and returns
// its path. It is named after the plugin's binary, as protoc expects.
func (i *Installer) launcher(cell, runtimeCell lock.Cell, node, main string) (string, error) {
	base := path.Base(cell.Binary)
	switch ext := path.Ext(base); ext {
	case ".js", ".cjs", ".mjs":
		base = strings.TrimSuffix(base, ext)
	}
	// What the user's shell says to node must not change what a plugin writes.
	text := "#!/bin/sh\nunset NODE_OPTIONS NODE_PATH\nexec " + shellQuote(node) + " " + shellQuote(main) + " \"$@\"\n"
	if i.Host.OS == "windows" {
		base += ".cmd"
		text = "@echo off\r\nset NODE_OPTIONS=\r\nset NODE_PATH=\r\n\"" + node + "\" \"" + main + "\" %*\r\n"
	}
	name := filepath.Join(i.Store.Dir(), "launchers", cell.Tree[:16]+"-"+runtimeCell.Tree[:16], base)
	old, err := os.ReadFile(name)
	if err == nil && string(old) == text {
		return name, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return name, WriteFile(name, []byte(text), 0o755)
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// WriteFile puts a file in place in one step.
func WriteFile(name string, data []byte, mode fs.FileMode) error {
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
