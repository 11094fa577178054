// Package edit changes the text of plugins.toml like a person would: comments,
// order and layout stay the same.
package edit

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/tomlscan"
)

// AddVersion adds one more version of a plugin to a manifest, or sets the
// version of [Tool]. If the text is too unusual to edit, the error of class
// [fault.Usage] says what to write by hand.
func AddVersion(file string, data []byte, name, version string) ([]byte, error) {
	m, err := manifest.Parse(file, data)
	if err != nil {
		return nil, err
	}
	p := m.Plugins[name]
	if p == nil {
		return AddPlugin(file, data, name, &manifest.Plugin{Versions: []string{version}})
	}
	if slices.Contains(p.Versions, version) {
		return data, nil
	}
	if name == manifest.Tool || p.Protos != nil || p.Language != "" { // which can have only one
		return setVersions(m, data, name, []string{version})
	}
	return setVersions(m, data, name, append(p.Versions, version))
}

// AddPlugin adds a new plugin to a manifest. It uses these fields of p: the
// first version, source, package, naming, binary, optional, and the assets and
// sources of platforms. See [AddVersion].
func AddPlugin(file string, data []byte, name string, p *manifest.Plugin) ([]byte, error) {
	m, err := manifest.Parse(file, data)
	if err != nil {
		return nil, err
	}
	e := newEditor(data)
	if language, runtime, ok := lock.RuntimeName(name); ok {
		if p.Source != nil { // the entry is not called as the package is
			runtime = p.Source.Name
		}
		e.addRuntime(m, language, manifest.RuntimeItem(runtime, p.Versions[0]))
		p = &manifest.Plugin{Language: language, Source: manifest.RuntimeSource(language, runtime), Versions: p.Versions}
	} else {
		e.insert(name, entryText(p))
	}
	m.Plugins[name] = p
	if added, err := manifest.Parse(file, []byte(e.text)); err == nil && added.Plugins[name] != nil && entryText(added.Plugins[name]) == entryText(p) {
		m.Plugins[name] = added.Plugins[name]
	}
	return e.edited(m, name)
}

// SetOptional makes a plugin of a manifest optional, so that it may be
// unavailable on a platform. See [AddVersion].
func SetOptional(file string, data []byte, name string) ([]byte, error) {
	m, err := manifest.Parse(file, data)
	if err != nil {
		return nil, err
	}
	p := m.Plugins[name]
	if p == nil {
		return nil, fault.Errorf(fault.Usage, "run: lockgen add "+name, "%s does not ask for %s", file, name)
	}
	if p.Optional {
		return data, nil
	}
	e := newEditor(data)
	e.setOptional(manifest.EntryOf(name), len(p.Versions) > 1)
	p.Optional = true
	if !e.is(m) {
		return nil, fault.Errorf(fault.Usage, "write optional = true into it by hand", "%s: the entry of %s is written in a way that lockgen cannot edit", m.At("plugins", name), name)
	}
	return []byte(e.text), nil
}

// entryText returns the value of an entry: its version, or an inline table.
func entryText(p *manifest.Plugin) string {
	version := lock.Quote(p.Versions[0])
	keys := []string{"version = " + version}
	add := func(key, value string) {
		if value != "" {
			keys = append(keys, key+" = "+lock.Quote(value))
		}
	}
	if p.Source != nil {
		add("source", p.Source.String())
	}
	add("package", p.Package)
	add("tag", p.Tag)
	add("asset", p.Asset)
	for _, words := range []struct {
		key string
		of  map[string]string
	}{{"os", p.OS}, {"arch", p.Arch}} {
		var pairs []string
		for _, ours := range slices.Sorted(maps.Keys(words.of)) {
			pairs = append(pairs, ours+" = "+lock.Quote(words.of[ours]))
		}
		if len(pairs) > 0 {
			keys = append(keys, words.key+" = { "+strings.Join(pairs, ", ")+" }")
		}
	}
	add("runtime", p.Runtime)
	add("binary", p.Binary)
	if len(p.Options) > 0 {
		var words []string
		for _, word := range p.Options {
			words = append(words, lock.Quote(word))
		}
		keys = append(keys, "options = ["+strings.Join(words, ", ")+"]")
	}
	if p.Optional {
		keys = append(keys, "optional = true")
	}
	for _, platform := range slices.Sorted(maps.Keys(p.Platforms)) {
		o := p.Platforms[platform]
		add("platforms."+platform+".asset", o.Asset)
		if o.Source != nil {
			add("platforms."+platform+".source", o.Source.String())
		}
	}
	if len(keys) == 1 {
		return version
	}
	return "{ " + strings.Join(keys, ", ") + " }"
}

