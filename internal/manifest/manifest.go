package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/internal/tomlscan"
)

// FileName is the name of a manifest, the file that people edit.
const FileName = "plugins.toml"

// Tool is the name of the program in [tool], and its key in [Manifest.Plugins].
const Tool = "fetch"

// maxSize is the maximum size of a manifest, in bytes.
const maxSize = 1 << 20

// A Manifest is the content of a plugins.toml.
type Manifest struct {
	Name       string             // of the file, for messages
	Platforms  []string           // sorted; every plugin must be available on each of them
	Python     []string           // the interpreters, MAJOR.MINOR, to lock wheels for, sorted; empty for [lock.DefaultPython]
	Plugins    map[string]*Plugin // entries of [plugins] and [tool]; those of [protos] as protos/NAME
	Bundles    map[string][]string
	Registries Registries
	Policy     Policy
	Mirrors    []Mirror // in the order of the attempts
	// NodeManager is what builds the folders of npm plugins: one of
	// [NodeManagers], or "" for the choice of the machine. It does not affect
	// the lock.
	NodeManager string
	Buckify     Buckify

	lines tomlscan.Lines
}

// NodeManagers are the ways to build the folder of an npm plugin, all with the
// same result: package managers, in the order in which to look for them, and
// "none" for our own unpacker.
var NodeManagers = []string{"npm", "pnpm", "yarn", "bun", "none"}

// Registries replace those in the configuration of the user's package managers.
// They do not affect the lock. Keys are ecosystem kinds; one that is missing means the
// manager's registry. URLs are without [lock.Kind.RegistryPrefix].
type Registries map[string]string

// A Plugin is one entry of [plugins]. Only Versions is always set; the
// catalogue provides what is empty.
type Plugin struct {
	Versions  []string // exact versions or ranges, in the order of the file; at least one
	Source    *Source
	Sources   []Alternative // if the entry lists several: in the order of the attempts; Source is the first
	Package   string        // npm, pip: a package that replaces the catalogue's; go: folder of the main package
	Spec                    // for each of the sources; its Naming only with Source
	Runtime   string        // name of the plugin that runs this one
	Args      []string      // for the compiler, see [lock.Kind.CheckArgs]
	Optional  bool          // if it is not available on a platform, lock that platform as unavailable
	Options   []string      // with which lockgen tries it, as NAME=VALUE or NAME; not in the lock
	Untried   bool          // lockgen does not try it
	Platforms map[string]Override
	Protos    *Protos // for an entry of [protos]; nil for a plugin
	Language  string  // of an entry of [runtimes], which has a source and one version, [Latest] for one that fits; "" for a plugin
}

// An Alternative is one of several sources of a plugin, in an entry or a
// recipe. In an entry it can only set binary and include; the rest is that of
// the entry.
type Alternative struct {
	Source Source
	Spec
}

// A Spec says what to get from a source and how to use it. Recipes and entries
// have the same keys for it, but not every key is allowed in both.
type Spec struct {
	// Binary is the executable. npm, pip: the name of a bin or console script,
	// or a path in the tree; cargo, go: its name; otherwise its path in the
	// tree, which may be a template.
	Binary     string            `toml:"binary"`
	Or         []string          `toml:"or"`      // templates of other paths, for platforms that the publisher packs differently
	Windows    string            `toml:"windows"` // path on Windows; "" if only .exe differs
	Include    string            `toml:"include"` // folder of .proto files in the tree, or ""
	Main       string            `toml:"package"` // go: folder of the main package in the module; "" for its root
	lock.Start                   // pip: what Python starts; empty for the console script
	MainClass  string            `toml:"main"`     // maven: the class that Java starts; "" for that of the jar
	With       string            `toml:"with"`     // maven: GROUP:ARTIFACT with the same version, whose .proto files go into include
	Emulate    map[string]string `toml:"emulate"`  // the platform whose program runs instead, if the publisher's file is for that one
	Requires   []string          `toml:"requires"` // npm: templates of files that each platform needs
	Until      string            `toml:"until"`    // the first version that cannot be locked; "" for none
	Reason     string            `toml:"reason"`   // why not
	Assets     map[string]string `toml:"assets"`   // github: the asset for a platform that Naming does not cover
	Scheme     string            `toml:"version"`  // the source's form for {version}; "" if it is the same
	Layout     string            `toml:"layout"`   // URL: rust for an archive of Rust's installer, see [lock.Archives]; "" for files as they are
	Releases   string            `toml:"releases"` // URL: OWNER/REPO of the releases of GitHub, called {version}, that list the versions; "" for no list
	Naming                       // how the publisher names the files
}

// Check validates what a recipe says about one source.
func (s Spec) Check(from Source) error {
	if (s.Until == "") != (s.Reason == "") {
		return errors.New("until and reason must be set together")
	}
	if s.Binary == "" && lock.KindOf(from.Kind).Program(from.Name) == "" {
		return errors.New("binary is missing")
	}
	if err := s.checkOwn(from); err != nil {
		return err
	}
	for _, file := range s.Or {
		if err := checkBinary(file); err != nil || from.Ecosystem() {
			return fmt.Errorf("or %q: not a path, or not for an archive with a URL", file)
		}
	}
	for platform, other := range s.Emulate {
		if p, ok := lock.LookupPlatform(platform); !ok || !p.Runs(other) {
			return fmt.Errorf("emulate.%s = %q: unknown platform, or not possible", platform, other)
		}
	}
	for platform := range s.Assets {
		if _, ok := lock.LookupPlatform(platform); !ok || s.Asset == "" {
			return fmt.Errorf("assets.%s: unknown platform, or no asset", platform)
		}
	}
	return s.Naming.Check(from, s.Binary)
}

