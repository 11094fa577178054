package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

func TestEnv(t *testing.T) {
	w := newWorld(t)
	plugins, err := os.ReadFile(filepath.Join(w.dir, manifest.FileName))
	if err != nil {
		t.Fatal(err)
	}
	plugins = []byte(strings.Replace(string(plugins), "[plugins]\n", "[plugins]\nbare = \"3.0.0\"\npacked = \"3.1.0\"\n", 1) + "\n[bundles]\nboth = [\"packed\", \"bare\"]\n")
	if err := os.WriteFile(filepath.Join(w.dir, manifest.FileName), plugins, 0o644); err != nil {
		t.Fatal(err)
	}
	// The line works in the shell, and what it finds works.
	try := func(line, command, want string) {
		t.Helper()
		out, err := exec.Command("/bin/sh", "-c", line+"\n"+command).CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("%s\nprinted %q, want %q: %v", line, out, want, err)
		}
	}
	try(w.must("env", "bare", "script"), "bare; main x; command -v ls >/dev/null", "bare\nscript x\n")
	try(w.must("env", "--bundle", "both", "--shell", "bash"), "bare; packed", "bare\npacked\n")
	try(w.must("env"), "bare; packed; main y; command -v tool shell >/dev/null", "bare\npacked\nscript y\n")
	tool := w.must("get", "tool")
	if line, want := w.must("env", "tool", "tool", "--shell", "fish"), "set -gx PATH '"+filepath.Dir(tool)+"' $PATH"; line != want {
		t.Errorf("got %s, want %s", line, want)
	}
	w.env["SHELL"] = "/usr/bin/fish"
	if line, want := w.must("env", "tool"), "set -gx PATH '"+filepath.Dir(tool)+"' $PATH"; line != want {
		t.Errorf("got %s, want %s", line, want)
	}
	var doc struct {
		Shell, Line string
		Folders     []string
		Programs    []install.Program
	}
	if err := json.Unmarshal([]byte(w.must("env", "packed", "tool", "--shell", "sh", "--json")), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Shell != "sh" || len(doc.Folders) != 2 || doc.Folders[1] != filepath.Dir(tool) || len(doc.Programs) != 2 || doc.Programs[0].Plugin != "packed" ||
		doc.Line != "export PATH='"+strings.Join(doc.Folders, ":")+`'":$PATH"` {
		t.Errorf("%+v", doc)
	}
	w.fails(2, []string{`plugins.toml has no bundle "bth"`, "did you mean both?"}, "env", "--bundle", "bth")
	w.fails(2, []string{`shell "tcsh" is not known`, "shells are sh, fish, powershell, cmd"}, "env", "tool", "--shell", "tcsh")
	w.fails(2, []string{`plugin "tol" is not locked`}, "env", "tol")
	w.fails(2, []string{"env takes plugins or a bundle"}, "env", "tool", "--bundle", "both")

	v := *w.lock.Plugins["bare"]["3.0.0"]
	w.lock.Plugins["bare2"] = map[string]*lock.Version{"1.0.0": &v}
	w.write()
	w.fails(2, []string{"no plugin is locked for windows-x86_64"}, "env", "--platform", "windows-x86_64")
	// Of all, neither; that is said, and nothing of them is brought.
	status, line, said := w.fetch("env", "--shell", "sh", "--cache-dir", filepath.Join(t.TempDir(), "other"))
	if status != 0 || !strings.Contains(said, "without bare and bare2: each has an executable called bare; name the plugins that you want") || strings.Contains(said, "fetch: bare") {
		t.Errorf("status %d\n%s", status, said)
	}
	try(strings.TrimSpace(line), "packed; main y; command -v bare || echo no", "packed\nscript y\nno\n")
	w.fails(2, []string{"bare 3.0.0 and bare2 1.0.0 both have an executable called bare"}, "env", "bare", "bare2")
}

func TestPathLine(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped: the folders of this test are those of Unix")
	}
	odd := []string{"/a b/$x", `/it's/\n`}
	for _, tt := range []struct{ shell, want string }{
		{"sh", `export PATH='/a b/$x:/it'\''s/\n'":$PATH"`},
		{"fish", `set -gx PATH '/a b/$x' '/it\'s/\\n' $PATH`},
		{"powershell", `$env:PATH = '/a b/$x:/it''s/\n:' + $env:PATH`},
		{"cmd", `set "PATH=/a b/$x:/it's/\n:%PATH%"`},
	} {
		line, err := pathLine(tt.shell, odd)
		if err != nil || line != tt.want {
			t.Errorf("%s: got %s, want %s, %v", tt.shell, line, tt.want, err)
		}
	}
	out, err := exec.Command("/bin/sh", "-c", `export PATH='/a b/$x:/it'\''s/\n'":$PATH"; printf %s "$PATH"`).Output()
	if err != nil || !strings.HasPrefix(string(out), strings.Join(odd, ":")+":") {
		t.Errorf("%s, %v", out, err)
	}
	for _, bad := range []struct{ shell, dir string }{{"sh", "/a:b"}, {"fish", "/a\nb"}, {"cmd", "/100%"}, {"cmd", `/"`}} {
		if _, err := pathLine(bad.shell, []string{bad.dir}); fault.Of(err) != fault.Machine {
			t.Errorf("%s %q: %v", bad.shell, bad.dir, err)
		}
	}
}
