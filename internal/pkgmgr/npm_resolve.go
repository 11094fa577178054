package pkgmgr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// A PackageLock is the closure of one npm package, for every platform at once.
type PackageLock struct {
	Packages map[string]LockedPackage // by folder, "node_modules/@bufbuild/protobuf"; bundled packages are part of their parent's file and not listed
	Dropped  []Dropped                // sorted by parent and name
}

// A LockedPackage is what npm wrote down of one package. Integrity is as the
// registry has it: of very old packages it may be sha1 or empty, and Resolved,
// the URL of the tarball, may hold credentials.
type LockedPackage struct {
	Name             string // which may differ from the folder's: an alias
	Version          string
	Resolved         string
	Integrity        string
	OS, CPU, Libc    []string // node's names, with ! for "not"; empty means all
	Bin              map[string]string
	Engines          map[string]string
	Optional         bool // an installation without it is a success to npm
	HasInstallScript bool
	Deprecated       string
	Released         time.Time // by the registry's clock; zero without a [Gate] or where the registry has none
}

// A Dropped is an optional dependency that npm left out of the closure without
// a word, as it does when the registry does not have it.
type Dropped struct {
	Parent string // folder of the package that asks for it
	Name   string
	Spec   string
}

// Resolve lets npm find the closure of a package at lock time. Version is an
// exact version or a range, of which npm takes the newest that fits. Dir is
// where the manifest lies: the user's own configuration applies, also that of
// the project there. Registries, by scope and "" for the default, goes before
// it and may be nil. Nothing is installed and no script or git is run.
//
// A package or version that the registry does not have is an [fs.ErrNotExist]
// of class Upstream, like every refusal of the registry; a dependency that
// comes from git, a URL or a file is an error of class Policy.
func (n *NPM) Resolve(ctx context.Context, dir string, registries map[string]string, name, version string) (*PackageLock, error) {
	return n.ResolveGated(ctx, dir, registries, name, version, nil)
}

// ResolveGated is Resolve behind a gate: the closure is of versions that it lets
// through, and says of each when it was released. Where they are too young for
// any closure the error is an [fs.ErrNotExist], too.
func (n *NPM) ResolveGated(ctx context.Context, dir string, registries map[string]string, name, version string, gate *Gate) (*PackageLock, error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	if name == "" || version == "" || strings.ContainsAny(version, ":/@") {
		return nil, fault.Errorf(fault.Usage, "write npm:NAME, and a version such as 1.2.3 or ^1.2", "npm package %q, version %q: expected a name and a version or a range", name, version)
	}
	scratch, err := os.MkdirTemp("", "buck2-protobuf-npm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	project, err := json.Marshal(map[string]any{
		"name": "tree", "version": "0.0.0", "private": true, "dependencies": map[string]string{name: version},
	})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(scratch, "package.json"), project, 0o600); err != nil {
		return nil, err
	}
	if err := n.copyProjectConfig(ctx, dir, scratch); err != nil {
		return nil, err
	}
	// In the environment and not among the arguments, which other users see.
	var env, names []string
	for _, scope := range slices.Sorted(maps.Keys(registries)) {
		key := "registry"
		if scope != "" {
			key = scope + ":registry"
		}
		names = append(names, key)
		env = append(env, "npm_config_"+key+"="+registries[scope])
	}
	title := "npm install --package-lock-only " + name + "@" + version
	run := n.user(title, scratch, fault.Upstream, []string{
		"install", "--package-lock-only", "--json", "--ignore-scripts",
		"--allow-git=none", "--allow-remote=none", "--allow-file=none", "--allow-directory=none",
		// What the user's configuration may say otherwise and must not here.
		"--package-lock", "--lockfile-version=3", "--omit-lockfile-registry-resolved=false", "--no-dry-run",
		"--no-global", "--no-force", "--workspaces=false", "--no-legacy-peer-deps", "--install-strategy=hoisted",
		"--include=prod", "--include=optional", "--include=peer", "--no-audit", "--no-fund",
	}, env...)
	run.env = append(userEnv(func(key string) bool { return npmVariable(key, names) }), env...)
	record := ""
	if gate != nil {
		if record, err = gate.npm(&run, scratch); err != nil {
			return nil, err
		}
	}
	out, err := run.run(ctx)
	if err != nil {
		return nil, explain(err, out, name, version)
	}
	data, err := os.ReadFile(filepath.Join(scratch, "package-lock.json"))
	if err != nil {
		return nil, fault.Errorf(fault.Machine, noNPM, "%s wrote no package-lock.json: %w", title, err)
	}
	closure, err := parsePackageLock(data)
	if err != nil || gate == nil {
		return closure, err
	}
	times, err := readRecord(record)
	if err != nil {
		return nil, err
	}
	for folder, p := range closure.Packages {
		p.Released = times[p.Name+"@"+p.Version]
		closure.Packages[folder] = p
	}
	return closure, nil
}

// npm puts the gate into a run of npm and returns the path of the record.
func (g *Gate) npm(run *command, scratch string) (record string, err error) {
	rule, record, err := g.file(scratch)
	if err != nil {
		return "", err
	}
	script := filepath.Join(scratch, "gate.cjs")
	if err := os.WriteFile(script, []byte(npmGate), 0o600); err != nil {
		return "", err
	}
	// With any date npm asks the registry for the documents that have times.
	run.args = append([]string{"--require", script}, append(run.args, "--before="+time.Now().AddDate(100, 0, 0).UTC().Format(time.RFC3339))...)
	run.env = append(run.env, "BUCK2_PROTOBUF_GATE="+rule)
	return record, nil
}

