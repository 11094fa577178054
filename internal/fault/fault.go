// Package fault gives every failure of lockgen and fetch one of the exit
// classes that docs/troubleshooting.md lists, and a hint: the command or the
// edit that fixes it.
//
// Libraries return errors made with [Errorf]. Only main turns them into text
// and an exit status, with [Of] and [Hint].
package fault

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// A Class says who can fix a failure. Its number is the exit status of the
// program.
type Class int

// The exit classes, the same for lockgen and fetch.
const (
	OK          Class = 0   // it worked
	Internal    Class = 1   // our own fault
	Usage       Class = 2   // the command line or plugins.toml
	Lock        Class = 3   // plugins.lock.toml is missing, malformed or out of date
	Upstream    Class = 4   // the network, a registry or a server
	Integrity   Class = 5   // bytes are not what was locked
	Policy      Class = 6   // refused by a rule
	Machine     Class = 7   // this machine: disk, permission, missing or too old tool
	Interrupted Class = 130 // the user stopped it
)

// String is the name that --json prints.
func (c Class) String() string {
	switch c {
	case OK:
		return "ok"
	case Usage:
		return "usage"
	case Lock:
		return "lock"
	case Upstream:
		return "upstream"
	case Integrity:
		return "integrity"
	case Policy:
		return "policy"
	case Machine:
		return "machine"
	case Interrupted:
		return "interrupted"
	}
	return "internal"
}

// classified is an error with a class and, where one is known, a hint.
type classified struct {
	class   Class
	hint    string
	err     error
	missing bool // what it is about does not exist
}

func (e *classified) Error() string { return e.err.Error() }
func (e *classified) Unwrap() error { return e.err }

// Errorf returns an error of class c. Hint is a sentence or a command that
// fixes it. It may be "" only for [Internal] and [Interrupted], or if an error
// in args has a hint already; see [HintOr]. A test enforces this. Format and
// args are those of [fmt.Errorf]; they say what failed and why, in lower case
// and without a period.
func Errorf(c Class, hint, format string, args ...any) error {
	return &classified{class: c, hint: hint, err: fmt.Errorf(format, args...)}
}

// Missingf is [Errorf] for what does not exist: the error also matches
// [fs.ErrNotExist], whose text would say nothing that the message does not.
func Missingf(c Class, hint, format string, args ...any) error {
	return &classified{class: c, hint: hint, err: fmt.Errorf(format, args...), missing: true}
}

// Is reports whether target is what a missing thing matches.
func (e *classified) Is(target error) bool { return e.missing && target == fs.ErrNotExist }

// Of returns the class of the outermost classified error in the chain of err.
// An unclassified error is [Interrupted] if a context was cancelled, [Machine]
// if the operating system refused something, and [Internal] otherwise. If
// several errors are joined, the first classified one in tree order counts.
func Of(err error) Class {
	if err == nil {
		return OK
	}
	var e *classified
	if errors.As(err, &e) {
		return e.class
	}
	if errors.Is(err, context.Canceled) {
		return Interrupted
	}
	var path *fs.PathError
	var link *os.LinkError
	var sys *os.SyscallError
	var errno syscall.Errno
	if errors.As(err, &path) || errors.As(err, &link) || errors.As(err, &sys) || errors.As(err, &errno) {
		return Machine
	}
	return Internal
}

// Hint says how to fix err. It is the hint of the outermost error that has one,
// or follows from what the operating system refused. It is "" for [Internal]
// errors and for a run that the user stopped.
func Hint(err error) string {
	if hint := ownHint(err); hint != "" {
		return hint
	}
	if Of(err) == Machine {
		return MachineHint(err)
	}
	return ""
}

// HintOr returns the [Hint] of an error that is about to be wrapped, or the
// given hint if it has none.
func HintOr(err error, hint string) string {
	if m := Hint(err); m != "" {
		return m
	}
	return hint
}

func ownHint(err error) string {
	var e *classified
	for errors.As(err, &e) {
		if e.hint != "" {
			return e.hint
		}
		err = e.err
	}
	return ""
}
