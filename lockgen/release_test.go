package main

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

func hexSum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

func hexSum512(b []byte) string {
	h := sha512.Sum512(b)
	return hex.EncodeToString(h[:])
}

// release serves a release of acme/tool as GitHub does, below /api and
// /github. Digests false is one from before GitHub computed them.
func (p *place) release(tag string, digests bool, assets map[string][]byte) {
	p.t.Helper()
	var list []map[string]any
	for name, body := range assets {
		a := map[string]any{"name": name, "state": "uploaded", "size": len(body), "digest": nil}
		if digests {
			a["digest"] = "sha256:" + hexSum(body)
		}
		list = append(list, a)
		p.server.File("/github/acme/tool/releases/download/"+tag+"/"+name, body)
	}
	doc, err := json.Marshal(map[string]any{"tag_name": tag, "assets": list})
	if err != nil {
		p.t.Fatal(err)
	}
	p.server.File("/api/repos/acme/tool/releases/tags/"+tag, doc)
}

// tool writes a manifest with a plugin from a release, the fake server standing
// in for GitHub.
func (p *place) tool(platforms, lines string) {
	p.write("plugins.toml", fmt.Sprintf(`platforms = [%s]

[plugins.tool]
version = "1.2.0"
source = "github:acme/tool"
binary = "tool"
%s
[[mirror]]
from = "https://github.com/"
to = "%s/github/"

[[mirror]]
from = "https://api.github.com/"
to = "%s/api/"
`, platforms, lines, p.server.URL, p.server.URL))
}

const (
	armAndWindows = `"linux-aarch64", "windows-x86_64"`
	api           = "/api/repos/acme/tool/releases/tags/v1.2.0"
)

func TestRelease(t *testing.T) {
	p := newPlace(t)
	arm := fake.Tarball("", map[string]string{"tool": linuxARM, "README": "x"}, "tool")
	win := []byte(winX64)
	assets := map[string][]byte{"tool-1.2.0-linux-arm.tar.gz": arm, "tool-1.2.0-win-x86_64.exe": win}
	p.release("v1.2.0", true, assets)
	lines := `asset = "tool-{version}-{os}-{arch}.tar.gz"
os = { windows = "win" }
arch = { aarch64 = "arm" }
platforms.windows-x86_64.asset = "tool-{version}-{os}-{arch}{exe}"
`
	p.tool(armAndWindows, lines)
	p.ok("update")
	p.ok("check")
	v := p.locked().Plugins["tool"]["1.2.0"]
	f := v.Files["tool-1.2.0-win-x86_64.exe"]
	if v.Trust != "registry" || f.SHA256 != hexSum(win) || f.Archive != "" || v.Platforms["windows-x86_64"].Binary != "tool.exe" ||
		v.Platforms["windows-aarch64"].Emulate != "windows-x86_64" ||
		f.URL != "https://github.com/acme/tool/releases/download/v1.2.0/tool-1.2.0-win-x86_64.exe" {
		t.Errorf("%+v", v)
	}
	if n := p.server.Count(api); n != 1 {
		t.Errorf("%d requests for one release", n)
	}
	if h := p.server.Requests(api)[0].Header; h.Get("Accept") != "application/vnd.github+json" || h.Get("Authorization") != "" {
		t.Errorf("header %v", h)
	}
	first := p.read("plugins.lock.toml")
	for range 2 {
		p.ok("update", "tool")
		if got := p.read("plugins.lock.toml"); got != first {
			t.Fatalf("locked again:\n%s\nbefore:\n%s", got, first)
		}
	}
	p.ok("update", "--verify")

	// Other bytes under the same name: known by GitHub's digest alone.
	assets["tool-1.2.0-win-x86_64.exe"] = []byte(winX64 + "!")
	p.release("v1.2.0", true, assets)
	p.fails(fault.Integrity, []string{"SECURITY", "other bytes"}, "update", "tool")
	p.release("v1.2.0", false, assets)
	p.fails(fault.Integrity, []string{"SECURITY", "other bytes"}, "update", "tool")
}

