package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/remote/oci"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// newMirrored is a place with something to mirror: node and protoc (pip), and
// tool by URL, in a bundle.
func newMirrored(t *testing.T) *place {
	t.Helper()
	p := newBase(t)
	p.timeouts = remote.Timeouts{RetryWait: time.Millisecond}
	p.mirrored(`"linux-aarch64", "windows-x86_64"`, "")
	p.server.File("/dl/tool-1.2.0-linux-aarch64.tar.gz", toolTar(linuxARM))
	p.server.File("/dl/tool-1.2.0-windows-x86_64.tar.gz", fake.Tarball("", map[string]string{"tool.exe": winX64}, "tool.exe"))
	p.server.File("/dl/tool-1.2.0-linux-x86_64.tar.gz", toolTar(linuxX64))
	p.ok("update")
	return p
}

// mirrored writes the manifest of newMirrored.
func (p *place) mirrored(platforms, lines string) {
	p.write("plugins.toml", fmt.Sprintf(`platforms = [%s]

[registries]
pip = %q

[plugins]
%s
[plugins.tool]
version = "1.2.0"
source = "%s/dl/tool-{version}-{os}-{arch}.tar.gz"
binary = "tool{exe}"

[bundles]
all = ["protoc", "tool"]
%s`, platforms, p.server.URL+"/simple/", baseEntries, p.server.URL, lines))
}

