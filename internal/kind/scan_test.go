package kind

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// An example is a file of a kind that reading takes.
type example struct {
	name string
	kind string
	body []byte
	a    Artifact
}

func examples() []example {
	keepTool := func(name string) int {
		if strings.HasSuffix(name, "tool") {
			return 4
		}
		return 0
	}
	tar := fake.Tarball("", map[string]string{"bin/tool": "program", "share/readme": ""}, "bin/tool")
	zipped := fake.Zip(map[string]string{"bin/tool": "program", "a.proto": "syntax"}, "bin/tool")
	wheel := fake.Wheel{Name: "gen", Version: "1.0", Files: map[string]string{"gen.py": "pass"}, EntryPoints: "[console_scripts]\ngen = gen:main\n"}
	module := fake.Module{Path: "example.com/gen", Version: "v1.0.0", Files: map[string]string{"main.go": "package main\n"}}
	sum, mod := module.Sums()
	return []example{
		{"npm", lock.NPM, fake.Tarball("package", map[string]string{"package.json": `{"name":"gen","version":"1.0.0","bin":{"gen":"gen.js"}}`, "gen.js": "run()", "tool": "program"}),
			Artifact{Key: "node_modules/gen", Keep: keepTool}},
		{"crate", lock.Cargo, fake.Tarball("gen-1.0.0", map[string]string{"Cargo.toml": "[package]\nname = \"gen\"\nversion = \"1.0.0\"\n", "src/main.rs": "fn main() {}\n"}),
			Artifact{Key: "gen-1.0.0.crate", File: lock.File{Name: "gen", Version: "1.0.0"}}},
		{"wheel", lock.Pip, wheel.Bytes(), Artifact{Key: wheel.Filename()}},
		{"module", lock.Go, module.Zip(), Artifact{Key: "gen.zip", File: lock.File{Name: module.Path, Version: "1.0.0", Integrity: sum, GoMod: mod}}},
		{"go.mod", lock.Go, []byte("module example.com/gen\n\ngo 1.21\n"), Artifact{Key: "gen.mod", File: lock.File{Name: module.Path, Version: "1.0.0", Integrity: mod}}},
		{"jar", lock.Maven, []byte("PK"), Artifact{Key: "gen-1.0.jar"}},
		{"protos of a jar", lock.Maven, zipped, Artifact{Key: "gen-1.0.jar", File: lock.File{Archive: "zip"}}},
		{"zip", lock.HTTP, zipped, Artifact{Key: "gen.zip", File: lock.File{Archive: "zip"}, Keep: keepTool}},
		{"tar.gz", lock.OCI, tar, Artifact{Key: "gen.tar.gz", File: lock.File{Archive: "tar.gz"}, Keep: keepTool}},
		{"a file made executable", lock.HTTP, tar, Artifact{Key: "gen.tar.gz", File: lock.File{Archive: "tar.gz"}, Executable: "share/readme"}},
		{"raw", lock.HTTP, []byte("program"), Artifact{Key: "gen", Binary: "bin/tool", Keep: keepTool}},
	}
}

// open puts the bytes into a store and opens them there.
func (e example) open(t *testing.T, s *store.Store) (*os.File, store.Digest) {
	t.Helper()
	d, err := s.AddUnknown(t.Context(), 1<<20, false, func(_ context.Context, in *store.Ingest) error {
		_, err := in.Write(e.body)
		return err
	}, func(store.Sums) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Blob(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, d
}

// closed is a file that nobody can read.
func closed(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestScan: of every kind, what was read once is not read again, is the same to who
// asks, and passes the same checks.
func TestScan(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	nothing := closed(t)
	same := func(a, b *Content) bool {
		return slices.Equal(a.Files, b.Files) && maps.EqualFunc(a.Heads, b.Heads, bytes.Equal) && (a.PackageJSON == nil) == (b.PackageJSON == nil)
	}
	for _, e := range examples() {
		k := Of(e.kind)
		f, d := e.open(t, s)
		want, err := k.Read(t.Context(), f, "", "", e.a)
		if err != nil {
			t.Fatalf("%s: %v", e.name, err)
		}
		for _, from := range []*os.File{f, nothing} {
			got, err := k.Scan(t.Context(), s, d, from, e.a)
			if err != nil {
				t.Fatalf("%s: %v", e.name, err)
			}
			if !same(got, want) {
				t.Errorf("%s: %+v %q, expected %+v %q", e.name, got.Files, got.Heads, want.Files, want.Heads)
			}
			if err := k.Check(e.a, got); err != nil {
				t.Errorf("%s: %v", e.name, err)
			}
		}
		// Who looks for more has it read once more, and then both know enough.
		more := e.a
		more.Keep = func(string) int { return 1 << 20 }
		if _, err := k.Scan(t.Context(), s, d, nothing, more); err == nil && e.name != "go.mod" { // which is kept whole
			t.Errorf("%s: first bytes of nothing", e.name)
		}
		want, err = k.Read(t.Context(), f, "", "", more)
		if err != nil {
			t.Fatalf("%s: %v", e.name, err)
		}
		for _, from := range []*os.File{f, nothing} {
			if got, err := k.Scan(t.Context(), s, d, from, more); err != nil || !same(got, want) {
				t.Errorf("%s, with more: %v", e.name, err)
			}
		}
		if _, err := k.Scan(t.Context(), s, d, nothing, e.a); err != nil {
			t.Errorf("%s: it is forgotten: %v", e.name, err)
		}
	}
	// What the bytes are read as is a part of what is remembered.
	for _, e := range examples() {
		_, d := e.open(t, s)
		for _, other := range examples() {
			_, od := other.open(t, s)
			if d == od || e.kind == other.kind && e.a.File.Archive == other.a.File.Archive {
				continue
			}
			if _, err := Of(other.kind).Scan(t.Context(), s, d, nothing, other.a); err == nil {
				t.Errorf("%s is taken for %s", e.name, other.name)
			}
		}
	}
}

// TestScanFlips: each byte of what is remembered is flipped, and of the blob itself:
// none of it is believed.
func TestScanFlips(t *testing.T) {
	t.Parallel()
	flips := 0
	for _, e := range examples() {
		s, err := store.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		f, d := e.open(t, s)
		k := Of(e.kind)
		if _, err := k.Scan(t.Context(), s, d, f, e.a); err != nil {
			t.Fatal(err)
		}
		records, err := filepath.Glob(filepath.Join(s.Dir(), "documents", "*"))
		if err != nil || len(records) != 1 {
			t.Fatal(records, err)
		}
		good, err := os.ReadFile(records[0])
		if err != nil {
			t.Fatal(err)
		}
		gone := closed(t)
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			if err := os.WriteFile(records[0], bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := k.Scan(t.Context(), s, d, gone, e.a); err == nil {
				t.Errorf("%s: byte %d of the record is not missed", e.name, i)
			}
			flips++
		}
		if err := os.WriteFile(records[0], good, 0o600); err != nil {
			t.Fatal(err)
		}
		for i := range e.body {
			bad := slices.Clone(e.body)
			bad[i] ^= 1 << (i % 8)
			_ = os.Remove(f.Name()) // where the last flip left it
			if err := os.WriteFile(f.Name(), bad, 0o644); err != nil {
				t.Fatal(err)
			}
			if f, err := s.Blob(t.Context(), d); err == nil {
				f.Close()
				t.Errorf("%s: byte %d of the blob is not missed", e.name, i)
			}
			flips++
		}
	}
	t.Logf("%d flips", flips)
}
