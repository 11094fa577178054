package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
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
	for _, want := range []string{"npm:x", "script", "pip:x-wheel", "usable"} {
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
		{"x = { version = \"1.0.0\", binary = \"x\", source = \"npm:x\", sources = [\"npm:x\"] }\n", "both source and sources"},
		{"x = { version = \"1.0.0\", binary = \"x\", sources = [] }\n", "not a list of sources"},
		{"x = { version = \"1.0.0\", binary = \"x\", sources = [\"npm:x\", \"npm:x\"] }\n", "twice"},
		{"x = { version = \"1.0.0\", binary = \"x\", sources = [{ soruce = \"npm:x\" }] }\n", "did you mean source?"},
	} {
		p.manifest(baseEntries + tt.entry)
		p.fails(fault.Usage, []string{tt.want}, "check")
	}
}

// TestAskedBeforeDownloaded: that a server has no file for a platform is told before
// any file is downloaded, of this plugin or another one; a server that takes no HEAD,
// or answers it as if nothing were there, is believed when the download begins.
func TestAskedBeforeDownloaded(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]int{"taken": http.StatusOK, "not allowed": http.StatusMethodNotAllowed, "not found": http.StatusNotFound} {
		p := newPlace(t)
		var mu sync.Mutex
		there, bodies := map[string]string{"/b-linux": linuxARM, "/b-windows": winX64, "/a-linux": linuxARM}, 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			body, ok := there[r.URL.Path]
			switch {
			case r.Method == http.MethodHead && head != http.StatusOK:
				w.WriteHeader(head)
			case !ok:
				http.NotFound(w, r)
			case r.Method == http.MethodGet:
				bodies++
				_, _ = w.Write([]byte(body))
			}
		}))
		t.Cleanup(server.Close)
		entry := func(name string) string {
			return "[plugins." + name + "]\nversion = \"1.0.0\"\nsource = \"" + server.URL + "/" + name + "-{os}\"\nbinary = \"" + name + "\"\n"
		}
		p.manifest(entry("a"))
		p.fails(fault.Upstream, []string{"a 1.0.0 for windows-x86_64: ", "404 Not Found: was it deleted?", "optional = true in the entry makes such a platform unavailable instead"}, "update")
		if head == http.StatusOK && bodies > 0 || bodies > 1 { // one was begun to see whether it is there
			t.Errorf("HEAD is %s: %d files were downloaded before it was told", name, bodies)
		}
		p.manifest(entry("a") + "optional = true\n" + entry("b"))
		p.ok("update")
		if v := p.locked().Plugins["a"]["1.0.0"]; v.Platforms["windows-x86_64"].Unavailable != "the server has no file for it" || len(v.Files) != 1 {
			t.Errorf("HEAD is %s: %+v", name, v)
		}
		if v := p.locked().Plugins["b"]["1.0.0"]; len(v.Files) != 2 {
			t.Errorf("HEAD is %s: %+v", name, v)
		}
		mu.Lock()
		there = nil
		mu.Unlock()
		p.manifest(entry("c"))
		p.fails(fault.Upstream, []string{"c 1.0.0", "404 Not Found"}, "update")
	}
}