// TestReleaseEvidence is about checksum files and GitHub's own digests.
func TestReleaseEvidence(t *testing.T) {
	t.Parallel()
	arm := []byte(linuxARM)
	sum := hexSum(arm)
	other := hexSum([]byte("other"))
	sum512, other512 := hexSum512(arm), hexSum512([]byte("other"))
	for _, tt := range []struct {
		what    string
		digests bool
		sums    string // "" for no file
		lines   string
		class   fault.Class
		want    string // the trust, or part of the message
	}{
		{"no evidence", false, "", "", 0, "first-use"},
		{"GitHub's digest", true, "", "", 0, "registry"},
		{"checksum file", false, sum + "  tool-arm\n" + other + "  tool-x64\n", `checksums = "checksums.txt"`, 0, "checksum-file"},
		{"binary mode, capitals, comment", false, "# sums\r\n" + strings.ToUpper(sum) + " *./tool-arm\r\n", `checksums = "checksums.txt"`, 0, "checksum-file"},
		{"tagged", true, "SHA256 (tool-arm) = " + sum + "\n", `checksums = "checksums.txt"`, 0, "checksum-file"},
		{"a digest alone", false, sum + "\n", `checksums = "{file}.txt"`, 0, "checksum-file"},
		{"SHA-512 alone", false, sum512 + "  tool-arm\n", `checksums = "checksums.txt"`, 0, "checksum-file"},
		{"SHA-512 beside GitHub's digest", true, sum512 + "  tool-arm\n", `checksums = "checksums.txt"`, 0, "checksum-file"},
		{"both", false, sum512 + "  tool-arm\n" + sum + "  tool-arm\n", `checksums = "checksums.txt"`, 0, "checksum-file"},
		{"SHA-512 of other bytes", false, other512 + "  tool-arm\n", `checksums = "checksums.txt"`, fault.Integrity, "does not match the registry's digest"},
		{"SHA-512 of other bytes beside the right SHA-256", false, sum + "  tool-arm\n" + other512 + "  tool-arm\n", `checksums = "checksums.txt"`, fault.Integrity, "but not its SHA-512"},
		{"SHA-512 of other bytes beside GitHub's digest", true, other512 + "  tool-arm\n", `checksums = "checksums.txt"`, fault.Integrity, "but not its SHA-512"},
		{"markdown", false, "| File | SHA |\n|--|--|\n| tool-arm | " + sum + " |\n", `checksums = "checksums.txt"`, 0, "checksum-file"},
		{"two files in one line", false, sum + " tool-arm tool-x64\n", `checksums = "checksums.txt"`, fault.Upstream, "ambiguous"},
		{"too large", false, strings.Repeat(other+"  x\n", 20_000), `checksums = "checksums.txt"`, fault.Upstream, "checksums.txt"},
		{"other bytes than published", false, other + "  tool-arm\n", `checksums = "checksums.txt"`, fault.Integrity, "does not match the registry's digest"},
		{"two witnesses disagree", true, other + "  tool-arm\n", `checksums = "checksums.txt"`, fault.Integrity, "give two digests for tool-arm"},
		{"not in the file", false, other + "  tool-x64\n", `checksums = "checksums.txt"`, fault.Upstream, "it has no line for tool-arm"},
		{"twice in the file", false, sum + "  tool-arm\n" + other + "  tool-arm\n", `checksums = "checksums.txt"`, fault.Upstream, "lines 1 and 2 give two digests for tool-arm"},
		{"SHA-1", false, strings.Repeat("a", 40) + "  tool-arm\n", `checksums = "checksums.txt"`, fault.Upstream, "without a SHA-256 or SHA-512"},
		{"no file", true, "", `checksums = "checksums.txt"`, fault.Upstream, "there is no checksum file"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			p := newPlace(t)
			p.release("v1.2.0", tt.digests, map[string][]byte{"tool-arm": arm})
			if tt.sums != "" {
				p.server.File("/github/acme/tool/releases/download/v1.2.0/checksums.txt", []byte(tt.sums))
				p.server.File("/github/acme/tool/releases/download/v1.2.0/tool-arm.txt", []byte(tt.sums))
			}
			p.tool(`"linux-aarch64"`, "asset = \"tool-arm\"\n"+tt.lines+"\n")
			if tt.class != 0 {
				p.fails(tt.class, []string{tt.want, "tool 1.2.0"}, "update")
				return
			}
			p.ok("update")
			p.ok("update", "--verify")
			if got := p.locked().Plugins["tool"]["1.2.0"]; got.Trust != tt.want || got.Files["tool-arm"].SHA256 != sum {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestReleaseFails(t *testing.T) {
	const lines = "asset = \"tool-{os}-{arch}{exe}\"\n"
	reset := time.Now().Add(time.Hour)
	for _, tt := range []struct {
		what  string
		fault fake.Fault
		class fault.Class
		want  []string
	}{
		{"no release", fake.Status(404), fault.Upstream, []string{"GitHub has no release v1.2.0 of acme/tool", "/releases"}},
		{"rate limit", fake.Status(403, "X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", fmt.Sprint(reset.Unix())), fault.Upstream,
			[]string{"rate limit reached", "it resets at " + reset.UTC().Format("15:04 UTC"), "set GITHUB_TOKEN"}},
		{"rate limit by 429", fake.Status(429, "X-Ratelimit-Remaining", "0"), fault.Upstream, []string{"rate limit reached", "set GITHUB_TOKEN"}},
		{"login page", fake.HTML(), fault.Upstream, []string{"looks like HTML"}},
		{"cut document", fake.Shorter(20), fault.Upstream, []string{"malformed document"}},
		{"null", fake.Answer("application/json", "null"), fault.Upstream, []string{"malformed document: it is null"}},
		{"other digest", fake.Answer("application/json", `{"assets": [{"name": "tool-linux-aarch64", "digest": "sha512:00"}]}`), fault.Upstream, []string{`the digest "sha512:00", which is not a SHA-256`}},
		{"wrong types", fake.Answer("application/json", `{"assets": {"name": 7}}`), fault.Upstream, []string{"malformed document"}},
		{"to http", fake.Redirect(302, "http://example.com/"), fault.Policy, []string{"http is only for loopback hosts"}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			p := newPlace(t)
			p.release("v1.2.0", true, map[string][]byte{"tool-linux-aarch64": []byte(linuxARM)})
			p.server.Fault(api, tt.fault)
			p.tool(`"linux-aarch64"`, lines)
			p.fails(tt.class, append(tt.want, "tool 1.2.0"), "update")
			if p.server.Count(api) > 2 {
				t.Errorf("%d requests", p.server.Count(api))
			}
		})
	}

	// A platform that the release has no file for.
	p := newPlace(t)
	p.release("v1.2.0", true, map[string][]byte{"tool-linux-aarch64": []byte(linuxARM), "tool-macos-x86_64": []byte("x")})
	p.tool(armAndWindows, lines)
	p.fails(fault.Upstream, []string{"windows-x86_64", "has no file tool-windows-x86_64.exe; it has tool-linux-aarch64, tool-macos-x86_64"}, "update")
	p.tool(armAndWindows, lines+"optional = true\n")
	p.ok("update")
	if c := p.locked().Plugins["tool"]["1.2.0"].Platforms["windows-x86_64"]; c.Unavailable != "the release has no file for it" {
		t.Errorf("%+v", c)
	}
	// All of them.
	p = newPlace(t)
	p.release("v1.2.0", true, map[string][]byte{"other": []byte(linuxARM)})
	p.tool(armAndWindows, lines)
	p.fails(fault.Upstream, []string{"has no file tool-linux-aarch64; it has other"}, "update")
}

// TestMirrors: a mirror stands in for a host, is in no lock, and its redirects
// are held to the rules.
func TestMirrors(t *testing.T) {
	p := newPlace(t)
	p.server.File("/cache/tool/1.0/linux.zip", fake.Zip(map[string]string{"bin/tool": linuxARM}, "bin/tool"))
	manifest := `platforms = ["linux-aarch64"]

[plugins.tool]
version = "1.0"
source = "https://downloads.example.com/tool/{version}/{os}.zip"
binary = "bin/tool"

[[mirror]]
from = "https://downloads.example.com/other/"
to = "https://nowhere.example.com/"

[[mirror]]
from = "https://downloads.example.com/"
to = "` + p.server.URL + `/cache/"
`
	p.write("plugins.toml", manifest)
	p.ok("update")
	p.ok("check")
	text := p.read("plugins.lock.toml")
	if !strings.Contains(text, "https://downloads.example.com/tool/1.0/linux.zip") || strings.Contains(text, p.server.URL) {
		t.Errorf("lock:\n%s", text)
	}
	var sent []http.Header
	for _, r := range p.server.Requests("") {
		sent = append(sent, r.Header)
	}
	if len(sent) != 1 || sent[0].Get("Authorization") != "" {
		t.Errorf("requests %v", sent)
	}
	p.write("plugins.toml", strings.Replace(manifest, "source = \"https", "source = \"http", 1))
	p.fails(fault.Policy, []string{"http:// is only allowed for loopback hosts"}, "update")
}

// TestNuGet: a package of NuGet by its address is one file for all platforms, with a
// program of each, which nothing in it marks as executable.
func TestNuGet(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.server.File("/grpc.tools.2.76.0.nupkg", fake.Zip(map[string]string{
		"Grpc.Tools.nuspec": "<package/>", "tools/linux_arm64/grpc_csharp_plugin": linuxARM, "tools/windows_x64/grpc_csharp_plugin.exe": winX64,
	}))
	p.write("plugins.toml", "platforms = ["+both+", \"macos-aarch64\"]\n[plugins.grpc-csharp]\nversion = \"2.76.0\"\nsource = \""+p.server.URL+"/grpc.tools.{version}.nupkg\"\n"+
		"os = { macos = \"macosx\" }\narch = { x86_64 = \"x64\", aarch64 = \"arm64\" }\nbinary = \"tools/{os}_{arch}/grpc_csharp_plugin\"\noptional = true\n")
	p.ok("update")
	p.ok("check")
	v := p.locked().Plugins["grpc-csharp"]["2.76.0"]
	if a, w, m := v.Platforms[arm], v.Platforms[win], v.Platforms["macos-aarch64"]; a.Binary != "tools/linux_arm64/grpc_csharp_plugin" || w.Binary != "tools/windows_x64/grpc_csharp_plugin.exe" || m.Unavailable == "" {
		t.Errorf("locked %+v", v)
	}
	if n := p.server.Count("/grpc.tools.2.76.0.nupkg"); n != 1 {
		t.Errorf("%d downloads", n)
	}
}
