// Package cargo runs the cargo of this machine: it resolves the closure of a
// crate from the user's registry, and compiles a plugin from verified crates
// without network.
package cargo

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

const noCrate = "check the name and the registry of cargo"

const (
	noCargo        = "install Rust with cargo 1.78 or later, or use another source of the plugin"
	noCargoLibrary = "install Rust with cargo 1.78 or later, or " + fault.Aside
)

// unusable returns the error for a cargo that cannot be used.
func unusable(format string, args ...any) error {
	return fault.ForLibrary(noCargoLibrary, fault.Errorf(fault.Machine, noCargo, format, args...))
}

// A Client is a cargo with its rustc. It is safe for concurrent use.
//
// Only [Client.Build] compiles. In all other methods cargo sees only the
// manifest of a crate and the names of its source files, so no code of a crate
// runs. Nothing in the user's settings is run either: cargo does not see them,
// see [reach].
type Client struct {
	cargo, rustc string
	version      string
	locked       string // NAME@VERSION in the lock; "" for that of the machine

	mu     sync.Mutex
	source string // see [Client.Source]

	rustcs atomic.Pointer[[]byte] // see [Client.remembering]

	stopsOnce sync.Once
	stopped   bool // see [Client.stops]
}

// Locked returns the cargo and rustc of a plugin in the lock, NAME@VERSION, which
// are in the folder of its executable. It accesses no file.
func Locked(executable, name, version string) *Client {
	exe := ""
	if strings.HasSuffix(executable, ".exe") {
		exe = ".exe"
	}
	bin := filepath.Dir(executable)
	return &Client{cargo: filepath.Join(bin, "cargo"+exe), rustc: filepath.Join(bin, "rustc"+exe), version: version, locked: name + "@" + version}
}

// Find returns the cargo on PATH, or the one behind rustup's proxy. If there is
// none, or it is older than 1.78, the error is of class [fault.Machine] and
// says what was found; if there is none, it also matches [fs.ErrNotExist].
func Find(ctx context.Context) (_ *Client, err error) {
	defer proc.AboutManagers(&err)
	c := &Client{}
	for _, name := range []string{"cargo", "rustc"} {
		found, err := exec.LookPath(name)
		if err == nil {
			found, err = filepath.Abs(found)
		}
		if err != nil {
			return nil, fault.ForLibrary(noCargoLibrary, fault.Missingf(fault.Machine, noCargo, "%s is not on PATH", name))
		}
		if name == "cargo" {
			c.cargo = found
		} else {
			c.rustc = found
		}
	}
	set := []string{"RUSTUP_AUTO_INSTALL=0"}
	if runtime.GOOS != "windows" && os.Getenv("HOME") == "" {
		// Without a home, in HOME or /etc/passwd, cargo cannot even print its
		// version.
		set = append(set, "CARGO_HOME="+filepath.Join(proc.Nowhere(), "nonexistent"))
	}
	ask := func(path string, args ...string) (string, error) {
		out, err := proc.Command{
			Name: path + " " + strings.Join(args, " "), Path: path, Args: args, Dir: proc.Nowhere(),
			Env: proc.AskEnv(set...), Timeout: time.Minute, Class: fault.Machine, Hint: noCargo, Library: noCargoLibrary,
		}.Run(ctx)
		return strings.TrimSpace(string(out)), err
	}
	sysroot, err := ask(c.rustc, "--print", "sysroot")
	if err != nil {
		return nil, err
	}
	exe := ""
	if runtime.GOOS == "windows" {
		exe = ".exe"
	}
	real := &Client{cargo: filepath.Join(sysroot, "bin", "cargo"+exe), rustc: filepath.Join(sysroot, "bin", "rustc"+exe)}
	if proc.IsFile(real.cargo) && proc.IsFile(real.rustc) {
		c = real
	}
	said, err := ask(c.cargo, "--version")
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(said)
	if len(fields) < 2 || fields[0] != "cargo" {
		return nil, unusable("%s reports the version %q", c.cargo, redact.Line(said))
	}
	c.version = fields[1]
	switch yes, ok := proc.Serves("cargo", c.version); {
	case !ok:
		return nil, unusable("%s reports the version %q", c.cargo, redact.Line(c.version))
	case !yes:
		return nil, unusable("%s has version %s; %s or later is needed", c.cargo, redact.Line(c.version), proc.LeastOf("cargo"))
	}
	return c, nil
}

