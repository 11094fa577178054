package main

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
	"github.com/birbparty/buck2-protobuf/internal/ui"
)

// A served plugin is one of some kind, with a file of it and where its registry
// serves that.
type served struct {
	*world
	plugin string
	path   string
	body   []byte
	server *fake.Server

	compares string // "files" where the lock has the hash of what is in the file, too

	kept *app // a run of fetch that goes on; nil before it began
}

// fault makes a path of the registry misbehave.
func (s *served) fault(path string, faults ...fake.Fault) { s.server.Fault(path, faults...) }

// goByFetch is the kind of Go modules that fetch downloads itself, from the proxy of
// [registries]: for others it starts Go.
const goByFetch = lock.Go + ", by [registries]"

// tries is how many bits are flipped: 4,096 of each kind in the full suite, but for
// Go, which is started for each of them.
func tries(kind string) int {
	switch kind {
	case lock.HTTP, lock.Maven, lock.OCI:
		return testenv.Brief(8, testenv.Count(64, 4096))
	case lock.Go:
		return testenv.Count(6, 512)
	}
	return testenv.Count(6, 4096)
}

// byProgram is how many of the flips are tried by the whole program where that
// starts a client for each: the others by one run that goes on, which knows the
// clients and their settings.
const byProgram = 3

// get is fetch get of the plugin. The run that goes on is of a client that is
// slow to start; it tells its error as the program does.
func (s *served) get(kind string, n int) (status int, stdout, stderr string) {
	s.Helper()
	if n < byProgram || kind != lock.NPM && kind != lock.Pip && kind != lock.Cargo {
		return s.fetch("get", s.plugin)
	}
	if s.kept == nil {
		s.kept = s.newApp(remote.Timeouts{})
		s.Cleanup(s.kept.store.Release)
	}
	return s.getBy(s.kept)
}

// newApp is a run of fetch that goes on.
func (s *served) newApp(timeouts remote.Timeouts) *app {
	s.Helper()
	var none bytes.Buffer
	a := &app{ui: ui.New("fetch", &none, &none), env: func(string) string { return "" }, timeouts: timeouts}
	a.opts.cacheDir, a.opts.nodeManager, a.opts.lock = s.cache, "none", filepath.Join(s.dir, lock.FileName)
	if err := errors.Join(a.open(), a.readManifest(a.opts.lock)); err != nil {
		s.Fatal(err)
	}
	return a
}

// getBy is fetch get of the plugin by a run that goes on.
func (s *served) getBy(a *app) (status int, stdout, stderr string) {
	s.Helper()
	name, version, _, err := s.lock.Find(s.plugin)
	if err != nil {
		s.Fatal(err)
	}
	var out, talk bytes.Buffer
	p, _, err := a.installer.Program(s.Context(), s.lock.Entry(name, version), a.host.Name)
	if err == nil {
		out.WriteString(p.Path + "\n")
	}
	return ui.New("fetch", &out, &talk).Fail(err), out.String(), talk.String()
}

// beside runs the test of a kind beside those of others, unless its client reads the
// environment of this process.
func beside(t *testing.T, kind string) {
	if kind != lock.Go && kind != goByFetch && kind != lock.Cargo {
		t.Parallel()
	}
}

