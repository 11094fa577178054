package archive

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// bzipped are files of bzip2, for which Go has no writer, made by Python's: the
// tar of a file a, ten bytes, and a tar that begins 32 MiB of zeros.
var bzipped = map[string]string{
	"tar":    "QlpoOTFBWSZTWa+/R/EAACrbgMmAQABvAAAA4kSeAAgIIABURAAAGT1BJFMjTCeoAYzOPkSEFer0MW10KMk4NdxOwiHRtlDVeGvIk6DQjAE1K+LuSKcKEhX36P4g",
	"script": "QlpoOTFBWSZTWa3Pb7UAAAFRgAAQKACQYQgAIAAxBkxBAxMiGhqODxdyRThQkK3Pb7U=",
	"bomb":   "QlpoOTFBWSZTWdvBrZwEBCRbgMyAQABXgAAEcAKeAAIIIAB1CSFNDIeoMgFSkI9CZMBp/+2QBAFL0QCANOf1caZVrBAAIAAYGs4nYRLm7KFrJEbTBjz7HPdrWykAQB6LuSKcKEht4NbOAA==",
}

func bz(t testing.TB, name string) []byte {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(bzipped[name])
	if err != nil || len(data) == 0 {
		t.Fatal(name, err)
	}
	return data
}

func symlink(name, target string) tarHdr { return tarHdr{name: name, kind: '2', link: target} }
func hardlink(name, target string) tarHdr {
	return tarHdr{name: name, kind: '1', link: target}
}

