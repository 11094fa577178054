package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
	"github.com/birbparty/buck2-protobuf/lockgen/change"
	"github.com/birbparty/buck2-protobuf/lockgen/files"
	"github.com/birbparty/buck2-protobuf/lockgen/project"
)

// slow makes a place with a plugin whose download does something else first.
func slow(t *testing.T, during func(version string)) *place {
	t.Helper()
	p := newPlace(t)
	for _, version := range []string{"1.0.0", "2.0.0", "3.0.0", "4.0.0"} {
		path := "/" + version + "/slow"
		p.server.File(path, []byte("#!/bin/sh\n# "+version+"\n"))
		p.server.Fault(path, fake.Do(func(w http.ResponseWriter, r *http.Request, honest http.HandlerFunc) {
			during(version)
			honest(w, r)
		}))
	}
	p.write("plugins.toml", p.slowly(`versions = ["1.0.0"]`))
	p.ok("update")
	return p
}

// slowly is a manifest that asks for versions of it.
func (p *place) slowly(versions string) string {
	return "platforms = [\"linux-x86_64\"]\n\n[plugins.slow]\n" + versions + "\nsource = \"" + p.server.URL + "/{version}/slow\"\nbinary = \"slow\"\n"
}

// TestLostEdit: what somebody writes into a file while lockgen works is in it
// afterwards.
func TestLostEdit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		args     []string
		edit     func(t *testing.T, p *place)
		class    fault.Class
		text     string   // in the message
		manifest []string // parts of it at the end
		locked   string   // versions in the lock
	}{
		{"add, and a remark", []string{"add", "slow@2.0.0"}, func(t *testing.T, p *place) {
			p.write("plugins.toml", p.read("plugins.toml")+"# a remark\n")
		}, 0, "trying again", []string{`"1.0.0", "2.0.0"`, "# a remark"}, "1.0.0 2.0.0"},
		{"add, and the same entry", []string{"add", "slow@2.0.0"}, func(t *testing.T, p *place) {
			p.write("plugins.toml", p.slowly(`versions = ["1.0.0", "3.0.0"]`))
		}, 0, "trying again", []string{`"1.0.0", "3.0.0", "2.0.0"`}, "1.0.0 2.0.0"}, // add locks what it adds
		{"add, and another file by that name", []string{"add", "slow@2.0.0"}, func(t *testing.T, p *place) {
			p.write("new", p.read("plugins.toml")+"# saved by an editor\n")
			if err := os.Rename(p.path("new"), p.path("plugins.toml")); err != nil {
				t.Error(err)
			}
		}, 0, "trying again", []string{`"2.0.0"`, "# saved by an editor"}, "1.0.0 2.0.0"},
		{"update, and a version", []string{"update", "--all", "--verify"}, func(t *testing.T, p *place) {
			p.write("plugins.toml", p.slowly(`versions = ["3.0.0"]`))
		}, 0, "trying again", []string{`["3.0.0"]`}, "3.0.0"},
		{"add, and a mistake", []string{"add", "slow@2.0.0"}, func(t *testing.T, p *place) {
			p.write("plugins.toml", p.read("plugins.toml")+"what is this\n")
		}, fault.Usage, "plugins.toml:7", []string{"what is this", `["1.0.0"]`}, "1.0.0"},
		{"add, and the manifest goes", []string{"add", "slow@2.0.0"}, func(t *testing.T, p *place) {
			if err := os.Remove(p.path("plugins.toml")); err != nil {
				t.Error(err)
			}
		}, fault.Usage, "but its manifest", nil, "1.0.0"},
		{"add, and the lock", []string{"add", "slow@2.0.0"}, func(t *testing.T, p *place) {
			p.write("plugins.lock.toml", p.read("plugins.lock.toml")+"# by hand\n")
		}, 0, "plugins.lock.toml: it was changed", []string{`"2.0.0"`}, "1.0.0 2.0.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var p *place
			var once sync.Once
			p = slow(t, func(string) {
				if p != nil { // not for the first update
					once.Do(func() { tt.edit(t, p) })
				}
			})
			status, _, stderr := p.run(tt.args...)
			if status != int(tt.class) || !strings.Contains(stderr, tt.text) {
				t.Errorf("status %d, want %d with %q:\n%s", status, tt.class, tt.text, stderr)
			}
			for _, part := range tt.manifest {
				if !strings.Contains(p.read("plugins.toml"), part) {
					t.Errorf("%q is not in\n%s", part, p.read("plugins.toml"))
				}
			}
			var have []string
			for _, version := range []string{"1.0.0", "2.0.0", "3.0.0"} {
				if p.locked().Plugins["slow"][version] != nil {
					have = append(have, version)
				}
			}
			if got := strings.Join(have, " "); got != tt.locked {
				t.Errorf("locked %s, want %s", got, tt.locked)
			}
			if tt.class == 0 {
				p.ok("update")
				p.ok("check")
			}
			p.noLeftovers()
		})
	}
}

