package main

import (
	"bytes"
	"cmp"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
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
			case s.kind == lock.Pip:
				n = testenv.Count(1, 4096)
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
