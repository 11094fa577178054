package archive

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// fuzzLimits keep one run short.
var fuzzLimits = limits{entries: 1000, total: 1 << 20, ratio: 200, ratioFrom: 64 << 10}

// corpus returns the small test archives of Go's own archive/tar or archive/zip,
// none where the sources of Go are missing.
func corpus(kind string) [][]byte {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil
	}
	var all [][]byte
	names, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(goroot)), "src", "archive", kind, "testdata", "*"))
	for _, name := range names {
		data, err := os.ReadFile(name)
		if strings.HasSuffix(name, ".base64") && err == nil {
			data, err = base64.StdEncoding.DecodeString(string(bytes.ReplaceAll(data, []byte("\n"), nil)))
		}
		if err == nil && len(data) < 32<<10 {
			all = append(all, data)
		}
	}
	return all
}

// seeds are archives of ours, with whether each is taken.
type seeds map[string]bool

func (s seeds) add(f *testing.F) {
	for data := range s {
		f.Add([]byte(data))
	}
}

// checkArchive wants that whatever we accept is harmless, and that readers
// without our rules find the same files in it.
func checkArchive(t *testing.T, data []byte, format string, known seeds) {
	f := tempArchive(t, data)
	files, err := unpack(context.Background(), f, "", Options{Format: format}, fuzzLimits)
	if want, ok := known[string(data)]; ok && (err == nil) != want {
		t.Errorf("%d files, %v", len(files), err)
	}
	if err != nil {
		if fault.Of(err) != fault.Integrity {
			t.Fatalf("class %v of %v", fault.Of(err), err)
		}
		return
	}
	if _, err := TreeHash(files); err != nil {
		t.Fatal(err)
	}
	if d := Diff(secondReading(t, f, Options{Format: format}), files); d != "" {
		t.Fatalf("the standard library reads it differently: %s", d)
	}
	onDisk, dst, err := unpackInJail(t, f, Options{Format: format}, fuzzLimits)
	if err != nil || Diff(files, onDisk) != "" || Diff(files, mustHash(t, dst)) != "" {
		t.Fatalf("scanned %v, unpacked %v, %v", files, onDisk, err)
	}
}

// FuzzTar takes a tar, or a whole gzip file.
func FuzzTar(f *testing.F) {
	known := seeds{}
	for _, row := range []struct {
		taken bool
		hdrs  []tarHdr
	}{
		{true, []tarHdr{file("a")}},
		{true, []tarHdr{{name: "d/", kind: '5'}, {name: "d/a", mode: "0000755", body: "x"}}},
		{true, []tarHdr{pax('g', "comment=0123"), file("p/a")}},
		{true, []tarHdr{pax('x', "path=long/a", "mtime=1.5", "size=5"), file("a")}},
		{false, []tarHdr{pax('x', "size=0"), file("a")}},
		{true, []tarHdr{{name: "././@LongLink", kind: 'L', body: "long\x00", magic: "ustar  \x00"}, {name: "n", magic: "ustar  \x00"}}},
		{true, []tarHdr{{name: "a", prefix: "very/long"}}},
		{false, []tarHdr{{name: "l", kind: '2', link: "/etc"}}},
		{false, []tarHdr{file("../a")}},
	} {
		known[string(tgz(row.hdrs...))] = row.taken
		f.Add(tarOf(row.hdrs...))
	}
	known.add(f)
	for _, data := range corpus("tar") {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !bytes.HasPrefix(data, []byte("\x1f\x8b")) {
			data = gz(hintSums(data))
		}
		checkArchive(t, data, "tar.gz", known)
	})
}

// mendSums puts the right checksum into every block that says ustar, so that
// the fuzzer gets past it.
func hintSums(data []byte) []byte {
	data = bytes.Clone(data)
	for b := data; len(b) >= tarBlock; b = b[tarBlock:] {
		if string(b[257:262]) != "ustar" {
			continue
		}
		copy(b[148:], "        ")
		sum := 0
		for _, c := range b[:tarBlock] {
			sum += int(c)
		}
		for i := range 6 {
			b[148+i] = '0' + byte(sum>>(3*(5-i))&7)
		}
		b[154] = 0
	}
	return data
}

// FuzzZip takes a zip file.
func FuzzZip(f *testing.F) {
	a := zipEnt{name: "a", body: "hello"}
	known := seeds{
		string(zipOf(a)): true,
		string(zipOf(zipEnt{name: "d/", mode: 0o040755}, zipEnt{name: "d/a", body: "hello hello", method: 8, mode: 0o100755})): true,
		string(zipFile{ents: []zipEnt{a}, zip64: true, comment: "comment"}.bytes()):                                            true,
		string(zipOf(zipEnt{name: "a", body: "hello", central: extra(1, "\x05\x00\x00\x00\x00\x00\x00\x00")})):                 true,
		string(zipOf(zipEnt{name: "x.zip", body: string(zipOf(a))})):                                                           true,
		string(zipOf(zipEnt{name: "l", body: "/etc", mode: 0o120777})):                                                         false,
		string(zipOf(zipEnt{name: "../a"})):                                                                                    false,
		string(zipOf(a, a)):                                                                                                    false,
		string(zipOf(a)) + "x":                                                                                                 false,
	}
	known.add(f)
	for _, data := range corpus("zip") {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkArchive(t, data, "zip", known) })
}
