package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// Rules are [policy] at one moment, held against the lock that there was.
type Rules struct {
	policy *manifest.Policy
	old    *lock.Lock
	now    time.Time
	locked func() map[string]bool // every KIND:NAME@VERSION of a package in the old lock
}

// NewRules returns the rules of a policy. Old may be nil for no lock at all.
func NewRules(policy *manifest.Policy, old *lock.Lock, now time.Time) Rules {
	if old == nil {
		old = &lock.Lock{}
	}
	return Rules{policy, old, now, sync.OnceValue(func() map[string]bool { return lockedPackages(old) })}
}

// lockedPackages is every KIND:NAME@VERSION of a package in a lock.
func lockedPackages(l *lock.Lock) map[string]bool {
	have := map[string]bool{}
	for _, versions := range l.Plugins {
		for _, v := range versions {
			for key, f := range v.Files {
				name, version := lock.KindOf(v.Source).PackageOf(key, f)
				have[packageAt(v.Source, name, version)] = true
			}
		}
	}
	return have
}

func packageAt(kind, name, version string) string {
	return kind + ":" + lock.KindOf(kind).Normal(name) + "@" + version
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
func (r Rules) refuse(s subject) string {
	if r.policy.MinimumAge == 0 || s.written || s.locked {
		return ""
	}
	in, ended := r.policy.Except(s.kind, s.name, s.version, r.now)
	if in != nil {
		return ""
	}
	old := r.now.Sub(s.released)
	var why string
	switch {
	case s.released.IsZero():
		why = "the registry does not say when it was released"
	case old < 0:
		why = "it was released in the future, on " + s.released.Format(time.DateOnly) + ": the clock of the registry or of this machine is wrong"
	case old < r.policy.MinimumAge && s.seen:
		why = fmt.Sprintf("only its publisher says when it was released; this machine saw it first %s ago and it may be locked from %s",
			span(old), s.released.Add(r.policy.MinimumAge).Format("2006-01-02 15:04 UTC"))
	case old < r.policy.MinimumAge:
		why = fmt.Sprintf("it was released %s ago and may be locked from %s", span(old), s.released.Add(r.policy.MinimumAge).Format("2006-01-02 15:04 UTC"))
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
func (r Rules) hint(s subject) string {
	return fmt.Sprintf(`wait, or add to exceptions of [policy]: { name = "%s:%s", version = %q, reason = "…", until = %s }`,
		s.kind, s.name, s.version, r.now.AddDate(0, 0, 14).Format(time.DateOnly))
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

// Cooldown is what keeps a package manager from choosing for w what the rules
// would refuse; nil where there is no minimum age.
func (r Rules) Cooldown(w *Want) *cooldown.Rule {
	if r.policy.MinimumAge == 0 {
		return nil
	}
	kind := w.From.Kind
	rule := &cooldown.Rule{Before: r.now.Add(-r.policy.MinimumAge)}
	if w.Written || r.old.Plugins[w.Name][w.Version] != nil {
		rule.Except = append(rule.Except, lock.KindOf(kind).Normal(w.From.Name)+"@"+w.Upstream(w.Version))
	}
	for _, e := range r.policy.Exceptions {
		name := strings.TrimPrefix(e.Name, kind+":")
		if in, _ := r.policy.Except(kind, name, e.Version, r.now); in != nil {
			rule.Except = append(rule.Except, lock.KindOf(kind).Normal(name)+"@"+e.Version)
		}
	}
	for at := range r.locked() {
		if name, ok := strings.CutPrefix(at, kind+":"); ok {
			rule.Except = append(rule.Except, name)
		}
	}
	slices.Sort(rule.Except)
	rule.Except = slices.Compact(rule.Except)
	return rule
}

// Admit holds a file that a source resolved for w against [policy], before a byte
// of it is downloaded. Aged says that minimum-release-age applies to it. The error
// is of class [fault.Policy].
func (r Rules) Admit(w *Want, key string, f lock.File, aged bool, released time.Time) error {
	kind := w.From.Kind
	if err := r.policy.CheckFile(kind, w.PackageName(), key, f); err != nil || !aged {
		return err
	}
	name, version := lock.KindOf(kind).PackageOf(key, f)
	own := lock.KindOf(kind).Normal(name) == lock.KindOf(kind).Normal(w.From.Name)
	s := subject{
		kind: kind, name: name, version: version, released: released,
		written: own && w.Written && CompareVersions(kind, version, w.Upstream(w.Version)) == 0,
		locked:  r.locked()[packageAt(kind, name, version)],
	}
	why := r.refuse(s)
	if why == "" {
		return nil
	}
	return fault.Errorf(fault.Policy, r.hint(s), "%s package %s %s is too young: %s (minimum-release-age is %s)", kind, name, version, why, span(r.policy.MinimumAge))
}

// KeepsTrust refuses a version that rests on less evidence than what it takes
// the place of, or than min-trust demands. The error is of class [fault.Policy].
func (r Rules) KeepsTrust(w *Want, v *lock.Version) error {
	if err := trusted(r.policy, v.Trust); err != nil {
		return err
	}
	versions := r.old.Plugins[w.Name]
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
