// Package resolve turns what plugins.toml asks for into what plugins.lock.toml
// pins. There is one [Source] for each kind, a file each; the driver in this
// file and fetch.go decides what has to be done, downloads every artifact once,
// reads it strictly, and locks all or nothing.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/mirror"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// Options say what [Update] has to do.
type Options struct {
	Old     *lock.Lock          // nil where there is no lock yet
	Names   []string            // NAME, NAME@VERSION or NAME@RANGE to resolve again; empty for what does not fit
	All     bool                // resolve everything again
	Removed []string            // NAME or NAME@VERSION that was just taken out: only that may go
	Verify  bool                // resolve and download everything again and compare
	Offline bool                // refuse the network
	NoSmoke bool                // do not run what was locked
	Now     time.Time           // for minimum-release-age; zero is the machine's clock
	Env     func(string) string // nil for the process's own: GITHUB_TOKEN
	Dir     string              // where the manifest lies: the package managers' project configuration applies
	Store   *store.Store
	UI      *ui.UI

	Timeouts    remote.Timeouts // of requests; the zero value is good
	MaxArtifact int64           // bytes of one download; default 2 GiB
}

// An Outcome is what [Update] did.
type Outcome struct {
	Lock       *lock.Lock
	Changed    []string // NAME VERSION of what is new, resolved again or settled
	Dropped    []string // NAME VERSION of what was taken out
	Downloaded int64    // artifacts
	Notes      []string // for the user, one line each
	Tried      []Tried  // sources that lost against a later one
}

// Update makes a lock that fits the manifest. It resolves and downloads only
// what the old lock lacks, or what Options ask for. It writes nothing but the
// store. When anything cannot be locked there is no lock at all, and the error
// lists every plugin and platform that failed, why, and the mend.
func Update(ctx context.Context, m *lock.Manifest, o Options) (*Outcome, error) {
	wants, err := Plan(m, o.Old)
	if err != nil {
		return nil, err
	}
	u := newUpdate(m, o)
	defer u.clean()
	again, err := u.selected(wants)
	if err != nil {
		return nil, err
	}
	pending := u.keepOrSettle(wants, again)
	if len(pending) > 0 {
		if err := u.resolve(ctx, wants, pending); err != nil {
			return nil, err
		}
	}
	u.drop()
	if err := CheckPolicy(m, u.out.Lock); err != nil {
		return nil, err
	}
	if o.Verify {
		if err := u.verify(ctx, wants, pending); err != nil {
			return nil, err
		}
	}
	return u.out, nil
}

func newUpdate(m *lock.Manifest, o Options) *update {
	u := &update{Options: o, m: m, now: o.Now, out: &Outcome{Lock: &lock.Lock{Schema: lock.Schema, Plugins: map[string]map[string]*lock.Version{}}}}
	if u.Old == nil {
		u.Old = &lock.Lock{}
	}
	if u.now.IsZero() {
		u.now = time.Now()
	}
	u.now = u.now.UTC()
	return u
}

// clean removes what sources left in the scratch of the store.
func (u *update) clean() {
	for _, f := range u.cleanup {
		f()
	}
}

// update is the state of one Update.
type update struct {
	Options
	m   *lock.Manifest
	out *Outcome
	now time.Time

	client   *remote.Client
	transfer atomic.Pointer[ui.Transfer] // of the downloads that are under way
	contents map[string]*Content         // by identity
	sources  map[string]Source           // by kind
	listers  map[string]Lister           // by kind
	moves    map[*Want]bool              // ranges that take the newest version allowed
	cleanup  []func()                    // what sources left in the scratch of the store
	bringing sync.Mutex                  // one bring at a time
	asking   bool                        // only questions: no client is installed for them
}

