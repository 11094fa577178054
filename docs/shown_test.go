package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	built "github.com/birbparty/buck2-protobuf/internal/build"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// shownBy names the tests that run the commands of each page: in this package, or
// as FOLDER.TEST.
var shownBy = map[string][]string{
	"README.md":                {"TestReadme", "examples.TestRun"}, // go test itself runs them
	"docs/air-gap.md":          {"TestAirGap"},
	"docs/buckify.md":          {"TestBuckify"},
	"docs/ci.md":               {"TestBots"},
	"docs/dependencies.md":     {"TestModules"},
	"docs/fetching.md":         {"TestFetchingPage"},
	"docs/five-minutes.md":     {"TestFiveMinutes", "TestFiveMinutesBuck2"},
	"docs/from-bazel.md":       {"TestFromBazel"},
	"docs/from-binaries.md":    {"TestFromBinaries"},
	"docs/from-buf.md":         {"TestFromBuf"},
	"docs/mirrors.md":          {"TestMirrorsPage"},
	"docs/monorepo.md":         {"TestMonorepo"},
	"docs/own-plugin.md":       {"TestOwnPlugin"},
	"docs/performance.md":      {"bench.TestShown"},
	"docs/protos.md":           {"TestProtosCommands"},
	"docs/reports.md":          {"TestReports"},
	"docs/runtimes.md":         {"TestRuntimesPage"},
	"docs/security.md":         {"TestSecurity"},
	"docs/troubleshooting.md":  {"TestCommands"},
	"docs/upgrading-protoc.md": {"TestUpgradingProtoc"},
	"docs/languages/*.md":      {"TestPagesOfLanguages"}, // each is built by a test of examples/
}

// hintedBy names the tests of commands in blocks of sh, which are to be filled in: they
// name hosts and targets of others.
var hintedBy = map[string][]string{
	"docs/api/buf.md":          {"prelude.TestRules"},
	"docs/five-minutes.md":     {"TestInstall"},
	"docs/own-plugin.md":       {"TestOwnPlugin", "examples.TestOwnPlugin"},
	"docs/remote-execution.md": {"examples.TestRemoteCache", "examples.TestRemoteConfigurations"},
}

// TestShown: every page with commands has a test that runs them, and shows them in
// the form that tests find.
func TestShown(t *testing.T) {
	t.Parallel()
	pages := []string{"../README.md"}
	for _, pattern := range []string{"*.md", "languages/*.md", "api/*.md", "../examples/*.md", "../examples/*/*.md", "../bench/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if len(pages) < 40 {
		t.Fatalf("only %d pages: %q", len(pages), pages)
	}
	seen, hinted := map[string]bool{}, map[string]bool{}
	for _, page := range pages {
		text := readFile(t, page)
		name := filepath.ToSlash(filepath.Join("docs", page))
		if filepath.Dir(page) == "languages" {
			name = "docs/languages/*.md"
		}
		shows := regexp.MustCompile("(?m)^ *```console$").MatchString(text)
		if shows != (shownBy[name] != nil) && !seen[name] {
			t.Errorf("%s shows commands: %t; a test of them is named: %t", page, shows, !shows)
		}
		seen[name] = seen[name] || shows
		if hinted[name] = regexp.MustCompile("(?m)^ *```(sh|bash|shell|shell-session|zsh|powershell)$").MatchString(text); hinted[name] != (hintedBy[name] != nil) {
			t.Errorf("%s has blocks of sh: %t; a test of them is named: %t", page, hinted[name], !hinted[name])
		}
	}
	tests := map[string]string{} // the text of all, by folder
	for name, of := range shownBy {
		if !seen[name] {
			t.Errorf("no page %s shows commands", name)
		}
		for _, test := range slices.Concat(of, hintedBy[name]) {
			folder, function, other := strings.Cut(test, ".")
			if !other {
				folder, function = "docs", test
			}
			if tests[folder] == "" {
				files, err := filepath.Glob("../" + folder + "/*_test.go")
				if err != nil {
					t.Fatal(err)
				}
				for _, file := range files {
					tests[folder] += readFile(t, file)
				}
			}
			if !strings.Contains(tests[folder], "\nfunc "+function+"(t *testing.T) {") {
				t.Errorf("%s: there is no test %s", name, test)
			}
		}
	}
}

