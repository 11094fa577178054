package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// A Release is one version in a source.
type Release struct {
	Version  string
	Released time.Time // by the registry's clock; zero if unknown
	// Seen says that Released is when this machine first saw the version,
	// because the registry records no time.
	Seen bool
	// Pre says that the publisher marks it as a pre-release, whatever the
	// version looks like.
	Pre bool
	// Yanked is why the publisher withdrew the version, Deprecated why the
	// publisher advises against it; "" if neither.
	Yanked, Deprecated string
	// Early marks a version above the publisher's latest.
	Early bool
}

// A Held is a version that was not chosen, and why.
type Held struct {
	Version string `json:"version"`
	Why     string `json:"why"`

	// Outside is set if what the manifest asks for, and nothing else, does not
	// allow it: another version or range in the manifest does.
	Outside bool `json:"-"`
	// Unseen is the kind of a source of which no version can be locked yet,
	// because only its publisher says when this one was released; otherwise "".
	Unseen string `json:"-"`

	policy bool // because of minimum-release-age
}

// A Choice is the result of applying the rules to a list of versions.
type Choice struct {
	Version string // "" for none
	Newest  string // without pre-releases and withdrawn versions
	Held    []Held // versions newer than Version, newest first

	fits bool // a version is in the range
}

// Choose returns the version for a range: the newest that the range and the
// rules allow, preferring those that are not deprecated and not above the
// publisher's latest. A locked version in the range is never replaced by an
// older one, unless it was withdrawn. For an exact version, it returns that
// one.
func (w *Want) Choose(releases []Release, locked string, rules Rules) Choice {
	kind := w.From.Kind
	releases = slices.DeleteFunc(slices.Clone(releases), func(r Release) bool {
		_, ok := parseVersion(kind, r.Version)
		return !ok || manifest.CheckExact(r.Version) != nil
	})
	slices.SortFunc(releases, func(a, b Release) int { return CompareVersions(kind, b.Version, a.Version) })
	var c Choice
	var held []Held
	best := -1 // rank of Version
	for _, r := range releases {
		if c.Newest == "" && r.Yanked == "" && !isPre(kind, r.Version) && !r.Early && !r.Pre {
			c.Newest = r.Version
		}
		if isPre(kind, r.Version) && !w.Allows(r.Version) {
			continue // nobody is waiting for it
		}
		h := Held{Version: r.Version}
		h.Why, h.Outside = w.unwanted(r, locked)
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
			case r.Version == locked: // the newer ones have been considered
				rank = 4
			case r.Deprecated != "":
				rank, h.Why = 1, "deprecated: "+r.Deprecated
			case r.Early:
				rank, h.Why = 2, "its publisher does not mark it as latest"
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

// Upstream returns the source's number for a version of the plugin.
func (w *Want) Upstream(version string) string {
	if w.Scheme == "" {
		return version
	}
	return strings.ReplaceAll(w.Scheme, "{version}", version)
}

// NumberedOtherwise returns the source's number for the version of w, or "" if
// it is the same.
func (w *Want) NumberedOtherwise() string {
	if w.Scheme == "" {
		return ""
	}
	return w.Upstream(w.Version)
}

// Ours converts the releases of a source to the plugin's version numbers. It
// drops those in another form.
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

// Has reports whether Choose would return a version if it were the only one.
func (w *Want) Has(releases []Release, version, locked string, rules Rules) (spelled string, ok bool) {
	for _, r := range releases {
		if compareAcross(w.From.Kind, r.Version, w.From.Kind, version) == 0 && w.Choose([]Release{r}, locked, rules).Version == r.Version {
			return r.Version, true
		}
	}
	return "", false
}

// A Listed is a candidate with the versions in its source.
type Listed struct {
	Want     *Want
	Releases []Release // see [Want.Ours]
	Choice
}

// Newest returns the candidates of a plugin for a range in the order to try
// them: first the newest version that any of them would choose, from each
// source that has it, in their order; then the newest of the remaining choices,
// and so on. Each is a copy with the version set. Locked is the version in the
// lock, or "".
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

// Latest returns the newest version of all candidates, or "".
func Latest(listed []Listed) string {
	latest, kind := "", ""
	for _, l := range listed {
		if of := l.Want.From.Kind; l.Newest != "" && (latest == "" || compareAcross(of, l.Newest, kind, latest) > 0) {
			latest, kind = l.Newest, of
		}
	}
	return latest
}

// HeldBack returns the versions of any candidate that are newer than version,
// which is one of own or "", newest first. The reasons are those of own, if it
// has the version.
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

// unwanted returns why the entry does not allow a release, or "", and whether what
// the manifest asks for is the reason.
func (w *Want) unwanted(r Release, locked string) (why string, outside bool) {
	switch {
	case !w.Allows(r.Version):
		if w.Until != "" && lock.CompareVersions(r.Version, w.Until) >= 0 {
			return w.Reason, false
		}
		return "not in " + w.Range(), !w.fitted()
	case w.Ranged && r.Pre && !isPre(w.From.Kind, r.Version) && r.Version != locked:
		return "its publisher marks it as a pre-release", false
	case w.Asked == manifest.Latest && r.Early && r.Version != locked:
		return "its publisher does not mark it as latest", false
	case r.Yanked != "":
		return "withdrawn: " + r.Yanked, false
	}
	return "", false
}

// Allows reports whether the entry allows a version.
func (w *Want) Allows(version string) bool {
	if !w.Ranged {
		return version == w.Version
	}
	return w.rng.Allows(version) && (w.Until == "" || lock.CompareVersions(version, w.Until) < 0)
}

// Pick sets the version of w to the one that Choose returns for its range.
// Locked is the version in the lock, or "".
func (w *Want) Pick(releases []Release, locked string, rules Rules) error {
	c := w.Choose(releases, locked, rules)
	switch {
	case c.Version != "":
		w.Version, w.Held = c.Version, c.Held
		return nil
	case !c.fits:
		newest := "it has no versions"
		hint := "correct the version of the entry"
		switch {
		case c.Newest != "":
			if newest = "the newest version is " + c.Newest; len(w.Fits) > 0 {
				hint = w.noneFits()
			}
		case len(releases) > 0: // all are pre-releases
			last := slices.MaxFunc(releases, func(a, b Release) int { return CompareVersions(w.From.Kind, a.Version, b.Version) }).Version
			newest, hint = "it only has pre-releases, the newest is "+last, "write that version: lockgen add "+w.Name+"@"+last
		}
		if len(c.Held) > 0 && c.Held[0].Version != c.Newest {
			newest += fmt.Sprintf("; %s: %s", c.Held[0].Version, c.Held[0].Why)
		}
		return fault.Missingf(fault.Upstream, hint, "no version of %s matches %q: %s", w.From, w.Range(), newest)
	}
	var lines []string
	youngest := subject{kind: w.From.Kind, name: w.From.Name}
	for _, h := range c.Held {
		if h.policy && len(lines) < 5 {
			lines = append(lines, h.Version+": "+h.Why)
			youngest.version = h.Version // the oldest of them is the first to become old enough
		}
	}
	return fault.Errorf(fault.Policy, fmt.Sprintf("to allow it, write the exact version: lockgen add %s@%s; or %s", w.Name, youngest.version, rules.hint(youngest)),
		"every version of %s that matches %q is too recent (minimum-release-age is %s): %s", w.From, w.Range(), span(rules.policy.MinimumAge), strings.Join(lines, "; "))
}

// maxDated limits how many release times of one entry a source is asked for.
const maxDated = 10

// Undated lists the releases for which the age must be known: the newest ones
// that the entry allows and that are newer than the locked version, which may
// be "". It is empty if age does not matter.
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
