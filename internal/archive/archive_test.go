package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// tempArchive writes data to a file and opens it.
func tempArchive(t testing.TB, data []byte) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "archive"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	return f
}

// unpackInJail unpacks into a folder and fails when anything but regular files
// and folders appears, or anything beside the folder.
func unpackInJail(t testing.TB, f *os.File, o Options, l limits) ([]File, string, error) {
	t.Helper()
	jail := t.TempDir()
	dst := filepath.Join(jail, "a", "b", "dst")
	if err := os.MkdirAll(dst, 0o755); err != nil {
		t.Fatal(err)
	}
	files, err := unpack(context.Background(), f, dst, o, l)
	filepath.WalkDir(jail, func(p string, d fs.DirEntry, werr error) error {
		rel, _ := filepath.Rel(jail, p)
		rel = filepath.ToSlash(rel)
		inside := rel == "." || rel == "a" || rel == "a/b" || rel == "a/b/dst" || strings.HasPrefix(rel, "a/b/dst/")
		if werr != nil || !inside || !d.IsDir() && !d.Type().IsRegular() {
			t.Errorf("unpacking made %s (%v, %v)", rel, d, werr)
		}
		if info, err := d.Info(); err == nil && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky) != 0 {
			t.Errorf("%s has mode %v", rel, info.Mode())
		}
		return nil
	})
	return files, dst, err
}

