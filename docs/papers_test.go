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
// name are there.
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
}

// pagesOf returns all pages of the manual, by their paths from here.
func pagesOf(t *testing.T) (pages []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	return pages
}

// link is a link within the repository.
var link = regexp.MustCompile(`\]\(([^)#: ]*)(?:#([^) ]*))?\)`)

// withoutCode is a page without its code.
func withoutCode(text string) string {
	text = regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(text, "")
	return regexp.MustCompile("`[^`\n]*`").ReplaceAllString(text, "code")
}

// anchors are those that a forge gives the headings of a page.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	text = regexp.MustCompile("(?ms)^ *```.*?^ *```$").ReplaceAllString(text, "")
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		title := regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`).ReplaceAllString(m[1], "$1")
		title = regexp.MustCompile(`[^\p{L}\p{N}_ -]`).ReplaceAllString(strings.ToLower(title), "")
		all[strings.ReplaceAll(title, " ", "-")] = true
	}
	return all
}

// TestLinks: what the papers and the pages link to is there, the heading as well;
// and each page is linked from the index.
func TestLinks(t *testing.T) {
	t.Parallel()
	pages := pagesOf(t)
	links, withAnchor := 0, 0
	indexed := map[string]bool{"README.md": true}
	for _, page := range append(pages, "../README.md", "../CONTRIBUTING.md", "../SECURITY.md", "../CHANGELOG.md", "../examples/README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(withoutCode(string(text)), -1) {
			links++
			target, anchor := page, match[2]
			if match[1] != "" {
				target = filepath.Join(filepath.Dir(page), match[1])
			}
			if page == "README.md" {
				indexed[target] = true
			}
			if page == filepath.Join("api", "README.md") {
				indexed[target] = true // the index links to that one
			}
			info, err := os.Stat(target)
			if err != nil {
				t.Errorf("%s links to %s, which is not there", page, target)
				continue
			}
			if anchor == "" {
				continue
			}
			withAnchor++
			if info.IsDir() {
				t.Errorf("%s links to #%s of the folder %s", page, anchor, target)
				continue
			}
			other, err := os.ReadFile(target)
			if err != nil {
				t.Fatal(err)
			}
			if !anchors(string(other))[anchor] {
				t.Errorf("%s links to #%s of %s, which has no such heading", page, anchor, target)
			}
		}
	}
	if links < 100 || withAnchor < 15 {
		t.Errorf("found %d links only, %d of them to a heading", links, withAnchor)
	}
	for _, page := range pages {
		if !indexed[page] {
			t.Errorf("docs/README.md does not link to %s", page)
		}
	}
}
