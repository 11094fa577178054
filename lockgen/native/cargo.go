package native

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/internal/origin"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// cargoSource locks plugins from a crate registry. cargo resolves the closure, from
// manifests of crates that were downloaded and verified first. Nothing is compiled,
// so platforms have no tree digest.
type cargoSource struct {
	tool     *cargo.Client
	origins  *origin.Origins
	needed   source.Needed
	cooldown func(w *plan.Want) *cooldown.Rule

	together once.Map[string, *crateLibraries] // by the runtimes of Rust

	runtimeFolders

	mu    sync.Mutex
	gives *origin.Crates // nil while unknown
	// crates holds the index entries of crates, by name and version.
	crates map[string]map[string]cargo.Crate
	absent map[string]error // why it said nothing, by name
}

// NewCargo returns the source of crates. tool resolves in the folder of origins.
func NewCargo(tool *cargo.Client, origins *origin.Origins, cooldown func(w *plan.Want) *cooldown.Rule, needed source.Needed) source.Source {
	return &cargoSource{tool: tool, origins: origins, cooldown: cooldown, needed: needed}
}

var (
	_ source.Describer = (*cargoSource)(nil)
	_ source.Packager  = (*cargoSource)(nil)
	_ source.Finisher  = (*cargoSource)(nil)
)

// index is that of plugins.toml, or else of the user's cargo.
func (s *cargoSource) index() (*cargo.Index, error) {
	return s.tool.Index(s.origins.Dir, s.origins.Registries[lock.Cargo])
}

func (s *cargoSource) Resolve(ctx context.Context, w *plan.Want, platforms []lock.Platform) (*source.Resolution, error) {
	if r := catalog.Builtin().Refused(w.From.Name); r != nil {
		return nil, r
	}
	if w.Language != "" {
		return s.libraries(ctx, w, platforms)
	}
	index, err := s.index()
	if err != nil {
		return nil, err
	}
	defer index.Close()
	own, err := s.crate(ctx, index, w)
	if err != nil {
		return nil, err
	}
	if own.Yanked {
		return nil, yanked(own)
	}
	if err := s.learn(index); err != nil {
		return nil, err
	}
	sources, artifacts, err := s.read(ctx, []cargo.Crate{own})
	if err != nil {
		return nil, err
	}
	bins, err := cargo.Bins(sources[0])
	if err != nil {
		return nil, err
	}
	if err := s.checkBin(w, bins); err != nil {
		return nil, err
	}
	ownLock := sources[0].Lockfile != nil
	crates, root, err := index.Lock(ctx, sources[0])
	if err != nil {
		return nil, err
	}
	sources, more, err := s.read(ctx, crates)
	if err != nil {
		return nil, err
	}
	// The versions in the crate's own Cargo.lock were chosen by its publisher, and
	// are older than the crate. Without a Cargo.lock cargo chooses, so the cooldown
	// applies to each version.
	for i, a := range more {
		a.Aged, a.Released = !ownLock, crates[i].Released
	}
	artifacts = append(artifacts, more...)
	closures, err := s.tool.Closures(ctx, root, sources, w.Args, w.CrateBin(), platforms)
	if err != nil {
		return nil, err
	}
	return s.resolution(w, platforms, closures, artifacts)
}

// Pack returns the crate alone: none of its code is compiled.
func (s *cargoSource) Pack(ctx context.Context, w *plan.Want) (*source.Artifact, []string, error) {
	index, err := s.index()
	if err != nil {
		return nil, nil, err
	}
	defer index.Close()
	own, err := s.crate(ctx, index, w)
	if err != nil {
		return nil, nil, err
	}
	if own.Yanked {
		return nil, nil, yanked(own)
	}
	if err := s.learn(index); err != nil {
		return nil, nil, err
	}
	a := s.artifact(own)
	a.Compiled = false
	return a, nil, nil
}

// yanked returns an error if the crate is yanked.
func yanked(c cargo.Crate) error {
	return fault.Errorf(fault.Policy, "use another version", "its publisher has yanked crate %s %s", c.Name, c.Version)
}

// crate asks the index for the crate of an entry.
func (s *cargoSource) crate(ctx context.Context, index *cargo.Index, w *plan.Want) (cargo.Crate, error) {
	c, err := index.Crate(ctx, w.From.Name, w.Version)
	return c, s.origins.WhyNoCrate(ctx, index, w.From.Name, err)
}

