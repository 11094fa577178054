package main

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/testenv"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
)

// TestConformance is what every kind of source must pass: one table of cases,
// run on the stand of each kind (conformance_stand_test.go). A new kind needs a
// stand and nothing else. What a kind cannot have is skipped with its reason.
func TestConformance(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "a source of each kind, most with a client")
	cases := slices.Concat(lockCases(), documentCases(), artifactCases(), versionCases())
	names := map[string]bool{}
	for _, c := range cases {
		if names[c.name] {
			t.Errorf("two cases have the name %q", c.name)
		}
		names[c.name] = true
	}
	for name := range usual {
		if !names[name] {
			t.Errorf("there is no case %q", name)
		}
	}
	for _, s := range stands(t) {
		for name := range s.cannot {
			if !names[name] {
				t.Errorf("%s cannot have the case %q, which there is not", s.kind, name)
			}
		}
		t.Run(cmp.Or(s.name, s.kind), func(t *testing.T) {
			t.Parallel()
			if s.need != nil {
				s.need(t)
			}
			row := testenv.Rows(t, "a fault of a registry or a file at lock time: the right class, nothing written", cmp.Or(s.name, s.kind))
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					row(t)
					if why := s.cannot[c.name]; why != "" {
						t.Skip(why)
					}
					if s.slow && !usual[c.name] {
						testenv.OnlyFull(t, "some cases are tried with "+s.kind+", and all with http")
					}
					t.Parallel()
					c.run(s.newRing(t), c.name)
				})
			}
		})
	}
}

// usual are the cases that the ordinary suite tries with every kind: one of each
// promise.
var usual = map[string]bool{
	"locks, and the next run keeps it": true, "replaced bytes are an alarm": true, "document 404": true,
	"artifact of other bytes": true, "a range waits": true, "upstream: withdrawn": true,
}

// A conformanceCase is run on a ring of its own.
type conformanceCase struct {
	name string
	run  func(r *ring, name string)
}

// locks demands that the plugin can be locked, and is.
func (r *ring) locks(args ...string) {
	r.t.Helper()
	r.ok(append([]string{"update"}, args...)...)
	v := r.locked().Plugins["tool"]["1.2.0"]
	if v == nil || !v.Platforms[arm].Locked() || v.Source != r.stand.kind {
		r.t.Fatalf("locked %+v", v)
	}
	r.ok("check")
}

// refuses demands that an update fails as the case says, or as the stand says
// of the case.
func (r *ring) refuses(name string, class fault.Class, parts []string, args ...string) (text string) {
	r.t.Helper()
	if own, ok := r.stand.class[name]; ok {
		class = own
	}
	if own, ok := r.stand.says[name]; ok {
		parts = own
	}
	text = r.fails(class, nil, append([]string{"update"}, args...)...)
	// The name of the case is in that of the folder, and a port may look like
	// anything.
	bare := strings.NewReplacer(r.dir, "", r.cache, "", strings.TrimPrefix(r.server.URL, "http://"), "HOST").Replace(text)
	for _, part := range append([]string{"tool 1.2.0"}, parts...) {
		if !strings.Contains(bare, part) {
			r.t.Errorf("lockgen update %v: %q is not in\n%s", args, part, text)
		}
	}
	return text
}

// namesArtifact demands that a message names the file, by its address, the last part
// of it (of a blob its digest) or its label.
func (r *ring) namesArtifact(text string) {
	r.t.Helper()
	if !strings.Contains(text, path.Base(r.artifact)) && !strings.Contains(text, r.stand.label) {
		r.t.Errorf("neither %s nor %s is named in\n%s", r.artifact, r.stand.label, text)
	}
}

func lockCases() []conformanceCase {
	return []conformanceCase{
		{"a damaged copy in the cache", (*ring).damagedCopy},
		{"locks, and the next run keeps it", (*ring).keepsLock},
		{"the same answer twice", (*ring).sameTwice},
		{"replaced bytes are an alarm", (*ring).alarmsOfOtherBytes},
		{"no such version", (*ring).noSuchVersion},
		{"withdrawn, told once", (*ring).tellsWithdrawnOnce},
		{"a platform is missing", (*ring).missingPlatform},
		{"a platform is missing, optional", (*ring).missingOptional},
		{"a platform emulates", (*ring).emulates},
		{"offline", (*ring).offline},
	}
}

func (r *ring) damagedCopy(_ string) {
	start := r.read("plugins.lock.toml")
	r.locks()
	good := r.servedFile()
	for _, again := range []struct {
		locked string
		args   []string
	}{{r.read("plugins.lock.toml"), []string{"tool"}}, {cmp.Or(start, "schema = 1\n"), nil}} {
		bad := bytes.Clone(good)
		bad[len(bad)/2] ^= 1
		if err := os.Remove(r.blob(good)); err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(r.blob(good), bad, 0o644); err != nil {
			r.t.Fatal(err)
		}
		r.write("plugins.lock.toml", again.locked)
		r.locks(again.args...)
		if now, err := os.ReadFile(r.blob(good)); err != nil || !bytes.Equal(now, good) {
			r.t.Errorf("it was left as it was: %v", err)
		}
	}
}

