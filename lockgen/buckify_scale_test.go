package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// A repository of the size of googleapis: all BUCK files are written in less than
// 5 s, and it takes less than 1 s to see that nothing has changed. The size and the
// times are those of the full suite, on a machine that does nothing else.
func TestBuckifyScale(t *testing.T) {
	p := newProtoTree(t, nil)
	files, folders, bytes := googleapis(p, testenv.Count(65, 650), testenv.Count(730, 7300))
	t.Logf("%d .proto files in %d folders, %d MB", files, folders, bytes>>20)
	for _, tt := range []struct {
		args  []string
		words []string
		limit time.Duration
	}{
		{[]string{"."}, []string{fmt.Sprintf("wrote %d BUCK files: %d proto_library targets for %d .proto files", folders, folders, files)}, 5 * time.Second},
		{[]string{"."}, []string{"nothing changed"}, time.Second},
		{[]string{".", "--check"}, []string{"all BUCK files match"}, time.Second},
	} {
		start := time.Now()
		p.says(0, tt.words, tt.args...)
		took := time.Since(start)
		t.Logf("%v: %v", tt.words, took.Round(time.Millisecond))
		if testenv.Full() && took > tt.limit {
			t.Errorf("%v took %v, more than %v", tt.words, took, tt.limit)
		}
	}
	if got := p.read("preview/google/a0/v1/BUCK"); !strings.Contains(got, "strip_import_prefix = \"/preview\"") || !strings.Contains(got, "\"//preview/google/api:api_proto\"") {
		t.Errorf("preview/google/a0/v1/BUCK:\n%s", got)
	}
}

// googleapis writes a tree that is like it: google/api and google/type, which
// everybody imports, folders of versions of services, and preview/ with a
// google/api of its own.
func googleapis(p *protoTree, folders, files int) (gotFiles, gotFolders, bytes int) {
	var body strings.Builder
	body.WriteString("\n// Copyright of somebody.\n\n")
	for i := range 60 {
		fmt.Fprintf(&body, "// Message %d has \"fields\"; it is described here in some words, as it's usual.\nmessage M%d {\n  // The name of it. Format: `projects/{project}/things/{thing}`\n  string name = 1 [(google.api.field_behavior) = IDENTIFIER];\n\n  /* Another one. */\n  repeated M%d more = 2;\n}\n\n", i, i, i)
	}
	write := func(name, pkg string, imports ...string) {
		text := "syntax = \"proto3\";\n\npackage " + pkg + ";\n\n"
		for _, i := range imports {
			text += "import \"" + i + "\";\n"
		}
		text += "option go_package = \"cloud.google.com/go/x;x\";\n" + body.String()
		dir := filepath.Join(p.dir, filepath.FromSlash(filepath.Dir(name)))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			p.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(p.dir, filepath.FromSlash(name)), []byte(text), 0o644); err != nil {
			p.t.Fatal(err)
		}
		gotFiles++
		bytes += len(text)
	}
	for _, root := range []string{"", "preview/"} {
		write(root+"google/api/http.proto", "google.api")
		write(root+"google/api/annotations.proto", "google.api", "google/api/http.proto", "google/protobuf/descriptor.proto")
		write(root+"google/api/resource.proto", "google.api", "google/protobuf/descriptor.proto")
		gotFolders++
	}
	for _, name := range []string{"money", "date", "latlng", "expr"} {
		write("google/type/"+name+".proto", "google.type")
	}
	gotFolders++
	services := folders - gotFolders
	for s := range services {
		root := ""
		if s%10 == 0 {
			root = "preview/"
		}
		dir := fmt.Sprintf("google/a%d/v%d", s/2*2, 1+s%2)
		n := (files - gotFiles) / (services - s)
		for f := range n {
			imports := []string{"google/api/annotations.proto", "google/api/resource.proto", "google/protobuf/timestamp.proto", "google/type/money.proto"}
			if f > 0 {
				imports = append(imports, fmt.Sprintf("%s/resources%d.proto", dir, f-1))
			}
			write(fmt.Sprintf("%s%s/resources%d.proto", root, dir, f), strings.ReplaceAll(dir, "/", "."), imports...)
		}
		gotFolders++
	}
	return gotFiles, gotFolders, bytes
}

// Every one of 50,000 files has a target of its own, ten in a folder, and then all
// in one.
func TestBuckifyMany(t *testing.T) {
	testenv.OnlyFull(t, "it writes 50,000 files; TestBuckifyScale writes fewer")
	p := newProtoTree(t, map[string]string{"plugins.toml": "platforms = [\"linux-x86_64\"]\n[plugins]\nprotoc = \"30.2\"\n[buckify]\ngranularity = \"file\"\n"})
	for i := range 50000 {
		text := "syntax = \"proto3\";\npackage a;\n"
		if i > 0 { // a chain, the deepest graph that there can be
			text += fmt.Sprintf("import \"a%d/f%d.proto\";\n", (i-1)/10, i-1)
		}
		p.write(fmt.Sprintf("a%d/f%d.proto", i/10, i), text)
	}
	start := time.Now()
	p.says(0, []string{"wrote 5000 BUCK files: 50000 proto_library targets for 50000 .proto files"}, ".")
	t.Logf("written in %v", time.Since(start).Round(time.Millisecond))
	start = time.Now()
	p.says(0, []string{"nothing changed"}, ".")
	t.Logf("nothing changed in %v", time.Since(start).Round(time.Millisecond))
	p.write("a0/f0.proto", "syntax = \"proto3\";\npackage a;\nimport \"a4999/f49999.proto\";\n")
	p.says(fault.Usage, []string{"files import each other", "a0/f0.proto:3 imports a4999/f49999.proto", "and 49980 more, then"}, ".")

	p = newProtoTree(t, map[string]string{"plugins.toml": "platforms = [\"linux-x86_64\"]\n[plugins]\nprotoc = \"30.2\"\n[buckify]\ngranularity = \"file\"\nlanguages = [\"go\"]\nattributes = { go = { runtime = [] } }\n"})
	for i := range 50000 {
		p.write(fmt.Sprintf("a/f%d.proto", i), fmt.Sprintf("syntax = \"proto3\";\npackage a;\nimport \"a/f%d.proto\";\n", i+1))
	}
	p.write("a/f50000.proto", "syntax = \"proto3\";\npackage a;\n")
	for _, want := range []string{"wrote 1 BUCK file: 50001 proto_library targets", "nothing changed"} {
		start = time.Now()
		p.says(0, []string{want}, ".")
		t.Logf("in one folder: %s in %v", want, time.Since(start).Round(time.Millisecond))
	}
}
