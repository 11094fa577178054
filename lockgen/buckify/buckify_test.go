package buckify

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bazelbuild/buildtools/build"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// A case is a file of testdata. Its leading comment has the keys of [buckify];
// then come the tree and the expected result: BUCK files as want/PATH, the error
// as want-error, warnings as want-warnings, roots as want-roots. A case without
// want/ changes nothing.
func TestCases(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 20 {
		t.Errorf("found %d cases only", len(names))
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			testCase(t, a)
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func testCase(t *testing.T, a *txtar.Archive) {
	o := options(t, string(a.Comment))
	want := map[string]string{}
	var inputs []txtar.File
	for _, f := range a.Files {
		data := string(f.Data)
		if strings.HasPrefix(f.Name, "want") {
			want[f.Name] = data
			continue
		}
		inputs = append(inputs, f)
		write(t, o.Root, f.Name, data)
	}
	before := contents(t, o.Root)
	got := map[string]string{}
	r, err := Run(t.Context(), o)
	if err != nil {
		got["want-error"] = fmt.Sprintf("%s: %v\n%s\n", fault.Of(err), err, fault.Hint(err))
	} else {
		for _, e := range r.Edits {
			got["want/"+e.Path] = string(e.After)
			if e.After == nil {
				got["want/"+e.Path] = "(goes)\n"
			}
			if now, ok := before[e.Path]; ok != (e.Before != nil) || now != string(e.Before) {
				t.Errorf("%s: made from other text", e.Path)
			}
			if e.Before == nil {
				formatted(t, e)
			}
		}
		for _, w := range r.Warnings {
			got["want-warnings"] += w + "\n"
		}
		for _, place := range r.Unpackaged {
			got["want-unpackaged"] += place + "\n"
		}
		for _, root := range r.Roots {
			got["want-roots"] += root.Folder + ": " + root.Why + "\n"
		}
		apply(t, o.Root, r.Edits)
		again, err := Run(t.Context(), o)
		if err != nil {
			t.Fatal("a second run: ", err)
		}
		for _, e := range again.Edits {
			t.Errorf("a second run changes %s:\n%s", e.Path, cmp.Diff(string(e.Before), string(e.After)))
		}
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		a.Files = inputs
		names := []string{}
		for name := range got {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(got[name])})
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// formatted reports where buildifier would format a new file differently.
func formatted(t *testing.T, e Edit) {
	t.Helper()
	for _, parse := range []func(string, []byte) (*build.File, error){build.ParseDefault} {
		f, err := parse(e.Path, bytes.Clone(e.After))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(build.Format(f)), string(e.After)); diff != "" {
			t.Errorf("%s: buildifier:\n%s", e.Path, diff)
		}
	}
}

// options returns options with some keys of [buckify], for an empty cell.
func options(t *testing.T, keys string) Options {
	t.Helper()
	o := Options{Root: t.TempDir(), Cell: []string{"root"}, BuildFiles: []string{"BUCK.v2", "BUCK"}}
	var own []string
	for line := range strings.Lines(keys) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "regroup"):
			o.Regroup = true
		case strings.HasPrefix(line, "within "):
			o.Within = append(o.Within, strings.TrimPrefix(line, "within "))
		case strings.HasPrefix(line, "ignore "):
			o.Ignore = append(o.Ignore, strings.TrimPrefix(line, "ignore "))
		case strings.HasPrefix(line, "package "):
			if o.Packages == nil {
				o.Packages = &Packages{Folder: "third-party/proto", Lock: "//:plugins.lock.toml", Hint: func(string) string { return "" }}
				o.Packages.Label = func(string) (label, name string) { return "", "" }
			}
			path, target, _ := strings.Cut(strings.TrimPrefix(line, "package "), " ")
			before := o.Packages.Label
			o.Packages.Label = func(importPath string) (label, name string) {
				if importPath == path {
					name, _, _ = strings.Cut(target, "[")
					return "//third-party/proto:" + target, name
				}
				return before(importPath)
			}
		case line == "packages elsewhere":
			o.Packages.Elsewhere = true
		case strings.HasPrefix(line, "known "):
			path, hint, _ := strings.Cut(strings.TrimPrefix(line, "known "), " ")
			o.Packages.Hint = func(importPath string) string {
				if importPath == path {
					return hint
				}
				return ""
			}
		default:
			own = append(own, line)
		}
	}
	m, err := manifest.Parse("plugins.toml", []byte("platforms = [\"linux-x86_64\"]\n[plugins]\nprotoc = \"30.2\"\n[buckify]\n"+strings.Join(own, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	o.Buckify = m.Buckify
	return o
}

func write(t *testing.T, root, name, data string) {
	t.Helper()
	name = filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func apply(t *testing.T, root string, edits []Edit) {
	t.Helper()
	for _, e := range edits {
		if e.After == nil {
			if err := os.Remove(filepath.Join(root, filepath.FromSlash(e.Path))); err != nil {
				t.Fatal(err)
			}
			continue
		}
		write(t, root, e.Path, string(e.After))
	}
}

// contents reads all files below a folder.
func contents(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		rel, _ := filepath.Rel(root, name)
		all[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Line endings, text before them, and a missing last one.
func TestLineEnds(t *testing.T) {
	t.Parallel()
	const before = "# Mine.\r\nproto_library(\r\n    name = \"a_proto\",\r\n    srcs = [\"gone.proto\"],\r\n)\r\n\r\nx = 1   \r\n"
	for _, tt := range []struct{ name, before, after string }{
		{"windows", "load(\"@buck2-protobuf//rules:proto.bzl\", \"proto_library\")\r\n\r\n" + before,
			"load(\"@buck2-protobuf//rules:proto.bzl\", \"proto_library\")\r\n\r\n" + strings.Replace(before, "gone", "a", 1)},
		{"windows, a new target", "x = 1\r\n",
			"load(\"@buck2-protobuf//rules:proto.bzl\", \"proto_library\")\r\n\r\nx = 1\r\n\r\nproto_library(\r\n    name = \"a_proto\",\r\n    srcs = [\"a.proto\"],\r\n    visibility = [\"PUBLIC\"],\r\n)\r\n"},
		{"no last line feed", "x = 1",
			"load(\"@buck2-protobuf//rules:proto.bzl\", \"proto_library\")\n\nx = 1\n\nproto_library(\n    name = \"a_proto\",\n    srcs = [\"a.proto\"],\n    visibility = [\"PUBLIC\"],\n)\n"},
		{"empty", "", "load(\"@buck2-protobuf//rules:proto.bzl\", \"proto_library\")\n\nproto_library(\n    name = \"a_proto\",\n    srcs = [\"a.proto\"],\n    visibility = [\"PUBLIC\"],\n)\n"},
		{"a comment alone", "# x\n", "# x\nload(\"@buck2-protobuf//rules:proto.bzl\", \"proto_library\")\n\nproto_library(\n    name = \"a_proto\",\n    srcs = [\"a.proto\"],\n    visibility = [\"PUBLIC\"],\n)\n"},
		{"a loaded rule, one line", "load(\"@buck2-protobuf//rules:proto.bzl\", \"proto_codegen\", \"proto_sync_test\")  # x\nproto_codegen(name = \"x\", plugin = \"y\", srcs = [\"x.txt\"])",
			"load(\"@buck2-protobuf//rules:proto.bzl\", \"proto_codegen\", \"proto_library\", \"proto_sync_test\")  # x\nproto_codegen(name = \"x\", plugin = \"y\", srcs = [\"x.txt\"])\n\nproto_library(\n    name = \"a_proto\",\n    srcs = [\"a.proto\"],\n    visibility = [\"PUBLIC\"],\n)\n"},
	} {
		o := options(t, "")
		write(t, o.Root, "a/a.proto", "syntax = \"proto3\";\npackage a;\n")
		write(t, o.Root, "a/BUCK", tt.before)
		r, err := Run(t.Context(), o)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if len(r.Edits) != 1 || string(r.Edits[0].After) != tt.after {
			t.Errorf("%s: %q, want %q", tt.name, r.Edits, tt.after)
			continue
		}
		apply(t, o.Root, r.Edits)
		if again, err := Run(t.Context(), o); err != nil || len(again.Edits) > 0 {
			t.Errorf("%s: a second run: %v, %q", tt.name, err, again.Edits)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, name string
		want          bool
	}{
		{"a", "a", true}, {"a", "a/b", true}, {"a", "ab", false}, {"a/", "a/b", true}, {"./a", "a/b", true}, {"b", "a/b", false},
		{"*.proto", "a.proto", true}, {"*.proto", "a/a.proto", false}, {"**/*.proto", "a.proto", true}, {"**/*.proto", "a/b/c.proto", true},
		{"**/testdata", "a/testdata/x", true}, {"**/testdata", "testdata", true}, {"a/**", "a/b/c", true}, {"a/**/c", "a/c", true},
		{"a/**/c", "a/b/b/c", true}, {"a/**/c", "a/b/d", false}, {"a?", "ab", true}, {"a?", "a", false}, {"[", "[", false}, {"**", "x/y", true},
	} {
		if got := matches(tt.pattern, tt.name); got != tt.want {
			t.Errorf("%q of %q: %v, want %v", tt.pattern, tt.name, got, tt.want)
		}
	}
}
