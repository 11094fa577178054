package gotool

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// TestCheckPackages: what a lock says of a package is what its files say, neither more
// nor less.
func TestCheckPackages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"lib.go":            "package lib\n\nimport (\n\t_ \"embed\"\n\t\"example.com/other\"\n)\n\n//go:embed data\nvar x string\n",
		"lib_windows.go":    "package lib\n\nimport \"example.com/windows\"\n",
		"lib_plan9.go":      "package lib\n\nimport \"example.com/plan9\"\n",
		"lib_test.go":       "package lib\n\nimport \"example.com/test\"\n",
		"newer.go":          "//go:build go1.24\n\npackage lib\n\nimport \"example.com/newer\"\n",
		"tool.go":           "//go:build ignore\n\npackage main\n\nimport \"example.com/tool\"\n",
		"_draft.go":         "nothing",
		"lib_amd64.s":       "",
		"data/a/b":          "7",
		"data.bin":          "7",
		"internal/other.go": "package internal\n",
	} {
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files := []string{"data/a/b", "lib.go", "lib_amd64.s", "lib_windows.go", "newer.go", "tool.go"}
	imports := []string{"example.com/newer", "example.com/other", "example.com/windows"}
	less := func(list []string, item string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == item })
	}
	for name, tt := range map[string]struct {
		folder lock.Folder
		want   string
	}{
		"as it is":             {lock.Folder{Files: files, Imports: imports}, ""},
		"for a later Go":       {lock.Folder{Files: files, Imports: less(imports, "example.com/newer")}, ""},
		"a file less":          {lock.Folder{Files: less(files, "lib_windows.go"), Imports: imports}, "has lib_windows.go, which the lock has not"},
		"assembly less":        {lock.Folder{Files: less(files, "lib_amd64.s"), Imports: imports}, "has lib_amd64.s, which the lock has not"},
		"a file more":          {lock.Folder{Files: append(slices.Clone(files), "more.go"), Imports: imports}, "no file more.go"},
		"a test":               {lock.Folder{Files: append(slices.Clone(files), "lib_test.go"), Imports: imports}, "neither compiles nor embeds lib_test.go"},
		"a file that is data":  {lock.Folder{Files: append(slices.Clone(files), "data.bin"), Imports: imports}, "neither compiles nor embeds data.bin"},
		"an import less":       {lock.Folder{Files: files, Imports: less(imports, "example.com/other")}, "imports example.com/other, which the lock does not say"},
		"that of Windows less": {lock.Folder{Files: files, Imports: less(imports, "example.com/windows")}, "imports example.com/windows, which the lock does not say"},
		"an import more":       {lock.Folder{Files: files, Imports: append(slices.Clone(imports), "example.com/test")}, "no file of package example.com/lib imports example.com/test"},
	} {
		err := CheckPackages(dir, "example.com/lib", map[string]lock.Folder{"example.com/lib": tt.folder}, lock.Platforms)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if err := CheckPackages(dir, "example.com/lib", map[string]lock.Folder{"example.com/lib/gone": {Files: files}}, lock.Platforms); err == nil {
		t.Error("takes a package that is not there")
	}
}
