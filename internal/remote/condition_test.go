package remote

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// TestConditions: an unchanged document costs a request on condition, and a 304
// stands for nothing but the body that was kept from the same place.
func TestConditions(t *testing.T) {
	t.Parallel()
	const doc = "/doc"
	conditional := func(r fake.Request) bool {
		return r.Header.Get("If-None-Match") != "" || r.Header.Get("If-Modified-Since") != ""
	}
	for _, tt := range []struct {
		name    string
		between func(s *fake.Server, dir string) // the two requests
		first   []fake.Fault
		want    string // of the second, "" for an error
		on      []bool // which requests of the second were on condition
	}{
		{"unchanged", func(*fake.Server, string) {}, nil, "one", []bool{true}},
		{"changed", func(s *fake.Server, _ string) { s.File(doc, []byte("two")) }, nil, "two", []bool{true}},
		{"without validators", func(*fake.Server, string) {}, []fake.Fault{fake.NoRanges()}, "one", []bool{false}},
		{"by date", func(*fake.Server, string) {}, []fake.Fault{fake.Do(func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
			w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
			_, _ = w.Write([]byte("one"))
		}).Once(), fake.Status(http.StatusNotModified)}, "one", []bool{true}},
		{"what was kept is damaged", func(_ *fake.Server, dir string) {
			kept, err := filepath.Glob(filepath.Join(dir, "documents", "*"))
			if err != nil || len(kept) != 1 {
				t.Errorf("kept %v, %v", kept, err)
			}
			for _, name := range kept {
				data, _ := os.ReadFile(name)
				data[len(data)-1] ^= 1
				_ = os.WriteFile(name, data, 0o600)
			}
		}, nil, "one", []bool{false}},
		{"304 from another place", func(s *fake.Server, _ string) {
			s.File("/other", []byte("two"))
			s.Fault(doc, fake.Redirect(http.StatusFound, "/other"))
			s.Fault("/other", fake.Status(http.StatusNotModified).Once())
		}, nil, "two", []bool{true, false}},
		{"304 unasked", func(s *fake.Server, _ string) { s.Fault(doc, fake.Status(http.StatusNotModified)) }, []fake.Fault{fake.NoRanges()}, "", []bool{false}},
		{"gone", func(s *fake.Server, _ string) { s.Fault(doc, fake.Status(404)) }, nil, "", []bool{true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, dir := fake.New(t), t.TempDir()
			s.File(doc, []byte("one"))
			s.Fault(doc, tt.first...)
			ask := func() (string, error) {
				cache, err := store.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				c := New(Options{Store: cache, Timeouts: Timeouts{RetryWait: time.Millisecond}})
				body, kind, err := c.Document(t.Context(), s.URL+doc, "*/*", 1000)
				if err == nil && kind == "" {
					t.Error("no content type")
				}
				return string(body), err
			}
			if body, err := ask(); body != "one" || err != nil {
				t.Fatalf("%q, %v", body, err)
			}
			tt.between(s, dir)
			s.Forget()
			body, err := ask()
			if body != tt.want || (err == nil) != (tt.want != "") || err != nil && fault.Of(err) != fault.Upstream {
				t.Errorf("%q, %v", body, err)
			}
			asked := s.Requests(doc)
			if len(asked) != len(tt.on) {
				t.Fatalf("%d requests", len(asked))
			}
			for i, r := range asked {
				if conditional(r) != tt.on[i] {
					t.Errorf("request %d: on condition %v", i, !tt.on[i])
				}
			}
			// Without a store nothing is asked on condition.
			s.Fault(doc)
			s.Forget()
			if _, _, err := New(Options{}).Document(t.Context(), s.URL+doc, "*/*", 1000); err != nil || conditional(s.Requests(doc)[0]) {
				t.Errorf("without a store: %v", err)
			}
		})
	}
}
