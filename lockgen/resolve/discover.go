package resolve

import (
	"context"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// A Discovery is what a source that nobody has described has to offer.
type Discovery struct {
	Source   manifest.Source // go: of the module
	Version  string          // that was asked for, or the newest one
	Held     []plan.Held     // newer ones
	Programs []source.Program
}

// Discover asks a source what a version of it consists of; for "latest" it is the
// newest that the rules of m allow. Asset is a file of the release that is meant, ""
// for any; github: only.
func Discover(ctx context.Context, m *manifest.Manifest, from manifest.Source, asset, version string, o Options) (*Discovery, error) {
	if o.Offline {
		return nil, fault.About(fault.AboutOffline, fault.Errorf(fault.Upstream, "run it again without --offline, or write an entry by hand", "offline, and nothing is known of %s", from))
	}
	o.Verb = "add"
	u := newUpdate(m, o)
	defer u.Close()
	defer u.Show()()
	w := &plan.Want{Name: from.String(), From: from, At: m.Name}
	if bare, _ := from.Bare(); lock.KindOf(from.Kind).Compiled {
		w.From = bare
	}
	if lock.KindOf(from.Kind).Mains {
		module, dir, err := u.Module(ctx, from.Name)
		if err != nil {
			return nil, err
		}
		w.From.Name, w.Main = module, dir
	}
	if _, _, ok := from.GitHub(); ok {
		tag, err := u.Tag(ctx, w)
		if err != nil {
			return nil, err
		}
		w.Naming.Tag, w.Naming.Asset = tag, asset
	}
	if err := w.Ask(version); err != nil {
		return nil, err
	}
	if w.Ranged {
		s, err := u.survey(ctx, []*plan.Want{w}, "", new(releases))
		if err != nil {
			return nil, err
		}
		order, err := s.pick(w, "", u.Rules())
		if err != nil {
			return nil, err
		}
		w = order[0]
	}
	programs, err := u.Programs(ctx, w)
	if err != nil {
		return nil, u.proposing(ctx, []failure{{w: w, err: err}})[0].err
	}
	if lock.KindOf(from.Kind).Compiled { // with its features
		w.From = from
	}
	return &Discovery{Source: w.From, Version: w.Version, Held: w.Held, Programs: programs}, nil
}
