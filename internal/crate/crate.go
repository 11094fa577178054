// Package crate says how a lock describes the crates that programs in Rust are compiled
// with.
package crate

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// Root is the file that a library is compiled from, unless its description has another
// one, and Macro the type of one that rustc runs.
const (
	Root  = "src/lib.rs"
	Macro = "proc-macro"
)

// A Spec describes a crate.
type Spec struct {
	Called        string   `toml:"called" json:"called,omitempty"`   // what code calls it; "" for its name with _ for -
	Edition       string   `toml:"edition" json:"edition,omitempty"` // of Rust, a year
	Features      []string `toml:"features" json:"features,omitempty"`
	Root          string   `toml:"root" json:"root,omitempty"`                     // the file to compile, "" for [Root]
	Script        string   `toml:"script" json:"script,omitempty"`                 // the file of its build script, "" for none
	ScriptImports []string `toml:"script-imports" json:"script-imports,omitempty"` // what that uses, as items of [Use]
	Type          string   `toml:"type" json:"type,omitempty"`                     // [Macro], or "" for a library
}

// Empty reports whether s describes nothing.
func (s *Spec) Empty() bool {
	return len(s.Features)+len(s.ScriptImports) == 0 && cmp.Or(s.Called, s.Edition, s.Root, s.Script, s.Type) == ""
}

// Runs reports whether the crate runs code when it, or what uses it, is compiled.
func (s *Spec) Runs() bool { return s.Script != "" || s.Type != "" }

// Check checks the form of s, whose Uses are all that it uses. Its error has no class.
func (s *Spec) Check() error {
	switch {
	case s.Edition == "" || strings.Trim(s.Edition, "0123456789") != "":
		return fmt.Errorf("edition %q is not a year", s.Edition)
	case s.Type != "" && s.Type != Macro:
		return fmt.Errorf("type %q is not %s", s.Type, Macro)
	case s.Called != "" && !word(s.Called):
		return fmt.Errorf("called %q is not a name of Rust", s.Called)
	case s.Script == "" && len(s.ScriptImports) > 0:
		return errors.New("script-imports without a script")
	}
	for _, file := range []string{s.Root, s.Script} {
		if err := syntax.CheckShown(cmp.Or(file, Root)); err != nil {
			return err
		}
	}
	for _, feature := range s.Features {
		if !syntax.Features(feature) || strings.ContainsAny(feature, " ,") {
			return fmt.Errorf("%q is not the name of a feature", feature)
		}
	}
	return nil
}

func word(s string) bool { return syntax.IsWord(s) && !strings.ContainsAny(s, ".-") }

// A Use is how a crate uses another one. In a lock it is an item
// [NAME=]CRATE[ PLATFORM…].
type Use struct {
	Crate     string   // NAME-VERSION
	Name      string   // what the code calls it, where that is not its own name; otherwise ""
	Platforms []string // on which it does, sorted; empty for all
}

// String returns the item of a lock.
func (u Use) String() string {
	text := u.Crate
	if u.Name != "" {
		text = u.Name + "=" + text
	}
	return strings.Join(append([]string{text}, u.Platforms...), " ")
}

// ParseUse is the inverse of [Use.String]. Its error has no class.
func ParseUse(item string) (u Use, err error) {
	words := strings.Split(item, " ")
	name, crate, renamed := strings.Cut(words[0], "=")
	if u.Crate = name; renamed {
		u.Name, u.Crate = name, crate
	}
	if len(words) > 1 {
		u.Platforms = words[1:]
	}
	if u.String() != item || renamed && !word(u.Name) || !syntax.IsWord(strings.ReplaceAll(u.Crate, "+", "_")) {
		return u, fmt.Errorf("%q is not [NAME=]CRATE-VERSION[ PLATFORM…]", item)
	}
	return u, nil
}

// Series returns the first number of a version that is not 0, with those before it: as
// far as versions of one crate that can replace each other are the same.
func Series(version string) string {
	numbers := strings.SplitN(version, ".", 3)
	for i, n := range numbers {
		if n != "0" {
			return strings.Join(numbers[:i+1], ".")
		}
	}
	return version
}
