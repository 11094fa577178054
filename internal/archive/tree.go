package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// KeepsExec says whether file systems here have an executable bit. If not,
// Unpack writes a list of the executables beside the folder, and HashDir reads
// it.
const KeepsExec = runtime.GOOS != "windows"

// Workers returns how many files to read or copy at once.
func Workers() int { return min(runtime.GOMAXPROCS(0), 8) }

// TreeHash returns the digest of a tree, see the package comment. Paths that
// are not allowed, or that collide, even between several archives, are an error
// of class [fault.Integrity]. The order of files does not matter and is not
// changed.
func TreeHash(files []File) (string, error) {
	all := names{}
	for _, f := range files {
		if err := checkName(f.Path); err != nil {
			return "", unsafeEntry(f.Path, "%w", err)
		}
		if err := all.add(f.Path, false); err != nil {
			return "", unsafeEntry(f.Path, "%w", err)
		}
	}
	return SortedDigest(files), nil
}

// SortedDigest is [TreeHash] for a sorted list that has been checked before.
func SortedDigest(files []File) string {
	if !slices.IsSortedFunc(files, byPath) {
		files = slices.SortedFunc(slices.Values(files), byPath)
	}
	h := sha256.New()
	line := make([]byte, 0, 512) // not by Fprintf: a tree has thousands of files
	for _, f := range files {
		line = hex.AppendEncode(line[:0], f.SHA256[:])
		line = append(append(append(line, ' '), f.Flag()...), ' ')
		line = append(append(line, f.Path...), '\n')
		h.Write(line)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Flag returns how the digest of a tree writes the executable bit: x or -.
func (f File) Flag() string {
	if f.Exec {
		return "x"
	}
	return "-"
}

// HashDir lists and hashes the regular files below dir, several at once, and
// returns them sorted by path. Ignore, which may be nil, reports whether to
// skip a path: a file, or a folder with all its content. Symbolic links,
// devices and pipes that are not skipped are an error of class
// [fault.Integrity].
func HashDir(ctx context.Context, dir string, ignore func(path string) bool) ([]File, error) {
	files, err := listDir(ctx, dir, ignore)
	if err != nil {
		return nil, err
	}
	if !KeepsExec {
		if err := readExec(dir, files); err != nil {
			return nil, err
		}
	}
	err = ForEach(ctx, len(files), func(i int) error { return hashFile(ctx, dir, &files[i]) })
	return files, err
}

// ForEach calls f for 0 to n-1, several at once, until one call fails.
func ForEach(ctx context.Context, n int, f func(i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range min(n, Workers()) {
		g.Go(func() error {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := f(i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// listDir lists the files without their hashes.
func listDir(ctx context.Context, dir string, ignore func(path string) bool) ([]File, error) {
	var files []File
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if name == dir {
			if !d.IsDir() {
				return fault.Errorf(fault.Integrity, "remove it, and run this again", "%s is not a folder", dir)
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
			return fault.Errorf(fault.Integrity, "remove the folder, and run this again; if it comes back, use another version of the plugin", "%s: %s is not allowed in a tree", name, kindOf(d.Type()))
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files = append(files, File{Path: rel, Exec: info.Mode()&0o111 != 0, Size: info.Size()})
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

var hashBuffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

func hashFile(ctx context.Context, dir string, f *File) error {
	in, err := os.Open(filepath.Join(dir, filepath.FromSlash(f.Path)))
	if err != nil {
		return err
	}
	defer in.Close()
	h := sha256.New()
	buf := hashBuffers.Get().(*[128 << 10]byte)
	defer hashBuffers.Put(buf)
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, WithContext(ctx, in), buf[:])
	if err != nil {
		return err
	}
	f.Size = n
	h.Sum(f.SHA256[:0])
	return nil
}

// Diff describes briefly how the files of got differ from want; "" if they do
// not.
func Diff(want, got []File) string {
	const most = 5
	w := map[string]File{}
	for _, f := range want {
		w[f.Path] = f
	}
	var facts []string
	for _, g := range got {
		f, ok := w[g.Path]
		delete(w, g.Path)
		switch {
		case !ok:
			facts = append(facts, fmt.Sprintf("%q is not expected", g.Path))
		case f.SHA256 != g.SHA256:
			facts = append(facts, fmt.Sprintf("%q has other bytes (sha256 %x, expected %x)", g.Path, g.SHA256, f.SHA256))
		case f.Exec != g.Exec:
			facts = append(facts, fmt.Sprintf("%q has executable bit %s, expected %s", g.Path, g.Flag(), f.Flag()))
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

// TakeExec copies the executable bits from the files of the same paths in
// known.
func TakeExec(files, known []File) {
	exec := map[string]bool{}
	for _, f := range known {
		exec[f.Path] = f.Exec
	}
	for i := range files {
		files[i].Exec = exec[files[i].Path]
	}
}

// NoteExec records which of the files in dir are executable, if the file system
// cannot: in a list beside dir, for [HashDir]. [Unpack] calls it. Errors are of
// class [fault.Machine].
func NoteExec(dir string, files []File) error {
	if KeepsExec {
		return nil
	}
	return appendExec(dir, files)
}

func appendExec(dir string, files []File) error {
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
		return fault.Disk(err, filepath.Dir(dir), "")
	}
	return nil
}

// readExec sets the executable bits from the list beside dir, if there is one.
func readExec(dir string, files []File) error {
	data, err := os.ReadFile(filepath.Clean(dir) + ".exec")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var known []File
	for line := range strings.Lines(string(data)) {
		known = append(known, File{Path: strings.TrimSuffix(line, "\n"), Exec: true})
	}
	TakeExec(files, known)
	return nil
}
