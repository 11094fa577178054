package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// A protoTree is a cell of Buck2 with .proto files.
type protoTree struct {
	t   *testing.T
	dir string
}

func newProtoTree(t *testing.T, files map[string]string) *protoTree {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	p := &protoTree{t, dir}
	p.write(".buckroot", "")
	p.write(".buckconfig", "[cells]\n  root = .\n")
	p.write("plugins.toml", "platforms = [\"linux-x86_64\"]\n[plugins]\nprotoc = \"30.2\"\n")
	for name, text := range files {
		p.write(name, text)
	}
	return p
}

func (p *protoTree) write(name, text string) {
	p.t.Helper()
	name = filepath.Join(p.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *protoTree) read(name string) string {
	data, err := os.ReadFile(filepath.Join(p.dir, filepath.FromSlash(name)))
	if err != nil {
		return ""
	}
	return string(data)
}

// run runs lockgen buckify for a folder of the tree.
func (p *protoTree) run(args ...string) (status int, stdout, stderr string) {
	p.t.Helper()
	var out, errs bytes.Buffer
	for i, arg := range args {
		if !strings.HasPrefix(arg, "-") {
			args[i] = filepath.Join(p.dir, filepath.FromSlash(arg))
		}
	}
	args = append([]string{"buckify", "--manifest", filepath.Join(p.dir, "plugins.toml")}, args...)
	status = run(p.t.Context(), args, func(string) string { return "" }, &out, &errs)
	fake.Speech(p.t, args, status, out.String(), errs.String())
	return status, out.String(), errs.String()
}

// says runs it and looks for words in what it says.
func (p *protoTree) says(status fault.Class, words []string, args ...string) (stdout, stderr string) {
	p.t.Helper()
	got, stdout, stderr := p.run(args...)
	if got != int(status) {
		p.t.Fatalf("%v: status %d, want %d\n%s%s", args, got, status, stdout, stderr)
	}
	for _, word := range words {
		if !strings.Contains(stdout+stderr, word) {
			p.t.Errorf("%v: no %q in\n%s%s", args, word, stdout, stderr)
		}
	}
	return stdout, stderr
}

// files are all files of the tree.
func (p *protoTree) files() map[string]string {
	all := map[string]string{}
	err := filepath.WalkDir(p.dir, func(name string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			rel, _ := filepath.Rel(p.dir, name)
			all[filepath.ToSlash(rel)] = p.read(filepath.ToSlash(rel))
		}
		return nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

var twoFiles = map[string]string{
	"a/a.proto": "syntax = \"proto3\";\npackage a;\nimport \"b/b.proto\";\n",
	"b/b.proto": "syntax = \"proto3\";\npackage b;\n",
}

func TestBuckify(t *testing.T) {
	t.Parallel()
	p := newProtoTree(t, twoFiles)
	before := p.files()
	stdout, _ := p.says(fault.Lock, []string{"2 BUCK files are out of date", "hint: run: lockgen buckify", "docs/troubleshooting.md#buck-files"}, ".", "--check")
	preview, _ := p.says(0, []string{"2 BUCK files of 2 proto_library targets for 2 .proto files would change; nothing was written"}, ".", "--dry-run")
	if stdout != preview || !strings.Contains(stdout, "+    deps = [\"//b:b_proto\"],\n") || !strings.Contains(stdout, "--- /dev/null\n+++ ") {
		t.Errorf("--check shows\n%s\n--dry-run shows\n%s", stdout, preview)
	}
	if !maps.Equal(before, p.files()) {
		t.Error("--check or --dry-run has written")
	}
	p.says(0, []string{"wrote 2 BUCK files: 2 proto_library targets for 2 .proto files"}, ".")
	if got := p.read("a/BUCK"); !strings.Contains(got, "deps = [\"//b:b_proto\"]") {
		t.Errorf("a/BUCK:\n%s", got)
	}
	after := p.files()
	p.says(0, []string{"nothing changed: 2 proto_library targets"}, ".")
	p.says(0, []string{"all BUCK files match"}, ".", "--check")
	if !maps.Equal(after, p.files()) {
		t.Error("a second run has written")
	}
	if len(after) != len(before)+2 {
		t.Errorf("files that are left: %q", slices.Sorted(maps.Keys(after)))
	}

	// A file goes, and with it the last target of its folder.
	p.write("a/a.proto", "syntax = \"proto3\";\npackage a;\n")
	if err := os.Remove(filepath.Join(p.dir, "b", "b.proto")); err != nil {
		t.Fatal(err)
	}
	shown, _ := p.says(fault.Lock, []string{"+++ /dev/null"}, ".", "--check")
	if patch, err := exec.LookPath("patch"); err == nil {
		other := newProtoTree(t, p.files())
		cmd := exec.Command(patch, "-p0", "-d", "/")
		cmd.Stdin = strings.NewReader(strings.ReplaceAll(shown, p.dir, other.dir))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("patch: %v\n%s", err, out)
		}
		other.says(0, []string{"all BUCK files match"}, ".", "--check")
	}
	p.says(0, []string{"wrote 2 BUCK files: 1 proto_library target for 1 .proto file"}, ".")
	if _, err := os.Lstat(filepath.Join(p.dir, "b", "BUCK")); !os.IsNotExist(err) {
		t.Errorf("b/BUCK is still there: %v", err)
	}
	p.says(fault.Usage, []string{"--check and --dry-run"}, ".", "--check", "--dry-run")
}

func TestBuckifyJSON(t *testing.T) {
	t.Parallel()
	p := newProtoTree(t, twoFiles)
	p.write("b/b.proto", "syntax = \"proto3\";\n")
	p.says(0, []string{"warning: 1 .proto file without a package, whose names may be those of others: b/b.proto:1"}, ".", "--dry-run")
	var result struct {
		Cell           string
		Files, Targets int
		Changes        []struct {
			Name string
			New  bool
			Diff string
		}
		Roots      []any
		Warnings   []string
		Unpackaged []string
		Written    *bool
		OK         *bool
		Error      struct {
			Class string
			Exit  int
			Hint  string
		}
	}
	for _, tt := range []struct {
		args   []string
		status fault.Class
	}{
		{[]string{".", "--check", "--json"}, fault.Lock},
		{[]string{".", "--dry-run", "--json"}, 0},
		{[]string{".", "--json"}, 0},
		{[]string{".", "--check", "--json"}, 0},
	} {
		stdout, stderr := p.says(tt.status, nil, tt.args...)
		result.Changes, result.OK, result.Written, result.Error.Exit = nil, nil, nil, 0
		if err := json.Unmarshal([]byte(stdout), &result); err != nil || stderr != "" {
			t.Fatalf("%v: %v\n%s%s", tt.args, err, stdout, stderr)
		}
		if result.Files != 2 || result.Targets != 2 || result.Cell != p.dir || result.Roots == nil || result.Warnings == nil || !slices.Equal(result.Unpackaged, []string{"b/b.proto:1"}) {
			t.Errorf("%v: %s", tt.args, stdout)
		}
		check := slices.Contains(tt.args, "--check")
		done := p.read("a/BUCK") != "" && check
		if want := 2; !done && (len(result.Changes) != want || !result.Changes[0].New || !strings.Contains(result.Changes[0].Diff, "+proto_library(")) || done && len(result.Changes) != 0 {
			t.Errorf("%v: %s", tt.args, stdout)
		}
		if check != (result.OK != nil) || check && *result.OK != done || check == (result.Written != nil) {
			t.Errorf("%v: %s", tt.args, stdout)
		}
		if result.Error.Exit != int(tt.status) {
			t.Errorf("%v: %s", tt.args, stdout)
		}
	}
}

// The cell, its settings and the folders that are asked for.
func TestBuckifyCells(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		".buckconfig":         "[cells]\n  root = .\n  other = sub/other\n  gone = gone\n[cell_aliases]\n  me = root\n[external_cells]\n  gone = git\n[buildfile]\n  name = TARGETS\n[project]\n  ignore = ignored, **/skip\n",
		"sub/other/x.proto":   "syntax = \"proto3\";\npackage x;\nimport \"y/y.proto\";\n",
		"sub/other/y/y.proto": "syntax = \"proto3\";\npackage y;\n",
		"ignored/z.proto":     "broken",
		"b/skip/z.proto":      "broken",
		"a/TARGETS.v2":        "load(\"@buck2-protobuf//rules:proto.bzl\", \"proto_library\")\n\nproto_library(\n    name = \"a\",\n    srcs = [\"a.proto\"],\n    deps = [\"me//b:b_proto\"],\n)\n",
		"a/TARGETS":           "broken",
		"a/BUCK":              "broken",
	}
	maps.Copy(files, twoFiles)
	files["a/a.proto"], files["b/b.proto"] = twoFiles["a/a.proto"], twoFiles["b/b.proto"]
	p := newProtoTree(t, files)
	p.says(0, []string{"wrote 1 BUCK file: 2 proto_library targets for 2 .proto files"}, ".")
	if p.read("b/TARGETS") == "" || p.read("a/TARGETS.v2") != files["a/TARGETS.v2"] {
		t.Errorf("files: %q", p.files())
	}
	p.says(0, []string{"wrote 2 BUCK files: 2 proto_library targets for 2 .proto files"}, "sub/other")
	if got := p.read("sub/other/BUCK"); !strings.Contains(got, "\"root_proto\"") || !strings.Contains(got, "\"//y:y_proto\"") {
		t.Errorf("sub/other/BUCK:\n%s", got)
	}
	p.says(fault.Usage, []string{"is not in the cell of"}, "a", "sub/other")
	p.says(fault.Usage, []string{"nowhere is not a folder"}, "nowhere")
	p.says(fault.Usage, []string{"a.proto is not a folder"}, "a/a.proto")

	p = newProtoTree(t, twoFiles)
	p.says(0, []string{"wrote 1 BUCK file", "1 BUCK file outside of", "run: lockgen buckify"}, "a")
	if p.read("a/BUCK") == "" || p.read("b/BUCK") != "" {
		t.Errorf("files: %q", p.files())
	}
	if err := os.Remove(filepath.Join(p.dir, ".buckconfig")); err != nil {
		t.Fatal(err)
	}
	p.says(fault.Usage, []string{"no .buckconfig", "hint: run: buck2 init"}, ".")
}

// What is wrong ends in its class, with a hint, and writes nothing.
func TestBuckifyRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		files map[string]string
		more  func(t *testing.T, dir string)
		class fault.Class
		words []string
	}{
		{name: "cycle", files: map[string]string{"b/b.proto": "package b;\nimport \"a/c.proto\";", "a/c.proto": "package a;"},
			class: fault.Usage, words: []string{"a/a.proto:3 imports b/b.proto (//a:a_proto needs //b:b_proto)", "b/b.proto:2 imports a/c.proto", "granularity = \"file\""}},
		{name: "missing import", files: map[string]string{"b/b.proto": "package b;\n\nimport \"c.proto\";"}, class: fault.Usage, words: []string{"b/b.proto:3: imports \"c.proto\"", "resolve = {"}},
		{name: "dots", files: map[string]string{"b/b.proto": "import \"../c.proto\";"}, class: fault.Usage, words: []string{"b/b.proto:1:8", "leaves the root"}},
		{name: "absolute", files: map[string]string{"b/b.proto": "import \"/c.proto\";"}, class: fault.Usage, words: []string{"b/b.proto:1:8", "is absolute"}},
		{name: "backslash", files: map[string]string{"b/b.proto": "import \"c\\\\d.proto\";"}, class: fault.Usage, words: []string{"b/b.proto:1:8", "backslash"}},
		{name: "capitals", files: map[string]string{"B/x.proto": "package b;"}, class: fault.Usage, words: []string{"but for capitals", "rename one"}},
		{name: "latin-1", files: map[string]string{"b/b.proto": "package b;\n// caf\xe9"}, class: fault.Usage, words: []string{"b/b.proto:2:7: is not UTF-8: byte 0xe9", "save it as UTF-8"}},
		{name: "UTF-16", files: map[string]string{"b/b.proto": "\xff\xfep\x00"}, class: fault.Usage, words: []string{"b/b.proto:1:1: is UTF-16", "save it as UTF-8"}},
		{name: "no .proto file", files: map[string]string{"b/b.proto": "a: 1"}, class: fault.Usage, words: []string{"b/b.proto:1:1: expected a statement such as message or import, got \"a\"", "exclude = [\"b/b.proto\"] in [buckify]"}},
		{name: "BOM", files: map[string]string{"b/b.proto": "\xef\xbb\xbfpackage b;"}, class: 0},
		{name: "20 MB", files: map[string]string{"b/b.proto": "package b;\n" + strings.Repeat("message M { string s = 1; /* { */ }\n", 20<<20/36)}, class: 0},
		{name: "folder called .proto", files: map[string]string{"x.proto/y.proto": "package y;"}, class: 0},
		{name: "BUCK that does not parse", files: map[string]string{"b/BUCK": "proto_library(\n    name = \"b\"\n    srcs = [],\n)\n"}, class: fault.Usage, words: []string{"b/BUCK:3:5: it does not parse: syntax error near srcs", "left alone"}},
		{name: "BUCK without an end", files: map[string]string{"b/BUCK": "x = [\n    1,\n\n"}, class: fault.Usage, words: []string{"b/BUCK:2:7: it does not parse"}},
		{name: "BUCK in latin-1", files: map[string]string{"b/BUCK": "x = 1\ny = 2  # ö caf\xe9\n"}, class: fault.Usage, words: []string{"b/BUCK:2:15: it is not UTF-8: byte 0xe9", "save it as UTF-8"}},
		{name: "BUCK with a byte order mark", files: map[string]string{"b/BUCK": "\xef\xbb\xbfx = 1\n"}, class: fault.Usage, words: []string{"b/BUCK:1:1: it begins with a byte order mark", "without that mark"}},
		{name: "BUCK that is a folder", files: map[string]string{"b/BUCK/x": ""}, class: fault.Usage, words: []string{"b/BUCK: it is a folder", "rename it"}},
		{name: "loop of links", more: func(t *testing.T, dir string) { link(t, "loop.proto", dir+"/b/loop.proto") }, class: fault.Machine, words: []string{"b/loop.proto", "correct or remove b/loop.proto"}},
		{name: "link to nothing", more: func(t *testing.T, dir string) { link(t, "nothing", dir+"/b/x.proto") }, class: fault.Machine, words: []string{"b/x.proto", "correct or remove b/x.proto"}},
		{name: "loop of folders", more: func(t *testing.T, dir string) { link(t, "..", dir+"/b/up"); link(t, ".", dir+"/b/here.proto") }, class: 0},
		{name: "pipe", more: func(t *testing.T, dir string) {
			if err := exec.Command("mkfifo", dir+"/b/x.proto").Run(); err != nil {
				t.Skip(err)
			}
		}, class: fault.Usage, words: []string{"b/x.proto: it is no regular file"}},
		{name: "unreadable", more: func(t *testing.T, dir string) { forbid(t, dir+"/b/b.proto", 0) }, class: fault.Machine, words: []string{"b/b.proto", "permission denied", "chmod u+r b/b.proto"}},
		{name: "unreadable folder", more: func(t *testing.T, dir string) { forbid(t, dir+"/b", 0) }, class: fault.Machine, words: []string{"folder b", "permission denied"}},
		{name: "read-only BUCK", files: map[string]string{"b/BUCK": "# mine\n"}, more: func(t *testing.T, dir string) { forbid(t, dir+"/b/BUCK", 0o444) }, class: fault.Machine, words: []string{"is read-only", "chmod u+w"}},
		{name: "name that is no text", more: func(t *testing.T, dir string) {
			if err := os.WriteFile(dir+"/b/\xff.proto", nil, 0o644); err != nil {
				t.Skip(err)
			}
		}, class: fault.Usage, words: []string{`b/\xff.proto`, "not printable"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" && tt.more != nil {
				t.Skip("skipped: the files of a Unix system")
			}
			p := newProtoTree(t, twoFiles)
			for name, text := range tt.files {
				p.write(name, text)
			}
			if tt.more != nil {
				tt.more(t, p.dir)
			}
			before := p.files()
			_, stderr := p.says(tt.class, tt.words, ".")
			if tt.class == 0 {
				return
			}
			if !strings.Contains(stderr, "hint: ") {
				t.Errorf("no hint in %s", stderr)
			}
			if after := p.files(); !maps.Equal(before, after) {
				t.Errorf("something was written: %q", slices.Sorted(maps.Keys(after)))
			}
		})
	}
}

func link(t *testing.T, to, name string) {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Skip(err)
	}
}

func forbid(t *testing.T, name string, mode os.FileMode) {
	t.Helper()
	if os.Geteuid() == 0 && mode == 0 {
		t.Skip("skipped: root reads everything")
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(name, 0o755) })
}
