package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/filestat"
)

// TestRepairInUse: a damaged tree that a process uses is not taken from it; its
// next use makes it anew, also where stat cannot show the damage.
func TestRepairInUse(t *testing.T) {
	s := testStore(t)
	tree, build := treeOf(t, "a", "b/c")
	dir, err := s.Tree(t.Context(), tree, build)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("A"), 0o644); err != nil {
		t.Fatal(err)
	}
	seen, _, err := filestat.Walk(dir)
	if err != nil {
		t.Fatal(err)
	}
	s.remember(tree, seen) // as if the disk had done it
	repair := func() Damage {
		t.Helper()
		v, err := next(t, s).Verify(t.Context(), true, func(int64) {}, func(int64) {})
		if err != nil || len(v.Damaged) != 1 {
			t.Fatalf("%+v, %v", v, err)
		}
		return v.Damaged[0]
	}
	if d := repair(); d.Repaired || !d.InUse {
		t.Errorf("in use: %+v", d)
	}
	if _, err := os.Stat(filepath.Join(dir, "a")); err != nil {
		t.Errorf("taken from who uses it: %v", err)
	}
	built := 0
	again := func(ctx context.Context, dir string) error { built++; return build(ctx, dir) }
	other := next(t, s)
	if _, err := other.Tree(t.Context(), tree, again); err != nil || built != 1 {
		t.Errorf("built %d times, %v", built, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("A"), 0o644); err != nil {
		t.Fatal(err)
	}
	s.Release()
	other.Release()
	if d := repair(); !d.Repaired {
		t.Errorf("free: %+v", d)
	}
}

// TestRecords: every small file that somebody believes, each byte of it flipped,
// is found by Verify, removed, and nothing to who reads it.
func TestRecords(t *testing.T) {
	s := testStore(t)
	tree := mustTree(t, s, "records")
	if err := errors.Join(s.Seal("warm/x.json", 0o644, []byte("{}")), s.Seal("compiled/y", 0o644, []byte("z\n")), s.KeepDocument("k", Document{Body: []byte("b")})); err != nil {
		t.Fatal(err)
	}
	check := func(repair bool) []Damage {
		t.Helper()
		v, err := s.Verify(t.Context(), repair, func(int64) {}, func(int64) {})
		if err != nil || v.Records != 4 && !repair {
			t.Fatalf("%+v, %v", v, err)
		}
		return v.Damaged
	}
	if d := check(false); len(d) != 0 {
		t.Fatalf("sound: %+v", d)
	}
	flips := 0
	for _, name := range []string{"warm/x.json", "compiled/y", document("k"), "trees/" + tree + ".ok", "trees/" + tree + ".seen"} {
		good, err := os.ReadFile(s.path(name))
		if err != nil {
			t.Fatal(err)
		}
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			if err := os.WriteFile(s.path(name), bad, 0o644); err != nil {
				t.Fatal(err)
			}
			flips++
			// The size in a list is advice, and may be flipped into another number.
			if d := check(false); len(d) != 1 && !strings.HasSuffix(name, ".ok") || len(d) == 1 && d[0].Path != s.path(name) {
				t.Fatalf("%s, byte %d: %+v", name, i, d)
			}
			if s.Unchanged(tree) && strings.HasPrefix(name, "trees") {
				t.Errorf("%s, byte %d: the tree is taken", name, i)
			}
		}
		if d := check(true); len(d) != 1 || !d[0].Repaired {
			t.Errorf("%s: %+v", name, d)
		}
		if err := os.WriteFile(s.path(name), good, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d flips", flips)
}

// TestGoBuild: what is damaged in Go's build cache is found by Verify, and gone
// before Go is given the folder.
func TestGoBuild(t *testing.T) {
	s := testStore(t)
	sum := func(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }
	put := func(name, text string) string {
		t.Helper()
		name = s.path("go-build", filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
		return name
	}
	output := func(text, really string) string { return put(sum(text)[:2]+"/"+sum(text)+"-d", really) }
	keep := []string{output("one", "one"), output("", ""), put("00/"+sum("act")+"-a", "v1 …"), put("README", "x"), put("trim.txt", "1"),
		put(sum("program")[:2]+"/"+sum("program")+"-d/tool", "program")}
	spoil := func() []string {
		return []string{output("two", "twO"), output("three", "thre"), output("four", ""), put(sum("five")[:2]+"/"+sum("five")+"-d/tool", "Five"), put("fe", "")}
	}
	bad := spoil()
	if runtime.GOOS != "windows" {
		link := output("six", "six")
		if err := errors.Join(os.Remove(link), os.Symlink("one", link)); err != nil {
			t.Fatal(err)
		}
		bad = append(bad, link)
	}
	for _, repair := range []bool{false, true} {
		v, err := s.Verify(t.Context(), repair, func(int64) {}, func(int64) {})
		if err != nil || len(v.Damaged) != len(bad) || v.Builds != len(bad)-1+3 {
			t.Fatalf("repair %v: %+v, %v", repair, v, err)
		}
		for _, d := range v.Damaged {
			if d.Kind != "build cache" || d.Repaired != repair {
				t.Errorf("%+v", d)
			}
		}
	}
	bad = spoil()
	user := next(t, s)
	dir, err := user.GoBuild(t.Context())
	if err != nil || dir != s.path("go-build") {
		t.Fatal(dir, err)
	}
	for _, name := range keep {
		if _, err := os.Lstat(name); err != nil {
			t.Errorf("lost: %v", err)
		}
	}
	for _, name := range bad {
		if _, err := os.Lstat(name); err == nil {
			t.Errorf("left %s", name)
		}
	}
	user.Release()
	// A file in its place is no folder.
	if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := next(t, s).GoBuild(t.Context()); err != nil {
		t.Error(err)
	}
}
