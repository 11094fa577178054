package naming

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// TestNames: names in the forms in which releases have them give back exactly
// those names, for the platforms that they are for.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		what, version, names string
		asset                string // the template
		files                string // platform=file, sorted
	}{
		{"goreleaser", "1.2.3", "p_1.2.3_linux_amd64.tar.gz p_1.2.3_linux_arm64.tar.gz p_1.2.3_darwin_amd64.tar.gz p_1.2.3_darwin_arm64.tar.gz p_1.2.3_windows_amd64.zip p_1.2.3_linux_386.tar.gz checksums.txt p_1.2.3_linux_amd64.deb p_1.2.3_linux_amd64.tar.gz.sbom.json",
			"p_{version}_{os}_{arch}.tar.gz",
			"linux-aarch64=p_1.2.3_linux_arm64.tar.gz linux-x86_64=p_1.2.3_linux_amd64.tar.gz macos-aarch64=p_1.2.3_darwin_arm64.tar.gz macos-x86_64=p_1.2.3_darwin_amd64.tar.gz windows-x86_64=p_1.2.3_windows_amd64.zip"},
		{"in upper case, one for both of macOS", "0.9.0", "P-v0.9.0-Linux-x86_64.tar.gz P-v0.9.0-Linux-arm64.tar.gz P-v0.9.0-Darwin-all.tar.gz P-v0.9.0-Windows-x86_64.zip",
			"P-v{version}-{os}-{arch}.tar.gz",
			"linux-aarch64=P-v0.9.0-Linux-arm64.tar.gz linux-x86_64=P-v0.9.0-Linux-x86_64.tar.gz macos-aarch64=P-v0.9.0-Darwin-all.tar.gz macos-x86_64=P-v0.9.0-Darwin-all.tar.gz windows-x86_64=P-v0.9.0-Windows-x86_64.zip"},
		{"executables", "1.5.0", "protoc-gen-x-1.5.0-linux-x86_64 protoc-gen-x-1.5.0-darwin-aarch64 protoc-gen-x-1.5.0-windows-x86_64.exe protoc-gen-x-1.5.0-linux-x86_64.sha256",
			"protoc-gen-x-{version}-{os}-{arch}{exe}",
			"linux-x86_64=protoc-gen-x-1.5.0-linux-x86_64 macos-aarch64=protoc-gen-x-1.5.0-darwin-aarch64 windows-x86_64=protoc-gen-x-1.5.0-windows-x86_64.exe"},
		{"protoc's own", "30.2", "protoc-30.2-linux-x86_64.zip protoc-30.2-linux-aarch_64.zip protoc-30.2-linux-x86_32.zip protoc-30.2-osx-x86_64.zip protoc-30.2-osx-aarch_64.zip protoc-30.2-osx-universal_binary.zip protoc-30.2-win32.zip protoc-30.2-win64.zip protobuf-30.2.tar.gz",
			"protoc-{version}-{os}-{arch}.zip",
			"linux-aarch64=protoc-30.2-linux-aarch_64.zip linux-x86_64=protoc-30.2-linux-x86_64.zip macos-aarch64=protoc-30.2-osx-aarch_64.zip macos-x86_64=protoc-30.2-osx-x86_64.zip windows-x86_64=protoc-30.2-win64.zip"},
		{"triples of Rust", "2.0.0", "x-x86_64-unknown-linux-gnu.tar.gz x-x86_64-unknown-linux-musl.tar.gz x-aarch64-apple-darwin.tar.gz x-x86_64-pc-windows-msvc.zip",
			"",
			"linux-x86_64=x-x86_64-unknown-linux-gnu.tar.gz macos-aarch64=x-aarch64-apple-darwin.tar.gz windows-x86_64=x-x86_64-pc-windows-msvc.zip"},
		{"no version, several programs", "3.1.0", "protoc-gen-x_linux_amd64.tar.gz tool_linux_amd64.tar.gz", "protoc-gen-x_{os}_{arch}.tar.gz", "linux-x86_64=protoc-gen-x_linux_amd64.tar.gz"},
		{"source only", "1.0.0", "x-1.0.0.tar.gz x-1.0.0.jar", "", ""},
	} {
		g := Of(tt.version, strings.Fields(tt.names))
		var files []string
		for _, platform := range slices.Sorted(maps.Keys(g.Files)) {
			files = append(files, platform+"="+g.Files[platform])
		}
		if strings.Join(files, " ") != tt.files || tt.asset != "" && g.Asset != tt.asset {
			t.Errorf("%s: asset %s of\n%s\nwant %s of\n%s", tt.what, g.Asset, strings.Join(files, "\n"), tt.asset, strings.ReplaceAll(tt.files, " ", "\n"))
		}
		// What an entry with these templates asks for is what there is.
		n := manifest.Naming{Asset: g.Asset, OS: g.OS, Arch: g.Arch}
		for platform, file := range g.Files {
			p, _ := lock.LookupPlatform(platform)
			template := g.Asset
			if other := g.Assets[platform]; other != "" {
				template = other
			}
			if got := n.Expand(template, tt.version, p); got != file {
				t.Errorf("%s: %s would be %s, and is %s: %+v", tt.what, platform, got, file, g)
			}
		}
		if fmt.Sprint(g.Files) == "map[]" && g.Asset != "" {
			t.Errorf("%s: an asset of no platform", tt.what)
		}
	}
}

func TestTagTemplate(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]string{"v1.2.3": "v{version}", "1.2.3": "{version}", "protoc-gen-x/v1.2.3-rc.1": "protoc-gen-x/v{version}", "release-30.2": "release-{version}", "nightly": ""} {
		if got, ok := TagTemplate(tag); got != want || ok != (want != "") {
			t.Errorf("%s: %s, want %s", tag, got, want)
		}
	}
	for name, want := range map[string]string{"protoc-gen-x-1.5.0-linux-x86_64": "protoc-gen-x", "protoc-gen-x_darwin_arm64": "protoc-gen-x", "protoc-gen-x-v1.5.0.exe": "protoc-gen-x", "protoc-gen-x.exe": "protoc-gen-x", "protoc-gen-x": "protoc-gen-x"} {
		if got := ProgramOf(name, "1.5.0"); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
