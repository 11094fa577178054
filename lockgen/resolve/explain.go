package resolve

import (
	"context"
	"maps"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// Compete asks every source of a plugin version whether it can be locked now,
// like Update, but it asks all sources and locks nothing. It downloads what
// they offer into the store. Why is "" for a source that can be locked.
func Compete(ctx context.Context, m *manifest.Manifest, w *plan.Want, o Options) ([]plan.Tried, error) {
	if o.Offline {
		return nil, fault.About(fault.AboutOffline, fault.Errorf(fault.Upstream, "run it again without --offline", "offline, and --upstream asks every source"))
	}
	var list []plan.Tried
	for _, c := range w.Candidates() {
		// What is locked must be found, because a runtime may be part of it.
		u := newUpdate(m, o)
		for name, versions := range o.Old.Plugins {
			u.out.Lock.Plugins[name] = maps.Clone(versions)
		}
		delete(u.out.Lock.Plugins[c.Name], c.Version)
		u.moves = map[*plan.Want]bool{c: c.Ranged && c.Version == ""}
		job := newJob(c)
		failed, err := u.settle(ctx, job)
		if err == nil && len(failed) == 0 {
			c = job.now()
			failed, err = u.try(ctx, ctx, nil, job)
		}
		u.Close()
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			failed = []failure{{w: c, err: err}} // such as no client on this machine
		}
		list = append(list, tried([]*plan.Want{c}, failed)...)
	}
	return list, nil
}
