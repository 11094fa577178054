package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// javaRuntimes writes a manifest with protoc and protoc-gen-grpc-java, which are files
// here, and a list of runtimes of Java.
func (p *place) javaRuntimes(protoc, runtimes string) {
	p.mavenManifest([]string{"linux-aarch64", "windows-x86_64"}, `protoc = { version = "`+protoc+`", source = "`+p.server.URL+`/{version}/protoc-{os}", binary = "protoc{exe}" }
`+p.fileEntry("protoc-gen-grpc-java", "1.72.0")+`
[runtimes]
java = [`+runtimes+"]\n")
}

// jar publishes a version of an artifact with a jar, GROUP:ARTIFACT:VERSION, and what is
// inside its POM.
func (p *place) jar(gav, pom string) {
	part := strings.Split(gav, ":")
	p.server.Maven(fake.MavenArtifact{Group: part[0], Artifact: part[1], Version: part[2], POM: pom, Files: map[string][]byte{".jar": fake.Zip(map[string]string{"META-INF/" + part[1]: gav})}})
}

// mavenNeeds are dependencies, each GROUP:ARTIFACT:VERSION.
func mavenNeeds(list ...string) string {
	s := "<dependencies>"
	for _, gav := range list {
		part := strings.Split(gav, ":")
		s += "<dependency><groupId>" + part[0] + "</groupId><artifactId>" + part[1] + "</artifactId><version>" + part[2] + "</version></dependency>"
	}
	return s + "</dependencies>"
}

// publishJavaRuntimes publishes what javaRuntimes asks for.
func (p *place) publishJavaRuntimes() {
	for _, version := range []string{"25.1", "30.2", "31.1", "36.2", "38.0"} {
		p.server.File("/"+version+"/protoc-linux", []byte(linuxARM+version))
		p.server.File("/"+version+"/protoc-windows", []byte(winX64+version))
	}
	p.pluginFiles("1.72.0")
	for _, version := range []string{"3.25.1", "3.25.8", "4.30.1", "4.30.2", "4.31.1", "4.36.2", "4.37.0-RC1"} {
		p.jar("com.google.protobuf:protobuf-java:"+version, "")
	}
	for _, version := range []string{"1.70.0", "1.72.0", "1.76.0"} {
		p.jar("io.grpc:grpc-api:"+version, mavenNeeds("com.acme:shared:1.0"))
		p.jar("io.grpc:grpc-protobuf:"+version, mavenNeeds("io.grpc:grpc-api:"+version, "com.google.protobuf:protobuf-java:3.25.8"))
		p.jar("io.grpc:grpc-stub:"+version, mavenNeeds("io.grpc:grpc-api:"+version))
		p.jar("io.grpc:grpc-netty-shaded:"+version, mavenNeeds("io.grpc:grpc-api:"+version))
	}
	p.jar("com.acme:shared:1.0", "")
	p.jar("com.acme:shared:1.1", "")
	p.jar("com.acme:json:2.0", mavenNeeds("com.acme:shared:1.1"))
}

