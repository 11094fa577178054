package catalog

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestPlacesOfPlugin: a plugin stands in the catalogue, in the rule of its language if
// it has one, and in the table of what lockgen init proposes. Adding one touches no
// other source.
func TestPlacesOfPlugin(t *testing.T) {
	t.Parallel()
	const (
		proposes = "internal/manifest/languages.go"
		both     = "rules/connect.bzl"    // a rule of two languages is a place of its own
		runtimes = "prelude/runtimes.bzl" // names plugins whose code needs more libraries than messages do
	)
	names := map[string]bool{} // without what runs or compiles others, which code has to know
	for _, name := range Builtin().Names() {
		if r, _ := Builtin().Lookup(name); r.Smoke == nil {
			names[name] = true
		}
	}
	places := map[string][]string{}
	files := 0
	for _, top := range []string{"internal", "lockgen", "fetch", "prelude", "rules", "toolchains"} {
		root := filepath.Join("..", "..")
		err := filepath.WalkDir(filepath.Join(root, top), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(name, "_test.go") {
				return err
			}
			found, err := literals(name)
			if found == nil || err != nil {
				return err
			}
			files++
			rel, err := filepath.Rel(root, name)
			for s := range found {
				if names[s] {
					places[s] = append(places[s], filepath.ToSlash(rel))
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 200 || len(names) < 80 || len(places) < 10 {
		t.Fatalf("%d files, %d plugins, %d of them in a file", files, len(names), len(places))
	}
	for name, in := range places {
		rules := 0
		for _, file := range in {
			switch {
			case file == proposes, file == both, file == runtimes:
			case filepath.Dir(file) == "rules":
				rules++
			default:
				t.Errorf("%s speaks of the plugin %s", file, name)
			}
		}
		if rules > 1 {
			slices.Sort(in)
			t.Errorf("%s is in %d rules: %v", name, rules, in)
		}
	}
}

var literal = regexp.MustCompile(`"([^"\n]+)"`)

// literals returns the string literals of a Go file, without @ and what follows, or of a
// file of Starlark; nil for other files.
func literals(name string) (map[string]bool, error) {
	found := map[string]bool{}
	switch filepath.Ext(name) {
	case ".go":
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if l, ok := node.(*ast.BasicLit); ok && l.Kind == token.STRING {
				s, _ := strconv.Unquote(l.Value)
				s, _, _ = strings.Cut(s, "@")
				found[s] = true
			}
			return true
		})
	case ".bzl":
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(strings.TrimSpace(line), "#") {
				continue
			}
			for _, m := range literal.FindAllStringSubmatch(line, -1) {
				found[m[1]] = true
			}
		}
	default:
		return nil, nil
	}
	return found, nil
}
