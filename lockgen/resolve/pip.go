package resolve

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/pkgmgr"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
)

// pip locks plugins from a Python package index. pip itself resolves, once for
// each platform and interpreter; only wheels count.
type pip struct {
	tool     *pkgmgr.Pip
	index    string
	client   *remote.Client
	listings listings // what the registry said of packages
	gate     func(w *Want) *pkgmgr.Gate
}

func (s *pip) Resolve(ctx context.Context, w *Want, platforms []lock.Platform) (*Resolution, error) {
	gate := s.gate(w)
	wheels := make([][]pkgmgr.Wheel, len(platforms))
	errs := make([]error, len(platforms))
	var g errgroup.Group
	g.SetLimit(2) // each is a Python of its own
	for i, p := range platforms {
		g.Go(func() error {
			wheels[i], errs[i] = s.report(ctx, w, p, gate)
			return nil
		})
	}
	_ = g.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	res := &Resolution{Missing: map[string]Missing{}}
	byKey := map[string]*Artifact{}
	absent := 0
	for i, p := range platforms {
		if err := errs[i]; err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				return nil, err // the index or pip, not the platform
			}
			absent++
			res.Missing[p.Name] = Missing{fmt.Sprintf("%s %s has no wheel for it", w.From.Name, w.Version), err}
			continue
		}
		for _, wheel := range wheels[i] {
			a := byKey[wheel.Filename]
			if a == nil {
				a = s.artifact(w, wheel)
				a.aged, a.released = gate != nil, wheel.Released
				if wheel.Yanked {
					res.Notes = append(res.Notes, fmt.Sprintf("%s: its publisher has withdrawn %s", w, wheel.Filename))
				}
				byKey[wheel.Filename] = a
				res.Artifacts = append(res.Artifacts, a)
				if wheel.Yanked {
					res.Notes = append(res.Notes, w.String()+": "+wheel.Filename+" was yanked by its publisher")
				}
			}
			if want := "sha256-" + base64OfHex(wheel.SHA256); a.digest != want {
				return nil, fault.Errorf(fault.Integrity, "ask the operator of the index", "the index gives two digests for %s", wheel.Filename)
			}
			a.Platforms = append(a.Platforms, p.Name)
		}
	}
	if absent == len(platforms) {
		// A login page is to pip an index without files.
		if _, err := s.client.PyPIWheels(ctx, s.index, w.From.Name); errors.Is(err, remote.ErrNotIndex) {
			return nil, err
		}
		return nil, errs[0]
	}
	return res, nil
}

// report asks pip behind the gate. Where that leaves nothing it asks without, so
// that the driver can name what is too young.
func (s *pip) report(ctx context.Context, w *Want, p lock.Platform, gate *pkgmgr.Gate) ([]pkgmgr.Wheel, error) {
	wheels, err := s.reports(ctx, w, p, gate)
	if gate == nil || !errors.Is(err, fs.ErrNotExist) {
		return wheels, err
	}
	open := *gate
	open.Before = time.Time{}
	if wheels, openErr := s.reports(ctx, w, p, &open); openErr == nil {
		return wheels, nil
	}
	return nil, err
}

// Versions is one request, for the page of the project. A version is as old as
// its youngest wheel, and withdrawn when all of them are.
func (s *pip) Versions(ctx context.Context, w *Want) ([]Release, error) {
	wheels, err := s.client.PyPIWheels(ctx, s.index, w.From.Name)
	if err != nil {
		return nil, err
	}
	byVersion := map[string]*Release{}
	var order []string
	for _, f := range wheels {
		_, version := lock.PackageOf(lock.Pip, f.Filename, lock.File{})
		r := byVersion[version]
		if r == nil {
			byVersion[version] = &Release{Version: version, Released: f.Uploaded, Yanked: f.Yanked}
			order = append(order, version)
			continue
		}
		if f.Uploaded.IsZero() || !r.Released.IsZero() && f.Uploaded.After(r.Released) {
			r.Released = f.Uploaded
		}
		if f.Yanked == "" {
			r.Yanked = ""
		}
	}
	var releases []Release
	for _, version := range order {
		releases = append(releases, *byVersion[version])
	}
	return releases, nil
}

