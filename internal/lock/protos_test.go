package lock

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

func protosText(tables ...string) string {
	text := header + "schema = 1\n"
	for _, t := range tables {
		text += t
	}
	return text
}

func protosTable(name, deps string) string {
	if deps != "" {
		deps = "deps = [\"" + deps + "\"]\n"
	}
	return "\n[protos." + name + ".\"1.2.0\"]\n" + deps + `only = ["**", "!acme/old/*"]
root = "acme-1.2.0/proto"
source = "http"
trust = "first-use"

[protos.` + name + `."1.2.0".files]
"v1.2.0.tar.gz" = { url = "https://example.com/` + name + `/v1.2.0.tar.gz", archive = "tar.gz", sha256 = "` + sum("1") + `", size = 10 }

[protos.` + name + `."1.2.0".folders]
"." = { files = ["a.proto"], imports = ["acme/v1"] }
"acme/v1" = { files = ["b.proto", "c.proto"] }

[protos.` + name + `."1.2.0".platforms]
any = { tree = "` + sum("2") + `" }
`
}

// TestProtosRoundTrip: a proto package has one cell in the text and the same on every
// platform when it was read, by either reader, and in an entry.
func TestProtosRoundTrip(t *testing.T) {
	t.Parallel()
	text := protosText(protosTable("acme", "base"), strings.NewReplacer("acme/v1", "base/v1", `"."`, `"base"`).Replace(protosTable("base", "")))
	for name, in := range map[string]string{"canonical": text, "TOML": strings.ReplaceAll(text, " = ", "  =  ")} {
		l, err := Parse("lock", []byte(in))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		v := l.Plugins["protos/acme"]["1.2.0"]
		if v == nil || !v.IsProtos() || len(v.Platforms) != len(Platforms) || v.Platforms["windows-x86_64"].Tree != sum("2") || !v.Platforms["macos-aarch64"].Locked() {
			t.Fatalf("%s: %+v", name, v)
		}
		if got := string(Print(l)); got != text {
			t.Errorf("%s: prints\n%s", name, got)
		}
		entry, err := json.Marshal(l.Entry("protos/acme", "1.2.0"))
		if err != nil {
			t.Fatal(err)
		}
		if e, err := ParseEntry("entry", entry); err != nil || e.Locked.Root != "acme-1.2.0/proto" {
			t.Errorf("%s: entry: %v %v", name, e, err)
		}
	}
	s, _ := compileSchema(t)
	if err := s.Validate(testenv.Instance(t, text)); err != nil {
		t.Error(err)
	}
	// As Buck2 writes it, which reads the text.
	raw := `{"name":"protos/acme","version":"1.2.0","locked":{"folders":{".":{"files":["a.proto"]}},"source":"http","trust":"first-use","files":{"a-1.2.0.zip":{"url":"https://example.com/a-1.2.0.zip","archive":"zip","sha256":"` + sum("1") + `","size":1}},"platforms":{"any":{"tree":"` + sum("2") + `"}}}}`
	if _, err := ParseEntry("entry", []byte(raw)); err != nil {
		t.Error(err)
	}
	if _, err := ParseEntry("entry", []byte(strings.Replace(raw, "protos/acme", "acme", 1))); err == nil {
		t.Error("takes a proto package for a plugin")
	}
}

// TestProtosTwice: a file is in one package, also where names differ in case alone.
func TestProtosTwice(t *testing.T) {
	t.Parallel()
	for _, other := range []string{"acme/v1", "Acme/V1"} {
		text := protosText(protosTable("acme", ""), strings.ReplaceAll(strings.Replace(protosTable("base", ""), `"a.proto"`, `"o.proto"`, 1), "acme/v1", other))
		_, err := Parse("lock", []byte(text))
		if fault.Of(err) != fault.Lock || !strings.Contains(err.Error(), other+"/b.proto of protos/base is acme/v1/b.proto of protos/acme as well") || !strings.Contains(fault.Hint(err), `files = ["**", "!acme/old/*", "!`+other+`/b.proto"] in [protos.base]`) {
			t.Errorf("%s: %v; hint: %s", other, err, fault.Hint(err))
		}
	}
}

// TestProtosRefused: what is no proto package is refused, by the schema as well where
// that can tell.
func TestProtosRefused(t *testing.T) {
	t.Parallel()
	s, _ := compileSchema(t)
	good := protosText(protosTable("acme", ""))
	for _, tt := range []struct {
		name, old, new string
		schema         bool // which refuses it too
	}{
		{"two versions", `any = { tree = "` + sum("2") + "\" }\n", `any = { tree = "` + sum("2") + "\" }\n" + strings.ReplaceAll(protosTable("acme", ""), "1.2.0", "1.3.0"), true},
		{"unknown dep", "only =", "deps = [\"other\"]\nonly =", false},
		{"no folders", "[protos.acme.\"1.2.0\".folders]\n\".\" = { files = [\"a.proto\"], imports = [\"acme/v1\"] }\n\"acme/v1\" = { files = [\"b.proto\", \"c.proto\"] }\n", "", true},
		{"folder", "acme/v1", "../v1", false},
		{"folder without files", `"acme/v1" = { files = ["b.proto", "c.proto"] }`, `"acme/v1" = { imports = ["."] }`, true},
		{"files not sorted", `["b.proto", "c.proto"]`, `["c.proto", "b.proto"]`, false},
		{"file of another folder", `"c.proto"`, `"c/c.proto"`, true},
		{"file that is no .proto", `"c.proto"`, `"c.txt"`, true},
		{"imports itself", `imports = ["acme/v1"]`, `imports = ["."]`, false},
		{"imports what nobody has", `imports = ["acme/v1"]`, `imports = ["acme/v2"]`, false},
		{"root", `"acme-1.2.0/proto"`, `"/proto"`, true},
		{"pattern", `"**"`, `"a**"`, false},
		{"binary", "any = { ", `any = { binary = "x", `, true},
		{"platform", "any = ", "linux-x86_64 = ", true},
		{"platforms of the file", ", size = 10", `, size = 10, platforms = ["linux-x86_64"]`, false},
		{"runtime", "source =", "runtime = \"node@1\"\nsource =", true},
		{"a plugin by that name", "[protos.acme", `[plugins."protos/acme"`, true},
		{"a plugin with folders", "[protos.acme", "[plugins.acme", true},
		{"no archive", `archive = "tar.gz", `, "", false},
		{"trust", `"first-use"`, `"hope"`, true},
		{"name", "[protos.acme", "[protos.Acme", true},
	} {
		text := strings.ReplaceAll(good, tt.old, tt.new)
		if text == good {
			t.Errorf("%s: changes nothing", tt.name)
		}
		if _, err := Parse("lock", []byte(text)); fault.Of(err) != fault.Lock {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err := s.Validate(testenv.Instance(t, text)); (err != nil) != tt.schema {
			t.Errorf("%s: the schema says %v", tt.name, err)
		}
	}
}
