package resolve

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// Sources in order. A plugin may be had from several sources; the first that
// can serve every required platform is locked, and nothing falls back later.
//
// A source loses when it says that it cannot serve: it has no such package or
// version, nothing for a platform, not this executable, or something that a
// rule refuses, such as an install script. It does not lose by being out of
// reach, by giving wrong bytes or because this machine lacks its client: then
// the answer would depend on the day or the machine, and the update fails.

// Tried is a source that was not locked, and why.
type Tried struct {
	Plugin  string `json:"plugin"`
	Version string `json:"version"`
	Source  string `json:"source"`
	Why     string `json:"why"`
}

// String is one readable line.
func (t Tried) String() string {
	return fmt.Sprintf("%s %s not from %s: %s", t.Plugin, t.Version, t.Source, t.Why)
}

// A contest is a plugin version on its way through its sources.
type contest struct {
	candidates []*Want
	at         int
	failed     []failure // of the candidates before
}

// contests makes a contest of each want. A range that may move may do so in each
// of its sources.
func (u *update) contests(pending []*Want) []*contest {
	list := make([]*contest, len(pending))
	for i, w := range pending {
		list[i] = &contest{candidates: w.candidates()}
		for _, c := range list[i].candidates {
			u.moves[c] = u.moves[w] && c.ranged
		}
	}
	return list
}

// final reports whether a failure among those of a stage cannot be put right by
// another source.
func (u *update) final(turn []*contest, failures []failure) bool {
	for _, c := range turn {
		for _, f := range failures {
			if f.w == c.now() && (c.last() || !f.lost()) {
				return true
			}
		}
	}
	return false
}

func (c *contest) now() *Want { return c.candidates[c.at] }
func (c *contest) last() bool { return c.at == len(c.candidates)-1 }

// turn takes those whose turn it is: what needs no other plugin first, then
// what npm resolves and what Go builds, with the node and the Go that were just
// locked.
func (u *update) turn(pending []*contest) (turn, wait []*contest) {
	for _, c := range pending {
		if c.now().From.Kind == lock.NPM || c.now().compiled {
			wait = append(wait, c)
		} else {
			turn = append(turn, c)
		}
	}
	if len(turn) == 0 {
		return wait, nil
	}
	return turn, wait
}

// judge decides, after a stage, which contests go on with their next source,
// and which failures are final.
func (u *update) judge(turn []*contest, failed []failure) (again []*contest, final []failure) {
	for _, c := range turn {
		var own []failure
		for _, f := range failed {
			if f.w == c.now() {
				own = append(own, f)
			}
		}
		switch {
		case len(own) == 0:
			if u.out.Lock.Plugins[c.now().Name][c.now().Version] != nil {
				u.noteTried(c)
				root := c.candidates[0]
				root.adopt(c.now())
			}
		case c.last() || slices.ContainsFunc(own, func(f failure) bool { return !f.lost() }):
			final = append(final, append(c.failed, own...)...)
		default:
			c.failed = append(c.failed, own...)
			c.at++
			again = append(again, c)
		}
	}
	return again, final
}

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

// noteTried records which sources lost against the one that was locked.
func (u *update) noteTried(c *contest) {
	tried := tried(c.candidates[:c.at], c.failed)
	for _, t := range tried {
		u.out.Notes = append(u.out.Notes, fmt.Sprintf("%s is locked from %s, not from %s: %s", c.now(), c.now().From, t.Source, t.Why))
	}
	u.out.Tried = append(u.out.Tried, tried...)
}

// tried says in a line for each of some candidates why it lost.
func tried(candidates []*Want, failures []failure) []Tried {
	var list []Tried
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
		list = append(list, Tried{w.Name, w.Version, w.From.String(), strings.Join(why, "; ")})
	}
	return list
}
