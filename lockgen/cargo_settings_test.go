package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// cargoCanary returns a program that leaves a trace, and a function that reports
// it.
func cargoCanary(t *testing.T) (program string, check func(what string)) {
	t.Helper()
	dir := t.TempDir()
	trace := filepath.Join(dir, "trace")
	program = filepath.Join(dir, "canary")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$0 $*\" >> "+trace+"\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return program, func(what string) {
		t.Helper()
		if data, err := os.ReadFile(trace); err == nil {
			t.Errorf("%s: a program of the user's ran:\n%s", what, data)
			_ = os.Remove(trace)
		}
	}
}

// canaries puts programs before all others on the PATH of the place that leave a
// trace, and points every variable at one that may name a program.
func (p *place) canaries(t *testing.T, programs, variables string) (program string, check func(what string)) {
	t.Helper()
	program, check = cargoCanary(t)
	dir := t.TempDir()
	for _, name := range strings.Fields(programs) {
		if err := os.Symlink(program, filepath.Join(dir, name)); err != nil {
			t.Skipf("needs symbolic links: %v", err)
		}
	}
	p.setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	for _, name := range strings.Fields(variables) {
		p.setenv(name, program)
	}
	return program, check
}

// TestCargoProject: what the user's repository and settings say of their own
// code changes nothing about a plugin and runs nothing. The registry counts.
func TestCargoProject(t *testing.T) {
	t.Parallel()
	p, home := newCargoPlace(t)
	s := p.server
	crates(s)
	program, check := p.canaries(t, "git ssh cc gcc ld lld clang sccache cargo-credential-x cargo-fetch cargo-generate-lockfile cargo-metadata",
		`RUSTC RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER RUSTDOC CARGO CARGO_BUILD_RUSTC CARGO_BUILD_RUSTC_WRAPPER CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER CARGO_BUILD_RUSTDOC
		CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER CARGO_REGISTRY_GLOBAL_CREDENTIAL_PROVIDERS CARGO_REGISTRY_CREDENTIAL_PROVIDER
		CARGO_REGISTRIES_MINE_CREDENTIAL_PROVIDER GIT_SSH GIT_SSH_COMMAND GIT_ASKPASS GIT_EXEC_PATH GIT_PROXY_COMMAND SSH_ASKPASS CC LD`)
	p.setenv("CARGO_NET_GIT_FETCH_WITH_CLI", "true")
	p.setenv("CARGO_NET_OFFLINE", "true")
	p.setenv("CARGO_ENCODED_RUSTFLAGS", "-Clinker="+program)
	p.setenv("RUSTUP_TOOLCHAIN", "no-such-toolchain")
	registry := "[source.crates-io]\nreplace-with = \"mine\"\n[source.mine]\nregistry = \"sparse+" + s.CrateIndex() + "\"\n"
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(home, "config.toml"), registry+`
[build]
rustc = "`+program+`"
rustc-wrapper = "`+program+`"
rustc-workspace-wrapper = "`+program+`"
rustdoc = "`+program+`"
[target.'cfg(all())']
linker = "`+program+`"
runner = "`+program+`"
[alias]
generate-lockfile = "run"
update = "run"
metadata = "run"
[registry]
global-credential-providers = ["cargo:token-from-stdout `+program+`", "`+program+`"]
credential-provider = "`+program+`"
[credential-alias]
x = ["`+program+`"]
[net]
git-fetch-with-cli = true
`)
	lockOf := func(t *testing.T, files map[string]string) string {
		t.Helper()
		p := p.another(t)
		p.write("plugins.toml", "platforms = [\"linux-aarch64\", \"windows-x86_64\"]\n\n"+acme+"[policy]\nbuild-scripts = [\"acme\"]\n")
		for name, text := range files {
			write(p.path(name), text)
		}
		p.ok("update")
		return p.read("plugins.lock.toml")
	}
	want := lockOf(t, nil)
	check("the user's settings")
	fork := "[package]\nname = \"leaf\"\nversion = \"1.9.0\"\n"
	settings := map[string]map[string]string{
		"a patch with a folder":      {".cargo/config.toml": "[patch.crates-io]\nleaf = { path = \"fork\" }\n", "fork/Cargo.toml": fork, "fork/src/lib.rs": ""},
		"a patch with git":           {".cargo/config.toml": "[patch.crates-io]\nleaf = { git = \"https://git.invalid/leaf\" }\n"},
		"paths":                      {".cargo/config.toml": "paths = [\"fork\"]\n", "fork/Cargo.toml": fork, "fork/src/lib.rs": ""},
		"a target and a wrapper":     {".cargo/config.toml": "[build]\ntarget = \"no-such-target\"\nrustc-wrapper = \"/nonexistent\"\ntarget-dir = \"/nonexistent/t\"\n[env]\nA = \"b\"\n"},
		"offline":                    {".cargo/config.toml": "[net]\noffline = true\n"},
		"vendored sources":           {".cargo/config.toml": "[source.crates-io]\nreplace-with = \"vendored-sources\"\n[source.vendored-sources]\ndirectory = \"vendor\"\n", "vendor/x": ""},
		"a vendored git source":      {".cargo/config": "[source.crates-io]\nregistry = \"https://git.invalid/index\"\nreplace-with = \"v\"\n[source.v]\nlocal-registry = \"vendor\"\n"},
		"a git source":               {".cargo/config.toml": "[source.crates-io]\nreplace-with = \"g\"\n[source.g]\ngit = \"https://git.invalid/x\"\n"},
		"unknown keys":               {".cargo/config.toml": "[unstable]\nx = true\n[resolver]\nincompatible-rust-versions = \"fallback\"\n[http]\nssl-version.min = \"tlsv1.2\"\n"},
		"a toolchain file":           {"rust-toolchain.toml": "[toolchain]\nchannel = \"1.0.0\"\n", "rust-toolchain": "nightly-1999-01-01\n"},
		"a toolchain of a folder":    {"rust-toolchain.toml": "[toolchain]\npath = \"" + filepath.Dir(program) + "\"\n"},
		"a workspace":                {"Cargo.toml": "[workspace]\nmembers = [\"*\"]\n[patch.crates-io]\nleaf = { path = \"/nonexistent\" }\n", "Cargo.lock": "broken"},
		"a broken Cargo.toml":        {"Cargo.toml": "[package\n"},
		"the same in two registries": {".cargo/config.toml": "[registries.other]\nindex = \"sparse+https://other.invalid/\"\ntoken = \"t\"\n[registry]\ndefault = \"other\"\n"},
	}
	for row, name := range slices.Sorted(maps.Keys(settings)) {
		t.Run(name, func(t *testing.T) {
			testenv.Sample(t, row, 3)
			if got := lockOf(t, settings[name]); got != want {
				t.Errorf("another lock:\n%s", got)
			}
			check(name)
		})
	}
	for name, tt := range map[string]struct {
		files map[string]string
		says  []string
	}{
		"broken settings":      {map[string]string{".cargo/config.toml": "[net]\nretry = 0\n[build\n"}, []string{filepath.Join(".cargo", "config.toml:"), "the settings of cargo"}},
		"settings that hang":   {map[string]string{".cargo/config.toml": strings.Repeat("a.", 1<<16) + "a = 1\n"}, []string{"config.toml:1: ", "a key of more than 64 parts"}},
		"a git index":          {map[string]string{".cargo/config.toml": "[source.crates-io]\nreplace-with = \"g\"\n[source.g]\nregistry = \"https://git.invalid/index\"\n"}, []string{"https://git.invalid/index", "not a sparse index"}},
		"a registry unknown":   {map[string]string{".cargo/config.toml": "[source.crates-io]\nreplace-with = \"nobody\"\n"}, []string{`replaces the crate registry with "nobody"`}},
		"a wrong type":         {map[string]string{".cargo/config.toml": "[http]\nproxy = 8080\n"}, []string{"http.proxy"}},
		"no authorities there": {map[string]string{".cargo/config.toml": "[http]\ncainfo = \"none.pem\"\n"}, []string{"none.pem"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := p.another(t)
			p.write("plugins.toml", "platforms = [\"linux-x86_64\"]\n"+acme)
			for name, text := range tt.files {
				write(p.path(name), text)
			}
			p.fails(fault.Machine, tt.says, "update")
			check(name)
		})
	}
}

