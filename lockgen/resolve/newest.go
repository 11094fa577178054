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

// The newest version is the newest of all sources: each is asked which versions
// there are, and the order of sources decides between those that have that one.
//
// A source that cannot be asked, such as one behind a wall, does not hinder the
// others, but it is told, for it might have a newer version. What is locked never
// gives way to an older version on account of that.

// A survey is what the sources of a plugin say of its versions.
type survey struct {
	listed []plan.Listed // those that answered
	failed []failure     // those that did not
}

// silent are the sources that might have more than what was said: out of reach, or
// without the client program that they take.
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

// releases are lists of versions, by source: entries of one plugin share a list.
type releases = once.Map[string, []plan.Release]

// survey asks every candidate of one range. Locked is the version that the lock
// has, "" for none. The error is an interruption.
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

// old is the version that the lock has of w, "" for none.
func (u *update) old(w *plan.Want) string {
	if u.Old.Plugins[w.Name][w.Version] == nil {
		return ""
	}
	return w.Version
}

// settle gives a job that may move its candidates: those of the newest version
// first. The failures say why there is none; the error is an interruption.
func (u *update) settle(ctx context.Context, c *job) ([]failure, error) {
	first := c.candidates[0]
	if !u.moves[first] && !c.moves {
		return nil, nil
	}
	if !c.needed { // others wait for those few
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

// pick orders the candidates of a range. It is an error where none has a version
// that may be locked, or where what is locked would give way to an older one
// because a source could not be asked.
func (s *survey) pick(first *plan.Want, locked string, rules plan.Rules) ([]*plan.Want, error) {
	order := s.newest(locked, rules)
	silent := s.silent()
	for _, f := range silent {
		if fault.Of(f.err) == fault.Integrity { // no sign of being out of reach
			return nil, f.err
		}
	}
	if len(order) == 0 {
		for _, l := range s.listed { // the first says why
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
		return nil, fault.Errorf(fault.Of(silent[0].err), fault.Hint(silent[0].err), "%s is locked, %s could not be asked, and the newest that another source has is %s: %w",
			locked, silent[0].w.From, newest.Version, silent[0].err)
	}
	return order, nil
}

// failures are those of the sources, and err where none of them says it.
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

// tried says why the sources that are not among the ordered ones lost.
func (s *survey) tried(order []*plan.Want) (list []plan.Tried) {
	add := func(w *plan.Want, why string) {
		list = append(list, plan.Tried{Plugin: w.Name, Version: order[0].Version, Source: w.From.String(), Why: why})
	}
	for _, f := range s.failed {
		add(f.w, f.err.Error())
	}
	for _, l := range s.listed {
		if l.Version == "" {
			add(l.Want, "none of its versions is one that may be locked")
			continue
		}
		w := *l.Want
		if w.Version = l.Version; plan.Compare(&w, order[0]) < 0 {
			add(l.Want, "the newest of its versions that may be locked is "+l.Version)
		}
	}
	return list
}

// unasked tells of a source that could not be asked.
func unasked(f failure, by *plan.Want) string {
	return fmt.Sprintf("%s: %s could not be asked which versions it has, and may have a newer one than %s: %v", f.w.Name, f.w.From, by.Version, oneLine(f.err))
}

// unreachable reports whether a failure only says that a source is out of reach.
func (f failure) unreachable() bool {
	return fault.Of(f.err) == fault.Upstream && !errors.Is(f.err, fs.ErrNotExist)
}
