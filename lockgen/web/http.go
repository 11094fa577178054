// Package web has the sources that need only HTTP, and no client program: URLs and
// GitHub releases, OCI registries, Maven repositories.
package web

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/lockgen/checksums"
	"github.com/birbparty/buck2-protobuf/lockgen/github"
	"github.com/birbparty/buck2-protobuf/lockgen/naming"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/provenance"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// httpSource locks plugins that are files at a URL for each platform, GitHub
// releases among them. If the publisher has a checksum file, or GitHub computed a
// digest, the download is compared with it; otherwise the first download is
// trusted.
type httpSource struct {
	client  *remote.Client
	mirrors []manifest.Mirror
	// What GitHub says about a release, and published checksums, by URL.
	documents once.Map[string, []byte]
	gitHub    github.Client
	needed    source.Needed
}

// NewHTTP returns the source of plugins at URLs.
func NewHTTP(client *remote.Client, mirrors []manifest.Mirror, needed source.Needed) source.Source {
	s := &httpSource{client: client, mirrors: mirrors, needed: needed}
	s.gitHub.Document = s.document
	return s
}

var (
	_ source.Describer = (*httpSource)(nil)
	_ source.Tagger    = (*httpSource)(nil)
)

func (s *httpSource) document(ctx context.Context, address, accept string, limit int64) ([]byte, error) {
	return s.documents.Do(address, func() ([]byte, error) {
		body, _, err := s.client.Document(ctx, manifest.Rewrite(s.mirrors, address), accept, limit)
		return body, err
	})
}

// Versions lists the releases of a GitHub repository. The template of a URL has no
// list, unless the recipe names a repository that has.
func (s *httpSource) Versions(ctx context.Context, w *plan.Want) ([]plan.Release, error) {
	owner, repo, ok := w.From.GitHub()
	if w.Releases != "" {
		owner, repo, ok = strings.Cut(w.Releases, "/")
	}
	tag, one := w.ReleaseTag()
	if !ok || !one {
		return nil, source.NoList(w)
	}
	all, err := s.gitHub.Releases(ctx, owner, repo)
	if err != nil {
		return nil, err
	}
	var releases []plan.Release
	for _, r := range all {
		version, ok := tag.Version(r.Tag)
		if !ok || r.Draft {
			continue
		}
		of := *w
		of.Version = version
		needed := func(name string) bool {
			return slices.ContainsFunc(lock.Platforms, func(p lock.Platform) bool {
				asset, _ := of.Asset(p)
				return asset == name
			})
		}
		releases = append(releases, plan.Release{Version: version, Released: r.Released(needed), Pre: r.Prerelease})
	}
	return releases, nil
}

func (s *httpSource) Resolve(ctx context.Context, w *plan.Want, platforms []lock.Platform) (*source.Resolution, error) {
	res := &source.Resolution{Missing: map[string]source.Missing{}}
	byURL := map[string]*source.Artifact{}
	keys := map[string]int{}
	var missing error
	for _, p := range platforms {
		address := w.URL(p)
		if err := syntax.CheckURL(address); err != nil {
			return nil, err
		}
		a := byURL[address]
		if a == nil {
			var err error
			if a, err = s.artifact(w, p, address); err != nil {
				return nil, err
			}
			switch err := s.evidence(ctx, w, p, a); {
			case errors.Is(err, github.ErrNoAsset), errors.Is(err, checksums.ErrNoLine):
				reason := "the release has no file for it"
				if errors.Is(err, checksums.ErrNoLine) {
					reason = "the checksum file has no line for it"
				}
				res.Missing[p.Name] = source.Missing{Reason: reason, Err: err}
				if missing == nil {
					missing = err
				}
				continue
			case errors.Is(err, fs.ErrNotExist):
				res.Missing[p.Name] = source.Missing{Reason: source.NoFile, Err: err}
				missing = cmp.Or(missing, err)
				continue
			case err != nil:
				return nil, err
			}
			byURL[address] = a
			keys[a.Key]++
			res.Artifacts = append(res.Artifacts, a)
		}
		a.Platforms = append(a.Platforms, p.Name)
	}
	gone, err := s.gone(ctx, w, res.Artifacts)
	if err != nil {
		return nil, err
	}
	for i, a := range slices.Clone(res.Artifacts) {
		if gone[i] == nil {
			continue
		}
		for _, platform := range a.Platforms {
			res.Missing[platform] = source.Missing{Reason: source.NoFile, Err: gone[i]}
		}
		if missing == nil {
			missing = gone[i]
		}
		keys[a.Key]--
		res.Artifacts = slices.DeleteFunc(res.Artifacts, func(other *source.Artifact) bool { return other == a })
	}
	if missing != nil && len(res.Artifacts) == 0 {
		return nil, missing
	}
	for _, a := range res.Artifacts {
		if keys[a.Key] > 1 { // one file name in several folders
			a.Key = a.Platforms[0] + "/" + a.Key
		}
		if err := syntax.CheckShown(a.Key); err != nil {
			return nil, fault.Errorf(fault.Usage, "correct the source", "%s: %w", redact.URL(a.File.URL), err)
		}
	}
	return res, nil
}

