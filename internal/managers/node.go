// Package managers runs the package managers that can fill a folder in place of
// our own unpacker, with the same result: npm, pnpm, Yarn and bun for npm
// packages, pip and uv for wheels. They get nothing of the user's: their
// environment is built from nothing, with a private home, no network, no
// install scripts, and files that are already verified.
package managers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// A Tarball is a locked and verified npm package, with its destination.
type Tarball struct {
	Path      string // as in the lock: "node_modules/a/node_modules/@b/c"
	Name      string // of the package; it may differ from the folder's name
	Version   string //
	File      string // the tarball on this machine, under any name
	Integrity string // "sha512-…", which the managers verify themselves
	// Files lists the content of the tarball as strictly read: paths in the
	// tree, with executable bits, see [npm.PackageJSON].
	Files []archive.File
}

// A NodeManager is an npm, pnpm, Yarn or bun that can be run. They are
// interchangeable: all make the same folder from the same tarballs. It is safe
// for concurrent use.
type NodeManager struct {
	Name    string // one of [manifest.NodeManagers] except "none"
	Version string

	run []string // the program and its first arguments
}

// OfNPM returns an npm as a NodeManager.
func OfNPM(n *npm.Client) (*NodeManager, error) {
	if err := n.Check(); err != nil {
		return nil, err
	}
	version, err := n.Version()
	return &NodeManager{Name: "npm", Version: version, run: n.Program()}, err
}

// Install creates dir/node_modules from exactly these tarballs: without
// network, install scripts or the user's configuration, and for any platform.
// Dir must exist and be empty; after an error it is empty again.
//
// The folder has the same content as plain unpacking, with the executable bits
// of Files. The caller must compare it with the lock, since managers silently
// accept many errors.
//
// A tarball that does not match its integrity is an error of class
// [fault.Integrity] (Yarn 4 does not check); every other error of a manager is
// of class [fault.Machine].
//
// It works in the same way for all managers, and was tested to give the same
// folder with each: the manager gets a registry with these tarballs and without
// dependencies (see [tarballs]), and a package.json that requires each under
// its own alias, so there is nothing to resolve or to hoist. The folders of the
// aliases are then moved to their places; nothing else is used.
func (m *NodeManager) Install(ctx context.Context, dir string, pkgs []Tarball) (err error) {
	if dir, err = fresh(dir, m.Name); err != nil {
		return err
	}
	work := filepath.Join(dir, ".work")
	defer func() {
		remove := []string{work}
		if err != nil {
			remove = append(remove, filepath.Join(dir, "node_modules"))
		}
		for _, name := range remove {
			if e := os.RemoveAll(name); err == nil {
				err = e
			}
		}
	}()
	project, home := filepath.Join(work, "project"), filepath.Join(work, "home")
	for _, dir := range []string{project, filepath.Join(home, "empty")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	wanted, err := aliases(pkgs)
	if err != nil {
		return err
	}
	registry, err := proc.NewLoopback(newTarballs(pkgs).answer, nil)
	if err != nil {
		return err
	}
	defer registry.Close()
	run, err := m.prepare(registry.Base, project, home, wanted)
	if err != nil {
		return err
	}
	run.Name, run.Path, run.Args = m.Name+" install", m.run[0], slices.Concat(m.run[1:], run.Args)
	run.Dir, run.Env = project, append(proc.PrivateEnv(home), run.Env...)
	run.Offline, run.Serve, run.Class = true, registry, fault.Machine
	run.Hint = "use another manager, or none: BUCK2_PROTOBUF_DISABLE_PACKAGE_MANAGERS=1"
	_, err = run.Run(ctx)
	var exit *proc.ExitError
	if errors.As(err, &exit) && wrongBytes().MatchString(exit.Tail) {
		return fault.Errorf(fault.Integrity, "ask the registry again with: lockgen check --upstream; if it fails again, do not use the package", "%w", err)
	}
	if err != nil {
		return err
	}
	for i, p := range pkgs {
		from := filepath.Join(project, "node_modules", alias(i))
		if err := normalise(ctx, from, p); err != nil {
			return fmt.Errorf("npm package %s %s, installed by %s %s: %w", p.Name, p.Version, m.Name, m.Version, err)
		}
	}
	for _, i := range outerFirst(pkgs) {
		to := filepath.Join(dir, filepath.FromSlash(pkgs[i].Path))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(project, "node_modules", alias(i)), to); err != nil {
			return err
		}
	}
	return nil
}

