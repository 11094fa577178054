// Package github asks GitHub about the releases of a repository and their files
// (docs.github.com/rest/releases).
package github

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// maxReleases limits the size of a document, in bytes. A release with a hundred
// assets has about 200 kB, and a page lists a hundred releases.
const maxReleases = 64 << 20

// Limits for reading lists: the length and the number of pages. A release with
// fewer assets than fewestAssets lists all of them in its own document.
const (
	perPage      = 100
	maxPages     = 20
	fewestAssets = 30
)

// A Release is a release on GitHub.
type Release struct {
	ID         int64     `json:"id"`
	Tag        string    `json:"tag_name"`
	Draft      bool      `json:"draft"`
	Prerelease bool      `json:"prerelease"`
	Published  time.Time `json:"published_at"`
	Assets     []Asset   `json:"assets"`
}

// An Asset is a file of a release.
type Asset struct {
	Name    string    `json:"name"`
	State   string    `json:"state"`
	Digest  string    `json:"digest"` // computed by GitHub, "" for old assets
	Created time.Time `json:"created_at"`
	Updated time.Time `json:"updated_at"`
}

// Released returns when the last part of a release was uploaded; an asset that
// was replaced counts as new. needed says which assets count; if the release
// has none of them, all count.
func (r *Release) Released(needed func(name string) bool) time.Time {
	if !slices.ContainsFunc(r.Assets, func(a Asset) bool { return needed(a.Name) }) {
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
		return r.Published // never published, so the time is unknown
	}
	return last.UTC()
}

// A Client asks GitHub. It is safe for concurrent use.
type Client struct {
	// Document downloads a document, each only once.
	Document func(ctx context.Context, address, accept string, limit int64) ([]byte, error)

	mu     sync.Mutex
	listed map[string]*Release // by OWNER/REPO TAG
}

// ask downloads and decodes a document of GitHub's API.
func (c *Client) ask(ctx context.Context, into any, format string, args ...any) error {
	address := manifest.GitHubAPI + fmt.Sprintf(format, args...)
	body, err := c.Document(ctx, address, "application/vnd.github+json", maxReleases)
	if errors.Is(err, remote.ErrRateLimit) {
		err = fault.Errorf(fault.Of(err), "set GITHUB_TOKEN to a token, which needs no permissions, or wait", "%w", err)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fault.Errorf(fault.Upstream, "try again later", "%s: malformed document: %w", redact.URL(address), err)
	}
	if string(bytes.TrimSpace(body)) == "null" {
		return fault.Errorf(fault.Upstream, "try again later", "%s: malformed document: it is null", redact.URL(address))
	}
	return nil
}

