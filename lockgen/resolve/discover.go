package resolve

import (
	"context"
	"fmt"
	"slices"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// A Discovery is what a source without an entry offers.
type Discovery struct {
	Source   manifest.Source // for go: the source of the module
	Version  string          // the requested version, or the newest
	Held     []plan.Held     // newer ones that were skipped
	Programs []source.Program
}

// Discover asks a source what a version of it consists of; for "latest" it is the
// newest that the rules of m allow. Asset is a file of the release that is meant, ""
// for any; github: only.
func Discover(ctx context.Context, m *manifest.Manifest, from manifest.Source, asset, version string, o Options) (*Discovery, error) {
	if o.Offline {
		return nil, fault.About(fault.AboutOffline, fault.Errorf(fault.Upstream, "run it again without --offline, or write an entry by hand", "offline, and lockgen knows nothing about %s", from))
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
	programs, err := u.Programs(ctx, w, fromHost())
	if err != nil {
		return nil, u.proposing(ctx, []failure{{w: w, err: err}})[0].err
	}
	if lock.KindOf(from.Kind).Compiled { // with its features
		w.From = from
	}
	return &Discovery{Source: w.From, Version: w.Version, Held: w.Held, Programs: programs}, nil
}

// fromHost returns all platforms, that of this machine first.
func fromHost() []lock.Platform {
	host, _ := lock.Host()
	return append(slices.DeleteFunc(slices.Clone(lock.Platforms), func(p lock.Platform) bool { return p.Name != host.Name }),
		slices.DeleteFunc(slices.Clone(lock.Platforms), func(p lock.Platform) bool { return p.Name == host.Name })...)
}

// find asks the source for the executable of a want that names none.
func (u *update) find(ctx context.Context, w *plan.Want, on []lock.Platform) error {
	programs, err := u.Programs(ctx, w, on)
	if err != nil {
		return err
	}
	p, err := source.Choose(w.From, programs, "", func(p source.Program) string {
		say := fmt.Sprintf("binary = %q", p.Binary)
		if p.Main != "" && p.Main != w.Main {
			say += fmt.Sprintf(" and package = %q", p.Main)
		}
		return "write into the entry " + say
	})
	if err != nil {
		return err
	}
	return w.Found(p.Binary, p.Main)
}
