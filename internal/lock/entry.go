package lock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// An Entry is one locked version by itself, with the runtime or the toolchain
// that it needs: all that fetch install is told of a lock. Buck2 writes it as
// JSON.
type Entry struct {
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Locked    *Version `json:"locked"`
	Runtime   *Entry   `json:"runtime"`             // nil where the version names none
	Toolchain *Entry   `json:"toolchain,omitempty"` // likewise
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

// Specs returns every way to ask for what is locked, NAME and NAME@VERSION,
// sorted.
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

// Coordinate names the entry as a whole for mirrors of ready folders: as one of its
// files, of an ecosystem as its package.
func (e *Entry) Coordinate() string {
	if k := e.Locked.Kind(); k.Ecosystem {
		return k.coordinate(e.Locked.Package, e.Version)
	}
	for _, key := range slices.Sorted(maps.Keys(e.Locked.Files)) {
		return e.Locked.Coordinate(key)
	}
	return ""
}

// String is NAME VERSION, as messages say it.
func (e *Entry) String() string { return e.Name + " " + e.Version }

// ParseEntry reads the JSON form of an entry and validates it as strictly as
// [Parse] does a lock. Source names the file in messages.
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
		}
		err = e.validate(0)
	}
	if err != nil {
		return nil, fault.Errorf(fault.Lock, "the lock that it was made of is damaged: "+restore(FileName), "%s: %w", source, err)
	}
	return &e, nil
}

func (e *Entry) validate(depth int) error {
	if depth > 1 {
		return fmt.Errorf("%s: what it is run or made with has a runtime or toolchain of its own", e)
	}
	if err := CheckEntryName(e.Name); err != nil {
		return err
	}
	if err := CheckVersion(e.Version); err != nil {
		return err
	}
	if e.Locked == nil {
		return fmt.Errorf("%s: locked is missing", e)
	}
	if err := e.Locked.Validate(); err != nil {
		return fmt.Errorf("%s: %w", e, err)
	}
	if _, protos := ProtosName(e.Name); protos != e.Locked.IsProtos() {
		return fmt.Errorf("%s: folders are those of proto packages, and each of them has some", e)
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
	if t := e.Toolchain; t != nil && !t.Locked.IsGo() {
		return fmt.Errorf("%s: its toolchain %s is not Go", e, t)
	}
	return nil
}

// validateNeeded checks the entry of the runtime or toolchain that is wanted as
// NAME@VERSION.
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
