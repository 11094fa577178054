package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/mod/module"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/maven"
	"github.com/birbparty/buck2-protobuf/internal/npm"
	"github.com/birbparty/buck2-protobuf/internal/pip"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// A packager is a [Source] of which a proto package is one file of a package, and
// not what the package needs besides.
type packager interface {
	pack(ctx context.Context, w *plan.Want) (a *Artifact, notes []string, err error)
}

var (
	_ packager = (*goSource)(nil)
	_ packager = (*mavenSource)(nil)
	_ packager = (*npmSource)(nil)
	_ packager = (*pipSource)(nil)
)

// Protos finds the archive of a proto package, which is one for every platform.
func Protos(ctx context.Context, s Source, w *plan.Want) (*Resolution, error) {
	platforms := lock.Platforms[:]
	if p, ok := s.(packager); ok {
		a, notes, err := p.pack(ctx, w)
		if err != nil {
			return nil, err
		}
		for _, p := range platforms {
			a.Platforms = append(a.Platforms, p.Name)
		}
		return &Resolution{Artifacts: []*Artifact{a}, Notes: notes}, nil
	}
	res, err := s.Resolve(ctx, w, platforms)
	if err != nil {
		return nil, err
	}
	if len(res.Artifacts) != 1 || len(res.Missing) > 0 {
		return nil, fault.Errorf(fault.Usage, "name one archive for all: of an OCI registry, oci://HOST/REPO:TAG#FILE", "%s has another file for each platform, and a proto package is one archive", w.From)
	}
	if a := res.Artifacts[0]; a.File.Archive != "zip" && !strings.HasPrefix(a.File.Archive, "tar.") {
		return nil, fault.Errorf(fault.Usage, "name a .zip or .tar.gz", "%s is no archive", a.Label)
	}
	return res, nil
}

func (s *goSource) pack(_ context.Context, w *plan.Want) (*Artifact, []string, error) {
	if err := module.Check(w.From.Name, "v"+w.Version); err != nil {
		return nil, nil, fault.Errorf(fault.Usage, "correct the module or the version; from version 2 on the path of a module ends in /v2, and so on", "%w", err)
	}
	a, err := s.artifact(w.From.Name, w.Version, false)
	if err != nil {
		return nil, nil, err
	}
	if f, ok := s.old(a); ok {
		a.File.Integrity, a.File.GoMod, a.Digest = f.Integrity, f.GoMod, f.Integrity
	}
	if a.Trust = "transparency-log"; !s.config.Transparent(w.From.Name) {
		a.Trust = "first-use"
	}
	return a, nil, nil
}

func (s *mavenSource) pack(ctx context.Context, w *plan.Want) (*Artifact, []string, error) {
	own := w.Artifact(lock.Platforms[0])
	if maven.Snapshot(own.Version) {
		return nil, nil, fault.Errorf(fault.Policy, "take a released version", "%s may change: what is called a snapshot is never locked", own)
	}
	a := s.artifact(own)
	a.File.Archive = "zip"
	return a, nil, s.evidence(ctx, []*Artifact{a})
}

func (s *npmSource) pack(ctx context.Context, w *plan.Want) (*Artifact, []string, error) {
	registry, err := s.Registry(ctx, w.From.Name)
	if err != nil {
		return nil, nil, err
	}
	releases, _, err := s.Client.NPMVersions(ctx, registry, w.From.Name)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range releases {
		if r.Version != w.Version {
			continue
		}
		a, err := s.artifact(w.PackageDir(), npm.LockedPackage{Name: w.From.Name, Version: r.Version, Integrity: r.Digest})
		var notes []string
		if r.Deprecated != "" {
			notes = append(notes, fmt.Sprintf("%s: npm package %s is deprecated: %s", w, w.From.Name, r.Deprecated))
		}
		return a, notes, err
	}
	return nil, nil, fault.Errorf(fault.Upstream, "is the version right? which there are: lockgen outdated", "the registry has no version %s of npm package %s: %w", w.Version, w.From.Name, fs.ErrNotExist)
}

func (s *pipSource) pack(ctx context.Context, w *plan.Want) (*Artifact, []string, error) {
	files, err := s.files(ctx, w.From.Name)
	if err != nil {
		return nil, nil, err
	}
	k := lock.KindOf(lock.Pip)
	there := false
	for _, f := range files {
		_, version := k.PackageOf(f.Filename, lock.File{})
		if !f.Wheel() || version == "" || plan.CompareVersions(lock.Pip, version, w.Version) != 0 {
			continue
		}
		there = true
		if !strings.HasSuffix(f.Filename, "-none-any.whl") {
			continue
		}
		if lock.CheckSHA256("sha256", strings.ToLower(f.SHA256)) != nil {
			return nil, nil, fault.Errorf(fault.Policy, "ask the operator of the index", "the index has no sha256 of %s", f.Filename)
		}
		var notes []string
		if f.Yanked != "" {
			notes = append(notes, w.String()+": "+f.Filename+" was yanked by its publisher")
		}
		return s.artifact(w, pip.Wheel{Filename: f.Filename, URL: f.URL, SHA256: strings.ToLower(f.SHA256)}), notes, errors.Join(f.Refused)
	}
	if there {
		return nil, nil, fault.Errorf(fault.Usage, "take another source", "%s %s has no wheel that is the same on every platform", w.From.Name, w.Version)
	}
	return nil, nil, fault.Errorf(fault.Upstream, "is the version right? which there are: lockgen outdated", "the index has no wheel of %s %s: %w", w.From.Name, w.Version, fs.ErrNotExist)
}