// TestRelease: what publishers of programs do on purpose becomes a tree of files.
func TestRelease(t *testing.T) {
	row := testenv.Rows(t, "an archive written byte by byte, right, hostile or damaged: taken, or refused for its reason; nothing outside", "release, and right")
	tool := tarHdr{name: "bin/tool-1.0", mode: "0000755", body: "#!/bin/sh\n"}
	tarball := tarOf(file("a"))
	script := []byte("#!/bin/sh\n")
	zipped := func(mode uint32, body string) zipEnt { return zipEnt{name: "bin/tool", mode: mode, body: body} }
	long := strings.Repeat("n", 120)
	skippable := "\x52\x2a\x4d\x18\x04\x00\x00\x00junk"
	for _, tt := range []struct {
		what, format string
		data         []byte
		want         string // PATH:flag:SIZE …
	}{
		{"symbolic link", "tar.gz", tgz(tool, symlink("bin/tool", "tool-1.0")), "bin/tool:x:10 bin/tool-1.0:x:10"},
		{"before its file", "tar.gz", tgz(symlink("bin/tool", "tool-1.0"), tool), "bin/tool:x:10 bin/tool-1.0:x:10"},
		{"chain", "tar.gz", tgz(symlink("a", "b"), symlink("b", "./c/../bin/c"), tarHdr{name: "c/", kind: '5'}, symlink("bin/c", "..//bin/tool-1.0"), tool), "a:x:10 b:x:10 bin/c:x:10 bin/tool-1.0:x:10"},
		{"hard link", "tar.gz", tgz(tool, hardlink("bin/tool", "bin/tool-1.0"), hardlink("c", "./bin/tool-1.0")), "bin/tool:x:10 bin/tool-1.0:x:10 c:x:10"},
		{"symbolic link to a hard link", "tar.gz", tgz(symlink("s", "h"), file("a"), hardlink("h", "a")), "a:-:5 h:-:5 s:-:5"},
		{"same link twice", "tar.gz", tgz(file("a"), symlink("s", "a"), symlink("./s", "a")), "a:-:5 s:-:5"},
		{"long target of GNU", "tar.gz", tgz(tarHdr{name: long[:100], body: "x"}, pax('x', "path="+long), file("n"),
			tarHdr{name: "././@LongLink", kind: 'K', body: long + "\x00", magic: "ustar  \x00"}, tarHdr{name: "s", kind: '2', link: long[:100], magic: "ustar  \x00"}),
			long[:100] + ":-:1 " + long + ":-:5 s:-:5"},
		{"long name and target of GNU", "tar.gz", tgz(file("a"),
			tarHdr{name: "././@LongLink", kind: 'K', body: "./a\x00", magic: "ustar  \x00"}, tarHdr{name: "././@LongLink", kind: 'L', body: long + "\x00", magic: "ustar  \x00"},
			tarHdr{name: "s", kind: '2', link: "x", magic: "ustar  \x00"}), "a:-:5 " + long + ":-:5"},
		{"target of pax", "tar.gz", tgz(file("a"), pax('x', "linkpath=a"), symlink("s", "cut")), "a:-:5 s:-:5"},
		{"file twice", "tar.gz", tgz(file("LICENSE"), tool, file("./LICENSE")), "LICENSE:-:5 bin/tool-1.0:x:10"},
		{"file twice in a zip", "zip", zipOf(zipEnt{name: "a", body: "hello"}, zipEnt{name: "a", body: "hello"}), "a:-:5"},
		{"symbolic link in a zip", "zip", zipOf(zipped(0o120777, "../a"), zipEnt{name: "a", body: "hello", mode: 0o100755}), "a:x:5 bin/tool:x:5"},
		{"members of gzip", "tar.gz", append(gz(tarball[:512]), gz(tarball[512:])...), "a:-:5"},
		{"members without content", "tar.gz", slices.Concat(gz(nil), gz(tarball[:700]), gz(nil), gz(tarball[700:]), gz(nil)), "a:-:5"},
		{"frames of zstd", "tar.zst", append(zstdOf(t, tarball[:512]), zstdOf(t, tarball[512:])...), "a:-:5"},
		{"skippable frames", "tar.zst", slices.Concat([]byte(skippable), zstdOf(t, tarball), []byte(skippable)), "a:-:5"},
		{"streams of xz", "tar.xz", append(xzOf(t, tarball[:512], xz.WriterConfig{}), xzOf(t, tarball[512:], xz.WriterConfig{CheckSum: xz.SHA256})...), "a:-:5"},
		{"tar.bz2", "tar.bz2", bz(t, "tar"), "a:-:5"},
		{"gz", "gz", gz(script), "bin/tool:x:10"},
		{"gz of members", "gz", append(gz(script[:3]), gz(script[3:])...), "bin/tool:x:10"},
		{"xz", "xz", xzOf(t, script, xz.WriterConfig{}), "bin/tool:x:10"},
		{"zst", "zst", zstdOf(t, script), "bin/tool:x:10"},
		{"bz2", "bz2", bz(t, "script"), "bin/tool:x:10"},
		{"streams of bzip2", "bz2", append(bz(t, "script"), bz(t, "script")...), "bin/tool:x:20"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			row(t)
			o := Options{Format: tt.format, Release: true, RawName: "bin/tool"}
			f := tempArchive(t, tt.data)
			files, dst, err := unpackInJail(t, f, o, defaultLimits)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range files {
				got = append(got, fmt.Sprintf("%s:%s:%d", f.Path, f.Flag(), f.Size))
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, expected %s", s, tt.want)
			}
			if d := Diff(files, mustHash(t, dst)); d != "" {
				t.Errorf("on the disk: %s", d)
			}
			// Reading alone finds the same, and taps the same content.
			taps := map[string]*bytes.Buffer{}
			o.Tap = func(path string) io.Writer { taps[path] = new(bytes.Buffer); return taps[path] }
			scanned, err := Unpack(context.Background(), f, "", o)
			if err != nil || fmt.Sprint(scanned) != fmt.Sprint(files) {
				t.Errorf("reading finds %v, %v, unpacking %v", scanned, err, files)
			}
			for _, f := range files {
				if b := taps[f.Path]; b == nil || sha(b.Bytes()) != f.SHA256 {
					t.Errorf("the content of %s was not tapped", f.Path)
				}
			}
			if o.Tap = nil; tt.format == "zip" || strings.HasPrefix(tt.format, "tar.") {
				return
			}
			if info, err := os.Stat(filepath.Join(dst, "bin", "tool")); err != nil || KeepsExec && info.Mode()&0o111 == 0 {
				t.Errorf("%v, %v", info, err)
			}
		})
	}
}