func TestHostileTar(t *testing.T) {
	row := testenv.Rows(t, "an archive written byte by byte, right, hostile or damaged: taken, or refused for its reason; nothing outside", "hostile tar.gz")
	deep := strings.Repeat("d/", 70) + "f"
	cut := tgz(file("a"), file("b"))
	badCRC := bytes.Clone(cut)
	badCRC[len(badCRC)-6] ^= 1
	badData := bytes.Clone(cut)
	badData[len(badData)/2] ^= 0x10
	hole := append(append(file("a").bytes(), make([]byte, 512)...), append(file("b").bytes(), make([]byte, 1024)...)...)
	for _, tt := range []struct {
		what string
		data []byte
		want string // part of the message
	}{
		{"parent", tgz(file("../evil")), `unsafe entry "../evil": path "../evil" is not clean or leads out of its folder`},
		{"inner parent", tgz(file("a/../../evil")), `unsafe entry "a/../../evil"`},
		{"parent at the end", tgz(file("a/..")), `unsafe entry "a/..": path "a/.." is not clean`},
		{"absolute", tgz(file("/etc/evil")), `unsafe entry "/etc/evil": path "/etc/evil" is absolute`},
		{"double slash", tgz(file("//x")), `path "//x" is absolute`},
		{"dot", tgz(file("a/./b")), `is not clean`},
		{"twice dot slash", tgz(file("././a")), `is not clean`},
		{"drive", tgz(file("C:/evil")), `has the character ':'`},
		{"stream", tgz(file("a:b")), `has the character ':'`},
		{"backslash", tgz(file(`..\..\evil`)), `has the character '\\'`},
		{"unc", tgz(file(`\\srv\x`)), `has the character '\\'`},
		{"control", tgz(file("a\x1b[31m")), `has the character '\x1b'`},
		{"newline", tgz(file("a\nb")), `has the character '\n'`},
		{"C1 control", tgz(file("a\u0085b")), `has the control character U+0085`},
		{"not UTF-8", tgz(file("a\xff")), `not UTF-8`},
		{"reserved", tgz(file("lib/aux.txt")), `Windows does not allow: "aux.txt"`},
		{"reserved superscript", tgz(file("com¹")), `Windows does not allow: "com¹"`},
		{"reserved superscript with an end", tgz(file("LPT².tar.gz")), `Windows does not allow`},
		{"reserved before spaces", tgz(file("COM1 .txt")), `Windows does not allow: "COM1 .txt"`},
		{"reserved before spaces too", tgz(file("d/aux  .h")), `Windows does not allow`},
		{"reserved console", tgz(file("conin$")), `Windows does not allow: "conin$"`},
		{"reserved console out", tgz(file("CONOUT$.log/x")), `Windows does not allow`},
		{"reserved with two ends", tgz(file("NUL.tar.gz")), `Windows does not allow: "NUL.tar.gz"`},
		{"reserved wide", tgz(file("ＣＯＭ1")), `changes when Unicode is normalised`},
		{"wide slash", tgz(file("a／..／b")), `changes when Unicode is normalised`},
		{"wide dots", tgz(file("‥/b")), `changes when Unicode is normalised`},
		{"trailing dot", tgz(file("a./b")), `Windows does not allow: "a."`},
		{"trailing space", tgz(file("a ")), `Windows does not allow: "a "`},
		{"no name", tgz(file("")), `path is empty`},
		{"unsafe folder", tgz(file("a"), tarHdr{name: "../d/", kind: '5'}), `unsafe entry "../d/"`},
		{"duplicate", tgz(file("a"), file("a")), `unsafe entry "a": "a" appears twice`},
		{"duplicate with ./", tgz(file("a"), file("./a")), `unsafe entry "./a": "a" appears twice`},
		{"file and folder", tgz(file("a"), file("a/b")), `unsafe entry "a/b": "a" is both a file and a folder`},
		{"folder and file", tgz(file("a/b"), file("a")), `"a" is both a file and a folder`},
		{"folder entry and file", tgz(tarHdr{name: "a/", kind: '5'}, file("a")), `"a" is both a file and a folder`},
		{"case", tgz(file("README"), file("readme")), `unsafe entry "readme": its path collides with "README"`},
		{"case of a folder", tgz(file("Lib/a"), file("lib/b")), `collides with "Lib"`},
		{"NFC and NFD", tgz(file("caf\u00e9"), file("cafe\u0301")), `collides with "café"`},
		{"ligature", tgz(file("\ufb01le"), file("file")), `collides with`},
		{"sharp s", tgz(file("stra\u00dfe"), file("STRASSE")), `collides with "straße"`},
		{"capital sharp s", tgz(file("stra\u1e9ee"), file("strasse")), `collides with`},
		{"Kelvin sign", tgz(file("\u212a"), file("k")), `collides with`},
		{"long s", tgz(file("\u017fh"), file("sh")), `collides with`},
		{"invisible", tgz(file("a\u200cb"), file("ab")), `collides with`},
		{"symlink", tgz(tarHdr{name: "l", kind: '2', link: "a"}), `unsafe entry "l": a symbolic link is not allowed in a package`},
		{"symlink out", tgz(tarHdr{name: "l", kind: '2', link: "../../etc"}, file("l/x")), `unsafe entry "l": a symbolic link`},
		{"hard link", tgz(file("a"), tarHdr{name: "h", kind: '1', link: "a"}), `unsafe entry "h": a hard link is not allowed`},
		{"character device", tgz(tarHdr{name: "c", kind: '3'}), `unsafe entry "c": a character device is not allowed`},
		{"block device", tgz(tarHdr{name: "b", kind: '4'}), `a block device is not allowed`},
		{"pipe", tgz(tarHdr{name: "p", kind: '6'}), `unsafe entry "p": a pipe is not allowed`},
		{"contiguous", tgz(tarHdr{name: "p", kind: '7'}), `a contiguous file is not allowed`},
		{"old sparse", tgz(tarHdr{name: "s", kind: 'S', magic: "ustar  \x00"}), `unsafe entry "s": a sparse file is not allowed`},
		{"multi-volume", tgz(tarHdr{name: "s", kind: 'M', magic: "ustar  \x00"}), `the unknown type 'M'`},
		{"GNU long link for nothing", tgz(tarHdr{name: "././@LongLink", kind: 'K', body: "x\x00"}), `an extended header is the last thing in the tar`},
		{"GNU long link of a file", tgz(tarHdr{name: "././@LongLink", kind: 'K', body: "x\x00"}, file("a")), `a long link target for an entry that is not a link`},
		{"GNU long link twice", tgz(tarHdr{name: "././@LongLink", kind: 'K', body: "x\x00"}, tarHdr{name: "././@LongLink", kind: 'K', body: "x\x00"}, file("a")), `two extended headers in a row`},
		{"pax mode", tgz(pax('x', "mode=511"), file("s")), `the unknown pax record "mode" is not allowed`},
		{"pax type", tgz(pax('x', "type=SymbolicLink"), file("s")), `the unknown pax record "type" is not allowed`},
		{"pax without a maker", tgz(pax('x', ".mode=511"), file("s")), `the unknown pax record ".mode"`},
		{"global mode", tgz(pax('g', "mode=511"), file("s")), `the unknown pax record "mode" is not allowed`},
		{"Solaris extended", tgz(tarHdr{name: "s", kind: 'X'}), `the unknown type 'X'`},
		{"sparse pax", tgz(pax('x', "GNU.sparse.major=1", "GNU.sparse.minor=0"), file("s")), `a sparse file (pax record "GNU.sparse.major")`},
		{"sparse name", tgz(pax('x', "GNU.sparse.name=../evil"), file("s")), `a sparse file (pax record "GNU.sparse.name")`},
		{"star sparse", tgz(pax('x', "SCHILY.realsize=9"), file("s")), `a sparse file (pax record "SCHILY.realsize")`},
		{"pax size larger", tgz(pax('x', "size=1024"), file("s")), `unsafe entry "s": its pax header says size 1024, its tar header says 5`},
		{"pax size zero", tgz(pax('x', "size=0"), tarHdr{name: "outer.tar", body: string(tarOf(file("hidden")))}), `its pax header says size 0`},
		{"pax size odd", tgz(pax('x', "size=05"), file("s")), `its pax header says size 05`},
		{"pax path out", tgz(pax('x', "path=../evil"), file("s")), `unsafe entry "../evil"`},
		{"pax path NUL", tgz(pax('x', "path=ok\x00../evil"), file("s")), `the pax record "path" is empty or has a NUL`},
		{"pax path empty", tgz(pax('x', "path="), file("s")), `the pax record "path" is empty or has a NUL`},
		{"pax twice", tgz(pax('x', "path=a", "path=b"), file("s")), `the pax record "path" appears twice`},
		{"pax charset", tgz(pax('x', "hdrcharset=BINARY"), file("s")), `the pax record "hdrcharset" is not allowed`},
		{"two pax headers", tgz(pax('x', "path=a"), pax('x', "path=b"), file("s")), `two extended headers in a row`},
		{"pax and long name", tgz(pax('x', "path=a"), tarHdr{name: "././@LongLink", kind: 'L', body: "b\x00"}, file("s")), `two extended headers in a row`},
		{"pax for nothing", tgz(file("a"), pax('x', "path=b")), `an extended header is the last thing in the tar`},
		{"pax malformed", tgz(tarHdr{name: "P", kind: 'x', body: "99 path=a\n"}, file("s")), `a malformed pax record`},
		{"pax without newline", tgz(tarHdr{name: "P", kind: 'x', body: "10 path=abX"}, file("s")), `a malformed pax record`},
		{"pax length with zero", tgz(tarHdr{name: "P", kind: 'x', body: "010 path=a\n"}, file("s")), `a malformed pax record`},
		{"huge pax header", tgz(tarHdr{name: "P", kind: 'x', body: strings.Repeat("x", 2<<20)}, file("s")), `an extended header of 2097152 bytes`},
		{"global path", tgz(pax('g', "path=evil"), file("s")), `the global pax record "path" is not allowed`},
		{"global size", tgz(pax('g', "size=0"), file("s")), `the global pax record "size" is not allowed`},
		{"global sparse", tgz(pax('g', "GNU.sparse.size=0"), file("s")), `the global pax record "GNU.sparse.size"`},
		{"long name NUL", tgz(tarHdr{name: "././@LongLink", kind: 'L', body: "ok\x00/../evil\x00"}, file("s")), `a long name that is empty or has a NUL`},
		{"long name out", tgz(tarHdr{name: "././@LongLink", kind: 'L', body: "../evil\x00", magic: "ustar  \x00"}, tarHdr{name: "s", magic: "ustar  \x00"}), `unsafe entry "../evil"`},
		{"long name 64 KiB", tgz(tarHdr{name: "././@LongLink", kind: 'L', body: strings.Repeat("n", 65536) + "\x00"}, file("s")), `its path has 65536 bytes, more than 1024`},
		{"long part", tgz(tarHdr{name: strings.Repeat("n", 100), prefix: strings.Repeat("p", 155)}, pax('x', "path="+strings.Repeat("n", 256)), file("s")), `a part of its path has 256 bytes`},
		{"deep path", tgz(pax('x', "path="+deep), file("s")), `its path has 71 parts, more than 64`},
		{"prefix out", tgz(tarHdr{name: "evil", prefix: "../.."}), `unsafe entry "../../evil"`},
		{"negative size", tgz(tarHdr{name: "s", size: "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"}), `its size is not an octal number`},
		{"minus size", tgz(tarHdr{name: "s", size: "-0000000001"}), `its size is not an octal number`},
		{"base-256 size", tgz(tarHdr{name: "s", size: "\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"}), `its size is not an octal number`},
		{"huge size", tgz(tarHdr{name: "s", size: "77777777777"}), `exceed the limit of`},
		{"size past the end", tgz(tarHdr{name: "s", size: "00000010000"}), `unsafe entry "s": it has`},
		{"bad mode", tgz(tarHdr{name: "s", mode: "999"}), `its mode is not an octal number: "999"`},
		{"checksum", tgz(tarHdr{name: "s", badSum: true}), `tar header "s": its checksum is wrong`},
		{"dialect", tgz(tarHdr{name: "s", magic: "ustaR\x0000"}), `an unknown tar dialect`},
		{"file with slash", tgz(file("a/")), `a file whose name ends in a slash`},
		{"folder with content", tgz(tarHdr{name: "d/", kind: '5', body: "x"}), `a folder with 1 bytes of content`},
		{"old folder with content", tgz(tarHdr{name: "d/", kind: 'n', body: "x"}), `a folder with 1 bytes of content`},
		{"zeros in the middle", gz(hole), `bytes follow the end of the tar`},
		{"bytes after the tar", gz(append(tarOf(file("a")), 'x')), `bytes follow the end of the tar`},
		{"torn padding", gz(append(tarOf(file("a")), 0)), `the tar does not end at the end of a block`},
		{"torn header", gz(tarOf(file("a"))[:700]), ``},
		{"trailing garbage", append(tgz(file("a")), "junk"...), `bytes follow the end of the gzip data`},
		{"trailing zeros", append(tgz(file("a")), 0, 0, 0), `bytes follow the end of the gzip data`},
		{"second member", append(tgz(file("a")), tgz(file("b"))...), `a second gzip member follows the first`},
		{"reserved flags of gzip", func() []byte { b := tgz(file("a")); b[3] |= 0x20; return b }(), `reserved flags 0x20`},
		{"all reserved flags of gzip", func() []byte { b := tgz(file("a")); b[3] |= 0xe0; return b }(), `reserved flags 0xe0`},
		{"bad crc", badCRC, `checksum`},
		{"flipped data", badData, ``},
		{"cut", cut[:len(cut)-9], `it is cut short`},
		{"cut trailer", cut[:len(cut)-4], `it is cut short`},
		{"cut header", cut[:5], `it is cut short`},
		{"empty file", nil, `not a gzip file`},
		{"empty archive", tgz(), `the archive has no files`},
		{"only folders", tgz(tarHdr{name: "d/", kind: '5'}), `the archive has no files`},
		{"zip as tar.gz", zipOf(zipEnt{name: "a", body: "x"}), `not a gzip file: it looks like a zip`},
		{"HTML", []byte("<!doctype html>"), `it looks like HTML`},
	} {
		t.Run(tt.what, func(t *testing.T) {
			row(t)
			f := tempArchive(t, tt.data)
			files, _, err := unpackInJail(t, f, Options{Format: "tar.gz"}, defaultLimits)
			checkRefused(t, files, err, tt.want)
			if _, scan := Unpack(context.Background(), f, "", Options{Format: "tar.gz"}); scan == nil || err != nil && scan.Error() != err.Error() {
				t.Errorf("scanning says %v, unpacking %v", scan, err)
			}
		})
	}
}

