package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/maven"
)

// JavaHint is the major version of Java that is taken where none is locked yet.
const JavaHint = 25

// mavenWords are those of os-maven-plugin, by which programs are told apart.
var mavenWords = manifest.Naming{OS: map[string]string{"macos": "osx"}, Arch: map[string]string{"aarch64": "aarch_64"}}

// jar reports whether w is a jar that Java runs.
func (w *Want) jar() bool { return w.From.Kind == lock.Maven && w.RuntimeName != "" }

// Artifact is the file of a platform, kind Maven only: ARTIFACT-VERSION-OS-ARCH.exe,
// as protoc plugins are published, or the jar that Java runs, on every platform.
func (w *Want) Artifact(p lock.Platform) maven.Coordinate {
	part := strings.Split(w.From.Name, ":")
	c := maven.Coordinate{Group: part[0], Artifact: part[1], Version: w.Upstream(w.Version), Ext: "jar"}
	switch {
	case w.Proto == nil && !w.jar():
		c.Classifier, c.Ext = w.Naming.Expand("{os}-{arch}", "", p), "exe"
	case len(part) > 2:
		c.Classifier = part[2]
	}
	return c
}

// Program is Artifact of a platform, of a place that nobody has described yet.
func (w *Want) Program(p lock.Platform) maven.Coordinate {
	of := *w
	of.RuntimeName = ""
	of.Naming.OS, of.Naming.Arch = words(mavenWords.OS, nil), words(mavenWords.Arch, nil)
	return of.Artifact(p)
}

// Jar is the jar of such a place, which may be a program as well if there is no
// classifier in it.
func (w *Want) Jar() (c maven.Coordinate, program bool) {
	of := *w
	of.RuntimeName = "java"
	c = of.Artifact(lock.Platforms[0])
	return c, c.Classifier == ""
}

// Protos is the jar whose .proto files belong to w; ok is false for none.
func (w *Want) Protos() (c maven.Coordinate, ok bool) {
	group, artifact, ok := strings.Cut(w.With, ":")
	return maven.Coordinate{Group: group, Artifact: artifact, Version: w.Upstream(w.Version), Ext: "jar"}, ok
}

// planMaven completes what comes from a repository of Maven.
func (w *Want) planMaven(e *entry) error {
	if w.From.Kind != lock.Maven {
		if w.MainClass != "" {
			return e.fail("take main out", "main is the class of a jar, of source maven")
		}
		return nil
	}
	part := strings.Split(w.From.Name, ":")
	if w.Binary == "" { // a plugin is called as its artifact is
		w.Binary = part[1]
	}
	if !w.jar() {
		if len(part) > 2 || w.MainClass != "" {
			return e.fail(`add: runtime = "java"`, "names one file for all platforms, which only Java could run")
		}
		w.Naming.OS, w.Naming.Arch = words(mavenWords.OS, w.Naming.OS), words(mavenWords.Arch, w.Naming.Arch)
		return nil
	}
	if err := lock.CheckProgram("binary", w.Binary); err != nil {
		return e.fail("write what the plugin is called, such as protoc-gen-grpc-kotlin", "%w", err)
	}
	if slices.ContainsFunc(slices.Collect(maps.Values(w.Overrides)), func(o manifest.Override) bool { return o.Binary != "" }) {
		return e.fail("take binary out of its platforms", "is run by Java and is called %s on every platform", w.Binary)
	}
	return nil
}

// words are the words of a publisher over those that are usual.
func words(usual, own map[string]string) map[string]string {
	all := maps.Clone(usual)
	maps.Copy(all, own)
	return all
}
