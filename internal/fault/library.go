package fault

import "errors"

// Aside is the hint for a library that cannot be in [runtimes].
const Aside = "take it out of [runtimes] and write runtime = […] in BUCK files"

// OtherPlugin is the hint for a version of a plugin that cannot be locked from where it is.
const OtherPlugin = "use another version or another source of this plugin"

// OtherLibrary is the hint for a version that cannot be in [runtimes].
const OtherLibrary = "take another version, or " + Aside

// forLibrary is an error whose hint is another one for a library.
type forLibrary struct {
	error
	of, hint string // its own hint, and the one for a library
}

func (e *forLibrary) Unwrap() error { return e.error }

// ForLibrary gives err another hint for the case that it speaks of a library of
// [runtimes], which has one source and is never optional. See [LibraryHint].
func ForLibrary(hint string, err error) error {
	if Hint(err) == "" { // of a run that was interrupted
		return err
	}
	return &forLibrary{err, Hint(err), hint}
}

// LibraryHint is [Hint] for an error that speaks of a library of [runtimes].
func LibraryHint(err error) string {
	hint := Hint(err)
	var e *forLibrary
	for rest := err; errors.As(rest, &e); rest = e.error {
		if e.of == hint { // not where an error around it has a hint of its own
			return e.hint
		}
	}
	return hint
}

// Elsewheref is [Errorf] for a version that cannot be locked from where it is, with the
// hints [OtherPlugin] and [OtherLibrary].
func Elsewheref(c Class, format string, args ...any) error {
	return ForLibrary(OtherLibrary, Errorf(c, OtherPlugin, format, args...))
}
