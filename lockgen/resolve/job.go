package resolve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/queue"
)

// A plugin may have several sources. lockgen locks the first one that has every
// required platform, and nothing falls back later.
//
// A source is skipped if it answers that it cannot be used: it lacks the
// package, the version, a platform or the executable, or has something that a
// rule refuses, such as an install script. It is not skipped if it is
// unreachable, if it sends wrong bytes, or if this machine lacks its client:
// the result would depend on the day or the machine, so the update fails. There
// is one exception: a source that only a recipe of the catalogue lists may be
// skipped if it is unreachable or its client is missing, with a note, unless it
// is the locked one.

// A job is the way of a plugin version through its sources.
type job struct {
	name       string // of all candidates, as is the language of a runtime
	language   string
	root       *plan.Want // the first candidate before the version was chosen
	candidates []*plan.Want
	at         int
	failed     []failure    // of earlier candidates
	silent     []failure    // of sources that could not list their versions
	needed     bool         // other jobs wait for it
	resolves   bool         // its package manager resolves other jobs, or it compiles them
	moves      bool         // a runtime that needs another version
	kept       []*plan.Want // what a runtime follows, and is not resolved now

	compiles bool // its plugin may have to be compiled

	// Its version is chosen; this machine can use it; it has everything except
	// the compiled result; the job is done.
	picked, usable, asked, done queue.Flag

	// The results, valid when it is done.
	unresolved bool          // failed before anything was downloaded
	lost       []failure     // final failures
	fatal      error         // not the fault of a plugin
	locked     *lock.Version // nil for nothing, or if another job locked it
	notes      []string
	tried      []plan.Tried
	tryNote    string // of the smoke run
	tryErr     error
}

func newJob(candidates ...*plan.Want) *job {
	return &job{name: candidates[0].Name, language: candidates[0].Language, root: candidates[0], candidates: candidates, picked: queue.NewFlag(), usable: queue.NewFlag(), asked: queue.NewFlag(), done: queue.NewFlag()}
}

// jobs returns a job for each want. A range that may change may do so in each
// of its sources.
func (u *update) jobs(pending []*plan.Want) []*job {
	list := make([]*job, len(pending))
	needed, resolves := map[string]bool{"protoc": !u.options.NoSmoke}, map[string]bool{}
	for i, w := range pending {
		list[i] = newJob(w.Candidates()...)
		for _, c := range list[i].candidates {
			u.moves[c] = u.moves[w] && c.Ranged
			for _, name := range c.Needs() {
				needed[name] = true
			}
			resolves[c.ResolvedBy()], resolves[c.CompiledBy] = true, true
			list[i].compiles = list[i].compiles || c.CompiledBy == "go"
		}
	}
	for _, c := range list {
		c.needed, c.resolves = needed[c.name], resolves[c.name]
	}
	return list
}

// await waits for what the candidate needs. If that cannot be locked, ok is
// false and the candidate has no platforms, because only the cause is reported.
func (c *job) await(ctx context.Context, jobs []*job) (ok bool) {
	w := c.now()
	for _, other := range jobs {
		name := other.name
		if other == c || !slices.Contains(w.Needs(), name) && !slices.Contains(w.Follows(), name) {
			continue
		}
		ready := other.done
		if name == w.CompiledBy {
			ready = other.usable
		} else if w.Language != "" {
			ready = other.picked // only its version matters
		} else if other.compiles {
			c.asked.Open() // it waits for all others before it is compiled
		}
		if !ready.Wait(ctx) {
			return false
		}
		if other.done.IsOpen() && len(other.lost) > 0 && (name == w.RuntimeName || name == w.CompiledBy) {
			return false
		}
	}
	return true
}

// link is [plan.Want.Link] for what c is now, after await. Of a range that compiles it,
// the version may be chosen, but not adopted yet.
func (c *job) link(all []*plan.Want, jobs []*job) {
	w, all := c.now(), slices.Clone(all)
	for _, other := range jobs {
		if i := slices.Index(all, other.root); i >= 0 && other.name == w.CompiledBy {
			all[i] = other.now()
		}
	}
	w.Link(all)
}

// lastOfAll waits until every other job has everything it needs: compiling
// takes minutes, so all other errors should be reported first. It returns false
// if something has failed or ctx has ended.
func (c *job) lastOfAll(ctx context.Context, jobs []*job) bool {
	c.asked.Open()
	for _, other := range jobs {
		if other != c && !other.asked.Wait(ctx) {
			return false
		}
	}
	return !slices.ContainsFunc(jobs, func(other *job) bool {
		return other != c && other.done.IsOpen() && (len(other.lost) > 0 || other.fatal != nil)
	})
}

// end marks the job as done.
func (c *job) end() {
	c.picked.Open()
	c.asked.Open()
	c.done.Open()
	c.usable.Open()
}

func (c *job) now() *plan.Want { return c.candidates[c.at] }
func (c *job) last() bool      { return c.at == len(c.candidates)-1 }

// lost reports whether a failure means that the source cannot be used.
func (f failure) lost() bool {
	switch fault.Of(f.err) {
	case fault.Usage, fault.Policy:
		return true
	case fault.Upstream:
		return f.hole || errors.Is(f.err, fs.ErrNotExist)
	}
	return false
}

// passes reports whether the next candidate of a job may be tried after a
// failure.
func (u *update) passes(c *job, f failure) bool {
	if f.lost() {
		return true
	}
	old := u.Old.Plugins[f.w.Name][f.w.Version]
	return f.w.Known && (f.unreachable() || f.clientless) && (old == nil || c.root.LockedAs(u.Manifest, old).From != f.w.From)
}

// noteTried records the sources that were skipped before the locked one.
func (u *update) noteTried(c *job) {
	tried := tried(c.candidates[:c.at], c.failed)
	for _, t := range tried {
		not := "from"
		if t.Version != c.now().Version {
			not = t.Version + " from"
		}
		c.notes = append(c.notes, fmt.Sprintf("%s is locked from %s, not %s %s: %s", c.now(), c.now().From, not, t.Source, t.Why))
	}
	c.tried = append(c.tried, tried...)
}

// tried returns one line for each candidate, with the reason why it was
// skipped.
func tried(candidates []*plan.Want, failures []failure) []plan.Tried {
	var list []plan.Tried
	for _, w := range candidates {
		var why []string
		for _, f := range failures {
			if f.w != w {
				continue
			}
			s := f.err.Error()
			if f.platform != "" {
				s = f.platform + ": " + s
			}
			why = append(why, s)
		}
		list = append(list, plan.Tried{Plugin: w.Name, Version: w.Version, Source: w.From.String(), Why: strings.Join(why, "; ")})
	}
	return list
}
