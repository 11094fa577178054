package store

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// Pack writes a folder that [Store.Tree] returned as a tar: its files sorted by
// path, with mode 0755 or 0644 and nothing that depends on this machine. The
// same tree always gives the same bytes, and unpacking them gives the tree. A
// file that differs from the stamp is an error; the caller must then discard
// the output.
func (s *Store) Pack(ctx context.Context, tree string, w io.Writer) error {
	files, err := s.stamp(tree)
	if err != nil {
		return s.refused(err)
	}
	t := tar.NewWriter(w)
	buf := make([]byte, 128<<10)
	for _, f := range files {
		if err := s.packFile(ctx, t, tree, f, buf); err != nil {
			return fmt.Errorf("packing %s: %w", f.Path, err)
		}
	}
	return t.Close()
}

func (s *Store) packFile(ctx context.Context, t *tar.Writer, tree string, f archive.File, buf []byte) error {
	in, err := os.Open(filepath.Join(s.path("trees", tree), filepath.FromSlash(f.Path)))
	if err != nil {
		return s.refused(err)
	}
	defer in.Close()
	h := &tar.Header{Typeflag: tar.TypeReg, Name: f.Path, Size: f.Size, Mode: 0o644}
	if f.Exec {
		h.Mode = 0o755
	}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	// Read one byte more than expected, so the tar writer fails if it is there.
	sum := sha256.New()
	_, err = io.CopyBuffer(io.MultiWriter(t, sum), archive.WithContext(ctx, io.LimitReader(in, f.Size+1)), buf)
	if err == nil && !bytes.Equal(sum.Sum(nil), f.SHA256[:]) {
		s.Doubt(tree)
		err = fault.Errorf(fault.Integrity, "run the same command again", "it was changed in the cache; the next use makes it again")
	}
	return err
}
