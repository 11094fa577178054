// Package prelude_test tests the Starlark engine. What is pure runs here with
// Go's own Starlark; what takes a Buck2 runs with the real one.
package prelude_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// buildifier is the formatter, built by the go command and kept in its cache.
const buildifier = "github.com/bazelbuild/buildtools/buildifier@v0.0.0-20260904073137-eaa4d125b423"

// load runs a .bzl file of this folder that loads nothing.
func load(t *testing.T, name string, shims starlark.StringDict) starlark.StringDict {
	t.Helper()
	env := starlark.StringDict{
		"struct": starlark.NewBuiltin("struct", starlarkstruct.Make),
		"fail": starlark.NewBuiltin("fail", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			s, _ := starlark.AsString(args[0])
			return nil, fmt.Errorf("fail: %s", s)
		}),
	}
	for k, v := range shims {
		env[k] = v
	}
	globals, err := starlark.ExecFileOptions(&syntax.FileOptions{}, &starlark.Thread{Name: name}, name, nil, env)
	if err != nil {
		t.Fatal(err)
	}
	return globals
}

func call(t *testing.T, f starlark.Value, args ...starlark.Value) (starlark.Value, error) {
	t.Helper()
	return starlark.Call(&starlark.Thread{Name: t.Name()}, f, args, nil)
}

// value turns what TOML decodes to into Starlark, as Buck2's load does.
func value(t *testing.T, v any) starlark.Value {
	t.Helper()
	switch v := v.(type) {
	case string:
		return starlark.String(v)
	case int64:
		return starlark.MakeInt64(v)
	case bool:
		return starlark.Bool(v)
	case []any:
		list := make([]starlark.Value, len(v))
		for i, e := range v {
			list[i] = value(t, e)
		}
		return starlark.NewList(list)
	case map[string]any:
		d := starlark.NewDict(len(v))
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			if err := d.SetKey(starlark.String(k), value(t, v[k])); err != nil {
				t.Fatal(err)
			}
		}
		return d
	}
	t.Fatalf("no Starlark value for %T", v)
	return nil
}

func parse(t *testing.T, text string) starlark.Value {
	t.Helper()
	var v map[string]any
	if err := toml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return value(t, v)
}

// sum is a well-formed SHA-256.
var sum = strings.Repeat("ab", 32)

// sample is a lock of one http plugin in two versions, which runs on node.
var sample = `
schema = 1
[plugins.gen."1.0.0"]
source = "go"
package = "example.com/gen"
toolchain = "go@1.26.7"
trust = "transparency-log"
files = { "example.com/gen@v1.0.0.zip" = { name = "example.com/gen", version = "1.0.0", sha256 = "` + sum + `", size = 9 } }
platforms.linux-x86_64 = { binary = "protoc-gen-gen", tree = "` + sum + `" }
[plugins.go."1.26.7"]
source = "go"
package = "golang.org/toolchain"
trust = "transparency-log"
files = { "go.zip" = { sha256 = "` + sum + `", size = 9 } }
platforms.linux-x86_64 = { binary = "bin/go", tree = "` + sum + `" }
[plugins.node."24.0.0"]
source = "pip"
trust = "registry"
files = { "node.whl" = { sha256 = "` + sum + `", size = 3 } }
platforms.linux-x86_64 = { binary = "bin/node", tree = "` + sum + `" }
[plugins.prost."0.2.3"]
source = "cargo"
trust = "registry"
build-scripts = ["libc-0.2.139"]
files = { "libc-0.2.139.crate" = { name = "libc", version = "0.2.139", sha256 = "` + sum + `", size = 8 } }
[plugins.prost."0.2.3".platforms]
linux-aarch64 = { emulate = "linux-x86_64" }
linux-x86_64 = { binary = "bin/prost" }
[plugins.stubs."1.0.0"]
source = "pip"
python = ["3.9", "3.12"]
program = "protoc-gen-pyi_stubs"
entry = "stubs.main:run"
trust = "registry"
files = { "stubs.whl" = { sha256 = "` + sum + `", size = 9 } }
platforms.linux-x86_64 = { binary = "stubs/main.py", tree = "` + sum + `" }
[plugins.x."1.9.0"]
source = "http"
trust = "first-use"
[plugins.x."1.9.0".files]
"x.js" = { url = "https://example.com/x.js", sha256 = "` + sum + `", size = 7, platforms = ["linux-x86_64", "windows-x86_64"] }
"y.js" = { url = "https://example.com/y.js", sha256 = "` + sum + `", size = 7, platforms = ["linux-aarch64"] }
[plugins.x."1.9.0".platforms]
linux-x86_64 = { binary = "bin/protoc-gen-x.js", tree = "` + sum + `" }
windows-x86_64 = { binary = "bin/protoc-gen-x.exe", tree = "` + sum + `" }
windows-aarch64 = { emulate = "windows-x86_64" }
macos-aarch64 = { unavailable = "no build for it" }
[plugins.x."1.10.0"]
source = "npm"
runtime = "node@24.0.0"
trust = "registry"
files = { "node_modules/x" = { sha256 = "` + sum + `", size = 7 } }
platforms.linux-x86_64 = { binary = "node_modules/x/x", tree = "` + sum + `" }
[protos.acme."3.0.0"]
source = "go"
trust = "registry"
deps = ["base"]
files = { "acme.zip" = { sha256 = "` + sum + `", size = 5 } }
folders = { "acme/v1" = { files = ["acme.proto"], imports = ["base"] } }
platforms.any = { tree = "` + sum + `" }
[protos.base."1.0.0"]
source = "pip"
trust = "registry"
files = { "base.whl" = { sha256 = "` + sum + `", size = 6 } }
folders = { base = { files = ["base.proto"] }, "." = { files = ["top.proto"] } }
platforms.any = { tree = "` + sum + `" }
`

