package main

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/birbparty/buck2-protobuf/internal/cargo"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/gotool"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestRows runs the scripts of testdata/rows: what a new user types, in an empty
// folder or in a repository, and what comes of it. Lockgen and fetch are processes of
// their own, which share a cache and a server of every registry. Besides the commands
// of [testscript] there are
//
//	fails STATUS PROGRAM ARGS…   demands an exit status
//	expand FILE                  replaces $NAME in a file
//	asked COUNT PATH             counts downloads of a file so far
func TestRows(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newPlace(t)
	for _, version := range []string{"22.1.0", "24.19.0"} {
		p.publishNode(version)
	}
	for _, version := range []string{"29.0", "30.2"} {
		p.publishProtoc(version)
	}
	for _, version := range []string{"2.7.2", "2.7.7", "2.8.0", "2.18.0"} {
		p.publishTSProto(version)
	}
	p.server.Package(fake.Package{Name: "acme-codegen", Version: "1.4.0", Manifest: map[string]any{"bin": map[string]any{"protoc-gen-acme": "./main.js", "acme-lint": "./lint.js"}},
		Files: map[string]string{"main.js": "#!/usr/bin/env node\n", "lint.js": "#!/usr/bin/env node\n"}})
	p.server.Package(fake.Package{Name: "acme-native", Version: "1.0.0", Files: map[string]string{"linux-aarch64/tool": linuxARM, "windows-x86_64/tool.exe": winX64}, Exec: []string{"linux-aarch64/tool"}})
	p.server.File("/dl/lint-1.2.0-linux-aarch64.tar.gz", toolTar(linuxARM))
	p.server.File("/dl/echo-1.0.0.tar.gz", fake.Tarball("", map[string]string{"echo": "#!/bin/sh\necho said: \"$@\"\n"}, "echo"))
	p.server.File("/dl/protoc-gen-goo-1.2.0-linux-aarch64.tar.gz", fake.Tarball("", map[string]string{"protoc-gen-goo": linuxARM}, "protoc-gen-goo"))
	p.server.Crate(fake.Crate{Name: "loud", Version: "1.0.0", Files: map[string]string{
		"build.rs": mainFile, "Cargo.toml": "[package]\nname = \"loud\"\nversion = \"1.0.0\"\nedition = \"2021\"\nauthors = [\"Ann Author\"]\n",
	}})
	p.server.Crate(fake.Crate{Name: "protoc-gen-prost", Version: "0.5.0", Files: map[string]string{"src/main.rs": mainFile}, Deps: []fake.CrateDep{{Name: "loud", Req: "^1"}}})
	goVersion := ""
	if g, err := gotool.Find(t.Context()); err == nil {
		if goVersion, err = g.Version(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.publishGo(goVersion)
		testenv.KeepGoCache(t, filepath.Join(p.cache, "go-build"))
	}
	for version, days := range map[string]int{"v1.36.0": 400, "v1.37.0": 2} {
		p.server.Module(fake.Module{Path: "google.golang.org/protobuf", Version: version, Released: daysAgo(days), Files: map[string]string{
			"go.mod": "module google.golang.org/protobuf\n\ngo 1.21\n", "cmd/protoc-gen-go/main.go": "package main\n\nfunc main() {}\n",
		}})
	}
	_, noCargo := cargo.Find(t.Context())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	host, _ := lock.Host()
	sumDB := p.server.SumDB()
	programs := map[string]string{"lockgen": self, "fetch": fetchProgram(t)}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/rows",
		Setup: func(env *testscript.Env) error {
			for name, value := range map[string]string{
				"HOME": os.Getenv("HOME"), "USERPROFILE": os.Getenv("USERPROFILE"), // shims find their programs there
				asLockgen: "1", "BUCK2_PROTOBUF_CACHE_DIR": p.cache, "SERVER": p.server.URL, "GOVERSION": goVersion, "HOST": host.Name,
				"npm_config_registry": p.server.URL + "/", "npm_config_cache": os.Getenv("npm_config_cache"), "npm_config_fetch_retries": "0",
				"PIP_INDEX_URL": p.server.URL + "/simple/", "PIP_CONFIG_FILE": os.DevNull, "PIP_RETRIES": "0",
				"GOENV": "off", "GOPROXY": p.server.GoProxy(), "GOSUMDB": sumDB, "GOPRIVATE": "", "GONOSUMDB": "",
				// Other sources of what a script adds are behind a proxy that refuses.
				"HTTPS_PROXY": p.server.URL, "https_proxy": p.server.URL, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
			} {
				env.Setenv(name, value)
			}
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "cargo":
				return noCargo == nil, nil
			case "go":
				return goVersion != "", nil
			}
			return false, errors.New("unknown condition " + name)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"lockgen": succeeds(programs["lockgen"]),
			"fetch":   succeeds(programs["fetch"]),
			"fails": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 || programs[args[1]] == "" {
					ts.Fatalf("usage: fails STATUS lockgen|fetch ARGS…")
				}
				var exit *exec.ExitError
				err := ts.Exec(programs[args[1]], args[2:]...)
				if want, _ := strconv.Atoi(args[0]); !errors.As(err, &exit) || exit.ExitCode() != want {
					ts.Fatalf("%v, expected exit status %s", err, args[0])
				}
			},
			"expand": func(ts *testscript.TestScript, _ bool, args []string) {
				for _, name := range args {
					ts.Check(os.WriteFile(ts.MkAbs(name), []byte(os.Expand(ts.ReadFile(name), ts.Getenv)), 0o644))
				}
			},
			"asked": func(ts *testscript.TestScript, _ bool, args []string) {
				n := 0
				for _, r := range p.server.Requests(path.Clean(args[1])) {
					if r.Method == http.MethodGet {
						n++
					}
				}
				if args[0] != strconv.Itoa(n) {
					ts.Fatalf("%s was downloaded %d times, expected %s", args[1], n, args[0])
				}
			},
		},
	})
}

// succeeds is the command of a script that runs a program.
func succeeds(program string) func(ts *testscript.TestScript, neg bool, args []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("say the exit status: fails STATUS PROGRAM ARGS…")
		}
		ts.Check(ts.Exec(program, args...))
	}
}