// reports asks pip for each interpreter of the manifest. They must agree, for a
// cell of the lock has one tree.
func (s *pip) reports(ctx context.Context, w *Want, p lock.Platform, gate *pkgmgr.Gate) ([]pkgmgr.Wheel, error) {
	var first []pkgmgr.Wheel
	for i, python := range w.Python {
		wheels, err := s.tool.Report(ctx, s.index, pkgmgr.Requirement{Package: w.From.Name, Version: w.Version, Platform: p, Python: python, Gate: gate})
		if err != nil {
			return nil, err
		}
		if i == 0 {
			first = wheels
			continue
		}
		same := slices.EqualFunc(first, wheels, func(a, b pkgmgr.Wheel) bool { return a.Filename == b.Filename && a.SHA256 == b.SHA256 })
		if !same {
			return nil, fault.Errorf(fault.Usage, "give one interpreter in python = […]",
				"%s has other wheels for Python %s than for %s, and this version of lockgen locks one tree a platform", w.From.Name, w.Python[0], python)
		}
	}
	return first, nil
}

func (s *pip) artifact(w *Want, wheel pkgmgr.Wheel) *Artifact {
	return &Artifact{
		Key:      wheel.Filename,
		Label:    wheel.Filename,
		identity: identity(lock.Pip, wheel.Filename, lock.File{}),
		digest:   "sha256-" + base64OfHex(wheel.SHA256),
		get: func(ctx context.Context, in *store.Ingest) error {
			return s.client.Download(ctx, wheel.URL, in, remote.DownloadOptions{})
		},
		read: store.Options{Format: "zip"},
		keep: w.keepBinaries(),
	}
}

func (s *pip) Locked(w *Want, key string, f lock.File) (*Artifact, error) {
	a := s.artifact(w, pkgmgr.Wheel{Filename: key, SHA256: f.SHA256})
	// The name of a wheel begins with that of its project (PEP 427).
	project, _, _ := strings.Cut(key, "-")
	a.get = func(ctx context.Context, in *store.Ingest) error {
		address, err := s.client.PyPIFile(ctx, s.index, project, key)
		if err != nil {
			return err
		}
		return s.client.Download(ctx, address, in, remote.DownloadOptions{})
	}
	return a, nil
}

// keepBinaries asks for the first bytes of every file that may be the
// executable of w on some platform.
func (w *Want) keepBinaries() func(path string) int {
	keep := map[string]bool{}
	for _, p := range lock.Platforms {
		for _, b := range w.binaries(p) {
			keep[b] = true
		}
	}
	return func(path string) int {
		if keep[path] {
			return headSize
		}
		return 0
	}
}

func (s *pip) Executable(w *Want, p lock.Platform, tree Tree, contents map[string]*Content) (string, error) {
	return nativeExecutable(w, p, tree, contents)
}

// nativeExecutable finds a compiled executable by its path, and looks at it.
func nativeExecutable(w *Want, p lock.Platform, tree Tree, contents map[string]*Content) (string, error) {
	paths := w.binaries(p)
	for _, path := range paths {
		f, ok := tree[path]
		if !ok {
			continue
		}
		if p.OS != "windows" && !f.Exec {
			return "", fault.Errorf(fault.Integrity, "tell its publisher, or take another source", "%s is not marked as executable in its archive", path)
		}
		for _, c := range contents {
			if head, ok := c.Heads[path]; ok {
				return path, checkMagic(p, path, head)
			}
		}
		return path, nil
	}
	return "", fault.Errorf(fault.Integrity, "correct binary of the entry", "there is no %s in it; there is %s", paths[0], tree.under(paths[0]))
}

func base64OfHex(s string) string {
	raw, err := hex.DecodeString(s)
	if err != nil {
		return "not a digest: " + s
	}
	return base64.StdEncoding.EncodeToString(raw)
}
