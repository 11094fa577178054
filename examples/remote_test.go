package examples_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// With a remote cache, the configuration of examples/remote in one checkout
// leaves nothing to run in a second one at another path: neither the generating
// of code nor the fetching of plugins.
func TestRemoteCache(t *testing.T) {
	testenv.Real(t, "needs a remote cache from its registry")
	bucktest.Need(t)
	config := startGrid(t).config(t, "bazel-remote", "localhost:9092")
	targets := []string{"build",
		"//examples/typescript:ts-proto[all]", "//examples/typescript:protoc-gen-es", "//examples/typescript:protoc-gen-ts"}

	first := checkout(t, filepath.Join(t.TempDir(), "first"), config)
	first.Must(targets...)
	ran := executors(t, first)
	if n := ran["protoc_generate"]["Local"]; n < 3 {
		t.Fatalf("the first checkout generated code %d times itself, expected at least 3: %v", n, ran)
	}

	// Its daemon finds no program by its name: what generates code brings its own.
	second := checkout(t, filepath.Join(t.TempDir(), "second", "elsewhere"), config)
	t.Setenv("BUCK2", bucktest.Find())
	t.Setenv("PATH", filepath.Join(second.Dir, "nothing"))
	second.Must(targets...)
	expectCached(t, second, "protoc_generate", "fetch_plugin")

	bucktest.Write(t, second.Dir, map[string]string{"examples/typescript/shop.proto": read(t, filepath.Join(second.Dir, "examples/typescript/shop.proto")) + "\nmessage Added {}\n"})
	second.Must(targets...)
	ran = executors(t, second)
	if n := ran["protoc_generate"]["Local"]; n < 3 {
		t.Errorf("code was generated %d times after a change, expected at least 3: %v", n, ran)
	}
	delete(ran, "protoc_generate")
	delete(ran, "protoc_descriptor")
	if len(ran) > 0 {
		t.Errorf("a changed .proto file ran %v", ran)
	}
}

// With the same configuration, and the libraries of generated code in the lock, nothing of
// a server and a client in Python and in Java is left to compile in a second checkout.
func TestRemoteCacheCompiled(t *testing.T) {
	dir := repository(t, "grpc", "g++", "python3", "javac", "jar", "java")
	bucktest.Write(t, dir, map[string]string{".buckconfig.local": startGrid(t).config(t, "bazel-remote", "localhost:9092")})
	elsewhere := filepath.Join(t.TempDir(), "second", "elsewhere")
	if err := os.CopyFS(elsewhere, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	targets := []string{"build", "//python:server", "//python:client", "//java:server", "//java:client"}
	first := bucktest.Open(t, dir, "v2")
	first.Must(targets...)
	if ran := executors(t, first); ran["javac_and_jar"]["Local"] == 0 || ran["par"]["Local"] == 0 {
		t.Fatalf("the first checkout compiled nothing itself: %v", ran)
	}

	// Its daemon finds git, which takes this repository, and no compiler.
	second, programs := bucktest.Open(t, elsewhere, "v2"), t.TempDir()
	if err := os.Symlink(testenv.Program(t, "git"), filepath.Join(programs, "git")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("BUCK2", bucktest.Find())
	t.Setenv("PATH", programs)
	second.Must(targets...)
	expectCached(t, second, "protoc_generate", "fetch_plugin", "javac_and_jar", "fat_jar", "par", "py_source_manifest")
}

// expectCached expects that all that the last command of a project did came from the
// cache, some categories of actions among it.
func expectCached(t *testing.T, p *bucktest.Project, categories ...string) {
	t.Helper()
	ran := executors(t, p)
	for category, by := range ran {
		for executor, n := range by {
			if executor != "Cache" {
				t.Errorf("the second checkout ran %s %d times (%s), expected the cache alone", category, n, executor)
			}
		}
	}
	for _, category := range categories {
		if ran[category]["Cache"] == 0 {
			t.Errorf("no %s came from the cache: %v", category, ran)
		}
	}
}

// checkout copies the sources of this repository to dir, and opens them with a
// configuration of their own.
func checkout(t *testing.T, dir, config string) *bucktest.Project {
	t.Helper()
	bucktest.CopyRepo(t, dir)
	bucktest.Write(t, dir, map[string]string{".buckconfig.local": config})
	return bucktest.Open(t, dir, "v2")
}

// Every configuration of examples/remote gives the execution platform that it
// names to the actions that generate code, and a service of its own.
func TestRemoteConfigurations(t *testing.T) {
	p := bucktest.Open(t, bucktest.Root(t), "test-remote")
	files, err := filepath.Glob(filepath.Join(p.Dir, "examples", "remote", "*.buckconfig"))
	if err != nil || len(files) < 4 {
		t.Fatalf("configurations: %q, %v", files, err)
	}
	platform := regexp.MustCompile(`execution_platforms = (buck2-protobuf//examples/remote:\w+)`)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := platform.FindSubmatch(data)
			if want == nil {
				t.Fatalf("no platform of examples/remote in\n%s", data)
			}
			out := p.On(t).Must("audit", "execution-platform-resolution", "--config-file", file, "//examples/typescript:ts-proto")
			if !strings.Contains(out, "Execution platform: "+string(want[1])+"\n") {
				t.Errorf("not on %s:\n%s", want[1], out)
			}
			if strings.HasSuffix(string(want[1]), ":cache") {
				return
			}
			// A machine of another system fetches the workers' plugins itself, with a
			// `fetch` of its own. Its name is all that is of another system here.
			for _, host := range []string{"macos", "windows"} {
				cmds := p.On(t).Must("aquery", "--fake-host", host, "--config-file", file, "deps(//examples/typescript:ts-proto)", "--output-attribute", "^cmd$")
				if platforms := regexp.MustCompile(`--platform, [\w-]+`).FindAllString(cmds, -1); len(platforms) < 3 || slices.ContainsFunc(platforms, func(p string) bool { return p != "--platform, linux-x86_64" }) {
					t.Errorf("on %s: plugins for %q", host, platforms)
				}
				fetch := p.On(t).Must("audit", "execution-platform-resolution", "--fake-host", host, "--config-file", file, "//:fetch")
				if !strings.Contains(fetch, "Execution platform: prelude//platforms:default\n") {
					t.Errorf("on %s: fetch is not built for this machine:\n%s", host, fetch)
				}
			}
		})
	}
}

// executors counts what ran in the last command of a project, by the category
// of the action and by who executed it: Local, Re or Cache.
func executors(t *testing.T, p *bucktest.Project) map[string]map[string]int {
	t.Helper()
	counts := make(map[string]map[string]int)
	for _, line := range strings.Split(strings.TrimSpace(p.Must("log", "what-ran", "--format", "json")), "\n") {
		var entry struct {
			Identity   string
			Reproducer struct{ Executor string }
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		_, action, ok := strings.Cut(entry.Identity, ") (")
		if !ok {
			t.Fatalf("no category in %q", entry.Identity)
		}
		category := strings.Fields(strings.Trim(action, "()"))[0]
		if counts[category] == nil {
			counts[category] = make(map[string]int)
		}
		counts[category][entry.Reproducer.Executor]++
	}
	return counts
}
