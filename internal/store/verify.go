package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/filestat"
	"golang.org/x/sync/errgroup"
)

// A Damage describes an entry of the store that does not match its name.
type Damage struct {
	Kind     string `json:"kind"` // "blob", "tree", "record" or "build cache"
	Name     string `json:"name"` // the expected digest; for a record, the last part of its path
	Path     string `json:"path"`
	Why      string `json:"why"`
	Repaired bool   `json:"repaired"` // it was removed; the next use makes it again
	InUse    bool   `json:"in_use"`   // it was not removed because a process uses it
}

// Verified is the result of [Store.Verify].
type Verified struct {
	Blobs   int      `json:"blobs"`
	Trees   int      `json:"trees"`
	Records int      `json:"records"` // small files whose content is trusted
	Builds  int      `json:"builds"`  // files of Go's build cache
	Bytes   int64    `json:"bytes"`   // bytes read
	Damaged []Damage `json:"damaged"`
}

// Verify reads and hashes all blobs, trees and records and Go's build cache,
// several files at once. It calls expect once with the total number of bytes,
// then read with the number of bytes read since the last call, from several
// goroutines. If repair is set, damaged entries are removed under their lock,
// except trees that a process uses: the next use makes those again. Otherwise
// nothing is changed. Damage is not an error. Errors are of class
// [fault.Usage], for a folder that is not our cache, or [fault.Machine].
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
	all += usage(s.path("blobs"), s.path("go-build")).size
	expect(all)

	var mu sync.Mutex
	found := make([]*Damage, len(blobs)+len(trees)) // in the order of the names
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(archive.Workers())
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
				if err := s.repair(gctx, "blob-"+sha256, d, func() (bool, error) {
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
			if err := s.repairTree(ctx, tree, d); err != nil {
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
	broken, sealed := s.brokenSeals()
	for _, tree := range trees {
		broken = append(broken, s.brokenLists(tree)...)
	}
	v.Records = sealed + len(trees)
	for _, name := range broken {
		d := Damage{Kind: "record", Name: filepath.Base(name), Path: s.path(name), Why: "it is not what was written"}
		if repair {
			remove(d.Path)
			_, err := os.Lstat(d.Path)
			d.Repaired = errors.Is(err, fs.ErrNotExist)
		}
		v.Damaged = append(v.Damaged, d)
	}
	err = s.verifyGoBuild(ctx, repair, &v, read)
	return v, err
}

// verifyGoBuild verifies Go's build cache, unless it is in use: Go writes its
// files in place.
func (s *Store) verifyGoBuild(ctx context.Context, repair bool, v *Verified, read func(int64)) error {
	if _, err := os.Lstat(s.path("locks", "use-"+goBuildUse)); err == nil {
		unlock, ok := s.tryLock("use-" + goBuildUse)
		if !ok {
			return nil
		}
		defer unlock()
	}
	return s.checkGoBuild(ctx, func(name string, size int64, why string) {
		if size >= 0 {
			v.Builds++
			v.Bytes += size
			read(size)
		}
		if why == "" {
			return
		}
		d := Damage{Kind: "build cache", Name: filepath.Base(name), Path: name, Why: why}
		if repair {
			remove(name)
			_, err := os.Lstat(name)
			d.Repaired = errors.Is(err, fs.ErrNotExist)
		}
		v.Damaged = append(v.Damaged, d)
	})
}

// brokenLists lists the damaged records of a tree.
func (s *Store) brokenLists(tree string) (broken []string) {
	list, record := filepath.Join("trees", tree+".ok"), filepath.Join("trees", tree+".seen")
	if _, err := s.stamp(tree); err != nil && !errors.Is(err, fs.ErrNotExist) {
		broken = append(broken, list)
	}
	data, err := readFile(s.path(record))
	if errors.Is(err, fs.ErrNotExist) {
		return broken
	}
	if _, ok := filestat.ParseRecord(tree, data); err != nil || !ok {
		broken = append(broken, record)
	}
	return broken
}

// repairTree removes a damaged tree unless somebody uses it or is about to:
// users lock a tree before they look at it.
func (s *Store) repairTree(ctx context.Context, tree string, d *Damage) error {
	s.Doubt(tree) // otherwise the next use trusts what stat says
	if _, err := s.mkdir("locks"); err != nil {
		return err
	}
	unlock, ok := s.tryLock("use-" + tree)
	if !ok || busyTrees(s.path("trees"))[tree] {
		if ok {
			unlock()
		}
		d.InUse = true
		return nil
	}
	defer unlock()
	return s.repair(ctx, "tree-"+tree, d, func() (bool, error) {
		there, why, err := s.checkTree(ctx, tree)
		return there && why != "", err
	}, func() error { return s.dropTree(tree) })
}

// repair removes an entry if it is still damaged under its lock: another
// process may have replaced it in the meantime.
func (s *Store) repair(ctx context.Context, name string, d *Damage, check func() (bool, error), drop func() error) error {
	unlock, err := s.lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	bad, err := check()
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

// checkBlob says what is wrong with a blob, "" for nothing. If it was removed
// in the meantime, info is nil.
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
		why = fmt.Sprintf("%s: %s", why, archive.Diff(want, files))
	}
	return true, why, nil
}
