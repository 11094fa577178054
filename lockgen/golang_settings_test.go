package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestGoProject: what the user's repository and settings say of their own code
// changes nothing about a plugin, and runs nothing but Go.
func TestGoProject(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts Go many times; TestGo, TestAddGo and the conformance suite have the usual way")
	p, version := newGoPlace(t)
	withTools := goPlugin
	withTools.Version = "v1.0.0"
	withTools.Files = map[string]string{
		"go.mod":                      "module example.com/Plug\n\ngo 1.21.1\n\ntoolchain go1.99.0\n\ngodebug default=go1.21\n\ntool example.com/dep/cmd/tool\n\nrequire example.com/dep v1.1.0\n",
		"cmd/protoc-gen-plug/main.go": "package main\n\n//go:generate touch /nonexistent\n\nimport \"example.com/dep\"\n\nfunc main() { println(dep.Name) }\n",
		"cmd/protoc-gen-plug/cgo.go":  "package main\n\n// #cgo pkg-config: canary\n// #cgo LDFLAGS: -fplugin=canary\nimport \"C\"\n",
	}
	p.server.Module(withTools)
	p.setenv("GONOSUMDB", "example.com") // the database knows the one of newGoPlace
	entries := "go = \"" + version + "\"\n" + plug("protoc-gen-plug", "")
	p.goManifest(entries)
	p.ok("update")
	want := p.read("plugins.lock.toml")

	program, check := p.canaries(t, "git hg svn bzr fossil ssh gcc g++ cc c++ clang ld ar pkg-config git-remote-https go-tool netrc",
		`CC CXX AR FC PKG_CONFIG GIT_SSH GIT_SSH_COMMAND GIT_ASKPASS GIT_EXEC_PATH GIT_PROXY_COMMAND GIT_EXTERNAL_DIFF SSH_ASKPASS GOCACHEPROG GCCGO GOROOT GOTOOLDIR`)
	for _, kv := range [][2]string{
		{"GOFLAGS", "-toolexec=" + program + " -modfile=/nonexistent -overlay=/nonexistent -mod=vendor"}, {"GOVCS", "*:all"}, {"GOAUTH", program + " x"},
		{"GOTOOLCHAIN", "go1.99.0+path"}, {"GO111MODULE", "off"}, {"GOWORK", p.path("go.work")}, {"CGO_ENABLED", "1"}, {"CGO_CFLAGS", "-fplugin=" + program},
		{"GOOS", "plan9"}, {"GOEXPERIMENT", "nosuch"}, {"GODEBUG", "x=y"}, {"GOINSECURE", "*"}, {"GOMODCACHE", "/nonexistent"}, {"GOPATH", "/nonexistent"},
		{"GIT_DIR", "/nonexistent"}, {"GIT_CONFIG_COUNT", "1"}, {"GIT_CONFIG_KEY_0", "core.sshCommand"}, {"GIT_CONFIG_VALUE_0", program},
	} {
		p.setenv(kv[0], kv[1])
	}
	env := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(env, []byte("GOFLAGS=-toolexec="+program+"\nGOVCS=*:all\nGOAUTH="+program+"\nCC="+program+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.setenv("GOENV", env)
	for name, files := range map[string]map[string]string{
		"a project": {
			"go.mod":  "module m.invalid\n\ngo 1.99\n\ntoolchain go1.99.0\n\nreplace example.com/dep => ./dep\n\nexclude example.com/dep v1.1.0\n\ntool example.com/dep\n",
			"go.work": "go 1.99\n\nuse ./dep\n\nreplace example.com/dep => ./dep\n", "dep/go.mod": "module example.com/dep\n", "dep/dep.go": "package dep\n",
			"vendor/modules.txt": "# example.com/dep v1.0.0\n", ".tool-versions": "golang 1.2\n", ".go-version": "1.2\n",
		},
		"a broken project": {"go.mod": "modul", "go.work": "us"},
	} {
		t.Run(name, func(t *testing.T) {
			q := p.another(t)
			q.cache = p.cache
			q.goManifest(entries)
			for name, text := range files {
				if err := os.MkdirAll(filepath.Dir(q.path(name)), 0o755); err != nil {
					t.Fatal(err)
				}
				q.write(name, text)
			}
			q.ok("update")
			if got := q.read("plugins.lock.toml"); got != want {
				t.Errorf("another lock:\n%s", got)
			}
			check(name)
		})
	}

	// Modules that only a version control has are refused, and so is one whose
	// author replaces another.
	p.server.Module(fake.Module{Path: "example.com/replacing", Version: "v1.0.0", Files: map[string]string{
		"go.mod": "module example.com/replacing\n\ngo 1.21\n\nreplace example.com/dep => example.invalid/fork.git v1.0.0\n", "main.go": "package main\n\nfunc main() {}\n"}})
	p.server.Module(fake.Module{Path: "example.com/needing", Version: "v1.0.0", Files: map[string]string{
		"go.mod": "module example.com/needing\n\ngo 1.21\n\nrequire example.invalid/fork.git v1.0.0\n", "main.go": "package main\n\nimport _ \"example.invalid/fork.git\"\n\nfunc main() {}\n"}})
	p.setenv("GOPRIVATE", "example.invalid")
	p.setenv("GONOSUMDB", "example.com,example.invalid")
	for _, tt := range []struct {
		module, proxy string
		says          []string
	}{
		{"example.com/replacing", "", []string{"go module example.com/replacing@v1.0.0 has replace"}},
		{"example.com/needing", "", []string{"example.com/needing@v1.0.0", "example.invalid/fork.git", "version control"}},
		{"example.invalid/fork.git", "", []string{"go module example.invalid/fork.git@v1.0.0 does not come from a proxy", "GONOPROXY=none"}},
		{"example.invalid/fork.git", "direct", []string{"GOPROXY=direct"}},
	} {
		q := p.another(t)
		q.cache = p.cache
		q.goManifest("go = \"" + version + "\"\n[plugins.x]\nversion = \"1.0.0\"\nsource = \"go:" + tt.module + "\"\nbinary = \"x\"\n")
		if tt.proxy != "" {
			q.setenv("GOPROXY", tt.proxy)
			q.write("plugins.toml", strings.Replace(q.read("plugins.toml"), "go = \""+p.server.GoProxy()+"\"\n", "", 1))
		}
		q.fails(fault.Policy, tt.says, "update")
		check(tt.module)
	}
}
