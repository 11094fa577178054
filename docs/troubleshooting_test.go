package docs

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	built "github.com/birbparty/buck2-protobuf/internal/build"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/kind"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// A section is a heading of the page and what it shows.
type section struct {
	anchor string
	blocks [][]string // lines of its console blocks
}

// sections reads a page.
func sections(t *testing.T, page string) []section {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []section
	var block []string
	console := false
	for _, line := range strings.Split(string(text), "\n") {
		switch {
		case console && line == "```":
			last := &all[len(all)-1]
			last.blocks, block, console = append(last.blocks, block), nil, false
		case console:
			block = append(block, line)
		case line == "```console":
			console = true
		case strings.HasPrefix(line, "## "), strings.HasPrefix(line, "### "):
			_, heading, _ := strings.Cut(line, " ")
			all = append(all, section{anchor: strings.ReplaceAll(strings.ToLower(heading), " ", "-")})
		}
	}
	return all
}

// TestTopics: every paragraph that a message names is there, and every paragraph
// is named. Each shows a whole message, which TestCommands compares with a real one,
// but for those that other tests have.
func TestTopics(t *testing.T) {
	var anchors []string
	for _, s := range sections(t, "troubleshooting.md") {
		anchors = append(anchors, s.anchor)
		elsewhere := map[string]string{
			"all-sources-failed": "several sources of one plugin", "direct-references": "clients of registries", "machine": "this machine", "a-fault-of-ours": "no command makes one",
		}
		shown := strings.Contains(fmt.Sprint(s.blocks), "troubleshooting.md#"+s.anchor)
		if shown == (elsewhere[s.anchor] != "") {
			t.Errorf("#%s shows a message: %t", s.anchor, shown)
		}
	}
	for _, topic := range fault.Topics() {
		if !slices.Contains(anchors, string(topic)) {
			t.Errorf("the page has no heading for #%s; it has %s", topic, strings.Join(anchors, ", "))
		}
	}
	for _, a := range anchors {
		if !slices.Contains(fault.Topics(), fault.Topic(a)) {
			t.Errorf("no message names #%s", a)
		}
	}
}

// A world is a folder with a lock of two plugins, a registry that serves them,
// and programs on PATH.
type world struct {
	*testing.T
	server      *fake.Server
	dir, cache  string
	bin, vacant string
	wheel       fake.Artifact
	environ     []string // in the place of an empty one
}

func newWorld(t *testing.T, bin string) *world {
	t.Helper()
	w := &world{T: t, server: fake.New(t), dir: t.TempDir(), cache: filepath.Join(t.TempDir(), "cache"), bin: bin, vacant: t.TempDir()}
	w.wheel = w.server.Wheel(fake.Wheel{Name: "tool-wheel", Version: "1.0.0",
		Files: map[string]string{"tool/bin/tool": "#!/bin/sh\necho tool\n"}, Exec: []string{"tool/bin/tool"}})
	script := w.server.Package(fake.Package{Name: "script", Version: "2.0.0",
		Manifest: map[string]any{"bin": map[string]string{"protoc-gen-script": "main.sh"}}, Files: map[string]string{"main.sh": "#!/bin/sh\necho script\n"}})
	l := &lock.Lock{Schema: lock.Schema, Plugins: map[string]map[string]*lock.Version{
		"tool": {"1.0.0": {Source: lock.Pip, Package: "tool-wheel", Trust: "registry",
			Files: map[string]lock.File{w.wheel.Name: {SHA256: w.wheel.SHA256, Size: w.wheel.Size}}}},
		"script": {"2.0.0": {Source: lock.NPM, Package: "script", Trust: "registry",
			Files: map[string]lock.File{"node_modules/script": {Name: "script", Version: "2.0.0", SHA256: script.SHA256, Size: script.Size, Integrity: script.Integrity}}}},
	}}
	w.cells(l.Plugins["tool"]["1.0.0"], w.wheel.Name, "tool/bin/tool", w.wheel)
	w.cells(l.Plugins["script"]["2.0.0"], "node_modules/script", "node_modules/script/main.sh", script)
	w.write(lock.FileName, string(lock.Print(l)))
	w.write(manifest.FileName, fmt.Sprintf("platforms = [\"linux-x86_64\"]\n\n[plugins.tool]\nversion = \"1.1.0\"\nsource = \"pip:tool-wheel\"\nbinary = \"tool/bin/tool\"\n\n[registries]\nnpm = %q\npip = %q\n",
		w.server.URL+"/", w.server.URL+"/simple/"))
	return w
}

