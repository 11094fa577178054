package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
)

// fromEnvironment lets the clients of this machine ask the place's server, as a
// person's settings do where there is no plugins.toml yet.
func (p *place) fromEnvironment() {
	p.setenv("npm_config_registry", p.server.URL+"/")
	p.setenv("PIP_INDEX_URL", p.server.URL+"/simple/")
	p.setenv("PIP_CONFIG_FILE", os.DevNull)
	// Of other sources of what a test adds nothing is there, wherever it runs.
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		p.setenv(name, "http://127.0.0.1:9")
	}
}

// says demands that a talk has some parts in this order.
func says(t *testing.T, talk string, parts ...string) {
	t.Helper()
	rest := talk
	for _, part := range parts {
		_, after, ok := strings.Cut(rest, part)
		if !ok {
			t.Fatalf("%q is not in, or not in its place:\n%s", part, talk)
		}
		rest = after
	}
}

var twoPlatforms = []string{"--platform", "windows-x86_64", "--platform", "linux-aarch64"}

// TestAddFromNothing: in an empty folder one command makes the manifest, adds
// what the plugin needs, locks, and says what comes next.
func TestAddFromNothing(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newPlace(t)
	p.fromEnvironment()
	p.publishNode("22.1.0")
	p.publishNode("24.19.0")
	p.publishProtoc("29.0")
	p.publishProtoc("30.2")
	p.publishTSProto("2.7.2")
	p.publishTSProto("2.18.0")
	nothing := func() {
		t.Helper()
		if files, err := os.ReadDir(p.dir); err != nil || len(files) > 0 {
			t.Errorf("written: %v %v", files, err)
		}
	}
	p.fails(fault.Usage, []string{"did you mean ts-proto?"}, "add", "ts-porto")
	p.fails(fault.Usage, []string{`unknown platform "linux-x64"`, "they are linux-aarch64"}, "add", "ts-proto", "--platform", "linux-x64")
	p.fails(fault.Upstream, []string{"ts-proto", "9.9.9"}, append([]string{"add", "ts-proto@9.9.9"}, twoPlatforms...)...)
	p.fails(fault.Upstream, []string{"offline"}, "add", "ts-proto", "--offline")
	nothing()

	_, talk := p.ok(append([]string{"add", "ts-proto"}, twoPlatforms...)...)
	says(t, talk,
		"starts with protoc: adding version 30.2, the newest allowed version",
		"ts-proto runs on node: adding version 24.19.0, the newest allowed version",
		"the newest allowed version of ts-proto is 2.18.0",
		"plugins.toml and ", ".gitattributes",
		"locked node 24.19.0", "locked protoc 30.2", "locked ts-proto 2.18.0", "wrote ",
		`load("@buck2-protobuf//rules:typescript.bzl", "typescript_proto_library")`, `name = "api_typescript"`, `plugin = "ts-proto"`,
		`eval "$(fetch env protoc ts-proto)"; protoc --ts_proto_out=. api.proto`)
	want := `platforms = ["linux-aarch64", "windows-x86_64"]

[plugins]
protoc = "30.2"
node = "24.19.0"
ts-proto = "2.18.0"
`
	if _, got, _ := strings.Cut(p.read("plugins.toml"), "for each of these.\n"); got != want {
		t.Errorf("plugins.toml ends in\n%s\nwant\n%s", got, want)
	}
	if p.read(".gitattributes") == "" {
		t.Error("no .gitattributes")
	}
	p.ok("check")

	// The manifest has its platforms now, and its lock is not left alone.
	p.fails(fault.Usage, []string{"does not list macos-aarch64", `add "macos-aarch64" to platforms`}, "add", "protoc-gen-ts", "--platform", "macos-aarch64")
	if err := os.Remove(p.path("plugins.toml")); err != nil {
		t.Fatal(err)
	}
	p.fails(fault.Usage, []string{"but its manifest", "git checkout"}, append([]string{"add", "ts-proto"}, twoPlatforms...)...)
}

// TestAddNeeds: what is on the command line is what a plugin needs, wherever it
// stands there; a manifest that is there gets the runtime, but no protoc.
func TestAddNeeds(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newPlace(t)
	p.publishNode("22.1.0")
	p.publishNode("24.19.0")
	p.publishTSProto("2.18.0")
	p.manifest("")
	p.write("plugins.lock.toml", "schema = 1\n")
	stdout, _ := p.ok("add", "--json", "ts-proto", "node@22.1.0")
	var said struct{ Changed, Created []string }
	if err := json.Unmarshal([]byte(stdout), &said); err != nil || len(said.Changed) != 2 || len(said.Created) != 0 {
		t.Errorf("%v %+v", err, said)
	}
	if text := p.read("plugins.toml"); !strings.Contains(text, "node = \"22.1.0\"\nts-proto = \"2.18.0\"\n") || strings.Contains(text, "protoc =") {
		t.Errorf("manifest:\n%s", text)
	}
	p.ok("check")
}

