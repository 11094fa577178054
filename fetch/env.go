package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

var envVerb = &cli.Verb[app]{
	Name: "env", Args: "[NAME[@VERSION]…]", Short: "install plugins, print the line that puts them on PATH",
	Long: `Without names, it sets PATH for the whole lock, except for plugins whose
executables have the same name. The folders of the executables come before
everything else on PATH.

For proto packages, named protos/NAME or as in the deps of a buf.yaml, the line
also sets PROTO_PATH to their folders and those of their imports: protoc -I.
-I"$PROTO_PATH" api.proto`,
	Example: `eval "$(fetch env)"
eval "$(fetch env protoc ts-proto@2.7.2)"
eval "$(fetch env protoc protos/googleapis)"
eval "$(fetch env --bundle typescript)"
fetch env --shell fish | source`,
	JSON: true, Uses: installs, Run: runEnv,
	Flags: func(f *pflag.FlagSet, a *app) {
		f.StringVar(&a.opts.bundle, "bundle", "", "the plugins of the bundle `NAME` of plugins.toml")
		shellFlag(f, a)
	},
}

// shellFlag adds --shell.
func shellFlag(f *pflag.FlagSet, a *app) {
	f.StringVar(&a.opts.shell, "shell", "", "the shell that evaluates the line; `SHELL` is sh, fish, powershell or cmd (default: this machine's)")
}

// runEnv installs plugins and prints the line that puts their executables at the
// front of PATH.
func runEnv(ctx context.Context, a *app, args []string) error {
	if len(args) > 0 && a.opts.bundle != "" {
		return fault.Errorf(fault.Usage, "", "env takes plugins or a bundle, not both")
	}
	l, platform, shell, err := a.prepare()
	if err != nil {
		return err
	}
	var protos []string
	switch {
	case a.opts.bundle != "":
		if args, err = a.bundle(ctx, a.opts.bundle); err == nil {
			args, protos, err = a.divide(l, args)
		}
	case len(args) == 0:
		args, protos = a.everything(l, platform), protoPackages(l)
	default:
		args, protos, err = a.divide(l, args)
	}
	if err != nil {
		return err
	}
	if len(args) == 0 && len(protos) == 0 { // an empty folder on PATH would be the working directory
		return fault.Errorf(fault.Usage, "lock one: lockgen add NAME", "no plugin is locked for %s", platform)
	}
	programs, err := a.programs(ctx, l, args, platform)
	if err != nil {
		return err
	}
	packages, err := a.packages(ctx, l, protos, platform)
	if err != nil {
		return err
	}
	imports := importFolders(packages, programs)
	line, err := envLine(shell, folders(programs), imports)
	if err != nil {
		return err
	}
	if a.ui.JSON {
		return a.ui.Data(struct {
			Shell     string             `json:"shell"`
			Line      string             `json:"line"`
			Folders   []string           `json:"folders"` // in the order of PATH
			Programs  []*install.Program `json:"programs"`
			ProtoPath []string           `json:"protoPath"`
			Packages  []*protoPackage    `json:"packages"`
		}{shell, line, folders(programs), programs, imports, packages})
	}
	return a.ui.Exact("PATH", line)
}

// divide divides names into those of plugins and those of proto packages, and adds to
// these what they import.
func (a *app) divide(l *lock.Lock, names []string) (plugins, protos []string, err error) {
	for _, name := range names {
		if strings.HasPrefix(name, lock.ProtosPrefix) || catalog.IsModule(name) {
			protos = append(protos, name)
		} else {
			plugins = append(plugins, name)
		}
	}
	if len(protos) > 0 {
		protos, err = a.protosOf(l, protos)
	}
	return plugins, protos, err
}

// A protoPackage is a proto package in the cache.
type protoPackage struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Path    string `json:"path"` // the folder from which its imports are counted
}

