package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// TestMain plays the part that envChild names, when a test started this binary
// as another process.
func TestMain(m *testing.M) {
	if part := os.Getenv(envChild); part != "" {
		play, ok := children[part]
		if !ok {
			fmt.Fprintln(os.Stderr, "unknown part", part)
			os.Exit(2)
		}
		if err := play(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

const envChild = "STORE_TEST_CHILD"

var children = map[string]func() error{"add": childAdd, "die": childDie, "hold": childHold, "clear": childClear}

// child prepares another process that plays a part with a store.
func child(part, dir string, env ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envChild+"="+part, EnvDir+"="+dir)
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

func testStore(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "cache"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func digestOf(data string) Digest {
	sum := sha256.Sum256([]byte(data))
	return Digest{hex.EncodeToString(sum[:]), int64(len(data))}
}

func give(data string) func(context.Context, *Ingest) error {
	return func(_ context.Context, in *Ingest) error {
		_, err := io.WriteString(in, data)
		return err
	}
}

func mustNotFetch(t *testing.T) func(context.Context, *Ingest) error {
	return func(context.Context, *Ingest) error {
		t.Error("fetched again")
		return errors.New("fetched again")
	}
}

func readBlob(t *testing.T, s *Store, d Digest) (string, error) {
	t.Helper()
	f, err := s.Blob(context.Background(), d)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	return string(data), err
}

// leftovers lists what is in tmp.
func leftovers(t *testing.T, s *Store) []string {
	t.Helper()
	entries, err := os.ReadDir(s.path("tmp"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	t.Setenv(EnvDir, dir)
	s, err := Open("")
	if err != nil || s.Dir() != dir {
		t.Fatalf("got %v, %v", s, err)
	}
	d := digestOf("x")
	if s.HasBlob(d) {
		t.Error("an empty store has a blob")
	}
	if _, err := s.Blob(context.Background(), d); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing blob: %v", err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("reading made the folder: %v", err)
	}
	t.Setenv(EnvDir, "")
	if s, err := Open(""); err == nil && filepath.Base(s.Dir()) != "buck2-protobuf" {
		t.Errorf("default folder is %s", s.Dir())
	}
	if _, err := Open("~/c"); fault.Of(err) != fault.Usage {
		t.Errorf("~: %v", err)
	}
	if runtime.GOOS == "linux" {
		t.Setenv("HOME", "")
		t.Setenv("XDG_CACHE_HOME", "")
		if _, err := Open(""); fault.Of(err) != fault.Machine || !strings.Contains(fault.Hint(err), EnvDir) {
			t.Errorf("no home: %v, hint %q", err, fault.Hint(err))
		}
		t.Setenv("HOME", "here")
		if _, err := Open(""); fault.Of(err) != fault.Machine || !strings.Contains(fault.Hint(err), EnvDir) {
			t.Errorf("a relative home: %v, hint %q", err, fault.Hint(err))
		}
	}
	for _, d := range []Digest{{}, {"../../etc/passwd", 1}, {digestOf("x").SHA256, 0}} {
		if _, err := s.Blob(context.Background(), d); fault.Of(err) != fault.Internal {
			t.Errorf("digest %v: %v", d, err)
		}
		if err := s.AddBlob(context.Background(), d, give("x")); fault.Of(err) != fault.Internal {
			t.Errorf("digest %v: %v", d, err)
		}
	}
}

func TestAddBlob(t *testing.T) {
	ctx := context.Background()
	s := testStore(t)
	d := digestOf("content")
	if err := s.AddBlob(ctx, d, give("content")); err != nil {
		t.Fatal(err)
	}
	if got, err := readBlob(t, s, d); got != "content" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if !s.HasBlob(d) || s.HasBlob(Digest{d.SHA256, d.Size + 1}) {
		t.Error("HasBlob is wrong")
	}
	if err := s.AddBlob(ctx, d, mustNotFetch(t)); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(s.path("blobs", "sha256", d.SHA256[:2], d.SHA256)); err != nil || info.Mode().Perm()&0o222 != 0 {
		t.Errorf("blob file: %v, %v", info, err)
	}

	// What is not kept.
	broken := errors.New("connection reset")
	cancelled, cancel := context.WithCancel(ctx)
	for _, tt := range []struct {
		what string
		get  func(context.Context, *Ingest) error
		is   func(error) bool
		text string
	}{
		{"wrong bytes", give("CONTENT2"), nil, "wrong bytes: got sha256 " + digestOf("CONTENT2").SHA256 + ", 8 bytes, expected sha256 " + digestOf("content2").SHA256 + ", 8 bytes"},
		{"too short", give("content"), nil, "7 bytes, expected"},
		{"nothing", give(""), nil, "0 bytes, expected"},
		{"too long", give("content2 and more"), nil, "wrong bytes: more than the expected 8"},
		{"too long, error hidden", func(_ context.Context, in *Ingest) error {
			io.WriteString(in, "content2 and more")
			return nil
		}, nil, "more than the expected 8"},
		{"too long, error reclassified", func(_ context.Context, in *Ingest) error {
			_, err := io.WriteString(in, "content2 and more")
			return fault.Errorf(fault.Upstream, "", "download: %w", err)
		}, nil, "more than the expected 8"},
		{"broken download", func(_ context.Context, in *Ingest) error {
			io.WriteString(in, "cont")
			return broken
		}, func(err error) bool { return err == broken }, ""},
		{"cancelled", func(_ context.Context, in *Ingest) error {
			cancel()
			_, err := io.WriteString(in, "content2")
			return err
		}, func(err error) bool { return fault.Of(err) == fault.Interrupted }, ""},
	} {
		c := ctx
		if tt.what == "cancelled" {
			c = cancelled
		}
		err := s.AddBlob(c, digestOf("content2"), tt.get)
		if tt.is == nil {
			tt.is = func(err error) bool { return fault.Of(err) == fault.Integrity && fault.Hint(err) != "" }
		}
		if err == nil || !tt.is(err) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v", tt.what, err)
		}
		if s.HasBlob(digestOf("content2")) {
			t.Errorf("%s: published", tt.what)
		}
		if left := leftovers(t, s); len(left) > 0 {
			t.Errorf("%s: left %v", tt.what, left)
		}
	}

	// A retry that starts afresh, after too many bytes even.
	err := s.AddBlob(ctx, digestOf("content3"), func(_ context.Context, in *Ingest) error {
		io.WriteString(in, "cont")
		if in.Offset() != 4 {
			t.Errorf("offset %d", in.Offset())
		}
		if _, err := io.WriteString(in, "far too long for it"); fault.Of(err) != fault.Integrity {
			t.Errorf("too long: %v", err)
		}
		if err := in.Reset(); err != nil || in.Offset() != 0 {
			t.Errorf("reset: %v, %d", err, in.Offset())
		}
		_, err := io.WriteString(in, "content3")
		return err
	})
	if got, rerr := readBlob(t, s, digestOf("content3")); err != nil || got != "content3" || rerr != nil {
		t.Errorf("after reset: %q, %v, %v", got, err, rerr)
	}
}

func TestAddUnknown(t *testing.T) {
	ctx := context.Background()
	s := testStore(t)
	var sums Sums
	d, err := s.AddUnknown(ctx, 100, true, give("content"), func(got Sums) error { sums = got; return nil })
	want512 := sha512.Sum512([]byte("content"))
	if err != nil || d != digestOf("content") || hex.EncodeToString(sums.SHA256) != d.SHA256 || !bytes.Equal(sums.SHA512, want512[:]) || sums.Size != 7 {
		t.Fatalf("got %v, %v, %v", d, sums, err)
	}
	if got, err := readBlob(t, s, d); got != "content" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	ok := func(Sums) error { return nil }
	if again, err := s.AddUnknown(ctx, 100, false, give("content"), ok); again != d || err != nil {
		t.Errorf("again: %v, %v", again, err)
	}
	refused := errors.New("integrity of upstream differs")
	for _, tt := range []struct {
		what  string
		limit int64
		get   func(context.Context, *Ingest) error
		check func(Sums) error
		is    func(error) bool
	}{
		{"refused", 100, give("other"), func(Sums) error { return refused }, func(err error) bool { return err == refused }},
		{"too long", 4, give("other"), ok, func(err error) bool { return fault.Of(err) == fault.Integrity }},
		{"empty", 4, give(""), ok, func(err error) bool { return fault.Of(err) == fault.Integrity }},
		{"broken", 100, func(context.Context, *Ingest) error { return refused }, ok, func(err error) bool { return err == refused }},
	} {
		if _, err := s.AddUnknown(ctx, tt.limit, false, tt.get, tt.check); err == nil || !tt.is(err) {
			t.Errorf("%s: %v", tt.what, err)
		}
		if s.HasBlob(digestOf("other")) {
			t.Errorf("%s: published", tt.what)
		}
	}
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// TestBlobDamage damages a blob in every way and wants it found and healed.
func TestFind(t *testing.T) {
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d := digestOf("here")
	if got, ok := s.Find(d.SHA256); ok {
		t.Errorf("found %v in an empty store", got)
	}
	err = s.AddBlob(t.Context(), d, func(_ context.Context, in *Ingest) error {
		_, err := in.Write([]byte("here"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := s.Find(d.SHA256); !ok || got != d {
		t.Errorf("found %v, %v, want %v", got, ok, d)
	}
	if _, ok := s.Find("../x"); ok {
		t.Error("found what is no digest")
	}
}

func TestBlobDamage(t *testing.T) {
	ctx := context.Background()
	const content = "the content of a blob"
	d := digestOf(content)
	type damage struct {
		what string
		do   func(name string) error
	}
	rewrite := func(change func([]byte) []byte) func(string) error {
		return func(name string) error {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			os.Chmod(name, 0o644)
			return os.WriteFile(name, change(data), 0o644)
		}
	}
	all := []damage{
		{"delete", os.Remove},
		{"grow", rewrite(func(b []byte) []byte { return append(b, 'x') })},
		{"directory", func(name string) error {
			if err := os.Remove(name); err != nil {
				return err
			}
			return os.MkdirAll(filepath.Join(name, "sub"), 0o755)
		}},
	}
	for i := range content {
		all = append(all,
			damage{fmt.Sprint("flip byte ", i), rewrite(func(b []byte) []byte { b[i] ^= 1; return b })},
			damage{fmt.Sprint("truncate to ", i), rewrite(func(b []byte) []byte { return b[:i] })})
	}
	if runtime.GOOS != "windows" {
		all = append(all, damage{"symlink", func(name string) error {
			if err := os.Remove(name); err != nil {
				return err
			}
			return os.Symlink("/dev/zero", name)
		}})
	}
	s := testStore(t)
	name := s.path("blobs", "sha256", d.SHA256[:2], d.SHA256)
	for _, viaBlob := range []bool{true, false} {
		for _, tt := range all {
			if err := s.AddBlob(ctx, d, give(content)); err != nil {
				t.Fatal(err)
			}
			if err := tt.do(name); err != nil {
				t.Fatal(err)
			}
			if viaBlob {
				if _, err := s.Blob(ctx, d); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v", tt.what, err)
				}
				if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: still there", tt.what)
				}
			}
			if err := s.AddBlob(ctx, d, give(content)); err != nil {
				t.Errorf("%s: healing: %v", tt.what, err)
			}
			if got, err := readBlob(t, s, d); got != content || err != nil {
				t.Errorf("%s: healed to %q, %v", tt.what, got, err)
			}
		}
	}
	// Mode 0000 is repaired in place.
	if err := os.Chmod(name, 0); err != nil {
		t.Fatal(err)
	}
	if got, err := readBlob(t, s, d); got != content || err != nil {
		t.Errorf("mode 0000: %q, %v", got, err)
	}
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// childAdd adds the blobs of envData, and notes in envLog when it had to fetch
// one.
func childAdd() error {
	s, err := Open("")
	if err != nil {
		return err
	}
	log, err := os.OpenFile(os.Getenv("STORE_TEST_LOG"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer log.Close()
	for i := range 5 {
		content := blobContent(i)
		d := digestOf(content)
		err := s.AddBlob(context.Background(), d, func(_ context.Context, in *Ingest) error {
			fmt.Fprintf(log, "%d\n", i)
			for j := 0; j < len(content); j += 4096 {
				if _, err := io.WriteString(in, content[j:j+4096]); err != nil {
					return err
				}
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		if err != nil {
			return err
		}
		f, err := s.Blob(context.Background(), d)
		if err != nil {
			return fmt.Errorf("blob %d after adding: %w", i, err)
		}
		f.Close()
	}
	tree, err := archive.TreeHash([]archive.File{{Path: "d/a", Size: 1, SHA256: sha256.Sum256([]byte("a"))}})
	if err != nil {
		return err
	}
	_, err = s.Tree(context.Background(), tree, func(_ context.Context, dir string) error {
		fmt.Fprintln(log, "tree")
		time.Sleep(10 * time.Millisecond)
		return errors.Join(os.Mkdir(filepath.Join(dir, "d"), 0o755), os.WriteFile(filepath.Join(dir, "d", "a"), []byte("a"), 0o644))
	})
	return err
}

func blobContent(i int) string { return strings.Repeat(fmt.Sprintf("%04d", i), 4*1024) }

// TestProcesses lets many processes and goroutines add the same blobs: each body
// is fetched once.
func TestProcesses(t *testing.T) {
	s := testStore(t)
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			if out, err := child("add", s.Dir(), "STORE_TEST_LOG="+log).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if n := strings.Count(string(data), fmt.Sprintf("%d\n", i)); n != 1 {
			t.Errorf("blob %d was fetched %d times", i, n)
		}
	}
	if n := strings.Count(string(data), "tree"); n != 1 {
		t.Errorf("the tree was built %d times", n)
	}
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("left %v", left)
	}

	// The same inside one process, with trees.
	var fetches, builds atomic.Int32
	tree, _ := archive.TreeHash([]archive.File{{Path: "a", Size: 1, SHA256: sha256.Sum256([]byte("a"))}})
	for range 16 {
		wg.Go(func() {
			if err := s.AddBlob(t.Context(), digestOf("goroutine"), func(ctx context.Context, in *Ingest) error {
				fetches.Add(1)
				return give("goroutine")(ctx, in)
			}); err != nil {
				t.Error(err)
			}
			if _, err := s.Tree(t.Context(), tree, func(_ context.Context, dir string) error {
				builds.Add(1)
				return os.WriteFile(filepath.Join(dir, "a"), []byte("a"), 0o644)
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if fetches.Load() != 1 || builds.Load() != 1 {
		t.Errorf("%d fetches, %d builds", fetches.Load(), builds.Load())
	}
}

// childDie stops in the middle of a download, as a killed process does.
func childDie() error {
	s, err := Open("")
	if err != nil {
		return err
	}
	return s.AddBlob(context.Background(), digestOf("content"), func(_ context.Context, in *Ingest) error {
		io.WriteString(in, "con")
		os.Exit(9)
		return nil
	})
}

func TestCrash(t *testing.T) {
	ctx := context.Background()
	s := testStore(t)
	var exit *exec.ExitError
	if err := child("die", s.Dir()).Run(); !errors.As(err, &exit) || exit.ExitCode() != 9 {
		t.Fatalf("child: %v", err)
	}
	if len(leftovers(t, s)) != 1 {
		t.Fatalf("the dead process left %v", leftovers(t, s))
	}
	if err := s.AddBlob(ctx, digestOf("content"), give("content")); err != nil {
		t.Errorf("after a crash: %v", err)
	}
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("left %v", left)
	}

	// Old leavings are swept, young ones are not.
	for name, age := range map[string]time.Duration{"blob-old.part": 48 * time.Hour, "blob-young.part": time.Hour, "tree-old": 48 * time.Hour} {
		p := s.path("tmp", name)
		if err := os.MkdirAll(filepath.Join(p, "sub"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(s.Dir()) // as the next process does
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddBlob(ctx, digestOf("more"), give("more")); err != nil {
		t.Error(err)
	}
	if left := leftovers(t, s); len(left) != 1 || left[0] != "blob-young.part" {
		t.Errorf("left %v", left)
	}
}

// TestLockCancelled wants that a process which waits for another can be stopped.
func TestLockCancelled(t *testing.T) {
	s := testStore(t)
	d := digestOf("content")
	started, finish := make(chan bool), make(chan bool)
	done := make(chan error)
	go func() {
		done <- s.AddBlob(context.Background(), d, func(ctx context.Context, in *Ingest) error {
			close(started)
			<-finish
			return give("content")(ctx, in)
		})
	}()
	<-started
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := s.AddBlob(ctx, d, mustNotFetch(t))
	if !errors.Is(err, context.DeadlineExceeded) || fault.Of(err) != fault.Machine || !strings.Contains(err.Error(), "waiting for the process") {
		t.Errorf("waiting: %v", err)
	}
	close(finish)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := s.AddBlob(context.Background(), d, mustNotFetch(t)); err != nil {
		t.Error(err)
	}
}

func TestScratch(t *testing.T) {
	s := testStore(t)
	a, cleanA, err := s.Scratch(context.Background(), "npm")
	if err != nil {
		t.Fatal(err)
	}
	b, cleanB, err := s.Scratch(context.Background(), "npm")
	if err != nil || a == b {
		t.Fatalf("%s, %s, %v", a, b, err)
	}
	// A folder without write permission must not survive.
	if err := os.MkdirAll(filepath.Join(a, "ro", "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	os.Chmod(filepath.Join(a, "ro"), 0o555)
	cleanA()
	cleanA()
	cleanB()
	if left := leftovers(t, s); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// TestNotAFolder has a file where the cache should be.
func TestNotAFolder(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	err = s.AddBlob(context.Background(), digestOf("x"), give("x"))
	if fault.Of(err) != fault.Machine || !strings.Contains(err.Error(), name) || !strings.Contains(fault.Hint(err), EnvDir) {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
}
