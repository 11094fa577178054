package archive

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// A tar is read twice at the same time: this file reads every header block
// strictly by POSIX (pax Interchange Format, IEEE Std 1003.1) and the manual of
// GNU tar, and archive/tar must then read the same blocks in the same way.

const (
	tarBlock     = 512
	maxPaxHeader = 1 << 20 // bytes of one extended header
)

// zeros reads to the end and accepts only blocks of zeros: the padding of a
// tar.
func (u *unpacker) zeros(kind string, r io.Reader) error {
	for total := 0; ; {
		n, err := r.Read(u.buf)
		total += n
		if len(bytes.Trim(u.buf[:n], "\x00")) > 0 {
			return unsafef("bytes follow the end of the tar")
		}
		if err == io.EOF && total%tarBlock == 0 {
			return nil
		}
		if err == io.EOF {
			return unsafef("the tar does not end at the end of a block")
		}
		if err != nil {
			return broken(kind+" data", err)
		}
	}
}

// tar reads entries up to the first block of zeros or the end of r.
func (u *unpacker) tar(r io.Reader) error {
	for {
		h, err := u.tarHeader(r)
		if err != nil || h == nil {
			return err
		}
		switch {
		case h.dir:
			err = u.dir(h.name)
		case h.link != "":
			err = u.link(h.name, h.link, h.hard)
		default:
			err = u.file(h.name, h.mode&0o111 != 0, h.size, io.LimitReader(r, h.size))
		}
		if err != nil {
			return err
		}
		pad := u.buf[:-h.size&(tarBlock-1)]
		if _, err := io.ReadFull(r, pad); err != nil {
			return broken(fmt.Sprintf("padding after entry %q", h.name), err)
		}
	}
}

// A tarEntry is one entry, with its extended headers applied.
type tarEntry struct {
	name string
	mode int64
	size int64
	dir  bool
	link string // target of a link as written in the tar; "" for none
	hard bool
}

// tarHeader reads the header blocks of the next entry. It returns nil at the
// end.
func (u *unpacker) tarHeader(r io.Reader) (*tarEntry, error) {
	var raw bytes.Buffer // all blocks of this entry, for archive/tar
	var x tarExtension
	block := make([]byte, tarBlock)
	for {
		if _, err := io.ReadFull(r, block); err == io.EOF {
			if raw.Len() > 0 {
				return nil, unsafef("an extended header is the last thing in the tar")
			}
			return nil, nil
		} else if err != nil {
			return nil, broken("tar header", err)
		}
		if bytes.Count(block, []byte{0}) == tarBlock {
			if raw.Len() > 0 {
				return nil, unsafef("an extended header is the last thing in the tar")
			}
			return nil, nil
		}
		if err := u.count(); err != nil {
			return nil, err
		}
		if err := checkTarSum(block); err != nil {
			return nil, err
		}
		e, err := parseUstar(block)
		if err != nil {
			return nil, err
		}
		kind := block[156]
		if kind == 'x' || kind == 'g' || kind == 'L' || kind == 'K' {
			data, err := x.read(r, e, kind)
			if err != nil {
				return nil, err
			}
			if kind != 'g' { // a global header says nothing about one file
				raw.Write(block)
				raw.Write(data)
			}
			continue
		}
		raw.Write(block)
		if err := e.extend(x, kind); err != nil {
			return nil, err
		}
		if err := e.setKind(kind); err != nil {
			return nil, err
		}
		return e, e.compare(&raw)
	}
}

// A tarExtension is what extended headers say about the entry after them.
type tarExtension struct {
	pax        map[string]string
	name, link string // from GNU's L and K headers
}

// read takes the content of an extended header, and returns all its blocks.
func (x *tarExtension) read(r io.Reader, e *tarEntry, kind byte) (data []byte, err error) {
	if e.size > maxPaxHeader {
		return nil, unsafeEntry(e.name, "an extended header of %d bytes, more than %d", e.size, maxPaxHeader)
	}
	data = make([]byte, (e.size+tarBlock-1)/tarBlock*tarBlock)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, broken("extended tar header", err)
	}
	if x.pax != nil || x.name != "" && kind != 'K' || x.link != "" && kind != 'L' {
		return nil, unsafeEntry(e.name, "two extended headers in a row")
	}
	switch kind {
	case 'g':
		return data, checkGlobal(e.name, data[:e.size])
	case 'x':
		x.pax, err = parsePax(e.name, data[:e.size])
		return data, err
	}
	text := strings.TrimSuffix(string(data[:e.size]), "\x00")
	if text == "" || strings.Contains(text, "\x00") {
		return nil, unsafeEntry(e.name, "a long name that is empty or has a NUL")
	}
	if kind == 'L' {
		x.name = text
	} else {
		x.link = text
	}
	return data, nil
}