// TestHostileRelease: what stays refused, and that no key allows it.
func TestHostileRelease(t *testing.T) {
	row := testenv.Rows(t, "an archive written byte by byte, right, hostile or damaged: taken, or refused for its reason; nothing outside", "hostile release")
	tool := tarHdr{name: "bin/tool", mode: "0000755", body: "#!/bin/sh\n"}
	var circle []tarHdr
	for i := range 100 {
		circle = append(circle, symlink(fmt.Sprint(i), fmt.Sprint(i+1)))
	}
	circle = append(circle, file("100"))
	tarball := tarOf(file("a"))
	for _, tt := range []struct {
		what, format string
		data         []byte
		want         string
	}{
		{"out", "tar.gz", tgz(tool, symlink("l", "../../etc/passwd")), `unsafe entry "l": a symbolic link to "../../etc/passwd": it leads out of the archive`},
		{"out, and nothing else", "tar.gz", tgz(symlink("l", "../x")), `unsafe entry "l": a symbolic link to "../x": it leads out of the archive`},
		{"out, and nothing else in a zip", "zip", zipOf(zipEnt{name: "l", body: "/x", mode: 0o120777}), `it leads out of the archive`},
		{"to nothing, and nothing else", "tar.gz", tgz(tarHdr{name: "d/", kind: '5'}, symlink("d/l", "x")), `"x", which is not in the archive`},
		{"itself, and nothing else", "tar.gz", tgz(symlink("l", "l")), `in a loop`},
		{"out and in again", "tar.gz", tgz(tool, symlink("l", "../x/bin/tool")), `it leads out of the archive`},
		{"absolute", "tar.gz", tgz(tool, symlink("l", "/bin/tool")), `it leads out of the archive`},
		{"drive", "tar.gz", tgz(tool, symlink("l", "C:tool")), `it leads to different files on different systems`},
		{"backslash", "tar.gz", tgz(tool, symlink("bin/l", `..\bin\tool`)), `it leads to different files on different systems`},
		{"nothing", "tar.gz", tgz(tool, symlink("l", "bin/other")), `"bin/other", which is not in the archive`},
		{"another case", "tar.gz", tgz(tool, symlink("l", "bin/Tool")), `which is not in the archive`},
		{"folder", "tar.gz", tgz(tool, symlink("l", "bin")), `a symbolic link to "bin": it is a folder, but a tree can only have files`},
		{"folder with a slash", "tar.gz", tgz(tool, symlink("l", "bin/")), `it is a folder`},
		{"file with a slash", "tar.gz", tgz(tool, symlink("l", "bin/tool/")), `it is a folder`},
		{"its own folder", "tar.gz", tgz(tool, symlink("bin/l", ".")), `it is a folder`},
		{"the top", "tar.gz", tgz(tool, symlink("bin/l", "..")), `it is a folder`},
		{"through a file", "tar.gz", tgz(tool, symlink("l", "bin/tool/../tool")), `"bin/tool" is not a folder of the archive`},
		{"through nothing", "tar.gz", tgz(tool, symlink("l", "no/../bin/tool")), `"no" is not a folder of the archive`},
		{"through a link", "tar.gz", tgz(tool, symlink("d", "bin"), symlink("l", "d/tool")), `unsafe entry "d"`},
		{"below a link", "tar.gz", tgz(tool, symlink("d", "bin"), file("d/x")), `"d" is both a file and a folder`},
		{"itself", "tar.gz", tgz(tool, symlink("l", "l")), `in a loop`},
		{"circle", "tar.gz", tgz(tool, symlink("a", "b"), symlink("b", "a")), `unsafe entry "a": a symbolic link in a loop`},
		{"a hundred links", "tar.gz", tgz(circle...), `in a chain of more than 40 links`},
		{"hard link out", "tar.gz", tgz(tool, hardlink("h", "../../etc/passwd")), `a hard link to "../../etc/passwd", which is not an earlier file of the archive`},
		{"hard link before its file", "tar.gz", tgz(hardlink("h", "bin/tool"), tool), `which is not an earlier file of the archive`},
		{"hard link to a folder", "tar.gz", tgz(tool, hardlink("h", "bin")), `which is not an earlier file of the archive`},
		{"hard link to a link", "tar.gz", tgz(tool, symlink("bin/s", "tool"), hardlink("h", "bin/s")), `which is not an earlier file of the archive`},
		{"hard link to itself", "tar.gz", tgz(tool, hardlink("h", "h")), `which is not an earlier file of the archive`},
		{"link with content", "tar.gz", tgz(tool, tarHdr{name: "h", kind: '1', link: "bin/tool", body: "x"}), `a link with 1 bytes of content`},
		{"link without a target", "tar.gz", tgz(tool, symlink("l", "")), `a link without a name or a target`},
		{"unsafe name", "tar.gz", tgz(tool, symlink("../l", "bin/tool")), `unsafe entry "../l"`},
		{"case of a link", "tar.gz", tgz(tool, symlink("BIN/tool", "tool")), `collides with "bin/tool"`},
		{"link and file", "tar.gz", tgz(tool, symlink("l", "bin/tool"), file("l")), `as a link and as a file`},
		{"file and link", "tar.gz", tgz(tool, symlink("bin/tool", "tool")), `"bin/tool" appears twice`},
		{"two links", "tar.gz", tgz(tool, file("a"), symlink("l", "a"), symlink("l", "bin/tool")), `"l" appears twice`},
		{"other bytes", "tar.gz", tgz(file("a"), tarHdr{name: "a", body: "HELLO"}), `unsafe entry "a": "a" appears twice, with different content`},
		{"another mode", "tar.gz", tgz(file("a"), tarHdr{name: "a", mode: "0000755", body: "hello"}), `"a" appears twice, but is executable only once`},
		{"other bytes in a zip", "zip", zipOf(zipEnt{name: "a", body: "hello"}, zipEnt{name: "a", body: "HELLO"}), `with different content`},
		{"out in a zip", "zip", zipOf(zipEnt{name: "l", body: "../x", mode: 0o120777}, zipEnt{name: "x"}), `it leads out of the archive`},
		{"link of DOS in a zip", "zip", zipOf(zipEnt{name: "l", body: "x", mode: 0o120777, maker: 255}, zipEnt{name: "x"}), `a symbolic link is not allowed`},
		{"target with NUL in a zip", "zip", zipOf(zipEnt{name: "l", body: "x\x00", mode: 0o120777}, zipEnt{name: "x"}), `it leads to different files on different systems`},
		{"long target in a zip", "zip", zipOf(zipEnt{name: "l", body: strings.Repeat("../", 400), mode: 0o120777}, zipEnt{name: "x"}), `a target of 1200 bytes`},
		{"empty target in a zip", "zip", zipOf(zipEnt{name: "l", mode: 0o120777}, zipEnt{name: "x"}), `a target of 0 bytes`},
		{"pipe", "tar.gz", tgz(tool, tarHdr{name: "p", kind: '6'}), `a pipe is not allowed`},
		{"two tars in members", "tar.gz", append(tgz(file("a")), tgz(file("b"))...), `bytes follow the end of the tar`},
		{"garbage after members", "tar.gz", slices.Concat(gz(tarball[:512]), gz(tarball[512:]), []byte("junk")), `bytes follow the end of the gzip data`},
		{"zeros after members", "tar.gz", slices.Concat(gz(tarball[:512]), gz(tarball[512:]), make([]byte, 512)), `bytes follow the end of the gzip data`},
		{"reserved flags of a second member", "tar.gz", func() []byte {
			second := gz(tarball[512:])
			second[3] |= 0x80
			return append(gz(tarball[:512]), second...)
		}(), `reserved flags 0x80`},
		{"damaged second member", "tar.gz", func() []byte {
			second := gz(tarball[512:])
			second[len(second)-5] ^= 1
			return append(gz(tarball[:512]), second...)
		}(), `checksum`},
		{"garbage after a frame", "tar.zst", append(zstdOf(t, tarball), 'x'), `bytes follow the end of the zstd frame`},
		{"skippable frames alone", "zst", []byte("\x52\x2a\x4d\x18\x04\x00\x00\x00junk"), `bytes follow the end of the zstd frame`},
		{"cut skippable frame", "tar.zst", append(zstdOf(t, tarball), "\x52\x2a\x4d\x18\xff\xff\xff\xffjunk"...), `it is cut short`},
		{"second frame with a dictionary", "tar.zst", append(zstdOf(t, tarball), "\x28\xb5\x2f\xfd\x01\x00\x01\x01\x00\x00"...), `it needs a dictionary`},
		{"second frame with a window of 3 TiB", "tar.zst", append(zstdOf(t, tarball), "\x28\xb5\x2f\xfd\x00\xff\x01\x00\x00"...), `--ultra or --long`},
		{"padding between streams", "tar.xz", slices.Concat(xzOf(t, tarball[:512], xz.WriterConfig{}), make([]byte, 4), xzOf(t, tarball[512:], xz.WriterConfig{})), `it is cut short, or bytes follow its end`},
		{"garbage before a stream", "tar.xz", slices.Concat(xzOf(t, tarball, xz.WriterConfig{}), []byte("junk"), xzOf(t, nil, xz.WriterConfig{})), `it is cut short, or bytes follow its end`},
		{"bzip2 with garbage", "tar.bz2", append(bz(t, "tar"), "junk"...), `bzip2 data`},
		{"bzip2 cut", "tar.bz2", bz(t, "tar")[:60], `it is cut short`},
		{"bzip2 damaged", "tar.bz2", func() []byte { b := bz(t, "tar"); b[len(b)-3] ^= 1; return b }(), `checksum`},
		{"gzip as bzip2", "tar.bz2", tgz(file("a")), `not a bzip2 file: it looks like gzip`},
		{"bytes as gz", "gz", []byte("#!/bin/sh\n"), `not a gzip file`},
	} {
		t.Run(tt.what, func(t *testing.T) {
			row(t)
			o := Options{Format: tt.format, Release: true, RawName: "bin/tool"}
			f := tempArchive(t, tt.data)
			files, _, err := unpackInJail(t, f, o, defaultLimits)
			checkRefused(t, files, err, tt.want)
			if err != nil && !strings.Contains(fault.Hint(err), "no key of plugins.toml allows it") {
				t.Errorf("hint %q", fault.Hint(err))
			}
			if _, scan := Unpack(context.Background(), f, "", o); scan == nil || err != nil && scan.Error() != err.Error() {
				t.Errorf("reading says %v, unpacking %v", scan, err)
			}
		})
	}
}

