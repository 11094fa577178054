package resolve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/mirror"
	"github.com/birbparty/buck2-protobuf/internal/syntax"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// keepTrees copies from the old lock the trees that were compiled and pushed
// (lockgen mirror --trees), if they are made of the same files.
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

// lockVersion makes the version of an attempt, after its artifacts were read.
// errs has the errors of artifacts, by identity.
func (u *update) lockVersion(ctx context.Context, a *attempt, errs map[string]error) (*lock.Version, []failure) {
	n := &newVersion{
		attempt: a, m: u.Manifest, holes: maps.Clone(a.res.Missing), use: map[string][]string{},
		v: &lock.Version{
			Source: a.w.From.Kind, Include: a.w.Include, Runtime: a.w.Runtime,
			Package: a.w.PackageName(), Upstream: a.w.NumberedOtherwise(), Args: a.w.Args, Main: a.w.Main, Toolchain: a.w.Toolchain, Language: a.w.Language, Fits: a.w.Fits,
			Files: map[string]lock.File{}, Platforms: map[string]lock.Cell{},
		},
	}
	if n.holes == nil {
		n.holes = map[string]source.Missing{}
	}
	cells, cellErrs := make([]lock.Cell, len(a.platforms)), make([]error, len(a.platforms))
	var making sync.WaitGroup
	for i, p := range a.platforms {
		if _, ok := n.holes[p.Name]; !ok {
			making.Go(func() { cells[i], cellErrs[i] = u.cell(ctx, a, p, errs) })
		}
	}
	making.Wait()
	for i, p := range a.platforms {
		if _, ok := n.holes[p.Name]; !ok {
			n.add(p, cells[i], cellErrs[i])
		}
	}
	if failures := n.fill(); len(failures) > 0 {
		return nil, failures
	}
	if err := u.attest(ctx, n); err != nil {
		return nil, []failure{{w: a.w, err: err}}
	}
	if err := u.complete(n); err != nil {
		return nil, []failure{{w: a.w, err: err}}
	}
	return n.v, nil
}

// A newVersion is a version that is being locked.
type newVersion struct {
	*attempt
	m        *manifest.Manifest
	v        *lock.Version
	use      map[string][]string       // platforms by the key of a file that they need
	holes    map[string]source.Missing // platforms that cannot have it
	unfits   []failure                 // those for which optional = true is a fix
	failures []failure
}

// add adds the cell of a platform, or the reason why it has none.
func (n *newVersion) add(p lock.Platform, cell lock.Cell, err error) {
	var unsupported *source.UnsupportedError
	var misfit *source.UnfitError
	switch {
	case errors.As(err, &unsupported):
		n.holes[p.Name] = source.Missing{Reason: unsupported.Reason, Err: fault.Errorf(fault.Usage, "use another version, or set optional = true in the entry", "%w", err)}
	case (n.w.OneEach() || n.w.From.Name == lock.GoToolchain) && errors.Is(err, fs.ErrNotExist):
		n.holes[p.Name] = source.Missing{Reason: source.NoFile, Err: err}
	case errors.As(err, &misfit):
		n.unfits = append(n.unfits, failure{w: n.w, platform: p.Name, err: orOptional(err)})
		n.holes[p.Name] = source.Missing{Reason: reasonOf(err), Err: err}
	case err != nil:
		n.failures = append(n.failures, failure{w: n.w, platform: p.Name, err: err})
	default:
		n.v.Platforms[p.Name] = cell
		for _, artifact := range n.res.Artifacts {
			if slices.Contains(artifact.Platforms, p.Name) {
				n.use[artifact.Key] = append(n.use[artifact.Key], p.Name)
			}
		}
	}
}

