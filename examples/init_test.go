package examples_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestInit: what buck2 init writes, lockgen init and lockgen add, and the build of
// the target whose lines lockgen init prints.
func TestInit(t *testing.T) {
	testenv.Real(t, "needs plugins from their registries")
	buck2 := bucktest.Need(t)
	dir := t.TempDir()
	origin, lockgen := filepath.Join(dir, "origin"), filepath.Join(dir, "lockgen")
	bucktest.CopyRepo(t, origin)
	commit(t, origin)
	command(t, bucktest.Root(t), "go", "build", "-o", lockgen, "./lockgen")
	wire := []string{"init", "--yes", "--origin", "file://" + filepath.ToSlash(origin), "--commit", "HEAD"}
	const api = `syntax = "proto3";
package api;
message Event { string name = 1; }
`
	for name, args := range map[string][]string{"plain": {"init"}, "git": {"init", "--git"}} {
		t.Run(name, func(t *testing.T) {
			repository := filepath.Join(dir, name)
			if err := os.Mkdir(repository, 0o755); err != nil {
				t.Fatal(err)
			}
			command(t, repository, buck2, args...)
			bucktest.Write(t, repository, map[string]string{"pyproject.toml": "", "api/api.proto": api})
			shown := command(t, repository, lockgen, wire...)
			if !strings.Contains(shown, "+  buck2-protobuf = git\n") {
				t.Errorf("the difference is not shown:\n%s", shown)
			}
			p := bucktest.Open(t, repository, "v2")
			// The lock is empty yet: that breaks no target of the repository.
			if targets := p.Must("targets", "//...", "toolchains//..."); !strings.Contains(targets, "root//:hello_world\n") || !strings.Contains(targets, "toolchains//:protobuf\n") {
				t.Errorf("targets:\n%s", targets)
			}
			p.Must("build", "//:hello_world")
			if name == "plain" {
				return
			}
			command(t, repository, lockgen, "add", "--no-smoke", "mypy-protobuf")
			bucktest.Write(t, repository, map[string]string{"api/BUCK": `load("@buck2-protobuf//rules:python.bzl", "python_proto_library")

python_proto_library(
    name = "api_python",
    srcs = ["api.proto"],
    mypy = True,
)
`})
			out := p.Build("//api:api_python")[0]
			for file, want := range map[string]string{"api/api_pb2.py": "DESCRIPTOR", "api/api_pb2.pyi": "class Event"} {
				if text := read(t, filepath.Join(out, filepath.FromSlash(file))); !strings.Contains(text, want) {
					t.Errorf("%s has no %q:\n%s", file, want, text)
				}
			}
		})
	}
}
