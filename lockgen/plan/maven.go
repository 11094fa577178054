package plan

import (
	"maps"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/maven"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// JavaHint is the major version of Java to use if none is locked yet.
const JavaHint = 25

// mavenWords are the platform names of os-maven-plugin, which programs have in
// their file names.
var mavenWords = manifest.Naming{OS: map[string]string{"macos": "osx"}, Arch: map[string]string{"aarch64": "aarch_64"}}

// jar reports whether w is a jar that Java runs, or that programs of Java have in them.
func (w *Want) jar() bool {
	return w.kind().Jars && (w.RuntimeName != "" || w.Language != "")
}

// Artifact returns the file for a platform, kind maven only:
// ARTIFACT-VERSION-OS-ARCH.exe, as protoc plugins are usually published, or, on
// every platform, the jar that Java runs or that is a runtime.
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

// Program is Artifact for a source that has no entry yet.
func (w *Want) Program(p lock.Platform) maven.Coordinate {
	of := *w
	of.RuntimeName = ""
	of.Naming.OS, of.Naming.Arch = words(mavenWords.OS, nil), words(mavenWords.Arch, nil)
	return of.Artifact(p)
}

// Jar returns the jar of such a source. Without a classifier in it, it may also
// be a native program.
func (w *Want) Jar() (c maven.Coordinate, program bool) {
	of := *w
	of.RuntimeName = "java"
	c = of.Artifact(lock.Platforms[0])
	return c, c.Classifier == ""
}

// Protos returns the jar with .proto files for w; ok is false if there is none.
func (w *Want) Protos() (c maven.Coordinate, ok bool) {
	group, artifact, ok := strings.Cut(w.With, ":")
	return maven.Coordinate{Group: group, Artifact: artifact, Version: w.Upstream(w.Version), Ext: "jar"}, ok
}

// planMaven completes a plugin from a Maven repository.
func (w *Want) planMaven(e *entry) error {
	if !w.kind().Jars {
		if w.MainClass != "" {
			return e.fail("remove main", "main is only for source maven: the class in a jar")
		}
		return nil
	}
	if w.Binary == "" {
		w.Binary = w.kind().Program(w.From.Name)
	}
	if !w.jar() {
		if strings.Count(w.From.Name, ":") > 1 || w.MainClass != "" {
			return e.fail(`add: runtime = "java"`, "has one file for all platforms, which only Java could run")
		}
		w.Naming.OS, w.Naming.Arch = words(mavenWords.OS, w.Naming.OS), words(mavenWords.Arch, w.Naming.Arch)
		return nil
	}
	if err := syntax.CheckProgram("binary", w.Binary); err != nil {
		return e.fail("set binary to the name of the plugin, such as protoc-gen-grpc-kotlin", "%w", err)
	}
	if slices.ContainsFunc(slices.Collect(maps.Values(w.Overrides)), func(o manifest.Override) bool { return o.Binary != "" }) {
		return e.fail("remove binary from its platforms", "is run by Java and has the name %s on every platform", w.Binary)
	}
	return nil
}

// words returns the usual names, overridden by those of a publisher.
func words(usual, own map[string]string) map[string]string {
	all := maps.Clone(usual)
	maps.Copy(all, own)
	return all
}
