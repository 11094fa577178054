package web

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/lockgen/image"
	"github.com/birbparty/buck2-protobuf/lockgen/naming"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// ociSource locks plugins from OCI registries: from an index with platforms, from
// one tag per platform, or from one artifact whose layers are named after
// platforms. Tags are resolved to digests, so that what the lock has can be
// downloaded by digest alone.
type ociSource struct {
	client   *oci.Client
	mirrors  []manifest.Mirror
	store    *store.Store
	now      time.Time
	believed bool // [policy] lets the times of publishers count
	needed   source.Needed
}

// NewOCI returns the source of OCI registries. believed says that [policy] trusts
// the times of publishers.
func NewOCI(client *oci.Client, mirrors []manifest.Mirror, s *store.Store, now time.Time, believed bool, needed source.Needed) source.Source {
	return &ociSource{client: client, mirrors: mirrors, store: s, now: now, believed: believed, needed: needed}
}

var (
	_ source.Dater     = (*ociSource)(nil)
	_ source.Describer = (*ociSource)(nil)
)

// Versions lists the tags that match the source's template, for any platform.
// Registries do not say when a tag was made.
func (s *ociSource) Versions(ctx context.Context, w *plan.Want) ([]plan.Release, error) {
	patterns := w.Tags()
	if len(patterns) == 0 {
		return nil, source.NoList(w)
	}
	repo, err := s.repository(w.PackageName())
	if err != nil {
		return nil, err
	}
	tags, err := repo.Tags(ctx)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(tags, func(tag string) bool { return tag != "" }) {
		return nil, fault.Errorf(fault.Upstream, "ask the registry's operator; a version that you know needs no list: lockgen add "+w.Name+"@VERSION",
			"%s: the registry lists no tags", w.PackageName())
	}
	var versions []string
	for _, tag := range tags {
		for _, p := range patterns {
			if version, ok := p.Version(tag); ok {
				versions = append(versions, version)
			}
		}
	}
	slices.Sort(versions)
	var releases []plan.Release
	for _, version := range slices.Compact(versions) {
		releases = append(releases, plan.Release{Version: version})
	}
	return releases, nil
}

// Date resolves the tags of each version. A tag is as old as this machine has known
// its digest.
func (s *ociSource) Date(ctx context.Context, w *plan.Want, releases []*plan.Release) error {
	repo, err := s.repository(w.PackageName())
	if err != nil {
		return err
	}
	for _, r := range releases {
		for _, p := range w.Tags() {
			when, seen, err := s.tagged(ctx, w, repo, p.Of(r.Version))
			switch {
			case errors.Is(err, fs.ErrNotExist): // not on this platform
			case err != nil:
				return err
			case r.Released.Before(when):
				r.Released, r.Seen = when, seen
			}
		}
	}
	return nil
}

// tagged returns since when a tag has had its digest.
func (s *ociSource) tagged(ctx context.Context, w *plan.Want, repo *oci.Repository, tag string) (when time.Time, seen bool, err error) {
	digest, err := repo.Digest(ctx, tag)
	if err != nil {
		return when, false, err
	}
	id := tag + "@" + digest
	first, err := s.store.FirstSeen(ctx, "oci "+w.PackageName(), []string{id}, s.now)
	if err != nil || !s.believed {
		return first[id], true, err
	}
	n, err := repo.Resolve(ctx, tag)
	if err != nil {
		return when, false, err
	}
	if n.Created.IsZero() || first[id].Before(n.Created) {
		return first[id], true, nil
	}
	return n.Created, false, nil
}

// repository returns the address of a package.
func (s *ociSource) repository(pkg string) (*oci.Repository, error) {
	// A tag makes it a complete reference.
	ref, err := manifest.ParseOCI(manifest.Rewrite(s.mirrors, "oci://"+pkg+":x"))
	if err != nil {
		return nil, err
	}
	return s.client.Repository(ref.Host, ref.Repo)
}