func checkRefused(t *testing.T, files []File, err error, want string) {
	t.Helper()
	if err == nil {
		t.Fatalf("accepted, with %d files", len(files))
	}
	if fault.Of(err) != fault.Integrity {
		t.Errorf("class %v of %v, expected integrity", fault.Of(err), err)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("message %q, expected %q in it", err, want)
	}
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' }) {
		t.Errorf("message %q holds a control character", err)
	}
}

func TestHostileZip(t *testing.T) {
	row := testenv.Rows(t, "an archive written byte by byte, right, hostile or damaged: taken, or refused for its reason; nothing outside", "hostile zip")
	a := zipEnt{name: "a", body: "hello"}
	d := zipEnt{name: "d", body: strings.Repeat("hello", 100), method: zip.Deflate}
	with := func(e zipEnt, f func(*zipEnt)) zipEnt { f(&e); return e }
	desc := func(e zipEnt, sig bool, crc, csize, usize uint32) string {
		b := []byte{}
		if sig {
			b = append(b, "PK\x07\x08"...)
		}
		for _, v := range []uint32{crc, csize, usize} {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		return string(b)
	}
	crc := crc32.ChecksumIEEE([]byte("hello"))
	hello := zipEnt{name: "a", body: "hello", method: zip.Deflate}
	csize := uint32(len(deflated("hello")))
	good := zipOf(a)
	up := func(name string) string {
		return string(binary.LittleEndian.AppendUint32([]byte{1}, crc32.ChecksumIEEE([]byte("a")))) + name
	}
	for _, tt := range []struct {
		what string
		data []byte
		want string
	}{
		{"parent", zipOf(zipEnt{name: "../evil"}), `unsafe entry "../evil"`},
		{"absolute", zipOf(zipEnt{name: "/evil"}), `is absolute`},
		{"backslash", zipOf(zipEnt{name: `..\evil`}), `has the character '\\'`},
		{"drive", zipOf(zipEnt{name: `C:evil`}), `has the character ':'`},
		{"NUL", zipOf(zipEnt{name: "a\x00b"}), `has the character '\x00'`},
		{"not UTF-8", zipOf(zipEnt{name: "a\xff", flags: 0x800}), `not UTF-8`},
		{"code page", zipOf(zipEnt{name: "é"}), `unsafe entry "é": its name may be in UTF-8 or in code page 437`},
		{"unsafe folder", zipOf(a, zipEnt{name: "../d/", mode: 0o040755}), `unsafe entry "../d/"`},
		{"duplicate", zipOf(a, a), `"a" appears twice`},
		{"file and folder", zipOf(a, zipEnt{name: "a/b"}), `"a" is both a file and a folder`},
		{"case", zipOf(a, zipEnt{name: "A"}), `collides with "a"`},
		{"symlink", zipOf(zipEnt{name: "l", body: "a", mode: 0o120777}), `unsafe entry "l": a symbolic link is not allowed`},
		{"symlink of DOS", zipOf(zipEnt{name: "l", body: "a", mode: 0o120777, maker: 255}), `a symbolic link is not allowed`},
		{"pipe", zipOf(zipEnt{name: "p", mode: 0o010644}), `unsafe entry "p": neither a file nor a folder`},
		{"device", zipOf(zipEnt{name: "p", mode: 0o060644}), `neither a file nor a folder`},
		{"folder by mode", zipOf(zipEnt{name: "p", mode: 0o040755}), `its mode says folder, its name says file`},
		{"folder with content", zipOf(zipEnt{name: "p/", body: "x"}), `a folder with 1 bytes of content`},
		{"encrypted", zipOf(zipEnt{name: "p", flags: 1}), `unsafe entry "p": it is encrypted`},
		{"strongly encrypted", zipOf(zipEnt{name: "p", flags: 0x40}), `it is encrypted`},
		{"AES", zipOf(zipEnt{name: "p", extra: extra(0x9901, "\x02\x00AE\x03\x00\x00")}), `it is encrypted`},
		{"masked headers", zipOf(zipEnt{name: "p", flags: 0x2000}), `it is encrypted`},
		{"patched data", zipOf(zipEnt{name: "p", flags: 0x20}), `unknown flags 0x0020`},
		{"method", zipOf(zipEnt{name: "p", method: 93}), `compression method 93`},
		{"version", zipOf(with(a, func(e *zipEnt) { e.dir = put16(6, 64) })), `it needs version 6.4 of the format`},
		{"stored sizes", zipOf(zipEnt{name: "p", body: "abc", usize: 2}), `it is stored, but has 2 bytes for 3`},
		{"local name", zipOf(zipEnt{name: "good", localName: "evil"}), `unsafe entry "good": its local header has the name "evil"`},
		{"local method", zipOf(with(a, func(e *zipEnt) { e.local = put16(8, 8) })), `its local header has method 8, the directory has 0`},
		{"local flags", zipOf(with(a, func(e *zipEnt) { e.local = put16(6, 0x800) })), `its local header has flags 0x0800`},
		{"local size", zipOf(with(a, func(e *zipEnt) { e.local = put32(22, 4) })), `its local header says 4 bytes from 5, the directory says 5 from 5`},
		{"local compressed size", zipOf(with(d, func(e *zipEnt) { e.local = put32(18, 4) })), `its local header says 500 bytes from 4`},
		{"local crc", zipOf(with(a, func(e *zipEnt) { e.local = put32(14, 4) })), `its local header says crc 00000004`},
		{"no local header", zipOf(with(a, func(e *zipEnt) { e.local = put16(0, 0) })), `no local header where the directory says`},
		{"local extra too long", zipOf(with(a, func(e *zipEnt) { e.local = put16(28, 60000) })), `its local header overlaps what follows`},
		{"crc", zipOf(with(a, func(e *zipEnt) { e.dir, e.local = put32(16, 4), put32(14, 4) })), `its content has crc`},
		{"lying size", zipOf(with(d, func(e *zipEnt) { e.usize = 100 })), `it has more than the 100 bytes that its header says`},
		{"lying size up", zipOf(with(d, func(e *zipEnt) { e.usize = 1000 })), `it has 500 bytes, its header says 1000`},
		{"bytes in the data", zipOf(with(d, func(e *zipEnt) { e.raw = append(deflated(e.body), "hidden"...) })), `bytes follow the end of its compressed data`},
		{"bad deflate", zipOf(with(d, func(e *zipEnt) { e.raw = []byte("\xff\xff\xff\xff") })), `entry "d"`},
		{"cut deflate", zipOf(with(d, func(e *zipEnt) { e.raw = deflated(e.body)[:4] })), `it is cut short`},
		{"prefix", zipOf(with(a, func(e *zipEnt) { e.before = "#!/bin/sh\n" })), `10 bytes before it belong to no entry`},
		{"moved prefix", append([]byte("#!/bin/sh\n"), good...), `does not end at its end record`},
		{"gap", zipOf(a, with(d, func(e *zipEnt) { e.before = "gap" })), `3 bytes after it belong to no entry`},
		{"gap before the directory", zipOf(with(a, func(e *zipEnt) { e.after = "gap" })), `3 bytes after it belong to no entry`},
		{"gap after the directory", zipFile{ents: []zipEnt{a}, gap: "gap"}.bytes(), `does not end at its end record`},
		{"suffix", zipFile{ents: []zipEnt{a}, tail: "x"}.bytes(), `bytes after its end record`},
		{"suffix zip", append(bytes.Clone(good), good...), `does not end at its end record`},
		{"second end record in the comment", zipFile{ents: []zipEnt{a}, comment: string(good[len(good)-22:])}.bytes(), `two end records`},
		{"end record in the comment", zipFile{ents: []zipEnt{a}, comment: "PK\x05\x06"}.bytes(), `two end records`},
		{"overlap", zipOf(d, with(d, func(e *zipEnt) { e.name, e.dir = "e", put32(42, 0) })), `overlaps what follows`},
		{"overlap inside", zipOf(d, with(d, func(e *zipEnt) { e.name, e.dir = "e", put32(42, 1) })), `overlaps what follows`},
		{"offset behind the directory", zipOf(a, with(a, func(e *zipEnt) { e.name, e.dir = "b", put32(42, 1<<20) })), `unsafe entry "b": its local header is not before the directory`},
		{"offset behind the file", zipOf(a, with(a, func(e *zipEnt) { e.name, e.dir = "b", put32(42, 0xfffffffe) })), `unsafe entry "b": its local header is not before the directory`},
		{"overlap within", zipOf(with(d, func(e *zipEnt) { e.dir = put32(20, 5000); e.local = put32(18, 5000) })), `its content overlaps what follows`},
		{"count", zipFile{ents: []zipEnt{a}, end: func(e []byte) { put16(8, 2)(e); put16(10, 2)(e) }}.bytes(), `the zip has 1 entries, its end record says 2`},
		{"split", zipFile{ents: []zipEnt{a}, end: func(e []byte) { put16(4, 1)(e); put16(6, 1)(e) }}.bytes(), `split over several disks`},
		{"on another disk", zipOf(with(a, func(e *zipEnt) { e.dir = put16(34, 1) })), `it is on another disk`},
		{"directory size", zipFile{ents: []zipEnt{a}, end: put32(12, 1<<30)}.bytes(), `the directory of the zip has 1073741824 bytes`},
		{"zip64 without its record", zipFile{ents: []zipEnt{a}, end: put32(12, 0xffffffff)}.bytes(), `the zip64 end record is missing`},
		{"zip64 disagrees", zipFile{ents: []zipEnt{a}, zip64: true, end: func(e []byte) { put16(8, 2)(e); put16(10, 2)(e) }}.bytes(), `disagree`},
		{"zip64 extra missing", zipOf(with(a, func(e *zipEnt) { e.dir = put32(24, 0xffffffff) })), `its zip64 extra field is too short or missing`},
		{"zip64 extra disagrees", zipOf(with(a, func(e *zipEnt) { e.central = extra(1, "\x06\x00\x00\x00\x00\x00\x00\x00") })), `its header says 5, its zip64 extra field says 6`},
		{"zip64 extra too long", zipOf(with(a, func(e *zipEnt) {
			e.central = extra(1, strings.Repeat("\x05\x00\x00\x00\x00\x00\x00\x00", 2)+strings.Repeat("\x00", 20))
		})), `its zip64 extra field is too long`},
		{"zip64 extra twice", zipOf(with(a, func(e *zipEnt) { e.central = append(extra(1, ""), extra(1, "")...) })), `two zip64 extra fields`},
		{"extra malformed", zipOf(with(a, func(e *zipEnt) { e.central = []byte("\x01\x00\xff\x00") })), `a malformed extra field`},
		{"unicode path", zipOf(with(a, func(e *zipEnt) { e.extra = extra(0x7075, up("../evil")) })), `its Unicode path extra field has another name`},
		{"unicode path crc", zipOf(with(a, func(e *zipEnt) { e.extra = extra(0x7075, "\x01\x00\x00\x00\x00a") })), `its Unicode path extra field has another name`},
		{"stored with a descriptor", zipOf(with(a, func(e *zipEnt) { e.flags, e.after = 8, desc(*e, true, crc, 5, 5) })), `it is stored with a data descriptor`},
		{"folder by attributes of DOS", zipOf(with(a, func(e *zipEnt) { e.maker, e.mode, e.dir = 255, 0o100644, func(b []byte) { b[38] |= 0x10 } })), `its attributes say folder`},
		{"folder with hidden bytes", zipOf(zipEnt{name: "p/", mode: 0o040755, method: zip.Deflate, raw: []byte("\x03\x00hidden")}), `a folder with 8 bytes of compressed content`},
		{"link by an extra field", zipOf(with(a, func(e *zipEnt) {
			e.extra = extra(0x756e, "\x00\x00\x00\x00\xff\xa1"+"\x04\x00\x00\x00\x00\x00\x00\x00evil")
		})), `makes it a link`},
		{"link by an extra field of Unix", zipOf(with(a, func(e *zipEnt) { e.extra = extra(0x000d, strings.Repeat("\x00", 12)+"evil") })), `makes it a link`},
		{"descriptor missing", zipOf(with(hello, func(e *zipEnt) { e.flags = 8 })), `its data descriptor disagrees`},
		{"descriptor crc", zipOf(with(hello, func(e *zipEnt) { e.flags, e.after = 8, desc(*e, true, 1, csize, 5) })), `its data descriptor disagrees`},
		{"descriptor size", zipOf(with(hello, func(e *zipEnt) { e.flags, e.after = 8, desc(*e, false, crc, 5, 6) })), `its data descriptor disagrees`},
		{"descriptor and gap", zipOf(with(hello, func(e *zipEnt) { e.flags, e.after = 8, desc(*e, true, crc, csize, 5)+"gap" })), `its data descriptor disagrees`},
		{"cut", good[:len(good)-1], `end record`},
		{"empty file", nil, `not a zip file, or cut short`},
		{"empty zip", zipOf(), `no file`},
		{"tar.gz as zip", tgz(file("a")), `not a zip file, or cut short: no end record; it looks like gzip`},
		{"directory malformed", zipOf(with(a, func(e *zipEnt) { e.dir = put16(0, 0) })), `directory of the zip is malformed`},
	} {
		t.Run(tt.what, func(t *testing.T) {
			row(t)
			f := tempArchive(t, tt.data)
			files, _, err := unpackInJail(t, f, Options{Format: "zip"}, defaultLimits)
			if tt.what == "empty zip" && err != nil && strings.Contains(err.Error(), "the zip has no entry") {
				return
			}
			checkRefused(t, files, err, tt.want)
		})
	}
}

// TestUnpackAccepts has what is unusual and right.
func TestUnpackAccepts(t *testing.T) {
	row := testenv.Rows(t, "an archive written byte by byte, right, hostile or damaged: taken, or refused for its reason; nothing outside", "unusual, and right")
	gnu := "ustar  \x00"
	a := zipEnt{name: "a", body: "hello"}
	crc := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte("hello")))
	five, five64 := "\x05\x00\x00\x00", "\x05\x00\x00\x00\x00\x00\x00\x00"
	packed := string(binary.LittleEndian.AppendUint32(nil, uint32(len(deflated("hello")))))
	packed64 := packed + "\x00\x00\x00\x00"
	later := func(after string) zipEnt {
		return zipEnt{name: "a", body: "hello", method: zip.Deflate, flags: 8, after: after, local: func(b []byte) { clear(b[14:26]) }}
	}
	innerZip := string(zipOf(a))
	for _, tt := range []struct {
		what string
		o    Options
		data []byte
		want string // PATH:flag …
	}{
		{"plain", Options{}, tgz(file("a")), "a:-"},
		{"executable", Options{}, tgz(tarHdr{name: "a", mode: "0000755"}), "a:x"},
		{"executable by others only", Options{}, tgz(tarHdr{name: "a", mode: "0000001"}), "a:x"},
		{"setuid dropped", Options{}, tgz(tarHdr{name: "a", mode: "0006755"}), "a:x"},
		{"sticky dropped", Options{}, tgz(tarHdr{name: "a", mode: "0001644"}), "a:-"},
		{"folder entries", Options{}, tgz(tarHdr{name: "d/", kind: '5'}, tarHdr{name: "d/", kind: '5'}, file("d/a"), tarHdr{name: "empty", kind: '5'}), "d/a:-"},
		{"dot slash", Options{}, tgz(tarHdr{name: "./", kind: '5'}, file("./d/a")), "d/a:-"},
		{"folder after its file", Options{}, tgz(file("d/a"), tarHdr{name: "d/", kind: '5'}), "d/a:-"},
		{"old folder", Options{}, tgz(tarHdr{name: "d/", kind: 'n'}, tarHdr{name: "d/a", kind: 'n', body: "x"}), "d/a:-"},
		{"v7", Options{}, tgz(tarHdr{name: "a", kind: 'n', magic: strings.Repeat("\x00", 8)}), "a:-"},
		{"git archive", Options{StripTop: true}, tgz(pax('g', "comment=0123456789abcdef0123456789abcdef01234567"), tarHdr{name: "p/", kind: '5'}, file("p/a")), "a:-"},
		{"go module", Options{StripPrefix: "example.com/m@v1.0.0"}, tgz(tarHdr{name: "example.com/", kind: '5'}, tarHdr{name: "example.com/m@v1.0.0/", kind: '5'}, file("example.com/m@v1.0.0/go.mod"), file("example.com/m@v1.0.0/d/a.go")), "d/a.go:- go.mod:-"},
		{"npm", Options{StripTop: true, Prefix: "node_modules/@s/p"}, tgz(file("package/package.json"), file("package/bin/x")), "node_modules/@s/p/bin/x:- node_modules/@s/p/package.json:-"},
		{"pax path", Options{}, tgz(pax('x', "path=long/a", "mtime=1.5", "size=5"), file("a")), "long/a:-"},
		{"pax of node-tar", Options{}, tgz(pax('x', "NODETAR.depth=1", "ctime=1", "path=long/a"), file("a")), "long/a:-"},
		{"GNU long name", Options{}, tgz(tarHdr{name: "././@LongLink", kind: 'L', body: strings.Repeat("n", 120) + "\x00", magic: gnu}, tarHdr{name: "nnn", magic: gnu}), strings.Repeat("n", 120) + ":-"},
		{"ustar prefix", Options{}, tgz(tarHdr{name: "a", prefix: "very/long"}), "very/long/a:-"},
		{"no zero blocks", Options{}, gz(file("a").bytes()), "a:-"},
		{"much padding", Options{}, gz(append(tarOf(file("a")), make([]byte, 10240)...)), "a:-"},
		{"unicode", Options{}, tgz(file("naïve/日本語？.md"), file("naïve/straße")), "naïve/straße:- naïve/日本語？.md:-"},
		{"gzip header with name", Options{}, gzNamed(tarOf(file("a"))), "a:-"},

		{"zip", Options{Format: "zip"}, zipOf(a), "a:-"},
		{"zip executable", Options{Format: "zip"}, zipOf(zipEnt{name: "a", mode: 0o100755}), "a:x"},
		{"zip executable of DOS", Options{Format: "zip"}, zipOf(zipEnt{name: "a", mode: 0o100755, maker: 255}), "a:-"},
		{"zip setuid", Options{Format: "zip"}, zipOf(zipEnt{name: "a", mode: 0o106755}), "a:x"},
		{"zip mode without type", Options{Format: "zip"}, zipOf(zipEnt{name: "a", mode: 0o600}), "a:-"},
		{"zip folder", Options{Format: "zip"}, zipOf(zipEnt{name: "d/", mode: 0o040755}, zipEnt{name: "d/a"}), "d/a:-"},
		{"zip deflated", Options{Format: "zip"}, zipOf(zipEnt{name: "a", body: "hello", method: zip.Deflate}), "a:-"},
		{"zip UTF-8", Options{Format: "zip"}, zipOf(zipEnt{name: "é", flags: 0x800}), "é:-"},
		{"zip unicode path", Options{Format: "zip"}, zipOf(zipEnt{name: "é", extra: extra(0x7075, string(binary.LittleEndian.AppendUint32([]byte{1}, crc32.ChecksumIEEE([]byte("é"))))+"é")}), "é:-"},
		{"zip comment", Options{Format: "zip"}, zipFile{ents: []zipEnt{a}, comment: "0123456789abcdef"}.bytes(), "a:-"},
		{"zip64 end", Options{Format: "zip"}, zipFile{ents: []zipEnt{a}, zip64: true}.bytes(), "a:-"},
		{"zip64 extra as protobuf's wheel has it", Options{Format: "zip"}, zipOf(zipEnt{name: "a", body: "hello", central: extra(1, five64+five64)}), "a:-"},
		{"zip64 sizes", Options{Format: "zip"}, zipOf(zipEnt{name: "a", body: "hello", extra: extra(1, five64+five64), local: func(b []byte) { put32(18, 0xffffffff)(b); put32(22, 0xffffffff)(b) }, dir: func(b []byte) { put32(20, 0xffffffff)(b); put32(24, 0xffffffff)(b) }}), "a:-"},
		{"zip descriptor", Options{Format: "zip"}, zipOf(later("PK\x07\x08"+string(crc)+packed+five), zipEnt{name: "b"}), "a:- b:-"},
		{"zip bare descriptor", Options{Format: "zip"}, zipOf(later(string(crc) + packed + five)), "a:-"},
		{"zip64 descriptor", Options{Format: "zip"}, zipOf(later("PK\x07\x08" + string(crc) + packed64 + five64)), "a:-"},
		{"zip64 bare descriptor", Options{Format: "zip"}, zipOf(later(string(crc) + packed64 + five64)), "a:-"},
		{"zip with zips stored", Options{Format: "zip"}, zipOf(zipEnt{name: "x.zip", body: innerZip}, zipEnt{name: "y.zip", body: innerZip}), "x.zip:- y.zip:-"},
		{"zip padded by zipalign", Options{Format: "zip"}, zipOf(zipEnt{name: "a", extra: []byte{0, 0, 0}}), "a:-"},

		{"raw", Options{Format: "raw", RawName: "bin/tool"}, []byte("#!"), "bin/tool:x"},
		{"Exec", Options{Exec: func(p string) bool { return p == "bin/b" }}, tgz(file("bin/b"), file("a")), "a:- bin/b:x"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			row(t)
			if tt.o.Format == "" {
				tt.o.Format = "tar.gz"
			}
			files, dst, err := unpackInJail(t, tempArchive(t, tt.data), tt.o, defaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range files {
				got = append(got, f.Path+":"+f.Flag())
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, expected %s", s, tt.want)
			}
			onDisk, err := HashDir(context.Background(), dst, nil)
			if err != nil {
				t.Fatal(err)
			}
			if d := Diff(files, onDisk); d != "" {
				t.Errorf("on the disk: %s", d)
			}
			if runtime.GOOS != "windows" {
				for _, f := range files {
					info, err := os.Stat(filepath.Join(dst, f.Path))
					want := fs.FileMode(0o644)
					if f.Exec {
						want = 0o755
					}
					if err != nil || info.Mode().Perm()|0o022 != want|0o022 || info.Mode()&fs.ModeType != 0 {
						t.Errorf("%s: mode %v, %v", f.Path, info.Mode(), err)
					}
				}
			}
		})
	}
}

