package npm

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestLone: npm starts for a version that may need others, or that it may judge in
// another way, and for nothing else; and the closure is npm's, byte for byte.
func TestLone(t *testing.T) {
	t.Parallel()
	n := realNPM(t)
	s := fake.New(t)
	type m = map[string]any
	early, late := fake.Released.Add(-time.Hour), fake.Released.Add(time.Hour)
	old, young := &cooldown.Rule{Before: late}, &cooldown.Rule{Before: early}
	s.Package(fake.Package{Name: "lib", Version: "1.0.0"})
	tests := []struct {
		name     string // of the package, unless pkg says it
		pkg      fake.Package
		rule     *cooldown.Rule
		npm      bool // it starts
		usual    bool // npm is asked in the ordinary suite too
		resolves bool
	}{
		{name: "bare", usual: true, resolves: true},
		{name: "all", usual: true, resolves: true, rule: old, pkg: fake.Package{Manifest: m{
			"bin": m{"a": "./x.js"}, "os": []string{"linux"}, "cpu": "x64", "libc": "glibc", "engines": m{"node": ">=99"}, "deprecated": "use \u00e9 <lib>",
			"scripts": m{"test": "x", "prepublishOnly": "x"}, "devDependencies": m{"dev": "file:../dev"}, "dependencies": m{}, "optionalDependencies": m{},
			"bundleDependencies": []string{}, "hasInstallScript": false, "directories": m{"bin": "bin"}, "overrides": m{"lib": "file:../lib"},
		}}},
		{name: "scoped", resolves: true, pkg: fake.Package{Name: "@s/gen", Manifest: m{"bin": "x.js"}}},
		{name: "malformed", resolves: true, pkg: fake.Package{Manifest: m{"dependencies": []string{"lib"}, "engines": []string{"x"}, "os": 5}}},
		{name: "bundles-nothing", resolves: true, pkg: fake.Package{Manifest: m{"bundleDependencies": false}}},
		{name: "deprecated", resolves: true, pkg: fake.Package{Manifest: m{"deprecated": true}}},
		{name: "not-deprecated", resolves: true, pkg: fake.Package{Manifest: m{"deprecated": false}}},
		{name: "recorded", resolves: true, rule: &cooldown.Rule{}},

		{name: "dependency", npm: true, resolves: true, pkg: fake.Package{Manifest: m{"dependencies": m{"lib": "*"}}}},
		{name: "optional", npm: true, resolves: true, pkg: fake.Package{Manifest: m{"optionalDependencies": m{"absent": "*"}}}},
		{name: "peer", npm: true, resolves: true, pkg: fake.Package{Manifest: m{"peerDependencies": m{"lib": "*"}}}},
		{name: "git", npm: true, pkg: fake.Package{Manifest: m{"dependencies": m{"lib": "some/lib"}}}},
		{name: "bundle", npm: true, resolves: true, pkg: fake.Package{Manifest: m{"bundleDependencies": true}}},
		{name: "script", npm: true, resolves: true, pkg: fake.Package{Manifest: m{"scripts": m{"postinstall": "x"}}}},
		{name: "says-script", npm: true, resolves: true, pkg: fake.Package{Manifest: m{"hasInstallScript": true}}},
		{name: "gyp", npm: true, resolves: true, rule: old, pkg: fake.Package{Manifest: m{"gypfile": true}}},
		{name: "sha1", npm: true, resolves: true, pkg: fake.Package{Dist: m{"integrity": nil}}},
		{name: "two-digests", npm: true, resolves: true, pkg: fake.Package{Dist: m{"integrity": "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk= sha512-" + digest}}},
		{name: "no-digest", npm: true, resolves: true, pkg: fake.Package{Dist: m{"integrity": nil, "shasum": nil}}},
		{name: "node_modules", npm: true},
		{name: "young", npm: true, rule: young},
		{name: "excepted", npm: true, resolves: true, rule: &cooldown.Rule{Before: early, Except: []string{"excepted@1.0.0"}}},
		{name: "timeless", npm: true, resolves: true, rule: old, pkg: fake.Package{Released: time.Unix(0, 0)}},
	}
	for _, tt := range tests {
		if !tt.usual && tt.npm && !testenv.Full() {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pkg := tt.pkg
			if pkg.Name == "" {
				pkg.Name = tt.name
			}
			pkg.Version = "1.0.0"
			s.Package(pkg)
			var starts testenv.Starts
			got, err := n.Resolve(proc.Watch(t.Context(), starts.Add), registryAt(s.URL), pkg.Name, "1.0.0", nil, tt.rule)
			if (err == nil) != tt.resolves {
				t.Fatalf("it resolves to %+v, %v", got, err)
			}
			if started := starts.Count("") > 0; started != tt.npm {
				t.Errorf("npm started: %v, want %v", started, tt.npm)
			}
			if err != nil || !tt.usual && !testenv.Full() {
				return
			}
			// For a range, npm always starts.
			want, err := n.Resolve(t.Context(), registryAt(s.URL), pkg.Name, "1.0.0 || 1.0.0", nil, tt.rule)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("npm's closure is another one (-npm +ours):\n%s", diff)
			}
		})
	}
}

const digest = "z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="
