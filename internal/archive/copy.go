package archive

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// CopyTree copies the files of folder src into dst, which is created if needed
// and must not have any of them. The copies share blocks where the file system
// supports it (reflink), but never inodes: changing a copy does not change the
// original. Files get mode 0644, or 0755 if they were executable. A symbolic
// link, device or pipe in src is an error of class [fault.Integrity]; errors of
// the disk are of class [fault.Machine]. After an error, dst may have some of
// the files.
//
// The result describes dst: the hashes are of the bytes that were written, even
// if src changes meanwhile.
func CopyTree(ctx context.Context, src, dst string) ([]File, error) {
	files, err := listDir(ctx, src, nil)
	if err != nil {
		return nil, err
	}
	if !KeepsExec {
		if err := readExec(src, files); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return nil, fault.Disk(err, dst, "")
	}
	made := map[string]bool{".": true}
	for _, f := range files {
		if dir := path.Dir(f.Path); !made[dir] {
			made[dir] = true
			if err := os.MkdirAll(filepath.Join(dst, filepath.FromSlash(dir)), 0o755); err != nil {
				return nil, fault.Disk(err, dst, "")
			}
		}
	}
	return files, ForEach(ctx, len(files), func(i int) error { return copyFile(ctx, dst, src, &files[i]) })
}

// copyFile copies one file of a tree and hashes the bytes that it writes.
func copyFile(ctx context.Context, dst, src string, f *File) error {
	name := filepath.FromSlash(f.Path)
	in, err := os.Open(filepath.Join(src, name))
	if err != nil {
		return err
	}
	defer in.Close()
	perm := fs.FileMode(0o644)
	if f.Exec {
		perm = 0o755
	}
	out, err := os.OpenFile(filepath.Join(dst, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return fault.Disk(err, filepath.Dir(dst), "")
	}
	h := sha256.New()
	read, sink := in, io.Writer(h)
	if Reflink(out, in) {
		read = out
	} else {
		sink = io.MultiWriter(out, h)
	}
	buf := hashBuffers.Get().(*[128 << 10]byte)
	f.Size, err = io.CopyBuffer(struct{ io.Writer }{sink}, WithContext(ctx, read), buf[:])
	hashBuffers.Put(buf)
	h.Sum(f.SHA256[:0])
	if err := errors.Join(err, out.Close()); err != nil {
		return fault.Disk(err, filepath.Dir(dst), "")
	}
	return nil
}
