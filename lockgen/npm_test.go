package main

import (
	"encoding/base64"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// monorepo is the package.json of a user whose project is for pnpm alone.
const monorepo = `{"name": "monorepo", "private": true, "packageManager": "pnpm@10.0.0", "workspaces": ["packages/*"], "engines": {"node": "99", "npm": "99"},
	"devEngines": {"packageManager": {"name": "pnpm", "version": "10.x", "onFail": "error"}, "runtime": [{"name": "bun", "onFail": "error"}], "os": [{"name": "plan9", "onFail": "error"}],
	"cpu": {"name": "mips", "onFail": "error"}}, "os": ["!linux"], "cpu": ["mips"], "libc": ["musl"], "volta": {"node": "4.0.0"}, "bundleDependencies": true, "overrides": {"x-lib": "file:../lib"},
	"scripts": {"preinstall": "exit 1", "env": "exit 1"}}`

// forOwnCode are settings of npm that are for the packages of a project, or for one
// run of npm in it.
const forOwnCode = "engine-strict=true\noffline=true\nbefore=2000-01-01\nworkspaces=true\nworkspace=a\nos=plan9\ncpu=mips\nlibc=musl\nomit[]=optional\nomit[]=peer\ninclude-workspace-root=false\n" +
	"package-lock=false\nmin-release-age=9999\ninstall-links=true\ninstall-strategy=linked\nstrict-peer-deps=true\ntag=next\nnode-version=4.0.0\ndry-run=true\nforce=true\nloglevel=silent\n"

// guard lets a server answer only to who sends this.
func guard(s *fake.Server, authorization string, paths ...string) {
	for _, path := range paths {
		s.Fault(path, fake.Do(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
			if r.Header.Get("Authorization") != authorization {
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return
			}
			honest(w, r)
		}))
	}
}

// TestNPMConfiguration: what lets `npm view` work lets lockgen work, in a project
// that npm itself refuses: the registry of a scope and the credential for it, for
// documents and for tarballs, and for no other host.
func TestNPMConfiguration(t *testing.T) {
	testenv.OnlyFull(t, "it starts npm many times; TestUpdate and the conformance suite have the usual way")
	needNPM(t)
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:s3cret"))
	t.Parallel()
	for name, tt := range map[string]struct {
		config, want string
		fails        bool
	}{
		"token":                {"//HOST/:_authToken=s3cret-token\n", "Bearer s3cret-token", false},
		"token of a variable":  {"//HOST/:_authToken=${ACME_TOKEN}\n", "Bearer s3cret-token", false},
		"basic":                {"//HOST/:_auth=" + strings.TrimPrefix(basic, "Basic ") + "\n", basic, false},
		"name and password":    {"//HOST/:username=me\n//HOST/:_password=" + base64.StdEncoding.EncodeToString([]byte("s3cret")) + "\n", basic, false},
		"of another host":      {"//elsewhere.example.com/:_authToken=s3cret-token\n", "Bearer s3cret-token", true},
		"another token":        {"//HOST/:_authToken=s3cret-other\n", "Bearer s3cret-token", true},
		"variable without one": {"//HOST/:_authToken=${NO_SUCH_VARIABLE}\n", "Bearer s3cret-token", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newBase(t)
			p.setenv("ACME_TOKEN", "s3cret-token")
			private, cdn := fake.New(t), fake.New(t)
			private.Package(fake.Package{Name: "@acme/x", Version: "1.0.0", Files: map[string]string{"x": "#!/usr/bin/env node\n"},
				Manifest: map[string]any{"bin": map[string]any{"x": "x"}, "dependencies": map[string]any{"x-lib": "^1.0.0", "@acme/far": "1.0.0"}}})
			far := cdn.Package(fake.Package{Name: "@acme/far", Version: "1.0.0"})
			private.Package(fake.Package{Name: "@acme/far", Version: "1.0.0"})
			p.server.Package(fake.Package{Name: "x-lib", Version: "1.0.0", Manifest: map[string]any{"deprecated": "use another"}})
			const doc, file = "/@acme/x", "/@acme/x/-/x-1.0.0.tgz"
			guard(private, tt.want, doc, file, "/@acme/far")
			private.Fault("/@acme/far/-/far-1.0.0.tgz", fake.Redirect(http.StatusFound, far.URL))
			p.write(".npmrc", strings.ReplaceAll(forOwnCode+"@acme:registry="+private.URL+"/\n"+tt.config, "HOST", strings.TrimPrefix(private.URL, "http://")))
			p.write("package.json", monorepo)
			p.write(".nvmrc", "v99\n")
			p.write("npm-shrinkwrap.json", "no JSON")
			p.write("pnpm-workspace.yaml", "packages: ['**']\n")
			p.manifest(baseEntries + "x = { version = \"1.0.0\", source = \"npm:@acme/x\", binary = \"x\" }\n")
			if tt.fails {
				text := p.fails(fault.Upstream, []string{"401 Unauthorized", private.URL, "@acme"}, "update")
				if strings.Contains(text, "s3cret") || strings.Contains(text, "EBADDEVENGINES") {
					t.Errorf("it says %s", text)
				}
				return
			}
			_, said := p.ok("update")
			if n := strings.Count(said, "x-lib@1.0.0 is deprecated"); n != 1 {
				t.Errorf("a deprecation is told %d times: %s", n, said)
			}
			for _, path := range []string{doc, file, "/@acme/far"} {
				if private.Count(path) == 0 {
					t.Errorf("%s was not asked for", path)
				}
			}
			if cdn.Count("") == 0 {
				t.Error("the redirect was not followed")
			}
			for who, s := range map[string]*fake.Server{"the other registry": p.server, "the target of a redirect": cdn} {
				for _, r := range s.Requests("") {
					if auth := r.Header.Get("Authorization"); auth != "" {
						t.Errorf("%s got %s with %s", who, auth, r.Path)
					}
				}
			}
			if text := p.read("plugins.lock.toml"); strings.Contains(text, "s3cret") || strings.Contains(text, "127.0.0.1") {
				t.Error("the lock holds a secret or a host")
			}
		})
	}
}