// pushed runs mirror and returns what it said.
func (p *place) pushed(args ...string) (done struct {
	Pushed, Present int
	Bytes           int64
	Tags            []string
}) {
	p.t.Helper()
	stdout, _ := p.ok(append([]string{"mirror", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(stdout), &done); err != nil {
		p.t.Fatal(err)
	}
	return done
}

// open opens a place of OCI as fetch does.
func (p *place) open(to string) oci.Place {
	p.t.Helper()
	at, err := manifest.ParsePlace(to)
	if err != nil {
		p.t.Fatal(err)
	}
	config := ""
	if dir := p.env["DOCKER_CONFIG"]; dir != "" {
		config = filepath.Join(dir, "config.json")
	}
	place, err := oci.New(remote.New(remote.Options{}), config).Open(at, "")
	if err != nil {
		p.t.Fatal(err)
	}
	return place
}

// sink keeps what is downloaded.
type sink struct{ bytes.Buffer }

func (s *sink) Offset() int64 { return int64(s.Len()) }
func (s *sink) From(string)   {}
func (s *sink) Reset() error  { s.Buffer.Reset(); return nil }

// has demands that every locked file is in a place, byte by byte.
func (p *place) has(to string) {
	p.t.Helper()
	place, n := p.open(to), 0
	for name, versions := range p.locked().Plugins {
		for _, v := range versions {
			for key, f := range v.Files {
				n++
				var body sink
				if err := place.Download(p.t.Context(), f.SHA256, f.Size, &body); err != nil {
					p.t.Errorf("%s %s: %v", name, key, err)
				} else if hexSum(body.Bytes()) != f.SHA256 {
					p.t.Errorf("%s %s has other bytes", name, key)
				}
			}
		}
	}
	if n < 6 {
		p.t.Errorf("the lock has %d files", n)
	}
}

// places are the kinds of places, each empty.
func places(t *testing.T, p *place) map[string]string {
	plain, token := fake.NewOCI(t, ""), fake.NewOCI(t, "me:secret")
	token.Repo = "acme/plugins"
	p.docker(token.Host, "me:secret")
	return map[string]string{
		"a folder":                "oci-layout:" + filepath.Join(t.TempDir(), "layout"),
		"a registry":              "oci://" + plain.Host + "/acme/plugins",
		"a registry with a token": "oci://" + token.Host + "/acme/plugins",
	}
}

func TestMirror(t *testing.T) {
	p := newMirrored(t)
	for what, to := range places(t, p) {
		t.Run(what, func(t *testing.T) {
			first := p.pushed("--to", to, "--trees")
			if first.Pushed < 12 || first.Bytes == 0 {
				t.Errorf("pushed %+v", first)
			}
			for _, tag := range []string{"tool-1.2.0", "protoc-30.2", "node-24.19.0", "bundle-all"} {
				if !slices.Contains(first.Tags, tag) {
					t.Errorf("no tag %s in %s", tag, first.Tags)
				}
			}
			p.has(to)
			again := p.pushed("--to", to, "--trees")
			if again.Pushed != 0 || again.Bytes != 0 || again.Present < first.Pushed || !slices.Equal(again.Tags, first.Tags) {
				t.Errorf("a second run: %+v", again)
			}
			// A manifest lists the files, so that they are kept.
			n, err := p.open(to).Resolve(t.Context(), "tool-1.2.0")
			if err != nil || n.ArtifactType != "application/vnd.buck2-protobuf.plugin.v1" || len(n.Layers) != 2 || n.Layers[0].Title != "tool-1.2.0-linux-aarch64.tar.gz" {
				t.Errorf("%+v, %v", n, err)
			}
			// The bundle has a manifest for each platform.
			n, err = p.open(to).Resolve(t.Context(), "bundle-all")
			if err != nil || len(n.Children) != 3 || n.Children[0].OS != "linux" || n.Children[0].Arch != "arm64" {
				t.Fatalf("%+v, %v", n, err)
			}
			child, err := p.open(to).Node(t.Context(), n.Children[0])
			if err != nil || len(child.Layers) != 3 { // two files, and the ready folder of protoc
				t.Errorf("%+v, %v", child, err)
			}
			// From there on, with an empty cache and nobody else.
			q := p.another(t)
			q.server = fake.New(t)
			q.mirrored(armAndWindows, "\n[[mirror]]\nfrom = \"*\"\nto = \""+to+"\"\n")
			q.write("plugins.lock.toml", p.read("plugins.lock.toml"))
			second := "oci-layout:" + filepath.Join(t.TempDir(), "second")
			q.pushed("--to", second, "--trees")
			q.has(second)
			if got := q.server.Requests(""); len(got) != 0 {
				t.Errorf("asked for %v", got)
			}
		})
	}
}

func TestMirrorChoice(t *testing.T) {
	p := newMirrored(t)
	dir := p.path("layout")
	to := "oci-layout:" + dir
	blobs := func() int {
		names, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	if done := p.pushed("--to", to, "--platform", "linux-aarch64", "tool"); !slices.Equal(done.Tags, []string{"tool-1.2.0"}) || blobs() != 3 {
		t.Errorf("%+v, %d blobs", done, blobs())
	}
	if done := p.pushed("--to", to, "--bundle", "all", "--platform", "linux-aarch64"); !slices.Equal(done.Tags, []string{"protoc-30.2", "tool-1.2.0", "bundle-all"}) || blobs() != 7 {
		t.Errorf("%+v, %d blobs", done, blobs())
	}
	// What this program does not know is refused, and nothing is written there.
	before := blobs()
	for file, texts := range map[string][]string{"index.json": {"{", "[]"}, "oci-layout": {`{"imageLayoutVersion":"2.0.0"}`, "[]"}} {
		good := p.read("layout/" + file)
		for _, text := range texts {
			p.write("layout/"+file, text)
			for _, more := range []string{"--trees=false", "--dry-run"} {
				p.fails(fault.Integrity, []string{": its " + file}, "mirror", "--to", to, more)
			}
			if p.read("layout/"+file) != text || blobs() != before {
				t.Errorf("%s was changed, or there are %d blobs", file, blobs())
			}
		}
		p.write("layout/"+file, good)
	}
	// Platforms that plugins.toml does not list are no matter, unless they are asked for.
	if _, talk := p.ok("mirror", "--to", to, "--bundle", "all"); strings.Contains(talk, "has no manifest for") {
		t.Errorf("%s", talk)
	}
	if _, talk := p.ok("mirror", "--to", to, "--bundle", "all", "--platform", "macos-x86_64", "--platform", "linux-aarch64"); !strings.Contains(talk, "bundle all has no manifest for macos-x86_64") {
		t.Errorf("%s", talk)
	}
	// An emulated platform needs the files of the one it uses.
	if done := p.pushed("--to", to, "--platform", "windows-aarch64", "protoc@30.2"); len(done.Tags) != 1 || !strings.HasPrefix(done.Tags[0], "protoc-30.2.") {
		t.Errorf("%+v", done)
	}
	for _, tt := range []struct {
		class fault.Class
		says  []string
		args  []string
	}{
		{fault.Usage, []string{"needs --to"}, nil},
		{fault.Usage, []string{"neither a repository nor a folder"}, []string{"--to", "https://example.com/"}},
		{fault.Usage, []string{"not of the form oci://HOST/REPO"}, []string{"--to", "oci://example.com/A"}},
		{fault.Usage, []string{"did you mean linux-aarch64?"}, []string{"--to", to, "--platform", "linux-arch64"}},
		{fault.Usage, []string{"did you mean all?"}, []string{"--to", to, "--bundle", "al"}},
		{fault.Usage, []string{"not locked"}, []string{"--to", to, "nothing"}},
		{fault.Upstream, []string{"offline"}, []string{"--to", "oci://example.com/a", "--offline"}},
	} {
		p.fails(tt.class, tt.says, append([]string{"mirror"}, tt.args...)...)
	}
}

// TestMirrorNeverOverwrites: 77 on the side of the mirror.
func TestMirrorNeverOverwrites(t *testing.T) {
	p := newMirrored(t)
	for what, to := range places(t, p) {
		t.Run(what, func(t *testing.T) {
			place := p.open(to)
			push := func(tag, artifactType string, note map[string]string, title string, body []byte) string {
				layer := oci.Describe(file, body)
				layer.Title = title
				if err := place.Push(t.Context(), oci.Empty, oci.EmptyBody); err != nil {
					t.Fatal(err)
				}
				if err := place.Push(t.Context(), layer, opener(body)); err != nil {
					t.Fatal(err)
				}
				d, text, err := oci.Manifest(artifactType, note, []oci.Descriptor{layer})
				if err == nil {
					err = place.PushNode(t.Context(), tag, d, text)
				}
				if err != nil {
					t.Fatal(err)
				}
				return d.SHA256
			}
			names := func(tag string) string {
				n, err := place.Resolve(t.Context(), tag)
				if err != nil {
					t.Fatal(err)
				}
				return n.SHA256
			}
			foreign := push("protoc-30.2", "application/vnd.example", nil, "x", []byte("foreign"))
			p.fails(fault.Policy, []string{"tag protoc-30.2 was not pushed by lockgen mirror", "not overwritten"}, "mirror", "--to", to, "protoc")
			if names("protoc-30.2") != foreign {
				t.Error("the foreign tag was overwritten")
			}
			plugin := map[string]string{"com.github.birbparty.buck2-protobuf.plugin": "tool@1.2.0"}
			evil := push("tool-1.2.0", "application/vnd.buck2-protobuf.plugin.v1", plugin, "tool-1.2.0-linux-aarch64.tar.gz", []byte("evil"))
			p.fails(fault.Integrity, []string{"tag tool-1.2.0 has other bytes for tool-1.2.0-linux-aarch64.tar.gz", "sha256:" + hexSum([]byte("evil")), "not overwritten"}, "mirror", "--to", to, "tool")
			if names("tool-1.2.0") != evil {
				t.Error("the other plugin's tag was overwritten")
			}
			// More platforms are no other bytes.
			manifest, locked := p.read("plugins.toml"), p.read("plugins.lock.toml")
			p.pushed("--to", to, "node")
			old := names("node-24.19.0")
			done := p.pushed("--to", to, "node", "--platform", "linux-aarch64")
			if len(done.Tags) != 1 || !strings.HasPrefix(done.Tags[0], "node-24.19.0.") || names("node-24.19.0") != old || names(done.Tags[0]) == old {
				t.Errorf("%+v", done)
			}
			p.asBefore(manifest, locked)
		})
	}
}

// TestMirrorHeals: a blob of a folder that was damaged is made anew.
func TestMirrorHeals(t *testing.T) {
	p := newMirrored(t)
	dir := filepath.Join(t.TempDir(), "layout")
	p.pushed("--to", "oci-layout:"+dir)
	names, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil || len(names) < 8 {
		t.Fatalf("%d blobs, %v", len(names), err)
	}
	damage := []func(name string, body []byte) error{
		func(name string, body []byte) error { return os.WriteFile(name, body[:len(body)-1], 0o644) },
		func(name string, body []byte) error { return os.WriteFile(name, nil, 0o644) },
		func(name string, body []byte) error { body[0] ^= 1; return os.WriteFile(name, body, 0o644) },
		func(name string, _ []byte) error { return os.Remove(name) },
	}
	for i, name := range names {
		body, err := os.ReadFile(name)
		if err == nil {
			err = damage[i%len(damage)](name, bytes.Clone(body))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if done := p.pushed("--to", "oci-layout:"+dir); done.Bytes == 0 {
		t.Errorf("%+v", done)
	}
	p.has("oci-layout:" + dir)
}

func opener(body []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
}

// before puts a server before a registry: decide may answer a request itself.
func before(t *testing.T, host string, decide func(w http.ResponseWriter, r *http.Request) bool) string {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: host})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !decide(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// TestMirrorKilled: the registry dies at every request in turn; after it came
// back the same command completes what was begun, and nothing is wrong.
func TestMirrorKilled(t *testing.T) {
	testenv.OnlyFull(t, "it waits for disks and processes; TestInjectedFaults has the usual way")
	p := newMirrored(t)
	p.docker()
	requests := -1
	for n := 0; n != requests; n++ {
		real := fake.NewOCI(t, "")
		var count atomic.Int64
		dead := n
		if requests < 0 {
			dead = 1 << 30 // the first round counts
		}
		host := before(t, real.Host, func(w http.ResponseWriter, r *http.Request) bool {
			if count.Add(1) <= int64(dead) {
				return false
			}
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
			return true
		})
		to := "oci://" + host + "/acme/plugins"
		args := []string{"mirror", "--to", to, "--bundle", "all"}
		if requests < 0 {
			p.ok(args...)
			requests = int(count.Load())
			if requests < 20 {
				t.Fatalf("%d requests", requests)
			}
			n = -1
			continue
		}
		if status, _, stderr := p.run(args...); status != 4 || !strings.Contains(stderr, "run it again to continue") {
			t.Errorf("killed at request %d of %d: status %d\n%s", n, requests, status, stderr)
		}
		args[2] = "oci://" + real.Host + "/acme/plugins"
		p.ok(args...)
		v := p.locked().Plugins["tool"]["1.2.0"]
		for key, f := range v.Files {
			var body sink
			if err := p.open(args[2]).Download(t.Context(), f.SHA256, f.Size, &body); err != nil || hexSum(body.Bytes()) != f.SHA256 {
				t.Errorf("killed at request %d: %s: %v", n, key, err)
			}
		}
	}
}

// TestMirrorRefused: 85, and a registry that takes one thing and has another.
func TestMirrorRefused(t *testing.T) {
	p := newMirrored(t)
	p.docker()
	other := fake.New(t)
	for what, tt := range map[string]struct {
		class  fault.Class
		says   string
		decide func(w http.ResponseWriter, r *http.Request) bool
	}{
		"upload on another host": {fault.Policy, "on a different host", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost {
				return false
			}
			w.Header().Set("Location", other.URL+"/upload")
			w.WriteHeader(http.StatusAccepted)
			return true
		}},
		"upload redirected": {fault.Policy, "redirects a P", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodPost && r.Method != http.MethodPut {
				return false
			}
			http.Redirect(w, r, other.URL+"/upload", http.StatusTemporaryRedirect)
			return true
		}},
		"no permission": {fault.Upstream, "docker login", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPost {
				http.Error(w, `{"errors":[{"code":"DENIED","message":"read only"}]}`, http.StatusForbidden)
			}
			return r.Method == http.MethodPost
		}},
		"other bytes back": {fault.Integrity, "accepted sha256:", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.Contains(r.URL.Path, "/blobs/") {
				return false
			}
			f := p.locked().Plugins["tool"]["1.2.0"].Files["tool-1.2.0-linux-aarch64.tar.gz"]
			_, _ = w.Write(bytes.Repeat([]byte("x"), int(f.Size)))
			return true
		}},
		"another size": {fault.Integrity, "has that digest with", func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/blobs/") {
				w.Header().Set("Content-Length", "7")
				w.Header().Set("Content-Type", file)
				return true
			}
			return false
		}},
	} {
		t.Run(what, func(t *testing.T) {
			host := before(t, fake.NewOCI(t, "").Host, tt.decide)
			p.fails(tt.class, []string{tt.says}, "mirror", "--to", "oci://"+host+"/acme/plugins", "--platform", "linux-aarch64", "tool")
			if n := len(other.Requests("")); n != 0 {
				t.Errorf("another host was sent %d requests", n)
			}
		})
	}
}