func (r *ring) keepsLock(_ string) {
	r.locks()
	v := r.locked().Plugins["tool"]["1.2.0"]
	if closures := r.stand.base != nil || r.stand.kind == lock.Pip || r.stand.kind == lock.Cargo; closures && len(v.Files) < 2 {
		r.t.Errorf("the closure is not whole: %v", v.Files)
	}
	first := r.read("plugins.lock.toml")
	r.server.Forget()
	r.ok("update")
	r.ok("update", "--offline")
	if n := r.server.Count(""); n > 0 || r.read("plugins.lock.toml") != first {
		r.t.Errorf("%d requests for nothing, or another lock", n)
	}
	// A second version: the first is not asked for, and stays as it is.
	r.stand.publish(r, release{version: "1.3.0", salt: "a", platforms: []string{arm, win}})
	r.ok("add", "tool@1.3.0")
	if n := r.server.Count(r.artifact); n > 0 {
		r.t.Errorf("%d requests for %s", n, r.artifact)
	}
	second := r.read("plugins.lock.toml")
	if strings.TrimSpace(cut(second, `plugins.tool."1.2.0"`)) != strings.TrimSpace(cut(first+"\n[", `plugins.tool."1.2.0"`)) || cut(second, `plugins.tool."1.3.0"`) == "" {
		r.t.Errorf("after the second version:\n%s", second)
	}
	r.ok("remove", "tool@1.3.0")
	if r.read("plugins.lock.toml") != first {
		r.t.Error("adding and removing a version gives another lock")
	}
}

func (r *ring) sameTwice(_ string) {
	start := r.read("plugins.lock.toml")
	r.asks("1.2.0", "", arm, win)
	r.locks()
	first := r.read("plugins.lock.toml")
	r.locks("tool")
	if r.read("plugins.lock.toml") != first {
		r.t.Error("locking again gives other bytes")
	}
	other := *r
	place := *r.place
	other.place = &place
	other.dir, other.cache = r.t.TempDir(), r.t.TempDir()
	other.keepGoBuild()
	other.asks("1.2.0", "", arm, win)
	if start != "" {
		other.write("plugins.lock.toml", start)
	}
	other.locks()
	if other.read("plugins.lock.toml") != first {
		r.t.Errorf("another machine makes another lock:\n%s\nand\n%s", first, other.read("plugins.lock.toml"))
	}
}

func (r *ring) alarmsOfOtherBytes(name string) {
	r.locks()
	r.stand.publish(r, release{version: "1.2.0", salt: "b", platforms: []string{arm, win}})
	r.ok("update") // nothing asks
	for _, args := range [][]string{{"tool"}, {"--verify"}} {
		r.refuses(name, fault.Integrity, []string{"SECURITY", "other bytes than when it was locked", "locked:", "now:", "the lock was not touched"}, args...)
	}
	// Also where the store has nothing.
	r.cache = r.t.TempDir()
	r.refuses(name, fault.Integrity, []string{"SECURITY"}, "tool")
}

func (r *ring) noSuchVersion(_ string) {
	r.asks("1.9.9", "", arm)
	r.fails(fault.Upstream, []string{"plugins.toml:", "tool 1.9.9"}, "update")
}

func (r *ring) tellsWithdrawnOnce(_ string) {
	word := map[string]string{"deprecated": "is deprecated: not good", "yanked": "yanked", "retracted": "has retracted"}[r.stand.withdraws]
	if word == "" {
		r.t.Skip("nothing is withdrawn there")
	}
	r.asks("1.2.0", "", arm, win)
	r.stand.publish(r, release{version: "1.2.0", salt: "a", platforms: []string{arm, win}, withdrawn: true})
	var talk string
	if r.stand.kind == lock.Cargo { // no build takes it
		talk = r.fails(fault.Policy, nil, "update")
	} else {
		_, talk = r.ok("update")
	}
	said := map[string]bool{}
	for line := range strings.Lines(talk) {
		if strings.Contains(line, word) && said[line] {
			r.t.Errorf("told twice:\n%s", talk)
		}
		said[line] = said[line] || strings.Contains(line, word)
	}
	if !slices.Contains(slices.Collect(maps.Values(said)), true) {
		r.t.Errorf("%q is not said:\n%s", word, talk)
	}
}

