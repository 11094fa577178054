package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"slices"

	"github.com/ulikunitz/xz/lzma"
)

// This file reads the container of an xz file (The .xz File Format, version
// 1.2.1). Streams must have no padding, their blocks must be where the index
// says, use only LZMA2 and ask for bounded dictionaries. The library
// decompresses the chunks of a block. It treats the compressed size of a chunk
// only as a limit, so this file compares the sizes.

const (
	// maxDictionary limits the memory of an xz decompressor, in bytes. "xz -9"
	// needs this much.
	maxDictionary = 64 << 20
	// maxXZIndex limits the index of an xz stream, in bytes. Each block takes
	// about five bytes there, and the xz tool puts at least 24 MB in a block.
	maxXZIndex = 1 << 20
)

const xzHeaderSize, xzFooterSize = 12, 12

// An xzBlock is one block of a stream.
type xzBlock struct {
	at      int64 // of its header
	data    int64 // of its LZMA2 chunks
	end     int64 // of the chunks; then come padding and the check
	content int64 // uncompressed bytes, by the index
	dict    int64 // bytes
	check   byte
}

// xzChecks has the sizes of the checks that we support, by their number.
var xzChecks = map[byte]int64{0: 0, 1: 4, 4: 8, 10: sha256.Size}

// xz reads a file of xz streams.
func (u *unpacker) xz(section *io.SectionReader) (io.Reader, error) {
	if err := begins(section, "an xz", "\xfd7zXZ\x00"); err != nil {
		return nil, err
	}
	var blocks []xzBlock // last one first
	streams := 0
	for end := section.Size(); end > 0; {
		streams++
		if err := u.part(streams, "xz stream", "as parallel compressors write them"); err != nil {
			return nil, err
		}
		own, start, err := xzStream(section, end)
		if err != nil {
			return nil, err
		}
		slices.Reverse(own)
		blocks = append(blocks, own...)
		end = start
	}
	slices.Reverse(blocks)
	return &xzReader{u: u, section: section, blocks: blocks}, nil
}

// xzStream reads the metadata of the stream that ends at end, and returns its
// blocks and its start.
func xzStream(section *io.SectionReader, end int64) ([]xzBlock, int64, error) {
	refuse := func(format string, args ...any) ([]xzBlock, int64, error) {
		return nil, 0, unsafef("xz: "+format, args...)
	}
	footer := make([]byte, xzFooterSize)
	if end < xzHeaderSize+xzFooterSize+8 || end%4 != 0 {
		return refuse("it is cut short, or bytes follow its end")
	}
	if _, err := section.ReadAt(footer, end-xzFooterSize); err != nil {
		return nil, 0, broken("xz footer", err)
	}
	if string(footer[10:]) != "YZ" || le.Uint32(footer) != crc32.ChecksumIEEE(footer[4:10]) {
		return refuse("it is cut short, or bytes follow its end")
	}
	check := footer[9]
	size, known := xzChecks[check]
	if footer[8] != 0 || !known {
		return refuse("its check is of the unknown kind %d", check)
	}
	indexSize := (int64(le.Uint32(footer[4:])) + 1) * 4
	if indexSize > maxXZIndex || indexSize > end-xzHeaderSize-xzFooterSize {
		return refuse("its index has %d bytes, more than the file or %d", indexSize, maxXZIndex)
	}
	index := make([]byte, indexSize)
	indexAt := end - xzFooterSize - indexSize
	if _, err := section.ReadAt(index, indexAt); err != nil {
		return nil, 0, broken("xz index", err)
	}
	blocks, unpadded, length, err := xzIndex(index, indexAt)
	if err != nil {
		return nil, 0, err
	}
	start := indexAt - length - xzHeaderSize
	head := make([]byte, xzHeaderSize)
	if start >= 0 {
		if _, err := section.ReadAt(head, start); err != nil {
			return nil, 0, broken("xz header", err)
		}
	}
	if start < 0 || string(head[:6]) != "\xfd7zXZ\x00" {
		return refuse("no stream begins where the index at byte %d says: there are bytes between its blocks", indexAt)
	}
	if !bytes.Equal(head[6:8], footer[8:10]) || le.Uint32(head[8:]) != crc32.ChecksumIEEE(head[6:8]) {
		return refuse("its header is damaged")
	}
	at := start + xzHeaderSize
	for i := range blocks {
		b := &blocks[i]
		b.check, b.at, b.end = check, at, at+unpadded[i]-size
		if err := b.header(section); err != nil {
			return nil, 0, err
		}
		at += (unpadded[i] + 3) &^ 3
	}
	return blocks, start, nil
}

