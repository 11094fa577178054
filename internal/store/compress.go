package store

import (
	"bufio"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/ulikunitz/xz"
)

// xz and zstd files are read twice: this file walks their frames by the letter
// of the formats, so that there is one frame that ends where the file ends and
// that asks for a bounded memory; then the libraries decompress it, and check
// its checksums.

const (
	// maxDictionary bounds what an xz decompressor holds in memory, in bytes:
	// what "xz -9" asks for.
	maxDictionary = 64 << 20
	// maxWindow is the same for zstd: what every decoder has (RFC 8878,
	// 3.1.1.1.2), up to "zstd -19".
	maxWindow = 8 << 20
	// maxXZIndex bounds the index of an xz file in bytes. A block has some
	// five bytes in it, and holds 24 MB or more in files of the xz tool.
	maxXZIndex = 1 << 20
)

func (u *unpacker) tarXZ(section *io.SectionReader) error {
	if err := checkXZ(section); err != nil {
		return err
	}
	// With the smallest capacity the block headers decide, which checkXZ read.
	zr, err := xz.ReaderConfig{DictCap: 1 << 12, SingleStream: true}.NewReader(bufio.NewReaderSize(section, 64<<10))
	if err != nil {
		return broken("xz header", err)
	}
	return u.tarIn("xz", zr)
}

func (u *unpacker) tarZstd(section *io.SectionReader) error {
	if err := checkZstd(section); err != nil {
		return err
	}
	zr, err := zstdReader(section)
	if err != nil {
		return broken("zstd header", err)
	}
	return u.tarIn("zstd", zr)
}

// zstdReader decompresses with the decoder of the standard library, which it
// shows only as that of compressed sections of ELF files (generic ABI, chapter
// 4): so the file becomes the one section of an ELF file. The libraries that
// there are cost every start of fetch more than the rest of this package does.
func zstdReader(section *io.SectionReader) (io.Reader, error) {
	const headerSize, sectionSize, chdrSize = 64, 64, 24
	const names = headerSize + 2*sectionSize // one NUL, the name of both sections, and seven more
	const data = names + 8
	var b bytes.Buffer
	for _, part := range []any{
		elf.Header64{
			Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
			Type:  uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
			Shoff: headerSize, Ehsize: headerSize, Shentsize: sectionSize, Shnum: 2,
		},
		elf.Section64{Type: uint32(elf.SHT_STRTAB), Off: names, Size: 1},
		elf.Section64{Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_COMPRESSED), Off: data, Size: uint64(chdrSize + section.Size())},
		[data - names]byte{},
		elf.Chdr64{Type: uint32(elf.COMPRESS_ZSTD), Addralign: 1},
	} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			return nil, err
		}
	}
	f, err := elf.NewFile(&prefixed{b.Bytes(), section})
	if err != nil {
		return nil, err
	}
	return f.Sections[1].Open(), nil
}

// prefixed is a file with some bytes before it.
type prefixed struct {
	prefix []byte
	r      io.ReaderAt
}

// ReadAt is io.ReaderAt's.
func (p *prefixed) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	if off < int64(len(p.prefix)) {
		if n = copy(b, p.prefix[off:]); n == len(b) {
			return n, nil
		}
		off = int64(len(p.prefix))
	}
	m, err := p.r.ReadAt(b[n:], off-int64(len(p.prefix)))
	return n + m, err
}

// tarIn reads a tar that comes out of a decompressor, and this one to its end,
// where it checks what it came from.
func (u *unpacker) tarIn(kind string, r io.Reader) error {
	out := &meter{u, r}
	if err := u.tar(out); err != nil {
		return err
	}
	return u.zeros(kind, out)
}

// checkXZ walks the index and the block headers of an xz file (The .xz File
// Format, version 1.2.1): one stream without padding, whose blocks lie where
// the index says, use LZMA2 alone, and ask for bounded dictionaries. The
// checksums and the sizes are left to the decompressor.
func checkXZ(section *io.SectionReader) error {
	const headerSize, footerSize = 12, 12
	head := make([]byte, 16)
	n, _ := section.ReadAt(head, 0)
	if !bytes.HasPrefix(head[:n], []byte("\xfd7zXZ\x00")) {
		return unsafef("not an xz file: %s", looksLike(head[:n]))
	}
	size := section.Size()
	footer := make([]byte, footerSize)
	if size < headerSize+footerSize+8 || size%4 != 0 {
		return unsafef("xz: it is cut short, or bytes follow its end")
	}
	if _, err := section.ReadAt(footer, size-footerSize); err != nil {
		return broken("xz footer", err)
	}
	if string(footer[10:]) != "YZ" || binary.LittleEndian.Uint32(footer) != crc32.ChecksumIEEE(footer[4:10]) {
		return unsafef("xz: it is cut short, or bytes follow its end")
	}
	indexSize := (int64(binary.LittleEndian.Uint32(footer[4:])) + 1) * 4
	if indexSize > maxXZIndex || indexSize > size-headerSize-footerSize {
		return unsafef("xz: its index has %d bytes, more than the file or %d", indexSize, maxXZIndex)
	}
	index := make([]byte, indexSize)
	if _, err := section.ReadAt(index, size-footerSize-indexSize); err != nil {
		return broken("xz index", err)
	}
	body := index[:indexSize-4]
	if body[0] != 0 || binary.LittleEndian.Uint32(index[indexSize-4:]) != crc32.ChecksumIEEE(body) {
		return unsafef("xz: its index is damaged")
	}
	body = body[1:]
	count, ok := xzNumber(&body)
	if !ok || count > uint64(indexSize) {
		return unsafef("xz: its index is damaged")
	}
	at, total, memory := int64(headerSize), int64(0), int64(0)
	end := size - footerSize - indexSize
	for range count {
		unpadded, ok1 := xzNumber(&body)
		content, ok2 := xzNumber(&body)
		if !ok1 || !ok2 || unpadded == 0 || unpadded > uint64(end-at) || content > 1<<40 {
			return unsafef("xz: its index does not fit its blocks")
		}
		dict, err := xzDictionary(section, at)
		if err != nil {
			return err
		}
		at += (int64(unpadded) + 3) &^ 3
		total += int64(content)
		// Each block gets a dictionary of its own. Many blocks with little
		// in them would keep us busy with memory.
		if memory += dict; memory > maxDictionary+total {
			return unsafef("xz: its blocks ask for more memory than they have bytes")
		}
	}
	if at != end {
		return unsafef("xz: its blocks end at byte %d and its index begins at %d: two streams, or bytes between them", at, end)
	}
	if len(bytes.Trim(body, "\x00")) > 0 || len(body) > 3 {
		return unsafef("xz: its index is damaged")
	}
	return nil
}

