package manifest

import (
	"net/url"
	"path"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// A Source is where a plugin comes from, as written in plugins.toml and the
// catalogue: "npm:NAME", "pip:NAME", "pip:NAME[EXTRA,…]",
// "cargo:NAME[FEATURE,…]", "go:MODULE", "github:OWNER/REPO" (kind http),
// "maven:GROUP:ARTIFACT[:CLASSIFIER]", or the template of an https or oci URL.
type Source struct {
	Kind string // NPM, Pip, Cargo, Go, Maven, OCI or HTTP of package lock
	Name string // the package or module, with extras of pip and features of cargo in brackets; the text itself for OCI and HTTP
}

// Bare returns the source without extras and features.
func (s Source) Bare() (bare Source, extras []string) {
	s.Name, extras = lock.KindOf(s.Kind).Extras(s.Name)
	return s, extras
}

// parseExtras parses the part of a source after its kind. What is in brackets
// is sorted, as its order does not matter.
func parseExtras(k *lock.Kind, rest string) (Source, error) {
	s, extras := Source{k.Name, rest}.Bare()
	if err := k.CheckPackage(s.Name); err != nil || extras == nil {
		return s, err
	}
	for _, extra := range extras {
		if err := k.CheckExtra(extra); err != nil {
			return s, err
		}
	}
	s.Name += "[" + strings.Join(extras, ",") + "]"
	return s, nil
}

// String returns the form that [ParseSource] parses.
func (s Source) String() string {
	if !s.Ecosystem() {
		return s.Name
	}
	return s.Kind + ":" + s.Name
}

// Ecosystem reports whether the source is a package of an ecosystem and not a
// URL.
func (s Source) Ecosystem() bool { return lock.KindOf(s.Kind).Ecosystem }

// ParseSource parses a source. Errors are of class [fault.Usage], or
// [fault.Policy] for http. They do not repeat credentials.
func ParseSource(s string) (Source, error) {
	const forms = "write npm:NAME, pip:NAME or pip:NAME[EXTRA,…], cargo:NAME or cargo:NAME[FEATURE,…], go:MODULE, github:OWNER/REPO, maven:GROUP:ARTIFACT[:CLASSIFIER], oci://HOST/REPO:TAG or https://…{version}…{os}…{arch}"
	kind, rest, ok := strings.Cut(s, ":")
	if !ok {
		return Source{}, fault.Errorf(fault.Usage, forms, "source %q has no kind", s)
	}
	if k := lock.KindOf(kind); k.Ecosystem {
		source, err := parseExtras(k, rest)
		if err != nil {
			return Source{}, fault.Errorf(fault.Usage, forms, "source %q: %w", s, err)
		}
		return source, nil
	}
	switch kind {
	case "github":
		owner, repo, ok := strings.Cut(rest, "/")
		if !ok || !syntax.IsWord(owner) || !syntax.IsWord(repo) {
			return Source{}, fault.Errorf(fault.Usage, "write github:OWNER/REPO", "source %q has no repository", s)
		}
		return Source{lock.HTTP, s}, nil
	case lock.OCI:
		if err := checkOCI(s); err != nil {
			return Source{}, err
		}
		return Source{lock.OCI, s}, nil
	case "http", "https":
		if err := syntax.CheckURL(s); err != nil {
			return Source{}, err
		}
		if err := checkTemplate(s, templateVariables...); err != nil {
			return Source{}, err
		}
		if _, err := Archive(s); err != nil {
			return Source{}, err
		}
		return Source{lock.HTTP, s}, nil
	}
	hint := forms
	if near := fault.Nearest(kind, append(lock.Ecosystems(), "https", "github", lock.OCI)); near != "" {
		hint = "did you mean " + near + ":? " + forms
	}
	return Source{}, fault.Errorf(fault.Usage, hint, "source %q has the unknown kind %q", redact.URL(s), kind)
}

// templateVariables are the names allowed in braces in a URL or in the path of
// a binary.
var templateVariables = []string{"version", "build", "os", "arch", "goos", "goarch", "exe"}

// Expand replaces the variables of a template for a version and a platform:
// {version}, {build} (what follows its +), {os} and {arch} (as in the lock: linux
// macos windows, x86_64 aarch64), {goos} and {goarch} (as in Go), {exe} (".exe" on
// Windows).
func Expand(template, version string, p lock.Platform) string {
	var b strings.Builder
	for {
		before, behind, ok := strings.Cut(template, "{")
		name, after, closed := strings.Cut(behind, "}")
		if b.WriteString(before); !ok {
			return b.String()
		}
		value, known := "", closed
		switch name {
		case "version":
			value = version
		case "build":
			value = build(version)
		case "os":
			value = p.OS
		case "arch":
			value = p.Arch
		case "goos":
			value = p.GOOS
		case "goarch":
			value = p.GOARCH
		case "exe":
			value = p.Exe()
		default:
			known = false
		}
		if known {
			template = after
		} else {
			value, template = "{", behind
		}
		b.WriteString(value)
	}
}

// build is what follows the + of a version, "" for none.
func build(version string) string {
	_, build, _ := strings.Cut(version, "+")
	return build
}

// checkTemplate refuses unknown variables.
func checkTemplate(s string, variables ...string) error {
	rest := s
	for {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			return nil
		}
		end := strings.IndexByte(rest[i:], '}')
		if rest[i] == '}' || end < 0 {
			return fault.Errorf(fault.Usage, "write {version}", "%q has an unmatched brace", s)
		}
		name := rest[i+1 : i+end]
		known := false
		for _, v := range variables {
			known = known || v == name
		}
		if !known {
			hint := "use one of {" + strings.Join(variables, "} {") + "}"
			if near := fault.Nearest(name, variables); near != "" {
				hint = "did you mean {" + near + "}? " + hint
			}
			return fault.Errorf(fault.Usage, hint, "%q has the unknown variable {%s}", s, name)
		}
		rest = rest[i+end+1:]
	}
}