// TestRuntimesJava: the runtimes of Java are chosen to fit the plugins, and have one
// version of each jar, the highest that anything asks for.
func TestRuntimesJava(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.publishJavaRuntimes()
	p.javaRuntimes("30.2", `"protobuf-java", "grpc"`)
	p.ok("update", "--no-smoke")
	p.ok("check")
	locked := func(protobuf, grpc, shared string) {
		t.Helper()
		l := p.locked()
		v, g := l.Plugins["runtimes/java/protobuf-java"][protobuf], l.Plugins["runtimes/java/grpc"][grpc]
		if v == nil || g == nil || v.Language != "java" || v.Package != "com.google.protobuf:protobuf-java" || v.Trust != "checksum-file" || g.Package != "io.grpc:grpc-protobuf" || !slices.Equal(g.Fits, []string{"protoc-gen-grpc-java@1.72.0"}) {
			t.Fatalf("%+v %+v\n%s", v, g, p.read("plugins.lock.toml"))
		}
		if got := v.FilesFor("linux-aarch64"); !slices.Equal(got, []string{"com.google.protobuf/protobuf-java-" + protobuf + ".jar"}) {
			t.Errorf("%q", got)
		}
		want := []string{"com.acme/shared-" + shared + ".jar", "com.google.protobuf/protobuf-java-" + protobuf + ".jar", "io.grpc/grpc-api-" + grpc + ".jar", "io.grpc/grpc-netty-shaded-" + grpc + ".jar", "io.grpc/grpc-protobuf-" + grpc + ".jar", "io.grpc/grpc-stub-" + grpc + ".jar"}
		if got := g.FilesFor("windows-x86_64"); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if a, b := g.Platforms["linux-aarch64"], g.Platforms["windows-x86_64"]; a.Tree == "" || a != b {
			t.Errorf("%+v %+v", a, b)
		}
	}
	locked("4.36.2", "1.76.0", "1.0")
	text := p.read("plugins.lock.toml")
	p.server.Forget()
	p.ok("update")
	p.ok("update", "--offline")
	if n := p.server.Count(""); n != 0 {
		t.Errorf("%d requests", n)
	}
	for _, args := range [][]string{{"update", "--all", "--no-smoke"}, {"update", "runtimes/java/grpc"}, {"update", "--verify", "--no-smoke"}} {
		p.ok(args...)
		if got := p.read("plugins.lock.toml"); got != text {
			t.Errorf("%v: another lock:\n%s", args, got)
		}
	}
	p.known("runtimes/java/grpc", "com.acme:shared", "does not record which package needs it")
	done := p.pushed("--to", "oci-layout:"+p.path("mirror"), "--platform", "linux-aarch64", "runtimes/java/grpc")
	if want := []string{"runtimes_java_grpc-1.76.0"}; !slices.Equal(done.Tags, want) || done.Pushed < 6 {
		t.Errorf("%+v, want tags %q", done, want)
	}
	// What fits the next protoc as well stays.
	p.ok("update", "protoc@31.1", "--no-smoke")
	locked("4.36.2", "1.76.0", "1.0")
	p.ok("check")
	for _, tt := range []struct {
		protoc, runtimes string
		class            fault.Class
		says             string
	}{
		{"25.1", `"protobuf-java", "grpc"`, fault.Lock, "runtimes/java/protobuf-java latest: is in plugins.toml, but no matching version is locked"},
		{"30.2", `"protobuf-java==4.30.1", "grpc"`, fault.Usage, "protobuf-java 4.30.1 does not run the code of protoc 30.2"},
		{"31.1", `"protobuf-java", "grpc"`, fault.OK, ""},
	} {
		if p.javaRuntimes(tt.protoc, tt.runtimes); tt.class == fault.OK {
			p.ok("check")
		} else {
			p.fails(tt.class, []string{tt.says}, "check")
		}
	}
	// Two protocs: one version for both, or none.
	p.fails(fault.Usage, []string{"no protobuf-java runs the code of both protoc 31.1, which wants 4.31.1 or later, and protoc 25.1, which wants one before 4"}, "add", "protoc@25.1", "--no-smoke")
	// By the command line, any library by its coordinates.
	p.ok("add", "runtimes/java/com.acme:json@2.0")
	if text := p.read("plugins.toml"); !strings.Contains(text, `java = ["protobuf-java", "grpc", "com.acme:json==2.0"]`) {
		t.Error(text)
	}
	locked("4.36.2", "1.76.0", "1.1")
	if v := p.locked().Plugins["runtimes/java/com.acme-json"]["2.0"]; v == nil || v.Package != "com.acme:json" || len(v.Fits) > 0 {
		t.Errorf("%+v", v)
	}
	p.ok("check")
	p.ok("remove", "runtimes/java/com.acme-json")
	locked("4.36.2", "1.76.0", "1.1")
	p.ok("add", "runtimes/java/com.acme:json")
	p.ok("upgrade", "runtimes/java/com.acme-json", "--no-smoke")
	p.ok("remove", "runtimes/java/com.acme-json")
	p.ok("add", "runtimes/java/grpc@1.72.0")
	locked("4.36.2", "1.72.0", "1.0")
	p.ok("upgrade", "runtimes/java/grpc", "--no-smoke")
	locked("4.36.2", "1.76.0", "1.0")
	// protoc and the runtimes move together.
	p.javaRuntimes("25.1", `"protobuf-java==3.25.8", "grpc"`)
	p.ok("update", "--no-smoke")
	locked("3.25.8", "1.76.0", "1.0")
	p.ok("update", "protoc@30.2", "runtimes/java/protobuf-java@4.30.2", "--no-smoke")
	locked("4.30.2", "1.76.0", "1.0")
	p.ok("remove", "runtimes/java/grpc")
	p.ok("remove", "runtimes/java/protobuf-java")
	if text := p.read("plugins.toml") + p.read("plugins.lock.toml"); strings.Contains(text, "protobuf-java") {
		t.Error(text)
	}
}

