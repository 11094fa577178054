package archive

import (
	"archive/zip"
	"bufio"
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"
)

// A zip describes each file twice: in the central directory at its end, and in
// the local header before the content. Readers differ in which one they
// believe. Here every byte must be accounted for, as PKWARE's APPNOTE.TXT
// 6.3.10 defines it (section numbers below refer to it): the local entries run
// without a gap from the first byte to the directory, the directory runs to the
// end record, and the end record to the last byte. Both descriptions must
// agree, and archive/zip must find the same entries.

const (
	zipEndLen   = 22
	zip64EndLen = 56
	zip64LocLen = 20
	maxZipDir   = 16 << 20 // bytes of the central directory
)

// A zipEntry is one entry of the central directory.
type zipEntry struct {
	name          string
	flags, method uint16
	crc           uint32
	csize, usize  int64 // compressed and uncompressed
	offset        int64 // of the local header
	data          int64 // of the content
	exec, dir     bool
	link          bool // a symbolic link, its target is the content
}

var le = binary.LittleEndian

func (u *unpacker) zip(r *io.SectionReader) error {
	dirStart, dirEnd, count, err := zipEnd(r)
	if err != nil {
		return err
	}
	if count > uint64(u.limits.entries) {
		return unsafef("the archive has more than %d entries", u.limits.entries)
	}
	entries, err := u.zipDirectory(r, dirStart, dirEnd, count)
	if err != nil {
		return err
	}
	if err := zipSecondReader(r, entries); err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b *zipEntry) int { return cmp.Compare(a.offset, b.offset) })
	// Check the layout before writing the first byte.
	var at, total int64
	for i, e := range entries {
		next := dirStart
		if i+1 < len(entries) {
			next = entries[i+1].offset
		}
		if next > dirStart {
			return unsafeEntry(entries[i+1].name, "its local header is not before the directory")
		}
		if e.offset < at {
			return unsafeEntry(e.name, "it overlaps the entry before it")
		}
		if e.offset > at {
			return unsafeEntry(e.name, "%d bytes before it belong to no entry", e.offset-at)
		}
		if err := zipLocal(r, e, next); err != nil {
			return err
		}
		at = next
		if total += e.usize; total > u.limits.total || e.usize > u.limits.total {
			return unsafef("the archive unpacks to more than %d bytes", u.limits.total)
		}
	}
	if at != dirStart {
		return unsafef("the zip has no entry before its directory")
	}
	return u.zipFiles(r, entries)
}

// zipEnd reads the end record (4.3.16) and its zip64 form (4.3.14, 4.3.15), and
// returns the position of the central directory.
func zipEnd(r *io.SectionReader) (dirStart, dirEnd int64, count uint64, err error) {
	size := r.Size()
	tail := make([]byte, min(size, zipEndLen+0xffff+zip64LocLen+zip64EndLen))
	base := size - int64(len(tail))
	if n, err := r.ReadAt(tail, base); n < len(tail) {
		return 0, 0, 0, broken("end of the zip", err)
	}
	at := bytes.LastIndex(tail, []byte(zipEndSignature))
	if at < 0 {
		head := make([]byte, 16)
		n, _ := r.ReadAt(head, 0)
		return 0, 0, 0, unsafef("not a zip file, or cut short: no end record; %s", looksLike(head[:n]))
	}
	if err := onlyZipEnd(tail, at); err != nil {
		return 0, 0, 0, err
	}
	end := tail[at:]
	thisDisk, dirDisk := le.Uint16(end[4:]), le.Uint16(end[6:])
	onDisk := uint64(le.Uint16(end[8:]))
	dir := zipDir{entries: uint64(le.Uint16(end[10:])), size: uint64(le.Uint32(end[12:])), offset: uint64(le.Uint32(end[16:]))}
	if thisDisk != dirDisk || thisDisk != 0 && thisDisk != 0xffff || onDisk != dir.entries {
		return 0, 0, 0, unsafef("the zip is split over several disks")
	}
	stop := base + int64(at) // the directory, or its zip64 end, ends here
	if loc := at - zip64LocLen; loc >= 0 && string(tail[loc:loc+4]) == "PK\x06\x07" {
		if dir, err = zip64End(tail[:at], base, dir); err != nil {
			return 0, 0, 0, err
		}
		stop -= zip64LocLen + zip64EndLen
	} else if thisDisk == 0xffff || dir.size == 0xffffffff || dir.offset == 0xffffffff {
		return 0, 0, 0, unsafef("the zip64 end record is missing")
	}
	if dir.size > maxZipDir {
		return 0, 0, 0, unsafef("the directory of the zip has %d bytes, more than %d", dir.size, maxZipDir)
	}
	if dir.offset > uint64(stop) || dir.offset+dir.size != uint64(stop) {
		return 0, 0, 0, unsafef("the directory of the zip does not end at its end record: there are bytes before, between or after them")
	}
	return int64(dir.offset), stop, dir.entries, nil
}

