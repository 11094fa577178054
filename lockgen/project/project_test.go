package project

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/birbparty/buck2-protobuf/internal/build"
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
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			dir, err := filepath.EvalSymlinks(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			told := map[string]string{}
			lockName, runtimes := "plugins.lock.toml", []string(nil)
			for line := range strings.Lines(string(archive.Comment)) {
				word, file, _ := strings.Cut(strings.TrimSpace(line), " ")
				switch word {
				case "crlf", "cut":
					told[file] += word
				case "lock":
					lockName = file
				case "runtimes":
					runtimes = append(runtimes, file)
				}
			}
			want := map[string]string{}
			var input []txtar.File
			before := map[string]string{}
			for _, f := range archive.Files {
				text := string(f.Data)
				plain := strings.TrimPrefix(f.Name, "want/")
				if strings.Contains(told[plain], "cut") && f.Name == plain {
					text = strings.TrimSuffix(text, "\n")
				}
				if strings.Contains(told[plain], "crlf") {
					text = strings.ReplaceAll(text, "\n", "\r\n")
				}
				if f.Name != plain || f.Name == "want.txt" {
					want[f.Name] = text
					continue
				}
				input = append(input, f)
				before[f.Name] = text
				path := filepath.Join(dir, filepath.FromSlash(f.Name))
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got := map[string]string{}
			p, err := Find(dir)
			if err == nil {
				if p == nil {
					t.Fatal("no project")
				}
				var plan *Plan
				plan, err = p.Wire(Wish{Origin: build.Home, Commit: commit, Lock: filepath.Join(dir, lockName), Runtimes: runtimes})
				if err == nil {
					got["want.txt"] = "load from @" + plan.Cell + "//\n" + strings.Join(append(plan.Notes, ""), "\n")
					for _, e := range plan.Edits {
						rel, _ := filepath.Rel(dir, e.Name)
						rel = filepath.ToSlash(rel)
						if string(e.Before) != before[rel] {
							t.Errorf("%s: the edit is of another text", rel)
						}
						kept(t, rel, string(e.Before), string(e.After))
						got["want/"+rel] = string(e.After)
					}
				}
			}
			if err != nil {
				if fault.Of(err) != fault.Usage || fault.Hint(err) == "" {
					t.Errorf("class %v, hint %q", fault.Of(err), fault.Hint(err))
				}
				got["want.txt"] = "error: " + err.Error() + "\n"
			}
			got["want.txt"] = strings.ReplaceAll(got["want.txt"], dir+string(filepath.Separator), "")
			if os.Getenv("UPDATE_GOLDEN") != "" {
				archive.Files = input
				for _, n := range slices.Sorted(keys(got)) {
					archive.Files = append(archive.Files, txtar.File{Name: n, Data: []byte(strings.ReplaceAll(got[n], "\r\n", "\n"))})
				}
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for n, text := range want {
				if strings.Contains(told[strings.TrimPrefix(n, "want/")], "cut") {
					got[n] = strings.TrimSuffix(got[n], "\n") + "\n" // as the archive has it
				}
				if got[n] != text {
					t.Errorf("%s:\n%q\nwant\n%q", n, got[n], text)
				}
			}
			if len(got) != len(want) {
				t.Errorf("edited: %v, want %v", slices.Sorted(keys(got)), slices.Sorted(keys(want)))
			}
			if err != nil || len(got) == 1 {
				return
			}
			// What is done is done: the second time there is nothing to do.
			for n, text := range got {
				if file, ok := strings.CutPrefix(n, "want/"); ok {
					path := filepath.Join(dir, filepath.FromSlash(file))
					if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			if p, err = Find(dir); err != nil {
				t.Fatal(err)
			}
			plan, err := p.Wire(Wish{Origin: build.Home, Commit: commit, Lock: filepath.Join(dir, lockName), Runtimes: runtimes})
			if err != nil || len(plan.Edits) > 0 {
				t.Errorf("again: %v, edits %v", err, plan)
			}
		})
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

func keys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// TestFind: the project is the outermost folder with a .buckconfig, up to one with
// a .buckroot; a file that Buck2 could not read is told with its line.
func TestFind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
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
