package source

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// A ConsentError is the refusal, of class [fault.Policy], to lock a plugin that
// runs code while it is compiled, which the manifest does not allow.
type ConsentError struct {
	Plugin string
	Crates []Running
	error
}

// Unwrap returns the error with class and hint.
func (e *ConsentError) Unwrap() error { return e.error }

// A Running is a crate that runs code while a plugin is compiled.
type Running struct {
	Crate string // NAME-VERSION
	By    string // who made it, according to the crate; "" if unknown
}

// String returns a line for people.
func (r Running) String() string {
	if r.By == "" {
		return r.Crate + ", which does not say by whom"
	}
	return r.Crate + " by " + r.By
}

// NeedsConsent returns a [ConsentError]. By says who made each crate, by its
// name and version.
func NeedsConsent(plugin string, by map[string]string) error {
	e := &ConsentError{Plugin: plugin}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(by)) {
		e.Crates = append(e.Crates, Running{name, by[name]})
		lines = append(lines, e.Crates[len(e.Crates)-1].String())
	}
	e.error = fault.Errorf(fault.Policy, fmt.Sprintf("to allow it, add --allow-build-scripts to lockgen add, update or upgrade, which adds build-scripts = [%q] to [policy] of plugins.toml", plugin),
		"compiling it runs code of %d of its crates (build scripts and procedural macros), which plugins.toml does not allow: %s",
		len(lines), strings.Join(lines, "; "))
	return e
}

// An UnsupportedError says why a tree cannot be used on its platform. The tree
// of another platform may still be, by emulation.
type UnsupportedError struct{ Reason string }

func (e *UnsupportedError) Error() string { return e.Reason }

// NoList returns the error of a source that cannot list versions.
func NoList(w *plan.Want) error {
	if !manifest.IsRange(w.Asked) {
		return fault.Errorf(fault.Usage, "look for newer ones where it is published", "its source cannot list versions: whether there is a newer one is not known")
	}
	return fault.Errorf(fault.Usage, "write an exact version", "this source (%s) cannot list versions, so %q cannot be resolved", w.From, w.Asked)
}

// ReplacedError returns the error, of class [fault.Integrity], for an artifact
// whose bytes have changed since it was locked.
func ReplacedError(a *Artifact, want, got string) error {
	return fault.Errorf(fault.Integrity,
		"do not use it until its publisher explains the change; to accept it, run lockgen remove and lockgen add for this plugin",
		"SECURITY: %s%s has other bytes than when it was locked, under the same version\n  locked: %s\n  now:    %s\nit was replaced upstream, or someone is between you and the registry; the lock was not touched",
		a.Label, a.From, want, got)
}

// An UnfitError is the refusal of an artifact that is as it was published, but
// not for its platform: neither the bytes nor the server are at fault.
type UnfitError struct{ error }

// Unwrap returns the refusal.
func (e *UnfitError) Unwrap() error { return e.error }

// Unfit marks an error of class [fault.Integrity].
func Unfit(err error) error {
	if fault.Of(err) != fault.Integrity {
		return err
	}
	return &UnfitError{err}
}
