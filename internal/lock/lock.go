package lock

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"golang.org/x/mod/semver"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/internal/tomlscan"
)

// FileName is the name of a lock. Buck2 only loads data from files with the
// ending .toml or .json.
const FileName = "plugins.lock.toml"

// Schema is the version of the format that this program reads and writes.
const Schema = 1

// MaxSize limits the size of a lock or a manifest, in bytes.
const MaxSize = 64 << 20

// A Lock is the content of a plugins.lock.toml.
type Lock struct {
	Schema  int                            `toml:"schema"`
	Plugins map[string]map[string]*Version `toml:"plugins"` // by name, then by version; with proto packages as protos/NAME, and runtimes as runtimes/LANGUAGE/NAME
	// Protos has the proto packages of a text. [Parse] moves them to Plugins.
	Protos map[string]map[string]*Version `toml:"protos"`
	// Runtimes are likewise, by language, name and version.
	Runtimes map[string]map[string]map[string]*Version `toml:"runtimes"`
}

// A Version is one locked version of one plugin. A Buck2 action passes its JSON
// form to fetch install.
type Version struct {
	Source  string `toml:"source" json:"source"`   // a kind
	Package string `toml:"package" json:"package"` // name in the source; "" for http
	// Upstream is the source's number for this version if it differs, such as
	// 4.36.2 for 36.2; otherwise "".
	Upstream string `toml:"upstream" json:"upstream"`
	Include  string `toml:"include" json:"include"` // folder of .proto files in the tree; "" for none
	Runtime  string `toml:"runtime" json:"runtime"` // NAME@VERSION of the plugin that runs this one; "" for none
	Trust    string `toml:"trust" json:"trust"`     // the weakest evidence for Files, see Trusts

	// Main is the folder of the main package in the module, "" for its root;
	// Toolchain is NAME@VERSION of the plugin that compiles it. Kinds go and cargo only.
	Main      string `toml:"main" json:"main"`
	Toolchain string `toml:"toolchain" json:"toolchain"`
	// Args are arguments for the compiler; kind cargo only, see
	// [CheckFeatures].
	Args []string `toml:"args" json:"args"`
	// BuildScripts has the packages of the closure, as NAME-VERSION and sorted,
	// that run their own code while the plugin is compiled and that the
	// manifest allows. Kind cargo only.
	BuildScripts []string `toml:"build-scripts" json:"build-scripts"`

	// Python lists the interpreters that may run the plugin, "3.N" of CPython,
	// sorted; kind pip only, and empty for a plugin that runs by itself.
	// Program is its name.
	Python  []string `toml:"python" json:"python"`
	Program string   `toml:"program" json:"program"`
	Start

	// These are only for a proto package: Root is the folder of the archive
	// from which imports are counted, "" for its top; Only has patterns of the
	// files below it that belong to the package, nil for all; Deps has the
	// proto packages that they import; Folders has the folders that they are
	// in, "." for the root. See [syntax.CheckOnly].
	Root    string            `toml:"root" json:"root,omitempty"`
	Only    []string          `toml:"only" json:"only,omitempty"`
	Deps    []string          `toml:"deps" json:"deps,omitempty"`
	Folders map[string]Folder `toml:"folders" json:"folders,omitempty"`

	// Language is that of a runtime, "" for others: its table, or its name, says it.
	// Fits are the plugins, as NAME@VERSION and sorted, whose code it was chosen for.
	Language string   `toml:"-" json:"-"`
	Fits     []string `toml:"fits" json:"fits,omitempty"`

	// Files has every file of the closure by its key: for npm the folder of the
	// package, otherwise the name of the file.
	Files map[string]File `toml:"files" json:"files"`
	// Platforms has a cell for each known platform.
	Platforms map[string]Cell `toml:"platforms" json:"platforms"`
}

