package resolve

import (
	"context"
	"slices"

	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// A toolchain, or a runtime whose package manager resolves, is used as soon as
// this machine has it: the files for other platforms may be 300 MB.

// offer makes what is for this machine usable before the rest is downloaded.
func (u *update) offer(ctx context.Context, c *job, a *attempt) {
	host, ok := lock.Host()
	if !ok || !slices.ContainsFunc(a.platforms, func(p lock.Platform) bool { return p.Name == host.Name }) {
		return
	}
	v := &lock.Version{Source: a.w.From.Kind, Package: a.w.PackageName(), Files: map[string]lock.File{}, Platforms: map[string]lock.Cell{}}
	own := slices.DeleteFunc(slices.Clone(a.res.Artifacts), func(x *source.Artifact) bool { return !slices.Contains(x.Platforms, host.Name) })
	errs, err := u.files.Fetch(ctx, own, false, true)
	if err != nil {
		return
	}
	cell, err := u.cell(ctx, a, host, errs)
	if err != nil {
		return // the loop over all reports it
	}
	v.Platforms[host.Name] = cell
	for _, x := range own {
		f, d := x.File, u.files.Content(x).Digest
		f.SHA256, f.Size = d.SHA256, d.Size
		v.Files[x.Key] = f
	}
	u.mu.Lock()
	if u.early[c.name] == nil {
		u.early[c.name] = map[string]*lock.Version{}
	}
	u.early[c.name][a.w.Version] = v
	u.mu.Unlock()
	c.usable.Open()
}

// ahead has the source of a job resolve it as soon as that can run, if the job
// has to wait for more.
func (u *update) ahead(ctx context.Context, jobs []*job, c *job) {
	w := c.now()
	by := w.ResolvedBy()
	if by == "" || w.Version == "" || w.Language != "" || w.Finds || u.moves[w] {
		return
	}
	waits := false
	for _, other := range jobs {
		if other == c || other.name != by {
			continue
		}
		if !other.usable.Wait(ctx) {
			return
		}
		waits = waits || !other.done.IsOpen()
	}
	if !waits {
		return
	}
	leave, err := u.clients.Enter(ctx, c.needed)
	if err != nil {
		return
	}
	defer leave()
	from, err := u.Source(ctx, w.From.Kind)
	if err != nil {
		return // as below
	}
	if s, ok := from.(source.Ahead); ok {
		defer u.Shown().Step("resolving %s (%s)", w, w.From)()
		s.Ahead(ui.For(ctx, w.String()), w)
	}
}
