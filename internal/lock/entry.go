package lock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// An Entry is one locked version by itself, with the runtime it needs: all
// that fetch install is told of a lock. Buck2 writes it as JSON.
type Entry struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Locked  *Version `json:"locked"`
	Runtime *Entry   `json:"runtime"` // nil where the version names none
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
	return e
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
		err = e.validate(0)
	}
	if err != nil {
		return nil, fault.Errorf(fault.Lock, "run: lockgen update", "%s: %w", source, err)
	}
	return &e, nil
}

func (e *Entry) validate(depth int) error {
	if depth > 1 {
		return fmt.Errorf("%s: a runtime has no runtime of its own", e)
	}
	if err := CheckName(e.Name); err != nil {
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
	if e.Runtime == nil {
		if e.Locked.Runtime != "" {
			return fmt.Errorf("%s: its runtime %s is missing", e, e.Locked.Runtime)
		}
		return nil
	}
	if got := e.Runtime.Name + "@" + e.Runtime.Version; got != e.Locked.Runtime {
		return fmt.Errorf("%s: runtime is %s, expected %s", e, got, e.Locked.Runtime)
	}
	return e.Runtime.validate(depth + 1)
}