// xzIndex reads the index at a position (4). It returns the blocks before it,
// of which it only knows the content, their lengths without padding, and their
// total length.
func xzIndex(index []byte, at int64) (blocks []xzBlock, unpadded []int64, length int64, err error) {
	damaged := unsafef("xz: its index is damaged")
	body, sum := index[:len(index)-4], index[len(index)-4:]
	if body[0] != 0 || le.Uint32(sum) != crc32.ChecksumIEEE(body) {
		return nil, nil, 0, damaged
	}
	body = body[1:]
	count, ok := xzNumber(&body)
	if !ok || count > uint64(len(index)) {
		return nil, nil, 0, damaged
	}
	blocks, unpadded = make([]xzBlock, count), make([]int64, count)
	for i := range blocks {
		n, ok1 := xzNumber(&body)
		content, ok2 := xzNumber(&body)
		if !ok1 || !ok2 || n == 0 || n > uint64(at-length) || content > 1<<40 {
			return nil, nil, 0, unsafef("xz: its index does not match its blocks")
		}
		blocks[i].content, unpadded[i] = int64(content), int64(n)
		length += (int64(n) + 3) &^ 3
	}
	if len(bytes.Trim(body, "\x00")) > 0 || len(body) > 3 {
		return nil, nil, 0, damaged
	}
	return blocks, unpadded, length, nil
}

// xzNumber reads a variable-length integer: seven bits per byte, least
// significant first, at most nine bytes, without redundant bytes.
func xzNumber(b *[]byte) (uint64, bool) {
	n, used := binary.Uvarint(*b)
	if used <= 0 || used > 9 || used > 1 && (*b)[used-1] == 0 {
		return 0, false
	}
	*b = (*b)[used:]
	return n, true
}

// header reads the header of a block (3.1).
func (b *xzBlock) header(section *io.SectionReader) error {
	damaged := unsafef("xz: the header of the block at byte %d is damaged", b.at)
	var length [1]byte
	if _, err := section.ReadAt(length[:], b.at); err != nil || length[0] == 0 {
		return damaged
	}
	header := make([]byte, (int(length[0])+1)*4)
	if _, err := section.ReadAt(header, b.at); err != nil {
		return damaged
	}
	sum := len(header) - 4
	if le.Uint32(header[sum:]) != crc32.ChecksumIEEE(header[:sum]) {
		return damaged
	}
	if b.data = b.at + int64(len(header)); b.data >= b.end {
		return unsafef("xz: its index does not match its blocks")
	}
	flags, rest := header[1], header[2:sum]
	for _, size := range []struct {
		flag byte
		want int64
		what string
	}{{0x40, b.end - b.data, "compressed"}, {0x80, b.content, "uncompressed"}} {
		if flags&size.flag == 0 {
			continue
		}
		switch n, ok := xzNumber(&rest); {
		case !ok:
			return damaged
		case n != uint64(size.want):
			return unsafef("xz: the header of the block at byte %d says %d bytes %s, the index says %d", b.at, n, size.what, size.want)
		}
	}
	if flags&0x3c != 0 {
		return damaged
	}
	id, ok := xzNumber(&rest)
	if flags&3 != 0 || !ok || id != 0x21 || len(rest) < 2 || rest[0] != 1 {
		return unsafef("xz: a block uses a filter other than LZMA2")
	}
	bits := rest[1]
	if bits > 40 || len(bytes.Trim(rest[2:], "\x00")) > 0 {
		return damaged
	}
	b.dict = int64(2|bits&1) << (bits/2 + 11)
	if bits == 40 {
		b.dict = 1<<32 - 1
	}
	if b.dict > maxDictionary {
		return unsafef("xz: a block asks for a dictionary of %d bytes, more than %d", b.dict, maxDictionary)
	}
	return nil
}

// An xzReader reads the content of several blocks.
type xzReader struct {
	u       *unpacker
	section *io.SectionReader
	blocks  []xzBlock
	open    *xzContent // of the first of blocks
}

func (x *xzReader) Read(p []byte) (int, error) {
	for {
		if x.open == nil {
			if len(x.blocks) == 0 {
				return 0, io.EOF
			}
			x.open = newXZContent(x.u, x.section, x.blocks[0])
		}
		n, err := x.open.Read(p)
		if err != io.EOF {
			return n, err
		}
		x.open, x.blocks = nil, x.blocks[1:]
		if n > 0 {
			return n, nil
		}
	}
}

// An xzContent reads the LZMA2 chunks of one block.
type xzContent struct {
	b    xzBlock
	in   *counter
	lzma *lzma.Reader2
	sum  hash.Hash // nil if the block has no check
	n    int64     // bytes of content so far

	left  int64 // bytes of content in the chunk
	ends  int64 // where the chunk ends in the file
	tail  io.ReaderAt
	begun bool
}

// A counter knows its position in the file.
type counter struct {
	*bufio.Reader
	at int64
}

// Read implements [io.Reader]. ReadByte counts as well.
func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.at += int64(n)
	return n, err
}

