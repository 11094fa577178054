package install

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// wantsReady reports whether to look for the ready folder of an npm or pip
// plugin in a mirror first, in one transfer instead of one for each file: if no
// package manager may run and files are missing.
func (i *Installer) wantsReady(e *lock.Entry, platform string) bool {
	return i.NoManagers && i.Ready != nil &&
		slices.ContainsFunc(e.Locked.FilesFor(platform), func(key string) bool {
			return i.Given[key] == "" && !i.here(e, key)
		})
}

// readyFirst copies the ready folder of an entry from a mirror if it is wanted, see
// wantsReady, or else builds it.
func (i *Installer) readyFirst(ctx context.Context, e *lock.Entry, platform, dir string, build func(context.Context, *lock.Entry, string, string) error) error {
	if i.wantsReady(e, platform) {
		err := i.ready(ctx, e, platform, dir)
		if err == nil || ctx.Err() != nil {
			return err
		}
		i.detail("no ready folder: %v", err) // continue with the files
	}
	return build(ctx, e, platform, dir)
}

// readyOr copies the ready folder of a crate from a mirror, or else compiles
// it. Its tree is locked, so somebody has pushed it.
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

// both returns the error for an entry that was neither built nor found in a
// mirror.
func both(err, rerr error) error {
	if err == nil {
		return nil
	}
	class := fault.Of(err)
	if fault.Of(rerr) == fault.Integrity {
		class = fault.Integrity
	}
	return fault.Errorf(class, fault.Hint(err), "%w; ready folder: %w", err, rerr)
}

// orReady is called after compiling an entry. If this machine could not (err),
// it copies the ready folder from a mirror.
func (i *Installer) orReady(ctx context.Context, e *lock.Entry, platform, dir string, err error) error {
	if fault.Of(err) != fault.Machine || i.Ready == nil || ctx.Err() != nil {
		return err
	}
	i.detail("%s cannot be compiled here: %v", e, err)
	if rerr := i.ready(ctx, e, platform, dir); rerr != nil {
		return both(err, rerr)
	}
	return nil
}

// ready copies the ready folder of an entry from a mirror, or leaves the folder
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
	i.detail("copied the ready folder of %s", e)
	return nil
}

// empty removes the content of a folder.
func empty(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if err == nil {
			err = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	return err
}
