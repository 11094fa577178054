package gotool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/dirhash"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/proc"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

func realGo(t *testing.T) *Client {
	t.Helper()
	testenv.Real(t, "it starts go")
	g, err := Find(t.Context())
	if err != nil {
		t.Skipf("no go to try with: %v", err)
	}
	return g
}

func TestFindGo(t *testing.T) {
	find := func(says map[string]string) (*Client, error) {
		t.Setenv("PATH", fake.Programs(t, says))
		return Find(t.Context())
	}
	_, err := find(nil)
	fake.WantFault(t, err, fault.Machine, "go is not on PATH")
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(fault.Hint(err), "Go 1.21 or later") {
		t.Errorf("%v; hint %q", err, fault.Hint(err))
	}
	_, err = find(map[string]string{"go": `print {"GOVERSION": "go1.20.14"}`})
	fake.WantFault(t, err, fault.Machine, "has version 1.20.14; 1.21 or later is needed")
	_, err = find(map[string]string{"go": `print {"GOVERSION": "devel"}`})
	fake.WantFault(t, err, fault.Machine, `reports the version "devel"`)
	_, err = find(map[string]string{"go": "print a board game"})
	fake.WantFault(t, err, fault.Machine, "is it Go?")
	_, err = find(map[string]string{"go": "complain no such thing"})
	fake.WantFault(t, err, fault.Machine, "no such thing")
	if !strings.HasSuffix(fault.Hint(err), ": go env") {
		t.Errorf("hint %q", fault.Hint(err))
	}
	g, err := find(map[string]string{"go": `print {"GOVERSION": "go1.26.7"}`})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := g.Version(t.Context()); v != "1.26.7" || err != nil {
		t.Errorf("version %q, %v", v, err)
	}
}

func TestGoConfig(t *testing.T) {
	g := realGo(t)
	t.Setenv("GOENV", "off")
	t.Setenv("GOFLAGS", "-no-such-flag")
	t.Setenv("GOPRIVATE", "corp.example.com/*")
	t.Setenv("GOPROXY", "https://me:s3cret@proxy.example.com|direct")
	t.Setenv("GOSUMDB", "sums.example.com")
	// Nothing of the project in which we run counts.
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"go.mod": "module m.invalid\n\ngo 1.99\n\ntoolchain go1.99.0\n", "go.work": "broken", ".tool-versions": "golang 1.2\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := g.Config(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if c.Proxy != "https://me:s3cret@proxy.example.com" || c.NoProxy != "corp.example.com/*" || c.SumDB != "sums.example.com" {
		t.Errorf("%+v", c)
	}
	if !c.Transparent("example.com/a") || c.Transparent("corp.example.com/a") {
		t.Errorf("%+v", c)
	}
	if c, err := g.Config(t.Context(), "http://127.0.0.1:1/go"); err != nil || c.Proxy != "http://127.0.0.1:1/go" {
		t.Errorf("%+v, %v", c, err)
	}
	for proxy, want := range map[string]fault.Class{
		"off": fault.Machine, ",": fault.Machine, "direct": fault.Policy, "direct,https://proxy.example.com": fault.Policy, "proxy.example.com": fault.Machine,
		"http://me:s3cret@proxy.example.com": fault.Policy, "https://proxy.example.com,http://proxy.example.com": fault.Policy,
	} {
		t.Setenv("GOPROXY", proxy)
		_, err := g.Config(t.Context(), "")
		if fault.Of(err) != want || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: class %v, want %v: %v", proxy, fault.Of(err), want, err)
		}
	}
}