// packages installs proto packages.
func (a *app) packages(ctx context.Context, l *lock.Lock, names []string, platform string) ([]*protoPackage, error) {
	packages := []*protoPackage{}
	for _, name := range names {
		plugin, version, _, err := l.Find(lock.ProtosPrefix + name)
		if err != nil {
			return nil, err
		}
		e := l.Entry(plugin, version)
		dir, _, err := a.installer.Tree(ctx, e, platform)
		if err != nil {
			return nil, err
		}
		a.told(ctx, e)
		packages = append(packages, &protoPackage{name, version, dir})
	}
	return packages, nil
}

// importFolders returns the folders of proto packages and, if there are any, those of
// the well-known types, which come with protoc.
func importFolders(packages []*protoPackage, programs []*install.Program) []string {
	dirs := []string{}
	for _, p := range packages {
		dirs = append(dirs, p.Path)
	}
	for _, p := range programs {
		if len(packages) > 0 && p.Include != "" {
			dirs = append(dirs, p.Include)
		}
	}
	return dirs
}

// prepare reads the lock and the manifest and finds the platform and the shell, for
// a command that prints lines for a shell.
func (a *app) prepare() (l *lock.Lock, platform, shell string, err error) {
	if err := a.open(); err != nil {
		return nil, "", "", err
	}
	lockPath, err := a.findLock()
	if err != nil {
		return nil, "", "", err
	}
	if l, err = a.readLock(lockPath); err != nil {
		return nil, "", "", err
	}
	if err := a.readManifest(lockPath); err != nil {
		return nil, "", "", err
	}
	platform = a.opts.platform
	if platform == "" {
		platform = a.host.Name
	}
	shell, err = a.shell()
	return l, platform, shell, err
}

// everything returns all plugins of a platform. Plugins whose executables have the
// same name are left out, because neither takes precedence.
func (a *app) everything(l *lock.Lock, platform string) (names []string) {
	commands := map[string][]string{} // the plugins, by command
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		if _, protos := lock.ProtosName(name); protos {
			continue // no programs: see protosVerb
		}
		if _, _, runtime := lock.RuntimeName(name); runtime {
			continue
		}
		_, version, v, err := l.Find(name)
		if err == nil {
			var cell lock.Cell
			if cell, _, err = v.Cell(platform); err == nil {
				command := command(l.Entry(name, version), cell)
				commands[command] = append(commands[command], name)
			}
		}
		if err != nil {
			a.ui.Say("without %s: %v", name, err)
		}
	}
	for _, command := range slices.Sorted(maps.Keys(commands)) {
		if same := commands[command]; len(same) > 1 {
			a.ui.Say("without %s: each has an executable called %s; name the plugins that you want, with one of these: fetch env NAME..., or write them into a bundle: fetch env --bundle NAME", strings.Join(same, " and "), command)
			continue
		}
		names = append(names, commands[command]...)
	}
	slices.Sort(names)
	return names
}

// command returns the key that tells executables on PATH apart, as Windows and macOS
// do.
func command(e *lock.Entry, cell lock.Cell) string {
	return strings.ToLower(install.Command(e, cell))
}

// programs installs several plugins at once. It refuses two whose executables have
// the same name, because PATH would find only one of them.
func (a *app) programs(ctx context.Context, l *lock.Lock, specs []string, platform string) ([]*install.Program, error) {
	var entries []*lock.Entry
	seen := map[string]*lock.Entry{} // by command
	for _, spec := range specs {
		name, version, v, err := a.find(l, spec)
		if err != nil {
			return nil, err
		}
		same := func(e *lock.Entry) bool { return e.Name == name && e.Version == version }
		if slices.ContainsFunc(entries, same) {
			continue
		}
		e := l.Entry(name, version)
		entries = append(entries, e)
		cell, _, err := v.Cell(platform)
		if err != nil {
			continue // installing it reports the error
		}
		command := command(e, cell)
		if other := seen[command]; other != nil {
			return nil, fault.Errorf(fault.Usage, "name only one of them", "%s and %s both have an executable called %s", other, e, command)
		}
		seen[command] = e
	}
	programs := make([]*install.Program, len(entries))
	a.transfer.Plugins(len(entries))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i, e := range entries {
		g.Go(func() (err error) {
			if programs[i], _, err = a.installer.Program(gctx, e, platform); err != nil {
				return err
			}
			a.transfer.Ended()
			a.told(ctx, e)
			return nil
		})
	}
	return programs, g.Wait()
}