// fresh returns the absolute path of a folder, which must exist and be empty.
func fresh(dir, manager string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty, but %s needs an empty folder", dir, manager)
	}
	return dir, err
}

// wrongBytes matches what the managers print about a tarball with another
// integrity.
var wrongBytes = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)EINTEGRITY|TARBALL_INTEGRITY|integrity\W+check`) })

func alias(i int) string { return "p" + strconv.Itoa(i) }

// aliases returns a package.json that requires each of the tarballs.
func aliases(pkgs []Tarball) ([]byte, error) {
	paths := map[string]bool{}
	wanted := map[string]string{}
	for i, p := range pkgs {
		if err := p.validate(); err != nil {
			return nil, err
		}
		if _, err := os.Stat(p.File); err != nil {
			return nil, err
		}
		if paths[p.Path] {
			return nil, fault.Errorf(fault.Lock, "run: lockgen update", "npm package folder %s appears twice", p.Path)
		}
		paths[p.Path] = true
		wanted[alias(i)] = "npm:" + p.Name + "@" + p.Version
	}
	for _, p := range pkgs {
		if parent, _ := npm.SplitPath(p.Path); parent != "" && !paths[parent] {
			return nil, fault.Errorf(fault.Lock, "run: lockgen update", "npm package folder %s is in %s, where no package is locked", p.Path, parent)
		}
	}
	return json.Marshal(map[string]any{"name": "tree", "version": "0.0.0", "private": true, "dependencies": wanted})
}

// outerFirst returns the indexes of the tarballs, each package before those
// inside it.
func outerFirst(pkgs []Tarball) []int {
	order := make([]int, len(pkgs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(pkgs[a].Path, pkgs[b].Path) })
	return order
}

// prepare writes the project and returns the manager's arguments and
// environment. There are no retries, since an error would repeat. Scripts are
// off for all managers; git is not needed, as no package has dependencies, and
// there is no PATH to find it on.
func (m *NodeManager) prepare(registry, project, home string, packageJSON []byte) (c proc.Command, err error) {
	files := map[string]string{filepath.Join(project, "package.json"): string(packageJSON)}
	cache := filepath.Join(home, "cache")
	switch m.Name {
	case "npm":
		c.Args = []string{
			"install", "--ignore-scripts", "--allow-git=none", "--bin-links=false", "--package-lock=false", "--min-release-age=0", "--fetch-retries=0",
			"--no-audit", "--no-fund", "--no-update-notifier", "--no-progress", "--logs-max=0", "--loglevel=error",
			// Otherwise npm searches the folders above for a project that has
			// this one as a workspace, and reads its .npmrc.
			"--workspaces=false",
		}
		// npm refuses the same file for both, even /dev/null.
		user, global := filepath.Join(home, "user"), filepath.Join(home, "global")
		files[user], files[global] = "", ""
		c.Env = []string{
			"npm_config_userconfig=" + user, "npm_config_globalconfig=" + global,
			"npm_config_cache=" + cache, "npm_config_registry=" + registry + "/",
		}
	case "pnpm":
		c.Args = []string{
			"install", "--ignore-scripts", "--ignore-workspace", "--ignore-pnpmfile", "--no-lockfile", "--reporter=append-only",
			"--config.node-linker=hoisted", "--config.package-import-method=copy", "--config.minimum-release-age=0", "--config.fetch-retries=0",
			"--config.registry=" + registry + "/", "--config.store-dir=" + filepath.Join(home, "store"), "--config.cache-dir=" + cache,
			"--config.engine-strict=false", "--config.side-effects-cache=false", "--config.manage-package-manager-versions=false",
		}
	case "yarn":
		if classic, _ := proc.AtLeast(m.Version, 2, 0); !classic {
			c.Args = []string{
				"install", "--no-default-rc", "--ignore-scripts", "--ignore-engines", "--ignore-platform", "--no-bin-links", "--no-lockfile",
				"--non-interactive", "--no-progress", "--silent", "--registry", registry, "--cache-folder", cache,
			}
			// Otherwise it obeys packageManager of a project above.
			c.Env = []string{"SKIP_YARN_COREPACK_CHECK=1"}
			break
		}
		c.Args = []string{"install", "--no-immutable"}
		c.Env = []string{
			// Ignore any .yarnrc.yml in the folders above.
			"YARN_RC_FILENAME=.locked.yml", "YARN_NODE_LINKER=node-modules", "YARN_ENABLE_SCRIPTS=false",
			"YARN_NPM_REGISTRY_SERVER=" + registry, "YARN_UNSAFE_HTTP_WHITELIST=127.0.0.1", "YARN_NPM_MINIMAL_AGE_GATE=0", "YARN_HTTP_RETRY=0",
			"YARN_ENABLE_TELEMETRY=0", "YARN_ENABLE_GLOBAL_CACHE=false", "YARN_CACHE_FOLDER=" + cache, "YARN_GLOBAL_FOLDER=" + filepath.Join(home, "global"),
			"YARN_HTTP_PROXY=", "YARN_HTTPS_PROXY=", "YARN_COMPRESSION_LEVEL=0", "YARN_IGNORE_PATH=1", "YARN_ENABLE_STRICT_SETTINGS=false",
		}
		files[filepath.Join(project, "yarn.lock")] = ""
	case "bun":
		c.Args = []string{
			"install", "--ignore-scripts", "--no-save", "--backend=copyfile", "--linker=hoisted", "--no-progress", "--no-summary",
			"--registry=" + registry + "/", "--cache-dir=" + cache, "--minimum-release-age=0",
		}
		c.Env = []string{"BUN_CONFIG_REGISTRY=" + registry + "/", "BUN_INSTALL_CACHE_DIR=" + cache, "BUN_CONFIG_HTTP_RETRY_COUNT=0"}
	}
	c.Env = append(c.Env, "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1", "CI=1")
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return c, err
		}
	}
	return c, nil
}

// normalise undoes what managers change in the folder of a package. npm renames
// .gitignore to .npmignore, or drops it if there is one already; Yarn 4 leaves
// out bundled packages; pnpm 9 removes the CR from the first line of an
// executable; some link executables below node_modules/.bin; and all set
// executable bits in their own way.
func normalise(ctx context.Context, dir string, p Tarball) error {
	if _, err := os.Stat(filepath.Join(dir, "package.json")); err != nil {
		return fault.Errorf(fault.Machine, "have fetch unpack it: --node-manager none", "the manager succeeded but left it out: %w", err)
	}
	t := normalizer{
		files: make(map[string]archive.File, len(p.Files)),
		drop: func(name string) bool {
			return path.Base(name) == ".npmignore" || strings.HasSuffix(name, "node_modules/.bin")
		},
		again: func(name string) bool {
			base := path.Base(name)
			return base == ".gitignore" || base == ".npmignore"
		},
		repair: func(name string, f archive.File) bool {
			return f.Exec || strings.HasPrefix(name, "node_modules/")
		},
		archives: []string{p.File},
		format:   archive.Options{Format: "tar.gz", StripTop: true},
	}
	for _, f := range p.Files {
		t.files[strings.TrimPrefix(f.Path, p.Path+"/")] = f
	}
	return t.run(ctx, dir)
}

func (p Tarball) validate() error {
	err := syntax.CheckPath(p.Path)
	parent, folder := npm.SplitPath(p.Path)
	switch {
	case err != nil:
	case folder == "" || (parent == "" && p.Path != "node_modules/"+folder) || strings.HasPrefix(folder, "."):
		err = fmt.Errorf("path %q is not of the form node_modules/NAME", p.Path)
	case syntax.CheckVersion(p.Version) != nil:
		err = syntax.CheckVersion(p.Version) // npm would accept a URL here
	case syntax.CheckPath("node_modules/"+p.Name) != nil || !npm.IsName(p.Name):
		err = fmt.Errorf("%q is not the name of an npm package", p.Name)
	default: // npm accepts one without integrity, or with sha1, unverified
		err = syntax.CheckSHA512("integrity", p.Integrity)
	}
	if err != nil {
		return fault.Errorf(fault.Lock, "run: lockgen update", "npm package %s %s: %w", p.Name, p.Version, err)
	}
	return nil
}
