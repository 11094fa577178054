package catalog_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// protocs are the versions in testdata/protocs: that of the first locks, and the
// newest one that its registries serve.
var protocs = []string{"30.2", "36.2"}

// TestCorpus: what protoc makes itself, and the plugins in the lock of this repository,
// make the same files of the corpus with the protocs of both versions, which one lock has
// side by side. Most of the plugins are in the full suite alone.
func TestCorpus(t *testing.T) {
	testenv.Real(t, "downloads plugins")
	host, ok := lock.Host()
	if !ok {
		t.Skip("no platform of a lock")
	}
	p := newPair(t, host.Name)
	r, _ := catalog.Builtin().Lookup("protoc")
	for _, name := range r.Makes {
		t.Run("--"+name+"_out", func(t *testing.T) {
			t.Parallel()
			want := corpus
			if name == "php" { // without required fields, and groups
				want = []string{"proto3"}
			}
			if made := p.both(t, want, "--"+name+"_out=OUT"); !slices.Equal(made, want) {
				t.Errorf("made of %v, want %v", made, want)
			}
		})
	}
	seen := seenFiles(t)
	plugins, _, err := lock.Read(filepath.Join(p.root, lock.FileName))
	if err != nil {
		t.Fatal(err)
	}
	few := []string{"mypy-protobuf"}
	tried := 0
	for _, name := range slices.Sorted(maps.Keys(plugins.Plugins)) {
		r, known := catalog.Builtin().Lookup(name)
		if !known || r.Smoke != nil || !testenv.Full() && !slices.Contains(few, name) {
			continue
		}
		for _, version := range slices.SortedFunc(maps.Keys(plugins.Plugins[name]), lock.CompareVersions) {
			tried++
			t.Run(name+" "+version, func(t *testing.T) {
				var args []string
				if other := beside[name]; other != "" {
					args = append(args, "--plugin=protoc-gen-first="+p.get(t, p.root, other), "--first_out=OUT")
				}
				args = append(args, "--plugin=protoc-gen-tried="+p.get(t, p.root, name+"@"+version), "--tried_out=OUT")
				if len(r.Options) > 0 {
					args = append(args, "--tried_opt="+strings.Join(r.Options, ","))
				}
				var must []string
				if seen[name].version == version {
					must = seen[name].files
				}
				if made := p.both(t, must, args...); len(made) == 0 {
					t.Error("nothing is made")
				}
			})
		}
	}
	if tried < len(few) {
		t.Errorf("%d plugins were tried", tried)
	}
}

// A pair is the protocs of both versions.
type pair struct {
	*stand
	root   string              // of the repository
	protoc map[string][]string // the command by version
}

func newPair(t *testing.T, platform string) *pair {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	compilers := filepath.Join(root, "internal", "catalog", "testdata", "protocs")
	l, _, err := lock.Read(filepath.Join(compilers, lock.FileName))
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{newStand(t, platform, "buck2-protobuf-test", "../../fetch"), root, map[string][]string{}}
	for _, version := range protocs {
		v := l.Plugins["protoc"][version]
		if v == nil || !v.Platforms[platform].Locked() {
			t.Skipf("protoc %s is not locked for %s", version, platform)
		}
		p.protoc[version] = []string{p.get(t, compilers, "protoc@"+version), "--proto_path=" + p.corpus}
	}
	return p
}

// get installs a plugin of the lock in a folder, and returns the path of its program.
func (p *pair) get(t *testing.T, dir, name string) string {
	t.Helper()
	path, err := p.run(dir, p.tool("fetch"), "get", name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// files are those that one protoc makes of a file of the corpus. OUT in the arguments is
// the folder for them.
func (p *pair) files(t *testing.T, version, file string, args ...string) ([]string, error) {
	out := t.TempDir()
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "OUT", out)
	}
	command := slices.Concat(p.protoc[version], args, []string{file + ".proto"})
	if _, err := p.run(out, command[0], command[1:]...); err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(contents(t, out))), nil
}

// both demands the same of both protocs: the same files, or none of a file of the
// corpus that must does not name. What they make something of is returned.
func (p *pair) both(t *testing.T, must []string, args ...string) (of []string) {
	t.Helper()
	for _, file := range corpus {
		first, err := p.files(t, protocs[0], file, slices.Clone(args)...)
		second, also := p.files(t, protocs[1], file, slices.Clone(args)...)
		switch {
		case (err != nil || also != nil) && slices.Contains(must, file), (err == nil) != (also == nil):
			t.Errorf("of %s.proto protoc %s: %v; protoc %s: %v", file, protocs[0], err, protocs[1], also)
		case !slices.Equal(first, second):
			t.Errorf("of %s.proto protoc %s makes %v, and protoc %s %v", file, protocs[0], first, protocs[1], second)
		case err == nil && len(first) > 0:
			of = append(of, file)
		}
	}
	return of
}

// A sight is what was seen of a plugin: its version, and the files of the corpus that it
// made something of.
type sight struct {
	version string
	files   []string
}

func seenFiles(t *testing.T) map[string]sight {
	t.Helper()
	text, err := os.ReadFile(seenFile)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]sight{}
	for line := range strings.Lines(string(text)) {
		if part := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(part) == 4 {
			files[part[0]] = sight{part[1], strings.Fields(part[3])}
		}
	}
	return files
}

// newStand compiles programs of ours, and gives them a cache in that of the person.
func newStand(t *testing.T, platform, cache string, programs ...string) *stand {
	t.Helper()
	bin := t.TempDir()
	if out, err := exec.Command("go", append([]string{"build", "-o", bin + string(filepath.Separator)}, programs...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	user, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	protos, err := filepath.Abs("testdata/corpus")
	if err != nil {
		t.Fatal(err)
	}
	return &stand{bin: bin, platform: platform, corpus: protos, env: append(os.Environ(), "BUCK2_PROTOBUF_CACHE_DIR="+filepath.Join(user, cache), "NO_COLOR=1")}
}
