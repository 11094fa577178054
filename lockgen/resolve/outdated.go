package resolve

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// An Age is how one entry of the manifest compares with what its source has.
type Age struct {
	Name    string      `json:"name"`
	Asked   string      `json:"asked"`   // what the entry says
	Locked  string      `json:"locked"`  // "" for nothing
	Allowed string      `json:"allowed"` // the newest version within the entry and the policy, "" for none
	Latest  string      `json:"latest"`  // the newest version there is, "" where that is not known
	Held    []plan.Held `json:"held"`    // versions newer than Allowed, newest first
	// Released is the day on which Locked was, YYYY-MM-DD by the registry's clock,
	// "" where it has none.
	Released string `json:"released,omitempty"`
	Run      string `json:"run,omitempty"` // the command that takes what is newer; for lockgen to fill in
	Error    string `json:"error,omitempty"`
}

// Behind reports whether there is something to say of it.
func (a Age) Behind() bool {
	return a.Error != "" || a.Locked != a.Allowed || a.Locked != a.Latest
}

// Outdated compares every entry of the manifest with what its source has: one
// request a plugin, nothing is downloaded. Where a source cannot list versions
// the row says so; the error is of the sources that can and did not.
func Outdated(ctx context.Context, m *manifest.Manifest, o Options) ([]Age, error) {
	wants, err := plan.Wants(m, o.Old)
	if err != nil {
		return nil, err
	}
	u := newUpdate(m, o)
	defer u.Close()
	ages := make([]Age, len(wants))
	errs := make([]error, len(wants))
	var lists once.Map[string, []plan.Release] // by source: entries of one plugin share a list
	var g errgroup.Group
	g.SetLimit(4)
	for i, w := range wants {
		ages[i] = Age{Name: w.Name, Asked: w.Asked, Held: []plan.Held{}}
		if u.Old.Plugins[w.Name][w.Version] != nil {
			ages[i].Locked = w.Version
		}
		if v := u.Old.Plugins[w.Name][w.Version]; v != nil {
			w = w.LockedAs(m, v) // of several sources the locked one
		}
		l, err := u.Lister(ctx, w.From.Kind)
		if ctx.Err() != nil {
			_ = g.Wait()
			return nil, ctx.Err()
		}
		g.Go(func() error {
			releases, err := lists.Do(w.From.String(), func() ([]plan.Release, error) {
				if err != nil {
					return nil, err
				}
				return l.Versions(ctx, w)
			})
			if err == nil {
				releases, err = u.Dated(ctx, l, w, releases, ages[i].Locked)
			}
			if err != nil {
				ages[i].Error = err.Error()
				if fault.Of(err) != fault.Usage {
					errs[i] = err
				} else if !w.Ranged {
					ages[i].Allowed = w.Version
				}
				return nil
			}
			for _, r := range releases {
				if r.Version == ages[i].Locked && !r.Seen && !r.Released.IsZero() {
					ages[i].Released = r.Released.UTC().Format(time.DateOnly)
				}
			}
			c := w.Choose(releases, ages[i].Locked, u.Rules())
			ages[i].Allowed, ages[i].Latest = c.Version, c.Newest
			ages[i].Held = append(ages[i].Held, c.Held...)
			return nil
		})
	}
	_ = g.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return ages, errors.Join(errs...)
}

// Newest returns the version of a plugin that [Update] would lock for an entry
// that is a range, and the newer ones that it would not, newest first. Name is one
// of the manifest's.
func Newest(ctx context.Context, m *manifest.Manifest, name, spec string, o Options) (string, []plan.Held, error) {
	wants, err := plan.Wants(m, nil)
	if err != nil {
		return "", nil, err
	}
	u := newUpdate(m, o)
	if o.Offline {
		return "", nil, fault.About(fault.AboutOffline, fault.Errorf(fault.Upstream, "run it again without --offline, or name the version: lockgen add "+name+"@VERSION", "offline, and the versions of %s are not known", name))
	}
	defer u.Close()
	for _, w := range wants {
		if w.Name != name || w.Asked != spec {
			continue
		}
		l, err := u.Lister(ctx, w.From.Kind)
		if err != nil {
			return "", nil, err
		}
		if err := u.pick(ctx, l, w); err != nil {
			return "", nil, err
		}
		return w.Version, w.Held, nil
	}
	return "", nil, fault.Errorf(fault.Internal, "", "no entry %s %s", name, spec)
}

// pick lists the versions of a range and settles on one.
func (u *update) pick(ctx context.Context, l source.Source, w *plan.Want) error {
	releases, err := l.Versions(ctx, w)
	if err != nil {
		return err
	}
	locked := w.Version
	if u.Old.Plugins[w.Name][locked] == nil {
		locked = ""
	}
	if releases, err = u.Dated(ctx, l, w, releases, locked); err != nil {
		return err
	}
	return w.Pick(releases, locked, u.Rules())
}