// TestAddGo: a plugin that Go compiles brings Go.
func TestAddGo(t *testing.T) {
	t.Parallel()
	p, version := newGoPlace(t)
	p.fromEnvironment()
	p.setenv("GOPROXY", p.server.GoProxy())
	p.publishProtoc("30.2")
	p.server.Module(fake.Module{Path: "google.golang.org/protobuf", Version: "v1.36.0", Files: map[string]string{
		"go.mod": "module google.golang.org/protobuf\n\ngo 1.21\n", "cmd/protoc-gen-go/main.go": "package main\n\nfunc main() {}\n",
	}})
	p.server.Module(fake.Module{Path: "google.golang.org/protobuf", Version: "v1.37.0", Released: daysAgo(2), Files: map[string]string{
		"go.mod": "module google.golang.org/protobuf\n\ngo 1.21\n", "cmd/protoc-gen-go/main.go": "package main\n\nfunc main() {}\n",
	}})
	_, talk := p.ok(append([]string{"add", "protoc-gen-go"}, twoPlatforms...)...)
	if strings.Count(talk, "to trust no publisher") != 1 {
		t.Errorf("said more than once:\n%s", talk)
	}
	says(t, talk, "warning: trusting the publisher's release time of go "+version, `set minimum-release-age = "7d" there`, "to lock one at once, run: lockgen add go@"+version,
		"protoc-gen-go is compiled by go: adding version "+version, "allowed version of protoc-gen-go is 1.36.0", "skipped protoc-gen-go 1.37.0: it was released 2 days ago, and may be locked from ", "lockgen: protoc-gen-go 1.36.0: ", ", compiled, ",
		`"go_proto_library"`, "    srcs = [\"api.proto\"],\n    )", `protoc --go_out=. api.proto`)
	p.ok("check")
	// A policy that somebody wrote is kept, and says what the choice is.
	p.goManifest("go = \"" + version + "\"\n")
	p.write("plugins.toml", "policy.minimum-release-age = \"3d\"\n"+p.read("plugins.toml"))
	p.fails(fault.Policy, []string{"only its publisher says", "this machine first saw it 0 hours ago", "lockgen add protoc-gen-go@1.36.0"}, "add", "protoc-gen-go")
}

// TestAddOptional: a plugin that a platform cannot have is added by one flag, for
// the platforms that are named or for those that there are; the entry says so.
func TestAddOptional(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.server.File("/dl/tool-1.2.0-linux-aarch64.tar.gz", toolTar(linuxARM))
	p.server.File("/dl/tool-1.3.0-linux-aarch64.tar.gz", toolTar(linuxARM))
	const head = "platforms = [\"linux-aarch64\", \"windows-x86_64\"]\n\n[plugins]\n"
	entry := func(version, more string) string {
		return "tool = { " + version + more + ", source = \"" + p.server.URL + "/dl/tool-{version}-{os}-{arch}.tar.gz\", binary = \"tool\" }\n"
	}
	for _, tt := range []struct {
		args  []string
		class fault.Class
		says  string
		want  string // of the entry
	}{
		{nil, fault.Upstream, "tool 1.3.0 for windows-x86_64", ""},
		{[]string{"--optional"}, 0, "", ", optional = true"},
		{[]string{"--platform", "linux-aarch64"}, 0, "", ", optional = true"},
		{[]string{"--platform", "windows-x86_64"}, fault.Usage, "tool 1.3.0 is not available for windows-x86_64: the server has no file for it", ""},
		{twoPlatforms, fault.Upstream, "tool 1.3.0 for windows-x86_64", ""},
		{[]string{"--platform", "windows-arm"}, fault.Usage, `unknown platform "windows-arm"`, ""},
	} {
		p.write("plugins.toml", head+entry(`version = "1.3.0"`, ""))
		p.write("plugins.lock.toml", "schema = 1\n")
		args := append([]string{"add", "tool@1.3.0"}, tt.args...)
		if tt.class != 0 {
			p.fails(tt.class, []string{tt.says}, args...)
			continue
		}
		p.ok(args...)
		if got, want := p.read("plugins.toml"), head+entry(`version = "1.3.0"`, tt.want); got != want {
			t.Errorf("%v:\n%s\nwant\n%s", tt.args, got, want)
		}
		if c := p.locked().Plugins["tool"]["1.3.0"].Platforms["windows-x86_64"]; c.Unavailable == "" {
			t.Errorf("%v: %+v", tt.args, c)
		}
		p.ok("check")
	}
}
