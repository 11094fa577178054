package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// releases serves releases of this project as GitHub does, and writes a manifest
// that has a plugin by URL.
func releases(t *testing.T, versions ...string) *place {
	t.Helper()
	p := newPlace(t)
	var list []map[string]any
	for _, version := range versions {
		below := "/github/birbparty/buck2-protobuf/releases/download/v" + version + "/"
		arm, win := []byte(linuxARM+version), []byte(winX64+version)
		p.server.File(below+"fetch-"+version+"-linux-aarch64", arm)
		p.server.File(below+"fetch-"+version+"-windows-x86_64.exe", win)
		p.server.File(below+"SHA256SUMS", fmt.Appendf(nil, "%s  fetch-%s-linux-aarch64\n%s  fetch-%[2]s-windows-x86_64.exe\n", hexSum(arm), version, hexSum(win)))
		release := map[string]any{"tag_name": "v" + version, "published_at": "2026-01-02T03:04:05Z", "assets": []any{
			map[string]any{"name": "fetch-" + version + "-linux-aarch64", "state": "uploaded", "size": len(arm)},
			map[string]any{"name": "fetch-" + version + "-windows-x86_64.exe", "state": "uploaded", "size": len(win)},
		}}
		list = append(list, release)
		doc, err := json.Marshal(release)
		if err != nil {
			t.Fatal(err)
		}
		p.server.File("/api/repos/birbparty/buck2-protobuf/releases/tags/v"+version, doc)
	}
	doc, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	p.server.File("/api/repos/birbparty/buck2-protobuf/releases", doc)
	p.server.File("/other-linux-aarch64", []byte(linuxARM))
	p.server.File("/other-windows-x86_64", []byte(winX64))
	p.manifest("other = { version = \"1\", source = \"" + p.server.URL + "/other-{os}-{arch}\", binary = \"other\" }\n")
	return p
}

// TestTool: the release of fetch that [tool] names is locked by what SHA256SUMS
// says, and every command that reads the lock knows it.
func TestTool(t *testing.T) {
	t.Parallel()
	p := releases(t, "0.1.0", "0.2.0")
	p.ok("update")
	without := p.read("plugins.lock.toml")
	p.ok("add", "fetch@0.1.0")
	if text := p.read("plugins.toml"); !strings.Contains(text, "\n[tool]\nfetch = \"0.1.0\"\n") {
		t.Fatalf("the manifest is\n%s", text)
	}
	p.ok("check")
	v := p.locked().Plugins["fetch"]["0.1.0"]
	f := v.Files["fetch-0.1.0-windows-x86_64.exe"]
	if v.Source != lock.HTTP || v.Trust != "checksum-file" || f.SHA256 != hexSum([]byte(winX64+"0.1.0")) || f.Archive != "" ||
		f.URL != "https://github.com/birbparty/buck2-protobuf/releases/download/v0.1.0/fetch-0.1.0-windows-x86_64.exe" ||
		v.Platforms["windows-x86_64"].Binary != "fetch.exe" || v.Platforms["linux-aarch64"].Binary != "fetch" || v.Platforms["windows-aarch64"].Emulate != "windows-x86_64" {
		t.Errorf("%+v", v)
	}
	for _, args := range [][]string{{"list"}, {"explain", "fetch"}, {"sbom"}, {"sbom", "--format", "spdx"}, {"tree", "fetch"}, {"outdated"}} {
		if out, _ := p.ok(args...); !strings.Contains(out, "fetch") || !strings.Contains(out, "0.1.0") {
			t.Errorf("%v does not tell of fetch:\n%s", args, out)
		}
	}
	p.ok("update", "--verify")
	layout := "oci-layout:" + p.path("mirror")
	if out, talk := p.ok("mirror", "--to", layout, "--json"); !strings.Contains(out, "fetch") && !strings.Contains(talk, "fetch") {
		t.Errorf("mirror does not tell of fetch:\n%s%s", out, talk)
	}

	first := p.read("plugins.lock.toml")
	p.write("before.lock.toml", first)
	p.ok("upgrade", "fetch", "--latest")
	if text := p.read("plugins.toml"); !strings.Contains(text, "\n[tool]\nfetch = \"0.2.0\"\n") {
		t.Errorf("the manifest is\n%s", text)
	}
	if l := p.locked().Plugins["fetch"]; len(l) != 1 || l["0.2.0"] == nil {
		t.Errorf("locked are %v", l)
	}
	if out, _ := p.ok("diff", p.path("before.lock.toml")); !strings.Contains(out, "fetch") || !strings.Contains(out, "0.2.0") {
		t.Errorf("diff:\n%s", out)
	}
	p.ok("update", "fetch@0.1.0")
	if p.read("plugins.lock.toml") != first {
		t.Error("back again, the lock is another one")
	}

	// What stands at a key of [tool] is told with its line.
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), `fetch = "0.1.0"`, `fetch = "0.1.7"`, 1))
	p.fails(fault.Lock, []string{"fetch 0.1.7"}, "check")
	p.fails(fault.Upstream, []string{"fetch 0.1.7", "the newest is 0.2.0"}, "update")
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), `fetch = "0.1.7"`, `fetch = "0.1.0"`, 1))
	p.ok("remove", "fetch")
	if p.read("plugins.lock.toml") != without {
		t.Error("without fetch, the lock is not that of before")
	}
	p.ok("add", "fetch")
	if text := p.read("plugins.toml"); !strings.Contains(text, "\n[tool]\nfetch = \"0.2.0\"\n") {
		t.Errorf("the newest is not added:\n%s", text)
	}
}

// TestToolMerge: two branches that move fetch and a plugin merge.
func TestToolMerge(t *testing.T) {
	t.Parallel()
	p := releases(t, "0.1.0", "0.2.0")
	p.ok("add", "fetch@0.1.0")
	base := p.read("plugins.lock.toml")
	p.ok("update", "fetch@0.2.0")
	ours := p.read("plugins.lock.toml")
	p.write("o", base)
	p.write("a", ours)
	p.write("b", base)
	p.ok("merge-driver", p.path("o"), p.path("a"), p.path("b"))
	if p.read("a") != ours {
		t.Errorf("merged:\n%s", p.read("a"))
	}
}

// TestToolLie: a release whose bytes are not those of SHA256SUMS is refused.
func TestToolLie(t *testing.T) {
	t.Parallel()
	p := releases(t, "0.1.0")
	p.server.File("/github/birbparty/buck2-protobuf/releases/download/v0.1.0/fetch-0.1.0-linux-aarch64", []byte(linuxARM+"evil"))
	p.fails(fault.Integrity, []string{"fetch 0.1.0", "linux-aarch64"}, "add", "fetch@0.1.0")
}
