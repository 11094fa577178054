package examples_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// examples/own-plugin, with a file server and a registry on this machine in
// place of the ones that it names.
func TestOwnPlugin(t *testing.T) {
	testenv.Real(t, "needs protoc from its registry")
	if runtime.GOOS != "linux" {
		t.Skip("the example's plugin is locked for Linux")
	}
	bucktest.Need(t)
	root := bucktest.Root(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples", "own-plugin"))); err != nil {
		t.Fatal(err)
	}
	plugin := []byte(read(t, filepath.Join(dir, "acme-words")))
	server := fake.New(t)
	oci := fake.NewOCI(t, "")
	oci.Repo = "acme/words"
	var index []fake.Desc
	for arch, goarch := range map[string]string{"aarch64": "arm64", "x86_64": "amd64"} {
		server.File("/words-1.0.0-linux-"+arch, plugin)
		layer := oci.Blob("application/octet-stream", "acme-words", plugin)
		index = append(index, oci.Manifest("", layer).For("linux", goarch))
	}
	oci.Index("1.0.0", index...)
	manifest := read(t, filepath.Join(dir, "plugins.toml"))
	for from, to := range map[string]string{"https://files.example.com": server.URL, "registry.example.com": oci.Host} {
		if strings.Count(manifest, from) != 1 {
			t.Fatalf("the example does not name %s once", from)
		}
		manifest = strings.ReplaceAll(manifest, from, to)
	}
	bucktest.CopyRepo(t, filepath.Join(dir, "buck2-protobuf"))
	config := read(t, filepath.Join(root, "examples", "consumer", ".buckconfig"))
	bucktest.Write(t, dir, map[string]string{
		".buckconfig":  replaceOnce(t, config, `(?m)^  buck2-protobuf = git\n`, ""),
		".buckroot":    "",
		"plugins.toml": manifest,
	})
	command(t, root, "go", "build", "-o", filepath.Join(dir, "lockgen"), "./lockgen")
	command(t, dir, filepath.Join(dir, "lockgen"), "update")

	p := bucktest.Open(t, dir, "v2")
	for _, target := range []string{"//:api_words[words.txt]", "//:api_words_oci[words.txt]"} {
		if got, want := read(t, p.Build(target)[0]), "hello words\n"; got != want {
			t.Errorf("%s holds %q, want %q", target, got, want)
		}
	}
}
