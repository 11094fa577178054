package prelude_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestJavaPlugin: Buck2 runs a plugin that is a jar with the locked Java, from the
// jars of its closure and without what the user's environment says to Java.
func TestJavaPlugin(t *testing.T) {
	bucktest.Need(t)
	testenv.Real(t, "needs protoc from its registry")
	host, ok := lock.Host()
	if !ok || host.OS == "windows" {
		t.Skip("a shell script stands in for java")
	}
	s := fake.New(t)
	// It answers with the file j.txt, if it is started as it has to be. Written in
	// octal: a CodeGeneratorResponse with a file of this name and this content.
	s.File("/java-25", []byte(`#!/bin/sh
test "$1" = -version && exit 0
test -z "$JAVA_TOOL_OPTIONS$CLASSPATH" || { echo "the user's settings are there" >&2; exit 1; }
while test $# -gt 1; do
  test "$1" = -cp && cp=$2
  shift
done
test "$1" = 'com.acme.Main$Inner' || { echo "main is $1" >&2; exit 1; }
case $cp in
*/lib/com.acme/protoc-gen-acme-1.0.jar:*/lib/com.acme/core-1.1.jar) ;;
*) echo "class path $cp" >&2; exit 1 ;;
esac
IFS=:
for jar in $cp; do test -f "$jar" || { echo "no $jar" >&2; exit 1; }; done
printf 'z\013\n\005j.txtz\002ok'
`))
	s.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "core", Version: "1.1", Files: map[string][]byte{".jar": fake.Zip(map[string]string{"core": "1"})}})
	s.Maven(fake.MavenArtifact{
		Group: "com.acme", Artifact: "protoc-gen-acme", Version: "1.0",
		POM:   "<dependencies><dependency><groupId>com.acme</groupId><artifactId>core</artifactId><version>1.1</version></dependency></dependencies>",
		Files: map[string][]byte{".jar": fake.Zip(map[string]string{"com/acme/Main$Inner.class": "\xca\xfe\xba\xbe\x00\x00\x00\x34"})},
	})
	dir := t.TempDir()
	bucktest.Write(t, dir, map[string]string{"plugins.toml": fmt.Sprintf(`platforms = [%q]

[plugins]
java = { version = "25", source = "%s/java-{version}", binary = "java" }

[plugins.acme]
version = "1.0"
source = "maven:com.acme:protoc-gen-acme"
main = "com.acme.Main$Inner"
runtime = "java"

[registries]
maven = "%s"
`, host.Name, s.URL, s.URL+fake.MavenRoot)})
	lockgen := filepath.Join(t.TempDir(), "lockgen")
	command(t, bucktest.Root(t), "go", "build", "-o", lockgen, "./lockgen")
	command(t, dir, lockgen, "update", "--no-smoke")
	locked, err := os.ReadFile(filepath.Join(dir, lock.FileName))
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(locked), "\n\n")
	t.Setenv("JAVA_TOOL_OPTIONS", "-Dcanary")
	p := scratch(t, "\n"+tables, map[string]string{
		".buckconfig":     scratchConfig + "[buck2_protobuf]\ncache_dir = " + t.TempDir() + "\n",
		"toolchains/BUCK": strings.Replace(scratchToolchain, "(lock = lock", "(lock = lock, registries = {\"maven\": \""+s.URL+fake.MavenRoot+"\"}", 1),
		"api/a.proto":     scratchProto,
		"api/BUCK": `
load("@buck2-protobuf//rules:proto.bzl", "proto_codegen")

proto_codegen(name = "acme", srcs = ["a.proto"], plugin = "acme", files = ["j.txt"])
`,
	})
	expectFile(t, p.Build("//api:acme[j.txt]")[0], "ok")
}
