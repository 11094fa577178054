package native

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/internal/origin"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/internal/wheel"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/provenance"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// pipSource locks plugins from a Python package index. pip resolves for each
// platform and interpreter; only wheels count.
type pipSource struct {
	*origin.Pip
	tool     *pip.Client
	listings once.Map[string, map[string]source.Record] // what the registry said of packages
	cooldown func(w *plan.Want) *cooldown.Rule
	needed   source.Needed

	mu    sync.Mutex
	asked once.Map[string, []pip.Closure] // what pip was asked: several plugins may be in one package
	pages map[string][]remote.IndexFile   // by project
	said  map[string][sha256.Size]byte    // the METADATA that the index gave of a wheel, by its name
}

// NewPip returns the source of wheels. tool resolves them.
func NewPip(at *origin.Pip, tool *pip.Client, cooldown func(w *plan.Want) *cooldown.Rule, needed source.Needed) source.Source {
	return &pipSource{Pip: at, tool: tool, cooldown: cooldown, needed: needed}
}

var (
	_ source.Finisher  = (*pipSource)(nil)
	_ source.Packager  = (*pipSource)(nil)
	_ source.Describer = (*pipSource)(nil)
)

func (s *pipSource) Resolve(ctx context.Context, w *plan.Want, platforms []lock.Platform) (*source.Resolution, error) {
	rule := s.cooldown(w)
	var targets []pip.Target
	for _, p := range platforms {
		for _, python := range w.Python {
			targets = append(targets, pip.Target{Platform: p, Python: python})
		}
	}
	within, apart, err := s.together(ctx, w, targets, rule)
	if err != nil {
		return nil, err
	}
	closures, err := s.report(ctx, s.requirement(w, targets, within), rule)
	if err != nil {
		return nil, err
	}
	for i := range apart { // it may be had, but not beside the others
		if closures[i].Err == nil && apart[i] != nil {
			closures[i].Err = apart[i]
		}
	}
	wheels := make([][][]pip.Wheel, len(platforms)) // by platform and interpreter
	errs := make([][]error, len(platforms))         // likewise
	var not []string                                // releases of Python that do not do
	for i := range platforms {
		for range w.Python {
			not = append(not, closures[0].Not...)
			wheels[i], errs[i] = append(wheels[i], closures[0].Wheels), append(errs[i], closures[0].Err)
			closures = closures[1:]
		}
	}
	res := &source.Resolution{Missing: map[string]source.Missing{}}
	if slices.Sort(not); len(not) > 0 {
		res.Notes = append(res.Notes, w.String()+" does not run on Python "+strings.Join(slices.Compact(not), ", ")+" and similar versions, according to Requires-Python; its launcher refuses them")
	}
	byKey := map[string]*source.Artifact{}
	fits := map[string]map[string][]string{} // the interpreters that a wheel is for, by platform
	absent := 0
	for i, p := range platforms {
		for _, err := range errs[i] {
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err // the index or pip, not the platform
			}
		}
		if j := slices.IndexFunc(errs[i], func(err error) bool { return err != nil }); j >= 0 {
			absent++
			res.Missing[p.Name] = s.missing(w, errs[i], j)
			continue
		}
		for j, list := range wheels[i] {
			for _, wheel := range list {
				a := byKey[wheel.Filename]
				if a == nil {
					a = s.artifact(w, wheel)
					a.Aged, a.Released = rule != nil, wheel.Released
					byKey[wheel.Filename] = a
					fits[wheel.Filename] = map[string][]string{}
					res.Artifacts = append(res.Artifacts, a)
					if wheel.Yanked {
						res.Notes = append(res.Notes, w.String()+": "+wheel.Filename+" was yanked by its publisher")
					}
				}
				if want := "sha256-" + source.Base64OfHex(wheel.SHA256); a.Digest != want {
					return nil, fault.Errorf(fault.Integrity, "ask the operator of the index", "the index has two digests for %s", wheel.Filename)
				}
				if !slices.Contains(a.Platforms, p.Name) {
					a.Platforms = append(a.Platforms, p.Name)
				}
				fits[wheel.Filename][p.Name] = append(fits[wheel.Filename][p.Name], w.Python[j])
			}
		}
	}
	if absent == len(platforms) {
		return nil, res.Missing[platforms[0].Name].Err
	}
	for _, a := range res.Artifacts {
		if err := s.interpreters(w, a, fits[a.Key]); err != nil {
			return nil, err
		}
	}
	return res, nil
}

