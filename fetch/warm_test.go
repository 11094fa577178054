package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/filestat"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// wide locks a plugin of some files in some folders, installs it, and returns its
// executable and its folder.
func (w *world) wide() (program, tree string) {
	w.Helper()
	files := map[string]string{"bin/wide": "#!/bin/sh\necho wide\n"}
	for i := range 24 {
		files[fmt.Sprintf("lib/p%d/q%d/f%d.txt", i%3, i%6, i)] = strings.Repeat(fmt.Sprint(i), 50)
	}
	wheel := w.registry.Wheel(fake.Wheel{Name: "wide", Version: "1.0.0", Files: files, Exec: []string{"bin/wide"}})
	w.add("wide", "1.0.0", lock.Version{Source: lock.Pip, Package: "wide"}, "bin/wide", map[string]fake.Artifact{wheel.Name: wheel}, nil)
	w.write()
	program = w.must("get", "wide")
	return program, filepath.Dir(filepath.Dir(program))
}

// isTree reports whether a folder has the digest that it is called by.
func isTree(t *testing.T, dir, want string) bool {
	t.Helper()
	files, err := archive.HashDir(t.Context(), dir, nil)
	if err != nil {
		return false
	}
	got, err := archive.TreeHash(files)
	return err == nil && got == want
}

// full is a count for the full suite, else a tenth of it.
func full(n int) int { return testenv.Count(n/10, n) }