// SetVersion replaces a version of a plugin in a manifest. See [AddVersion].
func SetVersion(file string, data []byte, name, old, version string) ([]byte, error) {
	m, err := manifest.Parse(file, data)
	if err != nil {
		return nil, err
	}
	p := m.Plugins[name]
	if p == nil || !slices.Contains(p.Versions, old) {
		return nil, fault.Errorf(fault.Usage, "run: lockgen add "+name+"@"+version, "%s does not ask for %s@%s", file, name, old)
	}
	var versions []string
	for _, v := range p.Versions {
		if v == old {
			v = version
		}
		if !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	return setVersions(m, data, name, versions)
}

// setVersions sets the versions of an entry of m, which is the parsed data.
func setVersions(m *manifest.Manifest, data []byte, name string, versions []string) ([]byte, error) {
	e := newEditor(data)
	if language, runtime, ok := lock.RuntimeName(name); ok {
		e.setRuntime(language, runtime, versions[0])
	} else {
		e.setVersions(name, versions)
	}
	m.Plugins[name].Versions = versions
	return e.edited(m, name)
}

// edited returns the new text if it parses to m. Otherwise the error says how
// to write the entry by hand.
func (e *editor) edited(m *manifest.Manifest, name string) ([]byte, error) {
	if e.is(m) {
		return []byte(e.text), nil
	}
	hint := "remove it by hand, also from bundles and build-scripts; then run: lockgen update"
	if p := m.Plugins[name]; p != nil {
		hint = "write it by hand: the versions of " + name + " are " + lock.PrintList(p.Versions) + "; then run: lockgen update"
	}
	return nil, fault.Errorf(fault.Usage, hint, "%s: the entry of %s is written in a way that lockgen cannot edit", m.At("plugins", name), name)
}

// RemoveVersion removes a version of a plugin from a manifest, or all versions
// for "". See [AddVersion]. When the last version is removed, the plugin is
// also removed from every list that names it; said has a line for each.
func RemoveVersion(file string, data []byte, name, version string) (edited []byte, said []string, err error) {
	m, err := manifest.Parse(file, data)
	if err != nil {
		return nil, nil, err
	}
	p := m.Plugins[name]
	if p == nil || version != "" && !slices.Contains(p.Versions, version) {
		var have []string
		for n, p := range m.Plugins {
			for _, v := range p.Versions {
				have = append(have, n+"@"+v)
			}
		}
		slices.Sort(have)
		return nil, nil, fault.Errorf(fault.Usage, "it asks for "+strings.Join(have, ", "), "%s does not ask for %s", file, strings.TrimSuffix(name+"@"+version, "@"))
	}
	var versions []string
	for _, v := range p.Versions {
		if version != "" && v != version {
			versions = append(versions, v)
		}
	}
	if len(versions) > 0 {
		edited, err = setVersions(m, data, name, versions)
		return edited, nil, err
	}
	e := newEditor(data)
	if language, runtime, ok := lock.RuntimeName(name); ok {
		e.dropFromList(isRuntime(language, runtime), manifest.EntryOf(name)...)
	} else {
		e.drop(manifest.EntryOf(name)...)
	}
	if !slices.ContainsFunc(e.statements, func(s tomlscan.Statement) bool { return s.Path()[0] == "plugins" }) {
		e.text = strings.TrimRight(e.text, "\r\n") + e.newline + e.newline + "[plugins]" + e.newline
		e.scan()
	}
	is := func(s string) bool { return s == name }
	for _, bundle := range slices.Sorted(maps.Keys(m.Bundles)) {
		if !slices.Contains(m.Bundles[bundle], name) {
			continue
		}
		e.dropFromList(is, "bundles", bundle)
		if left := slices.DeleteFunc(m.Bundles[bundle], is); len(left) > 0 {
			m.Bundles[bundle] = left
			said = append(said, fmt.Sprintf("%s: removed %s from bundle %s", m.At("bundles", bundle), name, bundle))
		} else {
			delete(m.Bundles, bundle)
			said = append(said, fmt.Sprintf("%s: removed bundle %s, which named only %s", m.At("bundles", bundle), bundle, name))
		}
	}
	if slices.Contains(m.Policy.BuildScripts, name) {
		e.dropFromList(is, "policy", "build-scripts")
		if m.Policy.BuildScripts = slices.DeleteFunc(m.Policy.BuildScripts, is); len(m.Policy.BuildScripts) == 0 {
			m.Policy.BuildScripts = nil
		}
		said = append(said, fmt.Sprintf("%s: removed %s from build-scripts of [policy]", m.At("policy", "build-scripts"), name))
	}
	delete(m.Plugins, name)
	edited, err = e.edited(m, name)
	return edited, said, err
}

// Disallow removes entries from allow in [policy] of a manifest, given in the
// form of [Policy.Allow]. It refuses to remove all of them, because a manifest
// without allow allows everything.
func Disallow(file string, data []byte, entries []string) ([]byte, error) {
	m, err := manifest.Parse(file, data)
	if err != nil {
		return nil, err
	}
	e := newEditor(data)
	e.dropFromList(func(s string) bool {
		entry, err := manifest.ParseAllow(s)
		return err == nil && slices.Contains(entries, entry)
	}, "policy", "allow")
	m.Policy.Allow = slices.DeleteFunc(m.Policy.Allow, func(s string) bool { return slices.Contains(entries, s) })
	if !e.is(m) {
		return nil, fault.Errorf(fault.Usage, "remove by hand: "+strings.Join(entries, ", "), "%s: allow of [policy] is written in a way that lockgen cannot edit", m.At("policy", "allow"))
	}
	return []byte(e.text), nil
}

// Consent adds plugins to build-scripts in [policy] of a manifest.
func Consent(file string, data []byte, names []string) ([]byte, error) {
	m, err := manifest.Parse(file, data)
	if err != nil {
		return nil, err
	}
	e := newEditor(data)
	for _, name := range names {
		if slices.Contains(m.Policy.BuildScripts, name) {
			continue
		}
		if len(m.Policy.BuildScripts) == 0 {
			e.set("policy", "build-scripts", lock.PrintList([]string{name}))
		} else {
			e.addToList(name, "policy", "build-scripts")
		}
		m.Policy.BuildScripts = slices.Sorted(slices.Values(append(m.Policy.BuildScripts, name)))
	}
	if !e.is(m) {
		return nil, fault.Errorf(fault.Usage, "write it by hand: build-scripts = "+lock.PrintList(m.Policy.BuildScripts), "%s: [policy] is written in a way that lockgen cannot edit", m.At("policy"))
	}
	return []byte(e.text), nil
}

// An editor changes the text of a valid manifest.
type editor struct {
	text       string
	statements []tomlscan.Statement
	newline    string
}

func newEditor(data []byte) *editor {
	e := &editor{text: string(data), newline: "\n"}
	if bytes.Contains(data, []byte("\r\n")) {
		e.newline = "\r\n"
	}
	e.scan()
	return e
}

// scan finds the statements of the text.
func (e *editor) scan() {
	const bom = "\xef\xbb\xbf"
	_, e.statements, _ = tomlscan.Keys(strings.TrimPrefix(e.text, bom))
	if strings.HasPrefix(e.text, bom) {
		for i := range e.statements {
			s := &e.statements[i]
			s.Start, s.Value, s.End = s.Start+len(bom), s.Value+len(bom), s.End+len(bom)
		}
	}
}

// is reports whether the text now parses to the manifest.
func (e *editor) is(want *manifest.Manifest) bool {
	got, err := manifest.Parse(want.Name, []byte(e.text))
	if err != nil {
		return false
	}
	return want.Equal(got)
}

// insert writes a new entry after the last one of its table: [plugins], [tool]
// or [protos].
func (e *editor) insert(name, value string) {
	entry := manifest.EntryOf(name)
	table := entry[:1]
	line := lock.Key(entry[1]) + " = " + value
	at := -1
	for _, s := range e.statements {
		if s.IsHeader && slices.Equal(s.Key, table) || !s.IsHeader && !s.Nested && slices.Equal(s.Table, table) {
			at = s.End
		}
	}
	if at < 0 {
		e.text = strings.TrimRight(e.text, "\r\n") + e.newline + e.newline + "[" + table[0] + "]" + e.newline + line + e.newline
		return
	}
	e.insertLine(at, line)
}

// setVersions replaces the value of an entry, or the value of version or
// versions in its table.
func (e *editor) setVersions(name string, versions []string) {
	value := lock.Quote(versions[0])
	if len(versions) > 1 {
		value = lock.PrintList(versions)
	}
	for _, s := range e.statements {
		if s.IsHeader {
			continue
		}
		switch full := s.Path(); {
		case slices.Equal(full, manifest.EntryOf(name)) && !strings.HasPrefix(e.text[s.Value:], "{"):
			e.text = e.text[:s.Value] + value + e.text[s.End:]
			return
		case slices.Equal(full, append(manifest.EntryOf(name), "version")), slices.Equal(full, append(manifest.EntryOf(name), "versions")):
			if len(s.Key) != 1 {
				return
			}
			word := "version"
			if len(versions) > 1 {
				word = "versions"
			}
			e.text = e.text[:s.Start] + word + " = " + value + e.text[s.End:]
			return
		}
	}
}

// set adds a new key to a top-level table, after its last key.
func (e *editor) set(table, key, value string) {
	at := -1
	line := key + " = " + value
	for _, s := range e.statements {
		path := s.Path()
		switch {
		case path[0] != table || len(path) > 2 || len(path) == 1 && !s.IsHeader:
			continue
		case s.Nested:
			e.text = e.text[:s.End] + ", " + line + e.text[s.End:]
			e.scan()
			return
		case len(s.Key) == 2 && !s.IsHeader: // table.key
			line = table + "." + key + " = " + value
		}
		at = s.End
	}
	if at < 0 {
		e.text = strings.TrimRight(e.text, "\r\n") + e.newline + e.newline + "[" + table + "]" + e.newline + line + e.newline
	} else {
		e.insertLine(at, line)
	}
	e.scan()
}

// insertLine inserts a line after the one at an offset.
func (e *editor) insertLine(at int, line string) {
	if i := strings.IndexByte(e.text[at:], '\n'); i >= 0 {
		e.text = e.text[:at+i+1] + line + e.newline + e.text[at+i+1:]
		return
	}
	e.text += e.newline + line + e.newline
}

// addToList appends a string to a list that is not empty.
func (e *editor) addToList(value string, key ...string) {
	for _, s := range e.statements {
		if s.IsHeader || !slices.Equal(s.Path(), key) {
			continue
		}
		items := tomlscan.ListItems(e.text, s.Value)
		if len(items) == 0 {
			return
		}
		last := items[len(items)-1]
		line := strings.LastIndexByte(e.text[:last.Start], '\n') + 1
		indent := e.text[line:last.Start]
		if strings.Trim(indent, " \t") != "" || !strings.Contains(e.text[last.End:s.End], "\n") {
			e.text = e.text[:last.End] + ", " + lock.Quote(value) + e.text[last.End:]
		} else {
			if rest := strings.TrimLeft(e.text[last.End:s.End], " \t"); rest[0] != ',' {
				e.text = e.text[:last.End] + "," + e.text[last.End:]
			}
			e.insertLine(last.End, indent+lock.Quote(value)+",")
		}
		e.scan()
		return
	}
}

// setOptional makes an entry optional, whether or not it sets optional already.
func (e *editor) setOptional(entry []string, several bool) {
	const optional = "optional = true"
	at := tomlscan.Statement{}
	for _, s := range e.statements {
		switch path := s.Path(); {
		case slices.Equal(path, append(slices.Clone(entry), "optional")) && len(s.Key) == 1:
			value := strings.TrimRight(e.text[s.Value:s.End], " \t")
			e.text = e.text[:s.Value] + "true" + e.text[s.Value+len(value):]
			return
		case slices.Equal(path, append(slices.Clone(entry), "version")), slices.Equal(path, append(slices.Clone(entry), "versions")):
			at = s
		case slices.Equal(path, entry) && !s.IsHeader && e.text[s.Value] != '{':
			key := "version"
			if several {
				key = "versions"
			}
			e.text = e.text[:s.Value] + "{ " + key + " = " + e.text[s.Value:s.End] + ", " + optional + " }" + e.text[s.End:]
			return
		}
	}
	switch {
	case at.Nested:
		e.text = e.text[:at.End] + ", " + optional + e.text[at.End:]
	case len(at.Key) == 1:
		e.insertLine(at.End, optional)
	}
}

// drop removes a key: a pair, or a table and its subtables.
func (e *editor) drop(key ...string) {
	least := len(e.text) // offset of the first removed statement
	for i := len(e.statements) - 1; i >= 0; i-- {
		s := e.statements[i]
		if path := s.Path(); len(path) < len(key) || !slices.Equal(path[:len(key)], key) || s.Start >= least {
			continue
		}
		least = s.Start
		if s.Nested {
			e.text = cutItem(e.text, s.Start, s.End)
			continue
		}
		start := strings.LastIndexByte(e.text[:s.Start], '\n') + 1
		end := len(e.text)
		if j := strings.IndexByte(e.text[s.End:], '\n'); j >= 0 {
			end = s.End + j + 1
		}
		if s.IsHeader { // and the empty line before it
			if before := strings.TrimRight(e.text[:start], "\r\n"); strings.Count(e.text[len(before):start], "\n") > 1 {
				start = len(before) + strings.IndexByte(e.text[len(before):], '\n') + 1
			}
		}
		e.text = e.text[:start] + e.text[end:]
	}
	e.scan()
}

// dropFromList removes some strings from a list, and the key if none is left.
func (e *editor) dropFromList(gone func(string) bool, key ...string) {
	for _, s := range e.statements {
		if s.IsHeader || !slices.Equal(s.Path(), key) {
			continue
		}
		items := tomlscan.ListItems(e.text, s.Value)
		left := slices.DeleteFunc(slices.Clone(items), func(i tomlscan.Item) bool { return gone(i.Text) })
		if len(left) == 0 {
			e.drop(key...)
			return
		}
		for _, i := range slices.Backward(items) {
			if gone(i.Text) {
				e.text = cutItem(e.text, i.Start, i.End)
			}
		}
		e.scan()
		return
	}
}

// cutItem removes one item of a comma-separated list, and its line if it has
// its own.
func cutItem(text string, start, end int) string {
	skip := func(i int) int {
		for i < len(text) && (text[i] == ' ' || text[i] == '\t') {
			i++
		}
		return i
	}
	after := skip(end)
	comma := after < len(text) && text[after] == ','
	if comma {
		after = skip(after + 1)
	}
	line := strings.LastIndexByte(text[:start], '\n') + 1
	if rest, _, ok := strings.Cut(text[after:], "\n"); ok && skip(line) == start && (strings.TrimRight(rest, "\r") == "" || rest[0] == '#') {
		return text[:line] + text[after+len(rest)+1:]
	}
	if comma && strings.ContainsRune("\r\n#", rune(text[min(after, len(text)-1)])) {
		return strings.TrimRight(text[:start], " \t") + text[skip(end)+1:]
	}
	if comma {
		return text[:start] + text[after:]
	}
	if before, ok := strings.CutSuffix(strings.TrimRight(text[:start], " \t"), ","); ok {
		return strings.TrimRight(before, " \t") + text[end:]
	}
	return text[:start] + text[end:]
}