// xzNumber takes a variable-length integer: seven bits a byte, least first, at
// most nine bytes, in its shortest form.
func xzNumber(b *[]byte) (uint64, bool) {
	n, used := binary.Uvarint(*b)
	if used <= 0 || used > 9 || used > 1 && (*b)[used-1] == 0 {
		return 0, false
	}
	*b = (*b)[used:]
	return n, true
}

// xzDictionary reads a block header and returns the size of its dictionary.
func xzDictionary(section *io.SectionReader, at int64) (int64, error) {
	damaged := func() (int64, error) { return 0, unsafef("xz: the header of the block at byte %d is damaged", at) }
	var length [1]byte
	if _, err := section.ReadAt(length[:], at); err != nil || length[0] == 0 {
		return damaged()
	}
	header := make([]byte, (int(length[0])+1)*4)
	if _, err := section.ReadAt(header, at); err != nil {
		return damaged()
	}
	sum := len(header) - 4
	if binary.LittleEndian.Uint32(header[sum:]) != crc32.ChecksumIEEE(header[:sum]) {
		return damaged()
	}
	flags, b := header[1], header[2:sum]
	for _, present := range []byte{0x40, 0x80} { // compressed size, uncompressed size
		if flags&present != 0 {
			if _, ok := xzNumber(&b); !ok {
				return damaged()
			}
		}
	}
	if flags&0x3c != 0 {
		return damaged()
	}
	id, ok := xzNumber(&b)
	if flags&3 != 0 || !ok || id != 0x21 || len(b) < 2 || b[0] != 1 {
		return 0, unsafef("xz: a block uses another filter than LZMA2")
	}
	bits := b[1]
	if bits > 40 || len(bytes.Trim(b[2:], "\x00")) > 0 {
		return damaged()
	}
	dict := int64(2|bits&1) << (bits/2 + 11)
	if dict > maxDictionary {
		return 0, unsafef("xz: a block asks for a dictionary of %d bytes, more than %d", dict, maxDictionary)
	}
	return dict, nil
}

// checkZstd walks the blocks of a zstd file (RFC 8878): one frame that ends
// where the file ends, no skippable frame, no dictionary from elsewhere, a
// bounded window. The sizes and the checksum are left to the decompressor.
func checkZstd(section *io.SectionReader) error {
	in := bufio.NewReaderSize(io.NewSectionReader(section, 0, section.Size()), 256<<10)
	head, _ := in.Peek(16)
	if !bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")) {
		return unsafef("not a zstd file: %s", looksLike(head))
	}
	if len(head) < 6 {
		return broken("zstd header", io.ErrUnexpectedEOF)
	}
	flags, rest := head[4], head[5:]
	single := flags&0x20 != 0 // then the window is the whole content
	if flags&3 != 0 {
		return unsafef("zstd: it needs a dictionary")
	}
	skip := 5
	var window uint64
	if !single {
		window = 1 << (10 + rest[0]>>3)
		window += window / 8 * uint64(rest[0]&7)
		skip++
	}
	sizeField := []int{0, 2, 4, 8}[flags>>6]
	if single && sizeField == 0 {
		sizeField = 1
	}
	if single && len(rest) >= sizeField {
		var field [8]byte
		copy(field[:], rest[:sizeField])
		window = binary.LittleEndian.Uint64(field[:])
	}
	if window > maxWindow {
		return unsafef("zstd: it asks for a window of %d bytes, more than the %d that every reader has (RFC 8878): it was made with --ultra or --long", window, maxWindow)
	}
	skip += sizeField
	for {
		if _, err := in.Discard(skip); err != nil {
			return broken("zstd data", err)
		}
		header, err := in.Peek(3)
		if err != nil {
			return broken("zstd data", err)
		}
		bits := int(header[0]) | int(header[1])<<8 | int(header[2])<<16
		last, kind, size := bits&1 != 0, bits>>1&3, bits>>3
		skip = 3 + size
		switch {
		case kind == 1: // one byte, repeated
			skip = 4
		case kind == 3:
			return unsafef("zstd: a block of the reserved type")
		}
		if size == 0 && !last {
			return unsafef("zstd: an empty block in the middle")
		}
		if last {
			break
		}
	}
	if flags&4 != 0 { // checksum
		skip += 4
	}
	if _, err := in.Discard(skip); err != nil {
		return broken("zstd data", err)
	}
	if _, err := in.Peek(1); err != io.EOF {
		return unsafef("bytes follow the end of the zstd frame")
	}
	return nil
}
