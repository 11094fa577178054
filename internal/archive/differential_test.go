package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestDifferential flips bits and cuts ends of small archives of each format. What
// we still take, the readers of the standard library and of the compressors' own
// libraries must read in the same way; what we refuse is of class Integrity.
func TestDifferential(t *testing.T) {
	t.Parallel()
	tarball := tarOf(file("a"), tarHdr{name: "sub/b", body: strings.Repeat("some text ", 40), mode: "0000755"}, tarHdr{name: "c", body: "x"})
	for format, data := range map[string][]byte{
		"zip":    smallZip(t),
		"tar.gz": gz(tarball), "tar.bz2": bz(t, "tar"),
		"tar.xz": xzOf(t, tarball, xz.WriterConfig{DictCap: 1 << 16}), "tar.zst": zstdOf(t, tarball),
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			name := filepath.Join(t.TempDir(), "archive")
			tried, held := 0, 0
			try := func(what string, bad []byte) {
				tried++
				if err := os.WriteFile(name, bad, 0o600); err != nil {
					t.Fatal(err)
				}
				f, err := os.Open(name)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				files, err := Unpack(t.Context(), f, "", Options{Format: format})
				if err != nil {
					if fault.Of(err) != fault.Integrity {
						t.Errorf("%s: class %v: %v", what, fault.Of(err), err)
						return
					}
					held++
					return
				}
				other, err := readByOthers(format, io.NewSectionReader(bytes.NewReader(bad), 0, int64(len(bad))))
				if err != nil || fmt.Sprint(other) != fmt.Sprint(files) {
					t.Errorf("%s: we read\n%v\nothers read\n%v, %v", what, files, other, err)
					return
				}
				held++
			}
			try("as it is", data)
			if held == 0 {
				t.Fatal("the archive itself is refused")
			}
			bits := testenv.Count(500, 4000)
			for i := range bits {
				bit := i * 8 * len(data) / bits
				bad := bytes.Clone(data)
				bad[bit/8] ^= 1 << (bit % 8)
				try(fmt.Sprintf("bit %d of byte %d", bit%8, bit/8), bad)
			}
			for i := range data {
				try(fmt.Sprint("cut at ", i), data[:i])
			}
			testenv.Held(t, "an archive with one bit flipped, or cut: refused, or read as other readers read it", format, tried, held)
		})
	}
}

// smallZip has two files, one of them compressed and executable.
func smallZip(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, body := range map[string]string{"a": "text of a", "sub/b": strings.Repeat("some text ", 40)} {
		h := &zip.FileHeader{Name: name}
		if h.SetMode(0o644); name == "sub/b" {
			h.Method = zip.Deflate
			h.SetMode(0o755)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readByOthers is what is in an archive by readers that are not ours, sorted by
// path.
func readByOthers(format string, in *io.SectionReader) ([]File, error) {
	var files []File
	add := func(name string, exec bool, r io.Reader) error {
		body, err := io.ReadAll(r)
		files = append(files, File{Path: strings.TrimPrefix(name, "./"), Exec: exec, Size: int64(len(body)), SHA256: sha(body)})
		return err
	}
	defer func() { slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) }) }()
	if format == "zip" {
		z, err := zip.NewReader(in, in.Size())
		if err != nil {
			return nil, err
		}
		for _, e := range z.File {
			if strings.HasSuffix(e.Name, "/") {
				continue
			}
			r, err := e.Open()
			if err != nil {
				return nil, err
			}
			unix := e.CreatorVersion>>8 == 3 || e.CreatorVersion>>8 == 19
			if err := add(e.Name, unix && e.Mode()&0o111 != 0, r); err != nil {
				return nil, err
			}
		}
		return files, nil
	}
	var r io.Reader
	var err error
	switch format {
	case "tar.gz":
		r, err = gzip.NewReader(in)
	case "tar.bz2":
		r = bzip2.NewReader(in)
	case "tar.xz":
		r, err = xz.NewReader(in)
	case "tar.zst":
		r, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
	}
	if err != nil {
		return nil, err
	}
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeReg {
			if err := add(h.Name, h.Mode&0o111 != 0, t); err != nil {
				return nil, err
			}
		}
	}
}
