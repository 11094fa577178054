package lock

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// DefaultPython has the interpreters to lock Python plugins for if the manifest
// names none.
var DefaultPython = []string{"3.11", "3.12", "3.13"}

// PythonName is the plugin that runs those of Python, where the lock has it.
const PythonName = "python"

// Roots lists the folders of the tree that a file is unpacked to; "" is the
// tree itself. A wheel for some interpreters is in py3.N for each of them.
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

// WheelScript reports whether a file of a wheel is among its scripts, which installers
// make executable
// (https://packaging.python.org/en/latest/specifications/binary-distribution-format/).
func WheelScript(file string) bool { return strings.HasSuffix(path.Dir(file), ".data/scripts") }

// validatePython validates the fields of versions that Python runs.
func (v *Version) validatePython() error {
	if len(v.Python) == 0 {
		switch {
		case v.Program != "" && (!v.Kind().Jars || v.Runtime == ""):
			return errors.New("program is set without python")
		case v.Entry != "":
			return errors.New("entry is set without python")
		case v.Generator != "":
			return errors.New("generator is set without python")
		}
		return nil
	}
	if !v.Kind().Wheels {
		return errors.New("python is only for source pip")
	}
	if err := checkInterpreters(v.Python); err != nil {
		return err
	}
	if _, version, _ := strings.Cut(v.Runtime, "@"); v.Runtime != "" && !slices.Contains(v.Python, syntax.PythonOf(version)) {
		return fmt.Errorf("python has not the %s of runtime %q", syntax.PythonOf(version), v.Runtime)
	}
	if err := syntax.CheckProgram("program", v.Program); err != nil {
		return err
	}
	return v.Start.Check()
}

// A Start is what Python starts as a plugin. If Entry is the main function of a protoc,
// Generator is the NAME of its --NAME_out that is the plugin; otherwise "".
type Start struct {
	Entry     string `toml:"entry" json:"entry"` // see [syntax.CheckEntry]
	Generator string `toml:"generator" json:"generator"`
}

// Check checks the form of both. A generator needs an entry that is a function.
func (s Start) Check() error {
	if s.Generator != "" {
		if err := syntax.CheckProgram("generator", s.Generator); err != nil {
			return err
		}
		if !strings.Contains(s.Entry, ":") {
			return fmt.Errorf("generator %q requires an entry that is a function, not %q", s.Generator, s.Entry)
		}
	}
	return syntax.CheckEntry(s.Entry)
}

// validatePythonFile validates the interpreters of a file.
func (v *Version) validatePythonFile(f File) error {
	if len(f.Python) == 0 {
		return nil
	}
	if err := checkInterpreters(f.Python); err != nil {
		return err
	}
	for _, python := range f.Python {
		if !slices.Contains(v.Python, python) {
			return fmt.Errorf("python %s is not in python of the plugin", python)
		}
	}
	if len(f.Python) == len(v.Python) {
		return errors.New("python has all interpreters; leave it out")
	}
	return nil
}

func checkInterpreters(list []string) error {
	for i, python := range list {
		if !syntax.PythonForm().MatchString(python) {
			return fmt.Errorf("python %q is not of the form 3.N", python)
		}
		if i > 0 && CompareVersions(list[i-1], python) >= 0 {
			return errors.New("python is not sorted, or has an item twice")
		}
	}
	return nil
}
