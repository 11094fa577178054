package main

import (
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
	"github.com/birbparty/buck2-protobuf/lockgen/resolve"
)

// typeScript writes a manifest with plugins of TypeScript, which are files here, and a
// list of runtimes.
func (p *place) typeScript(plugins map[string]string, runtimes string) {
	p.server.File("/node/24.19.0", []byte(linuxARM))
	entries := `node = { version = "24.19.0", source = "` + p.server.URL + `/node/{version}", binary = "node" }` + "\n"
	for _, name := range slices.Sorted(maps.Keys(plugins)) {
		for version := range strings.SplitSeq(plugins[name], ", ") {
			p.server.File("/"+name+"/"+strings.Trim(version, `"`), []byte(linuxARM+name+version))
		}
		entries += name + " = { versions = [" + plugins[name] + `], source = "` + p.server.URL + "/" + name + `/{version}", binary = "` + name + `" }` + "\n"
	}
	p.manifest(entries + "\n[runtimes]\ntypescript = [" + runtimes + "]\n")
	p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), `"linux-aarch64", "windows-x86_64"`, one, 1))
}

// publishTypeScript publishes what typeScript asks for.
func (p *place) publishTypeScript() {
	library := func(name, version string, more map[string]any) {
		p.server.Package(fake.Package{Name: name, Version: version, Manifest: more, Files: map[string]string{"index.js": version}})
	}
	type table = map[string]any
	for _, version := range []string{"1.9.0", "1.10.1", "2.2.0", "2.5.1", "2.6.0", "3.0.0"} {
		library("@bufbuild/protobuf", version, nil)
	}
	library("@connectrpc/connect", "1.7.0", table{"peerDependencies": table{"@bufbuild/protobuf": "^1.10.0"}})
	library("@connectrpc/connect", "2.0.0", table{"peerDependencies": table{"@bufbuild/protobuf": "^2.2.0"}, "dependencies": table{"shared": "^1.0.0"}})
	library("@connectrpc/connect", "2.1.0", table{"peerDependencies": table{"@bufbuild/protobuf": "^2.6.0"}, "dependencies": table{"shared": "^2.0.0"}})
	library("shared", "1.0.0", nil)
	library("shared", "2.0.0", nil)
	library("old-lib", "1.0.0", table{"dependencies": table{"shared": "^1.0.0"}})
	library("protobufjs", "7.4.0", nil)
	library("protobufjs", "8.0.0", nil)
	library("left", "1.0.0", table{"deprecated": "use right"})
	library("native", "1.0.0", table{"os": []string{"darwin"}})
	library("script", "1.0.0", table{"scripts": table{"postinstall": "curl evil"}, "hasInstallScript": true})
	library("from-git", "1.0.0", table{"dependencies": table{"shared": "git+https://example.com/shared.git"}})
	library("holed", "1.0.0", table{"dependencies": table{"nowhere": "^1.0.0"}})
	library("parts", "1.0.0", table{"optionalDependencies": table{"parts-arm": "1.0.0", "parts-win": "1.0.0"}})
	library("parts-arm", "1.0.0", table{"os": []string{"linux"}, "cpu": []string{"arm64"}})
	library("parts-win", "1.0.0", table{"os": []string{"win32"}})
}

// lockedTypeScript demands that a version of a library is locked and fits plugins.
func (p *place) lockedTypeScript(library, version string, fits ...string) *lock.Version {
	p.t.Helper()
	versions := p.locked().Plugins[lock.RuntimeEntry("typescript", library)]
	v := versions[version]
	if v == nil || v.Language != "typescript" || v.Source != lock.NPM || len(v.Python) > 0 || v.Runtime != "" || !v.Platforms["linux-aarch64"].Locked() || !slices.Equal(v.Fits, fits) {
		p.t.Fatalf("%s %s fits %q is not locked, but %v:\n%s", library, version, fits, slices.Collect(maps.Keys(versions)), p.read("plugins.lock.toml"))
	}
	return v
}

// folderOfTypeScript is the folder in which the packages of all runtimes lie, with their versions.
func (p *place) folderOfTypeScript() map[string]string {
	p.t.Helper()
	all := map[string]string{}
	for name, versions := range p.locked().Plugins {
		if _, _, ok := lock.RuntimeName(name); !ok {
			continue
		}
		for _, v := range versions {
			for key, f := range v.Files {
				if other := all[key]; other != "" && other != f.Version {
					p.t.Errorf("%s is %s and %s", key, other, f.Version)
				}
				all[key] = f.Version
			}
		}
	}
	return all
}

