package resolve

import (
	"context"
	"slices"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// The runtimes of a language are resolved together: a program has one version of each
// library, and so what one of them needs depends on the others. And they follow the
// plugins whose code they run.

// again are the languages whose runtimes have to be resolved: one of them is asked
// for, is not locked as it is asked for, or follows a plugin that may move.
func (u *update) languages(wants []*plan.Want, again map[*plan.Want]bool) map[string]bool {
	moving := map[string]bool{}
	for _, w := range wants {
		moving[w.Name] = moving[w.Name] || again[w] && u.moves[w]
	}
	all := map[string]bool{}
	for _, w := range wants {
		if w.Language == "" {
			continue
		}
		diffs := w.Differences(u.Manifest, u.Old.Plugins[w.Name][w.Version])
		if again[w] || slices.ContainsFunc(w.Follows(), func(name string) bool { return moving[name] }) ||
			slices.ContainsFunc(diffs, func(d plan.Difference) bool { return !d.Local }) {
			all[w.Language] = true
		}
	}
	return all
}

// follow tells the jobs of runtimes of the plugins that they follow and that have no
// job.
func follow(jobs []*job, all []*plan.Want) {
	for _, c := range jobs {
		for _, o := range all {
			if slices.Contains(c.root.Follows(), o.Name) && !slices.ContainsFunc(jobs, func(c *job) bool { return c.root == o }) {
				c.kept = append(c.kept, o)
			}
		}
	}
}

// fit gives a runtime the range of the versions that run the code of the plugins, of
// which those that it follows have versions by now. Where the locked version is not in
// it, another one is chosen.
func (c *job) fit(jobs []*job) []failure {
	w := c.now()
	if w.Language == "" {
		return nil
	}
	others := slices.Clone(c.kept)
	for _, other := range jobs {
		if slices.Contains(w.Follows(), other.name) {
			others = append(others, other.now())
		}
	}
	if err := w.Fit(others); err != nil {
		return []failure{{w: w, err: err}}
	}
	c.moves = w.Ranged && (w.Version == "" || !w.Allows(w.Version))
	if c.moves {
		w.Version = ""
	}
	return nil
}

// refit holds the runtimes against the plugins as they were locked in the end.
func (u *update) refit(all []*plan.Want) (failures []failure) {
	for _, w := range all {
		v := u.locked(w)
		if w.Language == "" || v == nil {
			continue
		}
		if err := w.Fit(all); err != nil {
			failures = append(failures, failure{w: w, err: err})
			continue
		}
		if !w.Allows(w.Version) {
			failures = append(failures, failure{w: w, err: fault.Errorf(fault.Usage, "run it again", "%s is not in %s", w.Version, w.Range())})
		}
		if !slices.Equal(v.Fits, w.Fits) {
			v := *v
			v.Fits = w.Fits
			u.put(w.Name, w.Version, &v)
		}
	}
	return failures
}

// beside waits for the versions of the other runtimes of the language of c.
func (c *job) beside(ctx context.Context, jobs []*job) (ok bool) {
	w := c.now()
	if w.Language == "" {
		return true
	}
	c.picked.Open()
	w.Beside, w.Consents = nil, nil
	for _, other := range jobs {
		if other == c || other.language != w.Language {
			continue
		}
		if !other.picked.Wait(ctx) {
			return false
		}
		lieBeside(w, other.now())
	}
	slices.Sort(w.Beside)
	return true
}

// lieBeside notes another runtime of the language of w.
func lieBeside(w, o *plan.Want) {
	if o.Version == "" {
		return
	}
	w.Beside = append(w.Beside, o.Items()...)
	if o.Written {
		w.Consents = append(w.Consents, o.Consented()...)
	}
}

// besideLocked is beside for a runtime that is locked.
func (u *update) besideLocked(w *plan.Want, all []*plan.Want) {
	w.Beside, w.Consents = nil, nil
	for _, o := range all {
		if w.Language != "" && o.Language == w.Language && o.Name != w.Name {
			lieBeside(w, o)
		}
	}
	slices.Sort(w.Beside)
}
