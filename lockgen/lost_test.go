package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// lossy is standard output that takes nothing.
type lossy struct{ err error }

func (l lossy) Write([]byte) (int, error) { return 0, l.err }

// lostCommands are command lines that print a result, by verb.
func lostCommands(t *testing.T) map[string]func() (*place, []string) {
	on := func(p *place, args ...string) func() (*place, []string) {
		return func() (*place, []string) { return p, args }
	}
	fresh := func(args ...string) func() (*place, []string) {
		return func() (*place, []string) { return releases(t, "0.1.0", "0.2.0"), args }
	}
	k := kinds(t)
	cell := &place{t: t, cache: t.TempDir(), dir: newProtoTree(t, map[string]string{"api/a.proto": "syntax = \"proto3\";\n"}).dir}
	r := releases(t, "0.1.0", "0.2.0")
	r.ok("add", "fetch@0.1.0")
	r.write("other.lock.toml", "schema = 1\n")
	return map[string]func() (*place, []string){
		"init":         on(newPlace(t), "init", "--no-buck2", "--dry-run", "--json"),
		"update":       fresh("update", "--json"),
		"upgrade":      fresh("upgrade", "--json"),
		"add":          fresh("add", "fetch@0.1.0", "--json"),
		"remove":       on(r, "remove", "fetch", "--dry-run", "--json"),
		"search":       on(k, "search", "grpc"),
		"check":        on(r, "check", "--json"),
		"list":         on(k, "list"),
		"tree":         on(k, "tree"),
		"why":          on(k, "why", "c"),
		"explain":      on(k, "explain", "deep"),
		"outdated":     on(r, "outdated"),
		"sbom":         on(k, "sbom"),
		"report":       nil, // writes a file
		"diff":         on(r, "diff", r.path("other.lock.toml")),
		"buckify":      on(cell, "buckify", cell.dir, "--dry-run", "--json"),
		"mirror":       on(r, "mirror", "--to", "oci-layout:"+r.path("mirror"), "--dry-run"),
		"doctor":       on(k, "doctor"),
		"merge-driver": on(r, "merge-driver", "--dry-run", r.path("other.lock.toml"), r.path("other.lock.toml"), r.path("plugins.lock.toml")),
		"textconv":     on(k, "textconv", k.path("plugins.lock.toml")),
		"help":         on(k, "help"),
		"version":      on(k, "version"),
		"completion":   on(k, "completion", "bash"),
		"__man":        on(k, "__man"),
		"__markdown":   on(k, "__markdown"),
		"__complete":   on(k, "__complete", "="),
		"--help":       on(k, "list", "--help"),
		"--version":    on(k, "--version"),
	}
}

// TestLostOutput: a command whose result cannot be written does not end with
// status 0, and says so, whether the disk is full or the reader has gone.
func TestLostOutput(t *testing.T) {
	t.Parallel()
	commands := lostCommands(t)
	for _, v := range table.Verbs {
		if _, ok := commands[v.Name]; !ok {
			t.Errorf("what does %s print?", v.Name)
		}
	}
	for name, command := range commands {
		if command == nil {
			continue
		}
		for _, cause := range []error{syscall.ENOSPC, syscall.EPIPE}[:testenv.Brief(1, 2)] {
			p, args := command()
			if strings.HasPrefix(name, "__") {
				args = append([]string{}, args...)
			} else {
				args = append([]string{"--manifest", p.path("plugins.toml"), "--lock", p.path("plugins.lock.toml")}, args...)
			}
			var talk bytes.Buffer
			prog := newProgram(func(name string) string {
				if name == "BUCK2_PROTOBUF_CACHE_DIR" {
					return p.cache
				}
				return ""
			}, lossy{cause}, &talk)
			if status := prog.run(t.Context(), args); status != int(fault.Machine) || !strings.Contains(talk.String(), "cannot write the result: "+cause.Error()) {
				t.Errorf("%s: %v: status %d\n%s", name, cause, status, talk.String())
			}
		}
	}
}

// TestLostStream: the same of the whole program, with /dev/full and with a pipe
// that nobody reads.
func TestLostStream(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	k := kinds(t)
	lost := func(stdout *os.File, args ...string) {
		t.Helper()
		cmd := exec.Command(self, args...)
		cmd.Env = append(os.Environ(), asLockgen+"=1")
		cmd.Dir, cmd.Stdout = k.dir, stdout
		if err := cmd.Run(); err == nil {
			t.Errorf("%v into %s: status 0", args, stdout.Name())
		}
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("no /dev/full: %v", err)
	}
	defer full.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	for _, args := range [][]string{{"list"}, {"list", "--json"}, {"help"}, {"version"}, {"sbom"}, {"textconv", filepath.Join(k.dir, "plugins.lock.toml")}} {
		lost(full, args...)
		lost(w, args...)
	}
}
