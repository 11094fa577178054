package catalog_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/catalog"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
)

// seenFile says of each plugin when it was last seen working: name, version, day,
// and of the corpus the files that it took, separated by tabs. Of one at least it made
// something; of the others perhaps not: plugins for services make nothing of proto2. Of
// one that was never seen the version is empty, and the reason is in the last column.
const seenFile = "seen.tsv"

// corpus are the .proto files that plugins are tried with.
var corpus = []string{"proto3", "proto2", "edition2023"}

// beside are plugins that add to what another one writes, which runs first.
var beside = map[string]string{
	"protoc-gen-prost-crate": "protoc-gen-prost",
	"protoc-gen-prost-serde": "protoc-gen-prost",
	"protoc-gen-tonic":       "protoc-gen-prost",
}

// older are versions that are tried where no registry serves a newest one: of one
// there are prereleases only, and the files of others have not come yet.
var older = map[string]string{
	"betterproto":          "2.0.0b7",
	"protoc-gen-grpc-java": "1.83.1",
	"zio-grpc":             "0.6.0-test3",
}

// silent are plugins that write no files: they say what they find as errors.
var silent = map[string]bool{"protoc-gen-buf-lint": true, breaking: true}

// breaking compares files with an image of what they were.
const breaking = "protoc-gen-buf-breaking"

// TestSeen locks each plugin of the catalogue on this platform, as lockgen add NAME
// does, from the registries that this machine's clients use; installs it; generates
// code with it for each file of the corpus; and writes down what was seen. One that
// a registry does not have is left as it was seen last. It takes an hour, and is
// asked for by BUCK2_PROTOBUF_TEST_CATALOGUE=1; of one plugin by -run TestSeen/NAME.
func TestSeen(t *testing.T) {
	if os.Getenv("BUCK2_PROTOBUF_TEST_CATALOGUE") == "" {
		t.Skip("BUCK2_PROTOBUF_TEST_CATALOGUE is not set: locks all plugins of the catalogue from real registries")
	}
	host, ok := lock.Host()
	if !ok {
		t.Skip("no platform of a lock")
	}
	s := newStand(t, host.Name, "buck2-protobuf-catalogue", "../../lockgen", "../../fetch")
	for _, name := range catalog.Builtin().Names() {
		t.Run(name, func(t *testing.T) {
			r, _ := catalog.Builtin().Lookup(name)
			_, _, onGitHub := r.Sources[0].Source.GitHub()
			listed := onGitHub && !strings.Contains(r.Sources[0].Tag, "{build}") // one release has several versions
			switch {
			case name == "fetch": // a release of this project
				unseen(t, name, "there is no release yet")
			case len(r.Sources) == 1 && r.Sources[0].Source.Kind == lock.HTTP && !listed: // nobody lists its versions
				unseen(t, name, outside)
			default:
				s.see(t, name)
			}
			if r.Untried && name != breaking {
				t.Errorf("nothing says how %s is tried", name)
			}
		})
	}
}

// outside is why what is in no registry was not seen: the test has registries alone.
const outside = "its files are in no registry"

// unseen keeps why a plugin was not seen, unless it was before.
func unseen(t *testing.T, name, why string) {
	t.Helper()
	if seenFiles(t)[name].version == "" {
		write(t, name, "", why)
	}
	t.Skip(why)
}

// A stand is where plugins are tried.
type stand struct {
	bin, platform, corpus string
	env                   []string
}

// run runs a program of ours in a folder.
func (s *stand) run(dir, program string, args ...string) (stdout string, err error) {
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = dir, s.env
	var talk strings.Builder
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", filepath.Base(program), strings.Join(args, " "), err, talk.String())
	}
	return strings.TrimSpace(string(out)), err
}

func (s *stand) tool(name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(s.bin, name)
}

