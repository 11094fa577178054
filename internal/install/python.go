package install

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"path"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/pip"
)

// pythonMain starts a Python plugin; Buck2's launchers run the same file.
//
//go:embed python.py
var pythonMain string

// pythonFlags ignore the user's environment, site-packages and locale, and
// write no bytecode into the tree.
var pythonFlags = []string{"-I", "-S", "-B", "-X", "utf8"}

// python returns the launcher of an installed Python plugin, and the files that
// it uses. Locked is the interpreter that the lock has for it, "" for that of the
// machine.
func (i *Installer) python(ctx context.Context, e *lock.Entry, dir string, cell lock.Cell, locked string) (launcher string, depends []string, err error) {
	python := locked
	if python == "" {
		if python, err = pip.FindPython(ctx, i.Python, e.Locked.Python); err != nil {
			return "", nil, fmt.Errorf("%s: %w", e, err)
		}
	}
	main, err := i.place("launchers/python-"+short(pythonMain)+".py", pythonMain, 0o644)
	if err != nil {
		return "", nil, err
	}
	argv := append([]string{python}, pythonFlags...)
	argv = append(argv, main, dir, strings.Join(e.Locked.Python, ","), e.Locked.Program, e.Locked.Entry, e.Locked.Generator)
	launcher, err = i.launcher(path.Join(cell.Tree[:16]+"-"+short(python), e.Locked.Program), nil, argv)
	return launcher, []string{python, main, launcher}, err
}

func short(s string) string {
	return fmt.Sprintf("%x", sha256.Sum256([]byte(s)))[:16]
}
