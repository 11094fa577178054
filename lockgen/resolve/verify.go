package resolve

import (
	"context"
	"maps"
	"slices"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// verify downloads every file that was kept from the old lock and compares
// bytes and trees. Then it resolves each plugin again, and notes what would be
// locked now. It changes nothing: different bytes are an error of class
// [fault.Integrity], another closure is a note.
func (u *update) verify(ctx context.Context, wants, done []*plan.Want) error {
	var kept []*plan.Want
	for _, w := range wants {
		if !slices.Contains(done, w) && u.out.Lock.Plugins[w.Name][w.Version] != nil {
			kept = append(kept, w)
		}
	}
	if len(kept) == 0 {
		return nil
	}
	if u.Offline {
		return fault.About(fault.AboutOffline, fault.Errorf(fault.Upstream, "run it again without --offline", "offline, and --verify downloads everything again"))
	}
	var failures []failure
	for _, w := range kept {
		v := u.out.Lock.Plugins[w.Name][w.Version]
		w = w.LockedAs(u.Manifest, v)
		u.besideLocked(w, wants)
		if err := u.verifyOne(ctx, w, v); err != nil {
			failures = append(failures, failure{w: w, err: err})
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if len(failures) > 0 {
		return u.fail(len(kept), failures)
	}
	return nil
}

func (u *update) verifyOne(ctx context.Context, w *plan.Want, v *lock.Version) error {
	src, err := u.Source(ctx, v.Source)
	if err != nil {
		return err
	}
	a := &attempt{w: w, source: src, res: &source.Resolution{}}
	for _, key := range slices.Sorted(maps.Keys(v.Files)) {
		artifact, err := src.Locked(w, key, v.Files[key])
		if err != nil {
			return err
		}
		artifact.Key = key
		for _, p := range lock.Platforms {
			if v.Files[key].For(p.Name) && v.Platforms[p.Name].Locked() {
				artifact.Platforms = append(artifact.Platforms, p.Name)
			}
		}
		a.res.Artifacts = append(a.res.Artifacts, artifact)
	}
	errs, err := u.files.Fetch(ctx, a.res.Artifacts, true, false)
	if err != nil {
		return err
	}
	for _, p := range lock.Platforms {
		locked := v.Platforms[p.Name]
		if !locked.Locked() {
			continue
		}
		cell, err := u.cell(ctx, a, p, errs)
		if err != nil {
			return err
		}
		if cell.Tree == "" { // compiled, so there is nothing to compare with
			cell.Tree = locked.Tree
		}
		if cell != locked {
			return fault.Errorf(fault.Integrity, "run: lockgen update "+w.Name,
				"its files on %s give tree %s with binary %s, but the lock has tree %s with binary %s", p.Name, cell.Tree, cell.Binary, locked.Tree, locked.Binary)
		}
	}
	res, err := u.consists(ctx, src, w)
	if err != nil {
		return err
	}
	locked := map[string]*source.Artifact{}
	for _, artifact := range a.res.Artifacts {
		locked[artifact.Identity] = artifact
	}
	now := map[string]lock.File{}
	for _, artifact := range res.Artifacts {
		now[artifact.Key] = artifact.File
		// What has a digest as its name, as in an OCI registry, never changes,
		// but its tag may.
		l := locked[artifact.Identity]
		if l == nil || artifact.Digest == "" {
			continue
		}
		if old := source.OldDigest(artifact, v.Files[l.Key]); old != "" && old != artifact.Digest {
			return source.ReplacedError(artifact, "upstream digest "+old, "upstream digest "+artifact.Digest)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(v.Files)) {
		f, ok := now[key]
		if old := v.Files[key]; !ok || f.Version != old.Version || f.Name != old.Name {
			u.out.Notes = append(u.out.Notes, w.String()+" now resolves to other packages, first at "+key+"; to lock them, run: lockgen update "+w.Name)
			return nil
		}
	}
	return nil
}