// selected returns the wants that Names asks for, and notes the ranges among
// them that may move.
func (u *update) selected(wants []*Want) (map[*Want]bool, error) {
	again := map[*Want]bool{}
	u.moves = map[*Want]bool{}
	var names []string
	for _, w := range wants {
		names = append(names, w.Name)
		if w.Version == "" || u.All {
			u.moves[w] = w.ranged
		}
		again[w] = u.All
	}
	for _, spec := range u.Names {
		name, version, exact := strings.Cut(spec, "@")
		var specs []string
		found := false
		for _, w := range wants {
			if w.Name != name {
				continue
			}
			specs = append(specs, w.Spec)
			if !exact || w.Spec == version || w.Version == version {
				found, again[w] = true, true
				u.moves[w] = w.ranged && (w.Version != version || !exact)
			}
		}
		if len(specs) == 0 {
			mend := lock.DidYouMean(name, names, "run: lockgen add "+spec)
			return nil, fault.Errorf(fault.Usage, mend, "%s does not ask for a plugin %q; it asks for %s", u.m.Name, name, listed(names))
		}
		// One version out of a range, by a person's own word.
		for _, w := range wants {
			if !found && w.Name == name && w.ranged && lock.CheckExact(version) == nil && w.allows(version) {
				found, again[w] = true, true
				w.Version, w.written, u.moves[w] = version, true, false
			}
		}
		if !found {
			return nil, fault.Errorf(fault.Usage, "run: lockgen add "+spec, "%s asks for %s %s, not %s", u.m.Name, name, strings.Join(specs, " and "), version)
		}
	}
	return again, nil
}

// touched are the names that this update is about, and whether there are any:
// otherwise it is about all.
func (u *update) touched() (names map[string]bool, only bool) {
	names = map[string]bool{}
	for _, spec := range slices.Concat(u.Names, u.Removed) {
		name, _, _ := strings.Cut(spec, "@")
		names[name] = true
	}
	return names, len(names) > 0 && !u.All
}

