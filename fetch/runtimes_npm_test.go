package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// TestRuntimesNPM: the packages of several runtimes of npm become one folder, which has
// what they share once, and are compared with the lock.
func TestRuntimesNPM(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	published := map[string]fake.Artifact{}
	for _, of := range [][2]string{{"@acme/one", "1.0.0"}, {"@acme/two", "1.0.0"}, {"shared", "1.0.0"}, {"shared", "2.0.0"}} {
		published[of[0]+"@"+of[1]] = w.registry.Package(fake.Package{Name: of[0], Version: of[1], Files: map[string]string{"index.js": of[0] + of[1]}})
	}
	// entry writes a runtime with packages at the folders that are their keys.
	entry := func(name string, folders map[string][2]string) string {
		t.Helper()
		v := &lock.Version{Source: lock.NPM, Package: name, Trust: "registry", Language: "typescript", Files: map[string]lock.File{}, Platforms: map[string]lock.Cell{}}
		var tree []archive.File
		for folder, of := range folders {
			a := published[of[0]+"@"+of[1]]
			v.Files[folder] = lock.File{Name: of[0], Version: of[1], SHA256: a.SHA256, Size: a.Size, Integrity: a.Integrity}
			tarball := filepath.Join(dir, a.Name)
			if err := os.WriteFile(tarball, a.Body, 0o600); err != nil {
				t.Fatal(err)
			}
			in, err := os.Open(tarball)
			if err != nil {
				t.Fatal(err)
			}
			files, err := archive.Unpack(t.Context(), in, "", archive.Options{Format: "tar.gz", StripTop: true})
			in.Close()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				f.Path = folder + "/" + f.Path
				tree = append(tree, f)
			}
		}
		hash, err := archive.TreeHash(tree)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range lock.Platforms {
			v.Platforms[p.Name] = lock.Cell{Tree: hash}
		}
		data, err := json.Marshal(&lock.Entry{Name: lock.RuntimeEntry("typescript", name), Version: "1.0.0", Locked: v})
		file := filepath.Join(dir, filepath.Base(name)+".json")
		if err == nil {
			err = os.WriteFile(file, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	one := entry("@acme/one", map[string][2]string{"node_modules/@acme/one": {"@acme/one", "1.0.0"}, "node_modules/shared": {"shared", "1.0.0"}})
	two := entry("@acme/two", map[string][2]string{
		"node_modules/@acme/one": {"@acme/one", "1.0.0"}, "node_modules/shared": {"shared", "1.0.0"},
		"node_modules/@acme/two": {"@acme/two", "1.0.0"}, "node_modules/@acme/two/node_modules/shared": {"shared", "2.0.0"},
	})
	registries := filepath.Join(dir, "registries.json")
	if err := os.WriteFile(registries, []byte(`{"npm": "`+w.registry.URL+`/"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	install := func(out string, args ...string) []string {
		return append([]string{"install", "--disable-package-managers", "--registries", registries, "--out", filepath.Join(dir, out)}, args...)
	}
	for out, args := range map[string][]string{"all": {"--entry", one, "--with", two}, "other": {"--entry", two, "--with", one}} {
		w.must(install(out, args...)...)
		var got []string
		root := filepath.Join(dir, out)
		if err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Name() == "index.js" {
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				rel, _ := filepath.Rel(root, path)
				got = append(got, filepath.ToSlash(filepath.Dir(rel))+" "+string(text))
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		want := []string{"node_modules/@acme/one @acme/one1.0.0", "node_modules/@acme/two @acme/two1.0.0", "node_modules/@acme/two/node_modules/shared shared2.0.0", "node_modules/shared shared1.0.0"}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", out, got, want)
		}
	}
	// Two versions at one place are never mixed.
	other := entry("@acme/three", map[string][2]string{"node_modules/shared": {"shared", "2.0.0"}})
	w.fails(3, []string{"shared@1.0.0 and shared@2.0.0 at node_modules/shared", "run: lockgen update"}, install("mixed", "--entry", one, "--with", other)...)
	// A plugin is no runtime, and other bytes are none.
	tool := filepath.Join(dir, "tool.json")
	data, err := json.Marshal(w.lock.Entry("tool", "1.0.0"))
	if err == nil {
		err = os.WriteFile(tool, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.fails(2, []string{"is no runtime of npm", "leave out --with"}, install("tool", "--entry", one, "--with", tool)...)
	published["shared@1.0.0"] = published["shared@2.0.0"]
	wrong := entry("@acme/wrong", map[string][2]string{"node_modules/shared": {"shared", "1.0.0"}})
	w.fails(5, []string{"shared"}, install("wrong", "--entry", wrong, "--with", one)...)
	for _, out := range []string{"mixed", "tool", "wrong"} {
		if _, err := os.Stat(filepath.Join(dir, out)); err == nil {
			t.Errorf("a failure left %s", out)
		}
	}
}
