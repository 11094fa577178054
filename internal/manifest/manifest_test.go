package manifest

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

const goodManifest = `# what we use
node-manager = "pnpm"
platforms = ["windows-x86_64", "linux-x86_64"]
python = ["3.11", "3.12"]

[plugins]
protoc = "30.2"
protoc-gen-es = ["1.10.0", "2.17.0"]

[plugins.ts-proto]
version = "2.7.2"
package = "@acme/ts-proto"
optional = true

[plugins.acme-lint]
versions = ["1.4.0"]
source = "https://example.com/v{version}/lint-{os}-{arch}.tar.gz"
binary = "lint"

[plugins.acme-lint.platforms.windows-x86_64]
source = "https://example.com/v{version}/lint-win64.zip"
binary = "lint.exe"

[plugins.openapi]
version = "0.7.0"
source = "go:github.com/google/gnostic"
package = "cmd/protoc-gen-openapi"
binary = "protoc-gen-openapi"

[bundles]
typescript = ["protoc", "ts-proto"]

[registries]
go = "https://go.example.com/"
cargo = "sparse+https://cargo.example.com/index/"
npm = "https://npm.example.com/"
pip = "http://127.0.0.1:8080/simple"
`

func TestParseManifest(t *testing.T) {
	for _, bom := range []string{"", "\xef\xbb\xbf"} {
		m, err := Parse("plugins.toml", []byte(bom+goodManifest))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(m.Platforms, []string{"linux-x86_64", "windows-x86_64"}) {
			t.Errorf("platforms %v", m.Platforms)
		}
		if got := m.Plugins["protoc-gen-es"].Versions; !slices.Equal(got, []string{"1.10.0", "2.17.0"}) {
			t.Errorf("versions %v", got)
		}
		if p := m.Plugins["ts-proto"]; p.Package != "@acme/ts-proto" || !p.Optional {
			t.Errorf("ts-proto %+v", p)
		}
		lint := m.Plugins["acme-lint"]
		if lint.Source.Kind != lock.HTTP || lint.Platforms["windows-x86_64"].Binary != "lint.exe" {
			t.Errorf("acme-lint %+v", lint)
		}
		if got, want := m.At("plugins", "acme-lint", "platforms", "windows-x86_64", "binary"), "plugins.toml:22"; got != want {
			t.Errorf("At = %s, want %s", got, want)
		}
		if p := m.Plugins["openapi"]; *p.Source != (Source{lock.Go, "github.com/google/gnostic"}) || p.Package != "cmd/protoc-gen-openapi" {
			t.Errorf("openapi %+v", p)
		}
		if m.NodeManager != "pnpm" {
			t.Errorf("node-manager %q", m.NodeManager)
		}
		if m.Registries[lock.Cargo] != "https://cargo.example.com/index/" {
			t.Errorf("registries %+v", m.Registries)
		}
		if m.Registries[lock.Go] != "https://go.example.com/" {
			t.Errorf("registries %+v", m.Registries)
		}
		if m.Registries[lock.Pip] != "http://127.0.0.1:8080/simple" {
			t.Errorf("registries %+v", m.Registries)
		}
	}
}

const manifestHead = "platforms = [\"linux-x86_64\"]\n[plugins]\n"