// fill adds the cells of the other platforms: emulated, or unavailable if that
// is allowed.
func (n *newVersion) fill() []failure {
	if !n.w.Optional || len(n.use) == 0 {
		n.failures = append(n.failures, n.unfits...)
	}
	if len(n.failures) > 0 {
		return n.failures
	}
	for _, f := range n.unfits {
		n.res.Notes = append(n.res.Notes, fmt.Sprintf("%s is optional, and unavailable on %s: %s", n.w, f.platform, n.holes[f.platform].Reason))
	}
	for _, p := range lock.Platforms {
		if !n.v.Platforms[p.Name].Locked() {
			n.v.Platforms[p.Name] = n.other(p)
		}
	}
	if len(n.use) == 0 && len(n.failures) == 0 {
		n.failures = append(n.failures, failure{w: n.w, hole: true, err: fault.Errorf(fault.Usage, "remove it from "+n.m.Name, "it is not available for any platform")})
	}
	return n.failures
}

// other returns the cell of a platform without its own tree.
func (n *newVersion) other(p lock.Platform) lock.Cell {
	emulated := n.w.Overrides[p.Name].Emulate
	switch {
	case emulated != "" && slices.Contains(n.m.Platforms, p.Name) && n.v.Platforms[emulated].Locked():
		return lock.Cell{Emulate: emulated}
	case !slices.Contains(n.m.Platforms, p.Name):
		return plan.UnlistedCell(n.m, n.v.Platforms, p)
	case slices.Contains(n.m.Platforms, p.Emulates) && n.v.Platforms[p.Emulates].Locked():
		return lock.Cell{Emulate: p.Emulates}
	}
	hole, known := n.holes[p.Name]
	switch {
	case known:
	case emulated != "":
		hole.Reason = "it emulates " + emulated + ", which is not available"
		hole.Err = fault.Errorf(fault.Usage, "remove emulate from the entry, or set optional = true in it", "%s", hole.Reason)
	default:
		hole.Reason = "its runtime " + n.w.Runtime + " is not available for it"
		hole.Err = fault.Errorf(fault.Usage, "remove the platform from platforms, or set optional = true in the entry", "%s", hole.Reason)
	}
	if !n.w.Optional {
		n.failures = append(n.failures, n.hole(n.m, p, hole.Err))
	}
	return lock.Cell{Unavailable: hole.Reason}
}

// complete adds the files and the source's facts to a version, and checks it.
func (u *update) complete(n *newVersion) error {
	contents := map[string]*source.Content{}
	for _, artifact := range n.res.Artifacts {
		if len(n.use[artifact.Key]) == 0 { // it may not exist
			continue
		}
		c := u.files.Content(artifact)
		contents[artifact.Key] = c
		f := artifact.File
		f.SHA256, f.Size = c.Digest.SHA256, c.Digest.Size
		f.Platforms = plan.PlatformsKey(n.use[artifact.Key], n.v.Platforms)
		n.v.Files[artifact.Key] = f
		n.v.Trust = weaker(n.v.Trust, artifact.Trust)
	}
	plan.KeepScripts(n.v, n.res.Scripts)
	n.res.Notes = append(n.res.Notes, otherSigners(n.w, u.Old.Plugins[n.w.Name], n.v)...)
	if src, ok := n.source.(source.Finisher); ok {
		if err := src.Finish(n.w, n.v, contents); err != nil {
			return err
		}
	}
	if err := n.v.Validate(); err != nil {
		return fault.Errorf(fault.Internal, "", "made a lock that is not valid: %w", err)
	}
	if err := n.v.CheckRelease(n.w.Version); err != nil {
		return fault.Errorf(fault.Usage, "write {version} in its source where the version stands, or the version that stands there in its entry", "%w", err)
	}
	return u.Rules().KeepsTrust(n.w, n.v)
}

