package main

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// bumped is the text of a lock in which one plugin has another version: what
// names it, every digest of its files and trees, and the runtime of others.
func bumped(text, name, from, to string) string {
	hash := regexp.MustCompile(`(sha256|tree) = "([0-9a-f])`)
	var b strings.Builder
	inside := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "[") {
			inside = strings.HasPrefix(line, "[plugins."+name+".")
		}
		line = strings.ReplaceAll(line, `runtime = "`+name+"@"+from+`"`, `runtime = "`+name+"@"+to+`"`)
		if inside {
			line = strings.ReplaceAll(line, from, to)
			line = hash.ReplaceAllStringFunc(line, func(s string) string {
				digit := s[len(s)-1]
				other := byte('1')
				if digit == '1' {
					other = '2'
				}
				return s[:len(s)-1] + string(other)
			})
		}
		b.WriteString(line)
	}
	return b.String()
}

// branch makes a branch off main with one edit of lock and manifest.
func (p *place) branch(name string, edit func()) {
	p.t.Helper()
	p.git("checkout", "--quiet", "-B", name, "main")
	edit()
	p.commit(name)
}

// versions are those of the repository's own lock.
func ownVersions(t *testing.T, p *place) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for name, list := range p.locked().Plugins {
		for version := range list {
			versions[name] = version
		}
	}
	if len(versions) < 5 {
		t.Fatalf("%v", versions)
	}
	return versions
}

// TestMergeByGit: two branches that bump different plugins merge by plain git,
// whichever plugins, in either order; the manifest does where their lines are
// not neighbours.
func TestMergeByGit(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it starts git many times")
	p := five(t)
	versions := ownVersions(t, p)
	good := p.read("plugins.lock.toml")
	// Neighbouring lines of a manifest are git's own conflict, so there are none.
	p.write("plugins.toml", strings.NewReplacer("\nnode", "\n\nnode", "\nts-proto", "\n\nts-proto", "\nprotoc-gen", "\n\nprotoc-gen").Replace(p.read("plugins.toml")))
	manifest := p.read("plugins.toml")
	p.ok("check")
	p.git("init", "--quiet", "--initial-branch=main")
	p.commit("base")
	names := slices.Sorted(maps.Keys(versions))
	for _, name := range names {
		p.branch(name, func() {
			p.write("plugins.lock.toml", bumped(good, name, versions[name], versions[name]+"1"))
			p.write("plugins.toml", strings.Replace(manifest, name+" = \""+versions[name], name+" = \""+versions[name]+"1", 1))
		})
		p.ok("check")
	}
	merged := 0
	for _, a := range names {
		for _, b := range names {
			if a == b {
				continue
			}
			p.git("checkout", "--quiet", "-B", "merge", a)
			if out, err := p.tryGit("merge", "--quiet", "--no-edit", b); err != nil {
				t.Errorf("%s and %s: %v\n%s\n%s", a, b, err, out, p.read("plugins.lock.toml"))
				p.git("reset", "--quiet", "--hard")
				continue
			}
			p.ok("check")
			want := bumped(bumped(good, a, versions[a], versions[a]+"1"), b, versions[b], versions[b]+"1")
			if p.read("plugins.lock.toml") != want {
				t.Errorf("%s and %s: git merged to another lock", a, b)
			}
			merged++
		}
	}
	if merged != len(names)*(len(names)-1) {
		t.Errorf("%d merges", merged)
	}
}

