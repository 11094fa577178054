package store

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// keepsExec says whether the file system here has an executable bit. Where it
// has none, Unpack writes the list of executables beside the folder and HashDir
// reads it.
const keepsExec = runtime.GOOS != "windows"

// workers bounds the files that are read or copied at once.
func workers() int { return min(runtime.GOMAXPROCS(0), 8) }

// TreeHash returns the digest of a tree, see the package comment. Paths that
// break the rule of trees, or that fall together, within one archive or across
// several, are an error of class [fault.Integrity]. The order of files does not
// matter and is not changed.
func TreeHash(files []TreeFile) (string, error) {
	all := names{}
	for _, f := range files {
		if err := checkName(f.Path); err != nil {
			return "", unsafeEntry(f.Path, "%w", err)
		}
		if err := all.add(f.Path, false); err != nil {
			return "", unsafeEntry(f.Path, "%w", err)
		}
	}
	return treeDigest(files), nil
}

// treeDigest hashes a list that is known to be sound.
func treeDigest(files []TreeFile) string {
	if !slices.IsSortedFunc(files, byPath) {
		files = slices.SortedFunc(slices.Values(files), byPath)
	}
	h := sha256.New()
	w := bufio.NewWriterSize(h, 32<<10)
	for _, f := range files {
		fmt.Fprintf(w, "%x %s %s\n", f.SHA256, f.flag(), f.Path)
	}
	w.Flush()
	return hex.EncodeToString(h.Sum(nil))
}

func (f TreeFile) flag() string {
	if f.Exec {
		return "x"
	}
	return "-"
}

