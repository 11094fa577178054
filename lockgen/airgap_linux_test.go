package main

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/birbparty/buck2-protobuf/internal/archive"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// airGap tells the test binary what to do in a network namespace of its own.
const airGap = "LOCKGEN_TEST_AIR_GAP"

// An enclosed is what runs without a network: a lock whose bytes are in a
// folder, and who else was there before.
type enclosed struct {
	Fetch    string   // the program
	Dir      string   // holds plugins.toml and plugins.lock.toml
	Layout   string   // what lockgen mirror filled
	Platform string   // to install for
	Plugins  []string // NAME
	Trees    string   // folder that has the same trees, made outside
	Origin   string   // URL that can be reached outside
	Bundle   string   // that was pushed, "" for none
}

// TestAirGap: after lockgen mirror, in an empty network namespace, with the same
// lock and empty caches, everything is installed byte by byte: from the folder,
// and from a registry that was filled from the folder, with package managers
// and without.
func TestAirGap(t *testing.T) {
	t.Parallel()
	needNPM(t)
	p := newMirrored(t)
	p.publishTSProto("2.18.0")
	p.mirrored(armAndWindows, "")
	text := strings.Replace(p.read("plugins.toml"), "[plugins]\n", "npm = \""+p.server.URL+"/\"\n\n[plugins]\nts-proto = \"2.18.0\"\n", 1)
	p.write("plugins.toml", text)
	p.ok("update", "--no-smoke")
	p.enclosed(t, arm, []string{"protoc", "node", "tool", "ts-proto"}, nil)
}

// TestAirGapReal is TestAirGap with this repository's own npm and pip plugins,
// where their bytes are in the cache that tests keep.
func TestAirGapReal(t *testing.T) {
	testenv.OnlyFull(t, "TestAirGap does it with small packages")
	base, err := os.UserCacheDir()
	if err != nil {
		t.Skip("skipped: no cache folder:", err)
	}
	host := fake.Host(t)
	p := newPlace(t)
	p.cache = filepath.Join(base, "buck2-protobuf-test", "fetch")
	for _, name := range []string{"plugins.toml", "plugins.lock.toml"} {
		data, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		p.write(name, string(data))
	}
	s, err := store.Open(p.cache)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name, versions := range p.locked().Plugins {
		for _, v := range versions {
			if v.Source != lock.NPM && v.Source != lock.Pip {
				continue
			}
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
			for _, key := range v.FilesFor(host.Name) {
				if f := v.Files[key]; !s.HasBlob(store.Digest{SHA256: f.SHA256, Size: f.Size}) {
					t.Skipf("skipped: %s is not in %s, which go test ./fetch fills", key, p.cache)
				}
			}
		}
	}
	if len(names) < 5 {
		t.Fatalf("the lock has %d plugins from npm and pip", len(names))
	}
	p.enclosed(t, host.Name, names, append([]string{"--platform", host.Name}, names...))
}

// enclosed mirrors to a folder and goes on without a network.
func (p *place) enclosed(t *testing.T, platform string, plugins, args []string) {
	bundle := ""
	if len(args) == 0 {
		bundle = "all"
	}
	if out, err := exec.Command("unshare", "--user", "--map-root-user", "--net", "true").CombinedOutput(); err != nil {
		t.Skipf("skipped: this machine gives no network namespace: %v %s", err, out)
	}
	in := enclosed{
		Bundle: bundle, Dir: p.dir, Layout: filepath.Join(t.TempDir(), "layout"), Platform: platform, Plugins: plugins,
		Trees: filepath.Join(p.cache, "trees"), Origin: p.server.URL + "/simple/", Fetch: fetchProgram(t),
	}
	p.ok(append([]string{"mirror", "--trees", "--to", "oci-layout:" + in.Layout}, args...)...)
	resp, err := http.Get(in.Origin)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	p.server.Forget()
	data, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "--user", "--map-root-user", "--net", os.Args[0], "-test.run=^TestAirGapInside$", "-test.v")
	cmd.Env = append(os.Environ(), airGap+"="+string(data))
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestAirGapInside")) {
		t.Errorf("without a network: %v\n%s", err, out)
	}
	if got := p.server.Requests(""); len(got) != 0 {
		t.Errorf("the origin was asked: %v", got)
	}
}

