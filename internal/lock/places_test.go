package lock_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// What a new source kind may touch. Lower the numbers when there are fewer
// places; where one has to grow, a table of kinds is probably the better place.
const (
	mostBranches = 74 // places that tell one kind from the others
	mostFiles    = 21 // files that have such places
)

// TestPlaces counts the places outside of tests where a source kind is compared,
// is a case of a switch, or a key of a map.
func TestPlaces(t *testing.T) {
	t.Parallel()
	byFile, branches, files := map[string]int{}, 0, 0
	for _, dir := range []string{"internal", "fetch", "lockgen"} {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(name string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				return err
			}
			files++
			if n := branchesOf(file); n > 0 {
				byFile[strings.TrimPrefix(filepath.ToSlash(name), "../../")] = n
				branches += n
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 150 || branches < 10 {
		t.Fatalf("found %d branches in %d files only", branches, files)
	}
	t.Logf("%d branches in %d files: %v", branches, len(byFile), byFile)
	if branches > mostBranches || len(byFile) > mostFiles {
		t.Errorf("source kinds are told apart in %d places of %d files, more than %d of %d: %v", branches, len(byFile), mostBranches, mostFiles, byFile)
	}
}

// branchesOf counts where the constants of [lock] that name a kind decide something.
func branchesOf(file *ast.File) (n int) {
	kinds := map[string]bool{"NPM": true, "Pip": true, "Cargo": true, "Go": true, "OCI": true, "HTTP": true}
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