func (s *ociSource) Resolve(ctx context.Context, w *plan.Want, platforms []lock.Platform) (*source.Resolution, error) {
	res := &source.Resolution{Missing: map[string]source.Missing{}}
	repo, err := s.repository(w.PackageName())
	if err != nil {
		return nil, err
	}
	l := image.NewFinder(repo)
	byFile := map[string]*source.Artifact{}
	keys := map[string]int{}
	var missing error
	for _, p := range platforms {
		ref, err := w.OCI(p)
		if err != nil {
			return nil, err
		}
		manifest, file, reason, err := l.Find(ctx, ref, p)
		switch {
		case reason != "":
			res.Missing[p.Name] = source.Missing{Reason: reason, Err: err}
			if missing == nil {
				missing = err
			}
			continue
		case err != nil:
			return nil, err
		}
		id := ref.Tag + " " + file.SHA256
		a := byFile[id]
		if a == nil {
			if a, err = s.artifact(w, p, repo, file); err != nil {
				return nil, fmt.Errorf("%s: %w", ref, err)
			}
			a.File.Name, a.File.Version, a.File.Manifest = ref.File, ref.Tag, manifest.SHA256
			byFile[id] = a
			keys[a.Key]++
			res.Artifacts = append(res.Artifacts, a)
		}
		a.Platforms = append(a.Platforms, p.Name)
	}
	if missing != nil && len(res.Artifacts) == 0 {
		return nil, missing
	}
	for _, a := range res.Artifacts {
		if keys[a.Key] > 1 { // one name for every platform
			a.Key = a.Platforms[0] + "/" + a.Key
		}
		a.Identity = lock.KindOf(lock.OCI).Identity(w.PackageName(), a.Key, a.File)
	}
	return res, nil
}

// artifact returns a file by its digest.
func (s *ociSource) artifact(w *plan.Want, p lock.Platform, repo *oci.Repository, file oci.Descriptor) (*source.Artifact, error) {
	archive, err := image.Archive(file)
	if err != nil {
		return nil, err
	}
	key := path.Base(file.Title)
	if file.Title == "" {
		key = path.Base(w.Name)
		if archive != "" {
			key += "." + archive
		}
	}
	if err := syntax.CheckShown(key); err != nil {
		return nil, fault.Errorf(fault.Upstream, "ask the publisher", "the title of a layer: %w", err)
	}
	a := &source.Artifact{
		Kind:   lock.OCI,
		Key:    key,
		Label:  key,
		Size:   file.Size,
		File:   lock.File{Archive: archive},
		Digest: "sha256-" + source.Base64OfHex(file.SHA256),
		Get: func(ctx context.Context, in *store.Ingest) error {
			return repo.Download(ctx, file.SHA256, file.Size, in)
		},
	}
	a.ReadFor(w, p)
	return a, nil
}

// Upstream resolves the tags again and requests each blob.
func (s *ociSource) Upstream(ctx context.Context, w *plan.Want, v *lock.Version) map[string]source.Answer {
	answers := map[string]source.Answer{}
	repo, err := s.repository(v.Package)
	l := image.NewFinder(repo)
	for _, key := range slices.Sorted(maps.Keys(v.Files)) {
		f := v.Files[key]
		said := source.Answer{Err: err}
		for _, p := range lock.Platforms {
			if said.Err != nil || !f.For(p.Name) || !v.Platforms[p.Name].Locked() {
				continue
			}
			said = s.upstreamOf(ctx, l, w, p, f)
			if said.Digest != said.Expected {
				break
			}
		}
		if said.Err == nil && said.Digest == said.Expected {
			there, err := repo.Contains(ctx, oci.Descriptor{SHA256: f.SHA256, Size: f.Size})
			if err == nil && !there {
				err = fault.Missingf(fault.Upstream, source.GoneHint, "%s no longer has sha256:%s", repo, f.SHA256)
			}
			said.Err = err
		}
		answers[key] = said
	}
	return answers
}

