package git

import (
	"os/exec"
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