// TestDirectReferences: lockgen ends with the class of policy, and says which
// package asks for what.
func TestDirectReferences(t *testing.T) {
	needNPM(t)
	p := newBase(t)
	p.server.Package(fake.Package{Name: "mid", Version: "1.0.0", Manifest: map[string]any{"optionalDependencies": map[string]any{"evil": "git+file:///tmp/evil"}}})
	p.server.Package(fake.Package{Name: "x", Version: "1.0.0", Files: map[string]string{"x": "#!/usr/bin/env node\n"},
		Manifest: map[string]any{"bin": map[string]any{"x": "x"}, "dependencies": map[string]any{"mid": "*"}}})
	p.manifest(baseEntries + "x = { version = \"1.0.0\", source = \"npm:x\", binary = \"x\" }\n")
	before := p.read("plugins.lock.toml")
	p.fails(fault.Policy, []string{"x 1.0.0", "npm package mid@1.0.0 depends on evil from git+file:///tmp/evil, not from a registry", "#direct-references"}, "update")
	if p.read("plugins.lock.toml") != before {
		t.Error("the lock has changed")
	}
	if _, err := os.Stat(p.path("package.json")); err == nil {
		t.Error("npm wrote into the project")
	}
}

// TestNPMDeprecated: what a publisher says of a package is told once, in how many
// folders of a closure it may lie.
func TestNPMDeprecated(t *testing.T) {
	p := newBase(t)
	for _, x := range []string{"1.0.0", "2.0.0"} {
		p.server.Package(fake.Package{Name: "x", Version: x, Manifest: map[string]any{"deprecated": "use another"}})
	}
	needs := func(list ...string) map[string]any {
		deps := map[string]any{}
		for _, d := range list {
			name, version, _ := strings.Cut(d, "@")
			deps[name] = version
		}
		return deps
	}
	for _, name := range []string{"a", "b"} {
		p.server.Package(fake.Package{Name: name, Version: "1.0.0", Manifest: map[string]any{"dependencies": needs("x@1.0.0")}})
	}
	p.server.Package(fake.Package{Name: "tool", Version: "1.0.0", Files: map[string]string{"tool": "#!/usr/bin/env node\n"},
		Manifest: map[string]any{"bin": map[string]any{"tool": "tool"}, "dependencies": needs("a@1.0.0", "b@1.0.0", "x@2.0.0")}})
	p.manifest(baseEntries + "[plugins.tool]\nversion = \"1.0.0\"\nsource = \"npm:tool\"\nbinary = \"tool\"\n")
	_, talk := p.ok("update")
	if n := len(p.locked().Plugins["tool"]["1.0.0"].Files); n != 6 {
		t.Fatalf("%d folders", n)
	}
	for _, x := range []string{"x@1.0.0", "x@2.0.0"} {
		if told := "npm package " + x + " is deprecated: use another\n"; strings.Count(talk, told) != 1 {
			t.Errorf("%q is not told once:\n%s", told, talk)
		}
	}
}

