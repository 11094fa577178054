package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"io"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// The decompressors: the standard library for deflate, gzip and bzip2,
// klauspost/compress for zstd, and ulikunitz/xz for the LZMA2 in an xz file.
// Each verifies its checksums. Anybody may have written their input, so this
// file adds what they leave open: how much memory a file may ask for, how many
// parts it may have, and that it ends with its last part.
//
// By each format, several parts in a row (gzip members, zstd frames, xz and
// bzip2 streams) are one content, and parallel compressors rely on that.
// Clients of packages disagree about it, so only [Options.Release] allows it.
// Bytes after the last part, even zeros, are refused, since every reader treats
// them differently.

// maxWindow limits the memory of a zstd decompressor, in bytes. Every decoder
// supports this much (RFC 8878, 3.1.1.1.2); it suffices up to "zstd -19".
const maxWindow = 8 << 20

// A form is one of [Options.Format]: a compressed tar, or a compressed file.
type form struct {
	tar  bool
	open func(u *unpacker, section *io.SectionReader) (io.Reader, error) // returns io.EOF at the end of the file
	kind string
}

// forms has the formats that are compressed as a whole.
var forms = map[string]form{
	"tar.gz":  {true, (*unpacker).gzip, "gzip"},
	"tar.xz":  {true, (*unpacker).xz, "xz"},
	"tar.zst": {true, (*unpacker).zstd, "zstd"},
	"tar.bz2": {true, (*unpacker).bzip2, "bzip2"},
	"gz":      {false, (*unpacker).gzip, "gzip"},
	"xz":      {false, (*unpacker).xz, "xz"},
	"zst":     {false, (*unpacker).zstd, "zstd"},
	"bz2":     {false, (*unpacker).bzip2, "bzip2"},
}

// A closer is a decompressor that must be closed.
type closer interface{ Close() }

var _ closer = (*zstd.Decoder)(nil)

// compressedAs reads a file in the given form.
func (u *unpacker) compressedAs(f form, section *io.SectionReader) error {
	r, err := f.open(u, section)
	if err != nil {
		return err
	}
	if c, ok := r.(closer); ok {
		defer c.Close()
	}
	out := &meter{u, r}
	if !f.tar {
		return u.file(u.o.RawName, true, unknownSize, out)
	}
	if err := u.tar(out); err != nil {
		return err
	}
	// After the tar, both the decompressor, with its checksum, and the file
	// must end.
	return u.zeros(f.kind, out)
}

// reader returns the input of a decompressor. It fails when the context ends,
// even if the decompressor produces no output for a long time.
func (u *unpacker) reader(section *io.SectionReader) *bufio.Reader {
	return bufio.NewReaderSize(WithContext(u.ctx, io.NewSectionReader(section, 0, section.Size())), 64<<10)
}

// begins refuses a file without the magic number of its format.
func begins(section *io.SectionReader, what, magic string) error {
	head := make([]byte, 16)
	n, _ := section.ReadAt(head, 0)
	if !strings.HasPrefix(string(head[:n]), magic) {
		return unsafef("not %s file: %s", what, looksLike(head[:n]))
	}
	return nil
}

// part counts members, frames or streams: n is refused if it is more than one
// in a package, or more than the limit.
func (u *unpacker) part(n int, what, reading string) error {
	switch {
	case n > 1 && !u.o.Release:
		return unsafef("a second %s follows the first, %s; that is not allowed in a package, since clients disagree about it", what, reading)
	case n > u.limits.entries:
		return unsafef("the file has more than %d %ss", u.limits.entries, what)
	}
	return nil
}

// gzip reads a file of gzip members (RFC 1952, 2.2).
func (u *unpacker) gzip(section *io.SectionReader) (io.Reader, error) {
	if err := begins(section, "a gzip", "\x1f\x8b"); err != nil {
		return nil, err
	}
	// With a byte reader, gzip reads nothing after its end.
	g := &members{u: u, in: u.reader(section)}
	return g, g.next()
}

// members are the members of a gzip file.
type members struct {
	u  *unpacker
	in *bufio.Reader
	zr *gzip.Reader
	n  int
}

// next starts a member.
func (g *members) next() (err error) {
	g.n++
	if err := g.u.part(g.n, "gzip member", "as pigz and bgzip write them"); err != nil {
		return err
	}
	// RFC 1952, 2.3.1.2: a decompressor must fail if a reserved bit is set,
	// since an unknown field may follow.
	if head, err := g.in.Peek(4); err == nil && head[3]&0xe0 != 0 {
		return unsafef("gzip header: it has the reserved flags %#02x", head[3]&0xe0)
	}
	if g.zr == nil {
		g.zr, err = gzip.NewReader(g.in)
	} else {
		err = g.zr.Reset(g.in)
	}
	if err != nil {
		return broken("gzip header", err)
	}
	g.zr.Multistream(false)
	return nil
}

