package cargo

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/internal/tomlscan"
)

// A Closure has what one platform needs to compile a crate.
type Closure struct {
	Crates  []Crate  // sorted, including the root
	Scripts []string // NAME-VERSION of those that run code during the build (a build script or a procedural macro), sorted
	// By says who made each of Scripts, according to the crate: its authors, or
	// else the URL of its repository. Crates that say neither are left out.
	By      map[string]string
	Bins    []string // names of the executables of the root, sorted
	Missing []string // features that the executable requires but the arguments do not enable
	// Rust is the oldest Rust that compiles all of Crates, as far as they say it, and
	// Newest the crate that needs it.
	Rust   string
	Newest Crate
}

// Closures has cargo determine, for each platform, the crates that the
// executable bin of root needs if that platform is both host and target: with
// normal and build dependencies and the features that args select (see
// [syntax.CheckFeatures]). Root, with its Cargo.lock, and the crates are those of
// [Index.Lock].
//
// It works offline, in an environment built from nothing. cargo gets manifests
// and names of files, so there is no code to run.
func (c *Client) Closures(ctx context.Context, root *Source, crates []*Source, args []string, bin string, platforms []lock.Platform) ([]*Closure, error) {
	if err := syntax.CheckFeatures(args); err != nil {
		return nil, err
	}
	f, byID, err := c.stubs(root, crates)
	if err != nil {
		return nil, err
	}
	defer f.remove()
	var found []*Closure
	for _, p := range platforms {
		closure, err := c.metadata(ctx, f, root, args, bin, p, byID, "--locked")
		if err != nil {
			return nil, err
		}
		found = append(found, closure)
	}
	return found, nil
}

// stubs makes a folder in which cargo finds root, with its Cargo.lock, and crates, as
// manifests and names of files. Known are all of them, by NAME-VERSION.
func (c *Client) stubs(root *Source, crates []*Source) (f crateFolder, known map[string]Crate, err error) {
	scratch, err := c.quietFolder(os.TempDir())
	if err != nil {
		return "", nil, err
	}
	f = crateFolder(scratch)
	defer func() {
		if err != nil {
			f.remove()
		}
	}()
	err = f.prepare()
	if err == nil {
		err = writeStub(f.at("root"), root.Manifest, root.Files)
	}
	if err == nil {
		err = os.WriteFile(f.at("root", "Cargo.lock"), root.Lockfile, 0o600)
	}
	known = map[string]Crate{root.String(): root.Crate}
	for _, crate := range crates {
		if err == nil {
			err = checkCrateManifest(crate)
		}
		if err == nil {
			err = writeStub(f.at("locked", crate.String()), crate.Manifest, crate.Files)
		}
		if err == nil {
			err = f.vouch(crate.Crate)
		}
		known[crate.String()] = crate.Crate
	}
	return f, known, err
}

// A crateFolder is a folder with a root crate in root and, for cargo instead of
// the registry, the available crates in locked/NAME-VERSION.
type crateFolder string

func (f crateFolder) at(parts ...string) string {
	return filepath.Join(append([]string{string(f)}, parts...)...)
}

func (f crateFolder) remove() { _ = os.RemoveAll(string(f)) }

// prepare writes what cargo reads besides crates. We do not control the folders
// above: without this, cargo might find a workspace there.
func (f crateFolder) prepare() error {
	config := fmt.Sprintf("[source.crates-io]\nreplace-with = \"locked\"\n[source.locked]\ndirectory = %q\n", f.at("locked"))
	return errors.Join(
		os.Mkdir(f.at("home"), 0o700), os.Mkdir(f.at("locked"), 0o700),
		os.WriteFile(f.at("home", "config.toml"), []byte(config), 0o600),
		os.WriteFile(f.at("Cargo.toml"), []byte("[workspace]\nexclude = [\"root\", \"locked\"]\n"), 0o600),
	)
}

// vouch writes the checksum of a crate in locked, as cargo expects. It lists no
// files, because we verify them ourselves.
func (f crateFolder) vouch(c Crate) error {
	return os.WriteFile(f.at("locked", c.String(), ".cargo-checksum.json"), fmt.Appendf(nil, `{"files":{},"package":%q}`, c.SHA256), 0o600)
}

// env returns the environment for cargo in the folder.
func (f crateFolder) env(c *Client, set ...string) []string {
	return append(append(append(proc.PrivateEnv(f.at("home")), cargoGuards...), "CARGO_HOME="+f.at("home"), "RUSTC="+c.rustc), append(stopAt(string(f)), set...)...)
}

// metadata runs cargo to find what bin needs on a platform.
func (c *Client) metadata(ctx context.Context, f crateFolder, root *Source, args []string, bin string, p lock.Platform, known map[string]Crate, more ...string) (*Closure, error) {
	out, err := c.runMetadata(ctx, f, root, args, p, more...)
	if err != nil {
		return nil, err
	}
	return parseMetadata(out, root, bin, known)
}