func TestLock(t *testing.T) {
	bzl := load(t, "lock.bzl", nil)
	plugins, err := call(t, bzl["plugins_of"], parse(t, sample))
	if err != nil {
		t.Fatal(err)
	}
	at := func(v starlark.Value, keys ...string) starlark.Value {
		for _, k := range keys {
			next, found, err := v.(starlark.Mapping).Get(starlark.String(k))
			if err != nil || !found {
				t.Fatalf("no %q in %v", k, v)
			}
			v = next
		}
		return v
	}
	v190, v1100 := at(plugins, "x", "1.9.0"), at(plugins, "x", "1.10.0")

	t.Run("cell", func(t *testing.T) {
		for _, c := range [][4]string{
			{"linux-x86_64", "linux-x86_64", `"bin/protoc-gen-x.js"`, "None"},
			{"windows-aarch64", "windows-x86_64", `"bin/protoc-gen-x.exe"`, "None"},
			{"macos-aarch64", "macos-aarch64", "None", `"no build for it"`},
			{"unknown", "unknown", "None", `"the lock has no such platform"`},
		} {
			got, err := call(t, bzl["cell_of"], v190, starlark.String(c[0]))
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("struct(binary = %s, platform = %q, unavailable = %s)", c[2], c[1], c[3])
			if got.String() != want {
				t.Errorf("cell_of %s = %s, want %s", c[0], got, want)
			}
		}
	})
	t.Run("proto package", func(t *testing.T) {
		acme := at(plugins, "protos/acme", "3.0.0")
		got, err := call(t, bzl["cell_of"], acme, starlark.String("macos-aarch64"))
		if want := `struct(binary = None, platform = "any", unavailable = None)`; err != nil || got.String() != want {
			t.Errorf("cell_of: %v, %v, want %s", got, err, want)
		}
		if got, err := call(t, bzl["files_of"], acme, starlark.String("any")); err != nil || got.(*starlark.Dict).Len() != 1 {
			t.Errorf("files_of: %v, %v", got, err)
		}
		if got, err := call(t, bzl["option_name"], acme); err != nil || got != starlark.None {
			t.Errorf("option_name: %v, %v", got, err)
		}
	})
	t.Run("files", func(t *testing.T) {
		for platform, want := range map[string]string{"linux-x86_64": "x.js", "linux-aarch64": "y.js", "macos-x86_64": ""} {
			got, err := call(t, bzl["files_of"], v190, starlark.String(platform))
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, k := range got.(*starlark.Dict).Keys() {
				s, _ := starlark.AsString(k)
				names = append(names, s)
			}
			if strings.Join(names, " ") != want {
				t.Errorf("files of %s are %v, want %q", platform, names, want)
			}
		}
	})
	t.Run("option_name", func(t *testing.T) {
		for v, want := range map[starlark.Value]string{v190: `"x"`, v1100: "None", at(plugins, "stubs", "1.0.0"): `"pyi_stubs"`} {
			got, err := call(t, bzl["option_name"], v)
			if err != nil || got.String() != want {
				t.Errorf("option_name = %v, %v, want %s", got, err, want)
			}
		}
	})
	t.Run("pick", func(t *testing.T) {
		for _, c := range []struct {
			name    string
			version starlark.Value
			want    string
		}{
			{"x", starlark.None, `"1.10.0"`},
			{"x", starlark.String("1.9.0"), `"1.9.0"`},
			{"x", starlark.String("2.0.0"), "fail: version 2.0.0 of plugin `x` is not locked; the lock has: 1.9.0, 1.10.0. Run: lockgen add x@2.0.0"},
			{"z", starlark.None, "fail: plugin `z` is not locked; the lock has: gen, go, node, prost, protos/acme, protos/base, stubs, x. Run: lockgen add z"},
			{"z", starlark.String("1"), "fail: plugin `z` is not locked; the lock has: gen, go, node, prost, protos/acme, protos/base, stubs, x. Run: lockgen add z@1"},
		} {
			got, err := call(t, bzl["pick"], plugins, starlark.String(c.name), c.version)
			text := fmt.Sprint(got)
			if err != nil {
				text = err.Error()
			}
			if text != c.want {
				t.Errorf("pick %s %s:\n got %s\nwant %s", c.name, c.version, text, c.want)
			}
		}
	})
}

