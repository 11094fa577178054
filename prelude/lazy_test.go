package prelude_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/bucktest"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// A library of TypeScript brings the closure of its plugin for the platform on
// which code is generated, what runs it, and nothing else: neither the packages
// of other platforms nor those of the plugin's other version.
func TestClosure(t *testing.T) {
	testenv.Real(t, "needs protoc from its registry")
	host, ok := lock.Host()
	if !ok {
		t.Skip("the lock has no name for this machine")
	}
	s := fake.New(t)
	s.File("/shell", []byte("#!/bin/sh\nexec /bin/sh \"$@\"\n"))
	more := httpPlugin("shell", "1.0.0", s.URL+"/shell", []byte("#!/bin/sh\nexec /bin/sh \"$@\"\n"), "")
	v := map[string]*lock.Version{}
	for _, version := range []string{"1.0.0", "2.0.0"} {
		v[version] = npmPlugin(t, s, version, shellPlugin(t, "counted.ts", "// "+version+"\n"), host, foreignTo(host))
	}
	// Its protoc is a wheel, so that the registry of npm serves the plugin alone.
	five, _, err := lock.Read(filepath.Join(bucktest.Root(t), "lockgen", "testdata", "five", lock.FileName))
	if err != nil {
		t.Fatal(err)
	}
	plugins := map[string]map[string]*lock.Version{"counted": v, "protoc": five.Plugins["protoc"]}
	p := scratch(t, "", map[string]string{
		lock.FileName:     string(lock.Print(&lock.Lock{Schema: lock.Schema, Plugins: plugins})) + more,
		".buckconfig":     scratchConfig + "[buck2_protobuf]\nnode_manager = none\ncache_dir = " + t.TempDir() + "\n",
		"toolchains/BUCK": strings.Replace(scratchToolchain, "(lock = lock", "(lock = lock, registries = {\"npm\": \""+s.URL+"/\"}", 1),
		"api/a.proto":     scratchProto,
		"api/BUCK": `
load("@buck2-protobuf//rules:proto.bzl", "proto_library")
load("@buck2-protobuf//rules:typescript.bzl", "typescript_proto_library")

proto_library(name = "a_proto", srcs = ["a.proto"])
typescript_proto_library(name = "a_ts", proto = ":a_proto", plugin = "counted", plugin_version = "1.0.0")
typescript_proto_library(name = "b_ts", proto = ":a_proto", plugin = "counted", plugin_version = "1.0.0")
`,
	})
	p.Must("build", "//api:a_proto")
	if got := s.Requests(""); len(got) > 0 {
		t.Errorf("a proto_library asked for %v", got)
	}
	expectFile(t, filepath.Join(p.Build("//api:a_ts")[0], "counted.ts"), "// 1.0.0\n")
	var got []string
	for _, r := range s.Requests("") {
		got = append(got, r.Method+" "+r.Path)
	}
	slices.Sort(got)
	want := []string{"GET /common/-/common-1.0.0.tgz", "GET /counted/-/counted-1.0.0.tgz", "GET /native-" + host.Name + "/-/native-" + host.Name + "-1.0.0.tgz", "GET /shell"}
	if !slices.Equal(got, want) {
		t.Errorf("requests\n got %q\nwant %q", got, want)
	}
	s.Forget()
	p.Build("//api:b_ts")
	if got := s.Requests(""); len(got) > 0 {
		t.Errorf("a second library asked for %v", got)
	}
}

