package store

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// CopyTree copies the files of folder src into dst, which is made and must not
// hold any of them. Blocks are shared where the file system can (reflink), never
// inodes: who changes a copy does not change the original. Files get mode 0644,
// or 0755 when they were executable. Symbolic links, devices and pipes in src
// are an error of class [fault.Integrity]; errors of the disk are of class
// [fault.Machine]. After an error dst may hold a part of the files.
func CopyTree(ctx context.Context, src, dst string) error {
	files, err := listDir(ctx, src, nil)
	if err != nil {
		return err
	}
	if !keepsExec {
		if err := readExec(src, files); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return diskError(err, dst, "")
	}
	made := map[string]bool{".": true}
	for _, f := range files {
		if dir := path.Dir(f.Path); !made[dir] {
			made[dir] = true
			if err := os.MkdirAll(filepath.Join(dst, filepath.FromSlash(dir)), 0o755); err != nil {
				return diskError(err, dst, "")
			}
		}
	}
	return each(ctx, len(files), func(i int) error {
		name := filepath.FromSlash(files[i].Path)
		return copyFile(filepath.Join(dst, name), filepath.Join(src, name), files[i].Exec)
	})
}

func copyFile(dst, src string, exec bool) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	perm := fs.FileMode(0o644)
	if exec {
		perm = 0o755
	}
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return diskError(err, filepath.Dir(dst), "")
	}
	if !reflink(out, in) {
		// On Linux this is copy_file_range: the bytes stay in the kernel.
		_, err = io.Copy(out, in)
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return diskError(err, filepath.Dir(dst), "")
	}
	return nil
}
