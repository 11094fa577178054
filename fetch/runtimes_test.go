package main

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/crate"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// TestRuntimes: a library of a runtime is the locked wheel, or one wheel that is made
// of those for several interpreters; it is compared with the lock, and is no program.
func TestRuntimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wheel := func(name, tag string, files map[string]string) (string, fake.Artifact) {
		a := w.registry.Wheel(fake.Wheel{Name: name, Version: "1.0", Tag: tag, Files: files})
		return a.Name, a
	}
	v := &lock.Version{Source: lock.Pip, Package: "lib", Trust: "registry", Language: "python", Python: []string{"3.11", "3.12"}, Files: map[string]lock.File{}, Platforms: map[string]lock.Cell{}}
	bodies := map[string][]byte{}
	lockWheel := func(python []string, key string, a fake.Artifact) {
		v.Files[key] = lock.File{SHA256: a.SHA256, Size: a.Size, Python: python}
		bodies[key] = a.Body
	}
	for _, cp := range []string{"311", "312"} {
		key, a := wheel("lib", "cp"+cp+"-cp"+cp+"-manylinux_2_28_x86_64", map[string]string{"lib/__init__.py": "", "lib/native.cpython-" + cp + ".so": cp})
		lockWheel([]string{"3." + cp[1:]}, key, a)
		key, a = wheel("mixed", "cp"+cp+"-none-any", map[string]string{"mixed.py": cp})
		lockWheel([]string{"3." + cp[1:]}, key, a)
	}
	key, a := wheel("Pure_Lib", "py3-none-any", map[string]string{"pure.py": "1"})
	lockWheel(nil, key, a)
	pure := key
	for _, p := range lock.Platforms {
		v.Platforms[p.Name] = lock.Cell{Unavailable: "not here"}
	}
	v.Platforms[host(t)] = lock.Cell{Tree: sum256([]byte("not looked at"))}
	w.lock.Plugins["runtimes/python/lib"] = map[string]*lock.Version{"1.0": v}
	w.write()
	dir := t.TempDir()
	entry := filepath.Join(dir, "entry.json")
	write := func(name string, e *lock.Entry) {
		data, err := json.Marshal(e)
		if err == nil {
			err = os.WriteFile(name, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write(entry, w.lock.Entry("runtimes/python/lib", "1.0"))
	registries := filepath.Join(dir, "registries.json")
	if err := os.WriteFile(registries, []byte(`{"pip": "`+w.registry.URL+`/simple/"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	install := func(library, out string, more ...string) []string {
		return append([]string{"install", "--entry", entry, "--registries", registries, "--library", library, "--out", filepath.Join(dir, out)}, more...)
	}
	w.fails(4, []string{"offline", "run the same command once without --offline"}, install("lib", "off.whl", "--offline")...)
	w.must(install("pure-lib", "pure.whl")...)
	if got, err := os.ReadFile(filepath.Join(dir, "pure.whl")); err != nil || string(got) != string(bodies[pure]) {
		t.Errorf("not the locked wheel: %v", err)
	}
	w.must(install("lib", "lib.whl")...)
	r, err := zip.OpenReader(filepath.Join(dir, "lib.whl"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var names []string
	for _, f := range r.File {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	if want := []string{"lib-1.0.dist-info/METADATA", "lib-1.0.dist-info/RECORD", "lib-1.0.dist-info/WHEEL", "lib/__init__.py", "lib/native.cpython-311.so", "lib/native.cpython-312.so"}; !slices.Equal(names, want) {
		t.Errorf("the wheel has %q, want %q", names, want)
	}
	// The same again, without a connection.
	w.must(install("lib", "again.whl", "--offline")...)
	one, err := os.ReadFile(filepath.Join(dir, "lib.whl"))
	two, err2 := os.ReadFile(filepath.Join(dir, "again.whl"))
	if err != nil || err2 != nil || string(one) != string(two) {
		t.Error("made again it is another wheel")
	}
	w.fails(2, []string{`has no library "x"`, "it has lib, mixed, pure-lib"}, install("x", "x.whl")...)
	w.fails(3, []string{"have other files called mixed.py", "run: lockgen update"}, install("mixed", "mixed.whl")...)
	w.fails(7, []string{"not available on", "not here"}, install("lib", "no.whl", "--platform", map[bool]string{true: "macos-x86_64", false: "windows-x86_64"}[host(t) != "macos-x86_64"])...)
	for _, out := range []string{"x.whl", "mixed.whl", "no.whl", "off.whl"} {
		if _, err := os.Stat(filepath.Join(dir, out)); err == nil {
			t.Errorf("a failure left %s", out)
		}
	}
	// It is no program, and a program is no runtime.
	w.fails(2, []string{"is a library, and no program"}, "get", "runtimes/python/lib")
	tool := filepath.Join(dir, "tool.json")
	write(tool, w.lock.Entry("tool", "1.0.0"))
	w.fails(2, []string{"tool 1.0.0 is no runtime", "leave out --library"}, "install", "--entry", tool, "--registries", registries, "--library", "tool", "--out", filepath.Join(dir, "t"))
	if out := w.must("env"); out == "" {
		t.Error("env prints nothing beside a runtime")
	}
	// Other bytes than the locked ones.
	f := v.Files[pure]
	f.SHA256 = sum256([]byte("other"))
	v.Files[pure] = f
	write(entry, w.lock.Entry("runtimes/python/lib", "1.0"))
	w.fails(5, []string{pure}, install("pure-lib", "other.whl")...)
}

// TestRuntimesFiles: a library of Java is the locked jar, one of Go the folder of its
// module, and one of Rust that of its crate, if they are as the lock describes them.
func TestRuntimesFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	jar := fake.Zip(map[string]string{"a.class": "x"})
	w.registry.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "lib", Version: "1.0", Files: map[string][]byte{".jar": jar}})
	module := fake.Module{Path: "example.com/lib", Version: "v1.0.0", Files: map[string]string{"lib.go": "package lib\n", "sub/data.bin": "7"}}
	w.registry.Module(module)
	zip := module.Zip()
	integrity, gomod := module.Sums()
	made := w.registry.Crate(fake.Crate{Name: "lib", Version: "1.0.0", Files: map[string]string{"src/lib.rs": "//7", "build.rs": "fn main() {}"}})
	described := func(s crate.Spec) map[string]lock.Folder { return map[string]lock.Folder{"lib-1.0.0": {Spec: s}} }
	dir := t.TempDir()
	registries := filepath.Join(dir, "registries.json")
	if err := os.WriteFile(registries, []byte(`{"maven": "`+w.registry.URL+fake.MavenRoot+`", "go": "`+w.registry.GoProxy()+`", "cargo": "`+w.registry.CrateIndex()+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		language string
		key      string
		file     lock.File
		v        *lock.Version
		out      string // a file of the output
		want     string
		wrong    map[string]map[string]lock.Folder // descriptions, by what is said of them
	}{
		{"java", "com.acme/lib-1.0.jar", lock.File{Name: "com.acme:lib", Version: "1.0", SHA256: sum256(jar), Size: int64(len(jar))},
			&lock.Version{Source: lock.Maven, Package: "com.acme:lib", Trust: "registry"}, "", string(jar), nil},
		{"go", "example.com/lib@v1.0.0.zip", lock.File{Name: "example.com/lib", Version: "1.0.0", SHA256: sum256(zip), Size: int64(len(zip)), Integrity: integrity, GoMod: gomod},
			&lock.Version{Source: lock.Go, Package: "example.com/lib", Trust: "registry", Folders: map[string]lock.Folder{"example.com/lib": {Files: []string{"lib.go"}}}}, "example.com/lib@v1.0.0/sub/data.bin", "7",
			map[string]map[string]lock.Folder{"package example.com/lib neither compiles nor embeds sub/data.bin": {"example.com/lib": {Files: []string{"lib.go", "sub/data.bin"}}}}},
		{"rust", made.Name, lock.File{Name: "lib", Version: "1.0.0", SHA256: made.SHA256, Size: made.Size},
			&lock.Version{Source: lock.Cargo, Package: "lib", Trust: "registry", BuildScripts: []string{"lib-1.0.0"}, Folders: described(crate.Spec{Edition: "2021", Script: "build.rs"})}, "lib-1.0.0/src/lib.rs", "//7",
			map[string]map[string]lock.Folder{
				"crate lib-1.0.0 has no file root.rs, which the lock has":    described(crate.Spec{Edition: "2021", Root: "root.rs", Script: "build.rs"}),
				"crate lib-1.0.0 has no file make.rs, which the lock has":    described(crate.Spec{Edition: "2021", Script: "make.rs"}),
				"crate lib-1.0.0 is of edition 2021, and the lock says 2018": described(crate.Spec{Edition: "2018", Script: "build.rs"}),
			}},
	} {
		tt.v.Language, tt.v.Files, tt.v.Platforms = tt.language, map[string]lock.File{tt.key: tt.file}, map[string]lock.Cell{}
		for _, p := range lock.Platforms {
			tt.v.Platforms[p.Name] = lock.Cell{Tree: sum256([]byte("not looked at"))}
		}
		data, err := json.Marshal(&lock.Entry{Name: "runtimes/" + tt.language + "/lib", Version: tt.file.Version, Locked: tt.v})
		if err != nil {
			t.Fatal(err)
		}
		entry, out := filepath.Join(dir, tt.language+".json"), filepath.Join(dir, tt.language)
		if err := os.WriteFile(entry, data, 0o600); err != nil {
			t.Fatal(err)
		}
		w.must("install", "--entry", entry, "--registries", registries, "--library", tt.key, "--out", out)
		if got, err := os.ReadFile(filepath.Join(out, filepath.FromSlash(tt.out))); err != nil || string(got) != tt.want {
			t.Errorf("%s: %v", tt.language, err)
		}
		w.fails(2, []string{`has no library "x"`, "it has " + tt.key}, "install", "--entry", entry, "--registries", registries, "--library", "x", "--out", out+"-x")
		whole, n := tt.v.Folders, 0
		for says, folders := range tt.wrong {
			tt.v.Folders = folders
			other, err := json.Marshal(&lock.Entry{Name: "runtimes/" + tt.language + "/lib", Version: tt.file.Version, Locked: tt.v})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(entry, other, 0o600); err != nil {
				t.Fatal(err)
			}
			n++
			w.fails(3, []string{says, "run: lockgen update runtimes/" + tt.language + "/lib"}, "install", "--entry", entry, "--registries", registries, "--library", tt.key, "--out", fmt.Sprint(out, "-wrong-", n))
		}
		tt.v.Folders = whole
		// Other bytes than the locked ones.
		f := tt.file
		f.SHA256 = sum256([]byte("other"))
		if f.Integrity != "" { // of Go the files count, however they are packed
			f.Integrity = "h1:" + strings.Repeat("ab", 21) + "A="
		}
		tt.v.Files[tt.key] = f
		if data, err = json.Marshal(&lock.Entry{Name: "runtimes/" + tt.language + "/lib", Version: tt.file.Version, Locked: tt.v}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(entry, data, 0o600); err != nil {
			t.Fatal(err)
		}
		w.fails(5, []string{"lib"}, "install", "--entry", entry, "--registries", registries, "--library", tt.key, "--out", out+"-other")
		if _, err := os.Stat(out + "-other"); err == nil {
			t.Errorf("%s: other bytes were written", tt.language)
		}
	}
}
