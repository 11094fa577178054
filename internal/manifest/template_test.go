package manifest

import (
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

func TestNaming(t *testing.T) {
	n := Naming{
		Tag: "cmd/tool/v{version}", Asset: "tool-{version}-{os}-{arch}{exe}", Checksums: "{file}.sha256",
		OS: map[string]string{"macos": "osx", "windows": "win"}, Arch: map[string]string{"aarch64": "aarch_64"},
	}
	src, err := ParseSource("github:acme/tool")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Check(src, ""); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"macos-aarch64":  "https://github.com/acme/tool/releases/download/cmd/tool/v1.2.0-rc+1/tool-1.2.0-rc+1-osx-aarch_64",
		"windows-x86_64": "https://github.com/acme/tool/releases/download/cmd/tool/v1.2.0-rc+1/tool-1.2.0-rc+1-win-x86_64.exe",
	} {
		p := platform(t, name)
		address := n.URL(src, "", "1.2.0-rc+1", p)
		if address != want {
			t.Errorf("%s: %s, expected %s", name, address, want)
		}
		if got := n.ChecksumsURL(address, "1.2.0", p); got != want+".sha256" {
			t.Errorf("%s: checksums at %s", name, got)
		}
	}
	plain, err := ParseSource("https://example.com/{version}/{os}_{goos}_{arch}_{goarch}.zip")
	if err != nil {
		t.Fatal(err)
	}
	n = Naming{OS: n.OS, Checksums: "https://sums.example.com/{version}"}
	if got := n.URL(plain, "", "2", platform(t, "macos-x86_64")); got != "https://example.com/2/osx_darwin_x86_64_amd64.zip" {
		t.Error(got)
	}
	if got := n.ChecksumsURL("https://example.com/a", "2", lock.Platforms[0]); got != "https://sums.example.com/2" {
		t.Error(got)
	}
}

func TestParseOCI(t *testing.T) {
	for s, want := range map[string]OCIRef{
		"oci://ghcr.example.com/acme/lint:v1.2.3":           {"ghcr.example.com", "acme/lint", "v1.2.3", ""},
		"oci://127.0.0.1:5000/a:1#lint-linux-x86_64.tar.gz": {"127.0.0.1:5000", "a", "1", "lint-linux-x86_64.tar.gz"},
	} {
		if got, err := ParseOCI(s); err != nil || got != want || "oci://"+got.String() != s {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"oci://", "oci://host", "oci://host/repo", "oci://host:5000/repo", "oci:///repo:1", "oci://user:secret@host/repo:1",
		"oci://host/Repo:1", "oci://host/../repo:1", "oci://host//repo:1", "oci://host/repo:", "oci://host/repo:a b",
		"oci://host/repo:" + strings.Repeat("1", 129), "oci://host/repo:1#../x", "oci://host/repo:1#/x", "oci://HOST/repo:1", "oci://ho st/repo:1",
		"oci://host?x/repo:1", "oci://[::1/repo:1", "oci://host/repo@sha256:00", "oci://ho\u202est/repo:1", "oci://hóst/repo:1",
	} {
		_, err := ParseOCI(s)
		if fault.Of(err) != fault.Usage {
			t.Errorf("%s: %v", s, err)
		}
		if err != nil && strings.Contains(err.Error()+fault.Hint(err), "secret") {
			t.Errorf("%v shows a secret", err)
		}
	}
}

func TestManifestNaming(t *testing.T) {
	m, err := Parse("plugins.toml", []byte(`platforms = ["linux-x86_64"]
[plugins.a]
version = "1.0.0"
source = "github:acme/a"
asset = "a-{os}-{arch}.tar.xz"
checksums = "checksums.txt"
binary = "a"
os = { macos = "osx" }
arch = { aarch64 = "aarch_64" }
platforms.windows-x86_64.asset = "a-win64.zip"
[[mirror]]
from = "https://github.com/"
to = "https://proxy.example.com/"
`))
	if err != nil {
		t.Fatal(err)
	}
	p := m.Plugins["a"]
	if p.Naming.OS["macos"] != "osx" || p.Naming.Arch["aarch64"] != "aarch_64" || p.Naming.Checksums != "checksums.txt" ||
		p.Platforms["windows-x86_64"].Asset != "a-win64.zip" || len(m.Mirrors) != 1 {
		t.Errorf("%+v, %+v", p, m.Mirrors)
	}
	for lines, want := range map[string]string{
		`source = "github:acme"`:                                         "has no repository",
		`source = "github:acme/a"`:                                       "needs the name of its asset",
		"source = \"github:acme/a\"\nasset = \"../a\"":                   "leads out of its folder",
		"source = \"github:acme/a\"\nasset = \"d/a\"":                    "not the name of a file",
		"source = \"github:acme/a\"\nasset = \"{verison}\"":              "did you mean {version}?",
		"source = \"https://example.com/a\"\nasset = \"a\"":              "tag and asset are for",
		"source = \"npm:a\"\nos = { macos = \"osx\" }":                   "os and arch are for a URL, or for binary",
		"source = \"https://example.com/a\"\nos = { macosx = \"osx\" }":  "not a name in the lock",
		"source = \"https://example.com/a\"\nos = { macos = \"../x\" }":  "not allowed in a file name",
		"source = \"npm:a\"\nchecksums = \"a\"":                          "checksums are only for a source with a URL",
		"source = \"https://example.com/a\"\nchecksums = \"http://b/c\"": "not encrypted",
		`checksums = "a"`: "without a source",
		"source = \"https://example.com/a\"\nplatforms.linux-x86_64.asset = \"a\"": "only a plugin from github: has assets",
	} {
		_, err := Parse("plugins.toml", []byte("platforms = [\"linux-x86_64\"]\n[plugins.a]\nversion = \"1.0.0\"\nbinary = \"a\"\n"+lines+"\n"))
		if c := fault.Of(err); c != fault.Usage && c != fault.Policy {
			t.Errorf("%s: %v", lines, err)
			continue
		}
		if all := err.Error() + "\n" + fault.Hint(err); !strings.Contains(all, want) || !strings.Contains(all, "plugins.toml:") {
			t.Errorf("%s: %q is not in %s", lines, want, all)
		}
	}
}

func platform(t *testing.T, name string) lock.Platform {
	t.Helper()
	p, ok := lock.LookupPlatform(name)
	if !ok {
		t.Fatalf("no platform %s", name)
	}
	return p
}
