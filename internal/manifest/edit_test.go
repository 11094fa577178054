package manifest

import (
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

func TestEdit(t *testing.T) {
	const head = "# ours\nplatforms = [\"linux-x86_64\"] # one\n"
	add := func(name, version string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return AddVersion("plugins.toml", b, name, version) }
	}
	remove := func(name, version string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return RemoveVersion("plugins.toml", b, name, version) }
	}
	set := func(name, old, version string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return SetVersion("plugins.toml", b, name, old, version) }
	}
	for _, tt := range []struct {
		name      string
		edit      func([]byte) ([]byte, error)
		old, want string // behind head; want "" for a refusal
	}{
		{"behind the last entry", add("b", "2.0.0"),
			"\n[plugins]\na = \"1.0.0\" # why\n\n# bundles\n[bundles]\nx = [\"a\"]\n",
			"\n[plugins]\na = \"1.0.0\" # why\nb = \"2.0.0\"\n\n# bundles\n[bundles]\nx = [\"a\"]\n"},
		{"into an empty table", add("b", "2.0.0"), "[plugins]\n", "[plugins]\nb = \"2.0.0\"\n"},
		{"without a line feed at the end", add("b", "2.0.0"), "[plugins]\na = \"1.0.0\"", "[plugins]\na = \"1.0.0\"\nb = \"2.0.0\"\n"},
		{"only tables", add("b", "2.0.0"), "[plugins.a]\nversion = \"1.0.0\"\n", "[plugins.a]\nversion = \"1.0.0\"\n\n[plugins]\nb = \"2.0.0\"\n"},
		{"a dot in the name", add("b.c", "2.0.0"), "[plugins]\n", "[plugins]\n\"b.c\" = \"2.0.0\"\n"},
		{"carriage returns", add("b", "2.0.0"), "[plugins]\r\na = \"1.0.0\"\r\n", "[plugins]\r\na = \"1.0.0\"\r\nb = \"2.0.0\"\r\n"},
		{"a second version", add("a", "2.0.0"), "[plugins]\na = \"1.0.0\" # why\n", "[plugins]\na = [\"1.0.0\", \"2.0.0\"] # why\n"},
		{"a third version", add("a", "3.0.0"), "[plugins]\na = [\n  \"1.0.0\",\n  \"2.0.0\",\n]\n", "[plugins]\na = [\"1.0.0\", \"2.0.0\", \"3.0.0\"]\n"},
		{"in its table", add("a", "2.0.0"), "[plugins.a]\noptional = true\nversion = \"1.0.0\" # why\n", "[plugins.a]\noptional = true\nversions = [\"1.0.0\", \"2.0.0\"] # why\n"},
		{"there already", add("a", "1.0.0"), "[plugins]\na = \"1.0.0\"\n", "[plugins]\na = \"1.0.0\"\n"},
		{"an inline table", add("a", "2.0.0"), "[plugins]\na = { version = \"1.0.0\" }\n", ""},
		{"dotted", add("a", "2.0.0"), "[plugins]\na.version = \"1.0.0\"\n", ""},
		{"no plugins at all, inline", add("b", "2.0.0"), "plugins = { a = \"1.0.0\" }\n", ""},

		{"another pin", set("a", "1.0.0", "2.0.0"), "[plugins]\na = \"1.0.0\" # why\n", "[plugins]\na = \"2.0.0\" # why\n"},
		{"one pin of two", set("a", "1.0.0", "1.1.0"), "[plugins]\na = [\"1.0.0\", \"2.0.0\"]\n", "[plugins]\na = [\"1.1.0\", \"2.0.0\"]\n"},
		{"two pins to one", set("a", "1.0.0", "2.0.0"), "[plugins.a]\nversions = [\"1.0.0\", \"2.0.0\"]\n", "[plugins.a]\nversion = \"2.0.0\"\n"},
		{"a pin that is not there", set("a", "3.0.0", "2.0.0"), "[plugins]\na = \"1.0.0\"\n", ""},
		{"a pin in an inline table", set("a", "1.0.0", "2.0.0"), "[plugins]\na = { version = \"1.0.0\" }\n", ""},

		{"a pair", remove("a", ""), "[plugins]\n# about a\na = \"1.0.0\" # why\nb = \"1.0.0\"\n", "[plugins]\n# about a\nb = \"1.0.0\"\n"},
		{"one of two", remove("a", "1.0.0"), "[plugins]\na = [\"1.0.0\", \"2.0.0\"]\n", "[plugins]\na = \"2.0.0\"\n"},
		{"the only version", remove("a", "1.0.0"), "[plugins]\na = \"1.0.0\"\n", "[plugins]\n"},
		{"a table and those below", remove("a", ""),
			"[plugins]\nb = \"1.0.0\"\n\n[plugins.a]\nversion = \"1.0.0\"\n\n[plugins.a.platforms.linux-x86_64]\nbinary = \"x\"\n\n[bundles]\nx = [\"b\"]\n",
			"[plugins]\nb = \"1.0.0\"\n\n[bundles]\nx = [\"b\"]\n"},
		{"one of two in a table", remove("a", "2.0.0"), "[plugins.a]\nversions = [\"1.0.0\", \"2.0.0\"]\n", "[plugins.a]\nversion = \"1.0.0\"\n"},
		{"not there", remove("b", ""), "[plugins]\na = \"1.0.0\"\n", ""},
		{"not this version", remove("a", "2.0.0"), "[plugins]\na = \"1.0.0\"\n", ""},
		{"named by a bundle", remove("a", ""), "[plugins]\na = \"1.0.0\"\n[bundles]\nx = [\"a\"]\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, bom := range []string{"", "\xef\xbb\xbf"} {
				got, err := tt.edit([]byte(bom + head + tt.old))
				if tt.want == "" {
					if fault.Of(err) != fault.Usage || !strings.Contains(err.Error(), "plugins.toml") {
						t.Errorf("class %v: %v", fault.Of(err), err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if string(got) != bom+head+tt.want {
					t.Errorf("got:\n%s\nwant:\n%s", got, bom+head+tt.want)
				}
			}
		})
	}
}
