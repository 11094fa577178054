package plan

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/cooldown"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// Rules are the [policy] at one point in time, with the previous lock.
type Rules struct {
	policy *manifest.Policy
	old    *lock.Lock
	now    time.Time
	locked func() map[string]bool // every KIND:NAME@VERSION of a package in the previous lock
}

// NewRules returns the rules of a policy. Old may be nil if there is no lock.
func NewRules(policy *manifest.Policy, old *lock.Lock, now time.Time) Rules {
	if old == nil {
		old = &lock.Lock{}
	}
	return Rules{policy, old, now, sync.OnceValue(func() map[string]bool { return lockedPackages(old) })}
}

// lockedPackages returns every KIND:NAME@VERSION of a package in a lock.
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

// A subject is one version of a package that may be locked.
type subject struct {
	kind, name, version string
	released            time.Time // by the registry's clock; zero if unknown
	written             bool      // a person wrote this exact version
	seen                bool      // released is when this machine first saw it
	locked              bool      // it is in the lock already
}

// refuse returns why a version may not be locked now, or "". A version that a
// person wrote, or that was locked and reviewed before, is allowed. A missing
// or wrong release time does not count as old enough.
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
		why = fmt.Sprintf("only its publisher says when it was released; this machine first saw it %s ago, and it may be locked from %s",
			span(old), s.released.Add(r.policy.MinimumAge).Format("2006-01-02 15:04 UTC"))
	case old < r.policy.MinimumAge:
		why = fmt.Sprintf("it was released %s ago, and may be locked from %s", span(old), s.released.Add(r.policy.MinimumAge).Format("2006-01-02 15:04 UTC"))
	default:
		return ""
	}
	if ended != nil {
		why += "; its exception ended on " + ended.Until.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	return why
}

// span returns an age in words.
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

// hint says how to allow a version that is too recent.
func (r Rules) hint(s subject) string {
	return fmt.Sprintf(`wait, or add to exceptions of [policy]: { name = "%s:%s", version = %q, reason = "…", until = %s }`,
		s.kind, s.name, s.version, r.now.AddDate(0, 0, 14).Format(time.DateOnly))
}

// trusted refuses a version with less evidence than min-trust requires.
func trusted(p *manifest.Policy, trust string) error {
	if p.MinTrust == "" || weight(trust) >= weight(p.MinTrust) {
		return nil
	}
	return fault.Errorf(fault.Policy, "use a source with more evidence, such as a package registry, or lower min-trust of [policy]",
		"its trust is %s, but min-trust of [policy] is %s", trust, p.MinTrust)
}

func weight(trust string) int { return slices.Index(lock.Trusts, trust) }

// CheckPolicy checks every version of a lock against allow and min-trust in
// [policy]. It does not check ages, because the lock has no times. The error,
// of class [fault.Policy], lists each violation with its hint.
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
	return joined(errs, "%d entries of the lock violate [policy]:")
}

// joined combines several errors with their hints into one.
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

