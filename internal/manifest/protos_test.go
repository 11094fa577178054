package manifest

import (
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

const protosManifest = manifestHead + `
[protos]
googleapis = "1.76.0"

[protos.acme]
version = "^3"
source = "github:acme/protos"
asset = "protos-{version}.tar.gz"
root = "protos-{version}/proto"
files = ["acme/**", "!acme/internal/*"]
deps = ["googleapis"]
`

func TestProtosManifest(t *testing.T) {
	t.Parallel()
	m, err := Parse("plugins.toml", []byte(protosManifest))
	if err != nil {
		t.Fatal(err)
	}
	p := m.Plugins["protos/acme"]
	if p == nil || p.Protos == nil || p.Protos.Root != "protos-{version}/proto" || !slices.Equal(p.Protos.Only, []string{"acme/**", "!acme/internal/*"}) ||
		!slices.Equal(p.Protos.Deps, []string{"googleapis"}) || p.Source.String() != "github:acme/protos" || p.Asset != "protos-{version}.tar.gz" {
		t.Fatalf("%+v", p)
	}
	if at := m.At("plugins", "protos/acme"); !strings.HasPrefix(at, "plugins.toml:") {
		t.Error(at)
	}
	s, _ := testenv.Schema(t, "../../schemas/plugins.schema.json", "urn:buck2-protobuf:plugins:1")
	if err := s.Validate(testenv.Instance(t, protosManifest)); err != nil {
		t.Error(err)
	}
	for _, tt := range []struct{ name, old, new, says, hint string }{
		{"dep", `deps = ["googleapis"]`, `deps = ["googleapi"]`, "googleapi", "did you mean googleapis"},
		{"itself", `deps = ["googleapis"]`, `deps = ["acme"]`, "not another entry", ""},
		{"name", "[protos.acme]", "[protos.Acme]", "Acme", ""},
		{"key", "root =", "rot =", "rot", "root"},
		{"absolute root", `root = "protos-{version}/proto"`, `root = "/proto"`, "absolute", "folder of the archive"},
		{"root above", `root = "protos-{version}/proto"`, `root = "../proto"`, "leads out", ""},
		{"root of a platform", `root = "protos-{version}/proto"`, `root = "{os}"`, "{os}", ""},
		{"pattern", `"acme/**"`, `"acme**"`, "acme**", "import paths"},
		{"platform", `protos-{version}.tar.gz"`, `protos-{version}-{os}.tar.gz"`, "every platform", "{os}"},
		{"no archive", `protos-{version}.tar.gz"`, `protos-{version}.proto"`, "archive", ".zip"},
		{"no asset", "\nasset = \"protos-{version}.tar.gz\"", "", "needs the name of its asset", `add: asset = "NAME-{version}.tar.gz"`},
		{"features", "source = \"github:acme/protos\"\nasset = \"protos-{version}.tar.gz\"", `source = "cargo:acme[x]"`, "no extras", "brackets"},
		{"no version", `version = "^3"`, "", "version", ""},
		{"several", `version = "^3"`, `versions = ["1", "2"]`, "versions", "version"},
	} {
		text := strings.ReplaceAll(protosManifest, tt.old, tt.new)
		if text == protosManifest {
			t.Errorf("%s: changes nothing", tt.name)
		}
		_, err := Parse("plugins.toml", []byte(text))
		if fault.Of(err) != fault.Usage || !strings.Contains(err.Error(), tt.says) || !strings.Contains(fault.Hint(err), tt.hint) || !strings.HasPrefix(err.Error(), "plugins.toml:") {
			t.Errorf("%s: %v; hint: %s", tt.name, err, fault.Hint(err))
		}
	}
}
