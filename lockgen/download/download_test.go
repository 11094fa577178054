package download

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/session"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

func TestFetchOnce(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	u := New(session.New(&manifest.Manifest{}, nil, session.Settings{Store: s, UI: ui.New("lockgen", io.Discard, io.Discard)}), 0)
	defer u.Show()()
	of := func(content string) string {
		sum := sha512.Sum512([]byte(content))
		return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
	}
	var downloads atomic.Int32
	artifact := func(identity, digest string) *source.Artifact { // whose content is its identity
		return &source.Artifact{
			Label: identity, Identity: identity, Digest: digest,
			Get: func(_ context.Context, in *store.Ingest) error {
				downloads.Add(1)
				_, err := in.Write([]byte(identity))
				return err
			},
			Kind: lock.HTTP, Binary: "x", Keep: func(string) int { return 1 },
		}
	}
	var fetching sync.WaitGroup
	for range 8 {
		fetching.Go(func() {
			if errs, err := u.Fetch(t.Context(), []*source.Artifact{artifact("a@1", of("a@1")), artifact("a@1", of("a@1")), artifact("b@1", of("b@1"))}, false, false); err != nil || len(errs) != 0 {
				t.Errorf("of one digest: %v, %v", errs, err)
			}
		})
	}
	fetching.Wait()
	if n := downloads.Load(); n != 2 || string(u.Content(artifact("a@1", "")).Heads["x"]) != "a" {
		t.Errorf("%d downloads of 2 artifacts", n)
	}
	errs, _ := u.Fetch(t.Context(), []*source.Artifact{artifact("b@1", of("b@1")), artifact("a@1", "sha512-3")}, false, false)
	if err := errs["a@1"]; len(errs) != 1 || fault.Of(err) != fault.Integrity || !strings.Contains(err.Error(), "two digests for a@1: "+of("a@1")+" and sha512-3") {
		t.Errorf("of two digests: %v", errs)
	}
}

// TestStored: bytes that the store has are not downloaded again where upstream names
// their digest, whatever they were called; what has no such digest, is damaged, or is
// wanted fresh is, and what a record wrongly says of a blob is not believed.
func TestStored(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	sum256, sum512 := sha256.Sum256([]byte("content")), sha512.Sum512([]byte("content"))
	d256, d512 := "sha256-"+base64.StdEncoding.EncodeToString(sum256[:]), "sha512-"+base64.StdEncoding.EncodeToString(sum512[:])
	other := sha512.Sum512([]byte("other"))
	o512 := "sha512-" + base64.StdEncoding.EncodeToString(other[:])
	downloads := 0
	fetch := func(identity, digest, also, body string, fresh bool) error {
		u := New(session.New(&manifest.Manifest{}, nil, session.Settings{Store: s, UI: ui.New("lockgen", io.Discard, io.Discard)}), 0)
		defer u.Close()
		errs, err := u.Fetch(t.Context(), []*source.Artifact{{
			Label: identity, Identity: identity, Digest: digest, Also: also, Kind: lock.HTTP, Binary: "x", Keep: func(string) int { return 1 },
			Get: func(_ context.Context, in *store.Ingest) error {
				downloads++
				_, err := in.Write([]byte(body))
				return err
			},
		}}, fresh, false)
		if err != nil {
			t.Fatal(err)
		}
		return errs[identity]
	}
	blob := store.Digest{SHA256: hex.EncodeToString(sum256[:]), Size: int64(len("content"))}
	for _, tt := range []struct {
		name, digest, also, body string
		fresh                    bool
		want                     int // downloads
		class                    fault.Class
		before                   func()
	}{
		{name: "first, of npm", digest: d512, body: "content", want: 1},
		{name: "in another project", digest: d512},
		{name: "by its SHA-256", digest: d256},
		{name: "by both", digest: d256, also: d512},
		{name: "by both, one of them another", digest: d256, also: o512, body: "content", want: 1, class: fault.Integrity},
		{name: "without a digest", body: "content", want: 1},
		{name: "of a module", digest: "h1:" + d256[7:], body: "content", want: 1},
		{name: "fresh", digest: d256, body: "content", fresh: true, want: 1},
		{name: "another SHA-512", digest: o512, body: "other", want: 1},
		{name: "a record that lies", digest: o512, body: "other", want: 1, before: func() { s.Keep512(other[:], blob) }},
		{name: "no digest at all", digest: "sha512-", body: "content", want: 1, class: fault.Integrity},
		{name: "damaged", digest: d256, body: "content", want: 1, before: func() {
			f, err := s.Blob(t.Context(), blob)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			if os.Chmod(f.Name(), 0o600) != nil || os.WriteFile(f.Name(), []byte("CONTENT"), 0o600) != nil {
				t.Fatal("not damaged")
			}
		}},
	} {
		if tt.before != nil {
			tt.before()
		}
		downloads = 0
		if err := fetch(tt.name, tt.digest, tt.also, tt.body, tt.fresh); fault.Of(err) != tt.class {
			t.Errorf("%s: %v", tt.name, err)
		}
		if downloads != tt.want {
			t.Errorf("%s: %d downloads, want %d", tt.name, downloads, tt.want)
		}
		if tt.want == 0 && !s.Proven(store.Proof{Identity: tt.name, Digest: blob}) {
			t.Errorf("%s: nothing is proven", tt.name)
		}
	}
}
