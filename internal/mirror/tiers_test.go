package mirror

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// TestDown: a mirror that could not be reached is not asked again in one run,
// one that lacks or forbids a file is asked for the next.
func TestDown(t *testing.T) {
	for _, tt := range []struct {
		name  string
		err   error
		asked int // for two files
	}{
		{"missing", fault.Missingf(fault.Upstream, "", "404"), 2},
		{"forbidden", fault.Errorf(fault.Upstream, "", "403: %w", fs.ErrPermission), 2},
		{"not reached", fault.Errorf(fault.Upstream, "", "connection refused"), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := &lock.Entry{Name: "tool", Version: "1.0.0", Locked: &lock.Version{Source: lock.HTTP, Files: map[string]lock.File{}}}
			for _, key := range []string{"one", "two"} {
				sum := sha256.Sum256([]byte(key))
				e.Locked.Files[key] = lock.File{URL: "https://origin.example.com/" + key, SHA256: hex.EncodeToString(sum[:]), Size: 3}
			}
			asked := 0
			quiet := func(string, ...any) {}
			tiers := &Tiers{
				Mirrors: []manifest.Mirror{{From: "https://origin.example.com/", To: "https://mirror.example.com/"}}, Warn: quiet, Detail: quiet,
				Web: func(_ context.Context, _ *lock.Entry, key string, in *store.Ingest, m *manifest.Mirror) error {
					if m != nil {
						asked++
						return tt.err
					}
					_, err := fmt.Fprint(in, key)
					return err
				},
			}
			s, err := store.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			for key, f := range e.Locked.Files {
				if err := s.AddBlob(t.Context(), store.Digest{SHA256: f.SHA256, Size: f.Size}, func(ctx context.Context, in *store.Ingest) error {
					return tiers.File(ctx, e, key, in)
				}); err != nil {
					t.Fatal(err)
				}
			}
			if asked != tt.asked {
				t.Errorf("the mirror was asked %d times, want %d", asked, tt.asked)
			}
		})
	}
}
