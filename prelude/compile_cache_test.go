package prelude_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// What Node keeps compiled of a plugin makes no difference to what the plugin writes,
// whether it is there, damaged, or cannot be kept.
func TestCompileCache(t *testing.T) {
	testenv.Real(t, "needs a plugin from the registry of npm")
	p := scratch(t, "", map[string]string{"api/BUCK": `
load("@buck2-protobuf//rules:typescript.bzl", "typescript_proto_library")

typescript_proto_library(name = "a_ts", srcs = ["a.proto"], plugin = "protoc-gen-es", options = {"target": "ts"})
`})
	cache := filepath.Join(p.Dir, "buck-out", "v2", "tmp", "node-compile-cache")
	kept := func(each func(file string) error) (n int) {
		err := filepath.WalkDir(cache, func(file string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			n++
			return each(file)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	nothing := func(string) error { return nil }
	generate := func(change int) string {
		t.Helper()
		bucktest.Write(t, p.Dir, map[string]string{"api/a.proto": scratchProto + fmt.Sprintf("message Change%d {}\n", change)})
		data, err := os.ReadFile(filepath.Join(p.Build("//api:a_ts")[0], "api", "a_pb.ts"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}

	const again = 100 // the change that all are compared by
	want := generate(again)
	if kept(nothing) == 0 {
		t.Fatal("nothing was kept")
	}
	for i, row := range []struct {
		name string
		do   func() error
	}{
		{"kept", func() error { return nil }},
		{"damaged", func() error {
			kept(testenv.FlipBit)
			return nil
		}},
		{"cut off", func() error {
			kept(func(file string) error { return os.Truncate(file, 20) })
			return nil
		}},
		{"a file in the place of the folder", func() error {
			if err := os.RemoveAll(cache); err != nil {
				return err
			}
			return os.WriteFile(cache, nil, 0o644)
		}},
	} {
		generate(i)
		if err := row.do(); err != nil {
			t.Fatal(err)
		}
		if got := generate(again); got != want {
			t.Errorf("%s: the plugin wrote\n%s\ninstead of\n%s", row.name, got, want)
		}
	}
}
