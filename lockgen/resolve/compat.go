package resolve

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/lockgen/native"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// Plugins can each be locked and run, and still not work together: their
// generated code may not match, or their publishers may require different
// runtimes. There are two sources of such facts: the catalogue, and the
// metadata of packages, which are engines and peerDependencies of package.json
// (`npm help package.json`) and the closures of crates. What the publisher of
// the plugin itself says is a failure. What a dependency says, or what only the
// compiler of the generated code would notice, is a note.

// compatible compares what was just locked with the rest of the lock. The
// failures belong to plugins; the error is an interruption.
func (u *update) compatible(ctx context.Context, all, pending []*plan.Want) ([]failure, error) {
	moved := map[string]bool{} // names of what was just locked
	for _, w := range pending {
		moved[w.Name] = true
	}
	var failures []failure
	seen := map[string]bool{} // two entries may have the same version
	for _, w := range all {
		v := u.out.Lock.Plugins[w.Name][w.Version]
		if v == nil || seen[w.Name+"@"+w.Version] {
			continue
		}
		seen[w.Name+"@"+w.Version] = true
		w := w.LockedAs(u.Manifest, v)
		add := func(err error) {
			if err != nil {
				failures = append(failures, failure{w: w, err: err})
			}
		}
		recipe, _ := catalog.Builtin().Lookup(w.Name)
		told := map[string]bool{}
		for _, f := range recipe.Fits {
			if moved[w.Name] || moved[f.Plugin] {
				err := u.compatibleBeside(w, f)
				add(err)
				told[f.Plugin] = err != nil
			}
		}
		if moved[w.Name] && recipe.Agrees != "" {
			u.agrees(w.Name, recipe.Agrees)
		}
		if !v.Kind().Engines {
			continue
		}
		runtime, _, _ := strings.Cut(v.Runtime, "@")
		if moved[w.Name] || moved[runtime] {
			err := u.compatibleNode(ctx, w, v)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			add(err)
		}
		peers := u.peers(v)
		for _, other := range slices.Sorted(maps.Keys(peers)) {
			if !told[other] && (moved[w.Name] || moved[other]) {
				err := u.compatiblePeer(ctx, w, v, other, peers[other])
				if ctx.Err() != nil {
					return nil, ctx.Err()
				}
				add(err)
			}
		}
	}
	return failures, nil
}

// compatibleBeside checks w and another plugin with the facts of the catalogue.
func (u *update) compatibleBeside(w *plan.Want, f catalog.Fit) error {
	versions := u.out.Lock.Plugins[f.Plugin]
	if len(versions) == 0 {
		u.out.Notes = append(u.out.Notes, fmt.Sprintf("%s needs the code that %s %s generates, but %s does not ask for that plugin", w, f.Plugin, f.Versions, u.Manifest.Name))
		return nil
	}
	for version, v := range versions {
		if r, err := plan.ParseRange(v.Source, f.Versions); err != nil || r.Allows(version) {
			return err
		}
	}
	return fault.About(fault.AboutConflict, fault.Errorf(fault.Usage, f.Hint, "it works only with %s %s, but %s is locked", f.Plugin, f.Versions, listedVersions(versions)))
}

func listedVersions(versions map[string]*lock.Version) string {
	return strings.Join(slices.SortedFunc(maps.Keys(versions), lock.CompareVersions), " and ")
}

// agrees adds a note for plugins whose generated code needs another minor
// version of a crate than that of a given plugin, once per pair.
func (u *update) agrees(plugin, crate string) {
	own := u.minors(plugin, crate)
	if len(own) == 0 {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(u.out.Lock.Plugins)) {
		r, _ := catalog.Builtin().Lookup(name)
		other := u.minors(name, crate)
		if r.Agrees != crate || len(other) == 0 || slices.ContainsFunc(own, func(m string) bool { return slices.Contains(other, m) }) {
			continue
		}
		pair := []string{plugin + " for " + fault.List(own), name + " for " + fault.List(other)}
		slices.Sort(pair)
		note := fmt.Sprintf("%s generate code for different versions of the crate %s, which cannot be compiled together", strings.Join(pair, " and "), crate)
		if !slices.Contains(u.out.Notes, note) {
			u.out.Notes = append(u.out.Notes, note)
		}
	}
}

