package archive

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
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
// libraries must read in the same way, and in the full suite Python behind the
// compressors' own programs; what we refuse is of class Integrity.
func TestDifferential(t *testing.T) {
	t.Parallel()
	tarball := tarOf(file("a"), tarHdr{name: "sub/b", body: strings.Repeat("some text ", 40), mode: "0000755"}, tarHdr{name: "c", body: "x"})
	for format, data := range map[string][]byte{
		"zip":    zipOf(zipEnt{name: "a", body: "text of a"}, zipEnt{name: "sub/b", body: strings.Repeat("some text ", 40), method: zip.Deflate, mode: 0o100755}),
		"tar.gz": gz(tarball), "tar.bz2": bz(t, "tar"),
		"tar.xz": xzOf(t, tarball, xz.WriterConfig{DictCap: 1 << 16}), "tar.zst": zstdOf(t, tarball),
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			name := filepath.Join(t.TempDir(), "archive")
			tools := newTools(t, format)
			tried, held, taken := 0, 0, 0
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
				taken++
				other, err := readByOthers(format, io.NewSectionReader(bytes.NewReader(bad), 0, int64(len(bad))))
				if err != nil || fmt.Sprint(other) != fmt.Sprint(files) {
					t.Errorf("%s: we read\n%v\nothers read\n%v, %v", what, files, other, err)
					return
				}
				if tools != nil {
					other, err := tools.read(name)
					// bzip2 refuses a damaged table that no symbol of the data uses. Go's reader
					// does not look at it: what it reads has the checksum of the honest archive.
					if exit := (*exec.ExitError)(nil); format == "tar.bz2" && errors.As(err, &exit) {
						other, err = files, nil
					}
					if err != nil || fmt.Sprint(other) != fmt.Sprint(files) {
						t.Errorf("%s: we read\n%v\nprograms read\n%v, %v", what, files, other, err)
						return
					}
				}
				held++
			}
			try("as it is", data)
			if taken == 0 {
				t.Fatal("the archive itself is refused")
			}
			bits := testenv.Brief(100, testenv.Count(500, 4000))
			for i := range bits {
				bit := i * 8 * len(data) / bits
				bad := bytes.Clone(data)
				bad[bit/8] ^= 1 << (bit % 8)
				try(fmt.Sprintf("bit %d of byte %d", bit%8, bit/8), bad)
			}
			for i := range data {
				try(fmt.Sprint("cut at ", i), data[:i])
			}
			if tools != nil {
				t.Logf("%d were taken, and read by programs", tools.asked)
			}
			testenv.Held(t, "an archive with one bit flipped, or cut: refused, or read as other readers read it", format, tried, held)
		})
	}
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

// tools are programs of others that read an archive of one format: the compressor,
// and Python.
type tools struct {
	decompress []string // none for a zip, which Python reads itself
	ask        func(path string) error
	answers    *json.Decoder
	asked      int
}

// newTools starts Python, or returns nil outside the full suite.
func newTools(t *testing.T, format string) *tools {
	t.Helper()
	if !testenv.Full() {
		return nil
	}
	s := &tools{}
	if by := map[string]string{"tar.gz": "gzip", "tar.bz2": "bzip2", "tar.xz": "xz", "tar.zst": "zstd"}[format]; by != "" {
		s.decompress = []string{testenv.Program(t, by), "-dc"}
	}
	cmd := exec.Command(testenv.Program(t, "python3"), "-I", "-S", "-c", pythonReader)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	s.ask = func(path string) error { _, err := io.WriteString(in, path+"\n"); return err }
	s.answers = json.NewDecoder(out)
	return s
}

// pythonReader answers each path of a line with the files of that zip or tar.
const pythonReader = `
import hashlib, json, sys, tarfile, zipfile
for line in sys.stdin:
    path, files = line.rstrip("\n"), []
    add = lambda name, mode, body: files.append([name.removeprefix("./"), bool(mode & 0o111), len(body), hashlib.sha256(body).hexdigest()])
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as z:
                for i in z.infolist():
                    if not i.is_dir():
                        add(i.filename, i.external_attr >> 16 if i.create_system in (3, 19) else 0, z.read(i))
        else:
            with tarfile.open(path, "r:") as t:
                for i in t:
                    if i.isreg():
                        add(i.name, i.mode, t.extractfile(i).read())
        answer = {"files": sorted(files)}
    except Exception as e:
        answer = {"error": repr(e)}
    print(json.dumps(answer), flush=True)
`

// read is what the programs find in a file.
func (s *tools) read(path string) ([]File, error) {
	s.asked++
	if s.decompress != nil {
		in, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer in.Close()
		path += ".tar"
		out, err := os.Create(path)
		if err != nil {
			return nil, err
		}
		defer out.Close()
		cmd := exec.Command(s.decompress[0], s.decompress[1:]...)
		cmd.Stdin, cmd.Stdout = in, out
		if err := cmd.Run(); err != nil {
			return nil, err
		}
	}
	var answer struct {
		Files []([4]any)
		Error string
	}
	if err := s.ask(path); err != nil {
		return nil, err
	}
	if err := s.answers.Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	var files []File
	for _, f := range answer.Files {
		sum, err := hex.DecodeString(f[3].(string))
		if err != nil {
			return nil, err
		}
		files = append(files, File{Path: f[0].(string), Exec: f[1].(bool), Size: int64(f[2].(float64)), SHA256: [32]byte(sum)})
	}
	return files, nil
}
