package resolve

import (
	"context"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/lockgen/compat"
	"github.com/birbparty/buck2-protobuf/lockgen/native"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// compatible compares what was just locked with the rest of the lock. The
// failures belong to plugins; the error is an interruption.
func (u *update) compatible(ctx context.Context, all, pending []*plan.Want) ([]failure, error) {
	c := &compat.Check{Lock: u.out.Lock, Manifest: u.Manifest.Name, Moved: map[string]bool{}, PackageJSON: u.packageJSON}
	for _, w := range pending {
		c.Moved[w.Name] = true
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
		for _, err := range c.Plugin(ctx, w, v) {
			failures = append(failures, failure{w: w, err: err})
		}
	}
	u.out.Notes = append(u.out.Notes, c.Notes...)
	return failures, ctx.Err()
}

// packageJSON returns the package.json of a locked file, from what was just read or from
// the store; nil if neither has it.
func (u *update) packageJSON(ctx context.Context, key string, f lock.File) []byte {
	a, err := native.NPMPackage(key, f)
	if err != nil {
		return nil
	}
	c := u.files.Content(a)
	if c == nil {
		blob := store.Digest{SHA256: f.SHA256, Size: f.Size}
		if !u.Store.HasBlob(blob) {
			u.UI.Detail("%s: what it asks for is not known, for it is not in the cache", a.Label)
			return nil
		}
		if c, err = u.files.Stored(ctx, a, blob); err != nil {
			return nil
		}
	}
	return c.Heads["package.json"]
}
