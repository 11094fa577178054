package manifest

import (
	"bytes"
	"reflect"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// AddVersion edits the text of a manifest so that it asks for one more version
// of a plugin. Comments, order and everything else stay. Where the text is too
// unusual for that, the error of class [fault.Usage] says what to write by hand.
func AddVersion(manifest string, data []byte, name, version string) ([]byte, error) {
	m, err := Parse(manifest, data)
	if err != nil {
		return nil, err
	}
	versions := []string{version}
	if p := m.Plugins[name]; p != nil {
		if slices.Contains(p.Versions, version) {
			return data, nil
		}
		versions = append(slices.Clone(p.Versions), version)
	}
	e := newEditor(data)
	ok := false
	if len(versions) == 1 {
		e.insert(name, version)
		ok = true
	} else {
		ok = e.setVersions(name, versions)
	}
	if !ok || !e.gives(m, name, versions) {
		return nil, fault.Errorf(fault.Usage, "write it by hand: the versions of "+name+" are "+lock.PrintList(versions)+"; then run: lockgen update",
			"%s: the entry of %s is written in a way that lockgen cannot edit", m.At("plugins", name), name)
	}
	return []byte(e.text), nil
}

// SetVersion edits the text of a manifest so that it asks for another version of a
// plugin in the place of one that it asks for. See [AddVersion].
func SetVersion(manifest string, data []byte, name, old, version string) ([]byte, error) {
	m, err := Parse(manifest, data)
	if err != nil {
		return nil, err
	}
	p := m.Plugins[name]
	if p == nil || !slices.Contains(p.Versions, old) {
		return nil, fault.Errorf(fault.Usage, "run: lockgen add "+name+"@"+version, "%s does not ask for %s@%s", manifest, name, old)
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
	e := newEditor(data)
	if !e.setVersions(name, versions) || !e.gives(m, name, versions) {
		return nil, fault.Errorf(fault.Usage, "write it by hand: the versions of "+name+" are "+lock.PrintList(versions)+"; then run: lockgen update",
			"%s: the entry of %s is written in a way that lockgen cannot edit", m.At("plugins", name), name)
	}
	return []byte(e.text), nil
}

// RemoveVersion edits the text of a manifest so that it asks for a version of a
// plugin no more, for no version with "". See [AddVersion].
func RemoveVersion(manifest string, data []byte, name, version string) ([]byte, error) {
	m, err := Parse(manifest, data)
	if err != nil {
		return nil, err
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
		return nil, fault.Errorf(fault.Usage, "it asks for "+strings.Join(have, ", "), "%s does not ask for %s", manifest, strings.TrimSuffix(name+"@"+version, "@"))
	}
	for _, bundle := range slices.Sorted(func(yield func(string) bool) {
		for b := range m.Bundles {
			if !yield(b) {
				return
			}
		}
	}) {
		if slices.Contains(m.Bundles[bundle], name) && (version == "" || len(p.Versions) == 1) {
			return nil, fault.Errorf(fault.Usage, "take it out of the bundle first", "%s: bundle %s names %s", m.At("bundles", bundle), bundle, name)
		}
	}
	if slices.Contains(m.Policy.BuildScripts, name) && (version == "" || len(p.Versions) == 1) {
		return nil, fault.Errorf(fault.Usage, "take it out of build-scripts first", "%s: build-scripts of [policy] names %s", m.At("policy", "build-scripts"), name)
	}
	var versions []string
	for _, v := range p.Versions {
		if version != "" && v != version {
			versions = append(versions, v)
		}
	}
	e := newEditor(data)
	ok := false
	if len(versions) > 0 {
		ok = e.setVersions(name, versions)
	} else {
		ok = e.drop(name)
	}
	if !ok || !e.gives(m, name, versions) {
		return nil, fault.Errorf(fault.Usage, "take it out by hand, then run: lockgen update",
			"%s: the entry of %s is written in a way that lockgen cannot edit", m.At("plugins", name), name)
	}
	return []byte(e.text), nil
}

// An editor changes the text of a valid manifest.
type editor struct {
	text       string
	statements []statement
	newline    string
}

func newEditor(data []byte) *editor {
	e := &editor{text: string(data), newline: "\n"}
	if bytes.Contains(data, []byte("\r\n")) {
		e.newline = "\r\n"
	}
	const bom = "\xef\xbb\xbf"
	_, e.statements, _ = scanKeys(strings.TrimPrefix(e.text, bom))
	if strings.HasPrefix(e.text, bom) {
		for i := range e.statements {
			s := &e.statements[i]
			s.start, s.value, s.end = s.start+len(bom), s.value+len(bom), s.end+len(bom)
		}
	}
	return e
}

// gives reports whether the text is now the old manifest with exactly those
// versions of that plugin.
func (e *editor) gives(old *Manifest, name string, versions []string) bool {
	m, err := Parse(old.Name, []byte(e.text))
	if err != nil {
		return false
	}
	if p := m.Plugins[name]; len(versions) == 0 && p != nil || len(versions) > 0 && (p == nil || !slices.Equal(p.Versions, versions)) {
		return false
	}
	plain := func(m *Manifest) Manifest {
		c := *m
		c.lines = nil
		c.Plugins = map[string]*Plugin{}
		for n, p := range m.Plugins {
			q := *p
			if n == name {
				if q.Versions = nil; len(versions) == 0 || old.Plugins[name] == nil {
					continue
				}
			}
			c.Plugins[n] = &q
		}
		return c
	}
	return reflect.DeepEqual(plain(old), plain(m))
}

// insert writes a new entry behind the last one of [plugins].
func (e *editor) insert(name, version string) {
	line := lock.Key(name) + " = " + lock.Quote(version)
	at := -1
	for _, s := range e.statements {
		if s.isHeader && slices.Equal(s.key, []string{"plugins"}) || !s.isHeader && slices.Equal(s.table, []string{"plugins"}) {
			at = s.end
		}
	}
	if at < 0 {
		e.text = strings.TrimRight(e.text, "\r\n") + e.newline + e.newline + "[plugins]" + e.newline + line + e.newline
		return
	}
	if i := strings.IndexByte(e.text[at:], '\n'); i >= 0 {
		e.text = e.text[:at+i+1] + line + e.newline + e.text[at+i+1:]
		return
	}
	e.text += e.newline + line + e.newline
}

// setVersions replaces the value of an entry, or of version or versions in its
// table.
func (e *editor) setVersions(name string, versions []string) bool {
	value := lock.Quote(versions[0])
	if len(versions) > 1 {
		value = lock.PrintList(versions)
	}
	for _, s := range e.statements {
		if s.isHeader {
			continue
		}
		switch full := append(slices.Clone(s.table), s.key...); {
		case slices.Equal(full, []string{"plugins", name}) && !strings.HasPrefix(e.text[s.value:], "{"):
			e.text = e.text[:s.value] + value + e.text[s.end:]
			return true
		case slices.Equal(full, []string{"plugins", name, "version"}), slices.Equal(full, []string{"plugins", name, "versions"}):
			if len(s.key) != 1 {
				return false
			}
			word := "version"
			if len(versions) > 1 {
				word = "versions"
			}
			e.text = e.text[:s.start] + word + " = " + value + e.text[s.end:]
			return true
		}
	}
	return false
}

// drop takes the lines of an entry out: one pair, or its table and those below.
func (e *editor) drop(name string) bool {
	found := false
	for i := len(e.statements) - 1; i >= 0; i-- {
		s := e.statements[i]
		full := append(slices.Clone(s.table), s.key...)
		if len(full) < 2 || full[0] != "plugins" || full[1] != name {
			continue
		}
		found = true
		start := strings.LastIndexByte(e.text[:s.start], '\n') + 1
		end := len(e.text)
		if j := strings.IndexByte(e.text[s.end:], '\n'); j >= 0 {
			end = s.end + j + 1
		}
		if s.isHeader { // with the empty line before it
			if before := strings.TrimRight(e.text[:start], "\r\n"); strings.Count(e.text[len(before):start], "\n") > 1 {
				start = len(before) + strings.IndexByte(e.text[len(before):], '\n') + 1
			}
		}
		e.text = e.text[:start] + e.text[end:]
	}
	return found
}
