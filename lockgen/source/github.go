package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// maxReleases bounds a document of GitHub, in bytes; a release of a hundred
// assets has some 200 kB, and a page lists a hundred releases.
const maxReleases = 64 << 20

// How lists of GitHub are read: pages of this length, as many as this at most.
// A release that has fewer assets than fewestAssets has all of them in its own
// description.
const (
	perPage      = 100
	maxPages     = 20
	fewestAssets = 30
)

// A gitHubRelease is what GitHub says of a release.
type gitHubRelease struct {
	ID         int64         `json:"id"`
	Tag        string        `json:"tag_name"`
	Draft      bool          `json:"draft"`
	Prerelease bool          `json:"prerelease"`
	Published  time.Time     `json:"published_at"`
	Assets     []gitHubAsset `json:"assets"`
}

// A gitHubAsset is a file of a release.
type gitHubAsset struct {
	Name    string    `json:"name"`
	State   string    `json:"state"`
	Digest  string    `json:"digest"` // computed by GitHub, "" for an old one
	Created time.Time `json:"created_at"`
	Updated time.Time `json:"updated_at"`
}

// released is when the last of what a release consists of came to GitHub, which
// has no later clock than that of an asset that was exchanged. Needed says which
// assets count; where it has none of them, all do.
func (r *gitHubRelease) released(needed func(name string) bool) time.Time {
	if !slices.ContainsFunc(r.Assets, func(a gitHubAsset) bool { return needed(a.Name) }) {
		needed = func(string) bool { return true }
	}
	last := r.Published
	for _, a := range r.Assets {
		for _, t := range []time.Time{a.Created, a.Updated} {
			if needed(a.Name) && t.After(last) {
				last = t
			}
		}
	}
	if r.Published.IsZero() {
		return r.Published // never published: no clock
	}
	return last.UTC()
}

// gitHub asks GitHub's interface for a document.
func (s *httpSource) gitHub(ctx context.Context, address string) ([]byte, error) {
	body, err := s.document(ctx, address, "application/vnd.github+json", maxReleases)
	if errors.Is(err, remote.ErrRateLimit) {
		err = fault.Errorf(fault.Of(err), "set GITHUB_TOKEN to a token of yours, which needs no permission, or wait", "%w", err)
	}
	return body, err
}

// Versions lists the releases of a repository (docs.github.com/rest/releases,
// "List releases"), a request for each hundred. A source that is the template of
// a URL has no list.
func (s *httpSource) Versions(ctx context.Context, w *plan.Want) ([]plan.Release, error) {
	owner, repo, ok := w.From.GitHub()
	tag, one := newPattern(w.Naming.ReleaseTag(anyVersion))
	if !ok || !one {
		return nil, noList(w)
	}
	var all []*gitHubRelease
	for page := 1; page <= maxPages; page++ {
		address := fmt.Sprintf("%s/repos/%s/%s/releases?per_page=%d", manifest.GitHubAPI, owner, repo, perPage)
		if page > 1 {
			address += fmt.Sprintf("&page=%d", page)
		}
		body, err := s.gitHub(ctx, address)
		if errors.Is(err, fs.ErrNotExist) {
			err = fault.Errorf(fault.Upstream, "correct the source; for a private repository set GITHUB_TOKEN", "GitHub has no repository %s/%s: %w", owner, repo, err)
		}
		if err != nil {
			return nil, err
		}
		var list []*gitHubRelease
		if err := json.Unmarshal(body, &list); err != nil {
			return nil, fault.Errorf(fault.Upstream, "try again later", "%s: malformed document: %w", redact.URL(address), err)
		}
		all = append(all, list...)
		if len(list) < perPage {
			break
		}
	}
	var releases []plan.Release
	for _, r := range all {
		version, ok := tag.version(r.Tag)
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
		releases = append(releases, plan.Release{Version: version, Released: r.released(needed), Pre: r.Prerelease})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.releases == nil {
		s.releases = map[string]*gitHubRelease{}
	}
	for _, r := range all {
		s.releases[owner+"/"+repo+" "+r.Tag] = r
	}
	return releases, nil
}

// listedRelease is a release that [plain.Versions] has seen, nil for none.
func (s *httpSource) listedRelease(w *plan.Want, tag string) *gitHubRelease {
	owner, repo, _ := w.From.GitHub()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.releases[owner+"/"+repo+" "+tag]
}

// errNoAsset is matched by the error for a file that a release lacks.
var errNoAsset error = absent("has no file")

// absent is the error of what its publisher has not made. It matches
// [fs.ErrNotExist].
type absent string

func (a absent) Error() string      { return string(a) }
func (absent) Is(target error) bool { return target == fs.ErrNotExist }

// assetDigest asks GitHub for a release (docs.github.com/rest/releases, "Get a
// release by tag name") and returns the SHA-256 that GitHub computed when the
// asset was uploaded, "" for one from before June 2025. There is one request a
// release, none where the list of them was asked for.
func (s *httpSource) assetDigest(ctx context.Context, w *plan.Want, asset string) (string, error) {
	owner, repo, _ := w.From.GitHub()
	tag := w.Naming.ReleaseTag(w.Version)
	address := manifest.GitHubAPI + "/repos/" + owner + "/" + repo + "/releases/tags/" + url.PathEscape(tag)
	if listed := s.listedRelease(w, tag); listed != nil {
		return s.digestIn(ctx, w, listed, asset)
	}
	body, err := s.gitHub(ctx, address)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fault.Errorf(fault.Upstream, "see which releases there are: "+manifest.GitHubHost+"/"+owner+"/"+repo+"/releases; for a private repository set GITHUB_TOKEN",
			"GitHub has no release %s of %s/%s: %w", tag, owner, repo, err)
	case err != nil:
		return "", err
	}
	var release gitHubRelease
	if err := json.Unmarshal(body, &release); err != nil {
		return "", fault.Errorf(fault.Upstream, "try again later", "%s: malformed document: %w", redact.URL(address), err)
	}
	return s.digestIn(ctx, w, &release, asset)
}

