package lock_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// What a new source kind may touch. Lower the numbers when there are fewer
// places; where one has to grow, a table of kinds is probably the better place.
const (
	mostBranches = 20 // places that tell one kind from the others: rows of three tables, and the forms of sources
	mostFiles    = 4  // files that have such places
)

// ofKind reports whether a file is that of one kind, such as npm.go, which may know which
// kind that is.
func ofKind(name string) bool {
	base := strings.TrimSuffix(path.Base(name), ".go")
	return base == "golang" || slices.Contains(lock.KindNames(), base)
}

// TestPlaces counts the places outside of tests and of files of one kind where a source
// kind is compared, is a case of a switch, or a key of a map.
func TestPlaces(t *testing.T) {
	t.Parallel()
	byFile, branches := map[string]int{}, 0
	for name, file := range sources(t) {
		if n := branchesOf(file); n > 0 && !ofKind(name) {
			byFile[name] = n
			branches += n
		}
	}
	if branches < 10 {
		t.Fatalf("found %d branches only", branches)
	}
	t.Logf("%d branches in %d files: %v", branches, len(byFile), byFile)
	if branches > mostBranches || len(byFile) > mostFiles {
		t.Errorf("source kinds are told apart in %d places of %d files, more than %d of %d: %v", branches, len(byFile), mostBranches, mostFiles, byFile)
	}
}

// TestPlacesOfKind: the kind that came last is named in its own files, and has a row in
// each of four tables. With a fake and a stand in the conformance suite, that is all.
func TestPlacesOfKind(t *testing.T) {
	t.Parallel()
	var own, others []string
	for name, file := range sources(t) {
		found := false
		ast.Inspect(file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.SelectorExpr:
				of, ok := node.X.(*ast.Ident)
				found = found || ok && of.Name == "lock" && node.Sel.Name == "Maven"
			case *ast.Ident:
				found = found || file.Name.Name == "lock" && node.Name == "Maven"
			}
			return true
		})
		switch {
		case found && ofKind(name):
			own = append(own, name)
		case found:
			others = append(others, name)
		}
	}
	slices.Sort(others)
	want := []string{"internal/kind/kind.go", "internal/lock/kind.go", "internal/origin/origin.go", "lockgen/session/session.go"}
	if !slices.Equal(others, want) || len(own) < 2 {
		t.Errorf("kind maven is named in %v, and its own files %v; only %v are tables of kinds", others, own, want)
	}
}

// TestPlacesOfKey counts the files that name a key of plugins.toml: those that carry
// it from the manifest into the lock, and those in which it has an effect besides. A
// new key should be carried by six at most.
func TestPlacesOfKey(t *testing.T) {
	t.Parallel()
	carry := []string{"internal/manifest", "internal/catalog", "lockgen/plan", "internal/lock"}
	for _, tt := range []struct {
		key, field      string
		carried, others int // files at most
	}{
		{"generator", "Generator", 4, 1},        // of the manifest, the catalogue and the lock
		{"checksums", "Checksums", 3, 1},        // of the manifest and the catalogue
		{"build-scripts", "BuildScripts", 4, 2}, // of [policy], which lockgen add edits, and of the lock
	} {
		var carried, others []string
		for name, file := range sources(t) {
			if !names(file, tt.key, tt.field) || strings.HasPrefix(name, "internal/fake/") {
				continue
			}
			if slices.Contains(carry, path.Dir(name)) {
				carried = append(carried, name)
			} else {
				others = append(others, name)
			}
		}
		slices.Sort(carried)
		slices.Sort(others)
		t.Logf("%s: carried by %v, used by %v", tt.key, carried, others)
		if len(carried) == 0 || len(carried) > tt.carried || len(others) > tt.others {
			t.Errorf("%s is carried by %d files and used by %d, more than %d and %d: %v, %v", tt.key, len(carried), len(others), tt.carried, tt.others, carried, others)
		}
	}
}

// names reports whether a file has a key as a string, or its field.
func names(file *ast.File, key, field string) (yes bool) {
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.SelectorExpr:
			yes = yes || node.Sel.Name == field
		case *ast.KeyValueExpr:
			if of, ok := node.Key.(*ast.Ident); ok && of.Name == field {
				yes = true
			}
		case *ast.BasicLit:
			yes = yes || node.Value == strconv.Quote(key)
		case *ast.Field:
			yes = yes || node.Tag != nil && strings.Contains(node.Tag.Value, `toml:"`+key+`"`)
		}
		return true
	})
	return yes
}

// sources are the files of the programs that are no tests, by their paths.
func sources(t *testing.T) map[string]*ast.File {
	files := map[string]*ast.File{}
	for _, dir := range []string{"internal", "fetch", "lockgen"} {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(name string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			files[strings.TrimPrefix(filepath.ToSlash(name), "../../")] = file
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(files) < 150 {
		t.Fatalf("found %d files only", len(files))
	}
	return files
}

// branchesOf counts where the constants of [lock] that name a kind decide something.
func branchesOf(file *ast.File) (n int) {
	kinds := map[string]bool{"NPM": true, "Pip": true, "Cargo": true, "Go": true, "Maven": true, "OCI": true, "HTTP": true}
	count := func(operands ...ast.Expr) {
		for _, e := range operands {
			switch e := e.(type) {
			case *ast.SelectorExpr:
				if of, ok := e.X.(*ast.Ident); ok && of.Name == "lock" && kinds[e.Sel.Name] {
					n++
				}
			case *ast.Ident:
				if file.Name.Name == "lock" && kinds[e.Name] {
					n++
				}
			}
		}
	}
	ast.Inspect(file, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.BinaryExpr:
			if node.Op == token.EQL || node.Op == token.NEQ {
				count(node.X, node.Y)
			}
		case *ast.CaseClause:
			count(node.List...)
		case *ast.KeyValueExpr:
			count(node.Key)
		case *ast.IndexExpr:
			count(node.Index)
		case *ast.CompositeLit: // a list that is searched, or a row of a table
			if _, ok := node.Type.(*ast.ArrayType); ok || node.Type == nil {
				count(node.Elts...)
			}
		}
		return true
	})
	return n
}