// otherSigners has a note for each package whose signature names another key than all
// those in the locked versions of the plugin.
func otherSigners(w *plan.Want, old map[string]*lock.Version, v *lock.Version) (notes []string) {
	before := map[string][]string{} // by package
	for _, o := range old {
		for _, f := range o.Files {
			if _, _, verified := lock.CutSigner(f.Signer); f.Signer != "" && !verified && !slices.Contains(before[f.Name], f.Signer) { // KeepsTrust compares the others
				before[f.Name] = append(before[f.Name], f.Signer)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(v.Files)) {
		f := v.Files[key]
		was := before[f.Name]
		if slices.Sort(was); len(was) == 0 || slices.Contains(was, f.Signer) {
			continue
		}
		now := "is not signed"
		if f.Signer != "" {
			now = "names the PGP key " + f.Signer + " in its signature"
		}
		notes = append(notes, fmt.Sprintf("%s: %s %s %s, and the locked one named %s: ask its publisher whether that is right", w, f.Name, f.Version, now, strings.Join(was, " and ")))
	}
	return slices.Compact(notes)
}

// weaker returns the weaker of two kinds of evidence; "" for the first means
// none yet.
func weaker(a, b string) string {
	if b == "" {
		b = "registry"
	}
	if a == "" || slices.Index(lock.Trusts, b) < slices.Index(lock.Trusts, a) {
		return b
	}
	return a
}

// orOptional adds what the entry can do about it to the hint of an error.
func orOptional(err error) error {
	hint := "optional = true in the entry makes such a platform unavailable instead"
	if own := fault.Hint(err); own != "" {
		hint = own + "; " + hint
	}
	return fault.Errorf(fault.Of(err), hint, "%w", err)
}

// reasonOf returns an error as a reason in the lock.
func reasonOf(err error) string {
	text := oneLine(err)
	if runes := []rune(text); len(runes) > 200 {
		text = string(runes[:200]) + "…"
	}
	return text
}

// cell makes the cell of one platform.
func (u *update) cell(ctx context.Context, a *attempt, p lock.Platform, errs map[string]error) (lock.Cell, error) {
	if a.w.Proto != nil {
		_, cell, err := u.protosTree(a, errs)
		return cell, err
	}
	var files []archive.File
	var artifacts []*source.Artifact
	contents := map[string]*source.Content{}
	compiled := false
	for _, artifact := range a.res.Artifacts {
		if !slices.Contains(artifact.Platforms, p.Name) {
			continue
		}
		if err := errs[artifact.Identity]; err != nil {
			return lock.Cell{}, err
		}
		c := u.files.Content(artifact)
		contents[artifact.Key] = c
		artifacts = append(artifacts, artifact)
		compiled = compiled || artifact.Compiled
		for _, f := range c.Files {
			for _, root := range artifact.Roots() {
				f := f
				f.Path = path.Join(root, f.Path)
				files = append(files, f)
			}
		}
	}
	if source, ok := a.source.(source.Compiler); ok {
		if cell, done, err := source.Compile(ctx, a.w, p, artifacts, contents); done || err != nil {
			return cell, err
		}
	}
	if compiled {
		binary, err := a.source.Executable(a.w, p, nil, contents)
		if err == nil {
			err = shown(binary)
		}
		return lock.Cell{Binary: binary}, err
	}
	tree := make(source.Tree, len(files))
	for _, f := range files {
		tree[f.Path] = f
	}
	binary, err := a.source.Executable(a.w, p, tree, contents)
	if err == nil {
		err = shown(binary)
	}
	if err != nil {
		return lock.Cell{}, source.Unfit(err)
	}
	executable := (&lock.Version{Source: a.w.From.Kind, Platforms: map[string]lock.Cell{p.Name: {Binary: binary}}}).Executable(p.Name)
	for i := range files {
		files[i].Exec = files[i].Exec || files[i].Path == executable
	}
	hash, err := archive.TreeHash(files)
	if err != nil {
		return lock.Cell{}, source.Unfit(err)
	}
	if a.w.Include != "" && !slices.ContainsFunc(files, func(f archive.File) bool { return strings.HasPrefix(f.Path, a.w.Include+"/") }) {
		return lock.Cell{}, source.Unfit(fault.Errorf(fault.Integrity, "correct include of the entry", "there is no folder %s in it; there is %s", a.w.Include, tree.Under(a.w.Include)))
	}
	return lock.Cell{Binary: binary, Tree: hash}, nil
}

// shown refuses an executable whose path a lock cannot contain; its publisher
// chose the path. Runtimes have none.
func shown(binary string) error {
	if binary == "" {
		return nil
	}
	if err := syntax.CheckShown(binary); err != nil {
		return fault.Errorf(fault.Integrity, "use another version, or another source", "its executable: %w", err)
	}
	return nil
}
