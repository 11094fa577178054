package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/plain"
)

const nasty = "x\x1b[31m\x1b]0;t\x07\u009b\x9b\u202e\u2066\u200b\u2028\u2029\ufeff\U000e0041\U000e0001\r\ufe0f\u00ad\x7f"

// TestHostile: whatever a message or a result holds, what is written is plain.
func TestHostile(t *testing.T) {
	err := fault.Errorf(fault.Upstream, "do "+nasty, "got %s", nasty)
	for name, do := range map[string]func(u *UI){
		"result":     func(u *UI) { u.Result("%s", nasty) },
		"exact":      func(u *UI) { u.Fail(u.Exact("the path", nasty)) },
		"data":       func(u *UI) { _ = u.Data(map[string]any{nasty: []string{nasty}}) },
		"say":        func(u *UI) { u.Say("%s", nasty) },
		"detail":     func(u *UI) { u.Detail("%s", nasty) },
		"warn":       func(u *UI) { u.Warn("%s", nasty) },
		"fail":       func(u *UI) { u.Fail(err) },
		"fail, JSON": func(u *UI) { u.JSON = true; u.Fail(err) },
		"transfer": func(u *UI) {
			t := u.Transfer(false)
			ctx := For(context.Background(), nasty)
			t.Expect(ctx, nasty, 1)(1)
			t.Did(ctx, nasty)
			t.Tell(ctx)
			t.Step("%s", nasty)
			t.Expect(ctx, nasty, 1)
			for _, line := range append(t.lines(79, 24), t.status()) {
				_ = u.write(line + "\n") // as it is drawn
			}
			t.Done()
		},
	} {
		var stdout, stderr bytes.Buffer
		u := New("fetch", &stdout, &stderr)
		u.Verbose = true
		do(u)
		if stdout.Len()+stderr.Len() == 0 {
			t.Errorf("%s: nothing was written", name)
		}
		for _, text := range []string{stdout.String(), stderr.String()} {
			for _, r := range text {
				if r != '\n' && !plain.Printable(r) {
					t.Errorf("%s: %+q is written in %+q", name, r, text)
				}
			}
		}
		if name == "data" || name == "fail, JSON" {
			if !json.Valid(stdout.Bytes()) {
				t.Errorf("%s: not JSON: %s", name, stdout.String())
			}
		}
	}
}

// full is a writer like /dev/full.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestLostResult(t *testing.T) {
	for name, tt := range map[string]struct {
		do   func(u *UI) error
		want int
	}{
		"result":             {func(u *UI) error { u.Result("x"); return nil }, 7},
		"exact":              {func(u *UI) error { return u.Exact("it", "x") }, 7},
		"data":               {func(u *UI) error { return u.Data(struct{}{}) }, 7},
		"data, unchecked":    {func(u *UI) error { _ = u.Data(struct{}{}); return nil }, 7},
		"error as JSON":      {func(u *UI) error { u.JSON = true; return fault.Errorf(fault.Integrity, "look", "other bytes") }, 5},
		"nothing to print":   {func(u *UI) error { return nil }, 0},
		"an error is itself": {func(u *UI) error { u.Result("x"); return fault.Errorf(fault.Lock, "y", "z") }, 3},
	} {
		var stderr bytes.Buffer
		u := New("fetch", full{}, &stderr)
		if got := u.Fail(tt.do(u)); got != tt.want {
			t.Errorf("%s: status %d, want %d: %s", name, got, tt.want, stderr.String())
		}
		if tt.want == 7 && !strings.Contains(stderr.String(), "cannot write the result: no space left") {
			t.Errorf("%s: %s", name, stderr.String())
		}
		if tt.want == 5 && !strings.Contains(stderr.String(), "other bytes") {
			t.Errorf("%s: the error is told nowhere: %s", name, stderr.String())
		}
	}
	// What cannot be a line for another program is not one.
	for _, line := range []string{"a\nb", "/home/\u202e", "/home/\xff"} {
		var stdout bytes.Buffer
		u := New("fetch", &stdout, &bytes.Buffer{})
		if err := u.Exact("the path", line); fault.Of(err) != fault.Machine || stdout.Len() > 0 {
			t.Errorf("%+q: %v, %q", line, err, stdout.String())
		}
	}
}

// TestOnlyWriter: no other code of the programs writes to the standard streams.
func TestOnlyWriter(t *testing.T) {
	files := 0
	for _, root := range []string{"../../fetch", "../../lockgen", "../../internal"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			slash := filepath.ToSlash(name)
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") ||
				strings.Contains(slash, "/internal/fake/") || strings.Contains(slash, "/internal/bucktest/") {
				return err
			}
			files++
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, decl := range f.Decls {
				if fn, ok := decl.(*ast.FuncDecl); ok && fn.Name.Name == "main" || ok && fn.Name.Name == "become" {
					continue // hands them to the UI, or to the plugin that is run
				}
				ast.Inspect(decl, func(n ast.Node) bool {
					if bad := written(n); bad != "" {
						t.Errorf("%s: %s writes past the UI", set.Position(n.Pos()), bad)
					}
					return true
				})
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 100 {
		t.Errorf("only %d files were read", files)
	}
}

// written names what a node of a syntax tree writes to the standard streams with; "" for
// nothing.
func written(n ast.Node) string {
	switch n := n.(type) {
	case *ast.SelectorExpr:
		pkg, ok := n.X.(*ast.Ident)
		if !ok {
			break
		}
		full := pkg.Name + "." + n.Sel.Name
		if full == "os.Stdout" || full == "os.Stderr" || strings.HasPrefix(full, "fmt.Print") ||
			pkg.Name == "log" && n.Sel.Name != "SetOutput" && n.Sel.Name != "New" {
			return full
		}
	case *ast.CallExpr:
		if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "print" || id.Name == "println") {
			return id.Name
		}
	}
	return ""
}
