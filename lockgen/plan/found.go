package plan

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// Found gives w, whose entry names no executable, the one that its source has: binary
// as in an entry, and the folder of the main package in a Go module.
func (w *Want) Found(binary, main string) error {
	e := w.entry
	w.Binary, w.Overrides = binary, e.p.Platforms
	if w.kind().Mains {
		w.Main = main
	}
	w.RuntimeName, w.assumed = e.p.Runtime, false // which depends on the executable
	if err := w.complete(e); err != nil {
		return err
	}
	if w.RuntimeName == "" {
		w.Runtime, w.runs = "", nil
	}
	return nil
}

// found takes the executable from the lock, so that it can be compared.
func (w *Want) found(l *lock.Lock) error {
	if !w.Finds || l == nil {
		return nil
	}
	v := l.Plugins[w.Name][w.Version]
	if v == nil || v.Source != w.From.Kind {
		return nil
	}
	if v.Program != "" {
		return w.Found(v.Program, "")
	}
	binary := ""
	overrides := maps.Clone(w.Overrides)
	if overrides == nil {
		overrides = map[string]manifest.Override{}
	}
	for _, name := range slices.Sorted(maps.Keys(v.Platforms)) {
		if cell := v.Platforms[name]; cell.Binary != "" {
			binary = cell.Binary
			o := overrides[name]
			o.Binary = cell.Binary
			overrides[name] = o
		}
	}
	if w.kind().Compiled || w.kind().Mains {
		return w.Found(strings.TrimSuffix(path.Base(binary), ".exe"), v.Main)
	}
	err := w.Found(binary, "")
	w.Overrides = overrides
	return err
}
