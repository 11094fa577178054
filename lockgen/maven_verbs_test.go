package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestMavenVerbs: what is locked from Maven, jars with a closure and programs of
// platforms, is explained, compared and mirrored as what is from elsewhere; from the
// mirror alone it is mirrored again.
func TestMavenVerbs(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.timeouts = remote.Timeouts{RetryWait: 1}
	p.server.File("/java-25", []byte(linuxARM))
	jar := func(name, version, suffix, manifest string, needs ...string) {
		pom := ""
		for _, need := range needs {
			artifact, version, _ := strings.Cut(need, "@")
			pom += "<dependency><groupId>com.acme</groupId><artifactId>" + artifact + "</artifactId><version>" + version + "</version></dependency>"
		}
		p.server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: name, Version: version, POM: "<dependencies>" + pom + "</dependencies>",
			Files: map[string][]byte{suffix + ".jar": fake.Zip(map[string]string{"META-INF/MANIFEST.MF": manifest, "com/acme/" + name + ".class": class(11), "version": version})}})
	}
	jar("util", "2.0", "", "")
	jar("util", "2.1", "", "")
	jar("core", "1.1", "", "", "util@2.0")
	jar("kt", "1.0", "-all", "Main-Class: com.acme.kt\n", "core@1.1")
	jar("kt", "1.1", "-all", "Main-Class: com.acme.kt\n", "core@1.1", "util@2.1")
	p.server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "gen", Version: "3.0", Files: mavenPrograms("")})
	asks := func(p *place, server, kt, more string) {
		p.mavenManifest([]string{arm}, "java = { version = \"25\", source = \""+server+"/java-{version}\", binary = \"java\" }\n"+
			"kt = { version = \""+kt+"\", source = \"maven:com.acme:kt:all\", runtime = \"java\" }\n"+
			"gen = { version = \"3.0\", source = \"maven:com.acme:gen\" }\n\n[bundles]\nall = [\"kt\", \"gen\"]\n"+more)
	}
	asks(p, p.server.URL, "1.0", "")
	p.ok("update", "--no-smoke")
	p.ok("check")

	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"explain", "kt"}, []string{"kt 1.0", "in the bundle all", "maven:com.acme:kt:all  <- locked", "trust: checksum-file", "runs on: java@25", "3 files"}},
		{[]string{"explain", "kt", "--why", "com.acme:util"}, []string{"com.acme:util"}},
		{[]string{"explain", "gen"}, []string{"gen 3.0", "maven:com.acme:gen  <- locked", "linux-aarch64    gen (1 file, "}},
		{[]string{"explain", "gen", "--json"}, []string{`"from": "maven:com.acme:gen"`}},
		{[]string{"why", "com.acme:util"}, []string{"kt 1.0"}},
		{[]string{"tree", "kt"}, []string{"com.acme:core 1.1", "com.acme:util 2.0", "java 25"}},
	} {
		out, _ := p.ok(tt.args...)
		for _, want := range tt.want {
			if !strings.Contains(out, want) {
				t.Errorf("%v: %q is not in\n%s", tt.args, want, out)
			}
		}
	}
	p.fails(fault.Usage, []string{"has no package com.acme:absent"}, "explain", "kt", "--why", "com.acme:absent")

	// From there on, with an empty cache and nobody else.
	first, second := "oci-layout:"+filepath.Join(t.TempDir(), "first"), "oci-layout:"+filepath.Join(t.TempDir(), "second")
	done := p.pushed("--to", first, "--trees")
	for _, tag := range []string{"kt-1.0", "gen-3.0", "java-25", "bundle-all"} {
		if !slices.Contains(done.Tags, tag) {
			t.Errorf("no tag %s in %s", tag, done.Tags)
		}
	}
	q := &place{t: t, dir: t.TempDir(), cache: t.TempDir(), server: fake.New(t)}
	asks(q, p.server.URL, "1.0", "\n[[mirror]]\nfrom = \"*\"\nto = \""+first+"\"\n")
	q.write("plugins.lock.toml", p.read("plugins.lock.toml"))
	p.server.Forget()
	again := q.pushed("--to", second, "--trees")
	if again.Pushed != done.Pushed || !slices.Equal(again.Tags, done.Tags) {
		t.Errorf("first %+v, then %+v", done, again)
	}
	if asked := append(q.server.Requests(""), p.server.Requests("")...); len(asked) != 0 {
		t.Errorf("asked for %v", asked)
	}

	old := p.read("plugins.lock.toml")
	asks(p, p.server.URL, "1.1", "")
	p.ok("update", "--no-smoke")
	p.write("old.toml", old)
	if out, _ := p.ok("diff", p.path("old.toml")); strings.TrimSpace(out) != "kt 1.0 -> 1.1: com.acme:util 2.0 -> 2.1" {
		t.Error(out)
	}
	if out, _ := p.ok("diff", "--markdown", p.path("old.toml")); !strings.Contains(out, "com.acme:util") || !strings.Contains(out, "1.1") {
		t.Error(out)
	}
}