// TestReleaseLimits: copies count, and so do parts.
func TestReleaseLimits(t *testing.T) {
	small := limits{entries: 50, total: 64 << 10, ratio: 20, ratioFrom: 8 << 10}
	many := []tarHdr{{name: "a", body: string(noise(10 << 10))}}
	for i := range 10 {
		many = append(many, symlink(fmt.Sprint(i), "a"))
	}
	text := []tarHdr{{name: "a", body: string(noise(1<<10)) + strings.Repeat("x", 1<<10)}}
	for i := range 40 {
		text = append(text, hardlink(fmt.Sprint(i), "a"))
	}
	flood := func(part []byte) []byte { return bytes.Repeat(part, 60) }
	for _, tt := range []struct {
		what, format string
		data         []byte
		want         string
	}{
		{"bytes of copies", "tar.gz", tgz(many...), "the archive unpacks to more than 65536 bytes"},
		{"ratio of copies", "tar.gz", tgz(text...), "the archive unpacks to more than 20 times its size"},
		{"members", "gz", flood(gz(nil)), "the file has more than 50 gzip members"},
		{"frames", "zst", append(zstdOf(t, []byte("x")), flood([]byte("\x50\x2a\x4d\x18\x00\x00\x00\x00"))...), "the file has more than 50 zstd frames"},
		{"streams", "xz", flood(xzOf(t, []byte("x"), xz.WriterConfig{DictCap: 1 << 12})), "the file has more than 50 xz streams"},
		{"bytes of one file", "gz", gz(noise(100 << 10)), "the archive unpacks to more than 65536 bytes"},
		{"bomb of gz", "gz", gz(make([]byte, 60<<10)), "more than 20 times its size"},
		{"bomb of bzip2", "tar.bz2", bz(t, "bomb"), "exceed the limit of 65536 bytes"},
		{"bomb of bz2", "bz2", bz(t, "bomb"), "the archive unpacks to more than 65536 bytes"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			files, _, err := unpackInJail(t, tempArchive(t, tt.data), Options{Format: tt.format, Release: true, RawName: "x"}, small)
			checkRefused(t, files, err, tt.want)
		})
	}
}