func TestToolchainExec(t *testing.T) {
	for path, want := range map[string]bool{
		"bin/go": true, "bin/gofmt.exe": true, "pkg/tool/linux_amd64/compile": true, "lib/wasm/go_js_wasm_exec": true,
		"lib/wasm/wasm_exec.js": false, "src/make.bash": false, "binary": false, "src/bin/go": false, "misc/go_android_exec": false,
	} {
		if got := toolchainExec(path); got != want {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestGoSum(t *testing.T) {
	zip := fake.Module{Path: "example.com/m", Version: "v1.0.0", Files: map[string]string{"z.go": "package z\n", "a/b.go": "package b\n", "a.go": "package z\n"}}.Zip()
	name := filepath.Join(t.TempDir(), "m.zip")
	if err := os.WriteFile(name, zip, 0o600); err != nil {
		t.Fatal(err)
	}
	want, err := dirhash.HashZip(name, dirhash.Hash1)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files, err := archive.Unpack(t.Context(), f, "", archive.Options{Format: "zip", StripPrefix: "example.com/m@v1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	if got := Sum("example.com/m@v1.0.0/", files); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// goProxy is a fake proxy with a program of three modules, of which one is
// needed on Windows alone and one is never read but for its go.mod.
func goProxy(t *testing.T) *fake.Server {
	s := fake.New(t)
	s.Module(fake.Module{Path: "example.com/Plug/v2", Version: "v2.1.0", Files: map[string]string{
		"go.mod":              "module example.com/Plug/v2\n\ngo 1.21\n\nrequire (\n\texample.com/dep v1.1.0\n\texample.com/win v0.1.0\n\texample.com/unused v0.0.1\n)\n",
		"cmd/plug/main.go":    "package main\n\nimport \"example.com/dep\"\n\nfunc main() { println(dep.Name + os) }\n",
		"cmd/plug/os.go":      "//go:build !windows\n\npackage main\n\nconst os = \"other\"\n",
		"cmd/plug/windows.go": "//go:build windows\n\npackage main\n\nimport \"example.com/win\"\n\nconst os = win.Name\n",
		"cmd/broken/main.go":  "package main\n\nfunc main() { undefined() }\n",
		"cmd/unix/main.go":    "//go:build unix\n\npackage main\n\nfunc main() {}\n",
		"cmd/far/main.go":     "package main\n\nimport _ \"example.com/late\"\n\nfunc main() {}\n",
		"lib/lib.go":          "package lib\n",
	}})
	for _, v := range []string{"v1.0.0", "v1.1.0", "v1.2.0"} {
		s.Module(fake.Module{Path: "example.com/dep", Version: v, Files: map[string]string{"dep.go": "package dep\n\nconst Name = \"dep " + v + " \"\n"}})
	}
	s.Module(fake.Module{Path: "example.com/win", Version: "v0.1.0", Files: map[string]string{
		"go.mod": "module example.com/win\n\ngo 1.20\n\nrequire example.com/dep v1.0.0\n", "win.go": "package win\n\nconst Name = \"Windows\"\n"}})
	s.Module(fake.Module{Path: "example.com/unused", Version: "v0.0.1"})
	s.Module(fake.Module{Path: "example.com/late", Version: "v1.0.0", Files: map[string]string{"late.go": "package late\n"}})
	return s
}

// goOf is how a test reaches a fake proxy.
func goOf(s *fake.Server, sumdb string) Config {
	return Config{Proxy: s.GoProxy(), SumDB: sumdb, Auth: "off"}
}

var plug = Main{Module: "example.com/Plug/v2", Version: "2.1.0", Dir: "cmd/plug"}

func TestGoResolve(t *testing.T) {
	g := realGo(t)
	s := goProxy(t)
	both := []lock.Platform{fake.Platform(t, "linux-x86_64"), fake.Platform(t, "windows-x86_64")}
	resolve := func(t *testing.T, sumdb string, m Main) (*Closure, error) {
		return g.Resolve(t.Context(), goOf(s, sumdb), t.TempDir(), m, both)
	}
	sumdb := s.SumDB()
	// Settings of the user's that must not matter.
	t.Setenv("GOFLAGS", "-mod=vendor -toolexec=/nonexistent")
	t.Setenv("GOOS", "plan9")
	t.Setenv("CGO_ENABLED", "1")
	closure, err := resolve(t, sumdb, plug)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range closure.Modules {
		kind := "mod"
		if m.Zip != "" {
			kind = "zip"
		}
		got = append(got, m.String()+" "+kind)
	}
	want := []string{"example.com/Plug/v2@v2.1.0 zip", "example.com/dep@v1.1.0 zip", "example.com/win@v0.1.0 zip"}
	if !slices.Equal(got, want) {
		t.Errorf("closure %q, want %q", got, want)
	}
	if len(closure.Missing) > 0 {
		t.Errorf("missing %v", closure.Missing)
	}

	// Before Go 1.17 a go.mod did not say everything, and Go reads those of all
	// modules to choose versions. The build must not: they can be a thousand.
	t.Run("old", func(t *testing.T) {
		s.Module(fake.Module{Path: "example.com/older", Version: "v1.0.0", Files: map[string]string{
			"go.mod": "module example.com/older\n\ngo 1.12\n\nrequire example.com/dep v1.2.0\n", "older.go": "package older\n"}})
		s.Module(fake.Module{Path: "example.com/old", Version: "v1.0.0", Files: map[string]string{
			"go.mod":  "module example.com/old\n\ngo 1.16\n\nrequire (\n\texample.com/dep v1.0.0\n\texample.com/older v1.0.0\n)\n",
			"main.go": "package main\n\nimport \"example.com/dep\"\n\nfunc main() { println(dep.Name) }\n"}})
		main := Main{"example.com/old", "1.0.0", ""}
		closure, err := resolve(t, sumdb, main)
		if err != nil {
			t.Fatal(err)
		}
		if len(closure.Modules) != 2 || closure.Modules[0].String() != "example.com/dep@v1.2.0" || closure.Modules[1].String() != "example.com/old@v1.0.0" {
			t.Errorf("closure %+v, want dep 1.2.0, which older demands, and old", closure.Modules)
		}
		out := filepath.Join(t.TempDir(), "out")
		if err := g.Build(t.Context(), Build{Main: main, Modules: closure.Modules, Platform: both[0], Cache: testenv.GoCache(t)}, out); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(out); err != nil || !bytes.Contains(data, []byte("dep v1.2.0 ")) {
			t.Errorf("another dep was compiled: %v", err)
		}
	})
	t.Run("platform", func(t *testing.T) {
		closure, err := resolve(t, "off", Main{plug.Module, plug.Version, "cmd/unix"})
		if err != nil || len(closure.Modules) == 0 {
			t.Fatal(closure, err)
		}
		if len(closure.Missing) != 1 || !strings.Contains(closure.Missing["windows-x86_64"], "no Go files for windows/amd64") {
			t.Errorf("missing %v", closure.Missing)
		}
	})
	for _, tt := range []struct {
		name  string
		main  Main
		class fault.Class
		texts []string
	}{
		{"no version", Main{plug.Module, "2.9.9", "cmd/plug"}, fault.Upstream, []string{"has no go module example.com/Plug/v2@v2.9.9"}},
		{"no module", Main{"example.com/none", "1.0.0", ""}, fault.Upstream, []string{"has no go module example.com/none@v1.0.0"}},
		{"library", Main{plug.Module, plug.Version, "lib"}, fault.Usage, []string{`no program in "lib"`, "cmd/plug"}},
		{"no folder", Main{plug.Module, plug.Version, "cmd/plugs"}, fault.Usage, []string{"cmd/plug"}},
		{"incomplete", Main{plug.Module, plug.Version, "cmd/far"}, fault.Usage, []string{"is incomplete", "example.com/late"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := resolve(t, sumdb, tt.main)
			fake.WantFault(t, err, tt.class, tt.texts...)
		})
	}
	for name, lines := range map[string]string{"replace": "replace example.com/dep => ../dep", "exclude": "exclude (\n\texample.com/dep v1.0.0\n)"} {
		t.Run(name, func(t *testing.T) {
			s.Module(fake.Module{Path: "example.com/" + name, Version: "v1.0.0", Files: map[string]string{
				"go.mod": "module example.com/" + name + "\n\ngo 1.21\n\n" + lines + "\n", "main.go": "package main\n\nfunc main() {}\n"}})
			_, err := resolve(t, sumdb, Main{"example.com/" + name, "1.0.0", ""})
			fake.WantFault(t, err, map[string]fault.Class{"replace": fault.Policy, "exclude": fault.Usage}[name], "example.com/"+name+"@v1.0.0 has "+name)
		})
	}
	t.Run("lies", func(t *testing.T) {
		zip := "/go/example.com/!plug/v2/@v/v2.1.0.zip"
		for name, f := range map[string]fake.Fault{"short": fake.Shorter(100), "truncated": fake.Truncate(100), "html": fake.HTML(), "403": fake.Status(403), "500": fake.Status(500)} {
			s.Fault(zip, f)
			if _, err := resolve(t, sumdb, plug); fault.Of(err) != fault.Upstream && fault.Of(err) != fault.Integrity {
				t.Errorf("%s: class %v: %v", name, fault.Of(err), err)
			}
		}
		s.Fault(zip)
		// The proxy gives other code than the database knows.
		s.Module(fake.Module{Path: "example.com/dep", Version: "v1.1.0", Files: map[string]string{"dep.go": "package dep\n\nconst Name = \"evil\"\n"}})
		_, err := resolve(t, sumdb, plug)
		fake.WantFault(t, err, fault.Integrity, "SECURITY ERROR")
		if _, err := resolve(t, "off", plug); err != nil {
			t.Errorf("without the database: %v", err)
		}
	})
}

// TestGoNewer: a module that asks for a newer Go is refused, and the hint says which Go to lock.
func TestGoNewer(t *testing.T) {
	g := realGo(t)
	s := goProxy(t)
	resolve := func(t *testing.T, path string) error {
		_, err := g.Resolve(t.Context(), goOf(s, s.SumDB()), t.TempDir(), Main{path, "1.0.0", ""}, []lock.Platform{fake.Platform(t, "linux-x86_64"), fake.Platform(t, "windows-x86_64")})
		return err
	}
	t.Run("newer go", func(t *testing.T) {
		s.Module(fake.Module{Path: "example.com/new", Version: "v1.0.0", Files: map[string]string{"go.mod": "module example.com/new\n\ngo 1.99\n", "main.go": "package main\n\nfunc main() {}\n", "lib/lib.go": "package lib\n"}})
		s.Module(fake.Module{Path: "example.com/newdep", Version: "v1.0.0", Files: map[string]string{
			"go.mod": "module example.com/newdep\n\ngo 1.21\n\nrequire example.com/new v1.0.0\n", "main.go": "package main\n\nimport _ \"example.com/new/lib\"\n\nfunc main() {}\n"}})
		for _, path := range []string{"example.com/new", "example.com/newdep"} {
			err := resolve(t, path)
			fake.WantFault(t, err, fault.Usage, "needs a newer Go")
			if hint := fault.Hint(err); hint != "lock a newer Go: lockgen add go@1.99" {
				t.Errorf("hint %q", hint)
			}
		}
	})
	t.Run("patch releases", func(t *testing.T) {
		own, err := g.Version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		series, patch, _ := strings.Cut(strings.TrimPrefix(own, "1."), ".")
		minor, err1 := strconv.Atoi(series)
		n, err2 := strconv.Atoi(patch)
		if err := errors.Join(err1, err2); err != nil {
			t.Skipf("skipped: go here is %s, no release", own)
		}
		for i, tt := range []struct {
			lines string // of its go.mod
			newer string // the Go that is asked for, "" where this one does
		}{
			{"go 1.22.3", ""},
			{fmt.Sprintf("go 1.%d", minor), ""},
			{fmt.Sprintf("go 1.%d.0", minor), ""},
			{"go " + own, ""},
			{fmt.Sprintf("go 1.22.3\n\ntoolchain go1.%d.%d", minor, n+1), ""}, // what its author works with
			{fmt.Sprintf("go 1.%d.%d", minor, n+1), fmt.Sprintf("1.%d.%d", minor, n+1)},
			{fmt.Sprintf("go 1.%d.%d", minor, 10*n+10), fmt.Sprintf("1.%d.%d", minor, 10*n+10)}, // numbers, not text
			{fmt.Sprintf("go 1.%drc1", minor+1), fmt.Sprintf("1.%drc1", minor+1)},
		} {
			path := fmt.Sprintf("example.com/patch%d", i)
			s.Module(fake.Module{Path: path, Version: "v1.0.0", Files: map[string]string{"go.mod": "module " + path + "\n\n" + tt.lines + "\n", "main.go": "package main\n\nfunc main() {}\n"}})
			err := resolve(t, path)
			if tt.newer == "" {
				if err != nil {
					t.Errorf("%q by go %s: %v", tt.lines, own, err)
				}
				continue
			}
			fake.WantFault(t, err, fault.Usage, path+"@v1.0.0 needs a newer Go")
			if hint := fault.Hint(err); hint != "lock a newer Go: lockgen add go@"+tt.newer {
				t.Errorf("%q by go %s: hint %q", tt.lines, own, hint)
			}
		}
	})
}

func TestGoWithdrawn(t *testing.T) {
	g := realGo(t)
	s := fake.New(t)
	s.Module(fake.Module{Path: "example.com/m", Version: "v1.0.0"})
	s.Module(fake.Module{Path: "example.com/m", Version: "v1.1.0", Files: map[string]string{
		"go.mod": "// Deprecated: use example.com/n.\nmodule example.com/m\n\ngo 1.21\n\nretract v1.0.0 // it eats files\n"}})
	notes, err := g.Withdrawn(t.Context(), goOf(s, "off"), t.TempDir(), "example.com/m", "1.0.0")
	if err != nil || len(notes) != 2 || !strings.Contains(notes[0], "retracted example.com/m@v1.0.0: it eats files") || !strings.Contains(notes[1], "use example.com/n") {
		t.Errorf("%q, %v", notes, err)
	}
	notes, err = g.Withdrawn(t.Context(), goOf(s, "off"), t.TempDir(), "example.com/m", "1.1.0")
	if err != nil || len(notes) != 1 {
		t.Errorf("%q, %v", notes, err)
	}
}

func TestGoDownload(t *testing.T) {
	g := realGo(t)
	s := fake.New(t)
	toolchain := fake.Module{Path: lock.GoToolchain, Version: "v0.0.1-go1.26.7.linux-amd64", Files: map[string]string{"bin/go": "go", "go.mod": "module golang.org/toolchain\n"}}
	a := s.Module(toolchain)
	scratch := t.TempDir()
	m, err := g.Download(t.Context(), goOf(s, s.SumDB()), scratch, toolchain.Path, toolchain.Version[1:])
	if err != nil {
		t.Fatal(err)
	}
	sum, modSum := toolchain.Sums()
	if m.Sum != sum || m.ModSum != modSum {
		t.Errorf("%+v, want %s and %s", m, sum, modSum)
	}
	if data, err := os.ReadFile(m.Zip); err != nil || !bytes.Equal(data, a.Body) {
		t.Errorf("the zip: %v", err)
	}
	if _, err := os.Stat(filepath.Join(scratch, "mod", "golang.org", "toolchain@"+toolchain.Version, "bin")); err == nil {
		t.Error("it was unpacked")
	}
	if n := s.Count(a.Path); n != 1 {
		t.Errorf("downloaded %d times", n)
	}
	other := fake.Module{Path: "example.com/m", Version: "v1.0.0"}
	b := s.Module(other)
	_, modSum = other.Sums()
	only, err := g.DownloadMod(t.Context(), goOf(s, "off"), t.TempDir(), "example.com/m", "1.0.0")
	if err != nil || only.ModSum != modSum || only.Zip != "" || s.Count(b.Path) != 0 {
		t.Errorf("the go.mod: %+v, %v", only, err)
	}
	_, err = g.Download(t.Context(), goOf(s, "off"), t.TempDir(), toolchain.Path, toolchain.Version[1:])
	fake.WantFault(t, err, fault.Policy, "checksum database is off")
}

// TestGoBuild builds in two folders, for this platform and for another one.
func TestGoBuild(t *testing.T) {
	g := realGo(t)
	s := goProxy(t)
	// The platforms for which lockgen's tests compile, and their cache.
	platforms := []lock.Platform{fake.Platform(t, "linux-aarch64"), fake.Platform(t, "windows-x86_64")}
	closure, err := g.Resolve(t.Context(), goOf(s, "off"), t.TempDir(), plug, platforms)
	if err != nil {
		t.Fatal(err)
	}
	s.Forget()
	cache := testenv.SmallGoCache(t)
	// Settings and programs of the user's that must not matter.
	t.Setenv("GOFLAGS", "-toolexec=/nonexistent -ldflags=-X=main.x=y")
	t.Setenv("GOPROXY", s.GoProxy())
	t.Setenv("PATH", "")
	for _, p := range platforms {
		var first []byte
		for range 2 {
			out := filepath.Join(t.TempDir(), "out"+p.Exe())
			told := 0
			if err := g.Build(t.Context(), Build{Main: plug, Modules: closure.Modules, Platform: p, Cache: cache, Compiled: func(packages int) {
				if told++; packages != told {
					t.Errorf("%d packages are told as %d", told, packages)
				}
			}}, out); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			if want := map[bool]string{true: "Windows", false: "other"}[p.OS == "windows"]; !bytes.Contains(data, []byte("dep v1.1.0 "+want)) {
				t.Errorf("%s: the program does not say %q", p.Name, "dep v1.1.0 "+want)
			}
			if first == nil {
				first = data
			} else if !bytes.Equal(first, data) {
				t.Errorf("%s: two builds in two folders differ", p.Name)
			}
			if left, _ := filepath.Glob(filepath.Join(filepath.Dir(out), "*")); len(left) != 1 {
				t.Errorf("left behind: %q", left)
			}
		}
	}
	if n := s.Count(""); n != 0 {
		t.Errorf("the build sent %d requests", n)
	}

	out := filepath.Join(t.TempDir(), "out")
	b := Build{Main: plug, Modules: closure.Modules, Platform: platforms[0], Cache: cache}
	broken := b
	broken.Main.Dir = "cmd/broken"
	err = g.Build(t.Context(), broken, out)
	fake.WantFault(t, err, fault.Machine, "does not compile for linux/arm64", "undefined")
	if !errors.Is(err, proc.ErrCompile) {
		t.Errorf("not ErrCompile: %v", err)
	}
	if strings.Contains(err.Error(), "; example.com/") {
		t.Errorf("what only tells progress is in the error: %v", err)
	}
	b.Modules = slices.Clone(b.Modules)
	b.Modules[0].Sum = b.Modules[1].Sum
	fake.WantFault(t, g.Build(t.Context(), b, out), fault.Integrity, "checksum mismatch")
	b.Modules[0] = closure.Modules[0]
	b.Modules[1].ModSum = b.Modules[0].ModSum
	fake.WantFault(t, g.Build(t.Context(), b, out), fault.Integrity, "checksum mismatch")
}

// TestImportPath: which lines of go build -v tell progress.
func TestImportPath(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]bool{
		"internal/unsafeheader": true, "fmt": true, "google.golang.org/protobuf/cmd/protoc-gen-go": true, "vendor/golang.org/x/net/idna": true,
		"": false, "# example.com/plug": false, "./main.go:3:2: undefined: x": false, "\tundefined": false, "go: downloading x": false,
	} {
		if got := importPath(line); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}
