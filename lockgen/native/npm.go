// Package native has the sources whose own clients resolve: npm, pip, cargo and Go.
// It decides what such a client would decide by looking at the machine.
package native

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/internal/origin"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/lockgen/executable"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/provenance"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// npmSource locks plugins from an npm registry. npm resolves once for all
// platforms; npmSource then applies os and cpu of each package, which npm would
// apply for this machine only.
type npmSource struct {
	*origin.NPM
	tool     *npm.Client
	listings once.Map[string, map[string]source.Record] // what the registry said of packages
	resolved once.Map[string, *npm.PackageLock]         // what npm resolved, by what it was asked
	cooldown func(w *plan.Want) *cooldown.Rule
	ignores  func(name string) bool // whether a package may have install scripts: none is run
}

// NewNPM returns the source of npm packages. tool is the npm that resolves, or nil
// if nothing is resolved. ignores reports whether a package may have install
// scripts.
func NewNPM(at *origin.NPM, tool *npm.Client, cooldown func(w *plan.Want) *cooldown.Rule, ignores func(name string) bool) source.Source {
	return &npmSource{NPM: at, tool: tool, cooldown: cooldown, ignores: ignores}
}

var (
	_ source.Ahead     = (*npmSource)(nil)
	_ source.Finisher  = (*npmSource)(nil)
	_ source.Packager  = (*npmSource)(nil)
	_ source.Describer = (*npmSource)(nil)
)

func (s *npmSource) Resolve(ctx context.Context, w *plan.Want, platforms []lock.Platform) (*source.Resolution, error) {
	version := w.Upstream(w.Version)
	if strings.Count(version, ".") < 2 {
		return nil, fault.Errorf(fault.Usage, "write the exact version: "+version+strings.Repeat(".0", 2-strings.Count(version, ".")),
			"%q is a range to npm, whose versions have three numbers", version)
	}
	rule := s.cooldown(w)
	closure, err := s.closure(ctx, w, rule)
	if err != nil {
		return nil, err
	}
	own, ok := closure.Packages[w.PackageDir()]
	mine := closure.Under(w.PackageDir())
	if !ok || own.Version != version {
		return nil, fault.Errorf(fault.Upstream, "write the version as the registry has it", "npm resolved %s %s to version %q", w.From.Name, version, own.Version)
	}
	for _, d := range closure.Dropped {
		if !mine[d.Parent] {
			continue
		}
		return nil, fault.Errorf(fault.Upstream, "use another version, or ask the operator of the registry for the package",
			"npm left out the optional package %s@%s of %s: the registry does not have it", d.Name, d.Spec, d.Parent)
	}
	res := &source.Resolution{Missing: map[string]source.Missing{}}
	for _, folder := range slices.Sorted(maps.Keys(closure.Packages)) {
		p := closure.Packages[folder]
		if w.Language != "" && !mine[folder] { // it is there for a runtime beside this one
			continue
		}
		a, err := s.artifact(folder, p)
		if err != nil {
			return nil, err
		}
		a.Aged, a.Released = rule != nil, p.Released
		for _, platform := range platforms {
			switch {
			case p.Supports(platform):
				a.Platforms = append(a.Platforms, platform.Name)
			case !p.Optional:
				reason := fmt.Sprintf("npm package %s %s does not support %s %s", p.Name, p.Version, platform.NodeOS, platform.NodeCPU)
				res.Missing[platform.Name] = source.Missing{Reason: reason, Err: unsupported(fault.Machine, reason)}
			}
		}
		if len(a.Platforms) > 0 {
			res.Artifacts = append(res.Artifacts, a)
			if p.HasInstallScript {
				res.Notes = append(res.Notes, fmt.Sprintf("%s: npm package %s has an install script, which is not run", w, a.Label))
			}
			if p.Deprecated != "" {
				res.Notes = append(res.Notes, fmt.Sprintf("%s: npm package %s is deprecated: %s", w, a.Label, p.Deprecated))
			}
		}
	}
	return res, nil
}

// ask runs npm to resolve w, once in a session. All runtimes of a language are
// resolved in one run, because they share a folder.
func (s *npmSource) ask(ctx context.Context, w *plan.Want, rule *cooldown.Rule) (*npm.PackageLock, error) {
	name, version := w.From.Name, w.Upstream(w.Version)
	var beside map[string]string
	if len(w.Beside) > 0 {
		all := w.Together()
		name, version, _ = strings.Cut(all[0], "==")
		beside = map[string]string{}
		for _, item := range all[1:] {
			other, its, _ := strings.Cut(item, "==")
			beside[other] = its
		}
	}
	return s.resolved.Do(fmt.Sprintf("%s %s %q %+v", name, version, beside, rule), func() (*npm.PackageLock, error) {
		return s.tool.Resolve(ctx, s, name, version, beside, rule)
	})
}