const zipEndSignature = "PK\x05\x06"

// onlyZipEnd checks that the end record at a position ends the file, and that
// no reader can mistake another one for it.
func onlyZipEnd(tail []byte, at int) error {
	if at+zipEndLen > len(tail) || at+zipEndLen+int(le.Uint16(tail[at+20:])) != len(tail) {
		// If the last signature does not begin the record of the file, an
		// earlier one might: the comment may contain a second record.
		return unsafef("the zip has bytes after its end record, or two end records")
	}
	for i := bytes.Index(tail, []byte(zipEndSignature)); i < at; {
		if i+zipEndLen+int(le.Uint16(tail[i+20:])) == len(tail) {
			return unsafef("the zip has two end records")
		}
		i += 4 + bytes.Index(tail[i+4:], []byte(zipEndSignature))
	}
	return nil
}

// A zipDir describes the central directory, by an end record.
type zipDir struct{ entries, size, offset uint64 }

// zip64End reads the zip64 end record and its locator, which come right before
// the end record, and returns the directory that they describe.
func zip64End(tail []byte, base int64, short zipDir) (zipDir, error) {
	loc := len(tail) - zip64LocLen
	rec := loc - zip64EndLen
	if rec < 0 || string(tail[rec:rec+4]) != "PK\x06\x06" || le.Uint64(tail[rec+4:]) != zip64EndLen-12 ||
		le.Uint64(tail[loc+8:]) != uint64(base)+uint64(rec) {
		return zipDir{}, unsafef("the zip64 end record is not where its locator says")
	}
	end := tail[rec:loc]
	if le.Uint32(tail[loc+4:]) != 0 || le.Uint32(tail[loc+16:]) > 1 || le.Uint32(end[16:]) != 0 || le.Uint32(end[20:]) != 0 {
		return zipDir{}, unsafef("the zip is split over several disks")
	}
	dir := zipDir{entries: le.Uint64(end[32:]), size: le.Uint64(end[40:]), offset: le.Uint64(end[48:])}
	if le.Uint64(end[24:]) != dir.entries || short.entries != 0xffff && short.entries != dir.entries ||
		short.size != 0xffffffff && short.size != dir.size || short.offset != 0xffffffff && short.offset != dir.offset {
		return zipDir{}, unsafef("the end record and the zip64 end record of the zip disagree")
	}
	return dir, nil
}