// cells gives a version the tree of its one file, on this machine.
func (w *world) cells(v *lock.Version, key, binary string, a fake.Artifact) {
	w.Helper()
	name := filepath.Join(w.TempDir(), "artifact")
	if err := os.WriteFile(name, a.Body, 0o600); err != nil {
		w.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		w.Fatal(err)
	}
	defer f.Close()
	host := fake.Host(w)
	v.Platforms = map[string]lock.Cell{host.Name: {Binary: binary}}
	files, err := kind.Unpack(w.Context(), f, "", v, key, host.Name)
	if err != nil {
		w.Fatal(err)
	}
	tree, err := archive.TreeHash(files)
	if err != nil {
		w.Fatal(err)
	}
	for _, p := range lock.PlatformNames() {
		v.Platforms[p] = lock.Cell{Unavailable: "not among the platforms of plugins.toml"}
	}
	v.Platforms[host.Name] = lock.Cell{Binary: binary, Tree: tree}
	if raw, err := hex.DecodeString(tree); err != nil || len(raw) != 32 {
		w.Fatal("no tree")
	}
}

func (w *world) write(name, text string) {
	w.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o644); err != nil {
		w.Fatal(err)
	}
}

func (w *world) append(name, text string) { w.write(name, w.read(name)+text) }

func (w *world) read(name string) string {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(w.dir, name))
	if err != nil {
		w.Fatal(err)
	}
	return string(text)
}

// run runs a command of the page and returns its output, both streams.
func (w *world) run(command string) string {
	w.Helper()
	cmd := exec.Command("/bin/sh", "-c", command)
	cmd.Dir = w.dir
	cmd.Env = []string{"PATH=" + w.bin, "HOME=" + w.vacant, "BUCK2_PROTOBUF_CACHE_DIR=" + w.cache}
	if w.environ != nil {
		cmd.Env = w.environ
	}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		w.Fatal(err)
	}
	return string(out)
}

// prepare makes the trouble that a paragraph is about.
var prepare = map[string]func(*world){
	"lock":    func(w *world) { w.run("git init -q") },
	"network": func(w *world) { w.server.Fault(w.wheel.Path, fake.Status(503)) },
	"proxy":   func(w *world) { w.server.Fault(w.wheel.Path, fake.HTML()) },
	"wrong-bytes": func(w *world) {
		w.server.Fault(w.wheel.Path, fake.WrongBytes())
	},
	"damaged-cache": func(w *world) {
		path := strings.TrimSpace(w.run("fetch get tool --quiet"))
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho evil\n"), 0o755); err != nil {
			w.Fatal(err)
		}
	},
	"buck-files": func(w *world) {
		w.write(".buckconfig", "")
		if err := os.Mkdir(filepath.Join(w.dir, "a"), 0o755); err != nil {
			w.Fatal(err)
		}
		w.write("a/a.proto", "syntax = \"proto3\";\npackage a;\nimport \"b/b.proto\";\n")
	},
	"policy": func(w *world) { w.append(manifest.FileName, "\n[policy]\nallow = [\"npm:script\"]\n") },
	"archives": func(w *world) {
		w.server.File("/dl/tool.tar.gz", fake.Tarball("", map[string]string{"../tool": "#!/bin/sh\n"}))
		w.write(manifest.FileName, fmt.Sprintf("platforms = [\"linux-x86_64\"]\n\n[plugins.new]\nversion = \"1.0.0\"\nsource = \"%s/dl/tool.tar.gz\"\nbinary = \"tool\"\n", w.server.URL))
		w.write(lock.FileName, "schema = 1\n")
	},
	"checksum-files": func(w *world) {
		w.server.File("/dl/tool", []byte("#!/bin/sh\n"))
		w.server.File("/dl/SHA256SUMS", []byte(strings.Repeat("ab", 32)+"  other\n"))
		w.write(manifest.FileName, fmt.Sprintf("platforms = [\"linux-x86_64\"]\n\n[plugins.new]\nversion = \"1.0.0\"\nsource = \"%s/dl/tool\"\nbinary = \"tool\"\nchecksums = \"SHA256SUMS\"\n", w.server.URL))
		w.write(lock.FileName, "schema = 1\n")
	},
	"npm": func(w *world) {
		if err := os.WriteFile(filepath.Join(w.dir, ".npmrc"), []byte("_authToken=secret\n"), 0o600); err != nil {
			w.Fatal(err)
		}
	},
	"settings-of-cargo-and-go": func(w *world) {
		dir := filepath.Join(w.dir, ".cargo")
		if err := os.Mkdir(dir, 0o755); err != nil {
			w.Fatal(err)
		}
		w.write(".cargo/config.toml", "[registries\n")
		w.write(manifest.FileName, "platforms = [\"linux-x86_64\"]\n\n[plugins.new]\nversion = \"1.0.0\"\nsource = \"cargo:protoc-gen-new\"\nbinary = \"protoc-gen-new\"\n")
		w.write(lock.FileName, "schema = 1\n")
	},
	"cache-of-others": func(w *world) {
		w.run("fetch get tool")
		if err := os.Chmod(w.cache, 0o777); err != nil {
			w.Fatal(err)
		}
	},
	"out-of-time": func(w *world) { w.server.Fault(w.wheel.Path, fake.Silent(time.Minute)) },
}

