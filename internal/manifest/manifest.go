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
	"github.com/birbparty/buck2-protobuf/internal/tomlscan"
)

// FileName is the name of a manifest, the file that people edit.
const FileName = "plugins.toml"

// Tool is the program whose release [tool] names, and its name among
// [Manifest.Plugins].
const Tool = "fetch"

// maxSize is how many bytes a manifest may have.
const maxSize = 1 << 20

// A Manifest is the content of a plugins.toml.
type Manifest struct {
	Name       string             // of the file, for messages
	Platforms  []string           // sorted; the platforms that every plugin must serve
	Python     []string           // the interpreters, MAJOR.MINOR, that wheels are locked for; sorted, empty means [DefaultPython]
	Plugins    map[string]*Plugin // of [plugins]; [Tool] of [tool]; NAME of [protos], as protos/NAME
	Bundles    map[string][]string
	Registries Registries
	Policy     Policy
	Mirrors    []Mirror // in the order in which they are tried
	// NodeManager builds the folders of npm plugins: one of [NodeManagers], or
	// "" for the choice of the machine. It does not change the lock.
	NodeManager string
	Buckify     Buckify

	lines tomlscan.Lines
}

// NodeManagers are what can build the folder of an npm plugin, all the same
// one: package managers, in the order in which one is looked for, and "none",
// which is our own unpacker.
var NodeManagers = []string{"npm", "pnpm", "yarn", "bun", "none"}

// Registries replace what the user's own package managers are configured with.
// They do not change the lock. "" is the manager's own choice.
type Registries struct {
	NPM   string `json:"npm,omitempty"`
	Pip   string `json:"pip,omitempty"`
	Cargo string `json:"cargo,omitempty"` // a sparse index; "sparse+" before it, as cargo writes it, is dropped
	Go    string `json:"go,omitempty"`    // a module proxy
	Maven string `json:"maven,omitempty"` // a repository
}

// A Plugin is one entry of [plugins]. Only Versions is always there; what is
// empty comes from the catalogue.
type Plugin struct {
	Versions  []string // exact or ranges, in the order of the file, at least one
	Source    *Source
	Sources   []Alternative // where the entry lists several, in the order in which they are tried; Source is the first
	Package   string        // another package under the catalogue's recipe (npm, pip); folder of the main package (go)
	Spec                    // for each of the sources; its Naming with Source only
	Runtime   string        // name of the plugin that runs this one
	Args      []string      // for the compiler, see [lock.Kind.CheckArgs]
	Optional  bool          // a platform that cannot have it becomes unavailable
	Options   []string      // with which lockgen tries it, as NAME=VALUE or NAME; in no lock
	Untried   bool          // lockgen does not try it
	Platforms map[string]Override
	Protos    *Protos // of an entry of [protos], nil for a plugin
}

// An Alternative is one of several sources of a plugin, in an entry or in a recipe
// of the catalogue. In an entry it gives a binary and an include at most; what it
// leaves out is that of the entry.
type Alternative struct {
	Source Source
	Spec
}

// A Spec says what is had from a source and how it is used. A recipe of the
// catalogue and an entry say it in the same keys; not every key is one of both.
type Spec struct {
	// Binary is the executable. npm, pip: the name of a bin or console script, or a
	// path in the tree; cargo, go: its name; else its path in the tree, which may be
	// a template.
	Binary    string            `toml:"binary"`
	Or        []string          `toml:"or"`        // templates of its path where the publisher packs it otherwise for some platforms
	Windows   string            `toml:"windows"`   // its path on Windows, "" where only .exe differs
	Include   string            `toml:"include"`   // folder of .proto files in the tree, or ""
	Main      string            `toml:"package"`   // go: folder of the main package in the module, "" for its root
	Entry     string            `toml:"entry"`     // pip: what Python starts, "" for the console script; see [lock.CheckEntry]
	Generator string            `toml:"generator"` // pip: Entry is a protoc, whose --NAME_out of this name is the plugin
	MainClass string            `toml:"main"`      // maven: the class that Java starts, "" for that of the jar
	With      string            `toml:"with"`      // maven: GROUP:ARTIFACT of the same version, whose .proto files are in include
	Emulate   map[string]string `toml:"emulate"`   // the platform whose program runs instead, where the publisher's own is that of another one
	Requires  []string          `toml:"requires"`  // npm: templates of files that each platform needs
	Until     string            `toml:"until"`     // the first version that cannot be locked, "" for none
	Reason    string            `toml:"reason"`    // why that is so
	Assets    map[string]string `toml:"assets"`    // github: the asset of a platform that Naming does not name
	Scheme    string            `toml:"version"`   // what the source calls a {version} of the plugin, "" for the same
	Naming                      // how the publisher names the files
}

