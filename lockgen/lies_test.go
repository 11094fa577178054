package main

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestLies: each address that lockgen asks, to lock a plugin and to see what is new of
// it, errs, stalls and lies in each of the ways of [fake.Lies]. Either that does not
// matter, and the result is the one of honest servers, or lockgen fails after a bounded
// number of requests, names the address, and keeps nothing. Which addresses there are,
// an honest run shows.
func TestLies(t *testing.T) {
	t.Parallel()
	for _, s := range stands(t) {
		name := cmp.Or(s.name, s.kind)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if s.need != nil {
				s.need(t)
				testenv.OnlyFull(t, "a client starts for each; some are tried with http, github, maven and oci")
			}
			var tried, held atomic.Int64
			t.Cleanup(func() { // behind the shares
				testenv.Held(t, "a server errs, stalls or lies at lock time, at each address that is asked: no matter, or the right class and the address, nothing kept", name, int(tried.Load()), int(held.Load()))
			})
			if !testenv.Full() {
				lies(t, s, 0, 1, &tried, &held)
				return
			}
			const shares = 3 // many a lie takes its time and no processor's
			for share := range shares {
				t.Run(strconv.Itoa(share+1), func(t *testing.T) {
					t.Parallel()
					for _, own := range stands(t) { // a log of checksums for each
						if cmp.Or(own.name, own.kind) == name {
							lies(t, own, share, shares, &tried, &held)
						}
					}
				})
			}
		})
	}
}

// lies tries every n-th lie, beginning with the one of that number, and counts.
func lies(t *testing.T, s *stand, share, n int, tried, held *atomic.Int64) {
	r := s.newRing(t)
	r.timeouts = remote.Timeouts{Header: 300 * time.Millisecond, Stall: 300 * time.Millisecond, RetryWait: time.Millisecond, RetryAfter: 10 * time.Millisecond}
	r.maxArtifact = 4 << 20
	if s.kind == lock.Pip && testenv.Full() { // pip asks lockgen, and no server
		r.forkPip(t)
	}
	l := liar{ring: r, start: r.read("plugins.lock.toml")}
	seen := map[address]bool{}
	row := 0
	for c, args := range [][]string{{"update"}, {"outdated"}, {"check", "--upstream"}} {
		l.args = args
		if s.log != nil { // it is as long as what was asked of it: from now on, the same is asked
			l.before()
			r.ok(args...)
		}
		l.before()
		l.out, _ = r.ok(args...)
		l.honest = l.requests()
		if c == 0 {
			l.locked = r.read("plugins.lock.toml")
		}
		for i, at := range l.asked() {
			if s.slow && seen[at] {
				continue // by another command
			}
			seen[at] = true
			for j, lie := range fake.Lies() {
				if !testenv.Full() && (i+j)%12 != 0 {
					continue
				}
				if row++; row%n != share {
					continue
				}
				asked, bears := l.bears(at, lie)
				if !asked { // what is asked of a log of checksums depends on how long it is
					continue
				}
				if tried.Add(1); bears {
					held.Add(1)
				}
			}
		}
		l.start = l.locked // what is new is asked of what is locked
	}
}

// A liar is a ring in which one of the addresses that a command asks may lie.
type liar struct {
	*ring
	args          []string
	start, locked string // the lock before, and after an honest update
	out           string // what the command then prints
	honest        int    // how many requests it then takes
}

// An address is one that was asked for.
type address struct {
	server *fake.Server
	path   string
}

func (l *liar) servers() []*fake.Server {
	if l.stand.log != nil {
		return []*fake.Server{l.server, l.stand.log}
	}
	return []*fake.Server{l.server}
}

// asked lists what was asked since before, of each server in the order of the alphabet.
func (l *liar) asked() (list []address) {
	for _, s := range l.servers() {
		for _, at := range slices.Sorted(slices.Values(s.Paths())) {
			list = append(list, address{s, at})
		}
	}
	return list
}

// requests is how many there were since before.
func (l *liar) requests() (n int) {
	for _, s := range l.servers() {
		n += s.Count("")
	}
	return n
}

// Bounds of a run whose servers lie: how many requests it may take beyond those of an
// honest one, of which none takes a server longer than two seconds; and when it hangs, on
// a machine however busy.
const (
	manyRequests = 64
	hang         = 30 * time.Minute
)

// before brings the place into the state in which the command has work.
func (l *liar) before() {
	l.t.Helper()
	if l.start == "" {
		if err := os.RemoveAll(l.path("plugins.lock.toml")); err != nil {
			l.t.Fatal(err)
		}
	} else {
		l.write("plugins.lock.toml", l.start)
	}
	if l.args[0] == "update" { // the others ask anyway
		kept, err := os.ReadDir(l.cache)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, e := range kept {
			if e.Name() == "go-build" { // it has no bytes of servers, but what was compiled
				continue
			}
			if err := os.RemoveAll(filepath.Join(l.cache, e.Name())); err != nil {
				l.t.Fatal(err)
			}
		}
	}
	for _, s := range l.servers() {
		s.Forget()
	}
}

