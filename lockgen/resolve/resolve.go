// Package resolve makes plugins.lock.toml from plugins.toml. Package plan
// decides what is wanted, and package source asks where it is published. This
// package runs the jobs: it decides what to do, downloads every artifact once,
// reads it strictly, compares what is locked with the rest, tests it, and locks
// everything or nothing.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/plain"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/download"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/queue"
	"github.com/birbparty/buck2-protobuf/lockgen/session"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// Options control [Update].
type Options struct {
	session.Settings
	Old     *lock.Lock         // nil if there is no lock yet
	Names   []string           // NAME, NAME@VERSION or NAME@RANGE to resolve again; empty for what does not match
	All     bool               // resolve everything again
	Verb    string             // for hints, the verb that takes NAME@VERSION; "" is update
	Was     *manifest.Manifest // before the command edited it, nil if it did not
	Removed []string           // NAME or NAME@VERSION that was just removed: only these may go
	Verify  bool               // resolve and download everything again and compare
	NoSmoke bool               // do not run what was locked

	MaxArtifact int64 // size limit of one download, in bytes; default 2 GiB
}

// An Outcome is the result of [Update].
type Outcome struct {
	Lock       *lock.Lock
	Changed    []string     // NAME VERSION of what is new, resolved again or settled
	Dropped    []string     // NAME VERSION of what was removed
	Downloaded int64        // number of artifacts
	Notes      []string     // for the user, one line each
	Tried      []plan.Tried // sources that were skipped
}

// Update makes a lock that matches the manifest. It resolves and downloads only
// what the old lock lacks, or what Options ask for. It writes only to the
// store. If anything cannot be locked, there is no lock at all, and the error
// lists every plugin and platform that failed, with the reason and a hint.
func Update(ctx context.Context, m *manifest.Manifest, o Options) (*Outcome, error) {
	wants, err := plan.Wants(m, o.Old)
	if err != nil {
		return nil, err
	}
	u := newUpdate(m, o)
	defer u.Close()
	again, err := u.selected(wants)
	if err != nil {
		return nil, err
	}
	pending := u.keepOrSettle(wants, again)
	if err := plan.CheckPolicy(m, u.out.Lock); err != nil { // policy errors in what stays are known before any source is asked
		return nil, err
	}
	if len(pending) > 0 {
		if err := u.resolve(ctx, wants, pending); err != nil {
			return nil, err
		}
	}
	u.drop()
	if err := u.orphans(wants); err != nil {
		return nil, err
	}
	if err := plan.CheckPolicy(m, u.out.Lock); err != nil {
		return nil, err
	}
	if o.Verify {
		if err := u.verify(ctx, wants, pending); err != nil {
			return nil, err
		}
	}
	if unsigned := plan.Unsigned(m, u.out.Lock); unsigned != "" && !o.All {
		u.out.Notes = append(u.out.Notes, unsigned)
	}
	u.out.Downloaded = u.files.Count()
	return u.out, nil
}

func newUpdate(m *manifest.Manifest, o Options) *update {
	processors := runtime.GOMAXPROCS(0)
	u := &update{
		Session: session.New(m, o.Old, o.Settings), options: o,
		out:     &Outcome{Lock: &lock.Lock{Schema: lock.Schema, Plugins: map[string]map[string]*lock.Version{}}},
		clients: queue.New(processors + 1), trying: queue.New(processors),
		early: map[string]map[string]*lock.Version{}, claims: map[string]*job{},
	}
	u.files = download.New(u.Session, o.MaxArtifact)
	u.Locked, u.Needed = u, u.files.Needed
	return u
}

// update is the state of one Update, with its jobs.
type update struct {
	*session.Session
	options Options
	out     *Outcome
	moves   map[*plan.Want]bool // ranges that get the newest allowed version

	files *download.Downloads

	// Limits for client programs and smoke runs.
	clients, trying *queue.Queue

	mu     sync.Mutex                          // guards the following fields, and the plugins of out.Lock
	early  map[string]map[string]*lock.Version // by name and version: what can be used before it is locked
	claims map[string]*job                     // by NAME@VERSION: the job that locks it
}

