package lock

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/mod/module"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/pep440"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// The kinds.
const (
	HTTP  = "http"
	OCI   = "oci"
	NPM   = "npm"
	Cargo = "cargo"
	Pip   = "pip"
	Go    = "go"
	Maven = "maven"
)

// A Kind has the rules of one kind for naming and checking files in the lock
// and the manifest. Package kind reads their archives.
type Kind struct {
	Name string

	// Ecosystem says that packages come from the registry that the user's own
	// client is configured with. Sources have the form KIND:PACKAGE, and files
	// have no host. Sources of other kinds have a URL and an archive, but no
	// package.
	Ecosystem bool
	// URLs says that a URL names each file, so that there is no package. Files of
	// kinds that have neither this nor Ecosystem are in a repository, by tag.
	URLs bool
	// Compiled says that a locked cell needs no tree, because the plugin is
	// compiled where it is used.
	Compiled bool
	// PublisherTimes says that only publishers say when a version was released;
	// the registry records no time.
	PublisherTimes bool
	// Paths says that names of packages are paths with a host, and that allow
	// in [policy] may have a prefix of one.
	Paths bool

	// Schemes says that publishers may write versions in their own form, which a
	// recipe has as a template.
	Schemes bool
	// RegistryPrefix is what the client writes before the URL of a registry, and a
	// person may copy from there.
	RegistryPrefix string

	// Scopes says that packages may be in scopes, and that allow in [policy] may have
	// all of one: @SCOPE/*.
	Scopes bool
	// Bins says that a package lists its executables by name, so that binary in an
	// entry may be such a name.
	Bins bool

	// OneEach says that each platform has its own file, which the server may
	// lack.
	OneEach bool

	// Client is the program that knows which registry the user has configured, "" if none
	// is needed, and Registry what it calls that.
	Client, Registry string

	// Engines says that package.json of a package names versions of node and of other
	// packages that it works with.
	Engines bool

	// RunBy is the plugin that runs packages that are no programs, "" for none.
	RunBy string
	// Wheels says that files are wheels: they are for some interpreters of
	// Python, which runs their console scripts, and versions are those of PEP 440.
	Wheels bool

	// Jars says that files may be jars, which Java runs or has in its programs: an
	// entry may name the class to start, and another jar with .proto files. Versions
	// are those of Maven.
	Jars bool

	// Language is the one whose runtimes are of this kind, "" for none, and
	// RuntimeHint how to write one of them in [runtimes].
	Language, RuntimeHint string

	// Folders says that the key of a file is the folder of its package in the
	// tree.
	Folders bool
	// Mains says that package in an entry is the folder of a main package in the
	// source, which plugin go compiles. For other kinds it replaces the name of the
	// source's package. A runtime of such a kind is used by its folders.
	Mains bool
	// V is the prefix of a version in coordinates and in what people write.
	V string
	// PURL is the type in package URLs.
	PURL string

	// The fields below may be nil, for the default.
	program      func(name string) string // returns the name of the program in a package; default unknown
	extra        func(word string) bool   // reports whether word may be EXTRA in KIND:NAME[EXTRA,…]
	checkPackage func(name string) error
	spelled      func(name string) string                        // returns a name as in coordinates
	normal       func(name string) string                        // returns the same name for all names of one package
	identity     func(pkg, key string, f File) string            // default NAME@VERSION
	pkg          func(key string, f File) (name, version string) // default those of the file
	part         func(key string) string                         // which part of its package the file is
	qualifiers   func(key string, f File) map[string]string      // in package URLs, to distinguish files of a package
	same         func(a, b File) bool                            // default the same bytes
	release      func(version string) string                     // under which version a release is locked
	sameRelease  func(a, b string) bool                          // default equality
	address      func(v *Version, f File) string                 // where the version may appear, without the host
	checkArgs    func(args []string) error
	check        func(v *Version) error
	checkFile    func(v *Version, key string, f File) error
}

// kinds lists the kinds, in the order of the attempts.
var kinds = []*Kind{&npm, &cargo, &pip, &golang, &maven, &oci, &http}

// KindNames lists the names of all kinds, in the same order.
func KindNames() []string { return KindsThat(func(*Kind) bool { return true }) }

