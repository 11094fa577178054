package store

import (
	"bytes"
	"errors"
	"maps"
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
	want := Listing{
		Files: []archive.File{{Path: "bin/x y", Exec: true, Size: 3, SHA256: [32]byte{1, 2}}, {Path: "none"}, {Path: "z", Size: 1 << 40}},
		Heads: map[string][]byte{"bin/x y": []byte("\n\n7"), "none": {}, "z": []byte("a\n9 z\n")},
	}
	keep := func(path string) int { return map[string]int{"bin/x y": 4096, "none": 1, "z": 6}[path] }
	reads := 0
	read := func() (Listing, error) {
		reads++
		return want, nil
	}
	scan := func(name string, d Digest, how string, more int) {
		t.Helper()
		before := reads
		got, err := s.Scan(d, how, keep, read)
		if err != nil || !slices.Equal(got.Files, want.Files) || !maps.EqualFunc(got.Heads, want.Heads, bytes.Equal) {
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
		bad := Listing{Files: []archive.File{{Path: name, Size: 1}}}
		if err := s.KeepDocument(key, Document{Body: bad.print(), From: key}); err != nil {
			t.Fatal(err)
		}
		scan(name, d, "npm", 1)
	}
	// So do first bytes, cut or too few.
	for name, text := range map[string]string{"bin/x y": "\n\n", "none": "", "z": "a\n9 z"} {
		less := Listing{Files: want.Files, Heads: maps.Clone(want.Heads)}
		less.Heads[name] = []byte(text)
		if name == "none" {
			delete(less.Heads, name)
		}
		if err := s.KeepDocument(key, Document{Body: less.print(), From: key}); err != nil {
			t.Fatal(err)
		}
		scan("too little of "+name, d, "npm", 1)
	}
	for _, tail := range []string{"3 z", "9 z\nab\n", "-1 z\n\n", "x z\na\n", "1 z\nab\n"} {
		if err := s.KeepDocument(key, Document{Body: append(want.print(), tail...), From: key}); err != nil {
			t.Fatal(err)
		}
		scan("malformed: "+tail, d, "npm", 1)
	}

	// A refusal is not remembered, and is one each time.
	refusal := errors.New("unsafe")
	for range 2 {
		if _, err := s.Scan(Digest{strings.Repeat("c", 64), 1}, "npm", keep, func() (Listing, error) { return Listing{}, refusal }); err != refusal {
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