// Ahead implements [source.Ahead].
func (s *npmSource) Ahead(ctx context.Context, w *plan.Want) { _, _ = s.closure(ctx, w, s.cooldown(w)) }

// closure runs npm with the cooldown. If no version is old enough, it runs npm
// without it, so that the caller can say which package is too young.
func (s *npmSource) closure(ctx context.Context, w *plan.Want, rule *cooldown.Rule) (*npm.PackageLock, error) {
	closure, err := s.ask(ctx, w, rule)
	if rule == nil || err != nil && !errors.Is(err, fs.ErrNotExist) || err == nil && len(closure.Dropped) == 0 {
		return closure, err
	}
	open := *rule
	open.Before = time.Time{}
	other, otherErr := s.ask(ctx, w, &open)
	if otherErr == nil && (err != nil || len(other.Dropped) < len(closure.Dropped)) {
		return other, nil
	}
	return closure, err
}

// Document implements [npm.Registry].
func (s *npmSource) Document(ctx context.Context, name string, full bool) ([]byte, error) {
	registry, err := s.Registry(ctx, name)
	if err != nil {
		return nil, err
	}
	return s.Client.NPMDocument(ctx, registry, name, full)
}

// Versions makes one request, for the full document of the package.
func (s *npmSource) Versions(ctx context.Context, w *plan.Want) ([]plan.Release, error) {
	registry, err := s.Registry(ctx, w.From.Name)
	if err != nil {
		return nil, err
	}
	listed, latest, err := s.Client.NPMVersions(ctx, registry, w.From.Name)
	if err != nil {
		return nil, err
	}
	var releases []plan.Release
	for _, r := range listed {
		releases = append(releases, plan.Release{
			Version: r.Version, Released: r.Released, Yanked: r.Yanked, Deprecated: r.Deprecated,
			Early: latest != "" && plan.CompareVersions(lock.NPM, r.Version, latest) > 0,
		})
	}
	return releases, nil
}

// Upstream requests the packument of each package, several at a time.
func (s *npmSource) Upstream(ctx context.Context, _ *plan.Want, v *lock.Version) map[string]source.Answer {
	versions := source.Each(slices.Compact(slices.Sorted(source.Names(v))), func(name string) (map[string]source.Record, error) {
		return s.listings.Do(name, func() (map[string]source.Record, error) {
			registry, err := s.Registry(ctx, name)
			if err != nil {
				return nil, err
			}
			releases, _, err := s.Client.NPMVersions(ctx, registry, name)
			said := map[string]source.Record{}
			for _, r := range releases {
				said[r.Version] = source.Record{Digest: r.Digest, Yanked: r.Yanked, Deprecated: r.Deprecated}
			}
			return said, err
		})
	})
	answers := map[string]source.Answer{}
	for key, f := range v.Files {
		said := versions[f.Name]
		answers[key] = said.Answer(f.Version, "the registry no longer has version "+f.Version+" of "+f.Name, f.Integrity)
	}
	return answers
}

func (s *npmSource) Locked(_ *plan.Want, key string, f lock.File) (*source.Artifact, error) {
	return s.artifact(key, npm.LockedPackage{Name: f.Name, Version: f.Version, Integrity: f.Integrity, Bundled: f.Bundled})
}

// NPMPackage returns the artifact of a locked package whose bytes are already
// stored. It cannot be downloaded.
func NPMPackage(key string, f lock.File) (*source.Artifact, error) {
	return (&npmSource{ignores: func(string) bool { return true }}).Locked(nil, key, f)
}

func (s *npmSource) artifact(folder string, p npm.LockedPackage) (*source.Artifact, error) {
	label := p.Name + "@" + p.Version
	if p.HasInstallScript && !s.ignores(p.Name) {
		return nil, scriptError(p.Name, label, "an install script")
	}
	// npm's integrity field can have several digests, separated by spaces.
	digest := ""
	for _, one := range strings.Fields(p.Integrity) {
		if one, _, _ = strings.Cut(one, "?"); syntax.CheckSHA512("", one) == nil {
			digest = one
		}
	}
	if digest == "" {
		return nil, fault.Errorf(fault.Policy, "use another version",
			"the registry has no sha512 of npm package %s, only %q", label, p.Integrity)
	}
	if err := syntax.CheckShown(strings.Join(append([]string{folder}, p.Bundled...), " ")); err != nil {
		return nil, fault.Errorf(fault.Integrity, "use another version", "npm package %s: %w", label, err)
	}
	name, version := p.Name, p.Version
	a := &source.Artifact{
		Kind:     lock.NPM,
		Key:      folder,
		Label:    label,
		File:     lock.File{Name: p.Name, Version: p.Version, Integrity: digest, Bundled: p.Bundled},
		Identity: lock.KindOf(lock.NPM).Identity("", "", lock.File{Name: p.Name, Version: p.Version}),
		Digest:   digest,
		Get: func(ctx context.Context, in *store.Ingest) error {
			return s.Tarball(ctx, name, version, in)
		},
	}
	a.Keep = func(name string) int { // what may be a program
		if ext := path.Ext(name); ext == "" || ext == ".exe" || strings.HasPrefix(path.Base(name), "protoc") {
			return executable.HeadSize
		}
		return 0
	}
	a.Attested = func(ctx context.Context, _ string) (source.Attestation, error) {
		from, body, err := s.Attestations(ctx, name, version, provenance.MaxSize)
		return source.Attested(from, body, err, provenance.OfList)
	}
	a.Verify = func(c *source.Content) error { return checkPackageJSON(name, version, s.ignores(name), c) }
	return a, nil
}

