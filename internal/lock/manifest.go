package lock

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// ManifestName is the name of a manifest, the file that people edit.
const ManifestName = "plugins.toml"

// The limits of a manifest: bytes, and brackets within brackets.
const (
	maxManifest = 1 << 20
	maxNesting  = 100
)

// A Manifest is the content of a plugins.toml.
type Manifest struct {
	Name       string   // of the file, for messages
	Platforms  []string // sorted; the platforms that every plugin must serve
	Python     []string // versions MAJOR.MINOR that wheels are locked for; never empty
	Plugins    map[string]*Plugin
	Bundles    map[string][]string
	Registries Registries
	Mirrors    []Mirror // in the order in which they are tried

	lines keyLines
}

// Registries replace what the user's own package managers are configured with.
// They do not change the lock. "" is the manager's own choice.
type Registries struct {
	NPM string `json:"npm,omitempty"`
	Pip string `json:"pip,omitempty"`
}

// A Plugin is one entry of [plugins]. Only Versions is always there; what is
// empty comes from the catalogue.
type Plugin struct {
	Versions  []string // exact, in the order of the file, at least one
	Source    *Source
	Package   string // another package under the catalogue's recipe, npm and pip only
	Binary    string // npm: name of a bin or path in the tree; else path in the tree, may be a template
	Include   string // folder of .proto files in the tree
	Runtime   string // name of the plugin that runs this one
	Optional  bool   // a platform that cannot have it becomes unavailable
	Naming    Naming // how the publisher names the files; with Source only
	Platforms map[string]Override
}

// An Override replaces parts of an entry for one platform.
type Override struct {
	Source *Source
	Asset  string // with a source github: only
	Binary string
}

// At returns FILE:LINE of a key, or FILE where the key is not in it.
func (m *Manifest) At(path ...string) string {
	if line := m.lines.line(path...); line > 0 {
		return fmt.Sprintf("%s:%d", m.Name, line)
	}
	return m.Name
}

// FindManifest looks for a plugins.toml in dir and above it. A miss is an error
// of class [fault.Usage] that wraps [fs.ErrNotExist].
func FindManifest(dir string) (string, error) {
	name, err := findAbove(dir, ManifestName)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.Errorf(fault.Usage, "run: lockgen init", "no %s here or in any folder above: %w", ManifestName, fs.ErrNotExist)
	}
	return name, err
}

// FindLock looks for a plugins.lock.toml in dir and above it. A miss is an
// error of class [fault.Lock] that wraps [fs.ErrNotExist].
func FindLock(dir string) (string, error) {
	name, err := findAbove(dir, FileName)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fault.Errorf(fault.Lock, "run: lockgen update", "no %s here or in any folder above: %w", FileName, fs.ErrNotExist)
	}
	return name, err
}

func findAbove(dir, name string) (string, error) {
	full, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for {
		candidate := filepath.Join(dir, name)
		if _, err := os.Stat(candidate); err == nil {
			return candidate, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		up := filepath.Dir(full)
		if up == full {
			return "", fs.ErrNotExist
		}
		full, dir = up, filepath.Join(dir, "..")
	}
}

// ReadManifest reads the manifest at a path. Its errors are of class
// [fault.Usage], or [fault.Machine] where the file cannot be read.
func ReadManifest(name string) (*Manifest, []byte, error) {
	data, err := readFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fault.Errorf(fault.Usage, "run: lockgen init", "%s does not exist: %w", name, fs.ErrNotExist)
	}
	if err != nil {
		return nil, nil, err
	}
	m, err := ParseManifest(name, data)
	return m, data, err
}

