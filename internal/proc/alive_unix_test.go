//go:build unix

package proc

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// alive reports whether a process runs; one that only waits to be reaped does
// not.
func alive(pid int) bool {
	if stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat"); err == nil {
		_, after, _ := strings.Cut(string(stat), ") ")
		return !strings.HasPrefix(after, "Z")
	}
	return syscall.Kill(pid, 0) == nil
}