func scriptError(name, label, what string) error {
	hint := func(instead string) string {
		return fmt.Sprintf("scripts of packages are never run: %s; to lock it without the effect of the script, which the smoke run then tests, add to [policy] of plugins.toml: ignore-scripts = [%q]", instead, name)
	}
	return fault.ForLibrary(hint(fault.OtherLibrary), fault.Errorf(fault.Policy, hint("use another version or another source of this plugin such as its release asset"),
		"npm package %s has %s", label, what))
}

// unsupported returns the error for a platform that the publisher does not support.
func unsupported(class fault.Class, reason string) error {
	return fault.ForLibrary(fault.OtherLibrary, fault.Errorf(class, "use another version or another source, or write optional = true in the entry", "%s", reason))
}

// checkPackageJSON compares the package.json in a tarball with the one from the
// registry, and refuses install scripts unless they are ignored.
func checkPackageJSON(name, version string, ignored bool, c *source.Content) error {
	label := name + "@" + version
	if _, ok := c.Heads["package.json"]; !ok {
		return fault.Errorf(fault.Integrity, "report it to the publisher", "npm package %s has no package.json", label)
	}
	pkg, err := c.PackageJSON()
	if err != nil {
		return fault.Errorf(fault.Integrity, "report it to the publisher", "npm package %s: %w", label, err)
	}
	if pkg.Name != name || strings.TrimLeft(pkg.Version, "v=") != version {
		return fault.Errorf(fault.Integrity, "do not use it: ask the registry's operator and the publisher", "npm package %s says in its package.json that it is %s@%s", label, pkg.Name, pkg.Version)
	}
	if ignored {
		return nil
	}
	for _, script := range []string{"preinstall", "install", "postinstall"} {
		if _, ok := pkg.Scripts[script]; ok {
			return scriptError(name, label, "the script "+script)
		}
	}
	for _, f := range c.Files {
		if f.Path == "binding.gyp" {
			return scriptError(name, label, "a binding.gyp, which npm would compile")
		}
	}
	return nil
}

func (s *npmSource) Executable(w *plan.Want, p lock.Platform, tree source.Tree, contents map[string]*source.Content) (string, error) {
	if w.Language != "" {
		return "", nil
	}
	for _, template := range w.Requires {
		path := strings.ReplaceAll(template, "{napi}", catalog.NAPI(p))
		if _, ok := tree[path]; !ok {
			return "", &source.UnsupportedError{Reason: fmt.Sprintf("%s is not in it, only %s", path, tree.Under(path))}
		}
	}
	dir := w.PackageDir()
	if paths := w.Binaries(p); len(paths) > 0 {
		i := slices.IndexFunc(paths, func(name string) bool { _, ok := tree[name]; return ok })
		if i < 0 {
			return "", fault.Errorf(fault.Integrity, "correct binary of the entry", "there is no %s in it; there is %s", paths[0], tree.Under(paths[0]))
		}
		return paths[i], s.started(w, p, tree[paths[i]], contents)
	}
	pkg, err := contents[dir].PackageJSON()
	if err != nil {
		return "", err
	}
	bins, bin := pkg.Bins, w.BinName()
	if bins[bin] == "" {
		hint := "set binary in the entry to one of them"
		if len(bins) == 0 {
			hint = "this package is a library; ask for the one that holds the plugin"
		}
		return "", fault.Errorf(fault.Usage, hint, "npm package %s %s has no executable %q; it has %s",
			w.From.Name, w.Version, bin, fault.List(slices.Collect(maps.Keys(bins))))
	}
	file := dir + "/" + bins[bin]
	if _, ok := tree[file]; !ok {
		return "", fault.Errorf(fault.Integrity, "report it to the publisher", "npm package %s %s names %s as %s, but holds no such file; it holds %s",
			w.From.Name, w.Version, bins[bin], bin, tree.Under(file))
	}
	if !plan.TellsBin(file, bin) && syntax.CheckShown(file) == nil { // else no manifest can name it
		return "", fault.Errorf(fault.Usage, fmt.Sprintf("write: binary = %q", file),
			"the file of %s in npm package %s has another name, %s", bin, w.From.Name, bins[bin])
	}
	return file, s.started(w, p, tree[file], contents)
}

