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
}