// commands are the commands of a page in order, those below a heading ("## …") or all.
func commands(t *testing.T, page, heading string) (list []string) {
	t.Helper()
	text := readFile(t, page)
	if heading != "" {
		_, below, ok := strings.Cut(text, "\n## "+heading+"\n")
		if !ok {
			t.Fatalf("%s has no heading %s", page, heading)
		}
		text, _, _ = strings.Cut(below, "\n## ")
	}
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)\n```").FindAllStringSubmatch(text, -1) {
		for line := range strings.SplitSeq(block[1], "\n") {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				list = append(list, command)
			}
		}
	}
	return list
}

// must runs a command and demands success.
func (w *world) must(command string) string {
	w.Helper()
	out := w.run(command + "\nstatus=$?; echo; echo status $status")
	said, ok := strings.CutSuffix(strings.TrimRight(out, "\n"), "\nstatus 0")
	if !ok {
		w.Fatalf("$ %s\n%s", command, out)
	}
	return strings.TrimSpace(said)
}

// TestReadme runs the commands of README.md without Buck2, with the real registries.
func TestReadme(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it locks plugins from their registries")
	host := fake.Host(t)
	w := newcomer(t)
	w.write(manifest.FileName, fmt.Sprintf("platforms = [%q]\n\n[plugins]\nprotoc = \"36.2\"\nnode = \"24.19.0\"\nts-proto = \"2.7.2\"\n\n[bundles]\ntypescript = [\"protoc\", \"ts-proto\"]\n", host.Name))
	w.must("lockgen update --quiet")
	// Until the last line, protoc is one that people have.
	w.must("ln -s \"$(fetch get protoc --quiet)\" '" + w.bin + "/protoc'")
	list := commands(t, "../README.md", "Without Buck2")
	if len(list) != 4 {
		t.Fatalf("the page shows %q", list)
	}
	if out := w.must(list[0]); !strings.Contains(out, "protoc-gen-ts_proto") {
		t.Errorf("$ %s\n%s", list[0], out)
	}
	if out := w.must(list[1]); !strings.Contains(out, "libprotoc 36.2") {
		t.Errorf("$ %s\n%s", list[1], out)
	}
	w.must(list[2])
	if text := w.read("api.ts"); !strings.Contains(text, "export interface Event {") {
		t.Errorf("api.ts is\n%s", text)
	}
	w.must("rm api.ts '" + w.bin + "/protoc'")
	w.must(list[3] + "\nprotoc --ts_proto_out=. api.proto")
	if text := w.read("api.ts"); !strings.Contains(text, "export interface Event {") {
		t.Errorf("api.ts is\n%s", text)
	}
}

// TestFetchingPage runs the command of fetching.md with its plugins.toml and the real
// registries.
func TestFetchingPage(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it locks plugins from their registries")
	host := fake.Host(t)
	w := newcomer(t)
	list := commands(t, "fetching.md", "Plugins of Python")
	var settings []string
	for _, block := range examples(t, "fetching.md") {
		if strings.Contains(block, "grpcio-tools") && strings.HasPrefix(block, "python = ") {
			settings = append(settings, block)
		}
	}
	if len(list) != 1 || len(settings) != 1 {
		t.Fatalf("the page shows %q and %q", list, settings)
	}
	text := settings[0]
	version := w.must("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'")
	if !strings.Contains(text, `"`+version+`"`) { // of the interpreters, one is on this machine
		text = regexp.MustCompile(`(?m)^python = .*$`).ReplaceAllString(text, `python = ["`+version+`"]`)
	}
	w.write(manifest.FileName, fmt.Sprintf("platforms = [%q]\n%s", host.Name, text))
	w.must("lockgen update --quiet")
	w.must("ln -s \"$(fetch get protoc --quiet)\" '" + w.bin + "/protoc'")
	w.must(list[0])
	for _, name := range []string{"api_pb2.py", "api_pb2_grpc.py"} {
		if w.read(name) == "" {
			t.Errorf("%s is empty", name)
		}
	}
}

// TestMirrorsPage runs the commands of mirrors.md: they fill a folder and a registry of
// OCI, and install from the folder.
func TestMirrorsPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, path(t))
	w.write(manifest.FileName, strings.Replace(w.read(manifest.FileName), "1.1.0", "1.0.0", 1)+
		"\n[plugins.script]\nversion = \"2.0.0\"\nsource = \"npm:script\"\nbinary = \"protoc-gen-script\"\n\n[bundles]\ntypescript = [\"tool\", \"script\"]\n")
	registry := fake.NewOCI(t, "")
	list := commands(t, "mirrors.md", "")
	if len(list) != 3 {
		t.Fatalf("the page shows %q", list)
	}
	for _, command := range list[:2] {
		own := strings.Replace(command, "registry.example.com", registry.Host, 1)
		if out := w.must(own); !strings.Contains(out, "pushed") {
			t.Errorf("$ %s\n%s", own, out)
		}
	}
	if len(registry.Paths()) == 0 {
		t.Error("nothing was asked of the registry")
	}
	// Another machine has the folder, and nothing else.
	w.server.Fault(w.wheel.Path, fake.Status(503))
	w.cache = filepath.Join(t.TempDir(), "other")
	if out := w.must(list[2] + "\ntool && main.sh"); !strings.HasSuffix(out, "tool\nscript") {
		t.Errorf("$ %s\n%s", list[2], out)
	}
}

// TestBots runs in an empty home what ci.md has Renovate run after a new version, and
// what it has a job run beside Dependabot.
func TestBots(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts every client; the tests of lockgen have the usual way")
	testenv.Real(t, "it starts pip")
	testenv.Program(t, "python3", "-m", "pip", "--version")
	const page = "ci.md"
	w := newWorld(t, path(t))
	w.environ = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "HOME=") || strings.HasPrefix(v, "XDG_") })
	w.environ = append(w.environ, "HOME="+w.vacant, "PATH="+w.bin+string(os.PathListSeparator)+os.Getenv("PATH"), "BUCK2_PROTOBUF_CACHE_DIR="+w.cache)
	for _, version := range []string{"1.1.0", "1.2.0"} {
		w.server.Wheel(fake.Wheel{Name: "tool-wheel", Version: version, Files: map[string]string{"tool/bin/tool": "#!/bin/sh\necho tool\n"}, Exec: []string{"tool/bin/tool"}})
	}
	if host, _ := lock.Host(); host.Name != "linux-x86_64" {
		w.write(manifest.FileName, strings.Replace(w.read(manifest.FileName), "linux-x86_64", host.Name, 1))
	}
	w.append(manifest.FileName, "")

	// Renovate has written 1.1.0 into plugins.toml, and runs this.
	text := readFile(t, page)
	run := renovate().PackageRules[0].(map[string]any)["postUpgradeTasks"].(map[string]any)["commands"].([]string)
	allowed := regexp.MustCompile(`"allowedCommands": \["(.*)"\]`).FindStringSubmatch(text)
	if len(run) != 1 || allowed == nil {
		t.Fatalf("commands %q, allowed %q", run, allowed)
	}
	command := strings.ReplaceAll(run[0], "{{{packageFile}}}", manifest.FileName)
	if form := strings.ReplaceAll(allowed[1], `\\`, `\`); !regexp.MustCompile(form).MatchString(command) {
		t.Errorf("%q is not allowed by %s", command, form)
	}
	if out := w.run("lockgen check"); !strings.Contains(out, "lockgen: error: ") {
		t.Fatalf("the lock matches before\n%s", out)
	}
	out := w.run(command)
	if !strings.Contains(out, "locked tool 1.1.0") {
		t.Errorf("$ %s\n%s", command, out)
	}
	w.must("lockgen check")

	// The job beside Dependabot.
	list := commands(t, page, "Dependabot")
	if len(list) != 2 {
		t.Fatalf("the page shows %q", list)
	}
	if out := w.must(list[1]); !strings.Contains(out, "1.2.0") {
		t.Errorf("$ %s, before\n%s", list[1], out)
	}
	w.must(list[0])
	if got := w.read(manifest.FileName); !strings.Contains(got, `version = "1.2.0"`) {
		t.Errorf("plugins.toml is\n%s", got)
	}
	w.must("lockgen check")
	if out := w.must(list[1]); strings.Contains(out, "1.2.0") {
		t.Errorf("$ %s, afterwards\n%s", list[1], out)
	}
}

// TestInstall runs the commands that five-minutes.md installs the programs with, from
// this checkout.
func TestInstall(t *testing.T) {
	testenv.OnlyFull(t, "it compiles both programs once more")
	testenv.Program(t, "git", "-C", "..", "rev-parse", "HEAD")
	_, script, _ := strings.Cut(readFile(t, "five-minutes.md"), "```sh\n")
	script, _, ok := strings.Cut(script, "\n```")
	here, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if !ok || strings.Count(script, built.Home) != 1 {
		t.Fatalf("the page shows %q", script)
	}
	bin := t.TempDir()
	env := append(os.Environ(), "GOBIN="+bin, "GOCACHE="+testenv.GoCache(t))
	shell(t, t.TempDir(), env, strings.Replace(script, built.Home, "'"+here+"' buck2-protobuf", 1))
	for _, program := range []string{"lockgen", "fetch"} {
		if out := shell(t, bin, env, "./"+program+" version"); !strings.HasPrefix(out, program+" ") {
			t.Errorf("%s says %s", program, out)
		}
	}
}

// TestModules runs the command of dependencies.md.
func TestModules(t *testing.T) {
	testenv.OnlyFull(t, "it hashes every module that go has downloaded")
	list := commands(t, "dependencies.md", "")
	if len(list) != 1 || !strings.HasPrefix(list[0], "go ") {
		t.Fatalf("the page shows %q", list)
	}
	cmd := exec.Command("go", strings.Fields(list[0])[1:]...)
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "all modules verified" {
		t.Errorf("%v: %s", err, out)
	}
}
