package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birbparty/buck2-protobuf/internal/fault"
	"github.com/birbparty/buck2-protobuf/internal/lock"
	"github.com/birbparty/buck2-protobuf/internal/testenv"
)

// onDisk runs a command on a cache that is a file system of its own: once as it is,
// then to see what it left, and once more when there is room and it may be written.
const onDisk = `
mount -t tmpfs -o "$OPTIONS,mode=700" none "$BUCK2_PROTOBUF_CACHE_DIR" || exit 125
[ -z "$BEFORE" ] || "$FETCH" --lock "$LOCK" $BEFORE >"$OUT/before" 2>&1 || exit 124
[ -z "$REMOUNT" ] || mount -o "remount,$REMOUNT" "$BUCK2_PROTOBUF_CACHE_DIR" || exit 125
"$FETCH" --lock "$LOCK" "$@" >"$OUT/stdout" 2>"$OUT/stderr"
status=$?
"$FETCH" --lock "$LOCK" cache verify >"$OUT/verify" 2>&1 || exit 123
mount -o remount,rw,exec,size=64m,nr_inodes=10000 "$BUCK2_PROTOBUF_CACHE_DIR" || exit 125
"$FETCH" --lock "$LOCK" "$@" >"$OUT/again" 2>&1 || exit 122
exit $status
`

// TestDisks: on a disk that is full at any byte or file, that may not be written, or
// from which nothing may be run, fetch works or tells of this machine and names the
// folder; what the cache has is whole, and with room the same command works.
func TestDisks(t *testing.T) {
	t.Parallel()
	testenv.Real(t, "each row is a process under strace")
	if out, err := exec.Command("unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "none", "/mnt").CombinedOutput(); err != nil {
		t.Skipf("this machine lets us mount nothing: %v %s", err, out)
	}
	program := fetchProgram(t)
	w := newWorld(t)
	w.bundled()
	type disk struct {
		options, before, remount string
		args                     []string
		class                    fault.Class // or works
		says                     string
	}
	disks := map[string][]disk{}
	for _, args := range [][]string{{"get", "packed"}, {"bundle", "both"}} {
		for kib := 4; kib <= 256; kib += 4 {
			disks["full"] = append(disks["full"], disk{options: fmt.Sprintf("size=%dk", kib), args: args, class: fault.Machine, says: "the disk is full"})
		}
		for inodes := 2; inodes <= 50; inodes++ {
			disks["without inodes"] = append(disks["without inodes"], disk{options: fmt.Sprintf("nr_inodes=%d", inodes), args: args, class: fault.Machine, says: "the disk is full"})
		}
		disks["read-only"] = append(disks["read-only"],
			disk{options: "size=8m", remount: "ro", args: args, class: fault.Machine, says: "read-only"},
			disk{options: "size=8m", before: "bundle both", remount: "ro", args: args})
		disks["noexec"] = append(disks["noexec"], disk{options: "noexec", args: args})
	}
	disks["noexec"] = append(disks["noexec"], disk{options: "size=8m,noexec", args: []string{"run", "bare"}, class: fault.Machine, says: "noexec"})
	for name, list := range disks {
		t.Run(name, func(t *testing.T) {
			tried, held := 0, 0
			for i, d := range list {
				if !testenv.Full() && i%41 != 3 && len(list) > 10 {
					continue
				}
				out, cache := t.TempDir(), t.TempDir()
				cmd := exec.Command("unshare", append([]string{"--user", "--map-root-user", "--mount", "sh", "-c", onDisk, "sh"}, d.args...)...)
				cmd.Env = append(os.Environ(), "FETCH="+program, "LOCK="+filepath.Join(w.dir, lock.FileName), "OUT="+out, "OPTIONS="+d.options, "BEFORE="+d.before, "REMOUNT="+d.remount, "BUCK2_PROTOBUF_CACHE_DIR="+cache)
				shell, _ := cmd.CombinedOutput()
				read := func(name string) string {
					text, _ := os.ReadFile(filepath.Join(out, name))
					return string(text)
				}
				status, stderr := cmd.ProcessState.ExitCode(), read("stderr")
				works := status == 0 && (d.class == fault.OK || d.options != "size=8m" && !strings.Contains(d.options, "noexec"))
				told := status == int(d.class) && status != 0 && strings.Contains(stderr, d.says) && strings.Contains(stderr, cache) && strings.Contains(stderr, "hint: ")
				if tried++; works || told {
					held++
					continue
				}
				t.Errorf("%+v: exit %d\n%s%s%s\nverify: %s\nagain: %s\n%s", d, status, shell, read("before"), stderr, read("verify"), read("again"), read("stdout"))
			}
			testenv.Held(t, "the cache on a disk that is full, read-only, without inodes or noexec: fetch works, or exit 7 and the folder; then all is whole", name, tried, held)
		})
	}
}
