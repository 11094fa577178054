package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// Compiled returns a folder whose digest no lock knows: what build made of
// everything that key says, on this machine. When the store does not have it,
// build is called, by one process at a time, to make it in the empty folder dir;
// with a nil build that is an [fs.ErrNotExist]. What is there is compared with
// the digest that was noted when it was made, as in [Store.Tree].
func (s *Store) Compiled(ctx context.Context, key string, build func(ctx context.Context, dir string) error) (string, error) {
	sum := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(sum[:])
	if dir, err := s.noted(ctx, name); err == nil || build == nil || !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	unlock, err := s.lock(ctx, "compiled-"+name)
	if err != nil {
		return "", err
	}
	defer unlock()
	if dir, err := s.noted(ctx, name); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	scratch, clean, err := s.Scratch(ctx, "compiled")
	if err != nil {
		return "", err
	}
	defer clean()
	made := filepath.Join(scratch, "tree")
	if err := os.Mkdir(made, 0o755); err != nil {
		return "", s.refused(err)
	}
	if err := build(ctx, made); err != nil {
		return "", err
	}
	files, err := archive.HashDir(ctx, made, nil)
	if err != nil {
		return "", err
	}
	tree, err := archive.TreeHash(files)
	if err != nil {
		return "", err
	}
	dir, err := s.Tree(ctx, tree, func(ctx context.Context, dir string) error {
		_, err := archive.CopyTree(ctx, made, dir)
		return err
	})
	if err != nil {
		return "", err
	}
	return dir, s.Seal("compiled/"+name, 0o644, []byte(tree+"\n"))
}

// noted returns the folder that was made before, if it is still there and good.
func (s *Store) noted(ctx context.Context, name string) (string, error) {
	data, ok := s.Sealed("compiled/" + name)
	tree := strings.TrimSpace(string(data))
	if !ok || lock.CheckSHA256("tree", tree) != nil {
		return "", fs.ErrNotExist
	}
	return s.Tree(ctx, tree, func(context.Context, string) error { return fs.ErrNotExist })
}