// copyProjectConfig gives the scratch project the .npmrc of the project that
// dir belongs to, which npm reads only from the project's own folder.
func (n *NPM) copyProjectConfig(ctx context.Context, dir, scratch string) error {
	if dir == "" {
		return nil
	}
	out, err := n.user("npm prefix", dir, fault.Machine, []string{"prefix"}).run(ctx)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), ".npmrc"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(scratch, ".npmrc"), data, 0o600)
}

// explain gives a failure of npm its class, by the code that npm prints.
func explain(err error, out []byte, name, version string) error {
	if !isExit(err) {
		return err
	}
	var said struct {
		Error struct{ Code, Summary, Detail string }
	}
	if json.Unmarshal(out, &said) != nil || said.Error.Code == "" {
		return err
	}
	what := said.Error.Code + ": " + clean(strings.TrimSpace(said.Error.Summary))
	switch said.Error.Code {
	case "E404":
		return fault.Errorf(fault.Upstream, "is the name right, and the registry? see: npm config get registry",
			"npm package %s@%s: %s: %w", name, version, what, fs.ErrNotExist)
	case "ETARGET", "ENOVERSIONS":
		return fault.Errorf(fault.Upstream, "see which there are: npm view "+name+" versions",
			"npm package %s@%s: %s: %w", name, version, what, fs.ErrNotExist)
	case "EALLOWGIT", "EALLOWREMOTE", "EALLOWFILE", "EALLOWDIRECTORY":
		return fault.Errorf(fault.Policy, "take another version or another source of this plugin",
			"npm package %s@%s has a dependency that is not from a registry: %s", name, version, what)
	}
	return fault.Errorf(fault.Upstream, "ask by hand: npm view "+name+"@"+version, "npm package %s@%s: %s", name, version, what)
}

// parsePackageLock reads a package-lock.json of version 3.
func parsePackageLock(data []byte) (*PackageLock, error) {
	type entry struct {
		Name                 string
		Version              string
		Resolved             string
		Integrity            string
		OS, CPU, Libc        texts
		Bin, Engines         table
		Dependencies         table
		OptionalDependencies table
		Optional             bool
		DevOptional          bool
		HasInstallScript     bool
		InBundle, Link       bool
		Deprecated           string
	}
	var file struct {
		LockfileVersion int
		Packages        map[string]entry
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fault.Errorf(fault.Machine, noNPM, "package-lock.json of npm: %w", err)
	}
	if file.LockfileVersion != 3 {
		return nil, fault.Errorf(fault.Machine, noNPM, "package-lock.json of npm has version %d, expected 3", file.LockfileVersion)
	}
	l := &PackageLock{Packages: map[string]LockedPackage{}}
	for _, folder := range slices.Sorted(maps.Keys(file.Packages)) {
		e := file.Packages[folder]
		for _, name := range slices.Sorted(maps.Keys(e.OptionalDependencies)) {
			if find(folder, name, func(p string) bool { _, ok := file.Packages[p]; return ok }) == "" {
				l.Dropped = append(l.Dropped, Dropped{Parent: folder, Name: name, Spec: e.OptionalDependencies[name]})
			}
		}
		if folder == "" {
			continue
		}
		_, last := split(folder)
		if e.Name == "" {
			e.Name = last
		}
		if e.InBundle {
			continue
		}
		if err := fromRegistry(e.Link, last != "", e.Resolved, e.Dependencies, e.OptionalDependencies); err != nil {
			return nil, fault.Errorf(fault.Policy, "take another version or another source of this plugin",
				"npm package %s@%s (%s): %w", e.Name, e.Version, folder, err)
		}
		l.Packages[folder] = LockedPackage{
			Name: e.Name, Version: e.Version, Resolved: e.Resolved, Integrity: e.Integrity,
			OS: e.OS, CPU: e.CPU, Libc: e.Libc, Bin: e.Bin, Engines: e.Engines,
			Optional: e.Optional || e.DevOptional, HasInstallScript: e.HasInstallScript, Deprecated: e.Deprecated,
		}
	}
	if len(l.Packages) == 0 {
		return nil, fault.Errorf(fault.Machine, noNPM, "package-lock.json of npm lists no package")
	}
	return l, nil
}

// fromRegistry refuses a package, and dependencies, that come from elsewhere.
func fromRegistry(link, folder bool, resolved string, dependencies ...table) error {
	scheme, _, _ := strings.Cut(resolved, ":")
	switch {
	case link || !folder:
		return errors.New("is a link to a folder, not a package of a registry")
	case resolved != "" && scheme != "https" && scheme != "http":
		return fmt.Errorf("comes from %s, not from a registry", clean(resolved))
	}
	for _, deps := range dependencies {
		for _, name := range slices.Sorted(maps.Keys(deps)) {
			spec, _ := strings.CutPrefix(deps[name], "npm:")
			// A range holds none of these; a scope of an alias begins with @.
			if at := strings.TrimPrefix(spec, "@"); strings.Contains(spec, ":") || strings.Contains(at, "/") && at == spec {
				return fmt.Errorf("depends on %s from %s, not from a registry", name, clean(deps[name]))
			}
		}
	}
	return nil
}

// find returns the folder where node finds a dependency of the package in a
// folder: in its own node_modules or in one around it; "" for nowhere.
func find(folder, name string, has func(string) bool) string {
	for {
		p := "node_modules/" + name
		if folder != "" {
			p = folder + "/" + p
		}
		if has(p) {
			return p
		}
		if folder == "" {
			return ""
		}
		folder, _ = split(folder)
	}
}

// texts is a list of strings that old packages give as one string.
type texts []string

func (t *texts) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// table is an object of strings; what is none (old packages have lists of
// engines) is empty.
type table map[string]string

func (t *table) UnmarshalJSON(data []byte) error {
	var m map[string]string
	if json.Unmarshal(data, &m) == nil {
		*t = m
	}
	return nil
}
