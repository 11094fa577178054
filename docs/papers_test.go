package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPapers: the files, folders and tests that the papers of the repository
// name are there, and so are the targets of links in all pages.
func TestPapers(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{} // by name
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "buck-out" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(name)
		for _, match := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
			tests[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	exists := func(name string) bool {
		_, err := os.Stat(name)
		return err == nil
	}
	found := 0
	for _, paper := range []string{"../CONTRIBUTING.md", "../SECURITY.md"} {
		text, err := os.ReadFile(paper)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile("`([\\w.-]+/[\\w./-]*|[\\w-]+\\.(?:go|bzl|md))`").FindAllSubmatch(text, -1) {
			found++
			if name := string(match[1]); !exists(filepath.Join("..", name)) && name != "rules/NAME.bzl" {
				t.Errorf("%s names %s, which is not there", paper, name)
			}
		}
		for _, name := range regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(string(text), -1) {
			found++
			if !tests[name] {
				t.Errorf("%s names %s, which is no test", paper, name)
			}
		}
	}
	if found < 40 {
		t.Errorf("found %d names only", found)
	}
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, page := range append(pages, "../README.md", "../CONTRIBUTING.md", "../SECURITY.md", "../CHANGELOG.md", "../examples/README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`\]\(([^)#: ]+)(?:#[^)]*)?\)`).FindAllSubmatch(text, -1) {
			links++
			if target := filepath.Join(filepath.Dir(page), string(match[1])); !exists(target) {
				t.Errorf("%s links to %s, which is not there", page, target)
			}
		}
	}
	if links < 30 {
		t.Errorf("found %d links only", links)
	}
}
