package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/gzip"

	"github.com/spf13/pflag"

	"github.com/birbparty/buck2-protobuf/internal/cli"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/install"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/mirror"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
	"github.com/birbparty/buck2-protobuf/lockgen/session"
)

var mirrorVerb = &cli.Verb[program]{
	Name: "mirror", Args: "[NAME[@VERSION]…]", Short: "push everything in the lock to a registry or a folder",
	Long: `Pushes every locked file, for all platforms, under its SHA-256. It does not push
what is there already, reads back what it pushed, and never overwrites a tag
that names something else. Then fetch needs no other server for this lock, if
plugins.toml says

  [[mirror]]
  from = "*"
  to = "oci://HOST/REPO"          # or "oci-layout:DIR"

PLACE is a repository of any OCI registry, with docker's credentials, or a
folder in the OCI image layout, which needs no server. Each plugin version gets
a manifest with the tag NAME-VERSION, and each bundle of plugins.toml an index
with the tag bundle-NAME: fetch bundle NAME --from PLACE.

--trees also pushes the finished folders of plugins from npm, pip, cargo and go,
for machines that lack cargo or go or must not run package managers. Crates are
compiled for this machine's platform only, and the digest of the result is
written to the lock, so that everybody gets the same folder. With names or
--bundle, it pushes only those plugins and what runs them.`,
	Example: `lockgen mirror --to oci://registry.example.com/tools/plugins
lockgen mirror --to oci-layout:vendor --platform linux-x86_64 --trees`,
	JSON: true, Run: runMirror,
	Flags: func(f *pflag.FlagSet, p *program) {
		f.StringArrayVar(&p.bundles, "bundle", nil, "only the bundle `NAME`; may be repeated")
		f.StringArrayVar(&p.platforms, "platform", nil, "only what the platform `NAME` needs; may be repeated")
		f.StringVar(&p.to, "to", "", "where to push; `PLACE` is oci://HOST/REPO or oci-layout:DIR")
		f.BoolVar(&p.trees, "trees", false, "also push finished folders")
		f.BoolVar(&p.dryRun, "dry-run", false, "check what exists, print what would be pushed, and push nothing")
	},
}

// runMirror pushes what is locked to a registry or a folder.
func runMirror(ctx context.Context, p *program, args []string) error {
	if p.to == "" {
		return fault.Errorf(fault.Usage, "write: lockgen mirror --to oci://HOST/REPO, or --to oci-layout:DIR", "lockgen mirror needs --to")
	}
	to, err := manifest.ParsePlace(p.to)
	if err != nil {
		return err
	}
	if to.Dir != "" {
		if to.Dir, err = filepath.Abs(to.Dir); err != nil {
			return err
		}
		if err := oci.Layout(to.Dir).Check(); err != nil {
			return err
		}
	}
	m, err := p.readManifest()
	if err != nil {
		return err
	}
	host, known := lock.Host()
	if p.trees && known && !p.dryRun { // may write the lock
		unlock, err := files.Exclusive(ctx, p.ui, p.lock)
		if err != nil {
			return err
		}
		defer unlock()
	}
	l, before, err := p.readLock()
	if err != nil {
		return err
	}
	what, err := mirror.Select(m, l, args, p.bundles, p.platforms)
	if err != nil {
		return err
	}
	o, err := p.options(l)
	if err != nil {
		return err
	}
	transfer := p.ui.Progress("pushing")
	defer transfer.Done()
	b := session.NewFetcher(m, l, o.Settings, transfer)
	defer b.Close()
	place, err := b.Registries().Open(to, "")
	if err != nil {
		return err
	}
	installer := &install.Installer{
		Store: o.Store, Download: b.File, NodeManager: "none", Offline: p.offline, Clients: o.Clients, Detail: p.ui.Detail, Transfer: transfer,
		Ready: func(ctx context.Context, e *lock.Entry, served, dir string) error {
			return b.Tree(ctx, o.Store, e, served, dir)
		},
	}
	installer.Host = host
	compiled := false
	if p.trees && known {
		if compiled, err = p.compile(ctx, installer, what); err != nil {
			return err
		}
	}
	push := &mirror.Pusher{
		Place: place, Store: o.Store, Fetch: b.Add, DryRun: p.dryRun,
		Tree: func(ctx context.Context, e *lock.Entry, platform string) error {
			_, _, err := installer.Tree(ctx, e, platform)
			return err
		},
		Compress: func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriterLevel(w, 5) },
		Transfer: transfer, Note: p.ui.Say,
	}
	if err := push.Push(ctx, what, p.trees); err != nil && p.dryRun {
		return fmt.Errorf("mirroring to %s: %w; nothing was pushed", place, err)
	} else if err != nil {
		return fmt.Errorf("mirroring to %s: %w; what was pushed stays; run it again to continue", place, err)
	}
	transfer.Done()
	if compiled {
		if err := files.Put(p.ui, p.dryRun, files.Write{Name: p.lock, Before: before, After: lock.Print(l)}); err != nil {
			return err
		}
		if !p.dryRun {
			p.ui.Say("wrote %s with the trees of what was compiled here", p.lock)
		}
	}
	return p.tellPushed(place, &push.Done)
}

// compile builds the crates that have no tree in the lock for this machine, and
// adds the trees to their entries, where they become the trees for everybody.
// It reports whether there were any.
func (p *program) compile(ctx context.Context, i *install.Installer, what *mirror.Selection) (compiled bool, err error) {
	host := i.Host.Name
	if !slices.Contains(what.Platforms, host) {
		return false, nil
	}
	for _, e := range what.Entries {
		cell := e.Locked.Platforms[host]
		if !e.Locked.Compiles() || cell.Binary == "" || cell.Tree != "" {
			continue
		}
		dir, _, err := i.Tree(ctx, e, host)
		if err != nil {
			return false, fault.Errorf(fault.Of(err), "install cargo, or leave out --trees; "+fault.Hint(err), "%w", err)
		}
		cell.Tree = filepath.Base(dir) // a folder of the store is named by its digest
		e.Locked.Platforms[host] = cell
		compiled = true
	}
	return compiled, nil
}

func (p *program) tellPushed(place oci.Place, done *mirror.Pushed) error {
	if p.ui.JSON {
		return p.ui.Data(struct {
			To     string `json:"to"`
			DryRun bool   `json:"dry_run,omitempty"` // nothing was pushed
			*mirror.Pushed
		}{place.String(), p.dryRun, done})
	}
	if p.dryRun {
		for _, name := range done.New {
			p.ui.Result("%s", name)
		}
		p.ui.Say("%s has %d and lacks %d (%s); nothing was pushed", place, done.Present, done.Pushed, ui.Size(done.Bytes))
		return nil
	}
	p.ui.Say("%s has everything: %d pushed (%s), %d were there", place, done.Pushed, ui.Size(done.Bytes), done.Present)
	p.ui.Say("to use it, add to plugins.toml: [[mirror]] with from = \"*\" and to = %q", place.String())
	return nil
}
