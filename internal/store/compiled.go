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
	"github.com/birbparty/buck2-protobuf/internal/syntax"
)

// Compiled returns a folder whose digest is in no lock: the result of build for
// the inputs that key describes, on this machine. If the store does not have
// it, Compiled calls build, in one process at a time, to create it in the empty
// folder dir; if build is nil, the error is [fs.ErrNotExist]. An existing
// folder is compared with the digest that was recorded when it was built, as
// [Store.Tree] does.
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

// noted returns a folder that was built before, if it still exists and is good.
func (s *Store) noted(ctx context.Context, name string) (string, error) {
	data, ok := s.Sealed("compiled/" + name)
	tree := strings.TrimSpace(string(data))
	if !ok || syntax.CheckSHA256("tree", tree) != nil {
		return "", fs.ErrNotExist
	}
	return s.Tree(ctx, tree, func(context.Context, string) error { return fs.ErrNotExist })
}
