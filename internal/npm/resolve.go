package npm

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
)

// A PackageLock is the closure of one npm package for all platforms.
type PackageLock struct {
	Packages map[string]LockedPackage // by folder, "node_modules/@bufbuild/protobuf"; without what is bundled
	Dropped  []Dropped                // sorted by parent and name
}

// A LockedPackage combines what npm wrote about a package with what its
// registry says. Integrity is the registry's; for very old packages it may be
// sha1 or empty.
type LockedPackage struct {
	Name             string // differs from the folder's name for an alias
	Version          string
	Integrity        string
	OS, CPU, Libc    []string // in node's terms, with ! for "not"; empty means all
	Engines          map[string]string
	Bundled          []string // NAME@VERSION of the packages inside its file, sorted
	Needs            []string // folders of the packages that it finds its dependencies and peers in, sorted
	Optional         bool     // npm ignores it if it cannot be installed
	HasInstallScript bool
	Deprecated       string
	Released         time.Time // by the registry's clock; zero if unknown or without a [cooldown.Rule]
}

// Supports evaluates os, cpu and libc of a package as npm does: each lists what
// is allowed or, with an exclamation mark, what is not.
func (p LockedPackage) Supports(platform lock.Platform) bool {
	libc := ""
	if platform.OS == "linux" {
		libc = "glibc" // the platform linux means glibc
	}
	return allowed(p.OS, platform.NodeOS) && allowed(p.CPU, platform.NodeCPU) && (len(p.Libc) == 0 || libc != "" && allowed(p.Libc, libc))
}

func allowed(list []string, value string) bool {
	if len(list) == 0 || len(list) == 1 && list[0] == "any" {
		return true
	}
	negated := true
	for _, item := range list {
		if item == value {
			return true
		}
		if not, ok := strings.CutPrefix(item, "!"); ok {
			if not == value {
				return false
			}
		} else {
			negated = false
		}
	}
	return negated
}

// A Dropped is an optional dependency that npm silently left out of the
// closure, as it does if the registry does not have it.
type Dropped struct {
	Parent string // folder of the dependent package
	Name   string
	Spec   string
}

// Under returns the folders of a package and of everything that it needs, directly or
// not.
func (l *PackageLock) Under(folder string) map[string]bool {
	under := map[string]bool{}
	for next := []string{folder}; len(next) > 0; next = next[1:] {
		if p, ok := l.Packages[next[0]]; ok && !under[next[0]] {
			under[next[0]] = true
			next = append(next, p.Needs...)
		}
	}
	return under
}