// folders returns the folders of the executables, each once, in the order of the
// plugins.
func folders(programs []*install.Program) []string {
	dirs := []string{}
	for _, p := range programs {
		if dir := filepath.Dir(p.Path); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// shells lists the shells that pathLine supports.
var shells = []string{"sh", "fish", "powershell", "cmd"}

// shell returns the shell of --shell, or the one that the user probably has.
func (a *app) shell() (string, error) {
	switch shell := a.opts.shell; {
	case shell == "" && a.host.OS == "windows":
		return "powershell", nil
	case shell == "" && a.loginShell == "fish":
		return "fish", nil
	case shell == "":
		return "sh", nil
	case slices.Contains(shells, shell):
		return shell, nil
	case shell == "bash" || shell == "zsh" || shell == "dash":
		return "sh", nil
	case shell == "pwsh":
		return "powershell", nil
	default:
		return "", fault.Errorf(fault.Usage, "shells are "+strings.Join(shells, ", "), "unknown shell %q", shell)
	}
}

// envLine returns the line that puts folders at the front of PATH, and others into
// PROTO_PATH, in the syntax of a shell; it leaves a variable alone for no folders.
func envLine(shell string, path, imports []string) (string, error) {
	var parts []string
	if len(path) > 0 {
		part, err := pathLine(shell, path)
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	if len(imports) > 0 {
		part, err := assignment(shell, "PROTO_PATH", imports, false)
		if err != nil {
			return "", err
		}
		parts = append(parts, part)
	}
	if shell == "cmd" {
		return strings.Join(parts, " & "), nil
	}
	return strings.Join(parts, "; "), nil
}

// pathLine returns the line that puts folders at the front of PATH, in the syntax
// of a shell.
func pathLine(shell string, dirs []string) (string, error) {
	return assignment(shell, "PATH", dirs, true)
}

// assignment sets a variable to a list of folders, in the syntax of a shell; with
// before they stand before what it has.
func assignment(shell, name string, dirs []string, before bool) (string, error) {
	const separator = string(os.PathListSeparator)
	list := strings.Join(dirs, separator)
	for _, dir := range dirs {
		if strings.ContainsRune(dir, os.PathListSeparator) || strings.ContainsAny(dir, "\r\n") || shell == "cmd" && strings.ContainsAny(dir, `%"!`) {
			return "", fault.Errorf(fault.Machine, "move the cache: set BUCK2_PROTOBUF_CACHE_DIR", "%s of %s cannot hold the folder %q", name, shell, dir)
		}
	}
	rest := func(text string) string {
		if before {
			return text
		}
		return ""
	}
	switch shell {
	case "fish":
		quoted := make([]string, len(dirs))
		for i, dir := range dirs {
			quoted[i] = "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(dir) + "'"
		}
		return "set -gx " + name + " " + strings.Join(quoted, " ") + rest(" $"+name), nil
	case "powershell":
		// Typographic quotes end a string there as well.
		quoted := strings.NewReplacer("'", "''", "‘", "‘‘", "’", "’’", "‚", "‚‚", "‛", "‛‛").Replace(list)
		return "$env:" + name + " = '" + quoted + rest(separator) + "'" + rest(" + $env:"+name), nil
	case "cmd":
		return `set "` + name + "=" + list + rest(separator+"%"+name+"%") + `"`, nil
	}
	return "export " + name + "='" + strings.ReplaceAll(list, "'", `'\''`) + "'" + rest(`":$`+name+`"`), nil
}
