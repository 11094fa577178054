package npm

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"unicode"

	"github.com/birbparty/buck2-protobuf/internal/input"
	"github.com/birbparty/buck2-protobuf/internal/proc"
)

// We parse npm's configuration instead of asking npm for it: an npm that reads
// it also executes what it names (script-shell, NODE_OPTIONS and so on). This
// follows npm 11 (@npmcli/config): the same files and variables in the same
// order. A setting is text, true, false, nil for null, or a list of these.

// An npmLayer has the settings of one source.
type npmLayer map[string]any

// npmLists, npmPaths and npmSwitches are those of the settings used here that
// npm does not read as plain text.
var (
	npmLists    = []string{"ca", "noproxy"}
	npmPaths    = []string{"cafile", "globalconfig", "prefix", "userconfig"}
	npmSwitches = []string{"global", "strict-ssl"}
)

// An npmReader reads settings as an npm run in dir does.
type npmReader struct {
	dir, home string
	vars      map[string]string // the environment; keys in capitals on Windows, which ignores their case
	unset     map[string][]string
}

func newNPMReader(dir string, environ []string) *npmReader {
	r := &npmReader{dir: dir, vars: map[string]string{}, unset: map[string][]string{}}
	for _, kv := range environ {
		if key, value, ok := strings.Cut(kv, "="); ok {
			r.vars[foldVariable(key)] = value
		}
	}
	r.home = r.vars["HOME"]
	if r.home == "" {
		r.home, _ = os.UserHomeDir()
	}
	return r
}

// foldVariable returns the name of a variable in the form that this system
// compares.
func foldVariable(key string) string {
	if runtime.GOOS == "windows" {
		return strings.ToUpper(key)
	}
	return key
}

// layer converts settings to their types, as npm does.
func (r *npmReader) layer(raw npmLayer) npmLayer {
	l := npmLayer{}
	for key, value := range raw {
		key, _ := r.expand(key)
		l[key] = r.field(key, value)
	}
	return l
}