// ParseManifest reads a manifest strictly: a key it does not know, a value of
// another type, a key defined twice, a name or version that is not allowed are
// errors of class [fault.Usage] with file and line.
func ParseManifest(name string, data []byte) (*Manifest, error) {
	text, err := manifestText(name, data)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if _, err := toml.Decode(text, &tree); err != nil {
		var parse toml.ParseError
		if errors.As(err, &parse) {
			return nil, fault.Errorf(fault.Usage, "correct the line", "%s:%d: %s", name, parse.Position.Line, parse.Message)
		}
		return nil, fault.Errorf(fault.Usage, "correct the file", "%s: %w", name, err)
	}
	lines, _, err := scanKeys(text)
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
	refuse := func(mend, format string, args ...any) (string, error) {
		return "", fault.Errorf(fault.Usage, mend, "%s"+format, append([]any{name}, args...)...)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(data) > maxManifest {
		return refuse("", " has %d bytes, more than the limit of %d", len(data), maxManifest)
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
	if line := mergeMarker(data); line > 0 {
		return refuse("settle the conflict, then run: lockgen update", ":%d: unresolved merge", line)
	}
	depth := 0
	for _, c := range data {
		switch c {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		}
		if depth > maxNesting {
			return refuse("", " nests brackets deeper than the limit of %d", maxNesting)
		}
	}
	for line := range bytes.Lines(data) {
		if bytes.Count(line, []byte(".")) > 1000 {
			return refuse("", " has a line with more than 1000 dots")
		}
	}
	return string(data), nil
}

// decoder turns the decoded TOML into a Manifest, with a line for each error.
type decoder struct{ m *Manifest }

func (d *decoder) errorf(path []string, mend, format string, args ...any) error {
	return fault.Errorf(fault.Usage, mend, "%s: "+format, append([]any{d.m.At(path...)}, args...)...)
}

// wrap puts the position of a key before an error and keeps its class.
func (d *decoder) wrap(path []string, err error) error {
	if fault.Of(err) == fault.Internal {
		return d.errorf(path, "", "%s: %w", strings.Join(path, "."), err)
	}
	return fmt.Errorf("%s: %s: %w", d.m.At(path...), strings.Join(path, "."), err)
}

// known refuses a key of a table that is not in the list, and offers the
// nearest one that is.
func (d *decoder) known(path []string, table map[string]any, keys ...string) error {
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if slices.Contains(keys, key) {
			continue
		}
		mend := "known are " + strings.Join(keys, ", ")
		if near := Nearest(key, keys); near != "" {
			mend = "did you mean " + near + "? " + mend
		}
		where := ""
		if len(path) > 0 {
			where = " in [" + strings.Join(path, ".") + "]"
		}
		return d.errorf(append(slices.Clone(path), key), mend, "unknown key %q%s", key, where)
	}
	return nil
}

func (d *decoder) str(path []string, v any) (string, error) {
	switch v := v.(type) {
	case string:
		if v == "" {
			return "", d.errorf(path, "", "%s is empty", strings.Join(path, "."))
		}
		return v, nil
	case int64, float64, bool:
		return "", d.errorf(path, fmt.Sprintf("quote it: %q", fmt.Sprint(v)), "%s is not a string", strings.Join(path, "."))
	}
	return "", d.errorf(path, "write a string in quotes", "%s is not a string", strings.Join(path, "."))
}

func (d *decoder) strs(path []string, v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		return nil, d.errorf(path, `write a list: ["…", "…"]`, "%s is not a list of strings", strings.Join(path, "."))
	}
	var out []string
	for _, e := range list {
		s, err := d.str(path, e)
		if err != nil {
			return nil, err
		}
		if slices.Contains(out, s) {
			return nil, d.errorf(path, "keep one of the two", "%s holds %q twice", strings.Join(path, "."), s)
		}
		out = append(out, s)
	}
	if len(out) == 0 {
		return nil, d.errorf(path, "", "%s is empty", strings.Join(path, "."))
	}
	return out, nil
}

func (d *decoder) table(path []string, v any) (map[string]any, error) {
	t, ok := v.(map[string]any)
	if !ok {
		return nil, d.errorf(path, "write a table: ["+strings.Join(path, ".")+"]", "%s is not a table", strings.Join(path, "."))
	}
	return t, nil
}

var topKeys = []string{"platforms", "python", "plugins", "bundles", "registries", "mirror"}

func (d *decoder) manifest(tree map[string]any) error {
	for _, later := range []string{"policy"} {
		if _, ok := tree[later]; ok {
			return d.errorf([]string{later}, "remove it", "this version of lockgen and fetch does not implement [%s], and does not ignore it", later)
		}
	}
	if err := d.known(nil, tree, topKeys...); err != nil {
		return err
	}
	m := d.m
	if _, ok := tree["platforms"]; !ok {
		return fault.Errorf(fault.Usage, `add: platforms = ["linux-x86_64"]; known are `+strings.Join(PlatformNames(), ", "), "%s has no platforms", m.Name)
	}
	var err error
	if m.Platforms, err = d.strs([]string{"platforms"}, tree["platforms"]); err != nil {
		return err
	}
	slices.Sort(m.Platforms)
	for _, p := range m.Platforms {
		if err := d.platform([]string{"platforms"}, p); err != nil {
			return err
		}
	}
	m.Python = []string{"3.12"}
	if v, ok := tree["python"]; ok {
		if m.Python, err = d.strs([]string{"python"}, v); err != nil {
			return err
		}
		for _, p := range m.Python {
			if !regexp.MustCompile(`^3\.[0-9]{1,2}$`).MatchString(p) {
				return d.errorf([]string{"python"}, `write the interpreters as "3.11"`, "python %q is not of the form 3.N", p)
			}
		}
	}
	if err := d.plugins(tree["plugins"]); err != nil {
		return err
	}
	if err := d.bundles(tree["bundles"]); err != nil {
		return err
	}
	if err := d.mirrors(tree["mirror"]); err != nil {
		return err
	}
	return d.registries(tree["registries"])
}

