package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
	"github.com/birbparty/buck2-protobuf/lockgen/edit"
	"github.com/birbparty/buck2-protobuf/lockgen/project"
)

const someCommit = "0123456789abcdef0123456789abcdef01234567"

// A tree is a folder with files, in which lockgen finds its own way.
func tree(t *testing.T, files map[string]string) *place {
	t.Helper()
	p := newPlace(t)
	for name, text := range files {
		path := p.path(filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

var buckRepository = map[string]string{
	".buckconfig":      "[cells]\n  root = .\n  prelude = prelude\n  toolchains = toolchains\n[external_cells]\n  prelude = bundled\n",
	".buckroot":        "",
	"toolchains/BUCK":  "load(\"@prelude//toolchains:demo.bzl\", \"system_demo_toolchains\")\n\nsystem_demo_toolchains()\n",
	"go.mod":           "module example.com/x\n",
	"web/package.json": "{}\n",
}

// TestInitBuck2: in a Buck2 project init shows what it would write, writes it
// after a yes, and says what comes next.
func TestInitBuck2(t *testing.T) {
	t.Parallel()
	p := tree(t, buckRepository)
	p.write("api.proto", "")
	if err := os.Mkdir(p.path(".git"), 0o755); err != nil {
		t.Fatal(err)
	}
	config := p.read(".buckconfig")
	untouched := func() {
		t.Helper()
		if p.read(".buckconfig") != config || p.read("plugins.toml") != "" || p.read(".gitattributes") != "" || p.read(".gitignore") != "" || p.read("plugins.lock.toml") != "" {
			t.Error("something was written")
		}
	}
	text := p.fails(fault.Usage, []string{"need confirmation", "nothing was written", "then run: lockgen init --yes --manifest"}, "init", "--commit", someCommit)
	if !strings.Contains(text, "+  buck2-protobuf = git\n") {
		t.Errorf("no difference in\n%s", text)
	}
	untouched()
	stdout, _ := p.ok("init", "--dry-run", "--commit", someCommit)
	for _, part := range []string{
		".buckconfig\n@@ -2,5 +2,14 @@\n   root = .\n", "+  commit_hash = " + someCommit + "\n",
		"+load(\"@root//:plugins.lock.toml\", lock = \"value\")\n", "+/buck-out\n", "+schema = 1\n", "+protoc = \"" + edit.StarterProtoc + "\"\n", "+plugins.lock.toml text eol=lf",
		"--- " + os.DevNull + "\n",
	} {
		if !strings.Contains(stdout, part) {
			t.Errorf("%q is not in\n%s", part, stdout)
		}
	}
	untouched()

	for answer, want := range map[string]bool{"": false, "n\n": false, "no\n": false, "maybe": false, "y\n": true} {
		q := tree(t, buckRepository)
		q.answer = strings.NewReader(answer)
		status, _, stderr := q.run("init", "--commit", someCommit)
		if (status == 0) != want || !strings.Contains(stderr, "write these changes? [y/N]") || (q.read("plugins.toml") != "") != want {
			t.Errorf("%q: status %d\n%s", answer, status, stderr)
		}
	}

	_, talk := p.ok("init", "--yes", "--commit", someCommit)
	says(t, talk, "wrote ", "wrote ", "plugins.toml", "git config merge.lockgen.driver", "the repository has Go (go.mod), TypeScript (web/package.json)",
		"next: lockgen add protoc-gen-go ts-proto", `load("@buck2-protobuf//rules:go.bzl", "go_proto_library")`, "buck2 build :api_go", "lockgen buckify")
	if got := p.read(".gitignore"); got != "/buck-out\n" {
		t.Errorf(".gitignore: %q", got)
	}
	if l, _, err := lock.Read(p.path("plugins.lock.toml")); err != nil || len(l.Plugins) != 0 {
		t.Errorf("the lock: %v %v", l, err)
	}
	p.fails(fault.Lock, []string{"protoc"}, "check")
	// What is set up needs nothing, also no commit.
	before := p.read("plugins.toml") + p.read(".buckconfig") + p.read(".gitattributes") + p.read(".gitignore") + p.read("toolchains/BUCK")
	for _, again := range [][]string{{"--yes", "--commit", someCommit}, {"--yes"}, {}, {"--dry-run"}} {
		_, talk = p.ok(append([]string{"init"}, again...)...)
		says(t, talk, "plugins.toml exists already, and everything is configured; nothing was written")
	}
	data, _ := p.ok("init", "--json")
	if !strings.Contains(data, `"written": false`) || !strings.Contains(data, `"files": []`) {
		t.Errorf("%s", data)
	}
	if after := p.read("plugins.toml") + p.read(".buckconfig") + p.read(".gitattributes") + p.read(".gitignore") + p.read("toolchains/BUCK"); after != before {
		t.Errorf("%s\nbecame\n%s", before, after)
	}

	// What plugins.toml has by now is wired as well.
	p.write("plugins.toml", p.read("plugins.toml")+"\n[runtimes]\njava = [\"protobuf-java\"]\n")
	p.ok("init", "--yes")
	if text := p.read(".buckconfig"); !strings.Contains(text, "[buck2_protobuf]\n  runtimes = java\n") {
		t.Error(text)
	}
	_, talk = p.ok("init", "--yes")
	says(t, talk, "exists already, and everything is configured")

	// What is another one is told.
	p.write(".buckconfig", strings.Replace(p.read(".buckconfig"), someCommit, strings.Repeat("0", 40), 1))
	_, talk = p.ok("init", "--yes", "--commit", someCommit)
	says(t, talk, "unchanged at commit 0000000000000000000000000000000000000000; to use "+someCommit, "exists already; nothing was written")
}

// TestInitJSON: the result has each file with its difference.
func TestInitJSON(t *testing.T) {
	t.Parallel()
	p := tree(t, buckRepository)
	p.write("toolchains/BUCK", "rule(\n")
	stdout, _ := p.ok("init", "--json", "--yes", "--commit", someCommit)
	var said struct {
		Created    string
		Attributes string
		Git        []string `json:"git_config"`
		Written    bool
		Notes      []string
		Files      []struct {
			Name, Diff string
			New        bool
		}
	}
	if err := json.Unmarshal([]byte(stdout), &said); err != nil {
		t.Fatal(err)
	}
	if said.Created != p.path("plugins.toml") || said.Attributes == "" || len(said.Git) != 3 || !said.Written || len(said.Files) != 3 || !said.Files[0].New || said.Files[2].New || !strings.Contains(said.Files[2].Diff, "+  buck2-protobuf") {
		t.Errorf("%+v", said)
	}
	if len(said.Notes) != 1 || !strings.Contains(said.Notes[0], "BUCK:3:1: syntax error") || !strings.Contains(said.Notes[0], "protobuf_toolchain(\n") {
		t.Errorf("%q", said.Notes)
	}
	if p.read("plugins.lock.toml") != "" {
		t.Error("a lock that nothing loads")
	}
}

// TestInitCommit: a program that does not know its commit says how to give it,
// and the hint works.
func TestInitCommit(t *testing.T) {
	t.Parallel()
	git := testenv.Program(t, "git")
	origin := t.TempDir()
	run := func(args ...string) string {
		cmd := exec.Command(git, append([]string{"-C", origin, "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("init", "--quiet", "--initial-branch", "main")
	run("commit", "--quiet", "--allow-empty", "-m", "one")
	first := run("rev-parse", "HEAD")
	run("tag", "-m", "v1", "v1.2.3")
	run("commit", "--quiet", "--allow-empty", "-m", "two")
	head := run("rev-parse", "HEAD")
	url := "file://" + filepath.ToSlash(origin)

	p := tree(t, buckRepository)
	p.fails(fault.Usage, []string{"this lockgen does not know which commit of buck2-protobuf it was built from", "lockgen init --commit HEAD", "--no-buck2"}, "init", "--yes")
	p.fails(fault.Upstream, []string{"--offline is set"}, "init", "--yes", "--offline", "--commit", "main")
	p.fails(fault.Usage, []string{"has no tag, branch or head v9"}, "init", "--yes", "--commit", "v9", "--origin", url)
	p.fails(fault.Upstream, []string{"asking file:///not/there for its commit HEAD"}, "init", "--yes", "--commit", "HEAD", "--origin", "file:///not/there")
	for rev, want := range map[string]string{"HEAD": head, "main": head, "v1.2.3": first, head[:12]: head} {
		stdout, _ := p.ok("init", "--dry-run", "--commit", rev, "--origin", url)
		if !strings.Contains(stdout, "+  commit_hash = "+want+"\n") || !strings.Contains(stdout, "+  git_origin = "+url+"\n") {
			t.Errorf("%s:\n%s", rev, stdout)
		}
	}
	if _, stderr := p.ok("init", "--no-buck2"); strings.Contains(p.read(".buckconfig"), project.Cell) || strings.Contains(stderr, "BUCK") {
		t.Errorf("with --no-buck2: %s", stderr)
	}
}

// TestInitPlain: without Buck2 that is said; below a folder with a manifest
// nothing is done; what Buck2 cannot read is told.
func TestInitPlain(t *testing.T) {
	p := tree(t, map[string]string{"sub/deep/setup.py": "", "sub/node_modules/x/package.json": "{}"})
	_, talk := p.ok("init")
	says(t, talk, "wrote ", "no .buckconfig here or above", "the repository has Python (sub/deep/setup.py)", "next: lockgen update")
	if strings.Contains(talk, "BUCK") {
		t.Errorf("%s", talk)
	}

	t.Chdir(p.path(filepath.Join("sub", "deep")))
	at := func(args ...string) (int, string) {
		var out strings.Builder
		status := newProgram(os.Getenv, &out, &out).run(t.Context(), args)
		return status, out.String()
	}
	status, text := at("init")
	if status != int(fault.Usage) || !strings.Contains(text, "plugins.toml applies to this folder; nothing was written") || !strings.Contains(text, "lockgen init --here") {
		t.Errorf("%d\n%s", status, text)
	}
	if _, err := os.Stat("plugins.toml"); err == nil {
		t.Error("written nevertheless")
	}
	if status, text = at("init", "--here"); status != 0 {
		t.Errorf("%d\n%s", status, text)
	}
	if _, err := os.Stat("plugins.toml"); err != nil {
		t.Error(err)
	}
	if status, text = at("init"); status != 0 || !strings.Contains(text, "exists already") {
		t.Errorf("%d\n%s", status, text)
	}

	q := tree(t, map[string]string{".buckconfig": "[cells\n"})
	q.fails(fault.Usage, []string{".buckconfig:1: a section has no closing bracket", "lockgen init --no-buck2"}, "init", "--yes", "--commit", someCommit)
}