// gone asks for each artifact, before any download, whether it exists and how long
// it is. If the release already says so, nothing is requested. errs are those of
// missing artifacts, by index; err is an interruption.
func (s *httpSource) gone(ctx context.Context, w *plan.Want, artifacts []*source.Artifact) (gone []error, err error) {
	gone = make([]error, len(artifacts))
	var g errgroup.Group
	g.SetLimit(source.Questions)
	for i, a := range artifacts {
		if _, _, listed := w.From.GitHub(); listed {
			continue
		}
		address := manifest.Rewrite(s.mirrors, a.File.URL)
		g.Go(func() error {
			a.Size, gone[i] = probe(ctx, s.client, func(try func(address string) error) error { return try(address) })
			return nil
		})
	}
	_ = g.Wait()
	return gone, ctx.Err()
}

// probe asks whether a file exists, and how long it is; 0 means unknown. addresses
// are the URLs to try. The error means that no URL has the file: other failures are
// left for the download to report.
func probe(ctx context.Context, client *remote.Client, addresses func(try func(address string) error) error) (size int64, err error) {
	err = addresses(func(address string) (err error) {
		size, err = client.Head(ctx, address)
		return err
	})
	if err == nil {
		return size, nil
	}
	// The server may fail only for HEAD.
	err = addresses(func(address string) error { return client.Probe(ctx, address, 0) })
	if errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	return 0, nil
}

func (s *httpSource) artifact(w *plan.Want, p lock.Platform, address string) (*source.Artifact, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fault.Errorf(fault.Usage, "correct the source", "%s is not a URL", redact.URL(address))
	}
	archive, err := manifest.Archive(address)
	if err != nil {
		return nil, err
	}
	if w.Layout != "" {
		archive = w.Layout + "." + archive
	}
	a := &source.Artifact{
		Kind:     lock.HTTP,
		Key:      path.Base(u.Path),
		Label:    path.Base(u.Path),
		File:     lock.File{URL: address, Archive: archive},
		Identity: lock.KindOf(lock.HTTP).Identity("", "", lock.File{URL: address}),
		Trust:    "first-use",
		Get: func(ctx context.Context, in *store.Ingest) error {
			return s.client.Download(ctx, manifest.Rewrite(s.mirrors, address), in, remote.DownloadOptions{})
		},
	}
	if owner, repo, ok := w.From.GitHub(); ok {
		a.Attested = func(ctx context.Context, sha256 string) (source.Attestation, error) {
			from, body, err := s.gitHub.Attestations(ctx, owner, repo, sha256)
			return source.Attested(from, body, err, provenance.OfList)
		}
	}
	a.ReadFor(w, p)
	return a, nil
}

