package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/build"
	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
)

// TestSchemaURL: a release names its own schema, what was built otherwise that of
// the main branch. The path is that of the file.
func TestSchemaURL(t *testing.T) {
	t.Parallel()
	const file = "schemas/plugins.schema.json"
	for version, at := range map[string]string{
		"v0.1.0": "v0.1.0", "v1.2.3-rc.1": "v1.2.3-rc.1", "devel": "main", "": "main",
		"v0.0.0-20260102030405-0123456789ab": "main", "v0.1.1-0.20260102030405-0123456789ab+dirty": "main", "v0.1.0+dirty": "main",
	} {
		if got, want := edit.SchemaURL(version), build.Home+"/raw/"+at+"/"+file; got != want {
			t.Errorf("%s: %s, want %s", version, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(file))); err != nil {
		t.Error(err)
	}
}

// TestSchemaLine: what init and add make begins with the schema, and in the full
// suite taplo finds the file valid by it, and an edit that is wrong invalid.
func TestSchemaLine(t *testing.T) {
	t.Parallel()
	line := "#:schema " + edit.SchemaURL(cli.Built().Version) + "\n"
	p := newPlace(t)
	p.ok("init", "--no-buck2")
	made := p.read("plugins.toml")
	if !strings.HasPrefix(made, line) {
		t.Errorf("init made\n%s", made)
	}
	if edit.Head(edit.Platforms)[:len(line)] != line {
		t.Errorf("add makes\n%s", edit.Head(edit.Platforms))
	}
	testenv.OnlyFull(t, "taplo is of another ecosystem")
	taplo := testenv.Program(t, "taplo")
	schema, err := filepath.Abs("../schemas/plugins.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	local := "#:schema file://" + filepath.ToSlash(schema) + "\n"
	check := func(text string) (string, error) {
		file := filepath.Join(t.TempDir(), "plugins.toml")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(taplo, "check", file).CombinedOutput()
		return string(out), err
	}
	texts := map[string]string{"init": made}
	for _, name := range []string{"../plugins.toml", "../examples/own-plugin/plugins.toml", "../examples/gateway/plugins.toml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(data)
	}
	for name, text := range texts {
		_, text, _ = strings.Cut(text, "\n")
		if out, err := check(local + text); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		for _, wrong := range []string{"[plugin]\n", "[tool]\nfetch = 1\n", "[policy]\nmin-trust = \"none\"\n"} {
			if out, err := check(local + text + "\n" + wrong); err == nil || !strings.Contains(out, "error") {
				t.Errorf("%s with %q: %v\n%s", name, wrong, err, fmt.Sprint(out))
			}
		}
	}
}
