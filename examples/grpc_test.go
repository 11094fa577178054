package examples_test

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// grpcLanguages are the folders of examples/grpc that have a server and a client, with
// the name that its server calls the language by.
var grpcLanguages = map[string]string{"go": "Go", "java": "Java", "python": "Python", "rust": "Rust", "typescript": "TypeScript"}

// examples/grpc: servers and clients in all its languages, built from plugins.toml and a
// BUCK file each, understand each other. Those in Go and in Rust are only analysed but in
// the full suite: Buck2 compiles the whole standard library of Go, and of Rust three
// plugins and the crates that the programs use.
func TestGRPC(t *testing.T) {
	programs := []string{"g++", "python3", "javac", "jar", "java"}
	languages := maps.Clone(grpcLanguages)
	if testenv.Full() {
		programs = append(programs, "gcc", "cargo", "rustc")
	} else {
		delete(languages, "go")
		delete(languages, "rust")
	}
	dir := repository(t, "grpc", programs...)
	p := bucktest.Open(t, dir, "v2")
	for language := range grpcLanguages {
		p.Must("audit", "providers", "--quiet", "//"+language+":server", "//"+language+":client")
	}
	for language := range languages {
		p.Must("build", "//"+language+":server", "//"+language+":client")
	}
	p.Must("test", "//typescript:check")
	for language, name := range languages {
		port, stop := serve(t, p, "//"+language+":server")
		for other, called := range languages {
			want := "Hello, " + called + ", from " + name + "\n"
			if got := p.Must("run", "//"+other+":client", "--", "127.0.0.1:"+port); got != want {
				t.Errorf("a client in %s of the server in %s printed %q, want %q", other, language, got, want)
			}
		}
		stop()
	}
}

// repository makes a repository of an example, which takes this one from git by commit as
// examples/consumer does, and returns its folder. It skips the test where a program is
// missing, or the example is not locked for this machine.
func repository(t *testing.T, example string, programs ...string) string {
	t.Helper()
	testenv.Real(t, "needs plugins and libraries from their registries")
	bucktest.Need(t)
	for _, program := range append(programs, "go") {
		testenv.Program(t, program)
	}
	host, ok := lock.Host()
	root := bucktest.Root(t)
	own := filepath.Join(root, "examples", example)
	l, _, err := lock.Read(filepath.Join(own, lock.FileName))
	if err != nil {
		t.Fatal(err)
	}
	_, _, protoc, err := l.Find("protoc")
	if err != nil {
		t.Fatal(err)
	}
	if !ok || protoc.Platforms[host.Name].Unavailable != "" {
		t.Skip("the example is not locked for this machine")
	}
	dir, origin := t.TempDir(), t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(own)); err != nil {
		t.Fatal(err)
	}
	bucktest.CopyRepo(t, origin)
	commit(t, origin)
	var languages []string
	for _, language := range lock.Languages() {
		for name := range l.Plugins {
			if strings.HasPrefix(name, lock.RuntimeEntry(language, "")) && !slices.Contains(languages, language) {
				languages = append(languages, language)
			}
		}
	}
	bucktest.Write(t, dir, map[string]string{
		".buckconfig": consumerConfig(t, origin) + "\n[buck2_protobuf]\n  runtimes = " + strings.Join(languages, ", ") + "\n",
		".buckroot":   "",
	})
	lockgen := filepath.Join(t.TempDir(), "lockgen")
	command(t, root, "go", "build", "-o", lockgen, "./lockgen")
	command(t, dir, lockgen, "check")
	return dir
}

// serve runs a server that prints its port, and serves until stop.
func serve(t *testing.T, p *bucktest.Project, target string) (port string, stop func()) {
	t.Helper()
	server := exec.CommandContext(t.Context(), bucktest.Find(), "--isolation-dir", "v2", "run", target)
	server.Dir, server.Stderr = p.Dir, os.Stderr
	in, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	port, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Errorf("%s prints no port: %v", target, err)
	}
	return strings.TrimSpace(port), func() {
		in.Close()
		if err := server.Wait(); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// examples/validate: programs refuse messages that break rules of their .proto file, by
// the rules' names, and take the others.
func TestValidate(t *testing.T) {
	dir := repository(t, "validate", "gcc", "g++", "python3")
	p := bucktest.Open(t, dir, "v2")
	programs := []string{"check_py"}
	if testenv.Full() {
		programs = append(programs, "check_go")
	}
	for _, program := range programs {
		for order, want := range map[string]string{
			`{"sku": "ABC-1", "amount": 1}`:                                   "valid",
			`{"sku": "ABC-1", "amount": 1, "gift": true, "recipient": "Ada"}`: "valid",
			`{"sku": "ABC-1", "amount": 0}`:                                   "int32.gt",
			`{"sku": "abc", "amount": 1}`:                                     "string.pattern",
			`{"sku": "ABC-1", "amount": 1, "gift": true}`:                     "order.gift",
			`{"sku": "abc", "gift": true}`:                                    "order.gift string.pattern int32.gt",
		} {
			out, stderr, err := p.Run("run", "//shop:"+program, "--", order)
			if (err == nil) != (want == "valid") || strings.Join(strings.Fields(out), " ") != want {
				t.Errorf("%s of %s printed %q, want %q; %v\n%s", program, order, out, want, err, stderr)
			}
		}
	}
}

// theirs are the lines that rules_proto_grpc's own examples of a server and a client take,
// counted as docs/runtimes.md says.
var theirs = map[string]int{"go": 45, "java": 35, "python": 46, "rust": 72, "typescript": 29}

// TestLines counts what a person writes for the servers and clients of examples/grpc,
// beside what the examples of rules_proto_grpc take, and compares with the table in
// docs/runtimes.md.
func TestLines(t *testing.T) {
	root := bucktest.Root(t)
	page := read(t, filepath.Join(root, "docs", "runtimes.md"))
	count := func(files ...string) (n int) {
		for _, file := range files {
			for line := range strings.Lines(read(t, filepath.Join(root, "examples", filepath.FromSlash(file)))) {
				if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
					n++
				}
			}
		}
		return n
	}
	for language, n := range theirs {
		ours := count("grpc/" + language + "/BUCK")
		row := fmt.Sprintf("| %s | %d | %d |", grpcLanguages[language], ours, n)
		t.Log(row)
		if !strings.Contains(page, "\n"+row+"\n") {
			t.Errorf("docs/runtimes.md has no row\n%s", row)
		}
	}
	once := fmt.Sprintf("plugins.toml has %d lines, greet/BUCK %d, .buckconfig %d and the toolchains %d", count("grpc/plugins.toml"), count("grpc/greet/BUCK"),
		count("consumer/.buckconfig")+2, count("grpc/toolchains/BUCK", "grpc/toolchains/java.bzl", "grpc/toolchains/jar_builder.sh"))
	t.Log(once)
	if !strings.Contains(strings.Join(strings.Fields(page), " "), once) {
		t.Errorf("docs/runtimes.md does not say: %s", once)
	}
}
