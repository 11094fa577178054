package docs

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
)

// What buck2 docs starlark --format json prints of a file, of a function or rule,
// or of a provider.
type starlark struct {
	ID struct {
		Name     string
		Location struct{ Path string }
	}
	Item struct {
		Kind   string // module, function or property
		Docs   *prose
		Params []parameter
		Ret    struct{ Docs *prose }
	}
}

type prose struct{ Summary, Details string }

type parameter struct {
	Kind    string // arg, kwargs, or only_named_after, which only a rule begins with
	Name    string
	Docs    *prose
	Type    string
	Default *string `json:"default_value"`
}

// everyRule are the attributes that Buck2 gives every rule.
var everyRule = []string{
	"compatible_with", "default_target_platform", "exec_compatible_with", "metadata", "modifiers",
	"name", "target_compatible_with", "tests", "visibility", "within_view",
}

// options is the type that prelude/generate.bzl calls Options.
const options = "dict[str, bool | int | str | list[str]]"

// text is a docstring as Markdown.
func (p *prose) text() string {
	if p == nil {
		return ""
	}
	return strings.TrimSpace(p.Summary + "\n\n" + p.Details)
}

// markdown is the section of a function, a rule or a provider. What has no
// docstring is reported.
func (s starlark) markdown(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n", s.ID.Name, s.Item.Docs.text())
	if s.Item.Docs.text() == "" {
		t.Errorf("%s of %s has no docstring", s.ID.Name, s.ID.Location.Path)
	}
	if s.Item.Kind != "function" {
		return b.String()
	}
	head, skip := "argument", []string(nil)
	if len(s.Item.Params) > 0 && s.Item.Params[0].Kind == "only_named_after" {
		head, skip = "attribute", everyRule
	}
	fmt.Fprintf(&b, "\n| %s | type | default | |\n|---|---|---|---|\n", head)
	for _, p := range s.Item.Params {
		if p.Name == "" || strings.HasPrefix(p.Name, "_") || slices.Contains(skip, p.Name) {
			continue
		}
		if p.Docs.text() == "" {
			t.Errorf("%s of %s: %s has no documentation", s.ID.Name, s.ID.Location.Path, p.Name)
		}
		name, kind, absent := p.Name, "`"+strings.ReplaceAll(p.Type, options, "Options")+"`", "required"
		switch {
		case p.Kind == "kwargs":
			name, kind, absent = "**"+name, "", ""
		case p.Default != nil:
			absent = "`" + *p.Default + "`"
		}
		about := strings.Join(strings.Fields(p.Docs.text()), " ")
		// A bar ends a cell, in code as well.
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, strings.ReplaceAll(kind, " | ", " or "), absent, cell(about))
	}
	if returns := s.Item.Ret.Docs.text(); returns != "" {
		fmt.Fprintf(&b, "\nReturns: %s\n", returns)
	}
	return b.String()
}

// TestAPI: the pages of docs/api are what Buck2 says of the files in rules/, and
// every attribute of them is documented.
func TestAPI(t *testing.T) {
	buck2 := bucktest.Open(t, bucktest.Root(t), "test-docs")
	files, err := filepath.Glob("../rules/*.bzl")
	if err != nil || len(files) < 9 {
		t.Fatalf("the public files are %v (%v)", files, err)
	}
	args := []string{"docs", "starlark", "--format", "json"}
	for _, file := range files {
		args = append(args, "//rules:"+filepath.Base(file))
	}
	var all []starlark
	if err := json.Unmarshal([]byte(buck2.Must(args...)), &all); err != nil {
		t.Fatal(err)
	}
	const head = "| file | for | has |\n|---|---|---|\n"
	want := map[string]string{}
	list := head
	for _, file := range files {
		file := filepath.Base(file)
		var about, sections string
		var has []string
		for _, s := range all {
			switch {
			case !strings.HasSuffix(s.ID.Location.Path, "//rules:"+file):
			case s.Item.Kind == "module":
				about = s.Item.Docs.text()
			default:
				sections += "\n" + s.markdown(t)
				has = append(has, "`"+s.ID.Name+"`")
			}
		}
		if about == "" || len(has) == 0 {
			t.Errorf("%s has the docstring %q and %v", file, about, has)
		}
		page := strings.TrimSuffix(file, ".bzl") + ".md"
		want[page] = fmt.Sprintf("# rules/%s\n\n%s\n%s", file, about, sections)
		summary, _, _ := strings.Cut(about, "\n")
		list += fmt.Sprintf("| [%s](%s) | %s | %s |\n", file, page, cell(summary), strings.Join(has, ", "))
	}
	index, err := os.ReadFile("api/README.md")
	if err != nil {
		t.Fatal(err)
	}
	p := part{body: string(index)}
	p.withTable(head, list)
	want["README.md"] = p.body
	pages, err := filepath.Glob("api/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if _, ok := want[filepath.Base(page)]; !ok {
			t.Errorf("docs/%s is of no file in rules/", page)
		}
	}
	for name, text := range want {
		page := filepath.Join("api", name)
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if got, err := os.ReadFile(page); err != nil || string(got) != text {
			t.Errorf("docs/%s is stale (%v); look at the docstrings and run: UPDATE_GOLDEN=1 go test ./docs -run TestAPI", filepath.ToSlash(page), err)
		}
	}
}