// TestRuntimesNPM: runtimes of TypeScript lie in one folder, fit the plugins and each
// other, and follow the plugins.
func TestRuntimesNPM(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts npm many times; TestUpdate and the conformance suite have the usual way")
	needNPM(t)
	p := newPlace(t)
	p.publishTypeScript()
	const prefix = "runtimes/typescript/"
	locked, folder := p.lockedTypeScript, p.folderOfTypeScript
	p.typeScript(map[string]string{"protoc-gen-es": `"2.2.0"`}, `"@bufbuild/protobuf", "@connectrpc/connect", "old-lib"`)
	p.ok("update", "--no-smoke")
	p.ok("check")
	if v := locked("@bufbuild/protobuf", "2.6.0", "protoc-gen-es@2.2.0"); len(v.Files) != 1 {
		t.Errorf("more than it needs: %v", v.FilesFor("linux-aarch64"))
	}
	connect, old := locked("@connectrpc/connect", "2.1.0", "protoc-gen-es@2.2.0"), locked("old-lib", "1.0.0")
	if len(connect.Files) != 3 || len(old.Files) != 2 || len(folder()) != 5 {
		t.Errorf("connect has %v, old-lib %v, together %v", connect.FilesFor("linux-aarch64"), old.FilesFor("linux-aarch64"), folder())
	}
	text := p.read("plugins.lock.toml")
	if !strings.Contains(text, "\n[runtimes.typescript.bufbuild-protobuf.\"2.6.0\"]\n") {
		t.Error(text)
	}
	// Nothing to do, and the same again.
	p.server.Forget()
	p.ok("update", "--offline")
	if n := p.server.Count(""); n != 0 {
		t.Errorf("%d requests", n)
	}
	for _, args := range [][]string{{"update", "--all", "--no-smoke"}, {"update", prefix + "connectrpc-connect@2.1.0", "--no-smoke"},
		{"update", prefix + "@connectrpc/connect@2.1.0", "--no-smoke"}, {"update", prefix + "@connectrpc/connect", "--no-smoke"}, {"upgrade", prefix + "@bufbuild/protobuf", "--no-smoke"}} {
		p.ok(args...)
		if got := p.read("plugins.lock.toml"); got != text {
			t.Errorf("%v: another lock:\n%s", args, got)
		}
	}
	// Every reader knows it.
	const spec = prefix + "connectrpc-connect@2.1.0"
	for _, args := range [][]string{{"list"}, {"tree"}, {"tree", prefix + "connectrpc-connect"}, {"tree", spec}, {"explain", spec}, {"explain", prefix + "connectrpc-connect"}, {"tree", prefix + "@connectrpc/connect"}, {"tree", prefix + "@connectrpc/connect@2.1.0"}, {"explain", prefix + "@connectrpc/connect@2.1.0"}, {"why", prefix + "@connectrpc/connect"}, {"explain", spec, "--why", "shared"}, {"why", "shared"}, {"sbom"}, {"outdated"}, {"textconv", p.path("plugins.lock.toml")}} {
		out, talk := p.ok(args...)
		if args[0] != "outdated" && !strings.Contains(out+talk, "connectrpc-connect") {
			t.Errorf("%v says nothing of it:\n%s%s", args, out, talk)
		}
	}
	p.known(prefix+"connectrpc-connect", "shared", "at the top, so the plugin or any of its packages may need it")
	// It follows the plugin, on the command line and off it.
	p.server.File("/protoc-gen-es/2.5.0", []byte(linuxARM))
	p.server.File("/protoc-gen-es/1.10.0", []byte(linuxARM))
	p.ok("add", prefix+"@connectrpc/connect@2.0.0", "--no-smoke")
	locked("@connectrpc/connect", "2.0.0", "protoc-gen-es@2.2.0")
	if all := folder(); len(all) != 4 {
		t.Errorf("shared is there more than once: %v", all)
	}
	p.ok("update", "protoc-gen-es@2.5.0", "--no-smoke")
	locked("@bufbuild/protobuf", "2.6.0", "protoc-gen-es@2.5.0")
	p.ok("add", prefix+"@connectrpc/connect", "--no-smoke")
	locked("@connectrpc/connect", "2.1.0", "protoc-gen-es@2.5.0")
	p.ok("update", "protoc-gen-es@1.10.0", "--no-smoke")
	locked("@bufbuild/protobuf", "1.10.1", "protoc-gen-es@1.10.0")
	locked("@connectrpc/connect", "1.7.0", "protoc-gen-es@1.10.0")
	p.ok("remove", prefix+"old-lib")
	p.ok("check")
	if all := folder(); len(all) != 2 {
		t.Errorf("left over: %v", all)
	}
	p.ok("remove", prefix+"@connectrpc/connect", prefix+"bufbuild-protobuf")
	if text := p.read("plugins.toml"); strings.Contains(text, "connectrpc") || strings.Contains(text, "bufbuild") {
		t.Error(text)
	}
}

