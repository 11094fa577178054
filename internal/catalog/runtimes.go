package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// A Runtime says which versions of a library run the code of which plugins.
type Runtime struct {
	About string `toml:"about"`
	// Package is its name in the registry, "" for the same; With are other packages, of
	// which it has the same version.
	Package string   `toml:"package"`
	With    []string `toml:"with"`
	// Packages are what programs import of a module of Go; nil for all that they may.
	Packages []string     `toml:"packages"`
	Fits     []RuntimeFit `toml:"fits"`
}

// A RuntimeFit is what the code of one plugin wants of a library: at least the
// version of the plugin, within its major version, or one that Least says.
type RuntimeFit struct {
	Plugin string `toml:"plugin"`
	// Majors are the first numbers that the library has before the version of the
	// plugin, by the major version of the plugin from which on it has them; nil where
	// both have the same versions.
	Majors map[string]int `toml:"majors"`
	// Least is the first version of the library that does, by the major version of the
	// plugin from which on it is that one, where the two are numbered apart; "" for a
	// plugin whose code does not use the library.
	Least map[string]string `toml:"least"`
	Later int               `toml:"later"` // how many major versions more of the library run the code
}

func (r Runtime) check(language, name string) error {
	if _, _, err := manifest.ParseRuntime(language, name); err != nil {
		return err
	}
	if r.About == "" {
		return errors.New("about is needed")
	}
	kind := lock.KindOf(lock.RuntimesKind(language))
	for _, pkg := range append([]string{cmp.Or(r.Package, name)}, r.With...) {
		if err := kind.CheckPackage(pkg); err != nil {
			return err
		}
	}
	for _, f := range r.Fits {
		if err := syntax.CheckName(f.Plugin); err != nil {
			return err
		}
		for from := range f.Majors {
			if _, err := strconv.Atoi(from); err != nil {
				return err
			}
		}
		for from, least := range f.Least {
			if _, err := strconv.Atoi(from); err != nil {
				return err
			}
			if _, err := majorOf(least); least != "" && err != nil {
				return err
			}
		}
	}
	return nil
}

// Runtimes returns the names of the libraries of a language that are known, sorted.
func (c *Catalog) Runtimes(language string) []string {
	return slices.Sorted(maps.Keys(c.runtimes[language]))
}

// Runtime returns what is known of a library: nothing of most.
func (c *Catalog) Runtime(language, name string) (r Runtime, known bool) {
	r, known = c.runtimes[language][name]
	return r, known
}

// RuntimeOf returns the name of the library that is a package, "" for none that is
// known.
func (c *Catalog) RuntimeOf(language, pkg string) string {
	for _, name := range c.Runtimes(language) {
		if r := c.runtimes[language][name]; cmp.Or(r.Package, name) == pkg || slices.Contains(r.With, pkg) {
			return name
		}
	}
	return ""
}

// Bounds are the first version of the library that runs the code of a version of the
// plugin, and the first after that which does not: 6.30.2 and 8 of 30.2. Both are ""
// for code that does not use the library. The error, of class [fault.Usage], is for a
// version of the plugin of which nothing is known.
func (f RuntimeFit) Bounds(version string) (least, below string, err error) {
	numbers, _, _ := strings.Cut(version, "-")
	major, err := majorOf(numbers)
	switch {
	case err != nil:
		return "", "", fault.Errorf(fault.Usage, "take a version of numbers", "which version of the library fits %s %s is not known", f.Plugin, version)
	case f.Majors != nil:
		own, err := since(f, f.Majors, major, version)
		if err != nil {
			return "", "", err
		}
		return strconv.Itoa(own) + "." + numbers, strconv.Itoa(own + 1 + f.Later), nil
	case f.Least != nil:
		if numbers, err = since(f, f.Least, major, version); err != nil || numbers == "" {
			return "", "", err
		}
		major, _ = majorOf(numbers) // as check has seen
	}
	return numbers, strconv.Itoa(major + 1 + f.Later), nil
}

// majorOf is the first of the numbers of a version.
func majorOf(version string) (int, error) {
	first, _, _ := strings.Cut(version, ".")
	return strconv.Atoi(first)
}

// since is what a table has for a major version of the plugin of f: that of the last
// one in it which is not behind.
func since[V any](f RuntimeFit, table map[string]V, major int, version string) (v V, err error) {
	from, oldest := -1, -1
	for m, of := range table {
		n, _ := strconv.Atoi(m) // as check has seen
		if n <= major && n > from {
			from, v = n, of
		}
		if oldest < 0 || n < oldest {
			oldest = n
		}
	}
	if from < 0 {
		return v, fault.Errorf(fault.Usage, fmt.Sprintf("take %s %d or later", f.Plugin, oldest), "which version of the library fits %s %s is not known", f.Plugin, version)
	}
	return v, nil
}