// Trusts lists the kinds of evidence for an upstream digest, weakest first:
// only our own first download, the registry's index, a checksum file of the
// publisher, a transparency log, a signed provenance.
var Trusts = []string{"first-use", "registry", "checksum-file", "transparency-log", "provenance"}

// Archives lists the forms of a file of kind http or oci, sorted: archives, and
// compressed single executables. Package kind makes a sysroot of one of Rust.
var Archives = []string{"bz2", "gz", "rust.tar.xz", "tar.bz2", "tar.gz", "tar.xz", "tar.zst", "xz", "zip", "zst"}

// A File is one file of a closure.
type File struct {
	Name      string   `toml:"name" json:"name"`           // package, for ecosystem kinds whose files are named by path; oci: title of the layer, if the source has it
	Version   string   `toml:"version" json:"version"`     // of that package; oci: the tag
	URL       string   `toml:"url" json:"url"`             // http only
	Manifest  string   `toml:"manifest" json:"manifest"`   // oci only: SHA-256 of the image manifest that lists the file
	Archive   string   `toml:"archive" json:"archive"`     // http and oci: one of Archives; "" for a bare executable
	SHA256    string   `toml:"sha256" json:"sha256"`       // 64 lower-case hexadecimal digits
	Size      int64    `toml:"size" json:"size"`           // bytes
	Integrity string   `toml:"integrity" json:"integrity"` // the registry's digest: "sha512-…" (npm), "h1:…" (Go)
	GoMod     string   `toml:"gomod" json:"gomod"`         // "h1:…" of the go.mod in a module zip
	Bundled   []string `toml:"bundled" json:"bundled"`     // npm: NAME@VERSION of the packages that are inside the file, sorted
	Signer    string   `toml:"signer" json:"signer"`       // whose signature was verified, as NAME via ISSUER; maven: the PGP key that the signature beside it names, not verified
	Python    []string `toml:"python" json:"python"`       // pip: sorted; empty for every interpreter of the version
	Platforms []string `toml:"platforms" json:"platforms"` // sorted; empty for every platform
}

// Label returns the name of the file with this key for people: NAME@VERSION, or
// the file name.
func (f File) Label(key string) string {
	if f.Name != "" {
		return f.Name + "@" + f.Version
	}
	return path.Base(key)
}

// For reports whether the file is part of the tree of a platform.
func (f File) For(platform string) bool {
	return len(f.Platforms) == 0 || slices.Contains(f.Platforms, platform)
}

// A Cell is what the lock says of a version on one platform. Either it is
// locked, or exactly one of Emulate and Unavailable is set. A locked cell has a
// Binary, and a Tree unless the plugin is compiled where it is used (kind
// cargo). A proto package and a runtime have the Tree alone.
type Cell struct {
	Binary      string `toml:"binary" json:"binary"`           // executable, relative to the tree
	Tree        string `toml:"tree" json:"tree"`               // digest of the tree, see archive.TreeHash
	Emulate     string `toml:"emulate" json:"emulate"`         // platform whose cell to use instead
	Unavailable string `toml:"unavailable" json:"unavailable"` // why there is none
}

// Locked reports whether the platform has its own files.
func (c Cell) Locked() bool { return c.Binary != "" || c.Tree != "" }

// Read reads and validates the lock at a path. Errors are of class
// [fault.Lock], or [fault.Machine] if the file cannot be read.
func Read(name string) (*Lock, []byte, error) {
	data, err := ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		err = fault.Missingf(fault.Lock, "run: lockgen update", "%s does not exist", name)
	}
	if err != nil {
		return nil, nil, err
	}
	l, err := Parse(name, data)
	return l, data, err
}

// ReadFile reads a regular file of at most [MaxSize] bytes.
func ReadFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fault.Errorf(fault.Machine, "give the path of a file", "%s is not a regular file", name)
	}
	if info.Size() > MaxSize {
		return nil, fault.Errorf(fault.Usage, "check that it is the right file; restore it with: git checkout -- "+shell(name), "%s has %d bytes, more than the limit of %d", name, info.Size(), MaxSize)
	}
	return os.ReadFile(name)
}