// xzFile makes an xz file, without a check, of one block with these LZMA2 chunks.
func xzFile(chunks []byte, content int) []byte {
	sum := func(b []byte) []byte { return le.AppendUint32(b, crc32.ChecksumIEEE(b)) }
	flags := []byte{0, 0}
	out := le.AppendUint32(append([]byte("\xfd7zXZ\x00"), flags...), crc32.ChecksumIEEE(flags))
	header := sum([]byte{2, 0, 0x21, 1, 16, 0, 0, 0})
	out = append(append(out, header...), chunks...)
	out = append(out, make([]byte, -len(chunks)&3)...)
	number := func(b []byte, n int) []byte {
		for ; n >= 0x80; n >>= 7 {
			b = append(b, byte(n)|0x80)
		}
		return append(b, byte(n))
	}
	index := number(number([]byte{0, 1}, len(header)+len(chunks)), content)
	index = sum(append(index, make([]byte, -len(index)&3)...))
	out = append(out, index...)
	footer := append(le.AppendUint32(nil, uint32(len(index)/4-1)), flags...)
	return append(append(le.AppendUint32(out, crc32.ChecksumIEEE(footer)), footer...), "YZ"...)
}

// TestXZChunks: the sizes that a chunk gives of itself are true, or the file is
// refused, as xz and CPython do. The library alone believes them.
func TestXZChunks(t *testing.T) {
	script := []byte("#!/bin/sh\necho a script that is long enough to be compressed, compressed, compressed\n")
	var b bytes.Buffer
	w, err := lzma.Writer2Config{DictCap: 1 << 20}.NewWriter2(&b)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(script)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	chunks := b.Bytes()
	if chunks[0] < 0xe0 || chunks[len(chunks)-1] != 0 {
		t.Fatalf("%x is not one compressed chunk", chunks)
	}
	read := func(data []byte) error {
		files, err := Unpack(t.Context(), tempArchive(t, data), "", Options{Format: "xz", Release: true, RawName: "x"})
		if err == nil && files[0].SHA256 != sha(script) {
			t.Errorf("other bytes")
		}
		return err
	}
	if err := read(xzFile(chunks, len(script))); err != nil {
		t.Fatal(err)
	}
	stored := append([]byte{1, 0, byte(len(script) - 1)}, append(slices.Clone(script), 0)...)
	if err := read(xzFile(stored, len(script))); err != nil {
		t.Fatal(err)
	}
	lie := func(f func(c []byte) []byte) []byte { return f(slices.Clone(chunks)) }
	packed := func(c []byte, by int) []byte {
		n := int(c[3])<<8 + int(c[4]) + by
		c[3], c[4] = byte(n>>8), byte(n)
		return c
	}
	for _, tt := range []struct {
		what string
		data []byte
		want string
	}{
		{"compressed size too large", xzFile(lie(func(c []byte) []byte { return packed(c, 1) }), len(script)), "xz: a chunk of the block"},
		{"bytes hidden in a chunk", xzFile(lie(func(c []byte) []byte {
			return append(packed(c[:len(c)-1], 6), "hidden\x00"...)
		}), len(script)), "xz: a chunk of the block at byte 12 ends at byte"},
		{"a chunk hidden in a chunk", xzFile(lie(func(c []byte) []byte {
			return append(packed(c[:len(c)-1], 5), "\x02\x00\x00x\x00\x00"...)
		}), len(script)+1), "xz: a chunk of the block at byte 12 ends at byte"},
		{"compressed size too small", xzFile(lie(func(c []byte) []byte { return packed(c, -1) }), len(script)), "xz data"},
		{"uncompressed size too small", xzFile(lie(func(c []byte) []byte { c[2]--; return c }), len(script)-1), "xz data"},
		{"uncompressed size too large", xzFile(lie(func(c []byte) []byte { c[2]++; return c }), len(script)+1), "xz data"},
		{"content of the index too small", xzFile(chunks, len(script)-1), "bytes that its index says"},
		{"content of the index too large", xzFile(chunks, len(script)+1), "its index says"},
		{"unknown chunk", xzFile([]byte{3, 0, 0, 0}, 1), "of the unknown kind 0x03"},
		{"no end", xzFile(chunks[:len(chunks)-1], len(script)), "ends after its block"},
		{"bytes after the end", xzFile(append(slices.Clone(chunks), 0), len(script)), "its index says"},
		{"no dictionary", xzFile([]byte{2, 0, 0, 'x', 0}, 1), "xz data"},
	} {
		err := read(tt.data)
		checkRefused(t, nil, err, tt.want)
	}
	// The padding of a block is zero.
	padded := xzFile(stored, len(script))
	at := 12 + 12 + len(stored)
	if at%4 == 0 {
		t.Fatal("no padding")
	}
	padded[at] = 1
	checkRefused(t, nil, read(padded), "the padding of the block at byte 12 is not zero")
}