// resolution keeps the crates that a platform needs, and checks that those which
// run code may do so.
func (s *cargoSource) resolution(w *plan.Want, platforms []lock.Platform, closures []*cargo.Closure, artifacts []*source.Artifact) (*source.Resolution, error) {
	byKey := map[string]*source.Artifact{}
	for _, a := range artifacts {
		byKey[a.Key] = a
	}
	res := &source.Resolution{}
	scripts := map[string]string{} // who made them
	yanked := map[string]bool{}
	for i, closure := range closures {
		if err := s.checkBin(w, closure.Bins); err != nil {
			return nil, err
		}
		if len(closure.Missing) > 0 {
			return nil, fault.Errorf(fault.Usage, fmt.Sprintf("write: args = [\"--features\", %q]", strings.Join(closure.Missing, ",")),
				"the executable %s of crate %s %s needs the features %s", w.CrateBin(), w.From.Name, w.Version, strings.Join(closure.Missing, ", "))
		}
		if err := oldRust(w, closure); err != nil {
			return nil, err
		}
		for _, crate := range closure.Crates {
			a := byKey[crate.String()+".crate"]
			a.Platforms = append(a.Platforms, platforms[i].Name)
			if crate.Yanked {
				yanked[crate.String()] = true
			}
		}
		for _, name := range closure.Scripts {
			scripts[name] = closure.By[name]
		}
	}
	for _, a := range artifacts {
		if len(a.Platforms) > 0 {
			res.Artifacts = append(res.Artifacts, a)
		}
	}
	if err := consent(w, res, scripts); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(yanked)) {
		res.Notes = append(res.Notes, fmt.Sprintf("%s: its publisher has yanked crate %s, which the plugin's own Cargo.lock names", w, name))
	}
	return res, nil
}

// oldRust returns an error if the locked Rust is too old for a closure.
func oldRust(w *plan.Want, closure *cargo.Closure) error {
	name, version, ok := strings.Cut(w.Toolchain, "@")
	needed, why := closure.Rust, "crate "+closure.Newest.String()+" needs"
	if strings.Count(needed, ".") == 1 {
		needed += ".0"
	}
	if least := proc.LeastOf(lock.Cargo) + ".0"; lock.CompareVersions(least, needed) > 0 {
		needed, why = least, "fetch needs"
	}
	if !ok || lock.CompareVersions(version, needed) >= 0 {
		return nil
	}
	return fault.Errorf(fault.Usage, fmt.Sprintf("run: lockgen update %s@%s", name, needed), "%s is compiled by %s %s, but %s Rust %s or later", w, name, version, why, needed)
}

// consent notes the crates that run code, with who made them, if they may.
func consent(w *plan.Want, res *source.Resolution, scripts map[string]string) error {
	res.Scripts = slices.Sorted(maps.Keys(scripts))
	if len(scripts) > 0 && !w.RunsCode {
		return source.NeedsConsent(w.Name, scripts)
	}
	return nil
}

// checkBin returns an error if the crate does not have the executable.
func (s *cargoSource) checkBin(w *plan.Want, bins []string) error {
	bin := w.CrateBin()
	switch {
	case slices.Contains(bins, bin):
		return nil
	case len(bins) == 0:
		return fault.Errorf(fault.Usage, "name the crate that holds the plugin, or use another version",
			"crate %s %s is a library: it has no executable that protoc could run", w.From.Name, w.Version)
	}
	return fault.Errorf(fault.Usage, "set binary in the entry to one of them", "crate %s %s has no executable %q; it has %s", w.From.Name, w.Version, bin, fault.List(bins))
}

// learn reads how the registry serves its crates, once.
func (s *cargoSource) learn(index *cargo.Index) error {
	gives, err := index.Downloads()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.keep(gives)
}

func (s *cargoSource) keep(gives *cargo.Downloads) (err error) {
	if s.gives == nil {
		s.gives, err = s.origins.CratesBy(gives)
	}
	return err
}

// download downloads a crate. It first calls learn, if that has not been done.
func (s *cargoSource) download(ctx context.Context, c cargo.Crate, in *store.Ingest) error {
	s.mu.Lock()
	if s.gives == nil {
		gives, err := s.origins.CrateDownloads(ctx, s.tool, s.origins.Registries[lock.Cargo], c.Name, c.Version)
		if err == nil {
			err = s.keep(gives)
		}
		if err != nil {
			s.mu.Unlock()
			return err
		}
	}
	gives := s.gives
	s.mu.Unlock()
	return gives.Crate(ctx, c, in)
}

// read downloads crates and reads the parts of them that cargo needs.
func (s *cargoSource) read(ctx context.Context, crates []cargo.Crate) ([]*cargo.Source, []*source.Artifact, error) {
	sources := make([]*cargo.Source, len(crates))
	artifacts := make([]*source.Artifact, len(crates))
	for i, c := range crates {
		artifacts[i] = s.artifact(c)
	}
	contents, err := s.needed(ctx, artifacts)
	if err != nil {
		return nil, nil, err
	}
	for i, c := range crates {
		sources[i] = kind.CrateSource(c, contents[artifacts[i].Identity].Content)
	}
	return sources, artifacts, nil
}