// Parse parses a lock and checks all rules of the format except that the text
// is canonical, see [Canonical]. Name is only for messages.
func Parse(name string, data []byte) (*Lock, error) {
	hint := restore(name)
	text := string(data)
	if l := readCanonical(text); l != nil && bytes.Equal(Print(l), data) {
		if err := l.Validate(); err != nil {
			return nil, fault.Errorf(fault.Lock, fault.HintOr(err, hint), "%s: %w", name, err)
		}
		return l, nil
	}
	if line := tomlscan.MergeMarker(data); line > 0 {
		return nil, fault.Errorf(fault.Lock, "take one side of the conflict, for example with: git checkout --ours -- "+shell(name)+"; then run: lockgen update",
			"%s:%d: unresolved merge", name, line)
	}
	if err := tomlscan.Check(text); err != nil {
		return nil, fault.Errorf(fault.Lock, hint, "%s: %w", name, describe(err))
	}
	var l Lock
	meta, err := toml.Decode(text, &l)
	if err != nil || l.Schema != Schema {
		// This program cannot know what a later schema means, so check the
		// schema first.
		if err := checkSchema(name, text); err != nil {
			return nil, err
		}
		return nil, fault.Errorf(fault.Lock, hint, "%s: %w", name, describe(err))
	}
	if keys := meta.Undecoded(); len(keys) > 0 {
		return nil, fault.Errorf(fault.Lock, hint, "%s: unknown key %q", name, keys[0].String())
	}
	err = l.takeProtos()
	l.takeRuntimes()
	if err == nil {
		err = l.Validate()
	}
	if err != nil {
		return nil, fault.Errorf(fault.Lock, fault.HintOr(err, hint), "%s: %w", name, err)
	}
	return &l, nil
}

// restore returns the hint for a damaged lock. lockgen update does not replace
// it, because the lock is needed to detect replaced files.
func restore(name string) string {
	return "restore it with: git checkout -- " + shell(name) + "; or delete it and lock everything again: lockgen update"
}

// shell quotes a name for a shell.
func shell(name string) string {
	plain := func(r rune) bool {
		return r == '_' || r == '-' || r == '.' || r == '/' || r == '\\' || r == ':' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z'
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !plain(r) }) {
		return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	}
	return name
}

// checkSchema refuses a text with another schema than ours.
func checkSchema(name, text string) error {
	hint := restore(name)
	var head struct {
		Schema    *int64 `toml:"schema"`
		Platforms any    `toml:"platforms"` // of a manifest
	}
	_, err := toml.Decode(text, &head)
	switch {
	case err != nil:
		return fault.Errorf(fault.Lock, hint, "%s: %w", name, describe(err))
	case head.Schema == nil && head.Platforms != nil:
		return fault.Errorf(fault.Usage, "give the path of a lock", "%s is a manifest, not a lock", name)
	case head.Schema == nil:
		return fault.Errorf(fault.Lock, hint, "%s has no schema, expected schema = %d", name, Schema)
	case *head.Schema > Schema:
		return fault.Errorf(fault.Lock, "install the lockgen and fetch that wrote it", "%s has schema %d, but this program only reads up to %d", name, *head.Schema, Schema)
	case *head.Schema < 1:
		return fault.Errorf(fault.Lock, hint, "%s has schema %d, expected %d", name, *head.Schema, Schema)
	}
	return nil
}

// describe adds the position to a TOML error.
func describe(err error) error {
	var parse toml.ParseError
	if errors.As(err, &parse) {
		return fmt.Errorf("line %d: %s", parse.Position.Line, parse.Message)
	}
	return err
}

