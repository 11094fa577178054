package manifest

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestManifestSchemaKeys: the schema of plugins.toml has exactly the keys that
// the decoder knows, and its words.
func TestManifestSchemaKeys(t *testing.T) {
	_, doc := testenv.Schema(t, "../../schemas/plugins.schema.json", "urn:buck2-protobuf:plugins:1")
	defs := doc["$defs"].(map[string]any)
	of := func(def any, path ...string) map[string]any {
		m := def.(map[string]any)
		for _, key := range path {
			m = m[key].(map[string]any)
		}
		return m
	}
	words := func(def any) []string {
		var list []string
		for _, v := range of(def)["enum"].([]any) {
			list = append(list, v.(string))
		}
		return list
	}
	keys := func(def any) []string {
		var list []string
		for key := range of(def, "properties") {
			list = append(list, key)
		}
		return list
	}
	policy := of(doc, "properties", "policy")
	for _, tt := range []struct {
		name      string
		got, want []string
	}{
		{"top", keys(doc), topKeys},
		{"plugin", keys(defs["plugin"]), pluginKeys},
		{"policy", keys(policy), policyKeys},
		{"registries", keys(of(doc, "properties", "registries")), lock.Ecosystems()},
		{"platforms", words(defs["platform"]), lock.PlatformNames()},
		{"trust", words(of(policy, "properties", "min-trust")), lock.Trusts},
		{"buckify", keys(of(doc, "properties", "buckify")), buckifyKeys},
		{"languages", words(defs["language"]), languageRules()},
		{"granularity", words(of(doc, "properties", "buckify", "properties", "granularity")), granularities},
		{"tool", keys(of(doc, "properties", "tool")), []string{Tool}},
		{"tool." + Tool, keys(of(doc, "properties", "tool", "properties", Tool)["oneOf"].([]any)[1]), toolKeys},
		{"node-manager", words(of(doc, "properties", "node-manager")), NodeManagers},
	} {
		slices.Sort(tt.got)
		if want := slices.Sorted(slices.Values(tt.want)); !slices.Equal(tt.got, want) {
			t.Errorf("%s: the schema has %v, the decoder %v", tt.name, tt.got, want)
		}
	}
}

// TestManifestSchema: what Parse takes, the schema takes; what it
// refuses and a schema can say, the schema refuses.
func TestManifestSchema(t *testing.T) {
	s, _ := testenv.Schema(t, "../../schemas/plugins.schema.json", "urn:buck2-protobuf:plugins:1")
	good := []string{goodManifest, manifestHead + `
a = "latest"
b = [">=1 <3", "~1.2", "1.x", "1.0.0-rc.1+x"]
c = { version = "1", source = "maven:io.grpc:gen", binary = "c" }
d = { version = "1", source = "oci://127.0.0.1:5000/a/b:v{version}#{os}", binary = "bin/{arch}/d{exe}", optional = true }
e = { version = "1", source = "cargo:e", binary = "e", args = ["--features", "serde,x", "--no-default-features"] }
f = { version = "1", sources = ["npm:@s/f", { source = "https://example.com/{version}/{goos}", binary = "x/f" }], binary = "f" }
g = { version = "1", source = "github:a/g", asset = "g-{os}{exe}", tag = "r{version}", checksums = "{file}.sha256", os = { macos = "osx" }, arch = { aarch64 = "arm64" }, binary = "g", platforms.windows-x86_64 = { asset = "g.zip", binary = "g.exe" } }
[tool]
fetch = { version = "^0.1", source = "https://example.com/fetch-{version}-{os}-{arch}{exe}", checksums = "SHA256SUMS" }
[registries]
maven = "https://maven.example.com/releases"
[policy]
allow = ["npm:@bufbuild/*", "host:example.com:8443"]
exceptions = [{ name = "npm:left-pad", version = "1.3.0", reason = "CVE", until = 2026-12-31 }, { name = "x", version = "2.0.0", reason = "bug 7", until = "2026-01-31" }]
min-trust = "registry"
minimum-release-age = "36h"
`, `platforms = ["macos-aarch64", "macos-x86_64"]
[plugins]
a = { version = "1", source = "npm:a", binary = "a", platforms.macos-aarch64 = { emulate = "macos-x86_64" } }
b = { version = "1", sources = ["npm:b", "https://example.com/b.bz2"], binary = "b", platforms.macos-aarch64.emulate = "macos-x86_64" }
`}
	good = append(good, manifestHead+goodBuckify)
	for _, name := range []string{"../../plugins.toml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		good = append(good, string(data))
	}
	for _, text := range good {
		if _, err := Parse("plugins.toml", []byte(text)); err != nil {
			t.Error(err)
		}
		if err := s.Validate(testenv.Instance(t, text)); err != nil {
			t.Errorf("%v:\n%s", err, text)
		}
	}
	// What relates one part of the file to another, or to the calendar.
	beyond := []string{"archive of another form", "asset of another form", "emulates what is not asked for", "emulates what it cannot run", "dotted into a table", "mirror", "bundle of nothing", "consent to nothing", "minimum-release-age = \"99999w\"", "main package that leaves"}
	bad, said := map[string]string{}, 0
	for _, tt := range badManifests {
		bad[tt.name] = tt.text
	}
	for _, tt := range badPolicies {
		bad[tt.text] = manifestHead + "protoc = \"30.2\"\n[policy]\n" + tt.text + "\n"
	}
	for _, tt := range badBuckify {
		bad[tt.text] = manifestHead + "protoc = \"30.2\"\n[buckify]\n" + tt.text + "\n"
	}
	for name, text := range bad {
		var tree map[string]any
		if len(text) > maxSize/2 || strings.Contains(text, "[[[[") {
			continue
		}
		if _, err := toml.Decode(text, &tree); err != nil {
			continue // no editor needs a schema to see it
		}
		said++
		switch err := s.Validate(testenv.Instance(t, text)); {
		case err == nil && !slices.Contains(beyond, name):
			t.Errorf("the schema takes %s:\n%s", name, text)
		case err != nil && slices.Contains(beyond, name):
			t.Errorf("the schema can say %s: %v", name, err)
		}
	}
	if said < 60 {
		t.Errorf("only %d manifests were compared", said)
	}
}
