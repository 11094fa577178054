package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/remote"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestInjectedFaults has strace fail one system call of lockgen, or end lockgen
// there. Manifest and lock are then as they were before or as they shall be after:
// both the one or both the other if lockgen could still say something. The same
// command then does its work, and what the cache has is whole.
func TestInjectedFaults(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "each row is a process under strace")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	fetch := fetchProgram(t)
	for seed, command := range []struct {
		name string
		args []string
		// prepare brings the place into the state in which the command has work.
		prepare func(p *place)
	}{
		{"update", []string{"update"}, func(p *place) { p.injected("1.2.0", "1.3.0") }},
		{"add", []string{"add", "tool@1.3.0"}, func(p *place) { p.injected("1.2.0"); p.ok("update") }},
		{"upgrade", []string{"upgrade", "tool"}, func(p *place) { p.injected("1.2.0"); p.ok("update") }},
		{"remove", []string{"remove", "tool@1.3.0"}, func(p *place) { p.injected("1.2.0", "1.3.0"); p.ok("update") }},
		{"mirror", []string{"mirror", "--to", "oci-layout:DIR"}, func(p *place) { p.injected("1.2.0", "1.3.0"); p.ok("update") }},
	} {
		t.Run(command.name, func(t *testing.T) {
			t.Parallel()
			server := newPlace(t).server
			for _, version := range []string{"1.2.0", "1.3.0"} {
				server.Maven(fake.MavenArtifact{Group: "com.acme", Artifact: "tool", Version: version, Files: map[string][]byte{"-linux-aarch_64.exe": []byte(linuxARM + version)}})
			}
			// The state before and after, made once without a fault.
			base := &place{t: t, dir: t.TempDir(), cache: t.TempDir(), server: server, timeouts: remote.Timeouts{RetryWait: time.Millisecond}}
			command.prepare(base)
			before := base.files()
			pristine := t.TempDir()
			if err := os.CopyFS(pristine, os.DirFS(base.cache)); err != nil {
				t.Fatal(err)
			}
			with := func(p *place) []string {
				args := strings.Split(strings.ReplaceAll(strings.Join(command.args, "\x00"), "DIR", p.path("mirror")), "\x00")
				return append([]string{"--manifest", p.path("plugins.toml"), "--lock", p.path("plugins.lock.toml")}, args...)
			}
			base.ok(with(base)[4:]...)
			after := base.files()

			all := t.TempDir()
			round, tried, kept := 0, 0, 0
			sites := testenv.EachFault(seed, func(inject string) testenv.Injected {
				round++
				p := &place{t: t, dir: filepath.Join(all, fmt.Sprint(round)), cache: filepath.Join(all, fmt.Sprint(round), "cache"), server: server, timeouts: base.timeouts}
				defer os.RemoveAll(p.dir)
				if err := os.CopyFS(p.cache, os.DirFS(pristine)); err != nil {
					t.Fatal(err)
				}
				p.write("plugins.toml", before[0])
				if before[1] != "" {
					p.write("plugins.lock.toml", before[1])
				}
				text, err := json.Marshal(settings{Cache: p.cache, Timeouts: p.timeouts})
				if err != nil {
					t.Fatal(err)
				}
				cmd := exec.Command(self, with(p)...)
				cmd.Env = append(os.Environ(), asLockgen+"="+string(text))
				i := testenv.Inject(t, inject, cmd)
				if !i.Began() {
					return i
				}
				held := true
				bad := func(format string, a ...any) {
					held = false
					t.Errorf("%s with %s: %s\n%s%s", command.name, i, fmt.Sprintf(format, a...), i.Stdout, i.Stderr)
				}
				now := p.files()
				if what := wrongAfter(i, now, before, after); what != "" {
					bad("%s:\n%s", what, now)
				}
				again := with(p)[4:]
				if command.name == "remove" && now == after {
					again = []string{"update"} // nothing is left to remove
				}
				if status, _, talk := p.run(again...); status != 0 {
					bad("again: exit %d\n%s", status, talk)
				}
				if now := p.files(); now != after {
					bad("again, it made\n%s", now)
				}
				if left, _ := filepath.Glob(p.path(".*")); len(left) > 0 {
					bad("left behind: %v", left)
				}
				verify := exec.Command(fetch, "--lock", p.path("plugins.lock.toml"), "cache", "verify")
				verify.Env = append(os.Environ(), "BUCK2_PROTOBUF_CACHE_DIR="+p.cache)
				if out, err := verify.CombinedOutput(); err != nil {
					bad("afterwards fetch cache verify: %v\n%s", err, out)
				}
				if tried++; held {
					kept++
				}
				return i
			})
			t.Logf("%d system calls", sites)
			testenv.Held(t, "a system call of lockgen fails, or lockgen is killed there: exit 7 or no matter, manifest and lock as before or after, then all is whole", command.name, tried, kept)
		})
	}
}

// files returns the manifest and the lock.
func (p *place) files() [2]string {
	return [2]string{p.read("plugins.toml"), p.read("plugins.lock.toml")}
}

// wrongAfter says what is wrong with how a command ended and what it left of the manifest
// and the lock, "" for nothing.
func wrongAfter(i testenv.Injected, now, before, after [2]string) string {
	for n := range now {
		if now[n] != before[n] && now[n] != after[n] {
			return "a file of the project is not as before or after"
		}
	}
	switch class := fault.Class(i.Status); {
	case i.Killed():
	case class == fault.OK:
		if now != after {
			return "exit 0 without its work"
		}
	case class != fault.Machine && (class != fault.Upstream || !i.OfConnection()):
		return fmt.Sprintf("exit %d", i.Status)
	case i.Call != "write" && !strings.Contains(i.Stderr, "hint: "): // which is written, too
		return "no hint"
	case now != before && now != after:
		return "one file is changed, the other is not"
	}
	return ""
}

// injected writes a manifest that asks for versions of one plugin.
func (p *place) injected(versions ...string) {
	p.write("plugins.toml", "platforms = [\"linux-aarch64\"]\n\n[registries]\nmaven = \""+p.server.URL+"/maven\"\n\n[plugins.tool]\nversions = [\""+
		strings.Join(versions, `", "`)+"\"]\nsource = \"maven:com.acme:tool\"\nbinary = \"tool\"\n")
}