// see tries one plugin.
func (s *stand) see(t *testing.T, name string) {
	r, _ := catalog.Builtin().Lookup(name)
	dir := t.TempDir()
	names := []string{name}
	if other := beside[name]; other != "" {
		names = append(names, other)
	}
	if !slices.Contains(names, "protoc") {
		names = append(names, "protoc")
	}
	add := append([]string{"add", "--platform", s.platform, "--allow-build-scripts"}, names...)
	_, err := s.run(dir, s.tool("lockgen"), add...)
	if version := older[name]; unserved(err) && version != "" {
		t.Logf("%s is tried, for the newest is not served: %v", version, err)
		add[slices.Index(add, name)] += "@" + version
		_, err = s.run(dir, s.tool("lockgen"), add...)
	}
	switch {
	case unserved(err):
		t.Logf("not served: %v", err)
		if slices.ContainsFunc(r.Sources, func(s manifest.Alternative) bool { return s.Source.Kind != lock.HTTP }) {
			unseen(t, name, "its registry does not serve it where the test ran")
		}
		unseen(t, name, outside)
	case err != nil:
		t.Fatal(err)
	}
	l, _, err := lock.Read(filepath.Join(dir, "plugins.lock.toml"))
	if err != nil {
		t.Fatal(err)
	}
	_, version, _, err := l.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	path := map[string]string{}
	for _, n := range names {
		if path[n], err = s.run(dir, s.tool("fetch"), "get", n); err != nil {
			t.Fatal(err)
		}
	}
	if r.Smoke != nil {
		if _, err := s.run(dir, path[name], r.Smoke...); err != nil {
			t.Fatal(err)
		}
		write(t, name, version, "")
		return
	}
	var made, failed []string
	something := silent[name]
	for _, file := range corpus {
		args := []string{"--proto_path=" + s.corpus}
		before := map[string]string{}
		if other := beside[name]; other != "" { // protoc runs them in this order
			args = append(args, "--plugin=protoc-gen-first="+path[other], "--first_out=OUT")
			if before, err = s.generate(t, dir, path["protoc"], args, file); err != nil {
				failed = append(failed, err.Error())
				continue
			}
		}
		args = append(args, "--plugin=protoc-gen-tried="+path[name], "--tried_out=OUT")
		options := r.Options
		if name == breaking {
			options = []string{s.against(t, dir, path, file)}
		}
		if len(options) > 0 {
			args = append(args, "--tried_opt="+strings.Join(options, ","))
		}
		after, err := s.generate(t, dir, path["protoc"], args, file)
		if err != nil {
			failed = append(failed, err.Error())
			continue
		}
		made = append(made, file) // if only nothing, where the plugin is for services
		something = something || !maps.Equal(before, after)
	}
	for _, why := range failed {
		t.Logf("%s %s: %s", name, version, why)
	}
	if len(made) == 0 || !something {
		t.Fatalf("%s %s generates nothing", name, version)
	}
	write(t, name, version, strings.Join(made, " "))
}

// generate runs protoc on a file of the corpus, with a new folder for OUT in args, and
// returns what is in it then.
func (s *stand) generate(t *testing.T, dir, protoc string, args []string, file string) (files map[string]string, err error) {
	out := t.TempDir()
	args = slices.Clone(args)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "OUT", out)
	}
	if _, err := s.run(dir, protoc, append(args, file+".proto")...); err != nil {
		return nil, err
	}
	return contents(t, out), nil
}

// against is the option with which the plugin breaking compares a file of the corpus with
// itself. It must complain about that file without its first field.
func (s *stand) against(t *testing.T, dir string, path map[string]string, file string) (option string) {
	t.Helper()
	name, scratch := file+".proto", t.TempDir()
	image := filepath.Join(scratch, "image.binpb")
	if _, err := s.run(dir, path["protoc"], "--proto_path="+s.corpus, "--include_imports", "--descriptor_set_out="+image, name); err != nil {
		t.Fatal(err)
	}
	option = `{"against_input":"` + image + `"}`
	text, err := os.ReadFile(filepath.Join(s.corpus, name))
	if err != nil {
		t.Fatal(err)
	}
	at := firstField.FindIndex(text)
	if at == nil {
		t.Fatalf("%s has no field", name)
	}
	if err := os.WriteFile(filepath.Join(scratch, name), slices.Delete(text, at[0], at[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = s.run(dir, path["protoc"], "--proto_path="+scratch, "--plugin=protoc-gen-tried="+path[breaking], "--tried_out="+scratch, "--tried_opt="+option, name)
	if err == nil || !strings.Contains(err.Error(), "Previously present field") {
		t.Fatalf("of %s without a field: %v", name, err)
	}
	return option
}

var firstField = regexp.MustCompile(`(?m)^  (optional |required )?(string|int32|int64|bytes|bool) \w+ = \d+;\n`)

// contents are the files of a folder, by their paths in it.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		files[filepath.ToSlash(rel)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// unserved reports whether a registry does not have what lockgen asked it for, or is out
// of reach. Whatever else ends with the same status is a fault.
func unserved(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 4 {
		return false
	}
	_, said, _ := strings.Cut(err.Error(), "lockgen: error: ") // behind the warnings
	return slices.ContainsFunc([]string{"404", "410", "403", "no such host", "no repository has", "no version of"}, func(s string) bool { return strings.Contains(said, s) })
}

// write keeps what was seen.
func write(t *testing.T, name, version, made string) {
	t.Helper()
	text, err := os.ReadFile(seenFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(text)) {
		of, _, _ := strings.Cut(line, "\t")
		rows[of] = line
	}
	rows[name] = strings.Join([]string{name, version, time.Now().UTC().Format(time.DateOnly), made}, "\t") + "\n"
	var b strings.Builder
	for _, of := range slices.Sorted(maps.Keys(rows)) {
		b.WriteString(rows[of])
	}
	if err := os.WriteFile(seenFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
