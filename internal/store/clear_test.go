package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// leaf is a tree of three files whose content begins with body.
func leaf(body string) (tree string, build func(context.Context, string) error) {
	files := map[string]string{"a": body, "sub/b": strings.Repeat(body, 3000), "sub/c": body + "c"}
	var list []archive.File
	for name, text := range files {
		list = append(list, archive.File{Path: name, Size: int64(len(text)), SHA256: sha256.Sum256([]byte(text))})
	}
	tree, err := archive.TreeHash(list)
	if err != nil {
		panic(err)
	}
	return tree, func(_ context.Context, dir string) error {
		if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
			return err
		}
		for name, text := range files {
			if err := os.WriteFile(filepath.Join(dir, filepath.FromSlash(name)), []byte(text), 0o644); err != nil {
				return err
			}
		}
		return nil
	}
}

func mustTree(t *testing.T, s *Store, body string) (tree string) {
	t.Helper()
	tree, build := leaf(body)
	if _, err := s.Tree(t.Context(), tree, build); err != nil {
		t.Fatal(err)
	}
	return tree
}

func mustBlob(t *testing.T, s *Store, text string) Digest {
	t.Helper()
	if err := s.AddBlob(t.Context(), digestOf(text), give(text)); err != nil {
		t.Fatal(err)
	}
	return digestOf(text)
}

