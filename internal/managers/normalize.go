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

// A normalizer turns a folder that a package manager filled into what strict
// unpacking gives. It only undoes known changes of managers: any other
// difference stays, and shows in the tree digest.
type normalizer struct {
	files map[string]archive.File // the expected files, by path below the folder
	// drop reports files that a manager adds; they are removed if not expected.
	drop func(name string) bool
	// again reports files that managers always change; they are always restored
	// from the archive.
	again func(name string) bool
	// repair reports files that some managers leave out or change; they are
	// restored from the archive if missing or of another size.
	repair   func(name string, f archive.File) bool
	archives []string // the installed files
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

// restore writes the named files from an archive.
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
