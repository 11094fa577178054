package archive

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// Options control how [Unpack] reads an archive.
type Options struct {
	// Format is one of [Formats]: "zip", a compressed tar such as "tar.gz", a
	// single compressed executable such as "gz", or "raw", an executable as it
	// is.
	Format string
	// Release allows what publishers of programs do on purpose but clients of
	// packages handle differently: a file that appears twice with the same
	// content, links to files of the archive, which become copies, and
	// compressed data in several parts. It does not go with StripTop,
	// StripPrefix or Prefix.
	Release bool
	// StripTop removes the top folder, whatever its name, as npm does. Every
	// entry must be in it.
	StripTop bool
	// StripPrefix is a folder to remove, such as MODULE@vVERSION of a Go
	// module; it may contain slashes. Every entry must be in it. "" for none.
	StripPrefix string
	// Place returns the path in the tree for that of a file or a folder in the
	// archive, "" to leave it out; nil for the same. Of what is left out, only
	// names and sizes are checked.
	Place func(path string) string
	// Prefix is added in front of every path; "" for none.
	Prefix string
	// RawName is the path of the file, for formats that hold only one.
	RawName string
	// RawData says that this file is not executable.
	RawData bool
	// Only reports whether a file is wanted, by its final path. The others are
	// checked as strictly but are not written or returned. nil for all files.
	Only func(path string) bool
	// Tap is called with the final path of every file, and returns a writer
	// that gets a copy of its content, or nil. The content of links comes after
	// all files have been read.
	Tap func(path string) io.Writer
	// Exec reports whether a file that is not marked executable in the archive
	// should be, by its final path: the bins of an npm package. It is called
	// after all files have been read, so it may use what Tap has seen.
	Exec func(path string) bool
}

// A File is one file of a tree.
type File struct {
	Path   string // relative, slash-separated
	Exec   bool
	Size   int64 // bytes
	SHA256 [32]byte
}

// limits bound what one archive may cost us.
type limits struct {
	entries int   // headers of any kind
	total   int64 // bytes of all files
	// Beyond ratioFrom bytes, the output may be at most ratio times the input.
	ratio, ratioFrom int64
}

var defaultLimits = limits{entries: 100_000, total: 4 << 30, ratio: 200, ratioFrom: 64 << 20}

const hintUnsafe = "no key of plugins.toml allows it: do not use this file, and report it to the publisher"

// unknownSize is the size of a file that is only known at its end.
const unknownSize = -1

// Unpack reads the archive f from its first byte to its last and writes its
// files below dst, which must exist. If dst is "", it only reads. It returns
// the files sorted by path. Files get mode 0644 or 0755, less the umask, and
// folders are created as files need them. Several calls may share f and dst.
//
// An archive is refused, with an error of class [fault.Integrity] that names
// the entry, if it could write outside dst, is damaged or cut short, has
// anything but files and folders (and, with Release, links to files), has names
// that some platform cannot store or cannot tell apart, exceeds the limits,
// copies included, or if two careful readers might find different files in it.
// Errors of class [fault.Machine] are from the disk. After an error, dst may
// have some of the files.
func Unpack(ctx context.Context, f *os.File, dst string, o Options) ([]File, error) {
	return unpack(ctx, f, dst, o, defaultLimits)
}

func unpack(ctx context.Context, f *os.File, dst string, o Options, l limits) (_ []File, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	u := &unpacker{
		ctx: ctx, o: o, limits: l, dst: dst,
		compressed: info.Size(),
		names:      names{},
		index:      map[string]int{},
		sum:        sha256.New(),
		buf:        make([]byte, 128<<10),
	}
	if dst != "" {
		if u.root, err = os.OpenRoot(dst); err != nil {
			return nil, fault.Disk(err, dst, "")
		}
		defer u.root.Close()
		defer u.closeFolder()
	}
	// Each section has its own offset, so several calls can read one file.
	r := io.NewSectionReader(f, 0, info.Size())
	switch form, ok := forms[o.Format]; {
	case ok:
		err = u.compressedAs(form, r)
	case o.Format == "zip":
		err = u.zip(r)
	case o.Format == "raw":
		err = u.raw(r)
	default:
		return nil, fault.Errorf(fault.Internal, "", "unknown archive format %q", o.Format)
	}
	if err == nil {
		err = u.copyLinks(f) // first: a link that leads nowhere is why there are no files
	}
	if err == nil && len(u.files) == 0 {
		err = unsafef("the archive has no files")
	}
	if err == nil {
		err = u.markExec()
	}
	if err != nil {
		return nil, err
	}
	slices.SortFunc(u.files, byPath)
	return u.files, nil
}

func byPath(a, b File) int { return cmp.Compare(a.Path, b.Path) }

// unsafef returns an error about an archive as a whole.
func unsafef(format string, args ...any) error {
	return fault.About(fault.AboutArchives, fault.Errorf(fault.Integrity, hintUnsafe, format, args...))
}

