package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// git runs git in the place's folder, with nothing of the user's configuration.
func (p *place) git(args ...string) string {
	p.t.Helper()
	out, err := p.tryGit(args...)
	if err != nil {
		p.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (p *place) tryGit(args ...string) (string, error) {
	p.t.Helper()
	path := testenv.Program(p.t, "git")
	cmd := exec.Command(path, args...)
	cmd.Dir = p.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2020-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2020-01-02T03:04:05Z")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (p *place) commit(message string) {
	p.t.Helper()
	p.git("add", "-A")
	p.git("commit", "--quiet", "--message", message)
}

func TestDiff(t *testing.T) {
	t.Parallel()
	p := own(t)
	p.fails(fault.Machine, []string{"not in a git repository", "lockgen diff FILE"}, "diff")
	p.git("init", "--quiet", "--initial-branch=main")
	p.fails(fault.Usage, []string{`"HEAD" is neither`}, "diff")
	p.write("README", "x\n")
	p.git("add", "README")
	p.git("commit", "--quiet", "--message", "nothing")
	if out, talk := p.ok("diff"); !strings.Contains(talk, "HEAD has no plugins.lock.toml yet") || !strings.Contains(out, "ts-proto 2.7.2 is new: from npm:ts-proto; 7 files; trust registry") {
		t.Errorf("%s%s", out, talk)
	}
	p.commit("lock")
	if out, talk := p.ok("diff"); out != "" || !strings.Contains(talk, "pins the same as HEAD") {
		t.Errorf("%s%s", out, talk)
	}
	p.ok("diff", "--json")

	good := p.read("plugins.lock.toml")
	p.write("plugins.lock.toml", strings.NewReplacer(
		`plugins.ts-proto."2.7.2"`, `plugins.ts-proto."2.18.0"`,
		`name = "ts-proto", version = "2.7.2"`, `name = "ts-proto", version = "2.18.0"`,
		`version = "1.0.8"`, `version = "1.1.0"`, // of dprint-node
		"trust = \"registry\"", "trust = \"first-use\"",
	).Replace(good))
	out, _ := p.ok("diff")
	for _, want := range []string{"ts-proto 2.7.2 -> 2.18.0: dprint-node 1.0.8 -> 1.1.0; trust registry -> first-use\n", "node 24.19.0: trust registry -> first-use\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if out, _ := p.ok("diff", "--json"); !strings.Contains(out, `"from": "2.7.2"`) || !strings.Contains(out, `"dprint-node 1.0.8 -> 1.1.0"`) {
		t.Error(out)
	}
	p.commit("bump")
	if out, _ := p.ok("diff", "HEAD~1"); !strings.Contains(out, "2.7.2 -> 2.18.0") {
		t.Error(out)
	}
	if out, _ := p.ok("diff", "HEAD~2"); !strings.Contains(out, "is new") {
		t.Error(out)
	}
	p.write("old.toml", good)
	if out, _ := p.ok("diff", p.path("old.toml")); !strings.Contains(out, "2.7.2 -> 2.18.0") {
		t.Error(out)
	}
	p.fails(fault.Usage, []string{`"mian" is neither a file nor a revision`}, "diff", "mian")
	p.fails(fault.Usage, []string{"one revision or file"}, "diff", "a", "b")
	p.fails(fault.Usage, []string{"not a revision"}, "diff", "--", "--upload-pack=x")
	p.write("bad.toml", "x")
	p.fails(fault.Lock, nil, "diff", p.path("bad.toml"))
	p.commit("bad")
	p.write("plugins.lock.toml", "schema = 9\n")
	p.commit("future")
	p.write("plugins.lock.toml", good)
	p.fails(fault.Lock, []string{"HEAD:plugins.lock.toml has schema 9"}, "diff")
}

// TestDiffInHook: git sets variables in a hook, and people do; the repository is
// the one that the lock is in.
func TestDiffInHook(t *testing.T) {
	testenv.Real(t, "it starts git many times")
	p, other := own(t), own(t)
	for _, p := range []*place{p, other} {
		p.git("init", "--quiet", "--initial-branch=main")
		p.commit("lock")
	}
	other.write("plugins.lock.toml", strings.ReplaceAll(other.read("plugins.lock.toml"), `"registry"`, `"first-use"`))
	other.commit("another lock")
	p.write("plugins.lock.toml", strings.Replace(p.read("plugins.lock.toml"), "trust = \"registry\"", "trust = \"first-use\"", 1))
	want, _ := p.ok("diff")
	if !strings.Contains(want, "trust registry -> first-use") {
		t.Fatal(want)
	}
	theirs := other.path(".git")
	for name, env := range map[string]map[string]string{
		"a hook":                     {"GIT_DIR": ".git", "GIT_INDEX_FILE": ".git/index", "GIT_PREFIX": "", "GIT_EXEC_PATH": "/nonexistent", "GIT_EDITOR": ":"},
		"a hook of another":          {"GIT_DIR": theirs, "GIT_INDEX_FILE": theirs + "/index", "GIT_WORK_TREE": other.dir},
		"a worktree of another":      {"GIT_DIR": theirs, "GIT_COMMON_DIR": theirs},
		"the objects of another":     {"GIT_OBJECT_DIRECTORY": theirs + "/objects", "GIT_ALTERNATE_OBJECT_DIRECTORIES": theirs + "/objects"},
		"settings of a command line": {"GIT_CONFIG_PARAMETERS": "'core.worktree=/nonexistent'", "GIT_CONFIG": "/nonexistent"},
		"a namespace":                {"GIT_NAMESPACE": "x", "GIT_REPLACE_REF_BASE": "refs/x", "GIT_SHALLOW_FILE": "/nonexistent", "GIT_LITERAL_PATHSPECS": "1"},
	} {
		t.Run(name, func(t *testing.T) {
			for key, value := range env {
				t.Setenv(key, value)
			}
			if got, _ := p.ok("diff"); got != want {
				t.Errorf("%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestDiffWithoutGit is a machine that has none.
func TestDiffWithoutGit(t *testing.T) {
	p := own(t)
	t.Setenv("PATH", t.TempDir())
	p.fails(fault.Machine, []string{"git is not on PATH"}, "diff")
	p.ok("diff", p.path("plugins.lock.toml"))
}