// kindsServed makes a world for each kind of source.
func kindsServed() map[string]func(t *testing.T) served {
	return map[string]func(t *testing.T) served{
		lock.HTTP: func(t *testing.T) served {
			w := newWorld(t)
			const path = "/files/packed.tar.gz"
			return served{w, "packed", path, w.bodyOf(path), w.registry, "", nil}
		},
		lock.NPM: func(t *testing.T) served {
			w := newWorld(t)
			a := w.tarballs["node_modules/@acme/lib"]
			return served{w, "script", a.Path, a.Body, w.registry, "", nil}
		},
		lock.Pip: func(t *testing.T) served {
			w := newWorld(t)
			return served{w, "tool", w.wheel.Path, w.wheel.Body, w.registry, "", nil}
		},
		lock.Maven: func(t *testing.T) served {
			w := newWorld(t)
			program := []byte("#!/bin/sh\necho acme\n" + strings.Repeat("# padding\n", 60))
			dir := w.registry.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "acme", Version: "4.1", Files: map[string][]byte{"-linux-x86_64.exe": program}})
			const key = "com.acme/acme-4.1-linux-x86_64.exe"
			w.add("acme", "4.1", lock.Version{Source: lock.Maven, Package: "com.acme:acme"}, "acme",
				map[string]fake.Artifact{key: {Body: program, SHA256: sum256(program), Size: int64(len(program))}},
				map[string]lock.File{key: {Name: "com.acme:acme", Version: "4.1"}})
			w.registries = "maven = \"" + w.registry.URL + fake.MavenRoot + "\"\n"
			w.write()
			return served{w, "acme", dir + "acme-4.1-linux-x86_64.exe", program, w.registry, "", nil}
		},
		lock.OCI: func(t *testing.T) served {
			w := newWorld(t)
			o := fake.NewOCI(t, "")
			body := fake.Tarball("", map[string]string{"bin/lint": "#!/bin/sh\necho lint\n"}, "bin/lint")
			d := o.Blob(fake.OCILayer, "lint.tar.gz", body)
			digest := strings.TrimPrefix(o.Manifest("v1.4.0", d)["digest"].(string), "sha256:")
			w.add("lint", "1.4.0", lock.Version{Source: lock.OCI, Package: o.Host + "/acme/tool"}, "bin/lint",
				map[string]fake.Artifact{"lint.tar.gz": {Body: body, Size: int64(len(body)), SHA256: sum256(body)}},
				map[string]lock.File{"lint.tar.gz": {Version: "v1.4.0", Archive: "tar.gz", Manifest: digest}})
			w.write()
			return served{w, "lint", "/v2/acme/tool/blobs/" + d["digest"].(string), body, o.Server, "", nil}
		},
		lock.Cargo: func(t *testing.T) served {
			w := newCargoWorld(t)
			a := w.registry.Crate(cargoLeaf)
			return served{w, "crab", a.Path, a.Body, w.registry, "", nil}
		},
		lock.Go: func(t *testing.T) served {
			w := newGoWorld(t)
			a := w.registry.Module(goDep)
			return served{w, "plug", a.Path, a.Body, w.registry, "files", nil}
		},
		goByFetch: func(t *testing.T) served {
			w := newGoWorld(t)
			w.registries = "go = \"" + w.registry.GoProxy() + "\"\n"
			w.write()
			a := w.registry.Module(goDep)
			return served{w, "plug", a.Path, a.Body, w.registry, "files", nil}
		},
	}
}

// bodyOf asks the registry for a file.
func (w *world) bodyOf(path string) []byte {
	w.Helper()
	answer, err := http.Get(w.registry.URL + path)
	if err != nil {
		w.Fatal(err)
	}
	defer answer.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		w.Fatal(answer.Status, err)
	}
	return body.Bytes()
}

// flips calls try with n copies of good, in each of which one bit is another one;
// the bits are spread over all of it. The copies are numbered.
func flips(good []byte, n int, try func(i int, bad []byte)) {
	n = min(n, 8*len(good))
	for i := range n {
		bit := i * 8 * len(good) / n
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		try(i, bad)
	}
}

