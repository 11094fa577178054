package main

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/clients"
	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/manifest"
	"github.com/birbparty/buck2-protobuf/internal/store"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
	"github.com/birbparty/buck2-protobuf/internal/ui"
	"github.com/birbparty/buck2-protobuf/lockgen/download"
	"github.com/birbparty/buck2-protobuf/lockgen/plan"
	"github.com/birbparty/buck2-protobuf/lockgen/session"
	"github.com/birbparty/buck2-protobuf/lockgen/source"
)

// TestFlippedAtLockTime: a file that differs in one bit from what its registry
// promises, or from what is locked, is refused as wrong bytes. The message names the
// file, and neither the lock nor the cache takes anything of it.
func TestFlippedAtLockTime(t *testing.T) {
	t.Parallel()
	firstUse := httpStand()
	firstUse.name = "http, no checksums"
	firstUse.entry = strings.Replace(firstUse.entry, "checksums = \"checksums.txt\"\n", "", 1)
	for _, s := range append(stands(t), firstUse) {
		name := cmp.Or(s.name, s.kind)
		t.Run(name, func(t *testing.T) {
			if s.need != nil {
				s.need(t)
			}
			n := testenv.Count(16, 4096)
			switch {
			case s.kind == lock.Go: // TestFlippedModule of internal/gotool has more, before anything is compiled
				n = testenv.Count(1, 64)
			case s.need != nil: // a client is started for each
				n = testenv.Count(1, 1024)
			}
			t.Parallel()
			r := s.newRing(t)
			if s.kind == lock.Pip && testenv.Full() {
				r.forkPip(t)
			}
			start := r.read("plugins.lock.toml")
			good := r.servedFile()
			// The lock is as start has it before each, and would be as honest has it.
			flip := func(honest string, args ...string) (tried, held int) {
				n := min(n, 8*len(good))
				for i := range n {
					bit := i * 8 * len(good) / n
					bad := bytes.Clone(good)
					bad[bit/8] ^= 1 << (bit % 8)
					r.server.Fault(r.artifact, fake.Map(func([]byte) []byte { return bad }))
					if tried++; r.refusesFlip(start, honest, good, bad, args...) {
						held++
					} else {
						t.Errorf("bit %d of byte %d", bit%8, bit/8)
					}
				}
				r.server.Fault(r.artifact)
				return tried, held
			}
			if s != firstUse {
				honest := start
				if s.kind == lock.Go {
					r.ok("update")
					honest = r.read("plugins.lock.toml")
					r.forget(start, good)
				}
				tried, held := flip(honest, "update")
				testenv.Held(t, "one bit of a served file flipped, at lock time: exit 5, the file named, nothing kept", name, tried, held)
			}
			r.locks()
			start = r.read("plugins.lock.toml")
			r.forget(start, good)
			tried, held := flip(start, "update", "tool")
			testenv.Held(t, "one bit of a file flipped that is locked: exit 5, the file named, the lock untouched", name, tried, held)
			r.locks("tool")
		})
	}
}