// upstreamOf returns what the tag of a locked file has for a platform.
func (s *ociSource) upstreamOf(ctx context.Context, l *image.Finder, w *plan.Want, p lock.Platform, f lock.File) source.Answer {
	ref, err := w.OCI(p)
	if err != nil {
		return source.Answer{Err: err}
	}
	ref.Tag, ref.File = f.Version, f.Name // those of the lock
	manifest, file, _, err := l.Find(ctx, ref, p)
	switch {
	case errors.Is(err, image.ErrNoPlatform): // its tag is there, and names something else
		return source.Answer{Err: fault.Errorf(fault.Integrity, "the tag was moved: ask the publisher why before you lock it again", "%w", err)}
	case err != nil:
		return source.Answer{Err: err}
	}
	form := func(manifest, file string) string { return "sha256:" + file + "(manifest_sha256:" + manifest + ")" }
	return source.Answer{Expected: form(f.Manifest, f.SHA256), Record: source.Record{Digest: form(manifest.SHA256, file.SHA256)}}
}

func (s *ociSource) Locked(w *plan.Want, key string, f lock.File) (*source.Artifact, error) {
	repo, err := s.repository(w.PackageName())
	if err != nil {
		return nil, err
	}
	for _, p := range lock.Platforms {
		if !f.For(p.Name) {
			continue
		}
		a := &source.Artifact{
			Kind: lock.OCI, Key: key, Label: key, File: f,
			Identity: lock.KindOf(lock.OCI).Identity(w.PackageName(), key, f),
			Digest:   "sha256-" + source.Base64OfHex(f.SHA256),
			Get: func(ctx context.Context, in *store.Ingest) error {
				return repo.Download(ctx, f.SHA256, f.Size, in)
			},
		}
		a.ReadFor(w, p)
		return a, nil
	}
	return nil, fault.Errorf(fault.Lock, "run: lockgen update", "file %s belongs to no platform", key)
}

func (s *ociSource) Executable(w *plan.Want, p lock.Platform, tree source.Tree, contents map[string]*source.Content) (string, error) {
	return source.NativeExecutable(w, p, tree, contents)
}

// executables lists the executables in an archive for a platform. Each is a copy of
// as, with its own name and path.
func executables(c *source.Content, g naming.Guess, version string, p lock.Platform, of source.Program) (list []source.Program) {
	for _, f := range c.Files {
		name := strings.TrimSuffix(path.Base(f.Path), ".exe")
		if !f.Exec && !strings.HasPrefix(name, "protoc-gen-") {
			continue
		}
		one := of
		one.Name, one.Binary = naming.ProgramOf(name, version), g.PathTemplate(f.Path, version, p)
		list = append(list, one)
	}
	return list
}

// Programs lists the executables of a tag for a platform.
func (s *ociSource) Programs(ctx context.Context, w *plan.Want, on []lock.Platform) ([]source.Program, error) {
	named := *w
	named.Name = path.Base(w.PackageName())
	return inside(ctx, s, s.needed, &named, on, naming.Guess{OS: w.Naming.OS, Arch: w.Naming.Arch})
}

// inside lists the executables in the file of w for the first of the platforms that
// has one. g has the publisher's names of platforms.
func inside(ctx context.Context, s source.Source, needed source.Needed, w *plan.Want, on []lock.Platform, g naming.Guess) ([]source.Program, error) {
	named := *w
	named.Binary = "no/such/file"
	res, err := s.Resolve(ctx, &named, on)
	if err != nil {
		return nil, err
	}
	for _, p := range on {
		for _, a := range res.Artifacts {
			if !slices.Contains(a.Platforms, p.Name) {
				continue
			}
			if a.File.Archive == "" {
				name := naming.ProgramOf(path.Base(a.Key), w.Version)
				return []source.Program{{Name: name, Binary: name}}, nil
			}
			contents, err := needed(ctx, []*source.Artifact{a})
			if err != nil {
				return nil, err
			}
			return executables(contents[a.Identity], g, w.Version, p, source.Program{}), nil
		}
	}
	return nil, fault.Missingf(fault.Upstream, "use another version, or platforms that it has", "%s has no file for any of the platforms", w)
}
