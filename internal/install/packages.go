package install

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// Packages creates the folder dir, which must not exist, with the trees of several
// runtimes of npm, each as [Installer.Copy] makes it: one node_modules for all. What
// several of them have is there once.
func (i *Installer) Packages(ctx context.Context, entries []*lock.Entry, platform, dir string) error {
	versions := map[string]string{} // by the folder of a package
	for n, e := range entries {
		if !e.Locked.IsRuntime() || !e.Locked.Kind().Folders {
			return fault.Errorf(fault.Usage, "leave out --with", "%s is no runtime of npm", e)
		}
		_, served, err := e.Locked.Cell(platform)
		if err != nil {
			return fmt.Errorf("%s: %w", e, err)
		}
		keys := e.Locked.FilesFor(served)
		for _, key := range keys {
			of := e.Locked.Files[key].Label(key)
			if other := versions[key]; other != "" && other != of {
				return fault.Errorf(fault.Lock, "run: lockgen update", "the runtimes have both %s and %s at %s", other, of, key)
			}
		}
		from := dir
		if n > 0 {
			from = fmt.Sprintf("%s-%d", dir, n)
		}
		if _, err := i.Copy(ctx, e, platform, from); err != nil {
			return err
		}
		for _, key := range keys { // a package is before those that are in its folder
			if versions[key] == "" && n > 0 {
				if err := move(filepath.Join(from, filepath.FromSlash(key)), filepath.Join(dir, filepath.FromSlash(key))); err != nil {
					return err
				}
			}
			versions[key] = e.Locked.Files[key].Label(key)
		}
	}
	return nil
}

// move renames a folder, unless it has gone along with the one around it.
func move(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.Rename(from, to); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_, err := os.Lstat(to)
	return err
}