var badManifests = []struct {
	name, text string
	class      fault.Class
	want       []string // in the message or the hint
}{
	{"archive of another form", manifestHead + "a = { version = \"1\", source = \"https://example.com/a-{version}.RAR\", binary = \"a\" }\n", 2, []string{"plugins.toml:3", "(.rar)", ".tar.bz2", "no key allows another form"}},
	{"asset of another form", manifestHead + "a = { version = \"1\", source = \"github:a/b\", asset = \"a.7z\", binary = \"a\" }\n", 2, []string{"plugins.toml:3", "(.7z)"}},
	{"emulates what is not asked for", manifestHead + "a = { version = \"1\", source = \"npm:a\", binary = \"a\", platforms.macos-aarch64 = { emulate = \"macos-x86_64\" } }\n", 2, []string{"plugins.toml:3", "add macos-x86_64 to platforms"}},
	{"emulates what it cannot run", manifestHead + "a = { version = \"1\", source = \"npm:a\", binary = \"a\", platforms.linux-aarch64 = { emulate = \"macos-x86_64\" } }\n", 2, []string{"linux-aarch64 cannot run programs of macos-x86_64"}},
	{"emulates a word", manifestHead + "a = { version = \"1\", source = \"npm:a\", binary = \"a\", platforms.linux-aarch64 = { emulate = \"linux\" } }\n", 2, []string{"unknown platform"}},
	{"emulates and has files", manifestHead + "a = { version = \"1\", source = \"npm:a\", binary = \"a\", platforms.macos-aarch64 = { emulate = \"macos-x86_64\", binary = \"b\" } }\n", 2, []string{"no files", "keep only emulate"}},
	{"empty", "", 2, []string{"no platforms", "add: platforms"}},
	{"no plugins", `platforms = ["linux-x86_64"]`, 2, []string{"no [plugins]", "lockgen add"}},
	{"unknown node-manager", "node-manager = \"deno\"\n" + manifestHead, 2, []string{"plugins.toml:1", `"deno"`, "bun"}},
	{"duplicate table", manifestHead + "[plugins.a]\nversion = \"1.0.0\"\n[plugins.a]\nversion = \"1.0.0\"\n", 2, []string{"a"}},
	{"value and table", manifestHead + "a = \"1.0.0\"\n[plugins.a]\nversion = \"1.0.0\"\n", 2, nil},
	{"plugins twice", manifestHead + "a = \"1.0.0\"\n[plugins]\nb = \"1.0.0\"\n", 2, nil},
	{"duplicate key", manifestHead + "a = \"1.0.0\"\na = \"1.0.1\"\n", 2, nil},
	{"dotted into a table", manifestHead + "[plugins.a.platforms.linux-x86_64]\nbinary = \"x\"\n[plugins.a]\nversion = \"1.0.0\"\nplatforms.macos-x86_64 = {binary = \"x\"}\n", 2, []string{"lines 3 and 7"}},
	{"duplicate inline", manifestHead + "a = {version = \"1.0.0\", version = \"1.0.0\"}\n", 2, nil},
	{"merge markers", manifestHead + "<<<<<<< HEAD\na = \"1.0.0\"\n", 2, []string{"plugins.toml:3", "unresolved merge"}},
	{"the tool as a plugin", manifestHead + "fetch = \"0.1.0\"\n", 2, []string{"plugins.toml:3", "fetch is a program of this project", "write it below [tool]"}},
	{"another tool", manifestHead + "a = \"1\"\n[tool]\nfech = \"0.1.0\"\n", 2, []string{"plugins.toml:5", `"fech" in [tool]`, "did you mean fetch?"}},
	{"a tool with a runtime", manifestHead + "[tool]\nfetch = { version = \"0.1.0\", runtime = \"node\" }\n", 2, []string{"plugins.toml:4", `"runtime" in [tool.fetch]`}},
	{"two tools", manifestHead + "[tool]\nfetch = [\"0.1.0\", \"0.2.0\"]\n", 2, []string{"plugins.toml:4", "0.1.0 and 0.2.0", "keep one"}},
	{"a tool in an archive", manifestHead + "[tool]\nfetch = { version = \"0.1.0\", source = \"https://example.com/f-{version}.tar.gz\" }\n", 2, []string{"plugins.toml:4", "Buck2 downloads fetch", "the URL of the executable itself"}},
	{"a tool of a registry", manifestHead + "[tool]\nfetch = { version = \"0.1.0\", source = \"npm:fetch\" }\n", 2, []string{"plugins.toml:4", "not possible with npm:fetch"}},
	{"a tool in an archive of a release", manifestHead + "[tool]\nfetch = { version = \"0.1.0\", source = \"github:a/b\", asset = \"f.zip\" }\n", 2, []string{"plugins.toml:4", "not possible with github:a/b"}},
	{"a range of nothing as a tool", manifestHead + "[tool]\nfetch = \"v0.1.0\"\n", 2, []string{"plugins.toml:4", `write "0.1.0"`}},
	{"unknown key", manifestHead + "[plugins.a]\nversion = \"1.0.0\"\nsuorce = \"npm:a\"\n", 2, []string{"plugins.toml:5", `"suorce"`, "did you mean source?"}},
	{"unknown top key", "platform = [\"linux-x86_64\"]\n", 2, []string{"plugins.toml:1", "did you mean platforms?"}},
	{"float version", manifestHead + "a = 1.2\n", 2, []string{"plugins.toml:3", `quote it: "1.2"`}},
	{"float version in a table", manifestHead + "[plugins.a]\nversion = 1.2\n", 2, []string{"plugins.toml:4", "quote it"}},
	{"string platforms", "platforms = \"linux-x86_64\"\n", 2, []string{"not a list"}},
	{"UTF-16", "\xff\xfep\x00", 2, []string{"UTF-16", "offset 0"}},
	{"NUL", "platforms\x00", 2, []string{"offset 9"}},
	{"not UTF-8", "abc\xff", 2, []string{"offset 3"}},
	{"path as name", manifestHead + "\"../../bin/sh\" = \"1.0.0\"\n", 2, []string{"plugins.toml:3", "a-z"}},
	{"slash", manifestHead + "\"a/b\" = \"1.0.0\"\n", 2, []string{"a-z"}},
	{"dot", manifestHead + "\".\" = \"1.0.0\"\n", 2, []string{"a-z"}},
	{"no name", manifestHead + "\"\" = \"1.0.0\"\n", 2, []string{"a-z"}},
	{"device", manifestHead + "con = \"1.0.0\"\n", 2, []string{"not allowed"}},
	{"option", manifestHead + "\"-rf\" = \"1.0.0\"\n", 2, []string{"a-z"}},
	{"homograph", manifestHead + "\"protoc-gen-g\u043e\" = \"1.0.0\"\n", 2, []string{"U+043E"}},
	{"folded", manifestHead + "a = \"1.0.0\"\nA = \"1.0.0\"\n", 2, []string{"only differ in upper and lower case"}},
	{"v", manifestHead + "a = \"v1.2.3\"\n", 2, []string{`write "1.2.3"`}},
	{"no versions", manifestHead + "a = []\n", 2, []string{"empty"}},
	{"versions twice", manifestHead + "a = [\"1.0.0\", \"1.0.0\"]\n", 2, []string{"twice"}},
	{"clear text", manifestHead + "a = {version = \"1.0.0\", source = \"http://example.com/a\"}\n", 6, []string{"plugins.toml:3", "https"}},
	{"file URL", manifestHead + "a = {version = \"1.0.0\", source = \"file:///a\"}\n", 2, []string{"file"}},
	{"ssh URL", manifestHead + "a = {version = \"1.0.0\", source = \"ssh://example.com/a\"}\n", 2, []string{"ssh"}},
	{"no module", manifestHead + "a = {version = \"1.0.0\", source = \"go:gnostic\"}\n", 2, []string{"plugins.toml:3", "go:MODULE"}},
	{"main package that leaves", manifestHead + "a = {version = \"1.0.0\", source = \"go:example.com/a\", package = \"../a\"}\n", 2, []string{"plugins.toml:3", "leads out of its folder"}},
	{"package beside a source", manifestHead + "a = {version = \"1.0.0\", source = \"npm:a\", package = \"b\"}\n", 2, []string{"source already has the package"}},
	{"oci", manifestHead + "a = {version = \"1.0.0\", source = \"oci://example.com/a\"}\n", 2, []string{"not of the form oci://HOST/REPO:TAG"}},
	{"maven version", manifestHead + "a = {version = \"1.0.0\", source = \"maven:io.grpc\", binary = \"a\"}\n", 2, []string{"maven:GROUP:ARTIFACT"}},
	{"maven path", manifestHead + "a = {version = \"1.0.0\", source = \"maven:a..b:c\", binary = \"a\"}\n", 2, []string{"maven:GROUP:ARTIFACT"}},
	{"sparse of no cargo", manifestHead + "a = \"1.0.0\"\n[registries]\npip = \"sparse+https://example.com/\"\n", 2, []string{"plugins.toml:5", "sparse+https"}},
	{"crates in clear text", manifestHead + "a = \"1.0.0\"\n[registries]\ncargo = \"sparse+http://example.com/\"\n", 6, []string{"https"}},
	{"a registry with a query", manifestHead + "a = \"1.0.0\"\n[registries]\nnpm = \"https://example.com/npm/?always-auth=true\"\n", 2, []string{"plugins.toml:5", "has a query or a fragment"}},
	{"a registry with a fragment", manifestHead + "a = \"1.0.0\"\n[registries]\ncargo = \"sparse+https://example.com/#main\"\n", 2, []string{"plugins.toml:5", "has a query or a fragment"}},
	{"an option with NUL", manifestHead + "a = { version = \"1.0.0\", options = [\"lang=go\", \"x\\u0000y\"] }\n", 2, []string{"plugins.toml:3", "plugins.a.options", "has the character U+0000"}},
	{"an option of two lines", manifestHead + "a = { version = \"1.0.0\", options = [\"x\\ny\"] }\n", 2, []string{"plugins.a.options", "has the character U+000A"}},
	{"maven in clear text", manifestHead + "a = \"1.0.0\"\n[registries]\nmaven = \"http://example.com/\"\n", 6, []string{"https"}},
	{"unknown kind", manifestHead + "a = {version = \"1.0.0\", source = \"nmp:a\"}\n", 2, []string{"did you mean npm:?"}},
	{"unknown platform", "platforms = [\"linux_amd46\"]\n", 2, []string{"linux_amd46", "use one of linux-aarch64"}},
	{"near platform", "platforms = [\"linux-x86-64\"]\n", 2, []string{"did you mean linux-x86_64?"}},
	{"unknown variable", manifestHead + "a = {version = \"1.0.0\", source = \"https://example.com/{verison}\"}\n", 2, []string{"did you mean {version}?"}},
	{"open brace", manifestHead + "a = {version = \"1.0.0\", source = \"https://example.com/{version\"}\n", 2, []string{"brace"}},
	{"mirror", manifestHead + "[[mirror]]\nfrom = \"*\"\nto = \"https://example.com/\"\n", 2, []string{"not an OCI registry"}},
	{"mirror two", manifestHead + "a = \"1.0.0\"\n[[mirror]]\nfrom = \"*\"\nto = \"oci-layout:x\"\n[[mirror]]\nfrom = \"*\"\nto = 3\n", 2, []string{"plugins.toml:9: mirror.to is not a string"}},
	{"mirror without to", manifestHead + "a = \"1.0.0\"\n[[mirror]]\nfrom = \"*\"\nto = \"oci-layout:x\"\n[[mirror]]\nfrom = \"*\"\n", 2, []string{"plugins.toml:7: a mirror has no to"}},
	{"exception two", manifestHead + "a = \"1.0.0\"\n[policy]\nexceptions = [{ name = \"npm:a\", version = \"1.0.0\", reason = \"y\", until = 2026-12-31 },\n{ name = \"npm:a\", version = 1 }]\n", 2, []string{"plugins.toml:6: policy.exceptions.version is not a string"}},
	{"source two", manifestHead + "a = { version = \"1.0.0\", sources = [\"npm:a\",\n{ source = \"pip:a\", binari = \"a\" }] }\n", 2, []string{"plugins.toml:4: unknown key \"binari\" in [plugins.a.sources]"}},
	{"bundle of nothing", manifestHead + "protoc = \"30.2\"\n[bundles]\nts = [\"protocs\"]\n", 2, []string{"plugins.toml:5", "did you mean protoc?"}},
	{"binary that leaves", manifestHead + "a = {version = \"1.0.0\", binary = \"../a\"}\n", 2, []string{"plugins.toml:3", "leads out of its folder"}},
	{"unknown policy", manifestHead + "[policy]\nbuild-script = [\"a\"]\n", 2, []string{"did you mean build-scripts?"}},
	{"consent to nothing", manifestHead + "protoc = \"30.2\"\n[policy]\nbuild-scripts = [\"protocs\"]\n", 2, []string{"plugins.toml:5", "did you mean protoc?"}},
	{"consent text", manifestHead + "a = \"1.0.0\"\n[policy]\nbuild-scripts = \"a\"\n", 2, []string{"not a list"}},
	{"args", manifestHead + "a = {version = \"1.0.0\", args = [\"-x\"]}\n", 2, []string{"plugins.toml:3", "\"-x\" is not allowed"}},
	{"args config", manifestHead + "a = {version = \"1.0.0\", source = \"cargo:a\", args = [\"--config=x\"]}\n", 2, []string{"not allowed"}},
	{"args feature option", manifestHead + "a = {version = \"1.0.0\", source = \"cargo:a\", args = [\"--features\", \"--config\"]}\n", 2, []string{"not allowed"}},
	{"args without compiler", manifestHead + "a = {version = \"1.0.0\", source = \"npm:a\", args = [\"--all-features\"]}\n", 2, []string{"is not compiled"}},
	{"args text", manifestHead + "a = {version = \"1.0.0\", args = \"--all-features\"}\n", 2, []string{"not a list"}},
	{"crate name", manifestHead + "a = {version = \"1.0.0\", source = \"cargo:a.b\"}\n", 2, []string{"not the name of a crate"}},
	{"crate path", manifestHead + "a = {version = \"1.0.0\", source = \"cargo:../a\"}\n", 2, []string{"not the name of a crate"}},
	{"optional text", manifestHead + "a = {version = \"1.0.0\", optional = \"true\"}\n", 2, []string{"without quotes"}},
	{"plugin number list", manifestHead + "a = [1]\n", 2, []string{"quote it"}},
	{"syntax", manifestHead + "a = \n", 2, []string{"plugins.toml:3"}},
	{"deep", "a = " + strings.Repeat("[", 10000), 2, []string{"plugins.toml:1: nested more than 32 deep"}},
	{"long", strings.Repeat("#", 10<<20), 2, []string{"limit of 1048576"}},
	{"dots", strings.Repeat("a.", 500000) + "a = 1", 2, []string{"plugins.toml:1: a key of more than 64 parts"}},
}

