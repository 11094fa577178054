package fault

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestEveryFaultHasAMend walks the code of both programs. A fault that is not
// ours says how to put it right, where it is made or by the error it wraps;
// package cli gives the hint for errors of the command line.
func TestEveryFaultHasAHint(t *testing.T) {
	calls, literals := 0, 0
	of := func(e ast.Expr) bool { // fault.Of(err): the wrapped error knows
		call, ok := e.(*ast.CallExpr)
		if !ok {
			return false
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		return ok && sel.Sel.Name == "Of"
	}
	byCLI := func(dir string) bool {
		return dir == "../../fetch" || dir == "../../lockgen" || dir == "../../internal/cli"
	}
	empty := func(e ast.Expr) bool {
		lit, ok := e.(*ast.BasicLit)
		return ok && lit.Value == `""`
	}
	for _, root := range []string{"../../fetch", "../../lockgen", "../../internal"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					sel, ok := n.Fun.(*ast.SelectorExpr)
					if !ok {
						break
					}
					if sel.Sel.Name == "Errorf" && len(n.Args) > 1 && isNotExist(n.Args[len(n.Args)-1]) {
						t.Errorf("%s: a message that ends with \"file does not exist\": use fault.Missingf", set.Position(n.Pos()))
					}
					if sel.Sel.Name != "Errorf" && sel.Sel.Name != "Missingf" || len(n.Args) < 3 {
						break
					}
					if pkg, ok := sel.X.(*ast.Ident); !ok || pkg.Name != "fault" {
						break
					}
					calls++
					if !empty(n.Args[1]) || of(n.Args[0]) {
						break
					}
					if class, ok := n.Args[0].(*ast.SelectorExpr); ok && (class.Sel.Name == "Internal" || class.Sel.Name == "Interrupted" ||
						class.Sel.Name == "Usage" && byCLI(filepath.ToSlash(filepath.Dir(name)))) {
						break
					}
					t.Errorf("%s: a fault without a hint", set.Position(n.Pos()))
				case *ast.CompositeLit:
					if id, ok := n.Type.(*ast.Ident); !ok || id.Name != "failure" {
						break // Command of proc has a hint of its own for each class
					}
					var class, hint ast.Expr
					for _, e := range n.Elts {
						if kv, ok := e.(*ast.KeyValueExpr); ok {
							switch key, _ := kv.Key.(*ast.Ident); {
							case key == nil:
							case key.Name == "class":
								class = kv.Value
							case key.Name == "hint":
								hint = kv.Value
							}
						}
					}
					if class == nil {
						break
					}
					literals++
					if !of(class) && (hint == nil || empty(hint)) {
						t.Errorf("%s: a class without a hint", set.Position(n.Pos()))
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if calls < 300 || literals < 15 {
		t.Errorf("only %d calls and %d literals were found", calls, literals)
	}
}

// isNotExist reports whether an expression is fs.ErrNotExist.
func isNotExist(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "ErrNotExist"
}

// TestMachine: what the operating system refuses is of this machine and has a
// hint, also where a connection says it.
func TestMachine(t *testing.T) {
	_, missing := os.Open("/does/not/exist")
	for _, tt := range []struct {
		err     error
		machine bool // of this machine, whoever says it
		hint    string
	}{
		{&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}, true, "ulimit -n"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.ENFILE)}, true, "too many files open"},
		{&net.DNSError{Err: "dial udp: socket: " + syscall.EMFILE.Error(), Name: "host"}, true, "ulimit -n"},
		{&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, true, "make room"},
		{&fs.PathError{Op: "write", Path: "x", Err: syscall.EDQUOT}, true, "quota"},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EROFS}, true, "can be written"},
		{&fs.PathError{Op: "read", Path: "x", Err: syscall.EIO}, true, "damaged"},
		{&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, true, "read and write"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.EACCES)}, true, "sandbox"},
		{&os.LinkError{Op: "rename", Err: syscall.EPERM}, true, "read and write"},
		{fmt.Errorf("x: %w", syscall.ENOMEM), true, "memory"},
		{&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, false, "operating system"},
		{&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, false, "operating system"},
		{missing, false, "moved or removed"},
		{fs.ErrPermission, false, ""}, // a server's 403
		{errors.New("x"), false, ""},
		{nil, false, ""},
	} {
		if got := IsMachine(tt.err); got != tt.machine {
			t.Errorf("%v: of this machine: %t", tt.err, got)
		}
		hint := Hint(tt.err)
		if tt.machine { // of one that has a class as well
			hint = MachineHint(tt.err)
		}
		if tt.hint == "" && hint != "" || !strings.Contains(hint, tt.hint) {
			t.Errorf("%v: hint %q, want %q", tt.err, hint, tt.hint)
		}
		if tt.hint != "" { // and wrapped, by another's class as well
			if hint := Hint(Errorf(Machine, "", "wrapped: %w", tt.err)); !strings.Contains(hint, tt.hint) {
				t.Errorf("%v, wrapped: hint %q", tt.err, hint)
			}
		}
	}
	if HintOr(errors.New("x"), "else") != "else" || HintOr(Errorf(Usage, "own", "x"), "else") != "own" {
		t.Error("HintOr")
	}
}
