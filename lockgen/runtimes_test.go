package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// runtimes writes a manifest with protoc and grpcio-tools, which are files here, and a
// list of runtimes.
func (p *place) runtimes(protoc, runtimes string) {
	p.python(`"3.11", "3.12"`, one, `protoc = { version = "`+protoc+`", source = "`+p.server.URL+`/{version}/protoc", binary = "protoc" }
grpcio-tools = { version = "1.72.1", source = "`+p.server.URL+`/{version}/tools", binary = "protoc-gen-grpc_python" }

[runtimes]
python = [`+runtimes+"]\n")
}

// publishRuntimes publishes what runtimes asks for.
func (p *place) publishRuntimes() {
	for _, version := range []string{"29.3", "30.2", "31.1", "32.0", "34.1"} {
		p.server.File("/"+version+"/protoc", []byte(linuxARM+version))
	}
	p.server.File("/1.72.1/tools", []byte(linuxARM))
	for _, version := range []string{"5.29.3", "6.30.1", "6.30.2", "6.31.1", "6.33.0", "7.34.1"} {
		p.server.Wheel(fake.Wheel{Name: "protobuf", Version: version, Files: map[string]string{"google/protobuf/__init__.py": "", "google/protobuf/x.py": version}})
	}
	p.server.Wheel(fake.Wheel{Name: "protobuf", Version: "6.33.5", Yanked: "wrong", Files: map[string]string{"google/protobuf/__init__.py": ""}})
	for _, version := range []string{"1.71.0", "1.72.1", "1.76.0", "2.0.0"} {
		for _, cp := range []string{"cp311", "cp312"} {
			p.server.Wheel(fake.Wheel{Name: "grpcio", Version: version, Tag: cp + "-" + cp + "-manylinux_2_28_aarch64", Requires: []string{"shared"},
				Files: map[string]string{"grpc/__init__.py": version, "grpc/cygrpc.cpython-" + cp[2:] + "-aarch64-linux-gnu.so": linuxARM + cp}})
		}
	}
	for _, version := range []string{"1.0", "2.0"} {
		p.server.Wheel(fake.Wheel{Name: "shared", Version: version, Files: map[string]string{"shared.py": version}})
	}
	p.server.Wheel(fake.Wheel{Name: "Old_Lib", Version: "1.0", Requires: []string{"shared<2", "protobuf<7"}, Files: map[string]string{"old.py": ""}})
}

// known has every command that reads a lock say what it knows of a runtime that was just
// locked, which needs a package. In the end the place is as it was.
func (p *place) known(entry, needs, why string) {
	p.t.Helper()
	manifest, locked := p.read("plugins.toml"), p.read("plugins.lock.toml")
	spec := entry + "@" + slices.Collect(maps.Keys(p.locked().Plugins[entry]))[0]
	for _, args := range [][]string{{"list"}, {"list", "--json"}, {"tree"}, {"tree", entry}, {"tree", spec, "--json"}, {"why", needs}, {"why", needs, "--json"}, {"why", entry},
		{"explain", entry}, {"explain", spec, "--json"}, {"sbom"}, {"textconv", p.path("plugins.lock.toml")}, {"check", "--upstream"}, {"outdated"}, {"outdated", "--json"},
		{"report", "--html", p.path("report.html")}, {"update", "--verify", "--no-smoke", entry}, {"mirror", "--trees", "--to", "oci-layout:" + p.path("trees"), entry},
		{"remove", entry}, {"diff", p.path("before.toml")}, {"diff", "--markdown", p.path("before.toml")}, {"diff", "--json", p.path("before.toml")}} {
		if args[0] == "remove" {
			p.write("before.toml", locked)
		}
		out, talk := p.ok(args...)
		said := out + talk
		switch args[0] {
		case "report":
			said = p.read("report.html")
		case "why":
			if args[1] == needs && !strings.Contains(said, why) {
				p.t.Errorf("lockgen %v: %q is not in\n%s", args, why, said)
			}
		case "explain":
			if strings.Contains(said, "CPython ") != (strings.HasPrefix(entry, "runtimes/python/") && len(args) == 2) {
				p.t.Errorf("lockgen %v is wrong about Python:\n%s", args, said)
			}
		case "outdated", "check": // they only tell what is wrong
			continue
		}
		if !strings.Contains(said, entry) {
			p.t.Errorf("lockgen %v says nothing of %s:\n%s", args, entry, said)
		}
		if strings.Contains(said, "from the machine, not in the lock") && !strings.HasPrefix(entry, "runtimes/python/") {
			p.t.Errorf("lockgen %v says that the machine is needed for it:\n%s", args, said)
		}
	}
	p.write("plugins.toml", manifest)
	p.write("plugins.lock.toml", locked)
	p.ok("check")
}

