package gotool

import (
	"fmt"
	"go/build"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// CheckPackages compares what a lock says of packages, by their import paths, with the
// unpacked module in dir that has them: a package is compiled from all its files that
// any platform may compile, and from what they embed; what it imports on every Go is locked, and what
// is locked some file imports. It reads the files alone, so no Go has to be there.
func CheckPackages(dir, module string, packages map[string]lock.Folder, platforms []lock.Platform) error {
	for at, locked := range packages {
		folder := filepath.Join(dir, filepath.FromSlash(strings.TrimPrefix(strings.TrimPrefix(at, module), "/")))
		found, err := readPackage(folder, platforms)
		if err != nil {
			return fmt.Errorf("package %s: %w", at, err)
		}
		for _, file := range found.files {
			if !slices.Contains(locked.Files, file) {
				return fmt.Errorf("package %s has %s, which the lock has not", at, file)
			}
		}
		for _, file := range locked.Files {
			if info, err := os.Stat(filepath.Join(folder, filepath.FromSlash(file))); err != nil || !info.Mode().IsRegular() {
				return fmt.Errorf("package %s has no file %s, which the lock has", at, file)
			}
			if !slices.Contains(found.files, file) && !slices.Contains([]string{".hh", ".hpp", ".hxx"}, path.Ext(file)) && !slices.ContainsFunc(found.embeds, func(pattern string) bool { return embeds(pattern, file) }) {
				return fmt.Errorf("package %s neither compiles nor embeds %s, which the lock has", at, file)
			}
		}
		for _, imported := range locked.Imports {
			if !slices.Contains(found.may, imported) {
				return fmt.Errorf("no file of package %s imports %s, as the lock says", at, imported)
			}
		}
		for _, imported := range found.must {
			if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") && !slices.Contains(locked.Imports, imported) {
				return fmt.Errorf("package %s imports %s, which the lock does not say", at, imported)
			}
		}
	}
	return nil
}

// read is what the files of a package say.
type read struct {
	files     []string // sources, also those for some platform alone
	embeds    []string // patterns
	must, may []string // imports on every Go, and those of any file
}

// oldest is the release of Go whose constraints all files are read with that every Go
// compiles.
const oldest = 21

func readPackage(dir string, platforms []lock.Platform) (*read, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	found := new(read)
	for _, e := range entries {
		if name := e.Name(); isSource(name) && e.Type().IsRegular() {
			found.files = append(found.files, name)
		}
	}
	for _, name := range found.files {
		if path.Ext(name) != ".go" {
			continue
		}
		p, err := importDir(dir, func(c *build.Context) {
			c.UseAllFiles = true
			c.ReadDir = func(string) ([]fs.FileInfo, error) { return stat(dir, name) }
		})
		if err != nil {
			return nil, err
		}
		found.may = append(found.may, p.Imports...)
		found.embeds = append(found.embeds, p.EmbedPatterns...)
	}
	for _, platform := range platforms {
		on := func(c *build.Context) { c.GOOS, c.GOARCH = platform.GOOS, platform.GOARCH }
		now, err := importDir(dir, on)
		if err != nil {
			return nil, err
		}
		then, err := importDir(dir, func(c *build.Context) { on(c); c.ReleaseTags = c.ReleaseTags[:oldest] })
		if err != nil {
			return nil, err
		}
		for _, imported := range now.Imports {
			if slices.Contains(then.Imports, imported) {
				found.must = append(found.must, imported)
			}
		}
	}
	return found, nil
}

// isSource reports whether a file by its name is one of those that [Client.Libraries]
// locks whether they are embedded or not.
func isSource(name string) bool {
	return slices.Contains([]string{".go", ".s", ".h"}, path.Ext(name)) && name[0] != '_' && name[0] != '.' && !strings.HasSuffix(name, "_test.go") && !elsewhere(name)
}

// embeds reports whether a pattern of a go:embed matches a file or a folder above it.
func embeds(pattern, file string) bool {
	pattern = strings.TrimPrefix(pattern, "all:")
	for at := file; at != "."; at = path.Dir(at) {
		if ok, _ := path.Match(pattern, at); ok || pattern == "." {
			return true
		}
	}
	return false
}

func stat(dir, name string) ([]fs.FileInfo, error) {
	info, err := os.Lstat(filepath.Join(dir, name))
	return []fs.FileInfo{info}, err
}

// importDir reads a folder as Go does, without cgo; one without files to compile is none.
func importDir(dir string, set func(*build.Context)) (*build.Package, error) {
	c := build.Default
	c.CgoEnabled, c.BuildTags, c.ToolTags = false, nil, nil
	set(&c)
	p, err := c.ImportDir(dir, 0)
	if _, none := err.(*build.NoGoError); none {
		return new(build.Package), nil
	}
	return p, err
}
