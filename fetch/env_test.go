package main

import (
	"crypto/sha256"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

func TestEnv(t *testing.T) {
	t.Parallel()
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
	w.fails(2, []string{`unknown shell "tcsh"`, "shells are sh, fish, powershell, cmd"}, "env", "tool", "--shell", "tcsh")
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

// TestEnvProtos: the folders of proto packages are in PROTO_PATH, of all or of those
// that are named, as here or in a buf.yaml, with what they import.
func TestEnvProtos(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fails(2, []string{"no proto package is locked", "lockgen add protos/googleapis"}, "env", "protos/acme")
	v, _, tree := w.protos()
	googleapis := *v
	googleapis.Folders = map[string]lock.Folder{"google/api": {Files: []string{"x.proto"}, Imports: []string{"acme"}}}
	googleapis.Deps = []string{"acme"}
	body := fake.Zip(map[string]string{"google/api/x.proto": acmeProto})
	googleapis.Files = map[string]lock.File{"googleapis.zip": {URL: w.registry.File("/files/googleapis.zip", body), Archive: "zip", SHA256: sum256(body), Size: int64(len(body))}}
	other, err := archive.TreeHash([]archive.File{{Path: "google/api/x.proto", SHA256: sha256.Sum256([]byte(acmeProto)), Size: int64(len(acmeProto))}})
	if err != nil {
		t.Fatal(err)
	}
	googleapis.Platforms = lock.EveryPlatform(lock.Cell{Tree: other})
	w.lock.Plugins["protos/googleapis"] = map[string]*lock.Version{"1.76.0": &googleapis}
	w.write()

	both := filepath.Join(w.cache, "trees", tree) + ":" + filepath.Join(w.cache, "trees", other)
	include := ":" + filepath.Join(filepath.Dir(filepath.Dir(w.must("get", "tool"))), "include") // as protoc has one
	for _, tt := range []struct {
		args []string
		want string // of PROTO_PATH
		path bool   // whether PATH is set
	}{
		{nil, both + include, true},
		{[]string{"tool"}, "", true},
		{[]string{"tool", "protos/googleapis"}, both + include, true},
		{[]string{"protos/acme@1.0.0"}, filepath.Join(w.cache, "trees", tree), false},
		{[]string{"buf.build/googleapis/googleapis", "buf.build/protocolbuffers/wellknowntypes"}, both, false},
		{[]string{"buf.build/googleapis/googleapis:main"}, both, false},
	} {
		line := w.must(append([]string{"env", "--shell", "sh"}, tt.args...)...)
		out, err := exec.Command("/bin/sh", "-c", "PATH=/none; PROTO_PATH=; "+line+"\n"+`echo "$PROTO_PATH"; test "$PATH" = /none || echo set`).Output()
		want := tt.want + "\n"
		if tt.path {
			want += "set\n"
		}
		if err != nil || string(out) != want || strings.Contains(line, "\n") {
			t.Errorf("%q: %s\nsets %q, want %q: %v", tt.args, line, out, want, err)
		}
	}
	for _, dir := range strings.Split(both, ":") {
		if !isTree(t, dir, filepath.Base(dir)) {
			t.Errorf("%s is not what is locked", dir)
		}
	}
	var doc struct {
		ProtoPath []string
		Packages  []protoPackage
	}
	if err := json.Unmarshal([]byte(w.must("env", "tool", "protos/googleapis", "--json")), &doc); err != nil {
		t.Fatal(err)
	}
	if strings.Join(doc.ProtoPath, ":") != both+include || len(doc.Packages) != 2 || doc.Packages[1] != (protoPackage{"googleapis", "1.76.0", doc.ProtoPath[1]}) {
		t.Errorf("%+v", doc)
	}
	w.fails(2, []string{`proto package "acm" is not locked`, "did you mean acme?"}, "env", "protos/acm")
	w.fails(2, []string{"protos/acme 2.0.0 is not locked; the lock has 1.0.0"}, "env", "protos/acme@2.0.0")
	w.fails(2, []string{`proto package "protovalidate" is not locked`, "run: lockgen add protos/protovalidate"}, "env", "buf.build/bufbuild/protovalidate")
	w.fails(2, []string{"no proto package is known that has the files of buf.build/acme/api", "[protos] of plugins.toml"}, "env", "buf.build/acme/api")
	w.fails(2, []string{"no proto package is known that has the files of bsr.example.com/acme/api"}, "protos", "bsr.example.com/acme/api")
	w.must("protos", "buf.build/googleapis/googleapis", "--out", filepath.Join(w.dir, "protos"))
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
	for shell, want := range map[string]string{
		"sh":         `export PATH='/p'":$PATH"; export PROTO_PATH='/a b/$x:/it'\''s/\n'`,
		"fish":       `set -gx PATH '/p' $PATH; set -gx PROTO_PATH '/a b/$x' '/it\'s/\\n'`,
		"powershell": `$env:PATH = '/p:' + $env:PATH; $env:PROTO_PATH = '/a b/$x:/it''s/\n'`,
		"cmd":        `set "PATH=/p:%PATH%" & set "PROTO_PATH=/a b/$x:/it's/\n"`,
	} {
		if line, err := envLine(shell, []string{"/p"}, odd); err != nil || line != want {
			t.Errorf("%s: got %s, want %s, %v", shell, line, want, err)
		}
	}
	if got := importFolders([]*protoPackage{{Path: "/a"}}, []*install.Program{{}, {Include: "/include"}}); strings.Join(got, " ") != "/a /include" {
		t.Errorf("import folders: %q", got)
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