// bears reports whether the command asked for the lie, and bore it.
func (l *liar) bears(at address, lie fake.Lie) (asked, held bool) {
	l.t.Helper()
	l.before()
	manifest := l.read("plugins.toml")
	at.server.Fault(at.path, lie.Fault)
	defer at.server.Fault(at.path)
	ctx, stop := context.WithTimeout(context.Background(), hang)
	defer stop()
	status, stdout, stderr := l.runUntil(ctx, l.args...)
	text := stdout + stderr
	held = true
	bad := func(what string) {
		l.t.Errorf("lockgen %s, %s in the place of %s: %s\nexit %d after %d requests\n%s", strings.Join(l.args, " "), lie.Name, at.path, what, status, l.requests(), text)
		held = false
	}
	update := l.args[0] == "update"
	switch class := fault.Class(status); class {
	case fault.OK:
		switch now := l.read("plugins.lock.toml"); {
		case !update && stdout == l.out || now == l.locked && update:
		case update && (lie.Name == "403" || lie.Name == "404" || lie.Name == "410") && bytesOf(now) == bytesOf(l.locked): // evidence may not be there
		default:
			bad("taken for the truth")
		}
	case fault.Upstream, fault.Integrity, fault.Policy:
		if class == fault.Policy && lie.Class != fault.Policy {
			bad("no rule was broken")
		}
		if !names(text, at) {
			bad("the address is not named")
		}
		l.asBefore(manifest, l.start)
	case fault.Machine:
		if lie.Name != "401" || !strings.Contains(text, "cargo login") {
			bad("the wrong class")
		}
	default:
		bad("the wrong class")
	}
	if ctx.Err() != nil {
		bad("it hangs")
	}
	if l.requests() > l.honest+manyRequests {
		bad("too many requests")
	}
	if name := fake.Damaged(l.t, l.cache); name != "" {
		bad("left in the cache: " + name)
	}
	return at.server.Count(at.path) > 0, held
}

var lockedBytes = regexp.MustCompile(`\b(sha256|tree) = "[0-9a-f]{64}"`)

// bytesOf returns what a lock says of which bytes are locked.
func bytesOf(locked string) string { return strings.Join(lockedBytes.FindAllString(locked, -1), "\n") }

// names reports whether a message has an address; at lock time also as an OCI reference
// has it, or as the lock has a Go module.
func names(text string, at address) bool {
	if repository, _, ok := strings.Cut(strings.TrimPrefix(at.path, "/v2"), "/tags/"); ok && strings.Contains(text, strings.TrimPrefix(at.server.URL, "http://")+repository) {
		return true
	}
	module, _, ok := strings.Cut(strings.TrimPrefix(at.path, "/go/"), "/@v/")
	return ok && strings.Contains(text, at.server.URL+"/go") && strings.Contains(text, module+" v") || at.server.Names(text, at.path)
}

// TestCredentialsStay: what a registry is sent to prove who asks, no other host gets,
// where an address leads there.
func TestCredentialsStay(t *testing.T) {
	t.Parallel()
	for _, s := range stands(t) {
		name := cmp.Or(s.name, s.kind)
		if name != lock.HTTP && name != lock.Maven && name != "github" {
			continue // their clients have their own: TestCargoToken, TestGoLogin, and others
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := s.newRing(t)
			host, _, _ := strings.Cut(strings.TrimPrefix(r.server.URL, "http://"), ":")
			r.write("netrc", "machine "+host+" login me password s3cret-canary\n")
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			update := func() (status int, text string) { // the whole program, with the variables of a user
				cmd := exec.Command(self, "--manifest", r.path("plugins.toml"), "--lock", r.path("plugins.lock.toml"), "update")
				cmd.Env = append(os.Environ(), asLockgen+"=1", "NETRC="+r.path("netrc"), "BUCK2_PROTOBUF_CACHE_DIR="+r.cache)
				out, _ := cmd.CombinedOutput()
				return cmd.ProcessState.ExitCode(), string(out)
			}
			var mu sync.Mutex
			var got []string
			asked := 0
			other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				mu.Lock()
				asked++
				got = append(got, append(q.Header["Authorization"], q.Header["Cookie"]...)...)
				mu.Unlock()
				answer, err := http.Get(strings.Replace(q.URL.Query().Get("at"), "elsewhere", r.server.URL, 1))
				if err != nil {
					w.WriteHeader(http.StatusBadGateway)
					return
				}
				defer answer.Body.Close()
				w.WriteHeader(answer.StatusCode)
				_, _ = io.Copy(w, answer.Body)
			}))
			t.Cleanup(other.Close)
			elsewhere := strings.Replace(other.URL, "127.0.0.1", "localhost", 1)
			l := liar{ring: r, args: []string{"update"}}
			l.before()
			if status, text := update(); status != 0 {
				t.Fatalf("exit %d\n%s", status, text)
			}
			l.locked = r.read("plugins.lock.toml")
			asks := l.asked()
			tried, held := 0, 0
			for _, at := range asks {
				l.before()
				got, asked = nil, 0
				// The other server is honest, and asks for what was asked for.
				once := fake.Redirect(http.StatusTemporaryRedirect, elsewhere+"/?at="+url.QueryEscape("elsewhere"+at.path)).Once()
				r.server.Fault(at.path, once)
				status, text := update()
				sent := slices.ContainsFunc(r.server.Requests(at.path), func(q fake.Request) bool { return q.Header.Get("Authorization") != "" })
				r.server.Fault(at.path)
				tried++
				switch {
				case len(got) > 0 || strings.Contains(text, "s3cret"):
					t.Errorf("%s: the other host got %q\n%s", at.path, got, text)
				case asked == 0 || !sent:
					t.Errorf("%s: the other host was asked %d times, the credential sent to the right one: %t\n%s", at.path, asked, sent, text)
				case status != 0 || r.read("plugins.lock.toml") != l.locked:
					t.Errorf("%s: exit %d, or another lock\n%s", at.path, status, text)
				default:
					held++
				}
			}
			testenv.Held(t, "an address of a registry leads to another host at lock time: the credential stays, the lock is the same", name, tried, held)
		})
	}
}
