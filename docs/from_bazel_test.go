package docs

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// TestFromBazel: the entry that from-bazel.md shows asks for the files of the multitool
// lock there, and its commands run.
func TestFromBazel(t *testing.T) {
	t.Parallel()
	const page = "from-bazel.md"
	text := readFile(t, page)
	var tools map[string]struct {
		Binaries []struct{ Kind, OS, CPU, SHA256, File, URL string }
	}
	if err := json.Unmarshal([]byte(regexp.MustCompile("(?s)```json\n(.*?)```").FindStringSubmatch(text)[1]), &tools); err != nil {
		t.Fatal(err)
	}
	if host, _ := lock.Host(); host.Name != "linux-x86_64" {
		t.Skip("skipped: the page installs a plugin for linux-x86_64")
	}
	w := withPrograms(t)
	const files = "https://files.example.com"
	const plugin = "protoc-gen-acme"
	words := readFile(t, "../examples/own-plugin/acme-words")
	w.write(manifest.FileName, strings.ReplaceAll(examples(t, page)[0], files, w.server.URL))
	for _, b := range tools[plugin].Binaries {
		path, ok := strings.CutPrefix(b.URL, files)
		if !ok || b.Kind != "archive" {
			t.Errorf("%+v", b)
		}
		w.server.File(path, fake.Tarball("", map[string]string{b.File: words + "# " + b.OS}, b.File))
	}
	w.showPage(page, 2)
	l, err := lock.Parse(lock.FileName, []byte(w.read(lock.FileName)))
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for _, b := range tools[plugin].Binaries {
		want = append(want, strings.Replace(b.URL, files, w.server.URL, 1))
	}
	for _, f := range l.Plugins[plugin]["1.4.0"].Files {
		got = append(got, f.URL)
	}
	if !sameWords(got, want) || len(got) != 2 {
		t.Errorf("locked are %v, want %v", got, want)
	}
	for platform, cell := range l.Plugins[plugin]["1.4.0"].Platforms {
		if cell.Unavailable == "" && cell.Binary != tools[plugin].Binaries[0].File {
			t.Errorf("%s: %s", platform, cell.Binary)
		}
	}
}
