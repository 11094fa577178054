package project

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/birbparty/buck2-protobuf/internal/build"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// TestWire plans the edits of the projects in testdata. Each is a text archive:
// its comment says what the project is like, its files are the project, those
// below want/ are what the edits make of it, and want.txt has the notes, or the
// error. In the comment, "crlf FILE" and "cut FILE" give a file other line ends,
// and none behind its last line; "lock FILE" is where the lock is, and "runtimes
// LANGUAGE" a language that it has runtimes of.
func TestWire(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 20 {
		t.Errorf("found %d projects only", len(names))
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			c := readCase(t, name)
			got, err := c.wire(t)
			if os.Getenv("UPDATE_GOLDEN") != "" {
				c.update(t, got)
				return
			}
			c.compare(t, got)
			if err != nil || len(got) == 1 {
				return
			}
			// What is done is done: the second time there is nothing to do.
			for n, text := range got {
				if file, ok := strings.CutPrefix(n, "want/"); ok {
					fake.Write(t, filepath.Join(c.dir, filepath.FromSlash(file)), text)
				}
			}
			if plan, err := c.plan(t); err != nil || len(plan.Edits) > 0 {
				t.Errorf("again: %v, edits %v", err, plan)
			}
		})
	}
}

// A wireCase is a project of TestWire, written into a folder.
type wireCase struct {
	name     string // of its archive
	archive  *txtar.Archive
	input    []txtar.File      // the files of the project, as the archive has them
	told     map[string]string // what the comment says of line ends, by file
	dir      string
	before   map[string]string // the files of the project
	want     map[string]string // want.txt, and files below want/
	lock     string
	runtimes []string
}

func readCase(t *testing.T, name string) *wireCase {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := &wireCase{name: name, archive: archive, told: map[string]string{}, dir: dir, before: map[string]string{}, want: map[string]string{}, lock: "plugins.lock.toml"}
	for line := range strings.Lines(string(archive.Comment)) {
		word, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "crlf", "cut":
			c.told[file] += word
		case "lock":
			c.lock = file
		case "runtimes":
			c.runtimes = append(c.runtimes, file)
		}
	}
	for _, f := range archive.Files {
		text := string(f.Data)
		plain := strings.TrimPrefix(f.Name, "want/")
		if strings.Contains(c.told[plain], "cut") && f.Name == plain {
			text = strings.TrimSuffix(text, "\n")
		}
		if strings.Contains(c.told[plain], "crlf") {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		if f.Name != plain || f.Name == "want.txt" {
			c.want[f.Name] = text
			continue
		}
		c.input = append(c.input, f)
		c.before[f.Name] = text
		fake.Write(t, filepath.Join(dir, filepath.FromSlash(f.Name)), text)
	}
	return c
}

// plan plans the edits of the project.
func (c *wireCase) plan(t *testing.T) (*Plan, error) {
	t.Helper()
	p, err := Find(c.dir)
	if err != nil {
		return nil, err
	}
	if p == nil {
		t.Fatal("no project")
	}
	return p.Wire(Wish{Origin: build.Home, Commit: commit, Lock: filepath.Join(c.dir, c.lock), Runtimes: c.runtimes})
}

// wire returns what the edits make of the project, as an archive has it.
func (c *wireCase) wire(t *testing.T) (map[string]string, error) {
	t.Helper()
	got := map[string]string{}
	plan, err := c.plan(t)
	if err != nil {
		if fault.Of(err) != fault.Usage || fault.Hint(err) == "" {
			t.Errorf("class %v, hint %q", fault.Of(err), fault.Hint(err))
		}
		got["want.txt"] = "error: " + err.Error() + "\n"
	} else {
		got["want.txt"] = "load from @" + plan.Cell + "//\n" + strings.Join(append(plan.Notes, ""), "\n")
		for _, e := range plan.Edits {
			rel, _ := filepath.Rel(c.dir, e.Name)
			rel = filepath.ToSlash(rel)
			if string(e.Before) != c.before[rel] {
				t.Errorf("%s: the edit is of another text", rel)
			}
			kept(t, rel, string(e.Before), string(e.After))
			got["want/"+rel] = string(e.After)
		}
	}
	got["want.txt"] = strings.ReplaceAll(got["want.txt"], c.dir+string(filepath.Separator), "")
	return got, err
}