func (c *counter) ReadByte() (byte, error) {
	b, err := c.Reader.ReadByte()
	if err == nil {
		c.at++
	}
	return b, err
}

func newXZContent(u *unpacker, section *io.SectionReader, b xzBlock) *xzContent {
	x := &xzContent{b: b, tail: section}
	x.in = &counter{u.reader(io.NewSectionReader(section, b.data, b.end-b.data)), b.data}
	switch b.check {
	case 1:
		x.sum = crc32.NewIEEE()
	case 4:
		x.sum = crc64.New(crc64.MakeTable(crc64.ECMA))
	case 10:
		x.sum = sha256.New()
	}
	return x
}

func (x *xzContent) Read(p []byte) (int, error) {
	if x.left == 0 {
		if err := x.chunk(); err != nil {
			return 0, err
		}
	}
	if int64(len(p)) > x.left {
		p = p[:x.left]
	}
	n, err := x.lzma.Read(p)
	if err == io.EOF && n < len(p) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && err != io.EOF {
		return n, xzBroken(err)
	}
	x.left -= int64(n)
	x.n += int64(n)
	if x.n > x.b.content {
		return n, unsafef("xz: the block at byte %d has more than the %d bytes that its index says", x.b.at, x.b.content)
	}
	if x.sum != nil {
		x.sum.Write(p[:n])
	}
	return n, nil
}

// chunk checks the next chunk before the library reads it (xz-file-format.txt
// refers to the LZMA SDK for LZMA2). The previous chunk must have ended where
// its header said. At the end of the block, chunk compares the sizes and the
// check, and returns io.EOF.
func (x *xzContent) chunk() error {
	if x.begun && x.in.at != x.ends {
		return unsafef("xz: a chunk of the block at byte %d ends at byte %d, its header says %d", x.b.at, x.in.at, x.ends)
	}
	head, err := x.in.Peek(6)
	if len(head) == 0 {
		return broken("xz data", errors.Join(io.ErrUnexpectedEOF, err))
	}
	control, size, packed := head[0], int64(3), int64(0)
	switch {
	case control == 0:
		return x.close()
	case control >= 0xc0: // with properties
		size = 6
	case control >= 0x80:
		size = 5
	case control > 2:
		return unsafef("xz: a chunk of the block at byte %d is of the unknown kind %#02x", x.b.at, control)
	}
	if int64(len(head)) < size {
		return broken("xz data", io.ErrUnexpectedEOF)
	}
	x.left = int64(binary.BigEndian.Uint16(head[1:])) + 1
	if control >= 0x80 {
		x.left += int64(control&0x1f) << 16
		packed = int64(binary.BigEndian.Uint16(head[3:])) + 1
	} else {
		packed = x.left
	}
	x.ends = x.in.at + size + packed
	if x.ends >= x.b.end {
		return unsafef("xz: a chunk of the block at byte %d ends after its block", x.b.at)
	}
	if !x.begun {
		x.begun = true
		// Nothing in a block refers back beyond its beginning. A smaller
		// dictionary keeps a file of many small blocks from costing much
		// memory.
		dict := max(min(x.b.dict, x.b.content), lzma.MinDictCap)
		if x.lzma, err = (lzma.Reader2Config{DictCap: int(dict)}).NewReader2(x.in); err != nil {
			return xzBroken(err)
		}
	}
	return nil
}

// close compares the block with its end and its index.
func (x *xzContent) close() error {
	switch {
	case x.in.at+1 != x.b.end:
		return unsafef("xz: the block at byte %d ends at byte %d, its index says %d", x.b.at, x.in.at+1, x.b.end)
	case x.n != x.b.content:
		return unsafef("xz: the block at byte %d has %d bytes, its index says %d", x.b.at, x.n, x.b.content)
	}
	size := xzChecks[x.b.check]
	padding := -(x.b.end) & 3 // blocks begin at multiples of four
	tail := make([]byte, padding+size)
	if _, err := x.tail.ReadAt(tail, x.b.end); err != nil {
		return broken("xz check", err)
	}
	if len(bytes.Trim(tail[:padding], "\x00")) > 0 {
		return unsafef("xz: the padding of the block at byte %d is not zero", x.b.at)
	}
	if x.sum == nil {
		return io.EOF
	}
	sum := x.sum.Sum(nil)
	if x.b.check != 10 { // checksums are stored in little-endian order
		slices.Reverse(sum)
	}
	if !bytes.Equal(sum, tail[padding:]) {
		return unsafef("xz: the block at byte %d has a wrong checksum: it is damaged", x.b.at)
	}
	return io.EOF
}

// xzBroken is broken for the library, whose io.EOF inside a block is an error.
func xzBroken(err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return broken("xz data", fmt.Errorf("%w", err))
}
