package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// runEnv installs plugins and prints the line that puts their executables before
// everything else on PATH.
func runEnv(ctx context.Context, a *app, args []string) error {
	const synopsis = "fetch env [NAME[@VERSION]...] or fetch env --bundle NAME, with --shell sh, fish, powershell or cmd"
	if len(a.rest) > 0 || len(args) > 0 && a.opts.bundle != "" {
		return fault.Errorf(fault.Usage, synopsis, "env takes plugins or a bundle")
	}
	l, platform, shell, err := a.prepare()
	if err != nil {
		return err
	}
	switch {
	case a.opts.bundle != "":
		if args, err = a.bundle(ctx, a.opts.bundle); err != nil {
			return err
		}
	case len(args) == 0: // all that this platform has
		for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
			_, _, v, err := l.Find(name)
			if err != nil {
				return err
			}
			if _, _, err := v.Cell(platform); err != nil {
				a.ui.Say("without %s: %v", name, err)
				continue
			}
			args = append(args, name)
		}
	}
	if len(args) == 0 { // an empty folder on PATH would be the working directory
		return fault.Errorf(fault.Usage, "lock one: lockgen add NAME", "no plugin is locked for %s", platform)
	}
	programs, err := a.programs(ctx, l, args, platform)
	if err != nil {
		return err
	}
	line, err := pathLine(shell, folders(programs))
	if err != nil {
		return err
	}
	if a.opts.json {
		return a.ui.Data(struct {
			Shell    string             `json:"shell"`
			Line     string             `json:"line"`
			Folders  []string           `json:"folders"` // in the order of PATH
			Programs []*install.Program `json:"programs"`
		}{shell, line, folders(programs), programs})
	}
	a.ui.Result("%s", line)
	return nil
}

// prepare reads what a command needs that prints lines for a shell: the lock, the
// manifest, the platform and the shell.
func (a *app) prepare() (l *lock.Lock, platform, shell string, err error) {
	if err := a.open(); err != nil {
		return nil, "", "", err
	}
	lockPath, err := a.findLock()
	if err != nil {
		return nil, "", "", err
	}
	if l, _, err = lock.Read(lockPath); err != nil {
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

// programs installs several plugins at once. Two whose executables have one name
// are refused, for only one of them would be found.
func (a *app) programs(ctx context.Context, l *lock.Lock, specs []string, platform string) ([]*install.Program, error) {
	var entries []*lock.Entry
	for _, spec := range specs {
		name, version, _, err := l.Find(spec)
		if err != nil {
			return nil, err
		}
		same := func(e *lock.Entry) bool { return e.Name == name && e.Version == version }
		if !slices.ContainsFunc(entries, same) {
			entries = append(entries, l.Entry(name, version))
		}
	}
	programs := make([]*install.Program, len(entries))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i, e := range entries {
		g.Go(func() (err error) {
			programs[i], _, err = a.installer.Program(gctx, e, platform)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return programs, distinct(programs)
}

// distinct refuses two plugins whose executables have one name.
func distinct(programs []*install.Program) error {
	seen := map[string]*install.Program{}
	for _, p := range programs {
		base := strings.ToLower(filepath.Base(p.Path)) // as Windows and macOS find it
		for _, ext := range []string{".exe", ".cmd"} {
			base = strings.TrimSuffix(base, ext)
		}
		if other := seen[base]; other != nil {
			return fault.Errorf(fault.Usage, "name one of them only",
				"%s %s and %s %s both have an executable called %s", other.Plugin, other.Version, p.Plugin, p.Version, base)
		}
		seen[base] = p
	}
	return nil
}

// folders are those of the executables, each once, in the order of the plugins.
func folders(programs []*install.Program) []string {
	dirs := []string{}
	for _, p := range programs {
		if dir := filepath.Dir(p.Path); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// shells are those that pathLine can write for.
var shells = []string{"sh", "fish", "powershell", "cmd"}

// shell is the one that was asked for, else the one that is likely.
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
		return "", fault.Errorf(fault.Usage, "shells are "+strings.Join(shells, ", "), "shell %q is not known", shell)
	}
}

// pathLine is the line that puts folders before the others of PATH, in the
// language of a shell.
func pathLine(shell string, dirs []string) (string, error) {
	list := strings.Join(dirs, string(os.PathListSeparator))
	for _, dir := range dirs {
		if strings.ContainsRune(dir, os.PathListSeparator) || strings.ContainsAny(dir, "\r\n") || shell == "cmd" && strings.ContainsAny(dir, `%"!`) {
			return "", fault.Errorf(fault.Machine, "move the cache: set BUCK2_PROTOBUF_CACHE_DIR", "PATH of %s cannot hold the folder %q", shell, dir)
		}
	}
	switch shell {
	case "fish":
		quoted := make([]string, len(dirs))
		for i, dir := range dirs {
			quoted[i] = "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(dir) + "'"
		}
		return "set -gx PATH " + strings.Join(append(quoted, "$PATH"), " "), nil
	case "powershell":
		// Typographic quotes end a string there as well.
		quoted := strings.NewReplacer("'", "''", "‘", "‘‘", "’", "’’", "‚", "‚‚", "‛", "‛‛").Replace(list)
		return "$env:PATH = '" + quoted + string(os.PathListSeparator) + "' + $env:PATH", nil
	case "cmd":
		return `set "PATH=` + list + string(os.PathListSeparator) + `%PATH%"`, nil
	}
	return "export PATH='" + strings.ReplaceAll(list, "'", `'\''`) + `'":$PATH"`, nil
}
