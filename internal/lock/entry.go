package lock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// An Entry is one locked version with its runtime or toolchain: everything that
// fetch install gets from a lock. Buck2 writes it as JSON.
type Entry struct {
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Locked    *Version `json:"locked"`
	Runtime   *Entry   `json:"runtime"`             // nil if the version has none
	Toolchain *Entry   `json:"toolchain,omitempty"` // nil if the version has none
}

// Entry returns the entry of a locked version.
func (l *Lock) Entry(name, version string) *Entry {
	v := l.Plugins[name][version]
	if v == nil {
		return nil
	}
	e := &Entry{Name: name, Version: version, Locked: v}
	if v.Runtime != "" {
		name, version, _ := strings.Cut(v.Runtime, "@")
		e.Runtime = l.Entry(name, version)
	}
	if v.Toolchain != "" {
		name, version, _ := strings.Cut(v.Toolchain, "@")
		e.Toolchain = l.Entry(name, version)
	}
	return e
}

// Specs returns every name for what is locked, NAME and NAME@VERSION, sorted.
func (l *Lock) Specs() (specs []string) {
	for name, versions := range l.Plugins {
		specs = append(specs, name)
		for version := range versions {
			specs = append(specs, name+"@"+version)
		}
	}
	slices.Sort(specs)
	return specs
}

// Coordinate returns the coordinate of the whole entry, for mirrors of ready
// folders: that of its package in an ecosystem, or else of one of its files.
func (e *Entry) Coordinate() string {
	if k := e.Locked.Kind(); k.Ecosystem {
		return k.coordinate(e.Locked.Package, e.Version)
	}
	for _, key := range slices.Sorted(maps.Keys(e.Locked.Files)) {
		return e.Locked.Coordinate(key)
	}
	return ""
}

// String returns NAME VERSION, for messages.
func (e *Entry) String() string { return e.Name + " " + e.Version }

// ParseEntry parses the JSON form of an entry and validates it as strictly as
// [Parse] validates a lock. Source names the file in messages.
func ParseEntry(source string, data []byte) (*Entry, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var e Entry
	err := dec.Decode(&e)
	if err == nil && dec.More() {
		err = fmt.Errorf("more than one value")
	}
	if err == nil {
		if e.Locked != nil {
			e.Locked.spread()
			e.Locked.Language, _, _ = RuntimeName(e.Name)
		}
		err = e.validate(0)
	}
	if err != nil {
		return nil, fault.Errorf(fault.Lock, "the lock that it was made from is damaged: "+restore(FileName), "%s: %w", source, err)
	}
	return &e, nil
}

func (e *Entry) validate(depth int) error {
	if depth > 1 {
		return fmt.Errorf("%s: its runtime or toolchain has a runtime or toolchain itself", e)
	}
	if err := CheckEntryName(e.Name); err != nil {
		return err
	}
	if err := syntax.CheckVersion(e.Version); err != nil {
		return err
	}
	if e.Locked == nil {
		return fmt.Errorf("%s: the key locked is missing", e)
	}
	if err := e.Locked.Validate(); err != nil {
		return fmt.Errorf("%s: %w", e, err)
	}
	if _, protos := ProtosName(e.Name); protos != e.Locked.IsProtos() {
		return fmt.Errorf("%s: a proto package must have folders, and a plugin must not", e)
	}
	if err := e.Locked.CheckRelease(e.Version); err != nil {
		return fmt.Errorf("%s: %w", e, err)
	}
	if err := e.validateNeeded("runtime", e.Locked.Runtime, e.Runtime, depth); err != nil {
		return err
	}
	if err := e.validateNeeded("toolchain", e.Locked.Toolchain, e.Toolchain, depth); err != nil {
		return err
	}
	if t := e.Toolchain; t != nil && !e.Locked.compiledBy(t.Locked) {
		return fmt.Errorf("%s: its toolchain %s does not compile source %s", e, t, e.Locked.Source)
	}
	return nil
}

// validateNeeded validates the entry of the runtime or toolchain NAME@VERSION.
func (e *Entry) validateNeeded(what, wanted string, needed *Entry, depth int) error {
	if needed == nil {
		if wanted != "" {
			return fmt.Errorf("%s: its %s %s is missing", e, what, wanted)
		}
		return nil
	}
	if got := needed.Name + "@" + needed.Version; got != wanted {
		return fmt.Errorf("%s: %s is %s, expected %s", e, what, got, wanted)
	}
	return needed.validate(depth + 1)
}