func (g *members) Read(p []byte) (int, error) {
	for {
		n, err := g.zr.Read(p)
		if err != io.EOF {
			return n, err
		}
		switch rest, err := g.in.Peek(2); {
		case len(rest) == 0:
			return n, err // io.EOF, or from the disk
		case string(rest) != "\x1f\x8b":
			return n, unsafef("bytes follow the end of the gzip data")
		}
		if err := g.next(); err != nil || n > 0 {
			return n, err
		}
	}
}

// bzip2 reads a file of bzip2 streams. The decompressor joins them and fails if
// anything else follows.
func (u *unpacker) bzip2(section *io.SectionReader) (io.Reader, error) {
	if err := begins(section, "a bzip2", "BZh"); err != nil {
		return nil, err
	}
	return bzip2.NewReader(u.reader(section)), nil
}

// zstd reads a file of zstd frames.
func (u *unpacker) zstd(section *io.SectionReader) (io.Reader, error) {
	if err := u.checkZstd(section); err != nil {
		return nil, err
	}
	zr, err := zstd.NewReader(u.reader(section), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(uint64(max(u.limits.total, maxWindow))))
	if err != nil {
		return nil, broken("zstd header", err)
	}
	return zr, nil
}

// checkZstd walks the blocks of a zstd file (RFC 8878). Frames must need no
// dictionary and have a bounded window, and the last one must end where the
// file ends. Skippable frames (3.1.2) hold no content: parallel compressors
// store sizes there, and container tools an index. The decompressor verifies
// sizes and checksums.
func (u *unpacker) checkZstd(section *io.SectionReader) error {
	in := u.reader(section)
	for n, frames := 1, 0; ; n++ {
		head, err := in.Peek(18)
		switch {
		case len(head) == 0 && err != io.EOF:
			return err
		case len(head) == 0 && frames > 0:
			return nil
		case n > 1 && (len(head) == 0 || !isFrame(head)):
			return unsafef("bytes follow the end of the zstd frame")
		case !isFrame(head):
			return unsafef("not a zstd file: %s", looksLike(head))
		}
		if err := u.part(n, "zstd frame", "as pzstd writes them"); err != nil {
			return err
		}
		if head[0] != 0x28 { // skippable
			if len(head) < 8 {
				return broken("zstd header", io.ErrUnexpectedEOF)
			}
			if err := skip(in, 8+int64(le.Uint32(head[4:]))); err != nil {
				return broken("zstd data", err)
			}
			continue
		}
		frames++
		if err := zstdFrame(in, head); err != nil {
			return err
		}
	}
}

func isFrame(head []byte) bool {
	return bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")) || len(head) >= 4 && le.Uint32(head)&^15 == 0x184d2a50
}

func skip(in *bufio.Reader, n int64) error {
	for n > 0 {
		m, err := in.Discard(int(min(n, 1<<20)))
		if n -= int64(m); err != nil {
			return err
		}
	}
	return nil
}

// zstdFrame walks one frame, which begins with head.
func zstdFrame(in *bufio.Reader, head []byte) error {
	if len(head) < 6 {
		return broken("zstd header", io.ErrUnexpectedEOF)
	}
	flags, rest := head[4], head[5:]
	single := flags&0x20 != 0 // the window is the whole content
	if flags&3 != 0 {
		return unsafef("zstd: it needs a dictionary, but does not say which")
	}
	if flags&8 != 0 {
		return unsafef("zstd: the reserved bit of its header is set")
	}
	next := int64(5)
	var window uint64
	if !single {
		window = 1 << (10 + rest[0]>>3)
		window += window / 8 * uint64(rest[0]&7)
		next++
	}
	sizeField := []int{0, 2, 4, 8}[flags>>6]
	if single && sizeField == 0 {
		sizeField = 1
	}
	if single && len(rest) >= sizeField {
		var field [8]byte
		copy(field[:], rest[:sizeField])
		window = le.Uint64(field[:])
		if sizeField == 2 {
			window += 256
		}
	}
	if window > maxWindow {
		return unsafef("zstd: it asks for a window of %d bytes, more than the %d that every reader supports (RFC 8878): it was probably made with --ultra or --long", window, maxWindow)
	}
	next += int64(sizeField)
	for {
		if err := skip(in, next); err != nil {
			return broken("zstd data", err)
		}
		header, err := in.Peek(3)
		if err != nil {
			return broken("zstd data", err)
		}
		bits := int(header[0]) | int(header[1])<<8 | int(header[2])<<16
		last, kind, size := bits&1 != 0, bits>>1&3, bits>>3
		next = 3 + int64(size)
		switch {
		case kind == 1: // one repeated byte
			next = 4
		case kind == 3:
			return unsafef("zstd: a block of the reserved type")
		}
		if size == 0 && !last {
			return unsafef("zstd: an empty block before the last one")
		}
		if size > 128<<10 {
			return unsafef("zstd: a block of %d bytes, more than 128 KiB", size)
		}
		if last {
			break
		}
	}
	if flags&4 != 0 { // checksum
		next += 4
	}
	if err := skip(in, next); err != nil {
		return broken("zstd data", err)
	}
	return nil
}

// Formats lists every format that [Unpack] knows, sorted.
func Formats() []string {
	list := []string{"raw", "zip"}
	for name := range forms {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