// next is the store as another process opens it: it holds nothing.
func next(t *testing.T, s *Store) *Store {
	t.Helper()
	other, err := Open(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// age makes everything in the store look as if it was last used that long ago.
func age(t *testing.T, s *Store, by time.Duration) {
	t.Helper()
	old := time.Now().Add(-by)
	n := 0
	for _, pattern := range []string{"locks/use-*", "blobs/sha256/*/*"} {
		names, _ := filepath.Glob(s.path(filepath.FromSlash(pattern)))
		for _, name := range names {
			n++
			if err := os.Chtimes(name, old, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	if n == 0 {
		t.Fatal("nothing to age")
	}
}

// du is what the disk gives to a folder.
func du(t *testing.T, dir string) int64 {
	t.Helper()
	out, err := exec.Command("du", "-s", "--block-size=1", dir).Output()
	if err != nil {
		t.Skip("skipped: no du that counts bytes:", err)
	}
	n, err := strconv.ParseInt(strings.Fields(string(out))[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// An agedStore has what was not used for a month, and what was used just now.
type agedStore struct {
	*Store
	oldTree, youngTree         string
	oldBlob, linked, youngBlob Digest
	outside                    string // a second link to the blob linked, which is old
}

func newAgedStore(t *testing.T) *agedStore {
	t.Helper()
	s := &agedStore{Store: testStore(t), outside: filepath.Join(t.TempDir(), "link")}
	s.oldTree, s.oldBlob = mustTree(t, s.Store, "old"), mustBlob(t, s.Store, strings.Repeat("old", 5000))
	s.linked = mustBlob(t, s.Store, strings.Repeat("linked", 5000))
	if _, err := s.GoBuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.path("go-build", "x"), make([]byte, 9000), 0o644); err != nil {
		t.Fatal(err)
	}
	// A launcher of a tree that goes, and one of a tree that stays.
	s.youngTree, _ = leaf("young")
	for name, tree := range map[string]string{"old": s.oldTree, "young": s.youngTree} {
		name = s.path("launchers", name, "x")
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("exec '"+s.path("trees", tree, "a")+"'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := s.Seal("compiled/"+tree, 0o644, []byte(tree+"\n")); err != nil {
			t.Fatal(err)
		}
	}
	s.Release()
	age(t, s.Store, 31*24*time.Hour)
	s.youngBlob = mustBlob(t, s.Store, "young")
	mustTree(t, s.Store, "young")
	s.Release()
	if err := os.Link(s.blobPath(s.linked), s.outside); err != nil {
		t.Skip("skipped: no hard links here:", err)
	}
	return s
}

// names lists everything in the cache.
func (s *agedStore) names() (names []string) {
	filepath.WalkDir(s.Dir(), func(name string, _ fs.DirEntry, _ error) error {
		names = append(names, name)
		return nil
	})
	return names
}

func TestClear(t *testing.T) {
	s := newAgedStore(t)
	ctx := t.Context()
	before := s.names()
	dry, err := next(t, s.Store).Clear(ctx, 30*24*time.Hour, true)
	if err != nil {
		t.Fatal(err)
	}
	if after := s.names(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("a dry run changed the cache:\n%v\n%v", before, after)
	}
	// What is too young for the age is kept, whatever it is.
	if none, err := next(t, s.Store).Clear(ctx, 32*24*time.Hour, true); err != nil || none.Blobs+none.Trees != 0 || none.Freed != 0 || none.KeptTrees != 2 || none.KeptBlobs != 3 {
		t.Errorf("32 days: %+v, %v", none, err)
	}
	var size int64
	if runtime.GOOS != "windows" {
		size = du(t, s.Dir())
	}
	got, err := next(t, s.Store).Clear(ctx, 30*24*time.Hour, false)
	if err != nil {
		t.Fatal(err)
	}
	if got != dry {
		t.Errorf("a dry run said %+v, the real one %+v", dry, got)
	}
	if got.Blobs != 2 || got.Trees != 1 || got.KeptBlobs != 1 || got.KeptTrees != 1 || got.InUse != 0 {
		t.Errorf("got %+v", got)
	}
	if runtime.GOOS != "windows" {
		if freed := size - du(t, s.Dir()) - du(t, s.outside); freed != got.Freed {
			t.Errorf("du says %d bytes were freed, we say %d", freed, got.Freed)
		}
	}
	if want := int64(3 + 9000 + 4 + 15000 + 30000 + 9000); got.Size < want {
		t.Errorf("%d bytes of files, want more than %d", got.Size, want)
	}
	for name, there := range map[string]bool{
		s.path("trees", s.oldTree): false, s.path("trees", s.oldTree+".ok"): false, s.path("trees", s.youngTree): true,
		s.blobPath(s.oldBlob): false, s.blobPath(s.linked): false, s.blobPath(s.youngBlob): true,
		s.path("compiled", s.oldTree): false, s.path("compiled", s.youngTree): true,
		s.path("go-build"): false, s.path("launchers", "old", "x"): false, s.path("launchers", "young", "x"): true, s.outside: true,
	} {
		if _, err := os.Lstat(name); (err == nil) != there {
			t.Errorf("%s: %v, want it there: %v", name, err, there)
		}
	}
	if left := leftovers(t, s.Store); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	// All can be had again.
	mustTree(t, s.Store, "old")
	mustBlob(t, s.Store, strings.Repeat("old", 5000))
}

// TestLastUse: reading is use, verifying is not.
func TestLastUse(t *testing.T) {
	s := testStore(t)
	tree, d := mustTree(t, s, "x"), mustBlob(t, s, "x")
	s.Release()
	day := 24 * time.Hour
	clear := func(what string, trees, blobs int) {
		t.Helper()
		c, err := next(t, s).Clear(t.Context(), day, true)
		if err != nil || c.Trees != trees || c.Blobs != blobs {
			t.Errorf("%s: %+v, %v", what, c, err)
		}
	}
	age(t, s, 2*day)
	clear("unused", 1, 1)
	if v, err := s.Verify(t.Context(), false, func(int64) {}, func(int64) {}); err != nil || v.Trees != 1 || v.Blobs != 1 {
		t.Errorf("%+v, %v", v, err)
	}
	clear("verified", 1, 1)
	other := next(t, s)
	other.Use(s.path("trees", tree, "sub", "b"))
	other.Use(filepath.Join(s.Dir(), "elsewhere"))
	other.Release()
	clear("used by its path", 0, 1)
	if f, err := other.Blob(t.Context(), d); err != nil {
		t.Fatal(err)
	} else {
		f.Close()
	}
	clear("read", 0, 0)
	age(t, s, 2*day)
	mustTree(t, other, "x")
	other.Release()
	clear("taken", 0, 1)
	// A cache of before has no locks of use.
	if err := os.RemoveAll(s.path("locks")); err != nil {
		t.Fatal(err)
	}
	clear("young, without locks", 0, 1)
	old := time.Now().Add(-2 * day)
	if err := os.Chtimes(s.path("trees", tree+".ok"), old, old); err != nil {
		t.Fatal(err)
	}
	clear("old, without locks", 1, 1)
}

func TestClearRefuses(t *testing.T) {
	noise := func(int64) {}
	foreign := t.TempDir()
	for _, name := range []string{"tmp/old", "blobs/sha256/aa/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "thesis.tex"} {
		name = filepath.Join(foreign, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-1000 * time.Hour)
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(foreign)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, err error) {
		t.Helper()
		if fault.Of(err) != fault.Usage || !strings.Contains(err.Error(), `it has no CACHEDIR.TAG, but has "thesis.tex"`) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = s.Clear(t.Context(), grace, false)
	check("clear", err)
	_, err = s.Verify(t.Context(), true, noise, noise)
	check("verify", err)
	// Even one that is used as a cache by mistake keeps what was there.
	mustBlob(t, s, "x")
	_, err = next(t, s).Clear(t.Context(), grace, false)
	check("clear of a used one", err)
	if left := leftovers(t, s); len(left) != 1 || left[0] != "old" {
		t.Errorf("tmp holds %v", left)
	}
}

// TestClearTag: what is not there needs no tag, and Blob writes one.
func TestClearTag(t *testing.T) {
	noise := func(int64) {}
	s := testStore(t)
	if c, err := s.Clear(t.Context(), grace, false); err != nil || c != (Cleared{}) {
		t.Errorf("no cache: %+v, %v", c, err)
	}
	if _, err := os.Lstat(s.Dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("clearing made a cache: %v", err)
	}
	if v, err := s.Verify(t.Context(), true, noise, noise); err != nil || v.Blobs+v.Trees+len(v.Damaged) != 0 {
		t.Errorf("no cache: %+v, %v", v, err)
	}
	mustBlob(t, s, "x")
	if tag, err := os.ReadFile(s.path(tagName)); err != nil || !strings.HasPrefix(string(tag), "Signature: 8a477f597d28d172789f06886806bc55\n") {
		t.Errorf("tag %q, %v", tag, err)
	}
	if _, err := s.Clear(t.Context(), time.Minute, false); fault.Of(err) != fault.Usage || !strings.Contains(err.Error(), "last hour") {
		t.Errorf("too young: %v", err)
	}
	// With a tag, what else lies there does not matter, and is not touched.
	if err := os.WriteFile(s.path("note"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	age(t, s, 2*time.Hour)
	if c, err := s.Clear(t.Context(), grace, false); err != nil || c.Blobs != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := os.Lstat(s.path("note")); err != nil {
		t.Error(err)
	}
	if file := filepath.Join(t.TempDir(), "file"); os.WriteFile(file, nil, 0o644) == nil {
		s, err := Open(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Clear(t.Context(), grace, false); fault.Of(err) != fault.Usage {
			t.Errorf("a file: %v", err)
		}
	}
}

// childHold takes the tree that it is told of, says so, and reads it until its
// input ends.
func childHold() error {
	s, err := Open("")
	if err != nil {
		return err
	}
	tree, build := leaf(os.Getenv("STORE_TEST_BODY"))
	dir, err := s.Tree(context.Background(), tree, build)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	done := make(chan bool)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(done)
	}()
	for {
		if data, err := os.ReadFile(filepath.Join(dir, "sub", "c")); err != nil || string(data) != os.Getenv("STORE_TEST_BODY")+"c" {
			return fmt.Errorf("the tree went away: %q, %v", data, err)
		}
		select {
		case <-done:
			return nil
		case <-time.After(time.Millisecond):
		}
	}
}

// TestClearInUse: what another process works with stays, however old it is.
func TestClearInUse(t *testing.T) {
	s := testStore(t)
	mustTree(t, s, "idle")
	s.Release()
	cmd := child("hold", s.Dir(), "STORE_TEST_BODY=busy")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	age(t, s, 48*time.Hour)
	for _, dry := range []bool{true, false} {
		c, err := next(t, s).Clear(t.Context(), grace, dry)
		if err != nil || c.Trees != 1 || c.KeptTrees != 1 || c.InUse != 1 {
			t.Errorf("dry %v: %+v, %v", dry, c, err)
		}
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, said.String())
	}
	if c, err := next(t, s).Clear(t.Context(), grace, false); err != nil || c.Trees != 1 || c.KeptTrees != 0 || c.InUse != 0 {
		t.Errorf("afterwards: %+v, %v", c, err)
	}
	// Nor does a blob go that is just being written.
	d := digestOf("content")
	if err := s.AddBlob(t.Context(), d, func(ctx context.Context, in *Ingest) error {
		if c, err := next(t, s).Clear(ctx, grace, false); err != nil || c.Blobs != 0 {
			t.Errorf("%+v, %v", c, err)
		}
		return give("content")(ctx, in)
	}); err != nil {
		t.Error(err)
	}
}

// TestClearRace lets processes come and go that use trees, while others clear
// whatever is not held.
func TestClearRace(t *testing.T) {
	s := testStore(t)
	mustTree(t, s, "0")
	s.Release()
	var users sync.WaitGroup
	done := make(chan bool)
	for i := range 3 {
		users.Go(func() {
			for round := range 6 {
				cmd := child("hold", s.Dir(), fmt.Sprintf("STORE_TEST_BODY=%d", (i+round)%2))
				in, err := cmd.StdinPipe()
				if err != nil {
					t.Error(err)
					return
				}
				time.AfterFunc(30*time.Millisecond, func() { in.Close() })
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			}
		})
	}
	go func() {
		users.Wait()
		close(done)
	}()
	cleared := 0
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		age(t, s, 48*time.Hour)
		c, err := next(t, s).Clear(t.Context(), grace, false)
		if err != nil {
			t.Error(err)
		}
		cleared += c.Trees
	}
	if cleared == 0 {
		t.Error("nothing was ever cleared")
	}
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func childClear() error {
	s, err := Open("")
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_, err = s.Clear(context.Background(), grace, false)
	return err
}

// TestClearKilled: a clearing that dies at any moment leaves a cache in which
// everything is whole, or missing.
func TestClearKilled(t *testing.T) {
	s := testStore(t)
	killed := 0
	for round := range 12 {
		for i := range 30 {
			mustTree(t, s, fmt.Sprint(i))
			mustBlob(t, s, fmt.Sprint(i))
		}
		s.Release()
		age(t, s, 48*time.Hour)
		cmd := child("clear", s.Dir())
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(round) * 500 * time.Microsecond)
		cmd.Process.Kill()
		if cmd.Wait() != nil {
			killed++
		}
		v, err := next(t, s).Verify(t.Context(), false, func(int64) {}, func(int64) {})
		if err != nil || len(v.Damaged) > 0 {
			t.Errorf("round %d: %+v, %v", round, v, err)
		}
	}
	if killed == 0 {
		t.Error("no clearing was killed before its end")
	}
	// What it left behind goes the next day.
	old := time.Now().Add(-48 * time.Hour)
	for _, name := range leftovers(t, s) {
		if err := os.Chtimes(s.path("tmp", name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := next(t, s).Clear(t.Context(), grace, false); err != nil {
		t.Error(err)
	}
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// A spoiled is what [Store.Verify] shall find, and say of it.
type spoiled struct{ path, why string }

// spoilBlobs spoils the first four blobs of a store, and spoilTrees its first four trees.
func spoilBlobs(t *testing.T, s *Store, blobs []Digest) []spoiled {
	t.Helper()
	at := func(i int) string { return s.blobPath(blobs[i]) }
	spoil(t, at(0), write("flippeD"))
	spoil(t, at(1), write(""))
	spoil(t, at(2), write("short"))
	spoil(t, at(3), os.Remove)
	spoil(t, at(3), func(name string) error { return os.Mkdir(name, 0o755) })
	return []spoiled{
		{at(0), "its digest is sha256 "},
		{at(1), "it is empty"},
		{at(2), "its digest is sha256 "},
		{at(3), "not a regular file"},
	}
}

func spoilTrees(t *testing.T, s *Store, trees []string) []spoiled {
	t.Helper()
	at := func(i int, name string) string { return s.path("trees", trees[i], filepath.FromSlash(name)) }
	spoil(t, at(0, "sub/c"), write("changeDc"))
	spoil(t, at(1, "sub/more"), write("x"))
	spoil(t, at(2, "a"), os.Remove)
	wants := []spoiled{
		{s.path("trees", trees[0]), `"sub/c" has other bytes`},
		{s.path("trees", trees[1]), `"sub/more" is not expected`},
		{s.path("trees", trees[2]), `"a" is missing`},
	}
	if os.Symlink("a", at(3, "sub/link")) == nil {
		wants = append(wants, spoiled{s.path("trees", trees[3]), "a symbolic link is not allowed"})
	}
	return wants
}

// spoil makes a file writable and does something to it.
func spoil(t *testing.T, name string, do func(name string) error) {
	t.Helper()
	os.Chmod(name, 0o644)
	if err := do(name); err != nil {
		t.Fatal(err)
	}
}

func write(text string) func(string) error {
	return func(name string) error { return os.WriteFile(name, []byte(text), 0o644) }
}

// verify verifies a store, and demands that it tells of all that it reads.
func verify(t *testing.T, s *Store, repair bool) Verified {
	t.Helper()
	var mu sync.Mutex
	var expected, read int64
	v, err := next(t, s).Verify(t.Context(), repair, func(n int64) { expected = n }, func(n int64) {
		mu.Lock()
		read += n
		mu.Unlock()
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Damaged) == 0 && (read != expected || v.Bytes != read) {
		t.Errorf("%+v, but told of %d of %d bytes", v, read, expected)
	}
	return v
}

func TestVerify(t *testing.T) {
	s := testStore(t)
	texts := []string{"flipped", "emptied", "shorter", "folder", "good"}
	bodies := []string{"changed", "extra", "lost", "link", "fine"}
	var blobs []Digest
	var trees []string
	fill := func() {
		t.Helper()
		blobs, trees = nil, nil
		for i := range texts {
			blobs, trees = append(blobs, mustBlob(t, s, texts[i])), append(trees, mustTree(t, s, bodies[i]))
		}
		if v := verify(t, s, true); v.Blobs != len(texts) || v.Trees != len(bodies) || len(v.Damaged) != 0 {
			t.Fatalf("sound: %+v", v)
		}
	}
	fill()
	wants := append(spoilBlobs(t, s, blobs), spoilTrees(t, s, trees)...)
	s.Release()
	for _, repair := range []bool{false, true} {
		v := verify(t, s, repair)
		if len(v.Damaged) != len(wants) || v.Blobs != len(texts) || v.Trees != len(bodies) {
			t.Fatalf("repair %v: %+v", repair, v)
		}
		for _, want := range wants {
			found := slices.ContainsFunc(v.Damaged, func(d Damage) bool {
				return d.Path == want.path && strings.Contains(d.Why, want.why) && d.Repaired == repair && strings.HasSuffix(d.Path, d.Name)
			})
			if _, err := os.Lstat(want.path); !found || (err != nil) != repair {
				t.Errorf("repair %v: want %+v (%v) in %+v", repair, want, err, v.Damaged)
			}
		}
	}
	if v := verify(t, s, false); len(v.Damaged) != 0 || v.Blobs != 1 || v.Trees != len(texts)+len(bodies)-len(wants)-1 {
		t.Errorf("repaired: %+v", v)
	}
	fill()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Verify(cancelled, true, func(int64) {}, func(int64) {}); fault.Of(err) != fault.Interrupted {
		t.Errorf("cancelled: %v", err)
	}
}
