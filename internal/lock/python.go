package lock

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// DefaultPython are the interpreters that a plugin run by Python is locked for
// where the manifest names none.
var DefaultPython = []string{"3.11", "3.12", "3.13"}

var (
	PythonForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^3\.(0|[1-9][0-9]?)$`) })
	// The object reference of an entry point, without extras:
	// https://packaging.python.org/en/latest/specifications/entry-points/
	entryForm   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^` + dottedName + `(:` + dottedName + `)?$`) })
	programForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]*$`) })
)

const dottedName = `[A-Za-z_][0-9A-Za-z_]*(\.[A-Za-z_][0-9A-Za-z_]*)*`

// CheckEntry accepts what Python can start: "MODULE:FUNCTION", or "MODULE" for
// what python -m runs.
func CheckEntry(s string) error {
	if len(s) > 200 || !entryForm().MatchString(s) {
		return fmt.Errorf("entry %q is not of the form MODULE:FUNCTION or MODULE", s)
	}
	return nil
}

// CheckProgram accepts the name of an executable without a folder, which is
// safe in a shell; what says which name it is.
func CheckProgram(what, s string) error {
	if len(s) > 100 || !programForm().MatchString(s) || reserved(s) {
		return fmt.Errorf("%s %q is not a name of letters, digits, -, _ and dots", what, s)
	}
	return nil
}

// Roots lists the folders of the tree into which a file is unpacked, "" for the
// tree itself: a wheel for some interpreters lies in py3.N of each of them.
func (f File) Roots() []string {
	if len(f.Python) == 0 {
		return []string{""}
	}
	var roots []string
	for _, python := range f.Python {
		roots = append(roots, "py"+python)
	}
	return roots
}

// validatePython checks what only a version has that Python runs.
func (v *Version) validatePython() error {
	if len(v.Python) == 0 {
		switch {
		case v.Program != "" && (v.Source != Maven || v.Runtime == ""):
			return errors.New("program without python")
		case v.Entry != "":
			return errors.New("entry without python")
		case v.Generator != "":
			return errors.New("generator without python")
		}
		return nil
	}
	if v.Source != Pip || v.Runtime != "" {
		return errors.New("python is for source pip, without a runtime")
	}
	if err := checkInterpreters(v.Python); err != nil {
		return err
	}
	if err := CheckProgram("program", v.Program); err != nil {
		return err
	}
	if v.Generator != "" {
		if err := CheckProgram("generator", v.Generator); err != nil {
			return err
		}
		if !strings.Contains(v.Entry, ":") {
			return fmt.Errorf("generator %q needs an entry that is a function, not %q", v.Generator, v.Entry)
		}
	}
	return CheckEntry(v.Entry)
}

// validatePythonFile checks for which interpreters a file is.
func (v *Version) validatePythonFile(f File) error {
	if len(f.Python) == 0 {
		return nil
	}
	if err := checkInterpreters(f.Python); err != nil {
		return err
	}
	for _, python := range f.Python {
		if !slices.Contains(v.Python, python) {
			return fmt.Errorf("python %s is not among those of the plugin", python)
		}
	}
	if len(f.Python) == len(v.Python) {
		return errors.New("python names all interpreters, which is said by leaving it out")
	}
	return nil
}

func checkInterpreters(list []string) error {
	for i, python := range list {
		if !PythonForm().MatchString(python) {
			return fmt.Errorf("python %q is not of the form 3.N", python)
		}
		if i > 0 && CompareVersions(list[i-1], python) >= 0 {
			return errors.New("python is not sorted, or one is there twice")
		}
	}
	return nil
}
