package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// wrap puts a program in the place of one of bin, which calls that with further
// arguments behind a verb.
func (w *world) wrap(program, verb string, args ...string) {
	w.Helper()
	name := filepath.Join(w.bin, program)
	behind, err := os.Readlink(name)
	if err != nil {
		w.Fatal(err)
	}
	if err := os.Remove(name); err != nil {
		w.Fatal(err)
	}
	script := "#!/bin/sh\nif [ \"$1\" = " + verb + " ]; then set -- \"$@\" " + strings.Join(args, " ") + "; fi\nexec '" + behind + "' \"$@\"\n"
	if err := os.WriteFile(name, []byte(script), 0o755); err != nil {
		w.Fatal(err)
	}
}

// newcomer is a folder with an api.proto, on this machine as it is: its programs,
// its settings, its registries.
func newcomer(t *testing.T) *world {
	t.Helper()
	testenv.Program(t, "npm")
	testenv.Program(t, "python3", "-m", "pip", "--version")
	w := newRepository(t, map[string]string{"api.proto": "syntax = \"proto3\";\npackage api;\nmessage Event { string name = 1; }\n"})
	w.environ = append(os.Environ(), "PATH="+w.bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	return w
}

// TestFiveMinutes runs the commands of five-minutes.md that need no Buck2, with
// the real registries, and counts them.
func TestFiveMinutes(t *testing.T) {
	testenv.Real(t, "it locks plugins from their registries")
	host := fake.Host(t)
	w := newcomer(t)
	w.wrap("lockgen", "add", "--platform", host.Name) // not the Node of six
	var blocks [][]string
	for _, s := range sections(t, "five-minutes.md") {
		if s.anchor == "without-buck2" {
			blocks = s.blocks
		}
	}
	if len(blocks) != 2 || len(blocks[0]) > 7 {
		t.Fatalf("the page shows %q", blocks)
	}
	begin := time.Now()
	if n := w.show(blocks[:1]); n != 2 {
		t.Errorf("%d commands to the first file, want 2", n)
	}
	t.Logf("the first file after %.1f s", time.Since(begin).Seconds())
	if text := w.read("api.ts"); !strings.Contains(text, "export interface Event {") {
		t.Errorf("api.ts is\n%s", text)
	}
	w.show(blocks[1:])
}

// TestFiveMinutesBuck2 runs the commands with Buck2. The rules are those of this
// checkout.
func TestFiveMinutesBuck2(t *testing.T) {
	buck2 := bucktest.Need(t)
	testenv.OnlyFull(t, "it compiles fetch under Buck2")
	host := fake.Host(t)
	const page = "five-minutes.md"
	w := newcomer(t)
	if err := os.Symlink(buck2, filepath.Join(w.bin, "buck2")); err != nil {
		t.Fatal(err)
	}
	origin := filepath.Join(t.TempDir(), "origin")
	bucktest.CopyRepo(t, origin)
	if out := w.run("cd " + origin + " && git init -q && git add . && git -c user.name=a -c user.email=a@example.com commit -q -m all"); out != "" {
		t.Fatal(out)
	}
	w.wrap("lockgen", "add", "--platform", host.Name)
	lockgen := filepath.Join(w.bin, "lockgen")
	if err := os.Rename(lockgen, lockgen+"-add"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(lockgen+"-add", lockgen); err != nil {
		t.Fatal(err)
	}
	w.wrap("lockgen", "init", "--origin", "file://"+filepath.ToSlash(origin), "--commit", "HEAD")
	w.run("buck2 init")
	t.Cleanup(func() { w.run("buck2 kill") })
	text := readFile(t, page)
	_, code, _ := strings.Cut(text, "```python\n")
	code, _, ok := strings.Cut(code, "```")
	if !ok {
		t.Fatal("the page shows no BUCK file")
	}
	w.write("BUCK", code)
	w.write("go.mod", "module example.com/shop\n")
	for _, s := range sections(t, page) {
		if s.anchor != "with-buck2" {
			continue
		}
		if n := w.show(s.blocks); n != 3 {
			t.Errorf("%d commands", n)
		}
	}
	if out := w.run("cat $(buck2 build :api_typescript --show-simple-output)/api.ts"); !strings.Contains(out, "export interface Event {") {
		t.Error(out)
	}
	if talk := w.run("lockgen-add list"); !strings.Contains(talk, "ts-proto") {
		t.Error(talk)
	}
}
