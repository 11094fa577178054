package install

import (
	"context"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// A Program is an installed plugin, as printed by --json.
type Program struct {
	Plugin   string `json:"plugin"`
	Version  string `json:"version"`
	Platform string `json:"platform"`
	Path     string `json:"path"` // of the executable
	Tree     string `json:"tree"` // the folder with it
	Include  string `json:"include,omitempty"`
}

// Program installs an entry for a platform and returns its executable, and the
// other files that are used when it runs, besides its folder.
func (i *Installer) Program(ctx context.Context, e *lock.Entry, platform string) (p *Program, depends []string, err error) {
	if name, ok := lock.ProtosName(e.Name); ok {
		return nil, nil, fault.Errorf(fault.Usage, "to get its files, run: fetch protos "+name, "%s is a proto package, not a program", name)
	}
	if _, name, ok := lock.RuntimeName(e.Name); ok {
		return nil, nil, fault.Errorf(fault.Usage, "Buck2 takes it for the code of LANGUAGE_proto_library; see docs/runtimes.md", "%s is a library, and no program", name)
	}
	// The runtime is installed at the same time. If both fail, the error is
	// that of the plugin.
	var runtimeDir string
	var runtimeCell lock.Cell
	var beside errgroup.Group
	rctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if _, _, err := e.Locked.Cell(platform); err == nil && e.Runtime != nil {
		beside.Go(func() (err error) {
			runtimeDir, runtimeCell, err = i.Tree(rctx, e.Runtime, platform)
			return err
		})
	}
	dir, cell, err := i.Tree(ctx, e, platform)
	if err != nil {
		cancel()
	}
	if rerr := beside.Wait(); err == nil {
		err = rerr
	}
	if err != nil {
		return nil, nil, err
	}
	p = &Program{Plugin: e.Name, Version: e.Version, Platform: platform, Tree: dir}
	p.Path = filepath.Join(dir, filepath.FromSlash(cell.Binary))
	if e.Locked.Include != "" {
		p.Include = filepath.Join(dir, filepath.FromSlash(e.Locked.Include))
	}
	depends = []string{p.Path}
	if len(e.Locked.Python) > 0 {
		locked := ""
		if e.Runtime != nil {
			locked = filepath.Join(runtimeDir, filepath.FromSlash(runtimeCell.Binary))
		}
		launcher, more, err := i.python(ctx, e, dir, cell, locked)
		p.Path = launcher
		return p, append(depends, more...), err
	}
	if e.Runtime == nil {
		if base, command := path.Base(cell.Binary), Command(e, cell); strings.TrimSuffix(base, ".exe") != command {
			launcher, err := i.launcher(path.Join(cell.Tree[:16]+"-"+base, command), nil, []string{p.Path})
			if err != nil {
				return nil, nil, err
			}
			p.Path = launcher
			depends = append(depends, launcher)
		}
		return p, depends, nil
	}
	if e.Locked.Main != "" {
		launcher, more, err := i.java(e, dir, platform, runtimeDir, runtimeCell)
		p.Path = launcher
		return p, append(depends, more...), err
	}
	node := filepath.Join(runtimeDir, filepath.FromSlash(runtimeCell.Binary))
	// The user's settings for node must not change the plugin's output.
	launcher, err := i.launcher(path.Join(cell.Tree[:16]+"-"+runtimeCell.Tree[:16], Command(e, cell)), nodeVariables, []string{node, p.Path})
	if err != nil {
		return nil, nil, err
	}
	p.Path = launcher
	return p, append(depends, node, launcher), nil
}

// nodeVariables would make node load, write or print something else (`node
// --help`, "Environment variables").
var nodeVariables = []string{
	"NODE_OPTIONS", "NODE_PATH", "NODE_REPL_EXTERNAL_MODULE", "NODE_PRESERVE_SYMLINKS", "NODE_PRESERVE_SYMLINKS_MAIN", "NODE_ICU_DATA", "OPENSSL_CONF",
	"NODE_V8_COVERAGE", "NODE_COMPILE_CACHE", "NODE_REDIRECT_WARNINGS", "NODE_TEST_CONTEXT", "NODE_DEBUG", "NODE_DEBUG_NATIVE", "NODE_PENDING_DEPRECATION",
}

// Command returns the name of the executable of an entry, as
// [Installer.Program] installs it: the name of its file without .exe, .cmd or
// .js, and without the platform that programs in npm packages have after the
// plugin's name.
func Command(e *lock.Entry, cell lock.Cell) string {
	base := path.Base(cell.Binary)
	if rest, ok := strings.CutPrefix(base, e.Name); ok && e.Runtime == nil && e.Locked.Kind().Folders && strings.HasPrefix(rest, "-") {
		return e.Name
	}
	switch ext := path.Ext(base); {
	case e.Locked.Program != "":
		return e.Locked.Program
	case ext == ".exe", e.Runtime != nil && (ext == ".js" || ext == ".cjs" || ext == ".mjs"):
		return strings.TrimSuffix(base, ext)
	}
	return base
}

// launcher writes a program that runs argv with its own arguments added and
// some environment variables removed, and returns its path: name below
// launchers.
func (i *Installer) launcher(name string, unset, argv []string) (string, error) {
	text := shLauncher(unset, argv)
	if i.Host.OS == "windows" {
		name += ".cmd"
		text = cmdLauncher(i.Store.Dir(), name, unset, argv)
	}
	return i.place("launchers/"+name, text, 0o755)
}

func shLauncher(unset, argv []string) string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n")
	if len(unset) > 0 {
		b.WriteString("unset " + strings.Join(unset, " ") + "\n")
	}
	b.WriteString("exec ")
	for _, arg := range argv {
		b.WriteString(shellQuote(arg) + " ")
	}
	b.WriteString("\"$@\"\n")
	return b.String()
}

// cmdLauncher returns a launcher for cmd.exe, which protoc starts by its path.
// Paths in the cache are relative to the launcher: cmd.exe reads the file in
// the machine's code page, which may lack letters of the user's name, and
// treats a % in a path as a variable. Quotes disable & and ^; ! is ordinary
// without delayed expansion. The launcher's status is that of its last command.
func cmdLauncher(cache, name string, unset, argv []string) string {
	var b strings.Builder
	b.WriteString("@echo off\r\nsetlocal DisableDelayedExpansion\r\n")
	for _, v := range unset {
		b.WriteString("set " + v + "=\r\n")
	}
	up := `%~dp0` + strings.Repeat(`..\`, 1+strings.Count(name, "/"))
	for _, arg := range argv {
		parts := strings.Split(arg, strings.TrimSuffix(cache, `\`)+`\`)
		for i := range parts {
			parts[i] = strings.ReplaceAll(parts[i], "%", "%%")
		}
		b.WriteString(`"` + strings.Join(parts, up) + `" `)
	}
	b.WriteString("%*\r\n")
	return b.String()
}

// place writes a file of the cache unless it is already right, and returns its
// path.
func (i *Installer) place(name, text string, mode fs.FileMode) (string, error) {
	file := filepath.Join(i.Store.Dir(), filepath.FromSlash(name))
	info, err := os.Lstat(file)
	if err == nil && info.Mode().IsRegular() && (i.Host.OS == "windows" || info.Mode()&mode == mode) {
		if old, err := os.ReadFile(file); err == nil && string(old) == text {
			return file, nil
		}
	}
	return file, i.Store.Put(name, mode, []byte(text))
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
