package resolve

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// ages is minimum-release-age at one moment.
type ages struct {
	policy *manifest.Policy
	now    time.Time
}

// A subject is one version of one package that may get into the lock.
type subject struct {
	kind, name, version string
	released            time.Time // by the registry's clock, zero for none
	written             bool      // a person wrote this exact version down
	seen                bool      // released is when this machine saw it first
	locked              bool      // it is in the lock already
}

// refuse says why a version may not be locked now, "" where it may. What a
// person wrote, and what a review let into the lock before, is consent. A clock
// that is missing or wrong is no excuse.
func (a ages) refuse(s subject) string {
	if a.policy.MinimumAge == 0 || s.written || s.locked {
		return ""
	}
	in, ended := a.policy.Except(s.kind, s.name, s.version, a.now)
	if in != nil {
		return ""
	}
	old := a.now.Sub(s.released)
	var why string
	switch {
	case s.released.IsZero():
		why = "the registry does not say when it was released"
	case old < 0:
		why = "it was released in the future, on " + s.released.Format(time.DateOnly) + ": the clock of the registry or of this machine is wrong"
	case old < a.policy.MinimumAge && s.seen:
		why = fmt.Sprintf("only its publisher says when it was released; this machine saw it first %s ago and it may be locked from %s",
			span(old), s.released.Add(a.policy.MinimumAge).Format("2006-01-02 15:04 UTC"))
	case old < a.policy.MinimumAge:
		why = fmt.Sprintf("it was released %s ago and may be locked from %s", span(old), s.released.Add(a.policy.MinimumAge).Format("2006-01-02 15:04 UTC"))
	default:
		return ""
	}
	if ended != nil {
		why += "; its exception ended on " + ended.Until.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	return why
}

// span is an age in words.
func span(d time.Duration) string {
	n, unit := int(d/time.Hour), "hour"
	if n >= 48 {
		n, unit = n/24, "day"
	}
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// hint says how to get a version in that is too young.
func (a ages) hint(s subject) string {
	return fmt.Sprintf(`wait, or add to exceptions of [policy]: { name = "%s:%s", version = %q, reason = "…", until = %s }`,
		s.kind, s.name, s.version, a.now.AddDate(0, 0, 14).Format(time.DateOnly))
}

// trusted refuses what rests on less evidence than min-trust demands.
func trusted(p *manifest.Policy, trust string) error {
	if p.MinTrust == "" || weight(trust) >= weight(p.MinTrust) {
		return nil
	}
	return fault.Errorf(fault.Policy, "take a source with more evidence, such as a package registry, or lower min-trust of [policy]",
		"its trust is %s, min-trust of [policy] is %s", trust, p.MinTrust)
}

func weight(trust string) int { return slices.Index(lock.Trusts, trust) }

// CheckPolicy holds every version of a lock against [policy]: allow and
// min-trust. The age of what is locked is not looked at, for the lock keeps no
// times. The error, of class [fault.Policy], names each offence with its hint.
func CheckPolicy(m *manifest.Manifest, l *lock.Lock) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(l.Plugins)) {
		for _, version := range slices.SortedFunc(maps.Keys(l.Plugins[name]), lock.CompareVersions) {
			v := l.Plugins[name][version]
			said := map[string]bool{}
			add := func(err error) {
				if err == nil || said[err.Error()] {
					return
				}
				said[err.Error()] = true
				errs = append(errs, fault.Errorf(fault.Policy, fault.Hint(err), "%s: %s %s: %w", m.At("plugins", name), name, version, err))
			}
			add(trusted(&m.Policy, v.Trust))
			for _, key := range slices.Sorted(maps.Keys(v.Files)) {
				add(m.Policy.CheckFile(v.Source, v.Package, key, v.Files[key]))
			}
		}
	}
	return joined(errs, "%d entries of the lock break [policy]:")
}

// joined makes one error of several that have a hint each.
func joined(errs []error, head string) error {
	if len(errs) < 2 {
		if len(errs) == 0 {
			return nil
		}
		return errs[0]
	}
	var b strings.Builder
	fmt.Fprintf(&b, head, len(errs))
	args := make([]any, len(errs))
	text := strings.ReplaceAll(b.String(), "%", "%%")
	for i, err := range errs {
		args[i] = err
		text += "\n%w"
		if hint := fault.Hint(err); hint != "" {
			text += "\n  hint: " + strings.ReplaceAll(hint, "%", "%%")
		}
	}
	return fault.Errorf(fault.Of(errs[0]), "fix each of them, then run lockgen again", text, args...)
}