// TestCommands runs every command that the page shows, in the trouble that its
// paragraph is about, and wants what the page shows of its output: "…" stands
// for anything.
func TestCommands(t *testing.T) {
	bin := path(t)
	for _, name := range []string{"cargo", "rustc"} {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\necho '"+name+" 1.95.0 (f2d3ce0bd 2026-03-21)'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	commands := 0
	row := testenv.Rows(t, "a kind of error: the whole message, word for word as docs/troubleshooting.md shows it", "")
	for _, s := range sections(t, "troubleshooting.md") {
		if len(s.blocks) == 0 {
			continue
		}
		t.Run(s.anchor, func(t *testing.T) {
			row(t)
			w := newWorld(t, bin)
			if do := prepare[s.anchor]; do != nil {
				do(w)
			}
			commands += w.show(s.blocks)
		})
	}
	if commands < 15 {
		t.Errorf("the page shows %d commands only", commands)
	}
}

// path returns a folder with the programs of a user: lockgen, fetch and git.
func path(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	for _, name := range []string{"fetch", "lockgen"} {
		if err := os.Symlink(filepath.Join(programs(t), name), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	git := testenv.Program(t, "git")
	if err := os.Symlink(git, filepath.Join(bin, "git")); err != nil {
		t.Fatal(err)
	}
	return bin
}

// ofCommit is where the pages of a commit are.
var ofCommit = regexp.MustCompile(regexp.QuoteMeta(built.Home) + "/blob/[0-9a-f]{12,40}/")

// show runs the commands of a section and wants what it shows of their output,
// and returns how many there are.
func (w *world) show(blocks [][]string) (commands int) {
	w.Helper()
	for _, block := range blocks {
		for len(block) > 0 {
			command, ok := strings.CutPrefix(block[0], "$ ")
			if !ok {
				w.Fatalf("a block does not begin with a command: %q", block[0])
			}
			end := 1 + slices.IndexFunc(append(slices.Clone(block[1:]), "$ "), func(line string) bool { return strings.HasPrefix(line, "$ ") })
			want := strings.Join(block[1:end], "\n")
			commands++
			got := strings.TrimSpace(w.run(command))
			// A program that was built in a clone names the pages of its commit.
			got = ofCommit.ReplaceAllString(got, built.Info{}.Page(""))
			form := "(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(want)), "…", ".*") + "$"
			if !regexp.MustCompile(form).MatchString(got) {
				w.Errorf("$ %s\nprinted\n%s\nand the page shows\n%s", command, got, want)
			}
			block = block[end:]
		}
	}
	return commands
}