func (l *Lock) Validate() error {
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		if err := CheckEntryName(name); err != nil {
			return err
		}
		if len(l.Plugins[name]) == 0 {
			return fmt.Errorf("plugin %s has no version", name)
		}
		for _, version := range slices.Sorted(maps.Keys(l.Plugins[name])) {
			if err := l.validateVersion(version, l.Plugins[name][version]); err != nil {
				return fmt.Errorf("%s %s: %w", name, version, err)
			}
		}
	}
	if err := l.checkProtos(); err != nil {
		return err
	}
	return l.checkRuntimes()
}

func (l *Lock) validateVersion(version string, v *Version) error {
	if err := syntax.CheckVersion(version); err != nil {
		return err
	}
	if err := v.Validate(); err != nil {
		return err
	}
	if err := v.CheckRelease(version); err != nil {
		return err
	}
	if v.Runtime != "" {
		name, version, _ := strings.Cut(v.Runtime, "@")
		if l.Plugins[name][version] == nil {
			return fmt.Errorf("runtime %q is not in the lock", v.Runtime)
		}
	}
	if v.Toolchain != "" {
		name, version, _ := strings.Cut(v.Toolchain, "@")
		if !v.compiledBy(l.Plugins[name][version]) {
			return fmt.Errorf("toolchain %q is not in the lock", v.Toolchain)
		}
	}
	for _, needed := range []string{v.Runtime, v.Toolchain} { // so none needs itself
		name, version, _ := strings.Cut(needed, "@")
		if n := l.Plugins[name][version]; n != nil && n.Runtime+n.Toolchain != "" {
			return fmt.Errorf("%q, which it needs, has a runtime or toolchain itself", needed)
		}
	}
	return nil
}

// Validate checks all rules for a single version. Its error has no class.
func (v *Version) Validate() error {
	if known := KindNames(); !slices.Contains(known, v.Source) {
		return fmt.Errorf("source %q is not one of %s", v.Source, strings.Join(known, ", "))
	}
	if v.Include != "" {
		if err := syntax.CheckShown(v.Include); err != nil {
			return fmt.Errorf("include: %w", err)
		}
	}
	if !slices.Contains(Trusts, v.Trust) {
		return fmt.Errorf("trust %q is not one of %s", v.Trust, strings.Join(Trusts, ", "))
	}
	if v.IsProtos() {
		return v.validateProtos()
	}
	if v.Root != "" || len(v.Only) > 0 || len(v.Deps) > 0 {
		return errors.New("root, only and deps are only for proto packages")
	}
	if len(v.Fits) > 0 && !v.IsRuntime() {
		return errors.New("fits are those of runtimes")
	}
	if err := v.validateCompiled(); err != nil {
		return err
	}
	if check := v.Kind().check; check != nil {
		if err := check(v); err != nil {
			return err
		}
	}
	validate := v.validatePython
	if v.IsRuntime() {
		validate = v.validateRuntime
	}
	if err := validate(); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(v.Files)) {
		if err := v.validateFile(key, v.Files[key]); err != nil {
			return fmt.Errorf("file %q: %w", key, err)
		}
	}
	for name := range v.Platforms {
		if _, ok := LookupPlatform(name); !ok {
			return fmt.Errorf("unknown platform %q, expected one of %s", name, strings.Join(PlatformNames(), ", "))
		}
	}
	for _, p := range Platforms {
		cell, ok := v.Platforms[p.Name]
		if !ok {
			return fmt.Errorf("platform %s is missing", p.Name)
		}
		if err := v.validateCell(cell); err != nil {
			return fmt.Errorf("platform %s: %w", p.Name, err)
		}
		if cell.Locked() && len(v.FilesFor(p.Name)) == 0 {
			return fmt.Errorf("platform %s is locked but has no files", p.Name)
		}
	}
	return nil
}

