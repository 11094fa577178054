package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
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
		want = append(want, asks+" 1.0 (", "requires sdx by URL: Requires-Dist: sdx")
	}
	p.python(`"3.12"`, one, entries)
	p.fails(fault.Policy, append(want, "#direct-references"), "update")
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
	p.fails(fault.Integrity, []string{"the wheel gen-1.0-py3-none-any.whl has wrong metadata"}, "update")
	p.server.Wheel(good)
	p.ok("update")
	if !strings.Contains(p.read("plugins.lock.toml"), good.Filename()) {
		t.Error("not locked")
	}
}

// TestWheelClasses: what the index gives in the place of a wheel ends in the
// class that it is of.
func TestWheelClasses(t *testing.T) {
	t.Parallel()
	needPip(t)
	p := newPlace(t)
	wheel := func(name string, requires ...string) fake.Wheel {
		return fake.Wheel{Name: name, Version: "1.0", Requires: requires, Files: map[string]string{name + ".py": "def main(): pass\n"}, EntryPoints: "[console_scripts]\ngen = " + name + ":main\n"}
	}
	entry := func(name string) {
		p.python(`"3.12"`, one, fmt.Sprintf("%s = { version = \"1.0\", source = \"pip:%s\", binary = \"gen\" }\n", name, name))
	}
	sdist := fake.Tarball("src-1.0", map[string]string{"setup.py": "raise SystemExit(1)\n"})
	p.server.Release("src", "src-1.0.tar.gz", sdist)
	entry("src")
	p.fails(fault.Policy, []string{"src==1.0", "the index only has a source distribution, src-1.0.tar.gz", "a wheel is needed (py3-none-any, or one for CPython 3.12 and linux-aarch64)"}, "update")
	p.server.Wheel(wheel("asks", "src>=0.5"))
	entry("asks")
	p.fails(fault.Policy, []string{"which needs src>=0.5 for asks 1.0", "src-1.0.tar.gz"}, "update")

	md5 := wheel("md5")
	a := p.server.Wheel(md5)
	page := fmt.Sprintf(`{"meta":{"api-version":"1.0"},"name":"md5","files":[{"filename":%q,"url":%q,"hashes":{"md5":"0123456789abcdef0123456789abcdef"}}]}`, a.Name, a.URL)
	p.server.Fault("/simple/md5/", fake.Answer("application/vnd.pypi.simple.v1+json", page))
	entry("md5")
	p.fails(fault.Integrity, []string{"the index has no sha256 for md5-1.0-py3-none-any.whl but only md5"}, "update")

	// The bytes are not what the index promises, with and without metadata beside.
	for _, beside := range []bool{true, false} {
		name := map[bool]string{true: "beside", false: "within"}[beside]
		good := wheel(name)
		var a fake.Artifact
		if beside {
			a = p.server.Wheel(good)
		} else {
			a = p.server.Release(name, good.Filename(), good.Bytes())
		}
		p.server.File(a.Path, append(good.Bytes(), 0))
		entry(name)
		p.fails(fault.Integrity, []string{"the download of " + a.Name + " from ", " does not match the registry's digest"}, "update")
	}
	// Metadata that are not what the index promises.
	cut := wheel("cut")
	a = p.server.Wheel(cut)
	p.server.File(a.Path+".metadata", []byte(cut.Metadata()+"Requires-Dist: evil\n"))
	entry("cut")
	p.fails(fault.Integrity, []string{"the metadata of cut-1.0-py3-none-any.whl is not what the index promises"}, "update")
}

// TestWheelOfNewerSystem: a wheel for a newer glibc, or macOS, than the lock's is not taken,
// whatever other platforms have, and missing on that platform alone.
func TestWheelOfNewerSystem(t *testing.T) {
	t.Parallel()
	needPip(t)
	p := newPlace(t)
	for _, tag := range []string{"py3-none-manylinux_2_28_aarch64", "py3-none-manylinux_2_39_x86_64", "py3-none-macosx_15_0_arm64"} {
		p.server.Wheel(fake.Wheel{Name: "newer", Version: "1.0", Tag: tag, Files: map[string]string{"newer.py": "def main(): pass\n"}, EntryPoints: "[console_scripts]\ngen = newer:main\n"})
	}
	const entry = "newer = { version = \"1.0\", source = \"pip:newer\", binary = \"gen\""
	p.python(`"3.12"`, `"linux-aarch64", "linux-x86_64"`, entry+" }\n")
	p.fails(fault.Upstream, []string{"newer 1.0 for linux-x86_64", "a wheel is needed", "newer-1.0-py3-none-manylinux_2_39_x86_64.whl", "optional = true in the entry makes such a platform unavailable"}, "update")
	p.python(`"3.12"`, `"linux-aarch64", "linux-x86_64"`, entry+", optional = true }\n")
	p.ok("update", "--no-smoke")
	p.python(`"3.12"`, `"linux-aarch64", "linux-x86_64", "macos-aarch64"`, entry+", optional = true }\n")
	p.ok("update", "--no-smoke")
	if c := p.locked().Plugins["newer"]["1.0"].Platforms["macos-aarch64"]; c.Unavailable == "" {
		t.Errorf("a wheel of a newer macOS is taken: %+v", c)
	}
	if c := p.locked().Plugins["newer"]["1.0"].Platforms; !c["linux-aarch64"].Locked() || !strings.Contains(c["linux-x86_64"].Unavailable, "has no wheel for it") {
		t.Errorf("%+v", c)
	}
}

// TestPipCredential: a credential of the index serves for resolving and for our
// own download, of an index with JSON and of one without, and goes to that index
// alone.
func TestPipCredential(t *testing.T) {
	needPip(t)
	p := newPlace(t)
	p.server.Wheel(fake.Wheel{Name: "gen", Version: "1.0", Files: map[string]string{"gen.py": "def main(): pass\n"}, EntryPoints: "[console_scripts]\ngen = gen:main\n"})
	behind, err := url.Parse(p.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "me" || password != "S3CRET" {
			w.Header().Set("WWW-Authenticate", "Basic")
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		r.Header.Del("Authorization")
		proxy.ServeHTTP(w, r)
	}))
	defer front.Close()
	p.write("plugins.toml", "python = [\"3.12\"]\nplatforms = ["+one+"]\n[plugins]\ngen = { version = \"1.0\", source = \"pip:gen\", binary = \"gen\" }\n")
	// Links of JSON lead to another origin here, those of HTML to the same.
	for _, html := range []bool{false, true} {
		p.server.HTMLOnly(html)
		p.server.Forget()
		if err := os.RemoveAll(p.path("plugins.lock.toml")); err != nil {
			t.Fatal(err)
		}
		p.setenv("PIP_INDEX_URL", front.URL+"/simple/")
		p.fails(fault.Upstream, []string{"401 Unauthorized, no credential sent"}, "update")
		p.setenv("PIP_INDEX_URL", strings.Replace(front.URL, "//", "//me:S3CRET@", 1)+"/simple/")
		out, said := p.ok("update")
		if text := p.read("plugins.lock.toml") + out + said; strings.Contains(text, "S3CRET") || !strings.Contains(text, "gen-1.0-py3-none-any.whl") {
			t.Errorf("a secret is told, or nothing is locked:\n%s", text)
		}
		for _, r := range p.server.Requests("") {
			if r.Header.Get("Authorization") != "" {
				t.Errorf("%s got the credential", r.Path)
			}
		}
	}
}