// TestFlippedDownload: what npm, pip or cargo chose is downloaded by lockgen, and a file
// that differs in one bit is refused there. The client starts once for all of them.
func TestFlippedDownload(t *testing.T) {
	testenv.OnlyFull(t, "TestFlippedAtLockTime tries some, with all that comes before")
	for _, s := range stands(t) {
		if s.kind != lock.NPM && s.kind != lock.Pip && s.kind != lock.Cargo {
			continue // without a client all are in TestFlippedAtLockTime; Go downloads by itself, see TestFlippedModule
		}
		t.Run(s.kind, func(t *testing.T) {
			s.need(t)
			for name, value := range s.env {
				t.Setenv(name, value)
			}
			r := s.newRing(t)
			good := r.servedFile()
			m, _, err1 := manifest.Read(r.path("plugins.toml"))
			st, err2 := store.Open(r.cache)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			for _, of := range []string{s.kind, s.kind + ", locked"} {
				old, _, err := lock.Read(r.path("plugins.lock.toml"))
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				wants, err := plan.Wants(m, old)
				if err != nil {
					t.Fatal(err)
				}
				w := wants[slices.IndexFunc(wants, func(w *plan.Want) bool { return w.Name == "tool" })]
				asks := session.New(m, old, session.Settings{Dir: r.dir, Store: st, Clients: &clients.Set{}, UI: ui.New("lockgen", io.Discard, io.Discard), Timeouts: r.timeouts})
				defer asks.Close()
				asks.Needed = download.New(asks, 0).Needed
				from, err := asks.Source(t.Context(), s.kind)
				if err != nil {
					t.Fatal(err)
				}
				found, err := from.Resolve(t.Context(), w, []lock.Platform{fake.Platform(t, arm)})
				if err != nil {
					t.Fatal(err)
				}
				i := slices.IndexFunc(found.Artifacts, func(a *source.Artifact) bool { return a.Label == s.label })
				if i < 0 {
					t.Fatalf("no %s was found", s.label)
				}
				chosen := found.Artifacts[i]
				fetch := func(body []byte) error {
					if err := os.RemoveAll(r.blob(good)); err != nil {
						t.Fatal(err)
					}
					r.server.Fault(r.artifact, fake.Map(func([]byte) []byte { return body }))
					defer r.server.Fault(r.artifact)
					errs, err := download.New(asks, 0).Fetch(t.Context(), []*source.Artifact{chosen}, false, false)
					return cmp.Or(errs[chosen.Identity], err)
				}
				if err := fetch(good); err != nil {
					t.Fatal(err)
				}
				tried, held := min(4096, 8*len(good)), 0
				for i := range tried {
					bit := i * 8 * len(good) / tried
					bad := bytes.Clone(good)
					bad[bit/8] ^= 1 << (bit % 8)
					err := fetch(bad)
					_, err1 := os.Lstat(r.blob(good))
					_, err2 := os.Lstat(r.blob(bad))
					if fault.Of(err) == fault.Integrity && strings.Contains(err.Error(), r.artifact) && err1 != nil && err2 != nil && fake.Leftover(t, r.cache) == "" {
						held++
					} else {
						t.Errorf("bit %d of byte %d: %v; in the cache: %v, %v", bit%8, bit/8, err, err1, err2)
					}
				}
				testenv.Held(t, "one bit of a file flipped, where lockgen downloads what a client chose: exit 5, the file named, nothing kept", of, tried, held)
				r.locks()
			}
		})
	}
}

// forkPip has pip start once for all runs of a test of the full suite.
func (r *ring) forkPip(t *testing.T) {
	if dir := fake.ForkPip(t); dir != "" {
		r.setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	}
}

// servedFile asks the server for the file of version 1.2.0.
func (r *ring) servedFile() []byte {
	r.t.Helper()
	answer, err := http.Get(r.server.URL + r.artifact)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		r.t.Fatal(answer.Status, err)
	}
	return body
}

// packing is the lines of a lock that say how a module was packed.
var packing = regexp.MustCompile(`(?m)^.*(sha256 = |size = ).*$`)

// refusesFlip runs an update while bad is served in the place of good, and reports
// whether that ended as wrong bytes. The lock was start.
//
// A module of Go is locked by the hash of its files: a bit of its zip that is no
// file's may be locked, and then the rest of the lock is as honest bytes make it.
func (r *ring) refusesFlip(start, honest string, good, bad []byte, args ...string) bool {
	r.t.Helper()
	status, stdout, stderr := r.run(args...)
	text := stdout + stderr
	files := r.stand.kind == lock.Go
	if files && status == 0 {
		same := packing.ReplaceAllString(honest, "") == packing.ReplaceAllString(r.read("plugins.lock.toml"), "")
		r.forget(start, good, bad)
		return same
	}
	// Go does not tell a damaged zip from one that was cut.
	cut := files && status == int(fault.Upstream) && strings.Contains(text, "EOF")
	if status != int(fault.Integrity) && !cut || !strings.Contains(text, r.artifact) && !strings.Contains(text, r.stand.label) {
		r.t.Errorf("exit %d\n%s", status, text)
		return false
	}
	r.asBefore(r.read("plugins.toml"), start)
	kept := [][]byte{good, bad}
	if files { // Go takes it, and the strict reader of what is in the store does not
		kept = kept[:1]
	}
	for _, body := range kept {
		if _, err := os.Lstat(r.blob(body)); err == nil {
			r.t.Errorf("%s was left in the cache", r.blob(body))
			return false
		}
	}
	return true
}

// blob is where the cache has a file.
func (r *ring) blob(body []byte) string {
	sum := hexSum(body)
	return filepath.Join(r.cache, "blobs", "sha256", sum[:2], sum)
}

// forget takes back what an update locked and kept.
func (r *ring) forget(start string, bodies ...[]byte) {
	r.t.Helper()
	r.write("plugins.lock.toml", start)
	for _, body := range bodies {
		if err := os.RemoveAll(r.blob(body)); err != nil {
			r.t.Fatal(err)
		}
	}
}
