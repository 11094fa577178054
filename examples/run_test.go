package examples_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestRun: the script that README.md begins with shows something at once, generates what
// README.md shows, without Buck2, and says what it leaves on the disk. In the ordinary
// suite Go compiles what it has compiled for other tests.
func TestRun(t *testing.T) {
	testenv.Real(t, "it needs plugins from their registries")
	sh := testenv.Program(t, "sh", "-c", ":")
	root := bucktest.Root(t)
	script := read(t, "run")
	if strings.Count(script, "CGO_ENABLED=0 ") != 1 {
		t.Fatal("the script compiles in another way")
	}
	if !testenv.Full() {
		script = strings.Replace(script, "CGO_ENABLED=0 ", "", 1)
	}
	out := filepath.Join(t.TempDir(), "generated")
	cmd := exec.CommandContext(t.Context(), sh, "-c", script, filepath.Join(root, "examples", "run"), out)
	cmd.Env = append(os.Environ(), "BUCK2=there-is-no-buck2", "GOCACHE="+testenv.GoCache(t))
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stdout = &said
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	talk := bufio.NewReader(pipe)
	if line, err := talk.ReadString('>'); err != nil || time.Since(begin) > time.Second {
		t.Errorf("after %v, it says %q (%v)", time.Since(begin), line, err)
	}
	rest, err := io.ReadAll(talk)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s%s", err, rest, said.String())
	}
	// What README.md shows of the output, but for the lines that are Buck2's.
	_, shown, _ := strings.Cut(read(t, "../README.md"), "$ ./examples/run\n==> ")
	shown, _, found := strings.Cut(shown, "```")
	lines := 0
	for line := range strings.Lines(shown) {
		line = strings.ReplaceAll(strings.TrimSpace(line), "examples/generated", out)
		if line == "" || line == "…" || strings.Contains(line, "buck2 build") || line == "BUILD SUCCEEDED" {
			continue
		}
		lines++
		file := strings.HasPrefix(line, out) // Buck2 puts them below the package
		if file {
			line = strings.Replace(line, "/examples/typescript/", "/", 1)
		}
		if all := string(rest) + strings.ReplaceAll(said.String(), "/examples/typescript/", "/"); !strings.Contains(all, line) {
			t.Errorf("README.md shows %q, and it is not in\n%s", line, all)
		}
	}
	if !found || lines < 5 {
		t.Errorf("README.md shows %d lines", lines)
	}
	if !strings.Contains(string(rest), "to remove it: rm -r "+out) || !strings.Contains(string(rest), "to remove it: fetch cache clear --older-than 0h") {
		t.Errorf("what stays on the disk is not in\n%s", rest)
	}
}
