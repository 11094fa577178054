package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
)

const bufGen = `version: v2
managed:
  enabled: true
plugins:
  - remote: buf.build/protocolbuffers/python:v29.3
    out: gen
  - remote: buf.build/community/stephenh-ts-proto:v2.7.2
    out: web
    opt: esModuleInterop=true
  - remote: buf.build/grpc/go
    out: gen
  - remote: buf.build/connectrpc/dart
    out: dart
`

// TestInitFromBuf: a buf.gen.yaml becomes plugins.toml, lines of a BUCK file and a
// list of what has no equivalent; the next command is one that locks it.
func TestInitFromBuf(t *testing.T) {
	t.Parallel()
	p := tree(t, map[string]string{"proto/buf.gen.yaml": bufGen})
	_, talk := p.ok("init", "--from", p.path("proto"))
	says(t, talk, "wrote "+p.path("plugins.toml"), "in a BUCK file", `options = {"esModuleInterop": True},`, "without an equivalent",
		"buf.gen.yaml:2: managed", "buf.gen.yaml:12: buf.build/connectrpc/dart: connectrpc/dart cannot be locked",
		"next: lockgen add protoc@29.3 ts-proto@2.7.2 protoc-gen-go-grpc\n")
	if _, got, _ := strings.Cut(p.read("plugins.toml"), "[plugins]\n"); got != "protoc = \"29.3\"\nts-proto = \"2.7.2\"\n" {
		t.Errorf("plugins.toml ends in\n%s", got)
	}
	// Again there is nothing to write, and the same to say.
	if _, again := p.ok("init", "--from", p.path("proto/buf.gen.yaml")); !strings.Contains(again, "next: lockgen add protoc@29.3 ts-proto@2.7.2 protoc-gen-go-grpc\n") {
		t.Errorf("%s", again)
	}

	// What a plugins.toml asks for stays.
	p.write("plugins.toml", "platforms = [\"linux-x86_64\"]\n\n[plugins]\nprotoc = \"30.2\" # ours\n")
	p.fails(fault.Usage, []string{"need confirmation", "lockgen init --yes --from " + p.path("proto")}, "init", "--from", p.path("proto"))
	stdout, talk := p.ok("init", "--json", "--yes", "--from", p.path("proto"))
	var said struct {
		Wanted []string
		Lacks  []struct{ At, What, Why string }
		Buck   string
		Notes  []string
	}
	if err := json.Unmarshal([]byte(stdout), &said); err != nil {
		t.Fatal(err)
	}
	if strings.Join(said.Wanted, " ") != "ts-proto@2.7.2 protoc-gen-go-grpc" || len(said.Lacks) != 2 || !strings.Contains(said.Buck, "python_proto_library(") {
		t.Errorf("%+v", said)
	}
	if len(said.Notes) != 1 || !strings.Contains(said.Notes[0], "plugins.toml:4: it asks for protoc 30.2, and ") || !strings.Contains(talk, said.Notes[0]) {
		t.Errorf("%q\n%s", said.Notes, talk)
	}
	if got := p.read("plugins.toml"); got != "platforms = [\"linux-x86_64\"]\n\n[plugins]\nprotoc = \"30.2\" # ours\nts-proto = \"2.7.2\"\n" {
		t.Errorf("%s", got)
	}

	// What buf.yaml depends on are proto packages; so are the deps of a workspace.
	p.write("proto/buf.yaml", "version: v1\ndeps:\n  - buf.build/googleapis/googleapis\n")
	_, talk = p.ok("init", "--yes", "--from", p.path("proto"))
	says(t, talk, "next: lockgen add ts-proto@2.7.2 protoc-gen-go-grpc protos/googleapis\n")
	p.write("proto/buf.work.yaml", "version: v1\ndirectories: [api, ../proto]\n")
	p.deep("proto/api/buf.yaml", "version: v1\ndeps: [buf.build/bufbuild/protovalidate, buf.build/acme/other]\n")
	_, talk = p.ok("init", "--yes", "--from", p.path("proto"))
	says(t, talk, "buf.yaml:2: buf.build/acme/other: lockgen knows no proto package", "protoc-gen-go-grpc protos/googleapis protos/protovalidate\n")
	_, talk = p.ok("init", "--yes", "--from", p.path("proto/api/buf.yaml"))
	says(t, talk, "next: lockgen add protos/protovalidate\n")

	// In a project of Buck2 its files are written in the same run.
	q := tree(t, buckRepository)
	q.write("buf.gen.yaml", bufGen)
	_, talk = q.ok("init", "--yes", "--commit", someCommit, "--from", q.path("buf.gen.yaml"))
	says(t, talk, "in a BUCK file", "python_proto_library(", "next: lockgen add protoc@29.3")
	if !strings.Contains(q.read(".buckconfig"), someCommit) || !strings.Contains(q.read("toolchains/BUCK"), "protobuf_toolchain(") || !strings.Contains(q.read("plugins.toml"), "ts-proto = \"2.7.2\"") {
		t.Errorf("%s\n%s", q.read(".buckconfig"), q.read("plugins.toml"))
	}

	p.fails(fault.Usage, []string{"buf.gen.yml does not exist"}, "init", "--from", p.path("buf.gen.yml"))
	p.write("bad.yaml", "version: v2\nplugins:\n  - remote: [a\n")
	p.fails(fault.Usage, []string{"bad.yaml:3:"}, "init", "--from", p.path("bad.yaml"))
	p.fails(fault.Usage, []string{"contains neither protoc nor a plugin"}, "init", "--from", t.TempDir())
	p.deep("tools/protoc-gen-acme", "\x7fELF")
	p.fails(fault.Usage, []string{"protoc-gen-acme is a program", "give its folder: " + p.path("tools")}, "init", "--from", p.path("tools/protoc-gen-acme"))
	p.write("bad.yaml", "version: v2\nplugins:\n  - local: \"\"\n    out: gen\n")
	p.fails(fault.Usage, []string{"bad.yaml:3: a plugin needs one of remote, local"}, "init", "--from", p.path("bad.yaml"))
}

