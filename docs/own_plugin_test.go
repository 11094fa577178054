package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// withPrograms is a repository and a server with protoc, which is a program of this
// machine that ends well, and with the plugin of examples/own-plugin.
func withPrograms(t *testing.T) *world {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("skipped: the plugin of the page is one for Linux")
	}
	w := newRepository(t, nil)
	protoc, err := os.ReadFile(testenv.Program(t, "true"))
	if err != nil {
		t.Fatal(err)
	}
	plugin, err := os.ReadFile("../examples/own-plugin/acme-words")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"35.1", "36.2"} {
		w.server.File("/protoc-"+version, append(protoc, version...))
	}
	for _, arch := range []string{"x86_64", "aarch64"} {
		w.server.File("/words-1.0.0-linux-"+arch, plugin)
	}
	return w
}

// protocEntry is [plugins.protoc] from the server of w.
func (w *world) protocEntry() string {
	return fmt.Sprintf("[plugins.protoc]\nversion = \"35.1\"\nsource = %q\nbinary = \"protoc\"\n", w.server.URL+"/protoc-{version}")
}

// TestUpgradingProtoc runs the commands of upgrading-protoc.md.
func TestUpgradingProtoc(t *testing.T) {
	t.Parallel()
	w := withPrograms(t)
	host, _ := lock.Host()
	w.write(manifest.FileName, fmt.Sprintf("platforms = [%q]\n\n%s", host.Name, w.protocEntry()))
	if out := w.run("git init -q && lockgen update -q && git add . && git -c user.name=a -c user.email=a@example.com commit -q -m before"); out != "" {
		t.Fatal(out)
	}
	w.showPage("upgrading-protoc.md", 6)
}

// TestOwnPlugin runs the commands of own-plugin.md with its plugins.toml, whose
// server is this machine, and compares what it shows with examples/own-plugin.
func TestOwnPlugin(t *testing.T) {
	t.Parallel()
	const page = "own-plugin.md"
	w := withPrograms(t)
	blocks := examples(t, page)
	if len(blocks) != 2 {
		t.Fatalf("the page shows %d settings", len(blocks))
	}
	for name, text := range map[string]string{"plugins.toml": blocks[0][strings.Index(blocks[0], "source = "):], "BUCK": excerpt.FindStringSubmatch(readFile(t, page))[2]} {
		if !strings.Contains(readFile(t, filepath.Join("../examples/own-plugin", name)), text) {
			t.Errorf("examples/own-plugin/%s has not\n%s", name, text)
		}
	}
	if _, err := manifest.Parse(manifest.FileName, []byte("platforms = [\"linux-x86_64\"]\n"+blocks[1])); err != nil {
		t.Error(err)
	}
	text := strings.NewReplacer("https://files.example.com", w.server.URL, "[plugins]\nprotoc = \"36.2\"\n\n", "").Replace(blocks[0])
	w.write(manifest.FileName, text)
	w.showPage(page, 2)

	// The command without Buck2, with a protoc that runs what it is told to.
	_, command, _ := strings.Cut(readFile(t, page), "```sh\n")
	command, _, _ = strings.Cut(command, "\n")
	if err := os.WriteFile(filepath.Join(w.bin, "protoc"), []byte("#!/bin/sh\n[ \"$2 $3\" = '--words_out=gen api.proto' ] && [ -x \"${1#--plugin=protoc-gen-words=}\" ]\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.must(command)
}

// readFile is the text of a file.
func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
