package main

import (
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// TestMaven: files of Maven come from [registries], else from where settings.xml of
// the user's mvn says, with its login; a program, a jar for its .proto files, and
// jars that Java runs.
func TestMaven(t *testing.T) {
	w := newWorld(t)
	artifact := func(body []byte) fake.Artifact {
		return fake.Artifact{Body: body, SHA256: sum256(body), Size: int64(len(body))}
	}
	program := []byte("#!/bin/sh\necho acme\n")
	types := fake.Zip(map[string]string{"META-INF/MANIFEST.MF": "x", "google/x.proto": "syntax = \"proto3\";\n"})
	jar := fake.Zip(map[string]string{"com/acme/Main.class": "x"})
	const platform = "-linux-x86_64.exe"
	w.registry.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "acme", Version: "4.1", Files: map[string][]byte{platform: program}})
	w.registry.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "types", Version: "4.1", Files: map[string][]byte{".jar": types}})
	w.registry.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "jar", Version: "1.0", Files: map[string][]byte{".jar": jar}})
	const key, typesKey, jarKey = "com.acme/acme-4.1" + platform, "com.acme/types-4.1.jar", "com.acme/jar-1.0.jar"
	w.add("acme", "4.1", lock.Version{Source: lock.Maven, Package: "com.acme:acme", Include: lock.MavenProtos}, "acme",
		map[string]fake.Artifact{key: artifact(program), typesKey: artifact(types)},
		map[string]lock.File{key: {Name: "com.acme:acme", Version: "4.1"}, typesKey: {Name: "com.acme:types", Version: "4.1", Archive: "zip"}})
	w.add("jar", "1.0", lock.Version{Source: lock.Maven, Package: "com.acme:jar", Runtime: "shell@5.0.0", Main: "com.acme.Main", Program: "protoc-gen-jar"}, lock.MavenLib+"/"+jarKey,
		map[string]fake.Artifact{jarKey: artifact(jar)}, map[string]lock.File{jarKey: {Name: "com.acme:jar", Version: "1.0"}})
	w.registries = "maven = \"" + w.registry.URL + fake.MavenRoot + "\"\n"
	w.write()
	if got := w.must("run", "acme"); got != "acme" {
		t.Errorf("it says %q", got)
	}
	dir := filepath.Dir(w.must("get", "acme"))
	if got := strings.Join(slices.Sorted(maps.Keys(snapshot(t, dir))), " "); got != "acme include/google/x.proto" {
		t.Errorf("the tree has %s", got)
	}
	launcher := w.must("get", "jar")
	if filepath.Base(launcher) != "protoc-gen-jar" {
		t.Errorf("it is called %s", launcher)
	}

	// By the settings of mvn alone, with the login of the server of that name.
	home := t.TempDir()
	t.Setenv("HOME", home)
	fake.Write(t, filepath.Join(home, ".m2", "settings.xml"), "<settings><mirrors><mirror><id>corp</id><mirrorOf>*</mirrorOf><url>"+w.registry.URL+fake.MavenRoot+"/</url></mirror></mirrors>"+
		"<servers><server><id>corp</id><username>me</username><password>s3cret</password></server></servers></settings>")
	const path = fake.MavenRoot + "/com/acme/acme/4.1/acme-4.1" + platform
	w.registry.Fault(path, fake.Do(func(rw http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "s3cret" {
			http.Error(rw, "who are you?", http.StatusUnauthorized)
			return
		}
		honest(rw, r)
	}))
	w.registries = ""
	w.write()
	w.cache = t.TempDir()
	if got := w.must("run", "acme"); got != "acme" {
		t.Errorf("it says %q", got)
	}
	// Other bytes, and none.
	w.cache = t.TempDir()
	w.registry.Fault(path)
	w.registry.File(path, []byte("#!/bin/sh\necho evil\n"))
	w.fails(int(fault.Integrity), []string{"acme 4.1", "acme-4.1" + platform}, "get", "acme")
	w.registry.Fault(path, fake.Status(404))
	w.fails(int(fault.Upstream), []string{"acme 4.1", "404"}, "get", "acme")
}

// TestMavenBundle: a bundle of what is from Maven, once from its repository, once from
// a mirror alone.
func TestMavenBundle(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	artifact := func(body []byte) fake.Artifact {
		return fake.Artifact{Body: body, SHA256: sum256(body), Size: int64(len(body))}
	}
	program, jar := []byte("#!/bin/sh\necho acme\n"), fake.Zip(map[string]string{"com/acme/Main.class": "x"})
	const platform = "-linux-x86_64.exe"
	w.registry.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "acme", Version: "4.1", Files: map[string][]byte{platform: program}})
	w.registry.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "jar", Version: "1.0", Files: map[string][]byte{".jar": jar}})
	const key, jarKey = "com.acme/acme-4.1" + platform, "com.acme/jar-1.0.jar"
	w.add("acme", "4.1", lock.Version{Source: lock.Maven, Package: "com.acme:acme"}, "acme",
		map[string]fake.Artifact{key: artifact(program)}, map[string]lock.File{key: {Name: "com.acme:acme", Version: "4.1"}})
	w.add("jar", "1.0", lock.Version{Source: lock.Maven, Package: "com.acme:jar", Runtime: "shell@5.0.0", Main: "com.acme.Main", Program: "protoc-gen-jar"}, lock.MavenLib+"/"+jarKey,
		map[string]fake.Artifact{jarKey: artifact(jar)}, map[string]lock.File{jarKey: {Name: "com.acme:jar", Version: "1.0"}})
	w.write()
	var text strings.Builder
	text.WriteString("platforms = [\"linux-x86_64\"]\n")
	for name, versions := range w.lock.Plugins {
		for version := range versions {
			text.WriteString("\n[plugins." + name + "]\nversion = \"" + version + "\"\nbinary = \"x\"\nsource = \"https://example.com/x\"\n")
		}
	}
	text.WriteString("\n[bundles]\njvm = [\"acme\", \"jar\"]\n\n[registries]\nmaven = \"" + w.registry.URL + fake.MavenRoot + "\"\nnpm = \"" + w.registry.URL + "/\"\npip = \"" + w.registry.URL + "/simple/\"\n")
	fake.Write(t, filepath.Join(w.dir, manifest.FileName), text.String())
	if lines := w.must("bundle", "jvm"); strings.Count(lines, "export PATH=") != 2 {
		t.Errorf("it prints\n%s", lines)
	}
	fake.Write(t, filepath.Join(w.dir, manifest.FileName), text.String()+"\n[[mirror]]\nfrom = \"maven:\"\nto = \"oci-layout:"+w.layout(program, jar)+"\"\n")
	w.cache = t.TempDir()
	w.registry.Forget()
	if lines := w.must("bundle", "jvm"); strings.Count(lines, "export PATH=") != 2 {
		t.Errorf("it prints\n%s", lines)
	}
	if asked := w.registry.Requests(fake.MavenRoot); len(asked) != 0 {
		t.Errorf("asked for %v", asked)
	}
	for _, asked := range w.registry.Requests("") {
		if strings.HasPrefix(asked.Path, fake.MavenRoot) {
			t.Errorf("asked for %v", asked)
		}
	}
}