// selected returns the wants that Names asks for, and records the ranges among
// them that may change.
func (u *update) selected(wants []*plan.Want) (map[*plan.Want]bool, error) {
	again := map[*plan.Want]bool{}
	u.moves = map[*plan.Want]bool{}
	var names []string
	for _, w := range wants {
		names = append(names, w.Name)
		if w.Version == "" || u.options.All {
			u.moves[w] = w.Ranged
		}
		again[w] = u.options.All
	}
	for _, spec := range u.options.Names {
		name, version, exact := lock.CutSpec(spec)
		var specs []string
		found := false
		for _, w := range wants {
			if w.Name != name {
				continue
			}
			specs = append(specs, w.Asked)
			if !exact || w.Asked == version || w.Version == version {
				found, again[w] = true, true
				u.moves[w] = w.Ranged && (w.Version != version || !exact)
			}
		}
		if len(specs) == 0 {
			hint := fault.DidYouMean(name, names, syntax.AddHint(spec))
			return nil, fault.Errorf(fault.Usage, hint, "%s does not ask for a plugin %q; it asks for %s", u.Manifest.Name, name, fault.List(names))
		}
		// A person chose one version within a range.
		for _, w := range wants {
			if !found && w.Name == name && w.Ranged && manifest.CheckExact(version) == nil && w.Allows(version) {
				found, again[w] = true, true
				for _, c := range w.Candidates() {
					c.Version, c.Written = version, true
				}
				u.moves[w] = false
			}
		}
		if !found {
			return nil, fault.Errorf(fault.Usage, "run: lockgen add "+spec, "%s asks for %s %s, not %s", u.Manifest.Name, name, strings.Join(specs, " and "), version)
		}
	}
	return again, nil
}

// touched returns the names that this update is about. ok is false if it is
// about everything.
func (u *update) touched() (names map[string]bool, only bool) {
	names = map[string]bool{}
	for _, spec := range slices.Concat(u.options.Names, u.options.Removed) {
		name, _, _ := lock.CutSpec(spec)
		names[name] = true
	}
	return names, len(names) > 0 && !u.options.All
}

// keepOrSettle keeps what matches, settles what needs no source, and returns
// what must be resolved.
func (u *update) keepOrSettle(wants []*plan.Want, again map[*plan.Want]bool) []*plan.Want {
	touched, only := u.touched()
	needed := used(again)
	languages := u.languages(wants, again)
	var pending []*plan.Want
	for _, w := range wants {
		old := u.Old.Plugins[w.Name][w.Version]
		diffs := w.Differences(u.Manifest, old)
		local := !slices.ContainsFunc(diffs, func(d plan.Difference) bool { return !d.Local })
		fit := w // the locked source
		if old != nil {
			fit = w.LockedAs(u.Manifest, old)
		}
		compiled := func(o *plan.Want) bool { return o.Name == fit.CompiledBy && u.moves[o] }
		switch {
		case again[w] || old == nil && needed[w] || languages[w.Language] || slices.ContainsFunc(fit.Uses(), compiled):
			pending = append(pending, w)
		case only && old == nil:
			u.out.Notes = append(u.out.Notes, w.String()+" is still not locked; run: lockgen update")
		case only && fit.Toolchain != old.Toolchain && (touched[fit.CompiledBy] || touched[plan.RustName]):
			pending = append(pending, w) // must be compiled again
		case len(diffs) == 0 || only && !(local && (touched[fit.RuntimeName] || slices.ContainsFunc(fit.Follows(), func(name string) bool { return touched[name] }))):
			u.put(w.Name, w.Version, old)
		case local:
			v := fit.Settle(u.Manifest, old)
			if v.Validate() != nil { // such as no platform left
				pending = append(pending, w)
				continue
			}
			u.put(w.Name, w.Version, v)
			u.out.Changed = append(u.out.Changed, w.String())
		default:
			pending = append(pending, w)
		}
	}
	return pending
}

