package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestBuckify runs the commands of buckify.md one after the other, and reads the
// settings that it shows.
func TestBuckify(t *testing.T) {
	t.Parallel()
	w := newWorld(t, path(t))
	if err := os.Symlink(testenv.Program(t, "cat"), filepath.Join(w.bin, "cat")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"common", "shop/v1"} {
		if err := os.MkdirAll(filepath.Join(w.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.write(".buckconfig", "[cells]\n  root = .\n")
	w.write("common/money.proto", "syntax = \"proto3\";\npackage common;\n")
	w.write("shop/v1/item.proto", "syntax = \"proto3\";\npackage shop.v1;\nimport \"google/protobuf/timestamp.proto\";\n")
	w.write("shop/v1/shop.proto", "syntax = \"proto3\";\npackage shop.v1;\nimport \"shop/v1/item.proto\";\nimport \"common/money.proto\";\n")
	commands := 0
	for _, s := range sections(t, "buckify.md") {
		commands += w.show(s.blocks)
	}
	if commands < 11 {
		t.Errorf("the page shows %d commands only", commands)
	}
	text, err := os.ReadFile("buckify.md")
	if err != nil {
		t.Fatal(err)
	}
	table := regexp.MustCompile("(?s)```toml\n(.*?)```").FindSubmatch(text)
	if table == nil {
		t.Fatal("the page shows no settings")
	}
	if _, err := manifest.Parse("plugins.toml", append([]byte("platforms = [\"linux-x86_64\"]\n[plugins]\nprotoc = \"30.2\"\n"), table[1]...)); err != nil {
		t.Error(err)
	}
}
