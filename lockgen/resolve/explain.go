package resolve

import (
	"context"
	"maps"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// Sources returns the sources of a plugin version in the order in which they
// are tried, and those that are out of question whatever they have.
func (w *Want) Sources() (list []manifest.Source, out []Tried) {
	for _, c := range w.candidates() {
		list = append(list, c.From)
	}
	for _, t := range w.out {
		t.Plugin, t.Version = w.Name, w.Version
		out = append(out, t)
	}
	return list, out
}

// LockedFrom is the source of w that a locked version came from.
func (w *Want) LockedFrom(m *manifest.Manifest, v *lock.Version) manifest.Source {
	return w.lockedAs(m, v).From
}

// Contest asks every source of a plugin version whether it can serve now, as
// Update does, but to the last of them and without locking anything. It
// downloads what they offer into the store. Why is "" for a source that can.
func Contest(ctx context.Context, m *manifest.Manifest, w *Want, o Options) ([]Tried, error) {
	if o.Offline {
		return nil, fault.About(fault.AboutOffline, fault.Errorf(fault.Upstream, "run it again without --offline", "offline, and --upstream asks every source"))
	}
	var list []Tried
	for _, c := range w.candidates() {
		// What is locked is there, for a runtime may be among it.
		u := newUpdate(m, o)
		for name, versions := range o.Old.Plugins {
			u.out.Lock.Plugins[name] = maps.Clone(versions)
		}
		delete(u.out.Lock.Plugins[c.Name], c.Version)
		u.moves = map[*Want]bool{c: c.ranged && c.Version == ""}
		u.connect()
		failed, err := u.try(ctx, ctx, nil, newContest(c))
		for _, f := range u.cleanup {
			f()
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			failed = []failure{{w: c, err: err}} // such as no client on this machine
		}
		list = append(list, tried([]*Want{c}, failed)...)
	}
	return list, nil
}
