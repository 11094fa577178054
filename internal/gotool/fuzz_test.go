package gotool

import (
	"archive/zip"
	"go/version"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// FuzzGoMod: the Go line of any go.mod is a version of Go, and the go.mod of a module
// without one names it.
func FuzzGoMod(f *testing.F) {
	seeds := map[string]string{ // to the version
		"module m\n\ngo 1.22.1\n":          "1.22.1",
		"go 1.99\nmodule m\n":              "1.99",
		"module m\r\ngo 1.21rc1\r\n":       "1.21rc1",
		"module m\ngo 1.22\nunknown x\n":   "1.22",
		"module m\n":                       oldestGoLine,
		"":                                 oldestGoLine,
		"go latest\n":                      oldestGoLine,
		"go 1.22 // x\ngo 1.23\n":          oldestGoLine,
		"go \"1.22\n":                      oldestGoLine,
		"go 1.22\nrequire (\n":             oldestGoLine,
		"<html>go 1.22</html>":             oldestGoLine,
		"module m\nreplace a => ../../a\n": oldestGoLine,
	}
	for text := range seeds {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		line := goLine(data)
		if want, ok := seeds[string(data)]; ok && line != want {
			t.Errorf("%q: %s, want %s", data, line, want)
		}
		if !version.IsValid("go" + line) {
			t.Errorf("%q: %q", data, line)
		}
		if path := string(data); module.CheckPath(path) == nil {
			if made, _ := ModOf(path, nil); modfile.ModulePath(made) != path {
				t.Errorf("%q: %q", path, made)
			}
		}
	})
}

// FuzzZipName has a module of one file with any name: what is taken stays inside the
// module, and is called what the zip calls it.
func FuzzZipName(f *testing.F) {
	const prefix = "example.com/m@v1.2.3/"
	seeds := map[string]bool{ // to whether it is taken
		prefix + "go.mod": true, prefix + "d/x.go": true, prefix + "naïve.go": true, prefix + "a b": true, prefix + "a..b": true, // and what only messages must not show as it is:
		prefix + "a\u202eb": true,
		"go.mod":            false, "example.com/m@v1.2.4/go.mod": false, "example.com/M@v1.2.3/go.mod": false, "/" + prefix + "x": false,
		prefix + "../x": false, prefix + "d/../../x": false, prefix + "./x": false, prefix + "/etc/passwd": false, prefix + `..\x`: false,
		prefix + "C:x": false, prefix + "a:b": false, prefix + "aux.go": false, prefix + "NUL": false, prefix + "d./x": false, prefix + "x ": false,
		prefix + "a\x00b": false, prefix + "a\x1bb": false, prefix + "a\xffb": false, prefix + strings.Repeat("n", 256): false,
		prefix + strings.Repeat("d/", 70) + "x": false,
	}
	for name := range seeds {
		f.Add(name)
	}
	file := filepath.Join(f.TempDir(), "zip")
	f.Fuzz(func(t *testing.T, name string) {
		if len(name) > 1<<15 || strings.HasSuffix(name, "/") {
			t.Skip("the writer makes no file of it")
		}
		out, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		w := zip.NewWriter(out)
		if _, err := w.CreateRaw(&zip.FileHeader{Name: name, Flags: 0x800, ExternalAttrs: 0o100644 << 16, CreatorVersion: 3 << 8}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		files, err := archive.Unpack(t.Context(), out, "", Unpacking("x.zip", lock.File{Name: "example.com/m", Version: "1.2.3"}))
		if want, ok := seeds[name]; ok && (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
		if err != nil {
			if fault.Of(err) != fault.Integrity {
				t.Errorf("%q: class %v of %v", name, fault.Of(err), err)
			}
			return
		}
		if len(files) != 1 || prefix+files[0].Path != name || !fs.ValidPath(files[0].Path) || !filepath.IsLocal(files[0].Path) {
			t.Errorf("%q: %v", name, files)
		}
	})
}