// TestInitFromNoSuchVersion: a version in a buf.gen.yaml that does not exist is told by
// the command that init names, with those that do, and what that says works.
func TestInitFromNoSuchVersion(t *testing.T) {
	t.Parallel()
	needPip(t)
	p := newPlace(t)
	p.publishProtoc("30.2")
	p.publishProtoc("31.0")
	p.manifest("")
	p.write("buf.gen.yaml", "version: v2\nplugins:\n  - remote: buf.build/protocolbuffers/python:v30.7\n    out: gen\n")
	_, talk := p.ok("init", "--yes", "--from", p.path("buf.gen.yaml"))
	says(t, talk, "next: lockgen add protoc@30.7\n")
	p.fails(fault.Upstream, []string{"protoc 30.7", "the newest is 31.0, the nearest 30.2", "hint: run: lockgen update protoc@30.2"}, "add", "protoc@30.7", "--no-smoke")
	p.ok("update", "protoc@30.2", "--no-smoke")
	if !strings.Contains(p.read("plugins.toml"), "protoc = \"30.2\"\n") || p.locked().Plugins["protoc"]["30.2"] == nil {
		t.Errorf("%s", p.read("plugins.toml"))
	}
	p.fails(fault.Upstream, []string{"hint: run: lockgen add protoc@31.0"}, "add", "protoc@32.1", "--no-smoke")
	// And a buf.gen.yaml of a version that buf never had.
	p.write("buf.gen.yaml", "version: v3\nplugins:\n  - local: protoc-gen-go\n    out: gen\n")
	p.fails(fault.Usage, []string{"buf.gen.yaml:1: version is \"v3\"", "v1beta1, v1 or v2"}, "init", "--yes", "--from", p.path("buf.gen.yaml"))
}

