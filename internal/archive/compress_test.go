package archive

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

func xzOf(t testing.TB, data []byte, config xz.WriterConfig) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := config.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstdOf(t testing.TB, data []byte, options ...zstd.EOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, append([]zstd.EOption{zstd.WithEncoderConcurrency(1)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// noise does not compress.
func noise(n int) []byte {
	b, x := make([]byte, n), uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func TestXZAndZstd(t *testing.T) {
	content := append(noise(500<<10), strings.Repeat("many times the same, ", 1<<20/21)...)
	tarball := tarOf(tarHdr{name: "bin/tool", mode: "0000755", body: string(content)}, file("readme"))
	want, err := Unpack(context.Background(), tempArchive(t, gz(tarball)), "", Options{Format: "tar.gz"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		what, format string
		data         []byte
	}{
		{"xz", "tar.xz", xzOf(t, tarball, xz.WriterConfig{})},
		{"xz in blocks", "tar.xz", xzOf(t, tarball, xz.WriterConfig{BlockSize: 256 << 10, DictCap: 256 << 10})},
		{"xz with CRC-32", "tar.xz", xzOf(t, tarball, xz.WriterConfig{CheckSum: xz.CRC32})},
		{"xz with SHA-256", "tar.xz", xzOf(t, tarball, xz.WriterConfig{CheckSum: xz.SHA256})},
		{"zstd", "tar.zst", zstdOf(t, tarball)},
		{"zstd without checksum", "tar.zst", zstdOf(t, tarball, zstd.WithEncoderCRC(false))},
		{"zstd fast", "tar.zst", zstdOf(t, tarball, zstd.WithEncoderLevel(zstd.SpeedFastest))},
		{"zstd best, 8 MiB", "tar.zst", zstdOf(t, tarball, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(8<<20))},
		{"zstd in one segment", "tar.zst", zstdOf(t, tarball, zstd.WithSingleSegment(true))},
	} {
		t.Run(tt.what, func(t *testing.T) {
			files, _, err := unpackInJail(t, tempArchive(t, tt.data), Options{Format: tt.format}, defaultLimits)
			if err != nil || fmt.Sprint(files) != fmt.Sprint(want) {
				t.Errorf("got %v, %v, expected %v", files, err, want)
			}
		})
	}
}

// xzBlocks makes an xz file of empty blocks whose headers ask for a dictionary.
func xzBlocks(blocks int, dict byte, filter byte) []byte {
	sum := func(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b)) }
	flags := []byte{0, 0} // no check
	out := append([]byte("\xfd7zXZ\x00"), flags...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(flags))
	header := sum([]byte{2, 0, filter, 1, dict, 0, 0, 0})
	for range blocks {
		out = append(append(out, header...), 0, 0, 0, 0) // LZMA2's end, and padding
	}
	index := binary.AppendUvarint([]byte{0}, uint64(blocks))
	for range blocks {
		index = append(index, byte(len(header)+1), 0)
	}
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	index = sum(index)
	out = append(out, index...)
	footer := binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1))
	footer = append(footer, flags...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(footer))
	return append(append(out, footer...), "YZ"...)
}

func TestHostileXZ(t *testing.T) {
	row := testenv.Rows(t, "an archive written byte by byte, right, hostile or damaged: taken, or refused for its reason; nothing outside", "hostile tar.xz")
	good := xzOf(t, tarOf(file("a"), tarHdr{name: "b", body: string(noise(100_000))}), xz.WriterConfig{})
	flip := func(at int) []byte {
		b := bytes.Clone(good)
		if at < 0 {
			at += len(b)
		}
		b[at] ^= 1
		return b
	}
	for _, tt := range []struct {
		what string
		data []byte
		want string
	}{
		{"empty file", nil, "not an xz file"},
		{"gzip", tgz(file("a")), "not an xz file: it looks like gzip"},
		{"magic only", good[:6], "xz: it is cut short"},
		{"cut", good[:len(good)-8], "xz: it is cut short"},
		{"cut in the data", good[:len(good)/2/4*4], "xz: it is cut short"},
		{"trailing garbage", append(bytes.Clone(good), "junk"...), "bytes follow its end"},
		{"stream padding", append(bytes.Clone(good), 0, 0, 0, 0), "bytes follow its end"},
		{"second stream", append(bytes.Clone(good), good...), "a second xz stream follows the first"},
		{"bytes before", append([]byte("junk"), good...), "not an xz file"},
		{"header flags", flip(7), ""},
		{"header checksum", flip(9), ""},
		{"block header", flip(14), "the header of the block at byte 12 is damaged"},
		{"data", flip(len(good) / 2), ""},
		{"check", flip(len(good) - 12 - 12 - 2), ""},
		{"index", flip(-12 - 6), "xz: its index is damaged"},
		{"footer", flip(-6), ""},
		{"dictionary of 4 GiB", xzBlocks(1, 40, 0x21), "asks for a dictionary of 4294967295 bytes, more than 67108864"},
		{"dictionary of 96 MiB", xzBlocks(1, 29, 0x21), "asks for a dictionary of 100663296 bytes, more than 67108864"},
		{"dictionary out of range", xzBlocks(1, 41, 0x21), "is damaged"},
		{"many dictionaries", xzBlocks(testenv.Brief(1000, 100_000), 28, 0x21), "the archive has no files"},
		{"x86 filter", xzBlocks(1, 10, 0x04), "filter other than LZMA2"},
		{"no block", xzBlocks(0, 0, 0x21), "the archive has no files"},
		{"huge index", xzBlocks(600_000, 0, 0x21), "xz: its index has"},
		{"parent", xzOf(t, tarOf(file("../evil")), xz.WriterConfig{}), `unsafe entry "../evil"`},
		{"symlink", xzOf(t, tarOf(tarHdr{name: "l", kind: '2', link: "a"}), xz.WriterConfig{}), `a symbolic link is not allowed`},
		{"bytes after the tar", xzOf(t, append(tarOf(file("a")), 'x'), xz.WriterConfig{}), "bytes follow the end of the tar"},
		{"no tar", xzOf(t, []byte("hello"), xz.WriterConfig{}), "tar header: it is cut short"},
	} {
		t.Run(tt.what, func(t *testing.T) { row(t); refusedEverywhere(t, "tar.xz", tt.data, tt.want) })
	}
}

func TestHostileZstd(t *testing.T) {
	row := testenv.Rows(t, "an archive written byte by byte, right, hostile or damaged: taken, or refused for its reason; nothing outside", "hostile tar.zst")
	tarball := tarOf(file("a"), tarHdr{name: "b", body: string(noise(300_000))})
	good := zstdOf(t, tarball)
	flip := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	skippable := []byte("\x50\x2a\x4d\x18\x04\x00\x00\x00junk")
	// A frame of blocks, each given with its three bytes of header.
	frame := func(header string, blocks ...string) []byte {
		return []byte("\x28\xb5\x2f\xfd" + header + strings.Join(blocks, ""))
	}
	for _, tt := range []struct {
		what string
		data []byte
		want string
	}{
		{"empty file", nil, "not a zstd file"},
		{"xz", xzOf(t, tarball, xz.WriterConfig{}), "not a zstd file: it looks like xz"},
		{"magic only", good[:4], "it is cut short"},
		{"cut", good[:len(good)-2], "zstd data: it is cut short"},
		{"cut in the data", good[:len(good)/2], "zstd data: it is cut short"},
		{"trailing garbage", append(bytes.Clone(good), 'x'), "bytes follow the end of the zstd frame"},
		{"trailing zeros", append(bytes.Clone(good), 0, 0), "bytes follow the end of the zstd frame"},
		{"second frame", append(bytes.Clone(good), good...), "a second zstd frame follows the first"},
		{"skippable frame first", append(bytes.Clone(skippable), good...), "a second zstd frame follows the first"},
		{"skippable frame last", append(bytes.Clone(good), skippable...), "a second zstd frame follows the first"},
		{"data", flip(len(good) / 2), ""},
		{"checksum", flip(len(good) - 1), ""},
		{"dictionary", frame("\x01\x00\x01", "\x01\x00\x00"), "zstd: it needs a dictionary"},
		{"window of 9 MiB", frame("\x00\x69", "\x01\x00\x00"), "a window of 9437184 bytes"},
		{"window of 3 TiB", frame("\x00\xff", "\x01\x00\x00"), "made with --ultra or --long"},
		{"segment of 16 EiB", frame("\xe0\xff\xff\xff\xff\xff\xff\xff\xff", "\x01\x00\x00"), "made with --ultra or --long"},
		{"reserved bit", frame("\x08\x00", "\x01\x00\x00"), "the reserved bit of its header is set"},
		{"reserved block", frame("\x00\x00", "\x07\x00\x00"), "a block of the reserved type"},
		{"empty block", frame("\x00\x00", "\x00\x00\x00", "\x01\x00\x00"), "an empty block before the last one"},
		{"content size too small", frame("\x20\x01", "\x11\x00\x00ab"), ""},
		{"content size too large", frame("\x20\x05", "\x11\x00\x00ab"), ""},
		{"no last block", frame("\x00\x00", "\x10\x00\x00ab"), "it is cut short"},
		{"parent", zstdOf(t, tarOf(file("../evil"))), `unsafe entry "../evil"`},
		{"hard link", zstdOf(t, tarOf(file("a"), tarHdr{name: "h", kind: '1', link: "a"})), `a hard link is not allowed`},
		{"bytes after the tar", zstdOf(t, append(tarOf(file("a")), 'x')), "bytes follow the end of the tar"},
		{"no tar", zstdOf(t, []byte("hello")), "tar header: it is cut short"},
	} {
		t.Run(tt.what, func(t *testing.T) { row(t); refusedEverywhere(t, "tar.zst", tt.data, tt.want) })
	}
}

// refusedEverywhere unpacks and scans.
func refusedEverywhere(t *testing.T, format string, data []byte, want string) {
	t.Helper()
	f := tempArchive(t, data)
	files, _, err := unpackInJail(t, f, Options{Format: format}, defaultLimits)
	checkRefused(t, files, err, want)
	if _, scan := Unpack(context.Background(), f, "", Options{Format: format}); scan == nil || err != nil && scan.Error() != err.Error() {
		t.Errorf("scanning says %v, unpacking %v", scan, err)
	}
}

// TestCompressedBombs bounds what is read of bombs of both formats, and the memory.
func TestCompressedBombs(t *testing.T) {
	small := limits{entries: 5, total: 64 << 20, ratio: 20, ratioFrom: 8 << 20}
	bomb := append(tarHdr{name: "bomb", size: "00200000000"}.bytes()[:512], make([]byte, 32<<20)...)
	for format, data := range map[string][]byte{"tar.xz": xzOf(t, bomb, xz.WriterConfig{}), "tar.zst": zstdOf(t, bomb)} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		files, _, err := unpackInJail(t, tempArchive(t, data), Options{Format: format}, small)
		checkRefused(t, files, err, "more than 20 times its size")
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
			t.Errorf("%s: took %d bytes", format, n)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for format, data := range map[string][]byte{"tar.xz": xzOf(t, tarOf(file("a")), xz.WriterConfig{}), "tar.zst": zstdOf(t, tarOf(file("a")))} {
		if _, err := Unpack(ctx, tempArchive(t, data), "", Options{Format: format}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", format, err)
		}
	}
}

func FuzzCompressed(f *testing.F) {
	tarball := tarOf(file("a"))
	known := map[bool]seeds{
		true: {
			string(xzOf(f, tarball, xz.WriterConfig{DictCap: 1 << 16})):              true,
			string(xzOf(f, tarball, xz.WriterConfig{DictCap: 1 << 16})) + "\x00\x00": false,
			string(xzOf(f, nil, xz.WriterConfig{})):                                  false,
			string(zstdOf(f, tarball)):                                               false,
		},
		false: {
			string(zstdOf(f, tarball)): true,
			string(zstdOf(f, tarball[:512])) + string(zstdOf(f, tarball[512:])): true,
			string(zstdOf(f, tarball)) + "x":                                    false,
			string(zstdOf(f, tarball[:100])):                                    false,
		},
	}
	for isXZ, seeds := range known {
		for data := range seeds {
			f.Add(isXZ, []byte(data))
		}
	}
	f.Fuzz(func(t *testing.T, isXZ bool, data []byte) {
		l := limits{entries: 100, total: 1 << 20, ratio: 200, ratioFrom: 1 << 20}
		format := "tar.zst"
		if isXZ {
			format = "tar.xz"
		}
		_, err := unpack(context.Background(), tempArchive(t, data), "", Options{Format: format, Release: true}, l)
		if want, ok := known[isXZ][string(data)]; ok && (err == nil) != want {
			t.Errorf("%s: %v", format, err)
		}
		if err != nil && fault.Of(err) != fault.Integrity {
			t.Errorf("class %v: %v", fault.Of(err), err)
		}
	})
}