func TestUnpackOptions(t *testing.T) {
	ctx := context.Background()
	for _, tt := range []struct {
		what string
		o    Options
		data []byte
		want string
	}{
		{"beside the top", Options{Format: "tar.gz", StripTop: true}, tgz(file("package/a"), file("b")), `unsafe entry "b": it is beside the top folder, not in it`},
		{"two tops", Options{Format: "tar.gz", StripTop: true}, tgz(file("package/a"), file("evil/b")), `unsafe entry "evil/b": it is outside the top folder "package"`},
		{"beside the prefix", Options{Format: "tar.gz", StripPrefix: "m@v1"}, tgz(file("m@v1/a"), file("m@v1.0/b")), `unsafe entry "m@v1.0/b": it is outside the folder "m@v1"`},
		{"above the prefix", Options{Format: "tar.gz", StripPrefix: "e/m@v1"}, tgz(file("e/a")), `unsafe entry "e/a": it is outside the folder "e/m@v1"`},
		{"folder beside the prefix", Options{Format: "tar.gz", StripPrefix: "e/m@v1"}, tgz(tarHdr{name: "e/n/", kind: '5'}), `unsafe entry "e/n/": it is outside`},
		{"file instead of the prefix", Options{Format: "tar.gz", StripPrefix: "e/m@v1"}, tgz(file("e/m@v1")), `unsafe entry "e/m@v1": it is outside`},
		{"file above the prefix", Options{Format: "tar.gz", StripPrefix: "e/m@v1"}, tgz(file("e")), `unsafe entry "e": it is outside`},
		{"top is parent", Options{Format: "tar.gz", StripTop: true}, tgz(file("../a")), `unsafe entry "../a"`},
		{"prefix too deep", Options{Format: "tar.gz", Prefix: strings.Repeat("p/", 63) + "p"}, tgz(file("a")), `its path has 65 parts`},
		{"raw name", Options{Format: "raw", RawName: "../x"}, []byte("x"), `unsafe entry "../x"`},
	} {
		t.Run(tt.what, func(t *testing.T) {
			files, _, err := unpackInJail(t, tempArchive(t, tt.data), tt.o, defaultLimits)
			checkRefused(t, files, err, tt.want)
		})
	}
	if _, err := Unpack(ctx, tempArchive(t, tgz(file("a"))), "", Options{Format: "rar"}); fault.Of(err) != fault.Internal {
		t.Errorf("unknown format: %v", err)
	}

	// Tap and Exec together: an npm package whose bin is in its package.json.
	var manifest bytes.Buffer
	f := tempArchive(t, tgz(file("package/bin/x"), tarHdr{name: "package/package.json", body: `bin/x`}))
	files, err := Unpack(ctx, f, t.TempDir(), Options{Format: "tar.gz", StripTop: true,
		Tap: func(p string) io.Writer {
			if p == "package.json" {
				return &manifest
			}
			return nil
		},
		Exec: func(p string) bool { return p == manifest.String() },
	})
	if err != nil || len(files) != 2 || !files[0].Exec || files[1].Exec {
		t.Errorf("got %v, %v", files, err)
	}

	// Two archives with one file do not overwrite each other.
	dst := t.TempDir()
	f = tempArchive(t, tgz(file("a")))
	if _, err := Unpack(ctx, f, dst, Options{Format: "tar.gz"}); err != nil {
		t.Fatal(err)
	}
	if _, err := Unpack(ctx, f, dst, Options{Format: "tar.gz"}); fault.Of(err) != fault.Integrity || !strings.Contains(fmt.Sprint(err), `unsafe entry "a": "a" already exists`) {
		t.Errorf("second archive with the same file: %v", err)
	}
	// A link that somebody put into dst is not followed out of it.
	if runtime.GOOS != "windows" {
		out := t.TempDir()
		dst := t.TempDir()
		if err := os.Symlink(out, filepath.Join(dst, "d")); err != nil {
			t.Fatal(err)
		}
		if _, err := Unpack(ctx, tempArchive(t, tgz(file("d/a"))), dst, Options{Format: "tar.gz"}); err == nil {
			t.Error("wrote through a symbolic link")
		}
		if left, _ := os.ReadDir(out); len(left) != 0 {
			t.Errorf("escaped: %v", left)
		}
	}
	if _, err := Unpack(ctx, f, filepath.Join(dst, "missing"), Options{Format: "tar.gz"}); fault.Of(err) != fault.Machine {
		t.Errorf("missing dst: %v", err)
	}
}

