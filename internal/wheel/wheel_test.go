package wheel_test

import (
	"archive/zip"
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
	"github.com/birbparty/buck2-protobuf/internal/wheel"
)

const info = "gen-1.0.dist-info/"

// plain is a wheel that says the truth, apart from its RECORD.
func plain() map[string]string {
	return map[string]string{
		"gen.py": "def main(): pass\n", info + "METADATA": "Metadata-Version: 2.1\nName: Gen\nVersion: 1.0\nRequires-Dist: dep[x]>=1,<2 ; extra == 'y'\n\nName: in the description\n",
		info + "WHEEL":            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		info + "entry_points.txt": "[console_scripts]\nprotoc-gen-x = gen:main\n",
	}
}

func row(path, text string) string {
	sum := sha256.Sum256([]byte(text))
	return fmt.Sprintf("%s,sha256=%s,%d\n", path, base64.RawURLEncoding.EncodeToString(sum[:]), len(text))
}

func record(files map[string]string) string {
	text := ""
	for _, path := range slices.Sorted(maps.Keys(files)) {
		text += row(path, files[path])
	}
	return text + info + "RECORD,,\n"
}

// digested is the row of a file by another algorithm.
func digested(name string, h hash.Hash, path, text string) string {
	h.Write([]byte(text))
	return fmt.Sprintf("%s,%s=%s,%d\n", path, name, base64.RawURLEncoding.EncodeToString(h.Sum(nil)), len(text))
}