// used returns the runtimes and toolchains that any source of what is resolved needs.
func used(resolved map[*plan.Want]bool) map[*plan.Want]bool {
	needed := map[*plan.Want]bool{}
	for w, again := range resolved {
		if !again {
			continue
		}
		for _, c := range w.Candidates() {
			for _, other := range c.Uses() {
				needed[other] = true
			}
		}
	}
	return needed
}

// drop removes what nobody asks for; with names, only versions of those.
func (u *update) drop() {
	touched, only := u.touched()
	for _, name := range slices.Sorted(maps.Keys(u.Old.Plugins)) {
		_, _, runtime := lock.RuntimeName(name)
		replaced := runtime && len(u.out.Lock.Plugins[name]) > 0 // there is only one
		for _, version := range slices.Sorted(maps.Keys(u.Old.Plugins[name])) {
			switch {
			case u.out.Lock.Plugins[name][version] != nil:
			case !only || touched[name] || replaced:
				u.out.Dropped = append(u.out.Dropped, name+" "+version)
			default:
				u.put(name, version, u.Old.Plugins[name][version])
			}
		}
	}
}

func (u *update) put(name, version string, v *lock.Version) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.out.Lock.Plugins[name] == nil {
		u.out.Lock.Plugins[name] = map[string]*lock.Version{}
	}
	u.out.Lock.Plugins[name][version] = v
}

// A failure is the reason why one plugin, or one of its platforms, cannot be
// locked.
type failure struct {
	w        *plan.Want
	platform string // "" for all
	err      error
	hole     bool // the source has nothing for the platform

	clientless bool // this machine lacks the client program of the source
}

// A ConsentError is an error of [Update] that only consent can resolve.
type ConsentError struct {
	Asks []*source.ConsentError // one for each plugin
	error
}

// Unwrap returns the error with class and hint.
func (e *ConsentError) Unwrap() error { return e.error }

// asking turns err into a [ConsentError] if all failures need consent.
func asking(failures []failure, err error) error {
	e := &ConsentError{error: err}
	for _, f := range failures {
		var ask *source.ConsentError
		if !errors.As(f.err, &ask) {
			return err
		}
		if !slices.ContainsFunc(e.Asks, func(a *source.ConsentError) bool { return a.Plugin == ask.Plugin }) {
			e.Asks = append(e.Asks, ask)
		}
	}
	return e
}