// Versions runs cargo once, which reads the index entry of the crate.
func (s *cargoSource) Versions(ctx context.Context, w *plan.Want) ([]plan.Release, error) {
	crates, err := s.ask(ctx, []string{w.From.Name})
	if err != nil {
		return nil, err
	}
	if crates[w.From.Name] == nil {
		return nil, s.whyAbsent(w.From.Name)
	}
	var releases []plan.Release
	for version, c := range crates[w.From.Name] {
		r := plan.Release{Version: version, Released: c.Released}
		if c.Yanked {
			r.Yanked = "yanked by its publisher"
		}
		releases = append(releases, r)
	}
	return releases, nil
}

func (s *cargoSource) artifact(c cargo.Crate) *source.Artifact {
	file := lock.File{Name: c.Name, Version: c.Version}
	digest, _ := hex.DecodeString(c.SHA256)
	return &source.Artifact{
		Kind:     lock.Cargo,
		Key:      c.String() + ".crate",
		Label:    c.String() + ".crate",
		File:     file,
		Compiled: true,
		Identity: lock.KindOf(lock.Cargo).Identity("", "", file),
		Digest:   "sha256-" + base64.StdEncoding.EncodeToString(digest),
		Get:      func(ctx context.Context, in *store.Ingest) error { return s.download(ctx, c, in) },
	}
}

// Upstream asks the index for all crates in one run of cargo.
func (s *cargoSource) Upstream(ctx context.Context, _ *plan.Want, v *lock.Version) map[string]source.Answer {
	crates, err := s.ask(ctx, slices.Compact(slices.Sorted(source.Names(v))))
	answers := map[string]source.Answer{}
	for key, f := range v.Files {
		said, ok := crates[f.Name][f.Version]
		w := source.Answer{Err: err, Expected: f.SHA256}
		switch {
		case err != nil:
		case crates[f.Name] == nil && !errors.Is(s.whyAbsent(f.Name), fs.ErrNotExist):
			w.Err = s.whyAbsent(f.Name)
		case !ok:
			w.Err = fault.Missingf(fault.Upstream, source.GoneHint, "the registry no longer has version %s of crate %s", f.Version, f.Name)
		default:
			w.Digest = said.SHA256
			if said.Yanked {
				w.Yanked = "its publisher has yanked it"
			}
		}
		answers[key] = w
	}
	return answers
}

// ask reads the index entries of crates that have not been read yet.
func (s *cargoSource) ask(ctx context.Context, names []string) (map[string]map[string]cargo.Crate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var unknown []string
	for _, name := range names {
		if _, ok := s.crates[name]; !ok {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return s.crates, nil
	}
	index, err := s.index()
	if err != nil {
		return nil, err
	}
	defer index.Close()
	found, err := index.Crates(ctx, unknown)
	if err != nil {
		return nil, err
	}
	crates := maps.Clone(s.crates) // others read the one that they were given
	if crates == nil {
		crates = map[string]map[string]cargo.Crate{}
	}
	for _, name := range unknown {
		crates[name] = found[name] // nil for one that is not there
		if found[name] == nil {
			err := fault.Missingf(fault.Upstream, "check the name, and cargo's registry", "the registry has no crate %s", name)
			if s.absent == nil {
				s.absent = map[string]error{}
			}
			s.absent[name] = s.origins.WhyNoCrate(ctx, index, name, err)
		}
	}
	s.crates = crates
	return crates, nil
}

// whyAbsent explains why the index has no entry for a crate.
func (s *cargoSource) whyAbsent(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.absent[name]
}

func (s *cargoSource) Locked(_ *plan.Want, _ string, f lock.File) (*source.Artifact, error) {
	return s.artifact(cargo.Crate{Name: f.Name, Version: f.Version, SHA256: f.SHA256}), nil
}

// Executable is the path where cargo install puts the program. The manifest of the
// crate proves that it will be there.
func (s *cargoSource) Executable(w *plan.Want, p lock.Platform, _ source.Tree, _ map[string]*source.Content) (string, error) {
	if w.Language != "" {
		return "", nil
	}
	return w.Binaries(p)[0], nil
}

// Programs lists the executables that the crate declares.
func (s *cargoSource) Programs(ctx context.Context, w *plan.Want, _ []lock.Platform) ([]source.Program, error) {
	index, err := s.index()
	if err != nil {
		return nil, err
	}
	defer index.Close()
	crate, err := s.crate(ctx, index, w)
	if err != nil {
		return nil, err
	}
	if err := s.learn(index); err != nil {
		return nil, err
	}
	sources, _, err := s.read(ctx, []cargo.Crate{crate})
	if err != nil {
		return nil, err
	}
	bins, err := cargo.Bins(sources[0])
	var list []source.Program
	for _, name := range bins {
		list = append(list, source.Program{Name: name, Binary: name})
	}
	return list, err
}
