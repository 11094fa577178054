package migrate

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// BufFile is the file in which buf lists plugins.
const BufFile = "buf.gen.yaml"

// Buf reads a buf.gen.yaml of version v1beta1, v1 or v2
// (https://buf.build/docs/configuration/v2/buf-gen-yaml). The error for a file
// that is not one has class [fault.Usage], and the line.
func Buf(name string, data []byte) (*Result, error) {
	b, top, err := parseBuf(name, data)
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"v1beta1", "v1", "v2"}, b.version) {
		return nil, fault.Errorf(fault.Usage, "give a "+BufFile+" with version: v1beta1, v1 or v2", "%s: version is %q", b.at("version"), b.version)
	}
	plugins, ok := top["plugins"].([]any)
	if !ok || len(plugins) == 0 {
		return nil, fault.Errorf(fault.Usage, "give the "+BufFile+" that buf generate reads", "%s: it has no list of plugins", name)
	}
	for i, p := range plugins {
		fields, ok := p.(map[string]any)
		if !ok {
			return nil, fault.Errorf(fault.Usage, "give the "+BufFile+" that buf generate reads", "%s: a plugin must be a mapping", b.at("plugins", i))
		}
		if err := b.plugin(i, fields); err != nil {
			return nil, err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(top)) {
		b.top(key, top[key])
	}
	return b.Result, nil
}

// bad returns the error for YAML that does not parse.
func bad(name string, err error) error {
	at, what := name, err.Error()
	// The YAML library's messages start with [LINE:COLUMN] and end with an
	// excerpt of the file.
	if m := regexp.MustCompile(`^\[(\d+:\d+)\] ([^\n]*)`).FindStringSubmatch(what); m != nil {
		at, what = name+":"+m[1], m[2]
	}
	return fault.Errorf(fault.Usage, "correct the file; buf cannot read it either", "%s: %s", at, what)
}

// A bufFile is a file that [Buf] or [Module] reads.
type bufFile struct {
	*Result
	name    string
	file    *ast.File
	version string
}

// at returns FILE:LINE of a value, for the keys and list indexes that lead to
// it.
func (b *bufFile) at(keys ...any) string {
	var node ast.Node
	if len(b.file.Docs) > 0 {
		node = b.file.Docs[0].Body
	}
	line := 0
	for _, k := range keys {
		var values []*ast.MappingValueNode
		switch n := node.(type) {
		case *ast.MappingNode:
			values = n.Values
		case *ast.MappingValueNode:
			values = []*ast.MappingValueNode{n}
		}
		if node = below(node, values, k, &line); node == nil {
			break
		}
	}
	if line == 0 {
		return b.name
	}
	return fmt.Sprintf("%s:%d", b.name, line)
}

// below returns the value of a key or list index, and the line where it starts.
func below(node ast.Node, values []*ast.MappingValueNode, key any, line *int) ast.Node {
	if i, ok := key.(int); ok {
		list, ok := node.(*ast.SequenceNode)
		if !ok || i >= len(list.Values) {
			return nil
		}
		node = list.Values[i]
		first := node
		if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 {
			first = m.Values[0].Key
		} else if m, ok := node.(*ast.MappingValueNode); ok {
			first = m.Key
		}
		*line = first.GetToken().Position.Line
		return node
	}
	for _, v := range values {
		if v.Key.String() == key {
			*line = v.Key.GetToken().Position.Line
			return v.Value
		}
	}
	return nil
}

// plugin reads one entry of plugins.
func (b *bufFile) plugin(i int, fields map[string]any) error {
	at := b.at("plugins", i)
	u := Use{At: at, Options: optionsOf(fields["opt"])}
	kind, value := "", any(nil)
	for _, k := range []string{"remote", "local", "protoc_builtin", "plugin", "name"} {
		if v, ok := fields[k]; ok {
			kind, value = k, v
			break
		}
	}
	what, known := "", false
	switch words := list(value); {
	case len(words) == 0 || words[0] == "":
		return fault.Errorf(fault.Usage, "give the "+BufFile+" that buf generate reads", "%s: a plugin needs one of remote, local, protoc_builtin, plugin and name", at)
	case kind == "remote" || strings.Contains(words[0], "/") && kind != "local":
		what = words[0]
		known = b.remote(&u, what)
	case kind == "protoc_builtin":
		what = words[0]
		if known = makes(what); known {
			u.Plugin, u.Makes = "protoc", what
		} else {
			b.lack(at, "protoc_builtin "+what, "protoc has no such generator built in")
		}
	default:
		what = strings.Join(words, " ")
		known = b.local(&u, kind, words)
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		b.field(at, key, what, fields[key], &u)
	}
	if known {
		b.Uses = append(b.Uses, u)
		rule, attr := u.rule()
		if rule == "go" && attr == "" && !slices.ContainsFunc(u.Options, func(o string) bool { return strings.HasPrefix(o, "paths=") || strings.HasPrefix(o, "module=") }) {
			b.lack(at, what+" without paths", "by default, the plugin puts the code where go_package says, but the rule puts it beside the .proto file; for the default, write: options = {\"paths\": \"import\"}")
		}
	}
	return nil
}