// fail joins failures in the order of the manifest.
func (u *update) fail(total int, failures []failure) error {
	class := fault.Of(failures[0].err)
	for _, f := range failures {
		switch fault.Of(f.err) {
		case fault.Interrupted:
			return f.err
		case fault.Integrity:
			class = fault.Integrity
		}
	}
	several := severalSources(failures)
	groups := grouped(failures)
	say := func(g group) string {
		s := fmt.Sprintf("%s: %s", g.w.At, g.w)
		if several[g.w] {
			s += " from " + g.w.From.String()
		}
		if g.platforms[0] != "" {
			s += " for " + strings.Join(g.platforms, ", ")
		}
		return s
	}
	hintOf := func(g group) string {
		hint := g.w.Hint(g.err)
		if hint == "" && fault.Of(g.err) == fault.Upstream {
			hint = "try again later; if it is the wrong registry, see [registries] in " + u.Manifest.Name + ", npm config get registry, pip config list, go env GOPROXY"
		}
		if u.options.Verb == "add" && strings.Contains(hint, "optional = true") {
			hint += ", as lockgen add --optional does"
		}
		return hint
	}
	if len(groups) == 1 {
		return fault.Errorf(class, hintOf(groups[0]), "%s: %w (nothing was written)", say(groups[0]), groups[0].err)
	}
	names := map[string]bool{}
	for _, g := range groups {
		names[g.w.Name+"@"+g.w.Asked] = true
	}
	if first := groups[0]; !slices.ContainsFunc(groups, func(g group) bool { return g.err.Error() != first.err.Error() || hintOf(g) != hintOf(first) }) {
		// If several plugins fail for the same reason, it is reported once.
		return fault.Errorf(class, hintOf(first), "nothing was written: %d of %d plugins cannot be locked (%s): %w",
			len(names), total, strings.Join(slices.Sorted(maps.Keys(names)), ", "), first.err)
	}
	var b strings.Builder
	errs := []any{}
	hint, differ := hintOf(groups[0]), slices.ContainsFunc(groups, func(g group) bool { return hintOf(g) != hintOf(groups[0]) })
	for i, g := range groups {
		b.WriteString("\n" + say(g) + ": %w")
		errs = append(errs, g.err)
		own := hintOf(g)
		if last := i == len(groups)-1 || hintOf(groups[i+1]) != own; differ && last && own != "" { // several may share it
			b.WriteString("\n  hint: " + strings.ReplaceAll(own, "%", "%%"))
		}
	}
	if differ || hint == "" {
		hint = "fix each of them, then run lockgen again"
	}
	head := fmt.Sprintf("nothing was written: %d of %d plugins cannot be locked:", len(names), total)
	err := fault.Errorf(class, hint, head+b.String(), errs...)
	if !slices.ContainsFunc(groups, func(g group) bool { return !several[g.w] }) {
		return fault.About(fault.AboutSources, err)
	}
	return err
}

// severalSources has the plugins that failed from several sources.
func severalSources(failures []failure) map[*plan.Want]bool {
	several := map[*plan.Want]bool{}
	for _, f := range failures {
		for _, other := range failures {
			if f.w != other.w && f.w.Name == other.w.Name && f.w.Asked == other.w.Asked {
				several[f.w] = true
			}
		}
	}
	return several
}

// A group is one reason that several platforms share, which is reported once.
type group struct {
	w         *plan.Want
	platforms []string
	err       error
}

func grouped(failures []failure) (groups []group) {
	for _, f := range failures {
		if n := len(groups) - 1; n >= 0 && groups[n].w == f.w && groups[n].err.Error() == f.err.Error() {
			groups[n].platforms = append(groups[n].platforms, f.platform)
			continue
		}
		groups = append(groups, group{f.w, []string{f.platform}, f.err})
	}
	return groups
}

// resolve locks what must be locked. All jobs run concurrently; each one
// continues as soon as it has what it needs from others: the node whose npm
// resolves it, the Go that compiles it, the protoc that tests it.
func (u *update) resolve(ctx context.Context, all, pending []*plan.Want) error {
	if u.Offline {
		var names []string
		for _, w := range pending {
			names = append(names, w.String())
		}
		return fault.About(fault.AboutOffline, fault.Errorf(fault.Upstream, "run it again without --offline", "offline, but not locked yet: %s", strings.Join(names, ", ")))
	}
	defer u.Show()()
	jobs := u.jobs(pending)
	follow(jobs, all)
	u.Shown().Plugins(len(jobs))
	trials, err := u.newTrials(ctx, jobs)
	if err != nil {
		return err
	}
	defer trials.close()
	run, cancel := context.WithCancel(ctx)
	defer cancel()
	download, stop := context.WithCancel(run)
	defer stop()
	var running sync.WaitGroup
	for _, c := range jobs {
		running.Go(func() {
			u.run(run, download, stop, all, jobs, c)
			if c.fatal != nil {
				cancel()
			}
			c.end()
			if c.locked != nil && c.fatal == nil {
				c.tryNote, c.tryErr = trials.try(download, c)
			}
			u.Shown().Ended()
			if c.locked != nil && c.fatal == nil && c.tryErr == nil {
				u.Shown().Tell(ui.For(ctx, c.now().String()))
			}
		})
	}
	running.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	failures, tried, err := u.ended(jobs, trials.host)
	if err != nil {
		return err
	}
	u.relink(all, pending)
	refit := func(_ context.Context, all, _ []*plan.Want) ([]failure, error) { return u.refit(all), nil }
	for _, check := range []func(ctx context.Context, all, pending []*plan.Want) ([]failure, error){u.compatible, refit, u.imports} {
		if len(failures) == 0 {
			if failures, err = check(ctx, all, pending); err != nil {
				return err
			}
		}
	}
	if len(failures) == 0 {
		failures = tried
	}
	if len(failures) > 0 {
		failures = u.proposing(ctx, failures)
		return asking(failures, u.fail(len(pending), failures))
	}
	for _, c := range jobs {
		if c.tryNote != "" {
			u.out.Notes = append(u.out.Notes, c.tryNote)
		}
	}
	for _, w := range pending {
		u.out.Changed = append(u.out.Changed, w.String())
	}
	slices.Sort(u.out.Changed)
	u.out.Changed = slices.Compact(u.out.Changed)
	return nil
}

