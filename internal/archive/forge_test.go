package archive

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// Archives written byte by byte, so that they can say anything.

// tarHdr is one entry of a tar written byte by byte, so that it can lie.
type tarHdr struct {
	name, prefix, link, body string
	kind                     byte   // '0' when 0, NUL when 'n'
	mode                     string // octal, 0000644 when ""
	size                     string // field, len(body) when ""
	magic                    string // POSIX when ""
	badSum                   bool
}

func (h tarHdr) bytes() []byte {
	b := make([]byte, 512)
	or := func(s, def string) string {
		if s == "" {
			return def
		}
		return s
	}
	copy(b, h.name)
	copy(b[100:], or(h.mode, "0000644"))
	copy(b[108:], "0000000\x000000000")
	copy(b[124:], or(h.size, fmt.Sprintf("%011o", len(h.body))))
	copy(b[136:], "00000000000")
	switch h.kind {
	case 0:
		b[156] = '0'
	case 'n':
	default:
		b[156] = h.kind
	}
	copy(b[157:], h.link)
	copy(b[257:], or(h.magic, "ustar\x0000"))
	copy(b[345:], h.prefix)
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	if h.badSum {
		sum++
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	b = append(b, h.body...)
	return append(b, make([]byte, -len(h.body)&511)...)
}

func tarOf(hdrs ...tarHdr) []byte {
	var b []byte
	for _, h := range hdrs {
		b = append(b, h.bytes()...)
	}
	return append(b, make([]byte, 1024)...)
}

func tgz(hdrs ...tarHdr) []byte { return gz(tarOf(hdrs...)) }

func gz(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

// pax makes an extended header of kind 'x' or 'g' from KEY=VALUE records.
func pax(kind byte, records ...string) tarHdr {
	var body strings.Builder
	for _, r := range records {
		n := len(r) + 3
		for len(fmt.Sprint(n))+len(r)+2 != n {
			n++
		}
		fmt.Fprintf(&body, "%d %s\n", n, r)
	}
	return tarHdr{name: "PaxHeaders/x", kind: kind, body: body.String()}
}

func file(name string) tarHdr { return tarHdr{name: name, body: "hello"} }

// zipEnt is one entry of a zip written byte by byte.
type zipEnt struct {
	name, body string
	method     uint16
	flags      uint16
	maker      byte   // 3, Unix, when 0; 0 when 255
	mode       uint32 // 0100644 when 0
	extra      []byte // both headers
	central    []byte // further extra field of the directory
	before     string // bytes before the local header
	after      string // bytes after the content, the data descriptor
	raw        []byte // compressed content, instead of body deflated or stored
	local      func(h []byte)
	dir        func(h []byte)
	localName  string // name when ""
	usize      int    // len(body) when 0
}

type zipFile struct {
	ents    []zipEnt
	comment string
	tail    string // after the end record
	gap     string // between the directory and the end record
	end     func(e []byte)
	zip64   bool
}

func zipOf(ents ...zipEnt) []byte { return zipFile{ents: ents}.bytes() }

func (z zipFile) bytes() []byte {
	var out, dir []byte
	u16, u32, u64 := binary.LittleEndian.AppendUint16, binary.LittleEndian.AppendUint32, binary.LittleEndian.AppendUint64
	for _, e := range z.ents {
		out = append(out, e.before...)
		offset := len(out)
		raw := e.raw
		if raw == nil {
			raw = []byte(e.body)
			if e.method == zip.Deflate {
				raw = deflated(e.body)
			}
		}
		usize, crc := len(e.body), crc32.ChecksumIEEE([]byte(e.body))
		if e.usize != 0 {
			usize = e.usize
		}
		lname := e.name
		if e.localName != "" {
			lname = e.localName
		}
		mode, maker := e.mode, e.maker
		if mode == 0 {
			mode = 0o100644
		}
		if maker == 0 {
			maker = 3
		}
		if maker == 255 {
			maker = 0
		}
		l := append([]byte("PK\x03\x04"), 20, 0)
		l = u16(u16(u32(l, uint32(e.flags)|uint32(e.method)<<16), 0), 0)
		l = u32(u32(u32(l, crc), uint32(len(raw))), uint32(usize))
		l = u16(u16(l, uint16(len(lname))), uint16(len(e.extra)))
		if e.local != nil {
			e.local(l)
		}
		out = append(append(append(append(append(out, l...), lname...), e.extra...), raw...), e.after...)
		d := append([]byte("PK\x01\x02"), 20, maker, 20, 0)
		d = u16(u16(u32(d, uint32(e.flags)|uint32(e.method)<<16), 0), 0)
		d = u32(u32(u32(d, crc), uint32(len(raw))), uint32(usize))
		d = u16(u16(u16(d, uint16(len(e.name))), uint16(len(e.extra)+len(e.central))), 0)
		d = u32(u32(u16(u16(d, 0), 0), mode<<16), uint32(offset))
		if e.dir != nil {
			e.dir(d)
		}
		dir = append(append(append(append(dir, d...), e.name...), e.extra...), e.central...)
	}
	start := len(out)
	out = append(append(out, dir...), z.gap...)
	n, size, off := uint16(len(z.ents)), uint32(len(dir)), uint32(start)
	if z.zip64 {
		at := len(out)
		out = u64(append(out, "PK\x06\x06"...), 44)
		out = u32(u32(append(out, 45, 3, 45, 0), 0), 0)
		out = u64(u64(u64(u64(out, uint64(n)), uint64(n)), uint64(size)), uint64(off))
		out = u32(u64(u32(append(out, "PK\x06\x07"...), 0), uint64(at)), 1)
		n, size, off = 0xffff, 0xffffffff, 0xffffffff
	}
	e := append([]byte("PK\x05\x06"), 0, 0, 0, 0)
	e = u16(u32(u32(u16(u16(e, n), n), size), off), uint16(len(z.comment)))
	if z.end != nil {
		z.end(e)
	}
	return append(append(append(out, e...), z.comment...), z.tail...)
}

func deflated(s string) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	io.WriteString(w, s)
	w.Close()
	return b.Bytes()
}

func extra(tag uint16, data string) []byte {
	b := binary.LittleEndian.AppendUint16(nil, tag)
	return append(binary.LittleEndian.AppendUint16(b, uint16(len(data))), data...)
}

func put16(at int, v uint16) func([]byte) {
	return func(b []byte) { binary.LittleEndian.PutUint16(b[at:], v) }
}

func put32(at int, v uint32) func([]byte) {
	return func(b []byte) { binary.LittleEndian.PutUint32(b[at:], v) }
}

func gzNamed(b []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, 1)
	w.Name, w.Comment, w.Extra = "x.tar", "comment", []byte("extra")
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func sha(data []byte) [32]byte { return sha256.Sum256(data) }