func (r *npmReader) field(key string, value any) any {
	if list, ok := value.([]any); ok {
		typed := make([]any, len(list))
		for i, one := range list {
			typed[i] = r.field("", one)
		}
		return typed
	}
	s, ok := value.(string)
	if !ok {
		return value
	}
	s = trimJS(s)
	isPath, isSwitch := slices.Contains(npmPaths, key), slices.Contains(npmSwitches, key)
	switch {
	case slices.Contains(npmLists, key):
		var list []any
		for one := range strings.SplitSeq(s, "\n\n") {
			list = append(list, r.field("", one))
		}
		return list
	case isSwitch && s == "":
		return true
	case !isPath && key != "":
		switch s {
		case "true", "false":
			return s == "true"
		case "null", "undefined":
			return nil
		}
	}
	s, unset := r.expand(s)
	if len(unset) > 0 {
		r.unset[key] = unset
	}
	if isPath {
		rest, ok := strings.CutPrefix(s, "~/")
		if !ok && runtime.GOOS == "windows" {
			rest, ok = strings.CutPrefix(s, `~\`)
		}
		switch {
		case ok && r.home != "":
			s = filepath.Join(r.home, rest)
		case !filepath.IsAbs(s):
			s = filepath.Join(r.dir, s)
		}
	}
	return s
}

// expand replaces ${NAME} with the value of a variable; an unset variable
// leaves it as it is, or removes it if written ${NAME?}. A backslash in front
// escapes it; two backslashes are one. It returns the names of unset variables.
func (r *npmReader) expand(s string) (_ string, unset []string) {
	var b strings.Builder
	for i := 0; i < len(s); {
		slashes := len(s[i:]) - len(strings.TrimLeft(s[i:], `\`))
		rest := s[i+slashes:]
		inner, ok := strings.CutPrefix(rest, "${")
		end := strings.IndexByte(inner, '}')
		if !ok || end < 0 {
			n := max(slashes, 1)
			b.WriteString(s[i : i+n])
			i += n
			continue
		}
		name, empty := strings.CutSuffix(inner[:end], "?")
		if name == "" || strings.ContainsAny(name, "${?") {
			b.WriteString(s[i : i+slashes+1])
			i += slashes + 1
			continue
		}
		whole := rest[:len("${")+end+1]
		b.WriteString(strings.Repeat(`\`, slashes/2))
		value, set := r.vars[foldVariable(name)]
		switch {
		case slashes%2 == 1:
			b.WriteString(whole)
		case set:
			b.WriteString(value)
		case !empty:
			unset = append(unset, name)
			b.WriteString("${" + name + "}")
		}
		i += slashes + len(whole)
	}
	return b.String(), unset
}

// environment returns the layer of the variables npm_config_…, in any case; if
// several name one setting, the last wins.
func (r *npmReader) environment(environ []string) npmLayer {
	raw := npmLayer{}
	const prefix = "npm_config_"
	for _, kv := range environ {
		key, value, _ := strings.Cut(kv, "=")
		if len(key) < len(prefix) || !strings.EqualFold(key[:len(prefix)], prefix) || value == "" {
			continue
		}
		if key = key[len(prefix):]; !strings.HasPrefix(key, "//") {
			first := ""
			if strings.HasPrefix(key, "_") {
				first, key = "_", key[1:]
			}
			key = first + strings.ToLower(strings.ReplaceAll(key, "_", "-"))
		}
		raw[key] = value
	}
	return r.layer(raw)
}

// file returns the layer of a file. Like npm, it treats an unreadable file as
// empty.
func (r *npmReader) file(name string) npmLayer {
	data, err := input.File(name)
	if err != nil {
		return npmLayer{}
	}
	return r.layer(parseNPMRC(string(data)))
}

// parseNPMRC parses the INI format of npm's files (github.com/npm/ini):
// KEY=VALUE, KEY[]=VALUE to append to a list, KEY without a value for true. npm
// ignores settings in sections.
func parseNPMRC(text string) npmLayer {
	l := npmLayer{}
	section := false
	for line := range strings.FieldsFuncSeq(text, func(c rune) bool { return c == '\r' || c == '\n' }) {
		trimmed := trimJS(line)
		if trimmed == "" || trimmed[0] == ';' || trimmed[0] == '#' {
			continue
		}
		if head := strings.TrimRightFunc(line, isSpaceJS); head[0] == '[' && strings.IndexByte(head, ']') == len(head)-1 {
			section = true
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if key == "" || section {
			continue
		}
		name := fmt.Sprint(unquoteNPMRC(key))
		var v any = true
		if ok {
			v = unquoteNPMRC(value)
		}
		if s, ok := v.(string); ok {
			switch s {
			case "true", "false":
				v = s == "true"
			case "null":
				v = nil
			}
		}
		one, isList := strings.CutSuffix(name, "[]")
		if isList = isList && one != ""; isList {
			name = one
		}
		switch was, ok := l[name]; {
		case !ok && isList:
			l[name] = []any{v}
		case !ok:
			l[name] = v
		default:
			list, listed := was.([]any)
			switch {
			case listed:
				l[name] = append(list, v)
			case isList:
				l[name] = []any{was, v}
			default:
				l[name] = v
			}
		}
	}
	return l
}

// unquoteNPMRC removes the quotes from a key or value: in double quotes it is
// JSON, in single quotes JSON if possible. Without quotes, it ends where a
// comment begins.
func unquoteNPMRC(s string) any {
	s = trimJS(s)
	single := strings.HasPrefix(s, "'") && strings.HasSuffix(s, "'")
	if single || strings.HasPrefix(s, `"`) && strings.HasSuffix(s, `"`) {
		if single {
			s = strings.TrimPrefix(s, "'")
			s = strings.TrimSuffix(s, "'")
		}
		var v any
		if json.Unmarshal([]byte(s), &v) != nil {
			return s
		}
		if n, ok := v.(float64); ok {
			return fmt.Sprint(n)
		}
		return v
	}
	var b strings.Builder
	escaped := false
	for _, c := range s {
		switch {
		case escaped:
			if !strings.ContainsRune(`\;#`, c) {
				b.WriteByte('\\')
			}
			b.WriteRune(c)
			escaped = false
			continue
		case c == ';' || c == '#':
			return trimJS(b.String())
		case c == '\\':
			escaped = true
			continue
		}
		b.WriteRune(c)
	}
	if escaped {
		b.WriteByte('\\')
	}
	return trimJS(b.String())
}