// extend applies extended headers to an entry of the given kind.
func (e *tarEntry) extend(x tarExtension, kind byte) error {
	e.name = cmp.Or(x.name, e.name)
	if x.link != "" {
		if kind != '1' && kind != '2' {
			return unsafeEntry(e.name, "a long link target for an entry that is not a link")
		}
		e.link = x.link
	}
	return e.apply(x.pax)
}

// apply overrides the fields of the header with those of a pax header.
func (e *tarEntry) apply(pax map[string]string) error {
	if p, ok := pax["path"]; ok {
		e.name = p
	}
	if p, ok := pax["linkpath"]; ok {
		e.link = p
	}
	// A reader that ignores pax would continue at another offset and find other
	// headers: the TARmageddon attack (CVE-2025-62518).
	if s, ok := pax["size"]; ok && s != strconv.FormatInt(e.size, 10) {
		return unsafeEntry(e.name, "its pax header says size %s, its tar header says %d", s, e.size)
	}
	return nil
}

func (e *tarEntry) setKind(kind byte) error {
	slash := strings.HasSuffix(e.name, "/")
	if kind == '1' || kind == '2' {
		e.hard = kind == '1'
		switch {
		case e.size != 0: // some readers skip the content, some do not
			return unsafeEntry(e.name, "a link with %d bytes of content", e.size)
		case slash || e.link == "":
			return unsafeEntry(e.name, "a link without a name or a target")
		}
		return nil
	}
	e.link = "" // ignored for other kinds
	switch kind {
	case '0':
		if slash {
			return unsafeEntry(e.name, "a file whose name ends in a slash")
		}
	case 0: // before POSIX, a trailing slash meant a folder
		e.dir = slash
	case '5':
		e.dir = true
	default:
		what, ok := map[byte]string{
			'3': "a character device", '4': "a block device",
			'6': "a pipe", '7': "a contiguous file", 'S': "a sparse file",
		}[kind]
		if !ok {
			what = fmt.Sprintf("an entry of the unknown type %q", kind)
		}
		return unsafeEntry(e.name, "%s is not allowed", what)
	}
	if e.dir && e.size != 0 {
		return unsafeEntry(e.name, "a folder with %d bytes of content", e.size)
	}
	return nil
}

// compare has archive/tar read the same header blocks and compares the result.
func (e *tarEntry) compare(raw *bytes.Buffer) error {
	kind := byte(tar.TypeReg)
	switch {
	case e.dir:
		kind = tar.TypeDir
	case e.hard:
		kind = tar.TypeLink
	case e.link != "":
		kind = tar.TypeSymlink
	}
	h, err := tar.NewReader(raw).Next()
	switch {
	case err != nil:
		return unsafeEntry(e.name, "a second reader says: %w", err)
	case h.Name != e.name && !(e.dir && strings.TrimSuffix(h.Name, "/") == strings.TrimSuffix(e.name, "/")):
		return unsafeEntry(e.name, "a second reader finds the name %q", h.Name)
	case h.Size != e.size:
		return unsafeEntry(e.name, "a second reader finds the size %d instead of %d", h.Size, e.size)
	case e.link != "" && h.Linkname != e.link:
		return unsafeEntry(e.name, "a second reader finds the target %q", h.Linkname)
	case h.Typeflag != kind:
		return unsafeEntry(e.name, "a second reader finds the type %q", h.Typeflag)
	case (h.Mode^e.mode)&0o777 != 0:
		return unsafeEntry(e.name, "a second reader finds the mode %o instead of %o", h.Mode, e.mode)
	}
	return nil
}

// checkTarSum verifies the checksum of a header: the sum of its bytes, with the
// field itself counted as spaces.
func checkTarSum(block []byte) error {
	var sum int64
	for i, b := range block {
		if i >= 148 && i < 156 {
			b = ' '
		}
		sum += int64(b)
	}
	if want, err := octal(block[148:156]); err != nil || want != sum {
		return unsafef("tar header %q: its checksum is wrong", field(block[:100]))
	}
	return nil
}

