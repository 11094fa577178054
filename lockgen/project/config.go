// Package project reads the Buck2 project around a folder and plans the edits
// that let it use buck2-protobuf. It also knows the git attributes of the lock,
// and detects the languages of a repository. It reads files and writes none.
//
// The format of a .buckconfig is that of Buck2's parser
// (app/buck2_common/src/legacy_configs/parser.rs): comments have their own
// lines, a backslash at the end of a line joins the next one, and <file:NAME>
// includes another file. Cells, their aliases and their origins count only in
// files that are not included by others (legacy_configs/cells.rs).
package project

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/input"
)

// A Project is a Buck2 project as described by its .buckconfig.d, .buckconfig
// and .buckconfig.local. Later ones override earlier ones.
type Project struct {
	Root string // absolute path
	File string // its .buckconfig

	config *config
}

// A key is the SECTION and KEY of a setting.
type key struct{ section, name string }

// A setting is one line KEY = VALUE, or several that are joined by backslashes.
type setting struct {
	key
	value string
	in    *configFile
	line  int // the first line, from 1
	end   int // offset of the end of its last line, before the line end
}

// at returns the position of a setting, for messages.
func (s *setting) at() string { return fmt.Sprintf("%s:%d", s.in.name, s.line) }

// A heading is a line [SECTION].
type heading struct {
	section string
	end     int    // end of the last line of its last setting, or of the heading itself
	indent  string // of its last setting
	set     bool   // whether it has a setting
}

// A configFile is one parsed file.
type configFile struct {
	name     string
	text     string
	headings []heading
	local    bool // only for this machine
	included bool
}

// A config is the combination of all files.
type config struct {
	open     func(name string) ([]byte, error)
	files    []*configFile
	settings map[key]*setting // the last setting for each key
	rooted   map[key]*setting // the settings outside included files
}

// Find returns the project that contains a folder, or nil. As in Buck2, it is
// the outermost folder with a .buckconfig, but not above one with a .buckroot,
// and never the home folder. For a file that Buck2 cannot read either, the
// error has class [fault.Usage]; Find still returns the project, with the
// settings that it could read.
func Find(dir string) (*Project, error) {
	root := ""
	home, _ := os.UserHomeDir()
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, ".buckconfig")); err == nil && dir != home {
			root = dir
		}
		if _, err := os.Stat(filepath.Join(dir, ".buckroot")); err == nil || dir == filepath.Dir(dir) {
			break
		}
	}
	if root == "" {
		return nil, nil
	}
	p := &Project{Root: root, File: filepath.Join(root, ".buckconfig")}
	var err error
	p.config, err = readConfig(root, input.File)
	return p, err
}

// Get returns a setting, or "" if it is not set.
func (p *Project) Get(section, name string) string {
	return p.config.get(key{section, name})
}

// readConfig reads the files of the cell at dir with a function such as
// [input.File].
func readConfig(dir string, read func(string) ([]byte, error)) (*config, error) {
	c := &config{open: read, settings: map[key]*setting{}, rooted: map[key]*setting{}}
	var names []string
	_ = filepath.WalkDir(filepath.Join(dir, ".buckconfig.d"), func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return nil
	})
	slices.Sort(names)
	base := filepath.Join(dir, ".buckconfig")
	var problems []error
	for _, name := range append(names, base, base+".local") {
		if err := c.read(name, nil); err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, err)
		}
	}
	return c, errors.Join(problems...)
}

// include matches <file:NAME>, or <?file:NAME> for a file that may be missing.
var include = regexp.MustCompile(`<(\??)file:(.+)>`)

