package project

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCell(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		".buckroot":                  "",
		".buckconfig":                "[cells]\n root = .\n other = sub/other\n far = far\n[cell_aliases]\n me = root\n you = other\n[external_cells]\n far = git\n[project]\n ignore = out, **/skip ,\n[buildfile]\n name = TARGETS, BUCK\n",
		"sub/other/.buckconfig":      "[buildfile]\n name_v2 = BUILD\n",
		"sub/other/x/y/f":            "",
		"sub/third/.buckconfig":      "[project]\n ignore = z\n",
		".buckconfig.d/more-of-them": "[cells]\n third = sub/third\n inner = sub/other/x/z\n",
	} {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p, err := Find(filepath.Join(dir, "sub"))
	if err != nil || p == nil {
		t.Fatal(p, err)
	}
	for at, want := range map[string]LocalCell{
		"sub":           {Root: dir, Names: []string{"me", "root"}, BuildFiles: []string{"TARGETS.v2", "TARGETS", "BUCK.v2", "BUCK"}, Ignore: []string{"**/skip", "out", "sub/other", "sub/other/x/z", "sub/third"}},
		"sub/other/x/y": {Root: filepath.Join(dir, "sub", "other"), Names: []string{"other", "you"}, BuildFiles: []string{"BUILD"}, Ignore: []string{"x/z"}},
		"sub/third":     {Root: filepath.Join(dir, "sub", "third"), Names: []string{"third"}, BuildFiles: []string{"BUCK.v2", "BUCK"}, Ignore: []string{"z"}},
		"sub/otherwise": {Root: dir, Names: []string{"me", "root"}, BuildFiles: []string{"TARGETS.v2", "TARGETS", "BUCK.v2", "BUCK"}, Ignore: []string{"**/skip", "out", "sub/other", "sub/other/x/z", "sub/third"}},
	} {
		c, err := p.CellOf(filepath.Join(dir, filepath.FromSlash(at)))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, *c); diff != "" {
			t.Errorf("%s: %s", at, diff)
		}
	}
}