// digestIn finds the digest of an asset of a release, on further pages where the
// release itself does not have all.
func (s *httpSource) digestIn(ctx context.Context, w *plan.Want, release *gitHubRelease, asset string) (string, error) {
	owner, repo, _ := w.From.GitHub()
	tag := w.Naming.ReleaseTag(w.Version)
	assets := release.Assets
	has := func(a gitHubAsset) bool { return a.Name == asset }
	for page := 1; !slices.ContainsFunc(assets, has) && release.ID != 0 && len(release.Assets) >= fewestAssets && page <= maxPages; page++ {
		address := fmt.Sprintf("%s/repos/%s/%s/releases/%d/assets?per_page=%d&page=%d", manifest.GitHubAPI, owner, repo, release.ID, perPage, page)
		body, err := s.gitHub(ctx, address)
		if err != nil {
			return "", err
		}
		var more []gitHubAsset
		if err := json.Unmarshal(body, &more); err != nil {
			return "", fault.Errorf(fault.Upstream, "try again later", "%s: malformed document: %w", redact.URL(address), err)
		}
		assets = append(assets, more...)
		if len(more) < perPage {
			break
		}
	}
	var names []string
	for _, a := range assets {
		if a.Name != asset || a.State != "" && a.State != "uploaded" {
			names = append(names, a.Name)
			continue
		}
		if a.Digest == "" {
			return "", nil
		}
		digest, ok := strings.CutPrefix(a.Digest, "sha256:")
		if !ok || lock.CheckSHA256("digest", digest) != nil {
			return "", fault.Errorf(fault.Upstream, "install a newer lockgen", "GitHub gives %s the digest %q, which is no SHA-256", asset, a.Digest)
		}
		return digest, nil
	}
	return "", fault.Errorf(fault.Upstream, "correct asset of the entry, or write optional = true",
		"release %s of %s/%s %w %s; it has %s", tag, owner, repo, errNoAsset, asset, fault.List(names))
}

// credentials gives GITHUB_TOKEN to GitHub's API and to nobody else, a mirror of
// it included, and to every other host what the user's netrc has for it.
func credentials(env func(string) string) func(u *url.URL) remote.Credential {
	token, netrc := env("GITHUB_TOKEN"), remote.Netrc(env)
	return func(u *url.URL) remote.Credential {
		if token == "" || fmt.Sprintf("%s://%s", u.Scheme, u.Host) != manifest.GitHubAPI {
			return netrc(u)
		}
		return remote.Credential{Name: "GITHUB_TOKEN", Authorization: "Bearer " + token}
	}
}
