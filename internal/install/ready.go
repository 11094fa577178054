package install

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// wantsReady reports whether the ready folder of an npm or pip plugin is looked
// for in a mirror first, one pull instead of one a file: where no package manager
// may run and the files are not all here.
func (i *Installer) wantsReady(e *lock.Entry, platform string) bool {
	return i.NoManagers && i.Ready != nil &&
		slices.ContainsFunc(e.Locked.FilesFor(platform), func(key string) bool {
			return i.Given[key] == "" && !i.here(e, key)
		})
}

// readyOr takes the ready folder of a crate from a mirror, for its tree is locked
// because somebody pushed it; only where that cannot be had it is compiled.
func (i *Installer) readyOr(ctx context.Context, e *lock.Entry, platform, dir string, build func(context.Context, *lock.Entry, string, string) error) error {
	if i.Ready == nil {
		return build(ctx, e, platform, dir)
	}
	rerr := i.ready(ctx, e, platform, dir)
	if rerr == nil || ctx.Err() != nil {
		return rerr
	}
	i.detail("no ready folder: %v", rerr)
	return both(build(ctx, e, platform, dir), rerr)
}

// both is the error of what was not built and not taken from a mirror either.
func both(err, rerr error) error {
	if err == nil {
		return nil
	}
	class := fault.Of(err)
	if fault.Of(rerr) == fault.Integrity {
		class = fault.Integrity
	}
	return fault.Errorf(class, fault.Hint(err), "%w; and a ready folder: %w", err, rerr)
}

// orReady ends the building of an entry that has to be compiled. Where this
// machine could not (err), the ready folder is taken from a mirror.
func (i *Installer) orReady(ctx context.Context, e *lock.Entry, platform, dir string, err error) error {
	if fault.Of(err) != fault.Machine || i.Ready == nil || ctx.Err() != nil {
		return err
	}
	i.detail("%s is not compiled here: %v", e, err)
	if rerr := i.ready(ctx, e, platform, dir); rerr != nil {
		return both(err, rerr)
	}
	return nil
}

// ready takes the ready folder of an entry from a mirror, or leaves the folder
// empty.
func (i *Installer) ready(ctx context.Context, e *lock.Entry, platform, dir string) error {
	if err := empty(dir); err != nil {
		return err
	}
	err := i.Ready(ctx, e, platform, dir)
	if err != nil {
		if cerr := empty(dir); cerr != nil {
			return cerr
		}
		return err
	}
	i.detail("took the ready folder of %s", e)
	return nil
}

// empty removes what is in a folder.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if err == nil {
			err = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	return err
}