// evidence looks for digests of an artifact that somebody else computed.
func (s *httpSource) evidence(ctx context.Context, w *plan.Want, p lock.Platform, a *source.Artifact) error {
	if name, ok := w.Asset(p); ok {
		owner, repo, _ := w.From.GitHub()
		digest, err := s.gitHub.Digest(ctx, owner, repo, w.Naming.ReleaseTag(w.Version), name)
		if err != nil {
			return err
		}
		if digest != "" {
			a.Digest, a.Trust = "sha256-"+source.Base64OfHex(digest), "registry"
		}
	}
	address := w.Naming.ChecksumsURL(a.File.URL, w.Version, p)
	if address == "" {
		return nil
	}
	found, err := s.published(ctx, address, a)
	if err != nil {
		return err
	}
	if found.SHA256 != "" {
		published := "sha256-" + source.Base64OfHex(found.SHA256)
		if a.Digest != "" && a.Digest != published {
			return fault.Errorf(fault.Integrity, "do not use it before its publisher explains the difference",
				"the checksum file and GitHub give two digests for %s: %s and %s", a.Label, published, a.Digest)
		}
		a.Digest = published
	}
	if found.SHA512 != "" {
		a.File.Integrity = "sha512-" + source.Base64OfHex(found.SHA512)
		if a.Also = a.File.Integrity; a.Digest == "" {
			a.Digest, a.Also = a.Also, ""
		}
	}
	a.Trust = "checksum-file"
	return nil
}

// published returns the digest of an artifact in a checksum file. If neither of them
// is there, the error is that of the artifact.
func (s *httpSource) published(ctx context.Context, address string, a *source.Artifact) (checksums.Sums, error) {
	const hint = "correct checksums of the entry; without it the first download is believed"
	shown := redact.URL(address)
	body, err := s.document(ctx, address, "*/*", checksums.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		if _, gone := probe(ctx, s.client, func(try func(string) error) error { return try(manifest.Rewrite(s.mirrors, a.File.URL)) }); gone != nil {
			return checksums.Sums{}, gone
		}
		return checksums.Sums{}, fault.About(fault.AboutSums, fault.Errorf(fault.Upstream, hint, "there is no checksum file %s", shown))
	}
	if err != nil {
		return checksums.Sums{}, err
	}
	found, err := checksums.Find(body, path.Base(a.Key), false)
	if err != nil {
		return checksums.Sums{}, fault.About(fault.AboutSums, fault.Errorf(fault.Upstream, hint, "%s: %w", shown, err))
	}
	return found, nil
}

// Upstream requests the first bytes of each file, to see that it exists and how
// long it is.
func (s *httpSource) Upstream(ctx context.Context, _ *plan.Want, v *lock.Version) map[string]source.Answer {
	var keys []string
	for key := range v.Files {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	begun := source.Each(keys, func(key string) (map[string]source.Record, error) {
		f := v.Files[key]
		return nil, s.client.Probe(ctx, manifest.Rewrite(s.mirrors, f.URL), f.Size)
	})
	answers := map[string]source.Answer{}
	for key, a := range begun {
		answers[key] = source.Answer{Err: a.Err, Unproved: "only a download would tell whether it has the same bytes; run: lockgen check --upstream --verify"}
	}
	return answers
}

func (s *httpSource) Locked(w *plan.Want, key string, f lock.File) (*source.Artifact, error) {
	for _, p := range lock.Platforms {
		if f.For(p.Name) {
			a, err := s.artifact(w, p, f.URL)
			if err == nil {
				a.Digest, a.File.Archive = f.Integrity, f.Archive
			}
			return a, err
		}
	}
	return nil, fault.Errorf(fault.Lock, "run: lockgen update", "file %s belongs to no platform", key)
}

func (s *httpSource) Executable(w *plan.Want, p lock.Platform, tree source.Tree, contents map[string]*source.Content) (string, error) {
	return source.NativeExecutable(w, p, tree, contents)
}

// Programs lists the executables in the file of one platform: this machine's, if
// there is one. It reads the names of the other platforms' files from the release,
// or tries the usual names next to a URL.
func (s *httpSource) Programs(ctx context.Context, w *plan.Want, on []lock.Platform) ([]source.Program, error) {
	if w.Finds { // an entry says what the files are called
		return inside(ctx, s, s.needed, w, on, naming.Guess{OS: w.Naming.OS, Arch: w.Naming.Arch})
	}
	owner, repo, ok := w.From.GitHub()
	if !ok {
		return s.programsAt(ctx, w)
	}
	names, err := s.gitHub.Names(ctx, owner, repo, w.Naming.ReleaseTag(w.Version))
	if err != nil {
		return nil, err
	}
	if w.Naming.Asset != "" { // that one, and the same of other platforms
		program := naming.ProgramOf(w.Naming.Asset, w.Version)
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return naming.ProgramOf(name, w.Version) != program })
	}
	g := naming.Of(w.Version, names)
	if len(g.Files) == 0 {
		return nil, fault.Errorf(fault.Usage, "write an entry by hand: [plugins.NAME] with version, source, asset and binary", "release %s of %s/%s has no file that is named after a platform; it has %s", w.Naming.ReleaseTag(w.Version), owner, repo, fault.List(names))
	}
	of := source.Program{Naming: g.Naming(), Platforms: map[string]manifest.Override{}}
	of.Naming.Tag, of.Naming.Asset = w.Naming.Tag, g.Asset
	for platform, asset := range g.Assets {
		of.Platforms[platform] = manifest.Override{Asset: asset}
	}
	return s.programs(ctx, w, g, of)
}