// pack makes the wheel; more are members besides the files, in their order.
func pack(t *testing.T, files map[string]string, more ...string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	add := func(name, text string) {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		add(path, files[path])
	}
	for i := 0; i+1 < len(more); i += 2 {
		add(more[i], more[i+1])
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "wheel")
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func check(t *testing.T, file, name string, pythons ...string) error {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = kind.Unpack(t.Context(), f, "", &lock.Version{Source: lock.Pip, Files: map[string]lock.File{name: {Python: pythons}}}, name, "")
	return err
}

// TestBad: what a wheel says of itself is not true.
func TestBad(t *testing.T) {
	t.Parallel()
	const name = "gen-1.0-py3-none-any.whl"
	own := func(edit func(files map[string]string)) func(map[string]string) { // with a RECORD of what results
		return func(files map[string]string) {
			edit(files)
			files[info+"RECORD"] = record(files)
		}
	}
	set := func(path, text string) func(map[string]string) {
		return own(func(files map[string]string) { files[path] = text })
	}
	edited := func(old, new string) func(map[string]string) { // a RECORD that was edited
		return func(files map[string]string) {
			text := record(files)
			if !strings.Contains(text, old) {
				t.Fatalf("%q is not in the RECORD", old)
			}
			files[info+"RECORD"] = strings.Replace(text, old, new, 1)
		}
	}
	main := plain()["gen.py"]
	sum := sha256.Sum256([]byte(main))
	good := base64.RawURLEncoding.EncodeToString(sum[:])
	script := func(name string) func(map[string]string) {
		return set(info+"entry_points.txt", "[console_scripts]\n"+name+" = gen:main\n")
	}
	meta := func(old, new string) func(map[string]string) {
		return set(info+"METADATA", strings.Replace(plain()[info+"METADATA"], old, new, 1))
	}
	about := func(old, new string) func(map[string]string) {
		return set(info+"WHEEL", strings.Replace(plain()[info+"WHEEL"], old, new, 1))
	}
	tests := []struct {
		what string
		edit func(files map[string]string)
		more []string // members that the map cannot hold
		says string
	}{
		{"RECORD missing", func(map[string]string) {}, nil, "it has no " + info + "RECORD"},
		{"RECORD empty", func(f map[string]string) { f[info+"RECORD"] = "" }, nil, "is not in its RECORD"},
		{"RECORD with another digest", edited(good, base64.RawURLEncoding.EncodeToString(make([]byte, 32))), nil, `a digest of "gen.py" that differs`},
		{"RECORD with another size", edited(fmt.Sprintf(",%d\n", len(main)), ",9\n"), nil, `"9" bytes for "gen.py", which has`},
		{"RECORD with a size that is none", edited(fmt.Sprintf(",%d\n", len(main)), ",many\n"), nil, `"many" bytes`},
		{"RECORD by md5", edited(row("gen.py", main), digested("md5", md5.New(), "gen.py", main)), nil, `with "md5"`},
		{"RECORD by sha1", edited(row("gen.py", main), digested("sha1", sha1.New(), "gen.py", main)), nil, `with "sha1"`},
		{"RECORD by sha224", edited("sha256="+good, "sha224="+good), nil, `with "sha224"`},
		{"RECORD by SHA256", edited("sha256="+good, "SHA256="+good), nil, `with "SHA256"`},
		{"RECORD without a digest", edited("sha256="+good, ""), nil, `no digest of "gen.py"`},
		{"RECORD with half a digest", edited(good, good[:20]), nil, "that differs from the file"},
		{"RECORD with a digest in hex", edited(good, fmt.Sprintf("%x", sum)), nil, "gen.py"},
		{"RECORD with a padded digest", edited(good, good+"="), nil, "malformed digest"},
		{"RECORD by sha512, wrong", edited(row("gen.py", main), digested("sha512", sha512.New(), "gen.py", "other")[:len("gen.py,sha512=")]+base64.RawURLEncoding.EncodeToString(make([]byte, 64))+fmt.Sprintf(",%d\n", len(main))), nil, "that differs from the file"},
		{"RECORD with a file that is absent", edited("gen.py", "gone.py,sha256="+good+",1\ngen.py"), nil, `"gone.py", which is not in the wheel`},
		{"RECORD with a path outside", edited("gen.py", "../gen.py,sha256="+good+",1\ngen.py"), nil, `"../gen.py", which is not in the wheel`},
		{"RECORD with a row twice", edited(row("gen.py", main), row("gen.py", main)+row("gen.py", main)), nil, `"gen.py" twice`},
		{"RECORD with a digest of itself", edited("RECORD,,", "RECORD,sha256="+good+","), nil, "a digest of itself"},
		{"RECORD with rows of two fields", edited("RECORD,,", "RECORD,"), nil, "RECORD is malformed"},
		{"a member that is not listed", own(func(map[string]string) {}), []string{"extra.py", ""}, `"extra.py" is not in its RECORD`},
		{"a .pth that is not listed", own(func(map[string]string) {}), []string{"gen.pth", "import os\n"}, `"gen.pth" is not in its RECORD`},
		{"a .pth in .data", own(func(map[string]string) {}), []string{"gen-1.0.data/purelib/gen.pth", "import os\n"}, "is not in its RECORD"},
		{"a member twice", own(func(map[string]string) {}), []string{"gen.py", main}, "gen.py"},
		{"a member twice, other bytes", own(func(map[string]string) {}), []string{"gen.py", "evil"}, "gen.py"},
		{"RECORD twice", own(func(map[string]string) {}), []string{info + "RECORD", ""}, "RECORD"},
		{"members that differ in case", set("GEN.py", ""), nil, "GEN.py"},
		{"a script named python3", script("python3"), nil, `"python3", which is the name of another program`},
		{"a script named python", script("python"), nil, "the name of another program"},
		{"a script named python3.12", script("python3.12"), nil, "the name of another program"},
		{"a script named Python.exe", script("Python.exe"), nil, "the name of another program"},
		{"a script named pip", script("pip"), nil, "the name of another program"},
		{"a script named pip3", script("pip3"), nil, "the name of another program"},
		{"a script named sh", script("sh"), nil, "the name of another program"},
		{"a script that leaves", script("../../x"), nil, `"../../x", which is not the name of a program`},
		{"a script in a folder", script("a/b"), nil, "not the name of a program"},
		{"a script with a backslash", script(`..\x`), nil, "not the name of a program"},
		{"an absolute script", script("/bin/x"), nil, "not the name of a program"},
		{"a script of Windows' devices", script("CON"), nil, "not the name of a program"},
		{"a script that is an option", script("-rf"), nil, "not the name of a program"},
		{"a script without a name", script(""), nil, "not the name of a program"},
		{"a script that is two dots", script(".."), nil, "not the name of a program"},
		{"a window script named python", set(info+"entry_points.txt", "[gui_scripts]\npythonw = gen:main\n"), nil, "the name of another program"},
		{"a script file named python3", set("gen-1.0.data/scripts/python3", "#!/bin/sh\n"), nil, "the name of another program"},
		{"a script file in a folder", set("gen-1.0.data/scripts/a/b", ""), nil, "not the name of a program"},
		{"a script file that leaves", own(func(map[string]string) {}), []string{"gen-1.0.data/scripts/../../x", ""}, ".."},
		{"an unknown scheme", set("gen-1.0.data/etc/x", ""), nil, "has no place in an installation"},
		{"no scheme", set("gen-1.0.data/x", ""), nil, "has no place in an installation"},
		{"the .data of another", set("neg-1.0.data/scripts/x", ""), nil, "the folder of another package"},
		{"the .dist-info of another", set("neg-1.0.dist-info/METADATA", ""), nil, "the folder of another package"},
		{"two .dist-info folders", set("Gen-1.0.dist-info/x", ""), nil, "dist-info"},
		{"no .dist-info folder", func(f map[string]string) { clear(f); f["gen.py"] = "" }, nil, "no .dist-info folder"},
		{"no METADATA", own(func(f map[string]string) { delete(f, info+"METADATA") }), nil, "no " + info + "METADATA"},
		{"no WHEEL", own(func(f map[string]string) { delete(f, info+"WHEEL") }), nil, "no " + info + "WHEEL"},
		{"another Name", meta("Name: Gen", "Name: neg"), nil, `METADATA is that of "neg"`},
		{"two Names", meta("Name: Gen", "Name: Gen\nname: neg"), nil, "2 lines of Name"},
		{"no Name", meta("Name: Gen\n", ""), nil, "0 lines of Name"},
		{"another Version", meta("Version: 1.0\n", "Version: 1.0.1\n"), nil, `"1.0.1"`},
		{"a pre-release", meta("Version: 1.0\n", "Version: 1.0rc1\n"), nil, `"1.0rc1"`},
		{"no requirement", meta("dep[x]>=1,<2", "dep >= 1 @ x"), nil, "is not a requirement"},
		{"METADATA that is no text", meta("Gen", "Gen\xff"), nil, "not UTF-8"},
		{"another tag", about("py3-none-any", "cp312-cp312-win_amd64"), nil, "has the tags cp312-cp312-win_amd64, its file name has py3-none-any"},
		{"more tags", about("Tag: py3-none-any", "Tag: py3-none-any\nTag: py2-none-any"), nil, "has the tags"},
		{"no tag", about("Tag: py3-none-any\n", ""), nil, "has the tags"},
		{"a tag of one word", about("py3-none-any", "py3"), nil, `has the tag "py3"`},
		{"a build that the name has not", about("Tag:", "Build: 7\nTag:"), nil, `the build "7"`},
		{"a wheel of the future", about("Wheel-Version: 1.0", "Wheel-Version: 2.0"), nil, `Wheel-Version "2.0"`},
		{"no Wheel-Version", about("Wheel-Version: 1.0\n", ""), nil, `Wheel-Version ""`},
	}
	refused := 0
	for _, tt := range tests {
		files := plain()
		tt.edit(files)
		err := check(t, pack(t, files, tt.more...), name)
		if fault.Of(err) != fault.Integrity || err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v (class %v), want %q", tt.what, err, fault.Of(err), tt.says)
			continue
		}
		refused++
	}
	testenv.Held(t, "a wheel that says what is not true of itself: class 5", "", len(tests), refused)
}

