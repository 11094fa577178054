package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// callFaults are the errors that a disk or a machine gives for system calls.
var callFaults = []struct {
	call   string
	errnos []string
}{
	{"openat", []string{"EMFILE", "EACCES", "EIO", "EROFS", "ENOSPC", "EDQUOT"}},
	{"mkdirat", []string{"ENOSPC", "EACCES", "EROFS", "EDQUOT", "EIO"}},
	{"renameat", []string{"EXDEV", "ENOSPC", "EACCES", "EIO", "EDQUOT", "EROFS"}},
	{"renameat2", []string{"EXDEV", "ENOSPC", "EACCES", "EIO", "EDQUOT", "EROFS"}},
	{"write", []string{"ENOSPC", "EIO", "EDQUOT"}},
	{"pwrite64", []string{"ENOSPC", "EIO", "EDQUOT"}},
	{"copy_file_range", []string{"ENOSPC", "EIO", "EDQUOT", "EXDEV"}},
	{"ftruncate", []string{"ENOSPC", "EIO", "EDQUOT", "EROFS"}},
	{"fsync", []string{"EIO", "ENOSPC", "EDQUOT"}},
	{"unlinkat", []string{"EACCES", "EIO", "EROFS"}},
	{"fchmodat", []string{"EACCES", "EROFS", "EIO"}},
	{"fchmod", []string{"EROFS", "EIO"}},
	{"linkat", []string{"EXDEV", "EACCES", "EMLINK", "ENOSPC", "EDQUOT", "EROFS"}},
	{"symlinkat", []string{"EACCES", "ENOSPC", "EDQUOT", "EROFS"}},
	{"utimensat", []string{"EACCES", "EROFS", "EIO"}},
	{"getdents64", []string{"EIO", "EACCES"}},
	{"newfstatat", []string{"EACCES", "EIO"}},
	{"read", []string{"EIO"}},
	{"pread64", []string{"EIO"}},
	{"flock", []string{"ENOLCK", "EIO"}},
	{"fcntl", []string{"ENOLCK", "EIO"}},
}

// An Injected is a run of a program one of whose system calls failed, or which was
// killed there.
type Injected struct {
	Call, How      string
	Site           string // what the call was for; "" if the program has no call that late
	Status         int    // -1 if it was killed
	Stdout, Stderr string
}

// Killed reports whether the fault was the end of the program.
func (i Injected) Killed() bool { return i.Status == -1 }

// Began reports whether the fault met the program: not what loads it, and not what
// Go's own runtime does.
func (i Injected) Began() bool {
	return i.Site != "" && !strings.Contains(i.Stderr, "error while loading shared libraries") && !strings.Contains(i.Stderr, "runtime: ")
}

// OfConnection reports whether the call may have been one for the network.
func (i Injected) OfConnection() bool {
	return strings.Contains(i.Site, "<socket:") || strings.Contains(i.Site, "<TCP:") || strings.Contains(i.Site, "/etc/")
}

// String names the fault.
func (i Injected) String() string { return fmt.Sprintf("%s at %s", i.How, i.Site) }

// Inject has strace fail a system call of a program: inject is an argument of its
// option of that name.
func Inject(t testing.TB, inject string, cmd *exec.Cmd) Injected {
	t.Helper()
	strace, err := Find("strace", "-V")
	if err != nil {
		t.Skipf("no strace that runs: %v", err)
	}
	call, how, _ := strings.Cut(inject, ":")
	trace := filepath.Join(t.TempDir(), "trace")
	under := exec.Command(strace, append([]string{"-f", "-qq", "-y", "-s", "200", "-o", trace, "-e", "trace=" + call, "-e", "inject=" + inject, cmd.Path}, cmd.Args[1:]...)...)
	under.Env, under.Dir = cmd.Env, cmd.Dir
	var stdout, stderr strings.Builder
	under.Stdout, under.Stderr = &stdout, &stderr
	_ = under.Run()
	said, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	i := Injected{Call: call, How: how, Status: under.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
	last := ""
	for line := range strings.Lines(string(said)) {
		_, line, _ = strings.Cut(strings.TrimSpace(line), " ")
		line = strings.TrimSpace(line)
		switch {
		case strings.HasSuffix(line, "(INJECTED)"):
			i.Site = site(line)
			return i
		case strings.Contains(line, "+++ killed by SIGKILL"):
			i.Site = site(last)
			return i
		case strings.HasPrefix(line, call+"("):
			last = line
		}
	}
	return i
}

var vary = regexp.MustCompile(`[0-9a-f]{8,}|[0-9]+`)

// site is what a line of strace tells of a call, without what differs from run to
// run.
func site(line string) string {
	line, _, _ = strings.Cut(line, " = ")
	line, _, _ = strings.Cut(line, " <unfinished")
	return vary.ReplaceAllString(line, "*")
}

// EachFault has try run a program with one fault after another: in the full suite,
// each error at each of its distinct system calls, and its end there; else the first
// of every third call, with another error each. What try is told is for [Inject],
// whose result it returns. EachFault returns at how many distinct calls there were
// faults.
func EachFault(seed int, try func(inject string) Injected) (sites int) {
	seen := map[string]bool{}
	for n, f := range callFaults {
		hows := make([]string, 0, len(f.errnos)+1)
		for _, errno := range f.errnos {
			hows = append(hows, "error="+errno)
		}
		hows = append(hows, "signal=SIGKILL")
		if !Full() {
			if n%3 == seed%3 {
				if i := try(fmt.Sprintf("%s:%s:when=1", f.call, hows[(n/3+seed)%len(hows)])); i.Site != "" {
					seen[i.Site] = true
				}
			}
			continue
		}
		// strace counts the calls of each thread: the n-th of one run is not that of
		// another, and what was seen comes again.
		for when, known := 1, 0; known < 12; when++ {
			i := try(fmt.Sprintf("%s:%s:when=%d", f.call, hows[0], when))
			if i.Site == "" {
				break
			}
			if seen[i.Site] {
				known++
				continue
			}
			seen[i.Site], known = true, 0
			for _, how := range hows[1:] {
				if i := try(fmt.Sprintf("%s:%s:when=%d", f.call, how, when)); i.Site != "" {
					seen[i.Site] = true
				}
			}
		}
	}
	return len(seen)
}
