package docs

import (
	"os"
	"slices"
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
	const head = "| name | what it makes | where it is from | runs on | in a BUCK file | last seen working |\n|---|---|---|---|---|---|\n"
	seen := lastSeen(t)
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
		if seen[name] == "" {
			t.Errorf("seen.tsv does not say whether %s was seen working; run: BUCK2_PROTOBUF_TEST_CATALOGUE=1 go test ./internal/catalog -run TestSeen/%s", name, name)
		}
		table.WriteString("| " + strings.Join([]string{"`" + name + "`", r.About, strings.Join(from, ", "), on, rule, seen[name]}, " | ") + " |\n")
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

// lastSeen is what TestSeen of the catalogue has written down, in words: the version,
// the day, and the languages of the corpus that it generated nothing for; or why it was
// never seen.
func lastSeen(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../internal/catalog/seen.tsv")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for line := range strings.Lines(string(text)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			t.Fatalf("seen.tsv: %q", line)
		}
		r, known := catalog.Builtin().Lookup(f[0])
		if !known {
			t.Errorf("seen.tsv: the catalogue has no %s", f[0])
		}
		if f[1] == "" {
			seen[f[0]] = "not yet: " + f[3]
			continue
		}
		words := f[1] + ", " + f[2]
		var not []string
		for _, of := range []struct{ file, what string }{{"proto3", "proto3"}, {"proto2", "proto2"}, {"edition2023", "editions"}} {
			if r.Smoke == nil && !slices.Contains(strings.Fields(f[3]), of.file) {
				not = append(not, of.what)
			}
		}
		if len(not) > 0 {
			words += "; not for " + strings.Join(not, ", ")
		}
		seen[f[0]] = words
	}
	return seen
}
