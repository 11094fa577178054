package manifest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// gitHubFiles are the hosts that GitHub redirects to for the files of a release
// (docs.github.com/en/rest/releases/assets).
var gitHubFiles = []string{"objects.githubusercontent.com", "release-assets.githubusercontent.com"}

// allowsURL reports whether a file at a URL may be locked: its host is allowed,
// or the URL is of a release of a GitHub repository, or GitHub's description of
// one, and the repository is allowed as github:OWNER/REPO or github:OWNER/*.
func (p *Policy) allowsURL(u *url.URL) bool {
	if p.AllowsHost(u) {
		return true
	}
	owner, repo, ok := gitHubRepository(u)
	return ok && (slices.Contains(p.Allow, github+owner+"/"+repo) || slices.Contains(p.Allow, github+owner+"/*"))
}

// gitHubRepository returns the repository, in lower case, of a GitHub URL; ok
// is false for any other URL.
func gitHubRepository(u *url.URL) (owner, repo string, ok bool) {
	// The parts need no percent-encoding, which could hide a slash or a dot.
	escaped := strings.ToLower(u.EscapedPath())
	if u.Scheme != "https" || u.User != nil || strings.Contains(escaped, "%2f") || strings.Contains(escaped, "%2e") || strings.Contains(escaped, `%5c`) {
		return "", "", false
	}
	host, err := hostPort(u)
	if err != nil {
		return "", "", false
	}
	path, ok := strings.CutPrefix(u.Path, "/")
	least := 4 // OWNER/REPO/releases/FILE
	switch "https://" + host {
	case GitHubHost:
	case GitHubAPI:
		path, ok = strings.CutPrefix(path, "repos/")
		least = 3 // the list of releases
	default:
		return "", "", false
	}
	parts := strings.Split(path, "/")
	for _, part := range parts {
		ok = ok && part != "" && part != "." && part != ".."
	}
	if !ok || len(parts) < least || parts[2] != "releases" {
		return "", "", false
	}
	return strings.ToLower(parts[0]), strings.ToLower(parts[1]), true
}

// checkURL returns an error of class [fault.Policy] for a URL that allow does
// not permit. The hint is the entry to add.
func (p *Policy) checkURL(u *url.URL) error {
	if p.allowsURL(u) {
		return nil
	}
	entry := hostEntry(u)
	hint := fmt.Sprintf("%q", entry)
	if owner, repo, ok := gitHubRepository(u); ok {
		hint = fmt.Sprintf("%q, or %q for all of this owner", github+owner+"/"+repo, github+owner+"/*")
		return fault.Errorf(fault.Policy, "if you trust it, add to allow of [policy] in plugins.toml: "+hint,
			"the repository %s/%s of GitHub is not in allow of [policy]", owner, repo)
	}
	return fault.Errorf(fault.Policy, "if you trust it, add to allow of [policy] in plugins.toml: "+hint,
		"the host %s is not in allow of [policy]", strings.TrimPrefix(entry, "host:"))
}

// CheckRedirect is [Policy.CheckURL] for all requests for files of kinds http
// and oci, with redirects. Configured mirrors are always allowed, a registry is
// allowed if any of its repositories is, and if a GitHub repository is allowed,
// so are the hosts that GitHub redirects to for its files.
func (p *Policy) CheckRedirect(kind string, mirrors []Mirror) func(u *url.URL) error {
	implied := map[string]bool{}
	imply := func(address string) {
		if a, err := url.Parse(address); err == nil {
			implied[hostEntry(a)] = true
		}
	}
	for _, m := range mirrors {
		imply(strings.Replace(m.To, "oci://", "https://", 1))
	}
	if p.AllowsHost(&url.URL{Scheme: "https", Host: "github.com"}) {
		imply(GitHubAPI)
	}
	k := lock.KindOf(kind)
	for _, entry := range p.Allow {
		if repository, ok := strings.CutPrefix(entry, kind+":"); ok && !k.Ecosystem {
			host, _, _ := strings.Cut(repository, "/")
			imply("https://" + host)
		}
		if strings.HasPrefix(entry, github) && k.URLs {
			for _, host := range gitHubFiles {
				imply("https://" + host)
			}
		}
	}
	return func(u *url.URL) error {
		if implied[hostEntry(u)] {
			return nil
		}
		return p.checkURL(u)
	}
}

// CheckFile returns an error of class [fault.Policy] for a locked file that
// allow does not permit. Of is the package of the plugin, which is only used
// for oci.
func (p *Policy) CheckFile(kind, of, key string, f lock.File) error {
	const hint = "if you trust it, add to allow of [policy] in plugins.toml: "
	switch k := lock.KindOf(kind); {
	case k.URLs:
		u, err := url.Parse(f.URL)
		if err != nil {
			return fault.Errorf(fault.Policy, "run: lockgen update", "%s has no URL", key)
		}
		return p.checkURL(u)
	case !k.Ecosystem:
		if !p.AllowsPackage(kind, of) {
			return fault.Errorf(fault.Policy, fmt.Sprintf("%s%q", hint, "oci:"+of), "the repository %s is not in allow of [policy]", of)
		}
		return nil
	}
	name, _ := lock.KindOf(kind).PackageOf(key, f)
	if !p.AllowsPackage(kind, name) {
		return fault.Errorf(fault.Policy, fmt.Sprintf("%s%q", hint, kind+":"+name), "the %s package %s is not in allow of [policy]", kind, name)
	}
	return nil
}