// Resolve has npm find the closure of a package. Version is an exact version or
// a range, of which npm takes the newest one. With a rule, which may be nil,
// the closure only has versions that it allows, with their release times. Beside
// are other packages that lie in the same folder, with their versions, nil for none:
// the closure is that of all.
//
// npm does not run for an exact version that needs no other package. It runs
// without any of the user's settings and without network, except for
// the registry, which answers through this program. It installs nothing and
// runs no scripts, git or compilers.
//
// If the registry does not have the package or version, or it is too recent,
// the error is of class [fault.Upstream] and matches [fs.ErrNotExist]. Other
// errors of the registry are returned as they are. For a dependency from git, a
// URL or a file, the error is of class [fault.Policy] and names the dependent
// package; npm never sees that dependency. Packages whose peers contradict each
// other are refused with class [fault.Usage].
func (n *Client) Resolve(ctx context.Context, registry Registry, name, version string, beside map[string]string, rule *cooldown.Rule) (*PackageLock, error) {
	if err := n.Check(); err != nil {
		return nil, err
	}
	if !IsName(name) || version == "" || !fromRegistry(version) {
		return nil, fault.Errorf(fault.Usage, "write npm:NAME, and a version such as 1.2.3 or ^1.2", "npm package %q, version %q: expected a name and a version or a range", name, version)
	}
	scratch, err := os.MkdirTemp("", "buck2-protobuf-npm-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	all := map[string]string{name: version}
	maps.Copy(all, beside)
	project, err := json.Marshal(map[string]any{"name": "tree", "version": "0.0.0", "private": true, "dependencies": all})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(scratch, "package.json"), project, 0o600); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	up := newUpstream(ctx, registry, rule != nil, scratch)
	loop, err := proc.NewLoopback(up.answer, up.elsewhere)
	if err != nil {
		return nil, err
	}
	defer loop.Close()
	if err := up.has(loop.Base, name, version); err != nil { // npm need not start to learn that
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("npm package %s@%s: %w", name, version, err)
	}
	if len(beside) == 0 {
		if closure := up.lone(name, version, rule); closure != nil {
			up.complete(closure)
			return closure, nil
		}
	}
	title := "npm install --package-lock-only " + name + "@" + version
	run, err := n.sandboxed(title, scratch, loop, []string{
		// Remote dependencies are allowed because npm counts a tarball as one
		// when it must open it. Only the registry can be reached.
		"install", "--package-lock-only", "--json", "--ignore-scripts",
		"--allow-git=none", "--allow-file=none", "--allow-directory=none",
		// npm's defaults, since npm's own configuration file may change them.
		"--package-lock", "--lockfile-version=3", "--omit-lockfile-registry-resolved=false", "--no-dry-run",
		"--no-global", "--no-force", "--no-legacy-peer-deps", "--install-strategy=hoisted", "--fetch-retries=0",
		"--include=prod", "--include=optional", "--include=peer", "--no-audit", "--no-fund",
	})
	if err != nil {
		return nil, err
	}
	run.Class, run.Hint = fault.Upstream, ""
	record := ""
	if rule != nil {
		if record, err = addCooldown(rule, &run, scratch); err != nil {
			return nil, err
		}
	}
	out, err := run.Run(ctx)
	if err != nil {
		if why := up.verdict(err, nil); why != nil && ctx.Err() == nil {
			return nil, fmt.Errorf("npm package %s@%s: %w", name, version, why)
		}
		return nil, up.explain(err, out, loop.Base, name, version)
	}
	data, err := os.ReadFile(filepath.Join(scratch, "package-lock.json"))
	if err != nil {
		return nil, fault.Errorf(fault.Machine, noNPM, "%s wrote no package-lock.json: %w", title, err)
	}
	closure, err := parsePackageLock(data, loop.Base)
	if err == nil {
		err = up.verdict(nil, closure)
	}
	if err != nil {
		return nil, fmt.Errorf("npm package %s@%s: %w", name, version, err)
	}
	up.complete(closure)
	if rule == nil {
		return closure, nil
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

// addCooldown applies the rule to a run of npm and returns the path of the
// record.
func addCooldown(g *cooldown.Rule, run *proc.Command, scratch string) (record string, err error) {
	rule, record, err := cooldownFile(g, scratch)
	if err != nil {
		return "", err
	}
	script := filepath.Join(scratch, "cooldown.cjs")
	if err := os.WriteFile(script, []byte(npmCooldown), 0o600); err != nil {
		return "", err
	}
	// With any date, npm requests the documents that have times.
	run.Args = append([]string{"--require", script}, append(run.Args, "--before="+time.Now().AddDate(100, 0, 0).UTC().Format(time.RFC3339))...)
	run.Env = append(run.Env, "BUCK2_PROTOBUF_COOLDOWN="+rule)
	return record, nil
}

// explain classifies an error of npm by the code that npm prints.
func (u *upstream) explain(err error, out []byte, base, name, version string) error {
	if !proc.Exited(err) {
		return err
	}
	var said struct {
		Error struct{ Code, Summary, Detail string }
	}
	if json.Unmarshal(out, &said) != nil || said.Error.Code == "" {
		return err
	}
	summary := strings.ReplaceAll(strings.TrimSpace(said.Error.Summary), "GET "+base+"/", "")
	what := said.Error.Code + ": " + redact.Line(strings.ReplaceAll(summary, base, "the registry"))
	switch said.Error.Code {
	case "E404":
		for _, absent := range slices.Sorted(maps.Keys(u.absent)) {
			if strings.Contains(summary, strings.ReplaceAll(absent, "/", "%2f")) {
				return fmt.Errorf("npm package %s@%s: %w", name, version, u.absent[absent])
			}
		}
		return fault.Missingf(fault.Upstream, "check the name and the registry: npm config get registry",
			"npm package %s@%s: %s", name, version, what)
	case "ETARGET", "ENOVERSIONS":
		return fault.Missingf(fault.Upstream, "use a version that the registry has",
			"npm package %s@%s: %s", name, version, what)
	case "ERESOLVE":
		return fault.About(fault.AboutConflict, fault.Errorf(fault.Usage, "take versions that allow each other in this",
			"npm package %s@%s: %s%s", name, version, what, peers(said.Error.Detail)))
	case "EALLOWGIT", "EALLOWREMOTE", "EALLOWFILE", "EALLOWDIRECTORY", "EUNSUPPORTEDPROTOCOL":
		return fault.About(fault.AboutDirect, fault.Elsewheref(fault.Policy,
			"npm package %s@%s has a dependency that is not from a registry: %s", name, version, what))
	}
	return fault.Errorf(fault.Upstream, "check the registry: npm config get registry", "npm package %s@%s: %s", name, version, what)
}

// peers is what npm says of peers that contradict each other, in one line.
func peers(detail string) string {
	var lines []string
	for line := range strings.Lines(detail) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "Fix the upstream") || strings.HasPrefix(line, "this command with") {
			break
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return ": " + redact.Line(strings.Join(lines, "; "))
}

// A packageLock is what npm writes into a package-lock.json, by folder.
type packageLock struct {
	LockfileVersion int
	Packages        map[string]struct {
		Name                 string
		Version              string
		Resolved             string
		Integrity            string
		Dependencies         table
		OptionalDependencies table
		PeerDependencies     table
		Optional             bool
		DevOptional          bool
		HasInstallScript     bool
		InBundle, Link       bool
		Deprecated           string
	}
}

func (l *packageLock) has(folder string) bool { _, ok := l.Packages[folder]; return ok }

// needs lists the folders of the packages that the one in folder depends on, sorted.
func (l *packageLock) needs(folder string) []string {
	needed := map[string]bool{}
	for next := []string{folder}; len(next) > 0; next = next[1:] {
		e := l.Packages[next[0]]
		for _, deps := range []table{e.Dependencies, e.OptionalDependencies, e.PeerDependencies} {
			for name := range deps {
				found := find(next[0], name, l.has)
				if found == "" || needed[found] {
					continue
				}
				if needed[found] = true; l.Packages[found].InBundle { // part of a file that is listed
					next = append(next, found)
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(needed))
}

// parsePackageLock parses a package-lock.json of version 3. All its tarballs
// must be from the registry at base.
func parsePackageLock(data []byte, base string) (*PackageLock, error) {
	var file packageLock
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fault.Errorf(fault.Machine, noNPM, "package-lock.json of npm: %w", err)
	}
	if file.LockfileVersion != 3 {
		return nil, fault.Errorf(fault.Machine, noNPM, "package-lock.json of npm has version %d, expected 3", file.LockfileVersion)
	}
	l := &PackageLock{Packages: map[string]LockedPackage{}}
	for _, folder := range slices.Sorted(maps.Keys(file.Packages)) {
		e := file.Packages[folder]
		_, last := SplitPath(folder)
		if e.Name == "" {
			e.Name = last
		}
		label := e.Name + "@" + e.Version
		for _, deps := range []table{e.Dependencies, e.OptionalDependencies} {
			for _, name := range slices.Sorted(maps.Keys(deps)) {
				found := find(folder, name, file.has) != ""
				switch _, optional := e.OptionalDependencies[name]; {
				case !fromRegistry(deps[name]) && !(found && e.InBundle): // for a bundled dependency npm only looks into the tarball
					return nil, direct(label, name, deps[name])
				case !found && optional:
					l.Dropped = append(l.Dropped, Dropped{Parent: folder, Name: name, Spec: deps[name]})
				}
			}
		}
		if folder == "" || e.InBundle {
			continue
		}
		switch {
		case e.Link || last == "":
			return nil, fault.About(fault.AboutDirect, fault.Elsewheref(fault.Policy,
				"npm package %s (%s) is a link to a folder, not a package of a registry", label, folder))
		case e.Resolved != "" && !strings.HasPrefix(e.Resolved, base+"/"):
			return nil, fault.About(fault.AboutDirect, fault.Elsewheref(fault.Policy,
				"npm package %s (%s) comes from %s, not from a registry", label, folder, redact.Line(e.Resolved)))
		}
		l.Packages[folder] = LockedPackage{
			Name: e.Name, Version: e.Version, Integrity: e.Integrity, Needs: file.needs(folder),
			Optional: e.Optional || e.DevOptional, HasInstallScript: e.HasInstallScript, Deprecated: e.Deprecated,
		}
	}
	if len(l.Packages) == 0 {
		return nil, fault.Errorf(fault.Machine, noNPM, "package-lock.json of npm has no packages")
	}
	for folder, e := range file.Packages {
		if !e.InBundle {
			continue
		}
		owner, name := SplitPath(folder)
		if e.Name != "" {
			name = e.Name
		}
		for file.Packages[owner].InBundle {
			owner, _ = SplitPath(owner)
		}
		p := l.Packages[owner]
		p.Bundled = append(p.Bundled, name+"@"+e.Version)
		slices.Sort(p.Bundled)
		p.Bundled = slices.Compact(p.Bundled)
		l.Packages[owner] = p
	}
	return l, nil
}

// find returns the folder where node finds a dependency of the package in
// folder: in its own node_modules or one around it; "" if nowhere.
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
		folder, _ = SplitPath(folder)
	}
}

// texts is a list of strings. Old packages write a single string.
type texts []string

func (t *texts) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// table is an object of strings. Anything else is read as empty: old packages
// have lists of engines.
type table map[string]string

func (t *table) UnmarshalJSON(data []byte) error {
	var m map[string]string
	if json.Unmarshal(data, &m) == nil {
		*t = m
	}
	return nil
}
