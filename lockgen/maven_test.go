package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// class is the beginning of a class file for a major version of Java.
func class(java byte) string { return "\xca\xfe\xba\xbe\x00\x00\x00" + string([]byte{44 + java}) }

// mavenPrograms are the files of a plugin by what follows ARTIFACT-VERSION.
func mavenPrograms(salt string) map[string][]byte {
	return map[string][]byte{"-linux-aarch_64.exe": []byte(linuxARM + salt), "-osx-x86_64.exe": []byte(macX64 + salt), "-osx-aarch_64.exe": []byte(macX64 + salt), "-windows-x86_64.exe": []byte(winX64 + salt)}
}

// mavenManifest asks for plugins, with the server as the repository of Maven.
func (p *place) mavenManifest(platforms []string, entries string) {
	p.write("plugins.toml", fmt.Sprintf("platforms = [\"%s\"]\n\n[registries]\nmaven = \"%s\"\npip = \"%s/simple/\"\nnpm = \"%s/\"\n\n[policy]\npublisher-times = [\"maven\"]\n\n[plugins]\n%s"+
		"\n[[mirror]]\nfrom = \"https://github.com/\"\nto = \"%s/github/\"\n\n[[mirror]]\nfrom = \"https://api.github.com/\"\nto = \"%s/api/\"\n",
		strings.Join(platforms, "\", \""), p.server.URL+fake.MavenRoot, p.server.URL, p.server.URL, entries, p.server.URL, p.server.URL))
}

// TestMaven: the programs of a repository of Maven are locked by coordinates, without
// a host, with the evidence that its checksums are.
func TestMaven(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	const name = "protoc-gen-grpc-java"
	platforms := []string{"linux-aarch64", "macos-aarch64", "macos-x86_64", "windows-x86_64"}
	artifact := fake.MavenArtifact{Group: "io.grpc", Artifact: name, Version: "1.76.0", Files: mavenPrograms("")}
	p.server.Maven(artifact)
	old := artifact
	old.Version = "1.75.0"
	p.server.Maven(old)
	p.mavenManifest(platforms, name+" = \"^1.70\"\n")
	p.ok("update")
	p.ok("check")
	text := p.read("plugins.lock.toml")
	v := p.locked().Plugins[name]["1.76.0"]
	if v == nil || strings.Contains(text, "127.0.0.1") {
		t.Fatalf("locked\n%s", text)
	}
	f := v.Files["io.grpc/protoc-gen-grpc-java-1.76.0-osx-x86_64.exe"]
	sum, _ := hex.DecodeString(fake.MavenSum("sha512", artifact.Files["-osx-x86_64.exe"]))
	if v.Source != lock.Maven || v.Package != "io.grpc:protoc-gen-grpc-java" || v.Trust != "checksum-file" || f.Name != "io.grpc:protoc-gen-grpc-java" || f.Version != "1.76.0" ||
		f.Integrity != "sha512-"+base64.StdEncoding.EncodeToString(sum) || !slices.Equal(f.Platforms, []string{"macos-x86_64"}) {
		t.Errorf("%+v", v)
	}
	// The program for Apple silicon is one for Intel.
	if v.Platforms["macos-aarch64"].Emulate != "macos-x86_64" || v.Platforms["macos-x86_64"].Binary != name || v.Platforms["windows-x86_64"].Binary != name+".exe" {
		t.Errorf("%+v", v.Platforms)
	}
	p.ok("update", name)
	p.ok("update", "--verify")
	p.ok("check", "--upstream")
	if got := p.read("plugins.lock.toml"); got != text {
		t.Errorf("locked again:\n%s\nbefore:\n%s", got, text)
	}
	bill, _ := p.ok("sbom")
	if !strings.Contains(bill, "pkg:maven/io.grpc/protoc-gen-grpc-java@1.76.0?classifier=osx-x86_64&type=exe") && !strings.Contains(bill, `pkg:maven/io.grpc/protoc-gen-grpc-java@1.76.0?classifier=osx-x86_64\u0026type=exe`) {
		t.Errorf("no package URL in\n%s", bill)
	}
	newer := artifact
	newer.Version = "1.77.0"
	p.server.Maven(newer)
	rows, _ := p.ok("outdated")
	if !strings.Contains(rows, "1.77.0") {
		t.Errorf("outdated says\n%s", rows)
	}

	// Other bytes under the same version.
	artifact.Files = mavenPrograms("!")
	p.server.Maven(artifact)
	p.fails(fault.Integrity, []string{"SECURITY", "osx-x86_64"}, "update", name+"@1.76.0")
	status, _, talk := p.run("check", "--upstream")
	if status != int(fault.Integrity) || !strings.Contains(talk, "replaced") {
		t.Errorf("check --upstream: %d\n%s", status, talk)
	}
}