// checkOwn checks the keys that only some kinds of source have.
func (s Spec) checkOwn(from Source) error {
	kind := lock.KindOf(from.Kind)
	if (s.With != "" || s.MainClass != "") && !kind.Jars || s.With != "" && kind.CheckPackage(s.With) != nil || s.MainClass != "" && syntax.CheckClass(s.MainClass) != nil {
		return fmt.Errorf("with %q, main %q: not for source maven, or invalid", s.With, s.MainClass)
	}
	if s.Main != "" && !kind.Mains {
		return errors.New("package is only for source go")
	}
	if s.Start != (lock.Start{}) {
		if !kind.Wheels {
			return errors.New("entry and generator are only for source pip")
		}
		if err := s.Start.Check(); err != nil {
			return err
		}
	}
	if _, _, listed := from.GitHub(); (s.Layout+s.Releases != "") && (!kind.URLs || listed) || s.Layout != "" && s.Layout != "rust" || strings.Count(s.Releases, "/") != min(len(s.Releases), 1) {
		return fmt.Errorf("layout %q, releases %q: not for a URL, or invalid", s.Layout, s.Releases)
	}
	if s.Scheme != "" && (!kind.Schemes || strings.Count(s.Scheme, "{version}") != 1 || CheckExact(strings.ReplaceAll(s.Scheme, "{version}", "1")) != nil) {
		return fmt.Errorf("version %q has no {version}, or the source is neither npm nor maven", s.Scheme)
	}
	return nil
}

// An Override replaces parts of an entry on one platform.
type Override struct {
	Source  *Source
	Asset   string // only for a source github:
	Binary  string
	Emulate string // the platform whose cell to use; then nothing else is set
}

// At returns FILE:LINE of a key, or FILE if the key is not in the file.
func (m *Manifest) At(path ...string) string {
	if len(path) > 1 && path[0] == "plugins" && m.lines.Of(path...) == 0 {
		path = append(EntryOf(path[1]), path[2:]...)
	}
	if line := m.lines.Of(path...); line > 0 {
		return fmt.Sprintf("%s:%d", m.Name, line)
	}
	return m.Name
}

// EntryOf returns the path of the key for a plugin.
func EntryOf(name string) []string {
	if name == Tool {
		return []string{"tool", name}
	}
	if name, ok := lock.ProtosName(name); ok {
		return []string{"protos", name}
	}
	if language, _, ok := lock.RuntimeName(name); ok {
		return []string{"runtimes", language}
	}
	return []string{"plugins", name}
}

// Find looks for a plugins.toml in dir and the folders above it. If there is
// none, the error is of class [fault.Usage] and matches [fs.ErrNotExist].
func Find(dir string) (string, error) {
	name, err := lock.FindAbove(dir, FileName)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.Missingf(fault.Usage, "run: lockgen init", "no %s here or in any folder above", FileName)
	}
	return name, err
}

// Read reads the manifest at a path. Errors are of class [fault.Usage], or
// [fault.Machine] if the file cannot be read.
func Read(name string) (*Manifest, []byte, error) {
	data, err := lock.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fault.Missingf(fault.Usage, "run: lockgen init", "%s does not exist", name)
	}
	if err != nil {
		return nil, nil, err
	}
	m, err := Parse(name, data)
	return m, data, err
}

// Parse strictly parses a manifest: an unknown key, a value of the wrong type,
// a duplicate key, and an invalid name or version are errors of class
// [fault.Usage] with file and line.
func Parse(name string, data []byte) (*Manifest, error) {
	text, err := manifestText(name, data)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if _, err := tomlscan.Decode(text, &tree); err != nil {
		var parse toml.ParseError
		if errors.As(err, &parse) {
			return nil, fault.Errorf(fault.Usage, "correct the line", "%s:%d: %s", name, parse.Position.Line, parse.Message)
		}
		return nil, fault.Errorf(fault.Usage, "correct the file", "%s: %w", name, err)
	}
	lines, _, err := tomlscan.Keys(text)
	if err != nil {
		return nil, fault.Errorf(fault.Usage, "keep one of the two", "%s: %w", name, err)
	}
	d := decoder{m: &Manifest{Name: name, lines: lines}}
	if err := d.decode(tree); err != nil {
		return nil, err
	}
	return d.m, nil
}

// manifestText refuses anything but text of limited size before parsing.
func manifestText(name string, data []byte) (string, error) {
	refuse := func(hint, format string, args ...any) (string, error) {
		return "", fault.Errorf(fault.Usage, hint, "%s"+format, append([]any{name}, args...)...)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(data) > maxSize {
		return refuse("", " has %d bytes, more than the limit of %d", len(data), maxSize)
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return refuse("save it as UTF-8", " is UTF-16 (byte order mark at offset 0), expected UTF-8")
	}
	if i := bytes.IndexByte(data, 0); i >= 0 {
		return refuse("save it as UTF-8", " has a NUL byte at offset %d: is it UTF-16 or a binary file?", i)
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return refuse("save it as UTF-8", " is not UTF-8 at offset %d", i)
		}
		i += size
	}
	if line := tomlscan.MergeMarker(data); line > 0 {
		return refuse("resolve the conflict, then run: lockgen update", ":%d: unresolved merge", line)
	}
	return string(data), nil
}

// Equal reports whether two manifests mean the same, regardless of the
// positions of their keys.
func (m *Manifest) Equal(other *Manifest) bool {
	plain := func(m *Manifest) Manifest {
		c := *m
		c.lines = nil
		if len(c.Bundles) == 0 {
			c.Bundles = nil
		}
		return c
	}
	return reflect.DeepEqual(plain(m), plain(other))
}