// TestWarmRecord: no flipped bit of what a warm start believes gives another
// path, or none.
func TestWarmRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	want := w.must("get", "tool")
	names, err := filepath.Glob(filepath.Join(w.cache, "warm", "*.json"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	good, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	tried, wrong := 0, 0
	for i := 0; i < len(good); i += testenv.Brief(29, testenv.Count(7, 1)) {
		tried++
		bad := bytes.Clone(good)
		bad[i] ^= 1 << (i % 8)
		if err := os.WriteFile(names[0], bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if status, stdout, stderr := w.fetch("get", "tool"); status != 0 || stdout != want+"\n" {
			wrong++
			t.Errorf("byte %d of %q: %d %q %s", i, good, status, stdout, stderr)
		}
	}
	testenv.Held(t, "one bit of the record of a warm start flipped: the same path", "", tried, tried-wrong)
}

// TestWarmTree: whatever stat can see of a damaged tree is seen, in whichever
// file or folder, also where the times of modification were set back; and one run
// makes it good.
func TestWarmTree(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "changes a folder of many files in every way")
	w := newWorld(t)
	program, tree := w.wide()
	random := rand.New(rand.NewSource(11))
	var files, folders []string
	if err := filepath.WalkDir(tree, func(name string, d fs.DirEntry, err error) error {
		if d.IsDir() && name != tree {
			folders = append(folders, name)
		} else if !d.IsDir() {
			files = append(files, name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	// keeping runs do and sets the times of a file, and of its folder, back.
	keeping := func(name string, do func() error) error {
		dir := filepath.Dir(name)
		of, err1 := os.Stat(name)
		above, err2 := os.Stat(dir)
		if err := errors.Join(err1, err2, do()); err != nil {
			return err
		}
		os.Chtimes(name, of.ModTime(), of.ModTime()) // unless it is gone
		return os.Chtimes(dir, above.ModTime(), above.ModTime())
	}
	write := func(name string, change func([]byte) []byte) error {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(change(data))
		return errors.Join(err, f.Close())
	}
	ofFiles := map[string]func(name string) error{
		"flipped":   func(name string) error { return write(name, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }) },
		"truncated": func(name string) error { return os.Truncate(name, 3) },
		"longer":    func(name string) error { return write(name, func(b []byte) []byte { return append(b, 'x') }) },
		"deleted":   os.Remove,
		"replaced": func(name string) error {
			return errors.Join(os.WriteFile(name+"~", []byte("other"), 0o755), os.Rename(name+"~", name))
		},
		"mode": func(name string) error {
			info, err := os.Stat(name)
			return errors.Join(err, os.Chmod(name, info.Mode()^0o111))
		},
	}
	ofFolders := map[string]func(name string) error{
		"deleted": os.RemoveAll,
		"emptied": func(name string) error { return errors.Join(os.RemoveAll(name), os.Mkdir(name, 0o755)) },
		"more":    func(name string) error { return os.WriteFile(filepath.Join(name, "more"), nil, 0o644) },
		"a link": func(name string) error {
			return errors.Join(os.Rename(name, filepath.Join(w.dir, "moved")), os.Symlink(filepath.Join(w.dir, "moved"), name))
		},
	}
	accepted, tried := 0, 0
	try := func(names []string, damages map[string]func(string) error, n int) {
		for n > 0 {
			for what, do := range damages {
				if n--; n < 0 {
					return
				}
				name := names[random.Intn(len(names))]
				if err := keeping(name, func() error { return do(name) }); err != nil {
					t.Fatal(what, err)
				}
				tried++
				if status, stdout, stderr := w.fetch("get", "wide"); status != 0 || stdout != program+"\n" || !isTree(t, tree, filepath.Base(tree)) {
					accepted++
					t.Errorf("%s %s: %d %q %s", name, what, status, stdout, stderr)
				}
				os.RemoveAll(filepath.Join(w.dir, "moved"))
			}
		}
	}
	try(files, ofFiles, full(300))
	try(folders, ofFolders, full(62))
	testenv.Held(t, "a file or folder of an installed plugin changed, as stat can see: the next fetch get repairs it", "", tried, tried-accepted)
}

// disguise makes what the cache remembers of a tree what stat says of it now, as
// if a disk had damaged it behind the back of the file system.
func disguise(t *testing.T, tree string) {
	t.Helper()
	name := tree + ".seen"
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	body := data[:len(data)-4]
	at := 0
	length := func() int { at += 4; return int(binary.LittleEndian.Uint32(body[at-4:])) }
	text := func() string { n := length(); at += n; return string(body[at-n : at]) }
	for at < len(body) {
		folder := text()
		for end := length() + at; at < end; {
			id, err := filestat.Stat(filepath.Join(tree, folder, strings.TrimSuffix(text(), "\x00")))
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range id {
				binary.LittleEndian.PutUint64(body[at:], uint64(v))
				at += 8
			}
		}
	}
	sum := crc32.Checksum(append([]byte("sights 3\n"+filepath.Base(tree)), body...), crc32.MakeTable(crc32.Castagnoli))
	if err := os.WriteFile(name, binary.LittleEndian.AppendUint32(body, sum), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestInstallDamaged: a folder that goes out has the locked tree, whatever the
// cache believes of its own.
func TestInstallDamaged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	program, tree := w.wide()
	entry := w.entry("wide", "1.0.0")
	registries := filepath.Join(t.TempDir(), "registries.json")
	if err := os.WriteFile(registries, fmt.Appendf(nil, `{"pip": %q}`, w.registry.URL+"/simple"), 0o600); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(tree, "lib", "*", "*", "*.txt"))
	if err != nil || len(names) != 24 {
		t.Fatal(names, err)
	}
	wrong, tried := 0, full(40)
	for i := range tried {
		if err := os.WriteFile(names[i%len(names)], []byte("other"), 0o644); err != nil {
			t.Fatal(err)
		}
		disguise(t, tree)
		if got := w.must("get", "wide"); got != program || isTree(t, tree, filepath.Base(tree)) {
			t.Fatal("stat shows the damage after all")
		}
		out := filepath.Join(t.TempDir(), "out")
		status, _, stderr := w.fetch("install", "--entry", entry, "--registries", registries, "--out", out)
		if status != 0 || !isTree(t, out, filepath.Base(tree)) {
			wrong++
			t.Errorf("%s: %d %s", names[i%len(names)], status, stderr)
		}
		if !isTree(t, tree, filepath.Base(tree)) {
			t.Error("the cache was not repaired")
		}
	}
	testenv.Held(t, "the cache changed as no stat can see: fetch install gives out the locked folder", "", tried, tried-wrong)
}

// TestCopiedCache: a cache that was copied, or restored from a backup, is hashed
// once and then warm; so is one that was moved, but for paths.
func TestCopiedCache(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, tree := w.wide()
	w.registry.Forget()
	old := w.cache
	w.cache = filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(w.cache, os.DirFS(old)); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(w.cache)
	if err != nil {
		t.Fatal(err)
	}
	if s.Unchanged(filepath.Base(tree)) {
		t.Error("a copy is taken without looking")
	}
	// The first makes the tree known, the second might then believe the memory that
	// was copied, which leads to the other cache.
	for _, spec := range []string{"wide@1.0.0", "wide"} {
		if got := w.must("get", spec, "--offline"); !strings.HasPrefix(got, w.cache) {
			t.Errorf("%s: got %s", spec, got)
		}
	}
	if !s.Unchanged(filepath.Base(tree)) || len(w.registry.Requests("")) != 0 {
		t.Error("not known again, or asked for")
	}
}