// TestMirrorCargo: what cargo made here gets its tree into the lock, and a
// machine without cargo takes it from the mirror.
func TestMirrorCargo(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts cargo many times; TestCargo and the conformance suite have the usual way")
	p, _ := newCargoPlace(t)
	host := fake.Host(t)
	p.server.Crate(fake.Crate{Name: "protoc-gen-acme", Version: "1.0.0", Files: map[string]string{"src/main.rs": "fn main() { println!(\"acme\"); }\n"}})
	manifest := "platforms = [\"" + host.Name + "\"]\n\n[registries]\ncargo = \"" + p.server.CrateIndex() + "\"\n\n" + acme
	p.write("plugins.toml", manifest)
	p.ok("update", "--no-smoke")
	if c := p.locked().Plugins["acme"]["1.0.0"].Platforms[host.Name]; c.Tree != "" {
		t.Fatalf("%+v", c)
	}
	dir := filepath.Join(t.TempDir(), "layout")
	p.pushed("--to", "oci-layout:"+dir)
	before := p.read("plugins.lock.toml")
	first := p.pushed("--to", "oci-layout:"+dir, "--trees")
	tree := p.locked().Plugins["acme"]["1.0.0"].Platforms[host.Name].Tree
	if tree == "" || p.read("plugins.lock.toml") == before || !strings.HasPrefix(first.Tags[len(first.Tags)-1], "tree-"+tree+".") {
		t.Fatalf("tree %q, %+v", tree, first)
	}
	p.ok("check")
	// Nothing that is the same takes it away again.
	after := p.read("plugins.lock.toml")
	p.ok("update", "acme", "--no-smoke")
	if got := p.read("plugins.lock.toml"); got != after {
		t.Errorf("locked again:\n%s\nbefore:\n%s", got, after)
	}
	if again := p.pushed("--to", "oci-layout:"+dir, "--trees"); again.Pushed != 0 {
		t.Errorf("%+v", again)
	}
	p.write("plugins.toml", manifest+"\n[[mirror]]\nfrom = \"cargo:\"\nto = \"oci-layout:"+dir+"\"\n")
	binary := fetchProgram(t)
	p.server.Forget()
	for what, env := range map[string][]string{
		"without cargo":    {"PATH=" + t.TempDir()},
		"without managers": {"PATH=" + os.Getenv("PATH"), "BUCK2_PROTOBUF_DISABLE_PACKAGE_MANAGERS=1"},
	} {
		cmd := exec.Command(binary, "get", "acme", "--lock", p.path("plugins.lock.toml"))
		cmd.Env = append(env, "HOME="+t.TempDir(), "BUCK2_PROTOBUF_CACHE_DIR="+t.TempDir())
		var talk bytes.Buffer
		cmd.Stderr = &talk
		path, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v\n%s", what, err, talk.String())
			continue
		}
		if out, err := exec.Command(strings.TrimSpace(string(path))).Output(); err != nil || string(out) != "acme\n" {
			t.Errorf("%s: %q, %v", what, out, err)
		}
	}
	if got := p.server.Requests(""); len(got) != 0 {
		t.Errorf("asked for %v", got)
	}
	// Without the mirror the message says what to do.
	p.write("plugins.toml", manifest)
	cmd := exec.Command(binary, "get", "acme", "--lock", p.path("plugins.lock.toml"))
	cmd.Env = []string{"PATH=" + t.TempDir(), "HOME=" + t.TempDir(), "BUCK2_PROTOBUF_CACHE_DIR=" + t.TempDir()}
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != int(fault.Machine) || !strings.Contains(string(out), "no mirror of plugins.toml has ready folders of it") || !strings.Contains(string(out), "lockgen mirror --trees") {
		t.Errorf("status %d\n%s", cmd.ProcessState.ExitCode(), out)
	}
}