func (r *ring) missingPlatform(_ string) {
	r.stand.publish(r, release{version: "1.4.0", salt: "a", platforms: []string{arm}})
	r.asks("1.4.0", "", arm, win)
	text := r.fails(r.stand.missing, []string{"tool 1.4.0 for " + win, "nothing was written"}, "update")
	if _, text, _ = strings.Cut(text, "error:"); strings.Contains(text, arm+",") || strings.Contains(text, "for "+arm) {
		r.t.Errorf("the platform that is there is named, too:\n%s", text)
	}
}

func (r *ring) missingOptional(_ string) {
	r.stand.publish(r, release{version: "1.4.0", salt: "a", platforms: []string{arm}})
	r.asks("1.4.0", "optional = true\n", arm, win)
	r.ok("update")
	r.ok("check")
	v := r.locked().Plugins["tool"]["1.4.0"]
	if c := v.Platforms[win]; !strings.Contains(c.Unavailable, r.stand.missingReason) || strings.Contains(c.Unavailable, "127.0.0.1") || !v.Platforms[arm].Locked() {
		r.t.Errorf("locked %+v", v.Platforms)
	}
}

func (r *ring) emulates(_ string) {
	// What is published for Intel alone runs on Apple silicon, with consent.
	const silicon = "macos-aarch64"
	r.stand.publish(r, release{version: "1.4.0", salt: "a", platforms: []string{mac}})
	r.asks("1.4.0", "", mac, silicon)
	class := r.stand.missing
	if own, ok := r.stand.class["a platform emulates"]; ok {
		class = own
	}
	r.fails(class, []string{"tool 1.4.0 for " + silicon, `platforms.macos-aarch64 = { emulate = "macos-x86_64" }`, "optional = true"}, "update")
	r.asks("1.4.0", "optional = true\n", mac, silicon)
	r.ok("update")
	if c := r.locked().Plugins["tool"]["1.4.0"].Platforms[silicon]; c.Unavailable == "" {
		r.t.Errorf("optional: %+v", c)
	}
	r.asks("1.4.0", "platforms.macos-aarch64 = { emulate = \"macos-x86_64\" }\n", mac, silicon)
	r.ok("update")
	r.ok("check")
	v := r.locked().Plugins["tool"]["1.4.0"]
	if c := v.Platforms[silicon]; c != (lock.Cell{Emulate: mac}) || !v.Platforms[mac].Locked() {
		r.t.Errorf("locked %+v", v.Platforms)
	}
}

func (r *ring) offline(_ string) {
	r.server.Forget()
	r.refuses("offline", fault.Upstream, []string{"offline"}, "--offline")
	if n := r.server.Count(""); n > 0 {
		r.t.Errorf("%d requests", n)
	}
}

// documentCases are faults of what says what there is.
func documentCases() []conformanceCase {
	refused := func(name string, class fault.Class, parts []string, faults ...fake.Fault) conformanceCase {
		return conformanceCase{name: name, run: func(r *ring, name string) {
			r.server.Fault(r.document, faults...)
			r.refuses(name, class, parts)
			if r.server.Count(r.document) == 0 {
				r.t.Errorf("nobody asked for %s", r.document)
			}
		}}
	}
	return []conformanceCase{
		refused("document 403", fault.Upstream, []string{"403"}, fake.Status(403)),
		refused("document 404", fault.Upstream, []string{"404"}, fake.Status(404)),
		refused("document 500", fault.Upstream, []string{"500"}, fake.Status(500)),
		refused("document 401", fault.Upstream, []string{"401"}, fake.Status(401)),
		refused("document 407", fault.Upstream, []string{"407"}, fake.Status(407)),
		refused("document 410", fault.Upstream, []string{"410"}, fake.Status(410)),
		refused("document 429", fault.Upstream, []string{"429"}, fake.Status(429)),
		refused("document 451", fault.Upstream, []string{"451"}, fake.Status(451)),
		refused("document 204", fault.Upstream, []string{"204"}, fake.Status(204)),
		refused("document empty", fault.Upstream, nil, fake.Answer("application/json", "")),
		refused("document no HTTP", fault.Upstream, []string{"HTTP"}, fake.Raw("SSH-2.0\r\n")),
		refused("document HTML", fault.Upstream, []string{"HTML"}, fake.HTML()),
		refused("document garbage", fault.Upstream, nil, fake.Answer("application/json", "{\"garbage\": [\x00")),
		refused("document shorter", fault.Upstream, nil, fake.Shorter(20)),
		refused("document redirected in clear", fault.Policy, []string{"https", "elsewhere.invalid"}, fake.Redirect(http.StatusFound, "http://elsewhere.invalid/x")),
		refused("document redirected for ever", fault.Upstream, nil, fake.RedirectLoop()),
		{name: "document 500, optional", run: func(r *ring, name string) {
			// Out of order is not absent: no platform may go for that.
			r.asks("1.2.0", "optional = true\n", arm)
			r.server.Fault(r.document, fake.Status(500))
			r.refuses(name, fault.Upstream, []string{"500"})
		}},
		{name: "document 500 once", run: func(r *ring, _ string) {
			r.server.Fault(r.document, fake.Status(500).Once())
			r.locks()
			if n := r.server.Count(r.document); n < 2 {
				r.t.Errorf("%d requests for %s", n, r.document)
			}
		}},
		{name: "document interrupted", run: func(r *ring, _ string) { r.interrupted(r.document) }},
	}
}