// zipDirectory reads the central directory (4.3.12).
func (u *unpacker) zipDirectory(r *io.SectionReader, start, end int64, count uint64) ([]*zipEntry, error) {
	in := bufio.NewReaderSize(io.NewSectionReader(r, start, end-start), 64<<10)
	var entries []*zipEntry
	head := make([]byte, 46)
	var text []byte
	for left := end - start; left > 0; {
		if err := u.count(); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(in, head); err != nil || string(head[:4]) != "PK\x01\x02" {
			return nil, unsafef("the directory of the zip is malformed")
		}
		nameLen, extraLen, commentLen := int(le.Uint16(head[28:])), int(le.Uint16(head[30:])), int(le.Uint16(head[32:]))
		text = slices.Grow(text[:0], nameLen+extraLen+commentLen)[:nameLen+extraLen+commentLen]
		if _, err := io.ReadFull(in, text); err != nil {
			return nil, unsafef("the directory of the zip is malformed")
		}
		left -= int64(len(head) + len(text))
		e, err := parseZipEntry(head, string(text[:nameLen]), text[nameLen:nameLen+extraLen], u.o.Release)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	if uint64(len(entries)) != count {
		return nil, unsafef("the zip has %d entries, its end record says %d", len(entries), count)
	}
	return entries, nil
}

func parseZipEntry(head []byte, name string, extra []byte, release bool) (*zipEntry, error) {
	e := &zipEntry{
		name: name, flags: le.Uint16(head[8:]), method: le.Uint16(head[10:]), crc: le.Uint32(head[16:]),
		dir: strings.HasSuffix(name, "/"),
	}
	x, err := parseZipExtra(e, extra)
	if err == nil {
		var disk int64
		err = x.values([]saturable{
			{&e.usize, uint64(le.Uint32(head[24:])), 0xffffffff, 8},
			{&e.csize, uint64(le.Uint32(head[20:])), 0xffffffff, 8},
			{&e.offset, uint64(le.Uint32(head[42:])), 0xffffffff, 8},
			{&disk, uint64(le.Uint16(head[34:])), 0xffff, 4},
		})
		if err == nil && disk != 0 {
			err = errors.New("it is on another disk")
		}
	}
	if err != nil {
		return nil, unsafeEntry(name, "%w", err)
	}
	const known = 0x0800 | 0x0008 | 0x0006 // 4.4.4: UTF-8, data descriptor, deflate level
	switch {
	case e.flags&0x2041 != 0:
		return nil, unsafeEntry(name, "it is encrypted")
	case head[6] > 63: // 4.4.3.2; others refuse it, and the high byte means nothing
		return nil, unsafeEntry(name, "it needs version %d.%d of the format, later than 6.3", head[6]/10, head[6]%10)
	case e.flags&^known != 0:
		return nil, unsafeEntry(name, "unknown flags %#04x", e.flags)
	case e.method != zip.Store && e.method != zip.Deflate:
		return nil, unsafeEntry(name, "compression method %d; only stored (0) and deflated (8) are allowed", e.method)
	case e.method == zip.Store && e.csize != e.usize:
		return nil, unsafeEntry(name, "it is stored, but has %d bytes for %d", e.usize, e.csize)
	case !ascii(name) && e.flags&0x0800 == 0 && !x.unicodePath:
		return nil, unsafeEntry(name, "its name may be in UTF-8 or in code page 437")
	case e.method == zip.Store && e.flags&0x0008 != 0: // 4.3.9: a reader from the front cannot find its end
		return nil, unsafeEntry(name, "it is stored with a data descriptor: a reader from the front cannot find its end")
	case e.dir && e.csize > 2: // deflate writes two bytes for no content
		return nil, unsafeEntry(name, "a folder with %d bytes of compressed content", e.csize)
	}
	return e, e.setMode(head[5], le.Uint32(head[38:]), release)
}

// setMode reads the external attributes (4.4.15) as the system that made the
// zip defines them.
func (e *zipEntry) setMode(maker byte, attr uint32, release bool) error {
	mode := attr >> 16
	const typeMask, typeFile, typeDir, typeLink = 0o170000, 0o100000, 0o040000, 0o120000
	unix := maker == 3 || maker == 19
	switch kind := mode & typeMask; {
	case kind == typeLink && unix && release && !e.dir:
		e.link = true
		return nil
	case kind == typeLink: // some reader will follow it, whichever system made it
		return unsafeEntry(e.name, notInPackages, "a symbolic link")
	case attr&0x10 != 0 && !e.dir: // the folder bit of DOS
		return unsafeEntry(e.name, "its attributes say folder, its name says file")
	case !unix || kind == 0:
	case kind != typeFile && kind != typeDir:
		return unsafeEntry(e.name, "neither a file nor a folder: mode %o", mode)
	case (kind == typeDir) && !e.dir:
		return unsafeEntry(e.name, "its mode says folder, its name says file")
	}
	if e.dir && e.usize != 0 {
		return unsafeEntry(e.name, "a folder with %d bytes of content", e.usize)
	}
	e.exec = unix && mode&0o111 != 0
	return nil
}

// A zipExtra has the relevant parts of an extra field (4.5).
type zipExtra struct {
	zip64       []byte // nil if there is none
	unicodePath bool   // Info-ZIP's 0x7075 repeats the name
}

func parseZipExtra(e *zipEntry, extra []byte) (zipExtra, error) {
	var x zipExtra
	for len(extra) > 0 {
		if len(extra) < 4 {
			if len(bytes.Trim(extra, "\x00")) == 0 {
				return x, nil // padding by zipalign
			}
			return x, errors.New("a malformed extra field")
		}
		tag, n := le.Uint16(extra), int(le.Uint16(extra[2:]))
		if n > len(extra)-4 {
			return x, errors.New("a malformed extra field")
		}
		data := extra[4 : 4+n]
		extra = extra[4+n:]
		switch tag {
		case 0x0001:
			if x.zip64 != nil {
				return x, errors.New("two zip64 extra fields")
			}
			x.zip64 = append([]byte{}, data...)
		case 0x7075: // 4.6.9
			if n < 5 || data[0] != 1 || le.Uint32(data[1:]) != crc32.ChecksumIEEE([]byte(e.name)) ||
				string(data[5:]) != e.name || !utf8.Valid(data[5:]) {
				return x, errors.New("its Unicode path extra field has another name")
			}
			x.unicodePath = true
		case 0x756e: // Info-ZIP's ASi: CRC, mode, length of the target, uid, gid, target
			if n < 14 || le.Uint16(data[4:])&0o170000 == 0o120000 || n > 14 {
				return x, errors.New("its ASi extra field makes it a link")
			}
		case 0x000d: // 4.5.7: times, uid, gid, then a target
			if n > 12 {
				return x, errors.New("its Unix extra field makes it a link")
			}
		case 0x9901:
			return x, errors.New("it is encrypted")
		}
	}
	return x, nil
}

// A saturable is a field that may be too small for its value. Then all its bits
// are set and the value is in the zip64 extra field (4.5.3).
type saturable struct {
	to    *int64
	value uint64
	full  uint64
	width int // in the extra field
}

// values reads the fields. By the specification, the extra field only has the
// saturated ones, but some writers (of protobuf's own wheel) repeat all of them
// there. That is allowed if they agree with the header.
func (x zipExtra) values(fields []saturable) error {
	need := 0
	for _, f := range fields {
		if f.value == f.full {
			need += f.width
		}
	}
	data := x.zip64
	if len(data) < need {
		// A size may also happen to be the largest one, without an extra field;
		// that is refused.
		return errors.New("its zip64 extra field is too short or missing")
	}
	all := len(data) > need
	for _, f := range fields {
		v := f.value
		if f.value == f.full || all && len(data) > 0 {
			if len(data) < f.width {
				return errors.New("a malformed zip64 extra field")
			}
			v = le.Uint64(append(slices.Clone(data[:f.width]), make([]byte, 8)...))
			data = data[f.width:]
			if f.value != f.full && f.value != v {
				return fmt.Errorf("its header says %d, its zip64 extra field says %d", f.value, v)
			}
		}
		if v > 1<<62 {
			return fmt.Errorf("a size or offset of %d", v)
		}
		*f.to = int64(v)
	}
	if len(data) > 0 {
		return errors.New("its zip64 extra field is too long")
	}
	return nil
}

// zipLocal reads the local header (4.3.7) and the data descriptor (4.3.9) of an
// entry that must end at next.
func zipLocal(r *io.SectionReader, e *zipEntry, next int64) error {
	head := make([]byte, 30)
	if _, err := r.ReadAt(head, e.offset); err != nil || string(head[:4]) != "PK\x03\x04" {
		return unsafeEntry(e.name, "no local header where the directory says")
	}
	nameLen, extraLen := int(le.Uint16(head[26:])), int(le.Uint16(head[28:]))
	text := make([]byte, nameLen+extraLen)
	if e.offset+30+int64(len(text)) > next {
		return unsafeEntry(e.name, "its local header overlaps what follows")
	}
	if _, err := r.ReadAt(text, e.offset+30); err != nil {
		return broken("local zip header", err)
	}
	if string(text[:nameLen]) != e.name {
		return unsafeEntry(e.name, "its local header has the name %q", text[:min(nameLen, 200)])
	}
	x, err := parseZipExtra(e, text[nameLen:])
	if err != nil {
		return unsafeEntry(e.name, "local header: %w", err)
	}
	if flags := le.Uint16(head[6:]); flags != e.flags {
		return unsafeEntry(e.name, "its local header has flags %#04x, the directory has %#04x", flags, e.flags)
	}
	if method := le.Uint16(head[8:]); method != e.method {
		return unsafeEntry(e.name, "its local header has method %d, the directory has %d", method, e.method)
	}
	var usize, csize int64
	if err := x.values([]saturable{
		{&usize, uint64(le.Uint32(head[22:])), 0xffffffff, 8},
		{&csize, uint64(le.Uint32(head[18:])), 0xffffffff, 8},
	}); err != nil {
		return unsafeEntry(e.name, "local header: %w", err)
	}
	crc := le.Uint32(head[14:])
	later := e.flags&8 != 0 // the header may leave them to the descriptor
	if usize != e.usize && !(later && usize == 0) || csize != e.csize && !(later && csize == 0) {
		return unsafeEntry(e.name, "its local header says %d bytes from %d, the directory says %d from %d", usize, csize, e.usize, e.csize)
	}
	if crc != e.crc && !(later && crc == 0) {
		return unsafeEntry(e.name, "its local header says crc %08x, the directory says %08x", crc, e.crc)
	}
	e.data = e.offset + 30 + int64(len(text))
	gap := next - e.data - e.csize
	if gap < 0 {
		return unsafeEntry(e.name, "its content overlaps what follows")
	}
	if !later {
		if gap > 0 {
			return unsafeEntry(e.name, "%d bytes after it belong to no entry", gap)
		}
		return nil
	}
	desc := make([]byte, min(gap, 25))
	if _, err := r.ReadAt(desc, e.data+e.csize); err != nil && gap > 0 {
		return broken("zip data descriptor", err)
	}
	if !e.descriptor(desc) {
		return unsafeEntry(e.name, "its data descriptor disagrees with the directory")
	}
	return nil
}

// descriptor compares the bytes after the content with the four forms of a data
// descriptor: with or without a signature, with sizes of 4 or 8 bytes.
func (e *zipEntry) descriptor(b []byte) bool {
	if len(b) == 16 || len(b) == 24 {
		if string(b[:4]) != "PK\x07\x08" {
			return false
		}
		b = b[4:]
	}
	switch len(b) {
	case 12:
		return le.Uint32(b) == e.crc && int64(le.Uint32(b[4:])) == e.csize && int64(le.Uint32(b[8:])) == e.usize
	case 20:
		return le.Uint32(b) == e.crc && int64(le.Uint64(b[4:])) == e.csize && int64(le.Uint64(b[12:])) == e.usize
	}
	return false
}

// zipSecondReader compares the directory with what archive/zip reads.
func zipSecondReader(r *io.SectionReader, entries []*zipEntry) error {
	zr, err := zip.NewReader(r, r.Size())
	if err != nil {
		return unsafef("a second reader says: %w", err)
	}
	if len(zr.File) != len(entries) {
		return unsafef("a second reader finds %d entries instead of %d", len(zr.File), len(entries))
	}
	for i, f := range zr.File {
		e := entries[i]
		mode := f.Mode()
		if f.Name != e.name || f.Method != e.method || f.CRC32 != e.crc || (mode&fs.ModeSymlink != 0) != e.link || e.exec && mode&0o111 == 0 ||
			f.UncompressedSize64 != uint64(e.usize) || f.CompressedSize64 != uint64(e.csize) {
			return unsafeEntry(e.name, "a second reader finds another name, method, size, mode or checksum: %q", f.Name)
		}
	}
	return nil
}

// zipFiles unpacks the entries, after their layout has been checked.
func (u *unpacker) zipFiles(r *io.SectionReader, entries []*zipEntry) error {
	in := bufio.NewReaderSize(nil, 64<<10)
	var inflate io.ReadCloser
	for _, e := range entries {
		if e.dir {
			if err := u.dir(e.name); err != nil {
				return err
			}
			continue
		}
		in.Reset(io.NewSectionReader(r, e.data, e.csize))
		var content io.Reader = in
		if e.method == zip.Deflate {
			if inflate == nil {
				inflate = flate.NewReader(in)
			} else if err := inflate.(flate.Resetter).Reset(in, nil); err != nil {
				return err
			}
			content = inflate
		}
		sum := &crcReader{r: &meter{u, content}}
		if err := u.zipFile(e, sum); err != nil {
			return err
		}
		if sum.crc != e.crc {
			return unsafeEntry(e.name, "its content has crc %08x, its header says %08x", sum.crc, e.crc)
		}
		if _, err := in.ReadByte(); err != io.EOF {
			return unsafeEntry(e.name, "bytes follow the end of its compressed data")
		}
	}
	return nil
}

// zipFile takes a file or a link.
func (u *unpacker) zipFile(e *zipEntry, r io.Reader) error {
	if !e.link {
		return u.file(e.name, e.exec, e.usize, r)
	}
	if e.usize > maxPath {
		return unsafeEntry(e.name, "a symbolic link with a target of %d bytes, more than %d", e.usize, maxPath)
	}
	target, err := io.ReadAll(io.LimitReader(r, maxPath+1))
	if err != nil {
		return broken(fmt.Sprintf("entry %q", e.name), err)
	}
	if int64(len(target)) != e.usize || len(target) == 0 {
		return unsafeEntry(e.name, "a symbolic link with a target of %d bytes, its header says %d", len(target), e.usize)
	}
	return u.link(e.name, string(target), false)
}

type crcReader struct {
	r   io.Reader
	crc uint32
}

func (c *crcReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.crc = crc32.Update(c.crc, crc32.IEEETable, p[:n])
	return n, err
}