// TestReleaseExec: a file that is not marked is executable where Exec says so, a
// copy of a link alone too.
func TestReleaseExec(t *testing.T) {
	o := Options{Format: "tar.gz", Release: true, Exec: func(p string) bool { return p == "bin/tool" }}
	files, dst, err := unpackInJail(t, tempArchive(t, tgz(file("bin/tool-1.0"), symlink("bin/tool", "tool-1.0"))), o, defaultLimits)
	if err != nil || len(files) != 2 || files[0].Path != "bin/tool" || !files[0].Exec || files[1].Exec {
		t.Fatalf("%v, %v", files, err)
	}
	info, err := os.Stat(filepath.Join(dst, "bin", "tool"))
	if err != nil || KeepsExec && info.Mode().Perm()&fs.FileMode(0o111) == 0 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestReleasePlace: files get the places that Place says, links with them, and what
// has none is left out, but not unchecked.
func TestReleasePlace(t *testing.T) {
	o := Options{Format: "tar.gz", Release: true, Place: func(p string) string {
		if name, ok := strings.CutPrefix(p, "top/part/"); ok {
			return name
		}
		return ""
	}}
	files, dst, err := unpackInJail(t, tempArchive(t, tgz(
		file("top/part/bin/tool"), symlink("top/part/bin/other", "tool"), hardlink("top/part/lib/third", "top/part/bin/tool"), symlink("top/doc/bait", "../part/bin/tool"), file("top/doc/bin/tool"),
	)), o, defaultLimits)
	var got []string
	for _, f := range files {
		got = append(got, f.Path)
	}
	if err != nil || !slices.Equal(got, []string{"bin/other", "bin/tool", "lib/third"}) {
		t.Fatalf("%v, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(dst, "lib", "third")); err != nil {
		t.Error(err)
	}
	_, _, err = unpackInJail(t, tempArchive(t, tgz(file("top/part/bin/tool"), hardlink("top/part/lib/third", "top/doc/tool"))), o, defaultLimits)
	checkRefused(t, nil, err, "a hard link to")
	_, _, err = unpackInJail(t, tempArchive(t, tgz(file("top/part/bin/tool"), file("top/doc/../../x"))), o, defaultLimits)
	checkRefused(t, nil, err, "unsafe entry")
}

// TestFormats: every format is read, and an unknown one is our own fault.
func TestFormats(t *testing.T) {
	want := slices.Sorted(slices.Values(append([]string{"raw"}, lock.Archives...)))
	want = slices.DeleteFunc(want, func(form string) bool { return form == "rust.tar.xz" }) // package kind reads it as tar.xz
	if !slices.Equal(Formats(), want) {
		t.Errorf("%v, a lock may have %v", Formats(), want)
	}
	for _, format := range Formats() {
		if _, err := Unpack(t.Context(), tempArchive(t, nil), "", Options{Format: format}); err == nil || fault.Of(err) != fault.Integrity {
			t.Errorf("%s of an empty file: %v", format, err)
		}
	}
}

// TestRealCompressors reads what the compressors of this machine write, those that
// are there, in one part and in several.
func TestRealCompressors(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it starts other programs for archives")
	tarball := tarOf(tarHdr{name: "bin/tool", mode: "0000755", body: string(noise(120<<10)) + strings.Repeat("the same again, ", 1<<14)}, file("a"))
	want, err := Unpack(t.Context(), tempArchive(t, gz(tarball)), "", Options{Format: "tar.gz"})
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, line := range []string{
		"gzip -c", "pigz -c", "pigz -i -b 128 -c", "bgzip -c",
		"xz -c", "xz -9 -c", "xz -T2 --block-size=65536 -c", "xz --check=none -c", "xz --check=sha256 -c", "pixz -t",
		"zstd -c", "zstd -19 -c", "zstd --fast=5 -c", "zstd -T2 -c", "zstd --no-check -c", "pzstd -c",
		"bzip2 -c", "bzip2 -1 -c", "lbzip2 -c", "pbzip2 -c",
	} {
		args := strings.Fields(line)
		program, err := exec.LookPath(args[0])
		if err != nil {
			continue
		}
		format := map[byte]string{'g': "tar.gz", 'x': "tar.xz", 'd': "tar.zst", '2': "tar.bz2"}[map[string]byte{
			"gzip": 'g', "pigz": 'g', "bgzip": 'g', "xz": 'x', "pixz": 'x', "zstd": 'd', "pzstd": 'd', "bzip2": '2', "lbzip2": '2', "pbzip2": '2'}[args[0]]]
		compress := func(part []byte) []byte {
			cmd := exec.CommandContext(t.Context(), program, args[1:]...)
			cmd.Stdin = bytes.NewReader(part)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			return out
		}
		tried++
		for what, data := range map[string][]byte{"one": compress(tarball), "two": append(compress(tarball[:100_000]), compress(tarball[100_000:])...)} {
			files, err := Unpack(t.Context(), tempArchive(t, data), "", Options{Format: format, Release: true})
			if err != nil || Diff(want, files) != "" {
				t.Errorf("%s, %s: %v, %s", line, what, err, Diff(want, files))
			}
		}
	}
	if tried == 0 {
		t.Skip("no compressor is on PATH")
	}
}
