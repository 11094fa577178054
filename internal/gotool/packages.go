package gotool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/proc"
)

// A Package is a package that programs import.
type Package struct {
	Path    string
	Module  module.Version
	Files   []string // what it is compiled from on any platform, and embeds; sorted
	Imports []string // packages outside the standard library, on any of the platforms; sorted
}

// Libraries returns the packages of modules and what they need, by their paths, and the
// modules that these are in. Patterns are those of `go list`; of one with dots it takes
// what others may import. Nothing is compiled.
//
// If a module is older than another one needs it, if one has an incomplete go.mod, or a
// package needs cgo, the error is of class [fault.Usage].
func (g *Client) Libraries(ctx context.Context, c Config, scratch string, roots []module.Version, patterns []string, platforms []lock.Platform) (map[string]*Package, []Module, error) {
	dir, cache := filepath.Join(scratch, "libraries"), filepath.Join(scratch, "mod")
	if err := writeScratchModule(dir, "", roots, nil); err != nil {
		return nil, nil, err
	}
	all := map[string]*Package{}
	for _, p := range platforms {
		run := func(args ...string) ([]byte, error) {
			out, err := twice(ctx, g.download("go list for "+p.Name, dir, c.downloadEnv(scratch, cache, goPlatform(p)...), append([]string{"list", "-modcacherw", "-mod=mod"}, args...)))
			var exit *proc.ExitError
			if errors.As(err, &exit) && strings.Contains(exit.Raw, "build constraints exclude all Go files") {
				return nil, fault.Errorf(fault.Usage, "take another version, or take it out of [runtimes]", "for %s it needs cgo, which compiles C: %w", p.Name, err)
			}
			if err != nil {
				return nil, c.explain(err, roots[0].String(), "", "")
			}
			return out, nil
		}
		named, err := importable(patterns, run)
		if err != nil {
			return nil, nil, err
		}
		out, err := run(append([]string{"-deps", "-json=ImportPath,Standard,Module,GoFiles,IgnoredGoFiles,SFiles,HFiles,IgnoredOtherFiles,EmbedFiles,Imports"}, named...)...)
		if err != nil {
			return nil, nil, err
		}
		if err := collect(out, all); err != nil {
			return nil, nil, err
		}
	}
	for _, p := range all {
		p.Imports = slices.DeleteFunc(p.Imports, func(imported string) bool { return all[imported] == nil }) // of the standard library
	}
	if err := complete(dir, roots); err != nil {
		return nil, nil, err
	}
	modules, err := modulesOf(dir, cache, all)
	return all, modules, err
}

// importable replaces patterns with dots by the packages that others may import.
func importable(patterns []string, run func(args ...string) ([]byte, error)) (named []string, err error) {
	for _, pattern := range patterns {
		if !strings.Contains(pattern, "...") {
			named = append(named, pattern)
			continue
		}
		out, err := run("-f", "{{if .GoFiles}}{{.Name}} {{.ImportPath}}{{end}}", pattern)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(out)) {
			name, at, _ := strings.Cut(strings.TrimSpace(line), " ")
			if name != "main" && at != "" && !strings.Contains(at+"/", "/internal/") {
				named = append(named, at)
			}
		}
	}
	if len(named) == 0 {
		return nil, fault.Errorf(fault.Usage, "take it out of [runtimes]", "%s has no package that a program could import: no matter how many are programs, below internal, or for cgo", strings.Join(patterns, " "))
	}
	return named, nil
}

