package manifest

import (
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// github is the prefix of a source that is the releases of a GitHub repository,
// "github:OWNER/REPO".
const github = "github:"

// A Naming says how a publisher names the files of a plugin. The zero value
// uses the lock's names of platforms.
type Naming struct {
	Tag       string `toml:"tag"`       // template of the tag of a release, github: only; "" for "v{version}"
	Asset     string `toml:"asset"`     // template of a file name in the release, github: only
	Checksums string `toml:"checksums"` // template of the published checksum file: a URL, or a name beside the file; "" for none

	// OS and Arch map the lock's names to the publisher's: {"macos": "osx"}.
	OS   map[string]string `toml:"os"`
	Arch map[string]string `toml:"arch"`
}

// Expand is [Expand] with the publisher's names for {os} and {arch}.
func (n Naming) Expand(template, version string, p lock.Platform) string {
	if word, ok := n.OS[p.OS]; ok {
		template = strings.ReplaceAll(template, "{os}", word)
	}
	if word, ok := n.Arch[p.Arch]; ok {
		template = strings.ReplaceAll(template, "{arch}", word)
	}
	return Expand(template, version, p)
}

// URL returns the URL of the file of a source for a version and a platform.
// Asset replaces that of n unless it is "". Kind http only.
func (n Naming) URL(s Source, asset, version string, p lock.Platform) string {
	owner, repo, ok := s.GitHub()
	if !ok {
		return n.Expand(s.Name, version, p)
	}
	if asset == "" {
		asset = n.Asset
	}
	return GitHubHost + "/" + owner + "/" + repo + "/releases/download/" +
		(&url.URL{Path: n.ReleaseTag(version)}).EscapedPath() + "/" + url.PathEscape(n.Expand(asset, version, p))
}

// GitHubHost serves the files of releases, GitHubAPI describes releases
// (docs.github.com/rest/releases).
const (
	GitHubHost = "https://github.com"
	GitHubAPI  = "https://api.github.com"
)

// ReleaseTag returns the tag of the release of a version, github: only.
func (n Naming) ReleaseTag(version string) string {
	tag := n.Tag
	if tag == "" {
		tag = "v{version}"
	}
	return strings.NewReplacer("{version}", version, "{build}", build(version)).Replace(tag)
}

// ChecksumsURL returns the URL of the published checksum file for the file at a
// URL, or "" if there is none. In its template, {file} is the name of that
// file.
func (n Naming) ChecksumsURL(address, version string, p lock.Platform) string {
	if n.Checksums == "" {
		return ""
	}
	base, rest := address, ""
	if i := strings.LastIndexByte(address, '/'); i >= 0 {
		base, rest = address[:i+1], address[i+1:]
	}
	rest, _, _ = strings.Cut(rest, "?")
	name := n.Expand(strings.ReplaceAll(n.Checksums, "{file}", rest), version, p)
	if strings.Contains(name, "://") {
		return name
	}
	return base + name
}

// file returns the template of the file of a source with a URL, or "" for other
// sources, and the first template that differs between platforms, or "".
func (n Naming) file(s Source) (name, varying string) {
	_, _, gitHub := s.GitHub()
	switch {
	case gitHub:
		name = n.Asset
	case strings.HasPrefix(s.Name, "http"):
		name = s.Name
	}
	for _, template := range []string{s.Name, n.Tag, n.Asset, n.Checksums} {
		if varies(template) || strings.Contains(template, "{exe}") {
			return name, template
		}
	}
	return name, ""
}

// Check returns an error of class [fault.Usage] if the naming does not suit the
// source. Binary is the template of the executable's path; "" for none.
func (n Naming) Check(s Source, binary string) error {
	_, _, isGitHub := s.GitHub()
	switch {
	case !isGitHub && (n.Tag != "" || n.Asset != ""):
		return fault.Errorf(fault.Usage, "remove it, or write the source as github:OWNER/REPO", "tag and asset are for a source github:OWNER/REPO, not for %s", s)
	case isGitHub && n.Asset == "":
		return fault.Errorf(fault.Usage, `add: asset = "NAME-{version}-{os}-{arch}.tar.gz"`, "source %s needs the name of its asset", s)
	case !lock.KindOf(s.Kind).URLs && n.Checksums != "":
		return fault.Errorf(fault.Usage, "remove it", "checksums are only for a source with a URL; %s has its own digests", s)
	case s.Ecosystem() && (n.OS != nil || n.Arch != nil) && !varies(binary) && !lock.KindOf(s.Kind).OneEach:
		return fault.Errorf(fault.Usage, "remove it", "os and arch are for a URL, or for binary; %s has neither", s)
	}
	if err := checkTemplate(n.Tag, "version", "build"); err != nil {
		return err
	}
	if err := checkAsset(n.Asset); err != nil {
		return err
	}
	if _, err := Archive(n.Asset); err != nil {
		return err
	}
	if err := checkTemplate(n.Checksums, append(slices.Clone(templateVariables), "file")...); err != nil {
		return err
	}
	switch {
	case strings.Contains(n.Checksums, "://"):
		if err := syntax.CheckURL(n.Checksums); err != nil {
			return err
		}
	case n.Checksums != "":
		if err := checkAsset(strings.ReplaceAll(n.Checksums, "{file}", "file")); err != nil {
			return err
		}
	}
	if err := checkWords("os", "linux, macos, windows", n.OS, func(p lock.Platform) string { return p.OS }); err != nil {
		return err
	}
	return checkWords("arch", "aarch64, x86_64", n.Arch, func(p lock.Platform) string { return p.Arch })
}

// checkWords checks the publisher's names for a part of a platform.
func checkWords(what, known string, words map[string]string, of func(lock.Platform) string) error {
	for _, from := range slices.Sorted(maps.Keys(words)) {
		if to := words[from]; !syntax.IsWord(to) {
			return fault.Errorf(fault.Usage, "use letters, digits, -, _ and dots", "%s.%s = %q is not allowed in a file name", what, from, to)
		}
		if !slices.ContainsFunc(lock.Platforms, func(p lock.Platform) bool { return of(p) == from }) {
			return fault.Errorf(fault.Usage, "use one of "+known, "%s.%s is not a name in the lock", what, from)
		}
	}
	return nil
}

// varies reports whether a template gives different paths on different
// platforms, apart from the ending on Windows.
func varies(template string) bool {
	return slices.ContainsFunc([]string{"{os}", "{arch}", "{goos}", "{goarch}"}, func(v string) bool { return strings.Contains(template, v) })
}

// Varies reports whether the executable has different paths on different
// platforms. Then it is a native program, and not one script for all.
func (s Spec) Varies() bool { return s.Windows != "" || varies(s.Binary) }

// checkAsset checks the template of a file name.
func checkAsset(s string) error {
	if s == "" {
		return nil
	}
	if err := checkTemplate(s, templateVariables...); err != nil {
		return err
	}
	name := Expand(s, "1", lock.Platforms[0])
	if err := syntax.CheckShown(name); err != nil {
		return fault.Errorf(fault.Usage, "write the name of a file", "%w", err)
	}
	if path.Base(name) != name {
		return fault.Errorf(fault.Usage, "write the name of a file, without folders", "%q is not the name of a file", s)
	}
	return nil
}

// GitHub returns the repository of a source github:OWNER/REPO.
func (s Source) GitHub() (owner, repo string, ok bool) {
	rest, ok := strings.CutPrefix(s.Name, github)
	if !ok {
		return "", "", false
	}
	owner, repo, ok = strings.Cut(rest, "/")
	return owner, repo, ok
}

// An OCIRef refers to content of an OCI registry by tag.
type OCIRef struct {
	Host string // with its port
	Repo string
	Tag  string
	File string // org.opencontainers.image.title of the layer; "" for the only one
}

// Package returns HOST/REPO, as in the lock.
func (r OCIRef) Package() string { return r.Host + "/" + r.Repo }

// String returns HOST/REPO:TAG#FILE.
func (r OCIRef) String() string {
	s := r.Package() + ":" + r.Tag
	if r.File != "" {
		s += "#" + r.File
	}
	return s
}

// ParseOCI parses an expanded "oci://HOST/REPO:TAG" or
// "oci://HOST/REPO:TAG#FILE", by the grammar of the distribution specification.
// Errors are of class [fault.Usage].
func ParseOCI(s string) (OCIRef, error) {
	const form = "write oci://HOST/REPO:TAG, or oci://HOST/REPO:TAG#FILE for one file of an artifact"
	rest, ok := strings.CutPrefix(s, "oci://")
	var r OCIRef
	rest, r.File, _ = strings.Cut(rest, "#")
	slash := strings.IndexByte(rest, '/')
	colon := strings.LastIndexByte(rest, ':')
	if !ok || slash <= 0 || colon < slash {
		return r, fault.Errorf(fault.Usage, form, "source %q is not of the form oci://HOST/REPO:TAG", redact.URL(s))
	}
	r.Host, r.Repo, r.Tag = rest[:slash], rest[slash+1:colon], rest[colon+1:]
	u, err := url.Parse("https://" + r.Host)
	switch {
	case err != nil || u.Host != r.Host || u.User != nil || r.Host != strings.ToLower(r.Host) || !ascii(r.Host):
		return OCIRef{}, fault.Errorf(fault.Usage, form, "the host of an oci:// source is invalid; put credentials into docker's configuration")
	case !ociRepo(r.Repo):
		return OCIRef{}, fault.Errorf(fault.Usage, form, "%q is not the name of a repository: words of a-z and 0-9, joined by . _ - and /", r.Repo)
	case len(r.Tag) > 128 || !syntax.IsWord(r.Tag) && !syntax.IsWord(strings.TrimLeft(r.Tag, "_")):
		return OCIRef{}, fault.Errorf(fault.Usage, form, "%q is not a tag", r.Tag)
	}
	if r.File != "" {
		if err := syntax.CheckShown(r.File); err != nil {
			return OCIRef{}, fault.Errorf(fault.Usage, form, "%w", err)
		}
		if _, err := Archive(r.File); err != nil {
			return OCIRef{}, err
		}
	}
	return r, nil
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7e })
}

// ociRepo checks the name of a repository, at most 255 characters.
func ociRepo(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		for i, r := range part {
			edge := i == 0 || i == len(part)-1
			if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || !edge && strings.ContainsRune("._-", r)) {
				return false
			}
		}
		if part == "" {
			return false
		}
	}
	return len(s) <= 255
}

// checkOCI checks the template of an oci:// source.
func checkOCI(s string) error {
	if err := checkTemplate(s, templateVariables...); err != nil {
		return err
	}
	for _, p := range lock.Platforms {
		r, err := ParseOCI(Expand(s, "1", p))
		if err != nil {
			return err
		}
		first, err := ParseOCI(Expand(s, "1", lock.Platforms[0]))
		if err == nil && first.Package() != r.Package() {
			return fault.Errorf(fault.Usage, "use variables only in the tag or the file after #", "%q has another repository on each platform", s)
		}
	}
	return nil
}
