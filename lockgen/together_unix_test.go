//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// A crowd is plugins that many processes want at once.
type crowd struct {
	*place
	fetch string
	names []string
}

func (c *crowd) file(name string) string { return "/dl/" + name + ".tar.gz" }

// newCrowd locks n plugins, each of which reads a file of its folder after a moment.
func newCrowd(t *testing.T, n int) *crowd {
	t.Helper()
	host, ok := lock.Host()
	if !ok || runtime.GOOS != "linux" {
		t.Skip("skipped: what runs is found in /proc")
	}
	c := &crowd{newPlace(t), fetchProgram(t), nil}
	const program = "#!/bin/sh\nsleep 0.03\ncat \"$(dirname \"$0\")/../share/said\"\n"
	var entries strings.Builder
	for i := range n {
		name := fmt.Sprintf("tool%02d", i)
		c.names = append(c.names, name)
		c.server.File(c.file(name), fake.Tarball("", map[string]string{"bin/" + name: program, "share/said": name + " is whole\n"}, "bin/"+name))
		fmt.Fprintf(&entries, "%s = { version = \"1.0\", source = \"%s\", binary = \"bin/%s\" }\n", name, c.server.URL+c.file(name), name)
	}
	c.write("plugins.toml", "platforms = [\""+host.Name+"\"]\n\n[plugins]\n"+entries.String()+"\n[bundles]\nall = [\""+strings.Join(c.names, `", "`)+"\"]\n")
	c.ok("update", "--no-smoke")
	return c
}

// A member of a crowd is one process.
type member struct {
	*exec.Cmd
	out, talk bytes.Buffer
	want      string // on stdout, "" for anything
	damage    bool   // exit 5 tells of damage
}

// start starts a command on a cache.
func (c *crowd) start(cache, program, want string, args ...string) *member {
	c.t.Helper()
	m := c.command(cache, program, want, args...)
	if err := m.Start(); err != nil {
		c.t.Fatal(err)
	}
	return m
}

// command is start without the start.
func (c *crowd) command(cache, program, want string, args ...string) *member {
	c.t.Helper()
	m := &member{Cmd: exec.Command(program, append(args[:len(args):len(args)], "--lock", c.path("plugins.lock.toml"))...), want: want}
	if args[0] == "run" { // what follows is the plugin's
		m.Cmd = exec.Command(program, append([]string{"--lock", c.path("plugins.lock.toml")}, args...)...)
	}
	m.Env = append(os.Environ(), "BUCK2_PROTOBUF_CACHE_DIR="+cache)
	if program != c.fetch {
		text, err := json.Marshal(settings{Cache: cache, Timeouts: c.timeouts})
		if err != nil {
			c.t.Fatal(err)
		}
		m.Args = append(m.Args, "--manifest", c.path("plugins.toml"))
		m.Env = append(m.Env, asLockgen+"="+string(text))
	}
	m.Stdout, m.Stderr = &m.out, &m.talk
	return m
}

// ends counts the processes that ended as they should.
func (c *crowd) ends(round int, all []*member) (held int) {
	c.t.Helper()
	for _, m := range all {
		err := m.Wait()
		if status := m.ProcessState.ExitCode(); status != 0 && (status != 5 || !m.damage) || m.want != "" && m.out.String() != m.want {
			c.t.Errorf("round %d: %q: %v\n%s%s", round, m.Args, err, m.out.String(), m.talk.String())
			continue
		}
		held++
	}
	return held
}

// whole demands that a cache is, and that everything can be had from it.
func (c *crowd) whole(round int, cache string) bool {
	c.t.Helper()
	ok := c.ends(round, []*member{c.start(cache, c.fetch, "", "bundle", "all")}) == 1
	return c.ends(round, []*member{c.start(cache, c.fetch, "", "cache", "verify")}) == 1 && ok
}

// TestTogether: many processes want many plugins from one empty cache. Each gets what
// is locked, and each file is downloaded once.
func TestTogether(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it starts many processes")
	processes, rounds := testenv.Count(6, 32), testenv.Count(1, 50)
	c := newCrowd(t, testenv.Count(4, 20))
	tried, held := 0, 0
	for round := range rounds {
		cache := filepath.Join(t.TempDir(), "cache")
		c.server.Forget()
		var all []*member
		for i := range processes {
			name := c.names[i%len(c.names)]
			switch i % 4 {
			case 0, 1:
				all = append(all, c.start(cache, c.fetch, "", "bundle", "all"))
			case 2:
				all = append(all, c.start(cache, c.fetch, "", "get", name))
			default:
				all = append(all, c.start(cache, c.fetch, name+" is whole\n", "run", name))
			}
		}
		tried, held = tried+len(all), held+c.ends(round, all)
		for _, name := range c.names {
			if n := c.server.Count(c.file(name)); n != 1 {
				t.Errorf("round %d: %d requests for %s", round, n, name)
				held--
			}
		}
		if !c.whole(round, cache) {
			held--
		}
		if err := os.RemoveAll(cache); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Held(t, "one of many processes that want plugins from one empty cache: it gets what is locked, each file is downloaded once", "", tried, held)
}

// TestTogetherMixed: while some fetch and run plugins, others clear the cache, repair
// and verify it, and push it to a mirror. None fails for that, and what is left is
// whole. Every second round begins with a cache that nobody used for days.
func TestTogetherMixed(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it starts many processes")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	processes, rounds := testenv.Count(8, 32), testenv.Count(2, 50)
	c := newCrowd(t, testenv.Count(3, 20))
	base := t.TempDir()
	cache := ""
	tried, held := 0, 0
	for round := range rounds {
		if round%2 == 0 {
			if cache != "" {
				if err := os.RemoveAll(cache); err != nil {
					t.Fatal(err)
				}
			}
			cache = filepath.Join(base, fmt.Sprint(round))
		} else {
			c.ages(cache)
		}
		layout := filepath.Join(base, "mirror"+fmt.Sprint(round))
		var all []*member
		for i := range processes {
			name := c.names[(i+round)%len(c.names)]
			switch i % 8 {
			case 0:
				all = append(all, c.start(cache, c.fetch, "", "cache", "clear", "--older-than", "1h"))
			case 1:
				m := c.start(cache, c.fetch, "", "cache", "verify", "--repair")
				m.damage = true
				all = append(all, m)
			case 2:
				all = append(all, c.start(cache, self, "", "mirror", "--to", "oci-layout:"+layout))
			case 3:
				all = append(all, c.start(cache, c.fetch, "", "bundle", "all"))
			case 4, 5:
				all = append(all, c.start(cache, c.fetch, "", "get", name))
			default:
				all = append(all, c.start(cache, c.fetch, name+" is whole\n", "run", name))
			}
		}
		tried, held = tried+len(all), held+c.ends(round, all)
		if !c.whole(round, cache) {
			held--
		}
		mirrored := &place{t: t, cache: layout} // its blobs are named as those of a cache
		if name := fake.Damaged(t, mirrored.cache); name != "" {
			t.Errorf("round %d: %s is damaged", round, name)
			held--
		}
	}
	testenv.Held(t, "one of many processes that fetch, run, clear, repair and mirror on one cache: it does its work, all is whole", "", tried, held)
}

// ages lets nobody have used a cache for days.
func (c *crowd) ages(cache string) {
	c.t.Helper()
	old := time.Now().AddDate(0, 0, -3)
	if err := filepath.WalkDir(cache, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		return os.Chtimes(name, old, old)
	}); err != nil {
		c.t.Fatal(err)
	}
}