// ended collects the results of the jobs: what failed, and what did not run on
// this machine. The error is not about a plugin.
func (u *update) ended(jobs []*job, host lock.Platform) (failures, tried []failure, err error) {
	for _, c := range jobs {
		if c.fatal != nil && !errors.Is(c.fatal, context.Canceled) {
			return nil, nil, c.fatal
		}
		failures = append(failures, c.lost...)
		for _, note := range c.notes { // one package may be in several folders
			if !slices.Contains(u.out.Notes, note) {
				u.out.Notes = append(u.out.Notes, note)
			}
		}
		u.out.Tried = append(u.out.Tried, c.tried...)
		if c.tryErr != nil {
			tried = append(tried, failure{w: c.now().LockedAs(u.Manifest, c.locked), platform: host.Name, err: c.tryErr})
		}
	}
	return failures, tried, nil
}

// relink sets the runtimes of plugins that were kept, now that their versions
// are known.
func (u *update) relink(all, pending []*plan.Want) {
	plan.Link(all)
	for _, w := range all {
		v := u.out.Lock.Plugins[w.Name][w.Version]
		if v == nil || slices.Contains(pending, w) {
			continue
		}
		w := w.LockedAs(u.Manifest, v)
		if v.Runtime == w.RuntimeOf(v) {
			continue
		}
		if name, version, _ := strings.Cut(w.Runtime, "@"); u.out.Lock.Plugins[name][version] != nil {
			u.put(w.Name, w.Version, w.Settle(u.Manifest, v))
			u.out.Changed = append(u.out.Changed, w.String())
		}
	}
}

// run tries the sources of a plugin until one can be locked or none is left. It
// ends early if there is a failure that no other source can fix, because the
// rest may be 300 MB.
func (u *update) run(ctx, download context.Context, stop func(), all []*plan.Want, jobs []*job, c *job) {
	if c.lost = u.nowhere(ctx, c); len(c.lost) > 0 {
		c.unresolved = true
		stop() // this has to be fixed first
		return
	}
	for settled := false; ; settled = true {
		u.ahead(ctx, jobs, c)
		if ok := c.await(ctx, jobs); !ok {
			return
		}
		if !settled {
			failed, err := c.fit(jobs), error(nil)
			if len(failed) == 0 {
				failed, err = u.settle(ctx, c)
			}
			if c.fatal, c.lost = err, failed; err != nil || len(failed) > 0 {
				c.unresolved = true
				stop() // this has to be fixed first
				return
			}
		}
		if !c.beside(ctx, jobs) {
			return
		}
		c.link(all, jobs)
		if name, version, _ := strings.Cut(c.now().Toolchain, "@"); name != "" && download.Err() != nil && u.Entry(name, version) == nil {
			return // another failure ended the download
		}
		failed, err := u.try(ctx, download, jobs, c)
		switch {
		case err != nil:
			c.fatal = err
			return
		case len(failed) == 0:
			if u.locked(c.now()) != nil {
				u.noteTried(c)
				c.root.Adopt(c.now())
			}
			return
		case c.last() || slices.ContainsFunc(failed, func(f failure) bool { return !u.passes(c, f) }):
			c.lost = slices.Concat(c.failed, failed, c.silent)
			if c.unresolved {
				stop() // this has to be fixed first
			}
			return
		}
		c.failed = append(c.failed, failed...)
		c.at++
	}
}