// unsafeEntry returns an error about one entry.
func unsafeEntry(name, format string, args ...any) error {
	return unsafef("unsafe entry %q: %w", clip(name), fmt.Errorf(format, args...))
}

// broken classifies an error of a decompressor or of the second reader.
func broken(what string, err error) error {
	if fault.Of(err) != fault.Internal || errors.Is(err, context.DeadlineExceeded) {
		return err // from the disk, a limit or the user
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return unsafef("%s: it is cut short", what)
	}
	return unsafef("%s: %w", what, err)
}

// An unpacker reads one archive. The formats pass it their entries; every rule
// about names, sizes and writing is here.
type unpacker struct {
	ctx    context.Context
	o      Options
	limits limits
	dst    string
	root   *os.Root // nil if nothing is written

	names      names
	files      []File
	index      map[string]int // in files, by path
	links      []link
	entries    int
	total      int64 // bytes from decompressors
	compressed int64 // bytes of the archive
	top        string

	folder     *os.Root // of the last file written, at folderPath
	folderPath string

	sum hash.Hash
	buf []byte
}

// count is called for every header of the archive.
func (u *unpacker) count() error {
	if u.entries++; u.entries > u.limits.entries {
		return unsafef("the archive has more than %d entries", u.limits.entries)
	}
	return u.ctx.Err()
}

// name returns the path in the tree of an entry, or "" for a folder above the
// tree. If the path was taken before, it is returned with errTwice.
func (u *unpacker) name(raw string, dir bool) (string, error) {
	name := strings.TrimPrefix(raw, "./")
	if dir {
		name = strings.TrimSuffix(name, "/")
		if name == "" || name == "." {
			return "", nil
		}
	}
	if err := checkName(name); err != nil {
		return "", unsafeEntry(raw, "%w", err)
	}
	if strip := u.o.StripPrefix; strip != "" {
		rest, ok := strings.CutPrefix(name+"/", strip+"/")
		switch {
		case dir && (rest == "" || !ok && strings.HasPrefix(strip, name+"/")):
			return "", nil
		case !ok || rest == "":
			return "", unsafeEntry(raw, "it is outside the folder %q", strip)
		}
		name = strings.TrimSuffix(rest, "/")
	}
	if u.o.StripTop {
		top, rest, below := strings.Cut(name, "/")
		if !below && !dir {
			return "", unsafeEntry(raw, "it is beside the top folder, not in it")
		}
		if u.top != "" && top != u.top {
			return "", unsafeEntry(raw, "it is outside the top folder %q", u.top)
		}
		u.top = top
		if !below {
			return "", nil
		}
		name = rest
	}
	if u.o.Place != nil {
		if name = u.o.Place(name); name == "" {
			return "", nil
		}
	}
	if u.o.Prefix != "" {
		name = u.o.Prefix + "/" + name
		if err := checkName(name); err != nil {
			return "", unsafeEntry(raw, "%w", err)
		}
	}
	if err := u.names.add(name, dir); err != nil {
		return name, unsafeEntry(raw, "%w", err)
	}
	return name, nil
}

// dir takes a folder. It only checks the name: a tree has files only.
func (u *unpacker) dir(raw string) error {
	_, err := u.name(raw, true)
	return err
}

// file takes a file of exactly size bytes, or of unknownSize.
func (u *unpacker) file(raw string, exec bool, size int64, r io.Reader) error {
	name, err := u.name(raw, false)
	twice := u.o.Release && errors.Is(err, errTwice)
	if err != nil && !twice {
		return err
	}
	if size != unknownSize && (size < 0 || size > u.limits.total-u.total) {
		return unsafeEntry(raw, "its %d bytes would exceed the limit of %d bytes for an archive", size, u.limits.total)
	}
	wanted := name != "" && (u.o.Only == nil || u.o.Only(name))
	var f *os.File
	if u.root != nil && !twice && wanted {
		if f, err = u.createNew(raw, name, exec); err != nil {
			return err
		}
		defer f.Close()
	}
	var tap io.Writer
	if u.o.Tap != nil && !twice && wanted {
		tap = u.o.Tap(name)
	}
	n, err := u.copy(raw, size, r, f, tap)
	if err != nil {
		return err
	}
	if f != nil {
		if err := f.Close(); err != nil {
			return fault.Disk(err, u.dst, "")
		}
	}
	tf := File{Path: name, Exec: exec, Size: n}
	u.sum.Sum(tf.SHA256[:0])
	if !wanted {
		return nil
	}
	if twice {
		return u.same(raw, tf)
	}
	u.index[name] = len(u.files)
	u.files = append(u.files, tf)
	return nil
}