func TestLockRefused(t *testing.T) {
	bzl := load(t, "lock.bzl", nil)
	for _, c := range []struct{ old, new, want string }{
		{"schema = 1", "schema = 2", "has schema 2, but this buck2-protobuf reads 1: use a newer"},
		{"schema = 1", "", "has schema None, expected 1. Run: lockgen update"},
		{`source = "npm"`, ``, "x 1.10.0: `source` is missing"},
		{`source = "npm"`, `source = "nmp"`, "source \"nmp\" is not one of cargo, go, http, maven, npm, oci, pip"},
		{"size = 7", `size = 7, archive = "zip"`, "archive \"zip\" of `node_modules/x` is not one of bz2, "},
		{"size = 3", `size = 3, platforms = ["linux-amd64"]`, "unknown platform \"linux-amd64\" of `node.whl`"},
		{"platforms.linux-x86_64", "platforms.linux-amd64", "unknown platform \"linux-amd64\""},
		{`"node@24.0.0"`, `"node@25.0.0"`, "x 1.10.0: its runtime node@25.0.0 is not locked"},
		{`toolchain = "go@1.26.7"`, `toolchain = "go@1.26.8"`, "gen 1.0.0: its toolchain go@1.26.8 is not locked"},
		{sum, sum[1:], "is not 64 lower-case hexadecimal digits"},
		{sum, strings.ToUpper(sum), "is not 64 lower-case hexadecimal digits"},
		{sum, strings.Repeat("0", 64), "is not 64 lower-case hexadecimal digits"},
		{"size = 7", "size = 0", "x 1.10.0: size of `node_modules/x` is not a number of bytes"},
		{"size = 3", `size = "3"`, "node 24.0.0: size of `node.whl` is not a number of bytes"},
		{`binary = "bin/node"`, `binary = "../node"`, "node 24.0.0: platform linux-x86_64 has a malformed tree or binary"},
		{`binary = "bin/prost"`, `binary = "../prost"`, "prost 0.2.3: platform linux-x86_64 must have exactly one of"},
		{`binary = "bin/prost"`, `binary = "bin/prost", tree = "x"`, "prost 0.2.3: platform linux-x86_64 has a malformed tree"},
		{`source = "cargo"`, `source = "pip"`, "prost 0.2.3: platform linux-x86_64 must have exactly one of"},
		{`"stubs.main:run"`, `"stubs.main:run; rm"`, "stubs 1.0.0: python, program, entry or generator is malformed"},
		{`"protoc-gen-pyi_stubs"`, `"$(rm)"`, "stubs 1.0.0: python, program, entry or generator is malformed"},
		{`"3.9", `, `"3.9'", `, "stubs 1.0.0: python, program, entry or generator is malformed"},
		{`program = "protoc-gen-pyi_stubs"`, ``, "stubs 1.0.0: python, program, entry or generator is malformed"},
		{`emulate = "windows-x86_64"`, `emulate = "macos-aarch64"`, "x 1.9.0: platform windows-aarch64 emulates macos-aarch64, which is not locked"},
		{`source = "pip"`, `source = "pop"`, "source \"pop\" is not one of"},
		{"size = 6", `size = 0`, "protos/base 1.0.0: size of `base.whl` is not a number of bytes"},
		{"platforms.any", "platforms.linux-x86_64", "protos/acme 3.0.0: it must have only the platform any, with a tree"},
		{`deps = ["base"]`, `deps = ["bass"]`, "protos/acme 3.0.0: proto package bass of its deps is not locked"},
		{`"acme.proto"`, `"../acme.proto"`, "protos/acme 3.0.0: folder \"acme/v1\" is malformed"},
		{`"acme.proto"`, ``, "protos/acme 3.0.0: folder \"acme/v1\" is malformed"},
		{`"acme/v1" =`, `"/acme" =`, "protos/acme 3.0.0: folder \"/acme\" is malformed"},
		{`folders = { "acme/v1" = { files = ["acme.proto"], imports = ["base"] } }`, ``, "protos/acme 3.0.0: `folders` is missing"},
		{`unavailable = "no build for it"`, ``, "x 1.9.0: platform macos-aarch64 must have exactly one of tree, emulate and unavailable"},
	} {
		text := strings.Replace(sample, c.old, c.new, -1)
		if text == sample {
			t.Fatalf("%q is not in the sample", c.old)
		}
		_, err := call(t, bzl["plugins_of"], parse(t, text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.new, err, c.want)
		}
	}
}