// TestRuntimesNPMFit: which library of the wire format ts-proto wants depends on its
// version.
func TestRuntimesNPMFit(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts npm many times; TestUpdate and the conformance suite have the usual way")
	needNPM(t)
	for _, tt := range []struct {
		plugins  map[string]string
		runtimes string
		locked   map[string]string // NAME VERSION, with what it fits
	}{
		{map[string]string{"ts-proto": `"2.7.2"`}, `"@bufbuild/protobuf", "protobufjs"`, map[string]string{"@bufbuild/protobuf 2.6.0": "ts-proto@2.7.2", "protobufjs 8.0.0": ""}},
		{map[string]string{"ts-proto": `"1.181.2"`}, `"@bufbuild/protobuf", "protobufjs"`, map[string]string{"@bufbuild/protobuf 3.0.0": "", "protobufjs 7.4.0": "ts-proto@1.181.2"}},
		{map[string]string{"ts-proto": `"2.7.2"`, "protoc-gen-es": `"2.5.0"`}, `"@bufbuild/protobuf==2.5.1"`, map[string]string{"@bufbuild/protobuf 2.5.1": "protoc-gen-es@2.5.0 ts-proto@2.7.2"}},
		{nil, `"parts"`, map[string]string{"parts 1.0.0": ""}},
	} {
		p := newPlace(t)
		p.publishTypeScript()
		p.typeScript(tt.plugins, tt.runtimes)
		p.ok("update", "--no-smoke")
		for want, fits := range tt.locked {
			name, version, _ := strings.Cut(want, " ")
			v := p.locked().Plugins[lock.RuntimeEntry("typescript", name)][version]
			if v == nil || strings.Join(v.Fits, " ") != fits {
				t.Errorf("%s, fits %q, is not locked:\n%s", want, fits, p.read("plugins.lock.toml"))
			}
		}
		if text := p.read("plugins.lock.toml"); strings.Contains(text, "parts-win") {
			t.Error("has a package for another platform")
		}
	}
}

// TestRuntimesNPMConsent: a young version that a person wrote is taken by the other
// runtimes as well, and only that one.
func TestRuntimesNPMConsent(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newPlace(t)
	p.publishTypeScript()
	p.server.Package(fake.Package{Name: "@bufbuild/protobuf", Version: "2.6.1", Released: daysAgo(1)})
	p.server.Package(fake.Package{Name: "shared", Version: "2.0.1", Released: daysAgo(1)})
	locked := func(entry, version, key, of string) {
		t.Helper()
		v := p.locked().Plugins["runtimes/typescript/"+entry][version]
		if v == nil || v.Files["node_modules/"+key].Version != of {
			t.Errorf("%s %s with %s %s is not locked:\n%s", entry, version, key, of, p.read("plugins.lock.toml"))
		}
	}
	p.typeScript(map[string]string{"protoc-gen-es": `"2.2.0"`}, `"@bufbuild/protobuf", "@connectrpc/connect"`)
	p.write("plugins.toml", p.read("plugins.toml")+"\n[policy]\nminimum-release-age = \"7d\"\n")
	p.ok("update", "--no-smoke")
	locked("bufbuild-protobuf", "2.6.0", "@bufbuild/protobuf", "2.6.0")
	if _, talk := p.ok("add", "runtimes/typescript/bufbuild-protobuf@2.6.1", "--no-smoke"); strings.Contains(talk, "executables with the same name") {
		t.Errorf("takes libraries for programs:\n%s", talk)
	}
	locked("connectrpc-connect", "2.1.0", "@bufbuild/protobuf", "2.6.1")
	locked("connectrpc-connect", "2.1.0", "shared", "2.0.0")
	p.ok("check")
}