// started returns an error if neither the system nor the runtime can start the
// executable.
func (s *npmSource) started(w *plan.Want, p lock.Platform, f archive.File, contents map[string]*source.Content) error {
	head := headOf(f.Path, contents)
	switch {
	case executable.Native(head):
		if err := executable.Check(p, f.Path, head); err != nil {
			return err
		}
		if !f.Exec && p.OS != "windows" {
			return fault.Errorf(fault.Integrity, "report it to the publisher, or use another source", "%s is a program, but not marked as executable in its package", f.Path)
		}
	case w.RuntimeName == "":
		return fault.Errorf(fault.Usage, "write into the entry: runtime = \"node\"", "%s is not a program for %s: found %s", f.Path, p.Name, strings.Join(executable.What(head), ", "))
	}
	return nil
}

// headOf returns the first bytes of a file of the tree.
func headOf(file string, contents map[string]*source.Content) []byte {
	for folder, c := range contents {
		if rest, ok := strings.CutPrefix(file, folder+"/"); ok && c.Heads[rest] != nil {
			return c.Heads[rest]
		}
	}
	return nil
}

// Finish removes the runtime from a plugin that is a native program. A plugin that
// is a program on one platform and a script on another is refused, because an entry
// has one way to be started.
func (s *npmSource) Finish(w *plan.Want, v *lock.Version, contents map[string]*source.Content) error {
	var programs, scripts []string
	for _, p := range lock.Platforms {
		cell := v.Platforms[p.Name]
		switch {
		case !cell.Locked():
		case executable.Native(headOf(cell.Binary, contents)):
			programs = append(programs, p.Name)
		default:
			scripts = append(scripts, p.Name)
		}
	}
	if len(programs) == 0 {
		return nil
	}
	if len(scripts) > 0 {
		return fault.Errorf(fault.Usage, "use another source, or lock it for some of the platforms", "npm package %s %s has a program for %s and a script for %s",
			w.From.Name, w.Version, strings.Join(programs, ", "), strings.Join(scripts, ", "))
	}
	v.Runtime = ""
	return nil
}

// Programs reads the executables from the document of the package.
func (s *npmSource) Programs(ctx context.Context, w *plan.Want, _ []lock.Platform) ([]source.Program, error) {
	text, err := s.Document(ctx, w.From.Name, false)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Versions map[string]struct{ Bin json.RawMessage }
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fault.Errorf(fault.Upstream, "ask the operator of the registry", "the document of npm package %s: %w", w.From.Name, err)
	}
	version, ok := doc.Versions[w.Version]
	if !ok {
		return nil, fault.Missingf(fault.Upstream, "use a version that the registry has", "the registry has no version %s of npm package %s", w.Version, w.From.Name)
	}
	var list []source.Program
	var one string
	bins := map[string]string{}
	if json.Unmarshal(version.Bin, &one) == nil && one != "" { // it has the name of the package
		bins[path.Base(w.From.Name)] = one
	} else if len(version.Bin) > 0 && json.Unmarshal(version.Bin, &bins) != nil {
		return nil, fault.Errorf(fault.Upstream, "report it to the publisher", "bin of npm package %s %s is neither a path nor a table of paths", w.From.Name, w.Version)
	}
	for name, file := range bins {
		binary := name
		if file = w.PackageDir() + path.Clean("/"+strings.ReplaceAll(file, `\`, "/")); !plan.TellsBin(file, name) && syntax.CheckShown(file) == nil {
			binary = file // see Executable
		}
		list = append(list, source.Program{Name: name, Binary: binary})
	}
	return list, nil
}

func (s *npmSource) Pack(ctx context.Context, w *plan.Want) (*source.Artifact, []string, error) {
	registry, err := s.Registry(ctx, w.From.Name)
	if err != nil {
		return nil, nil, err
	}
	releases, _, err := s.Client.NPMVersions(ctx, registry, w.From.Name)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range releases {
		if r.Version != w.Version {
			continue
		}
		a, err := s.artifact(w.PackageDir(), npm.LockedPackage{Name: w.From.Name, Version: r.Version, Integrity: r.Digest})
		var notes []string
		if r.Deprecated != "" {
			notes = append(notes, fmt.Sprintf("%s: npm package %s is deprecated: %s", w, w.From.Name, r.Deprecated))
		}
		return a, notes, err
	}
	return nil, nil, fault.Missingf(fault.Upstream, "check the version; for the available ones, run: lockgen outdated", "the registry has no version %s of npm package %s", w.Version, w.From.Name)
}