// isSpaceJS reports whether String.prototype.trim removes c; a byte order mark
// counts.
func isSpaceJS(c rune) bool { return c == '\uFEFF' || c != '\u0085' && unicode.IsSpace(c) }

func trimJS(s string) string { return strings.TrimFunc(s, isSpaceJS) }

// project returns the folder of the project that dir belongs to: the nearest
// one with a package.json or a node_modules, or else dir. For a workspace, it
// is the root.
func (r *npmReader) project() string {
	prefix := ""
	for dir := r.dir; ; dir = filepath.Dir(dir) {
		isPackage := proc.IsFile(filepath.Join(dir, "package.json"))
		switch {
		case prefix == "" && (isPackage || isDir(filepath.Join(dir, "node_modules"))):
			prefix = dir
		case prefix != "" && isPackage && hasWorkspace(dir, prefix):
			return dir
		}
		if filepath.Dir(dir) == dir {
			break
		}
	}
	if prefix == "" {
		return r.dir
	}
	return prefix
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// hasWorkspace reports whether the package.json of root lists member among its
// workspaces (`npm help workspaces`).
func hasWorkspace(root, member string) bool {
	data, err := input.File(filepath.Join(root, "package.json"))
	if err != nil || !proc.IsFile(filepath.Join(member, "package.json")) {
		return false
	}
	var pkg struct{ Workspaces json.RawMessage }
	if json.Unmarshal(data, &pkg) != nil {
		return false
	}
	var patterns []string
	if json.Unmarshal(pkg.Workspaces, &patterns) != nil {
		var more struct{ Packages []string }
		if json.Unmarshal(pkg.Workspaces, &more) != nil {
			return false
		}
		patterns = more.Packages
	}
	rel, err := filepath.Rel(root, member)
	if err != nil {
		return false
	}
	parts := strings.Split(filepath.ToSlash(rel), "/")
	if slices.Contains(parts, "node_modules") {
		return false
	}
	is := false
	for _, pattern := range patterns {
		pattern, not := strings.CutPrefix(strings.ReplaceAll(pattern, `\`, "/"), "!")
		if is != not {
			continue // it would change nothing
		}
		for _, one := range braces(pattern) {
			if matchesPath(strings.Split(strings.TrimPrefix(path.Clean("/"+one), "/"), "/"), parts) {
				is = !not
			}
		}
	}
	return is
}

// matchesPath matches a path against a pattern, part by part; ** matches any
// number of parts.
func matchesPath(pattern, parts []string) bool {
	if len(pattern) == 0 {
		return len(parts) == 0
	}
	if pattern[0] == "**" {
		return matchesPath(pattern[1:], parts) || len(parts) > 0 && matchesPath(pattern, parts[1:])
	}
	if len(parts) == 0 {
		return false
	}
	ok, err := path.Match(pattern[0], parts[0])
	return ok && err == nil && matchesPath(pattern[1:], parts[1:])
}

// braces expands {a,b}, at most 64 times.
func braces(pattern string) []string {
	todo, done := []string{pattern}, []string{}
	for len(todo) > 0 && len(todo)+len(done) <= 64 {
		one := todo[0]
		todo = todo[1:]
		end := strings.IndexByte(one, '}')
		start := strings.LastIndexByte(one[:max(end, 0)], '{')
		if end < 0 || start < 0 || !strings.Contains(one[start:end], ",") {
			done = append(done, one)
			continue
		}
		for choice := range strings.SplitSeq(one[start+1:end], ",") {
			todo = append(todo, one[:start]+choice+one[end+1:])
		}
	}
	return done
}