// TestMavenWithoutProgram: a repository that has a version and no program of it says
// so, and how to go on.
func TestMavenWithoutProgram(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	for _, version := range []string{"1.76.0", "1.85.1"} {
		files := map[string][]byte{}
		if version == "1.76.0" {
			files = mavenPrograms("")
		}
		p.server.Maven(fake.MavenArtifact{Group: "io.grpc", Artifact: "protoc-gen-grpc-java", Version: version, Files: files})
	}
	p.mavenManifest([]string{arm, win}, "protoc-gen-grpc-java = \"1.85.1\"\n")
	p.fails(fault.Upstream, []string{"protoc-gen-grpc-java 1.85.1", "the repository has version 1.85.1 of io.grpc:protoc-gen-grpc-java, but no program of it for linux-aarch64, windows-x86_64: ",
		"take a version whose programs it has", "[registries] maven of plugins.toml"}, "update")
	p.mavenManifest([]string{arm, win}, "protoc-gen-grpc-java = \"1.76.0\"\n")
	p.ok("update", "--no-smoke")
}

// TestMavenSigner: the key that a signature names is in the lock, another one is told,
// and it gives no trust.
func TestMavenSigner(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	const one, two = "0123456789ABCDEF0123456789ABCDEF01234567", "A123456789ABCDEF0123456789ABCDEF01234567"
	publish := func(version, signer string) string {
		return p.server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "gen", Version: version, Signer: signer, Sums: []string{"sha1"}, Files: mavenPrograms(version)})
	}
	publish("1.0", one)
	publish("1.1", one)
	publish("1.2", two)
	publish("1.3", "")
	asks := func(version string) {
		p.mavenManifest([]string{arm, win}, "gen = { version = \""+version+"\", source = \"maven:com.acme:gen\" }\n")
	}
	tried, held := 0, 0
	for _, tt := range []struct{ version, signer, says string }{
		{"1.0", one, ""},
		{"1.1", one, ""},
		{"1.2", two, "com.acme:gen 1.2 names the PGP key " + two + " in its signature, and the locked one named " + one},
		{"1.3", "", "com.acme:gen 1.3 is not signed, and the locked one named " + two},
		{"1.2", two, ""},
	} {
		asks(tt.version)
		_, talk := p.ok("update", "--no-smoke")
		if said := strings.Contains(talk, "PGP key") || strings.Contains(talk, "not signed"); said != (tt.says != "") || !strings.Contains(talk, tt.says) {
			t.Errorf("%s: %q is not in\n%s", tt.version, tt.says, talk)
		}
		p.ok("check")
		v := p.locked().Plugins["gen"][tt.version]
		for key, f := range v.Files {
			if tried++; f.Signer != tt.signer || v.Trust != "first-use" {
				t.Errorf("%s of %s: signer %q, trust %s", key, tt.version, f.Signer, v.Trust)
			} else {
				held++
			}
		}
	}
	testenv.Held(t, "the PGP key that the signature of a file of Maven names, or that there is none: in the lock, for no trust", lock.Maven, tried, held)
	if out, _ := p.ok("explain", "gen"); !strings.Contains(out, "signatures name the PGP key "+two+"; they are not verified") {
		t.Error(out)
	}
	first := p.read("plugins.lock.toml")
	p.ok("update", "--all", "--verify", "--no-smoke")
	if p.read("plugins.lock.toml") != first {
		t.Error("locking again gives other bytes")
	}
	p.write("plugins.lock.toml", strings.Replace(first, two, strings.ToLower(two), 1))
	p.fails(fault.Lock, []string{"is not the fingerprint or the ID of a PGP key"}, "check")
	dir := publish("1.4", "")
	p.server.File(dir+"gen-1.4-linux-aarch_64.exe.asc", []byte("no signature\n"))
	p.write("plugins.lock.toml", first)
	asks("1.4")
	p.fails(fault.Upstream, []string{"gen-1.4-linux-aarch_64.exe.asc of the repository is no signature of PGP", "ask the operator"}, "update", "--no-smoke")
}