// TestRuntimesNPMRefused: what does not fit or is not there is refused before anything
// is written.
func TestRuntimesNPMRefused(t *testing.T) {
	t.Parallel()
	needNPM(t)
	es := func(versions string) map[string]string { return map[string]string{"protoc-gen-es": versions} }
	for row, tt := range []struct {
		name     string
		plugins  map[string]string
		runtimes string
		class    fault.Class
		says     []string
	}{
		{"older than the code", es(`"2.5.0"`), `"@bufbuild/protobuf==2.2.0"`, fault.Usage, []string{"@bufbuild/protobuf 2.2.0 does not run the code of protoc-gen-es 2.5.0, which wants 2.5.0 or later, before 3", `"@bufbuild/protobuf==2.5.0"`}},
		{"another major version", es(`"1.10.0"`), `"@bufbuild/protobuf==2.6.0"`, fault.Usage, []string{"does not run the code of protoc-gen-es 1.10.0", "before 2"}},
		{"two plugins", es(`"1.10.0", "2.2.0"`), `"@bufbuild/protobuf"`, fault.Usage, []string{"no @bufbuild/protobuf runs the code of both protoc-gen-es 2.2.0, which wants 2.2.0 or later, and protoc-gen-es 1.10.0", "runtime = […]"}},
		{"two kinds of plugins", map[string]string{"protoc-gen-es": `"1.10.0"`, "ts-proto": `"2.7.2"`}, `"@bufbuild/protobuf"`, fault.Usage, []string{"no @bufbuild/protobuf runs the code of both ts-proto 2.7.2"}},
		{"there is none yet", es(`"2.9.0"`), `"@bufbuild/protobuf"`, fault.Upstream, []string{">=2.9.0 <3, which is what fits protoc-gen-es 2.9.0", "lock an older version of protoc-gen-es until there is one, or take @bufbuild/protobuf out of [runtimes]"}},
		{"peers", es(`"2.2.0"`), `"@bufbuild/protobuf==2.2.0", "@connectrpc/connect==2.1.0"`, fault.Usage, []string{"@connectrpc/connect", "peer @bufbuild/protobuf@\"^2.6.0\"", "take versions that allow each other"}},
		{"no such package", nil, `"nothing"`, fault.Upstream, []string{"nothing"}},
		{"no such version", nil, `"shared==7.0.0"`, fault.Upstream, []string{"shared", "7.0.0"}},
		{"a hole", nil, `"holed"`, fault.Upstream, []string{"nowhere"}},
		{"another platform", nil, `"native"`, fault.Machine, []string{"npm package native 1.0.0 does not support linux arm64", "hint: take another version, or take it out of [runtimes] and write runtime = […] in BUCK files"}},
		{"an install script", nil, `"script"`, fault.Policy, []string{"install script", "take another version, or take it out of [runtimes] and write runtime = […] in BUCK files", "ignore-scripts"}},
		{"from git", nil, `"from-git"`, fault.Policy, []string{"from-git", "git", "hint: take another version, or take it out of [runtimes] and write runtime = […] in BUCK files"}},
		{"twice", nil, `"shared", "shared==1.0.0"`, fault.Usage, []string{"plugins.toml:", "names shared twice"}},
		{"a range", nil, `"shared@^1"`, fault.Usage, []string{"plugins.toml:", `"@bufbuild/protobuf==2.17.0"`}},
		{"an address", nil, `"https://example.com/x.tgz"`, fault.Usage, []string{"is not the name of a library"}},
		{"no scope", nil, `"bufbuild/protobuf"`, fault.Usage, []string{"is not the name of a library"}},
		{"capitals", nil, `"JSONStream"`, fault.Usage, []string{"is not the name of a library"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testenv.Sample(t, row, 3)
			t.Parallel()
			p := newPlace(t)
			p.publishTypeScript()
			p.typeScript(tt.plugins, tt.runtimes)
			p.fails(tt.class, tt.says, "update", "--no-smoke")
			if p.read("plugins.lock.toml") != "" {
				t.Error("wrote a lock")
			}
		})
	}
	// Deprecated, but written down by a person: it is locked, and told.
	p := newPlace(t)
	p.publishTypeScript()
	p.typeScript(nil, `"left==1.0.0"`)
	if _, talk := p.ok("update", "--no-smoke"); !strings.Contains(talk, "left@1.0.0 is deprecated: use right") {
		t.Error(talk)
	}
	// The hint for what has an install script mends it.
	p.typeScript(nil, `"script"`)
	p.write("plugins.toml", p.read("plugins.toml")+"\n[policy]\nignore-scripts = [\"script\"]\n")
	p.ok("update", "--no-smoke")
}