// remembering runs cargo with the target folder target, in which it finds what rustc
// said in the runs before. Without that, each run starts rustc up to three times to ask
// for its version and the platform. cargo keeps the answers in a file of a target folder
// that exists, together with the rustc that gave them, and does not need the file.
func (c *Client) remembering(ctx context.Context, run proc.Command, target string) ([]byte, error) {
	file := filepath.Join(target, ".rustc_info.json")
	if err := os.MkdirAll(target, 0o700); err != nil {
		return nil, err
	}
	if known := c.rustcs.Load(); known != nil {
		if err := os.WriteFile(file, *known, 0o600); err != nil {
			return nil, err
		}
	}
	run.Env = append(slices.Clip(run.Env), "CARGO_TARGET_DIR="+target)
	out, err := run.Run(ctx)
	if said, err := os.ReadFile(file); err == nil && json.Valid(said) {
		c.rustcs.Store(&said)
	}
	return out, err
}

// Version returns the version of cargo.
func (c *Client) Version() string { return c.version }

// cargoEnv returns the environment for requests to a registry: of the user's
// variables, only those for reaching servers. Other settings are written to a
// file, see [reach]. An empty wrapper overrides that of a configuration file
// (https://doc.rust-lang.org/cargo/reference/environment-variables.html).
func cargoEnv(home string, set ...string) []string {
	return slices.Concat(proc.ReachEnv(home), cargoGuards, []string{"CARGO_HOME=" + home}, set)
}

var cargoGuards = []string{
	"RUSTC_WRAPPER=", "RUSTC_WORKSPACE_WRAPPER=", "CARGO_BUILD_RUSTC_WRAPPER=", "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER=",
	"CARGO_ENCODED_RUSTFLAGS=", "RUSTUP_AUTO_INSTALL=0",
	"CARGO_TERM_COLOR=never", "CARGO_TERM_PROGRESS_WHEN=never", "CARGO_TERM_QUIET=false", "CARGO_TERM_VERBOSE=false",
	// Otherwise the newest matching version depends on the rustc of this
	// machine.
	"CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS=allow",
}

// cargoHome returns the folder of the user's cargo configuration.
func cargoHome() string {
	if dir := os.Getenv("CARGO_HOME"); dir != "" {
		return dir
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".cargo")
	}
	return ""
}

// A Crate is one version of a crate in a registry.
type Crate struct {
	Name, Version string
	SHA256        string // of the .crate file, according to the index
	Yanked        bool   // withdrawn by its publisher
	// Released is when the registry received it, by the registry's clock; zero
	// if the index does not say.
	Released time.Time
}

// String returns NAME-VERSION, the name of the crate's file and folder.
func (c Crate) String() string { return c.Name + "-" + c.Version }

// A Source is the relevant content of a .crate file.
type Source struct {
	Crate
	Manifest []byte   // Cargo.toml
	Lockfile []byte   // Cargo.lock; nil if there is none
	Files    []string // slash-separated paths below the crate's folder
}

// An Index is the registry that the user's cargo uses, by default or by source
// replacement. It stores what it has read in its own folder until Close. It is
// not safe for concurrent use.
type Index struct {
	c       *Client
	scratch string // cargo's working directory and home
	reach   *cargoReach
	guard   *guard // nil for none
	index   string // where cargo stores what it read from the registry; "" before the first request
}

