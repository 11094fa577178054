package kind

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/glob"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// Protos returns the files of a proto package, with their import paths, given those
// of its archive. None is executable, whatever the archive says.
func Protos(root string, only []string, files []archive.File) (protos []archive.File) {
	for _, f := range files {
		if to := pathInProtos(root, only, f.Path); to != "" {
			f.Path, f.Exec = to, false
			protos = append(protos, f)
		}
	}
	return protos
}

// unpackProtos is [Unpack] for a proto package. It unpacks the whole archive, since a
// wanted file may be a link to another one, and keeps only the wanted files.
func unpackProtos(ctx context.Context, f *os.File, dir string, v *lock.Version, key string) ([]archive.File, error) {
	k, a, whole := Of(v.Source), Artifact{Key: key, File: v.Files[key]}, ""
	if dir != "" {
		var err error
		if whole, err = os.MkdirTemp(dir, ".archive-"); err != nil {
			return nil, fault.Disk(err, dir, "")
		}
		defer os.RemoveAll(whole)
	}
	c, err := k.Read(ctx, f, whole, "", a)
	if err == nil {
		err = k.Check(a, c)
	}
	if err != nil {
		return nil, err
	}
	if whole != "" {
		for _, file := range c.Files {
			to := pathInProtos(v.Root, v.Only, file.Path)
			if to == "" {
				continue
			}
			from, to := filepath.Join(whole, filepath.FromSlash(file.Path)), filepath.Join(dir, filepath.FromSlash(to))
			if err := move(from, to); err != nil {
				return nil, fault.Disk(err, dir, "")
			}
		}
		if err := os.RemoveAll(whole); err != nil {
			return nil, fault.Disk(err, dir, "")
		}
	}
	files := Protos(v.Root, v.Only, c.Files)
	return files, checkFolders(v, files)
}

// checkFolders compares the files of a proto package with the folders in the lock,
// which is all that Buck2 knows of them.
func checkFolders(v *lock.Version, files []archive.File) error {
	n := 0
	for _, f := range v.Folders {
		n += len(f.Files)
	}
	for _, f := range files {
		if _, ok := slices.BinarySearch(v.Folders[path.Dir(f.Path)].Files, path.Base(f.Path)); !ok {
			return fault.Errorf(fault.Lock, "run: lockgen update", "the lock's folders do not list %s", f.Path)
		}
	}
	if n != len(files) {
		return fault.Errorf(fault.Lock, "run: lockgen update", "the lock's folders list %d files, but the package has %d", n, len(files))
	}
	return nil
}

// move moves a file to its place, not executable, and creates the folders above.
func move(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := os.Chmod(from, 0o644); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// pathInProtos returns the import path of a file in the archive of a proto
// package, or "" if the file is not in the package: because it is not a .proto
// file, not below root, or excluded by only. See [syntax.CheckOnly].
func pathInProtos(root string, only []string, file string) string {
	if root != "" {
		below, ok := strings.CutPrefix(file, root+"/")
		if !ok {
			return ""
		}
		file = below
	}
	if path.Ext(file) != ".proto" {
		return ""
	}
	in := !slices.ContainsFunc(only, func(p string) bool { return p[0] != '!' }) // without positive patterns, all files are in
	for _, pattern := range only {
		if not, out := strings.CutPrefix(pattern, "!"); out {
			in = in && !glob.Match(not, file)
		} else {
			in = in || glob.Match(pattern, file)
		}
	}
	if !in {
		return ""
	}
	return file
}