// copy hashes the bytes of an entry, writes them to f and tap, each of which
// may be nil, and returns how many there were.
func (u *unpacker) copy(raw string, size int64, r io.Reader, f *os.File, tap io.Writer) (n int64, err error) {
	u.sum.Reset()
	for {
		m, err := r.Read(u.buf)
		n += int64(m)
		if n > size && size != unknownSize {
			return n, unsafeEntry(raw, "it has more than the %d bytes that its header says", size)
		}
		u.sum.Write(u.buf[:m])
		if f != nil && m > 0 {
			if _, err := f.Write(u.buf[:m]); err != nil {
				return n, fault.Disk(err, u.dst, "")
			}
		}
		if tap != nil && m > 0 {
			if _, err := tap.Write(u.buf[:m]); err != nil {
				return n, err
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return n, broken(fmt.Sprintf("entry %q", raw), err)
		}
	}
	if n != size && size != unknownSize {
		return n, unsafeEntry(raw, "it has %d bytes, its header says %d", n, size)
	}
	return n, nil
}

// same compares a file with the earlier one of the same path.
func (u *unpacker) same(raw string, again File) error {
	i, ok := u.index[again.Path]
	switch {
	case !ok:
		return unsafeEntry(raw, "%q appears twice, as a link and as a file: readers disagree on which one counts", again.Path)
	case u.files[i].SHA256 != again.SHA256:
		return unsafeEntry(raw, "%q appears twice, with different content: readers disagree on which one counts", again.Path)
	case u.files[i].Exec != again.Exec:
		return unsafeEntry(raw, "%q appears twice, but is executable only once: readers disagree on which one counts", again.Path)
	}
	return nil
}

// createNew calls create for an entry and classifies its error.
func (u *unpacker) createNew(raw, name string, exec bool) (*os.File, error) {
	f, err := u.create(name, exec)
	if errors.Is(err, fs.ErrExist) {
		return nil, unsafeEntry(raw, "%q already exists", name)
	}
	if err != nil {
		return nil, fault.Disk(err, u.dst, "")
	}
	return f, nil
}

// create makes a new file below dst. Archives list the files of a folder
// together, so the last folder stays open: one system call instead of one for
// each part of the path.
func (u *unpacker) create(name string, exec bool) (*os.File, error) {
	dir, base := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	if u.folder == nil || dir != u.folderPath {
		u.closeFolder()
		if dir == "" {
			dir = "."
		} else if err := u.root.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		folder, err := u.root.OpenRoot(dir)
		if err != nil {
			return nil, err
		}
		u.folder, u.folderPath = folder, strings.TrimSuffix(dir, ".")
	}
	perm := fs.FileMode(0o644)
	if exec {
		perm = 0o755
	}
	return u.folder.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
}

func (u *unpacker) closeFolder() {
	if u.folder != nil {
		u.folder.Close()
		u.folder = nil
	}
}

// markExec applies Options.Exec.
func (u *unpacker) markExec() error {
	for i := range u.files {
		f := &u.files[i]
		if f.Exec || u.o.Exec == nil || !u.o.Exec(f.Path) {
			continue
		}
		f.Exec = true
		if u.root != nil {
			if err := u.root.Chmod(f.Path, 0o755); err != nil {
				return fault.Disk(err, u.dst, "")
			}
		}
	}
	if u.root != nil {
		return NoteExec(u.dst, u.files)
	}
	return nil
}

// A meter counts the output of a decompressor. Reading fails when it exceeds a
// limit or the context ends.
type meter struct {
	u *unpacker
	r io.Reader
}

func (m *meter) Read(p []byte) (int, error) {
	u := m.u
	if err := u.ctx.Err(); err != nil {
		return 0, fmt.Errorf("unpacking: %w", err)
	}
	n, err := m.r.Read(p)
	if err := u.spend(int64(n)); err != nil {
		return 0, err
	}
	return n, err
}

// spend counts bytes of output and enforces the limits.
func (u *unpacker) spend(n int64) error {
	u.total += n
	switch {
	case u.total > u.limits.total:
		return unsafef("the archive unpacks to more than %d bytes", u.limits.total)
	case u.total > u.limits.ratioFrom && u.total/u.limits.ratio > u.compressed:
		return unsafef("the archive unpacks to more than %d times its size", u.limits.ratio)
	}
	return nil
}

// raw takes the whole file as one file of the tree.
func (u *unpacker) raw(r *io.SectionReader) error {
	return u.file(u.o.RawName, !u.o.RawData, r.Size(), &meter{u, r})
}

// looksLike says what a file with an unexpected beginning may be.
func looksLike(head []byte) string {
	for _, k := range []struct{ magic, name string }{
		{"\x1f\x8b", "gzip"}, {"PK\x03\x04", "a zip"}, {"\xfd7zXZ\x00", "xz"}, {"\x28\xb5\x2f\xfd", "zstd"},
		{"BZh", "bzip2"}, {"\x7fELF", "a Linux executable"}, {"MZ", "a Windows executable"},
		{"\xcf\xfa\xed\xfe", "a macOS executable"}, {"<", "HTML or XML"}, {"{", "JSON"},
	} {
		if strings.HasPrefix(string(head), k.magic) {
			return "it looks like " + k.name
		}
	}
	return "its beginning is unknown"
}
