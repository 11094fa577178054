package adopt

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
