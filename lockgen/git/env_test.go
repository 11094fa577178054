package git

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestGitEnv: of what git calls variables of one repository none reaches our git but
// those of the user's settings; what leads it to a server does.
func TestGitEnv(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), testenv.Program(t, "git"), "rev-parse", "--local-env-vars").Output()
	if err != nil {
		t.Fatal(err)
	}
	local := strings.Fields(string(out))
	if len(local) < 12 {
		t.Fatalf("git lists only %v", local)
	}
	for _, name := range slices.Concat(local, passing, strings.Fields("GIT_TRACE GIT_EXEC_PATH GIT_EDITOR GIT_PAGER GIT_EXTERNAL_DIFF GIT_NAMESPACE GIT_QUARANTINE_PATH GIT_SOMETHING_NEW")) {
		t.Setenv(name, "canary")
	}
	t.Setenv("GIT_CONFIG_KEY_0", "canary")
	var got []string
	for _, kv := range gitEnv() {
		if name, value, _ := strings.Cut(kv, "="); value == "canary" {
			got = append(got, name)
		}
	}
	want := append([]string{"GIT_CONFIG_KEY_0"}, passing...)
	slices.Sort(want)
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%v reach git, expected %v", got, want)
	}
}

// TestWorkTree: a repository apart from its work tree is found by the variables that
// name both; another repository around the lock, and GIT_DIR alone, are as before.
func TestWorkTree(t *testing.T) {
	program := testenv.Program(t, "git")
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CEILING_DIRECTORIES", t.TempDir())
	dir, tree, other := filepath.Join(t.TempDir(), "repository"), t.TempDir(), t.TempDir()
	run := func(work string, args ...string) {
		cmd := exec.CommandContext(t.Context(), program, append([]string{"--git-dir", dir, "--work-tree", work, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	name := filepath.Join(tree, "sub", "plugins.lock.toml")
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("not a lock\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(tree, "init", "--quiet")
	run(tree, "add", name)
	run(tree, "commit", "--quiet", "--message", "one")
	for _, tt := range []struct{ dir, tree, name, want string }{
		{dir, tree, name, "HEAD:plugins.lock.toml"}, // it was read
		{dir, "", name, "is not in a git repository"},
		{"", tree, name, "is not in a git repository"},
		{dir, tree, filepath.Join(other, "plugins.lock.toml"), "is not in a git repository"},
	} {
		t.Setenv("GIT_DIR", tt.dir)
		t.Setenv("GIT_WORK_TREE", tt.tree)
		if _, err := Lock(t.Context(), tt.name, "HEAD"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("GIT_DIR=%s GIT_WORK_TREE=%s: %v, want %q", tt.dir, tt.tree, err, tt.want)
		}
	}
}
