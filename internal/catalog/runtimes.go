package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/crate"
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
// version of the plugin, within its major version (of 0.N within 0.N), or one that Least
// says.
type RuntimeFit struct {
	Plugin string `toml:"plugin"`
	// Majors are the first numbers that the library has before the version of the
	// plugin, by the major version of the plugin from which on it has them; nil where
	// both have the same versions.
	Majors map[string]int `toml:"majors"`
	// Least is the first version of the library that does, by the version of the
	// plugin from which on it is that one, where the two are numbered apart; "" for a
	// plugin whose code does not use the library.
	Least map[string]string `toml:"least"`
	Later int               `toml:"later"` // how many major versions more of the library run the code
	Exact bool              `toml:"exact"` // no later version does
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
			if _, err := later(from, 0); err != nil {
				return err
			}
		}
		for from, least := range f.Least {
			if _, err := later(cmp.Or(least, from), 0); err != nil {
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
	if _, err := later(numbers, 0); err != nil {
		return "", "", fault.Errorf(fault.Usage, "take a version of numbers", "which version of the library fits %s %s is not known", f.Plugin, version)
	}
	switch {
	case f.Majors != nil:
		own, err := since(f, f.Majors, numbers)
		if err != nil {
			return "", "", err
		}
		numbers = strconv.Itoa(own) + "." + numbers
	case f.Least != nil:
		if numbers, err = since(f, f.Least, numbers); err != nil || numbers == "" {
			return "", "", err
		}
	}
	if f.Exact { // before the next one of the same length
		i := strings.LastIndexByte(numbers, '.') + 1
		last, err := strconv.Atoi(numbers[i:])
		return numbers, numbers[:i] + strconv.Itoa(last+1), err
	}
	below, err = later(numbers, 1+f.Later)
	return numbers, below, err
}

// NextSeries is the series behind that of a version: 3 of 2.1, 0.15 of 0.14.1.
func NextSeries(version string) string {
	next, err := later(version, 1)
	if err != nil {
		return version
	}
	return next
}

// later is the n-th series behind that of a version of numbers.
func later(version string, n int) (string, error) {
	numbers := strings.Split(crate.Series(version), ".")
	last, err := strconv.Atoi(numbers[len(numbers)-1])
	numbers[len(numbers)-1] = strconv.Itoa(last + n)
	return strings.Join(numbers, "."), err
}

// since is what a table has for a version of the plugin of f: that of the last one in
// it which is not behind.
func since[V any](f RuntimeFit, table map[string]V, version string) (v V, err error) {
	from := slices.SortedFunc(maps.Keys(table), lock.CompareVersions)
	for _, least := range slices.Backward(from) {
		if lock.CompareVersions(least, version) <= 0 {
			return table[least], nil
		}
	}
	return v, fault.Errorf(fault.Usage, fmt.Sprintf("take %s %s or later", f.Plugin, from[0]), "which version of the library fits %s %s is not known", f.Plugin, version)
}