// missing explains why a platform has no tree. errs[j] is the first of its errors.
func (s *pipSource) missing(w *plan.Want, errs []error, j int) source.Missing {
	reason := fmt.Sprintf("%s %s has no wheel for it", w.From.Name, w.Version)
	var without []string
	for i, err := range errs {
		if err != nil {
			without = append(without, w.Python[i])
		}
	}
	if !w.Interpreted() || len(without) == len(errs) {
		return source.Missing{Reason: reason, Err: errs[j]}
	}
	hint := "remove " + strings.Join(without, " and ") + " from python in plugins.toml, the interpreters that wheels are locked for"
	return source.Missing{Reason: reason + " and Python " + strings.Join(without, " and "), Err: fault.Errorf(fault.Usage, hint, "%w", errs[j])}
}

// interpreters records the interpreters that an artifact is for. They must be the
// same on every platform, because the lock has one list.
func (s *pipSource) interpreters(w *plan.Want, a *source.Artifact, fits map[string][]string) error {
	first := fits[a.Platforms[0]]
	for _, platform := range a.Platforms {
		if !slices.Equal(first, fits[platform]) {
			return fault.Errorf(fault.Usage, fmt.Sprintf("lock fewer interpreters: python = [%q]", first[0]),
				"%s is taken for Python %s on %s, and for %s on %s", a.Key, strings.Join(first, " and "), a.Platforms[0], strings.Join(fits[platform], " and "), platform)
		}
	}
	switch {
	case len(first) == len(w.Python):
	case w.Language != "":
		a.File.Python = first
	case !w.Interpreted():
		return fault.Errorf(fault.Usage, "give one interpreter in python = […]",
			"%s has other wheels for Python %s than for others (%s), and %s is no console script, so its tree is the same for all", w.From.Name, strings.Join(first, " and "), a.Key, w.Binary)
	default:
		a.File.Python = first
	}
	return nil
}

// A requirement is a pip requirement, with the want for which wheels are read.
type requirement struct {
	pip.Requirement
	w *plan.Want
}

func (s *pipSource) requirement(w *plan.Want, targets []pip.Target, within []string) requirement {
	return requirement{pip.Requirement{Package: w.From.Name, Version: w.Version, Targets: targets, Within: within}, w}
}

// report runs pip with the cooldown. If no version is old enough, it runs pip
// without it, so that the caller can say which package is too young.
func (s *pipSource) report(ctx context.Context, r requirement, rule *cooldown.Rule) ([]pip.Closure, error) {
	targets := r.Targets
	ask := func(targets []pip.Target, rule *cooldown.Rule) ([]pip.Closure, error) {
		r, of := r.Requirement, r.w
		r.Targets, r.Cooldown = targets, rule
		key := fmt.Sprintf("%s %s %q %q %v %+v", r.Package, r.Version, r.With, r.Within, targets, rule)
		return s.asked.Do(key, func() ([]pip.Closure, error) {
			var all sync.WaitGroup
			defer all.Wait()
			ahead := sync.OnceFunc(func() { all.Go(func() { s.ahead(ctx, of, targets) }) })
			metadata := s.metadata(of)
			return s.tool.Report(ctx, pip.Index{Files: s.files, Metadata: func(ctx context.Context, f remote.IndexFile) ([]byte, error) {
				if !f.Metadata {
					ahead()
				}
				return metadata(ctx, f)
			}}, r)
		})
	}
	said, err := ask(targets, rule)
	if err != nil || rule == nil {
		return said, err
	}
	closures := slices.Clone(said) // which others may ask for
	var at []int
	var shut []pip.Target
	for i, c := range closures {
		if errors.Is(c.Err, fs.ErrNotExist) {
			at, shut = append(at, i), append(shut, targets[i])
		}
	}
	if len(shut) == 0 {
		return closures, nil
	}
	open := *rule
	open.Before = time.Time{}
	if opened, err := ask(shut, &open); err == nil {
		for i, c := range opened {
			if c.Err == nil {
				closures[at[i]] = c
			}
		}
	}
	return closures, nil
}