// TestRuntimesTogether: outdated has one command for a plugin and the exact version of a
// runtime that does not run its newer code, and this command moves both.
func TestRuntimesTogether(t *testing.T) {
	t.Parallel()
	needNPM(t)
	const es, library = "protoc-gen-es", "runtimes/typescript/bufbuild-protobuf"
	for _, tt := range []struct {
		asked, runtime string
		rows           [][]string // the words of a line, RUN in one, and what holds the newest back
		locked         [2]string  // of both, when all commands have run
	}{
		{"1.10.0", "==1.10.0", [][]string{
			{es, "1.10.0", "1.10.0", "2.17.0", "lockgen upgrade --latest " + es + " " + library, "2.17.0: not in 1.10.0 (and 1 more)"},
			{library, "1.10.0", "1.10.0", "2.18.0", "lockgen upgrade --latest " + es + " " + library, "2.18.0: does not run the code of protoc-gen-es 1.10.0 (and 2 more)"},
		}, [2]string{"2.17.0", "2.18.0"}},
		{"^2", "==2.16.0", [][]string{
			{es, "2.16.0", "2.17.0", "2.17.0", "lockgen upgrade " + es + " " + library},
			{library, "2.16.0", "2.16.0", "2.18.0", "lockgen upgrade --latest " + library, "2.18.0: not in 2.16.0 (and 1 more)"},
		}, [2]string{"2.17.0", "2.18.0"}},
		{"1.10.0", "", [][]string{
			{es, "1.10.0", "1.10.0", "2.17.0", "lockgen upgrade --latest " + es, "2.17.0: not in 1.10.0 (and 1 more)"},
			{library, "1.10.0", "1.10.0", "2.18.0", "-", "2.18.0: not in >=1.10.0 <2, which is what fits protoc-gen-es 1.10.0 (and 2 more)"},
		}, [2]string{"2.17.0", "2.18.0"}},
	} {
		p := newBase(t)
		plugin := func(version string) {
			p.server.Package(fake.Package{Name: "@bufbuild/protoc-gen-es", Version: version, Manifest: map[string]any{"bin": map[string]any{es: "./" + es}}, Files: map[string]string{es: "#!/usr/bin/env node\n// " + version + "\n"}})
		}
		for _, version := range []string{"1.10.0", "2.16.0", "2.17.0", "2.18.0"} {
			p.server.Package(fake.Package{Name: "@bufbuild/protobuf", Version: version, Files: map[string]string{"index.js": version}})
		}
		plugin("1.10.0")
		plugin("2.16.0")
		p.manifest(baseEntries + es + " = \"" + tt.asked + "\"\n\n[runtimes]\ntypescript = [\"@bufbuild/protobuf" + tt.runtime + "\"]\n")
		p.ok("update", "--no-smoke")
		plugin("2.17.0")
		out, _ := p.ok("outdated", "--json")
		var rows struct{ Entries []resolve.Age }
		if err := json.Unmarshal([]byte(out), &rows); err != nil {
			t.Fatal(err)
		}
		var got [][]string
		for _, a := range rows.Entries {
			if a.Name == es || a.Name == library {
				row := []string{a.Name, a.Locked, a.Allowed, a.Latest, cmp.Or(a.Run, "-"), a.Why()}
				if row[5] == "" {
					row = row[:5]
				}
				got = append(got, row)
			}
		}
		if !reflect.DeepEqual(got, tt.rows) {
			t.Errorf("%s and %q:\n%q, want\n%q", tt.asked, tt.runtime, got, tt.rows)
		}
		for _, row := range got {
			if row[4] != "-" {
				p.ok(append(strings.Fields(row[4])[1:], "--no-smoke")...)
			}
		}
		for i, name := range []string{es, library} {
			if versions := slices.Collect(maps.Keys(p.locked().Plugins[name])); !slices.Equal(versions, tt.locked[i:i+1]) {
				t.Errorf("%s and %q: %s is locked as %q", tt.asked, tt.runtime, name, versions)
			}
		}
	}
}