func TestParseManifestRefuses(t *testing.T) {
	for _, tt := range badManifests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("plugins.toml", []byte(tt.text))
			if err == nil {
				t.Fatal("accepted")
			}
			if fault.Of(err) != tt.class {
				t.Errorf("class %v, want %v: %v", fault.Of(err), tt.class, err)
			}
			all := err.Error() + "\n" + fault.Hint(err)
			for _, w := range append(tt.want, "plugins.toml") {
				if !strings.Contains(all, w) {
					t.Errorf("%q is not in:\n%s", w, all)
				}
			}
		})
	}
}

func TestCredentialsAreNotEchoed(t *testing.T) {
	for _, text := range []string{
		"a = {version = \"1.0.0\", source = \"https://me:s3cret@example.com/a\"}\n",
		"a = {version = \"1.0.0\", source = \"https://me:s3cret%zz@example.com/a\"}\n",
		"a = {version = \"1.0.0\", source = \"ftp://me:s3cret@example.com/a\"}\n",
		"a = \"1.0.0\"\n[registries]\nnpm = \"https://me:s3cret@example.com/\"\n",
	} {
		_, err := Parse("plugins.toml", []byte("platforms = [\"linux-x86_64\"]\n[plugins]\n"+text))
		if fault.Of(err) != fault.Usage {
			t.Errorf("%s: class %v: %v", text, fault.Of(err), err)
		}
		if all := err.Error() + fault.Hint(err); strings.Contains(all, "s3cret") {
			t.Errorf("echoed: %s", all)
		}
	}
}

