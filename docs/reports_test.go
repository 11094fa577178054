package docs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// TestReports runs the commands of reports.md on the repository's own lock.
func TestReports(t *testing.T) {
	t.Parallel()
	w := newWorld(t, path(t))
	for _, name := range []string{lock.FileName, "plugins.toml"} {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		w.write(name, string(text))
	}
	commands := 0
	for _, s := range sections(t, "reports.md") {
		commands += w.show(s.blocks)
	}
	if commands < 6 {
		t.Errorf("the page shows %d commands only", commands)
	}
}
