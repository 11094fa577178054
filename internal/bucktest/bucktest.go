// Package bucktest drives the real Buck2 from tests. A test that needs one is
// skipped, by name, where there is none.
package bucktest

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// A Project is a Buck2 project on disk with a daemon of its own.
type Project struct {
	Dir string // absolute path of the project's root

	t         testing.TB
	buck2     string
	isolation string
}

// Find returns the path of the Buck2 that $BUCK2 or $PATH names, or "" where none
// runs.
func Find() string {
	name := os.Getenv("BUCK2")
	if name == "" {
		name = "buck2"
	}
	path, err := testenv.Find(name)
	if err != nil {
		return ""
	}
	return path
}

// Need returns the path of Buck2. It skips the test where there is none, and with
// -short.
func Need(t testing.TB) string {
	t.Helper()
	testenv.Real(t, "it starts Buck2")
	buck2 := Find()
	if buck2 == "" {
		t.Skip("no buck2 that runs: put one on PATH or name it in BUCK2")
	}
	return buck2
}

// Open returns the project at dir and stops its daemon when the test ends. It
// skips the test as [Need] does. The isolation is the name of the
// folder inside buck-out that keeps the project's outputs, so that a test in a
// checkout neither disturbs nor uses those of the person who works in it. Each
// package needs a name of its own, for packages are tested side by side.
func Open(t testing.TB, dir, isolation string) *Project {
	t.Helper()
	buck2 := Need(t)
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := &Project{Dir: dir, t: t, buck2: buck2, isolation: isolation}
	t.Cleanup(func() {
		if _, stderr, err := p.Run("kill"); err != nil {
			t.Errorf("buck2 kill: %v\n%s", err, stderr)
		}
	})
	return p
}

// On returns the same project for use in a subtest.
func (p *Project) On(t testing.TB) *Project {
	q := *p
	q.t = t
	return &q
}

// Run runs Buck2 in the project's root and returns what it printed.
func (p *Project) Run(args ...string) (stdout, stderr string, err error) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), p.buck2, append([]string{"--isolation-dir", p.isolation}, args...)...)
	if args[0] == "kill" {
		cmd = exec.Command(cmd.Path, cmd.Args[1:]...) // the test's context has ended
	}
	cmd.Dir = p.Dir
	// The last: else a client leaves a process behind that writes its log, while the test
	// removes the folder.
	cmd.Env = append(os.Environ(), "TERM=dumb", "NO_COLOR=1", "BUCK2_TEST_BLOCK_ON_UPLOAD=true")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

// Must runs Buck2 and returns its standard output; a failure ends the test.
func (p *Project) Must(args ...string) string {
	p.t.Helper()
	stdout, stderr, err := p.Run(args...)
	if err != nil {
		p.t.Fatalf("buck2 %s: %v\n%s", strings.Join(args, " "), err, stderr)
	}
	return stdout
}

// Fails runs Buck2, which must fail, and returns its standard error.
func (p *Project) Fails(args ...string) string {
	p.t.Helper()
	_, stderr, err := p.Run(args...)
	if err == nil {
		p.t.Fatalf("buck2 %s succeeded, expected a failure", strings.Join(args, " "))
	}
	return stderr
}

// Build builds targets and returns the absolute paths of their outputs.
func (p *Project) Build(targets ...string) []string {
	p.t.Helper()
	lines := strings.Fields(p.Must(append([]string{"build", "--show-simple-output"}, targets...)...))
	if len(lines) == 0 {
		p.t.Fatalf("buck2 build %s gave no output", strings.Join(targets, " "))
	}
	for i, line := range lines {
		lines[i] = filepath.Join(p.Dir, filepath.FromSlash(line))
	}
	return lines
}

// Root returns the root of this repository's checkout.
func Root(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("no path of this source file")
	}
	root := filepath.Join(filepath.Dir(file), "..", "..")
	if _, err := os.Stat(filepath.Join(root, ".buckroot")); err != nil {
		t.Skipf("not run in a checkout: %v", err) // -trimpath
	}
	return root
}

// CopyRepo copies the repository's sources to dst, which need not exist:
// everything but what git, Buck2 and npm keep there.
func CopyRepo(t testing.TB, dst string) {
	t.Helper()
	root := Root(t)
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		switch {
		case d.Name() == ".git", rel == "buck-out", d.Name() == "node_modules":
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return os.MkdirAll(filepath.Join(dst, rel), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dst, rel), data, info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Write writes files, given by slash-separated path relative to dir.
func Write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
