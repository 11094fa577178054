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

	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestEveryFaultHasAHint walks the code of both programs. A fault that is not
// ours says how to put it right, where it is made or by the error it wraps;
// package cli gives the hint for errors of the command line.
func TestEveryFaultHasAHint(t *testing.T) {
	w := &walk{T: t, set: token.NewFileSet()}
	for _, root := range []string{"../../fetch", "../../lockgen", "../../internal"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(w.set, name, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					w.call(n)
				case *ast.CompositeLit:
					w.literal(n)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if w.calls < 300 || w.literals < 15 {
		t.Errorf("only %d calls and %d literals were found", w.calls, w.literals)
	}
	tried := w.calls + w.literals
	testenv.Held(t, "a place in the code that makes an error: it says how to mend it, or wraps one that does", "", tried, tried-w.wrong)
}

// A walk has looked at calls of fault.Errorf and fault.Missingf, and at literals of the
// failures of package proc.
type walk struct {
	*testing.T
	set                    *token.FileSet
	calls, literals, wrong int
}

func (w *walk) Errorf(format string, args ...any) {
	w.wrong++
	w.T.Helper()
	w.T.Errorf(format, args...)
}

// call demands a hint of a call that makes a fault.
func (w *walk) call(n *ast.CallExpr) {
	sel, ok := n.Fun.(*ast.SelectorExpr)
	if !ok {
		return
	}
	if sel.Sel.Name == "Errorf" && len(n.Args) > 1 && isNotExist(n.Args[len(n.Args)-1]) {
		w.Errorf("%s: a message that ends with \"file does not exist\": use fault.Missingf", w.set.Position(n.Pos()))
	}
	if sel.Sel.Name != "Errorf" && sel.Sel.Name != "Missingf" || len(n.Args) < 3 {
		return
	}
	if pkg, ok := sel.X.(*ast.Ident); !ok || pkg.Name != "fault" {
		return
	}
	w.calls++
	if isEmpty(n.Args[1]) && !isOf(n.Args[0]) && !w.needsNone(n.Args[0]) {
		w.Errorf("%s: a fault without a hint", w.set.Position(n.Pos()))
	}
}

// needsNone reports whether faults of a class need no hint where they are made.
func (w *walk) needsNone(class ast.Expr) bool {
	sel, ok := class.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	switch sel.Sel.Name {
	case "Internal", "Interrupted":
		return true
	case "Usage": // package cli gives one
		dir := filepath.ToSlash(filepath.Dir(w.set.Position(class.Pos()).Filename))
		return dir == "../../fetch" || dir == "../../lockgen" || dir == "../../internal/cli"
	}
	return false
}

// literal demands a hint of a failure. Command of proc has one of its own for each class.
func (w *walk) literal(n *ast.CompositeLit) {
	if id, ok := n.Type.(*ast.Ident); !ok || id.Name != "failure" {
		return
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
		return
	}
	w.literals++
	if !isOf(class) && (hint == nil || isEmpty(hint)) {
		w.Errorf("%s: a class without a hint", w.set.Position(n.Pos()))
	}
}

// isOf reports whether an expression is fault.Of(err): the wrapped error knows.
func isOf(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Of"
}

// isEmpty reports whether an expression is "".
func isEmpty(e ast.Expr) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Value == `""`
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
		{&fs.PathError{Op: "write", Path: "x", Err: syscall.EFBIG}, true, "ulimit -f unlimited"},
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