// archiveEnds are the endings of file names, with the form that they mean.
var archiveEnds = []struct{ end, archive string }{
	{".tar.gz", "tar.gz"}, {".tgz", "tar.gz"},
	{".tar.xz", "tar.xz"}, {".txz", "tar.xz"},
	{".tar.zst", "tar.zst"}, {".tzst", "tar.zst"},
	{".tar.bz2", "tar.bz2"}, {".tbz2", "tar.bz2"}, {".tbz", "tar.bz2"},
	{".zip", "zip"}, {".nupkg", "zip"}, // a package of NuGet
	{".gz", "gz"}, {".xz", "xz"}, {".zst", "zst"}, {".bz2", "bz2"},
}

// otherEnds are endings of archives that this program does not unpack.
var otherEnds = []string{".tar", ".7z", ".rar", ".dmg", ".pkg", ".msi", ".deb", ".rpm", ".cab", ".lz", ".lz4", ".lzma", ".tlz", ".z", ".zipx", ".br"}

// Archive returns the form of a file, one of [lock.Archives], from the last
// part of a URL's path, or "" for a bare executable. A form that this program
// does not unpack is an error of class [fault.Usage].
func Archive(rawURL string) (string, error) {
	base := rawURL
	if u, err := url.Parse(rawURL); err == nil {
		base = path.Base(u.Path)
	}
	base = strings.ToLower(base)
	for _, known := range archiveEnds {
		if strings.HasSuffix(base, known.end) {
			return known.archive, nil
		}
	}
	for _, end := range otherEnds {
		if strings.HasSuffix(base, end) {
			return "", fault.About(fault.AboutArchives, fault.Errorf(fault.Usage, "name another file of the release: unpacked are ."+strings.Join(lock.Archives, ", .")+", and a bare executable; no key allows another form",
				"%s is an archive of a form (%s) that this version does not unpack", redact.URL(base), end))
		}
	}
	return "", nil
}
