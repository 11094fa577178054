package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestProtosPage: the page names every proto package that is known by name, and
// where it is from.
func TestProtosPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("protos.md")
	if err != nil {
		t.Fatal(err)
	}
	c := catalog.Builtin()
	for _, name := range c.ProtosNames() {
		p, _ := c.Protos(name)
		if row := "| `" + name + "` | `" + p.From + "` |"; !strings.Contains(string(page), row) {
			t.Errorf("no row %s", row)
		}
	}
	if rows := strings.Count(string(page), "\n| `"); rows != len(c.ProtosNames()) {
		t.Errorf("%d rows, %d packages", rows, len(c.ProtosNames()))
	}
}

// TestProtosCommands runs the commands of protos.md with the real registries.
func TestProtosCommands(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it locks proto packages from their registries")
	host := fake.Host(t)
	w := newcomer(t)
	w.write("api.proto", "syntax = \"proto3\";\npackage api;\nimport \"google/type/date.proto\";\nmessage Event { google.type.Date day = 1; }\n")
	w.wrap("lockgen", "add", "--platform", host.Name)
	if out := w.run("lockgen add protoc@36.2 protos/googleapis@1.76.0"); !strings.Contains(out, "wrote plugins.lock.toml") {
		t.Fatal(out)
	}
	path, err := filepath.EvalSymlinks(w.bin)
	if err != nil {
		t.Fatal(err)
	}
	// The protoc of the first block is one that people have.
	w.run("ln -s \"$(fetch get protoc --quiet)\" '" + path + "/protoc'")
	commands := 0
	for _, s := range sections(t, "protos.md") {
		for _, block := range s.blocks {
			commands += w.show([][]string{block[:len(block)-1]})
			last, _ := strings.CutPrefix(block[len(block)-1], "$ ")
			if strings.HasPrefix(block[0], "$ eval ") {
				last = strings.TrimPrefix(block[0], "$ ") + "; " + last
			}
			if out := w.run(last); out != "" {
				t.Errorf("$ %s\nprinted\n%s", last, out)
			}
			commands++
			if w.read("api.binpb") == "" {
				t.Errorf("$ %s\nwrote nothing", last)
			}
			w.run("rm -r api.binpb protos")
		}
	}
	if commands != 4 {
		t.Errorf("the page shows %d commands, want 4", commands)
	}
}