func (d *decoder) platform(path []string, name string) error {
	if _, ok := LookupPlatform(name); ok {
		return nil
	}
	mend := "known are " + strings.Join(PlatformNames(), ", ")
	if near := Nearest(name, PlatformNames()); near != "" {
		mend = "did you mean " + near + "? " + mend
	}
	return d.errorf(path, mend, "unknown platform %q", name)
}

func (d *decoder) plugins(v any) error {
	if v == nil {
		return fault.Errorf(fault.Usage, "run: lockgen add protoc@30.2, or write: [plugins] and below it protoc = \"30.2\"", "%s has no [plugins]", d.m.Name)
	}
	path := []string{"plugins"}
	table, err := d.table(path, v)
	if err != nil {
		return err
	}
	d.m.Plugins = map[string]*Plugin{}
	folded := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		at := append(slices.Clone(path), name)
		if other, ok := folded[strings.ToLower(name)]; ok {
			return d.errorf(at, "keep one of the two", "plugins %q and %q are the same but for capitals", other, name)
		}
		folded[strings.ToLower(name)] = name
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		at := append(slices.Clone(path), name)
		if err := CheckName(name); err != nil {
			return d.errorf(at, "", "%w", err)
		}
		if d.m.Plugins[name], err = d.plugin(at, table[name]); err != nil {
			return err
		}
	}
	return nil
}

var pluginKeys = []string{"version", "versions", "source", "package", "binary", "include", "runtime", "args", "optional", "tag", "asset", "checksums", "os", "arch", "platforms"}

func (d *decoder) plugin(path []string, v any) (*Plugin, error) {
	p := &Plugin{}
	var err error
	switch v := v.(type) {
	case map[string]any:
		return d.pluginTable(path, v)
	case []any:
		p.Versions, err = d.strs(path, v)
	default:
		var s string
		s, err = d.str(path, v)
		p.Versions = []string{s}
	}
	if err != nil {
		return nil, err
	}
	return p, d.versions(path, p.Versions)
}

func (d *decoder) pluginTable(path []string, t map[string]any) (*Plugin, error) {
	if err := d.known(path, t, pluginKeys...); err != nil {
		return nil, err
	}
	p := &Plugin{}
	key := func(k string) []string { return append(slices.Clone(path), k) }
	var err error
	_, one := t["version"]
	_, many := t["versions"]
	switch {
	case one == many:
		return nil, d.errorf(path, `write: version = "1.2.3"`, "%s needs either version or versions", strings.Join(path, "."))
	case one:
		var s string
		if s, err = d.str(key("version"), t["version"]); err == nil {
			p.Versions, err = []string{s}, d.versions(key("version"), []string{s})
		}
	default:
		if p.Versions, err = d.strs(key("versions"), t["versions"]); err == nil {
			err = d.versions(key("versions"), p.Versions)
		}
	}
	if err != nil {
		return nil, err
	}
	for _, f := range []struct {
		key string
		to  *string
	}{{"package", &p.Package}, {"binary", &p.Binary}, {"include", &p.Include}, {"runtime", &p.Runtime}} {
		if v, ok := t[f.key]; ok {
			if *f.to, err = d.str(key(f.key), v); err != nil {
				return nil, err
			}
		}
	}
	if _, ok := t["args"]; ok {
		return nil, d.errorf(key("args"), "remove it", "args go to a compiler, and no source that this version of lockgen knows compiles")
	}
	if v, ok := t["optional"]; ok {
		if p.Optional, ok = v.(bool); !ok {
			return nil, d.errorf(key("optional"), "write true or false, without quotes", "%s.optional is not a boolean", strings.Join(path, "."))
		}
	}
	if v, ok := t["source"]; ok {
		if p.Source, err = d.source(key("source"), v); err != nil {
			return nil, err
		}
	}
	if err := d.paths(path, p); err != nil {
		return nil, err
	}
	if err := d.overrides(key("platforms"), p, t["platforms"]); err != nil {
		return nil, err
	}
	return p, d.naming(path, p, t)
}

