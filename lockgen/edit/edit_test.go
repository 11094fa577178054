package edit

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
		return func(b []byte) ([]byte, error) {
			edited, _, err := RemoveVersion("plugins.toml", b, name, version)
			return edited, err
		}
	}
	consent := func(names ...string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return Consent("plugins.toml", b, names) }
	}
	optional := func(name string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return SetOptional("plugins.toml", b, name) }
	}
	disallow := func(entries ...string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return Disallow("plugins.toml", b, entries) }
	}
	set := func(name, old, version string) func([]byte) ([]byte, error) {
		return func(b []byte) ([]byte, error) { return SetVersion("plugins.toml", b, name, old, version) }
	}
	const a1 = "[plugins]\na = \"1.0.0\"\n"
	const ab = a1 + "b = \"1.0.0\"\n"
	inline := func(plugins, bundles, policy string) string {
		return "plugins = { " + plugins + " }\nbundles = { " + bundles + " }\npolicy = { " + policy + " }\n"
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
		{"an inline table", add("a", "2.0.0"), "[plugins]\na = { optional = true, version = \"1.0.0\" } # why\n",
			"[plugins]\na = { optional = true, versions = [\"1.0.0\", \"2.0.0\"] } # why\n"},
		{"dotted", add("a", "2.0.0"), "[plugins]\na.version = \"1.0.0\"\n", ""},
		{"no plugins at all, inline", add("b", "2.0.0"), "plugins = { a = \"1.0.0\" }\n", ""},

		{"the tool", add("fetch", "0.1.0"), "[plugins]\na = \"1.0.0\"\n", "[plugins]\na = \"1.0.0\"\n\n[tool]\nfetch = \"0.1.0\"\n"},
		{"the tool into its table", add("fetch", "0.1.0"), "[tool] # ours\n\n" + a1, "[tool] # ours\nfetch = \"0.1.0\"\n\n" + a1},
		{"another version of the tool", add("fetch", "0.2.0"), "[tool]\nfetch = \"0.1.0\" # why\n" + a1, "[tool]\nfetch = \"0.2.0\" # why\n" + a1},
		{"a pin of the tool", set("fetch", "0.1.0", "0.2.0"), "[tool.fetch]\nversion = \"0.1.0\"\nsource = \"https://example.com/{version}\"\n" + a1, "[tool.fetch]\nversion = \"0.2.0\"\nsource = \"https://example.com/{version}\"\n" + a1},
		{"without the tool", remove("fetch", ""), "[tool]\nfetch = \"0.1.0\"\n" + a1, "[tool]\n" + a1},
		{"another pin", set("a", "1.0.0", "2.0.0"), "[plugins]\na = \"1.0.0\" # why\n", "[plugins]\na = \"2.0.0\" # why\n"},
		{"one pin of two", set("a", "1.0.0", "1.1.0"), "[plugins]\na = [\"1.0.0\", \"2.0.0\"]\n", "[plugins]\na = [\"1.1.0\", \"2.0.0\"]\n"},
		{"two pins to one", set("a", "1.0.0", "2.0.0"), "[plugins.a]\nversions = [\"1.0.0\", \"2.0.0\"]\n", "[plugins.a]\nversion = \"2.0.0\"\n"},
		{"a pin that is not there", set("a", "3.0.0", "2.0.0"), "[plugins]\na = \"1.0.0\"\n", ""},
		{"a pin in an inline table", set("a", "1.0.0", "2.0.0"), "plugins = { a = { version = \"1.0.0\" } }\n", "plugins = { a = { version = \"2.0.0\" } }\n"},

		{"a pair", remove("a", ""), "[plugins]\n# about a\na = \"1.0.0\" # why\nb = \"1.0.0\"\n", "[plugins]\n# about a\nb = \"1.0.0\"\n"},
		{"one of two", remove("a", "1.0.0"), "[plugins]\na = [\"1.0.0\", \"2.0.0\"]\n", "[plugins]\na = \"2.0.0\"\n"},
		{"the only version", remove("a", "1.0.0"), "[plugins]\na = \"1.0.0\"\n", "[plugins]\n"},
		{"a table and those below", remove("a", ""),
			"[plugins]\nb = \"1.0.0\"\n\n[plugins.a]\nversion = \"1.0.0\"\n\n[plugins.a.platforms.linux-x86_64]\nbinary = \"x\"\n\n[bundles]\nx = [\"b\"]\n",
			"[plugins]\nb = \"1.0.0\"\n\n[bundles]\nx = [\"b\"]\n"},
		{"the last table", remove("a", ""), "[plugins.a]\nversion = \"1.0.0\"\n\n[policy]\nbuild-scripts = [\"a\"]\n", "\n[policy]\n\n[plugins]\n"},
		{"one of two in a table", remove("a", "2.0.0"), "[plugins.a]\nversions = [\"1.0.0\", \"2.0.0\"]\n", "[plugins.a]\nversion = \"1.0.0\"\n"},
		{"not there", remove("b", ""), "[plugins]\na = \"1.0.0\"\n", ""},
		{"not this version", remove("a", "2.0.0"), "[plugins]\na = \"1.0.0\"\n", ""},
		{"the only one of a bundle", remove("a", ""), "[plugins]\na = \"1.0.0\"\n\n[bundles] # ours\nx = [\"a\"]\n", "[plugins]\n\n[bundles] # ours\n"},
		{"one of a bundle", remove("b", ""), "bundles.x = [ \"a\", \"b\" ] # why\n" + ab, "bundles.x = [ \"a\" ] # why\n" + a1},
		{"the first of a bundle", remove("b", ""), ab + "[bundles]\nx = [\"b\", 'a']\n", a1 + "[bundles]\nx = ['a']\n"},
		{"a line of a bundle", remove("b", ""), ab + "[bundles]\nx = [ # all\n  \"b\", # this one\n  # and\n  \"a\",\n]\n", a1 + "[bundles]\nx = [ # all\n  # and\n  \"a\",\n]\n"},
		{"the last line of a bundle", remove("b", ""), ab + "[bundles]\nx = [\n  \"a\", # why\n  \"b\" # this one\n]\n", a1 + "[bundles]\nx = [\n  \"a\", # why\n]\n"},
		{"before the bracket", remove("b", ""), ab + "[bundles]\nx = [\"a\", # why\n     \"b\"]\n", a1 + "[bundles]\nx = [\"a\", # why\n     ]\n"},
		{"of a bundle with carriage returns", remove("b", ""), ab + "[bundles]\r\nx = [\r\n  \"b\",\r\n  \"a\",\r\n]\r\n", a1 + "[bundles]\r\nx = [\r\n  \"a\",\r\n]\r\n"},
		{"inline bundles", remove("b", ""), ab + "[bundles]\nx = [\"a\"]\ny = [\"b\"]\n", a1 + "[bundles]\nx = [\"a\"]\n"},
		{"of several bundles and consents", remove("b", ""),
			ab + "[policy]\n# who may\nbuild-scripts = [\"b\"] # b\nminimum-release-age = \"3d\"\n[bundles]\nx = [\"a\", \"b\"]\ny = [\"b\", \"a\"]\n",
			a1 + "[policy]\n# who may\nminimum-release-age = \"3d\"\n[bundles]\nx = [\"a\"]\ny = [\"a\"]\n"},
		{"one consent of two", remove("b", ""), ab + "[policy]\nbuild-scripts = [\"a\", \"b\"]\n", a1 + "[policy]\nbuild-scripts = [\"a\"]\n"},
		{"a version of a bundle's", remove("a", "1.0.0"), "[plugins]\na = [\"1.0.0\", \"2.0.0\"]\n[bundles]\nx = [\"a\"]\n", "[plugins]\na = \"2.0.0\"\n[bundles]\nx = [\"a\"]\n"},
		{"out of inline tables", remove("b", ""), inline("a = \"1.0.0\", b = \"1.0.0\"", "y = [\"b\"], x = [\"b\", \"a\"]", "minimum-release-age = \"3d\", build-scripts = [\"b\"]"),
			inline("a = \"1.0.0\"", "x = [\"a\"]", "minimum-release-age = \"3d\"")},

		{"optional", optional("a"), ab, "[plugins]\na = { version = \"1.0.0\", optional = true }\nb = \"1.0.0\"\n"},
		{"optional of two", optional("a"), "[plugins]\na = [\"1.0.0\", \"2.0.0\"] # why\n", "[plugins]\na = { versions = [\"1.0.0\", \"2.0.0\"], optional = true } # why\n"},
		{"optional inline", optional("a"), "[plugins]\na = { version = \"1.0.0\", binary = \"x\" }\n", "[plugins]\na = { version = \"1.0.0\", optional = true, binary = \"x\" }\n"},
		{"optional in a table", optional("a"), "[plugins.a]\nversion = \"1.0.0\" # why\nbinary = \"x\"\n", "[plugins.a]\nversion = \"1.0.0\" # why\noptional = true\nbinary = \"x\"\n"},
		{"optional in the place of not", optional("a"), "[plugins.a]\noptional = false # why\nversion = \"1.0.0\"\n", "[plugins.a]\noptional = true # why\nversion = \"1.0.0\"\n"},
		{"optional already", optional("a"), "[plugins]\na = { optional = true, version = \"1.0.0\" }\n", "[plugins]\na = { optional = true, version = \"1.0.0\" }\n"},
		{"optional of nothing", optional("b"), a1, ""},

		{"the first consent", consent("a"), a1 + "[bundles]\nx = [\"a\"]\n", a1 + "[bundles]\nx = [\"a\"]\n\n[policy]\nbuild-scripts = [\"a\"]\n"},
		{"a consent in [policy]", consent("a"), a1 + "\n[policy] # ours\nminimum-release-age = \"3d\" # why\n\n[bundles]\nx = [\"a\"]\n",
			a1 + "\n[policy] # ours\nminimum-release-age = \"3d\" # why\nbuild-scripts = [\"a\"]\n\n[bundles]\nx = [\"a\"]\n"},
		{"a consent in an empty [policy]", consent("a"), a1 + "[policy]", a1 + "[policy]\nbuild-scripts = [\"a\"]\n"},
		{"a consent more", consent("a", "b"), ab + "[policy]\nbuild-scripts = [\"a\"] # why\n", ab + "[policy]\nbuild-scripts = [\"a\", \"b\"] # why\n"},
		{"a consent on a line", consent("b"), ab + "[policy]\nbuild-scripts = [\n  \"a\", # why\n]\n", ab + "[policy]\nbuild-scripts = [\n  \"a\", # why\n  \"b\",\n]\n"},
		{"a consent behind no comma", consent("b"), ab + "[policy]\r\nbuild-scripts = [\r\n\t\"a\" # why\r\n]\r\n", ab + "[policy]\r\nbuild-scripts = [\r\n\t\"a\", # why\r\n\t\"b\",\r\n]\r\n"},
		{"a consent, dotted", consent("a"), "policy.minimum-release-age = \"3d\"\n" + a1, "policy.minimum-release-age = \"3d\"\npolicy.build-scripts = [\"a\"]\n" + a1},
		{"a consent, inline", consent("a"), "policy = { minimum-release-age = \"3d\" }\n" + a1, "policy = { minimum-release-age = \"3d\", build-scripts = [\"a\"] }\n" + a1},
		{"a consent that is there", consent("a"), a1 + "[policy]\nbuild-scripts = [\"a\"]\n", a1 + "[policy]\nbuild-scripts = [\"a\"]\n"},
		{"a consent to nothing", consent("b"), a1, ""},

		{"an entry of allow", disallow("npm:b"), "[plugins]\n[policy]\nallow = [\n  \"npm:a\",\n  # for b\n  \"npm:b\",\n]\n", "[plugins]\n[policy]\nallow = [\n  \"npm:a\",\n  # for b\n]\n"},
		{"at the end of a line", disallow("npm:b"), "[plugins]\n[policy]\nallow = [\n  \"npm:a\", \"npm:b\", # both\n  \"npm:c\",\n]\n", "[plugins]\n[policy]\nallow = [\n  \"npm:a\", # both\n  \"npm:c\",\n]\n"},
		{"in another form", disallow("pip:my-b"), "[plugins]\n[policy]\nallow = [\"pip:My_B\", \"pip:a\"]\n", "[plugins]\n[policy]\nallow = [\"pip:a\"]\n"},
		{"all of allow, which would allow everything", disallow("npm:a"), "[plugins]\n[policy]\nallow = [\"npm:a\"]\n", ""},
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
