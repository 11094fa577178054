package naming

import (
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// TestURLTemplate: the version is where a person sees it, and nothing else becomes one.
func TestURLTemplate(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{ // template and version
		"https://example.com/x/protoc-gen-foo-1.2.3-linux-x86_64.tar.gz":              "https://example.com/x/protoc-gen-foo-{version}-linux-x86_64.tar.gz 1.2.3",
		"https://example.com/v1.2.3/foo_1.2.3_Linux_arm64.tar.gz":                     "https://example.com/v{version}/foo_{version}_Linux_arm64.tar.gz 1.2.3",
		"https://example.com/v1.2.3/foo-linux-amd64":                                  "https://example.com/v{version}/foo-linux-amd64 1.2.3",
		"https://example.com/foo-1.2.3-rc.1-darwin-arm64.zip":                         "https://example.com/foo-{version}-darwin-arm64.zip 1.2.3-rc.1",
		"https://example.com/foo-1.2.3rc1.zip":                                        "https://example.com/foo-{version}.zip 1.2.3rc1",
		"https://example.com/foo-1.2.3-arm64.zip":                                     "https://example.com/foo-{version}-arm64.zip 1.2.3",
		"https://example.com/foo-3.13.1+20250107-x86_64.tar.gz":                       "https://example.com/foo-{version}-x86_64.tar.gz 3.13.1+20250107",
		"https://example.com/11.2/foo-1.2.zip":                                        "https://example.com/11.2/foo-{version}.zip 1.2",
		"https://example.com/1.2.3/foo-1.2.zip":                                       "https://example.com/1.2.3/foo-{version}.zip 1.2",
		"https://10.0.0.1/foo-linux-amd64":                                            "",
		"https://example.com/foo-linux-x86_64.tar.gz":                                 "",
		"https://example.com/foo-linux-glibc2.28-x86_64.tar.gz":                       "",
		"https://example.com":                                                         "",
		"https://example.com/tool/2.0.0/protoc-gen-foo-linux-glibc2.28-x86_64.tar.gz": "https://example.com/tool/{version}/protoc-gen-foo-linux-glibc2.28-x86_64.tar.gz 2.0.0",
	} {
		template, version, ok := URLTemplate(address)
		if got := template + " " + version; ok && got != want || ok != (want != "") {
			t.Errorf("%s: %t, %s", address, ok, got)
		}
	}
}

// TestFiles: beside the file of one platform are those of others, as publishers call
// them.
func TestFiles(t *testing.T) {
	t.Parallel()
	for given, others := range map[string]string{ // platform=path, separated by spaces
		"x-{version}-linux-x86_64.tar.gz": "linux-aarch64=x-{version}-linux-arm64.tar.gz macos-aarch64=x-{version}-darwin-arm64.tar.gz macos-x86_64=x-{version}-osx-x86_64.tar.gz windows-x86_64=x-{version}-windows-x86_64.zip linux-x86_64=x-{version}-linux-x86_64.tar.gz",
		"x_{version}_Linux_x86_64.tar.gz": "macos-aarch64=x_{version}_Darwin_arm64.tar.gz macos-x86_64=x_{version}_Darwin_all.tar.gz macos-x86_64=x_{version}_macOS_x86_64.tar.gz windows-x86_64=x_{version}_Windows_x86_64.zip",
		"{version}/x-windows-amd64.exe":   "linux-x86_64={version}/x-linux-amd64 linux-aarch64={version}/x-linux-arm64 macos-aarch64={version}/x-darwin-arm64 windows-aarch64={version}/x-windows-arm64.exe",
		"x-darwin-aarch64":                "linux-x86_64=x-linux-x86_64 windows-x86_64=x-windows-x86_64.exe",
		"x-aarch64-apple-darwin.tar.gz":   "linux-x86_64=x-x86_64-unknown-linux-musl.tar.gz windows-x86_64=x-x86_64-pc-windows-msvc.zip macos-x86_64=x-x86_64-apple-darwin.tar.gz",
		"linux/amd64/x":                   "macos-aarch64=darwin/arm64/x windows-x86_64=windows/amd64/x.exe",
		"mac-tools/x-linux-amd64":         "macos-x86_64=mac-tools/x-darwin-amd64",
		"x-{version}-{os}-{arch}{exe}":    "linux-x86_64=x-{version}-linux-x86_64 macos-aarch64=x-{version}-macos-aarch64 macos-aarch64=x-{version}-darwin-arm64 windows-x86_64=x-{version}-windows-x86_64.exe",
		"x-{goos}_{goarch}.zip":           "macos-aarch64=x-darwin_arm64.zip",
	} {
		for want := range strings.FieldsSeq(others) {
			platform, file, _ := strings.Cut(want, "=")
			p, _ := lock.LookupPlatform(platform)
			list := Files("https://linux.example.com/"+given, p)
			if !slices.Contains(list, "https://linux.example.com/"+file) || len(list) > 16 {
				t.Errorf("%s: %s is not among the %d of %s: %s", given, file, len(list), platform, list)
			}
		}
		// The platform that was given is at one place alone.
		for _, p := range lock.Platforms {
			if list := Files("https://linux.example.com/"+given, p); slices.Contains(list, "https://linux.example.com/"+given) && len(list) > 1 && !IsTemplate(given) && p.OS != "macos" {
				t.Errorf("%s: %s", given, list)
			}
		}
	}
	for _, none := range []string{"x-1.2.3.tar.gz", "protoc-gen-x", "winter/x"} {
		if list := Files("https://example.com/"+none, lock.Platforms[0]); len(list) > 0 {
			t.Errorf("%s: %s", none, list)
		}
	}
}
