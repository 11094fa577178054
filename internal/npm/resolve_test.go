package npm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/redact"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

func TestResolve(t *testing.T) {
	n := realNPM(t)
	hostile := hostileNode(t)
	s := fake.New(t)
	type m = map[string]any
	pkg := func(name, version string, manifest m) {
		s.Package(fake.Package{Name: name, Version: version, Manifest: manifest, Files: map[string]string{"x.js": name}})
	}
	pkg("gen", "1.0.0", m{
		"bin": "x.js", "dependencies": m{"@s/lib": "^1", "old": "npm:lib@^1"}, "peerDependencies": m{"peer": "*"},
		"optionalDependencies": m{"gen-linux": "1.0.0", "gen-plan9": "1.0.0"}, "engines": m{"node": ">=99"},
		"scripts": m{"postinstall": hostile.touch}, "devDependencies": m{"dev": "file:../dev"}, "overrides": m{"lib": "file:../lib"},
		"devEngines": m{"packageManager": m{"name": "pnpm"}}, "packageManager": "pnpm@10.0.0",
	})
	pkg("gen", "1.1.0", m{"dependencies": m{"@s/lib": "^1"}})
	pkg("gen-linux", "1.0.0", m{"os": []string{"linux"}, "cpu": []string{"x64"}, "libc": []string{"glibc"}})
	pkg("@s/lib", "1.2.0", m{"dependencies": m{"lib": "2.0.0"}})
	pkg("lib", "1.5.0", nil)
	pkg("lib", "2.0.0", nil)
	pkg("peer", "3.0.0", nil)
	pkg("alien", "1.0.0", m{"os": []string{"plan9"}, "cpu": "mips", "engines": []string{"node >= 0.2"}})
	closureOfGen(t, n, s)
	failsToResolve(t, n, s)
	hostile.check(t)
}

// closureOfGen resolves what TestResolve published.
func closureOfGen(t *testing.T, n *Client, s *fake.Server) {
	t.Helper()
	here := registryAt(s.URL)
	l, err := n.Resolve(t.Context(), here, "gen", "1.0.0", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"node_modules/@s/lib", "node_modules/gen", "node_modules/gen-linux", "node_modules/lib", "node_modules/old", "node_modules/peer"}
	if got := slices.Sorted(maps.Keys(l.Packages)); !slices.Equal(got, want) {
		t.Errorf("closure %v, want %v", got, want)
	}
	gen := l.Packages["node_modules/gen"]
	if gen.Name != "gen" || gen.Version != "1.0.0" || gen.Engines["node"] != ">=99" || !gen.HasInstallScript || gen.Optional ||
		!strings.HasPrefix(gen.Integrity, "sha512-") {
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
	l, err = n.Resolve(t.Context(), here, "gen", "^1.0.0", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Packages["node_modules/gen"].Version; got != "1.1.0" || len(l.Packages) != 3 {
		t.Errorf("gen@^1.0.0 is %s with %d packages", got, len(l.Packages))
	}
	// What a package demands of a machine is not held against this one.
	if l, err = n.Resolve(t.Context(), here, "alien", "1.0.0", nil, nil); err != nil || !slices.Equal(l.Packages["node_modules/alien"].CPU, []string{"mips"}) {
		t.Errorf("alien: %+v, %v", l, err)
	}
}

// failsToResolve asks for what the registry does not have, and for what no registry has.
func failsToResolve(t *testing.T, n *Client, s *fake.Server) {
	t.Helper()
	here := registryAt(s.URL)
	_, err := n.Resolve(t.Context(), here, "gen", "^9", nil, nil)
	fake.WantFault(t, err, fault.Upstream, "gen@^9", "ETARGET")
	// npm does not start for what the registry does not have.
	var starts testenv.Starts
	watched := proc.Watch(t.Context(), starts.Add)
	_, err = n.Resolve(watched, here, "gen", "9.9.9", nil, nil)
	fake.WantFault(t, err, fault.Upstream, "gen@9.9.9", "no such version")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing version is not fs.ErrNotExist: %v", err)
	}
	_, err = n.Resolve(watched, here, "nothing", "1.0.0", nil, nil)
	fake.WantFault(t, err, fault.Upstream, "nothing@1.0.0", "404", s.URL)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing package is not fs.ErrNotExist: %v", err)
	}
	if starts.Count("") > 0 {
		t.Error("npm was started to learn that")
	}
	for _, version := range []string{"file:../x", "x.tgz", "some/repository", "../x", ""} {
		_, err = n.Resolve(t.Context(), here, "gen", version, nil, nil)
		fake.WantFault(t, err, fault.Usage, version)
	}
	s.Fault("/@s/lib", fake.Status(403))
	_, err = n.Resolve(t.Context(), here, "gen", "1.0.0", nil, nil)
	fake.WantFault(t, err, fault.Upstream, "403", "@s/lib")
}

