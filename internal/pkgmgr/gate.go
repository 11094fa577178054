package pkgmgr

import (
	_ "embed"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/wheel"
)

// A Gate keeps a package manager from choosing versions that are too young, and
// makes it write down when those that it chose were released, by the clock of
// the registry. Nil is no gate.
//
// The managers' own options (npm --before, pip --uploaded-prior-to) are not
// enough: npm lets a version through that the registry has no time for, both
// judge versions that a person chose by themselves as well, and neither says
// afterwards what it saw. So npm runs with a few lines of ours inside of it,
// npm_gate.js, on the documents that it asks for anyway, and pip sees an index of
// ours.
type Gate struct {
	// Before is the latest time of release; zero lets everything through and
	// only writes down. A version without a time is too young.
	Before time.Time
	// Except lists what passes in any case, NAME@VERSION. Names are those of the
	// registry, for pip as PEP 503 says.
	Except []string
}

//go:embed npm_gate.js
var npmGate string

// file writes what the lines inside of a manager read, and returns its path and
// that of the record that they write.
func (g *Gate) file(scratch string) (in, out string, err error) {
	in, out = filepath.Join(scratch, "gate.json"), filepath.Join(scratch, "released.json")
	rule := map[string]any{"record": out, "before": nil, "except": append([]string{}, g.Except...)}
	if !g.Before.IsZero() {
		rule["before"] = g.Before.UnixMilli()
	}
	data, err := json.Marshal(rule)
	if err != nil {
		return "", "", err
	}
	return in, out, os.WriteFile(in, data, 0o600)
}

// readRecord reads when versions were released, in milliseconds, by NAME@VERSION or
// by the name of a file. A version without a time is not in it.
func readRecord(file string) (map[string]time.Time, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var record map[string]float64
	if err := json.Unmarshal(data, &record); err != nil {
		return nil, fault.Errorf(fault.Internal, "", "the record of release times: %w", err)
	}
	times := map[string]time.Time{}
	for key, ms := range record {
		if ms > 0 && ms < 1<<52 {
			times[key] = time.UnixMilli(int64(ms)).UTC()
		}
	}
	return times, nil
}

// passes reports whether a wheel may be chosen. Nil lets all through.
func (g *Gate) passes(f remote.IndexFile) bool {
	if g == nil || g.Before.IsZero() || !f.Uploaded.IsZero() && !f.Uploaded.After(g.Before) {
		return true
	}
	name, err := wheel.ParseName(f.Filename)
	return err == nil && slices.ContainsFunc(g.Except, func(except string) bool {
		project, version, _ := strings.Cut(except, "@")
		return normaliseName(project) == normaliseName(name.Project) && wheel.SameVersion(version, name.Version)
	})
}