// TestGood: what writers of wheels do.
func TestGood(t *testing.T) {
	t.Parallel()
	main := plain()["gen.py"]
	tests := map[string]struct {
		name string
		edit func(files map[string]string)
	}{
		"plain":      {"gen-1.0-py3-none-any.whl", nil},
		"other case": {"Gen-1.0.0-py3-none-any.whl", nil},
		"build":      {"gen-1.0-7-py3-none-any.whl", func(f map[string]string) { f[info+"WHEEL"] = "Wheel-Version: 1.0\nBuild: 7\nTag: py3-none-any\n" }},
		"two pythons": {"gen-1.0-py2.py3-none-any.whl", func(f map[string]string) {
			f[info+"WHEEL"] = "Wheel-Version: 1.0\nTag: py2-none-any\nTag: py3-none-any\n"
		}},
		"compressed":  {"gen-1.0-py2.py3-none-any.whl", func(f map[string]string) { f[info+"WHEEL"] = "Wheel-Version: 1.9\r\nTag: py2.py3-none-any\r\n" }},
		"listed .pth": {"gen-1.0-py3-none-any.whl", func(f map[string]string) { f["gen.pth"] = "import gen\n" }},
		"scripts":     {"gen-1.0-py3-none-any.whl", func(f map[string]string) { f["gen-1.0.data/scripts/protoc-gen-x"] = "#!python\n" }},
	}
	for what, tt := range tests {
		files := plain()
		if tt.edit != nil {
			tt.edit(files)
		}
		files[info+"RECORD"] = record(files)
		for _, pythons := range [][]string{nil, {"3.12"}} {
			if err := check(t, pack(t, files), tt.name, pythons...); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	// Signatures come after the RECORD; digests may be better; sizes may be missing.
	files := plain()
	text := record(files)
	text = strings.Replace(text, row("gen.py", main), digested("sha512", sha512.New(), "gen.py", main), 1)
	text = strings.Replace(text, row(info+"WHEEL", files[info+"WHEEL"]), digested("sha384", sha512.New384(), info+"WHEEL", files[info+"WHEEL"]), 1)
	files[info+"RECORD"] = strings.Replace(text, fmt.Sprintf(",%d\n", len(main)), ",\n", 1)
	if err := check(t, pack(t, files, info+"RECORD.jws", "{}", info+"RECORD.p7s", "x"), "gen-1.0-py3-none-any.whl"); err != nil {
		t.Error(err)
	}
	// pip's own.
	text = "Wheel-Version: 1.0\nTag: py3-none-any\n"
	files = map[string]string{"pip-26.1.dist-info/METADATA": "Name: pip\nVersion: 26.1\n", "pip-26.1.dist-info/WHEEL": text, "pip-26.1.dist-info/entry_points.txt": "[console_scripts]\npip = pip:main\npip3 = pip:main\n"}
	files["pip-26.1.dist-info/RECORD"] = strings.Replace(record(files), info, "pip-26.1.dist-info/", 1)
	if err := check(t, pack(t, files), "pip-26.1-py3-none-any.whl"); err != nil {
		t.Error(err)
	}
}

func TestRequirement(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]wheel.Requirement{
		"a": {Name: "a"}, "A.b_c-d (>=1, !=2.*)": {Name: "A.b_c-d"}, "a[x, y]~=1.0;os_name=='nt'": {Name: "a", Marker: "os_name=='nt'"},
		"a ; extra == 'b'": {Name: "a", Marker: "extra == 'b'"}, "a>=1,": {Name: "a"},
		"a @ https://x/y;z": {Name: "a", Direct: "https://x/y;z"}, "a@file:///x ; os_name=='nt'": {Name: "a", Direct: "file:///x", Marker: "os_name=='nt'"},
		"a[x]@git+ssh://u@h/r@main": {Name: "a", Direct: "git+ssh://u@h/r@main"}, "a\t@\t./x": {Name: "a", Direct: "./x"},
	} {
		got, err := wheel.ParseRequirement(text)
		if got.Text = ""; err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-a", "a b", "https://x/y", "./x", "a @", "a>=1 @ x", "a>=https://x", "a (>=1) @ x", "a; x == 'y' @ z", "a (1.0)", "a>=", "git+https://x"} {
		if got, err := wheel.ParseRequirement(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
	// A line may be folded; what is no header is not read.
	m, err := wheel.ParseMetadata([]byte("\ufeffName: a\r\nVersion: 1\r\nREQUIRES-DIST : b\r\n @ https://x/y\r\n\r\nRequires-Dist: c\r\n"))
	if err != nil || len(m.Requires) != 1 || m.Requires[0].Direct != "https://x/y" {
		t.Errorf("%+v, %v", m, err)
	}
}
