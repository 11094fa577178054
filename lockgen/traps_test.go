package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestNoForeignCode: whatever programs are first on PATH, and whatever the variables and
// the files of a user and of a project tell clients to run, lockgen runs none of it,
// and locks the same.
func TestNoForeignCode(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it starts every client")
	for _, s := range stands(t) {
		name := cmp.Or(s.name, s.kind)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s.need != nil {
				s.need(t)
				testenv.OnlyFull(t, "a client starts for each; it is tried with http, github, maven and oci, and TestCargoProject and TestGoProject lay some")
			}
			r := s.newRing(t)
			start := r.read("plugins.lock.toml")
			r.ok("update")
			want := r.read("plugins.lock.toml")
			r.cache = t.TempDir()
			r.keepGoBuild()
			if r.write("plugins.lock.toml", start); start == "" {
				if err := os.Remove(r.path("plugins.lock.toml")); err != nil {
					t.Fatal(err)
				}
			}
			x := fake.LayTraps(t, r.dir)
			for _, kv := range x.Env {
				r.setenv(kv[0], kv[1])
			}
			held := len(x.Hooks)
			for _, args := range [][]string{{"update"}, {"outdated"}, {"check", "--upstream"}, {"update", "tool"}, {"check"}, {"mirror", "--to", "oci-layout:" + r.path("mirror")}} {
				status, stdout, stderr := r.run(args...)
				if status != 0 {
					t.Errorf("lockgen %v: exit %d\n%s%s", args, status, stdout, stderr)
				}
				if said := x.Sprung(); said != "" {
					held = 0
					t.Errorf("lockgen %v: this ran:\n%s", args, said)
				}
			}
			if r.read("plugins.lock.toml") != want {
				t.Errorf("another lock:\n%s", r.read("plugins.lock.toml"))
			}
			testenv.Held(t, "a program on PATH, a variable, or a file of the user or the project that a client would run: it does not run at lock time", name, len(x.Hooks), held)
		})
	}
}

// TestForeignReferences: what a package needs from elsewhere than its registry, or would
// run when it is installed, is refused, and nothing is asked or run for it.
func TestForeignReferences(t *testing.T) {
	t.Parallel()
	type reference struct{ kind, name string }
	var rows []reference
	for _, to := range []string{
		"git+https://HOST/x.git", "git+ssh://git@HOST/x.git", "git://HOST/x.git", "git+file://DIR", "git@HOST:a/x.git", "github:a/x", "gitlab:a/x", "bitbucket:a/x", "gist:0123", "a/x",
		"http://HOST/direct.tgz", "https://HOST/direct.tgz", "file:DIR", "link:DIR", "workspace:*",
		"script preinstall", "script install", "script postinstall", "binding.gyp", "script of a dependency",
	} {
		rows = append(rows, reference{"npm", to})
	}
	for _, to := range []string{
		"git+https://HOST/x.git", "git+ssh://git@HOST/x.git", "hg+https://HOST/x", "svn+https://HOST/x", "bzr+https://HOST/x", "http://HOST/x-1.0-py3-none-any.whl", "https://HOST/x-1.0-py3-none-any.whl", "file://DIR/x-1.0-py3-none-any.whl",
	} {
		rows = append(rows, reference{"pip", to})
	}
	for _, to := range []string{"build.rs", "a procedural macro", "another registry"} {
		rows = append(rows, reference{"cargo", to})
	}
	counts := map[string]func(t *testing.T){}
	for _, s := range stands(t) {
		counts[s.kind] = testenv.Rows(t, "a dependency from elsewhere than the registry, or code that a package would run when it is installed: exit 6, nothing asked or run", s.kind)
	}
	for i, row := range rows {
		t.Run(row.kind+"/"+row.name, func(t *testing.T) {
			var s *stand
			for _, one := range stands(t) {
				if one.kind == row.kind {
					s = one
				}
			}
			s.need(t)
			testenv.Sample(t, i, len(rows))
			counts[row.kind](t)
			r := s.newRing(t)
			x := fake.LayTraps(t, r.dir)
			to := strings.NewReplacer("HOST", strings.TrimPrefix(r.server.URL, "http://"), "DIR", r.path("direct")).Replace(row.name)
			fake.Write(t, r.path("direct/package.json"), `{"name": "x", "version": "1.0.0"}`)
			r.publishDirect(row.kind, to)
			for _, kv := range x.Env {
				r.setenv(kv[0], kv[1])
			}
			r.asks("2.0.0", "", arm)
			r.server.Forget()
			text := r.fails(fault.Policy, []string{"tool 2.0.0"}, "update")
			if said := x.Sprung(); said != "" {
				t.Errorf("this ran:\n%s", said)
			}
			for _, q := range r.server.Requests("") {
				if strings.Contains(q.Path, "direct") || strings.Contains(q.Path, "x.git") || strings.Contains(q.Path, "x-1.0") || strings.HasPrefix(q.Path, "/a/x") {
					t.Errorf("%s was asked for\n%s", q.Path, text)
				}
			}
		})
	}
}

// publishDirect publishes version 2.0.0 of the plugin, which needs something directly,
// or runs code when it is installed.
func (r *ring) publishDirect(kind, to string) {
	r.t.Helper()
	script := func(name string) map[string]any { return map[string]any{name: "touch " + r.path("ran")} }
	switch kind {
	case "npm":
		p := fake.Package{Name: "tool", Version: "2.0.0", Files: map[string]string{"tool": "#!/usr/bin/env node\n"}, Manifest: map[string]any{"bin": map[string]any{"tool": "tool"}}}
		switch name, of, _ := strings.Cut(to, " "); {
		case to == "script of a dependency":
			r.server.Package(fake.Package{Name: "x", Version: "1.0.0", Manifest: map[string]any{"scripts": script("postinstall"), "hasInstallScript": true}})
			p.Manifest["dependencies"] = map[string]any{"x": "1.0.0"}
		case name == "script":
			p.Manifest["scripts"], p.Manifest["hasInstallScript"] = script(of), true
		case to == "binding.gyp":
			p.Files["binding.gyp"], p.Manifest["hasInstallScript"], p.Manifest["gypfile"] = "{}\n", true, true
		default:
			p.Manifest["dependencies"] = map[string]any{"x": to}
		}
		r.server.Package(p)
	case "pip":
		r.server.Wheel(fake.Wheel{Name: "tool", Version: "2.0.0", Requires: []string{"x @ " + to}, Files: map[string]string{"tool/bin/tool": linuxARM}, Exec: []string{"tool/bin/tool"}})
	case "cargo":
		main := map[string]string{"src/main.rs": mainFile}
		tool := fake.Crate{Name: "tool", Version: "2.0.0", Files: main}
		switch to {
		case "build.rs":
			main["build.rs"] = fmt.Sprintf("fn main() { std::fs::write(%q, \"x\").unwrap(); }\n", r.path("ran"))
		case "a procedural macro":
			r.server.Crate(fake.Crate{Name: "x", Version: "1.0.0", Extra: "\n[lib]\nproc-macro = true\n"})
			tool.Deps = []fake.CrateDep{{Name: "x", Req: "^1"}}
		default:
			r.server.Crate(fake.Crate{Name: "x", Version: "1.0.0"})
			tool.Deps = []fake.CrateDep{{Name: "x", Req: "^1", Registry: "https://elsewhere.invalid/index/"}}
		}
		r.server.Crate(tool)
	default:
		r.t.Fatalf("no direct references of %s", kind)
	}
}
