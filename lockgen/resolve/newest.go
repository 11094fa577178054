package resolve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/once"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// The newest version is that of all sources: each is asked for its versions,
// and the order of sources decides between those that have the newest.
//
// If a source cannot be asked, for example because of a firewall, the others
// are used, with a note that it might have a newer version. A locked version is
// never replaced by an older one for this reason.

// A survey has the answers of a plugin's sources.
type survey struct {
	listed []plan.Listed // sources that answered
	failed []failure     // sources that did not
}

// silent returns the failures of sources that might have more versions: they
// are unreachable, or their client is missing.
func (s *survey) silent() (list []failure) {
	for _, f := range s.failed {
		if !f.lost() {
			list = append(list, f)
		}
	}
	return list
}

// newest orders the candidates, see [plan.Newest].
func (s *survey) newest(locked string, rules plan.Rules) []*plan.Want {
	return plan.Newest(s.listed, locked, rules)
}

// releases has lists of versions by source. Entries of one plugin share a list.
type releases = once.Map[string, []plan.Release]

// survey asks every candidate of a range. locked is the locked version, or "".
// The error is an interruption.
func (u *update) survey(ctx context.Context, candidates []*plan.Want, locked string, lists *releases) (*survey, error) {
	if len(candidates) > 0 {
		defer u.Shown().Step("asking which versions of %s there are", candidates[0].Name)()
	}
	listed, errs := make([]plan.Listed, len(candidates)), make([]error, len(candidates))
	var g errgroup.Group
	for i, w := range candidates {
		g.Go(func() error {
			listed[i], errs[i] = u.list(ctx, w, locked, lists)
			return nil
		})
	}
	_ = g.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := &survey{}
	for i, err := range errs {
		if err != nil {
			s.failed = append(s.failed, failure{w: candidates[i], err: err})
			continue
		}
		s.listed = append(s.listed, listed[i])
	}
	return s, nil
}

// list asks one source.
func (u *update) list(ctx context.Context, w *plan.Want, locked string, lists *releases) (plan.Listed, error) {
	of := plan.Listed{Want: w}
	l, err := u.Lister(ctx, w.From.Kind)
	if err != nil {
		return of, err
	}
	all, err := lists.Do(w.From.String(), func() ([]plan.Release, error) { return l.Versions(ctx, w) })
	if err == nil {
		of.Releases, err = u.Dated(ctx, l, w, w.Ours(all), locked)
	}
	if err != nil {
		return of, err
	}
	of.Choice = w.Choose(of.Releases, locked, u.Rules())
	return of, nil
}

// old returns the locked version of w, or "".
func (u *update) old(w *plan.Want) string {
	if u.Old.Plugins[w.Name][w.Version] == nil {
		return ""
	}
	return w.Version
}

// settle orders the candidates of a job whose version may change: those with
// the newest version come first. The failures say why there is none; the error
// is an interruption.
func (u *update) settle(ctx context.Context, c *job) ([]failure, error) {
	first := c.candidates[0]
	if !u.moves[first] && !c.moves {
		return nil, nil
	}
	if !c.needed { // other jobs wait for these few
		leave, err := u.clients.Enter(ctx, false)
		if err != nil {
			return nil, err
		}
		defer leave()
	}
	locked := u.old(first)
	s, err := u.survey(ctx, c.candidates, locked, new(releases))
	if err != nil {
		return nil, err
	}
	order, err := s.pick(first, locked, u.Rules())
	if err != nil {
		return s.failures(first, err), nil
	}
	c.silent = s.silent()
	for _, f := range c.silent {
		c.notes = append(c.notes, unasked(f, order[0]))
	}
	c.tried = append(c.tried, s.tried(order)...)
	c.candidates = order
	return nil, nil
}

// pick orders the candidates of a range. It returns an error if none has an
// allowed version, or if the locked version would be replaced by an older one
// because a source could not be asked.
func (s *survey) pick(first *plan.Want, locked string, rules plan.Rules) ([]*plan.Want, error) {
	order := s.newest(locked, rules)
	silent := s.silent()
	for _, f := range silent {
		if fault.Of(f.err) == fault.Integrity { // that is not a sign of being unreachable
			return nil, f.err
		}
	}
	if len(order) == 0 {
		for _, l := range s.listed { // the first one explains it
			w := *l.Want
			if err := w.Pick(l.Releases, locked, rules); err != nil {
				return nil, err
			}
		}
		return nil, s.failed[0].err
	}
	newest := order[0]
	if locked != "" && len(silent) > 0 {
		order = slices.DeleteFunc(order, func(w *plan.Want) bool { return plan.CompareVersions(w.From.Kind, w.Version, locked) < 0 })
	}
	if len(order) == 0 {
		return nil, fault.Errorf(fault.Of(silent[0].err), fault.Hint(silent[0].err), "%s is locked, but %s could not be asked, and other sources have only %s: %w",
			locked, silent[0].w.From, newest.Version, silent[0].err)
	}
	return order, nil
}

// failures returns those of the sources, and err if none of them is err.
func (s *survey) failures(first *plan.Want, err error) []failure {
	for _, f := range s.failed {
		if f.err == err { //nolint:errorlint // the very same
			return s.failed
		}
	}
	w := first
	if len(s.listed) > 0 {
		w = s.listed[0].Want
	}
	return append([]failure{{w: w, err: err}}, s.failed...)
}

// tried explains why sources are not among the ordered ones.
func (s *survey) tried(order []*plan.Want) (list []plan.Tried) {
	add := func(w *plan.Want, why string) {
		list = append(list, plan.Tried{Plugin: w.Name, Version: order[0].Version, Source: w.From.String(), Why: why})
	}
	for _, f := range s.failed {
		add(f.w, f.err.Error())
	}
	for _, l := range s.listed {
		if l.Version == "" {
			add(l.Want, "none of its versions is allowed")
			continue
		}
		w := *l.Want
		if w.Version = l.Version; plan.Compare(&w, order[0]) < 0 {
			add(l.Want, "its newest allowed version is "+l.Version)
		}
	}
	return list
}

// unasked describes a source that could not be asked.
func unasked(f failure, by *plan.Want) string {
	return fmt.Sprintf("%s: %s could not be asked for its versions, and may have a newer one than %s: %v", f.w.Name, f.w.From, by.Version, oneLine(f.err))
}

// unreachable reports whether a failure only means that a source is
// unreachable.
func (f failure) unreachable() bool {
	return fault.Of(f.err) == fault.Upstream && !errors.Is(f.err, fs.ErrNotExist)
}