// keepOrSettle takes over what fits, mends what can be mended here, and returns
// what has to be resolved.
func (u *update) keepOrSettle(wants []*Want, again map[*Want]bool) []*Want {
	touched, only := u.touched()
	needed := map[*Want]bool{} // runtimes and toolchains of what is resolved
	for _, w := range wants {
		if again[w] {
			for _, c := range w.candidates() {
				needed[c.runs], needed[c.compiler] = true, true
			}
		}
	}
	var pending []*Want
	for _, w := range wants {
		old := u.Old.Plugins[w.Name][w.Version]
		diffs := w.differences(u.m, old)
		local := !slices.ContainsFunc(diffs, func(d Difference) bool { return !d.local })
		fit := w // the source that was locked
		if old != nil {
			fit = w.lockedAs(u.m, old)
		}
		switch {
		case again[w] || old == nil && needed[w]:
			pending = append(pending, w)
		case only && old == nil:
			u.out.Notes = append(u.out.Notes, w.String()+" is still not locked; run: lockgen update")
		case only && fit.Toolchain != old.Toolchain && touched["go"]:
			pending = append(pending, w) // compiled anew
		case len(diffs) == 0 || only && !(local && touched[fit.runtime]):
			u.put(w.Name, w.Version, old)
		case local:
			v := fit.settle(u.m, old)
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

// drop takes out what nobody asks for; with names, only versions of those.
func (u *update) drop() {
	touched, only := u.touched()
	for _, name := range slices.Sorted(maps.Keys(u.Old.Plugins)) {
		for _, version := range slices.Sorted(maps.Keys(u.Old.Plugins[name])) {
			switch {
			case u.out.Lock.Plugins[name][version] != nil:
			case !only || touched[name]:
				u.out.Dropped = append(u.out.Dropped, name+" "+version)
			default:
				u.put(name, version, u.Old.Plugins[name][version])
			}
		}
	}
}

func (u *update) put(name, version string, v *lock.Version) {
	if u.out.Lock.Plugins[name] == nil {
		u.out.Lock.Plugins[name] = map[string]*lock.Version{}
	}
	u.out.Lock.Plugins[name][version] = v
}

// A failure is why one plugin, or one of its platforms, cannot be locked.
type failure struct {
	w        *Want
	platform string // "" for all
	err      error
	hole     bool // the source has nothing for the platform
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
	several := map[*Want]bool{} // plugins with more than one source
	for _, f := range failures {
		for _, other := range failures {
			if f.w != other.w && f.w.Name == other.w.Name && f.w.Spec == other.w.Spec {
				several[f.w] = true
			}
		}
	}
	// One cause that several platforms share is said once.
	type group struct {
		w         *Want
		platforms []string
		err       error
	}
	var groups []group
	for _, f := range failures {
		if n := len(groups) - 1; n >= 0 && groups[n].w == f.w && groups[n].err.Error() == f.err.Error() {
			groups[n].platforms = append(groups[n].platforms, f.platform)
			continue
		}
		groups = append(groups, group{f.w, []string{f.platform}, f.err})
	}
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
	mendOf := func(g group) string {
		mend := fault.Mend(g.err)
		if mend == "" && fault.Of(g.err) == fault.Upstream {
			mend = "try again later; is it the right registry? see [registries] in " + u.m.Name + ", npm config get registry, pip config list, go env GOPROXY"
		}
		return mend
	}
	if len(groups) == 1 {
		return fault.Errorf(class, mendOf(groups[0]), "%s: %w (nothing was written)", say(groups[0]), groups[0].err)
	}
	names := map[string]bool{}
	var b strings.Builder
	errs := []any{}
	for _, g := range groups {
		names[g.w.Name+"@"+g.w.Spec] = true
		b.WriteString("\n" + say(g) + ": %w")
		errs = append(errs, g.err)
		if mend := mendOf(g); mend != "" {
			b.WriteString("\n  mend: " + strings.ReplaceAll(mend, "%", "%%"))
		}
	}
	mend := "mend each of them, then run lockgen again"
	head := fmt.Sprintf("nothing was written, for %d of %d plugins cannot be locked:", len(names), total)
	err := fault.Errorf(class, mend, head+b.String(), errs...)
	if !slices.ContainsFunc(groups, func(g group) bool { return !several[g.w] }) {
		return fault.About(fault.AboutSources, err)
	}
	return err
}

// resolve locks what has to be locked: what needs no other plugin first, then
// what npm resolves, with the npm of the node that was just locked, and what the
// Go that was just locked compiles.
func (u *update) resolve(ctx context.Context, all, pending []*Want) error {
	if u.Offline {
		var names []string
		for _, w := range pending {
			names = append(names, w.String())
		}
		return fault.About(fault.AboutOffline, fault.Errorf(fault.Upstream, "run it again without --offline", "offline, but not locked yet: %s", strings.Join(names, ", ")))
	}
	u.connect()
	var failures []failure
	waiting := u.contests(pending)
	for len(waiting) > 0 {
		turn, wait := u.turn(waiting)
		failed, err := u.stage(ctx, turn)
		if err != nil {
			return err
		}
		again, lost := u.judge(turn, failed)
		failures = append(failures, lost...)
		waiting = append(wait, again...)
		u.relink(all, pending)
		// Without its runtime the rest has no platforms; name the cause alone.
		for _, f := range lost {
			for _, c := range waiting {
				if w := c.now(); w.runtime == f.w.Name || w.compiled && f.w.Name == "go" {
					return u.fail(len(pending), failures)
				}
			}
		}
	}
	if len(failures) == 0 {
		var err error
		if failures, err = u.fits(ctx, all, pending); err != nil {
			return err
		}
	}
	if len(failures) == 0 && !u.NoSmoke {
		var err error
		if failures, err = u.smoke(ctx, pending); err != nil {
			return err
		}
	}
	if len(failures) > 0 {
		return u.fail(len(pending), failures)
	}
	for _, w := range pending {
		u.out.Changed = append(u.out.Changed, w.String())
	}
	slices.Sort(u.out.Changed)
	u.out.Changed = slices.Compact(u.out.Changed)
	return nil
}

// relink gives plugins the runtimes whose versions are known now, also those
// that were taken over already.
func (u *update) relink(all, pending []*Want) {
	link(all)
	for _, w := range all {
		v := u.out.Lock.Plugins[w.Name][w.Version]
		if v == nil || slices.Contains(pending, w) {
			continue
		}
		w := w.lockedAs(u.m, v)
		if v.Runtime == w.Runtime {
			continue
		}
		if name, version, _ := strings.Cut(w.Runtime, "@"); u.out.Lock.Plugins[name][version] != nil {
			u.put(w.Name, w.Version, w.settle(u.m, v))
			u.out.Changed = append(u.out.Changed, w.String())
		}
	}
}

// attempt is one Want on its way into the lock.
type attempt struct {
	c         *contest
	w         *Want
	source    Source
	platforms []lock.Platform
	res       *Resolution
	refused   []error // by a policy
	err       error
}

// stage resolves some wants, downloads what they need and locks them.
func (u *update) stage(ctx context.Context, turn []*contest) ([]failure, error) {
	wants := make([]*Want, len(turn))
	for i, c := range turn {
		wants[i] = c.now()
	}
	failures, err := u.pickAll(ctx, wants)
	if err != nil || u.final(turn, failures) {
		return failures, err
	}
	var attempts []*attempt
	for i, w := range wants {
		if slices.ContainsFunc(failures, func(f failure) bool { return f.w == w }) {
			continue
		}
		same := func(o *Want) bool { return o.Name == w.Name && o.Version == w.Version }
		if slices.ContainsFunc(wants[:i], same) || u.out.Lock.Plugins[w.Name][w.Version] != nil {
			continue // two entries may mean one version
		}
		source, err := u.source(ctx, w.From.Kind)
		if err != nil {
			return nil, err
		}
		attempts = append(attempts, &attempt{c: turn[i], w: w, source: source, platforms: u.native(w)})
		u.UI.Detail("resolving %s (%s)", w, w.From)
	}
	// What one needs is downloaded while others are still resolved, until there
	// is a failure that no other source puts right: the rest may be 300 MB.
	early := map[string]error{}
	download, stop := context.WithCancel(ctx)
	defer stop()
	var begun sync.WaitGroup
	defer begun.Wait()
	var g errgroup.Group
	g.SetLimit(max(2, runtime.GOMAXPROCS(0))) // each is mostly a client program, which computes
	for _, a := range attempts {
		g.Go(func() error {
			if a.res, a.err = a.source.Resolve(ctx, a.w, a.platforms); a.err == nil {
				a.refused = u.admit(a)
			}
			if a.err != nil || len(a.refused) > 0 {
				if a.c.last() || a.err != nil && !(failure{err: a.err}).lost() {
					stop()
				}
				return nil
			}
			begun.Go(func() {
				u.bringing.Lock()
				defer u.bringing.Unlock()
				if download.Err() != nil {
					return
				}
				errs, err := u.fetch(download, a.res.Artifacts, false)
				if err == nil { // else whatever went wrong may be the interruption
					maps.Copy(early, errs)
				}
			})
			return nil
		})
	}
	_ = g.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var artifacts []*Artifact
	for _, a := range attempts {
		if a.err != nil {
			failures = append(failures, failure{w: a.w, err: a.err})
			continue
		}
		if len(a.refused) > 0 {
			a.err = a.refused[0]
			for _, err := range a.refused {
				failures = append(failures, failure{w: a.w, err: err})
			}
			continue
		}
		artifacts = append(artifacts, a.res.Artifacts...)
		u.out.Notes = append(u.out.Notes, a.res.Notes...)
	}
	if u.final(turn, failures) {
		stop() // mend this first
		return failures, nil
	}
	begun.Wait()
	left := slices.DeleteFunc(slices.Clone(artifacts), func(a *Artifact) bool { return early[a.identity] != nil })
	errs, err := u.fetch(ctx, left, false)
	if err != nil {
		return nil, err
	}
	maps.Copy(errs, early)
	maps.Copy(errs, conflicts(artifacts))
	for _, a := range attempts {
		if a.err != nil {
			continue
		}
		v, failed := u.lockVersion(ctx, a, errs)
		failures = append(failures, failed...)
		if v != nil {
			keepTrees(v, u.Old.Plugins[a.w.Name][a.w.Version])
			u.put(a.w.Name, a.w.Version, v)
		}
	}
	return failures, nil
}

// pickAll gives the ranges among the wants that may move a version.
func (u *update) pickAll(ctx context.Context, wants []*Want) ([]failure, error) {
	errs := make([]error, len(wants))
	var g errgroup.Group
	g.SetLimit(4)
	for i, w := range wants {
		if !u.moves[w] {
			continue
		}
		l, err := u.lister(ctx, w)
		if fault.Of(err) == fault.Usage {
			errs[i] = err
			continue
		}
		if err != nil {
			_ = g.Wait()
			return nil, err
		}
		g.Go(func() error {
			errs[i] = u.pick(ctx, l, w)
			return nil
		})
	}
	_ = g.Wait()
	var failures []failure
	for i, err := range errs {
		if err != nil {
			failures = append(failures, failure{w: wants[i], err: err})
		}
	}
	return failures, ctx.Err()
}

// native lists the platforms for which w may have a tree of its own: those of
// the manifest on which its runtime has one.
func (u *update) native(w *Want) []lock.Platform {
	var list []lock.Platform
	name, version, _ := strings.Cut(w.Runtime, "@")
	runtime := u.out.Lock.Plugins[name][version]
	for _, p := range lock.Platforms {
		if slices.Contains(u.m.Platforms, p.Name) && (runtime == nil || runtime.Platforms[p.Name].Locked()) {
			list = append(list, p)
		}
	}
	return list
}

// lockVersion makes the version of an attempt whose artifacts are read. Errs
// are those of the artifacts, by identity.
// keepTrees takes over from the old lock the trees of what somebody compiled and
// pushed (lockgen mirror --trees), where it is made of the same files.
func keepTrees(v, old *lock.Version) {
	if old == nil {
		return
	}
	for name, cell := range v.Platforms {
		was := old.Platforms[name]
		if cell.Binary == "" || cell.Tree != "" || was.Tree == "" || was.Binary != cell.Binary ||
			mirror.MadeOf(&lock.Entry{Locked: v}, name) != mirror.MadeOf(&lock.Entry{Locked: old}, name) {
			continue
		}
		v.Platforms[name] = was
	}
}

func (u *update) lockVersion(ctx context.Context, a *attempt, errs map[string]error) (*lock.Version, []failure) {
	v := &lock.Version{
		Source: a.w.From.Kind, Include: a.w.Include, Runtime: a.w.Runtime,
		Package: a.w.packageName(), Args: a.w.Args, Main: a.w.Main, Toolchain: a.w.Toolchain,
		Files: map[string]lock.File{}, Platforms: map[string]lock.Cell{},
	}
	var failures []failure
	holes := maps.Clone(a.res.Missing)
	if holes == nil {
		holes = map[string]Missing{}
	}
	use := map[string][]string{}
	for _, p := range a.platforms {
		if _, ok := holes[p.Name]; ok {
			continue
		}
		cell, err := u.cell(ctx, a, p, errs)
		var hole *holeError
		switch {
		case errors.As(err, &hole):
			holes[p.Name] = Missing{hole.reason, fault.Errorf(fault.Usage, "take another version, or write optional = true in the entry", "%w", err)}
			continue
		case (a.w.From.Kind == lock.HTTP || a.w.From.Name == lock.GoToolchain) && errors.Is(err, fs.ErrNotExist):
			holes[p.Name] = Missing{"the server has no file for it", err}
			continue
		case err != nil:
			failures = append(failures, failure{w: a.w, platform: p.Name, err: err})
			continue
		}
		v.Platforms[p.Name] = cell
		for _, artifact := range a.res.Artifacts {
			if slices.Contains(artifact.Platforms, p.Name) {
				use[artifact.Key] = append(use[artifact.Key], p.Name)
			}
		}
	}
	if len(failures) > 0 {
		return nil, failures
	}
	for _, p := range lock.Platforms {
		if v.Platforms[p.Name].Locked() {
			continue
		}
		hole, known := holes[p.Name]
		switch {
		case !slices.Contains(u.m.Platforms, p.Name):
			v.Platforms[p.Name] = otherCell(u.m, v.Platforms, p)
		case slices.Contains(u.m.Platforms, p.Emulates) && v.Platforms[p.Emulates].Locked():
			v.Platforms[p.Name] = lock.Cell{Emulate: p.Emulates}
		default:
			if !known {
				hole.Reason = "its runtime " + a.w.Runtime + " is not available for it"
				hole.Err = fault.Errorf(fault.Usage, "take the platform out of platforms, or write optional = true in the entry", "%s", hole.Reason)
			}
			if !a.w.Optional {
				failures = append(failures, failure{a.w, p.Name, hole.Err, true})
			}
			v.Platforms[p.Name] = lock.Cell{Unavailable: hole.Reason}
		}
	}
	if len(use) == 0 && len(failures) == 0 {
		failures = append(failures, failure{w: a.w, hole: true, err: fault.Errorf(fault.Usage, "take it out of "+u.m.Name, "no platform can have it")})
	}
	if len(failures) > 0 {
		return nil, failures
	}
	for _, artifact := range a.res.Artifacts {
		if len(use[artifact.Key]) == 0 {
			continue
		}
		f := artifact.File
		d := u.contents[artifact.identity].Digest
		f.SHA256, f.Size = d.SHA256, d.Size
		f.Platforms = platformList(use[artifact.Key], v.Platforms)
		v.Files[artifact.Key] = f
		v.Trust = weaker(v.Trust, artifact.trust)
	}
	v.BuildScripts = scriptsAmong(a.res.BuildScripts, v.Files)
	if source, ok := a.source.(finisher); ok {
		contents := map[string]*Content{}
		for _, artifact := range a.res.Artifacts {
			contents[artifact.Key] = u.contents[artifact.identity]
		}
		if err := source.finish(a.w, v, contents); err != nil {
			return nil, []failure{{w: a.w, err: err}}
		}
	}
	if err := v.Validate(); err != nil {
		return nil, []failure{{w: a.w, err: fault.Errorf(fault.Internal, "", "made a lock that is not valid: %w", err)}}
	}
	if err := u.keepsTrust(a.w, v); err != nil {
		return nil, []failure{{w: a.w, err: err}}
	}
	return v, nil
}

// weaker is the weaker of two kinds of evidence, where "" for the first is none
// seen yet.
func weaker(a, b string) string {
	if b == "" {
		b = "registry"
	}
	if a == "" || slices.Index(lock.Trusts, b) < slices.Index(lock.Trusts, a) {
		return b
	}
	return a
}

// cell makes the cell of one platform.
func (u *update) cell(ctx context.Context, a *attempt, p lock.Platform, errs map[string]error) (lock.Cell, error) {
	var files []store.TreeFile
	var artifacts []*Artifact
	contents := map[string]*Content{}
	compiled := false
	for _, artifact := range a.res.Artifacts {
		if !slices.Contains(artifact.Platforms, p.Name) {
			continue
		}
		if err := errs[artifact.identity]; err != nil {
			return lock.Cell{}, err
		}
		c := u.contents[artifact.identity]
		contents[artifact.Key] = c
		artifacts = append(artifacts, artifact)
		compiled = compiled || artifact.compiled
		for _, f := range c.Files {
			for _, root := range artifact.roots() {
				f := f
				f.Path = path.Join(root, f.Path)
				files = append(files, f)
			}
		}
	}
	if source, ok := a.source.(compiler); ok {
		if cell, done, err := source.compile(ctx, a.w, p, artifacts, contents); done || err != nil {
			return cell, err
		}
	}
	if compiled {
		binary, err := a.source.Executable(a.w, p, nil, contents)
		return lock.Cell{Binary: binary}, err
	}
	hash, err := store.TreeHash(files)
	if err != nil {
		return lock.Cell{}, err
	}
	tree := make(Tree, len(files))
	for _, f := range files {
		tree[f.Path] = f
	}
	binary, err := a.source.Executable(a.w, p, tree, contents)
	if err != nil {
		return lock.Cell{}, err
	}
	if a.w.Include != "" && !slices.ContainsFunc(files, func(f store.TreeFile) bool { return strings.HasPrefix(f.Path, a.w.Include+"/") }) {
		return lock.Cell{}, fault.Errorf(fault.Integrity, "correct include of the entry", "there is no folder %s in it; there is %s", a.w.Include, tree.under(a.w.Include))
	}
	return lock.Cell{Binary: binary, Tree: hash}, nil
}