// TestNPMPrograms: an executable of an npm package that is compiled runs as what it
// is, and not by node: where a bin or a path names it, where a template has one for
// each platform, and in the package of a platform. What is for another processor, is
// not executable, or needs two ways to be started is refused.
func TestNPMPrograms(t *testing.T) {
	t.Parallel()
	p := newBase(t)
	publish := func(name string, files map[string]string, exec []string, more map[string]any) {
		p.server.Package(fake.Package{Name: name, Version: "1.0.0", Files: files, Exec: exec, Manifest: more})
	}
	all := map[string]string{"bin/x-linux-aarch_64": linuxARM, "bin/x-win.exe": winX64, "cli.js": "#!/usr/bin/env node\n"}
	publish("many", all, []string{"bin/x-linux-aarch_64"}, map[string]any{"bin": map[string]any{"x": "cli.js"}})
	publish("one", map[string]string{"x": linuxARM}, nil, map[string]any{"bin": "x", "os": []string{"linux"}, "cpu": []string{"arm64"}})
	publish("limp", map[string]string{"bin/x-linux-aarch_64": linuxARM}, nil, nil)
	publish("both", map[string]string{"x": linuxARM, "x.js": "1\n"}, []string{"x"}, map[string]any{"bin": map[string]any{"x": "x"}})
	words := "os = { macos = \"osx\" }, arch = { aarch64 = \"aarch_64\" } }\n"
	many := "many = { version = \"1.0.0\", source = \"npm:many\", binary = \"node_modules/many/bin/x-{os}-{arch}\", platforms.windows-x86_64 = { binary = \"node_modules/many/bin/x-win.exe\" }, " + words
	p.manifest(baseEntries + many + "one = { version = \"1.0.0\", source = \"npm:one\", binary = \"one\", optional = true }\n")
	p.fails(fault.Usage, []string{"binary = \"node_modules/one/x\""}, "update")
	p.manifest(baseEntries + many + "one = { version = \"1.0.0\", source = \"npm:one\", binary = \"node_modules/one/x\", optional = true }\n")
	p.ok("update")
	p.ok("check")
	l := p.locked()
	for name, want := range map[string]string{"many": "node_modules/many/bin/x-linux-aarch_64", "one": "node_modules/one/x"} {
		if v := l.Plugins[name]["1.0.0"]; v.Runtime != "" || v.Platforms["linux-aarch64"].Binary != want {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if cell := l.Plugins["many"]["1.0.0"].Platforms["windows-x86_64"]; cell.Binary != "node_modules/many/bin/x-win.exe" {
		t.Errorf("%+v", cell)
	}
	// Another node changes nothing for it.
	first := p.read("plugins.lock.toml")
	p.ok("update", "many")
	if p.read("plugins.lock.toml") != first {
		t.Error("an update gives another lock")
	}
	for name, want := range map[string][]string{
		"limp = { version = \"1.0.0\", source = \"npm:limp\", binary = \"node_modules/limp/bin/x-{os}-{arch}\", optional = true, " + words:                                        {"not marked as executable"},
		"both = { version = \"1.0.0\", source = \"npm:both\", binary = \"x\", platforms.windows-x86_64 = { binary = \"node_modules/both/x.js\" } }\n":                             {"a program for linux-aarch64", "a script for windows-x86_64"},
		"many = { version = \"1.0.0\", source = \"npm:many\", binary = \"node_modules/many/bin/x-linux-aarch_64\" }\n":                                                            {"windows-x86_64", "found linux aarch64"},
		"many = { version = \"1.0.0\", source = \"npm:many\", binary = \"node_modules/many/cli{exe}.js\", platforms.windows-x86_64 = { binary = \"node_modules/many/{os}\" } }\n": {"there is no node_modules/many/windows"},
	} {
		p.manifest(baseEntries + name)
		status, _, talk := p.run("update")
		for _, text := range want {
			if status == 0 || !strings.Contains(talk, text) {
				t.Errorf("%s: status %d, %q is not in\n%s", name, status, text, talk)
			}
		}
	}
}