// read reads one file and what it includes. within lists the files that include
// it.
func (c *config) read(name string, within []string) error {
	data, err := c.open(name)
	if err != nil {
		return err
	}
	f := &configFile{name: name, text: string(data), included: len(within) > 0}
	f.local = strings.HasSuffix(name, ".buckconfig.local")
	c.files = append(c.files, f)
	var problems []error
	section := "__unspecified__" // Buck2's name for settings before the first heading
	for n, at := 0, 0; at < len(f.text); {
		first := n + 1
		joined, end, indent := "", at, ""
		for { // lines joined by backslashes
			line, next := f.text[at:], len(f.text)
			if i := strings.IndexByte(line, '\n'); i >= 0 {
				line, next = line[:i], at+i+1
			}
			if n+1 == first {
				indent = line[:len(line)-len(strings.TrimLeft(line, " \t"))]
			}
			end = at + len(strings.TrimRight(line, "\r"))
			at, n = next, n+1
			part, more := strings.CutSuffix(strings.TrimSpace(line), `\`)
			joined += part
			if !more || at >= len(f.text) {
				break
			}
		}
		problem := func(why string) {
			problems = append(problems, fault.Errorf(fault.Usage, "correct the line; Buck2 cannot read it either", "%s:%d: %s: %s", name, first, why, joined))
		}
		switch {
		case joined == "", joined[0] == '#', joined[0] == ';':
		case joined[0] == '[':
			own, _, _ := strings.Cut(joined[1:], " #")
			var ok bool
			if section, ok = strings.CutSuffix(own, "]"); !ok {
				problem("a section has no closing bracket")
			}
			f.headings = append(f.headings, heading{section: section, end: end})
		case strings.Contains(joined, "="):
			k, value, _ := strings.Cut(joined, "=")
			s := &setting{key{section, strings.TrimSpace(k)}, strings.TrimSpace(value), f, first, end}
			if s.name == "" {
				problem("a value has no key")
				continue
			}
			c.settings[s.key] = s
			if !f.included {
				c.rooted[s.key] = s
			}
			if i := len(f.headings) - 1; i >= 0 {
				f.headings[i].end, f.headings[i].indent, f.headings[i].set = end, indent, true
			}
		default:
			m := include.FindStringSubmatch(joined)
			if m == nil {
				problem("it is not a section, KEY = VALUE or include")
				continue
			}
			other := filepath.FromSlash(m[2])
			if !filepath.IsAbs(other) {
				other = filepath.Join(filepath.Dir(name), other)
			}
			if slices.Contains(within, other) || other == name {
				problem("it includes itself")
				continue
			}
			err := c.read(other, append(slices.Clone(within), name))
			if errors.Is(err, fs.ErrNotExist) {
				if m[1] == "" {
					problem("the included file does not exist")
				}
			} else if err != nil {
				problems = append(problems, err)
			}
		}
	}
	return errors.Join(problems...)
}

// reference matches $(config SECTION.KEY) in a value.
var reference = regexp.MustCompile(`\$\(config ([^.)]+)\.([^)]+)\)`)

func (c *config) get(k key) string { return c.expand(c.settings[k], 8) }

// expand returns the value of a setting with its references replaced.
func (c *config) expand(s *setting, depth int) string {
	if s == nil {
		return ""
	}
	if depth == 0 {
		return s.value
	}
	return reference.ReplaceAllStringFunc(s.value, func(r string) string {
		m := reference.FindStringSubmatch(r)
		return c.expand(c.settings[key{m[1], m[2]}], depth-1)
	})
}

// section returns the settings, by key, of the first existing one of several
// sections that may define cells, and its name. If none exists, the name is the
// first one.
func (c *config) section(names ...string) (string, map[string]*setting) {
	for _, name := range names {
		found := map[string]*setting{}
		for k, s := range c.rooted {
			if k.section == name {
				found[k.name] = s
			}
		}
		if len(found) > 0 {
			return name, found
		}
	}
	return names[0], nil
}

// A cells has the cells of a project.
type cells struct {
	section, aliasSection string
	paths                 map[string]string // slash-separated, relative to the root; "." is the root
	aliases               map[string]string
	external              map[string]string // bundled or git
}

func (c *config) cells() cells {
	all := cells{paths: map[string]string{}, aliases: map[string]string{}, external: map[string]string{}}
	var paths, aliases map[string]*setting
	all.section, paths = c.section("cells", "repositories")
	all.aliasSection, aliases = c.section("cell_aliases", "repository_aliases")
	for name, s := range paths {
		all.paths[name] = path.Clean(c.expand(s, 8))
	}
	for name, s := range aliases {
		all.aliases[name] = c.expand(s, 8)
	}
	_, external := c.section("external_cells")
	for name, s := range external {
		if origin := c.expand(s, 8); origin != "disabled" {
			if name := all.resolve(name); name != "" {
				all.external[name] = origin
			}
		}
	}
	return all
}

// resolve returns the name of the cell with a name or alias, or "".
func (c cells) resolve(name string) string {
	if _, ok := c.paths[name]; ok {
		return name
	}
	if to := c.aliases[name]; to != name {
		if _, ok := c.paths[to]; ok {
			return to
		}
	}
	return ""
}

// of returns the local cell that contains a path of the project, by the name to
// use in a load, and the rest of the path. ok is false if no cell contains it.
func (c cells) of(file string) (name, rest string, ok bool) {
	best := ""
	for n, dir := range c.paths {
		if c.external[n] != "" {
			continue
		}
		in := dir == "." || file == dir || strings.HasPrefix(file, dir+"/")
		if in && (!ok || len(dir) > len(best) && dir != "." || best == "." && dir != "." || dir == best && n < name) {
			name, best, ok = n, dir, true
		}
	}
	if best == "." && c.resolve("root") != "" && c.paths[c.resolve("root")] == "." {
		name = "root"
	}
	if best != "." {
		file = strings.TrimPrefix(strings.TrimPrefix(file, best), "/")
	}
	return name, file, ok
}
