package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

const acmeProto = "syntax = \"proto3\";\n"

// protos locks a proto package acme, whose archive and tree it returns.
func (w *world) protos() (v *lock.Version, f *os.File, tree string) {
	w.Helper()
	body := fake.Zip(map[string]string{"acme/x.proto": acmeProto})
	v = &lock.Version{Source: lock.HTTP, Trust: "first-use", Folders: map[string]lock.Folder{"acme": {Files: []string{"x.proto"}}}, Files: map[string]lock.File{
		"acme.zip": {URL: w.registry.File("/files/acme.zip", body), Archive: "zip", SHA256: sum256(body), Size: int64(len(body))},
	}, Platforms: lock.EveryPlatform(lock.Cell{})}
	file := filepath.Join(w.TempDir(), "acme.zip")
	fake.Write(w.T, file, string(body))
	f, err := os.Open(file)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { f.Close() })
	files, err := kind.Unpack(w.Context(), f, "", v, "acme.zip", host(w))
	if err != nil {
		w.Fatal(err)
	}
	if tree, err = archive.TreeHash(files); err != nil {
		w.Fatal(err)
	}
	v.Platforms = lock.EveryPlatform(lock.Cell{Tree: tree})
	w.lock.Plugins[lock.ProtosPrefix+"acme"] = map[string]*lock.Version{"1.0.0": v}
	w.write()
	return v, f, tree
}

// TestProtosDamaged: what fetch protos puts into its folder is what is locked, also
// where the cache was changed so that stat does not show it.
func TestProtosDamaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v, f, tree := w.protos()
	for name, folders := range map[string]map[string]lock.Folder{
		"the lock's folders do not list acme/x.proto":            {"acme": {Files: []string{"y.proto"}}},
		"the lock's folders list 2 files, but the package has 1": {"acme": {Files: []string{"x.proto", "y.proto"}}},
	} {
		other := *v
		other.Folders = folders
		if _, err := kind.Unpack(t.Context(), f, "", &other, "acme.zip", host(t)); fault.Of(err) != fault.Lock || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	out := filepath.Join(t.TempDir(), "protos")
	w.must("protos", "--out", out)
	w.fails(7, []string{"it was not touched", "hint: name a new folder"}, "protos", "--out", filepath.Join(w.dir, "plugins.lock.toml"))

	cached := filepath.Join(w.cache, "trees", tree)
	if err := os.WriteFile(filepath.Join(cached, "acme", "x.proto"), []byte("syntax = \"proto2\";\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	disguise(t, cached)
	w.must("protos", "--out", out)
	if got, err := os.ReadFile(filepath.Join(out, "acme", "x.proto")); err != nil || string(got) != acmeProto {
		t.Errorf("the folder has %q, %v", got, err)
	}
	if !isTree(t, cached, tree) {
		t.Error("the cache was not repaired")
	}
}

// TestProtosChanged: what the lock says of the files of a package is compared with them
// on a warm cache as on a cold one.
func TestProtosChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.protos()
	file := filepath.Join(w.dir, lock.FileName)
	honest, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w.must("protos", "--out", filepath.Join(t.TempDir(), "protos"))
	begin := strings.Index(string(honest), "[protos.")
	warm := w.cache
	for name, tt := range map[string]struct{ from, to string }{
		"another file":   {`"x.proto"`, `"y.proto"`},
		"one more":       {`"x.proto"`, `"x.proto", "y.proto"`},
		"another folder": {`"acme" = {`, `"evil" = {`},
		"another root":   {"trust = ", "root = \"acme\"\ntrust = "},
		"a part":         {"trust = ", "only = [\"**/y.proto\"]\ntrust = "},
	} {
		changed := strings.Replace(string(honest)[begin:], tt.from, tt.to, 1)
		if changed == string(honest)[begin:] {
			t.Fatal(name)
		}
		fake.Write(t, file, string(honest)[:begin]+changed)
		for _, w.cache = range []string{warm, filepath.Join(t.TempDir(), "cold")} {
			if status, stdout, stderr := w.fetch("protos", "--out", filepath.Join(t.TempDir(), "protos")); status != int(fault.Lock) && status != int(fault.Integrity) {
				t.Errorf("%s, %s: exit %d\n%s%s", name, filepath.Base(w.cache), status, stdout, stderr)
			}
		}
	}
}
