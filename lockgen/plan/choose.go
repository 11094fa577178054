package plan

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// A Release is one version that a source has.
type Release struct {
	Version  string
	Released time.Time // by the registry's clock; zero where it does not say
	// Seen says that Released is when this machine saw the version first, for
	// a source that has no clock but its publishers'.
	Seen bool
	// Pre says that the publisher calls it a pre-release, whatever its version
	// looks like.
	Pre bool
	// Yanked is why the publisher withdrew it, Deprecated why the publisher
	// advises against it; "" where that is not so.
	Yanked, Deprecated string
	// Early marks a version above the one that the publisher calls latest.
	Early bool
}

// Held is a version that was not chosen, and why.
type Held struct {
	Version string `json:"version"`
	Why     string `json:"why"`

	// Unseen is the kind of a source of which no version at all may be locked,
	// because only its publisher says when this one was released; "" otherwise.
	Unseen string `json:"-"`

	policy bool // minimum-release-age is why
}

// A Choice is what the rules make of a list of versions.
type Choice struct {
	Version string // "" for none
	Newest  string // of all that are no pre-release and not withdrawn
	Held    []Held // newer than Version, newest first

	fits bool // something fits the range
}

// Choose picks the version of a range: the newest that the range and the rules
// allow, and of these rather one that is not deprecated and not above what the
// publisher calls latest. What is locked and fits is never left for an older
// one, unless it was withdrawn. For an exact version it picks that one.
func (w *Want) Choose(releases []Release, locked string, rules Rules) Choice {
	kind := w.From.Kind
	releases = slices.DeleteFunc(slices.Clone(releases), func(r Release) bool {
		_, ok := parseVersion(kind, r.Version)
		return !ok || manifest.CheckExact(r.Version) != nil
	})
	slices.SortFunc(releases, func(a, b Release) int { return CompareVersions(kind, b.Version, a.Version) })
	var c Choice
	var held []Held
	best := -1 // rank of version
	for _, r := range releases {
		if c.Newest == "" && r.Yanked == "" && !isPre(kind, r.Version) && !r.Early && !r.Pre {
			c.Newest = r.Version
		}
		if isPre(kind, r.Version) && !w.Allows(r.Version) {
			continue // nobody waits for it
		}
		h := Held{Version: r.Version, Why: w.unwanted(r, locked)}
		if h.Why == "" {
			c.fits = true
			h.Why = rules.refuse(subject{
				kind: kind, name: w.From.Name, version: w.Upstream(r.Version), released: r.Released, seen: r.Seen,
				written: !w.Ranged, locked: r.Version == locked,
			})
			if h.policy = h.Why != ""; h.policy && r.Seen {
				h.Unseen = kind
			}
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
				best, c.Version = rank, r.Version
			}
		}
		if h.Why != "" {
			held = append(held, h)
		}
	}
	for _, h := range held {
		if c.Version != "" {
			h.Unseen = ""
		}
		if c.Version == "" || CompareVersions(kind, h.Version, c.Version) > 0 {
			c.Held = append(c.Held, h)
		}
	}
	return c
}

// Upstream is what the source calls a version of the plugin.
func (w *Want) Upstream(version string) string {
	if w.Scheme == "" {
		return version
	}
	return strings.ReplaceAll(w.Scheme, "{version}", version)
}

// NumberedOtherwise is what the source calls the version of w, "" where that is the
// same.
func (w *Want) NumberedOtherwise() string {
	if w.Scheme == "" {
		return ""
	}
	return w.Upstream(w.Version)
}

// Ours are the releases that a source has, under the versions of the plugin. What
// the source calls otherwise is none.
func (w *Want) Ours(releases []Release) []Release {
	if w.Scheme == "" {
		return releases
	}
	before, behind, _ := strings.Cut(w.Scheme, "{version}")
	var list []Release
	for _, r := range releases {
		v, ok := strings.CutPrefix(r.Version, before)
		if v, also := strings.CutSuffix(v, behind); ok && also && v != "" {
			r.Version = v
			list = append(list, r)
		}
	}
	return list
}

// Has reports whether a release of a version is one that Choose would pick, were
// there no other.
func (w *Want) Has(releases []Release, version, locked string, rules Rules) (spelled string, ok bool) {
	for _, r := range releases {
		if compareAcross(w.From.Kind, r.Version, w.From.Kind, version) == 0 && w.Choose([]Release{r}, locked, rules).Version == r.Version {
			return r.Version, true
		}
	}
	return "", false
}

// A Listed is a candidate with the versions that its source has.
type Listed struct {
	Want     *Want
	Releases []Release // see [Want.Ours]
	Choice
}

// Newest orders candidates of one plugin for a range: the newest version that any
// of them would pick, from each source that has it, in the order in which they
// are tried; then the same for the newest of the other picks, and so on. Each is
// a copy with the version set. Locked is the version that the lock has, "" for
// none.
func Newest(listed []Listed, locked string, rules Rules) []*Want {
	picks := slices.DeleteFunc(slices.Clone(listed), func(l Listed) bool { return l.Version == "" })
	slices.SortStableFunc(picks, func(a, b Listed) int {
		return compareAcross(b.Want.From.Kind, b.Version, a.Want.From.Kind, a.Version)
	})
	var list []*Want
	for i, pick := range picks {
		if i > 0 && compareAcross(picks[i-1].Want.From.Kind, picks[i-1].Version, pick.Want.From.Kind, pick.Version) == 0 {
			continue
		}
		for _, l := range listed {
			version, ok := l.Want.Has(l.Releases, pick.Version, locked, rules)
			if !ok {
				continue
			}
			w := *l.Want
			w.Version, w.Held, w.others = version, HeldBack(listed, l, version), nil
			list = append(list, &w)
		}
	}
	return list
}

