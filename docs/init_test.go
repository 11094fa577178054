package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// newRepository is a world without a lock and a manifest, with files and with some
// programs on PATH.
func newRepository(t *testing.T, files map[string]string, tools ...string) *world {
	t.Helper()
	w := newWorld(t, path(t))
	for _, tool := range tools {
		if err := os.Symlink(testenv.Program(t, tool), filepath.Join(w.bin, tool)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{lock.FileName, manifest.FileName} {
		if err := os.Remove(filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(w.dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		w.write(name, text)
	}
	return w
}

// showPage runs the commands of a page one after the other.
func (w *world) showPage(page string, least int) {
	w.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		w.Fatal(err)
	}
	// Blocks may stand before the first heading of a section.
	file := filepath.Join(w.TempDir(), page)
	if err := os.WriteFile(file, []byte("## all\n"+string(text)), 0o600); err != nil {
		w.Fatal(err)
	}
	commands := 0
	for _, s := range sections(w.T, file) {
		commands += w.show(s.blocks)
	}
	if commands < least {
		w.Errorf("%s shows %d commands only", page, commands)
	}
}

// buckInit is what buck2 init writes.
var buckInit = map[string]string{
	".buckconfig": `[cells]
  root = .
  prelude = prelude
  toolchains = toolchains
  none = none

[cell_aliases]
  config = prelude
  ovr_config = prelude
  fbcode = none
  fbsource = none
  fbcode_macros = none
  buck = none

[external_cells]
  prelude = bundled

[parser]
  target_platform_detector_spec = target:root//...->prelude//platforms:default \
    target:prelude//...->prelude//platforms:default \
    target:toolchains//...->prelude//platforms:default

[build]
  execution_platforms = prelude//platforms:default
`,
	".buckroot":        "",
	"toolchains/BUCK":  "load(\"@prelude//toolchains:demo.bzl\", \"system_demo_toolchains\")\n\nsystem_demo_toolchains()\n",
	"go.mod":           "module example.com/shop\n",
	"web/package.json": "{}\n",
}

// TestMonorepo runs the commands of monorepo.md.
func TestMonorepo(t *testing.T) {
	t.Parallel()
	w := newRepository(t, buckInit, "mkdir")
	if text := w.run("lockgen version --json"); !strings.Contains(text, `"commit"`) {
		// It was built outside of git, or with -buildvcs=false: this one is told.
		name := filepath.Join(w.bin, "lockgen")
		script := "#!/bin/sh\nif [ \"$1\" = init ]; then set -- \"$@\" --commit " + strings.Repeat("0123456789", 4) + "; fi\nexec '" + filepath.Join(programs(t), "lockgen") + "' \"$@\"\n"
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.run("git init -q")
	w.showPage("monorepo.md", 3)
}

// TestFromBuf runs the commands of from-buf.md.
func TestFromBuf(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("from-buf.md")
	if err != nil {
		t.Fatal(err)
	}
	_, file, _ := strings.Cut(string(text), "$ cat buf.gen.yaml\n")
	file, _, ok := strings.Cut(file, "$ ")
	if !ok {
		t.Fatal("the page shows no buf.gen.yaml")
	}
	w := newRepository(t, map[string]string{"buf.gen.yaml": file}, "cat")
	w.showPage("from-buf.md", 2)
}

// TestFromBinaries runs the commands of from-binaries.md.
func TestFromBinaries(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it compiles a plugin")
	goTool := testenv.Program(t, "go")
	w := newRepository(t, map[string]string{"tools/protoc": "#!/bin/sh\necho libprotoc 29.3\n", "tools/protoc-gen-words": "?"}, "ls", "rm")
	if err := os.Chmod(filepath.Join(w.dir, "tools", "protoc"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(goTool, "build", "-o", filepath.Join(w.dir, "tools", "protoc-gen-go"), "google.golang.org/protobuf/cmd/protoc-gen-go").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w.showPage("from-binaries.md", 4)
}
