package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fake"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// TestNoForeignCode: whatever programs are first on PATH, and whatever the variables and
// the files of a user and of a project tell clients to run, fetch runs none of it, and
// installs the same.
func TestNoForeignCode(t *testing.T) {
	testenv.Real(t, "it starts every client")
	for kind, prepare := range kindsServed() {
		t.Run(kind, func(t *testing.T) {
			if kind != lock.HTTP && kind != lock.Maven && kind != lock.OCI {
				testenv.OnlyFull(t, "a client starts for each; it is tried with http, maven and oci")
			}
			s := prepare(t)
			binary := fetchProgram(t)
			x := fake.LayTraps(t, s.dir)
			if kind == lock.Cargo {
				x.Allow(t, "cc") // which links what rustc compiles
			}
			env := os.Environ() // of two with one name the last counts
			for _, kv := range x.Env {
				env = append(env, kv[0]+"="+kv[1])
			}
			env = append(env, "BUCK2_PROTOBUF_CACHE_DIR="+s.cache)
			held := len(x.Hooks)
			said := func(args ...string) string {
				cmd := exec.Command(binary, append(args, "--lock", filepath.Join(s.dir, lock.FileName))...)
				cmd.Dir, cmd.Env = s.dir, env
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Errorf("fetch %v: %v\n%s", args, err, out)
				}
				if ran := x.Sprung(); ran != "" {
					held = 0
					t.Errorf("fetch %v: this ran:\n%s", args, ran)
				}
				return string(out)
			}
			said("get", s.plugin)
			said("get", s.plugin) // warm
			said("cache", "verify")
			said("env")
			s.must("cache", "verify")
			testenv.Held(t, "a program on PATH, a variable, or a file of the user or the project that a client would run: it does not run at fetch time", kind, len(x.Hooks), held)
		})
	}
}
