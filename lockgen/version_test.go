package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestAgeOfCrates: cargo's own choices wait, those of a crate's Cargo.lock were
// made by its publisher.
func TestAgeOfCrates(t *testing.T) {
	t.Parallel()
	p, _ := newCargoPlace(t)
	leaf := p.server.Crate(fake.Crate{Name: "leaf", Version: "1.1.0", Released: daysAgo(2)})
	deps := []fake.CrateDep{{Name: "leaf", Req: "^1"}}
	main := map[string]string{"src/main.rs": "fn main() {}\n"}
	p.server.Crate(fake.Crate{Name: "tool", Version: "1.0.0", Deps: deps, Files: main})
	write := func(version, policy string) {
		p.cargoManifest("[plugins]\ntool = { version = \"" + version + "\", source = \"cargo:tool\", binary = \"tool\" }\n" + policy)
	}
	write("1.0.0", "")
	p.fails(fault.Policy, []string{"cargo package leaf 1.1.0 is too recent: it was released 2 days ago", `name = "cargo:leaf"`}, "update")
	write("1.0.0", "[policy]\nexceptions = [{ name = \"cargo:leaf\", version = \"1.1.0\", reason = \"x\", until = 2099-01-01 }]\n")
	p.ok("update")
	p.ok("remove", "tool")

	files := map[string]string{"src/main.rs": "fn main() {}\n", "Cargo.lock": "version = 3\n\n[[package]]\nname = \"leaf\"\nversion = \"1.1.0\"\nsource = \"" + sourceOfCargo(t) +
		"\"\nchecksum = \"" + leaf.SHA256 + "\"\n\n[[package]]\nname = \"tool\"\nversion = \"1.1.0\"\ndependencies = [\n \"leaf\",\n]\n"}
	p.server.Crate(fake.Crate{Name: "tool", Version: "1.1.0", Deps: deps, Files: files})
	write("1.1.0", "")
	p.ok("update")
	if f := p.locked().Plugins["tool"]["1.1.0"].Files; len(f) != 2 {
		t.Errorf("locked %v", f)
	}
	// An index without times, such as an older mirror's.
	p.server.NoTimes(true)
	p.server.Crate(fake.Crate{Name: "old", Version: "1.0.0", Files: main})
	p.cargoManifest("[plugins]\nold = { version = \"^1\", source = \"cargo:old\", binary = \"old\" }\n")
	p.fails(fault.Policy, []string{"every version of cargo:old", "the registry does not say when it was released"}, "update")
}

// TestPublisherTimes: what [policy] lets count, where there is no other clock.
func TestPublisherTimes(t *testing.T) {
	t.Parallel()
	p, o := newRegistry(t, "")
	for _, version := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		l := o.Blob(fake.OCILayer, "", toolTar(linuxARM+version))
		created := daysAgo(map[string]int{"1.0.0": 100, "1.1.0": 30, "1.2.0": 2}[version]).UTC().Format(time.RFC3339)
		config := o.Blob("application/vnd.oci.empty.v1+json", "", []byte("{}"))
		o.Document("v"+version, fake.OCIManifest, map[string]any{
			"schemaVersion": 2, "mediaType": fake.OCIManifest, "config": config, "layers": []any{l},
			"annotations": map[string]string{"org.opencontainers.image.created": created},
		})
		o.Manifest("v"+version, l) // so that the registry lists the tag
	}
	write := func(spec, policy string) {
		p.write("plugins.toml", "platforms = [\"linux-aarch64\"]\n[plugins.tool]\nversion = \""+spec+"\"\nsource = \"oci://"+o.Host+"/acme/tool:v{version}\"\nbinary = \"tool\"\n"+policy)
	}
	write("^1", "")
	p.fails(fault.Policy, []string{"every version", "only its publisher says when it was released; this machine first saw it 0 hours ago", "lockgen add tool@1.0.0"}, "update")
	write("^1", "[policy]\npublisher-times = [\"oci\"]\n")
	p.ok("update")
	if l := p.locked().Plugins["tool"]; len(l) != 1 || l["1.1.0"] == nil {
		t.Errorf("locked %v", l)
	}
	if out, _ := p.ok("outdated"); !strings.Contains(out, "1.2.0: it was released 2 days ago") {
		t.Error(out)
	}
	write("^1", "[policy]\npublisher-times = [\"npm\"]\n")
	p.fails(fault.Usage, []string{`source "npm" has no release times set by publishers`}, "check")
	// A tag that names something else now is as old as that.
	write("^1", "")
	p.now = time.Now().AddDate(0, 0, 8)
	p.ok("outdated")
	o.Document("v1.2.0", fake.OCIManifest, map[string]any{
		"schemaVersion": 2, "mediaType": fake.OCIManifest, "config": o.Blob("application/vnd.oci.empty.v1+json", "", []byte("{}")),
		"layers": []any{o.Blob(fake.OCILayer, "", toolTar(linuxARM+"other"))},
	})
	if out, _ := p.ok("outdated"); !strings.Contains(out, "1.2.0: only its publisher says") {
		t.Error(out)
	}
}

