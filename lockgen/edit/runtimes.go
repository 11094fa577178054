package edit

import (
	"slices"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/tomlscan"
)

// The entries of [runtimes] are items of lists, one list for each language.

// isRuntime returns a function that matches the item of a runtime.
func isRuntime(language, name string) func(item string) bool {
	return func(item string) bool {
		of, _, err := manifest.ParseRuntime(language, item)
		return err == nil && lock.RuntimeEntry(language, manifest.RuntimeSource(language, of).Name) == lock.RuntimeEntry(language, name)
	}
}

// addRuntime appends an item to the list of a language.
func (e *editor) addRuntime(m *manifest.Manifest, language, item string) {
	key := []string{"runtimes", language}
	for _, p := range m.Plugins {
		if p.Language == language {
			e.addToList(item, key...)
			return
		}
	}
	e.set(key[0], key[1], lock.PrintList([]string{item}))
}

// setRuntime changes the version of a runtime's item, and keeps the spelling of
// its name.
func (e *editor) setRuntime(language, name, version string) {
	is := isRuntime(language, name)
	for _, s := range e.statements {
		if s.IsHeader || !slices.Equal(s.Path(), []string{"runtimes", language}) {
			continue
		}
		for _, i := range slices.Backward(tomlscan.ListItems(e.text, s.Value)) {
			if is(i.Text) {
				spelt, _, _ := manifest.ParseRuntime(language, i.Text)
				e.text = e.text[:i.Start] + lock.Quote(manifest.RuntimeItem(spelt, version)) + e.text[i.End:]
			}
		}
		e.scan()
		return
	}
}