func TestFindManifest(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(deep); fault.Of(err) != fault.Usage {
		t.Errorf("missing: %v", err)
	}
	if _, err := lock.Find(deep); fault.Of(err) != fault.Lock {
		t.Errorf("missing: %v", err)
	}
	want := filepath.Join(dir, FileName)
	if err := os.WriteFile(want, []byte(goodManifest), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := Find(deep); err != nil || got != want {
		t.Errorf("got %q, %v", got, err)
	}
	t.Chdir(deep)
	if got, err := Find("."); err != nil || got != filepath.Join("..", "..", FileName) {
		t.Errorf("got %q, %v", got, err)
	}
}

func FuzzParseManifest(f *testing.F) {
	const head = "platforms = [\"linux-x86_64\"]\n[plugins]\n"
	seeds := map[string]bool{ // to whether it is taken
		goodManifest: true, head: true, head + "protoc = '''30.2'''\n": true, "\xef\xbb\xbf" + head + "protoc = \"30.2\"\r\n": true,
		head + "a.version = '''1.0.0'''\n": true, head + "protoc = 30.2\n": false, head + head: false, head + "[plugins]\n": false, "": false,
		head + "protoc = \"30.2\"\n\"protoc\" = \"30.2\"\n": false, head + "<<<<<<< ours\n": false, "\xff\xfe" + head: false, head + "\x00": false, head + "# \xff\n": false,
	}
	for text := range seeds {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse("plugins.toml", data)
		if want, ok := seeds[string(data)]; ok && (err == nil) != want {
			t.Errorf("%q: %v", data, err)
		}
		if err == nil && (m == nil || len(m.Platforms) == 0) {
			t.Errorf("accepted without platforms: %q", data)
		}
		if err != nil && fault.Of(err) != fault.Usage && fault.Of(err) != fault.Policy {
			t.Errorf("class %v: %v", fault.Of(err), err)
		}
		if _, err := Parse("plugins.toml", append(bytes.Clone(data), "\n[plugins]\n[plugins]\n"...)); err == nil {
			t.Errorf("accepted a table twice: %q", data)
		}
	})
}