// minors returns the MAJOR.MINOR of a crate in the closures of a plugin.
func (u *update) minors(plugin, crate string) []string {
	var list []string
	for _, v := range u.out.Lock.Plugins[plugin] {
		for _, f := range v.Files {
			if part := strings.SplitN(f.Version, ".", 3); v.Kind().Compiled && f.Name == crate && len(part) == 3 {
				list = append(list, part[0]+"."+part[1])
			}
		}
	}
	return list
}

// described has the fields of a package.json about other packages.
type described struct {
	Engines struct {
		Node string `json:"node"`
	} `json:"engines"`
	Peers map[string]string `json:"peerDependencies"`
}

// describe reads the package.json of a locked file, from what was just read or
// from the store. known is false if neither has it, or if its form is unknown,
// as in very old packages.
func (u *update) describe(ctx context.Context, key string, f lock.File) (d described, known bool) {
	a, err := native.NPMPackage(key, f)
	if err != nil {
		return d, false
	}
	c := u.files.Content(a)
	if c == nil {
		blob := store.Digest{SHA256: f.SHA256, Size: f.Size}
		if !u.Store.HasBlob(blob) {
			u.UI.Detail("%s: what it asks for is not known, for it is not in the cache", a.Label)
			return d, false
		}
		if c, err = u.files.Stored(ctx, a, blob); err != nil {
			return d, false
		}
	}
	return d, json.Unmarshal(c.Heads["package.json"], &d) == nil
}

// compatibleNode compares the locked node with the versions that the packages
// of a closure require.
func (u *update) compatibleNode(ctx context.Context, w *plan.Want, v *lock.Version) error {
	name, version, _ := strings.Cut(v.Runtime, "@")
	node := threeNumbers().FindString(version)
	if name != "node" || node == "" {
		return nil
	}
	var own error
	for _, key := range slices.Sorted(maps.Keys(v.Files)) {
		f := v.Files[key]
		d, _ := u.describe(ctx, key, f)
		r, err := plan.ParseRange(v.Source, d.Engines.Node)
		if d.Engines.Node == "" || err != nil || r.Allows(node) {
			continue
		}
		if key != w.PackageDir() {
			u.out.Notes = append(u.out.Notes, fmt.Sprintf("%s: npm package %s@%s requires node %s, but node %s is locked", w, f.Name, f.Version, d.Engines.Node, version))
			continue
		}
		hint := "lock a node in that range: lockgen add node@VERSION"
		if r.Allows(plan.NodeHint) {
			hint = "run: lockgen add node@" + plan.NodeHint + ", or use an older version of " + w.Name
		}
		own = fault.About(fault.AboutConflict, fault.Errorf(fault.Usage, hint, "it requires node %s (engines in its package.json), but node %s is locked", d.Engines.Node, version))
	}
	return own
}

var threeNumbers = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+`) })

// peers returns the names of the plugins in the lock, except v itself, by their
// npm package.
func (u *update) peers(v *lock.Version) map[string]string {
	packages := map[string]string{}
	for name, versions := range u.out.Lock.Plugins {
		for _, o := range versions {
			if o.Source == v.Source && o.Package != v.Package {
				packages[name] = o.Package
			}
		}
	}
	return packages
}

// compatiblePeer compares the locked versions of another plugin with what the
// package of w requires.
func (u *update) compatiblePeer(ctx context.Context, w *plan.Want, v *lock.Version, name, pkg string) error {
	key := w.PackageDir()
	d, _ := u.describe(ctx, key, v.Files[key])
	r, err := plan.ParseRange(v.Source, d.Peers[pkg])
	if d.Peers[pkg] == "" || err != nil {
		return nil
	}
	versions := u.out.Lock.Plugins[name]
	for version := range versions {
		if r.Allows(version) {
			return nil
		}
	}
	return fault.About(fault.AboutConflict, fault.Errorf(fault.Usage, fmt.Sprintf("run: lockgen add '%s@%s', or use another version of %s", name, r, w.Name),
		"it works only with %s %s (peerDependencies in its package.json), but %s is locked", name, r, listedVersions(versions)))
}
