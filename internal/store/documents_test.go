package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestDocuments: what was kept comes back, or nothing does.
func TestDocuments(t *testing.T) {
	t.Parallel()
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Document("a"); ok {
		t.Error("found what nobody kept")
	}
	want := Document{Body: []byte("{}\nsecond line\n"), ETag: `"x"`, ContentType: "application/json", From: "https://h.invalid/a"}
	if err := s.KeepDocument("a", want); err != nil {
		t.Fatal(err)
	}
	got, ok := s.Document("a")
	if !ok || !bytes.Equal(got.Body, want.Body) || got.ETag != want.ETag || got.ContentType != want.ContentType || got.From != want.From {
		t.Errorf("%+v, %v", got, ok)
	}
	if _, ok := s.Document("b"); ok {
		t.Error("found another's")
	}
	whole, err := os.ReadFile(s.path(document("a")))
	if err != nil {
		t.Fatal(err)
	}
	// Each byte flipped, and each length: nothing is there.
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 1
		for _, damaged := range [][]byte{bad, whole[:i]} {
			if err := os.WriteFile(s.path(document("a")), damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			if got, ok := s.Document("a"); ok {
				t.Fatalf("byte %d: %+v", i, got)
			}
		}
	}
	if err := s.KeepDocument("a", Document{Body: make([]byte, maxDocument+1)}); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.Document("a"); ok {
		t.Error("a document beyond the bound was kept, or the one before it")
	}
}

// TestDocumentsBound: the one not used for longest goes first.
func TestDocumentsBound(t *testing.T) {
	t.Parallel()
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range []string{"a", "b", "c"} {
		if err := s.KeepDocument(key, Document{Body: make([]byte, 1000)}); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(time.Duration(i-10) * time.Hour)
		if err := os.Chtimes(s.path(document(key)), old, old); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := s.Document("a"); !ok { // used
		t.Fatal("a is gone")
	}
	if left, err := s.trimDocuments(2500); err != nil || left < 2000 || left > 2500 {
		t.Fatal(left, err)
	}
	for key, want := range map[string]bool{"a": true, "b": false, "c": true} {
		if _, ok := s.Document(key); ok != want {
			t.Errorf("%s: kept %v, want %v", key, ok, want)
		}
	}
	left, err := filepath.Glob(s.path("tmp", "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestFirstSeen: the first sight counts, and a clock in the past makes nothing
// older.
func TestFirstSeen(t *testing.T) {
	t.Parallel()
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	day := func(n int) time.Time { return time.Date(2026, 6, n, 0, 0, 0, 0, time.UTC) }
	for _, tt := range []struct {
		now    int
		source string
		of     []string
		want   []int
	}{
		{10, "go x", []string{"1.0.0"}, []int{10}},
		{12, "go x", []string{"1.1.0", "1.0.0"}, []int{12, 10}},
		{12, "go y", []string{"1.0.0"}, []int{12}},
		{11, "go x", []string{"1.1.0", "1.0.0"}, []int{11, 10}},
		{20, "go x", []string{"1.1.0"}, []int{11}},
		{21, "go x", nil, nil},
	} {
		got, err := s.FirstSeen(t.Context(), tt.source, tt.of, day(tt.now))
		if err != nil || len(got) != len(tt.of) {
			t.Fatalf("%+v: %v, %v", tt, got, err)
		}
		for i, one := range tt.of {
			if !got[one].Equal(day(tt.want[i])) {
				t.Errorf("%+v: %s seen on %v", tt, one, got[one])
			}
		}
	}
}