// TestMavenEvidence: each checksum has the trust that it deserves, and none is
// passed over.
func TestMavenEvidence(t *testing.T) {
	t.Parallel()
	const entry = "acme = { version = \"2.0\", source = \"maven:com.acme.x:gen\", binary = \"protoc-gen-acme\" }\n"
	platforms := []string{"linux-aarch64"}
	const file = "gen-2.0-linux-aarch_64.exe"
	for name, tt := range map[string]struct {
		sums  []string
		lie   map[string]string // checksum files
		odd   []fake.Fault      // the answer for the signature and for each checksum
		trust string
		fails fault.Class
		want  []string
	}{
		"SHA-512":                   {sums: []string{"sha512", "sha1"}, trust: "checksum-file"},
		"SHA-256":                   {sums: []string{"sha256", "sha1"}, trust: "checksum-file"},
		"SHA-1 alone":               {sums: []string{"sha1"}, trust: "first-use"},
		"none":                      {sums: []string{}, trust: "first-use"},
		"the name of a file behind": {sums: []string{}, lie: map[string]string{"sha256": fake.MavenSum("sha256", []byte(linuxARM)) + "  gen\n"}, trust: "checksum-file"},
		"another SHA-512":           {lie: map[string]string{"sha512": fake.MavenSum("sha512", []byte("x"))}, fails: fault.Integrity, want: []string{"does not match the registry's digest"}},
		"another SHA-256":           {sums: []string{}, lie: map[string]string{"sha256": fake.MavenSum("sha256", []byte("x"))}, fails: fault.Integrity, want: []string{"does not match the registry's digest"}},
		"another SHA-1":             {sums: []string{}, lie: map[string]string{"sha1": fake.MavenSum("sha1", []byte("x"))}, fails: fault.Integrity, want: []string{"SHA-1"}},
		"no digest":                 {lie: map[string]string{"sha512": "abc"}, fails: fault.Upstream, want: []string{"sha512", "holds no digest"}},
		"two digests":               {sums: []string{}, lie: map[string]string{"sha1": fake.MavenSum("sha1", []byte("x")) + "\n" + fake.MavenSum("sha1", []byte("y"))}, fails: fault.Upstream, want: []string{"holds no digest"}},
		"HTML for a digest":         {lie: map[string]string{"sha512": "<html>login</html>"}, fails: fault.Upstream, want: []string{"HTML"}},
		// A store of objects answers so for what it does not have.
		"403 for none":     {odd: []fake.Fault{fake.Status(403)}, trust: "first-use"},
		"401":              {odd: []fake.Fault{fake.Status(401)}, fails: fault.Upstream, want: []string{"401", "credential"}},
		"the limit of 403": {odd: []fake.Fault{fake.Status(403, "X-Ratelimit-Remaining", "0")}, fails: fault.Upstream, want: []string{"rate limit"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			dir := p.server.Maven(fake.MavenArtifact{Group: "com.acme.x", Artifact: "gen", Version: "2.0", Files: map[string][]byte{"-linux-aarch_64.exe": []byte(linuxARM)}, Sums: tt.sums})
			for kind, text := range tt.lie {
				p.server.File(dir+file+"."+kind, []byte(text))
			}
			if len(tt.odd) > 0 {
				for _, end := range []string{".asc", ".sha512", ".sha256", ".sha1"} {
					p.server.Fault(dir+file+end, tt.odd...)
				}
			}
			p.mavenManifest(platforms, entry)
			if tt.fails != fault.OK {
				p.fails(tt.fails, append(tt.want, "acme"), "update")
				return
			}
			p.ok("update")
			if v := p.locked().Plugins["acme"]["2.0"]; v.Trust != tt.trust {
				t.Errorf("trust %s, want %s", v.Trust, tt.trust)
			}
		})
	}

	// What was locked by a checksum file is not locked without one in silence.
	lost := newPlace(t)
	program := fake.MavenArtifact{Group: "com.acme.x", Artifact: "gen", Version: "2.0", Files: map[string][]byte{"-linux-aarch_64.exe": []byte(linuxARM)}}
	lost.server.Maven(program)
	lost.mavenManifest(platforms, entry)
	lost.ok("update")
	program.Version = "2.1"
	dir := lost.server.Maven(program)
	for _, end := range []string{".sha512", ".sha256", ".sha1"} {
		lost.server.Fault(dir+strings.Replace(file, "2.0", "2.1", 1)+end, fake.Status(403))
	}
	lost.mavenManifest(platforms, strings.Replace(entry, "2.0", "2.1", 1))
	lost.fails(fault.Policy, []string{"acme 2.1", "its trust would drop from checksum-file"}, "update")

	p := newPlace(t)
	p.server.Maven(fake.MavenArtifact{Group: "com.acme.x", Artifact: "gen", Version: "2.1-SNAPSHOT", Files: mavenPrograms("")})
	p.mavenManifest(platforms, strings.Replace(entry, "2.0", "2.1-SNAPSHOT", 1))
	p.fails(fault.Policy, []string{"acme", "snapshot"}, "update")
	p.mavenManifest(platforms, entry)
	p.fails(fault.Upstream, []string{"no repository has version 2.0 of com.acme.x:gen"}, "update")
	p.mavenManifest(platforms, strings.Replace(entry, `x:gen"`, `x:gen:other"`, 1))
	p.fails(fault.Usage, []string{"acme", "one file for all platforms"}, "update")
	p.mavenManifest(platforms, strings.Replace(entry, `"maven:com.acme.x:gen"`, `"maven:gen"`, 1))
	p.fails(fault.Usage, []string{"GROUP:ARTIFACT"}, "update")

	// A file server that is laid out as a repository, without POMs and metadata.
	bare := newPlace(t)
	dir = "/maven/com/acme/x/gen/2.0/"
	bare.server.File(dir+file, []byte(linuxARM))
	bare.server.File(dir+file+".sha256", []byte(fake.MavenSum("sha256", []byte(linuxARM))))
	bare.mavenManifest([]string{"linux-x86_64", "linux-aarch64"}, strings.Replace(entry, "acme = {", "acme = { optional = true,", 1))
	bare.ok("update")
	if v := bare.locked().Plugins["acme"]["2.0"]; v.Trust != "checksum-file" || len(v.Files) != 1 || v.Platforms["linux-x86_64"].Unavailable == "" {
		t.Errorf("without a POM: %+v", v)
	}
	bare.ok("check", "--upstream")
}

