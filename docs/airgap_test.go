package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestAirGap runs the commands of air-gap.md one after the other.
func TestAirGap(t *testing.T) {
	t.Parallel()
	const page = "air-gap.md"
	w := newWorld(t, path(t))
	if err := os.Symlink(testenv.Program(t, "rm"), filepath.Join(w.bin, "rm")); err != nil {
		t.Fatal(err)
	}
	blocks := examples(t, page)
	if len(blocks) != 2 {
		t.Fatalf("the page shows %d settings", len(blocks))
	}
	text := "platforms = [\"linux-x86_64\"]\n\n[bundles]\nall = [\"tool\", \"script\"]\n\n" + blocks[0] + `
[plugins.tool]
version = "1.0.0"
source = "pip:tool-wheel"
binary = "tool/bin/tool"

[plugins.script]
version = "2.0.0"
source = "npm:script"
binary = "protoc-gen-script"
`
	w.write(manifest.FileName, text+fmt.Sprintf("\n[registries]\nnpm = %q\npip = %q\n", w.server.URL+"/", w.server.URL+"/simple/"))
	if _, err := manifest.Parse(manifest.FileName, []byte(text+"\n"+blocks[1])); err != nil {
		t.Error(err)
	}
	w.showPage(page, 7)
	if n := w.server.Count(w.wheel.Path); n != 1 {
		t.Errorf("the registry was asked %d times for the wheel, want once, to fill the mirror", n)
	}
}

// TestSecurity runs the commands of security.md.
func TestSecurity(t *testing.T) {
	t.Parallel()
	newWorld(t, path(t)).showPage("security.md", 3)
}