// validateCompiled validates the fields of compiled versions.
func (v *Version) validateCompiled() error {
	if err := v.Kind().CheckArgs(v.Args); err != nil {
		return fmt.Errorf("args: %w", err)
	}
	if err := v.Kind().checkOwn(v); err != nil {
		return err
	}
	return checkSorted("build-scripts", v.BuildScripts, func(name string) error {
		if _, ok := v.Files[name+".crate"]; !ok {
			return fmt.Errorf("%q is not among the files", name)
		}
		return nil
	})
}

// RunsCode reports whether a package of the closure, NAME-VERSION, runs code while it is
// compiled.
func (v *Version) RunsCode(pkg string) bool { return slices.Contains(v.BuildScripts, pkg) }

// checkOwn refuses fields that only versions of another kind have.
func (k *Kind) checkOwn(v *Version) error {
	for _, f := range []struct {
		of   *Kind
		what string
		set  bool
	}{
		{&cargo, "build-scripts", len(v.BuildScripts) > 0},
		{&golang, "main", v.Main != "" && k != &maven}, {&golang, "toolchain", v.Toolchain != "" && k != &cargo},
	} {
		if f.set && f.of != k {
			return fmt.Errorf("source %s must not have %s", k.Name, f.what)
		}
	}
	return nil
}

// checkOwnFile is checkOwn for a file.
func (k *Kind) checkOwnFile(f File) error {
	switch {
	case k != &golang && f.GoMod != "":
		return fmt.Errorf("a file of source %s must not have gomod", k.Name)
	case k != &npm && len(f.Bundled) > 0:
		return fmt.Errorf("a file of source %s must not have bundled", k.Name)
	case k != &maven && f.Signer != "" && !signedBy().MatchString(f.Signer):
		return fmt.Errorf("signer %q of a file of source %s is not of the form NAME via ISSUER", f.Signer, k.Name)
	case k != &oci && f.Manifest != "":
		return fmt.Errorf("a file of source %s must not have manifest", k.Name)
	case k.Ecosystem && f.Archive != "" && k != &maven:
		return fmt.Errorf("a file of source %s must not have archive", k.Name)
	case k != &http && f.URL != "":
		return fmt.Errorf("a file of source %s must not have url", k.Name)
	}
	return nil
}

func (v *Version) validateFile(key string, f File) error {
	if err := syntax.CheckShown(key); err != nil {
		return err
	}
	if err := syntax.CheckSHA256("sha256", f.SHA256); err != nil {
		return err
	}
	if f.Size <= 0 {
		return fmt.Errorf("size is %d, expected the number of bytes", f.Size)
	}
	if !slices.IsSorted(f.Platforms) {
		return errors.New("platforms is not sorted")
	}
	for i, name := range f.Platforms {
		if _, ok := LookupPlatform(name); !ok {
			return fmt.Errorf("unknown platform %q", name)
		}
		if i > 0 && name == f.Platforms[i-1] {
			return fmt.Errorf("platform %s is listed twice", name)
		}
	}
	if err := v.validatePythonFile(f); err != nil {
		return err
	}
	k := v.Kind()
	if k.checkFile != nil {
		if err := k.checkFile(v, key, f); err != nil {
			return err
		}
	}
	if f.Archive != "" && !k.Ecosystem && !slices.Contains(Archives, f.Archive) {
		return fmt.Errorf("archive %q is not one of %s; for a bare executable, leave it out", f.Archive, strings.Join(Archives, ", "))
	}
	return k.checkOwnFile(f)
}

func (v *Version) validateCell(c Cell) error {
	compiled := v.Compiles() && c.Locked()
	set := 0
	for _, is := range []bool{c.Tree != "" || compiled, c.Emulate != "", c.Unavailable != ""} {
		if is {
			set++
		}
	}
	if set != 1 {
		return errors.New("expected one of tree, emulate and unavailable")
	}
	switch {
	case c.Tree != "" || compiled:
		if c.Tree != "" {
			if err := syntax.CheckSHA256("tree", c.Tree); err != nil {
				return err
			}
		}
		if v.IsRuntime() {
			if c.Binary != "" {
				return errors.New("a runtime has no binary")
			}
			return nil
		}
		if err := syntax.CheckShown(c.Binary); err != nil {
			return fmt.Errorf("binary: %w", err)
		}
	case c.Binary != "":
		return errors.New("binary is set without a tree")
	case c.Emulate != "":
		if !v.Platforms[c.Emulate].Locked() {
			return fmt.Errorf("emulates %q, which is not locked", c.Emulate)
		}
	}
	return nil
}