// HashDir lists the regular files below dir, sorted by path, and hashes them,
// several at once. Ignore, which may be nil, is asked for every path below dir
// and drops a file, or a folder with all it holds. Symbolic links, devices and
// pipes that are not ignored are an error of class [fault.Integrity].
func HashDir(ctx context.Context, dir string, ignore func(path string) bool) ([]TreeFile, error) {
	files, err := listDir(ctx, dir, ignore)
	if err != nil {
		return nil, err
	}
	if !keepsExec {
		if err := readExec(dir, files); err != nil {
			return nil, err
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	n := workers()
	for w := range n {
		g.Go(func() error {
			buf := make([]byte, 128<<10)
			for i := w; i < len(files); i += n {
				if err := hashFile(ctx, dir, &files[i], buf); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return files, nil
}

// listDir fills everything of the files but their hashes.
func listDir(ctx context.Context, dir string, ignore func(path string) bool) ([]TreeFile, error) {
	var files []TreeFile
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if name == dir {
			if !d.IsDir() {
				return fault.Errorf(fault.Integrity, "", "%s is not a folder", dir)
			}
			return nil
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case ignore != nil && ignore(rel):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return fault.Errorf(fault.Integrity, "", "%s: %s is not allowed in a tree", name, kindOf(d.Type()))
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files = append(files, TreeFile{Path: rel, Exec: info.Mode()&0o111 != 0, Size: info.Size()})
		return nil
	})
	slices.SortFunc(files, byPath)
	return files, err
}

func kindOf(t fs.FileMode) string {
	switch {
	case t&fs.ModeSymlink != 0:
		return "a symbolic link"
	case t&fs.ModeNamedPipe != 0:
		return "a pipe"
	case t&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

func hashFile(ctx context.Context, dir string, f *TreeFile, buf []byte) error {
	in, err := os.Open(filepath.Join(dir, filepath.FromSlash(f.Path)))
	if err != nil {
		return err
	}
	defer in.Close()
	h := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, &contextReader{ctx, in}, buf)
	if err != nil {
		return err
	}
	f.Size = n
	h.Sum(f.SHA256[:0])
	return nil
}

// Diff says in a few words in which files got differs from want, "" for none.
func Diff(want, got []TreeFile) string {
	const most = 5
	w := map[string]TreeFile{}
	for _, f := range want {
		w[f.Path] = f
	}
	var facts []string
	for _, g := range got {
		f, ok := w[g.Path]
		delete(w, g.Path)
		switch {
		case !ok:
			facts = append(facts, fmt.Sprintf("%q is too many", g.Path))
		case f.SHA256 != g.SHA256:
			facts = append(facts, fmt.Sprintf("%q has other bytes (sha256 %x, expected %x)", g.Path, g.SHA256, f.SHA256))
		case f.Exec != g.Exec:
			facts = append(facts, fmt.Sprintf("%q has executable bit %s, expected %s", g.Path, g.flag(), f.flag()))
		}
	}
	for p := range w {
		facts = append(facts, fmt.Sprintf("%q is missing", p))
	}
	slices.Sort(facts)
	if len(facts) > most {
		facts = append(facts[:most], fmt.Sprintf("and %d more", len(facts)-most))
	}
	return strings.Join(facts, "; ")
}

// Tree returns the folder of a tree. When it is not in the store, build is
// called, by one process at a time, to make it in the empty folder dir; the
// result must hash to tree or the error is of class [fault.Integrity]. A folder
// that is there is compared with its list by size, mode and time, and hashed
// again where that leaves a doubt; when it was changed it is made anew. The
// error of build is returned as it is. Callers do not write to the folder.
func (s *Store) Tree(ctx context.Context, tree string, build func(ctx context.Context, dir string) error) (string, error) {
	if err := lock.CheckSHA256("tree", tree); err != nil {
		return "", fault.Errorf(fault.Internal, "", "%w", err)
	}
	final := s.path("trees", tree)
	if s.treeGood(ctx, tree) {
		return final, nil
	}
	unlock, err := s.lock(ctx, "tree-"+tree)
	if err != nil {
		if fault.Of(err) == fault.Machine && s.treeHashes(ctx, tree) == nil {
			return final, nil // a read-only cache whose stamp or times were lost
		}
		return "", err
	}
	defer unlock()
	if s.treeGood(ctx, tree) {
		return final, nil
	}
	old, _ := s.stamp(tree) // what should be there, if it is known
	if _, err := os.Lstat(final); err == nil {
		if s.treeHashes(ctx, tree) == nil {
			return final, nil
		}
		if err := ctx.Err(); err != nil {
			return "", err
		}
	}
	if err := s.dropTree(tree); err != nil {
		return "", err
	}
	tmp, err := s.mkdir("tmp", "tree-"+tree)
	if err != nil {
		return "", err
	}
	// The lock makes this name ours; what is in it was left by a crash.
	remove(tmp)
	defer remove(tmp)
	dir := filepath.Join(tmp, "tree")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", s.refused(err)
	}
	if err := build(ctx, dir); err != nil {
		return "", err
	}
	files, err := HashDir(ctx, dir, nil)
	if err != nil {
		return "", err
	}
	got, err := TreeHash(files)
	if err != nil {
		return "", err
	}
	if got != tree {
		var size int64
		for _, f := range files {
			size += f.Size
		}
		err := fmt.Errorf("wrong tree: got %s (%d files, %d bytes), expected %s", got, len(files), size, tree)
		if old != nil {
			err = fmt.Errorf("%w: %s", err, Diff(old, files))
		}
		return "", fault.Errorf(fault.Integrity, mendBytes, "%w", err)
	}
	if _, err := s.mkdir("trees"); err != nil {
		return "", err
	}
	if err := os.Rename(dir, final); err != nil {
		return "", s.refused(err)
	}
	if err := s.writeStamp(tree, files); err != nil {
		return "", err
	}
	return final, nil
}

// dropTree takes a tree out of the store: first its stamp, then its name, then
// its files.
func (s *Store) dropTree(tree string) error {
	if err := os.Remove(s.path("trees", tree+".ok")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		remove(s.path("trees", tree+".ok"))
	}
	final := s.path("trees", tree)
	if _, err := os.Lstat(final); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	tmp, err := s.mkdir("tmp")
	if err != nil {
		return err
	}
	grave, err := os.MkdirTemp(tmp, "damaged-*")
	if err == nil {
		err = os.Rename(final, filepath.Join(grave, tree))
	}
	if err != nil {
		return s.refused(err)
	}
	remove(grave)
	return nil
}

// The stamp of a tree has one line per file, "<sha256> <x or -> <size> <path>",
// sorted by path. Without the sizes it hashes to the name of the tree, so it
// proves itself.

func (s *Store) writeStamp(tree string, files []TreeFile) error {
	tmp, err := s.mkdir("tmp")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(tmp, "stamp-*")
	if err != nil {
		return s.refused(err)
	}
	w := bufio.NewWriter(f)
	for _, t := range files {
		fmt.Fprintf(w, "%x %s %d %s\n", t.SHA256, t.flag(), t.Size, t.Path)
	}
	err = w.Flush()
	if err == nil {
		err = publish(f, s.path("trees", tree+".ok"), 0o444)
	}
	if err != nil {
		f.Close()
		remove(f.Name())
		return s.refused(err)
	}
	return nil
}

// stamp reads the list of a tree and checks that it is the tree's.
func (s *Store) stamp(tree string) ([]TreeFile, error) {
	data, err := os.ReadFile(s.path("trees", tree+".ok"))
	if err != nil {
		return nil, err
	}
	files := make([]TreeFile, 0, bytes.Count(data, []byte("\n")))
	for line := range strings.Lines(string(data)) {
		part := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(part) != 4 {
			return nil, errors.New("malformed stamp")
		}
		f := TreeFile{Path: part[3], Exec: part[1] == "x"}
		sum, err1 := hex.DecodeString(part[0])
		size, err2 := strconv.ParseInt(part[2], 10, 64)
		if err := errors.Join(err1, err2); err != nil || len(sum) != len(f.SHA256) {
			return nil, errors.New("malformed stamp")
		}
		copy(f.SHA256[:], sum)
		f.Size = size
		files = append(files, f)
	}
	if treeDigest(files) != tree {
		return nil, errors.New("the stamp is not that of the tree")
	}
	return files, nil
}

// treeGood compares a tree with its stamp without reading it: every file has
// its size and mode, and neither a file nor a folder changed since the stamp
// was written. Where only times are in doubt it hashes.
func (s *Store) treeGood(ctx context.Context, tree string) bool {
	stamp, err := os.Lstat(s.path("trees", tree+".ok"))
	if err != nil {
		return false
	}
	files, err := s.stamp(tree)
	if err != nil {
		return false
	}
	root := s.path("trees", tree)
	doubt := false
	look := func(rel string) fs.FileInfo {
		info, err := os.Lstat(filepath.Join(root, filepath.FromSlash(rel)))
		if err != nil {
			return nil
		}
		doubt = doubt || info.ModTime().After(stamp.ModTime())
		return info
	}
	seen := map[string]bool{}
	for _, f := range files {
		for dir := path.Dir(f.Path); !seen[dir]; dir = path.Dir(dir) {
			seen[dir] = true
			if info := look(dir); info == nil || !info.IsDir() {
				return false
			}
		}
		info := look(f.Path)
		if info == nil || !info.Mode().IsRegular() || info.Size() != f.Size || keepsExec && (info.Mode()&0o111 != 0) != f.Exec {
			return false
		}
	}
	return !doubt || s.treeHashes(ctx, tree) == nil
}

// treeHashes hashes a tree that is there, and renews its stamp when it is good.
func (s *Store) treeHashes(ctx context.Context, tree string) error {
	dir := s.path("trees", tree)
	files, err := HashDir(ctx, dir, nil)
	if err != nil {
		return err
	}
	if !keepsExec {
		if old, err := s.stamp(tree); err == nil {
			takeExec(files, old)
		}
	}
	got, err := TreeHash(files)
	if err != nil {
		return err
	}
	if got != tree {
		return fmt.Errorf("tree %s is damaged: its digest is %s", tree, got)
	}
	s.writeStamp(tree, files) // saves the next hashing; a read-only cache goes without
	return nil
}

// takeExec gives files the executable bits of the same paths in known.
func takeExec(files, known []TreeFile) {
	exec := map[string]bool{}
	for _, f := range known {
		exec[f.Path] = f.Exec
	}
	for i := range files {
		files[i].Exec = exec[files[i].Path]
	}
}

// noteExec adds the executables among files to the list beside dir, where the
// file system does not keep them.
func noteExec(dir string, files []TreeFile) error {
	if keepsExec {
		return nil
	}
	return appendExec(dir, files)
}

func appendExec(dir string, files []TreeFile) error {
	var b strings.Builder
	for _, f := range files {
		if f.Exec {
			b.WriteString(f.Path + "\n")
		}
	}
	list, err := os.OpenFile(filepath.Clean(dir)+".exec", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = list.WriteString(b.String())
		err = errors.Join(err, list.Close())
	}
	if err != nil {
		return diskError(err, filepath.Dir(dir), "")
	}
	return nil
}

// readExec sets the executable bits from the list beside dir, if there is one.
func readExec(dir string, files []TreeFile) error {
	data, err := os.ReadFile(filepath.Clean(dir) + ".exec")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var known []TreeFile
	for line := range strings.Lines(string(data)) {
		known = append(known, TreeFile{Path: strings.TrimSuffix(line, "\n"), Exec: true})
	}
	takeExec(files, known)
	return nil
}

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
	g, ctx := errgroup.WithContext(ctx)
	n := workers()
	for w := range n {
		g.Go(func() error {
			for i := w; i < len(files); i += n {
				if err := ctx.Err(); err != nil {
					return err
				}
				name := filepath.FromSlash(files[i].Path)
				if err := copyFile(filepath.Join(dst, name), filepath.Join(src, name), files[i].Exec); err != nil {
					return diskError(err, dst, "")
				}
			}
			return nil
		})
	}
	return g.Wait()
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
		return err
	}
	if !reflink(out, in) {
		// On Linux this is copy_file_range: the bytes stay in the kernel.
		_, err = io.Copy(out, in)
	}
	return errors.Join(err, out.Close())
}