// programsAt lists the programs at a URL, which is a template, or the URL of the
// file for one platform. Files for other platforms are looked for next to it.
func (s *httpSource) programsAt(ctx context.Context, w *plan.Want) ([]source.Program, error) {
	template := w.From.Name
	at := func(template string) string {
		return manifest.Rewrite(s.mirrors, strings.ReplaceAll(template, "{version}", w.Version))
	}
	if !naming.IsTemplate(template) {
		if err := s.client.Probe(ctx, at(template), 0); err != nil {
			return nil, err
		}
	}
	found := make([]string, len(lock.Platforms))
	missing := make([]error, len(lock.Platforms))
	var g errgroup.Group
	g.SetLimit(source.Questions)
	for i, p := range lock.Platforms {
		g.Go(func() error {
			for _, file := range naming.Files(template, p) {
				_, err := probe(ctx, s.client, func(try func(address string) error) error { return try(at(file)) })
				if err == nil {
					found[i] = file
					return nil
				}
				missing[i] = cmp.Or(missing[i], err)
			}
			return nil
		})
	}
	_ = g.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	files := slices.DeleteFunc(slices.Clone(found), func(file string) bool { return file == "" })
	if len(files) == 0 {
		for _, err := range missing {
			if err != nil {
				return nil, err
			}
		}
		files = []string{template} // for whichever platforms it is
	}
	where, guess := naming.OfURLs(files)
	of := source.Program{Naming: guess.Naming(), Platforms: map[string]manifest.Override{}}
	of.Source = &manifest.Source{Kind: lock.HTTP, Name: where + guess.Asset}
	for platform, file := range guess.Assets {
		of.Platforms[platform] = manifest.Override{Source: &manifest.Source{Kind: lock.HTTP, Name: where + file}}
	}
	return s.programs(ctx, w, guess, of)
}

// programs lists the executables in the file of one platform. Each is a copy of as,
// with its own name and path.
func (s *httpSource) programs(ctx context.Context, w *plan.Want, g naming.Guess, of source.Program) ([]source.Program, error) {
	platforms := slices.Sorted(maps.Keys(g.Files))
	if host, ok := lock.Host(); ok && (g.Files[host.Name] != "" || len(platforms) == 0) {
		platforms = []string{host.Name}
	}
	p, _ := lock.LookupPlatform(platforms[0])
	named := *w
	named.Naming, named.Overrides, named.Binary = of.Naming, of.Platforms, "no/such/file"
	if of.Source != nil {
		named.From = *of.Source
	}
	a, err := s.artifact(&named, p, named.URL(p))
	if err != nil {
		return nil, err
	}
	if a.File.Archive == "" {
		of.Name = naming.ProgramOf(a.Key, w.Version)
		of.Binary = of.Name
		return []source.Program{of}, nil
	}
	if err := s.evidence(ctx, &named, p, a); err != nil {
		return nil, err
	}
	contents, err := s.needed(ctx, []*source.Artifact{a})
	if err != nil {
		return nil, err
	}
	return executables(contents[a.Identity], g, w.Version, p, of), nil
}

// Tag implements [Tagger].
func (s *httpSource) Tag(ctx context.Context, w *plan.Want) (template string, err error) {
	owner, repo, ok := w.From.GitHub()
	if !ok {
		return "", nil
	}
	releases, err := s.gitHub.Releases(ctx, owner, repo)
	if err != nil {
		return "", err
	}
	for _, r := range releases {
		template, ok := naming.TagTemplate(r.Tag)
		switch {
		case !ok || r.Draft || r.Prerelease:
		case template == "v{version}":
			return "", nil
		default:
			return template, nil
		}
	}
	return "", nil
}
