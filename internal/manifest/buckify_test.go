package manifest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

const goodBuckify = `protoc = "30.2"
[buckify]
granularity = "file"
languages = ["typescript", "go"]
visibility = ["//a/...", "PUBLIC"]
roots = [".", "preview/", "a/b"]
exclude = ["legacy", "**/testdata", "a/*.proto"]
packages = "@other//protos"
resolve = { "acme/**" = "//third-party/proto:acme", "x.proto" = "@other//a/b:c" }
[buckify.attributes.go]
grpc = true
plugins = { protoc-gen-validate = { lang = "go", list = [1, { a = "b" }] } }
runtime = []
`

func TestBuckify(t *testing.T) {
	t.Parallel()
	m, err := Parse("plugins.toml", []byte(manifestHead+goodBuckify))
	if err != nil {
		t.Fatal(err)
	}
	want := Buckify{
		Granularity: "file",
		Languages:   []string{"typescript", "go"},
		Visibility:  []string{"//a/...", "PUBLIC"},
		Roots:       []string{".", "preview", "a/b"},
		Exclude:     []string{"legacy", "**/testdata", "a/*.proto"},
		Packages:    "@other//protos",
		Resolve:     map[string]string{"acme/**": "//third-party/proto:acme", "x.proto": "@other//a/b:c"},
		Attributes: map[string]map[string]any{"go": {
			"grpc":    true,
			"plugins": map[string]any{"protoc-gen-validate": map[string]any{"lang": "go", "list": []any{int64(1), map[string]any{"a": "b"}}}},
			"runtime": []any{},
		}},
	}
	if diff := cmp.Diff(want, m.Buckify); diff != "" {
		t.Error(diff)
	}
	for text, visibility := range map[string][]string{"": {"PUBLIC"}, "[buckify]\n": {"PUBLIC"}, "[buckify]\nvisibility = []\n": nil} {
		m, err := Parse("plugins.toml", []byte(manifestHead+"protoc = \"30.2\"\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(Buckify{Granularity: "directory", Visibility: visibility, Packages: "//third-party/proto"}, m.Buckify); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
}

var badBuckify = []struct{ text, want string }{
	{`granularity = "files"`, "did you mean file?"},
	{`granularity = 1`, "quote it"},
	{`languages = []`, "is empty"},
	{`languages = ["go", "go"]`, "twice"},
	{`languages = ["golang"]`, "use one of cpp, go"},
	{`visibility = "PUBLIC"`, "list of strings"},
	{`roots = ["/a"]`, "not such a path"},
	{`roots = ["../a"]`, "not such a path"},
	{`roots = ["a/../b"]`, "not such a path"},
	{`roots = ['a\b']`, "not such a path"},
	{`exclude = ["a//b"]`, "not such a path"},
	{`exclude = [""]`, "is empty"},
	{`packages = "third-party/proto"`, "not the name of a package"},
	{`packages = "//third-party:proto"`, "not the name of a package"},
	{`packages = "//third-party/../proto"`, "not the name of a package"},
	{`packages = "//proto/"`, "not the name of a package"},
	{`packages = ["//proto"]`, "not a string"},
	{`resolve = { "a.proto" = "b" }`, "not the label"},
	{`resolve = { "a.proto" = ":b" }`, "not the label"},
	{`resolve = { "a.proto" = 1 }`, "not a string"},
	{`attributes = { ruby = {} }`, "unknown language"},
	{`attributes = { go = { deps = [] } }`, "writes deps by itself"},
	{`attributes = { go = { "a b" = 1 } }`, "not the name of an attribute"},
	{`attributes = { go = { x = 1.5 } }`, "whole number"},
	{`attributes = { go = { x = [1.5] } }`, "whole number"},
	{`langs = ["go"]`, "unknown key"},
}

func TestBadBuckify(t *testing.T) {
	t.Parallel()
	for _, tt := range badBuckify {
		_, err := Parse("plugins.toml", []byte(manifestHead+"protoc = \"30.2\"\n[buckify]\n"+tt.text+"\n"))
		if err == nil {
			t.Errorf("%s: taken", tt.text)
			continue
		}
		text := err.Error() + "\n" + fault.Hint(err)
		if fault.Of(err) != fault.Usage || !strings.Contains(text, tt.want) || !strings.Contains(text, "plugins.toml:") {
			t.Errorf("%s: %s, want %q", tt.text, text, tt.want)
		}
	}
}

// A language has rules, and rules have a language.
func TestBuckifyLanguages(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../../rules/*.bzl")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if m := regexp.MustCompile(`(?m)^_[A-Z]+ = Language\(\n    name = "([a-z]+)"`).FindSubmatch(text); m != nil {
			found[string(m[1])] = true
			if !strings.Contains(string(text), string(m[1])+"_proto_library") {
				t.Errorf("%s has no library of %s", name, m[1])
			}
		}
	}
	for _, name := range languageRules() {
		if !found[name] {
			t.Errorf("no rules of %s", name)
		}
		delete(found, name)
	}
	for name := range found {
		t.Errorf("%s has rules, but no row of Languages", name)
	}
}