// Ecosystems lists the names of the ecosystem kinds, in the same order.
func Ecosystems() []string { return KindsThat(func(k *Kind) bool { return k.Ecosystem }) }

// KindsThat lists the names of the kinds for which is returns true, in the same
// order.
func KindsThat(is func(k *Kind) bool) (names []string) {
	for _, k := range kinds {
		if is(k) {
			names = append(names, k.Name)
		}
	}
	return names
}

// KindOf returns the kind with a name. For an unknown name it has only the
// name, and no rules that a file could satisfy.
func KindOf(name string) *Kind {
	for _, k := range kinds {
		if k.Name == name {
			return k
		}
	}
	return &Kind{Name: name}
}

// Kind returns the kind of a version.
func (v *Version) Kind() *Kind { return KindOf(v.Source) }

var npm = Kind{
	Name: NPM, Ecosystem: true, Folders: true, Scopes: true, Bins: true, Schemes: true, Engines: true, RunBy: "node", PURL: "npm",
	Client: "npm", Registry: "registry",
	Language: "typescript", RuntimeHint: `write "@bufbuild/protobuf" for a version that fits the plugins, or "@bufbuild/protobuf==2.17.0"`,
	checkPackage: func(name string) error {
		bare := name
		if strings.HasPrefix(name, "@") {
			scope, rest, ok := strings.Cut(name[1:], "/")
			if !ok || !syntax.IsWord(scope) {
				return fmt.Errorf("package %q is not of the form @SCOPE/NAME", name)
			}
			bare = rest
		}
		return checkWord(name, bare)
	},
	checkFile: func(_ *Version, _ string, f File) error {
		if f.Name == "" || f.Version == "" {
			return errors.New("name and version are required")
		}
		if err := checkSorted("bundled", f.Bundled, syntax.CheckShown); err != nil {
			return err
		}
		return syntax.CheckSHA512("integrity", f.Integrity)
	},
}

var cargo = Kind{
	Name: Cargo, Ecosystem: true, Compiled: true, RegistryPrefix: "sparse+", PURL: "cargo",
	Language: "rust", RuntimeHint: `write "prost" for a version that fits the plugins, "prost==0.14.1", or the name of any other crate, with its features as in "tokio[full]"`,
	checkPackage: func(name string) error {
		if strings.Contains(name, ".") || len(name) > 64 {
			return fmt.Errorf("package %q is not the name of a crate", name)
		}
		return checkWord(name, name)
	},
	extra:     func(word string) bool { return syntax.Features(word) && !strings.ContainsAny(word, " ,") },
	normal:    func(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "-")) },
	checkArgs: syntax.CheckFeatures,
	checkFile: func(_ *Version, key string, f File) error {
		if want := f.Name + "-" + f.Version + ".crate"; f.Name == "" || f.Version == "" || key != want {
			return fmt.Errorf("for its name and version, it must be %q", want)
		}
		return nil
	},
}

var pip = Kind{
	Name: Pip, Ecosystem: true, Wheels: true, PURL: "pypi",
	Client: "pip", Registry: "index",
	Language: "python", RuntimeHint: `write "protobuf" for a version that fits the plugins, or "protobuf==6.30.2"`,
	extra:        syntax.IsWord,
	checkPackage: checkExtras,
	spelled:      syntax.NormalProject,
	normal:       syntax.NormalProject,
	identity:     func(_, key string, _ File) string { return key },
	pkg: func(key string, _ File) (name, version string) { // of a wheel: NAME-VERSION-… (PEP 427)
		name, rest, _ := strings.Cut(key, "-")
		if strings.Count(rest, "-") >= 3 {
			version, _, _ = strings.Cut(rest, "-")
		}
		return syntax.NormalProject(name), version
	},
	sameRelease: pep440.Same,
	qualifiers:  func(key string, _ File) map[string]string { return map[string]string{"file_name": key} }, // which of several wheels
}