// compare demands that the edits make what the archive wants.
func (c *wireCase) compare(t *testing.T, got map[string]string) {
	t.Helper()
	for n, text := range c.want {
		if strings.Contains(c.told[strings.TrimPrefix(n, "want/")], "cut") {
			got[n] = strings.TrimSuffix(got[n], "\n") + "\n" // as the archive has it
		}
		if got[n] != text {
			t.Errorf("%s:\n%q\nwant\n%q", n, got[n], text)
		}
	}
	if len(got) != len(c.want) {
		t.Errorf("edited: %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(c.want)))
	}
}

// update writes what the edits make into the archive.
func (c *wireCase) update(t *testing.T, got map[string]string) {
	t.Helper()
	c.archive.Files = c.input
	for _, n := range slices.Sorted(maps.Keys(got)) {
		c.archive.Files = append(c.archive.Files, txtar.File{Name: n, Data: []byte(strings.ReplaceAll(got[n], "\r\n", "\n"))})
	}
	if err := os.WriteFile(c.name, txtar.Format(c.archive), 0o644); err != nil {
		t.Fatal(err)
	}
}

// kept demands that every line of a text is still there, in its order; the last
// line of a setting may get a backslash, for another one to follow.
func kept(t *testing.T, name, before, after string) {
	t.Helper()
	rest := strings.SplitAfter(after, "\n")
	for _, line := range strings.Split(before, "\n") {
		i := slices.IndexFunc(rest, func(r string) bool {
			r = strings.TrimRight(r, "\r\n")
			return r == strings.TrimRight(line, "\r") || r == strings.TrimRight(line, "\r")+` \`
		})
		if i < 0 && line != "" {
			t.Errorf("%s: the line %q is gone, or not in its place", name, line)
		} else if i >= 0 {
			rest = rest[i+1:]
		}
	}
	if strings.Contains(before, "\r\n") && strings.Count(after, "\n") != strings.Count(after, "\r\n") {
		t.Errorf("%s: has line ends of both kinds", name)
	}
}

// TestFind: the project is the outermost folder with a .buckconfig, up to one with
// a .buckroot; a file that Buck2 could not read is told with its line.
func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) { fake.Write(t, filepath.Join(dir, name), text) }
	write(".buckconfig", "")
	write("a/.buckroot", "")
	write("a/.buckconfig", "[x]\ny = $(config z.w)!\n[z] # a comment\n w = 1\\\n2\n")
	write("a/b/.buckconfig", "")
	write("a/b/c/file", "")
	p, err := Find(filepath.Join(dir, "a", "b", "c"))
	if err != nil || p == nil || p.Root != filepath.Join(dir, "a") {
		t.Fatalf("%v %v", p, err)
	}
	if got := p.Get("x", "y"); got != "12!" {
		t.Errorf("x.y = %q", got)
	}
	for text, want := range map[string]string{
		"[x\n":                       ":1: a section has no closing bracket",
		"# c\n\n= 1\n":               ":3: a value has no key",
		"a = \\\nb\nwhat\n":          ":3: it is not a section",
		"<file:not-there>":           ":1: the included file does not exist",
		"<file:.buckconfig>":         ":1: it includes itself",
		"<?file:not-there>\n[a]\nb]": ":3: it is not",
	} {
		write("a/.buckconfig", text)
		_, err := Find(filepath.Join(dir, "a"))
		if err == nil || fault.Of(err) != fault.Usage || !strings.Contains(err.Error(), ".buckconfig"+want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
