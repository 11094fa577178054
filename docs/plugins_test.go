package docs

import (
	"os"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
)

// TestPlugins: the table of known plugins is that of the catalogue.
func TestPlugins(t *testing.T) {
	t.Parallel()
	const page = "plugins.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const head = "| name | what it makes | where it is from | runs on | in a BUCK file |\n|---|---|---|---|---|\n"
	intro, after, _ := strings.Cut(string(text), head)
	_, after, found := strings.Cut(after, "\n\n")
	if !found {
		t.Fatalf("%s has no table that begins with\n%s", page, head)
	}
	var table strings.Builder
	c := catalog.Builtin()
	for _, name := range c.Names() {
		r, _ := c.Lookup(name)
		from, on := places(r)
		rule := "`proto_codegen`"
		switch {
		case r.Smoke != nil || r.Makes != nil: // a program, no plugin
			rule = ""
		case r.Rule != "":
			rule = "`" + r.Rule + "_proto_library`"
			if r.Attr != "" {
				rule += ", `" + r.Attr + "`"
			}
		}
		table.WriteString("| " + strings.Join([]string{"`" + name + "`", r.About, strings.Join(from, ", "), on, rule}, " | ") + " |\n")
	}
	want := intro + head + table.String() + "\n" + after
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(text) != want {
		t.Errorf("%s is stale; run: UPDATE_GOLDEN=1 go test ./docs -run TestPlugins", page)
	}
}