// TestMirrorGo: the folder of what Go compiles is pushed for every platform, and
// a machine without a Go, or that may run none, takes it; Go itself is not a folder.
func TestMirrorGo(t *testing.T) {
	t.Parallel()
	testenv.OnlyFull(t, "it starts Go many times; TestGo, TestAddGo and the conformance suite have the usual way")
	p, version := newGoPlace(t)
	p.goManifest("go = \"" + version + "\"\n" + plug("protoc-gen-plug", ""))
	p.ok("update")
	dir := filepath.Join(t.TempDir(), "layout")
	done := p.pushed("--to", "oci-layout:"+dir, "--trees")
	var trees []string
	for _, tag := range done.Tags {
		if strings.HasPrefix(tag, "tree-") {
			trees = append(trees, tag)
		}
	}
	magic := map[string]string{"linux-aarch64": "\x7fELF", "windows-x86_64": "MZ"}
	if len(trees) != len(magic) {
		t.Errorf("folders pushed: %v, want one for each of %d platforms", trees, len(magic))
	}
	p.write("plugins.toml", p.read("plugins.toml")+"\n[[mirror]]\nfrom = \"go:\"\nto = \"oci-layout:"+dir+"\"\n")
	binary := fetchProgram(t)
	p.server.Forget()
	for what, env := range map[string][]string{
		"without go":       {"PATH=" + t.TempDir()},
		"without managers": {"PATH=" + os.Getenv("PATH"), "BUCK2_PROTOBUF_DISABLE_PACKAGE_MANAGERS=1"},
	} {
		for platform, begins := range magic {
			cell := p.locked().Plugins["protoc-gen-plug"]["1.0.0"].Platforms[platform]
			if !slices.ContainsFunc(trees, func(tag string) bool { return strings.HasPrefix(tag, "tree-"+cell.Tree) }) {
				t.Errorf("the tree %s of %s is not among %v", cell.Tree, platform, trees)
			}
			cmd := exec.Command(binary, "get", "protoc-gen-plug", "--platform", platform, "--lock", p.path("plugins.lock.toml"))
			cmd.Env = append(env, "HOME="+t.TempDir(), "BUCK2_PROTOBUF_CACHE_DIR="+t.TempDir())
			var talk bytes.Buffer
			cmd.Stderr = &talk
			path, err := cmd.Output()
			if err != nil {
				t.Errorf("%s, %s: %v\n%s", what, platform, err, talk.String())
				continue
			}
			if program, err := os.ReadFile(strings.TrimSpace(string(path))); err != nil || !strings.HasPrefix(string(program), begins) {
				t.Errorf("%s, %s: %d bytes, %v", what, platform, len(program), err)
			}
		}
	}
	if got := p.server.Requests(""); len(got) != 0 {
		t.Errorf("asked for %v", got)
	}
}