// Latest is the newest version of all, "" for none.
func Latest(listed []Listed) string {
	latest, kind := "", ""
	for _, l := range listed {
		if of := l.Want.From.Kind; l.Newest != "" && (latest == "" || compareAcross(of, l.Newest, kind, latest) > 0) {
			latest, kind = l.Newest, of
		}
	}
	return latest
}

// HeldBack are the versions of any candidate that are newer than one of own, ""
// for none, newest first, with the reasons of own where it has one.
func HeldBack(listed []Listed, own Listed, version string) []Held {
	type of struct {
		Held
		kind string
	}
	var all []of
	for _, l := range append([]Listed{own}, listed...) {
		for _, h := range l.Held {
			newer := version == "" || compareAcross(l.Want.From.Kind, h.Version, own.Want.From.Kind, version) > 0
			if newer && !slices.ContainsFunc(all, func(o of) bool { return o.Version == h.Version }) {
				all = append(all, of{h, l.Want.From.Kind})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b of) int { return compareAcross(b.kind, b.Version, a.kind, a.Version) })
	var held []Held
	for _, o := range all {
		held = append(held, o.Held)
	}
	return held
}

// unwanted says why a release is none that the entry asks for, "" where it is one.
func (w *Want) unwanted(r Release, locked string) string {
	switch {
	case !w.Allows(r.Version):
		if w.Until != "" && lock.CompareVersions(r.Version, w.Until) >= 0 {
			return w.Reason
		}
		return "not in " + w.Range()
	case w.Ranged && r.Pre && !isPre(w.From.Kind, r.Version) && r.Version != locked:
		return "its publisher calls it a pre-release"
	case w.Asked == manifest.Latest && r.Early && r.Version != locked:
		return "its publisher does not call it latest"
	case r.Yanked != "":
		return "withdrawn: " + r.Yanked
	}
	return ""
}

// Allows reports whether a version is one that the entry asks for.
func (w *Want) Allows(version string) bool {
	if !w.Ranged {
		return version == w.Version
	}
	return w.rng.Allows(version) && (w.Until == "" || lock.CompareVersions(version, w.Until) < 0)
}

// Pick gives w the version that Choose picks for its range. Locked is the version
// that the lock has, "" for none.
func (w *Want) Pick(releases []Release, locked string, rules Rules) error {
	c := w.Choose(releases, locked, rules)
	switch {
	case c.Version != "":
		w.Version, w.Held = c.Version, c.Held
		return nil
	case !c.fits:
		newest := "it has no version at all"
		hint := "correct the version of the entry"
		switch {
		case c.Newest != "":
			newest = "the newest there is " + c.Newest
		case len(releases) > 0: // all are pre-releases
			last := slices.MaxFunc(releases, func(a, b Release) int { return CompareVersions(w.From.Kind, a.Version, b.Version) }).Version
			newest, hint = "there are only pre-releases, the newest is "+last, "write that version: lockgen add "+w.Name+"@"+last
		}
		if len(c.Held) > 0 && c.Held[0].Version != c.Newest {
			newest += fmt.Sprintf("; %s: %s", c.Held[0].Version, c.Held[0].Why)
		}
		return fault.Errorf(fault.Upstream, hint, "no version of %s fits %q: %s: %w", w.From, w.Range(), newest, fs.ErrNotExist)
	}
	var lines []string
	youngest := subject{kind: w.From.Kind, name: w.From.Name}
	for _, h := range c.Held {
		if h.policy && len(lines) < 5 {
			lines = append(lines, h.Version+": "+h.Why)
			youngest.version = h.Version // the oldest of them is the first to be let in
		}
	}
	return fault.Errorf(fault.Policy, fmt.Sprintf("write the exact version, which is consent: lockgen add %s@%s; or %s", w.Name, youngest.version, rules.hint(youngest)),
		"every version of %s that fits %q is too young (minimum-release-age is %s): %s", w.From, w.Range(), span(rules.policy.MinimumAge), strings.Join(lines, "; "))
}

// maxDated bounds for how many versions of an entry a source is asked when they
// were released.
const maxDated = 10

// Undated lists the releases whose age matters to w: the newest of those that the
// entry allows and that are newer than what is locked, "" for nothing. It is empty
// where no age matters.
func (w *Want) Undated(releases []Release, locked string, rules Rules) []*Release {
	if rules.policy.MinimumAge == 0 || !w.Ranged {
		return nil
	}
	var ask []*Release
	for i := range releases {
		r := &releases[i]
		if w.Allows(r.Version) && r.Yanked == "" && (locked == "" || CompareVersions(w.From.Kind, r.Version, locked) > 0) {
			ask = append(ask, r)
		}
	}
	slices.SortFunc(ask, func(a, b *Release) int { return CompareVersions(w.From.Kind, b.Version, a.Version) })
	return ask[:min(maxDated, len(ask))]
}
