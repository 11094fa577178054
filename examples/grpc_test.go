package examples_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// grpcLanguages are the folders of examples/grpc that have a server and a client, with
// the name that its server calls the language by.
var grpcLanguages = map[string]string{"java": "Java", "python": "Python", "typescript": "TypeScript"}

// examples/grpc: servers and clients in all its languages, built from plugins.toml and a
// BUCK file each, understand each other.
func TestGRPC(t *testing.T) {
	testenv.Real(t, "needs plugins and libraries from their registries")
	bucktest.Need(t)
	for _, program := range []string{"go", "g++", "python3", "javac", "jar", "java"} {
		testenv.Program(t, program)
	}
	host, ok := lock.Host()
	root := bucktest.Root(t)
	l, _, err := lock.Read(filepath.Join(root, "examples", "grpc", lock.FileName))
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
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(root, "examples", "grpc"))); err != nil {
		t.Fatal(err)
	}
	bucktest.CopyRepo(t, filepath.Join(dir, "buck2-protobuf"))
	config := read(t, filepath.Join(root, "examples", "consumer", ".buckconfig"))
	bucktest.Write(t, dir, map[string]string{
		".buckconfig": replaceOnce(t, config, `(?m)^  buck2-protobuf = git\n`, "") + "\n[buck2_protobuf]\n  runtimes = java, python, typescript\n",
		".buckroot":   "",
	})
	lockgen := filepath.Join(t.TempDir(), "lockgen")
	command(t, root, "go", "build", "-o", lockgen, "./lockgen")
	command(t, dir, lockgen, "check")

	p := bucktest.Open(t, dir, "v2")
	for language := range grpcLanguages {
		p.Must("build", "//"+language+":server", "//"+language+":client")
	}
	p.Must("test", "//typescript:check")
	for language, name := range grpcLanguages {
		server := exec.CommandContext(t.Context(), bucktest.Find(), "--isolation-dir", "v2", "run", "//"+language+":server")
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
		port, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Errorf("the server in %s prints no port: %v", language, err)
		}
		for other, called := range grpcLanguages {
			want := "Hello, " + called + ", from " + name + "\n"
			if got := p.Must("run", "//"+other+":client", "--", "127.0.0.1:"+strings.TrimSpace(port)); got != want {
				t.Errorf("a client in %s of the server in %s printed %q, want %q", other, language, got, want)
			}
		}
		in.Close()
		if err := server.Wait(); err != nil {
			t.Errorf("the server in %s: %v", language, err)
		}
	}
}
