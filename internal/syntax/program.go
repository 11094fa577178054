package syntax

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/mod/module"
)

// What stands in a lock or a manifest about programs and .proto files.

var (
	// PythonForm matches an interpreter of Python, such as 3.12.
	PythonForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^3\.(0|[1-9][0-9]?)$`) })
	// The object reference of an entry point, without extras:
	// https://packaging.python.org/en/latest/specifications/entry-points/
	entryForm   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^` + dottedName + `(:` + dottedName + `)?$`) })
	programForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]*$`) })
)

const dottedName = `[A-Za-z_][0-9A-Za-z_]*(\.[A-Za-z_][0-9A-Za-z_]*)*`

// PythonOf is the interpreter that a version of Python is, 3.13 for 3.13.1; "" for
// what is no version of Python.
func PythonOf(version string) string {
	major, rest, _ := strings.Cut(version, ".")
	end := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(rest)
	}
	if minor := major + "." + rest[:end]; PythonForm().MatchString(minor) {
		return minor
	}
	return ""
}

// CheckEntry accepts what Python can start: "MODULE:FUNCTION", or "MODULE" for
// python -m.
func CheckEntry(s string) error {
	if len(s) > 200 || !entryForm().MatchString(s) {
		return fmt.Errorf("entry %q is not of the form MODULE:FUNCTION or MODULE", s)
	}
	return nil
}

// CheckProgram checks the name of an executable, without a folder. A valid name
// is safe in a shell. What describes the name in messages.
func CheckProgram(what, s string) error {
	if len(s) > 100 || !programForm().MatchString(s) || Reserved(s) {
		return fmt.Errorf("%s %q is not a name of letters, digits, -, _ and dots", what, s)
	}
	return nil
}

// classForm matches the full name of a Java class.
var classForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z_$][0-9A-Za-z_$]*(\.[A-Za-z_$][0-9A-Za-z_$]*)*$`)
})

// CheckClass checks the name of a Java class. A valid name is safe in a shell's
// quotes.
func CheckClass(s string) error {
	if len(s) > 300 || !classForm().MatchString(s) {
		return fmt.Errorf("main %q is not the name of a class", s)
	}
	return nil
}

// CheckMain checks the folder of a main package in its module.
func CheckMain(s string) error {
	if err := CheckPath(s); err != nil {
		return err
	}
	return module.CheckImportPath("m.invalid/" + s)
}

// CheckOnly checks a pattern of import paths: a path in which * stands for any
// characters but a slash, and a part ** for any folders. A pattern after !
// excludes files from those that earlier patterns include.
func CheckOnly(pattern string) error {
	bare := strings.TrimPrefix(pattern, "!")
	if err := CheckShown(strings.ReplaceAll(bare, "*", "x")); err != nil {
		return fmt.Errorf("pattern %q: %w", pattern, err)
	}
	for part := range strings.SplitSeq(bare, "/") {
		if strings.Contains(part, "**") && part != "**" || strings.ContainsAny(part, "[]") {
			return fmt.Errorf(`pattern %q: ** is a whole part, as in "acme/**", and there are no other patterns than * and **`, pattern)
		}
	}
	return nil
}
