package protos

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// pack is a package of files with what they import.
func pack(t *testing.T, name string, files map[string]string, asked ...string) *Package {
	t.Helper()
	dir := fstest.MapFS{}
	for file, imports := range files {
		text := "syntax = \"proto3\";\n"
		for i := range strings.FieldsSeq(imports) {
			text += "import \"" + i + "\";\n"
		}
		dir[file] = &fstest.MapFile{Data: []byte(text)}
	}
	p, err := Read(t.Context(), name, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Asked = asked
	return p
}

// TestCheck: deps are those that are imported, directly; what deps asks for stays.
func TestCheck(t *testing.T) {
	t.Parallel()
	packages := []*Package{
		pack(t, "c", map[string]string{"c/c.proto": "b/b.proto google/protobuf/any.proto"}),
		pack(t, "a", map[string]string{"a/a.proto": "", "a/own.proto": "a/a.proto"}),
		pack(t, "b", map[string]string{"b/b.proto": "a/a.proto"}, "a"),
		pack(t, "d", map[string]string{"d/d.proto": ""}, "a"),
	}
	deps, errs := Check(packages, func(string) string { return "" })
	if len(errs) > 0 || len(deps["a"]) > 0 || !slices.Equal(deps["b"], []string{"a"}) || !slices.Equal(deps["c"], []string{"b"}) || !slices.Equal(deps["d"], []string{"a"}) {
		t.Errorf("%v %v", deps, errs)
	}
	// Many problems are told in a few words, each with its line.
	bad := pack(t, "bad", map[string]string{"x.proto": "g/1.proto g/2.proto g/3.proto g/4.proto g/5.proto g/6.proto g/7.proto"})
	_, errs = Check([]*Package{bad}, func(path string) string { return "known" })
	err := errs["bad"]
	if fault.Of(err) != fault.Usage || !strings.Contains(err.Error(), `x.proto:2: imports "g/1.proto", which is in known`) || !strings.Contains(err.Error(), "and 2 more") || fault.Hint(err) != "run: lockgen add protos/known" {
		t.Errorf("%v; hint: %s", err, fault.Hint(err))
	}
}
