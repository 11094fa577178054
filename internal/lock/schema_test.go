package lock

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/testenv"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func compileSchema(t *testing.T) (*jsonschema.Schema, map[string]any) {
	t.Helper()
	return testenv.Schema(t, "../../schemas/plugins.lock.schema.json", "urn:buck2-protobuf:plugins.lock:1")
}

// TestSchemaKeys: the schema has exactly the keys of the types.
func TestSchemaKeys(t *testing.T) {
	_, doc := compileSchema(t)
	defs := doc["$defs"].(map[string]any)
	for _, tt := range []struct {
		name string
		typ  any
		def  any
	}{
		{"lock", Lock{}, doc}, {"version", Version{}, defs["version"]}, {"file", File{}, defs["file"]}, {"cell", Cell{}, defs["cell"]},
	} {
		var want, got []string
		typ := reflect.TypeOf(tt.typ)
		for _, f := range reflect.VisibleFields(typ) {
			if key := f.Tag.Get("toml"); key != "-" && !f.Anonymous {
				want = append(want, key)
			}
		}
		for key := range tt.def.(map[string]any)["properties"].(map[string]any) {
			got = append(got, key)
		}
		for _, other := range []string{"protos", "runtime"} { // or a version of these
			if tt.name != "version" {
				break
			}
			for key := range defs[other].(map[string]any)["properties"].(map[string]any) {
				if !slices.Contains(got, key) {
					got = append(got, key)
				}
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the schema has %v, the type %v", tt.name, got, want)
		}
	}
	enum := func(of any) []string {
		var list []string
		for _, v := range of.(map[string]any)["enum"].([]any) {
			list = append(list, v.(string))
		}
		return list
	}
	properties := defs["version"].(map[string]any)["properties"].(map[string]any)
	for _, tt := range []struct {
		name      string
		got, want []string
	}{
		{"platforms", enum(defs["platform"]), PlatformNames()}, {"trust", enum(properties["trust"]), Trusts}, {"source", enum(properties["source"]), KindNames()},
		{"archive", enum(defs["file"].(map[string]any)["properties"].(map[string]any)["archive"]), Archives},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("%s: the schema has %v, the types %v", tt.name, tt.got, tt.want)
		}
	}
}

// TestSchemaValidates: real locks are valid; what Parse refuses and a schema can
// say, the schema refuses.
func TestSchemaValidates(t *testing.T) {
	s, _ := compileSchema(t)
	locks := []string{"../../plugins.lock.toml"}
	more, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(more) == 0 {
		t.Fatalf("no golden lock: %v", err)
	}
	for _, name := range append(locks, more...) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(testenv.Instance(t, string(data))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := string(Print(sample()))
	if err := s.Validate(testenv.Instance(t, good)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, old, new string }{
		{"schema", "schema = 1", "schema = 2"},
		{"unknown key", "schema = 1", "schema = 1\nhash = \"x\""},
		{"source", `source = "npm"`, `source = "nmp"`},
		{"no source", "source = \"npm\"\n", ""},
		{"trust", `trust = "first-use"`, `trust = "gut feeling"`},
		{"short hash", sum("1"), sum("1")[1:]},
		{"capitals", sum("a"), strings.ToUpper(sum("a"))},
		{"zeros", sum("1"), sum("0")},
		{"size", "size = 10 ", "size = 0 "},
		{"no size", ", size = 10 ", " "},
		{"platform", "linux-x86_64 =", "linux-amd64 ="},
		{"missing platform", "windows-aarch64 = { emulate = \"windows-x86_64\" }\n", ""},
		{"two states", `{ emulate = "windows-x86_64" }`, `{ emulate = "windows-x86_64", unavailable = "x" }`},
		{"no state", `{ emulate = "windows-x86_64" }`, `{ }`},
		{"path", `binary = "bin/lint"`, `binary = "../lint"`},
		{"absolute", `binary = "bin/lint"`, `binary = "/lint"`},
		{"name", "[plugins.node", "[plugins.Node"},
		{"archive", `archive = "tar.gz"`, `archive = "rar"`},
		{"archive by another word", `archive = "tar.gz"`, `archive = "tgz"`},
		{"archive of nothing", `archive = "tar.gz"`, `archive = "raw"`},
		{"emulates a word", `emulate = "windows-x86_64"`, `emulate = "windows-amd64"`},
		{"weak integrity", "sha512-", "sha1-"},
		{"no url", `url = "https://example.com/v1.4.0/lint.tar.gz", `, ""},
		{"args of npm", "package = \"ts-proto\"", "args = [\"x\"]\npackage = \"ts-proto\""},
		{"no tree", `, tree = "` + sum("a") + `"`, ""},
	} {
		text := strings.ReplaceAll(good, tt.old, tt.new)
		if text == good {
			t.Errorf("%s: %q is not in the sample", tt.name, tt.old)
			continue
		}
		if _, err := Parse("lock", []byte(text)); err == nil {
			t.Errorf("%s: Parse takes it", tt.name)
		}
		if err := s.Validate(testenv.Instance(t, text)); err == nil {
			t.Errorf("%s: the schema takes it", tt.name)
		}
	}
}