// npmPlugin publishes a plugin that needs a package on every platform and one
// on each of two, and returns the lock's table of it; `shell` runs it.
func npmPlugin(t *testing.T, s *fake.Server, version string, main []byte, platforms ...lock.Platform) *lock.Version {
	t.Helper()
	v := &lock.Version{
		Source: lock.NPM, Package: "counted", Trust: "registry", Runtime: "shell@1.0.0",
		Files: map[string]lock.File{}, Platforms: map[string]lock.Cell{},
	}
	add := func(p fake.Package, only ...string) []archive.File {
		p.Version = version
		a := s.Package(p)
		key := "node_modules/" + p.Name
		v.Files[key] = lock.File{Name: p.Name, Version: version, SHA256: a.SHA256, Size: a.Size, Integrity: a.Integrity, Platforms: only}
		file := filepath.Join(t.TempDir(), "package.tgz")
		if err := os.WriteFile(file, a.Body, 0o600); err != nil {
			t.Fatal(err)
		}
		in, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		files, err := archive.Unpack(t.Context(), in, "", archive.Options{Format: "tar.gz", StripTop: true, Prefix: key})
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	common := append(add(fake.Package{Name: "counted", Files: map[string]string{"protoc-gen-counted": string(main)}, Exec: []string{"protoc-gen-counted"}}),
		add(fake.Package{Name: "common"})...)
	for _, p := range lock.Platforms {
		v.Platforms[p.Name] = lock.Cell{Unavailable: "its publisher has no build for it"}
	}
	for _, p := range platforms {
		tree, err := archive.TreeHash(append(slices.Clone(common), add(fake.Package{Name: "native-" + p.Name}, p.Name)...))
		if err != nil {
			t.Fatal(err)
		}
		v.Platforms[p.Name] = lock.Cell{Binary: "node_modules/counted/protoc-gen-counted", Tree: tree}
	}
	return v
}

// withoutNetwork says to the test that it runs where there is no network.
const withoutNetwork = "BUCK2_PROTOBUF_TEST_WITHOUT_NETWORK"

// Without a network everything loads, everything can be analysed, and whatever
// needs no download is built; what does need one says so.
func TestWithoutNetwork(t *testing.T) {
	bucktest.Need(t)
	if os.Getenv(withoutNetwork) == "" {
		needs(t, "go", "ip", "unshare")
		namespace := func(name string, args ...string) *exec.Cmd {
			return exec.Command("unshare", append([]string{"--map-root-user", "--net", "sh", "-c", `ip link set lo up && exec "$0" "$@"`, name}, args...)...)
		}
		if out, err := namespace("true").CombinedOutput(); err != nil {
			t.Skipf("this machine makes no network namespace: %v\n%s", err, out)
		}
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := namespace(self, "-test.run=^TestWithoutNetwork$", "-test.v")
		cmd.Env = append(os.Environ(), withoutNetwork+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("--- PASS: TestWithoutNetwork")) {
			t.Errorf("in an empty network namespace: %v\n%s", err, out)
		}
		return
	}
	p := scratch(t, "", map[string]string{
		".buckconfig":  scratchConfig + "[buck2_protobuf]\ncache_dir = " + t.TempDir() + "\n",
		"api/a.proto":  scratchProto,
		"api/notes.md": "",
		"api/BUCK": `
load("@buck2-protobuf//rules:python.bzl", "python_proto_library")
load("@buck2-protobuf//rules:typescript.bzl", "typescript_proto_library")

filegroup(name = "notes", srcs = ["notes.md"])
python_proto_library(name = "a_py", srcs = ["a.proto"])
typescript_proto_library(name = "a_ts", srcs = ["a.proto"], plugin = "ts-proto")
`,
	})
	everything := []string{"//...", "toolchains//...", "pb//..."}
	if targets := p.Must(append([]string{"targets"}, everything...)...); strings.Count(targets, "\n") < 50 {
		t.Errorf("targets:\n%s", targets)
	}
	p.Must(append([]string{"audit", "providers", "--quiet"}, everything...)...)
	p.Must("build", "//api:notes", "toolchains//...", "pb//:fetch", "pb//:python_main")
	host, _ := lock.Host()
	expect(t, p.Fails("build", "//api:a_ts"), "Action failed: toolchains//:", "(fetch_plugin ", "[fetch_plugin] ", " for "+host.Name+": ", "Hint: check the network and the proxy")
}
