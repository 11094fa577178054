package source

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
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// ociSource locks plugins from registries of OCI: from an index with platforms,
// from one tag a platform, or from one artifact whose layers are named by
// platform. A tag becomes digests, and what the lock has can be downloaded by
// digest alone.
type ociSource struct {
	client   *oci.Client
	mirrors  []manifest.Mirror
	store    *store.Store
	now      time.Time
	believed bool // [policy] lets the times of publishers count
}

const (
	maxIndexDepth = 3   // an index in an index in an index
	maxNodes      = 100 // manifests and indexes that one plugin may take
)

// Versions lists the tags that the template of the source makes, on whichever
// platform. No registry says when a tag was made.
func (s *ociSource) Versions(ctx context.Context, w *plan.Want) ([]plan.Release, error) {
	patterns := tags(w)
	if len(patterns) == 0 {
		return nil, noList(w)
	}
	repo, err := s.repository(w.PackageName())
	if err != nil {
		return nil, err
	}
	tags, err := repo.Tags(ctx)
	if err != nil {
		return nil, err
	}
	var versions []string
	for _, tag := range tags {
		for _, p := range patterns {
			if version, ok := p.version(tag); ok {
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

// date asks what the tags of each version name: a tag is as old as this machine
// knows that it names this.
func (s *ociSource) date(ctx context.Context, w *plan.Want, releases []*plan.Release) error {
	repo, err := s.repository(w.PackageName())
	if err != nil {
		return err
	}
	for _, r := range releases {
		for _, p := range tags(w) {
			when, seen, err := s.tagged(ctx, w, repo, p.of(r.Version))
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

// tagged says since when a tag names what it does.
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

// A pattern is a tag with a version in it.
type pattern struct{ before, after string }

// anyVersion stands for the version where a pattern is made of a template.
const anyVersion = "1version1"

// newPattern takes the pattern out of a tag that has anyVersion, once.
func newPattern(tag string) (pattern, bool) {
	before, after, ok := strings.Cut(tag, anyVersion)
	return pattern{before, after}, ok && !strings.Contains(after, anyVersion)
}

func (p pattern) of(version string) string { return p.before + version + p.after }

// version is what a tag is the tag of.
func (p pattern) version(tag string) (string, bool) {
	rest, ok := strings.CutPrefix(tag, p.before)
	if !ok {
		return "", false
	}
	version, ok := strings.CutSuffix(rest, p.after)
	return version, ok && manifest.CheckExact(version) == nil
}

// tags are the patterns of the tags of w: one, unless each platform has its own,
// and none where the template has no version.
func tags(w *plan.Want) []pattern {
	any := *w
	any.Version = anyVersion
	var list []pattern
	for _, platform := range lock.Platforms {
		ref, err := any.OCI(platform)
		if err != nil {
			return nil
		}
		p, ok := newPattern(ref.Tag)
		if !ok {
			return nil
		}
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

// repository returns where a package is asked for.
func (s *ociSource) repository(pkg string) (*oci.Repository, error) {
	// A tag makes a whole reference of it.
	ref, err := manifest.ParseOCI(manifest.Rewrite(s.mirrors, "oci://"+pkg+":x"))
	if err != nil {
		return nil, err
	}
	return s.client.Repository(ref.Host, ref.Repo)
}

// A look is the reading of one repository.
type look struct {
	repo  *oci.Repository
	tags  map[string]*oci.Node
	nodes map[string]*oci.Node // by digest
}

func (l *look) tag(ctx context.Context, tag string) (*oci.Node, error) {
	if n := l.tags[tag]; n != nil {
		return n, nil
	}
	n, err := l.repo.Resolve(ctx, tag)
	if err == nil {
		l.tags[tag] = n
	}
	return n, err
}

func (l *look) node(ctx context.Context, d oci.Descriptor) (*oci.Node, error) {
	if n := l.nodes[d.SHA256]; n != nil {
		return n, nil
	}
	if len(l.nodes) >= maxNodes {
		return nil, fault.Errorf(fault.Upstream, "name a smaller index", "the index needs more than %d manifests", maxNodes)
	}
	n, err := l.repo.Node(ctx, d)
	if err == nil {
		l.nodes[d.SHA256] = n
	}
	return n, err
}

// errNoPlatform is matched by the error for what a platform has not.
var errNoPlatform = errors.New("nothing for the platform")

// manifest finds the manifest of a platform. Offers collects what there is.
func (l *look) manifest(ctx context.Context, n *oci.Node, p lock.Platform, depth int, offers map[string]bool) (*oci.Node, error) {
	if n.Manifest() {
		return n, nil
	}
	if depth > maxIndexDepth {
		return nil, fault.Errorf(fault.Upstream, "name a smaller index", "an index in an index, deeper than %d", maxIndexDepth)
	}
	var exact, any []oci.Descriptor
	for _, c := range n.Children {
		switch {
		case c.Attestation || !c.Manifest() && !c.Index():
		case c.OS == p.GOOS && c.Arch == p.GOARCH:
			exact = append(exact, c)
		case c.OS == "" && c.Arch == "":
			any = append(any, c)
		default:
			offers[strings.TrimSuffix(c.OS+"/"+c.Arch+"/"+c.Variant, "/")] = true
		}
	}
	if len(exact) > 1 {
		plain := slices.DeleteFunc(slices.Clone(exact), func(d oci.Descriptor) bool { return d.Variant != "" && d.Variant != "v8" })
		if len(plain) != 1 {
			return nil, fault.Errorf(fault.Upstream, "name a tag of one of them", "the index has %d manifests for %s/%s", len(exact), p.GOOS, p.GOARCH)
		}
		exact = plain
	}
	for _, c := range append(exact, any...) {
		child, err := l.node(ctx, c)
		if err != nil {
			return nil, err
		}
		found, err := l.manifest(ctx, child, p, depth+1, offers)
		if !errors.Is(err, errNoPlatform) {
			return found, err
		}
	}
	return nil, errNoPlatform
}

// layer picks the file of a manifest.
func layer(ref manifest.OCIRef, n *oci.Node) (oci.Descriptor, error) {
	var titles []string
	var found []oci.Descriptor
	for _, l := range n.Layers {
		if l.MediaType == "application/vnd.oci.empty.v1+json" {
			continue
		}
		titles = append(titles, l.Title)
		if ref.File == "" || l.Title == ref.File {
			found = append(found, l)
		}
	}
	named := slices.DeleteFunc(slices.Clone(titles), func(s string) bool { return s == "" })
	switch {
	case len(titles) == 0:
		return oci.Descriptor{}, fault.Errorf(fault.Upstream, "name a tag with files", "%s holds no file", ref)
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0:
		return oci.Descriptor{}, fault.Errorf(fault.Usage, "correct the name behind #, or take another tag", "%s: %w: its files are %s", ref, errNoPlatform, fault.List(named))
	case ref.File != "":
		return oci.Descriptor{}, fault.Errorf(fault.Upstream, "ask its publisher", "%s names %d files", ref, len(found))
	}
	return oci.Descriptor{}, fault.Errorf(fault.Usage, "say which: oci://HOST/REPO:TAG#FILE", "%s has %d files: %s", ref, len(found), fault.List(named))
}

func (s *ociSource) Resolve(ctx context.Context, w *plan.Want, platforms []lock.Platform) (*Resolution, error) {
	res := &Resolution{Missing: map[string]Missing{}}
	repo, err := s.repository(w.PackageName())
	if err != nil {
		return nil, err
	}
	l := &look{repo: repo, tags: map[string]*oci.Node{}, nodes: map[string]*oci.Node{}}
	byFile := map[string]*Artifact{}
	keys := map[string]int{}
	var missing error
	for _, p := range platforms {
		ref, err := w.OCI(p)
		if err != nil {
			return nil, err
		}
		manifest, file, reason, err := s.find(ctx, l, ref, p)
		switch {
		case reason != "":
			res.Missing[p.Name] = Missing{reason, err}
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

// find returns the manifest and the file of a platform, or the reason why it
// has none.
func (s *ociSource) find(ctx context.Context, l *look, ref manifest.OCIRef, p lock.Platform) (manifest *oci.Node, file oci.Descriptor, reason string, err error) {
	top, err := l.tag(ctx, ref.Tag)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			reason = "the registry has no tag for it"
		}
		return nil, file, reason, err
	}
	offers := map[string]bool{}
	manifest, err = l.manifest(ctx, top, p, 1, offers)
	if errors.Is(err, errNoPlatform) {
		return nil, file, "the index has no manifest for it", fault.Errorf(fault.Usage, "take the platform out of platforms, or write optional = true in the entry",
			"%s has no manifest for %s/%s; it has %s", ref, p.GOOS, p.GOARCH, fault.List(slices.Collect(maps.Keys(offers))))
	}
	if err != nil {
		return nil, file, "", fmt.Errorf("%s: %w", ref, err)
	}
	file, err = layer(ref, manifest)
	if errors.Is(err, errNoPlatform) {
		reason = "the artifact has no file for it"
	}
	return manifest, file, reason, err
}

// artifact is a file by its digest.
func (s *ociSource) artifact(w *plan.Want, p lock.Platform, repo *oci.Repository, file oci.Descriptor) (*Artifact, error) {
	archive, err := layerArchive(file)
	if err != nil {
		return nil, err
	}
	key := path.Base(file.Title)
	if file.Title == "" {
		key = w.Name
		if archive != "" {
			key += "." + archive
		}
	}
	if err := lock.CheckShown(key); err != nil {
		return nil, fault.Errorf(fault.Upstream, "ask its publisher", "the title of a layer: %w", err)
	}
	return &Artifact{
		Kind:   lock.OCI,
		Key:    key,
		Label:  key,
		File:   lock.File{Archive: archive},
		Digest: "sha256-" + base64OfHex(file.SHA256),
		Get: func(ctx context.Context, in *store.Ingest) error {
			return repo.Download(ctx, file.SHA256, file.Size, in)
		},
		Binary: bareBinary(w, p),
		Keep:   keepBinaries(w),
	}, nil
}

// layerArchive tells the format of a layer by its title, else by its media
// type.
func layerArchive(d oci.Descriptor) (string, error) {
	if strings.Contains(d.MediaType, "encrypted") { // ocicrypt: …+encrypted behind any other type
		return "", fault.Errorf(fault.Policy, "ask its publisher for one that is not encrypted, or take another source of this plugin",
			"its layer is encrypted (%q), so nobody can check what is in it", d.MediaType)
	}
	if archive, err := manifest.Archive(d.Title); archive != "" || err != nil {
		return archive, err
	}
	switch kind := d.MediaType; {
	case strings.HasSuffix(kind, "tar+gzip"), strings.HasSuffix(kind, ".tar.gzip"):
		return "tar.gz", nil
	case strings.HasSuffix(kind, "tar+zstd"):
		return "tar.zst", nil
	case strings.HasSuffix(kind, "/zip"), strings.HasSuffix(kind, "+zip"):
		return "zip", nil
	case strings.HasSuffix(kind, ".tar"):
		return "", fault.Errorf(fault.Usage, "ask its publisher to compress it", "its layer is a tar without compression, which this version does not unpack")
	}
	return "", nil
}

// Upstream resolves the tags again and asks for each blob.
func (s *ociSource) Upstream(ctx context.Context, w *plan.Want, v *lock.Version) map[string]Answer {
	answers := map[string]Answer{}
	repo, err := s.repository(v.Package)
	l := &look{repo: repo, tags: map[string]*oci.Node{}, nodes: map[string]*oci.Node{}}
	for _, key := range slices.Sorted(maps.Keys(v.Files)) {
		f := v.Files[key]
		said := Answer{Err: err}
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
				err = fault.Errorf(fault.Upstream, goneHint, "%s has no sha256:%s any more: %w", repo, f.SHA256, fs.ErrNotExist)
			}
			said.Err = err
		}
		answers[key] = said
	}
	return answers
}

// upstreamOf asks what the tag of a locked file has for a platform.
func (s *ociSource) upstreamOf(ctx context.Context, l *look, w *plan.Want, p lock.Platform, f lock.File) Answer {
	ref, err := w.OCI(p)
	if err != nil {
		return Answer{Err: err}
	}
	ref.Tag, ref.File = f.Version, f.Name // those of the lock
	manifest, file, _, err := s.find(ctx, l, ref, p)
	switch {
	case errors.Is(err, errNoPlatform): // its tag is there, and names something else
		return Answer{Err: fault.Errorf(fault.Integrity, "the tag was moved: ask its publisher why before you lock it again", "%w", err)}
	case err != nil:
		return Answer{Err: err}
	}
	form := func(manifest, file string) string { return "sha256:" + file + "(manifest_sha256:" + manifest + ")" }
	return Answer{Expected: form(f.Manifest, f.SHA256), record: record{Digest: form(manifest.SHA256, file.SHA256)}}
}

func (s *ociSource) Locked(w *plan.Want, key string, f lock.File) (*Artifact, error) {
	repo, err := s.repository(w.PackageName())
	if err != nil {
		return nil, err
	}
	for _, p := range lock.Platforms {
		if !f.For(p.Name) {
			continue
		}
		return &Artifact{
			Kind: lock.OCI, Key: key, Label: key, File: f,
			Identity: lock.KindOf(lock.OCI).Identity(w.PackageName(), key, f),
			Digest:   "sha256-" + base64OfHex(f.SHA256),
			Get: func(ctx context.Context, in *store.Ingest) error {
				return repo.Download(ctx, f.SHA256, f.Size, in)
			},
			Binary: bareBinary(w, p),
			Keep:   keepBinaries(w),
		}, nil
	}
	return nil, fault.Errorf(fault.Lock, "run: lockgen update", "file %s belongs to no platform", key)
}

func (s *ociSource) Executable(w *plan.Want, p lock.Platform, tree Tree, contents map[string]*Content) (string, error) {
	return nativeExecutable(w, p, tree, contents)
}