// noLeftovers demands that nothing unfinished is left beside the files.
func (p *place) noLeftovers() {
	p.t.Helper()
	if left, err := filepath.Glob(p.path(".lockgen*")); err != nil || len(left) > 0 {
		p.t.Errorf("left behind: %v %v", left, err)
	}
}

// TestEditedAgainAndAgain: who edits without end gets class 3, and nothing is
// written.
func TestEditedAgainAndAgain(t *testing.T) {
	t.Parallel()
	var p *place
	p = slow(t, func(string) {
		if p != nil {
			p.write("plugins.toml", p.read("plugins.toml")+"# again\n")
		}
	})
	locked := p.read("plugins.lock.toml")
	status, _, stderr := p.run("add", "slow@2.0.0")
	if status != int(fault.Lock) || !strings.Contains(stderr, "changed by somebody else during the run; nothing was written") {
		t.Errorf("status %d\n%s", status, stderr)
	}
	if text := p.read("plugins.toml"); strings.Count(text, "# again") != change.Tries || strings.Contains(text, "2.0.0") || p.read("plugins.lock.toml") != locked {
		t.Errorf("%s", text)
	}
	p.noLeftovers()
}

// TestTwoPaths: two runs over one folder wait for each other, by whatever path
// and with whatever cache they come.
func TestTwoPaths(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]func(t *testing.T, p *place) *place{
		"another cache": func(t *testing.T, p *place) *place { q := *p; q.cache = t.TempDir(); return &q },
		"a linked folder": func(t *testing.T, p *place) *place {
			q := *p
			q.dir = filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(p.dir, q.dir); err != nil {
				t.Skip(err)
			}
			return &q
		},
		"linked files": func(t *testing.T, p *place) *place {
			q := *p
			q.dir = t.TempDir()
			for _, name := range []string{"plugins.toml", "plugins.lock.toml"} {
				if err := os.Symlink(p.path(name), q.path(name)); err != nil {
					t.Skip(err)
				}
			}
			return &q
		},
		"a longer path": func(t *testing.T, p *place) *place {
			q := *p
			q.dir = p.dir + "/../" + filepath.Base(p.dir) + "/."
			return &q
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			started := make(chan struct{}, 1)
			p := slow(t, func(version string) {
				if version != "1.0.0" {
					select {
					case started <- struct{}{}:
						time.Sleep(300 * time.Millisecond)
					default:
					}
				}
			})
			q := other(t, p)
			var g sync.WaitGroup
			g.Go(func() { p.ok("add", "slow@2.0.0") })
			<-started
			q.ok("add", "slow@3.0.0")
			g.Wait()
			if text := p.read("plugins.toml"); !strings.Contains(text, `["1.0.0", "2.0.0", "3.0.0"]`) {
				t.Errorf("%s", text)
			}
			p.ok("check")
			p.noLeftovers()
		})
	}
}

// TestSweep: what a lockgen left that was killed while it wrote is gone with the next
// one; what is not its own stays.
func TestSweep(t *testing.T) {
	t.Parallel()
	p := slow(t, func(string) {})
	for _, name := range []string{".lockgen-123.tmp", ".lockgen.toml", "lockgen-1.tmp"} {
		p.write(name, "half")
	}
	p.ok("update")
	if p.read(".lockgen-123.tmp") != "" || p.read(".lockgen.toml") != "half" || p.read("lockgen-1.tmp") != "half" {
		t.Errorf("left: %v", p.read(".lockgen-123.tmp"))
	}
}

// TestWaitIsInterrupted: who waits for another run can be stopped, and holds
// nothing afterwards.
func TestWaitIsInterrupted(t *testing.T) {
	t.Parallel()
	p := slow(t, func(string) {})
	unlock, err := files.LockFolder(t.Context(), p.dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 1200*time.Millisecond, errors.New("stop"))
	defer cancel()
	status, _, stderr := p.runUntil(ctx, "add", "slow@2.0.0")
	if status == 0 || !strings.Contains(stderr, "waiting for another lockgen") {
		t.Errorf("status %d\n%s", status, stderr)
	}
	unlock()
	p.ok("add", "slow@2.0.0")
	p.noLeftovers()
}