// TestLockWords: the words of a lock are those of internal/lock, and an unknown
// one is refused where a lock by URL has it.
func TestLockWords(t *testing.T) {
	bzl := load(t, "lock.bzl", nil)
	for name, want := range map[string][]string{"SOURCES": slices.Sorted(slices.Values(lock.KindNames())), "ARCHIVES": lock.Archives, "PLATFORMS": lock.PlatformNames()} {
		var got []string
		for v := range bzl[name].(*starlark.List).Elements() {
			s, _ := starlark.AsString(v)
			got = append(got, s)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is %v, internal/lock has %v", name, got, want)
		}
	}
	text := "schema = 1\n[plugins.a.\"1\"]\nsource = \"http\"\nfiles.a = { url = \"https://example.com/a\", archive = %q, sha256 = %q, size = 1 }\nplatforms.linux-x86_64 = { binary = \"a\", tree = %q }\n"
	for _, archive := range append([]string{"rar", "raw", "", "tgz"}, lock.Archives...) {
		_, err := call(t, bzl["plugins_of"], parse(t, fmt.Sprintf(text, archive, sum, sum)))
		if known := slices.Contains(lock.Archives, archive); known != (err == nil) {
			t.Errorf("archive %q: %v", archive, err)
		}
	}
}

// The order of versions is that of internal/lock.
func TestVersionOrder(t *testing.T) {
	bzl := load(t, "lock.bzl", nil)
	versions := []string{
		"1.2.3", "1.10.0", "1.9.0", "30.2", "30", "30.10", "3.20.0-rc.1", "3.20.0-rc.2", "3.20.0-rc.10", "3.20.0-alpha",
		"3.20.0-alpha.beta", "3.20.0", "3.20.0+build.1", "1.2.3.4", "01.2.3", "1.2-rc", "1.2.3-01", "2026a", "0.0.0", "1.2.3-", "1.0.0-a_b",
		"1.2+x", "1.2.3+", "1.2.3-a-b", "1.2.3--", "10.0.0",
	}
	want := slices.SortedFunc(slices.Values(versions), lock.CompareVersions)
	for range 20 {
		rand.Shuffle(len(versions), func(i, j int) { versions[i], versions[j] = versions[j], versions[i] })
		list := make([]starlark.Value, len(versions))
		for i, v := range versions {
			list[i] = starlark.String(v)
		}
		got, err := starlark.Call(&starlark.Thread{}, starlark.Universe["sorted"], starlark.Tuple{starlark.NewList(list)},
			[]starlark.Tuple{{starlark.String("key"), bzl["version_key"]}})
		if err != nil {
			t.Fatal(err)
		}
		if !sameList(got, want) {
			t.Fatalf("sorted\n got %v\nwant %q", got, want)
		}
	}
}

func sameList(v starlark.Value, want []string) bool {
	list, ok := v.(*starlark.List)
	if !ok || list.Len() != len(want) {
		return false
	}
	for i, w := range want {
		if s, _ := starlark.AsString(list.Index(i)); s != w {
			return false
		}
	}
	return true
}