// TestMavenProtoc: protoc from Maven is numbered otherwise there, and its well-known
// types are in a jar of the same release, of which nothing else is unpacked.
func TestMavenProtoc(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.server.Maven(fake.MavenArtifact{Group: "com.google.protobuf", Artifact: "protoc", Version: "4.36.2", Files: mavenPrograms("")})
	types := fake.Zip(map[string]string{"META-INF/MANIFEST.MF": "x", "com/google/protobuf/Any.class": class(8), "google/protobuf/any.proto": "syntax = \"proto3\";\n"})
	p.server.Maven(fake.MavenArtifact{Group: "com.google.protobuf", Artifact: "protobuf-java", Version: "4.36.2", Files: map[string][]byte{".jar": types}})
	p.mavenManifest([]string{"linux-aarch64", "windows-x86_64"}, "protoc = \"latest\"\n")
	_, talk := p.ok("update")
	p.ok("check")
	v := p.locked().Plugins["protoc"]["36.2"]
	if v == nil || v.Source != lock.Maven || v.Upstream != "4.36.2" || v.Include != "include" || v.Platforms["linux-aarch64"].Binary != "protoc" {
		t.Fatalf("%+v\n%s", v, talk)
	}
	if f := v.Files["com.google.protobuf/protobuf-java-4.36.2.jar"]; f.Archive != "zip" || f.Platforms != nil {
		t.Errorf("%+v", f)
	}
	// One platform alone has no such program: the whole release is not taken.
	p.remove("plugins.lock.toml")
	p.mavenManifest([]string{"linux-aarch64", "linux-x86_64"}, "protoc = \"36.2\"\n")
	p.fails(fault.Upstream, []string{"from maven:com.google.protobuf:protoc", "linux-x86_64", "404"}, "update")
}

