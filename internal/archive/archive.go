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

// Options say how an archive is read.
type Options struct {
	// Format is one of [Formats]: "zip", a compressed tar such as "tar.gz", or one
	// executable file, compressed such as "gz" or as it is, "raw".
	Format string
	// Release takes what publishers of programs do on purpose, and what those who
	// read packages disagree about: a file that is there twice with equal bytes,
	// links that end at a file of the archive, which become copies of it, and a
	// compressed file of several parts. Not with StripTop, StripPrefix or Prefix.
	Release bool
	// StripTop drops the one top folder that every entry of the archive must
	// then lie in, whatever its name, as npm does.
	StripTop bool
	// StripPrefix drops this folder, in which every entry of the archive must
	// then lie, "" for none: MODULE@vVERSION of a Go module, which has slashes.
	StripPrefix string
	// Prefix is put before every path, "" for none.
	Prefix string
	// RawName is the path of the one file where Format has no more.
	RawName string
	// RawData says that this one file is no executable.
	RawData bool
	// Only names the files that are wanted, by their final path: the others are
	// read as strictly, and left out; nil for all.
	Only func(path string) bool
	// Tap is asked for every file, under its final path, for a writer that
	// gets a copy of its content; nil for none. The content of a link comes when
	// all files were read.
	Tap func(path string) io.Writer
	// Exec names further executables, by their final path: the bins of an npm
	// package. It is asked when every file was read, so it may know what Tap
	// was told. It is not asked for files that are executable anyway.
	Exec func(path string) bool
}

// A File is one file of a tree.
type File struct {
	Path   string // relative, slash-separated
	Exec   bool
	Size   int64 // bytes
	SHA256 [32]byte
}

// limits bound what one archive may cost.
type limits struct {
	entries int   // headers of any kind
	total   int64 // bytes of all files
	// More than ratioFrom bytes must not come from less than 1/ratio of them.
	ratio, ratioFrom int64
}

var defaultLimits = limits{entries: 100_000, total: 4 << 30, ratio: 200, ratioFrom: 64 << 20}

const hintUnsafe = "no key of plugins.toml allows it: do not use this file, and tell its publisher"

// unknownSize is the size of a file that only its end tells.
const unknownSize = -1

// Unpack reads the archive f from its first byte to its last and writes its
// files below dst, which must exist; with dst "" it only reads. It returns the
// files sorted by path. Files get mode 0644 or 0755, less the umask, and folders
// are made where a file needs them. Several calls may share f and dst.
//
// An archive is refused, with an error of class [fault.Integrity] that names
// the entry, when it could write outside dst, is damaged or cut, holds anything
// but files and folders (and with Release links to files), holds names that some
// platform cannot hold or cannot tell apart, is larger than its limits, copies
// included, or when two careful readers might find different files in it. After
// an error dst may hold a part of the files.
// Errors of class [fault.Machine] are those of the disk.
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
	// A section has its own offset, so readings of one file do not meet.
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
	if err == nil && len(u.files) == 0 {
		err = unsafef("the archive holds no file")
	}
	if err == nil {
		err = u.copyLinks(f)
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

// unsafef makes the error of an archive as a whole.
func unsafef(format string, args ...any) error {
	return fault.About(fault.AboutArchives, fault.Errorf(fault.Integrity, hintUnsafe, format, args...))
}

// unsafeEntry makes the error of one entry.
func unsafeEntry(name, format string, args ...any) error {
	return unsafef("unsafe entry %q: %w", clip(name), fmt.Errorf(format, args...))
}

// broken classifies the error of a decompressor or of a second reader.
func broken(what string, err error) error {
	if fault.Of(err) != fault.Internal || errors.Is(err, context.DeadlineExceeded) {
		return err // of the disk, of a limit, of the user
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return unsafef("%s: it is cut short", what)
	}
	return unsafef("%s: %w", what, err)
}

// unpacker is the reading of one archive. The formats feed it with entries;
// every rule on names, sizes and writing is here.
type unpacker struct {
	ctx    context.Context
	o      Options
	limits limits
	dst    string
	root   *os.Root // nil when only scanning

	names      names
	files      []File
	index      map[string]int // in files, by path
	links      []link
	entries    int
	total      int64 // bytes that came out of decompressors
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

// name turns the name of an entry into its path in the tree, "" for what lies
// above it. Of one that is there already the path comes with errTwice.
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
			return "", unsafeEntry(raw, "it lies outside the folder %q", strip)
		}
		name = strings.TrimSuffix(rest, "/")
	}
	if u.o.StripTop {
		top, rest, below := strings.Cut(name, "/")
		if !below && !dir {
			return "", unsafeEntry(raw, "it lies beside the top folder")
		}
		if u.top != "" && top != u.top {
			return "", unsafeEntry(raw, "it lies outside the top folder %q", u.top)
		}
		u.top = top
		if !below {
			return "", nil
		}
		name = rest
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

// dir takes a folder. It is checked and not made: trees have files only.
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
		return unsafeEntry(raw, "with its %d bytes the archive has more than %d", size, u.limits.total)
	}
	wanted := u.o.Only == nil || u.o.Only(name)
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

// copy hashes the bytes of an entry, writes them to a file and a tap, which may
// be nil, and returns how many there were.
func (u *unpacker) copy(raw string, size int64, r io.Reader, f *os.File, tap io.Writer) (n int64, err error) {
	u.sum.Reset()
	for {
		m, err := r.Read(u.buf)
		n += int64(m)
		if n > size && size != unknownSize {
			return n, unsafeEntry(raw, "it has more bytes than the %d of its header", size)
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

// same compares a file with the one that was there before it.
func (u *unpacker) same(raw string, again File) error {
	i, ok := u.index[again.Path]
	switch {
	case !ok:
		return unsafeEntry(raw, "%q is there twice, as a link and as a file: readers take either", again.Path)
	case u.files[i].SHA256 != again.SHA256:
		return unsafeEntry(raw, "%q is there twice, with different bytes: readers take either", again.Path)
	case u.files[i].Exec != again.Exec:
		return unsafeEntry(raw, "%q is there twice, and executable once: readers take either", again.Path)
	}
	return nil
}

// createNew is create for an entry, in the words of errors.
func (u *unpacker) createNew(raw, name string, exec bool) (*os.File, error) {
	f, err := u.create(name, exec)
	if errors.Is(err, fs.ErrExist) {
		return nil, unsafeEntry(raw, "%q exists already", name)
	}
	if err != nil {
		return nil, fault.Disk(err, u.dst, "")
	}
	return f, nil
}

// create makes a new file below dst. Archives list a folder's files in a row,
// so the last folder is kept open: one system call instead of one per part.
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

// meter counts what comes out of a decompressor and ends the reading when it is
// too much, or when the context ends.
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

// spend counts bytes that the archive makes.
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

// raw takes the whole file as one executable.
func (u *unpacker) raw(r *io.SectionReader) error {
	return u.file(u.o.RawName, !u.o.RawData, r.Size(), &meter{u, r})
}

// looksLike names what a file that was no archive may be.
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