// ages is the rule of this update.
func (u *update) ages() ages { return ages{&u.m.Policy, u.now} }

// gate is what keeps a package manager from choosing for w what the rule would
// refuse; nil where there is no rule.
func (u *update) gate(w *Want) *cooldown.Rule {
	if u.m.Policy.MinimumAge == 0 {
		return nil
	}
	kind := w.From.Kind
	g := &cooldown.Rule{Before: u.now.Add(-u.m.Policy.MinimumAge)}
	if w.written || u.Old.Plugins[w.Name][w.Version] != nil {
		g.Except = append(g.Except, lock.KindOf(kind).Normal(w.From.Name)+"@"+w.Version)
	}
	for _, e := range u.m.Policy.Exceptions {
		name := strings.TrimPrefix(e.Name, kind+":")
		if in, _ := u.m.Policy.Except(kind, name, e.Version, u.now); in != nil {
			g.Except = append(g.Except, lock.KindOf(kind).Normal(name)+"@"+e.Version)
		}
	}
	for at := range u.lockedPackages(kind) {
		g.Except = append(g.Except, at)
	}
	slices.Sort(g.Except)
	g.Except = slices.Compact(g.Except)
	return g
}

// lockedPackages is every NAME@VERSION of a kind in the old lock.
func (u *update) lockedPackages(kind string) map[string]bool {
	have := map[string]bool{}
	for _, versions := range u.Old.Plugins {
		for _, v := range versions {
			if v.Source != kind {
				continue
			}
			for key, f := range v.Files {
				name, version := lock.KindOf(kind).PackageOf(key, f)
				have[lock.KindOf(kind).Normal(name)+"@"+version] = true
			}
		}
	}
	return have
}

// admit holds what a source resolved against [policy], before a byte of it is
// downloaded.
func (u *update) admit(a *attempt) []error {
	var errs []error
	said := map[string]bool{}
	kind := a.w.From.Kind
	locked := u.lockedPackages(kind)
	for _, artifact := range a.res.Artifacts {
		err := u.m.Policy.CheckFile(kind, a.w.packageName(), artifact.Key, artifact.File)
		name, version := lock.KindOf(kind).PackageOf(artifact.Key, artifact.File)
		if err == nil && artifact.aged {
			own := lock.KindOf(kind).Normal(name) == lock.KindOf(kind).Normal(a.w.From.Name)
			s := subject{
				kind: kind, name: name, version: version, released: artifact.released,
				written: own && a.w.written && CompareVersions(kind, version, a.w.Version) == 0,
				locked:  locked[lock.KindOf(kind).Normal(name)+"@"+version],
			}
			if why := u.ages().refuse(s); why != "" {
				err = fault.Errorf(fault.Policy, u.ages().hint(s), "%s package %s %s is too young: %s (minimum-release-age is %s)", kind, name, version, why, span(u.m.Policy.MinimumAge))
			}
		}
		if err != nil && !said[err.Error()] {
			said[err.Error()] = true
			errs = append(errs, err)
		}
	}
	return errs
}

// keepsTrust refuses a version that rests on less evidence than what it takes
// the place of.
func (u *update) keepsTrust(w *Want, v *lock.Version) error {
	if err := trusted(&u.m.Policy, v.Trust); err != nil {
		return err
	}
	versions := u.Old.Plugins[w.Name]
	if len(versions) == 0 {
		return nil
	}
	before := w.Version
	if versions[before] == nil {
		before = slices.MaxFunc(slices.Sorted(maps.Keys(versions)), func(a, b string) int { return CompareVersions(w.From.Kind, a, b) })
	}
	if old := versions[before].Trust; weight(v.Trust) < weight(old) {
		return fault.Errorf(fault.Policy, fmt.Sprintf("find out why; to take it knowingly, run: lockgen remove %s, then: lockgen add %s@%s", w.Name, w.Name, w.Version),
			"its trust would fall from %s (%s %s in the lock) to %s", old, w.Name, before, v.Trust)
	}
	return nil
}
