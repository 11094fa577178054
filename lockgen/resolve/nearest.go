package resolve

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// proposing replaces the failures for a version that the source does not have
// by one that names the newest and the nearest versions. It keeps them if the
// source has no list, or lists the version.
func (u *update) proposing(ctx context.Context, failures []failure) []failure {
	var told []failure
	proposals := map[*plan.Want]error{}
	for _, f := range failures {
		if u.moves[f.w] || !f.hole && !errors.Is(f.err, fs.ErrNotExist) {
			told = append(told, f)
			continue
		}
		err, asked := proposals[f.w]
		if !asked {
			err = u.propose(ctx, f.w)
			proposals[f.w] = err
			if err != nil {
				told = append(told, failure{w: f.w, err: err})
			}
		}
		if err == nil {
			told = append(told, f)
		}
	}
	return told
}

// nowhere returns the failures for a version of the command line that no source
// lists. It is for a job that waits for others, such as the node whose npm
// resolves it: the other jobs notice at once.
func (u *update) nowhere(ctx context.Context, c *job) (failures []failure) {
	first := c.candidates[0]
	if named, _ := u.touched(); !named[first.Name] || u.moves[first] || len(first.Needs()) == 0 {
		return nil
	}
	for _, w := range c.candidates {
		err := u.propose(ctx, w)
		if err == nil {
			return nil
		}
		failures = append(failures, failure{w: w, err: err})
	}
	return failures
}

// propose returns an error that names the available versions instead of that of
// w. It returns nil if they are unknown or include it.
func (u *update) propose(ctx context.Context, w *plan.Want) error {
	l, err := u.Lister(ctx, w.From.Kind)
	if err != nil {
		return nil
	}
	releases, err := l.Versions(ctx, w)
	if err != nil {
		return nil
	}
	newest, below, above, there := plan.Near(w.From.Kind, w.Ours(releases), w.Version)
	if there || newest == "" {
		return nil
	}
	text := "the newest is " + newest
	best := newest
	var near []string
	for _, version := range []string{below, above} {
		if version != "" && version != newest {
			near = append(near, version)
		}
	}
	switch len(near) {
	case 1:
		text += ", the nearest " + near[0]
	case 2:
		text += ", the nearest are " + strings.Join(near, " and ")
	}
	if below != "" {
		best = below
	}
	verb := u.options.Verb
	if was := u.options.Was; was != nil && was.Plugins[w.Name] != nil && slices.Contains(was.Plugins[w.Name].Versions, w.Version) {
		verb = "" // it exists already, so a second one would not help
	}
	if verb == "" {
		verb = "update"
	}
	spec := w.Name + "@" + best
	if strings.Contains(w.Name, "{version}") { // a place without a plugin name yet
		spec = strings.ReplaceAll(w.Name, "{version}", best)
	}
	return fault.Errorf(fault.Upstream, "run: lockgen "+verb+" "+spec, "%s has no version %s: %s", w.From, w.Version, text)
}
