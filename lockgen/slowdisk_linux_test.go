package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// diskCalls are the system calls of a disk that can take long.
var diskCalls = []string{
	"openat", "mkdirat", "renameat,renameat2", "write", "pwrite64,copy_file_range,ftruncate", "fsync", "unlinkat", "fchmod,fchmodat",
	"getdents64", "newfstatat,fstat", "read", "pread64", "flock,fcntl", "close",
}

// TestSlowDisk: on a disk each of whose calls takes as long as one over a bad network,
// and on one that hangs for longer than any server may, both programs do what they do
// on another disk and say nothing else, also where two of them wait for each other.
func TestSlowDisk(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "each row is a process under strace")
	strace, err := testenv.Find("strace", "-V")
	if err != nil {
		t.Skipf("skipped: no strace that runs: %v", err)
	}
	c := newCrowd(t, 2)
	c.timeouts.Stall = 500 * time.Millisecond // of servers
	locked := c.read("plugins.lock.toml")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	manifest := c.read("plugins.toml")
	for _, command := range []struct {
		name, program string
		args          []string
		cold          bool // without a lock
	}{
		{"fetch get", c.fetch, []string{"get", "tool00"}, false},
		{"fetch bundle", c.fetch, []string{"bundle", "all"}, false},
		{"lockgen update", self, []string{"update", "--no-smoke"}, true},
		{"lockgen check", self, []string{"check"}, false},
	} {
		t.Run(command.name, func(t *testing.T) {
			t.Parallel()
			// runs runs as many of the command at once as there are delays, and says what
			// is wrong with how they ended, "" for nothing.
			runs := func(delays ...string) string {
				p := c.another(t)
				defer os.RemoveAll(p.dir)
				defer os.RemoveAll(p.cache)
				p.write("plugins.toml", manifest)
				if !command.cold {
					p.write("plugins.lock.toml", locked)
				}
				d := &crowd{p, c.fetch, c.names}
				var all []*member
				for _, delay := range delays {
					all = append(all, d.startUnder(strace, delay, command.program, command.args...))
				}
				wrong := ""
				for _, m := range all {
					err := m.Wait()
					path := p.cache + "/trees/"
					switch {
					case err != nil:
						wrong += fmt.Sprintf("%v\n", err)
					case command.program == c.fetch && strings.Count(m.out.String(), path) == 0:
						wrong += "no path of the cache\n"
					case complaint.MatchString(m.talk.String()):
						wrong += "it says that something is wrong\n"
					default:
						continue
					}
					wrong += fmt.Sprintf("%q\n%s%s", m.Args, m.out.String(), m.talk.String())
				}
				if now := p.read("plugins.lock.toml"); now != locked {
					wrong += "another lock:\n" + now
				}
				if name := fake.Damaged(t, p.cache); name != "" {
					wrong += "damaged: " + name + "\n"
				}
				verify := exec.Command(c.fetch, "--lock", p.path("plugins.lock.toml"), "cache", "verify")
				verify.Env = append(os.Environ(), "BUCK2_PROTOBUF_CACHE_DIR="+p.cache)
				if out, err := verify.CombinedOutput(); err != nil {
					wrong += fmt.Sprintf("cache verify: %v\n%s", err, out)
				}
				return wrong
			}
			tried, held := 0, 0
			try := func(delays ...string) {
				t.Helper()
				if wrong := runs(delays...); wrong != "" {
					t.Errorf("%q: %s", delays, wrong)
				} else {
					held++
				}
				tried++
			}
			all := strings.Join(diskCalls, ",")
			for i, calls := range diskCalls {
				if !testenv.Full() && i%14 != len(command.name)%14 {
					continue
				}
				try(calls + ":delay_enter=30000")         // each takes 30 ms
				try(calls + ":delay_exit=1500000:when=4") // one of each thread takes 1.5 s
				try(calls+":delay_enter=20000", calls+":delay_exit=20000")
				try(calls+":delay_exit=700000:when=3", "") // one is slow, one is not
			}
			try(all + ":delay_enter=2000")
			try(all+":delay_enter=2000", all+":delay_exit=2000")
			testenv.Held(t, "a disk that is slow at its system calls, or hangs at one, for one process or two that wait for each other: fetch and lockgen do what they do on another", command.name, tried, held)
		})
	}
}

// complaint is what begins a line that tells of something wrong, and what is said of
// slow servers and of other attempts.
var complaint = regexp.MustCompile(`(?m)^(lockgen|fetch): (error|warning|hint):|too slowly|trying again|attempts`)

// startUnder is start on the place's own cache, under strace where delay says of which
// system calls and how.
func (c *crowd) startUnder(strace, delay, program string, args ...string) *member {
	c.t.Helper()
	if delay == "" {
		return c.start(c.cache, program, "", args...)
	}
	m := c.command(c.cache, program, "", args...)
	calls, _, _ := strings.Cut(delay, ":")
	m.Args = append([]string{strace, "-f", "-qq", "-o", os.DevNull, "-e", "trace=" + calls, "-e", "inject=" + delay, m.Path}, m.Args[1:]...)
	m.Path = strace
	if err := m.Start(); err != nil {
		c.t.Fatal(err)
	}
	return m
}
