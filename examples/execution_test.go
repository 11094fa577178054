package examples_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// buildGrid is a server of the Remote Execution API, and the database that it schedules
// with: packages for the Python of this machine.
const buildGrid = "buildgrid==0.4.4\npgserver==0.1.4\npsycopg2-binary==2.9.13\n"

// generated are targets that generate code in every language whose plugins need no compiler.
var generated = []string{
	"//examples/buf:", "//examples/codegen:", "//examples/cpp:note_cpp", "//examples/go:note_go", "//examples/java:note_java",
	"//examples/python:", "//examples/typescript:",
}

// nodeCache is where Node keeps what it compiled, in a project of these tests.
const nodeCache = "buck-out/v2/tmp/node-compile-cache"

// Workers of a real service, without the network, the home, the checkout and the variables of
// this machine, generate the bytes that a build here does. A second checkout takes all of them from the
// cache. A worker that is lost is replaced. An input that the storage lost or changed is an error.
func TestRemoteExecution(t *testing.T) {
	testenv.Real(t, "needs a service from its registry")
	bucktest.Need(t)
	g := startGrid(t)
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	checkouts := t.TempDir()
	remote := g.config(t, "buildgrid", "localhost:50051")
	local := checkout(t, filepath.Join(checkouts, "local"), "")
	want := contents(t, local, generated)
	worker := func(name string, flags ...string) *process {
		return g.worker(t, name, append(flags, "--hide", home, "--hide", checkouts)...)
	}

	it := worker("first")
	first := checkout(t, filepath.Join(checkouts, "first"), remote)
	same := func(what string, p *bucktest.Project) {
		t.Helper()
		if diff := cmp.Diff(want, contents(t, p, generated)); diff != "" {
			t.Fatalf("%s: other files than a build here (-here +there):\n%s", what, diff)
		}
	}
	same("by a worker", first)
	ran := executors(t, first)
	for _, category := range []string{"protoc_descriptor", "protoc_generate"} {
		if len(ran[category]) != 1 || ran[category]["Re"] == 0 {
			t.Errorf("%s ran %v, expected the worker alone", category, ran[category])
		}
	}
	// What Node keeps compiled stays where Buck2 itself runs the action.
	if _, err := os.Stat(filepath.Join(local.Dir, nodeCache)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(g.folder, "first", "action", nodeCache)); err == nil {
		t.Error("a worker keeps what Node compiled")
	}
	t.Logf("the worker ran %d actions", ran["protoc_descriptor"]["Re"]+ran["protoc_generate"]["Re"])

	second := checkout(t, filepath.Join(checkouts, "second", "elsewhere"), remote)
	same("from the cache", second)
	expectCached(t, second, "protoc_generate", "fetch_plugin")

	// What is edited is edited here as well, so that all have the same to generate.
	edits := 0
	edit := func(projects ...*bucktest.Project) {
		t.Helper()
		edits++
		for _, p := range append(projects, local) {
			const file = "examples/typescript/shop.proto"
			bucktest.Write(t, p.Dir, map[string]string{file: read(t, filepath.Join(p.Dir, file)) + fmt.Sprintf("\nmessage Added%d {}\n", edits)})
		}
		want = contents(t, local, generated)
	}

	it.stop()
	edit(first)
	lost := worker("lost", "--stall")
	next := make(chan *process)
	go func() {
		lost.says("lease")
		lost.stop()
		next <- worker("next")
	}()
	same("after a worker was lost", first)
	it = <-next

	damage := func(what func(file string) error) {
		t.Helper()
		objects := filepath.Join(g.folder, "cas")
		err := filepath.WalkDir(objects, func(file string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			return what(file)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name, says string
		do         func(file string) error
	}{
		{"evicted", "the storage lacks it", os.Remove},
		{"changed", "gives other bytes", testenv.FlipBit},
	} {
		damage(row.do)
		edit(first)
		it.stop()
		it = worker(row.name) // which has read no blob yet
		if _, stderr, err := first.Run(append([]string{"build"}, generated...)...); err == nil {
			t.Errorf("inputs were %s, and the build passed", row.name)
		} else if !strings.Contains(stderr, row.says) {
			t.Errorf("inputs were %s: the build does not say %q:\n%s", row.name, row.says, stderr)
		}
		first.Must("kill") // it remembers what it had sent
		damage(os.Remove)
		same("after inputs were "+row.name, first)
	}
}

// contents builds targets and returns the digest of each file that they consist of, by its
// path in the project.
func contents(t *testing.T, p *bucktest.Project, targets []string) map[string]string {
	t.Helper()
	got := make(map[string]string)
	for _, output := range p.Build(targets...) {
		name, err := filepath.Rel(p.Dir, output)
		if err != nil {
			t.Fatal(err)
		}
		real, err := filepath.EvalSymlinks(output) // where a folder of another name keeps it
		if err != nil {
			t.Fatal(err)
		}
		files := 0
		err = filepath.WalkDir(real, func(file string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			files++
			data, err := os.ReadFile(file)
			sum := sha256.Sum256(data)
			got[name+strings.TrimPrefix(file, real)] = hex.EncodeToString(sum[:])
			return err
		})
		if err != nil || files == 0 {
			t.Fatalf("%s: %d files, %v", name, files, err)
		}
	}
	return got
}

// A grid is a service of the Remote Execution API on loopback.
type grid struct {
	python, address, folder string
}

// startGrid starts BuildGrid, which ends with the test.
func startGrid(t *testing.T) grid {
	t.Helper()
	venv := cached(t, "buildgrid", map[string]string{"requirements.txt": buildGrid}, func(dir string) {
		command(t, dir, testenv.Program(t, "python3"), "-m", "venv", ".")
		command(t, dir, filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--only-binary", ":all:", "-r", "requirements.txt")
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grid{filepath.Join(venv, "bin", "python"), listener.Addr().String(), t.TempDir()}
	listener.Close()
	server := g.start(t, "server", g.folder, g.address)
	for range 1200 {
		if conn, err := net.Dial("tcp", g.address); err == nil {
			conn.Close()
			return g
		}
		select {
		case <-server.ended:
			t.Fatalf("the service ended:\n%s", server.output())
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatal("the service does not answer")
	return grid{}
}

// config is a configuration of examples/remote, for this service in the place of the one
// that the example names.
func (g grid) config(t *testing.T, name, example string) string {
	t.Helper()
	data := read(t, filepath.Join(bucktest.Root(t), "examples", "remote", name+".buckconfig"))
	config := strings.ReplaceAll(data, example, g.address)
	if strings.Count(config, g.address) != 3 {
		t.Fatalf("the example does not name %s three times:\n%s", example, data)
	}
	return config
}

// worker starts a worker of the service.
func (g grid) worker(t *testing.T, name string, flags ...string) *process {
	t.Helper()
	return g.start(t, append([]string{"worker", filepath.Join(g.folder, name), g.address, name}, flags...)...)
}

// A process of remote/grid.py ends when its standard input does, and so with the test.
type process struct {
	t     *testing.T
	stdin io.Closer
	log   string
	ended chan struct{}
}

func (g grid) start(t *testing.T, args ...string) *process {
	t.Helper()
	log, err := os.CreateTemp(g.folder, args[0]+"-*.log")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(g.python, append([]string{filepath.Join(bucktest.Root(t), "examples", "remote", "grid.py")}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t, stdin, log.Name(), make(chan struct{})}
	go func() {
		cmd.Wait()
		log.Close()
		close(p.ended)
	}()
	t.Cleanup(p.stop)
	return p
}

func (p *process) stop() {
	p.stdin.Close()
	<-p.ended
}

func (p *process) output() string {
	data, _ := os.ReadFile(p.log)
	return string(data)
}

// says waits for a word of the process.
func (p *process) says(word string) {
	for range 1200 {
		if strings.Contains(p.output(), word) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	p.t.Errorf("no %q from the process:\n%s", word, p.output())
}
