package prelude_test

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
)

// Besides tests, these are the places that speak of a language: its file in
// rules/, its example, and the manual. Adding one touches no other.
func TestPlacesOfLanguage(t *testing.T) {
	root := bucktest.Root(t)
	// A rule of two languages is a place of its own.
	const both = "rules/connect.bzl"
	names, err := filepath.Glob(filepath.Join(root, "rules", "*.bzl"))
	if err != nil {
		t.Fatal(err)
	}
	record := regexp.MustCompile(`(?m)^_[A-Z]+ = Language\(\n    name = "([a-z]+)"`)
	places := map[string]map[string]bool{}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if m := record.FindSubmatch(data); m != nil {
			if language := string(m[1]); filepath.Base(name) != language+".bzl" {
				t.Errorf("%s has the language %q", name, language)
			} else {
				places[language] = map[string]bool{}
			}
		}
	}
	if len(places) < 6 {
		t.Fatalf("only %d languages: %v", len(places), slices.Sorted(maps.Keys(places)))
	}
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains([]string{".git", "buck-out", "node_modules", "generated"}, d.Name()) {
			return filepath.SkipDir
		}
		if !d.Type().IsRegular() || strings.HasSuffix(name, "_test.go") || !slices.Contains([]string{"", ".bzl", ".go", ".md", ".toml"}, filepath.Ext(name)) {
			return nil
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if strings.HasPrefix(rel, "examples/") {
			rel = "examples"
		}
		for language, found := range places {
			if regexp.MustCompile(`\b` + language + `(_proto_(library|codegen)|\.bzl)\b`).Match(data) {
				found[rel] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for language, found := range places {
		for _, want := range []string{"rules/" + language + ".bzl", "examples", "docs/rules.md", "docs/languages/" + language + ".md"} {
			if !found[want] {
				t.Errorf("%s does not speak of %s", want, language)
			}
			delete(found, want)
		}
		for _, walk := range []string{"README.md", "docs/five-minutes.md", "docs/from-bazel.md", "docs/from-buf.md", "docs/languages/others.md", "docs/monorepo.md", "docs/protos.md", "docs/runtimes.md", "CHANGELOG.md"} { // with one language or two for example
			delete(found, walk)
		}
		delete(found, both)
		// Made from the catalogue and from rules/.
		maps.DeleteFunc(found, func(place string, _ bool) bool {
			return place == "docs/plugins.md" || strings.HasPrefix(place, "docs/api/")
		})
		if len(found) > 0 {
			t.Errorf("%s is spoken of in %q as well", language, slices.Sorted(maps.Keys(found)))
		}
	}
}

// A new language, added to a copy of the repository in those places alone. The
// same file works in a repository that takes the copy as a cell.
func TestNewLanguage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(bucktest.Root(t), "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	manual := string(page) + "\n| [Ruby](#rubybzl) | protoc | `stubs`: protoc | |\n\n## ruby.bzl\n\n`ruby_proto_library`\n"
	const rule = `"""Ruby from .proto files."""

load("//prelude:generate.bzl", "Generator", "PROTOC")
load("//prelude:library.bzl", "Language", "codegen_rule", "suffixes")

_RUBY = Language(
    name = "ruby",
    plugin = PROTOC,
    generators = [Generator(plugin = PROTOC, name = "ruby", files = suffixes("_pb.rb"))],
    extras = {"stubs": Generator(plugin = PROTOC, name = "pyi", doc = "Whether protoc writes more.", files = suffixes("_pb2.pyi"))},
    groups = {"srcs": [".rb"]},
)

ruby_proto_library = codegen_rule(_RUBY, doc = "Ruby generated from .proto files.")
`
	const note = "syntax = \"proto3\";\npackage ruby;\nmessage Note {}\n"
	const targets = `
load("@RULES//rules:ruby.bzl", "ruby_proto_library")

ruby_proto_library(name = "note_rb", srcs = ["note.proto"], stubs = True)
`
	p := scratch(t, "", map[string]string{
		"pb/rules/ruby.bzl":           rule,
		"pb/examples/ruby/note.proto": note,
		"pb/examples/ruby/BUCK":       strings.ReplaceAll(targets, "RULES", "buck2-protobuf"),
		"pb/docs/rules.md":            manual,
		"rules/ruby.bzl":              strings.ReplaceAll(rule, "//prelude:", "@buck2-protobuf//prelude:"),
		"examples/ruby/note.proto":    note,
		"examples/ruby/BUCK":          strings.ReplaceAll(targets, "RULES", "root"),
	})
	want := []string{"examples/ruby/note_pb.rb", "examples/ruby/note_pb2.pyi"}
	for _, cell := range []string{"pb", "root"} {
		if got := tree(t, p.Build(cell + "//examples/ruby:note_rb")[0]); !slices.Equal(got, want) {
			t.Errorf("%s: files %q, want %q", cell, got, want)
		}
		if outs := p.Build(cell + "//examples/ruby:note_rb[srcs]"); len(outs) != 1 || !strings.HasSuffix(filepath.ToSlash(outs[0]), want[0]) {
			t.Errorf("%s: [srcs] is %q, want %s", cell, outs, want[0])
		}
	}
	if extras := testDocumented(t, p, "pb//rules:ruby.bzl", manual); extras != 1 {
		t.Errorf("%d attributes that add a generator, want 1", extras)
	}
}
