package install

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// TestIdentity: of each source, a lock in which two digests changed places, or
// something else is asked for with the same digest, ends on a warm cache as it
// does on a cold one: the source is asked, and its answer decides.
func TestIdentity(t *testing.T) {
	file := func(f lock.File, body string) lock.File {
		f.SHA256, f.Size = fmt.Sprintf("%x", sha256.Sum256([]byte(body))), int64(len(body))
		return f
	}
	type change struct {
		name string
		do   func(pkg *string, key *string, f *lock.File)
	}
	rename := change{"another version", func(_, _ *string, f *lock.File) { f.Version = "2.0.0" }}
	for _, tt := range []struct {
		source     string
		pkg        string
		keyA, keyB string
		a, b       lock.File
		changes    []change
	}{
		{lock.HTTP, "", "a", "b", lock.File{URL: "https://h.invalid/a-1.0"}, lock.File{URL: "https://h.invalid/b-1.0"},
			[]change{{"another URL", func(_, _ *string, f *lock.File) { f.URL += "-evil" }}}},
		{lock.OCI, "h.invalid/repo", "a.tgz", "b.tgz", lock.File{Version: "v1", Manifest: "m1"}, lock.File{Version: "v1", Manifest: "m1"},
			[]change{rename, {"another repository", func(pkg, _ *string, _ *lock.File) { *pkg += "2" }}, {"another manifest", func(_, _ *string, f *lock.File) { f.Manifest = "m2" }}}},
		{lock.NPM, "a", "node_modules/a", "node_modules/b", lock.File{Name: "a", Version: "1.0.0"}, lock.File{Name: "b", Version: "1.0.0"},
			[]change{rename, {"another package", func(_, _ *string, f *lock.File) { f.Name = "c" }}}},
		{lock.Cargo, "a", "a-1.0.0.crate", "b-1.0.0.crate", lock.File{Name: "a", Version: "1.0.0"}, lock.File{Name: "b", Version: "1.0.0"}, []change{rename}},
		{lock.Pip, "a", "a-1.0.0-py3-none-any.whl", "b-1.0.0-py3-none-any.whl", lock.File{}, lock.File{},
			[]change{{"another wheel", func(_, key *string, _ *lock.File) { *key = "a-2.0.0-py3-none-any.whl" }}}},
		{lock.Go, "h.invalid/a", "h.invalid/a@v1.0.0.zip", "h.invalid/b@v1.0.0.zip", lock.File{Name: "h.invalid/a", Version: "1.0.0"}, lock.File{Name: "h.invalid/b", Version: "1.0.0"},
			[]change{{"another version", func(_, key *string, f *lock.File) { *key, f.Version = "h.invalid/a@v2.0.0.zip", "2.0.0" }}}},
		{lock.Maven, "h.invalid:a", "h.invalid/a-1.0.0-linux-x86_64.exe", "h.invalid/b-1.0.0-linux-x86_64.exe",
			lock.File{Name: "h.invalid:a", Version: "1.0.0"}, lock.File{Name: "h.invalid:b", Version: "1.0.0"},
			[]change{
				{"another version", func(_, key *string, f *lock.File) { *key, f.Version = "h.invalid/a-2.0.0-linux-x86_64.exe", "2.0.0" }},
				{"another artifact", func(_, key *string, f *lock.File) { *key, f.Name = "h.invalid/c-1.0.0-linux-x86_64.exe", "h.invalid:c" }},
				{"another group", func(_, key *string, f *lock.File) {
					*key, f.Name = "h2.invalid/a-1.0.0-linux-x86_64.exe", "h2.invalid:a"
				}},
				{"another classifier", func(_, key *string, _ *lock.File) { *key = "h.invalid/a-1.0.0-linux-aarch64.exe" }},
				{"another type", func(_, key *string, _ *lock.File) { *key = "h.invalid/a-1.0.0-linux-x86_64.jar" }},
			}},
	} {
		t.Run(tt.source, func(t *testing.T) {
			t.Parallel()
			s, err := store.Open(filepath.Join(t.TempDir(), "cache"))
			if err != nil {
				t.Fatal(err)
			}
			entry := func(pkg, key string, f lock.File) *lock.Entry {
				return &lock.Entry{Name: "p", Version: "1.0.0", Locked: &lock.Version{Source: tt.source, Package: pkg, Files: map[string]lock.File{key: f}}}
			}
			a, b := file(tt.a, "bytes of a"), file(tt.b, "bytes of the other")
			serves := map[string]string{} // by what is asked for
			asked := func(e *lock.Entry, key string) string {
				p := Proof(e, key)
				return p.Identity + " " + p.Manifest
			}
			serves[asked(entry(tt.pkg, tt.keyA, a), tt.keyA)] = "bytes of a"
			serves[asked(entry(tt.pkg, tt.keyB, b), tt.keyB)] = "bytes of the other"
			downloads := 0
			need := func(e *lock.Entry, key string) error {
				i := &Installer{Store: s, Download: func(_ context.Context, e *lock.Entry, key string, in *store.Ingest) error {
					downloads++
					body, ok := serves[asked(e, key)]
					if !ok {
						body = "bytes of a stranger"
					}
					_, err := in.Write([]byte(body))
					return err
				}}
				return i.need(t.Context(), e, []string{key})
			}
			for n, want := range []int{2, 2} {
				if err := need(entry(tt.pkg, tt.keyA, a), tt.keyA); err != nil {
					t.Fatal(err)
				}
				if err := need(entry(tt.pkg, tt.keyB, b), tt.keyB); err != nil || downloads != want {
					t.Fatalf("run %d: %d downloads, %v", n, downloads, err)
				}
			}
			fails := func(what string, e *lock.Entry, key string) {
				t.Helper()
				for range 2 { // a refusal is not remembered either
					before := downloads
					if err := need(e, key); fault.Of(err) != fault.Integrity && tt.source != lock.Go || err != nil && downloads == before {
						t.Errorf("%s: %d downloads, %v", what, downloads-before, err)
					} else if err == nil && (tt.source != lock.Go || downloads == before) {
						t.Errorf("%s: taken", what) // of Go the hash of its files decides, see fetchPacked
					}
				}
			}
			swapped := tt.a
			swapped.SHA256, swapped.Size = b.SHA256, b.Size
			fails("digests changed places", entry(tt.pkg, tt.keyA, swapped), tt.keyA)
			for _, c := range tt.changes {
				pkg, key, f := tt.pkg, tt.keyA, a
				c.do(&pkg, &key, &f)
				fails(c.name, entry(pkg, key, f), key)
			}
			// What was good is so still, and whole.
			blob, err := s.Blob(t.Context(), digest(a))
			if err != nil {
				t.Fatal(err)
			}
			defer blob.Close()
			var text bytes.Buffer
			if _, err := text.ReadFrom(blob); err != nil || text.String() != "bytes of a" {
				t.Errorf("%q, %v", text.String(), err)
			}
			before := downloads
			if err := need(entry(tt.pkg, tt.keyA, a), tt.keyA); err != nil || downloads != before {
				t.Errorf("again: %d downloads, %v", downloads-before, err)
			}
		})
	}
}
