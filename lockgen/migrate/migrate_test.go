package migrate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bazelbuild/buildtools/build"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/proc"
)

func later(a, b string) bool {
	c, _ := proc.CompareToolVersions(a, b)
	return c > 0
}

// TestModule: the deps of a buf.yaml are proto packages.
func TestModule(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, protos, says string }{
		{"version: v2\nmodules:\n  - path: proto\n    excludes: [proto/old]\n  - path: .\ndeps:\n  - buf.build/googleapis/googleapis\n  - buf.build/bufbuild/protovalidate:v1.0.0\n  - buf.build/googleapis/googleapis\n  - buf.build/protocolbuffers/wellknowntypes\n", "googleapis protovalidate",
			"buf.yaml:3: path: proto: lockgen buckify finds|buf.yaml:3: excludes: for lockgen buckify|buf.yaml:8: buf.build/bufbuild/protovalidate:v1.0.0: v1.0.0 is not a version"},
		{"version: v1\nname: buf.build/acme/api\ndeps: [buf.build/cncf/xds, buf.build/envoyproxy/envoy]\nlint:\n  use: [STANDARD]\nbreaking:\n  use: [FILE]\n", "xds envoy", "buf.yaml:4: lint: pass the file to buf_lint_test|buf.yaml:6: breaking: pass the file to buf_breaking_test"},
		{"version: v1beta1\nbuild:\n  roots: [proto, third_party]\n", "", "buf.yaml:3: path: proto|buf.yaml:3: path: third_party"},
		{"version: v2\ndeps:\n  - bsr.example.com/acme/api\n  - buf.build/acme/unheard-of\nplugins:\n  - plugin: x\n", "", "buf.yaml:3: bsr.example.com/acme/api: it comes from your own registry|buf.yaml:4: buf.build/acme/unheard-of: lockgen knows no proto package|buf.yaml:5: plugins: lockgen does not know"},
		{"deps:\n", "", ""},
		{"version: v3\n", "", "error: buf.yaml:1: version is \"v3\""},
		{"version: v2\ndeps: googleapis\n", "", "error: buf.yaml:2: deps must be a list"},
		{"version: v2\ndeps:\n  - {a: b}\n", "", "error: buf.yaml:3: a dep must be a module"},
		{"version: v2\ndeps: [\n", "", "error: buf.yaml:"},
	} {
		r, err := Module(ModuleFile, []byte(tt.text))
		if want, fails := strings.CutPrefix(tt.says, "error: "); fails {
			if fault.Of(err) != fault.Usage || !strings.HasPrefix(err.Error(), want) || fault.Hint(err) == "" {
				t.Errorf("%q: %v; hint %q", tt.text, err, fault.Hint(err))
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		var says []string
		for _, l := range r.Lacks {
			says = append(says, l.String())
		}
		want := strings.FieldsFunc(tt.says, func(c rune) bool { return c == '|' })
		if strings.Join(r.Protos, " ") != tt.protos || len(says) != len(want) {
			t.Errorf("%q: %q, %q", tt.text, r.Protos, says)
			continue
		}
		for i := range want {
			if !strings.HasPrefix(says[i], want[i]) {
				t.Errorf("%q: says %q, want %q", tt.text, says[i], want[i])
			}
		}
	}
}

// TestBuf reads the files in testdata: each is a text archive of a buf.gen.yaml,
// and of the plugins, the lines of a BUCK file and the lacks that it comes to, or
// of the error.
func TestBuf(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/buf-*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 8 {
		t.Errorf("found %d files only", len(names))
	}
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(archive.Files) == 0 || archive.Files[0].Name != BufFile {
			t.Fatalf("%s does not begin with a %s", name, BufFile)
		}
		got := []txtar.File{archive.Files[0]}
		r, err := Buf(BufFile, archive.Files[0].Data)
		if err != nil {
			if fault.Of(err) != fault.Usage || fault.Hint(err) == "" {
				t.Errorf("%s: class %v, hint %q", name, fault.Of(err), fault.Hint(err))
			}
			got = append(got, txtar.File{Name: "error", Data: []byte(err.Error() + "\n")})
		} else {
			wanted, targets := r.Wanted(later), r.Targets("buck2-protobuf")
			if _, err := build.ParseBuild("BUCK", []byte(targets)); err != nil {
				t.Errorf("%s: %v\n%s", name, err, targets)
			}
			lacks := ""
			for _, l := range r.Lacks {
				lacks += l.String() + "\n"
			}
			got = append(got, txtar.File{Name: "wanted", Data: []byte(strings.Join(append(wanted, ""), "\n"))},
				txtar.File{Name: "BUCK", Data: []byte(targets + "\n")}, txtar.File{Name: "lacks", Data: []byte(lacks)})
		}
		text := txtar.Format(&txtar.Archive{Comment: archive.Comment, Files: got})
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(name, text, 0o644); err != nil {
				t.Fatal(err)
			}
		} else if want := txtar.Format(archive); string(text) != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", name, text, want)
		}
	}
}
