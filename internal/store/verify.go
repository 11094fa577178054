package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sync/errgroup"
)

// A Damage is something in the store that is not what its name says.
type Damage struct {
	Kind     string `json:"kind"` // "blob" or "tree"
	Name     string `json:"name"` // the digest that it should have
	Path     string `json:"path"`
	Why      string `json:"why"`
	Repaired bool   `json:"repaired"` // it was removed, and is made anew by its next use
}

// Verified is what [Store.Verify] found.
type Verified struct {
	Blobs   int      `json:"blobs"`
	Trees   int      `json:"trees"`
	Bytes   int64    `json:"bytes"` // that were read
	Damaged []Damage `json:"damaged"`
}

// Verify reads and hashes all blobs and trees, several files at once. Expect is
// told beforehand how many bytes that are, and read how many of them have been,
// from several goroutines. With repair, what is damaged is removed under its
// lock. Without, nothing is changed. Errors are of class [fault.Usage], for a
// folder that is no cache of ours, or [fault.Machine]; damage is none.
func (s *Store) Verify(ctx context.Context, repair bool, expect, read func(bytes int64)) (Verified, error) {
	v := Verified{Damaged: []Damage{}}
	if err := s.mustBeOurs(); err != nil {
		return v, err
	}
	blobs, err := s.blobNames()
	if err != nil {
		return v, err
	}
	trees, err := s.treeNames()
	if err != nil {
		return v, err
	}
	sizes := make([]int64, len(trees))
	var all int64
	for i, tree := range trees {
		sizes[i] = usage(s.path("trees", tree)).size
		all += sizes[i]
	}
	all += usage(s.path("blobs")).size
	expect(all)

	var mu sync.Mutex
	found := make([]*Damage, len(blobs)+len(trees)) // in the order of the names
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(workers())
	for i, sha256 := range blobs {
		g.Go(func() error {
			info, why, err := s.checkBlob(gctx, sha256)
			if err != nil || info == nil {
				return err
			}
			read(info.Size())
			mu.Lock()
			v.Blobs++
			v.Bytes += info.Size()
			mu.Unlock()
			if why == "" {
				return nil
			}
			d := &Damage{Kind: "blob", Name: sha256, Path: s.blobPath(Digest{SHA256: sha256}), Why: why}
			if repair {
				if err := s.mend(gctx, "blob-"+sha256, d, func() (bool, error) {
					info, why, err := s.checkBlob(gctx, sha256)
					return info != nil && why != "", err
				}, func() error {
					remove(d.Path)
					return nil
				}); err != nil {
					return err
				}
			}
			found[i] = d
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return v, err
	}
	for i, tree := range trees { // each is read by several goroutines
		there, why, err := s.checkTree(ctx, tree)
		if err != nil {
			return v, err
		}
		read(sizes[i])
		if !there {
			continue
		}
		v.Trees++
		v.Bytes += sizes[i]
		if why == "" {
			continue
		}
		d := &Damage{Kind: "tree", Name: tree, Path: s.path("trees", tree), Why: why}
		if repair {
			if err := s.mend(ctx, "tree-"+tree, d, func() (bool, error) {
				there, why, err := s.checkTree(ctx, tree)
				return there && why != "", err
			}, func() error { return s.dropTree(tree) }); err != nil {
				return v, err
			}
		}
		found[len(blobs)+i] = d
	}
	for _, d := range found {
		if d != nil {
			v.Damaged = append(v.Damaged, *d)
		}
	}
	return v, nil
}

// mend removes what is still damaged under its lock: another process may have
// replaced it meanwhile.
func (s *Store) mend(ctx context.Context, name string, d *Damage, still func() (bool, error), drop func() error) error {
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	bad, err := still()
	if err != nil {
		return err
	}
	if bad {
		if err := drop(); err != nil {
			return err
		}
		if _, err := os.Lstat(d.Path); err == nil {
			return nil // reported as not repaired
		}
	}
	d.Repaired = true
	return nil
}

// checkBlob says what is wrong with a blob, "" for nothing. One that went away
// meanwhile has no info.
func (s *Store) checkBlob(ctx context.Context, sha256 string) (info fs.FileInfo, why string, err error) {
	name := s.blobPath(Digest{SHA256: sha256})
	info, err = os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", s.refused(err)
	}
	if !info.Mode().IsRegular() {
		return info, "not a regular file", nil
	}
	if info.Size() == 0 {
		return info, "it is empty", nil
	}
	f, err := s.openBlob(ctx, Digest{sha256, info.Size()})
	var bad *damaged
	switch {
	case err == nil:
		return info, "", f.Close()
	case errors.As(err, &bad):
		return info, "its digest is " + bad.why, nil
	case ctx.Err() != nil:
		return nil, "", ctx.Err()
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", nil
	}
	return info, err.Error(), nil // it cannot be read
}

// checkTree says what is wrong with a tree, "" for nothing.
func (s *Store) checkTree(ctx context.Context, tree string) (there bool, why string, err error) {
	got, files, err := s.hashTree(ctx, tree)
	if ctx.Err() != nil {
		return false, "", ctx.Err()
	}
	if _, gone := os.Lstat(s.path("trees", tree)); errors.Is(gone, fs.ErrNotExist) {
		return false, "", nil
	}
	switch {
	case err != nil:
		return true, err.Error(), nil
	case got == tree:
		return true, "", nil
	}
	why = "its digest is " + got
	if want, err := s.stamp(tree); err == nil {
		why = fmt.Sprintf("%s: %s", why, Diff(want, files))
	}
	return true, why, nil
}