// An attempt is a Want that is being locked.
type attempt struct {
	w         *plan.Want
	source    source.Source
	platforms []lock.Platform
	res       *source.Resolution
}

// try resolves one plugin from its current source, downloads what it needs, and
// locks it. It returns neither a failure nor a lock if another entry has the
// same version, or if download has ended.
func (u *update) try(ctx, download context.Context, jobs []*job, c *job) ([]failure, error) {
	w := c.now()
	a := &attempt{w: w}
	ctx, download = ui.For(ctx, w.String()), ui.For(download, w.String())
	u.Shown().Begin(ctx)
	failures, err := u.resolveOne(ctx, jobs, c, a)
	c.unresolved = len(failures) > 0
	if err != nil || len(failures) > 0 || a.res == nil || download.Err() != nil {
		return failures, err
	}
	if failures = a.holes(u.Manifest); len(failures) > 0 {
		c.unresolved = true
		return failures, nil
	}
	artifacts, urgent := a.res.Artifacts, c.needed
	if c.resolves && c.at == 0 {
		u.offer(download, c, a)
		urgent = false
	}
	errs, err := u.files.Fetch(download, artifacts, false, urgent)
	var v *lock.Version
	if err == nil && w.CompiledBy == "go" && !c.lastOfAll(download, jobs) {
		return nil, ctx.Err()
	}
	switch {
	case err != nil:
	case w.Proto != nil:
		if v, err = u.lockProtos(a, errs); err != nil {
			failures, err = []failure{{w: w, err: err}}, nil
		}
	default:
		v, failures = u.lockVersion(download, a, errs)
	}
	if download.Err() != nil { // that may be the cause of any error
		return nil, ctx.Err()
	}
	if v != nil {
		keepTrees(v, u.Old.Plugins[w.Name][w.Version])
		u.put(w.Name, w.Version, v)
		c.locked = v
		c.notes = append(c.notes, a.res.Notes...)
	}
	return failures, err
}

// holes returns the platforms that the source lacks and that nothing replaces.
// They are known before anything is downloaded.
func (a *attempt) holes(m *manifest.Manifest) []failure {
	if a.w.Optional {
		return nil
	}
	var failures []failure
	for _, p := range a.platforms {
		hole, ok := a.res.Missing[p.Name]
		if _, also := a.res.Missing[p.Emulates]; ok && (also || !slices.Contains(m.Platforms, p.Emulates)) {
			failures = append(failures, a.hole(m, p, hole.Err))
		}
	}
	return failures
}

// hole is the failure of a platform that the source cannot serve.
func (a *attempt) hole(m *manifest.Manifest, p lock.Platform, err error) failure {
	if a.w.Language == "" && a.w.Proto == nil && !strings.Contains(fault.Hint(err), "optional = true") {
		err = orOptional(err)
	}
	_, also := a.res.Missing[p.Rosetta]
	if a.w.Language == "" && a.w.Proto == nil && p.Rosetta != "" && !also && slices.Contains(m.Platforms, p.Rosetta) && a.w.Overrides[p.Name].Emulate == "" {
		err = fault.Errorf(fault.Of(err), fmt.Sprintf("%s; to run what %s has, by Rosetta: platforms.%s = { emulate = %q }", fault.Hint(err), p.Rosetta, p.Name, p.Rosetta), "%w", err)
	}
	return failure{w: a.w, platform: p.Name, err: err, hole: true}
}