// TestMavenJava: a jar is locked with what it needs at runtime, and a locked Java runs
// it, from exactly these jars.
func TestMavenJava(t *testing.T) {
	t.Parallel()
	host, ok := lock.Host()
	if !ok || runtime.GOOS == "windows" {
		t.Skip("a shell script stands in for java")
	}
	p := newPlace(t)
	// It answers only when it is started as it has to be.
	java := `#!/bin/sh
test "$1" = -version && exit 0
test -z "$JAVA_TOOL_OPTIONS$CLASSPATH" || { echo "the user's settings are there" >&2; exit 1; }
while test $# -gt 1; do
  test "$1" = -cp && cp=$2
  shift
done
test "$1" = com.acme.Main || { echo "main is $1" >&2; exit 1; }
case $cp in
*/lib/com.acme/protoc-gen-acme-1.0-all.jar:*/lib/com.acme/core-1.1.jar:*/lib/com.acme/util-2.0.jar) ;;
*) echo "class path $cp" >&2; exit 1 ;;
esac
IFS=:
for jar in $cp; do test -f "$jar" || { echo "no $jar" >&2; exit 1; }; done
while read -r line; do :; done
`
	p.server.File("/java-25", []byte(java))
	library := func(name, version string, needs string) {
		p.server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: name, Version: version, POM: needs, Files: map[string][]byte{".jar": fake.Zip(map[string]string{name: version})}})
	}
	dependency := func(name, version, more string) string {
		return "<dependency><groupId>com.acme</groupId><artifactId>" + name + "</artifactId><version>" + version + "</version>" + more + "</dependency>"
	}
	library("core", "1.1", "<dependencies>"+dependency("util", "1.0", "")+dependency("test", "1.0", "<scope>test</scope>")+dependency("gone", "1.0", "<optional>true</optional>")+"</dependencies>")
	library("util", "2.0", "")
	plugin := func(version, manifest string, java byte) {
		p.server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "protoc-gen-acme", Version: version,
			POM:   "<dependencies>" + dependency("core", "1.1", "") + dependency("util", "2.0", "") + "</dependencies>",
			Files: map[string][]byte{"-all.jar": fake.Zip(map[string]string{"META-INF/MANIFEST.MF": manifest, "com/acme/Main.class": class(java)})}})
	}
	plugin("1.0", "Manifest-Version: 1.0\r\nMain-Class: com.acm\r\n e.Main\r\n", 11)
	entries := func(version, more string) string {
		return "java = { version = \"25\", source = \"" + p.server.URL + "/java-{version}\", binary = \"java\" }\n\n[plugins.acme]\nversion = \"" + version + "\"\nsource = \"maven:com.acme:protoc-gen-acme:all\"\nruntime = \"java\"\n" + more
	}
	p.mavenManifest([]string{host.Name}, entries("1.0", ""))
	p.ok("update")
	p.ok("check")
	v := p.locked().Plugins["acme"]["1.0"]
	if v.Main != "com.acme.Main" || v.Program != "protoc-gen-acme" || v.Runtime != "java@25" || v.Platforms[host.Name].Binary != "lib/com.acme/protoc-gen-acme-1.0-all.jar" ||
		!slices.Equal(slices.Sorted(maps.Keys(v.Files)), []string{"com.acme/core-1.1.jar", "com.acme/protoc-gen-acme-1.0-all.jar", "com.acme/util-2.0.jar"}) {
		t.Errorf("%+v", v)
	}
	tree, _ := p.ok("tree", "acme")
	if !strings.Contains(tree, "com.acme:core") {
		t.Errorf("tree:\n%s", tree)
	}

	for name, tt := range map[string]struct {
		manifest, more string
		java           byte
		class          fault.Class
		want           []string
	}{
		"no main class":       {"Manifest-Version: 1.0\n", "", 11, fault.Usage, []string{"does not say which of its classes"}},
		"a class that is not": {"Manifest-Version: 1.0\n", "main = \"com.acme.Other\"\n", 11, fault.Usage, []string{"none of its jars has the class com.acme.Other"}},
		"no class":            {"Main-Class: $(rm -rf)\n", "", 11, fault.Usage, []string{"not the name of a class"}},
		"a newer Java":        {"Main-Class: com.acme.Main\n", "", 26, fault.Usage, []string{"compiled for Java 26", "java@25 is locked"}},
	} {
		plugin("1.1", tt.manifest, tt.java)
		p.mavenManifest([]string{host.Name}, entries("1.1", tt.more))
		status, _, talk := p.run("update", "acme")
		for _, want := range tt.want {
			if status != int(tt.class) || !strings.Contains(talk, want) {
				t.Errorf("%s: status %d, %q is not in\n%s", name, status, want, talk)
			}
		}
	}
	plugin("1.2", "Manifest-Version: 1.0\n", 11)
	p.mavenManifest([]string{host.Name}, entries("1.2", "main = \"com.acme.Main\"\n"))
	status, _, talk := p.run("update")
	if !strings.Contains(talk, "class path") || status == 0 { // the script knows 1.0 only
		t.Errorf("the smoke run says\n%s", talk)
	}
}
