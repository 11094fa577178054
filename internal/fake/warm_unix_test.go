//go:build unix

package fake

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestWarmPip: a script that imports pip sees, prints and returns the same with
// and without the server, and ends when it is killed; a script that does not
// import pip runs in the machine's Python.
func TestWarmPip(t *testing.T) {
	testenv.Real(t, "it starts pip")
	testenv.Program(t, "python3", "-I", "-c", "import pip, sys; assert sys.version_info >= (3, 9)")
	python, err := interpreter()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", os.Getenv("PATH"))
	stop := WarmPip()
	defer stop()
	warm, err := exec.LookPath("python3")
	if err != nil || warm == python {
		t.Skipf("no warm pip here: %s %v", warm, err)
	}
	dir := t.TempDir()
	run := func(ctx context.Context, program string, args ...string) (stdout, stderr string, status int) {
		cmd := exec.CommandContext(ctx, program, append([]string{"-I"}, args...)...)
		var out, talk bytes.Buffer
		cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = dir, strings.NewReader("in"), &out, &talk
		cmd.Env = []string{"HOME=" + dir, "PIP_INDEX_URL=https://example.com/simple/", "PATH=" + os.Getenv("PATH"), "PYENV_VERSION=" + os.Getenv("PYENV_VERSION")}
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return out.String(), talk.String(), cmd.ProcessState.ExitCode()
	}
	for name, args := range map[string][]string{
		"all":        {"-c", "import os, pip, sys\nprint(pip.__version__, sys.argv, os.getcwd(), sorted(k for k in os.environ if k[0] in 'HP' and k[:5] != 'PYENV' and k != 'PWD'), sys.stdin.read())\nprint('no', file=sys.stderr)\nsys.exit(3)", "a", "b c"},
		"configured": {"-c", "from pip._internal.commands import create_command\nprint(create_command('install').parser.get_default_values().index_url)"},
		"a text":     {"-c", "import pip, sys\nsys.exit('why')"},
		"raises":     {"-c", "import pip\nraise KeyError('x')"},
		"other":      {"-c", "import sys\nprint('pip' in sys.modules)\nsys.exit(4)"},
	} {
		out, talk, status := run(t.Context(), warm, args...)
		wantOut, wantTalk, want := run(t.Context(), python, args...)
		if last := func(s string) string { return s[strings.LastIndexByte(strings.TrimSpace(s), '\n')+1:] }; out != wantOut || last(talk) != last(wantTalk) || status != want {
			t.Errorf("%s: %q %q %d, want %q %q %d", name, out, talk, status, wantOut, wantTalk, want)
		}
	}
	pid, _, _ := run(t.Context(), warm, "-c", "import os, pip\nprint(os.getppid())")
	if again, _, _ := run(t.Context(), warm, "-c", "import os, pip\nprint(os.getppid())"); again != pid || pid == "" {
		t.Errorf("two servers, or none: %q and %q", pid, again)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, _, status := run(ctx, warm, "-c", "import pip, time\ntime.sleep(2)\nopen('late', 'w')")
	if status != -1 {
		t.Errorf("killed: %d", status)
	}
	time.Sleep(2 * time.Second)
	if _, err := os.Stat(dir + "/late"); err == nil {
		t.Error("it went on though it was killed")
	}
}
