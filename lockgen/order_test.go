package main

import (
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// TestSourcesInOrder: the first source that serves every platform is locked,
// and which others lost is told.
func TestSourcesInOrder(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newBase(t)
	p.server.Package(fake.Package{Name: "x", Version: "1.0.0", Manifest: map[string]any{"bin": "x", "scripts": map[string]any{"install": "x"}}, Files: map[string]string{"x": "x"}})
	p.server.Wheel(fake.Wheel{Name: "x-wheel", Version: "1.0.0", Tag: "py3-none-manylinux_2_28_aarch64", Files: map[string]string{"bin/x": linuxARM}, Exec: []string{"bin/x"}})
	p.server.File("/x-1.0.0-linux-aarch64", []byte(linuxARM))
	entry := `
[plugins.x]
version = "1.0.0"
binary = "x"
sources = ["npm:x", { source = "pip:x-wheel", binary = "bin/x" }, "` + p.server.URL + `/x-{version}-{os}-{arch}"]
`
	p.manifest(baseEntries + entry)
	// None serves: every source says why.
	p.fails(fault.Policy, []string{"from npm:x", "script", "from pip:x-wheel", "no wheel", "x-1.0.0-windows-x86_64"}, "update")

	p.server.File("/x-1.0.0-windows-x86_64", []byte(winX64))
	_, talk := p.ok("update")
	for _, want := range []string{"x 1.0.0 is locked from " + p.server.URL, "not from npm:x: ", "not from pip:x-wheel: windows-x86_64: "} {
		if !strings.Contains(talk, want) {
			t.Errorf("%q is not in\n%s", want, talk)
		}
	}
	p.ok("check")
	if v := p.locked().Plugins["x"]["1.0.0"]; v.Source != lock.HTTP || v.Runtime != "" {
		t.Errorf("%+v", v)
	}
	explained, _ := p.ok("explain", "x", "--upstream")
	for _, want := range []string{"npm:x", "script", "pip:x-wheel", "can serve"} {
		if !strings.Contains(explained, want) {
			t.Errorf("%q is not in\n%s", want, explained)
		}
	}

	// What is locked stays when an earlier source can serve now; asked for by
	// name, the order counts again.
	p.server.Wheel(fake.Wheel{Name: "x-wheel", Version: "1.0.0", Tag: "py3-none-win_amd64", Files: map[string]string{"bin/x.exe": winX64}})
	first := p.read("plugins.lock.toml")
	p.ok("update")
	if p.read("plugins.lock.toml") != first {
		t.Error("an update with nothing to do fell back")
	}
	p.ok("update", "x")
	if v := p.locked().Plugins["x"]["1.0.0"]; v.Source != lock.Pip || v.Package != "x-wheel" {
		t.Errorf("%+v", v)
	}
	p.ok("check")

	// A source that is out of reach does not lose: the day must not decide.
	p.server.Package(fake.Package{Name: "x", Version: "1.0.0", Manifest: map[string]any{"bin": "x"}, Files: map[string]string{"x": "x"}})
	p.server.Fault("/x", fake.Status(403))
	p.fails(fault.Upstream, []string{"x 1.0.0", "403"}, "update", "x")

	// A source that is not listed any more does not fit.
	p.manifest(baseEntries + strings.Replace(entry, `{ source = "pip:x-wheel", binary = "bin/x" }, `, "", 1))
	p.fails(fault.Lock, []string{"x 1.0.0: source is pip in the lock"}, "check")

	for _, tt := range []struct{ entry, want string }{
		{"x = { version = \"1.0.0\", binary = \"x\", source = \"npm:x\", sources = [\"npm:x\"] }\n", "source or sources"},
		{"x = { version = \"1.0.0\", binary = \"x\", sources = [] }\n", "not a list of sources"},
		{"x = { version = \"1.0.0\", binary = \"x\", sources = [\"npm:x\", \"npm:x\"] }\n", "twice"},
		{"x = { version = \"1.0.0\", binary = \"x\", sources = [{ soruce = \"npm:x\" }] }\n", "did you mean source?"},
		{"x = { version = \"1.0.0\", sources = [\"npm:x\", { source = \"pip:x\", binary = \"x\" }] }\n", "says no binary"},
	} {
		p.manifest(baseEntries + tt.entry)
		p.fails(fault.Usage, []string{tt.want}, "check")
	}
}