// parseUstar reads the relevant fields of a v7, ustar or GNU header.
func parseUstar(block []byte) (*tarEntry, error) {
	e := &tarEntry{name: field(block[:100]), link: field(block[157:257])}
	var err error
	if e.mode, err = octal(block[100:108]); err != nil {
		return nil, unsafeEntry(e.name, "its mode is %w", err)
	}
	if e.size, err = octal(block[124:136]); err != nil {
		return nil, unsafeEntry(e.name, "its size is %w", err)
	}
	switch magic := string(block[257:265]); {
	case magic[:6] == "ustar\x00": // its version is 00, or blank in practice
		if string(block[508:512]) == "tar\x00" {
			return nil, unsafeEntry(e.name, "a header of the star dialect")
		}
		if prefix := field(block[345:500]); prefix != "" {
			e.name = prefix + "/" + e.name
		}
	case magic == "ustar  \x00", magic == strings.Repeat("\x00", 8):
	default:
		return nil, unsafeEntry(e.name, "an unknown tar dialect %q", magic)
	}
	return e, nil
}

// field returns the text of a header field, which NUL may end early.
func field(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

// octal reads a number field. GNU tar uses base-256 for numbers that octal
// cannot hold: they would be negative or above all limits.
func octal(b []byte) (int64, error) {
	s := strings.Trim(string(b), " \x00")
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 8, 62)
	if err != nil {
		return 0, fmt.Errorf("not an octal number: %q", s)
	}
	return int64(n), nil
}

// paxRecords reads the records "LENGTH KEY=VALUE\n" of an extended header.
func paxRecords(data []byte, each func(key, value string) error) error {
	for len(data) > 0 {
		digits, _, ok := bytes.Cut(data[:min(len(data), 8)], []byte(" "))
		n, err := strconv.ParseUint(string(digits), 10, 31)
		if !ok || err != nil || int(n) > len(data) || int(n) < len(digits)+4 || data[n-1] != '\n' || digits[0] == '0' || digits[0] == '+' {
			return errors.New("a malformed pax record")
		}
		key, value, ok := strings.Cut(string(data[len(digits)+1:n-1]), "=")
		if !ok || key == "" {
			return errors.New("a malformed pax record")
		}
		if err := each(key, value); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// paxKeys are the records of POSIX. Vendors' records begin with their name in
// capitals and a dot. All others are refused: node-tar lets a record overwrite
// its field of the same name, such as "mode" or "type".
var paxKeys = []string{"atime", "charset", "comment", "ctime", "gid", "gname", "hdrcharset", "linkpath", "mtime", "path", "size", "uid", "uname"}

func checkPaxKey(key string) error {
	maker, _, ok := strings.Cut(key, ".")
	if !slices.Contains(paxKeys, key) && (!ok || maker == "") {
		return fmt.Errorf("the unknown pax record %q is not allowed", key)
	}
	return nil
}

// parsePax reads the extended header of one entry.
func parsePax(name string, data []byte) (map[string]string, error) {
	pax := map[string]string{}
	err := paxRecords(data, func(key, value string) error {
		if _, ok := pax[key]; ok {
			return fmt.Errorf("the pax record %q appears twice", key)
		}
		pax[key] = value
		switch {
		case sparseKey(key):
			return fmt.Errorf("a sparse file (pax record %q) is not allowed", key)
		case key == "hdrcharset":
			return fmt.Errorf("the pax record %q is not allowed", key)
		case key == "path" || key == "linkpath":
			if value == "" || strings.Contains(value, "\x00") {
				return fmt.Errorf("the pax record %q is empty or has a NUL", key)
			}
		}
		return checkPaxKey(key)
	})
	if err != nil {
		return nil, unsafeEntry(name, "%w", err)
	}
	return pax, nil
}

// checkGlobal accepts a global header that changes no file, such as the comment
// that git archive writes.
func checkGlobal(name string, data []byte) error {
	err := paxRecords(data, func(key, value string) error {
		switch {
		case key == "path", key == "linkpath", key == "size", key == "hdrcharset", sparseKey(key):
			return fmt.Errorf("the global pax record %q is not allowed", key)
		}
		return checkPaxKey(key)
	})
	if err != nil {
		return unsafeEntry(name, "%w", err)
	}
	return nil
}

// sparseKey reports whether a record lets GNU tar or star give a file another
// size, name or type.
func sparseKey(key string) bool {
	return strings.HasPrefix(key, "GNU.sparse") || key == "SCHILY.realsize" || key == "SCHILY.filetype" || key == "SCHILY.offset"
}