func (c *Client) runMetadata(ctx context.Context, f crateFolder, root *Source, args []string, p lock.Platform, more ...string) ([]byte, error) {
	run := proc.Command{
		Name: "cargo metadata for " + root.String() + " on " + p.Name, Path: c.cargo, Dir: string(f),
		Args: slices.Concat([]string{
			"metadata", "--format-version", "1", "--offline", "--filter-platform", p.RustTarget,
			"--manifest-path", f.at("root", "Cargo.toml"),
		}, args, more),
		Env: f.env(c), Limit: 64 << 20, Timeout: 5 * time.Minute, Class: fault.Upstream,
		Hint: fault.OtherPlugin, Library: fault.OtherLibrary,
	}
	return c.remembering(ctx, run, f.at("target"))
}

// metadata is the output of cargo metadata
// (https://doc.rust-lang.org/cargo/commands/cargo-metadata.html).
type metadata struct {
	Packages []*metadataPackage
	Resolve  struct {
		Root  string
		Nodes []*metadataNode
	}

	packages map[string]*metadataPackage // by ID
	nodes    map[string]*metadataNode    // likewise
}

type metadataPackage struct {
	ID, Name, Version, Source, Repository, Links string
	Rust                                         string `json:"rust_version"` // the oldest that compiles it, "" if it does not say
	Authors                                      []string
	Targets                                      []struct {
		Kind          []string
		Name, Edition string
		Path          string   `json:"src_path"`
		Required      []string `json:"required-features"`
	}
}

type metadataNode struct {
	ID       string
	Features []string
	Deps     []struct {
		Name, Pkg string
		Kinds     []struct{ Kind string } `json:"dep_kinds"`
	}
}

func decodeMetadata(data []byte) (*metadata, error) {
	m := &metadata{packages: map[string]*metadataPackage{}, nodes: map[string]*metadataNode{}}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, unusable("cargo metadata: %w", err)
	}
	for _, p := range m.Packages {
		m.packages[p.ID] = p
	}
	for _, n := range m.Resolve.Nodes {
		m.nodes[n.ID] = n
	}
	return m, nil
}

// walk calls visit for root and each package that it needs to be compiled, once.
func (m *metadata) walk(root *Source, known map[string]Crate, visit func(at *metadataPackage, crate Crate) error) error {
	seen := map[string]bool{}
	todo := []string{m.Resolve.Root}
	for len(todo) > 0 {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[id] {
			continue
		}
		seen[id] = true
		p, n := m.packages[id], m.nodes[id]
		if p == nil || n == nil {
			return notFromRegistry(root.String(), redact.Line(id)+" from outside its Cargo.lock")
		}
		crate, locked := known[p.Name+"-"+p.Version]
		switch {
		case !locked:
			return notFromRegistry(root.String(), redact.Line(p.Name)+" from outside its Cargo.lock")
		case id != m.Resolve.Root && !strings.HasPrefix(p.Source, "registry+") && !strings.HasPrefix(p.Source, "sparse+"):
			return notFromRegistry(root.String(), redact.Line(p.Name)+" from another source")
		}
		if err := visit(p, crate); err != nil {
			return err
		}
		for _, d := range n.Deps {
			for _, k := range d.Kinds {
				if k.Kind == "" || k.Kind == "build" {
					todo = append(todo, d.Pkg)
				}
			}
		}
	}
	return nil
}