// TestPublisherTimesBeside: a source that knows the times of older versions does not
// make another one, which knows none, go back to them.
func TestPublisherTimesBeside(t *testing.T) {
	p, o := newRegistry(t, "")
	p.gitHubReleases("acme/tool", "1.0.0", "1.1.0")
	push := func(version string, days int) {
		l := o.Blob(fake.OCILayer, "", toolTar(linuxARM+version))
		o.Document("v"+version, fake.OCIManifest, map[string]any{
			"schemaVersion": 2, "mediaType": fake.OCIManifest, "config": o.Blob("application/vnd.oci.empty.v1+json", "", []byte("{}")), "layers": []any{l},
			"annotations": map[string]string{"org.opencontainers.image.created": daysAgo(days).UTC().Format(time.RFC3339)},
		})
		o.Manifest("v"+version, l)
	}
	push("1.3.0", 2)
	write := func(policy string) {
		p.remove("plugins.lock.toml")
		p.write("plugins.toml", "platforms = [\"linux-aarch64\"]\n[plugins.tool]\nversion = \"1.0.0\"\nsources = [\"github:acme/tool\", \"oci://"+o.Host+
			"/acme/tool:v{version}\"]\nasset = \"tool-{os}-{arch}\"\nbinary = \"tool\"\n[[mirror]]\nfrom = \"https://github.com/\"\nto = \""+p.server.URL+
			"/github/\"\n[[mirror]]\nfrom = \"https://api.github.com/\"\nto = \""+p.server.URL+"/api/\"\n"+policy)
	}
	for _, tt := range []struct{ policy, version, says string }{
		{"", "1.1.0", "skipped tool 1.3.0: it was released 2 days ago"},
		{"", "1.2.0", "warning: trusting the publisher's release time of tool 1.2.0"},
		{"[policy]\nminimum-release-age = \"7d\"\n", "1.1.0", "skipped tool 1.3.0: only its publisher says"},
	} {
		write(tt.policy)
		_, talk := p.ok("add", "tool")
		if l := p.locked().Plugins["tool"]; l[tt.version] == nil || !strings.Contains(talk, tt.says) {
			t.Errorf("%q: want %s and %q, locked %v\n%s", tt.policy, tt.version, tt.says, l, talk)
		}
		push("1.2.0", 30)
	}
}

// TestReleasePages: lists of GitHub that go on on further pages, which end.
func TestReleasePages(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	body := []byte(linuxARM)
	asset := func(name string) map[string]any {
		return map[string]any{"name": name, "state": "uploaded", "digest": "sha256:" + hexSum(body), "created_at": fake.Released, "updated_at": fake.Released}
	}
	var first, second []map[string]any
	for i := range 100 {
		first = append(first, asset(fmt.Sprintf("other-%d", i)))
	}
	second = append(second, asset("tool-linux-aarch64"))
	doc := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	// The fake server knows no query: pages come in turn.
	const releases = "/api/repos/acme/tool/releases"
	pages := func(bodies ...string) []fake.Fault {
		var faults []fake.Fault
		for _, b := range bodies {
			faults = append(faults, fake.Answer("application/json", b).Once())
		}
		return faults
	}
	p.server.File(releases+"/tags/v1.2.0", []byte(doc(map[string]any{"id": 9, "tag_name": "v1.2.0", "published_at": fake.Released, "assets": first[:30]})))
	p.server.File("/github/acme/tool/releases/download/v1.2.0/tool-linux-aarch64", body)
	p.server.Fault(releases+"/9/assets", pages(doc(first), doc(second))...)
	p.tool(`"linux-aarch64"`, "asset = \"tool-{os}-{arch}\"\n")
	p.ok("update")
	if n := p.server.Count(releases + "/9/assets"); n != 2 {
		t.Errorf("%d pages", n)
	}
	if v := p.locked().Plugins["tool"]["1.2.0"]; v.Trust != "registry" {
		t.Errorf("trust %s", v.Trust)
	}
	// Pages without end.
	if err := os.Remove(p.path("plugins.lock.toml")); err != nil {
		t.Fatal(err)
	}
	p.server.Forget()
	p.server.Fault(releases+"/9/assets", fake.Answer("application/json", doc(first)))
	p.tool(`"linux-aarch64"`, "asset = \"tool-{os}-{arch}\"\n")
	p.fails(fault.Upstream, []string{"has no file tool-linux-aarch64"}, "update")
	if n := p.server.Count(releases + "/9/assets"); n != 20 {
		t.Errorf("%d pages of an endless list", n)
	}
	// The list of releases: the version is on its second page.
	var many []map[string]any
	for i := range 100 {
		many = append(many, map[string]any{"id": i, "tag_name": fmt.Sprintf("other-%d", i), "published_at": fake.Released, "assets": []any{}})
	}
	last := []map[string]any{{"id": 9, "tag_name": "v1.2.0", "published_at": fake.Released, "assets": second},
		{"id": 10, "tag_name": "v1.3.0", "draft": true, "published_at": nil, "assets": second}}
	p.server.Fault(releases, pages(doc(many), doc(last))...)
	p.server.Fault(releases + "/9/assets")
	p.server.Forget()
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), `version = "1.2.0"`, `version = "^1"`, 1))
	p.ok("update")
	if l := p.locked().Plugins["tool"]; len(l) != 1 || l["1.2.0"] == nil {
		t.Errorf("locked %v", l)
	}
	if n := p.server.Count(releases + "/tags/v1.2.0"); n != 0 {
		t.Errorf("%d requests for a release that the list has", n)
	}
	p.server.Fault(releases, fake.Status(403, "X-Ratelimit-Remaining", "0", "X-Ratelimit-Reset", "1795000000"))
	p.fails(fault.Upstream, []string{"rate limit reached, it resets at", "GITHUB_TOKEN"}, "update", "--all")
}