// refuses runs fetch get with a file that is not the locked one, and reports
// whether it ended as wrong bytes and left nothing that a later run could take.
//
// A module of Go is locked by the hash of its files, for a proxy may pack it anew. A
// bit of the zip that is no file's changes nothing then: what is installed must be
// the locked folder, and the zip may stay in the cache under its own digest. And Go
// itself, which downloads it, does not tell a damaged file from one that was cut.
func (s *served) refuses(kind string, i int, bad []byte) bool {
	s.Helper()
	blob := func(body []byte) string {
		sum := sum256(body)
		return filepath.Join(s.cache, "blobs", "sha256", sum[:2], sum)
	}
	tree := "none" // crates are compiled to what they are compiled to
	for _, v := range s.lock.Plugins[s.plugin] {
		tree = filepath.Join(s.cache, "trees", cmp.Or(v.Platforms[host(s)].Tree, tree))
	}
	status, stdout, stderr := s.get(kind, i)
	if status == 0 && s.compares == "files" && isTree(s.T, filepath.Dir(strings.TrimSpace(stdout)), filepath.Base(tree)) {
		for _, name := range []string{tree, tree + ".ok", blob(bad), blob(s.body), filepath.Join(s.cache, "warm")} {
			if err := os.RemoveAll(name); err != nil {
				s.Fatal(err)
			}
		}
		return true
	}
	cut := s.compares == "files" && status == int(fault.Upstream) && strings.Contains(stderr, "EOF\n")
	if status != int(fault.Integrity) && !cut || stdout != "" || !strings.Contains(stderr, s.plugin+" ") {
		s.Errorf("exit %d %q\n%s", status, stdout, stderr)
		return false
	}
	if !strings.Contains(stderr, s.path) {
		s.Errorf("%s is not named:\n%s", s.path, stderr)
		return false
	}
	for _, name := range []string{tree, tree + ".ok", blob(s.body), blob(bad)} {
		if _, err := os.Lstat(name); err == nil && (name != blob(bad) || s.compares != "files") {
			s.Errorf("%s was left in the cache", name)
			return false
		}
	}
	return true
}

// TestFlippedDownload: a file of which one bit is not the locked one is refused as
// wrong bytes, whatever kind of registry serves it, and leaves nothing that a
// later run could take.
func TestFlippedDownload(t *testing.T) {
	for kind, prepare := range kindsServed() {
		t.Run(kind, func(t *testing.T) {
			beside(t, kind)
			s := prepare(t)
			tried, held := 0, 0
			flips(s.body, tries(kind), func(i int, bad []byte) {
				s.fault(s.path, fake.Map(func([]byte) []byte { return bad }))
				tried++
				if s.refuses(kind, i, bad) {
					held++
				}
			})
			testenv.Held(t, "one bit of a served file flipped, at fetch time: exit 5, nothing kept", kind, tried, held)
			s.fault(s.path)
			s.must("get", s.plugin)
		})
	}
}

// TestFlippedMirror is the same for a mirror that is a folder: with no other place
// to ask, the file is refused.
func TestFlippedMirror(t *testing.T) {
	for kind, prepare := range kindsServed() {
		t.Run(kind, func(t *testing.T) {
			beside(t, kind)
			s := prepare(t)
			dir := s.layout(s.body)
			s.mirrors("*", "oci-layout:"+dir)
			s.fault(s.path, fake.Status(http.StatusNotFound))
			blob := filepath.Join(dir, "blobs", "sha256", sum256(s.body))
			s.path = blob // the message must name it
			tried, held := 0, 0
			flips(s.body, tries(kind), func(i int, bad []byte) {
				fake.Write(t, blob, string(bad))
				tried++
				if s.refuses(kind, i, bad) {
					held++
				}
			})
			testenv.Held(t, "one bit of a file of a mirror flipped: exit 5, nothing kept", kind, tried, held)
			fake.Write(t, blob, string(s.body))
			s.must("get", s.plugin)
		})
	}
}