// TestAirGapInside is the part of TestAirGap without a network.
func TestAirGapInside(t *testing.T) {
	text := os.Getenv(airGap)
	if text == "" {
		t.Skip("skipped: TestAirGap runs it")
	}
	var in enclosed
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		t.Fatal(err)
	}
	loopbackUp(t)
	if resp, err := http.Get(in.Origin); err == nil {
		resp.Body.Close()
		t.Fatal("there is a network")
	}
	if conn, err := net.DialTimeout("udp", "192.0.2.1:9", time.Second); err == nil { // TEST-NET-1: needs a route
		conn.Close()
		t.Fatal("there is a route")
	}
	locked, err := os.ReadFile(filepath.Join(in.Dir, "plugins.lock.toml"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := lock.Parse("plugins.lock.toml", locked)
	if err != nil {
		t.Fatal(err)
	}
	p := &place{t: t, dir: in.Dir, cache: t.TempDir()}
	manifest := p.read("plugins.toml")
	registry := "oci://" + fake.NewOCI(t, "").Host + "/acme/plugins"
	from := func(to string) {
		p.write("plugins.toml", manifest+"\n[[mirror]]\nfrom = \"*\"\nto = \""+to+"\"\n")
	}
	from("oci-layout:" + in.Layout)
	p.ok(append([]string{"mirror", "--to", registry, "--trees", "--platform", in.Platform}, in.Plugins...)...)
	for _, to := range []string{"oci-layout:" + in.Layout, registry} {
		from(to)
		for _, more := range []string{"--node-manager=none", "--disable-package-managers"} {
			cache := t.TempDir()
			for _, name := range in.Plugins {
				_, _, v, err := l.Find(name)
				if err != nil {
					t.Fatal(err)
				}
				in.gets(t, p, cache, name, v.Platforms[in.Platform].Tree, to, more)
			}
		}
	}
	if in.Bundle != "" {
		p.ok("mirror", "--to", registry, "--bundle", in.Bundle, "--platform", in.Platform)
		alone := filepath.Join(t.TempDir(), "plugins.lock.toml")
		if err := os.WriteFile(alone, locked, 0o600); err != nil {
			t.Fatal(err)
		}
		in.bundles(t, alone, "oci-layout:"+in.Layout)
		in.bundles(t, alone, registry)
	}
	if after := p.read("plugins.lock.toml"); after != string(locked) {
		t.Error("the lock changed")
	}
}

// gets has fetch get a plugin from a mirror, and demands its locked tree, from the ready
// folder where that is what the mirror has and package managers are not used.
func (in *enclosed) gets(t *testing.T, p *place, cache, name, tree, to, more string) {
	t.Helper()
	_, missing := os.Stat(filepath.Join(cache, "trees", tree)) // two plugins may be of one folder
	cmd := exec.CommandContext(t.Context(), in.Fetch, "get", name, "--platform", in.Platform, more, "--lock", p.path("plugins.lock.toml"), "-v")
	cmd.Env = append(os.Environ(), "BUCK2_PROTOBUF_CACHE_DIR="+cache)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	if _, err := cmd.Output(); err != nil {
		t.Errorf("from %s, %s: %s: %v\n%s", to, more, name, err, talk.String())
		return
	}
	if ready := strings.Contains(talk.String(), "copied the ready folder of "+name); ready != (more == "--disable-package-managers" && name != "tool" && missing != nil) && name != "node" {
		t.Errorf("from %s, %s: %s by its ready folder: %v\n%s", to, more, name, ready, talk.String())
	}
	want, err := archive.HashDir(t.Context(), filepath.Join(in.Trees, tree), nil)
	if name == "tool" { // by URL: there is no ready folder of it outside
		want, err = nil, nil
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := archive.HashDir(t.Context(), filepath.Join(cache, "trees", tree), nil)
	if err != nil || len(got) == 0 || want != nil && archive.Diff(want, got) != "" {
		t.Errorf("from %s, %s: %s: %v %s", to, more, name, err, archive.Diff(want, got))
	}
}

// bundles has fetch install the bundle with a lock alone: the mirror knows what the bundle is.
func (in *enclosed) bundles(t *testing.T, lock, from string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), in.Fetch, "bundle", in.Bundle, "--from", from, "--platform", in.Platform, "--lock", lock, "--shell", "sh")
	cmd.Env = append(os.Environ(), "BUCK2_PROTOBUF_CACHE_DIR="+t.TempDir())
	out, err := cmd.Output()
	if n := strings.Count(string(out), "export PATH="); err != nil || n != 2 {
		t.Errorf("bundle from %s: %d lines, %v\n%s", from, n, err, out)
	}
}

// loopbackUp brings up the one interface of a new network namespace.
func loopbackUp(t *testing.T) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		t.Fatal(err)
	}
}
