package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
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
	before := w.read(lock.FileName)
	w.write(lock.FileName, regexp.MustCompile(`(?m)^"node_modules/ts-poet" = .*\n`).ReplaceAllString(
		strings.NewReplacer(`ts-proto."2.7.2"`, `ts-proto."2.7.1"`, `name = "ts-proto", version = "2.7.2"`, `name = "ts-proto", version = "2.7.1"`).Replace(before), ""))
	for _, command := range []string{"git init -q", "lockgen init -q", `git config diff.lockgen.textconv "lockgen textconv"`, "git add .", "git -c user.name=a -c user.email=a@example.com commit -q -m before"} {
		if out := w.run(command); out != "" {
			t.Fatalf("%s: %s", command, out)
		}
	}
	w.write(lock.FileName, before)
	commands := 0
	for _, s := range sections(t, "reports.md") {
		commands += w.show(s.blocks)
	}
	if commands < 11 {
		t.Errorf("the page shows %d commands only", commands)
	}
}