// Cooldown returns the rule that keeps a package manager from choosing versions
// for w that are too recent; nil if there is no minimum age.
func (r Rules) Cooldown(w *Want) *cooldown.Rule {
	if r.policy.MinimumAge == 0 {
		return nil
	}
	kind := w.From.Kind
	rule := &cooldown.Rule{Before: r.now.Add(-r.policy.MinimumAge)}
	if w.Written || r.old.Plugins[w.Name][w.Version] != nil {
		rule.Except = append(rule.Except, lock.KindOf(kind).Normal(w.From.Name)+"@"+w.Upstream(w.Version))
	}
	for _, item := range w.Consents {
		rule.Except = append(rule.Except, strings.Replace(item, "==", "@", 1))
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

// Admit checks a file that a source resolved for w against [policy], before any
// download. Aged says that minimum-release-age applies to it. Errors are of
// class [fault.Policy].
func (r Rules) Admit(w *Want, key string, f lock.File, aged bool, released time.Time) error {
	kind := w.From.Kind
	if err := r.policy.CheckFile(kind, w.PackageName(), key, f); err != nil || !aged {
		return err
	}
	name, version := lock.KindOf(kind).PackageOf(key, f)
	own := lock.KindOf(kind).Normal(name) == lock.KindOf(kind).Normal(w.From.Name)
	s := subject{
		kind: kind, name: name, version: version, released: released,
		written: own && w.Written && CompareVersions(kind, version, w.Upstream(w.Version)) == 0 || slices.Contains(w.Consents, manifest.RuntimeItem(lock.KindOf(kind).Normal(name), version)),
		locked:  r.locked()[packageAt(kind, name, version)],
	}
	why := r.refuse(s)
	if why == "" {
		return nil
	}
	return fault.Errorf(fault.Policy, r.hint(s), "%s package %s %s is too recent: %s (minimum-release-age is %s)", kind, name, version, why, span(r.policy.MinimumAge))
}

// KeepsTrust refuses a version with less evidence than the version it replaces,
// or than min-trust requires. Errors are of class [fault.Policy].
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
	hint := fmt.Sprintf("find out why; to accept it, run: lockgen remove %s, then: lockgen add %s@%s", w.Name, w.Name, w.Version)
	if old := versions[before].Trust; weight(v.Trust) < weight(old) {
		return fault.Errorf(fault.Policy, hint, "its trust would drop from %s (%s %s in the lock) to %s", old, w.Name, before, v.Trust)
	}
	was := publishers(versions[before])
	for _, key := range slices.Sorted(maps.Keys(v.Files)) {
		f := v.Files[key]
		by := was[packageOf(v, key)]
		if slices.Sort(by); len(by) == 0 || slices.Contains(by, originOf(f.Signer)) {
			continue
		}
		return fault.Errorf(fault.Policy, hint, "%s is signed by %s; that of %s %s in the lock by %s", key, cmp.Or(originOf(f.Signer), "nobody"), w.Name, before, strings.Join(by, " and "))
	}
	return nil
}

// publishers are those whose signatures of the files of a version were verified, by
// package.
func publishers(v *lock.Version) map[string][]string {
	all := map[string][]string{}
	for key, f := range v.Files {
		name := packageOf(v, key)
		if by := originOf(f.Signer); by != "" && !slices.Contains(all[name], by) {
			all[name] = append(all[name], by)
		}
	}
	return all
}

// packageOf is the package of a file; "" where all files are of one.
func packageOf(v *lock.Version, key string) string {
	if !v.Kind().Ecosystem {
		return ""
	}
	name, _ := v.PackageOf(key)
	return v.Kind().Normal(name)
}

// Unsigned says, where [policy] has roots for signatures, that no file of a lock has a
// signer, and how to ask for one: what was locked before was not asked. Else it is "".
func Unsigned(m *manifest.Manifest, l *lock.Lock) string {
	if m.Policy.TrustedRoot == "" {
		return ""
	}
	for _, versions := range l.Plugins {
		for _, v := range versions {
			for _, f := range v.Files {
				if f.Signer != "" {
					return ""
				}
			}
		}
	}
	return m.At("policy", "trusted-root") + ": no file in the lock has a signer; what was locked before there was trusted-root was not asked for one; to ask, run: lockgen update --all"
}

// originOf is whose a signer is: of a workflow the repository, else the signer. Two
// releases of one publisher have one origin. It is "" where nobody vouches for one.
func originOf(signer string) string {
	name, issuer, verified := lock.CutSigner(signer)
	if !verified {
		return ""
	}
	if u, err := url.Parse(name); err == nil && u.Host != "" {
		path, _, workflow := strings.Cut(u.Path, "//") // GitLab
		if !workflow {
			path, _, workflow = strings.Cut(u.Path, "/.github/")
		}
		if workflow {
			name = u.Scheme + "://" + u.Host + path
		}
	}
	return lock.Signer(strings.ToLower(name), issuer)
}