// parseMetadata finds what bin needs in the output of cargo metadata.
func parseMetadata(data []byte, root *Source, bin string, known map[string]Crate) (*Closure, error) {
	m, err := decodeMetadata(data)
	if err != nil {
		return nil, err
	}
	closure := &Closure{By: map[string]string{}}
	err = m.walk(root, known, func(p *metadataPackage, crate Crate) error {
		closure.Crates = append(closure.Crates, crate)
		if lock.CompareVersions(p.Rust, closure.Rust) > 0 {
			closure.Rust, closure.Newest = p.Rust, crate
		}
		for _, t := range p.Targets {
			if slices.Contains(t.Kind, "custom-build") || slices.Contains(t.Kind, "proc-macro") {
				closure.Scripts = append(closure.Scripts, crate.String())
				if by := maker(p.Authors, p.Repository); by != "" {
					closure.By[crate.String()] = by
				}
			}
			if p.ID == m.Resolve.Root && slices.Contains(t.Kind, "bin") {
				closure.Bins = append(closure.Bins, t.Name)
				if t.Name == bin {
					for _, f := range t.Required {
						if !slices.Contains(m.nodes[p.ID].Features, f) {
							closure.Missing = append(closure.Missing, f)
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(closure.Crates, func(a, b Crate) int { return cmp.Compare(a.String(), b.String()) })
	slices.Sort(closure.Scripts)
	closure.Scripts = slices.Compact(closure.Scripts)
	slices.Sort(closure.Bins)
	return closure, nil
}

// maker returns who made a crate: its authors, without their e-mail addresses,
// or else its repository.
func maker(authors []string, repository string) string {
	var names []string
	for _, a := range authors {
		name, _, _ := strings.Cut(a, "<")
		names = append(names, strings.TrimSpace(name))
	}
	if names = slices.DeleteFunc(names, func(s string) bool { return s == "" }); len(names) == 0 {
		return redact.Line(redact.URL(repository))
	}
	return redact.Line(fault.List(names))
}

// Bins lists the names of the executables that a crate may have, sorted: those
// declared in its manifest, and those that cargo finds by file name
// (https://doc.rust-lang.org/cargo/reference/cargo-targets.html).
func Bins(crate *Source) ([]string, error) {
	var m struct {
		Package struct {
			Name     string `toml:"name"`
			Autobins *bool  `toml:"autobins"`
		} `toml:"package"`
		Bin []struct {
			Name string `toml:"name"`
		} `toml:"bin"`
	}
	if _, err := tomlscan.Decode(string(crate.Manifest), &m); err != nil {
		return nil, badManifest(crate, err)
	}
	names := map[string]bool{}
	for _, b := range m.Bin {
		names[b.Name] = true
	}
	if m.Package.Autobins == nil || *m.Package.Autobins {
		for _, file := range crate.Files {
			rest, inBin := strings.CutPrefix(file, "src/bin/")
			switch {
			case file == "src/main.rs":
				names[m.Package.Name] = true
			case inBin && strings.Count(rest, "/") == 0 && path.Ext(rest) == ".rs":
				names[strings.TrimSuffix(rest, ".rs")] = true
			case inBin && strings.Count(rest, "/") == 1 && strings.HasSuffix(rest, "/main.rs"):
				names[strings.TrimSuffix(rest, "/main.rs")] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names)), nil
}

func badManifest(crate *Source, err error) error {
	return fault.Errorf(fault.Integrity, "report it to the publisher", "Cargo.toml of crate %s: %s", crate, redact.Line(err.Error()))
}

// Check verifies that the Cargo.toml of a crate has the name and version under
// which the registry lists it.
func Check(crate *Source) error {
	var m struct {
		Package struct {
			Name    string `toml:"name"`
			Version string `toml:"version"`
		} `toml:"package"`
	}
	if _, err := tomlscan.Decode(string(crate.Manifest), &m); err != nil {
		return badManifest(crate, err)
	}
	if m.Package.Name != crate.Name || m.Package.Version != crate.Version {
		return fault.Errorf(fault.Integrity, "do not use it: ask the registry's operator and the publisher",
			"the Cargo.toml of crate %s says that it is %s-%s", crate, redact.Line(m.Package.Name), redact.Line(m.Package.Version))
	}
	return nil
}

// checkCrateManifest refuses, before cargo reads it, a manifest that would send
// cargo elsewhere than the registry: dependencies from git, a folder or another
// registry, patches, workspaces. Published crates have none of these.
func checkCrateManifest(crate *Source) error {
	var m map[string]any
	if _, err := tomlscan.Decode(string(crate.Manifest), &m); err != nil {
		return badManifest(crate, err)
	}
	for _, key := range []string{"patch", "replace", "workspace"} {
		if _, ok := m[key]; ok {
			return notFromRegistry(crate.String(), "["+key+"] in its Cargo.toml")
		}
	}
	if p, ok := m["package"].(map[string]any); ok {
		if _, ok := p["workspace"]; ok {
			return notFromRegistry(crate.String(), "a workspace")
		}
	}
	tables := []map[string]any{m}
	if targets, ok := m["target"].(map[string]any); ok {
		for _, name := range slices.Sorted(maps.Keys(targets)) {
			if t, ok := targets[name].(map[string]any); ok {
				tables = append(tables, t)
			}
		}
	}
	for _, t := range tables {
		for _, kind := range []string{"dependencies", "dev-dependencies", "dev_dependencies", "build-dependencies", "build_dependencies"} {
			deps, _ := t[kind].(map[string]any)
			for _, name := range slices.Sorted(maps.Keys(deps)) {
				d, _ := deps[name].(map[string]any)
				for _, from := range []string{"git", "path", "registry", "registry-index", "base", "workspace"} {
					if _, ok := d[from]; ok {
						return notFromRegistry(crate.String(), redact.Line(name)+" by "+from)
					}
				}
			}
		}
	}
	return nil
}

// withoutDevelopment returns a manifest without its development dependencies;
// ok is false if it has none.
func withoutDevelopment(manifest []byte) (slim []byte, ok bool) {
	var m map[string]any
	if _, err := tomlscan.Decode(string(manifest), &m); err != nil {
		return nil, false
	}
	drop := func(t map[string]any) {
		for _, key := range []string{"dev-dependencies", "dev_dependencies"} {
			if _, there := t[key]; there {
				delete(t, key)
				ok = true
			}
		}
	}
	drop(m)
	if targets, is := m["target"].(map[string]any); is {
		for _, t := range targets {
			if t, is := t.(map[string]any); is {
				drop(t)
			}
		}
	}
	var b bytes.Buffer
	if !ok || toml.NewEncoder(&b).Encode(m) != nil {
		return nil, false
	}
	return b.Bytes(), true
}
