package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

// gitHubReleases publishes releases of acme/NAME, each with a file for one
// platform, on the server that stands in for GitHub.
func (p *place) gitHubReleases(repo string, versions ...string) {
	p.t.Helper()
	type asset struct {
		Name   string `json:"name"`
		State  string `json:"state"`
		Digest string `json:"digest"`
	}
	var list []map[string]any
	for _, version := range versions {
		body := []byte(linuxARM + repo + version)
		p.server.File("/github/"+repo+"/releases/download/v"+version+"/tool-linux-aarch64", body)
		doc := map[string]any{"id": 1, "tag_name": "v" + version, "published_at": fake.Released, "assets": []asset{{"tool-linux-aarch64", "uploaded", "sha256:" + hexSum(body)}}}
		list = append(list, doc)
		p.json("/api/repos/"+repo+"/releases/tags/v"+version, doc)
	}
	p.json("/api/repos/"+repo+"/releases", list)
}

func (p *place) json(path string, doc any) {
	p.t.Helper()
	body, err := json.Marshal(doc)
	if err != nil {
		p.t.Fatal(err)
	}
	p.server.File(path, body)
}

// TestNewestOfAll: the newest version is that of all sources, the order decides
// between those that have it, and the choice never goes back in silence.
func TestNewestOfAll(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.timeouts = remote.Timeouts{RetryWait: time.Millisecond}
	asks := func(version string) {
		p.manifest("tool = { version = \"" + version + "\", sources = [\"github:acme/a\", \"github:acme/b\", \"github:acme/c\"], asset = \"tool-{os}-{arch}\", binary = \"tool\", optional = true }\n")
	}
	from := func() string {
		t.Helper()
		for version, v := range p.locked().Plugins["tool"] {
			return version + " " + strings.TrimPrefix(v.Files["tool-linux-aarch64"].URL, "https://github.com/acme/")[:1]
		}
		return ""
	}
	asks("latest")
	p.gitHubReleases("acme/a", "1.0.0", "1.1.0")
	p.gitHubReleases("acme/b", "1.0.0", "1.1.0", "1.2.0")
	p.gitHubReleases("acme/c", "1.2.0", "2.0.0-rc1")
	p.ok("update")
	if got := from(); got != "1.2.0 b" {
		t.Errorf("latest is %s, want that of b", got)
	}
	rows, _ := p.ok("outdated", "--json")
	if !strings.Contains(rows, `"allowed": "1.2.0"`) || !strings.Contains(rows, `"latest": "1.2.0"`) {
		t.Errorf("outdated: %s", rows)
	}
	p.gitHubReleases("acme/a", "1.0.0", "1.1.0", "1.2.0", "1.3.0")
	rows, _ = p.ok("outdated", "--json")
	if !strings.Contains(rows, `"allowed": "1.3.0"`) {
		t.Errorf("outdated asks the locked source alone: %s", rows)
	}
	p.ok("update", "--all")
	if got := from(); got != "1.3.0 a" {
		t.Errorf("latest is %s, want that of a", got)
	}

	// The newest version that no source can serve gives way to the next, which is
	// told.
	p.remove("plugins.lock.toml")
	doc := map[string]any{"id": 1, "tag_name": "v1.4.0", "published_at": fake.Released, "assets": []map[string]any{{"name": "tool-other", "state": "uploaded"}}}
	p.json("/api/repos/acme/c/releases", []any{doc})
	_, talk := p.ok("update")
	if got := from(); got != "1.3.0 a" || !strings.Contains(talk, "not 1.4.0 from github:acme/c") {
		t.Errorf("%s, and it says\n%s", got, talk)
	}

	// A source that is out of reach is told, with what it was asked; what is
	// locked does not go back for it.
	p.server.Fault("/api/repos/acme/b/releases", fake.Status(500))
	_, talk = p.ok("update", "--all")
	for _, want := range []string{"github:acme/b could not be asked", "/api/repos/acme/b/releases", "500", "newer one than 1.4.0"} {
		if !strings.Contains(talk, want) {
			t.Errorf("%q is not in\n%s", want, talk)
		}
	}
	p.server.Fault("/api/repos/acme/a/releases", fake.Status(500))
	p.fails(fault.Upstream, []string{"1.4.0 from github:acme/c", "tool-other", "from github:acme/a", "500"}, "update", "--all")
	rows, _ = p.ok("outdated")
	if !strings.Contains(rows, "could not ask github:acme/a") {
		t.Errorf("outdated: %s", rows)
	}
	p.gitHubReleases("acme/c", "1.2.0")
	p.fails(fault.Upstream, []string{"1.3.0 is locked", "github:acme/a could not be asked", "have only 1.2.0", "500"}, "update", "--all")
	p.server.Fault("/api/repos/acme/c/releases", fake.Status(500))
	p.fails(fault.Upstream, []string{"tool", "500"}, "update", "--all")
}