func TestUnpackLimits(t *testing.T) {
	small := limits{entries: 5, total: 64 << 10, ratio: 20, ratioFrom: 8 << 10}
	many := make([]tarHdr, 6)
	manyZip := make([]zipEnt, 6)
	for i := range many {
		many[i] = file(fmt.Sprint("f", i))
		manyZip[i] = zipEnt{name: fmt.Sprint("f", i)}
	}
	noise := func(n int) string { // does not compress
		b, x := make([]byte, n), uint32(1)
		for i := range b {
			x = x*1664525 + 1013904223
			b[i] = byte(x >> 24)
		}
		return string(b)
	}
	zeros := strings.Repeat("\x00", 60<<10)
	for _, tt := range []struct {
		what, format string
		data         []byte
		want         string
	}{
		{"entries of a tar", "tar.gz", tgz(many...), "the archive has more than 5 entries"},
		{"entries of a zip", "zip", zipOf(manyZip...), "the archive has more than 5 entries"},
		{"bytes of a tar", "tar.gz", tgz(tarHdr{name: "a", body: noise(40 << 10)}, tarHdr{name: "b", body: noise(40 << 10)}), `exceed the limit of 65536 bytes`},
		{"bytes of a zip", "zip", zipOf(zipEnt{name: "a", body: noise(40 << 10)}, zipEnt{name: "b", body: noise(40 << 10)}), "the archive unpacks to more than 65536 bytes"},
		{"ratio of a tar", "tar.gz", tgz(tarHdr{name: "a", body: zeros}), "the archive unpacks to more than 20 times its size"},
		{"ratio of a zip", "zip", zipOf(zipEnt{name: "a", body: zeros, method: zip.Deflate}), "the archive unpacks to more than 20 times its size"},
		{"ratio of the padding", "tar.gz", gz(append(tarOf(file("a")), zeros...)), "the archive unpacks to more than 20 times its size"},
		{"ratio of extended headers", "tar.gz", tgz(tarHdr{name: "g", kind: 'g', body: "61440 comment=" + strings.Repeat("x", 61440-15) + "\n"}, file("a")), "the archive unpacks to more than 20 times its size"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			files, _, err := unpackInJail(t, tempArchive(t, tt.data), Options{Format: tt.format}, small)
			checkRefused(t, files, err, tt.want)
		})
	}

	// A bomb against the real limits: it says 1 GiB and has a little more than
	// what is allowed before the ratio counts.
	var bomb bytes.Buffer
	w, _ := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	w.Write(tarHdr{name: "bomb", size: "10000000000"}.bytes()[:512])
	chunk := make([]byte, 1<<20)
	for range 66 {
		w.Write(chunk)
	}
	w.Close()
	files, err := Unpack(context.Background(), tempArchive(t, bomb.Bytes()), "", Options{Format: "tar.gz"})
	checkRefused(t, files, err, "more than 200 times its size")
}

func TestUnpackCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, format := range []string{"tar.gz", "zip", "raw"} {
		data := tgz(file("a"))
		if format == "zip" {
			data = zipOf(zipEnt{name: "a", body: "x"})
		}
		_, err := Unpack(ctx, tempArchive(t, data), "", Options{Format: format, RawName: "a"})
		if !errors.Is(err, context.Canceled) || fault.Of(err) != fault.Interrupted {
			t.Errorf("%s: %v", format, err)
		}
	}
}

// TestWriters reads what the writers of the standard library make.
func TestWriters(t *testing.T) {
	long := strings.Repeat("long/", 40) + "é"
	for _, format := range []tar.Format{tar.FormatUnknown, tar.FormatPAX, tar.FormatGNU} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, name := range []string{"a", long} {
			if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: 5, Format: format, Uid: 3_000_000, ModTime: time.Unix(1, 5)}); err != nil {
				t.Fatal(err)
			}
			w.Write([]byte("hello"))
		}
		w.Close()
		files, err := Unpack(context.Background(), tempArchive(t, gz(b.Bytes())), "", Options{Format: "tar.gz"})
		if err != nil || len(files) != 2 || files[1].Path != long || !files[1].Exec {
			t.Errorf("%v: %v, %v", format, files, err)
		}
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.SetComment("a comment")
	for _, method := range []uint16{zip.Store, zip.Deflate} {
		if method == zip.Store { // not CreateHeader, which adds a descriptor
			f, err := w.CreateRaw(&zip.FileHeader{Name: "é0", Method: method, CRC32: crc32.ChecksumIEEE([]byte("hello")), CompressedSize64: 5, UncompressedSize64: 5, Flags: 0x800})
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(f, "hello")
			continue
		}
		f, err := w.CreateHeader(&zip.FileHeader{Name: fmt.Sprintf("é%d", method), Method: method, Modified: time.Unix(1e9, 0)})
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(f, "hello")
	}
	if err := w.AddFS(os.DirFS(tempDirWith(t, "sub/f"))); err != nil {
		t.Fatal(err)
	}
	w.Close()
	files, err := Unpack(context.Background(), tempArchive(t, b.Bytes()), "", Options{Format: "zip"})
	if err != nil || len(files) != 3 {
		t.Errorf("zip: %v, %v", files, err)
	}
}

func tempDirWith(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(name), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