// TestRuntimes: runtimes are chosen to fit the plugins, agree in the libraries that
// they share, and follow the plugins.
func TestRuntimes(t *testing.T) {
	t.Parallel()
	needPip(t)
	p := newPlace(t)
	p.publishRuntimes()
	locked := func(protobuf, grpcio string, fits ...string) {
		t.Helper()
		l := p.locked()
		v := l.Plugins["runtimes/python/protobuf"][protobuf]
		if v == nil || !slices.Equal(v.Fits, fits) || v.Language != "python" || !slices.Equal(v.Python, []string{"3.11", "3.12"}) {
			t.Fatalf("%+v\n%s", v, p.read("plugins.lock.toml"))
		}
		if g := l.Plugins["runtimes/python/grpcio"][grpcio]; g == nil || !slices.Equal(g.Fits, []string{"grpcio-tools@1.72.1"}) {
			t.Fatalf("%+v\n%s", g, p.read("plugins.lock.toml"))
		}
	}
	p.runtimes("30.2", `"protobuf", "grpcio"`)
	p.ok("update", "--no-smoke")
	p.ok("check")
	locked("6.33.0", "1.76.0", "protoc@30.2")
	p.runtimes("34.1", `"protobuf", "grpcio"`)
	p.fails(fault.Lock, []string{"runtimes/python/protobuf latest: is in plugins.toml, but no matching version is locked", "lockgen update"}, "check")
	p.runtimes("30.2", `"protobuf", "grpcio"`)
	text := p.read("plugins.lock.toml")
	if !strings.Contains(text, "\n[runtimes.python.grpcio.\"1.76.0\"]\n") || !strings.Contains(text, "shared-2.0-py3") {
		t.Error(text)
	}
	// Nothing to do, and the same again.
	p.server.Forget()
	p.ok("update")
	p.ok("update", "--offline")
	if n := p.server.Count(""); n != 0 {
		t.Errorf("%d requests", n)
	}
	for _, args := range [][]string{{"update", "--all", "--no-smoke"}, {"update", "runtimes/python/grpcio"}, {"update", "--verify", "--no-smoke"}} {
		p.ok(args...)
		if got := p.read("plugins.lock.toml"); got != text {
			t.Errorf("%v: another lock:\n%s", args, got)
		}
	}
	p.known("runtimes/python/grpcio", "shared", "does not record which package needs it")
	// What fits the next protoc as well stays, and knows it without asking anybody.
	p.server.Forget()
	p.ok("update", "protoc@31.1", "--no-smoke")
	locked("6.33.0", "1.76.0", "protoc@31.1")
	if n := p.server.Count("/simple/"); n != 0 {
		t.Errorf("%d requests of the index", n)
	}
	p.ok("check")
	// Another major version moves it.
	p.ok("update", "protoc@34.1", "--no-smoke")
	locked("7.34.1", "1.76.0", "protoc@34.1")
	p.ok("check")
	// Two at once: one version for both, or none.
	p.ok("add", "protoc@32.0", "--no-smoke")
	locked("7.34.1", "1.76.0", "protoc@32.0", "protoc@34.1")
	manifest, lock := p.read("plugins.toml"), p.read("plugins.lock.toml")
	p.fails(fault.Usage, []string{"no protobuf runs the code of both protoc 34.1, which wants 7.34.1 or later, and protoc 29.3"}, "add", "protoc@29.3", "--no-smoke")
	p.asBefore(manifest, lock)
	p.ok("remove", "protoc@34.1")
	locked("7.34.1", "1.76.0", "protoc@32.0") // what is locked and fits stays
	p.ok("check")
	p.ok("update", "protoc@31.1", "--no-smoke")
	locked("7.34.1", "1.76.0", "protoc@31.1")
	// By the command line.
	p.ok("remove", "runtimes/python/protobuf")
	p.ok("add", "runtimes/python/protobuf")
	locked("6.33.0", "1.76.0", "protoc@31.1")
	p.ok("add", "runtimes/python/old-lib")
	if v := p.locked().Plugins["runtimes/python/old-lib"]["1.0"]; v == nil || len(v.Fits) > 0 || !strings.Contains(p.read("plugins.toml"), `python = ["grpcio", "protobuf", "old-lib"]`) {
		t.Fatal(p.read("plugins.toml"), p.read("plugins.lock.toml"))
	}
	if text := p.read("plugins.lock.toml"); strings.Count(text, "shared-1.0-py3") != 2 || strings.Contains(text, "shared-2.0") {
		t.Errorf("not all took what old-lib needs:\n%s", text)
	}
	p.ok("remove", "runtimes/python/old-lib")
	p.ok("add", "runtimes/python/grpcio@1.72.1")
	locked("6.33.0", "1.72.1", "protoc@31.1")
	if !strings.Contains(p.read("plugins.toml"), `python = ["grpcio==1.72.1", "protobuf"]`) || !strings.Contains(p.read("plugins.lock.toml"), "shared-2.0") {
		t.Error(p.read("plugins.toml"), p.read("plugins.lock.toml"))
	}
	out, _ := p.ok("outdated")
	if !strings.Contains(out, "runtimes/python/protobuf") || !strings.Contains(out, "runtimes/python/grpcio") {
		t.Error(out)
	}
	p.ok("upgrade", "runtimes/python/grpcio", "--no-smoke")
	locked("6.33.0", "1.76.0", "protoc@31.1")
	// protoc, the plugins and the runtimes move together.
	p.runtimes("31.1", `"grpcio==1.72.1", "protobuf==6.31.1"`)
	p.ok("update")
	locked("6.31.1", "1.72.1", "protoc@31.1")
	p.ok("update", "protoc@34.1", "runtimes/python/protobuf@7.34.1", "--no-smoke")
	locked("7.34.1", "1.72.1", "protoc@34.1")
	p.fails(fault.Usage, []string{"protobuf 7.34.1 does not run the code of protoc 29.3", `write "protobuf"`}, "update", "protoc@29.3", "--no-smoke")
	p.ok("remove", "runtimes/python/grpcio")
	p.ok("remove", "runtimes/python/protobuf")
	if text := p.read("plugins.toml") + p.read("plugins.lock.toml"); strings.Contains(text, "protobuf") || strings.Contains(text, "grpcio==") {
		t.Error(text)
	}
}