// TestInitFromBinaries: programs that are checked in tell what they are by what Go
// wrote into them, by a digest of the lock, or, with --run, by themselves.
func TestInitFromBinaries(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it compiles a plugin; lockgen/migrate has the tables")
	goTool := testenv.Program(t, "go", "version")
	if testing.Short() {
		t.Skip("-short: it compiles a plugin")
	}
	script := "#!/bin/sh\necho started >>\"$0.started\"\necho libprotoc 3.21.12\n"
	locked := "#!/bin/sh\nexit 3\n"
	p := tree(t, map[string]string{
		"tools/linux/protoc": script, "tools/mac/protoc": "another", "tools/protoc-gen-words-1.4-linux-amd64": "?",
		"tools/protoc-gen-es.exe": locked, "tools/readme.md": "protoc", "tools/.git/protoc-gen-x": "",
	})
	for _, file := range []string{"linux/protoc", "mac/protoc", "protoc-gen-es.exe"} {
		if err := os.Chmod(p.path(filepath.Join("tools", filepath.FromSlash(file))), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for file, main := range map[string]string{
		"protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go", "protoc-gen-go-v1-darwin-arm64": "google.golang.org/protobuf/cmd/protoc-gen-go",
		"protoc-gen-sums": "golang.org/x/mod/gosumcheck", "protoc-gen-odd": "github.com/bazelbuild/buildtools/unused_deps",
	} {
		cmd := exec.Command(goTool, "build", "-o", p.path(filepath.Join("tools", file)), main)
		if out, err := cmd.CombinedOutput(); err != nil {
			if file == "protoc-gen-odd" {
				continue // needs more than the module cache has
			}
			t.Fatalf("%v\n%s", err, out)
		}
	}
	out, err := exec.Command(goTool, "list", "-m", "-f", "{{.Version}}", "google.golang.org/protobuf", "golang.org/x/mod").Output()
	if err != nil {
		t.Fatal(err)
	}
	versions := strings.Fields(strings.ReplaceAll(string(out), "v", ""))
	p.write("plugins.lock.toml", fmt.Sprintf("schema = 1\n\n[plugins.protoc-gen-es.\"2.1.0\"]\nsource = \"http\"\ntrust = \"first-use\"\n\n[plugins.protoc-gen-es.\"2.1.0\".files]\n\"protoc-gen-es\" = { url = \"https://example.com/x\", sha256 = \"%x\", size = %d }\n\n[plugins.protoc-gen-es.\"2.1.0\".platforms]\n",
		sha256.Sum256([]byte(locked)), len(locked)))
	for _, platform := range []string{"linux-aarch64", "linux-x86_64", "macos-aarch64", "macos-x86_64", "windows-aarch64", "windows-x86_64"} {
		p.write("plugins.lock.toml", p.read("plugins.lock.toml")+platform+" = { binary = \"protoc-gen-es\", tree = \""+strings.Repeat("1", 64)+"\" }\n")
	}

	tools := p.path("tools")
	_, talk := p.ok("init", "--from", tools)
	if _, err := os.Stat(filepath.Join(tools, "linux", "protoc.started")); err == nil {
		t.Error("a program was run without --run")
	}
	says(t, talk, "the version of protoc: the file does not contain it; with --run", "protoc-gen-words-1.4-linux-amd64: protoc-gen-words: lockgen does not know this plugin", "next: lockgen add ")
	want := "[plugins]\nprotoc = \"" + edit.StarterProtoc + "\"\nprotoc-gen-es = \"2.1.0\"\nprotoc-gen-go = \"" + versions[0] + "\"\n\n[plugins.protoc-gen-sums]\nversion = \"" + versions[1] +
		"\"\nsource = \"go:golang.org/x/mod\"\npackage = \"gosumcheck\"\nbinary = \"protoc-gen-sums\"\n"
	if _, got, _ := strings.Cut(p.read("plugins.toml"), "[plugins]\n"); "[plugins]\n"+got != want {
		t.Errorf("plugins.toml ends in\n%s\nwant\n%s", got, want)
	}

	if err := os.Remove(p.path("plugins.toml")); err != nil {
		t.Fatal(err)
	}
	_, talk = p.ok("init", "--from", tools, "--run")
	says(t, talk, "without an equivalent", filepath.Join("mac", "protoc")+": the version of protoc: running it with --version failed: ", "next: lockgen add protoc@21.12 protoc-gen-es@2.1.0 protoc-gen-go@"+versions[0]+" protoc-gen-sums@"+versions[1])
	if _, err := os.Stat(filepath.Join(tools, "linux", "protoc.started")); err != nil {
		t.Errorf("no program was run: %v", err)
	}
}