// naming reads how the publisher names the files of an entry.
func (d *decoder) naming(path []string, p *Plugin, t map[string]any) error {
	n := &p.Naming
	for _, f := range []struct {
		key string
		to  *string
	}{{"tag", &n.Tag}, {"asset", &n.Asset}, {"checksums", &n.Checksums}} {
		if v, ok := t[f.key]; ok {
			at := append(slices.Clone(path), f.key)
			var err error
			if *f.to, err = d.str(at, v); err != nil {
				return err
			}
			if p.Source == nil {
				return d.errorf(at, "add the source that it belongs to", "%s without a source", strings.Join(at, "."))
			}
		}
	}
	for _, f := range []struct {
		key string
		to  *map[string]string
	}{{"os", &n.OS}, {"arch", &n.Arch}} {
		v, ok := t[f.key]
		if !ok {
			continue
		}
		at := append(slices.Clone(path), f.key)
		words, err := d.table(at, v)
		if err != nil {
			return err
		}
		if p.Source == nil {
			return d.errorf(at, "add the source that it belongs to", "%s without a source", strings.Join(at, "."))
		}
		*f.to = map[string]string{}
		for _, from := range slices.Sorted(maps.Keys(words)) {
			if (*f.to)[from], err = d.str(append(slices.Clone(at), from), words[from]); err != nil {
				return err
			}
		}
	}
	if p.Source == nil {
		return nil
	}
	if err := n.Check(*p.Source); err != nil {
		return d.wrap(path, err)
	}
	return nil
}

// mirrors reads [[mirror]].
func (d *decoder) mirrors(v any) error {
	if v == nil {
		return nil
	}
	path := []string{"mirror"}
	list, ok := v.([]map[string]any)
	if !ok {
		return d.errorf(path, `write: [[mirror]] and below it from = "…" and to = "…"`, "mirror is not a list of tables")
	}
	for _, t := range list {
		if err := d.known(path, t, "from", "to"); err != nil {
			return err
		}
		var m Mirror
		for _, f := range []struct {
			key string
			to  *string
		}{{"from", &m.From}, {"to", &m.To}} {
			v, ok := t[f.key]
			if !ok {
				return d.errorf(path, "add: "+f.key+` = "https://…/"`, "a mirror without %s", f.key)
			}
			var err error
			if *f.to, err = d.str(append(slices.Clone(path), f.key), v); err != nil {
				return err
			}
		}
		if err := m.check(); err != nil {
			return d.wrap(path, err)
		}
		d.m.Mirrors = append(d.m.Mirrors, m)
	}
	return nil
}

// paths checks what an entry says about its tree.
func (d *decoder) paths(path []string, p *Plugin) error {
	if p.Binary != "" {
		if err := checkBinary(p.Binary); err != nil {
			return d.wrap(append(slices.Clone(path), "binary"), err)
		}
	}
	if p.Include != "" {
		if err := CheckPath(p.Include); err != nil {
			return d.wrap(append(slices.Clone(path), "include"), err)
		}
	}
	if p.Runtime != "" {
		if err := CheckName(p.Runtime); err != nil {
			return d.wrap(append(slices.Clone(path), "runtime"), err)
		}
	}
	if p.Package != "" {
		at := append(slices.Clone(path), "package")
		switch {
		case p.Source != nil && (p.Source.Kind == HTTP || p.Source.Kind == OCI):
			return d.errorf(at, "remove it", "a plugin by URL has no package")
		case p.Source != nil:
			return d.errorf(at, "keep source and remove package", "source already names the package %s", p.Source.Name)
		}
		if err := checkPackage(NPM, p.Package); err != nil {
			return d.wrap(at, err)
		}
	}
	return nil
}

// checkBinary accepts the path of a binary, which may be a template.
func checkBinary(s string) error {
	if err := checkTemplate(s, templateVariables...); err != nil {
		return err
	}
	return CheckPath(Expand(s, "1", Platforms[0]))
}

func (d *decoder) source(path []string, v any) (*Source, error) {
	s, err := d.str(path, v)
	if err != nil {
		return nil, err
	}
	src, err := ParseSource(s)
	if err != nil {
		return nil, d.wrap(path, err)
	}
	return &src, nil
}

