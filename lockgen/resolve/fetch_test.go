package resolve

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

func TestFetchOnce(t *testing.T) {
	s, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	u := newUpdate(&manifest.Manifest{}, Options{Settings: source.Settings{Store: s, UI: ui.New("lockgen", io.Discard, io.Discard)}})
	defer u.Show()()
	sum := sha512.Sum512([]byte("x"))
	digest := "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
	var downloads atomic.Int32
	artifact := func(identity, digest string) *source.Artifact {
		return &source.Artifact{
			Label: identity, Identity: identity, Digest: digest,
			Get: func(_ context.Context, in *store.Ingest) error {
				downloads.Add(1)
				_, err := in.Write([]byte("x"))
				return err
			},
			Kind: lock.HTTP, Binary: "x", Keep: func(string) int { return 1 },
		}
	}
	var fetching sync.WaitGroup
	for range 8 {
		fetching.Go(func() {
			if errs, err := u.fetch(t.Context(), []*source.Artifact{artifact("a@1", digest), artifact("a@1", digest), artifact("b@1", digest)}, false, false); err != nil || len(errs) != 0 {
				t.Errorf("of one digest: %v, %v", errs, err)
			}
		})
	}
	fetching.Wait()
	if n := downloads.Load(); n != 2 || string(u.content(artifact("a@1", "")).Heads["x"]) != "x" {
		t.Errorf("%d downloads of 2 artifacts", n)
	}
	errs, _ := u.fetch(t.Context(), []*source.Artifact{artifact("b@1", digest), artifact("a@1", "sha512-3")}, false, false)
	if err := errs["a@1"]; len(errs) != 1 || fault.Of(err) != fault.Integrity || !strings.Contains(err.Error(), "two digests for a@1: "+digest+" and sha512-3") {
		t.Errorf("of two digests: %v", errs)
	}
}
