package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestDirectReference: a wheel that asks for something at an address is refused
// before pip hears of it, and nothing of what it asks for runs or is fetched.
func TestDirectReference(t *testing.T) {
	t.Parallel()
	needPip(t)
	p := newPlace(t)
	home := t.TempDir()
	canary := filepath.Join(home, "canary")
	sdist := fake.Tarball("sdx-1.0", map[string]string{
		"setup.py": fmt.Sprintf("open(%q, 'w')\n", canary), "PKG-INFO": "Metadata-Version: 2.1\nName: sdx\nVersion: 1.0\n",
	})
	if err := os.WriteFile(filepath.Join(home, "x.tar.gz"), sdist, 0o600); err != nil {
		t.Fatal(err)
	}
	var reached atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reached.Add(1); w.Write(sdist) }))
	defer other.Close()
	here := p.server.File("/sdx-1.0.tar.gz", sdist)
	file := "file://" + filepath.ToSlash(home)
	forms := []string{
		"sdx @ " + here, "sdx@" + here, "sdx[a,b] @ " + here, "sdx @ " + other.URL + "/sdx-1.0.tar.gz", "sdx @ " + other.URL + "/sdx-1.0-py3-none-any.whl",
		"sdx @ " + file + "/x.tar.gz", "sdx @ " + file, "sdx @ git+" + other.URL + "/x", "sdx @ git+" + file + "@main",
		"sdx @ hg+" + other.URL + "/x", "sdx @ svn+" + other.URL + "/x", "sdx @ bzr+" + other.URL + "/x",
		"sdx @ " + here + ` ; sys_platform == "win32"`, "sdx @ " + here + ` ; extra == "test"`, `sdx @ ` + here + ` ; python_version < "3"`,
	}
	var want []string
	entries := ""
	for i, form := range forms {
		name := fmt.Sprintf("direct%d", i)
		lines := map[string]string{name + ".py": "def main(): pass\n"}
		bad := fake.Wheel{Name: name, Version: "1.0", Requires: []string{form}, Files: lines, EntryPoints: "[console_scripts]\ngen = " + name + ":main\n"}
		asks := name
		switch i % 3 {
		case 0: // the index has its metadata
			p.server.Wheel(bad)
		case 1: // only the wheel has
			p.server.Release(name, bad.Filename(), bad.Bytes())
		case 2: // it is needed by another
			asks = name + "-dep"
			bad.Name, bad.EntryPoints = asks, ""
			p.server.Wheel(bad)
			p.server.Wheel(fake.Wheel{Name: name, Version: "1.0", Requires: []string{asks + ">=1"}, Files: lines, EntryPoints: "[console_scripts]\ngen = " + name + ":main\n"})
		}
		entries += fmt.Sprintf("%s = { version = \"1.0\", source = \"pip:%s\", binary = \"gen\" }\n", name, name)
		want = append(want, asks+" 1.0 (", "asks for sdx at an address of its own: Requires-Dist: sdx")
	}
	p.python(`"3.12"`, one, entries)
	p.fails(fault.Policy, want, "update")
	if _, err := os.Stat(canary); err == nil {
		t.Error("foreign code ran")
	}
	if reached.Load() > 0 || p.server.Count("/sdx-1.0.tar.gz") > 0 {
		t.Error("what a wheel asks for was fetched")
	}
	if _, err := os.Stat(p.path("plugins.lock.toml")); err == nil {
		t.Error("a lock was written")
	}
}

// TestWheelTruth: at lock time, what a wheel says of itself is true, or class 5.
func TestWheelTruth(t *testing.T) {
	t.Parallel()
	needPip(t)
	p := newPlace(t)
	good := fake.Wheel{Name: "gen", Version: "1.0", Files: map[string]string{"gen.py": "def main(): pass\n"}, EntryPoints: "[console_scripts]\ngen = gen:main\n"}
	p.python(`"3.12"`, one, "gen = { version = \"1.0\", source = \"pip:gen\", binary = \"gen\" }\n")
	// The metadata of the index are not those of the wheel.
	lie := good
	lie.Requires, lie.Beside = []string{"dep>=1"}, good.Metadata()
	p.server.Wheel(lie)
	p.fails(fault.Integrity, []string{"gen-1.0-py3-none-any.whl has other metadata than the index gives"}, "update")
	// It is said to be another project's.
	other := good
	other.Name = "neg"
	p.server.Release("gen", good.Filename(), other.Bytes())
	p.fails(fault.Integrity, []string{"the wheel gen-1.0-py3-none-any.whl does not say the truth of itself"}, "update")
	p.server.Wheel(good)
	p.ok("update")
	if !strings.Contains(p.read("plugins.lock.toml"), good.Filename()) {
		t.Error("not locked")
	}
}