// files returns the page of a project, and requests it at most once.
func (s *pipSource) files(ctx context.Context, project string) ([]remote.IndexFile, error) {
	project = syntax.NormalProject(project)
	s.mu.Lock()
	files, ok := s.pages[project]
	s.mu.Unlock()
	if ok {
		return files, nil
	}
	files, err := s.Client.PyPIFiles(ctx, s.Index, project)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pages == nil {
		s.pages = map[string][]remote.IndexFile{}
	}
	s.pages[project] = files
	return files, nil
}

// metadata returns a function that finds the METADATA of wheels that w may need:
// next to the wheel (PEP 658), or else in the wheel, which has to be downloaded
// anyway if it is chosen.
func (s *pipSource) metadata(w *plan.Want) func(ctx context.Context, f remote.IndexFile) ([]byte, error) {
	return func(ctx context.Context, f remote.IndexFile) ([]byte, error) {
		if !f.Metadata {
			a := s.artifact(w, pip.Wheel{Filename: f.Filename, URL: f.URL, SHA256: strings.ToLower(f.SHA256), Size: f.Size})
			contents, err := s.needed(ctx, []*source.Artifact{a})
			if err != nil {
				return nil, err
			}
			return metadataIn(contents[a.Identity]), nil // there, or verify had refused it
		}
		u, err := url.Parse(f.URL)
		if err != nil {
			return nil, err
		}
		u.Path, u.RawPath = u.Path+".metadata", ""
		text, _, err := s.Client.Document(ctx, u.String(), "*/*", maxMetadata)
		if err != nil {
			return nil, fmt.Errorf("the metadata of %s: %w", f.Filename, err)
		}
		sum := sha256.Sum256(text)
		if got := hex.EncodeToString(sum[:]); f.MetadataSHA256 != "" && got != strings.ToLower(f.MetadataSHA256) {
			return nil, fault.Errorf(fault.Integrity, "try again; if it happens again, the index or a proxy sends other bytes than it promises: do not use them",
				"%s: the metadata of %s is not what the index promises: got sha256 %s (%d bytes), expected %s", redact.URL(u.String()), f.Filename, got, len(text), f.MetadataSHA256)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.said == nil {
			s.said = map[string][sha256.Size]byte{}
		}
		s.said[f.Filename] = sum
		return text, nil
	}
}

// ahead downloads the wheels of w for all its targets at once: without PEP 658, pip
// asks for one after the other. It does so if there is one for each target, because
// pip then takes these.
func (s *pipSource) ahead(ctx context.Context, w *plan.Want, targets []pip.Target) {
	bare, _ := w.From.Bare()
	files, err := s.files(ctx, bare.Name)
	if err != nil {
		return
	}
	var all []*source.Artifact
	for _, t := range targets {
		var fit []remote.IndexFile
		for _, f := range files {
			if _, version := lock.KindOf(lock.Pip).PackageOf(f.Filename, lock.File{}); f.Wheel() && !f.Metadata && f.SHA256 != "" && f.Refused == nil && version == w.Version && t.Suits(f.Filename) {
				fit = append(fit, f)
			}
		}
		if len(fit) != 1 {
			return
		}
		f := fit[0]
		all = append(all, s.artifact(w, pip.Wheel{Filename: f.Filename, URL: f.URL, SHA256: strings.ToLower(f.SHA256), Size: f.Size}))
	}
	_, _ = s.needed(ctx, all) // who needs one reports it
}

// maxMetadata is the size limit of a METADATA file, in bytes.
const maxMetadata = 4 << 20

func metadataIn(c *source.Content) []byte {
	for path, text := range c.Heads {
		if dir, file, _ := strings.Cut(path, "/"); file == "METADATA" && strings.HasSuffix(dir, ".dist-info") {
			return text
		}
	}
	return nil
}

// check compares the metadata in a wheel with what the index said when pip
// resolved, and refuses direct references.
func (s *pipSource) check(file string, c *source.Content) error {
	text := metadataIn(c)
	s.mu.Lock()
	said, ok := s.said[file]
	s.mu.Unlock()
	if ok && said != sha256.Sum256(text) {
		return fault.Errorf(fault.Integrity, "ask the operator of the index", "the wheel %s has other metadata than the index gives of it", file)
	}
	for path := range c.Heads { // large, and of no more use
		if strings.HasSuffix(path, "/RECORD") && wheel.Keep(path) > 0 {
			delete(c.Heads, path)
		}
	}
	m, err := wheel.ParseMetadata(text)
	if err != nil {
		return err
	}
	return pip.Direct(file, m)
}

// Versions makes one request, for the page of the project. A version is as old as
// its newest wheel, and yanked if all its wheels are.
func (s *pipSource) Versions(ctx context.Context, w *plan.Want) ([]plan.Release, error) {
	files, err := s.files(ctx, w.From.Name)
	if err != nil {
		return nil, err
	}
	byVersion := map[string]*plan.Release{}
	var order []string
	other := "" // a file that is no wheel
	for _, f := range files {
		if !f.Wheel() {
			other = f.Filename
			continue
		}
		_, version := lock.KindOf(lock.Pip).PackageOf(f.Filename, lock.File{})
		r := byVersion[version]
		if r == nil {
			byVersion[version] = &plan.Release{Version: version, Released: f.Uploaded, Yanked: f.Yanked}
			order = append(order, version)
			continue
		}
		if f.Uploaded.IsZero() || !r.Released.IsZero() && f.Uploaded.After(r.Released) {
			r.Released = f.Uploaded
		}
		if f.Yanked == "" {
			r.Yanked = ""
		}
	}
	if len(order) == 0 && other != "" {
		const hint, build = "use a package that has wheels, or ", "; or build the wheel yourself, publish it in an index of your own and set [registries] pip"
		return nil, fault.ForLibrary(hint+fault.Aside+build, fault.Missingf(fault.Policy, hint+"another source"+build,
			"the index has no wheel of any version of %s, only such as %s, and building that would run its code", w.From.Name, redact.Line(other)))
	}
	var releases []plan.Release
	for _, version := range order {
		releases = append(releases, *byVersion[version])
	}
	return releases, nil
}

func (s *pipSource) artifact(w *plan.Want, of pip.Wheel) *source.Artifact {
	a := &source.Artifact{
		Kind:     lock.Pip,
		Key:      of.Filename,
		Label:    of.Filename,
		Size:     of.Size,
		Identity: lock.KindOf(lock.Pip).Identity("", of.Filename, lock.File{}),
		Digest:   "sha256-" + source.Base64OfHex(of.SHA256),
		Get: func(ctx context.Context, in *store.Ingest) error {
			return s.Client.Download(ctx, of.URL, in, remote.DownloadOptions{})
		},
		Verify: func(c *source.Content) error { return s.check(of.Filename, c) },
	}
	a.Attested = func(ctx context.Context, _ string) (source.Attestation, error) {
		project, _ := lock.KindOf(lock.Pip).PackageOf(of.Filename, lock.File{})
		files, err := s.files(ctx, project)
		i := slices.IndexFunc(files, func(f remote.IndexFile) bool { return f.Filename == of.Filename })
		if err != nil || i < 0 || files[i].Provenance == "" {
			return source.Attestation{}, err
		}
		body, _, err := s.Client.Document(ctx, files[i].Provenance, "application/json", provenance.MaxSize)
		return source.Attested(redact.URL(files[i].Provenance), body, err, provenance.OfPyPI)
	}
	if !w.Interpreted() {
		a.ReadFor(w, lock.Platforms[0])
	}
	return a
}

// Upstream requests the page of each project.
func (s *pipSource) Upstream(ctx context.Context, _ *plan.Want, v *lock.Version) map[string]source.Answer {
	project := func(key string) string {
		name, _ := lock.KindOf(lock.Pip).PackageOf(key, v.Files[key])
		return name
	}
	var projects []string
	for key := range v.Files {
		projects = append(projects, project(key))
	}
	slices.Sort(projects)
	files := source.Each(slices.Compact(projects), func(name string) (map[string]source.Record, error) {
		return s.listings.Do(name, func() (map[string]source.Record, error) {
			wheels, err := s.Client.PyPIWheels(ctx, s.Index, name)
			said := map[string]source.Record{}
			for _, w := range wheels {
				said[w.Filename] = source.Record{Digest: w.SHA256, Yanked: w.Yanked}
			}
			return said, err
		})
	})
	answers := map[string]source.Answer{}
	for key, f := range v.Files {
		said := files[project(key)]
		answers[key] = said.Answer(key, "the index no longer has it", f.SHA256)
		if w := answers[key]; w.Err == nil && w.Digest == "" {
			w.Unproved = "the index gives no SHA-256 of it"
			answers[key] = w
		}
	}
	return answers
}

func (s *pipSource) Locked(w *plan.Want, key string, f lock.File) (*source.Artifact, error) {
	a := s.artifact(w, pip.Wheel{Filename: key, SHA256: f.SHA256, Size: f.Size})
	a.File.Python = f.Python
	a.Get = func(ctx context.Context, in *store.Ingest) error {
		address, err := s.Address(ctx, key)
		if err != nil {
			return err
		}
		return s.Client.Download(ctx, address, in, remote.DownloadOptions{})
	}
	return a, nil
}

func isEntryPoints(path string) bool {
	dir, file, _ := strings.Cut(path, "/")
	return file == "entry_points.txt" && strings.HasSuffix(dir, ".dist-info")
}

func (s *pipSource) Executable(w *plan.Want, p lock.Platform, tree source.Tree, contents map[string]*source.Content) (string, error) {
	if w.Language != "" {
		return "", nil
	}
	if !w.Interpreted() {
		return source.NativeExecutable(w, p, tree, contents)
	}
	entry, err := entryPoint(w, contents)
	if err != nil {
		return "", err
	}
	module, function, _ := strings.Cut(entry, ":")
	base := strings.ReplaceAll(module, ".", "/")
	files := []string{base + ".py", base + "/__init__.py"}
	if function == "" {
		files = []string{base + ".py", base + "/__main__.py"}
	}
	binary := ""
	for _, python := range w.Python {
		found := ""
		for _, root := range []string{"py" + python + "/", ""} {
			for _, file := range files {
				if _, ok := tree[root+file]; ok && found == "" {
					found = root + file
				}
			}
		}
		if found == "" {
			return "", fault.Errorf(fault.Integrity, "correct entry of the entry, or use another version",
				"there is no %s in it for Python %s, which %s = %s needs; there is %s", files[0], python, w.Binary, entry, tree.Under(files[0]))
		}
		if binary == "" {
			binary = found
		}
	}
	return binary, nil
}

// entryPoint is what Python starts: the entry in the manifest or the catalogue, or
// else the console script of the plugin's own wheels, which must agree. contents
// are the names of the files in the wheels. The format is that of
// https://packaging.python.org/en/latest/specifications/entry-points/.
func entryPoint(w *plan.Want, contents map[string]*source.Content) (string, error) {
	if w.Entry != "" {
		return w.Entry, nil
	}
	entry, own := "", ""
	var names []string
	for _, key := range slices.Sorted(maps.Keys(contents)) {
		if name, _ := lock.KindOf(lock.Pip).PackageOf(key, lock.File{}); name != lock.KindOf(lock.Pip).Normal(w.From.Name) {
			continue
		}
		said := ""
		for path, text := range contents[key].Heads {
			if !isEntryPoints(path) {
				continue
			}
			for _, e := range wheel.EntryPoints(text) {
				if e.Group != "console_scripts" {
					continue
				}
				names = append(names, e.Name)
				if e.Name == w.Binary {
					said = e.Object
				}
			}
		}
		if own != "" && said != entry {
			return "", fault.Errorf(fault.Usage, "use another version", "%s is %s in %s and %s in %s", w.Binary, cmp.Or(entry, "none"), own, cmp.Or(said, "none"), key)
		}
		own, entry = key, said
	}
	if entry == "" {
		hint := `write binary = "…" in the entry as one of them is called, or entry = "MODULE:FUNCTION"`
		if len(names) == 0 {
			hint = `is it a library? take another package, or add: entry = "MODULE:FUNCTION"; of a native executable binary is its path in the wheel`
		}
		return "", fault.Errorf(fault.Usage, hint, "pip package %s %s has no console script %q; it has %s", w.From.Name, w.Version, w.Binary, fault.List(names))
	}
	if err := syntax.CheckEntry(entry); err != nil || !strings.Contains(entry, ":") {
		return "", fault.Errorf(fault.Integrity, "report it to the publisher", "console script %s of %s is %q, expected MODULE:FUNCTION", w.Binary, own, entry)
	}
	return entry, nil
}

// provides checks that the plugin's own wheels have the extras that were asked for,
// because pip ignores an extra that does not exist.
func provides(w *plan.Want, contents map[string]*source.Content) error {
	k := lock.KindOf(lock.Pip)
	bare, extras := w.From.Bare()
	for _, key := range slices.Sorted(maps.Keys(contents)) {
		if name, _ := k.PackageOf(key, lock.File{}); extras == nil || name != k.Normal(bare.Name) {
			continue
		}
		m, err := wheel.ParseMetadata(metadataIn(contents[key]))
		if err != nil {
			return err
		}
		for _, extra := range extras {
			if !slices.Contains(m.Extras, extra) { // some pips tell spellings apart
				return fault.Errorf(fault.Usage, "correct the source of the entry", "pip package %s %s has no extra %q; it has %s", bare.Name, w.Version, extra, fault.List(m.Extras))
			}
		}
	}
	return nil
}

// Finish records how Python starts a plugin.
func (s *pipSource) Finish(w *plan.Want, v *lock.Version, contents map[string]*source.Content) error {
	mine := map[string]*source.Content{}
	for key := range v.Files {
		mine[key] = contents[key]
	}
	if w.Language != "" {
		v.Python = w.Python
		return mergeable(w, v, mine)
	}
	if err := provides(w, mine); err != nil || !w.Interpreted() {
		return err
	}
	v.Python, v.Program, v.Start = w.Python, w.Binary, w.Start
	var err error
	v.Entry, err = entryPoint(w, mine)
	return err
}

// Programs returns the console scripts of a wheel, and the executables in its
// scripts folder.
func (s *pipSource) Programs(ctx context.Context, w *plan.Want, _ []lock.Platform) ([]source.Program, error) {
	files, err := s.files(ctx, w.From.Name)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if _, version := lock.KindOf(lock.Pip).PackageOf(f.Filename, lock.File{}); !f.Wheel() || f.SHA256 == "" || plan.CompareVersions(lock.Pip, version, w.Version) != 0 {
			continue
		}
		a := s.artifact(w, pip.Wheel{Filename: f.Filename, URL: f.URL, SHA256: strings.ToLower(f.SHA256), Size: f.Size})
		contents, err := s.needed(ctx, []*source.Artifact{a})
		if err != nil {
			return nil, err
		}
		var list []source.Program
		c := contents[a.Identity]
		for name, text := range c.Heads {
			if !isEntryPoints(name) {
				continue
			}
			for _, e := range wheel.EntryPoints(text) {
				if e.Group == "console_scripts" {
					list = append(list, source.Program{Name: e.Name, Binary: e.Name})
				}
			}
		}
		for _, file := range c.Files {
			if dir, name := path.Split(file.Path); strings.HasSuffix(dir, ".data/scripts/") {
				name = strings.TrimSuffix(name, ".exe")
				list = append(list, source.Program{Name: name, Binary: strings.ReplaceAll(dir, "-"+w.Version+".data", "-{version}.data") + name})
			}
		}
		return list, nil
	}
	return nil, fault.Missingf(fault.Upstream, "use another version", "the index has no wheel of %s %s", w.From.Name, w.Version)
}

