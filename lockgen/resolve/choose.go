package resolve

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/remote"
)

// A Lister is a [Source] that knows which versions of a plugin there are. One
// that does not cannot serve a range.
type Lister interface {
	// Versions lists every version of the package of w, in no order, in one
	// request where the source is asked by us. A package that is not there
	// matches [fs.ErrNotExist]. Released is zero where the source has no clock
	// that the publisher cannot set.
	Versions(ctx context.Context, w *Want) ([]Release, error)
}

// A dater is a [Lister] whose lists do not say when versions were released: it
// has to ask for each.
type dater interface {
	// date fills in Released and Seen of some releases of w, those of which it
	// can learn something.
	date(ctx context.Context, w *Want, releases []*Release) error
}

// maxDated bounds for how many versions of an entry a dater is asked.
const maxDated = 10

// dated returns a list of versions with the times of the newest that the entry
// allows, as far as they matter: those newer than what is locked.
func (u *update) dated(ctx context.Context, l Lister, w *Want, releases []Release, locked string) ([]Release, error) {
	d, ok := l.(dater)
	if !ok || u.m.Policy.MinimumAge == 0 || !w.ranged {
		return releases, nil
	}
	releases = slices.Clone(releases)
	var ask []*Release
	for i := range releases {
		r := &releases[i]
		if w.allows(r.Version) && r.Yanked == "" && (locked == "" || CompareVersions(w.From.Kind, r.Version, locked) > 0) {
			ask = append(ask, r)
		}
	}
	slices.SortFunc(ask, func(a, b *Release) int { return CompareVersions(w.From.Kind, b.Version, a.Version) })
	if len(ask) == 0 {
		return releases, nil
	}
	return releases, d.date(ctx, w, ask[:min(maxDated, len(ask))])
}

// noList is the error of a source that cannot be asked which versions there are.
func noList(w *Want) error {
	return fault.Errorf(fault.Usage, "write an exact version", "this source (%s) cannot list versions, so %q cannot be resolved", w.From, w.Spec)
}

// A Release is one version that a source has.
type Release = remote.Release

// Held is a version that was not chosen, and why.
type Held struct {
	Version string `json:"version"`
	Why     string `json:"why"`

	policy bool // minimum-release-age is why
}

// A choice is what the rules make of a list of versions.
type choice struct {
	version string // "" for none
	newest  string // of all that are no pre-release and not withdrawn
	held    []Held // newer than version, newest first
	fits    bool   // something fits the range
}

// choose picks the version of a range: the newest that the range and the rules
// allow, and of these rather one that is not deprecated and not above what the
// publisher calls latest. What is locked and fits is never left for an older
// one, unless it was withdrawn. For an exact version it picks that one.
func (w *Want) choose(releases []Release, locked string, rule ages) choice {
	kind := w.From.Kind
	releases = slices.DeleteFunc(slices.Clone(releases), func(r Release) bool {
		_, ok := parseVersion(kind, r.Version)
		return !ok || manifest.CheckExact(r.Version) != nil
	})
	slices.SortFunc(releases, func(a, b Release) int { return CompareVersions(kind, b.Version, a.Version) })
	var c choice
	var held []Held
	best := -1 // rank of version
	for _, r := range releases {
		h := Held{Version: r.Version}
		fits := w.allows(r.Version)
		if c.newest == "" && r.Yanked == "" && !isPre(kind, r.Version) && !r.Early && !r.Pre {
			c.newest = r.Version
		}
		switch {
		case isPre(kind, r.Version) && !fits:
			continue // nobody waits for it
		case !fits:
			h.Why = "not in " + w.Spec
			if w.until != "" && lock.CompareVersions(r.Version, w.until) >= 0 {
				h.Why = w.reason
			}
		case w.ranged && r.Pre && !isPre(kind, r.Version) && r.Version != locked:
			h.Why = "its publisher calls it a pre-release"
		case w.Spec == manifest.Latest && r.Early && r.Version != locked:
			h.Why = "its publisher does not call it latest"
		case r.Yanked != "":
			h.Why = "withdrawn: " + r.Yanked
		default:
			c.fits = true
			h.Why = rule.refuse(subject{
				kind: kind, name: w.From.Name, version: r.Version, released: r.Released, seen: r.Seen,
				written: !w.ranged, locked: r.Version == locked,
			})
			h.policy = h.Why != ""
		}
		if h.Why == "" {
			rank := 3
			switch {
			case r.Version == locked: // the newer ones were looked at
				rank = 4
			case r.Deprecated != "":
				rank, h.Why = 1, "deprecated: "+r.Deprecated
			case r.Early:
				rank, h.Why = 2, "its publisher does not call it latest"
			}
			if rank > best && !(rank == 4 && best == 3) {
				best, c.version = rank, r.Version
			}
		}
		if h.Why != "" {
			held = append(held, h)
		}
	}
	for _, h := range held {
		if c.version == "" || CompareVersions(kind, h.Version, c.version) > 0 {
			c.held = append(c.held, h)
		}
	}
	return c
}

// allows reports whether a version is one that the entry asks for.
func (w *Want) allows(version string) bool {
	if !w.ranged {
		return version == w.Version
	}
	return w.rng.Allows(version) && (w.until == "" || lock.CompareVersions(version, w.until) < 0)
}

// lister returns what lists the versions of a plugin. For npm that takes no npm,
// unless only npm knows where the registry is.
func (u *update) lister(ctx context.Context, w *Want) (Lister, error) {
	return u.listers.get(w.From.Kind, func() (Lister, error) {
		if w.From.Kind == lock.NPM {
			config, client, err := u.npmConfig(ctx)
			if err != nil {
				return nil, err
			}
			return &npmSource{config: config, client: client, ours: u.m.Registries.NPM}, nil
		}
		s, err := u.source(ctx, w.From.Kind)
		if err != nil {
			return nil, err
		}
		if l, ok := s.(Lister); ok {
			return l, nil
		}
		return nil, noList(w)
	})
}

// pick lists the versions of a range and settles on one.
func (u *update) pick(ctx context.Context, l Lister, w *Want) error {
	releases, err := l.Versions(ctx, w)
	if err != nil {
		return err
	}
	locked := w.Version
	if u.Old.Plugins[w.Name][locked] == nil {
		locked = ""
	}
	if releases, err = u.dated(ctx, l, w, releases, locked); err != nil {
		return err
	}
	c := w.choose(releases, locked, u.ages())
	switch {
	case c.version != "":
		w.Version = c.version
		return nil
	case !c.fits:
		newest := "it has no version at all"
		if c.newest != "" {
			newest = "the newest there is " + c.newest
		}
		if len(c.held) > 0 && c.held[0].Version != c.newest {
			newest += fmt.Sprintf("; %s: %s", c.held[0].Version, c.held[0].Why)
		}
		return fault.Errorf(fault.Upstream, "correct the version of the entry", "no version of %s fits %q: %s: %w", w.From, w.Spec, newest, fs.ErrNotExist)
	}
	var lines []string
	youngest := subject{kind: w.From.Kind, name: w.From.Name}
	for _, h := range c.held {
		if h.policy && len(lines) < 5 {
			lines = append(lines, h.Version+": "+h.Why)
			youngest.version = h.Version // the oldest of them is the first to be let in
		}
	}
	return fault.Errorf(fault.Policy, fmt.Sprintf("write the exact version, which is consent: lockgen add %s@%s; or %s", w.Name, youngest.version, u.ages().hint(youngest)),
		"every version of %s that fits %q is too young (minimum-release-age is %s): %s", w.From, w.Spec, span(u.m.Policy.MinimumAge), strings.Join(lines, "; "))
}
