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

// Sources in order. A plugin may be had from several sources; the first that
// can serve every required platform is locked, and nothing falls back later.
//
// A source loses when it says that it cannot serve: it has no such package or
// version, nothing for a platform, not this executable, or something that a
// rule refuses, such as an install script. It does not lose by being out of
// reach, by giving wrong bytes or because this machine lacks its client: then
// the answer would depend on the day or the machine, and the update fails. Out of
// reach, or without its client here, may be one that a recipe of the catalogue lists
// and nobody chose, unless it is the one that is locked; that is told.

// A job is a plugin version on its way through its sources.
type job struct {
	root       *plan.Want // whose job it is: the first candidate before it was settled
	candidates []*plan.Want
	at         int
	failed     []failure    // of the candidates before
	silent     []failure    // of sources that could not be asked which versions there are
	needed     bool         // others wait for it
	moves      bool         // a runtime that another version has to be found for
	kept       []*plan.Want // what a runtime follows, and is not resolved now

	compiles bool // its plugin may be compiled to be locked

	// Its version is settled; this machine can use it; it has all that it takes but
	// the time to compile it; nothing more will happen.
	picked, usable, asked, done queue.Flag

	// How it ended, to be read when it is done.
	unresolved bool          // lost before anything was downloaded
	lost       []failure     // final
	fatal      error         // no plugin's fault
	locked     *lock.Version // nil for nothing, or where another job has locked it
	notes      []string
	tried      []plan.Tried
	tryNote    string // of the smoke run
	tryErr     error
}

func newJob(candidates ...*plan.Want) *job {
	return &job{root: candidates[0], candidates: candidates, picked: queue.NewFlag(), usable: queue.NewFlag(), asked: queue.NewFlag(), done: queue.NewFlag()}
}

// jobs makes a job of each want. A range that may move may do so in each
// of its sources.
func (u *update) jobs(pending []*plan.Want) []*job {
	list := make([]*job, len(pending))
	needed := map[string]bool{"protoc": !u.options.NoSmoke}
	for i, w := range pending {
		list[i] = newJob(w.Candidates()...)
		for _, c := range list[i].candidates {
			u.moves[c] = u.moves[w] && c.Ranged
			for _, name := range c.Needs() {
				needed[name] = true
			}
			list[i].compiles = list[i].compiles || c.ByGo
		}
	}
	for _, c := range list {
		c.needed = needed[c.candidates[0].Name]
	}
	return list
}

// await waits for what the candidate needs. Where that cannot be had, it has no
// platforms: ok is false, for the cause alone is named.
func (c *job) await(ctx context.Context, jobs []*job) (ok bool) {
	w := c.now()
	for _, other := range jobs {
		name := other.candidates[0].Name
		if other == c || !slices.Contains(w.Needs(), name) && !slices.Contains(w.Follows(), name) {
			continue
		}
		ready := other.done
		if w.ByGo && name == "go" {
			ready = other.usable
		} else if w.Language != "" {
			ready = other.picked // its version is all that matters
		} else if other.compiles {
			c.asked.Open() // it waits for all others before it is compiled
		}
		if !ready.Wait(ctx) {
			return false
		}
		if other.done.IsOpen() && len(other.lost) > 0 && (name == w.RuntimeName || w.ByGo && name == "go") {
			return false
		}
	}
	return true
}

// lastOfAll waits until every other job has what it takes: compiling takes minutes,
// and whatever can fail before is told before. It is false where something has
// failed, or ctx has ended.
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

// end tells everybody that nothing more will happen.
func (c *job) end() {
	c.picked.Open()
	c.asked.Open()
	c.done.Open()
	c.usable.Open()
}

func (c *job) now() *plan.Want { return c.candidates[c.at] }
func (c *job) last() bool      { return c.at == len(c.candidates)-1 }

// lost reports whether a failure is the source's own word that it cannot serve.
func (f failure) lost() bool {
	switch fault.Of(f.err) {
	case fault.Usage, fault.Policy:
		return true
	case fault.Upstream:
		return f.hole || errors.Is(f.err, fs.ErrNotExist)
	}
	return false
}

// passes reports whether the next candidate of a job may be tried after a failure.
func (u *update) passes(c *job, f failure) bool {
	if f.lost() {
		return true
	}
	old := u.Old.Plugins[f.w.Name][f.w.Version]
	return f.w.Known && (f.unreachable() || f.clientless) && (old == nil || c.root.LockedAs(u.Manifest, old).From != f.w.From)
}

// noteTried records which sources lost against the one that was locked.
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

// tried says in a line for each of some candidates why it lost.
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