func (s *pipSource) Pack(ctx context.Context, w *plan.Want) (*source.Artifact, []string, error) {
	files, err := s.files(ctx, w.From.Name)
	if err != nil {
		return nil, nil, err
	}
	k := lock.KindOf(lock.Pip)
	there := false
	for _, f := range files {
		_, version := k.PackageOf(f.Filename, lock.File{})
		if !f.Wheel() || version == "" || plan.CompareVersions(lock.Pip, version, w.Version) != 0 {
			continue
		}
		there = true
		if !strings.HasSuffix(f.Filename, "-none-any.whl") {
			continue
		}
		if syntax.CheckSHA256("sha256", strings.ToLower(f.SHA256)) != nil {
			return nil, nil, fault.Errorf(fault.Policy, "ask the operator of the index", "the index has no sha256 of %s", f.Filename)
		}
		var notes []string
		if f.Yanked != "" {
			notes = append(notes, w.String()+": "+f.Filename+" was yanked by its publisher")
		}
		return s.artifact(w, pip.Wheel{Filename: f.Filename, URL: f.URL, SHA256: strings.ToLower(f.SHA256)}), notes, errors.Join(f.Refused)
	}
	if there {
		return nil, nil, fault.Errorf(fault.Usage, "use another source", "%s %s has no wheel that is the same on every platform", w.From.Name, w.Version)
	}
	return nil, nil, fault.Missingf(fault.Upstream, "check the version; for the available ones, run: lockgen outdated", "the index has no wheel of %s %s", w.From.Name, w.Version)
}
