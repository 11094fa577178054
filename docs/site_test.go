package docs

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestSite: mkdocs makes a site of the pages, in the order of their index, and
// refuses links and anchors that lead nowhere, within the manual and out of it.
func TestSite(t *testing.T) {
	t.Parallel()
	mkdocs := testenv.Program(t, "mkdocs")
	root := bucktest.Root(t)
	build := func(dir string) (site, log string, err error) {
		site = t.TempDir()
		cmd := exec.Command(mkdocs, "build", "--strict", "--site-dir", site)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return site, string(out), err
	}
	var pages []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if filepath.Ext(name) == ".md" {
			pages = append(pages, name)
		}
		return err
	})
	if err != nil || len(pages) < 20 {
		t.Fatalf("the pages are %v (%v)", pages, err)
	}
	site, log, err := build(root)
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	for _, page := range pages {
		name := strings.TrimSuffix(page, ".md") + ".html"
		if filepath.Base(page) == "README.md" {
			name = filepath.Join(filepath.Dir(page), "index.html")
		}
		if _, err := os.Stat(filepath.Join(site, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(site, "docs.go")); err == nil {
		t.Error("the site has our code")
	}

	// The same with other pages: a copy of docs beside links to all else.
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	with := func(files map[string]string) string {
		dir := t.TempDir()
		for _, e := range entries {
			if e.Name() == "docs" {
				continue
			}
			if err := os.Symlink(filepath.Join(root, e.Name()), filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range []string{"site.py", "site.css"} {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			bucktest.Write(t, dir, map[string]string{"docs/" + name: string(data)})
		}
		bucktest.Write(t, dir, files)
		return dir
	}
	const index = "# All\n\n[Of the key](b.md#the-key), [more](sub/README.md)\n\n## Later\n\n- [First](a.md), and [`rules`](../rules)\n\n```\n[no link](nowhere.md)\n```\n"
	good := func() map[string]string {
		return map[string]string{"docs/README.md": index, "docs/a.md": "# A\n\n[one](sub), [two](other/)\n", "docs/other/d.txt": "", "docs/b.md": "# B\n\n## The [key]\n", "docs/sub/README.md": "# Sub\n\n[up](../a.md)\n", "docs/sub/c.md": "# C\n"}
	}
	site, log, err = build(with(good()))
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	home, err := os.ReadFile(filepath.Join(site, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	last := 0
	for _, part := range []string{">Start<", ">Of the key<", "sub/c.html", "caption-text\">Later<", ">First<", "/tree/main/rules\""} {
		i := strings.Index(string(home), part)
		if i < last {
			t.Errorf("%q is at %d of the home page, what is before it at %d", part, i, last)
		}
		last = i
	}
	a, err := os.ReadFile(filepath.Join(site, "a.html"))
	if err != nil || !strings.Contains(string(a), "href=\"sub/index.html\"") || !strings.Contains(string(a), "/tree/main/docs/other\"") {
		t.Errorf("links to folders are otherwise: %v\n%s", err, a)
	}
	for name, tt := range map[string]struct{ page, text, want string }{
		"page":        {"docs/a.md", "[x](nowhere.md)", "nowhere.md"},
		"anchor":      {"docs/a.md", "[x](b.md#nowhere)", "#nowhere"},
		"repository":  {"docs/a.md", "[x](../nowhere.go)", "../nowhere.go"},
		"in code":     {"docs/sub/README.md", "[`x`](../../nowhere.go)", "../../nowhere.go"},
		"outside":     {"docs/a.md", "[x](../../etc)", "not in the repository"},
		"not indexed": {"docs/d.md", "# D", "d.md"},
	} {
		files := good()
		files[tt.page] += "\n" + tt.text + "\n"
		if _, log, err := build(with(files)); err == nil || !strings.Contains(log, tt.want) {
			t.Errorf("%s: %v\n%s", name, err, log)
		}
	}
}