var golang = Kind{
	Name: Go, Ecosystem: true, Mains: true, PublisherTimes: true, Paths: true, V: "v", PURL: "golang",
	Client: "go", Registry: "module proxy",
	Language: "go", RuntimeHint: `write "protobuf" for a version that fits the plugins, "protobuf==1.36.12", or the path of any other module`,
	checkPackage: module.CheckPath,
	identity:     func(_, key string, _ File) string { return key },
	part: func(key string) string {
		if strings.HasSuffix(key, ".zip") {
			return ""
		}
		return "go.mod"
	},
	// A proxy may compress a module differently: the hash of the files counts.
	same: func(a, b File) bool { return a.Integrity == b.Integrity && a.GoMod == b.GoMod },
	// The version of [GoToolchain] has the version of Go.
	release: func(version string) string {
		if rest, ok := strings.CutPrefix(version, "0.0.1-go"); ok {
			if i := strings.LastIndexByte(rest, '.'); i > 0 {
				return rest[:i]
			}
		}
		return version
	},
	check:     (*Version).validateGo,
	checkFile: func(_ *Version, key string, f File) error { return validateGoFile(key, f) },
}

var maven = Kind{
	Name: Maven, Ecosystem: true, Jars: true, Schemes: true, PublisherTimes: true, OneEach: true, PURL: "maven",
	Language: "java", RuntimeHint: `write "protobuf-java" for a version that fits the plugins, "protobuf-java==4.36.2", or "GROUP:ARTIFACT" for any other library`,
	program: func(name string) string {
		_, rest, _ := strings.Cut(name, ":")
		artifact, _, _ := strings.Cut(rest, ":")
		return artifact
	},
	checkPackage: checkArtifact,
	normal: func(name string) string { // without a classifier
		group, rest, _ := strings.Cut(name, ":")
		artifact, _, _ := strings.Cut(rest, ":")
		return group + ":" + artifact
	},
	identity: func(_, key string, _ File) string { return key },
	qualifiers: func(key string, f File) map[string]string {
		classifier, ext, _ := mavenFile(key, f)
		with := map[string]string{"type": ext}
		if classifier != "" {
			with["classifier"] = classifier
		}
		return with
	},
	check:     (*Version).validateMaven,
	checkFile: func(_ *Version, key string, f File) error { return validateMavenFile(key, f) },
}

var oci = Kind{
	Name: OCI, PublisherTimes: true, Paths: true,
	normal: func(name string) string {
		host, rest, _ := strings.Cut(name, "/")
		if h, err := syntax.NormalHost(host); err == nil {
			host = h
		}
		return host + "/" + rest
	},
	identity: func(pkg, key string, f File) string { return pkg + ":" + f.Version + " " + key },
	address: func(v *Version, f File) string {
		_, repo, _ := strings.Cut(v.Package, "/")
		return repo + ":" + f.Version + "#" + f.Name
	},
	checkFile: func(v *Version, _ string, f File) error {
		if f.Version == "" {
			return errors.New("version (the tag) is missing")
		}
		if err := syntax.CheckSHA256("manifest", f.Manifest); err != nil {
			return err
		}
		if v.Package == "" {
			return errors.New("package (HOST/REPO) is missing")
		}
		return nil
	},
}

var http = Kind{
	Name: HTTP, URLs: true, OneEach: true,
	identity: func(_, _ string, f File) string { return f.URL },
	address: func(_ *Version, f File) string {
		u, err := url.Parse(f.URL)
		if err != nil {
			return ""
		}
		query, err := url.QueryUnescape(u.RawQuery)
		if err != nil {
			query = ""
		}
		return u.Path + "?" + u.RawQuery + "&" + query
	},
	checkFile: func(_ *Version, _ string, f File) error {
		if f.URL == "" {
			return errors.New("url is missing")
		}
		if u, err := url.Parse(f.URL); err != nil || syntax.CheckSeen(f.URL) != nil || strings.Trim(u.Hostname(), ".") == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("url %q is not of the form https://HOST/…", redact.URL(f.URL))
		}
		return nil
	},
}

// checkWord checks the name of a package; bare is the name without an allowed
// prefix.
func checkWord(name, bare string) error {
	if !syntax.IsWord(bare) || len(name) > 214 {
		return fmt.Errorf("package %q is not a name", name)
	}
	return nil
}

