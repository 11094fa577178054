package main

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestLies: each address that fetch get asks errs, stalls and lies in each of the
// ways of [fake.Lies]. Either that does not matter, and the folder is the locked one,
// or fetch fails in bounded time, names the address, and keeps nothing. Which
// addresses there are, an honest run shows.
func TestLies(t *testing.T) {
	quick := remote.Timeouts{Header: 300 * time.Millisecond, Stall: 300 * time.Millisecond, Document: 3 * time.Second, RetryWait: time.Millisecond, RetryAfter: 10 * time.Millisecond}
	for kind, prepare := range kindsServed() {
		t.Run(kind, func(t *testing.T) {
			if kind != lock.HTTP && kind != lock.Maven && kind != lock.OCI {
				testenv.OnlyFull(t, "a client starts for each; some are tried with http, maven and oci")
			}
			beside(t, kind)
			s := prepare(t)
			s.server.Forget()
			get := func() (int, string, string) {
				a := s.newApp(quick)
				defer a.store.Release()
				return s.getBy(a)
			}
			status, want, talk := get()
			if status != 0 {
				t.Fatalf("exit %d\n%s", status, talk)
			}
			tried, held := 0, 0
			for i, at := range s.server.Paths() {
				for j, lie := range fake.Lies() {
					if !testenv.Full() && (i+j)%12 != 0 {
						continue
					}
					s.forgetFiles()
					s.server.Forget()
					s.fault(at, lie.Fault)
					begin := time.Now()
					status, stdout, stderr := get()
					took := time.Since(begin)
					s.fault(at)
					wrong := s.wrong(at, lie, status, stdout == want, stderr)
					if took > 2*time.Minute {
						wrong = "too long"
					}
					if s.server.Count(at) == 0 { // what is asked of a log of checksums depends on how long it is
						continue
					}
					if tried++; wrong == "" {
						held++
						continue
					}
					t.Errorf("%s in the place of %s: %s\nexit %d after %s\n%s%s", lie.Name, at, wrong, status, took, stdout, stderr)
				}
			}
			testenv.Held(t, "a server errs, stalls or lies at fetch time, at each address that is asked: no matter, or the right class and the address, nothing kept", kind, tried, held)
		})
	}
}

// forgetFiles empties the cache but for what Go compiled.
func (s *served) forgetFiles() {
	s.Helper()
	entries, err := os.ReadDir(s.cache)
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == "go-build" {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.cache, e.Name())); err != nil {
			s.Fatal(err)
		}
	}
}

// wrong says what is wrong with how fetch get bore a lie, "" for nothing.
func (s *served) wrong(at string, lie fake.Lie, status int, same bool, stderr string) string {
	s.Helper()
	switch class := fault.Class(status); {
	case class == fault.OK && !same:
		return "another path"
	case class == fault.OK:
		if status, out, talk := s.fetch("cache", "verify"); status != 0 {
			return "the folder is not the locked one: " + out + talk
		}
	case class == fault.Machine && lie.Name == "401" && strings.Contains(stderr, "cargo login"):
	case class != fault.Upstream && class != fault.Integrity && class != fault.Policy:
		return "the wrong class"
	case class == fault.Policy && lie.Class != fault.Policy:
		return "no rule was broken"
	case !s.server.Names(stderr, at):
		return "the address is not named"
	case !strings.Contains(stderr, "hint: "):
		return "no hint"
	}
	if s.server.Count(at) > 64 {
		return "asked too often"
	}
	if found := cmp.Or(fake.Damaged(s.T, s.cache), fake.Leftover(s.T, s.cache)); found != "" {
		return "left in the cache: " + found
	}
	return ""
}