func (d *decoder) overrides(path []string, p *Plugin, v any) error {
	if v == nil {
		return nil
	}
	table, err := d.table(path, v)
	if err != nil {
		return err
	}
	p.Platforms = map[string]Override{}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		at := append(slices.Clone(path), name)
		if err := d.platform(at, name); err != nil {
			return err
		}
		t, err := d.table(at, table[name])
		if err != nil {
			return err
		}
		if err := d.known(at, t, "source", "asset", "binary"); err != nil {
			return err
		}
		var o Override
		if v, ok := t["source"]; ok {
			if o.Source, err = d.source(append(slices.Clone(at), "source"), v); err != nil {
				return err
			}
			if o.Source.Kind != HTTP || p.Source == nil || p.Source.Kind != HTTP {
				return d.errorf(at, "", "only a plugin by URL can have another source on one platform")
			}
			if _, _, ok := o.Source.GitHub(); ok {
				return d.errorf(at, "write its URL", "another source on one platform is a URL")
			}
		}
		if v, ok := t["asset"]; ok {
			at := append(slices.Clone(at), "asset")
			if o.Asset, err = d.str(at, v); err != nil {
				return err
			}
			isGitHub := false
			if p.Source != nil {
				_, _, isGitHub = p.Source.GitHub()
			}
			if !isGitHub {
				return d.errorf(at, "write the source as github:OWNER/REPO", "only a plugin by github: has assets")
			}
			if err := checkAsset(o.Asset); err != nil {
				return d.wrap(at, err)
			}
		}
		if v, ok := t["binary"]; ok {
			if o.Binary, err = d.str(append(slices.Clone(at), "binary"), v); err != nil {
				return err
			}
			if err := checkBinary(o.Binary); err != nil {
				return d.wrap(append(slices.Clone(at), "binary"), err)
			}
		}
		p.Platforms[name] = o
	}
	return nil
}

// versions accepts exact versions.
func (d *decoder) versions(path []string, versions []string) error {
	for _, v := range versions {
		if err := CheckExact(v); err != nil {
			return d.wrap(path, err)
		}
	}
	return nil
}

var digits = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[0-9]+(\.[0-9]+)*`) })

// CheckExact accepts one exact version, and refuses a range or a word such as
// latest, for which this version of lockgen has no resolver, with an error of
// class [fault.Usage].
func CheckExact(version string) error {
	if version != "" && version[0] >= '0' && version[0] <= '9' && CheckVersion(version) == nil && !strings.HasSuffix(version, ".x") {
		return nil
	}
	number := digits().FindString(version)
	switch {
	case version != "" && (strings.ContainsAny(version[:1], "^~<>=!*") || strings.ContainsAny(version, " |,*") || number == "" && CheckVersion(version) == nil || strings.HasSuffix(version, ".x")):
		example := "2.18.0"
		if number != "" {
			example = number
			for strings.Count(example, ".") < 2 {
				example += ".0"
			}
		}
		return fault.Errorf(fault.Usage, fmt.Sprintf("write the exact version, such as %q", example),
			"version %q: this version of lockgen locks exact versions only", version)
	case number != "" && version == "v"+number:
		return fault.Errorf(fault.Usage, fmt.Sprintf("write %q", number), "version %q begins with a v", version)
	}
	return fault.Errorf(fault.Usage, `write it as "2.18.0"`, "version %q is not an exact version", version)
}

func (d *decoder) bundles(v any) error {
	if v == nil {
		return nil
	}
	table, err := d.table([]string{"bundles"}, v)
	if err != nil {
		return err
	}
	d.m.Bundles = map[string][]string{}
	names := slices.Sorted(maps.Keys(d.m.Plugins))
	for _, bundle := range slices.Sorted(maps.Keys(table)) {
		at := []string{"bundles", bundle}
		if err := CheckName(bundle); err != nil {
			return d.errorf(at, "", "bundle %w", err)
		}
		list, err := d.strs(at, table[bundle])
		if err != nil {
			return err
		}
		for _, name := range list {
			if !slices.Contains(names, name) {
				mend := "run: lockgen add " + name
				if near := Nearest(name, names); near != "" {
					mend = "did you mean " + near + "? otherwise " + mend
				}
				return d.errorf(at, mend, "bundle %s names %q, which is not in [plugins]", bundle, name)
			}
		}
		d.m.Bundles[bundle] = list
	}
	return nil
}

func (d *decoder) registries(v any) error {
	if v == nil {
		return nil
	}
	table, err := d.table([]string{"registries"}, v)
	if err != nil {
		return err
	}
	if err := d.known([]string{"registries"}, table, NPM, Pip); err != nil {
		return err
	}
	for _, f := range []struct {
		key string
		to  *string
	}{{NPM, &d.m.Registries.NPM}, {Pip, &d.m.Registries.Pip}} {
		if v, ok := table[f.key]; ok {
			at := []string{"registries", f.key}
			if *f.to, err = d.str(at, v); err != nil {
				return err
			}
			if err := CheckURL(*f.to); err != nil {
				return d.wrap(at, err)
			}
		}
	}
	return nil
}