// collect adds the packages of an answer of `go list` to others.
func collect(out []byte, all map[string]*Package) error {
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p struct {
			ImportPath                                                                      string
			Standard                                                                        bool
			Module                                                                          *struct{ Path, Version string }
			GoFiles, IgnoredGoFiles, SFiles, HFiles, IgnoredOtherFiles, EmbedFiles, Imports []string
		}
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.Errorf(fault.Upstream, "run it yourself to see what Go says", "go list printed something else than JSON: %w", err)
		}
		if p.Standard || p.Module == nil || len(p.GoFiles) == 0 {
			continue
		}
		own := all[p.ImportPath]
		if own == nil {
			own = &Package{Path: p.ImportPath, Module: module.Version{Path: p.Module.Path, Version: p.Module.Version}}
			all[p.ImportPath] = own
		}
		files := slices.Concat(own.Files, p.GoFiles, p.IgnoredGoFiles, p.SFiles, p.HFiles, p.EmbedFiles)
		for _, name := range p.IgnoredOtherFiles {
			if slices.Contains([]string{".s", ".h"}, path.Ext(name)) {
				files = append(files, name)
			}
		}
		files = slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, "_test.go") || elsewhere(name) })
		slices.Sort(files)
		own.Files = slices.Compact(files)
		own.Imports = append(own.Imports, p.Imports...)
		slices.Sort(own.Imports)
		own.Imports = slices.Compact(own.Imports)
	}
}

// elsewhere reports whether a file is for an operating system or a processor that no
// platform has, as its name says: a package of system calls has hundreds.
func elsewhere(name string) bool {
	name, _, _ = strings.Cut(path.Base(name), ".")
	words := strings.Split(name, "_")[1:]
	if n := len(words); n > 1 && slices.Contains([]string{"amd64", "arm64"}, words[n-1]) {
		words = words[:n-1]
	}
	return len(words) > 0 && slices.Contains(others, words[len(words)-1])
}

// others are the words of `go tool dist list` that no platform has.
var others = strings.Fields("386 aix android arm dragonfly freebsd illumos ios js loong64 mips mips64 mips64le mipsle netbsd openbsd plan9 ppc64 ppc64le riscv64 s390x solaris wasip1 wasm zos")

// complete refuses that Go took another version of a module than was asked for, or one
// that nobody asked for: tomorrow it would be another one.
func complete(dir string, roots []module.Version) error {
	data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return err
	}
	file, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		return err
	}
	for _, q := range file.Require {
		i := slices.IndexFunc(roots, func(root module.Version) bool { return root.Path == q.Mod.Path })
		switch {
		case i < 0:
			return fault.Errorf(fault.Usage, "take another version", "the go.mod files of %s are incomplete: none says which version of %s it needs", list(roots), q.Mod.Path)
		case i >= 0 && roots[i].Version != q.Mod.Version:
			return fault.Errorf(fault.Usage, fmt.Sprintf("lock %s %s or later, or an older version of what needs it", q.Mod.Path, strings.TrimPrefix(q.Mod.Version, "v")),
				"the others of [runtimes] need %s %s or later, and it has %s", q.Mod.Path, strings.TrimPrefix(q.Mod.Version, "v"), strings.TrimPrefix(roots[i].Version, "v"))
		}
	}
	return nil
}

func list(modules []module.Version) string {
	var names []string
	for _, m := range modules {
		names = append(names, m.String())
	}
	return strings.Join(names, ", ")
}

// modulesOf are the modules of packages, which Go has downloaded.
func modulesOf(dir, cache string, all map[string]*Package) ([]Module, error) {
	used := map[module.Version]bool{}
	for p := range maps.Values(all) {
		used[p.Module] = true
	}
	modules, err := listDownloads(filepath.Join(cache, "cache", "download"))
	if err != nil {
		return nil, err
	}
	modules = slices.DeleteFunc(modules, func(m Module) bool { return !used[module.Version{Path: m.Path, Version: "v" + m.Version}] })
	sums, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	if err != nil {
		return nil, err
	}
	if err := withSums(modules, sums); err != nil {
		return nil, err
	}
	if len(modules) != len(used) {
		return nil, fault.Errorf(fault.Internal, "", "go list has packages of %d modules, and %d are downloaded", len(used), len(modules))
	}
	return modules, nil
}