// TestMergeDriver: what git cannot settle the driver does, and a true conflict
// stays one.
func TestMergeDriver(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it starts git many times")
	p := five(t)
	good := p.read("plugins.lock.toml")
	versions := ownVersions(t, p)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p.git("init", "--quiet", "--initial-branch=main")
	p.git("config", "merge.lockgen.name", "lock of protoc plugins")
	p.git("config", "merge.lockgen.driver", asLockgen+"=1 '"+self+"' merge-driver %O %A %B")
	p.commit("base")
	table := func(name, version string) string { return cut(good, "plugins."+name+`."`+version+`"`) }
	// beside adds a plugin of a new name behind protoc-gen-ts, as a copy of that.
	beside := func(name string) string {
		entry := strings.ReplaceAll(table("protoc-gen-ts", versions["protoc-gen-ts"]), "plugins.protoc-gen-ts.", "plugins."+name+".")
		l, err := lock.Parse("lock", []byte(good+"\n["+strings.TrimSuffix(entry, "[")))
		if err != nil {
			t.Fatal(err)
		}
		return string(lock.Print(l))
	}
	bump := func(name, suffix string) string { return bumped(good, name, versions[name], versions[name]+suffix) }
	parsed := func(text string) *lock.Lock {
		l, err := lock.Parse("lock", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	without := func(name string) string {
		l := parsed(good)
		delete(l.Plugins, name)
		return string(lock.Print(l))
	}
	sideBySide := func(version string) string {
		l, more := parsed(good), parsed(bumped(good, "ts-proto", "2.7.2", version))
		l.Plugins["ts-proto"][version] = more.Plugins["ts-proto"][version]
		return string(lock.Print(l))
	}
	l := parsed(good)
	l.Plugins["ts-proto"]["2.7.2"].Trust = "provenance"
	trusted := string(lock.Print(l))
	for _, tt := range []struct {
		name         string
		ours, theirs string
		conflict     string   // "" for none
		have         []string // NAME@VERSION in the merged lock
		byGit        bool     // git alone can do it
	}{
		{"neighbours are added", beside("protoc-gen-ua"), beside("protoc-gen-ub"), "", []string{"protoc-gen-ua@0.8.7", "protoc-gen-ub@0.8.7", "protoc-gen-ts@0.8.7"}, false},
		{"versions side by side", sideBySide("2.8.0"), sideBySide("2.9.0"), "", []string{"ts-proto@2.7.2", "ts-proto@2.8.0", "ts-proto@2.9.0"}, false},
		{"the same bump", bump("ts-proto", "1"), bump("ts-proto", "1"), "", []string{"ts-proto@2.7.21"}, true},
		{"a runtime that went", bump("node", "1"), beside("protoc-gen-ua"), "", []string{"node@24.19.01", "protoc-gen-ua@0.8.7"}, true},
		{"two bumps of one plugin", bump("ts-proto", "1"), bump("ts-proto", "2"), "ts-proto: one side takes 2.7.21, the other 2.7.22", nil, false},
		{"one version, two contents", strings.Replace(good, `trust = "registry"`, `trust = "provenance"`, 1), strings.Replace(good, `trust = "registry"`, `trust = "checksum-file"`, 1), "node 24.19.0: both sides change it", nil, false},
		{"a bump of what is dropped", bump("ts-proto", "1"), without("ts-proto"), "ts-proto: one side takes 2.7.21, the other drops the plugin", nil, false},
		{"an edit of what is dropped", trusted, without("ts-proto"), "ts-proto 2.7.2: one side changes it, the other drops it", nil, false},
	} {
		for _, driver := range []bool{false, true} {
			p.git("checkout", "--quiet", "-B", "start", "main")
			attributes := ""
			if driver {
				attributes = "plugins.lock.toml merge=lockgen\n"
			}
			p.write(".git/info/attributes", attributes)
			p.branch("ours", func() { p.write("plugins.lock.toml", tt.ours) })
			p.git("checkout", "--quiet", "-B", "theirs", "main")
			p.write("plugins.lock.toml", tt.theirs)
			p.git("commit", "--quiet", "--all", "--allow-empty", "--message", "theirs")
			p.git("checkout", "--quiet", "ours")
			out, err := p.tryGit("merge", "--no-edit", "theirs")
			text := p.read("plugins.lock.toml")
			p.git("reset", "--quiet", "--hard")
			if !driver {
				if (err == nil) != tt.byGit {
					t.Errorf("%s: git alone: %v\n%s", tt.name, err, out)
				}
				continue
			}
			if tt.conflict != "" {
				if err == nil || !strings.Contains(out, tt.conflict) || !strings.Contains(text, "<<<<<<< ours") {
					t.Errorf("%s: no conflict: %v\n%s", tt.name, err, out)
				}
				p.write("plugins.lock.toml", text)
				p.fails(fault.Lock, []string{"unresolved merge"}, "check")
				p.fails(fault.Lock, []string{"unresolved merge"}, "update")
				p.git("checkout", "--quiet", "--force", "ours")
				continue
			}
			if err != nil {
				t.Errorf("%s: %v\n%s\n%s", tt.name, err, out, text)
				continue
			}
			l := parsed(text)
			if err := lock.Canonical("lock", []byte(text), l); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			for _, want := range tt.have {
				name, version, _ := strings.Cut(want, "@")
				if l.Plugins[name][version] == nil {
					t.Errorf("%s: %s is not in the merged lock", tt.name, want)
				}
			}
		}
	}
	p.fails(fault.Usage, []string{"three files"}, "merge-driver", "a")
	p.write("bad", "<<<<<<< x\n")
	p.fails(fault.Lock, []string{"our lock:1: unresolved merge"}, "merge-driver", p.path("plugins.lock.toml"), p.path("bad"), p.path("plugins.lock.toml"))
}

// TestMergeProtos: branches that change [protos] merge by git and the driver,
// whichever goes first, and the merged lock is the one that lockgen makes.
func TestMergeProtos(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it starts git many times")
	p := newPlace(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	good := proto()
	entry := func(name, version string, files map[string]string) string {
		url := p.server.File("/"+name+"-"+version+".tar.gz", fake.Tarball(name, files))
		return name + " = { version = \"" + version + "\", source = \"" + strings.Replace(url, version+".tar.gz", "{version}.tar.gz", 1) + "\", root = \"" + name + "\" }\n"
	}
	base := entry("base", "1.0.0", map[string]string{"base/v1/b.proto": good, "base/v2/b.proto": good})
	newer := entry("base", "2.0.0", map[string]string{"base/v2/b.proto": good})
	newest := entry("base", "3.0.0", map[string]string{"base/v3/b.proto": good})
	acme := entry("acme", "1.0.0", map[string]string{"acme/a.proto": proto("base/v1/b.proto")})
	able := entry("able", "1.0.0", map[string]string{"able/a.proto": proto("base/v2/b.proto")})
	same := entry("same", "1.0.0", map[string]string{"able/a.proto": good})
	other := entry("zeta", "1.0.0", map[string]string{"zeta/z.proto": good})
	// Lines of a manifest that are neighbours are git's own conflict: there are none.
	side := func(top, middle, end string) func() {
		return func() {
			p.protos(top + "\n# base\n\n" + middle + "\n# the rest\n\n" + end)
			p.ok("update", "--no-smoke")
		}
	}
	p.git("init", "--quiet", "--initial-branch=main")
	p.git("config", "merge.lockgen.driver", asLockgen+"=1 '"+self+"' merge-driver %O %A %B")
	p.write(".gitattributes", "plugins.lock.toml merge=lockgen\n")
	side("", base, "")()
	p.commit("base")
	for _, tt := range []struct {
		name     string
		ours     func()
		theirs   func()
		conflict string // "" for none
		have     string // NAME@VERSION in the merged lock
	}{
		{"both add one", side(able, base, ""), side("", base, acme), "", "able@1.0.0 acme@1.0.0 base@1.0.0"},
		{"one adds, one bumps", side(able, base, ""), side("", newer, ""), "", "able@1.0.0 base@2.0.0"},
		{"one adds, one removes", side("", base, other), side("", "", ""), "", "zeta@1.0.0"},
		{"both bump the same", side("", newer, ""), side("", newer, ""), "", "base@2.0.0"},
		{"two bumps", side("", newer, ""), side("", newest, ""), "protos/base: one side takes ", ""},
		{"a bump of what is dropped", side("", newer, ""), side("", "", ""), "protos/base: one side takes 2.0.0, the other drops", ""},
		{"one imports what the other drops", side(able, base, ""), side("", "", ""), `protos/able 1.0.0: deps: proto package "base" is not in the lock`, ""},
		{"one imports what the other's version lost", side("", base, acme), side("", newer, ""), `protos/acme 1.0.0: folder "acme" imports the folder "base/v1"`, ""},
		{"both bring one file", side(able, base, ""), side("", base, same), "able/a.proto of protos/same is able/a.proto of protos/able as well", ""},
	} {
		p.branch("one", tt.ours)
		p.branch("two", tt.theirs)
		for _, order := range [][2]string{{"one", "two"}, {"two", "one"}} {
			p.git("checkout", "--quiet", "-B", "merge", order[0])
			out, err := p.tryGit("merge", "--no-edit", order[1])
			text := p.read("plugins.lock.toml")
			if tt.conflict != "" {
				if err == nil || !strings.Contains(out, tt.conflict) || !strings.Contains(text, "<<<<<<< ours") || !strings.Contains(out, "merge plugins.toml, take") {
					t.Errorf("%s: no conflict: %v\n%s\n%s", tt.name, err, out, text)
				}
				// The hint: merge plugins.toml, take a side of the whole lock, update.
				p.git("checkout", order[0], "--", "plugins.toml")
				p.fails(fault.Lock, []string{"unresolved merge"}, "check")
				p.git("checkout", "--ours", "plugins.lock.toml")
				p.ok("update", "--no-smoke")
				p.ok("check")
				p.git("reset", "--quiet", "--hard")
				continue
			}
			if err != nil {
				t.Errorf("%s: %v\n%s\n%s", tt.name, err, out, text)
				p.git("reset", "--quiet", "--hard")
				continue
			}
			p.ok("check")
			var have []string
			for name, versions := range p.locked().Plugins {
				for version := range versions {
					have = append(have, strings.TrimPrefix(name, lock.ProtosPrefix)+"@"+version)
				}
			}
			if slices.Sort(have); strings.Join(have, " ") != tt.have {
				t.Errorf("%s: %q, want %s", tt.name, have, tt.have)
			}
			if p.ok("update", "--all", "--no-smoke"); p.read("plugins.lock.toml") != text {
				t.Errorf("%s: merged to\n%s\nand lockgen makes\n%s", tt.name, text, p.read("plugins.lock.toml"))
			}
			p.git("reset", "--quiet", "--hard")
		}
	}
}
