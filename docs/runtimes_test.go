package docs

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
)

// TestRuntimesPage runs the commands of runtimes.md with its plugins.toml, of which the
// plugins are programs of this machine, and the libraries from an index here.
func TestRuntimesPage(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts every client; the tests of lockgen have the usual way")
	const page = "runtimes.md"
	text := readFile(t, page)
	for _, language := range lock.Languages() {
		for _, name := range catalog.Builtin().Runtimes(language) {
			if r, _ := catalog.Builtin().Runtime(language, name); r.Package != "" && lock.RuntimeEntry(language, r.Package) == lock.RuntimeEntry(language, name) {
				name = r.Package // as people write it
			}
			if !strings.Contains(text, "| `"+name+"`") && !strings.Contains(text, ", `"+name+"`") {
				t.Errorf("the table has no %s", name)
			}
		}
	}
	if runtime.GOOS != "linux" {
		t.Skip("skipped: the plugins are programs for Linux")
	}
	testenv.Real(t, "it starts pip")
	testenv.Program(t, "python3", "-m", "pip", "--version")
	w := newRepository(t, nil)
	w.environ = append(os.Environ(), "PATH="+w.bin+string(os.PathListSeparator)+os.Getenv("PATH")) // python3 may be a script
	program, err := os.ReadFile(testenv.Program(t, "true"))
	if err != nil {
		t.Fatal(err)
	}
	w.server.File("/36.2/protoc", program)
	w.server.File("/1.85.1/protoc-gen-grpc_python", program)
	for name, versions := range map[string][]string{"protobuf": {"6.33.6", "7.36.1", "7.36.2"}, "grpcio": {"1.85.0", "1.85.1", "1.85.3"}, "googleapis-common-protos": {"1.76.0"}} {
		for _, version := range versions {
			w.server.Wheel(fake.Wheel{Name: name, Version: version, Files: map[string]string{name + ".py": version}})
		}
	}
	host, _ := lock.Host()
	blocks := examples(t, page)
	for _, block := range blocks {
		if !strings.Contains(block, "platforms =") {
			block = "platforms = [\"linux-x86_64\"]\n" + block
		}
		m, err := manifest.Parse(manifest.FileName, []byte(block))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := plan.Wants(m, nil); err != nil {
			t.Error(err)
		}
	}
	if len(blocks) != 6 {
		t.Fatalf("%d blocks", len(blocks))
	}
	_, tables, _ := strings.Cut(blocks[0], "[runtimes]")
	entry := "[plugins.%s]\nversion = %q\nsource = %q\nbinary = %q\nsmoke = false\n"
	w.write(manifest.FileName, fmt.Sprintf("platforms = [%q]\n\n", host.Name)+
		fmt.Sprintf(entry, "protoc", "36.2", w.server.URL+"/{version}/protoc", "protoc")+
		fmt.Sprintf(entry, "grpcio-tools", "1.85.1", w.server.URL+"/{version}/protoc-gen-grpc_python", "protoc-gen-grpc_python")+
		fmt.Sprintf("\n[registries]\npip = %q\n\n[runtimes]%s", w.server.URL+"/simple/", tables))
	w.showPage(page, 7)
	if got := w.read(manifest.FileName); !strings.Contains(got, `python = ["protobuf", "grpcio==1.85.3"]`) {
		t.Errorf("in the end plugins.toml is\n%s", got)
	}
}