// remote finds the catalogue's plugin for one of Buf's registry,
// HOST/OWNER/NAME:VERSION.
func (b *bufFile) remote(u *Use, what string) bool {
	ref, version, _ := strings.Cut(what, ":")
	host, name, _ := strings.Cut(ref, "/")
	if host != catalog.BufRegistry {
		b.lack(u.At, what, "it comes from your own registry, which lockgen does not know: write an entry for it in plugins.toml")
		return false
	}
	if strings.Count(name, "/") != 1 {
		b.lack(u.At, what, "Buf's registry no longer has plugins with such names")
		return false
	}
	u.Plugin = catalog.Builtin().Remote(name)
	if u.Plugin == "" {
		if err := catalog.Builtin().Refused(name); err != nil {
			b.lack(u.At, what, "%v: %s", err, fault.Hint(err))
		} else {
			b.unknown(u.At, what, path.Base(name))
		}
		return false
	}
	r, _ := catalog.Builtin().Lookup(u.Plugin)
	if own := r.BSR[name]; own != "" && !slices.Contains(u.Options, own) {
		u.Options = append(u.Options, own)
	}
	if len(r.Makes) > 0 {
		u.Makes = path.Base(name)
	}
	u.Version = catalog.RemoteVersion(version)
	return true
}

// bare returns the name of a program without its folder.
func bare(word string) string {
	return strings.TrimSuffix(path.Base(strings.ReplaceAll(word, `\`, "/")), ".exe")
}

// local finds the catalogue's plugin for a local program, which others may start, and
// which may have arguments.
func (b *bufFile) local(u *Use, kind string, words []string) bool {
	at := len(words) - 1
	for at > 0 && strings.HasPrefix(words[at], "-") {
		at--
	}
	if i := slices.IndexFunc(words, func(word string) bool { return catalog.Builtin().Program(bare(word)) != "" }); i >= 0 {
		at = i
	}
	file, arguments := bare(words[at]), words[at+1:]
	if len(words) > 2 && words[0] == "go" && words[1] == "run" {
		module, version, _ := strings.Cut(words[2], "@")
		file, arguments = path.Base(module), words[3:]
		u.Version = strings.TrimPrefix(version, "v")
		if !regexp.MustCompile(`^\d+(\.\d+)*$`).MatchString(u.Version) { // latest, a branch or a commit
			u.Version = ""
		}
	}
	if kind != "local" && len(words) == 1 { // go means protoc-gen-go, or a generator that is part of protoc
		if makes(words[0]) {
			u.Plugin, u.Makes = "protoc", words[0]
			return true
		}
		file = "protoc-gen-" + words[0]
	}
	if u.Plugin = catalog.Builtin().Program(file); u.Plugin == "" {
		b.unknown(u.At, strings.Join(words, " "), strings.TrimPrefix(file, "protoc-gen-"))
		return false
	}
	if len(arguments) > 0 {
		b.lack(u.At, "arguments of "+file+": "+strings.Join(arguments, " "), "set args in [plugins.%s] of plugins.toml", u.Plugin)
	}
	return true
}

// field reads the other keys of a plugin.
func (b *bufFile) field(at, key, what string, value any, u *Use) {
	switch key {
	case "remote", "local", "protoc_builtin", "plugin", "name", "opt", "revision", "strategy":
		// strategy: ignored, because protoc runs once for each library.
	case "out":
		dir, ok := folder(fmt.Sprint(value))
		if !ok || strings.HasSuffix(dir, ".jar") || strings.HasSuffix(dir, ".zip") {
			b.lack(at, fmt.Sprintf("out: %v", value), "[sync] copies only into folders of the cell: use the output of the target instead")
			return
		}
		u.Out = dir
	case "include_imports":
		u.Imports = value == true
	case "include_wkt":
		if value == true {
			b.lack(at, "include_wkt of "+what, "the language's protobuf library contains the code of the well-known types")
		}
	case "path", "protoc_path":
		b.lack(at, fmt.Sprintf("%s: %v", key, value), "the locked program is used")
	case "types", "exclude_types":
		b.lack(at, key+" of "+what, "protoc generates code for whole files: split the .proto files, or the srcs of the targets")
	default:
		b.lack(at, key+" of "+what, "lockgen does not know this key")
	}
}

// top reads the keys beside plugins.
func (b *bufFile) top(key string, value any) {
	at := b.at(key)
	switch key {
	case "version", "plugins":
	case "clean":
		// Ignored, because Buck2 always replaces an output.
	case "inputs":
		b.lack(at, "inputs", "the srcs of the targets are the inputs; for a module of Buf's registry or another repository, use a cell or an archive with a proto_library")
	case "types":
		b.lack(at, "types", "protoc generates code for whole files: split the .proto files, or the srcs of the targets")
	case "managed", "options":
		fields, _ := value.(map[string]any)
		if fields["enabled"] == false {
			return
		}
		const why = "managed mode changes options of .proto files before protoc reads them; here protoc reads the files unchanged"
		said := false
		for _, option := range slices.Sorted(maps.Keys(fields)) {
			if option == "enabled" {
				continue
			}
			said = true
			instead := "write the options into the files"
			if option == "disable" {
				instead = "for what managed mode leaves unchanged, do nothing"
			}
			if strings.HasPrefix(option, "go_package") || strings.Contains(fmt.Sprint(fields[option]), "go_package") {
				instead += "; go_package may also be an option of the plugin, such as \"Mapi/v1/api.proto\": \"example.com/api/v1\""
			}
			b.lack(b.at(key, option), key+"."+option, "%s: %s", why, instead)
		}
		if !said {
			b.lack(at, key, "%s: write options such as go_package and java_package into the files", why)
		}
	default:
		b.lack(at, key, "lockgen does not know this key")
	}
}

// makes reports whether protoc has the generator NAME built in.
func makes(name string) bool {
	r, _ := catalog.Builtin().Lookup("protoc")
	return slices.Contains(r.Makes, name)
}

// list returns a string, or a list of strings, as a list.
func list(value any) (words []string) {
	switch v := value.(type) {
	case nil:
	case []any:
		for _, w := range v {
			words = append(words, fmt.Sprint(w))
		}
	default:
		words = append(words, fmt.Sprint(v))
	}
	return words
}

func optionsOf(value any) (all []string) {
	for _, text := range list(value) {
		all = append(all, options(text)...)
	}
	return all
}