// Releases lists the releases of a repository ("List releases"), a hundred per
// request.
func (c *Client) Releases(ctx context.Context, owner, repo string) ([]*Release, error) {
	var all []*Release
	for page := 1; page <= maxPages; page++ {
		more := ""
		if page > 1 {
			more = fmt.Sprintf("&page=%d", page)
		}
		var list []*Release
		err := c.ask(ctx, &list, "/repos/%s/%s/releases?per_page=%d%s", owner, repo, perPage, more)
		if errors.Is(err, fs.ErrNotExist) {
			err = fault.Errorf(fault.Upstream, "correct the source; for a private repository set GITHUB_TOKEN", "GitHub has no repository %s/%s: %w", owner, repo, err)
		}
		if err != nil {
			return nil, err
		}
		if slices.Contains(list, nil) {
			return nil, fault.Errorf(fault.Upstream, "try again later", "the releases of %s/%s: malformed document: one is null", owner, repo)
		}
		all = append(all, list...)
		if len(list) < perPage {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.listed == nil {
		c.listed = map[string]*Release{}
	}
	for _, r := range all {
		c.listed[owner+"/"+repo+" "+r.Tag] = r
	}
	return all, nil
}

// release returns one release ("Get a release by tag name"). It makes no
// request if [Client.Releases] has returned that release.
func (c *Client) release(ctx context.Context, owner, repo, tag string) (*Release, error) {
	c.mu.Lock()
	r := c.listed[owner+"/"+repo+" "+tag]
	c.mu.Unlock()
	if r != nil {
		return r, nil
	}
	err := c.ask(ctx, &r, "/repos/%s/%s/releases/tags/%s", owner, repo, url.PathEscape(tag))
	if errors.Is(err, fs.ErrNotExist) {
		err = fault.Errorf(fault.Upstream, "choose one of the releases: "+manifest.GitHubHost+"/"+owner+"/"+repo+"/releases; for a private repository set GITHUB_TOKEN",
			"GitHub has no release %s of %s/%s: %w", tag, owner, repo, err)
	}
	return r, err
}

// ErrNoAsset matches the error for a file that a release lacks. It matches
// [fs.ErrNotExist].
var ErrNoAsset error = noAsset{}

type noAsset struct{}

func (noAsset) Error() string        { return "has no file" }
func (noAsset) Is(target error) bool { return target == fs.ErrNotExist }

// assets returns the assets of a release, until enough says stop.
func (c *Client) assets(ctx context.Context, owner, repo string, release *Release, enough func(Asset) bool) ([]Asset, error) {
	assets := release.Assets
	for page := 1; !slices.ContainsFunc(assets, enough) && release.ID != 0 && len(release.Assets) >= fewestAssets && page <= maxPages; page++ {
		var more []Asset
		if err := c.ask(ctx, &more, "/repos/%s/%s/releases/%d/assets?per_page=%d&page=%d", owner, repo, release.ID, perPage, page); err != nil {
			return nil, err
		}
		assets = append(assets, more...)
		if len(more) < perPage {
			break
		}
	}
	return assets, nil
}

// Names lists the files of a release.
func (c *Client) Names(ctx context.Context, owner, repo, tag string) ([]string, error) {
	release, err := c.release(ctx, owner, repo, tag)
	if err != nil {
		return nil, err
	}
	assets, err := c.assets(ctx, owner, repo, release, func(Asset) bool { return false })
	var names []string
	for _, a := range assets {
		if a.State == "" || a.State == "uploaded" {
			names = append(names, a.Name)
		}
	}
	return names, err
}

// Digest returns the SHA-256 that GitHub computed when an asset was uploaded,
// or "" for one from before June 2025. It makes one request per release, and
// more if the release itself does not list all assets.
func (c *Client) Digest(ctx context.Context, owner, repo, tag, asset string) (string, error) {
	release, err := c.release(ctx, owner, repo, tag)
	if err != nil {
		return "", err
	}
	assets, err := c.assets(ctx, owner, repo, release, func(a Asset) bool { return a.Name == asset })
	if err != nil {
		return "", err
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
		if !ok || syntax.CheckSHA256("digest", digest) != nil {
			return "", fault.Errorf(fault.Upstream, "install a newer lockgen", "GitHub gives %s the digest %q, which is not a SHA-256", asset, a.Digest)
		}
		return digest, nil
	}
	return "", fault.Errorf(fault.Upstream, "correct asset of the entry, or write optional = true",
		"release %s of %s/%s %w %s; it has %s", tag, owner, repo, ErrNoAsset, asset, fault.List(names))
}

// Attestations returns what is signed about a file of a repository by its SHA-256, in
// GitHub's form, and where it is. It is [fs.ErrNotExist] where there is nothing.
func (c *Client) Attestations(ctx context.Context, owner, repo, sha256 string) (address string, body []byte, err error) {
	address = manifest.GitHubAPI + fmt.Sprintf("/repos/%s/%s/attestations/sha256:%s?per_page=%d", owner, repo, sha256, perPage)
	body, err = c.Document(ctx, address, "application/vnd.github+json", maxReleases)
	return address, body, err
}

// Credentials sends GITHUB_TOKEN only to GitHub's API, not to mirrors of it.
// Every other host gets what the user's netrc has for it.
func Credentials(env func(string) string) func(u *url.URL) remote.Credential {
	token, netrc := env("GITHUB_TOKEN"), remote.Netrc(env)
	return func(u *url.URL) remote.Credential {
		if token == "" || fmt.Sprintf("%s://%s", u.Scheme, u.Host) != manifest.GitHubAPI {
			return netrc(u)
		}
		return remote.Credential{Name: "GITHUB_TOKEN", Authorization: "Bearer " + token}
	}
}
