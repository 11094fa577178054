package resolve

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// An Age compares one entry of the manifest with its sources.
type Age struct {
	Name    string      `json:"name"`
	Asked   string      `json:"asked"`   // version in the entry
	Locked  string      `json:"locked"`  // "" for none
	Allowed string      `json:"allowed"` // the newest version within the entry and the policy, "" for none
	Latest  string      `json:"latest"`  // the newest version of all, "" if unknown
	Held    []plan.Held `json:"held"`    // versions newer than Allowed, newest first
	// Released is the release day of Locked, YYYY-MM-DD by the registry's clock,
	// or "" if it has none.
	Released string `json:"released,omitempty"`
	Run      string `json:"run,omitempty"` // the command that takes what is newer; for lockgen to fill in
	Error    string `json:"error,omitempty"`
	// Unasked has the sources that could not be asked while others answered, and
	// why.
	Unasked []string `json:"unasked,omitempty"`
}

// Behind reports whether there is something to report about the entry.
func (a Age) Behind() bool {
	return a.Error != "" || len(a.Unasked) > 0 || a.Locked != a.Allowed || a.Locked != a.Latest
}

// Why explains in one line what holds back newer versions, and which sources
// did not answer.
func (a Age) Why() string {
	var parts []string
	switch {
	case a.Error != "":
		parts = append(parts, strings.ReplaceAll(a.Error, "\n", " "))
	case len(a.Held) > 0:
		line := a.Held[0].Version + ": " + a.Held[0].Why
		if more := len(a.Held) - 1; more > 0 {
			line += fmt.Sprintf(" (and %d more)", more)
		}
		parts = append(parts, line)
	}
	for _, of := range a.Unasked {
		parts = append(parts, "could not ask "+of)
	}
	return strings.Join(parts, "; ")
}

// Outdated compares every entry of the manifest with its sources. It makes one
// request per plugin and downloads nothing. If a source cannot list versions,
// the row says so; the error is about sources that can, but did not answer.
func Outdated(ctx context.Context, m *manifest.Manifest, o Options) ([]Age, error) {
	wants, err := plan.Wants(m, o.Old)
	if err != nil {
		return nil, err
	}
	u := newUpdate(m, o)
	defer u.Close()
	defer u.Show()()
	u.Shown().Plugins(len(wants))
	ages := make([]Age, len(wants))
	errs := make([]error, len(wants))
	var lists releases
	var g errgroup.Group
	g.SetLimit(4)
	for i, w := range wants {
		ages[i] = Age{Name: w.Name, Asked: w.Asked, Locked: u.old(w), Held: []plan.Held{}}
		g.Go(func() error {
			errs[i] = u.age(ctx, w, &ages[i], &lists)
			u.Shown().Ended()
			return nil
		})
	}
	_ = g.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return ages, errors.Join(errs...)
}

// age compares one entry with its sources. The error is about sources that can
// list versions, but did not answer; if others did, only the row reports it.
func (u *update) age(ctx context.Context, w *plan.Want, age *Age, lists *releases) error {
	s, err := u.survey(ctx, w.Candidates(), age.Locked, lists)
	if err != nil {
		return err
	}
	silent := s.silent()
	if len(s.listed) == 0 {
		first := s.failed[0]
		if len(silent) > 0 {
			first = silent[0]
		}
		if age.Error = first.err.Error(); fault.Of(first.err) != fault.Usage {
			return first.err
		}
		if !w.Ranged {
			age.Allowed = w.Version
		}
		return nil
	}
	for _, f := range silent {
		age.Unasked = append(age.Unasked, f.w.From.String()+": "+oneLine(f.err))
	}
	own := s.listed[0]
	if v := u.Old.Plugins[w.Name][age.Locked]; v != nil {
		locked := w.LockedAs(u.Manifest, v)
		for _, l := range s.listed {
			if l.Want == locked {
				own = l
			}
		}
	}
	for _, r := range own.Releases {
		if r.Version == age.Locked && !r.Seen && !r.Released.IsZero() {
			age.Released = r.Released.UTC().Format(time.DateOnly)
		}
	}
	if order := s.newest(age.Locked, u.Rules()); len(order) > 0 {
		age.Allowed, age.Held = order[0].Version, append(age.Held, order[0].Held...)
	} else {
		age.Held = append(age.Held, plan.HeldBack(s.listed, own, "")...)
	}
	age.Latest = plan.Latest(s.listed)
	if age.Locked != "" && len(silent) > 0 && plan.CompareVersions(own.Want.From.Kind, age.Allowed, age.Locked) < 0 {
		age.Allowed = age.Locked // an unreachable source never makes a version older
	}
	return nil
}

// Newest returns the version that [Update] would lock for a range, and the
// newer ones that it would skip, newest first. name is a plugin of the
// manifest.
func Newest(ctx context.Context, m *manifest.Manifest, name, spec string, o Options) (string, []plan.Held, error) {
	var old *lock.Lock
	if m.Plugins[name] != nil && m.Plugins[name].Language != "" { // it follows what is locked
		old = o.Old
	}
	wants, err := plan.Wants(m, old)
	if err != nil {
		return "", nil, err
	}
	u := newUpdate(m, o)
	if o.Offline {
		return "", nil, fault.About(fault.AboutOffline, fault.Errorf(fault.Upstream, "run it again without --offline, or name the version: lockgen add "+name+"@VERSION", "offline, and the versions of %s are unknown", name))
	}
	defer u.Close()
	defer u.Show()()
	for _, w := range wants {
		if w.Name != name || w.Asked != spec {
			continue
		}
		s, err := u.survey(ctx, w.Candidates(), u.old(w), new(releases))
		if err != nil {
			return "", nil, err
		}
		order, err := s.pick(w, u.old(w), u.Rules())
		if err != nil {
			return "", nil, err
		}
		for _, f := range s.silent() {
			u.UI.Warn("%s", unasked(f, order[0]))
		}
		return order[0].Version, order[0].Held, nil
	}
	return "", nil, fault.Errorf(fault.Internal, "", "no entry %s %s", name, spec)
}