// TestRuntimesRefused: what does not fit or is not there is refused before anything is
// written, and what the hint says mends it.
func TestRuntimesRefused(t *testing.T) {
	t.Parallel()
	needPip(t)
	for row, tt := range []struct {
		name, protoc, runtimes string
		class                  fault.Class
		says                   []string
	}{
		{"older than the code", "30.2", `"protobuf==6.30.1"`, fault.Usage, []string{"protobuf 6.30.1 does not run the code of protoc 30.2, which wants 6.30.2 or later, before 8", `"protobuf==6.30.2"`}},
		{"newer than any", "29.3", `"protobuf==7.34.1"`, fault.Usage, []string{"does not run the code of protoc 29.3", "before 7"}},
		{"grpcio", "30.2", `"grpcio==1.71.0"`, fault.Usage, []string{"grpcio 1.71.0 does not run the code of grpcio-tools 1.72.1, which wants 1.72.1 or later, before 2"}},
		{"there is none yet", "38.0", `"protobuf"`, fault.Upstream, []string{">=7.38.0 <8, which is what fits protoc 38.0", "the newest version is 7.34.1", "lock an older version of protoc until there is one, or take protobuf out of [runtimes]"}},
		{"very old", "3.19.4", `"protobuf"`, fault.Usage, []string{"which version of the library fits protoc 3.19.4 is not known", "take protoc 20 or later"}},
		{"not there", "30.2", `"protobuff==6.30.2"`, fault.Upstream, []string{"no wheel of protobuff==6.30.2", "the index has no package protobuff"}},
		{"no such package", "30.2", `"nothing"`, fault.Upstream, []string{"nothing"}},
		{"no such version", "30.2", `"protobuf==6.30.9"`, fault.Upstream, []string{"has no version 6.30.9: the newest is 7.34.1", "run: lockgen update runtimes/python/protobuf@6.30.2"}},
		{"source only", "30.2", `"sources==1.0"`, fault.Policy, []string{"only has a source distribution", "sources-1.0.tar.gz", "use a version that has wheels, or take it out of [runtimes]", "or build the wheel"}},
		{"another platform", "30.2", `"elsewhere==1.0"`, fault.Upstream, []string{"no wheel of elsewhere==1.0", "linux-aarch64", "elsewhere-1.0-cp311-cp311-win_amd64.whl", "or take it out of [runtimes] and write runtime = […] in BUCK files"}},
		{"one Python", "30.2", `"elsewhere==2.0"`, fault.Usage, []string{"Python 3.12", "remove 3.12 from python"}},
		{"two versions of a library", "30.2", `"old-lib", "new-lib"`, fault.Upstream, []string{"no set of wheels satisfies", "shared"}},
		{"other files for one path", "30.2", `"mixed"`, fault.Usage, []string{"have other files called mixed.py", `lock fewer interpreters: python = ["3.12"]`}},
		{"modules aside", "30.2", `"aside"`, fault.Usage, []string{"keeps modules in aside-1.0.data", "take another version, or take it out of [runtimes] and write runtime = […] in BUCK files"}},
		{"twice", "30.2", `"Protobuf", "protobuf==6.30.2"`, fault.Usage, []string{"plugins.toml:", "names protobuf twice"}},
		{"a range", "30.2", `"protobuf>=6"`, fault.Usage, []string{"plugins.toml:", `"protobuf==6.30.2"`}},
		{"extras", "30.2", `"protobuf[cpp]"`, fault.Usage, []string{"is not the name of a library"}},
		{"no version", "30.2", `"protobuf=="`, fault.Usage, []string{"plugins.toml:"}},
		{"an address", "30.2", `"https://example.com/x.whl"`, fault.Usage, []string{"is not the name of a library"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testenv.Sample(t, row, 3)
			t.Parallel()
			p := newPlace(t)
			p.publishRuntimes()
			p.server.File("/38.0/protoc", []byte(linuxARM))
			p.server.File("/3.19.4/protoc", []byte(linuxARM))
			p.server.Release("sources", "sources-1.0.tar.gz", []byte("x"))
			p.server.Wheel(fake.Wheel{Name: "elsewhere", Version: "1.0", Tag: "cp311-cp311-win_amd64"})
			p.server.Wheel(fake.Wheel{Name: "elsewhere", Version: "2.0", Tag: "cp311-cp311-manylinux_2_28_aarch64"})
			p.server.Wheel(fake.Wheel{Name: "new-lib", Version: "1.0", Requires: []string{"shared>=2"}})
			for _, cp := range []string{"cp311", "cp312"} {
				p.server.Wheel(fake.Wheel{Name: "mixed", Version: "1.0", Tag: cp + "-none-any", Files: map[string]string{"mixed.py": cp}})
			}
			p.server.Wheel(fake.Wheel{Name: "aside", Version: "1.0", Files: map[string]string{"aside-1.0.data/purelib/aside.py": ""}})
			p.runtimes(tt.protoc, tt.runtimes)
			p.fails(tt.class, tt.says, "update", "--no-smoke")
			if p.read("plugins.lock.toml") != "" {
				t.Error("wrote a lock")
			}
		})
	}
	// Withdrawn, but written down by a person: it is locked, and told.
	t.Run("withdrawn", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t)
		p.publishRuntimes()
		p.runtimes("30.2", `"protobuf==6.33.5"`)
		if _, talk := p.ok("update", "--no-smoke"); !strings.Contains(talk, "was yanked") {
			t.Error(talk)
		}
	})
}