// TestResolveRefuses: no dependency that is not from a registry, direct or
// transitive, and whatever it is, is part of a closure; the package that asks for
// it is named, and nothing is run for it.
func TestResolveRefuses(t *testing.T) {
	n := realNPM(t)
	hostile := hostileNode(t)
	s := fake.New(t)
	other := fake.New(t)
	type m = map[string]any
	trap := filepath.Join(t.TempDir(), "trap")
	fake.Write(t, filepath.Join(trap, "package.json"), `{"name":"bad","version":"1.0.0","scripts":{"preinstall":"`+hostile.touch+`","prepare":"`+hostile.touch+`"}}`)
	fake.Write(t, filepath.Join(trap, "binding.gyp"), "{}")
	s.Package(fake.Package{Name: "lib", Version: "1.5.0"})
	specs := []string{
		"git+https://127.0.0.1:9/bad.git", "git+ssh://git@127.0.0.1/bad.git#v1", "git://127.0.0.1:9/bad.git", "git+file://" + trap, "git@127.0.0.1:some/bad.git",
		"ssh://git@127.0.0.1/bad", "some/bad", "some/bad#semver:^1", "github:some/bad", "gitlab:some/bad", "bitbucket:some/bad", "gist:0123456789abcdef0123",
		"file:" + trap, "file:../bad", "link:" + trap, "portal:../bad", trap, "../bad", "./bad", "~/bad", "bad.tgz", "file:bad.tar.gz", "workspace:*", "catalog:", "patch:bad@1#x",
		s.URL + "/lib/-/lib-1.5.0.tgz", other.URL + "/bad.tgz", "https://127.0.0.1:9/bad.tgz", "HTTPS://127.0.0.1:9/bad", "npm:../bad", "npm:bad@file:x", "npm:bad@npm:lib@1", "npm:bad@some/x", "jsr:@s/x",
	}
	run := func(t *testing.T, name string, says ...string) {
		t.Helper()
		s.Forget()
		_, err := n.Resolve(t.Context(), registryAt(s.URL), name, "1.0.0", nil, nil)
		fake.WantFault(t, err, fault.Policy, append(says, name+"@1.0.0", "registry")...)
		for _, r := range s.Requests("") {
			if strings.Contains(r.Path, "bad") {
				t.Errorf("%s was asked for", r.Path)
			}
		}
	}
	// What is refused is decided before npm sees it.
	up := newUpstream(t.Context(), registryAt(s.URL), false, t.TempDir())
	seen := func(name string) (string, error) {
		data, err := up.document("http://127.0.0.1:1/x", name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data), up.facts[name+"@1.0.0"].refusal
	}
	for i, spec := range specs {
		for _, field := range []string{"dependencies", "optionalDependencies", "peerDependencies"} {
			name := fmt.Sprintf("p%d-%s", i, strings.ToLower(field))
			s.Package(fake.Package{Name: name, Version: "1.0.0", Manifest: m{field: m{"bad": spec, "lib": "^1.0.0"}}})
			data, err := seen(name)
			if err == nil {
				t.Errorf("%s %q is let through", field, spec)
				continue
			}
			fake.WantFault(t, err, fault.Policy, name+"@1.0.0 depends on bad from "+redact.Line(spec))
			// Quoted, for "bad" alone may be part of a digest in hexadecimal.
			if strings.Contains(data, `"bad"`) || strings.Contains(data, strconv.Quote(spec)) || !strings.Contains(data, `"lib":"^1.0.0"`) {
				t.Errorf("%s %q: npm sees %s", field, spec, data)
			}
		}
	}
	for name, manifest := range map[string]m{
		"peer-optional": {"peerDependencies": m{"bad": "some/bad"}, "peerDependenciesMeta": m{"bad": m{"optional": true}}},
		"bundled-all":   {"dependencies": m{"bad": "file:./bad"}, "bundledDependencies": true},
		"odd-name":      {"dependencies": m{"../bad": "1.0.0"}},
		"odd-spec":      {"dependencies": m{"bad": 5}},
	} {
		s.Package(fake.Package{Name: name, Version: "1.0.0", Manifest: manifest})
		_, err := seen(name)
		fake.WantFault(t, err, fault.Policy, name+"@1.0.0 depends on ")
	}

	// Npm says whether it is part of the tree.
	all := m{}
	for i, spec := range specs {
		all[fmt.Sprintf("bad%d", i)] = spec
	}
	s.Package(fake.Package{Name: "mid", Version: "1.0.0", Manifest: m{"optionalDependencies": all}})
	s.Package(fake.Package{Name: "top", Version: "1.0.0", Manifest: m{"optionalDependencies": m{"mid": "^1.0.0"}}})
	run(t, "top", "npm package mid@1.0.0 depends on bad0 from git+https:")
	s.Package(fake.Package{Name: "peer", Version: "1.0.0", Manifest: m{"peerDependencies": m{"bad": "some/bad"}}})
	run(t, "peer", "npm package peer@1.0.0 depends on bad from some/bad")
	s.Package(fake.Package{Name: "bundled", Version: "1.0.0", Manifest: m{"dependencies": m{"bad": "file:./bad"}, "bundleDependencies": []string{"bad"}}})
	run(t, "bundled", "depends on bad from file:./bad")

	// What is bundled in a tarball npm reads itself: it finds no git there.
	inner := func(v any) string {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for name, deps := range map[string]m{
		"inside-optional": {"optionalDependencies": m{"bad": "git+file://" + trap}},
		"inside-url":      {"dependencies": m{"bad": other.URL + "/bad.tgz"}},
	} {
		deps["name"], deps["version"], deps["scripts"] = "in", "1.0.0", m{"install": hostile.touch}
		s.Package(fake.Package{Name: name, Version: "1.0.0", Manifest: m{"dependencies": m{"in": "1.0.0"}, "bundleDependencies": []string{"in"}},
			Files: map[string]string{"node_modules/in/package.json": inner(deps)}})
		run(t, name)
	}
	if got := other.Count(""); got != 0 {
		t.Errorf("%d requests to another host", got)
	}
	hostile.check(t)

	// A version that nobody chose may ask for what it likes; what is bundled without more is fine.
	s.Package(fake.Package{Name: "free", Version: "1.0.0", Manifest: m{"dependencies": m{"lib": " ^1.0.0 || 9.x", "odd": "NPM:lib@latest", "in": "*"}, "bundleDependencies": []string{"in"}},
		Files: map[string]string{"node_modules/in/package.json": `{"name":"in","version":"1.0.0"}`}})
	s.Package(fake.Package{Name: "free", Version: "1.1.0", Manifest: m{"dependencies": m{"bad": "some/bad"}}})
	l, err := n.Resolve(t.Context(), registryAt(s.URL), "free", "1.0.0", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Sorted(maps.Keys(l.Packages)), []string{"node_modules/free", "node_modules/lib", "node_modules/odd"}; !slices.Equal(got, want) {
		t.Errorf("closure %v, want %v", got, want)
	}
}