// TestFlippedTree: one flipped bit of any file of an installed folder is found by
// fetch cache verify.
func TestFlippedTree(t *testing.T) {
	for kind, prepare := range kindsServed() {
		if kind == goByFetch {
			continue // its folder is that of Go
		}
		t.Run(kind, func(t *testing.T) {
			beside(t, kind)
			s := prepare(t)
			s.must("get", s.plugin)
			s.must("cache", "verify")
			n := testenv.Brief(8, testenv.Count(64, 4096))
			if kind == lock.Go { // the folder of Go itself is verified each time
				n = testenv.Count(6, 512)
			}
			var names []string
			if err := filepath.WalkDir(filepath.Join(s.cache, "trees"), func(name string, d fs.DirEntry, err error) error {
				if err == nil && d.Type().IsRegular() && filepath.Dir(name) != filepath.Join(s.cache, "trees") {
					names = append(names, name)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			slices.Sort(names)
			tried, held := 0, 0
			for _, name := range names {
				good, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				about, err := os.Stat(name)
				if err != nil {
					t.Fatal(err)
				}
				flips(good, max(1, n/len(names)), func(_ int, bad []byte) {
					write := func(body []byte) {
						if err := os.Remove(name); err != nil {
							t.Fatal(err)
						}
						if err := os.WriteFile(name, body, about.Mode()); err != nil {
							t.Fatal(err)
						}
					}
					write(bad)
					tried++
					status, stdout, stderr := s.fetch("cache", "verify")
					if status != int(fault.Integrity) || !strings.Contains(stdout, filepath.Base(name)) {
						t.Errorf("%s: exit %d %s\n%s", name, status, stdout, stderr)
					} else {
						held++
					}
					write(good)
				})
			}
			testenv.Held(t, "one bit of an installed folder flipped: found by fetch cache verify", kind, tried, held)
			s.must("cache", "verify")
		})
	}
}

// TestAnswers: whatever a server answers in the place of a file, the message names
// the file and says how to go on, and nothing of it is kept. Go downloads modules
// itself, by its own rules for redirects and for what it tries again.
func TestAnswers(t *testing.T) {
	const operator, later, netrc, network = "ask the operator", "try again later", "netrc file", "check the network and the proxy"
	const bytes, settings = "ask the publisher", "check the network and: go env GOPROXY"
	answers := []struct {
		name  string
		fault fake.Fault
		class fault.Class
		hint  string
		slow  bool // it is asked four times
		go_   fault.Class
		hints string // of Go; "" for hint
	}{
		{name: "400", fault: fake.Status(400), class: fault.Upstream, hint: operator, hints: settings},
		{name: "401", fault: fake.Status(401), class: fault.Upstream, hint: netrc},
		{name: "402", fault: fake.Status(402), class: fault.Upstream, hint: "the account of the credential", hints: settings},
		{name: "403", fault: fake.Status(403), class: fault.Upstream, hint: netrc, hints: operator},
		{name: "404", fault: fake.Status(404), class: fault.Upstream, hint: "check the name and the version", hints: "correct the module or the version"},
		{name: "407", fault: fake.Status(407), class: fault.Upstream, hint: "HTTPS_PROXY"},
		{name: "408", fault: fake.Status(408), class: fault.Upstream, hint: later, slow: true},
		{name: "410", fault: fake.Status(410), class: fault.Upstream, hint: "a mirror that still has it", hints: "correct the module or the version"},
		{name: "418", fault: fake.Status(418), class: fault.Upstream, hint: operator, hints: settings},
		{name: "429", fault: fake.Status(429, "Retry-After", "0"), class: fault.Upstream, hint: later, slow: true},
		{name: "451", fault: fake.Status(451), class: fault.Upstream, hint: "a mirror that is", hints: settings},
		{name: "500", fault: fake.Status(500), class: fault.Upstream, hint: later, slow: true},
		{name: "503", fault: fake.Status(503, "Retry-After", "1"), class: fault.Upstream, hint: later, slow: true},
		{name: "204", fault: fake.Status(204), class: fault.Upstream, hint: operator, hints: settings},
		{name: "206", fault: fake.Status(206), class: fault.Upstream, hint: operator, hints: settings},
		{name: "304", fault: fake.Status(304), class: fault.Upstream, hint: operator, hints: settings},
		{name: "nothing", fault: fake.Answer("application/octet-stream", ""), class: fault.Integrity, hint: bytes, hints: "do not use"},
		{name: "a login page", fault: fake.HTML(), class: fault.Integrity, hint: "open the address in a browser", hints: "a login page?"},
		{name: "an error in JSON", fault: fake.Answer("application/json", `{"error":"sign in"}`), class: fault.Integrity, hint: bytes, hints: "do not use"},
		{name: "one byte less", fault: fake.Map(func(b []byte) []byte { return b[:len(b)-1] }), class: fault.Integrity, hint: bytes, hints: "do not use"},
		{name: "one byte more", fault: fake.Longer(1), class: fault.Integrity, hint: bytes, hints: "do not use"},
		{name: "a loop", fault: fake.RedirectLoop(), class: fault.Upstream, hint: "ask its operator", hints: settings},
		{name: "a redirect to nowhere", fault: fake.Status(302), class: fault.Upstream, hint: "misconfigured", hints: settings},
		{name: "a redirect in clear", fault: fake.Redirect(302, "http://elsewhere.invalid/x"), class: fault.Policy, hint: "use another mirror", go_: fault.Upstream, hints: settings},
		{name: "a redirect to a file", fault: fake.Redirect(302, "file:///etc/passwd"), class: fault.Policy, hint: "use another mirror", go_: fault.Upstream, hints: settings},
		{name: "a host without an address", fault: fake.Redirect(302, "https://elsewhere.invalid/x"), class: fault.Upstream, hint: "check the host name", hints: settings},
		{name: "an end in the middle", fault: fake.Truncate(10), class: fault.Upstream, hint: network, slow: true, hints: settings},
		{name: "an end at once", fault: fake.Reset(-1), class: fault.Upstream, hint: network, slow: true, hints: settings},
		{name: "no HTTP", fault: fake.Raw("SSH-2.0\r\n"), class: fault.Upstream, hint: network, slow: true, hints: settings},
	}
	for kind, prepare := range kindsServed() {
		t.Run(kind, func(t *testing.T) {
			beside(t, kind)
			s := prepare(t)
			tried, held := 0, 0
			for _, a := range answers {
				if a.slow && kind != lock.Go && testenv.Count(0, 1) == 0 {
					continue // it takes seconds; package remote has the same with short waits
				}
				tried++
				s.fault(s.path, a.fault)
				class, hint := a.class, a.hint
				if kind == lock.Go {
					class, hint = cmp.Or(a.go_, class), cmp.Or(a.hints, hint)
				}
				if kind == goByFetch && hint == bytes { // the zip is read first: the lock has the digest of its files
					hint = "report it to the publisher"
					if a.name == "nothing" {
						class, hint = fault.Upstream, later
					}
				}
				if kind == lock.OCI && a.name == "401" {
					hint = "docker login"
				}
				status, stdout, stderr := s.fetch("get", s.plugin)
				_, said, _ := strings.Cut(stderr, "hint: ")
				said, _, _ = strings.Cut(said, "\n")
				// A digest is the name of a blob, and the end of its URL.
				if status != int(class) || !strings.Contains(said, hint) || !strings.Contains(stderr, filepath.Base(s.path)) && !strings.Contains(stderr, filepath.Dir(s.path)) ||
					stdout != "" || strings.Contains(stderr, "<nil>") || strings.Contains(stderr, "file does not exist") {
					t.Errorf("%s: exit %d, want %d and the hint %q:\n%s%s", a.name, status, class, hint, stdout, stderr)
					continue
				}
				held++
			}
			testenv.Held(t, "what a server answers in the place of a file, at fetch time: the right class, the URL and a hint that fits", kind, tried, held)
			s.fault(s.path)
			s.must("get", s.plugin)
		})
	}
}
