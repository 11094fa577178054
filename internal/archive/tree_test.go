package archive

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
	files := []File{{"lib/é", false, 0, empty}, {"bin/run", true, 5, hello}, {"lib-a", false, 0, empty}}
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
		{[]string{"a", "a"}, `"a" appears twice`},
		{[]string{"a", "b", "A"}, `collides with "a"`},
		{[]string{"a", "a/b"}, `both a file and a folder`},
		{[]string{"../a"}, `unsafe entry "../a"`},
		{[]string{""}, `path is empty`},
	} {
		var files []File
		for _, p := range tt.paths {
			files = append(files, File{Path: p})
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
	f := func(p string, x bool, c string) File {
		return File{p, x, int64(len(c)), sha256.Sum256([]byte(c))}
	}
	got := Diff([]File{f("a", true, ""), f("b", false, "1"), f("c", false, ""), f("same", true, "")},
		[]File{f("a", false, ""), f("b", false, "2"), f("d", false, ""), f("same", true, "")})
	for _, want := range []string{`"a" has executable bit -, expected x`, `"b" has other bytes (sha256 d4735e3a`, `"c" is missing`, `"d" is not expected`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s: expected %s in it", got, want)
		}
	}
	if strings.Contains(got, "same") {
		t.Error(got)
	}
	var many []File
	for i := range 20 {
		many = append(many, f(fmt.Sprint(i), false, ""))
	}
	if got := Diff(nil, many); !strings.HasSuffix(got, "and 15 more") {
		t.Error(got)
	}
}

func mustHash(t *testing.T, dir string) []File {
	t.Helper()
	files, err := HashDir(context.Background(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestExecList covers what file systems without an executable bit need.
func TestExecList(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tree")
	files := []File{{Path: "a"}, {Path: "bin/b", Exec: true}}
	if err := appendExec(dir, files); err != nil {
		t.Fatal(err)
	}
	if err := appendExec(dir, []File{{Path: "c", Exec: true}, {Path: "d"}}); err != nil {
		t.Fatal(err)
	}
	got := []File{{Path: "a", Exec: true}, {Path: "bin/b"}, {Path: "c"}, {Path: "d"}}
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