// resolveOne chooses a version, claims it, and asks the source for its content.
func (u *update) resolveOne(ctx context.Context, jobs []*job, c *job, a *attempt) (_ []failure, err error) {
	if !c.needed { // other jobs wait for these few
		leave, err := u.clients.Enter(ctx, false)
		if err != nil {
			return nil, err
		}
		defer leave()
	}
	w := a.w
	failed := func(err error) []failure { return []failure{{w: w, err: err}} }
	if !u.claim(ctx, jobs, c) {
		return nil, ctx.Err() // two entries may have the same version
	}
	find := u.Source
	if w.Proto != nil {
		find = u.Lister // needs no client program
	}
	if a.source, err = find(ctx, w.From.Kind); err != nil {
		if w.Known && ctx.Err() == nil {
			return []failure{{w: w, err: err, clientless: true}}, nil
		}
		return nil, err
	}
	a.platforms = u.native(w)
	defer u.Shown().Step("resolving %s (%s) for %s", w, w.From, plain.Count(len(a.platforms), "platform"))()
	if w.Finds {
		if err := u.find(ctx, w, a.platforms); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return failed(err), nil
		}
	}
	res, err := u.consists(ctx, a.source, w)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return failed(err), nil
	}
	a.res = res
	var failures []failure
	rules, said := u.Rules(), map[string]bool{}
	for _, x := range res.Artifacts {
		if err := rules.Admit(w, x.Key, x.File, x.Aged, x.Released); err != nil && !said[err.Error()] {
			said[err.Error()] = true
			failures = append(failures, failure{w: w, err: err})
		}
	}
	return failures, nil
}

// claim reports whether c must lock its version. If several entries have the
// same version, the first one does.
func (u *update) claim(ctx context.Context, jobs []*job, c *job) bool {
	w := c.now()
	for _, other := range jobs {
		if other == c {
			break
		}
		if other.name == w.Name && !other.picked.Wait(ctx) {
			return false
		}
	}
	defer c.picked.Open()
	u.mu.Lock()
	defer u.mu.Unlock()
	key := w.Name + "@" + w.Version
	if u.claims[key] == nil {
		u.claims[key] = c
	}
	return u.claims[key] == c && u.out.Lock.Plugins[w.Name][w.Version] == nil
}

// Entry returns a version that is locked already, or usable, or nil.
func (u *update) Entry(name, version string) *lock.Entry {
	u.mu.Lock()
	defer u.mu.Unlock()
	if e := u.out.Lock.Entry(name, version); e != nil {
		return e
	}
	if v := u.early[name][version]; v != nil {
		return &lock.Entry{Name: name, Version: version, Locked: v}
	}
	return nil
}

// Find returns the newest version of a plugin that is locked already, or usable.
func (u *update) Find(name string) (string, string, *lock.Version, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	all := lock.Lock{Plugins: map[string]map[string]*lock.Version{name: maps.Clone(u.early[name])}}
	if all.Plugins[name] == nil {
		return u.out.Lock.Find(name)
	}
	maps.Copy(all.Plugins[name], u.out.Lock.Plugins[name])
	return all.Find(name)
}

// locked returns what is locked for w already, or nil.
func (u *update) locked(w *plan.Want) *lock.Version {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.out.Lock.Plugins[w.Name][w.Version]
}

// native lists the platforms for which w may have its own tree: those of the
// manifest on which its runtime has one, and that emulate no other.
func (u *update) native(w *plan.Want) []lock.Platform {
	var list []lock.Platform
	name, version, _ := strings.Cut(w.Runtime, "@")
	runtime := u.locked(&plan.Want{Name: name, Version: version})
	for _, p := range lock.Platforms {
		if slices.Contains(u.Manifest.Platforms, p.Name) && w.Overrides[p.Name].Emulate == "" && (runtime == nil || runtime.Platforms[p.Name].Locked()) {
			list = append(list, p)
		}
	}
	return list
}