func TestDirectURL(t *testing.T) {
	bzl := load(t, "lock.bzl", nil)
	for url, direct := range map[string]bool{
		"https://example.com/a.zip":         true,
		"https://example.com:8443/a.zip":    true,
		"http://127.0.0.1:8080/a":           true,
		"http://localhost/a":                true,
		"http://[::1]:80/a":                 true,
		"http://example.com/a":              false,
		"https://user:word@example.com/a":   false,
		"http://127.0.0.1@example.com/a":    false,
		"http://127.0.0.1.example.com/a":    false,
		"oci://example.com/a":               false,
		"https:///a":                        false,
		"":                                  false,
		"https://example.com/@scope/a.tgz":  true,
		"http://localhost.example.com:80/a": false,
	} {
		file := starlark.NewDict(1)
		if err := file.SetKey(starlark.String("url"), starlark.String(url)); err != nil {
			t.Fatal(err)
		}
		got, err := call(t, bzl["direct_url"], file)
		if err != nil {
			t.Fatal(err)
		}
		want := starlark.Value(starlark.None)
		if direct {
			want = starlark.String(url)
		}
		if got != want {
			t.Errorf("direct_url(%q) = %v, want %v", url, got, want)
		}
	}
}

// The table of platforms says what internal/lock says.
func TestPlatforms(t *testing.T) {
	bzl := load(t, "platforms.bzl", starlark.StringDict{
		"select": starlark.NewBuiltin("select", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			return args[0], nil
		}),
		"host_info": starlark.None, // not called here
	})
	table := bzl["PLATFORMS"].(*starlark.Dict)
	if table.Len() != len(lock.Platforms) {
		t.Errorf("%d platforms, internal/lock has %d", table.Len(), len(lock.Platforms))
	}
	selected, err := call(t, bzl["platform_select"])
	if err != nil {
		t.Fatal(err)
	}
	cpus := map[string]string{"aarch64": "arm64", "x86_64": "x86_64"} // Buck2's names
	for _, p := range lock.Platforms {
		names, found, _ := table.Get(starlark.String(p.Name))
		want := starlark.Tuple{starlark.String(p.OS), starlark.String(cpus[p.Arch])}
		if !found || names.String() != want.String() {
			t.Errorf("PLATFORMS[%q] = %v, want %v", p.Name, names, want)
			continue
		}
		branch, _, err := selected.(*starlark.Dict).Get(starlark.String("prelude//os:" + p.OS))
		if err != nil || branch == nil {
			t.Fatalf("no branch for %s", p.OS)
		}
		if got, _, _ := branch.(*starlark.Dict).Get(starlark.String("prelude//cpu:" + cpus[p.Arch])); got != starlark.String(p.Name) {
			t.Errorf("%s selects %v", p.Name, got)
		}
	}
}

// Every Starlark file is as buildifier formats it, and holds no tab.
func TestFormat(t *testing.T) {
	files := starlarkFiles(t)
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), "\t") {
			t.Errorf("%s holds a tab, which Buck2 refuses", name)
		}
	}
	// A BUCK file needs no docstring, a lock's macro has no name, records and types are
	// named as in Buck2's prelude, and its rules are native.
	args := append([]string{"run", buildifier, "-mode=check", "-lint=warn", "-warnings=-module-docstring,-name-conventions,-native-java-library,-unnamed-macro"}, files...)
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Errorf("buildifier: %v\n%s", err, out)
	}
}

// starlarkFiles returns the paths of all .bzl and BUCK files.
func starlarkFiles(t *testing.T) []string {
	t.Helper()
	root := bucktest.Root(t)
	var files []string
	err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case d.Name() == "PACKAGE" || d.Name() == "BUCK_TREE":
			t.Errorf("%s: what it sets would be set in the repositories of consumers", name)
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "buck-out" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case !d.IsDir() && (d.Name() == "BUCK" || filepath.Ext(name) == ".bzl"):
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Fatalf("only %d Starlark files found", len(files))
	}
	return files
}

// TestLockOfEverySource reads the lock that package lock prints in its tests.
func TestLockOfEverySource(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "internal", "lock", "testdata", "canonical.toml"))
	if err != nil {
		t.Fatal(err)
	}
	bzl := load(t, "lock.bzl", nil)
	plugins, err := call(t, bzl["plugins_of"], parse(t, string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"protoc-gen-up": `"up"`, "go": "None"} {
		versions, found, err := plugins.(*starlark.Dict).Get(starlark.String(name))
		if err != nil || !found {
			t.Fatalf("no %s in the lock", name)
		}
		for _, item := range versions.(*starlark.Dict).Items() {
			if got, err := call(t, bzl["option_name"], item[1]); err != nil || got.String() != want {
				t.Errorf("option_name of %s = %v, %v, want %s", name, got, err, want)
			}
		}
	}
}