// Index opens registry, the URL of a sparse index, or else the registry that
// the user's cargo uses in dir, the folder of the manifest. Of the user's
// settings, only those count that say which registry that is and how to reach
// it, see [reach]. cargo itself runs in a folder of its own.
func (c *Client) Index(dir, registry string) (*Index, error) {
	r, err := reach(cmp.Or(dir, "."), registry)
	if err != nil {
		return nil, fault.About(fault.AboutSettings, err)
	}
	scratch, err := c.quietFolder(os.TempDir())
	if err != nil {
		return nil, err
	}
	x := &Index{c: c, scratch: scratch, reach: r}
	x.guard, err = startGuard(r.http)
	err = errors.Join(err,
		os.Mkdir(x.path("home"), 0o700),
		x.configure(),
		// We do not control the folders above scratch: without this, cargo
		// might find a workspace there.
		os.WriteFile(x.path("Cargo.toml"), []byte("[workspace]\nexclude = [\"root\", \"query\"]\n"), 0o600),
	)
	if err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

// configure writes the settings for cargo.
func (x *Index) configure() error {
	data, err := x.reach.config(x.guard)
	if err != nil {
		return err
	}
	return os.WriteFile(x.path("home", "config.toml"), data, 0o600)
}

// Close removes the folder of the index.
func (x *Index) Close() {
	x.guard.close()
	_ = os.RemoveAll(x.scratch)
}

func (x *Index) path(parts ...string) string {
	return filepath.Join(append([]string{x.scratch}, parts...)...)
}

// run runs cargo with these settings and a cargo home of our own.
func (x *Index) run(ctx context.Context, title, folder string, args ...string) error {
	args = append(args, "--manifest-path", x.path(folder, "Cargo.toml"))
	env := append(stopAt(x.scratch), "RUSTC="+x.c.rustc)
	if x.guard != nil {
		env = append(env, "NO_PROXY=", "no_proxy=") // the user has none
	}
	run := proc.Command{
		Name: "cargo " + args[0] + " for " + title, Path: x.c.cargo, Args: args, Dir: x.scratch,
		Env: cargoEnv(x.path("home"), env...), Timeout: 5 * time.Minute, Class: fault.Upstream,
		Hint: "check the network, and the registry, token and proxy in cargo's settings; then try again",
	}
	target := x.path("target")
	_, err := x.c.remembering(ctx, run, target)
	var exit *proc.ExitError
	switch {
	case !errors.As(err, &exit):
		return err
	case x.reach.index != "" && strings.Contains(exit.Raw, "that source is already defined by `crates-io`"):
		// It is cargo's own default, which cannot be defined again.
		x.reach.index = ""
		if err := x.configure(); err != nil {
			return err
		}
		_, err = x.c.remembering(ctx, run, target)
	case x.reach.token == "" && strings.Contains(exit.Raw, "no token found"):
		return x.reach.noToken()
	}
	if err != nil && x.reach.index != "" && !strings.Contains(err.Error(), "://") { // of some faults cargo does not say it
		err = fmt.Errorf("the registry %s: %w", redact.URL(x.reach.index), err)
	}
	return err
}

// Crate asks the registry for a crate, without its dependencies. If it does not
// exist, the error is of class [fault.Upstream], as for every error of the
// registry, and matches [fs.ErrNotExist].
func (x *Index) Crate(ctx context.Context, name, version string) (Crate, error) {
	if syntax.CheckVersion(version) != nil || strings.Count(version, ".") < 2 {
		return Crate{}, fault.Errorf(fault.Usage, "use an exact version with three numbers", "crate %s: %q is not a version in cargo's form", name, version)
	}
	all, err := x.Crates(ctx, []string{name})
	if err != nil {
		return Crate{}, err
	}
	versions := all[name]
	if versions == nil {
		return Crate{}, fault.Missingf(fault.Upstream, noCrate, "the registry has no crate %s, according to cargo", name)
	}
	found, ok := versions[version]
	if !ok {
		var near []string
		for v, c := range versions {
			if !c.Yanked {
				near = append(near, v)
			}
		}
		slices.SortFunc(near, lock.CompareVersions)
		return Crate{}, fault.Missingf(fault.Upstream, "use a version that the registry has",
			"the registry has no version %s of crate %s, but %s", version, name, redact.Line(strings.Join(near[max(0, len(near)-5):], ", ")))
	}
	return found, nil
}

// Crates asks the registry for all versions of some crates, in one run of
// cargo; the result is by name, then version. Crates that do not exist are left
// out. If cargo found none of them, its own error is returned.
func (x *Index) Crates(ctx context.Context, names []string) (map[string]map[string]Crate, error) {
	var query strings.Builder
	query.WriteString("[package]\nname = \"buck2-protobuf-query\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[workspace]\n\n[lib]\npath = \"lib.rs\"\n\n[dependencies]\n")
	for i, name := range names {
		if !word(name) {
			return nil, fault.Errorf(fault.Usage, "correct the name", "%q is not the name of a crate", name)
		}
		// No version matches, so cargo does not look for dependencies.
		fmt.Fprintf(&query, "d%d = { package = %q, version = \"=0.0.0-none\" }\n", i, name)
	}
	if err := x.write("query", []byte(query.String()), []string{"lib.rs"}); err != nil {
		return nil, err
	}
	runErr := x.run(ctx, strings.Join(names[:min(3, len(names))], ", "), "query", "generate-lockfile")
	if errors.Is(runErr, context.Canceled) {
		return nil, runErr
	}
	// cargo reports only the first crate, but has read all of them by then.
	var exit *proc.ExitError
	read := errors.As(runErr, &exit) && (strings.Contains(exit.Raw, "failed to select a version") || strings.Contains(exit.Raw, "no matching package named"))
	found := map[string]map[string]Crate{}
	for _, name := range names {
		versions, err := x.entries(name)
		switch {
		case err == nil:
			found[name] = versions
		case !read:
			return nil, cmp.Or(runErr, err)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return found, nil
}

// write creates the folder of a package: its manifest, and its source files
// without content.
func (x *Index) write(folder string, manifest []byte, files []string) error {
	dir := x.path(folder)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return writeStub(dir, manifest, files)
}

func writeStub(dir string, manifest []byte, files []string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range files {
		if !strings.HasSuffix(name, ".rs") {
			continue
		}
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			if err := root.MkdirAll(name[:i], 0o700); err != nil {
				return err
			}
		}
		if err := root.WriteFile(name, nil, 0o600); err != nil {
			return err
		}
	}
	return root.WriteFile("Cargo.toml", manifest, 0o600)
}

// home finds the folder in which cargo stores what it read from the registry.
// It is the only one in the new cargo home after the first request, when no
// dependency has been requested yet.
func (x *Index) home() (string, error) {
	if x.index != "" {
		return x.index, nil
	}
	dirs, err := filepath.Glob(x.path("home", "registry", "index", "*", "config.json"))
	if err != nil || len(dirs) != 1 {
		return "", fault.Errorf(fault.Machine, "set [registries] cargo in plugins.toml to the URL of a sparse index",
			"cargo is configured with a git index, a folder or several registries (found %d), not with a sparse index", len(dirs))
	}
	x.index = filepath.Dir(dirs[0])
	return x.index, nil
}

// An indexEntry is the entry of an index for one version of a crate
// (https://doc.rust-lang.org/cargo/reference/registry-index.html#json-schema).
type indexEntry struct {
	Name   string `json:"name"`
	Vers   string `json:"vers"`
	Cksum  string `json:"cksum"`
	Yanked bool   `json:"yanked"`
	Time   string `json:"pubtime"`
	Deps   []struct {
		Name     string  `json:"name"`
		Registry *string `json:"registry"` // of another index
	} `json:"deps"`
}

// Page is where the index has a crate, and how it is asked for it. cargo takes
// much for a crate that is not there, 410 and 451, an empty answer, the page of a
// proxy or a login: who must know asks there.
func (x *Index) Page(name string) (address string, d *Downloads, err error) {
	home, err := x.home()
	if err != nil {
		return "", nil, err
	}
	if d, err = x.Downloads(); err != nil {
		return "", nil, err
	}
	index := strings.TrimPrefix(x.reach.index, "sparse+")
	if index == "" {
		// cargo's default is the root of a host, which the folder is named after.
		host := filepath.Base(home)
		if i := strings.LastIndexByte(host, '-'); i > 0 {
			host = host[:i]
		}
		index = "https://" + host + "/"
	}
	return index + indexPath(name), d, nil
}

// entries reads the versions of a crate.
func (x *Index) entries(name string) (map[string]Crate, error) {
	lines, err := x.lines(name)
	if err != nil {
		return nil, err
	}
	found := map[string]Crate{}
	for _, e := range lines {
		if err := syntax.CheckSHA256("cksum", e.Cksum); err != nil {
			return nil, fault.Errorf(fault.Upstream, "ask the operator of the registry", "the index entry of crate %s %s: %w", name, redact.Line(e.Vers), err)
		}
		released, err := time.Parse(time.RFC3339, e.Time)
		if err != nil {
			released = time.Time{}
		}
		found[e.Vers] = Crate{Name: e.Name, Version: e.Vers, SHA256: e.Cksum, Yanked: e.Yanked, Released: released.UTC()}
	}
	return found, nil
}

// headerAlone reports whether cargo stored a crate without versions. It does so
// for a response without any, such as a login page: a byte and a four-byte
// number for the format, and a version of the index that ends with NUL.
func headerAlone(data []byte) bool {
	const form = 1 + 4
	return len(data) > form && data[0] == 3 && bytes.IndexByte(data[form:], 0) == len(data)-form-1
}

// lines reads the versions of a crate from cargo's file: after a header, pairs
// of a version and its line of the index, each ending with NUL (cargo
// src/cargo/sources/registry/index/cache.rs).
func (x *Index) lines(name string) ([]indexEntry, error) {
	home, err := x.home()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(home, ".cache", filepath.FromSlash(indexPath(name))))
	if err != nil || headerAlone(data) {
		return nil, fault.Missingf(fault.Upstream, noCrate, "the index has no crate %s", name)
	}
	var found []indexEntry
	for part := range bytes.SplitSeq(data, []byte{0}) {
		if !bytes.HasPrefix(part, []byte("{")) {
			continue
		}
		var e indexEntry
		if err := json.Unmarshal(part, &e); err != nil {
			return nil, fault.Errorf(fault.Upstream, "ask the operator of the registry", "the index entry of crate %s: %w", name, err)
		}
		if e.Name == name {
			found = append(found, e)
		}
	}
	if len(found) == 0 {
		return nil, unusable("cargo %s stores its index in a format that this program does not know (crate %s)", redact.Line(x.c.version), name)
	}
	return found, nil
}

// indexPath returns the path of a crate in an index
// (https://doc.rust-lang.org/cargo/reference/registry-index.html#index-files).
func indexPath(name string) string {
	name = strings.ToLower(name)
	return indexPrefix(name) + "/" + name
}

func indexPrefix(name string) string {
	switch len(name) {
	case 1, 2:
		return fmt.Sprint(len(name))
	case 3:
		return "3/" + name[:1]
	}
	return name[:2] + "/" + name[2:4]
}

// Downloads describes how to download the .crate files of a registry.
type Downloads struct {
	Template   string            // of the URL, see [URL]
	Credential remote.Credential // for the registry; only sent there
	Way        remote.Way        // how to reach it
}

// Downloads describes how to download from this registry. It is known after the
// first [Index.Crate].
func (x *Index) Downloads() (*Downloads, error) {
	home, err := x.home()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(home, "config.json"))
	if err != nil {
		return nil, err
	}
	var config struct {
		DL   string `json:"dl"`
		Auth bool   `json:"auth-required"`
	}
	if err := json.Unmarshal(data, &config); err != nil || config.DL == "" {
		return nil, fault.Errorf(fault.Upstream, "check the address of the registry in [registries] cargo of plugins.toml, or ask its operator", "config.json of the index has no download URL")
	}
	d := &Downloads{Template: config.DL, Way: x.reach.way()}
	if config.Auth {
		if x.reach.token == "" {
			return nil, x.reach.noToken()
		}
		d.Credential = remote.Credential{Name: "the token of registry " + x.reach.name + " of cargo", Authorization: x.reach.token}
	}
	return d, nil
}