// checkExtras is checkWord for a name that may have extras.
func checkExtras(name string) error {
	bare, extras := syntax.Extras(name)
	for _, extra := range extras {
		if !syntax.IsWord(extra) {
			return fmt.Errorf("package %q: %q is not the name of an extra", name, extra)
		}
	}
	return checkWord(name, bare)
}

// Extras splits the name in a source KIND:NAME[EXTRA,…]; it is the inverse for
// extras of pip and features of cargo, which are sorted. Without brackets, and
// for other kinds, there are none.
func (k *Kind) Extras(name string) (bare string, extras []string) {
	if k.extra != nil {
		bare, extras = syntax.Extras(name)
		slices.Sort(extras)
		return bare, slices.Compact(extras)
	}
	return name, nil
}

// Program returns the name of the program in a package of this kind, if that
// of the package tells it; "" if an entry has to name it.
func (k *Kind) Program(name string) string {
	if k.program == nil {
		return ""
	}
	return k.program(name)
}

// CheckExtra checks the name of an extra. Its error has no class.
func (k *Kind) CheckExtra(word string) error {
	if k.extra == nil || !k.extra(word) {
		return fmt.Errorf("%q is not the name of an extra", word)
	}
	return nil
}

// CheckPackage checks the name of a package of an ecosystem kind. Its error has
// no class.
func (k *Kind) CheckPackage(name string) error {
	if k.checkPackage == nil {
		return fmt.Errorf("source %s has no packages", k.Name)
	}
	return k.checkPackage(name)
}

// Normal returns the form of a package's name that is equal for all names of
// the package: PEP 503 for pip, lower case with - for _ for cargo, the host in
// lower case for oci, the name itself for npm and go.
func (k *Kind) Normal(name string) string {
	if k.normal == nil {
		return name
	}
	return k.normal(name)
}

// Spelled returns NAME or NAME@VERSION with the name as in coordinates of this
// kind.
func (k *Kind) Spelled(s string) string {
	if k.spelled == nil {
		return s
	}
	name, version, versioned := strings.Cut(s, "@")
	if s = k.spelled(name); versioned {
		s += "@" + version
	}
	return s
}

// coordinate returns the coordinate of a package, for mirrors.
func (k *Kind) coordinate(name, version string) string {
	return k.Name + ":" + k.Spelled(name) + "@" + k.V + version
}

// PackageOf returns the package that a file is part of: its name and version in
// the source. The version is "" if the file does not tell, both are "" for a
// kind without packages.
func (k *Kind) PackageOf(key string, f File) (name, version string) {
	switch {
	case k.pkg != nil:
		return k.pkg(key, f)
	case k.Ecosystem:
		return f.Name, f.Version
	}
	return "", ""
}

// PartOf returns which part of its package a file is, "" for all of it: for
// some modules Go only needs the go.mod.
func (k *Kind) PartOf(key string) string {
	if k.part == nil {
		return ""
	}
	return k.part(key)
}

// Qualifiers returns what distinguishes a file from others of its package in
// package URLs; nil for nothing.
func (k *Kind) Qualifiers(key string, f File) map[string]string {
	if k.qualifiers == nil {
		return nil
	}
	return k.qualifiers(key, f)
}

// Repacks reports whether servers may have the same content in other bytes, such as
// compressed differently.
func (k *Kind) Repacks() bool { return k.same != nil }

// Identity returns what must always have the same bytes: what a source is asked
// for when a file of a package is downloaded. Two files with the same identity
// are downloaded once.
func (k *Kind) Identity(pkg, key string, f File) string {
	return k.Name + " " + k.Identify(pkg, key, f)
}

// Identify is [Kind.Identity] without the kind.
func (k *Kind) Identify(pkg, key string, f File) string {
	if k.identity == nil {
		return f.Name + "@" + f.Version
	}
	return k.identity(pkg, key, f)
}

// CheckArgs checks the arguments of an entry for the compiler of this kind.
// Errors are of class [fault.Usage].
func (k *Kind) CheckArgs(args []string) error {
	switch {
	case k.checkArgs != nil:
		return k.checkArgs(args)
	case len(args) > 0:
		return fault.Errorf(fault.Usage, "remove args", "args are for a compiler, but source %s is not compiled", k.Name)
	}
	return nil
}