// Check checks what a recipe of the catalogue says of one source.
func (s Spec) Check(from Source) error {
	if (s.Until == "") != (s.Reason == "") {
		return errors.New("until and reason need each other")
	}
	if s.Binary == "" && from.Kind != lock.Maven { // called as the artifact is
		return errors.New("binary is missing")
	}
	if err := s.checkOwn(from); err != nil {
		return err
	}
	for _, file := range s.Or {
		if err := checkBinary(file); err != nil || from.Ecosystem() {
			return fmt.Errorf("or %q: no path, or not of an archive by URL", file)
		}
	}
	for platform, other := range s.Emulate {
		if p, ok := lock.LookupPlatform(platform); !ok || !p.Runs(other) {
			return fmt.Errorf("emulate.%s = %q: no such platform, or it cannot", platform, other)
		}
	}
	for platform := range s.Assets {
		if _, ok := lock.LookupPlatform(platform); !ok || s.Asset == "" {
			return fmt.Errorf("assets.%s: no such platform, or no asset", platform)
		}
	}
	return s.Naming.Check(from, s.Binary)
}

// checkOwn checks the keys that some kinds of source have for themselves.
func (s Spec) checkOwn(from Source) error {
	isMaven := from.Kind == lock.Maven
	if (s.With != "" || s.MainClass != "") && !isMaven || s.With != "" && lock.KindOf(lock.Maven).CheckPackage(s.With) != nil || s.MainClass != "" && lock.CheckClass(s.MainClass) != nil {
		return fmt.Errorf("with %q, main %q: not of source maven, or none", s.With, s.MainClass)
	}
	if s.Main != "" && !lock.KindOf(from.Kind).Mains {
		return errors.New("package is for go sources")
	}
	if s.Entry != "" && (from.Kind != lock.Pip || lock.CheckEntry(s.Entry) != nil) || s.Generator != "" && s.Entry == "" {
		return fmt.Errorf("entry %q, generator %q: not of source pip, or no entry", s.Entry, s.Generator)
	}
	if s.Scheme != "" && (from.Kind != lock.NPM && !isMaven || strings.Count(s.Scheme, "{version}") != 1 || CheckExact(strings.ReplaceAll(s.Scheme, "{version}", "1")) != nil) {
		return fmt.Errorf("version %q is no version with {version} in it, or the source is neither of npm nor of maven", s.Scheme)
	}
	return nil
}

// An Override replaces parts of an entry for one platform.
type Override struct {
	Source  *Source
	Asset   string // with a source github: only
	Binary  string
	Emulate string // the platform whose cell is used instead; then nothing else is set
}

// At returns FILE:LINE of a key, or FILE where the key is not in it.
func (m *Manifest) At(path ...string) string {
	if len(path) > 1 && path[0] == "plugins" && m.lines.Of(path...) == 0 {
		path = append(EntryOf(path[1]), path[2:]...)
	}
	if line := m.lines.Of(path...); line > 0 {
		return fmt.Sprintf("%s:%d", m.Name, line)
	}
	return m.Name
}

// EntryOf is the path of the key that asks for a plugin.
func EntryOf(name string) []string {
	if name == Tool {
		return []string{"tool", name}
	}
	if name, ok := lock.ProtosName(name); ok {
		return []string{"protos", name}
	}
	return []string{"plugins", name}
}

// Find looks for a plugins.toml in dir and above it. A miss is an error
// of class [fault.Usage] that wraps [fs.ErrNotExist].
func Find(dir string) (string, error) {
	name, err := lock.FindAbove(dir, FileName)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.Errorf(fault.Usage, "run: lockgen init", "no %s here or in any folder above: %w", FileName, fs.ErrNotExist)
	}
	return name, err
}

// Read reads the manifest at a path. Its errors are of class
// [fault.Usage], or [fault.Machine] where the file cannot be read.
func Read(name string) (*Manifest, []byte, error) {
	data, err := lock.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fault.Errorf(fault.Usage, "run: lockgen init", "%s does not exist: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return nil, nil, err
	}
	m, err := Parse(name, data)
	return m, data, err
}

// Parse reads a manifest strictly: a key it does not know, a value of
// another type, a key defined twice, a name or version that is not allowed are
// errors of class [fault.Usage] with file and line.
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
	if err := d.manifest(tree); err != nil {
		return nil, err
	}
	return d.m, nil
}

// manifestText refuses what is no text of reasonable size before any parsing.
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
		return refuse("save it as UTF-8", " holds a NUL byte at offset %d: UTF-16 or a binary file?", i)
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return refuse("save it as UTF-8", " is not UTF-8 at offset %d", i)
		}
		i += size
	}
	if line := lock.MergeMarker(data); line > 0 {
		return refuse("settle the conflict, then run: lockgen update", ":%d: unresolved merge", line)
	}
	return string(data), nil
}

// Equal reports whether two manifests say the same, wherever their keys stand.
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
