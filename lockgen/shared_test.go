package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestTwoOfOneFile: plugins whose executables lie in one file are each looked at,
// whichever is the first to have the file.
func TestTwoOfOneFile(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	entries := func(source string, binaries ...string) {
		text := "platforms = [\"linux-aarch64\"]\n[registries]\npip = \"" + p.server.URL + "/simple/\"\n"
		for i, b := range binaries {
			text += fmt.Sprintf("[plugins.gen-%c]\nversion = \"1.0.0\"\nsource = %q\nbinary = %q\n", 'a'+i, source, b)
		}
		p.write("plugins.toml", text)
	}
	p.server.File("/bare", []byte(linuxARM))
	entries(p.server.URL+"/bare", "one", "two")
	p.ok("update")
	for _, b := range []string{"one", "two"} {
		if !strings.Contains(p.read("plugins.lock.toml"), `linux-aarch64 = { binary = "`+b+`"`) {
			t.Errorf("no %s in\n%s", b, p.read("plugins.lock.toml"))
		}
	}

	files := map[string]string{"pkg/arm": linuxARM, "pkg/intel": linuxX64}
	exec := []string{"pkg/arm", "pkg/intel"}
	sources := map[string]string{"an archive": p.server.URL + "/archive.tar.gz"}
	p.server.File("/archive.tar.gz", fake.Tarball("", files, exec...))
	if !testing.Short() {
		needPip(t)
		p.server.Wheel(fake.Wheel{Name: "both", Version: "1.0.0", Tag: "py3-none-manylinux_2_17_aarch64", Files: files, Exec: exec})
		sources["a wheel"] = "pip:both"
	}
	o := fake.NewOCI(t, "")
	o.Manifest("v1.0.0", o.Blob(fake.OCILayer, "both.tar.gz", fake.Tarball("", files, exec...)))
	sources["a layer"] = "oci://" + o.Host + "/acme/tool:v{version}"
	for what, source := range sources {
		for _, binaries := range [][]string{{"pkg/arm", "pkg/intel"}, {"pkg/intel", "pkg/arm"}} {
			entries(source, binaries...)
			bad := "gen-a"
			if binaries[1] == "pkg/intel" {
				bad = "gen-b"
			}
			if text := p.fails(fault.Integrity, []string{bad + " 1.0.0", "x86_64"}, "update"); !strings.Contains(text, "pkg/intel") {
				t.Errorf("%s: told\n%s", what, text)
			}
		}
	}

	// A program of Maven is its file, so it is that of both or of none.
	for program, class := range map[string]fault.Class{linuxARM: fault.OK, linuxX64: fault.Integrity} {
		p.server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "both", Version: "1.0.0", Files: map[string][]byte{"-linux-aarch_64.exe": []byte(program)}})
		entries("maven:com.acme:both", "one", "two")
		p.write("plugins.toml", strings.Replace(p.read("plugins.toml"), "[registries]\n", "[registries]\nmaven = \""+p.server.URL+fake.MavenRoot+"\"\n", 1))
		p.cache = t.TempDir() // the version has other bytes now
		if class == fault.OK {
			p.ok("update")
			p.write("plugins.lock.toml", "schema = 1\n")
			continue
		}
		p.fails(class, []string{"gen-a 1.0.0", "gen-b 1.0.0", "x86_64"}, "update")
	}
}

// TestTwoOfOneModule: each program of a module is compiled and looked at, whichever
// is the first to have the zip.
func TestTwoOfOneModule(t *testing.T) {
	t.Parallel()
	p, version := newGoPlace(t)
	good, bad := plug("protoc-gen-plug", ""), strings.ReplaceAll(plug("protoc-gen-plug", ""), "protoc-gen-plug", "protoc-gen-none")
	for _, both := range []string{good + bad, bad + good} {
		p.goManifest("go = \"" + version + "\"\n" + both)
		p.fails(fault.Usage, []string{"protoc-gen-none 1.0.0", "cmd/protoc-gen-none"}, "update")
	}
}
