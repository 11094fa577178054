package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// treeOf returns the digest of files that hold their own names, and a builder.
func treeOf(t *testing.T, paths ...string) (string, func(context.Context, string) error) {
	t.Helper()
	var files []archive.File
	for _, p := range paths {
		files = append(files, archive.File{Path: p, Size: int64(len(p)), SHA256: sha256.Sum256([]byte(p))})
	}
	tree, err := archive.TreeHash(files)
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

// A builtTree is a tree of three files in a store.
type builtTree struct {
	*Store
	tree, dir string
	build     func(context.Context, string) error
	never     func(context.Context, string) error // in the place of build, where it is not called
}

func newBuiltTree(t *testing.T) *builtTree {
	t.Helper()
	b := &builtTree{Store: testStore(t), never: func(context.Context, string) error {
		t.Error("built again")
		return errors.New("built again")
	}}
	b.tree, b.build = treeOf(t, "a", "b/c", "b/d/e")
	var err error
	if b.dir, err = b.Tree(t.Context(), b.tree, b.build); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestTree: a tree is built once.
func TestTree(t *testing.T) {
	ctx := context.Background()
	s := newBuiltTree(t)
	tree, dir, never := s.tree, s.dir, s.never
	if files, err := archive.HashDir(ctx, dir, nil); err != nil || len(files) != 3 || dir != s.path("trees", tree) {
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
}

// TestTreeHealed: every change of a tree is found and healed.
func TestTreeHealed(t *testing.T) {
	ctx := context.Background()
	s := newBuiltTree(t)
	tree, dir := s.tree, s.dir
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
		got, err := s.Tree(ctx, tree, func(ctx context.Context, dir string) error { built++; return s.build(ctx, dir) })
		if err != nil || got != dir || built != 1 {
			t.Errorf("%s: built %d times, %v", tt.what, built, err)
		}
		files, err := archive.HashDir(ctx, dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		if hash, err := archive.TreeHash(files); hash != tree || err != nil {
			t.Errorf("%s: healed to %s, %v", tt.what, hash, err)
		}
	}
	if left := leftovers(t, s.Store); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// TestTreeHashed: a tree that is sound, but stat says something else of it, or what it said
// is not known, is hashed, kept, and known again.
func TestTreeHashed(t *testing.T) {
	ctx := context.Background()
	s := newBuiltTree(t)
	tree, dir, never := s.tree, s.dir, s.never
	for what, do := range map[string]func() error{
		"list lost":     func() error { return os.Remove(dir + ".ok") },
		"list changed":  func() error { return os.WriteFile(dir+".ok", []byte("x"), 0o644) },
		"record lost":   func() error { return os.Remove(dir + ".seen") },
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
	if left := leftovers(t, s.Store); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// other makes a copy of a folder take its place.
func other(dir string) error {
	_, err := archive.CopyTree(context.Background(), dir, dir+"-copy")
	return errors.Join(err, os.RemoveAll(dir), os.Rename(dir+"-copy", dir))
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
	if _, err := s.Tree(ctx, tree, wrong); err == nil || !strings.Contains(err.Error(), `"b" is missing; "c" is not expected`) {
		t.Errorf("known list: %v", err)
	}
}