// TestRuntimesJavaRefused: what does not fit or is not there is refused before anything
// is written.
func TestRuntimesJavaRefused(t *testing.T) {
	t.Parallel()
	const moved = "<distributionManagement><relocation><groupId>com.new</groupId></relocation></distributionManagement>"
	for _, tt := range []struct {
		name, protoc, runtimes string
		class                  fault.Class
		says                   []string
	}{
		{"older than the code", "30.2", `"protobuf-java==4.30.1"`, fault.Usage, []string{"protobuf-java 4.30.1 does not run the code of protoc 30.2, which wants 4.30.2 or later, before 5", `"protobuf-java==4.30.2"`}},
		{"another major version", "25.1", `"protobuf-java==4.36.2"`, fault.Usage, []string{"does not run the code of protoc 25.1", "before 4"}},
		{"gRPC", "30.2", `"grpc==1.70.0"`, fault.Usage, []string{"grpc 1.70.0 does not run the code of protoc-gen-grpc-java 1.72.0, which wants 1.72.0 or later, before 2"}},
		{"there is none yet", "38.0", `"protobuf-java"`, fault.Upstream, []string{">=4.38.0 <5, which is what fits protoc 38.0", "the newest version is 4.36.2"}},
		{"no such version", "30.2", `"protobuf-java==4.30.9"`, fault.Upstream, []string{"maven:com.google.protobuf:protobuf-java has no version 4.30.9", "run: lockgen update runtimes/java/protobuf-java@4.30.2"}},
		{"no such name", "30.2", `"protobuf"`, fault.Usage, []string{"plugins.toml:", `no runtime of java is called "protobuf"`, "protobuf-java", "GROUP:ARTIFACT"}},
		{"no such package", "30.2", `"com.acme:nothing"`, fault.Upstream, []string{"no repository has a list of the versions of com.acme:nothing"}},
		{"known by another name", "30.2", `"com.google.protobuf:protobuf-java==4.30.2"`, fault.Usage, []string{`write "protobuf-java", whose versions fit the plugins`}},
		{"part of a known one", "30.2", `"io.grpc:grpc-stub"`, fault.Usage, []string{"is called grpc here"}},
		{"twice", "30.2", `"protobuf-java", "protobuf-java==4.30.2"`, fault.Usage, []string{"names protobuf-java twice"}},
		{"a range", "30.2", `"protobuf-java>=4"`, fault.Usage, []string{"plugins.toml:", "protobuf-java==4.36.2"}},
		{"an address", "30.2", `"https://example.com/x.jar"`, fault.Usage, []string{"is not the name of a library"}},
		{"a classifier", "30.2", `"com.acme:json:sources"`, fault.Usage, []string{"is not the name of a library"}},
		{"a snapshot", "30.2", `"com.acme:snap==1.0-SNAPSHOT"`, fault.Policy, []string{"com.acme:snap:1.0-SNAPSHOT may change"}},
		{"needs a snapshot", "30.2", `"com.acme:on-snap==1.0"`, fault.Policy, []string{"com.acme:on-snap:1.0 needs com.acme:snap:1.0-SNAPSHOT", "snapshot"}},
		{"moved", "30.2", `"com.acme:moved==1.0"`, fault.Usage, []string{"com.acme:moved:1.0 was moved to com.new:moved:1.0", "write its new name"}},
		{"broken POM", "30.2", `"com.acme:broken==1.0"`, fault.Upstream, []string{"the POM of com.acme:broken:1.0", "malformed"}},
		{"POM of another", "30.2", `"com.acme:lying==1.0"`, fault.Integrity, []string{"the POM of com.acme:lying:1.0 says that it is com.acme:other:1.0"}},
		{"needs what is not there", "30.2", `"com.acme:on-nothing==1.0"`, fault.Upstream, []string{"no repository has the POM of com.acme:gone:1.0"}},
		{"no jar", "30.2", `"com.acme:no-jar==1.0"`, fault.Upstream, []string{"com/acme/no-jar/1.0/no-jar-1.0.jar: server answered 404"}},
		{"no real jar", "30.2", `"com.acme:text==1.0"`, fault.Integrity, []string{"com.acme:text@1.0 is no jar"}},
		{"ranges that leave nothing", "30.2", `"com.acme:old==1.0", "com.acme:json==2.0"`, fault.Usage, []string{"com.acme:old:1.0 needs com.acme:shared [1.0], but another dependency needs 1.1", "take versions that fit together"}},
		{"older than another needs it", "30.2", `"protobuf-java==4.30.2", "com.acme:newer==1.0"`, fault.Usage, []string{"com.acme:newer:1.0 needs com.google.protobuf:protobuf-java 4.36.2 or later, and [runtimes] has 4.30.2", "lock com.google.protobuf:protobuf-java 4.36.2 or later"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.publishJavaRuntimes()
			p.jar("com.acme:snap:1.0-SNAPSHOT", "")
			p.jar("com.acme:on-snap:1.0", mavenNeeds("com.acme:snap:1.0-SNAPSHOT"))
			p.jar("com.acme:moved:1.0", moved)
			p.jar("com.new:moved:1.0", "")
			p.jar("com.acme:broken:1.0", "<dependencies>")
			dir := p.server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "lying", Version: "1.0"})
			p.server.File(dir+"lying-1.0.pom", []byte("<project><groupId>com.acme</groupId><artifactId>other</artifactId><version>1.0</version></project>"))
			p.jar("com.acme:on-nothing:1.0", mavenNeeds("com.acme:gone:1.0"))
			p.server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "no-jar", Version: "1.0"})
			p.server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "text", Version: "1.0", Files: map[string][]byte{".jar": []byte("a text")}})
			p.jar("com.acme:old:1.0", mavenNeeds("com.acme:shared:[1.0]"))
			p.jar("com.acme:newer:1.0", mavenNeeds("com.google.protobuf:protobuf-java:4.36.2"))
			p.javaRuntimes(tt.protoc, tt.runtimes)
			p.fails(tt.class, tt.says, "update", "--no-smoke")
			if p.read("plugins.lock.toml") != "" {
				t.Error("wrote a lock")
			}
			if _, _, talk := p.run("update", "--no-smoke"); strings.Contains(talk, "optional = true") {
				t.Errorf("a runtime is never optional:\n%s", talk)
			}
		})
	}
}
