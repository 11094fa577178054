package managers

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"

	"github.com/birbparty/buck2-protobuf/internal/archive"
)

// A normalizer makes a folder that a package manager filled what a strict
// unpacking would have made of it. It undoes only what is known of managers:
// everything else that differs stays so, and the tree shows it.
type normalizer struct {
	files map[string]archive.File // what belongs there, by path below the folder
	// drop names what a manager adds: it goes where it does not belong.
	drop func(name string) bool
	// again names files that managers write in their own way: they are always
	// taken from the archive.
	again func(name string) bool
	// repair names files that some managers leave out or change: they are taken
	// from the archive where they are missing or have another size.
	repair   func(name string, f archive.File) bool
	archives []string // the files that were installed
	format   archive.Options
}

func (t normalizer) run(ctx context.Context, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	take := map[string]bool{}
	for name, f := range t.files {
		if t.again(name) || t.repair(name, f) {
			take[name] = true
		}
	}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		f, belongs := t.files[name]
		switch {
		case d.IsDir() && path.Base(name) == ".bin" && t.drop(name):
			return errors.Join(root.RemoveAll(name), fs.SkipDir)
		case d.IsDir():
			return nil
		case !belongs && t.drop(name):
			return root.Remove(name)
		case !belongs:
			return nil
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		if info.Size() == f.Size && !t.again(name) {
			delete(take, name)
		}
		if info.Mode() == mode(f) {
			return nil
		}
		return root.Chmod(name, mode(f))
	})
	if err != nil || len(take) == 0 {
		return err
	}
	for _, archive := range t.archives {
		if err := t.restore(ctx, root, archive, take); err != nil {
			return err
		}
	}
	return nil
}

// restore writes the named files as an archive has them.
func (t normalizer) restore(ctx context.Context, root *os.Root, file string, take map[string]bool) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	texts := make(map[string]*bytes.Buffer, len(take))
	o := t.format
	o.Tap = func(name string) io.Writer {
		if !take[name] {
			return nil
		}
		texts[name] = &bytes.Buffer{}
		return texts[name]
	}
	if _, err := archive.Unpack(ctx, f, "", o); err != nil {
		return err
	}
	for name, text := range texts {
		err := root.MkdirAll(path.Dir(name), 0o755)
		if err == nil {
			err = root.WriteFile(name, text.Bytes(), mode(t.files[name]))
		}
		if err == nil {
			err = root.Chmod(name, mode(t.files[name]))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func mode(f archive.File) fs.FileMode {
	if f.Exec {
		return 0o755
	}
	return 0o644
}