// TestAttributes: lockgen init writes one line into .gitattributes, once.
func TestAttributes(t *testing.T) {
	t.Parallel()
	const line = "plugins.lock.toml " + project.Attributes
	for before, after := range map[string]string{
		"":                                  line + "\n",
		"*.png binary\n":                    "*.png binary\n" + line + "\n",
		"*.png binary":                      "*.png binary\n" + line + "\n",
		"* text=auto\r\n":                   "* text=auto\r\n" + line + "\r\n",
		"# plugins.lock.toml\n":             "# plugins.lock.toml\n" + line + "\n",
		"plugins.lock.toml merge=lockgen\n": "plugins.lock.toml merge=lockgen\n" + line + "\n",
		"plugins.lock.toml text eol=lf\nplugins.lock.toml eol=crlf\n":    "plugins.lock.toml text eol=lf\nplugins.lock.toml eol=crlf\n" + line + "\n",
		"other/plugins.lock.toml text eol=lf\nmyplugins.lock.toml -text": "other/plugins.lock.toml text eol=lf\nmyplugins.lock.toml -text\n" + line + "\n",
		// It is said already.
		line + "\n":                         line + "\n",
		"/plugins.lock.toml\ttext eol=lf\r": "/plugins.lock.toml\ttext eol=lf\r",
		"**/plugins.lock.toml -text":        "**/plugins.lock.toml -text",
	} {
		p := newPlace(t)
		if before != "" {
			p.write(".gitattributes", before)
		}
		_, stderr := p.ok("init")
		if got := p.read(".gitattributes"); got != after {
			t.Errorf("%q became %q, want %q", before, got, after)
		}
		if told := strings.Contains(stderr, `git config merge.lockgen.driver "lockgen merge-driver %O %A %B"`); told != (before != after) {
			t.Errorf("%q: %s", before, stderr)
		}
		if _, stderr := p.ok("init"); !strings.Contains(stderr, "nothing was written") {
			t.Errorf("%q again: %s", before, stderr)
		}
		if got := p.read(".gitattributes"); got != after {
			t.Errorf("again: %q became %q", before, got)
		}
		p.noLeftovers()
	}
	// A repository that has a manifest gets the line alone.
	p := newPlace(t)
	p.write("plugins.toml", "platforms = [\"linux-x86_64\"]\n")
	if _, stderr := p.ok("init"); !strings.Contains(stderr, "plugins.toml exists already and was not changed") || !strings.Contains(p.read(".gitattributes"), line) {
		t.Errorf("%s\n%s", stderr, p.read(".gitattributes"))
	}
	if text := p.read("plugins.toml"); text != "platforms = [\"linux-x86_64\"]\n" {
		t.Errorf("%s", text)
	}
	for name, want := range map[string]string{"a b.toml": `"a b.toml"`, "x[1].toml": `"x\\[1].toml"`, "plain.lock.toml": "plain.lock.toml"} {
		if got := project.AttributePattern(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestCRLF: a lock that git wrote with other line ends is read as what it is,
// and the hint of lockgen check hints it for good.
func TestCRLF(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "it starts git many times")
	p := slow(t, func(string) {})
	p.git("init", "--quiet", "--initial-branch", "main")
	p.commit("one")
	clone := *p
	clone.dir = filepath.Join(t.TempDir(), "win")
	p.git("clone", "--quiet", "--config", "core.autocrlf=true", p.dir, clone.dir)
	clone.git("config", "user.email", "a@example.com")
	clone.git("config", "user.name", "a")
	lf := p.read("plugins.lock.toml")
	if clone.read("plugins.lock.toml") != strings.ReplaceAll(lf, "\n", "\r\n") {
		t.Fatal("git wrote LF")
	}
	told := "its lines end with CRLF, as git writes them if core.autocrlf is set"
	clone.fails(fault.Lock, []string{told, "run: lockgen init", "then: lockgen update; then: git add --renormalize .gitattributes plugins.lock.toml"}, "check")
	for _, args := range [][]string{{"list"}, {"diff"}} {
		if _, stderr := clone.ok(args...); !strings.Contains(stderr, told) || !strings.Contains(stderr, "lockgen init") {
			t.Errorf("%v: %s", args, stderr)
		}
	}
	if stdout, _ := clone.ok("diff"); stdout != "" {
		t.Errorf("a difference: %s", stdout)
	}
	// What it wrote by hand keeps its line ends.
	clone.ok("add", "slow@2.0.0")
	if text := clone.read("plugins.toml"); strings.Count(text, "\n") != strings.Count(text, "\r\n") || !strings.Contains(text, "2.0.0") {
		t.Errorf("%q", text)
	}
	clone.git("checkout", "--quiet", ".")
	clone.fails(fault.Lock, []string{told}, "check")
	// The hint, word for word.
	clone.ok("init")
	clone.ok("update")
	clone.git("add", "--renormalize", ".gitattributes", "plugins.lock.toml")
	clone.ok("check")
	clone.commit("two")
	again := *p
	again.dir = filepath.Join(t.TempDir(), "win")
	p.git("clone", "--quiet", "--config", "core.autocrlf=true", clone.dir, again.dir)
	if again.read("plugins.lock.toml") != lf {
		t.Error("it does not last")
	}
	again.ok("check")
}