// URL fills in the "dl" template of an index
// (https://doc.rust-lang.org/cargo/reference/registry-index.html#index-configuration).
func URL(template string, c Crate) string {
	if !strings.Contains(template, "{") {
		return strings.TrimSuffix(template, "/") + "/" + url.PathEscape(c.Name) + "/" + url.PathEscape(c.Version) + "/download"
	}
	return strings.NewReplacer(
		"{crate}", c.Name,
		"{version}", url.PathEscape(c.Version),
		"{prefix}", indexPrefix(c.Name),
		"{lowerprefix}", strings.ToLower(indexPrefix(c.Name)),
		"{sha256-checksum}", c.SHA256,
	).Replace(template)
}

// Source returns the name of the default registry in a Cargo.lock, whatever
// replaces it. cargo writes it for a crate in a folder, without network.
func (c *Client) Source(ctx context.Context) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.source != "" {
		return c.source, nil
	}
	scratch, err := c.quietFolder(os.TempDir())
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	f := crateFolder(scratch)
	one := Crate{Name: "one", Version: "1.0.0", SHA256: strings.Repeat("0", 64)}
	stub := func(name, more string) []byte {
		return []byte("[package]\nname = \"" + name + "\"\nversion = \"1.0.0\"\nedition = \"2021\"\n[lib]\npath = \"lib.rs\"\n" + more)
	}
	err = errors.Join(
		f.prepare(),
		writeStub(f.at("locked", one.String()), stub("one", ""), []string{"lib.rs"}),
		f.vouch(one),
		writeStub(f.at("root"), stub("root", "[dependencies]\none = \"1\"\n"), []string{"lib.rs"}),
	)
	if err != nil {
		return "", err
	}
	_, err = c.remembering(ctx, proc.Command{
		Name: "cargo generate-lockfile", Path: c.cargo, Dir: scratch, Args: []string{"generate-lockfile", "--offline", "--manifest-path", f.at("root", "Cargo.toml")},
		Env: f.env(c), Timeout: 5 * time.Minute, Class: fault.Machine, Hint: noCargo, Library: noCargoLibrary,
	}, f.at("target"))
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(f.at("root", "Cargo.lock"))
	if err != nil {
		return "", err
	}
	packages, err := parseCargoLock(data)
	if err != nil {
		return "", err
	}
	for _, p := range packages {
		if p.Name == "one" {
			c.source = p.Source
		}
	}
	if c.source == "" {
		return "", unusable("cargo %s writes a Cargo.lock in a format that this program does not know", redact.Line(c.version))
	}
	return c.source, nil
}