// TestCargoToken: a registry that demands a token gets it, for its index and its
// crates, from wherever the user's cargo has it; nobody else does.
func TestCargoToken(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts cargo many times; TestCargo and the conformance suite have the usual way")
	p, home := newCargoPlace(t)
	const token = "Bearer s3cret-canary"
	s, other := p.server, fake.New(t)
	s.CrateToken(token)
	s.Crate(fake.Crate{Name: "protoc-gen-acme", Version: "1.0.0", Deps: []fake.CrateDep{{Name: "leaf", Req: "^1"}}, Files: map[string]string{"src/main.rs": mainFile}})
	s.Crate(fake.Crate{Name: "leaf", Version: "1.0.0"})
	other.Crate(fake.Crate{Name: "protoc-gen-acme", Version: "1.0.0", Files: map[string]string{"src/main.rs": mainFile}})
	index := "sparse+" + s.CrateIndex()
	named := "[registries.my-corp]\nindex = \"" + index + "\"\n"
	replaced := "[source.crates-io]\nreplace-with = \"my-corp\"\n"
	secret := "token = \"" + token + "\"\n"
	program, check := cargoCanary(t)
	row := testenv.Rows(t, "a credential of the settings of a client or of docker: its registry gets it, no other host, and no message and lock", lock.Cargo)
	for _, tt := range []struct {
		name, config, credentials string
		env                       [][2]string
		registry                  string // of plugins.toml
		old                       string // credentials without an ending
		full                      bool   // read as the row above, in another form
		says                      string // "" where it works
	}{
		{name: "in the settings", config: replaced + named + secret},
		{name: "in credentials", config: replaced + named, credentials: "[registries.my-corp]\n" + secret},
		{name: "credentials before settings", config: replaced + named + "token = \"old\"\n", credentials: "[registries.my-corp]\n" + secret},
		{name: "in a variable", config: replaced + named + "token = \"old\"\n", env: [][2]string{{"CARGO_REGISTRIES_MY_CORP_TOKEN", token}}},
		{name: "all in variables", config: "[source.crates-io]\nreplace-with = \"x\"\n[source.x]\nregistry = \"" + index + "\"\n",
			env: [][2]string{{"CARGO_REGISTRIES_MY_CORP_INDEX", index}, {"CARGO_REGISTRIES_MY_CORP_TOKEN", token}}},
		{name: "by the manifest", config: named + secret, registry: s.CrateIndex()},
		{name: "through another source", config: "[source.crates-io]\nreplace-with = \"a\"\n[source.a]\nregistry = \"sparse+https://a.invalid/\"\nreplace-with = \"my-corp\"\n" + named + secret},
		{name: "a helper beside the token", config: replaced + named + secret + "credential-provider = [\"" + program + "\"]\n"},
		{name: "in old credentials", full: true, config: replaced + named, old: "[registries.my-corp]\n" + secret},
		{name: "by the provider of tokens", full: true, config: replaced + named + secret + "credential-provider = \"cargo:token\"\n"},
		{name: "by a list of it", full: true, config: replaced + named + secret + "credential-provider = [\"cargo:token\"]\n[registry]\nglobal-credential-providers = [\"cargo:token\"]\n"},
		{name: "by an alias of it", full: true, config: replaced + named + secret + "credential-provider = \"mine\"\n[credential-alias]\nmine = [\"cargo:token\"]\n"},
		{name: "beside a token of the default registry", full: true, config: replaced + named + secret + "[registry]\ntoken = \"other-canary\"\ndefault = \"my-corp\"\n"},
		{name: "the scheme in capitals", full: true, config: replaced + strings.Replace(named, "http://", "HTTP://", 1) + secret},
		{name: "included", config: "include = [\"more.toml\", { path = \"none.toml\", optional = true }]\n" + replaced},
		{name: "none", config: replaced + named, says: "requires a token, but the settings of cargo have none"},
		{name: "for another registry", config: "[registries.other]\nindex = \"sparse+" + other.CrateIndex() + "\"\n" + secret + replaced + named, says: "requires a token"},
		{name: "without a name", config: "[source.crates-io]\nreplace-with = \"x\"\n[source.x]\nregistry = \"" + index + "\"\n", says: "requires a token"},
		{name: "by a helper", config: replaced + named + "credential-provider = \"cargo:token-from-stdout " + program + "\"\n", says: "which lockgen does not run"},
		{name: "by a helper for all", config: replaced + named + "[registry]\nglobal-credential-providers = [\"cargo:token\", \"" + program + "\"]\n", says: "which lockgen does not run"},
		{name: "wrong", config: replaced + named + "token = \"wrong-canary\"\n", says: "401"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.full {
				testenv.OnlyFull(t, "another form of what the row above has")
			}
			row(t)
			for name, text := range map[string]string{"config.toml": tt.config, "credentials.toml": tt.credentials, "credentials": tt.old, "more.toml": named + secret} {
				if text == "" {
					if err := os.RemoveAll(filepath.Join(home, name)); err != nil {
						t.Fatal(err)
					}
					continue
				}
				if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p := p.another(t)
			for _, kv := range tt.env {
				p.setenv(kv[0], kv[1])
			}
			text := "platforms = [\"linux-x86_64\"]\n" + acme
			if tt.registry != "" {
				text += fmt.Sprintf("[registries]\ncargo = %q\n", tt.registry)
			}
			p.write("plugins.toml", text)
			s.Forget()
			if tt.says != "" {
				status, _, talk := p.run("update")
				if status != int(fault.Machine) && status != int(fault.Upstream) || !strings.Contains(talk, tt.says) || strings.Contains(talk, "canary\"") || strings.Contains(talk, "wrong-canary") {
					t.Errorf("exit %d, want 7 or 4 and %q:\n%s", status, tt.says, talk)
				}
				for _, r := range s.Requests("") {
					if strings.HasPrefix(r.Path, "/crates/") {
						t.Errorf("asked for %s", r.Path)
					}
				}
			} else {
				p.ok("update", "--no-smoke")
				if text := p.read("plugins.lock.toml"); strings.Contains(text, "canary") || !strings.Contains(text, `"leaf-1.0.0.crate"`) {
					t.Errorf("locked:\n%s", text)
				}
				if tt.env != nil {
					p.ok("check", "--upstream")
					p.ok("outdated")
				}
			}
			check(tt.name)
		})
	}
	// A token goes to its registry alone.
	for _, name := range []string{"config.toml", "credentials.toml"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(named+secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.server = other
	p.write("plugins.toml", "platforms = [\"linux-x86_64\"]\n"+acme+"[registries]\ncargo = \""+other.CrateIndex()+"\"\n")
	p.ok("update", "--no-smoke")
	if len(other.Requests("")) == 0 {
		t.Error("the other registry was not asked")
	}
	for _, r := range other.Requests("") {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("%s got a token of another registry", r.Path)
		}
	}
}