// Cell returns the cell for a platform, following emulation, and the name of
// the platform whose files it uses. For an unavailable cell the error is of
// class [fault.Machine] and has the reason in the lock.
func (v *Version) Cell(platform string) (Cell, string, error) {
	c, ok := v.Platforms[platform]
	if ok && c.Emulate != "" {
		platform = c.Emulate
		c, ok = v.Platforms[platform]
	}
	if !ok {
		return Cell{}, "", fault.Errorf(fault.Usage, "use one of "+strings.Join(PlatformNames(), ", "), "unknown platform %q", platform)
	}
	if c.Unavailable != "" {
		return Cell{}, "", fault.Errorf(fault.Machine, "add the platform to plugins.toml, if it is not there, and run: lockgen update; or lock a version or source with a build for it, see: lockgen explain NAME", "not available on %s: %s", platform, c.Unavailable)
	}
	if v.IsProtos() { // one for all platforms
		platform = Platforms[0].Name
	}
	return c, platform, nil
}

// Executable returns the path of the file that is executable on a platform
// whatever its archive says: the binary of kinds http and oci, and one among the
// scripts of a wheel, see [WheelScript]. It is "" for others, whose package managers
// decide, and on Windows.
func (v *Version) Executable(platform string) string {
	p, _ := LookupPlatform(platform)
	binary := v.Platforms[platform].Binary
	if p.OS == "windows" || v.Kind().Ecosystem && !(v.Kind().Wheels && WheelScript(binary)) {
		return ""
	}
	return binary
}

// FilesFor returns the sorted keys of the files in a platform's tree.
func (v *Version) FilesFor(platform string) []string {
	var keys []string
	for key, f := range v.Files {
		if f.For(platform) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// Find returns the version of a plugin for NAME@VERSION, or for NAME the only
// or newest one. If there is none, the error is of class [fault.Usage] and
// lists what is locked.
func (l *Lock) Find(spec string) (name, version string, v *Version, err error) {
	name, version, exact := CutSpec(spec)
	versions, names := l.Plugins[name], slices.Sorted(maps.Keys(l.Plugins))
	if name == "" || exact && (version == "" || strings.Contains(version, "@")) {
		return "", "", nil, fault.Errorf(fault.Usage, "write NAME or NAME@VERSION", "%q does not name a plugin; the lock has %s", spec, strings.Join(names, ", "))
	}
	if len(versions) == 0 {
		return "", "", nil, fault.Errorf(fault.Usage, fault.DidYouMean(name, names, syntax.AddHint(spec)),
			"plugin %q is not locked; the lock has %s", name, strings.Join(names, ", "))
	}
	sorted := slices.SortedFunc(maps.Keys(versions), CompareVersions)
	if !exact {
		version = sorted[len(sorted)-1]
	}
	if versions[version] == nil {
		return "", "", nil, fault.About(fault.AboutConflict, fault.Errorf(fault.Usage, "run: lockgen add "+spec,
			"%s %s is not locked; the lock has %s", name, version, strings.Join(sorted, ", ")))
	}
	return name, version, versions[version], nil
}

// CompareVersions compares two versions as semantic versions, whose last
// numbers may be missing ("30.2"). Anything else, such as four numbers, is
// compared as text and comes before those.
func CompareVersions(a, b string) int {
	if c := semver.Compare("v"+a, "v"+b); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}