// TestRuntimesMirrored: runtimes are pushed to a mirror, and [policy] holds for all that
// they bring.
func TestRuntimesMirrored(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts npm many times; TestUpdate and the conformance suite have the usual way")
	needPip(t)
	p := newPlace(t)
	p.publishRuntimes()
	p.runtimes("30.2", `"protobuf", "grpcio"`)
	manifest := p.read("plugins.toml")
	p.write("plugins.toml", manifest+"\n[policy]\nallow = [\"host:"+strings.TrimPrefix(p.server.URL, "http://")+"\", \"pip:protobuf\", \"pip:grpcio\"]\n")
	p.fails(fault.Policy, []string{"shared", "allow"}, "update", "--no-smoke")
	p.write("plugins.toml", manifest)
	p.ok("update", "--no-smoke")
	done := p.pushed("--to", "oci-layout:"+p.path("mirror"), "--platform", "linux-aarch64", "runtimes/python/grpcio")
	if want := []string{"runtimes_python_grpcio-1.76.0"}; !slices.Equal(done.Tags, want) || done.Pushed < 3 {
		t.Errorf("%+v, want tags %q", done, want)
	}
	// In a Buck2 project it is said how libraries come by them, until they do.
	const hint = "set runtimes = python in [buck2_protobuf] of .buckconfig"
	p.write(".buckconfig", "[cells]\n  root = .\n")
	if _, talk := p.ok("add", "runtimes/python/old-lib"); !strings.Contains(talk, hint) {
		t.Errorf("says nothing of the buckconfig:\n%s", talk)
	}
	p.ok("remove", "runtimes/python/old-lib")
	p.write(".buckconfig", "[cells]\n  root = .\n[buck2_protobuf]\n  runtimes = java, python\n")
	if _, talk := p.ok("add", "runtimes/python/old-lib"); strings.Contains(talk, hint) {
		t.Errorf("says what is there:\n%s", talk)
	}
	// In a bundle it would be a program.
	p.write("plugins.toml", strings.Replace(manifest, "[runtimes]", "[bundles]\nall = [\"runtimes/python/nothing\"]\n\n[runtimes]", 1))
	p.fails(fault.Usage, []string{"plugins.toml:", "runtimes/python/nothing"}, "check")
}
