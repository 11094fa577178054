package resolve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

// maxRelease bounds GitHub's description of a release, in bytes; one of a
// hundred assets has some 200 kB.
const maxRelease = 8 << 20

// errNoAsset is matched by the error for a file that a release lacks.
var errNoAsset = errors.New("has no file")

// assetDigest asks GitHub for a release (docs.github.com/rest/releases, "Get a
// release by tag name") and returns the SHA-256 that GitHub computed when the
// asset was uploaded, "" for one from before June 2025. There is one request a
// release.
func (s *plain) assetDigest(ctx context.Context, w *Want, asset string) (string, error) {
	owner, repo, _ := w.From.GitHub()
	tag := w.naming.ReleaseTag(w.Version)
	address := lock.GitHubAPI + "/repos/" + owner + "/" + repo + "/releases/tags/" + url.PathEscape(tag)
	body, err := s.document(ctx, address, "application/vnd.github+json", maxRelease)
	switch {
	case errors.Is(err, remote.ErrRateLimit):
		return "", fault.Errorf(fault.Of(err), "set GITHUB_TOKEN to a token of yours, which needs no permission, or wait", "%w", err)
	case errors.Is(err, fs.ErrNotExist):
		return "", fault.Errorf(fault.Upstream, "see which releases there are: "+lock.GitHubHost+"/"+owner+"/"+repo+"/releases; for a private repository set GITHUB_TOKEN",
			"GitHub has no release %s of %s/%s: %w", tag, owner, repo, err)
	case err != nil:
		return "", err
	}
	var release struct {
		Assets []struct {
			Name   string `json:"name"`
			State  string `json:"state"`
			Digest string `json:"digest"`
		} `json:"assets"`
	}
	if err := json.Unmarshal(body, &release); err != nil {
		return "", fault.Errorf(fault.Upstream, "try again later", "%s: malformed document: %w", remote.Redact(address), err)
	}
	var names []string
	for _, a := range release.Assets {
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
		"release %s of %s/%s %w %s; it has %s", tag, owner, repo, errNoAsset, asset, listed(names))
}

// gitHubToken gives GITHUB_TOKEN to GitHub's API and to nobody else, a mirror
// of it included.
func gitHubToken(env func(string) string) func(u *url.URL) remote.Credential {
	token := env("GITHUB_TOKEN")
	return func(u *url.URL) remote.Credential {
		if token == "" || fmt.Sprintf("%s://%s", u.Scheme, u.Host) != lock.GitHubAPI {
			return remote.Credential{}
		}
		return remote.Credential{Name: "GITHUB_TOKEN", Authorization: "Bearer " + token}
	}
}
