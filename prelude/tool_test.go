package prelude_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// releasedFetch returns the lock's tables of fetch, as [tool] makes them.
func releasedFetch(version, url string, data []byte) string {
	return strings.NewReplacer(`"protoc-gen-fetch" =`, `"fetch-`+version+`" =`, `"protoc-gen-fetch"`, `"fetch"`).
		Replace(httpPlugin("fetch", version, url, data, ""))
}

// TestReleasedFetch: where the lock has fetch, Buck2 downloads it and needs no Go;
// where it has not, Buck2 builds it, which without Go fails.
func TestReleasedFetch(t *testing.T) {
	bucktest.Need(t)
	needs(t, "go")
	file := filepath.Join(t.TempDir(), "fetch")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", file, "./fetch")
	build.Dir = bucktest.Root(t)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	plugin := shellPlugin(t, "echo.ts", "// echo\n")
	packed := fake.Tarball("", map[string]string{"bin/protoc-gen-packed": string(plugin)}, "bin/protoc-gen-packed")
	server := serve(t, map[string][]byte{"/v1/fetch": program, "/mirror/fetch": program, "/packed.tar.gz": packed})
	head := "schema = 1\n" + packedPlugin("packed", server.URL+"/packed.tar.gz", "tar.gz", packed, plugin)
	buck := func(name, more string) string {
		return `
load("@buck2-protobuf//rules:proto.bzl", "protobuf_plugins")
load("@root//` + name + `:plugins.lock.toml", lock = "value")

protobuf_plugins(lock = lock` + more + `)
`
	}
	mirrors := `, mirrors = [{"from": "*", "to": "oci-layout:x"}, {"from": "` + server.URL + `/v1/", "to": "` + server.URL + `/mirror/"}]`
	p := scratch(t, "", map[string]string{
		".buckconfig":                scratchConfig + "[buck2_protobuf]\ncache_dir = " + t.TempDir() + "\n",
		"prebuilt/BUCK":              buck("prebuilt", ""),
		"prebuilt/plugins.lock.toml": head + releasedFetch("0.1.0", server.URL+"/v1/fetch", program),
		"mirrored/BUCK":              buck("mirrored", mirrors),
		"mirrored/plugins.lock.toml": head + releasedFetch("0.1.0", server.URL+"/v1/fetch", program),
		"lie/BUCK":                   buck("lie", ""),
		"lie/plugins.lock.toml":      head + releasedFetch("0.1.0", server.URL+"/v1/fetch", append(slices.Clone(program), 0)),
		"source/BUCK":                buck("source", ""),
		"source/plugins.lock.toml":   head,
	})
	t.Setenv("PATH", t.TempDir()) // nothing at all
	if _, err := exec.LookPath("go"); err == nil {
		t.Fatal("there is a Go")
	}
	p.Must("audit", "providers", "--quiet", "//prebuilt:", "//mirrored:", "//lie:")
	if got := server.take(); len(got) > 0 {
		t.Errorf("analysis asked for %q", got)
	}
	tree := p.Build("//prebuilt:packed[1.0.0]")[0]
	expectFile(t, filepath.Join(tree, "bin", "protoc-gen-packed"), string(plugin))
	if got := server.take(); !slices.Contains(got, "GET /v1/fetch") {
		t.Errorf("requests: %q", got)
	}
	if said := p.Must("run", "//prebuilt:fetch", "--", "version"); !strings.HasPrefix(said, "fetch ") {
		t.Errorf("fetch version: %s", said)
	}
	p.Build("//mirrored:fetch")
	if got := server.take(); !slices.Contains(got, "GET /mirror/fetch") || slices.Contains(got, "GET /v1/fetch") {
		t.Errorf("with a mirror: requests %q", got)
	}
	expect(t, p.Fails("build", "//lie:packed[1.0.0]"), "/v1/fetch", "sha256")
	expect(t, p.Fails("build", "//source:packed[1.0.0]"), "go_build", "go")
	if deps := p.Must("cquery", "deps(//prebuilt:packed)"); strings.Contains(deps, "pb//:fetch ") {
		t.Errorf("the source is a dependency all the same:\n%s", deps)
	}
}

// TestPrebuiltFetch: what of a lock Buck2 downloads.
func TestPrebuiltFetch(t *testing.T) {
	t.Parallel()
	prebuilt := load(t, "lock.bzl", nil)["prebuilt_fetch"]
	table := func(source, file, cells string) starlark.Value {
		return parse(t, `["0.9.0"]
source = "http"
files = { "old" = { url = "https://example.com/old", sha256 = "`+sum+`", size = 1 } }
platforms.linux-x86_64 = { binary = "fetch", tree = "`+sum+`" }
["0.10.0"]
source = "`+source+`"
[ "0.10.0".files]
`+file+`
["0.10.0".platforms]
`+cells)
	}
	file := func(more string) string {
		return `"fetch-l" = { url = "https://example.com/r/fetch-l", sha256 = "` + sum + `", size = 7, platforms = ["linux-x86_64", "windows-x86_64"]` + more + ` }`
	}
	cell := `{ binary = "fetch", tree = "` + sum + `" }`
	cells := "linux-x86_64 = " + cell + "\nwindows-x86_64 = " + cell + "\nwindows-aarch64 = { emulate = \"windows-x86_64\" }\nmacos-aarch64 = { unavailable = \"not listed\" }\n"
	mirrors := value(t, []any{map[string]any{"from": "https://example.com/r/", "to": "oci://x/"}, map[string]any{"from": "https://example.com/r/", "to": "http://m/x/"}, map[string]any{"from": "https://example.com/", "to": "https://late/"}})
	none := starlark.NewList(nil)
	good := `{"out": "fetch", "sha256": "` + sum + `", "size": 7, "url": "https://example.com/r/fetch-l"}`
	for _, tt := range []struct {
		name     string
		versions starlark.Value
		platform starlark.Value
		mirrors  starlark.Value
		want     string
	}{
		{"the newest", table("http", file(""), cells), starlark.String("linux-x86_64"), none, good},
		{"a mirror", table("http", file(""), cells), starlark.String("linux-x86_64"), mirrors, strings.Replace(good, "https://example.com/r/", "http://m/x/", 1)},
		{"emulated", table("http", file(""), cells), starlark.String("windows-aarch64"), none, strings.Replace(good, `"fetch"`, `"fetch.exe"`, 1)},
		{"unavailable", table("http", file(""), cells), starlark.String("macos-aarch64"), none, "None"},
		{"another platform", table("http", file(""), cells), starlark.String("linux-aarch64"), none, "None"},
		{"no platform", table("http", file(""), cells), starlark.None, none, "None"},
		{"not locked", starlark.None, starlark.String("linux-x86_64"), none, "None"},
		{"an archive", table("http", file(`, archive = "gz"`), cells), starlark.String("linux-x86_64"), none, "fail: plugins.lock.toml: fetch 0.10.0 is not one executable at a public URL"},
		{"of a registry", table("oci", file(""), cells), starlark.String("linux-x86_64"), none, "fail: "},
		{"clear text", table("http", strings.Replace(file(""), "https:", "http:", 1), cells), starlark.String("linux-x86_64"), none, "fail: "},
	} {
		got, err := call(t, prebuilt, tt.versions, tt.platform, tt.mirrors)
		text := ""
		if err != nil {
			text = err.Error()
		} else {
			text = got.String()
		}
		if !strings.HasPrefix(text, tt.want) {
			t.Errorf("%s: %s, want %s", tt.name, text, tt.want)
		}
	}
	if len(lock.Platforms) != 6 {
		t.Error("another platform: is a fetch built for it?")
	}
}
