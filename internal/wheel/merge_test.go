package wheel

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/archive"
)

// part is a wheel of files, each PATH=CONTENT.
func part(name string, files ...string) Part {
	p := Part{Wheel: name}
	for _, f := range files {
		path, content, _ := strings.Cut(f, "=")
		p.Files = append(p.Files, archive.File{Path: path, SHA256: sha256.Sum256([]byte(content))})
	}
	return p
}

// TestMerge: what is alike is taken once, native modules lie beside each other, and
// one path has one content.
func TestMerge(t *testing.T) {
	t.Parallel()
	a := part("a.whl", "x/__init__.py=1", "x/m.cpython-311.so=a", "x-1.dist-info/WHEEL=cp311", "x-1.dist-info/METADATA=m")
	b := part("b.whl", "x/__init__.py=1", "x/m.cpython-312.so=b", "x-1.dist-info/WHEEL=cp312", "x-1.dist-info/METADATA=m", "x/more.py=2")
	take, err := Merge([]Part{a, b})
	if err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"x-1.dist-info/METADATA", "x-1.dist-info/WHEEL", "x/__init__.py", "x/m.cpython-311.so"}, {"x/m.cpython-312.so", "x/more.py"}}
	for i, w := range want {
		if got := slices.Sorted(maps.Keys(take[i])); !slices.Equal(got, w) {
			t.Errorf("of wheel %d %q, want %q", i, got, w)
		}
	}
	for _, tt := range []struct {
		says  string
		parts []Part
	}{
		{"b.whl have other files called x/__init__.py", []Part{a, part("b.whl", "x/__init__.py=2")}},
		{"keeps modules in x-1.data", []Part{part("c.whl", "x-1.data/purelib/x.py=1")}},
		{"keeps modules in x-1.data", []Part{part("c.whl", "x-1.data/platlib/x.so=1")}},
	} {
		if _, err := Merge(tt.parts); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%v, want %s", err, tt.says)
		}
	}
	if _, err := Merge([]Part{part("d.whl", "x-1.data/scripts/x=1", "x-1.data/headers/x.h=1")}); err != nil {
		t.Error(err)
	}
}
