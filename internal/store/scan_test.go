package store

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/archive"
)

// TestScan: an archive is read once, and again wherever what is remembered of
// it is of another one, of other rules, damaged, half written or gone.
func TestScan(t *testing.T) {
	s, err := Open(filepath.Join(t.TempDir(), "cache"))
	if err != nil {
		t.Fatal(err)
	}
	d := Digest{strings.Repeat("a", 64), 12}
	want := []archive.File{{Path: "bin/x y", Exec: true, Size: 3, SHA256: [32]byte{1, 2}}, {Path: "z", Size: 1 << 40}}
	reads := 0
	read := func() ([]archive.File, error) {
		reads++
		return want, nil
	}
	scan := func(name string, d Digest, how string, more int) {
		t.Helper()
		before := reads
		got, err := s.Scan(d, how, read)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		if reads-before != more {
			t.Errorf("%s: read %d times, expected %d", name, reads-before, more)
		}
	}
	scan("new", d, "npm", 1)
	scan("known", d, "npm", 0)
	scan("in another way", d, "pip", 1)
	scan("other bytes", Digest{strings.Repeat("b", 64), 12}, "npm", 1)
	scan("another size", Digest{d.SHA256, 13}, "npm", 1)

	files, err := filepath.Glob(filepath.Join(s.Dir(), "documents", "*"))
	if err != nil || len(files) != 4 {
		t.Fatalf("documents: %v, %v", files, err)
	}
	good := map[string][]byte{}
	for _, name := range files {
		if good[name], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	all := func(name string, change func(name string, data []byte) []byte) {
		t.Helper()
		for file, data := range good {
			if err := os.WriteFile(file, change(file, slices.Clone(data)), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		scan(name, d, "npm", 1)
		scan(name+", then known", d, "npm", 0)
	}
	all("cut", func(_ string, data []byte) []byte { return data[:len(data)-5] })
	all("cut to the seal", func(_ string, data []byte) []byte { return data[:slices.Index(data, '\n')+1] })
	all("empty", func(string, []byte) []byte { return nil })
	all("flipped", func(_ string, data []byte) []byte {
		data[len(data)-1] ^= 1
		return data
	})
	all("of another archive", func(name string, _ []byte) []byte {
		return good[files[(slices.Index(files, name)+1)%len(files)]]
	})

	// What was kept by whichever way obeys the rules of paths all the same.
	key := "files of " + d.String() + "\n" + archive.Rules() + "\nnpm"
	for _, name := range []string{"../z", "a/../z", "/z", "aux", "x\n"} {
		bad := []archive.File{{Path: name, Size: 1}}
		if err := s.KeepDocument(key, Document{Body: printFiles(bad), From: key}); err != nil {
			t.Fatal(err)
		}
		scan(name, d, "npm", 1)
	}

	// A refusal is not remembered, and is one each time.
	refusal := errors.New("unsafe")
	for range 2 {
		if _, err := s.Scan(Digest{strings.Repeat("c", 64), 1}, "npm", func() ([]archive.File, error) { return nil, refusal }); err != refusal {
			t.Errorf("a refusal: %v", err)
		}
	}

	// Cleared like every document.
	old := time.Now().Add(-48 * time.Hour)
	for _, name := range files {
		if err := os.Chtimes(name, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Clear(t.Context(), 24*time.Hour, false); err != nil {
		t.Fatal(err)
	}
	scan("cleared", d, "npm", 1)
}
