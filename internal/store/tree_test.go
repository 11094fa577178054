package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestTreeFormat pins the format of `tree` by an example worked out by hand.
func TestTreeFormat(t *testing.T) {
	lines := "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 x bin/run\n" +
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 - lib-a\n" +
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 - lib/é\n"
	sum := sha256.Sum256([]byte(lines))
	want := hex.EncodeToString(sum[:])
	hello, empty := sha256.Sum256([]byte("hello")), sha256.Sum256(nil)
	files := []TreeFile{{"lib/é", false, 0, empty}, {"bin/run", true, 5, hello}, {"lib-a", false, 0, empty}}
	before := slices.Clone(files)
	got, err := TreeHash(files)
	if got != want || err != nil {
		t.Errorf("got %s, %v, expected %s", got, err, want)
	}
	if !slices.Equal(files, before) {
		t.Error("TreeHash changed its argument")
	}
	dir := t.TempDir()
	os.MkdirAll(filepath.Join(dir, "bin"), 0o755)
	os.MkdirAll(filepath.Join(dir, "lib", "empty"), 0o755)
	for _, f := range files {
		content, perm := "", fs.FileMode(0o600)
		if f.Exec {
			content, perm = "hello", 0o700
		}
		if err := os.WriteFile(filepath.Join(dir, f.Path), []byte(content), perm); err != nil {
			t.Fatal(err)
		}
	}
	list, err := HashDir(context.Background(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "windows" {
		list[0].Exec = true
	}
	if got, err := TreeHash(list); got != want || err != nil {
		t.Errorf("HashDir: %v hashes to %s, %v", list, got, err)
	}

	for _, tt := range []struct {
		paths []string
		want  string
	}{
		{[]string{"a", "a"}, `"a" is there twice`},
		{[]string{"a", "b", "A"}, `falls together with "a"`},
		{[]string{"a", "a/b"}, `both a file and a folder`},
		{[]string{"../a"}, `unsafe entry "../a"`},
		{[]string{""}, `path is empty`},
	} {
		var files []TreeFile
		for _, p := range tt.paths {
			files = append(files, TreeFile{Path: p})
		}
		if _, err := TreeHash(files); fault.Of(err) != fault.Integrity || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v", tt.paths, err)
		}
	}
}

func TestHashDir(t *testing.T) {
	ctx := context.Background()
	dir := tempDirWith(t, "a", "b/c", ".bin/x", "node_modules/.package-lock.json")
	files, err := HashDir(ctx, dir, func(p string) bool { return p == ".bin" || strings.HasSuffix(p, ".package-lock.json") })
	if err != nil || len(files) != 2 || files[0].Path != "a" || files[1].Path != "b/c" || files[1].Size != 3 || files[1].SHA256 != sha256.Sum256([]byte("b/c")) {
		t.Errorf("got %v, %v", files, err)
	}
	if _, err := HashDir(ctx, filepath.Join(dir, "missing"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := HashDir(ctx, filepath.Join(dir, "a"), nil); fault.Of(err) != fault.Integrity {
		t.Errorf("a file: %v", err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := HashDir(cancelled, dir, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.Symlink("a", filepath.Join(dir, "l")); err != nil {
		t.Fatal(err)
	}
	if _, err := HashDir(ctx, dir, nil); fault.Of(err) != fault.Integrity || !strings.Contains(err.Error(), filepath.Join(dir, "l")+": a symbolic link is not allowed") {
		t.Errorf("symlink: %v", err)
	}
	if _, err := CopyTree(ctx, dir, filepath.Join(t.TempDir(), "out")); fault.Of(err) != fault.Integrity {
		t.Errorf("copying a symlink: %v", err)
	}
	if _, err := HashDir(ctx, dir, func(p string) bool { return p == "l" }); err != nil {
		t.Errorf("ignored symlink: %v", err)
	}
}

func TestCopyTree(t *testing.T) {
	ctx := context.Background()
	src := tempDirWith(t, "a", "b/c/d", "bin/run")
	os.Chmod(filepath.Join(src, "a"), 0o400)
	os.Chmod(filepath.Join(src, "bin", "run"), 0o700)
	dst := filepath.Join(t.TempDir(), "new", "out")
	if _, err := CopyTree(ctx, src, dst); err != nil {
		t.Fatal(err)
	}
	want, err := HashDir(ctx, src, nil)
	if err != nil || len(want) != 3 {
		t.Fatal(want, err)
	}
	got, err := HashDir(ctx, dst, nil)
	if err != nil || Diff(want, got) != "" {
		t.Errorf("copy differs: %s, %v", Diff(want, got), err)
	}
	for _, f := range got {
		a, _ := os.Stat(filepath.Join(src, f.Path))
		b, _ := os.Stat(filepath.Join(dst, f.Path))
		if os.SameFile(a, b) {
			t.Errorf("%s is a hard link", f.Path)
		}
		if b.Mode().Perm()&0o600 != 0o600 {
			t.Errorf("%s has mode %v", f.Path, b.Mode())
		}
	}
	if _, err := CopyTree(ctx, src, dst); fault.Of(err) != fault.Machine || !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another: %v", err)
	}
	if _, err := CopyTree(ctx, filepath.Join(src, "missing"), dst); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

func TestDiff(t *testing.T) {
	f := func(p string, x bool, c string) TreeFile {
		return TreeFile{p, x, int64(len(c)), sha256.Sum256([]byte(c))}
	}
	got := Diff([]TreeFile{f("a", true, ""), f("b", false, "1"), f("c", false, ""), f("same", true, "")},
		[]TreeFile{f("a", false, ""), f("b", false, "2"), f("d", false, ""), f("same", true, "")})
	for _, want := range []string{`"a" has executable bit -, expected x`, `"b" has other bytes (sha256 d4735e3a`, `"c" is missing`, `"d" is too many`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s: expected %s in it", got, want)
		}
	}
	if strings.Contains(got, "same") {
		t.Error(got)
	}
	var many []TreeFile
	for i := range 20 {
		many = append(many, f(fmt.Sprint(i), false, ""))
	}
	if got := Diff(nil, many); !strings.HasSuffix(got, "and 15 more") {
		t.Error(got)
	}
}

// treeOf returns the digest of files that hold their own names, and a builder.
func treeOf(t *testing.T, paths ...string) (string, func(context.Context, string) error) {
	t.Helper()
	var files []TreeFile
	for _, p := range paths {
		files = append(files, TreeFile{p, false, int64(len(p)), sha256.Sum256([]byte(p))})
	}
	tree, err := TreeHash(files)
	if err != nil {
		t.Fatal(err)
	}
	return tree, func(_ context.Context, dir string) error {
		for _, p := range paths {
			name := filepath.Join(dir, filepath.FromSlash(p))
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(name, []byte(p), 0o644); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestTree(t *testing.T) {
	ctx := context.Background()
	s := testStore(t)
	tree, build := treeOf(t, "a", "b/c", "b/d/e")
	never := func(context.Context, string) error {
		t.Error("built again")
		return errors.New("built again")
	}

	dir, err := s.Tree(ctx, tree, build)
	if err != nil {
		t.Fatal(err)
	}
	if files, err := HashDir(ctx, dir, nil); err != nil || len(files) != 3 || dir != s.path("trees", tree) {
		t.Errorf("%s holds %v, %v", dir, files, err)
	}
	if again, err := s.Tree(ctx, tree, never); again != dir || err != nil {
		t.Errorf("again: %s, %v", again, err)
	}
	if !s.Unchanged(tree) {
		t.Error("a new tree would be hashed again")
	}
	// Looking changes nothing.
	before, _ := os.Stat(dir + ".seen")
	if _, err := s.Tree(ctx, tree, never); err != nil {
		t.Error(err)
	}
	if after, err := os.Stat(dir + ".seen"); err != nil || !os.SameFile(before, after) {
		t.Errorf("a warm tree was hashed again: %v", err)
	}

	// Every change is found and healed.
	for _, tt := range []struct {
		what string
		do   func() error
	}{
		{"changed file", func() error { return os.WriteFile(filepath.Join(dir, "a"), []byte("A"), 0o644) }},
		{"longer file", func() error { return os.WriteFile(filepath.Join(dir, "a"), []byte("aa"), 0o644) }},
		{"emptied file", func() error { return os.Truncate(filepath.Join(dir, "b", "c"), 0) }},
		{"deleted file", func() error { return os.Remove(filepath.Join(dir, "a")) }},
		{"deleted folder", func() error { return os.RemoveAll(filepath.Join(dir, "b", "d")) }},
		{"deleted tree", func() error { return os.RemoveAll(dir) }},
		{"extra file", func() error { return os.WriteFile(filepath.Join(dir, "b", "d", "x"), nil, 0o644) }},
		{"file became a folder", func() error {
			os.Remove(filepath.Join(dir, "a"))
			return os.Mkdir(filepath.Join(dir, "a"), 0o755)
		}},
		{"folder became a file", func() error {
			os.RemoveAll(filepath.Join(dir, "b"))
			return os.WriteFile(filepath.Join(dir, "b"), nil, 0o644)
		}},
		{"tree became a file", func() error { os.RemoveAll(dir); return os.WriteFile(dir, nil, 0o644) }},
		{"executable", func() error { return os.Chmod(filepath.Join(dir, "a"), 0o755) }},
		{"symlink", func() error {
			os.Remove(filepath.Join(dir, "a"))
			return os.Symlink("b/c", filepath.Join(dir, "a"))
		}},
		{"stamp of another tree", func() error {
			return errors.Join(os.WriteFile(dir+".ok", []byte("x"), 0o644), os.WriteFile(filepath.Join(dir, "a"), []byte("A"), 0o644))
		}},
		{"changed with its times set back", func() error {
			info, err := os.Stat(filepath.Join(dir, "a"))
			return errors.Join(err, os.WriteFile(filepath.Join(dir, "a"), []byte("A"), 0o644), os.Chtimes(filepath.Join(dir, "a"), info.ModTime(), info.ModTime()))
		}},
		{"stamp is a folder", func() error {
			return errors.Join(os.Remove(dir+".ok"), os.Mkdir(dir+".ok", 0o755), os.WriteFile(filepath.Join(dir, "a"), []byte("A"), 0o644))
		}},
	} {
		if runtime.GOOS == "windows" && (tt.what == "executable" || tt.what == "symlink" || strings.HasPrefix(tt.what, "changed with")) {
			continue
		}
		if err := tt.do(); err != nil {
			t.Fatal(tt.what, err)
		}
		built := 0
		got, err := s.Tree(ctx, tree, func(ctx context.Context, dir string) error { built++; return build(ctx, dir) })
		if err != nil || got != dir || built != 1 {
			t.Errorf("%s: built %d times, %v", tt.what, built, err)
		}
		if hash, err := TreeHash(mustHash(t, dir)); hash != tree || err != nil {
			t.Errorf("%s: healed to %s, %v", tt.what, hash, err)
		}
	}
	// Sound, but stat says something else, or what it said is not known: hashed,
	// kept, and known again.
	for what, do := range map[string]func() error{
		"list lost":     func() error { return os.Remove(dir + ".ok") },
		"list changed":  func() error { return os.WriteFile(dir+".ok", []byte("x"), 0o644) },
		"sights lost":   func() error { return os.Remove(dir + ".seen") },
		"sights cut":    func() error { return os.Truncate(dir+".seen", 100) },
		"touched":       func() error { return os.Chtimes(filepath.Join(dir, "a"), time.Time{}, time.Now().Add(time.Hour)) },
		"empty folder":  func() error { return os.Mkdir(filepath.Join(dir, "none"), 0o755) },
		"another inode": func() error { return other(dir) },
	} {
		if err := do(); err != nil {
			t.Fatal(what, err)
		}
		if s.Unchanged(tree) {
			t.Errorf("%s: taken without looking", what)
		}
		if _, err := s.Tree(ctx, tree, never); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := s.stamp(tree); !s.Unchanged(tree) || err != nil {
			t.Errorf("%s: it would be hashed again (%v)", what, err)
		}
	}
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// other makes a copy of a folder take its place.
func other(dir string) error {
	_, err := CopyTree(context.Background(), dir, dir+"-copy")
	return errors.Join(err, os.RemoveAll(dir), os.Rename(dir+"-copy", dir))
}

func mustHash(t *testing.T, dir string) []TreeFile {
	t.Helper()
	files, err := HashDir(context.Background(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestTreeRefused(t *testing.T) {
	ctx := context.Background()
	s := testStore(t)
	tree, build := treeOf(t, "a", "b")
	_, wrong := treeOf(t, "a", "c")
	broken := errors.New("npm is broken")
	for _, tt := range []struct {
		what  string
		build func(context.Context, string) error
		class fault.Class
		text  string
	}{
		{"wrong", wrong, fault.Integrity, "wrong tree: got "},
		{"empty", func(context.Context, string) error { return nil }, fault.Integrity, "(0 files, 0 bytes), expected " + tree},
		{"broken", func(context.Context, string) error { return broken }, fault.Internal, broken.Error()},
		{"case", func(ctx context.Context, dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "x"), nil, 0o644), os.WriteFile(filepath.Join(dir, "X"), nil, 0o644))
		}, fault.Integrity, ""},
	} {
		_, err := s.Tree(ctx, tree, tt.build)
		if fault.Of(err) != tt.class || !strings.Contains(fmt.Sprint(err), tt.text) {
			t.Errorf("%s: %v", tt.what, err)
		}
		if _, err := os.Lstat(s.path("trees", tree)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: published", tt.what)
		}
		if left := leftovers(t, s); len(left) > 0 {
			t.Errorf("%s: left %v", tt.what, left)
		}
	}
	if _, err := s.Tree(ctx, "../x", build); fault.Of(err) != fault.Internal {
		t.Errorf("bad digest: %v", err)
	}
	// When the list of a lost tree is known, the message says what differs.
	dir, err := s.Tree(ctx, tree, build)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Tree(ctx, tree, wrong); err == nil || !strings.Contains(err.Error(), `"b" is missing; "c" is too many`) {
		t.Errorf("known list: %v", err)
	}
}

// TestExecList covers what file systems without an executable bit need.
func TestExecList(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	files := []TreeFile{{Path: "a"}, {Path: "bin/b", Exec: true}}
	if err := appendExec(dir, files); err != nil {
		t.Fatal(err)
	}
	if err := appendExec(dir, []TreeFile{{Path: "c", Exec: true}, {Path: "d"}}); err != nil {
		t.Fatal(err)
	}
	got := []TreeFile{{Path: "a", Exec: true}, {Path: "bin/b"}, {Path: "c"}, {Path: "d"}}
	if err := readExec(dir, got); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, true, false} {
		if got[i].Exec != want {
			t.Errorf("%s: executable %v", got[i].Path, got[i].Exec)
		}
	}
	if err := readExec(filepath.Join(dir, "none"), got); err != nil || !got[1].Exec {
		t.Errorf("no list: %v, %v", got, err)
	}
}