// artifactCases are faults of a file.
func artifactCases() []conformanceCase {
	refused := func(name string, class fault.Class, parts []string, faults ...fake.Fault) conformanceCase {
		return conformanceCase{name: name, run: func(r *ring, name string) {
			r.server.Fault(r.artifact, faults...)
			if name == "artifact endless" {
				r.maxArtifact = 1 << 20
			}
			if name == "artifact slow" {
				r.timeouts.Stall = 300 * time.Millisecond
			}
			r.namesArtifact(r.refuses(name, class, parts))
			if n := r.server.Count(r.artifact); n == 0 || n > 20 {
				r.t.Errorf("%d requests for %s", n, r.artifact)
			}
		}}
	}
	repaired := func(name string, f fake.Fault) conformanceCase {
		return conformanceCase{name: name, run: func(r *ring, _ string) {
			r.server.Fault(r.artifact, f.Once())
			r.locks()
			if n := r.server.Count(r.artifact); n != 2 {
				r.t.Errorf("%d requests for %s, want 2", n, r.artifact)
			}
		}}
	}
	promise := []string{"does not match the registry's digest", "got sha", "expected sha"}
	return []conformanceCase{
		refused("artifact 403", fault.Upstream, []string{"403"}, fake.Status(403)),
		refused("artifact 404", fault.Upstream, []string{"404"}, fake.Status(404)),
		refused("artifact 500", fault.Upstream, []string{"500", "attempts"}, fake.Status(500)),
		refused("artifact 401", fault.Upstream, []string{"401"}, fake.Status(401)),
		refused("artifact 407", fault.Upstream, []string{"407"}, fake.Status(407)),
		refused("artifact 410", fault.Upstream, []string{"410"}, fake.Status(410)),
		refused("artifact 429", fault.Upstream, []string{"429"}, fake.Status(429)),
		refused("artifact 451", fault.Upstream, []string{"451"}, fake.Status(451)),
		refused("artifact 204", fault.Upstream, []string{"204"}, fake.Status(204)),
		refused("artifact empty", fault.Upstream, nil, fake.Answer("application/octet-stream", "")),
		refused("artifact no HTTP", fault.Upstream, []string{"HTTP"}, fake.Raw("SSH-2.0\r\n")),
		refused("artifact cut", fault.Upstream, []string{"attempts"}, fake.Truncate(50)),
		refused("artifact of other bytes", fault.Integrity, promise, fake.WrongBytes()),
		refused("artifact longer", fault.Integrity, promise, fake.Longer(10)),
		refused("artifact shorter", fault.Integrity, promise, fake.Shorter(50)),
		refused("artifact HTML", fault.Integrity, []string{"looks like HTML", "proxy or login page"}, fake.HTML()),
		refused("artifact redirected in clear", fault.Policy, []string{"https", "elsewhere.invalid"}, fake.Redirect(http.StatusFound, "http://elsewhere.invalid/x")),
		refused("artifact redirected for ever", fault.Upstream, []string{"redirects"}, fake.RedirectLoop()),
		refused("artifact endless", fault.Integrity, []string{"more than"}, fake.Endless()),
		refused("artifact slow", fault.Upstream, []string{"too slowly"}, fake.Slow(1, 100*time.Millisecond)),
		repaired("artifact 500 once", fake.Status(500)),
		repaired("artifact reset once", fake.Reset(50)),
		repaired("artifact cut once", fake.Truncate(50)),
		{name: "artifact interrupted", run: func(r *ring, _ string) { r.interrupted(r.artifact) }},
	}
}

// interrupted stops an update while a path is asked for.
func (r *ring) interrupted(path string) {
	r.t.Helper()
	manifest, locked := r.read("plugins.toml"), r.read("plugins.lock.toml")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r.server.Fault(path, fake.Do(func(_ http.ResponseWriter, req *http.Request, _ http.HandlerFunc) {
		cancel()
		<-req.Context().Done()
		panic(http.ErrAbortHandler)
	}))
	start := time.Now()
	status, stdout, stderr := r.runUntil(ctx, "update")
	if status != int(fault.Interrupted) || !strings.Contains(stderr, "interrupted; nothing was changed") {
		r.t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
	if d := time.Since(start); d > time.Minute {
		r.t.Errorf("it took %s", d)
	}
	r.asBefore(manifest, locked)
	// The next one finds nothing in its way.
	r.server.Fault(path)
	r.locks()
}
